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
from hwsim.reference.conv_gemm import conv2d_depthwise, conv2d_gemm, depthwise_taps, filter_matrix
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
            return conv2d_depthwise(ifmap, taps, out=ofmap, **attributes)

        return depthwise

    matrix, splits = filter_matrix(filters, op.groups), exact_splits(weights)

    def conv2d(ifmap: Codes) -> Codes:
        ofmap = np.empty(_ofmap_shape(op, ifmap, (R, S), K), np.int8)
        return conv2d_gemm(ifmap, matrix, kernel=(R, S), out=ofmap, splits=splits, **attributes)

    return conv2d


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
    pad_code = -MOST_CODE if op.function == "max" else 0
    counted_pad = x.zero_point if op.count_include_pad else 0

    def pool2d(ifmap: Codes) -> Codes:
        spans = [
            _window_span(size, kernel, stride, dilation, pads, ceil_mode=op.ceil_mode)
            for size, kernel, stride, dilation, pads in zip(
                ifmap.shape[1:3], op.kernel, op.strides, op.dilations, op.padding, strict=True
            )
        ]
        (P, below), (Q, beyond) = spans
        border = ((0, 0), (op.padding[0][0], below), (op.padding[1][0], beyond), (0, 0))
        wide = np.int8 if op.function == "max" else np.float32
        padded = np.pad(ifmap.astype(wide, copy=False), border, constant_values=pad_code)
        best: Array | None = None
        for rows in _tap_slices(op.kernel[0], op.strides[0], op.dilations[0], P):
            for columns in _tap_slices(op.kernel[1], op.strides[1], op.dilations[1], Q):
                tap = padded[:, rows, columns]
                if best is None:
                    best = tap.copy()
                elif op.function == "max":
                    np.maximum(best, tap, out=best)
                else:
                    best += tap
        assert best is not None
        if op.function == "average":
            inside = _tap_counts(op, ifmap.shape[1:3], (P, Q), included=False)
            counts = _tap_counts(op, ifmap.shape[1:3], (P, Q), included=op.count_include_pad)
            best = _rounded_mean(best.astype(np.float64) + counted_pad * (counts - inside), counts)
        codes = best.astype(np.int8, copy=False)
        if rescale is not None:
            codes = look_up(rescale, codes)
        return codes if (low, high) == (-128, 127) else codes.clip(np.int8(low), np.int8(high))

    return pool2d


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


def _tap_slices(kernel: int, stride: int, dilation: int, positions: int) -> list[slice]:
    return [slice(t * dilation, t * dilation + (positions - 1) * stride + 1, stride) for t in range(kernel)]


def _tap_counts(op: Pool2d, image: tuple[int, ...], ofmap: tuple[int, int], *, included: bool) -> Reals:
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
    base, base_shift = quantize_multiplier(np.float64(x.scale32) / np.float64(out.scale32))

    def mean_or_sum(ifmap: Codes) -> Codes:
        count = int(np.prod([ifmap.shape[axis] for axis in axes]))
        sums = _sum_codes(ifmap, axes, keepdims=keepdims) - x.zero_point * count
        multiplier, shift = int(base), int(base_shift)
        if function == "mean":
            bits = min(count.bit_length() - 1, 32, 31 + shift)
            multiplier, shift = (multiplier << bits) // count, shift - bits
        return saturated(multiply_by_quantized_multiplier(sums, multiplier, shift) + out.zero_point)

    return mean_or_sum


def _sum_codes(x: Codes, axes: tuple[int, ...], *, keepdims: bool) -> Integers:
    """Return the sum of codes along axes; over whole images as a product with ones, several times as fast."""
    if x.ndim == 4 and sorted(axis % 4 for axis in axes) == [1, 2] and x[0, ..., 0].size * MOST_CODE <= EXACT_FLOAT32:
        N, H, W, C = x.shape
        sums = np.matmul(np.ones((1, H * W), np.float32), x.reshape(N, H * W, C).astype(np.float32))
        return sums.reshape((N, 1, 1, C) if keepdims else (N, C)).astype(np.int64)
    return np.asarray(x.sum(axis=axes, keepdims=keepdims, dtype=np.int64))


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
    return Requantizer(scale, bias, out.zero_point, *activation_range(activation, out), reach)


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
