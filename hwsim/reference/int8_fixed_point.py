"""Functions that the int8 kernels evaluate in fixed point: exponential, reciprocal, inverse root, and what they make.

A Qm.n number is an int32 with m integer bits and n = 31 − m fraction bits, held here in int64 arrays.

Source: gemmlowp, ``fixedpoint/fixedpoint.h`` (exp_on_negative_values, one_over_one_plus_x_for_x_in_0_1); TensorFlow
Lite, ``reference/softmax.h``, ``reference/integer_ops/l2normalization.h``, ``quantization_util.cc``
(PreprocessSoftmaxScaling, CalculateInputRadius) and ``internal/common.h`` (GetReciprocal,
GetInvSqrtQuantizedMultiplierExp).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.reference.requantize import (
    INT32_MAX,
    INT32_MIN,
    MANTISSA_BITS,
    doubling_high_mul,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from hwsim.reference.requantize import rounding_divide_by_pot as divide_by_pot

Array = NDArray[Any]
Integers = NDArray[np.int64]
Number = Any  # a Python integer or an int64 array

ONE = 2**31 - 1  # 1.0 in Q0.31, the nearest there is
DIFF_INTEGER_BITS = 5  # softmax: x − max(x) in Q5.26
SUM_INTEGER_BITS = 12  # softmax: the sum of exponentials in Q12.19
EXP_MINUS_EIGHTH = 1895147668  # exp(−1/8) in Q0.31
ONE_THIRD = 715827883  # 1/3 in Q0.31
EXP_OF_MINUS_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # exp(−2^k), k = −2 … 4
THREE_HALVES = 3 << 27  # 1.5 in Q3.28
HALF_ROOT_2 = 1518500250  # √½ in Q0.31
UNIT_BITS = 7  # of a vector of length one: scale 1/128
NEWTON_48_17 = 1515870810  # 48/17 in Q2.29: best linear start for 1/d on [1/2, 1]
NEWTON_32_17 = -1010580540  # −32/17 in Q2.29


def exp_on_negative(x: Integers) -> Integers:
    """Return exp of Q5.26 numbers <= 0, in Q0.31."""
    fraction_bits = MANTISSA_BITS - DIFF_INTEGER_BITS
    quarter = 1 << (fraction_bits - 2)
    within = (x & (quarter - 1)) - quarter  # x modulo 1/4, in [−1/4, 0)
    result = _exp_near_minus_eighth(within << DIFF_INTEGER_BITS)
    whole = within - x  # what is left: a sum of powers of two, each a factor exp(−2^k)
    for power, factor in zip(range(-2, DIFF_INTEGER_BITS), EXP_OF_MINUS_POWERS, strict=True):
        result = np.where(whole & (1 << (fraction_bits + power)), doubling_high_mul(result, factor), result)
    return np.where(x == 0, ONE, result)


def _exp_near_minus_eighth(x: Integers) -> Integers:
    """Return exp of Q0.31 numbers in [−1/4, 0): the Taylor series about −1/8 to the fourth power."""
    t = x + (1 << 28)
    square = doubling_high_mul(t, t)
    cube, fourth = doubling_high_mul(square, t), doubling_high_mul(square, square)
    tail = divide_by_pot(doubling_high_mul(divide_by_pot(fourth, 2) + cube, ONE_THIRD) + square, 1)
    return EXP_MINUS_EIGHTH + doubling_high_mul(EXP_MINUS_EIGHTH, t + tail)


def reciprocal_of_one_plus(x: Number) -> Number:
    """Return 1 / (1 + x) for Q0.31 numbers x in [0, 1), in Q0.31, by three Newton steps.

    Nothing saturates before the end: y stays within [1 − 2^-9, 2], and each correction is far below 1.
    """
    half_denominator = (x + ONE + 1) // 2
    y = NEWTON_48_17 + _high_mul(half_denominator, NEWTON_32_17)
    for _ in range(3):
        error = (1 << 29) - _high_mul(half_denominator, y)
        y = y + (_high_mul(y, error) << 2)
    doubled = y << 1
    return min(doubled, ONE) if isinstance(doubled, int) else np.minimum(doubled, ONE)


def reciprocal(x: Number, integer_bits: int) -> tuple[Number, Number]:
    """Return 1 / x for x > 0 with ``integer_bits`` integer bits, as (r, b): r in Q0.31 times 2^−b.

    Takes a Python integer too: for the one row of a classifier's softmax that is 20 times as fast as an array.
    """
    if isinstance(x, int):
        zeros: Any = 32 - x.bit_length()  # leading zeros of the 32-bit word
    else:
        zeros = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
    return reciprocal_of_one_plus((x << zeros) - 2**31), integer_bits - zeros


def inverse_square_root(x: Integers) -> tuple[Integers, Integers]:
    """Return 1 / √x of integers 0 <= x < 2^31 as a multiplier and a shift (see ``requantize``), 0 taken for 1.

    Newton's iteration on Q3.28 numbers, five steps from 1, after x was brought between 2^27 and 2^29 by powers of 4.
    """
    scaled, right = np.maximum(x, 2), np.full(x.shape, 11)
    while np.any(large := scaled >= 1 << 29):
        scaled, right = np.where(large, scaled // 4, scaled), right + large
    zeros = 32 - np.frexp(scaled.astype(np.float64))[1].astype(np.int64)
    pairs = (zeros - 1) // 2 - 1
    scaled, right = scaled << 2 * pairs, right - pairs
    half = divide_by_pot(scaled >> 1, 1)
    root = np.full(x.shape, 1 << 28)
    for _ in range(5):
        square = doubling_high_mul(root, root)  # Q6.25, the cube Q9.22
        cube = _shifted_up(doubling_high_mul(square, root), 6)
        step = doubling_high_mul(THREE_HALVES, root) - doubling_high_mul(half, cube)
        root = _shifted_up(step, 3)
    root = doubling_high_mul(root, HALF_ROOT_2) << np.maximum(-right, 0)
    return np.where(x <= 1, ONE, root), np.where(x <= 1, 0, -np.maximum(right, 0))


def _shifted_up(x: Integers, bits: int) -> Integers:
    shifted: Integers = np.minimum(np.maximum(x << bits, INT32_MIN), INT32_MAX)
    return shifted


def _high_mul(a: Number, b: Number) -> Number:
    """Return ``doubling_high_mul`` where saturation cannot occur."""
    return (a * b + 2**30) >> MANTISSA_BITS


def prepare_softmax(scale: float, beta: float) -> Callable[[Array], NDArray[np.int8]]:
    """Return the int8 softmax over the last axis, whose result has scale 1/256 and zero point −128.

    Args:
        scale: Of the ifmap; its zero point does not matter.
        beta: Factor on the ifmap.
    """
    real = min(float(np.float64(beta) * np.float64(scale) * 2 ** (MANTISSA_BITS - DIFF_INTEGER_BITS)), 2.0**31 - 1.0)
    multiplier, left = quantize_multiplier(real)
    most = ((1 << DIFF_INTEGER_BITS) - 1) * (1 << (MANTISSA_BITS - DIFF_INTEGER_BITS)) // (1 << max(int(left), 0))
    below = np.arange(256, dtype=np.int64)  # max(x) − x
    table = exp_on_negative(doubling_high_mul(-np.minimum(below, most) << np.maximum(left, 0), multiplier))
    table = np.where(below <= most, table, 0)
    shares = divide_by_pot(table, SUM_INTEGER_BITS)

    def softmax(x: Array) -> NDArray[np.int8]:
        wide = x.astype(np.int16)
        diff = wide.max(axis=-1, keepdims=True) - wide
        sums = shares[diff].sum(axis=-1, keepdims=True)
        scale_of_row, over = reciprocal(sums if sums.size > 1 else int(sums.item()), SUM_INTEGER_BITS)
        # Nothing here is negative, so the fixed-point product and the rounding shift are additions and plain shifts.
        codes = table[diff] * scale_of_row
        codes += 2**30
        codes >>= MANTISSA_BITS
        shift = over + MANTISSA_BITS - 8
        codes += np.left_shift(1, shift - 1)
        codes >>= shift
        return np.asarray((np.minimum(codes, 255) - 128).astype(np.int8))

    return softmax


def l2_norm(x: Array, zero_point: int, *, unsigned: bool = False) -> NDArray[np.int8]:
    """Return vectors along the last axis brought to length one, with scale 1/128 and zero point 0.

    The kernel of uint8 codes (here moved to int8) scales up before the product, that of int8 ones after it.
    """
    value = x.astype(np.int64) - zero_point
    multiplier, shift = inverse_square_root(np.square(value).sum(axis=-1, keepdims=True))
    early, late = (UNIT_BITS, 0) if unsigned else (0, UNIT_BITS)
    codes = multiply_by_quantized_multiplier(value << early, multiplier, shift + late)
    return np.clip(codes, -128, 127).astype(np.int8)
