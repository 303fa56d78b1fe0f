"""Fixed-point arithmetic of TFLite's integer kernels: real multipliers as integers, and sums brought back to int8.

A convolution's int32 sums become int8 through a real multiplier M, held as a 31-bit integer m and a power of two:
M = m · 2^(shift − 31). The reference kernels round twice: the product's high half to nearest (ties up), then the right
shift to nearest (ties away from zero). Fully connected layers of LiteRT 2 multiply in double and round once.

``Requantizer`` does the double rounding in float64, five to eight passes over a cache-sized block where int64 takes
more than ten. That this is exact is not hoped for but proved, per channel, when a layer is prepared: both functions of
the sum are monotone and have at most 255 steps, so they agree everywhere once they agree on both sides of each step. A
layer that fails the proof goes through the integers.

Source: TensorFlow Lite, ``kernels/internal/common.cc`` and ``quantization_util.cc`` (MultiplyByQuantizedMultiplier
of 32 and of 64 bits, QuantizeMultiplier), and gemmlowp, ``fixedpoint/fixedpoint.h``
(SaturatingRoundingDoublingHighMul, RoundingDivideByPOT).
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Integers = NDArray[np.int64]
Reals = NDArray[np.float64]

MANTISSA_BITS = 31
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
BELOW_HALF = float(np.nextafter(0.5, 0.0))  # trunc(x + this) rounds half up exactly; with 0.5, 0.5 − 2^-54 would go up
CHUNK = 32 * 1024  # elements requantised at a time: with float64 copies they stay in a 1 MiB L2
MOST_PROVED_SHIFT = 20  # beyond it a threshold times 2^31 does not fit int64
RUN = 1024  # elements of a repeated constant: three of them stay in a 32 KiB L1
WRAP = 256  # the int8 cast takes codes modulo this
INT16_ROOM = 32_000


def quantize_multiplier(real: ArrayLike) -> tuple[Integers, Integers]:
    """Return real multipliers as (m, shift) with real ≈ m · 2^(shift − 31) and 2^30 <= |m| < 2^31, or 0 below 2^-32."""
    mantissa, exponent = np.frexp(np.asarray(real, np.float64))
    fixed = round_half_away(mantissa * 2.0**MANTISSA_BITS).astype(np.int64)
    carried = fixed == 2**MANTISSA_BITS
    fixed = np.where(carried, fixed // 2, fixed)
    shift = exponent.astype(np.int64) + carried
    tiny = shift < -MANTISSA_BITS
    return np.where(tiny, 0, fixed), np.where(tiny, 0, shift)


def round_half_away(x: Reals | float) -> Reals:
    """Return the nearest integers, ties away from zero (C's ``round``)."""
    return np.trunc(x + np.copysign(BELOW_HALF, x))


def doubling_high_mul(a: ArrayLike, b: ArrayLike) -> Integers:
    """Return a · b / 2^31 of int32 values rounded to nearest, ties up; −2^31 · −2^31 saturates to 2^31 − 1."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.asarray(np.minimum((product + 2**30) >> MANTISSA_BITS, INT32_MAX))


def rounding_divide_by_pot(x: ArrayLike, exponent: ArrayLike) -> Integers:
    """Return x / 2^exponent rounded to nearest, ties away from zero; 0 <= exponent <= 62."""
    x, exponent = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    half = (np.int64(1) << exponent) >> 1
    rounded: Integers = (x + np.where(exponent > 0, half - (x < 0), 0)) >> exponent
    return rounded


def multiply_by_quantized_multiplier(x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Integers:
    """Return x · multiplier · 2^(shift − 31) with two roundings; x · 2^max(shift, 0) must fit int32."""
    shift = np.asarray(shift, np.int64)
    shifted = np.asarray(x, np.int64) << np.maximum(shift, 0)
    return rounding_divide_by_pot(doubling_high_mul(shifted, multiplier), np.maximum(-shift, 0))


def multiply_by_quantized_multiplier_once(x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Integers:
    """Return x · multiplier · 2^(shift − 31) rounded once, ties up; shift <= 30 (TFLITE_SINGLE_ROUNDING)."""
    right = MANTISSA_BITS - np.asarray(shift, np.int64)
    product = np.asarray(x, np.int64) * np.asarray(multiplier, np.int64)
    return (product + (np.int64(1) << (right - 1))) >> right


def multiply_by_short_multiplier(x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Integers:
    """Return x · multiplier · 2^(shift − 31) of 48-bit x: the multiplier cut to 15 bits, one rounding, ties up.

    What does not fit 32 bits wraps around.
    """
    short = np.where(np.asarray(multiplier) < 0x7FFF0000, (np.asarray(multiplier, np.int64) + 2**15) >> 16, 0x7FFF)
    right = 15 - np.asarray(shift, np.int64)
    product = (np.asarray(x, np.int64) * short + (np.int64(1) << (right - 1))) >> right
    return product.astype(np.int32).astype(np.int64)


class _Buffers(threading.local):
    """Memory reused from call to call: fresh megabytes would cost more in page faults than the arithmetic on them."""

    def __init__(self) -> None:
        self.real = np.empty(0)
        self.half = np.empty(0)
        self.codes = np.empty(0, np.int32)

    def reserve(self, count: int) -> None:
        """Make every buffer at least ``count`` elements long."""
        if self.real.size < count:
            self.real, self.half, self.codes = np.empty(count), np.empty(count), np.empty(count, np.int32)


_buffers = _Buffers()


class Requantizer:
    """Sums of products to int8 codes: clip(round₂((acc + bias) · scale) + zero_point, low, high), per channel.

    Args:
        multiplier: Of each channel (K,), or one for all (1,); with ``shift`` as from ``quantize_multiplier``.
        shift: (K,) or (1,).
        bias: Added to the sums first (K,) or (1,), int64.
        zero_point: Of the output.
        low: Least code, from the fused activation.
        high: Greatest code.
        reach: Bound of |acc| per channel (K,) or (1,), before the bias.
    """

    def __init__(
        self,
        multiplier: Integers,
        shift: Integers,
        bias: Integers,
        zero_point: int,
        *,
        low: int,
        high: int,
        reach: Integers,
    ) -> None:
        self.multiplier, self.shift, self.bias, self.reach = np.broadcast_arrays(multiplier, shift, bias, reach)
        self.zero_point, self.low, self.high = zero_point, low, high
        right = np.maximum(-self.shift, 0)
        self._gain = np.ldexp(self.multiplier.astype(np.float64), self.shift - MANTISSA_BITS)
        # Two roundings of v = sum · m · 2^(shift-31) are floor(v + 1/2 + 2^-(right+1)) where v >= 0, and the mirror
        # image where v < 0, but for ties; v lies on a lattice of 2^-(31+right), and half a step up settles those.
        self._offset = self.bias * self._gain + np.ldexp(1.0, -(MANTISSA_BITS + 1) - right)
        self._half = 0.5 + np.where(right > 0, np.ldexp(0.5, -right), 0.0)
        # With a ReLU every negative sum ends at ``low``: its rounding does not matter, and the sign needs no pass.
        self.one_sided = low >= zero_point
        if self.one_sided:
            self._offset = self._offset + self._half
        self._settle_constant_channels()
        most = float(np.max(self.reach * self._gain + np.abs(self._offset) + 1, initial=0.0)) + 2 * WRAP
        self._codes: type[np.int16 | np.int32] = np.int16 if most < INT16_ROOM else np.int32
        # Codes are made 256 too large, so that they are positive where the cast truncates; the int8 cast drops the 256.
        self._shift_codes = self._codes(zero_point + WRAP)
        if self.one_sided:
            self._offset = self._offset + (zero_point + WRAP)
        self._least, self._most = self._codes(low + WRAP), self._codes(high + WRAP)
        self._rows: dict[tuple[int, int], tuple[Reals, Reals, Reals]] = {}
        self.exact = most < INT32_MAX and self._agrees_with_integers()

    def __call__(self, acc: Array, out: Array) -> None:
        """Write the codes of ``acc`` (…, Q, K), float32 or float64 integers, to ``out`` of the same shape, int8."""
        if not self.exact:
            out[...] = self.integers(acc)
            return
        Q, K = acc.shape[-2:]
        gain, offset, half = self._rows.get((Q, K)) or self._tiled(Q, K)
        width = len(gain)
        sums, codes = acc.reshape(-1, width), out.reshape(-1, width)
        step = max(1, CHUNK // width)
        _buffers.reserve(step * width)
        for start in range(0, len(sums), step):
            part = sums[start : start + step]
            real = _buffers.real[: part.size].reshape(part.shape)
            np.multiply(part, gain, out=real)
            np.add(real, offset, out=real)
            wide = _buffers.codes.view(self._codes)[: part.size].reshape(part.shape)
            if self.one_sided:
                np.copyto(wide, real, casting="unsafe")  # truncates
            else:
                signed_half = _buffers.half[: part.size].reshape(part.shape)
                np.copysign(half, real, out=signed_half)
                np.add(real, signed_half, out=real)
                np.copyto(wide, real, casting="unsafe")
                np.add(wide, self._shift_codes, out=wide)
            wide.clip(self._least, self._most, out=wide)
            np.copyto(codes[start : start + step], wide, casting="unsafe")

    def integers(self, acc: Array) -> NDArray[np.int8]:
        """Return the codes of ``acc`` (…, K) by integer arithmetic alone; what would overflow int32 saturates."""
        most = INT32_MAX >> np.maximum(self.shift, 0)
        sums = np.clip(acc.astype(np.int64) + self.bias, -most, most)
        rounded = multiply_by_quantized_multiplier(sums, self.multiplier, self.shift)
        return np.clip(rounded + self.zero_point, self.low, self.high).astype(np.int8)

    def _tiled(self, pixels: int, channels: int) -> tuple[Reals, Reals, Reals]:
        """Return the constants repeated along some pixels of a row of ``pixels``: numpy is slow on short runs."""
        repeats = max(n for n in range(1, pixels + 1) if pixels % n == 0 and (n == 1 or n * channels <= RUN))
        gain, offset, half = (
            np.tile(np.broadcast_to(values, (channels,)), repeats) for values in (self._gain, self._offset, self._half)
        )
        self._rows[pixels, channels] = gain, offset, half
        return gain, offset, half

    def _settle_constant_channels(self) -> None:
        """Give channels whose result cannot vary (dead weights, a vanishing scale) that result as their offset."""
        least, most = (
            multiply_by_quantized_multiplier(self.bias + reach, self.multiplier, np.minimum(self.shift, 0))
            for reach in (-self.reach, self.reach)
        )
        # The function is monotone: equal at both ends, it is equal between them.
        self._constant = (least == most) & (self.shift <= 0) | (self.reach == 0)
        result = multiply_by_quantized_multiplier(self.bias, self.multiplier, self.shift)
        self._gain = np.where(self._constant, 0.0, self._gain)
        self._offset = np.where(self._constant, result + np.copysign(1 / 4, result), self._offset)
        self._half = np.where(self._constant, 0.0, self._half)

    def _agrees_with_integers(self) -> bool:
        """Return whether the float64 path gives the integers' codes for every sum within reach."""
        left = np.where(self._constant, 0, np.maximum(self.shift, 0))
        right = np.where(self._constant, 0, np.maximum(-self.shift, 0))
        multiplier = np.where(self._constant, 2**30, self.multiplier)
        if np.any(np.maximum(left, right) > MOST_PROVED_SHIFT) or np.any(multiplier <= 0):
            return False
        code = np.arange(self.low - self.zero_point + 1, self.high - self.zero_point + 1)[:, None]  # (codes, 1)
        # Least first-rounded value y, then least sum, that is rounded to >= code (see ``rounding_divide_by_pot``).
        least = (code << right) - ((np.int64(1) << right) >> 1) + ((right > 0) & (code <= 0))
        numerator = (least << MANTISSA_BITS) - 2**30
        first = -(-numerator // (multiplier << left)) - self.bias  # (codes, K)
        at, before = np.maximum(first, -self.reach), np.minimum(first - 1, self.reach)
        reached = (first > self.reach) | (self._round(at) >= code)
        not_before = (first - 1 < -self.reach) | (self._round(before) < code)
        return bool(np.all((reached & not_before) | self._constant))

    def _round(self, acc: Integers) -> Reals:
        """Return what ``__call__`` makes of sums before it clips, less the zero point."""
        real = acc * self._gain + self._offset
        if self.one_sided:
            return np.asarray(np.trunc(real) - (self.zero_point + WRAP))
        return np.asarray(np.trunc(real + np.copysign(self._half, real)))
