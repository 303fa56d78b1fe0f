"""Int8 layers with sums in them: convolution, dense, matrix product, pooling, reductions, resize.

Bit-exact to the reference kernels of LiteRT (``OpResolverType.BUILTIN_REF``). A ``prepare_…`` function takes weights,
attributes and quantisation, and returns the kernel proper, a function of activation arrays: what depends on weights alone
(GEMM matrices, corrected biases, multipliers and their proof) is done once. Everything is channel-last.

Products go through float BLAS. int8 × int8 sums are exact in float32 while Σ|w| · 128 <= 2^24 over the reduction; where
a filter exceeds that, the reduction is cut into parts which do not, added in float64. The zero point of the ifmap is
not subtracted from it: Σ w·(x − z) = Σ w·x − z·Σ w, the second term joins the bias, and padding holds z.

Source: TensorFlow Lite, ``reference/integer_ops/conv.h``, ``depthwise_conv.h``, ``transpose_conv.h``,
``fully_connected.h``, ``pooling.h``, ``reference/batch_matmul.h``, ``reduce.h``, ``resize_bilinear.h``,
``resize_nearest_neighbor.h``; ``kernels/kernel_util.cc`` for the multipliers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.graph.ops import Conv2d, ConvTranspose2d, FusedActivation, Pool2d, Resize
from hwsim.graph.ops.pooling import ReduceFunction
from hwsim.reference.conv_gemm import (
    BLOCK_BYTES,
    Epilogue,
    Padding,
    Pair,
    conv2d_depthwise,
    conv2d_gemm,
    depthwise_taps,
    filter_matrix,
)
from hwsim.reference.int8_tables import Affine, activation_range, look_up, requantize_table, saturated
from hwsim.reference.requantize import (
    Requantizer,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
)

Array = NDArray[Any]
Codes = NDArray[np.int8]
Integers = NDArray[np.int64]
Reals = NDArray[np.float64]
Kernel = Callable[[Codes], Codes]

EXACT_FLOAT32 = 2**24  # integers up to here are float32 numbers
MOST_CODE = 128  # largest |int8|
FRACTION_BITS = 10  # of a resize position
FEW_ROWS = 256  # of a matrix product: up to here blocks are not worth their bookkeeping
LONG_RUN, FEW_PIXELS = 80, 8000  # measured: channels, and pixels times missing channels, of ``depthwise_by_pixels``


def prepare_conv2d(op: Conv2d, filters: Array, bias: Integers, filter_scale: Reals, x: Affine, out: Affine) -> Kernel:
    """Return the kernel of a convolution (depthwise included): ifmap (N, H, W, C) → ofmap (N, P, Q, K).

    Args:
        op: Strides, padding, dilations, groups and fused activation.
        filters: (K, R, S, C/groups) int8, or wider integers where a zero point has been subtracted.
        bias: (K,), on the scale of ifmap × filter.
        filter_scale: (K,) or (1,).
        x: Quantisation of the ifmap.
        out: Quantisation of the ofmap.
    """
    K, R, S, per_group = filters.shape
    weights = filters.reshape(K, -1).astype(np.int64)
    requantize = _requantizer(weights, bias, filter_scale, x, out, op.activation)
    attributes: dict[str, Any] = {
        "strides": op.strides,
        "padding": op.padding,
        "dilations": op.dilations,
        "pad_value": x.zero_point,
        "epilogue": requantize,
    }
    if per_group == 1 and op.groups > 1:
        small = _most_sum(weights) <= EXACT_FLOAT32
        taps = depthwise_taps(filters, np.float32 if small else np.float64)

        def depthwise(ifmap: Codes) -> Codes:
            ofmap = np.empty(_ofmap_shape(op, ifmap, (R, S), K), np.int8)
            by_pixels = ofmap[0, ..., 0].size * (LONG_RUN - K) < FEW_PIXELS * op.strides[1] ** 3
            convolve = depthwise_by_pixels if by_pixels else conv2d_depthwise
            return convolve(ifmap, taps, out=ofmap, **attributes)

        return depthwise

    matrix, splits = filter_matrix(filters, op.groups), exact_splits(weights)
    pointwise = (R, S, op.groups) == (1, 1, 1) and op.strides == (1, 1) and not np.any(op.padding) and not splits

    def conv2d(ifmap: Codes) -> Codes:
        ofmap = np.empty(_ofmap_shape(op, ifmap, (R, S), K), np.int8)
        if pointwise and ifmap.size // len(matrix[0]) <= FEW_ROWS:
            requantize(np.matmul(ifmap.astype(np.float32), matrix[0]), ofmap)
            return ofmap
        return conv2d_gemm(ifmap, matrix, kernel=(R, S), out=ofmap, splits=splits, **attributes)

    return conv2d


def depthwise_by_pixels(
    x: Codes,
    taps: Array,
    *,
    strides: Pair,
    padding: Padding,
    dilations: Pair,
    pad_value: float,
    out: Codes,
    epilogue: Epilogue,
) -> Codes:
    """Convolve as ``conv_gemm.conv2d_depthwise``, with one inner loop over the channels for each pixel and tap.

    That one multiplies and adds whole rows tap by tap, two passes over memory and two numpy calls for each. Here a
    block is one call, and the loop multiplies and adds in registers, but it starts anew for each pixel and tap. That
    pays off where channels are many, and in small images, where calls are what takes the time.
    """
    R, S, K = taps.shape
    x = x if x.shape[3] == K else np.repeat(x, K // x.shape[3], axis=3)
    N, H, W, _ = x.shape
    _, P, Q, _ = out.shape
    top, (left, right) = padding[0][0], padding[1]
    block = min(P, max(1, BLOCK_BYTES // ((left + W + right) * K * taps.itemsize * (strides[0] + 1))))
    reach = (R - 1) * dilations[0] + 1
    rows = np.full(((block - 1) * strides[0] + reach, left + W + right, K), pad_value, taps.dtype)
    by_row, by_column, by_channel = rows.strides
    steps = (by_row * strides[0], by_column * strides[1], by_row * dilations[0], by_column * dilations[1], by_channel)
    acc = np.empty((block, Q, K), taps.dtype)
    for image in range(N):
        for start in range(0, P, block):
            count = min(block, P - start)
            first = start * strides[0] - top
            stop = first + (count - 1) * strides[0] + reach
            inner = rows[: stop - first, left : left + W]
            if first < 0 or stop > H:
                inner[...] = pad_value
            inner[max(first, 0) - first : min(stop, H) - first] = x[image, max(first, 0) : min(stop, H)]
            windows: Array = np.ndarray((count, Q, R, S, K), taps.dtype, rows, 0, steps)
            np.einsum("pqrsk,rsk->pqk", windows, taps, out=acc[:count])
            epilogue(acc[:count], out[image, start : start + count])
    return out


def exact_splits(weights: Integers) -> tuple[int, ...]:
    """Return where to cut the reduction of weights (K, depth) so that float32 adds each part without rounding."""
    cuts: list[int] = []
    running = np.zeros(len(weights), np.int64)
    for index, column in enumerate(np.abs(weights).T if _most_sum(weights) > EXACT_FLOAT32 else ()):
        running += column
        if running.max() * MOST_CODE > EXACT_FLOAT32:
            cuts.append(index)
            running = column.copy()
    return tuple(cuts)


def prepare_conv_transpose2d(
    op: ConvTranspose2d, filters: Array, bias: Integers, filter_scale: Reals, x: Affine, out: Affine
) -> Kernel:
    """Return the kernel of a transposed convolution; arguments as in ``prepare_conv2d``.

    Each ifmap pixel adds its products to R × S ofmap pixels; products are exact in float64.
    """
    K, R, S, per_group = filters.shape
    group_filters = K // op.groups
    weights = filters.reshape(K, -1).astype(np.int64)
    # Ofmap pixels see different subsets of the taps, so the zero point is subtracted from the ifmap itself.
    requantize = _requantizer(weights, bias, filter_scale, x, out, op.activation, corrected=False)
    matrices = filters.reshape(op.groups, group_filters, R, S, per_group).transpose(0, 4, 2, 3, 1)
    matrices = np.ascontiguousarray(matrices.reshape(op.groups, per_group, -1), np.float64)  # (G, C/G, R·S·K/G)
    (top, bottom), (left, right) = op.padding

    def conv_transpose2d(ifmap: Codes) -> Codes:
        N, H, W, C = ifmap.shape
        centred = ifmap.reshape(-1, op.groups, C // op.groups).swapaxes(0, 1).astype(np.float64) - x.zero_point
        products = np.matmul(centred, matrices).reshape(op.groups, N, H, W, R, S, group_filters)
        full = [
            (size - 1) * stride + (kernel - 1) * dilation + 1 + extra
            for size, stride, kernel, dilation, extra in zip(
                (H, W), op.strides, (R, S), op.dilations, op.output_padding, strict=True
            )
        ]
        acc = np.zeros((N, *full, op.groups, group_filters))
        for r in range(R):
            rows = slice(r * op.dilations[0], r * op.dilations[0] + (H - 1) * op.strides[0] + 1, op.strides[0])
            for s in range(S):
                columns = slice(s * op.dilations[1], s * op.dilations[1] + (W - 1) * op.strides[1] + 1, op.strides[1])
                acc[:, rows, columns] += products[:, :, :, :, r, s].transpose(1, 2, 3, 0, 4)
        cropped = acc[:, top : full[0] - bottom, left : full[1] - right]
        sums = np.ascontiguousarray(cropped.reshape(*cropped.shape[:3], K))
        ofmap = np.empty(sums.shape, np.int8)
        requantize(sums, ofmap)
        return ofmap

    return conv_transpose2d


def prepare_dense(
    weights: Array, bias: Integers, filter_scale: Reals, x: Affine, out: Affine, activation: FusedActivation | None
) -> Kernel:
    """Return the kernel of a fully connected layer: (…, C) → (…, K), one rounding, in double as LiteRT 2 does.

    Args:
        weights: (K, C) integers, zero point subtracted.
        bias: (K,), on the scale of ifmap × weights.
        filter_scale: (K,) or (1,).
        x: Quantisation of the ifmap.
        out: Quantisation of the ofmap.
        activation: Fused activation.
    """
    K = len(weights)
    low, high = activation_range(activation, out)
    scale = np.float64(x.scale32) * filter_scale.astype(np.float32).astype(np.float64) / np.float64(out.scale32)
    wide = weights.astype(np.int64)
    corrected = (bias - x.zero_point * wide.sum(axis=1)).astype(np.float64)
    small = _most_sum(wide) <= EXACT_FLOAT32
    matrix = np.ascontiguousarray(weights.T, np.float32 if small else np.float64)

    def dense(ifmap: Codes) -> Codes:
        sums = np.matmul(ifmap.astype(matrix.dtype), matrix) + corrected
        sums *= scale
        codes = round_half_away(sums)
        codes += out.zero_point
        return codes.clip(low, high).astype(np.int8).reshape(*ifmap.shape[:-1], K)

    return dense


def prepare_matmul(
    a: Affine, b: Affine, out: Affine, *, transpose_a: bool = False, transpose_b: bool = False
) -> Callable[[Codes, Codes], Codes]:
    """Return the kernel of a batched product: a (…, M, C) · b (…, C, K) → (…, M, K)."""
    product = np.float64(a.scale32 * b.scale32)  # in float32, as GetQuantizedConvolutionMultipler has it
    multiplier, shift = quantize_multiplier(product / np.float64(out.scale32))

    def matmul(left: Codes, right: Codes) -> Codes:
        first = left.astype(np.float64) - a.zero_point
        second = right.astype(np.float64) - b.zero_point
        sums = np.matmul(
            first.swapaxes(-1, -2) if transpose_a else first, second.swapaxes(-1, -2) if transpose_b else second
        )
        return saturated(multiply_by_quantized_multiplier(sums.astype(np.int64), multiplier, shift) + out.zero_point)

    return matmul


def prepare_pool2d(op: Pool2d, x: Affine, out: Affine) -> Kernel:
    """Return the kernel of pooling: (N, H, W, C) → (N, P, Q, C).

    The average of codes is rounded to nearest, ties away from zero. LiteRT demands one quantisation for both sides;
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
            return _rounded_mean(wide + counted_pad * (included - inside), included)
        return _rounded_mean(wide, inside)

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
    """Return the greatest (int8) or the sum (float32) of the window's taps along one axis, (N, H, W, C) → (N, P, W, C)."""
    kernel, stride, dilation, pads = (values[axis - 1] for values in (op.kernel, op.strides, op.dilations, op.padding))
    positions, after = _window_span(x.shape[axis], kernel, stride, dilation, pads, ceil_mode=op.ceil_mode)
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


def _window_span(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], *, ceil_mode: bool
) -> tuple[int, int]:
    """Return the positions of a window along an axis, and the padding after the ifmap that they need."""
    span = (kernel - 1) * dilation + 1
    room = size + sum(pads) - span
    positions = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (positions - 1) * stride >= size + pads[0]:
        positions -= 1
    return positions, max(0, (positions - 1) * stride + span - size - pads[0])


def _tap_counts(op: Pool2d, image: tuple[int, ...], ofmap: tuple[int, ...], *, included: bool) -> Reals:
    """Return how many taps of each window count, (P, Q, 1): those in the ifmap, or in its padding too."""
    per_axis = []
    for size, kernel, stride, dilation, (before, after), positions in zip(
        image, op.kernel, op.strides, op.dilations, op.padding, ofmap, strict=True
    ):
        tap = np.arange(positions)[:, None] * stride + np.arange(kernel) * dilation - before
        low, high = (-before, size + after) if included else (0, size)
        per_axis.append(((tap >= low) & (tap < high)).sum(axis=1).astype(np.float64))
    return np.outer(*per_axis)[:, :, None]


def prepare_reduce(
    function: ReduceFunction, axes: tuple[int, ...], x: Affine, out: Affine, *, keepdims: bool
) -> Kernel:
    """Return the kernel of a reduction; the mean's 1/n goes into the multiplier, as an integer division of it.

    Maximum and minimum keep codes, rescaled where the quantisations differ; a product is taken in float64.
    """
    if function in ("max", "min"):
        table = None if x == out else requantize_table(x, out)

        def extreme(ifmap: Codes) -> Codes:
            codes: Codes = (np.max if function == "max" else np.min)(ifmap, axis=axes, keepdims=keepdims)
            return codes if table is None else look_up(table, codes)

        return extreme
    if function == "prod":

        def product(ifmap: Codes) -> Codes:
            real = ((ifmap.astype(np.float64) - x.zero_point) * x.scale).prod(axis=axes, keepdims=keepdims)
            return saturated(round_half_away(real / out.scale) + out.zero_point)

        return product
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


def _sum_codes(x: Codes, axes: tuple[int, ...], *, keepdims: bool) -> Reals | NDArray[np.float32]:
    """Return the exact sum of codes along axes; over whole images as a product with ones, several times as fast."""
    if x.ndim == 4 and sorted(axis % 4 for axis in axes) == [1, 2] and x[0, ..., 0].size * MOST_CODE <= EXACT_FLOAT32:
        N, H, W, C = x.shape
        sums = np.matmul(np.ones((1, H * W), np.float32), x.reshape(N, H * W, C).astype(np.float32))
        return sums.reshape((N, 1, 1, C) if keepdims else (N, C))
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


def _requantizer(
    weights: Integers,
    bias: Integers,
    filter_scale: Reals,
    x: Affine,
    out: Affine,
    activation: FusedActivation | None,
    *,
    corrected: bool = True,
) -> Requantizer:
    """Return the epilogue of sums over weights (K, depth); ``corrected`` takes the zero point's share into the bias."""
    scale = np.float64(x.scale32) * filter_scale.astype(np.float32).astype(np.float64) / np.float64(out.scale32)
    bias = bias - x.zero_point * weights.sum(axis=1) if corrected else bias
    reach = np.abs(weights).sum(axis=1) * (MOST_CODE if corrected else 2 * MOST_CODE)
    low, high = activation_range(activation, out)
    return Requantizer(*quantize_multiplier(scale), bias, out.zero_point, low=low, high=high, reach=reach)


def _most_sum(weights: Integers) -> int:
    """Return a bound of |Σ w·x| over the output channels."""
    return int(np.abs(weights).sum(axis=1).max(initial=0)) * MOST_CODE


def _ofmap_shape(op: Conv2d, ifmap: Array, kernel: tuple[int, int], channels: int) -> tuple[int, ...]:
    P, Q = (
        _window_span(size, taps, stride, dilation, pads, ceil_mode=False)[0]
        for size, taps, stride, dilation, pads in zip(
            ifmap.shape[1:3], kernel, op.strides, op.dilations, op.padding, strict=True
        )
    )
    return ifmap.shape[0], P, Q, channels
