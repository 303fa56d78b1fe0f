"""Int8 functions of one element or two, as tables: 256 entries say all of the one, 65 536 all of the other.

The tables are filled with the reference kernels' arithmetic, whatever it costs, and a layer then only looks up. A code
indexes a table as its byte: −128 … 127 are 128 … 255, 0 … 127.

Source: TensorFlow Lite, ``kernels/activations.cc``, ``elementwise.cc``, ``add.cc``, ``sub.cc``,
``mul.cc``, ``div.cc``, ``squared_difference.cc``, their ``reference`` headers, ``reference/hard_swish.h``,
``leaky_relu.h``, ``prelu.h``, ``requantize.h``, ``concatenation.h``, and ``internal/common.h`` (LUTPopulate). Where
those compute a real multiplier in float32, so does this file: the last bit decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.graph.ops import Binary, BinaryFunction, FusedActivation, Unary
from hwsim.reference import float_functions
from hwsim.reference.int8_fixed_point import inverse_square_root, reciprocal
from hwsim.reference.requantize import (
    INT32_MAX,
    doubling_high_mul,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
    rounding_divide_by_pot,
)

Array = NDArray[Any]
Codes = NDArray[np.int8]
Integers = NDArray[np.int64]

CODES: Integers = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)  # the code of each byte
ADD_LEFT_SHIFT = 20  # headroom that kernels give their operands
SQUARED_DIFFERENCE_SHIFT = 7
HARD_SWISH_SHIFT = 7
RSQRT_SHIFT = 20
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1


@dataclass(frozen=True, slots=True)
class Affine:
    """Quantisation of a whole tensor: real = scale × (code − zero_point)."""

    scale: float
    zero_point: int

    @property
    def scale32(self) -> np.float32:
        """The scale as the file stores it."""
        return np.float32(self.scale)


def activation_range(activation: FusedActivation | None, out: Affine) -> tuple[int, int]:
    """Return the least and greatest code that a fused activation lets through."""
    bounds = {None: (None, None), "relu": (0.0, None), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}
    low, high = (None if bound is None else nearest_code(bound, out) for bound in bounds[activation])
    return max(-128, -128 if low is None else low), min(127, 127 if high is None else high)


def nearest_code(real: float, out: Affine) -> int:
    """Return the code nearest to a real value, ties away from zero; not saturated."""
    return int(round_half_away(np.float64(np.float32(real) / out.scale32))) + out.zero_point


def look_up(table: Codes, x: Codes) -> Codes:
    """Return table[byte of x] for every element."""
    bytes_ = bytearray(np.ascontiguousarray(x).data).translate(table.tobytes())
    return np.frombuffer(bytes_, np.int8).reshape(x.shape)


def look_up_pair(table: Codes, a: Codes, b: Codes) -> Codes:
    """Return table[256 × byte of a + byte of b], broadcast."""
    index = np.multiply(a.view(np.uint8), 256, dtype=np.intp, casting="unsafe") + b.view(np.uint8)
    codes: Codes = table.take(index)
    return codes


def saturated(codes: Array, low: int = -128, high: int = 127) -> Codes:
    """Return codes held within their range, as int8."""
    return np.clip(codes, low, high).astype(np.int8)


def requantize_table(x: Affine, out: Affine, activation: FusedActivation | None = None) -> Codes:
    """Return the table that rescales codes from one quantisation to another, and clamps."""
    multiplier, shift = quantize_multiplier(np.float64(x.scale32) / np.float64(out.scale32))
    rescaled = multiply_by_quantized_multiplier(CODES - x.zero_point, multiplier, shift) + out.zero_point
    return saturated(rescaled, *activation_range(activation, out))


def concat_table(x: Affine, out: Affine, activation: FusedActivation | None = None) -> Codes:
    """Return the table with which a concatenation rescales one of its inputs, in float32."""
    scale = x.scale32 * (np.float32(1) / out.scale32)
    real = CODES.astype(np.float32) * scale + np.float32(-x.zero_point) * scale
    return saturated(round_half_away(real.astype(np.float64)) + out.zero_point, *activation_range(activation, out))


def unary_table(op: Unary, x: Affine, out: Affine) -> Codes:
    """Return the table of a layer: fixed point for (leaky) ReLU and hard-swish, else the function in float32."""
    match op.function:
        case "relu" | "relu6":
            return _clipped_table(*activation_range(op.function, out), x, out)
        case "clip" if op.low is not None and (op.low, op.high) in ((-1.0, 1.0), (0.0, 1.0)):
            low, high = nearest_code(op.low, out), nearest_code(1.0, out)
            return _clipped_table(max(-128, low), min(127, high), x, out)
        case "hard_swish":
            return _hard_swish_table(x, out)
        case "leaky_relu":
            return _leaky_relu_table(float(op.alpha or 0.0), x, out)
        case "abs":
            return _absolute_table(x, out)
        case "neg" if x == out and x.zero_point == 0:
            return (-CODES).astype(np.int8)  # LiteRT negates codes as they are: -128 stays
        case "rsqrt":
            return _rsqrt_table(x, out)
        case "sqrt":
            return _sqrt_table(x, out)
    real = x.scale32 * (CODES - x.zero_point).astype(np.float32)
    if op.function == "sigmoid":
        with np.errstate(over="ignore"):
            value = np.float32(1) / (np.float32(1) + np.exp(-real.astype(np.float64)).astype(np.float32))
    elif op.function == "log":  # not defined up to 0: the least that the ofmap can hold
        with np.errstate(divide="ignore", invalid="ignore"):
            least = np.float32(-128 - out.zero_point) * out.scale32
            value = np.where(real <= 0, least, np.log(real.astype(np.float64))).astype(np.float32)
    else:
        attributes = {"alpha": op.alpha, "beta": op.beta, "low": op.low, "high": op.high}
        value = float_functions.unary(real.astype(np.float64), op.function, **attributes).astype(np.float32)
    rescaled = round_half_away((value * (np.float32(1) / out.scale32)).astype(np.float64))
    return saturated(np.nan_to_num(rescaled + out.zero_point))


def _clipped_table(low: int, high: int, x: Affine, out: Affine) -> Codes:
    multiplier, shift = quantize_multiplier(x.scale32 / out.scale32)
    rescaled = multiply_by_quantized_multiplier(CODES - x.zero_point, multiplier, shift) + out.zero_point
    return saturated(rescaled, low, high)


def _absolute_table(x: Affine, out: Affine) -> Codes:
    value = np.abs(CODES - x.zero_point)
    if x.scale32 != out.scale32:
        value = multiply_by_quantized_multiplier(value, *quantize_multiplier(x.scale32 / out.scale32))
    return saturated(value + out.zero_point)


def _sqrt_table(x: Affine, out: Affine) -> Codes:
    """Return √x in float32, cut to an integer; 0 for what LiteRT refuses, a negative x."""
    real = x.scale32 * np.maximum(CODES - x.zero_point, 0).astype(np.float32)
    return saturated(np.trunc(np.sqrt(real) / out.scale32).astype(np.int64) + out.zero_point)


def _rsqrt_table(x: Affine, out: Affine) -> Codes:
    """Return 1 / √x in fixed point; zero gives the greatest code, and so does what LiteRT refuses, a negative x."""
    value = CODES - x.zero_point
    inverse, shift = inverse_square_root(np.maximum(value, 1))
    fine = multiply_by_quantized_multiplier(1, inverse, shift + RSQRT_SHIFT)
    # In float32 but for the last step, as SetRsqrtOutputMultiplier has it.
    multiplier, out_shift = quantize_multiplier(1.0 / np.float64(np.sqrt(x.scale32) * out.scale32))
    codes = multiply_by_quantized_multiplier(fine, multiplier, out_shift - RSQRT_SHIFT) + out.zero_point
    return saturated(np.where(value > 0, codes, 127))


def _leaky_relu_table(alpha: float, x: Affine, out: Affine) -> Codes:
    value = CODES - x.zero_point
    above = multiply_by_quantized_multiplier(value, *quantize_multiplier(x.scale32 / out.scale32))
    slope, shift = quantize_multiplier(x.scale32 * np.float32(alpha) / out.scale32)
    below = np.sign(slope) * multiply_by_quantized_multiplier(value, np.abs(slope), shift)
    return saturated(np.where(value >= 0, above, below) + out.zero_point)


def _hard_swish_table(x: Affine, out: Affine) -> Codes:
    """X · relu6(x + 3) / 6 in 16-bit fixed point: the factor relu6(x + 3) / 6 on a scale where 32768 stands for 3."""
    fine_scale = np.float32(1 / 128) * x.scale32
    out_multiplier, out_shift = _multiplier_int16(fine_scale / out.scale32)
    gate_multiplier, gate_shift = _multiplier_int16(fine_scale / np.float32(3 / 32768))
    fine = (CODES - x.zero_point) << HARD_SWISH_SHIFT
    value = _high_mul_int16(fine, out_multiplier)
    gate = fine if gate_shift <= 0 else np.clip(fine << (gate_shift - 1), INT16_MIN, INT16_MAX)
    gate = _high_mul_int16(gate, gate_multiplier)
    if gate_shift > 0:
        gate = np.clip(gate << 1, INT16_MIN, INT16_MAX)
    elif gate_shift < 0:
        gate = rounding_divide_by_pot(gate, -gate_shift)
    product = ((gate + 2**15) >> 1) * value
    product = np.sign(product) * (np.abs(product) >> 15)  # towards zero, against the bias of the roundings before
    return saturated(rounding_divide_by_pot(product, -out_shift) + out.zero_point)


def _multiplier_int16(real: np.float32) -> tuple[int, int]:
    multiplier, shift = quantize_multiplier(real)
    if multiplier >= INT32_MAX - 2**15:
        return INT16_MAX, int(shift)
    return int(multiplier + 2**15) >> 16, int(shift)


def _high_mul_int16(a: Integers, b: int) -> Integers:
    return np.asarray(np.minimum((a * b + 2**14) >> 15, INT16_MAX))


def prelu_table(x: Affine, slope: Affine, out: Affine) -> Codes:
    """Return the pair table (x, slope) of a parametric ReLU."""
    value, factor = (CODES - x.zero_point)[:, None], CODES - slope.zero_point
    above = multiply_by_quantized_multiplier(value, *quantize_multiplier(x.scale32 / out.scale32))
    real = x.scale32 * slope.scale32 / out.scale32
    below = multiply_by_quantized_multiplier(value * factor, *quantize_multiplier(real))
    return saturated(np.where(value >= 0, above, below) + out.zero_point).reshape(-1)


def binary_table(op: Binary, a: Affine, b: Affine, out: Affine) -> Codes:
    """Return the pair table of arithmetic of two tensors.

    Maximum and minimum compare codes, as LiteRT does, when all three quantisations are one; powers are taken in
    float64.
    """
    low, high = activation_range(op.activation, out)
    left, right = (CODES - a.zero_point)[:, None], CODES - b.zero_point
    match op.function:
        case "add" | "sub":
            result = _sum(left, right, a, b, out, sign=1 if op.function == "add" else -1)
        case "mul":
            real = a.scale32 * b.scale32 / out.scale32
            result = multiply_by_quantized_multiplier(left * right, *quantize_multiplier(real))
        case "squared_difference":
            result = _squared_difference(left, right, a, b, out)
        case "div":
            result = _quotient(left, right, a.scale32 / (b.scale32 * out.scale32))
        case _ if op.function in ("maximum", "minimum") and a == b == out:
            result = (np.maximum if op.function == "maximum" else np.minimum)(left, right)
        case _:
            result = _real_arithmetic(op.function, left * a.scale, right * b.scale, out)
    return saturated(result + out.zero_point, low, high).reshape(-1)


def _sum(left: Integers, right: Integers, a: Affine, b: Affine, out: Affine, sign: int) -> Integers:
    """Both operands on the scale of twice the larger one, shifted up 20 bits, added, and scaled down."""
    twice_most = 2.0 * max(float(a.scale32), float(b.scale32))
    first, second = (
        multiply_by_quantized_multiplier(value << ADD_LEFT_SHIFT, *quantize_multiplier(float(scale) / twice_most))
        for value, scale in ((left, a.scale32), (right, b.scale32))
    )
    down = twice_most / (2**ADD_LEFT_SHIFT * float(out.scale32))
    return multiply_by_quantized_multiplier(first + sign * second, *quantize_multiplier(down))


def _squared_difference(left: Integers, right: Integers, a: Affine, b: Affine, out: Affine) -> Integers:
    """Both operands on the scale of twice the larger one, shifted up 7 bits, their difference squared, scaled down."""
    twice_most = 2.0 * max(float(a.scale32), float(b.scale32))
    first, second = (
        multiply_by_quantized_multiplier(
            value << SQUARED_DIFFERENCE_SHIFT, *quantize_multiplier(float(scale) / twice_most)
        )
        for value, scale in ((left, a.scale32), (right, b.scale32))
    )
    down = twice_most**2 / (2 ** (2 * SQUARED_DIFFERENCE_SHIFT) * float(out.scale32))
    return multiply_by_quantized_multiplier((first - second) ** 2, *quantize_multiplier(down))


def _quotient(left: Integers, right: Integers, real: np.float32) -> Integers:
    """Numerator × reciprocal of the denominator.

    Where LiteRT's kernel is undefined, this is not: a denominator of zero saturates, and a quotient so small that it
    asks for a shift by more than 31 bits is zero.
    """
    multiplier, shift = quantize_multiplier(real)
    signed = left * np.where(right < 0, -1, 1)
    inverse, over = reciprocal(np.maximum(np.abs(right), 1), integer_bits=31)
    magnitude = np.abs(signed) - (signed < 0)  # headroom: sign bits of the 32-bit word beyond the first
    headroom = 31 - np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)
    scaled = doubling_high_mul(doubling_high_mul(signed << headroom, inverse), multiplier)
    quotient = rounding_divide_by_pot(scaled, np.clip(over + headroom - shift, 0, 62))
    return np.where(right == 0, np.sign(left) * 256, quotient)


def _real_arithmetic(function: BinaryFunction, left: Array, right: Array, out: Affine) -> Integers:
    left, right = np.broadcast_arrays(left, right)
    real = float_functions.binary(left, right, function)
    return round_half_away(np.clip(np.nan_to_num(real / out.scale), -512, 512)).astype(np.int64)
