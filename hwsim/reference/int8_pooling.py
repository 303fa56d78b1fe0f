"""Int8 layers that sum or choose codes: pooling, reductions, resize.

Bit-exact to the reference kernels of LiteRT; a ``prepare_…`` function returns the kernel, as in ``int8_kernels``.

Source: TensorFlow Lite, ``reference/integer_ops/pooling.h``, ``reference/reduce.h``, ``resize_bilinear.h``,
``resize_nearest_neighbor.h``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.graph.ops import Pool2d, Resize
from hwsim.graph.ops.base import window_positions
from hwsim.graph.ops.pooling import ReduceFunction
from hwsim.reference.int8_kernels import EXACT_FLOAT32, MOST_CODE, Codes, Integers, Kernel, Reals
from hwsim.reference.int8_tables import Affine, activation_range, look_up, requantize_table, saturated
from hwsim.reference.requantize import Requantizer, multiply_by_short_multiplier, quantize_multiplier, round_half_away

Array = NDArray[Any]

FRACTION_BITS = 10  # of a resize position


def prepare_pool2d(op: Pool2d, x: Affine, out: Affine, moved: int = 0) -> Kernel:
    """Return the kernel of pooling: (N, H, W, C) → (N, P, Q, C).

    The average of codes is rounded to nearest, ties away from zero; of the codes ``moved`` up, as a uint8 net has
    them, if the int8 ones stand for those. LiteRT demands one quantisation for both sides;
    where they differ (nets that are not TFLite's) the codes are rescaled afterwards.
    """
    low, high = activation_range(op.activation, out)
    rescale = None if x == out else requantize_table(x, out)
    counted_pad = x.zero_point if op.count_include_pad else 0
    counts: dict[tuple[int, ...], tuple[Reals, Reals]] = {}

    def average(ifmap: Codes, sums: Array) -> Array:
        if ifmap.shape not in counts:
            inside = _tap_counts(op, ifmap.shape[1:3], sums.shape[1:3], included=False)
            counts[ifmap.shape] = inside, _tap_counts(op, ifmap.shape[1:3], sums.shape[1:3], included=True)
        inside, included = counts[ifmap.shape]
        wide = sums.astype(np.float64)
        if op.count_include_pad:
            wide += counted_pad * (included - inside)
            inside = included
        return _rounded_mean(wide + moved * inside, inside) - moved

    def pool2d(ifmap: Codes) -> Codes:
        # A window is a column of rows: one axis after the other takes R + S steps instead of R · S.
        pooled: Array = ifmap if op.function == "max" else ifmap.astype(np.float32)
        for axis in (1, 2):
            pooled = _pool_axis(op, pooled, axis)
        codes = (average(ifmap, pooled) if op.function == "average" else pooled).astype(np.int8, copy=False)
        if rescale is not None:
            codes = look_up(rescale, codes)
        return codes if (low, high) == (-128, 127) else codes.clip(np.int8(low), np.int8(high))

    return pool2d


def _pool_axis(op: Pool2d, x: Array, axis: int) -> Array:
    """Return the greatest (int8) or the sum (float32) of a window's taps on one axis: (N, H, W, C) → (N, P, W, C)."""
    kernel, stride, dilation = (values[axis - 1] for values in (op.kernel, op.strides, op.dilations))
    pads = op.padding[axis - 1]
    positions = window_positions(x.shape[axis], kernel, stride, dilation, pads, ceil_mode=op.ceil_mode)
    after = max(0, (positions - 1) * stride + (kernel - 1) * dilation + 1 - x.shape[axis] - pads[0])
    if pads[0] or after:
        shape = list(x.shape)
        shape[axis] += pads[0] + after
        padded = np.full(shape, -MOST_CODE if op.function == "max" else 0, x.dtype)
        padded[_along(axis, slice(pads[0], pads[0] + x.shape[axis]))] = x
        x = padded
    combine = np.maximum if op.function == "max" else np.add
    if positions == 1 and dilation == 1:
        return np.asarray(combine.reduce(x[_along(axis, slice(0, kernel))], axis=axis, keepdims=True))
    taps = [
        x[_along(axis, slice(t * dilation, t * dilation + (positions - 1) * stride + 1, stride))] for t in range(kernel)
    ]
    pooled = taps[0].copy()
    for tap in taps[1:]:
        combine(pooled, tap, out=pooled)
    return pooled


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,)


def _rounded_mean(sums: Reals, counts: Reals) -> Reals:
    """Return sums / counts as C divides integers after adding half the count away from zero."""
    return np.trunc((sums + np.copysign(np.floor(counts / 2), sums)) / counts)


def _tap_counts(op: Pool2d, image: tuple[int, ...], ofmap: tuple[int, ...], *, included: bool) -> Reals:
    """Return how many taps of each window count, (P, Q, 1): those in the ifmap, or in its padding too."""
    per_axis = []
    for size, kernel, stride, dilation, (before, after), positions in zip(
        image, op.kernel, op.strides, op.dilations, op.padding, ofmap, strict=True
    ):
        tap = np.arange(positions)[:, None] * stride + np.arange(kernel) * dilation - before
        low, high = (-before, size + after) if included else (0, size)
        per_axis.append(((tap >= low) & (tap < high)).sum(axis=1).astype(np.float64))
    down, across = per_axis
    return np.outer(down, across)[:, :, None]


def prepare_reduce(
    function: ReduceFunction, axes: tuple[int, ...], x: Affine, out: Affine, *, keepdims: bool
) -> Kernel:
    """Return the kernel of a reduction; the mean's 1/n goes into the multiplier, as an integer division of it.

    Maximum and minimum keep codes, rescaled where the quantisations differ. A sum is as the source has it; the
    reference kernel of LiteRT 2.3 takes the codes of a sum for unsigned ones.
    """
    if function in ("max", "min"):
        table = None if x == out else requantize_table(x, out)

        def extreme(ifmap: Codes) -> Codes:
            codes: Codes = (np.max if function == "max" else np.min)(ifmap, axis=axes, keepdims=keepdims)
            return codes if table is None else look_up(table, codes)

        return extreme
    if function == "prod":
        return _prepare_product(axes, x, out, keepdims=keepdims)
    base, base_shift = (int(value) for value in quantize_multiplier(np.float64(x.scale32) / np.float64(out.scale32)))
    requantizers: dict[int, Requantizer] = {}

    def requantizer(count: int) -> Requantizer:
        multiplier, shift = base, base_shift
        if function == "mean":
            bits = min(count.bit_length() - 1, 32, 31 + shift)
            multiplier, shift = (multiplier << bits) // count, shift - bits
        one = np.array([multiplier, shift, -x.zero_point * count, MOST_CODE * count])[:, None]
        return Requantizer(one[0], one[1], one[2], out.zero_point, low=-128, high=127, reach=one[3])

    def mean_or_sum(ifmap: Codes) -> Codes:
        count = int(np.prod([ifmap.shape[axis] for axis in axes]))
        if count not in requantizers:
            requantizers[count] = requantizer(count)
        sums = _sum_codes(ifmap, axes, keepdims=keepdims)
        codes = np.empty(sums.shape, np.int8)
        requantizers[count](sums.reshape(1, -1), codes.reshape(1, -1))
        return codes

    return mean_or_sum


def _prepare_product(axes: tuple[int, ...], x: Affine, out: Affine, *, keepdims: bool) -> Kernel:
    """Return the kernel of a product, which is rescaled at each factor by the n-th part of the whole scale."""

    def product(ifmap: Codes) -> Codes:
        reduced = sorted(axis % ifmap.ndim for axis in axes)
        count = int(np.prod([ifmap.shape[axis] for axis in reduced]))
        factors = np.moveaxis(ifmap, reduced, range(len(reduced))).reshape(count, -1).astype(np.int64) - x.zero_point
        scale = float(x.scale32) / float(out.scale32) ** (1 / count)
        multiplier, shift = quantize_multiplier(scale)
        total = factors[0]
        for factor in factors[1:]:
            total = multiply_by_short_multiplier(total * factor, multiplier, shift)
        codes = saturated(multiply_by_short_multiplier(total, multiplier, shift) + out.zero_point)
        kept = [1 if axis in reduced else size for axis, size in enumerate(ifmap.shape)]
        return codes.reshape(kept if keepdims else [size for i, size in enumerate(ifmap.shape) if i not in reduced])

    return product


def _sum_codes(x: Codes, axes: tuple[int, ...], *, keepdims: bool) -> Reals | NDArray[np.float32]:
    """Return the exact sum of codes along axes; over whole images as a product with ones, several times as fast."""
    if x.ndim == 4 and sorted(axis % 4 for axis in axes) == [1, 2] and x[0, ..., 0].size * MOST_CODE <= EXACT_FLOAT32:
        N, H, W, C = x.shape
        sums = np.matmul(np.ones((1, H * W), np.float32), x.reshape(N, H * W, C).astype(np.float32))
        return np.asarray(sums.reshape((N, 1, 1, C) if keepdims else (N, C)))
    return np.asarray(x.sum(axis=axes, keepdims=keepdims, dtype=np.float64))


def prepare_resize_bilinear(op: Resize, x: Affine, out: Affine) -> Kernel:
    """Return the kernel of bilinear scaling: positions and weights have ten fraction bits."""
    rescale = None if x == out else requantize_table(x, out)

    def resize(ifmap: Codes) -> Codes:
        (y, y0, y1), (c, c0, c1) = (
            _bilinear_positions(size_in, size_out, op.coordinates)
            for size_in, size_out in zip(ifmap.shape[1:3], op.size, strict=True)
        )
        one = 1 << FRACTION_BITS
        down, across = (y - one * y0)[:, None, None], (c - one * c0)[:, None]
        wide = ifmap.astype(np.int64)
        upper, lower = wide[:, y0], wide[:, y1]
        total = (upper[:, :, c0] * (one - across) + upper[:, :, c1] * across) * (one - down)
        total += (lower[:, :, c0] * (one - across) + lower[:, :, c1] * across) * down
        half = one * one // 2
        codes = saturated(np.sign(total) * ((np.abs(total) + half) >> 2 * FRACTION_BITS))
        return codes if rescale is None else look_up(rescale, codes)

    return resize


def prepare_resize_bilinear_unsigned(op: Resize, x: Affine, out: Affine) -> Kernel:
    """Return the kernel of bilinear scaling for codes that stand for uint8 ones: in float32, rounded half up."""
    rescale = None if x == out else requantize_table(x, out)

    def resize(ifmap: Codes) -> Codes:
        (down, y0, y1), (across, x0, x1) = (
            _float_positions(size_in, size_out, op.coordinates)
            for size_in, size_out in zip(ifmap.shape[1:3], op.size, strict=True)
        )
        down, across = down[:, None, None], across[:, None]
        real = ifmap.astype(np.float32) + np.float32(MOST_CODE)
        upper, lower = real[:, y0], real[:, y1]
        # In the order of the source: another sum could round to another integer.
        total = upper[:, :, x0] * (1 - down) * (1 - across) + lower[:, :, x0] * down * (1 - across)
        total = total + upper[:, :, x1] * (1 - down) * across + lower[:, :, x1] * down * across
        codes = saturated(np.trunc(total + np.float32(0.5)) - MOST_CODE)
        return codes if rescale is None else look_up(rescale, codes)

    return resize


def _float_positions(size_in: int, size_out: int, coordinates: str) -> tuple[NDArray[np.float32], Integers, Integers]:
    """Return each ofmap index's distance from the ifmap pixel before it, in float32, and the pixels around it."""
    if coordinates == "align_corners" and size_out > 1:
        scale = np.float32(size_in - 1) / np.float32(size_out - 1)
    else:
        scale = np.float32(size_in) / np.float32(size_out)
    position = np.arange(size_out, dtype=np.float32)
    half = np.float32(0.5 if coordinates == "half_pixel" else 0.0)
    position = (position + half) * scale - half
    before = np.maximum(np.floor(position).astype(np.int64), 0)
    after = np.minimum(np.ceil(position).astype(np.int64), size_in - 1)
    return position - before.astype(np.float32), before, after


def _bilinear_positions(size_in: int, size_out: int, coordinates: str) -> tuple[Integers, Integers, Integers]:
    """Return each ofmap index's position in the ifmap (ten fraction bits), and the pixels before and after it."""
    one = 1 << FRACTION_BITS
    if coordinates == "align_corners" and size_out > 1:
        step = (one * (size_in - 1) + (size_out - 1) // 2) // (size_out - 1)
    else:
        step = (one * size_in + size_out // 2) // size_out
    position = np.arange(size_out, dtype=np.int64) * step
    if coordinates == "half_pixel":
        position += step // 2 - one // 2
    before = np.maximum(position >> FRACTION_BITS, 0)  # C divides towards zero; below zero both end at 0
    after = np.minimum((position + one - 1) >> FRACTION_BITS, size_in - 1)
    return position, before, np.maximum(after, 0)


def nearest_rows(size_in: int, size_out: int, coordinates: str) -> Integers:
    """Return the ifmap index that LiteRT's nearest-neighbour resize reads for each ofmap index, in float32."""
    index = np.arange(size_out, dtype=np.float32)
    if coordinates == "align_corners" and size_out > 1:
        position = round_half_away((index * (np.float32(size_in - 1) / np.float32(size_out - 1))).astype(np.float64))
    else:
        offset = np.float32(0.5 if coordinates == "half_pixel" else 0.0)
        position = np.floor((index + offset) * (np.float32(size_in) / np.float32(size_out)))
    return np.clip(position, 0, size_in - 1).astype(np.int64)
