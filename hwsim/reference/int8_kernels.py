"""Int8 layers with weights or two factors: convolution, plain and transposed, fully connected, matrix product.

Bit-exact to the reference kernels of LiteRT (``OpResolverType.BUILTIN_REF``). A ``prepare_…`` function takes weights,
attributes and quantisation, and returns the kernel proper, a function of activation arrays: what depends on weights
alone (GEMM matrices, corrected biases, multipliers and their proof) is done once. Everything is channel-last.

Products go through float BLAS. int8 × int8 sums are exact in float32 while Σ|w| · 128 <= 2^24 over the reduction; where
a filter exceeds that, the reduction is cut into parts which do not, added in float64. The zero point of the ifmap is
not subtracted from it: Σ w·(x − z) = Σ w·x − z·Σ w, the second term joins the bias, and padding holds z.

Source: TensorFlow Lite, ``reference/integer_ops/conv.h``, ``depthwise_conv.h``, ``transpose_conv.h``,
``fully_connected.h``, ``reference/batch_matmul.h``; ``kernels/kernel_util.cc`` for the multipliers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.graph.ops import Conv2d, ConvTranspose2d, FusedActivation
from hwsim.reference.conv_gemm import (
    BLOCK_BYTES,
    Epilogue,
    GemmConvolution,
    Padding,
    Pair,
    conv2d_depthwise,
    depthwise_taps,
    filter_matrix,
    output_size,
)
from hwsim.reference.counting import count_macs, multiply
from hwsim.reference.int8_tables import Affine, activation_range, saturated
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
MakeRequantizer = Callable[..., Epilogue]  # make(weights, bias, filter_scale, x, out, activation, corrected=True)

EXACT_FLOAT32 = 2**24  # integers up to here are float32 numbers
MOST_CODE = 128  # largest |int8|
FEW_ROWS = 256  # of a matrix product: up to here blocks are not worth their bookkeeping
LONG_RUN, FEW_PIXELS = 80, 8000  # measured: channels, and pixels times missing channels, of ``depthwise_by_pixels``


def prepare_conv2d(
    op: Conv2d,
    filters: Array,
    bias: Integers,
    filter_scale: Reals,
    x: Affine,
    out: Affine,
    requantizer: MakeRequantizer | None = None,
) -> Kernel:
    """Return the kernel of a convolution (depthwise included): ifmap (N, H, W, C) → ofmap (N, P, Q, K).

    Args:
        op: Strides, padding, dilations, groups and fused activation.
        filters: (K, R, S, C/groups) int8, or wider integers where a zero point has been subtracted.
        bias: (K,), on the scale of ifmap × filter.
        filter_scale: (K,) or (1,).
        x: Quantisation of the ifmap.
        out: Quantisation of the ofmap.
        requantizer: Makes the epilogue; LiteRT's when None.
    """
    K, R, S, per_group = filters.shape
    weights = filters.reshape(K, -1).astype(np.int64)
    requantize = (requantizer or _requantizer)(weights, bias, filter_scale, x, out, op.activation)
    attributes: dict[str, Any] = {
        "strides": op.strides,
        "padding": op.padding,
        "dilations": op.dilations,
        "pad_value": x.zero_point,
    }
    if per_group == 1 and op.groups > 1:
        small = most_sum(weights) <= EXACT_FLOAT32
        taps = depthwise_taps(filters, np.float32 if small else np.float64)

        def depthwise(ifmap: Codes) -> Codes:
            ofmap = np.empty(_ofmap_shape(op, ifmap, (R, S), K), np.int8)
            by_pixels = ofmap[0, ..., 0].size * (LONG_RUN - K) < FEW_PIXELS * op.strides[1] ** 3
            convolve = depthwise_by_pixels if by_pixels else conv2d_depthwise
            return convolve(ifmap, taps, out=ofmap, epilogue=requantize, **attributes)

        return depthwise

    attributes |= {"kernel": (R, S), "splits": exact_splits(weights)}
    matrix, splits = filter_matrix(filters, op.groups), attributes["splits"]
    convolutions: dict[tuple[int, ...], GemmConvolution] = {}  # by the shape of the ifmap
    pointwise = (R, S, op.groups) == (1, 1, 1) and op.strides == (1, 1) and not np.any(op.padding) and not splits

    def conv2d(ifmap: Codes) -> Codes:
        ofmap = np.empty(_ofmap_shape(op, ifmap, (R, S), K), np.int8)
        if pointwise and ifmap.size // len(matrix[0]) <= FEW_ROWS:
            requantize(multiply(ifmap.astype(np.float32), matrix[0]), ofmap)
            return ofmap
        if ifmap.shape not in convolutions:
            convolutions[ifmap.shape] = GemmConvolution(ifmap.shape, matrix, **attributes)
        return convolutions[ifmap.shape](ifmap, ofmap, requantize)

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
            count_macs(windows.size)
            epilogue(acc[:count], out[image, start : start + count])
    return out


def exact_splits(weights: Integers) -> tuple[int, ...]:
    """Return where to cut the reduction of weights (K, depth) so that float32 adds each part without rounding."""
    cuts: list[int] = []
    running = np.zeros(len(weights), np.int64)
    for index, column in enumerate(np.abs(weights).T if most_sum(weights) > EXACT_FLOAT32 else ()):
        running += column
        if running.max() * MOST_CODE > EXACT_FLOAT32:
            cuts.append(index)
            running = column.copy()
    return tuple(cuts)


def prepare_conv_transpose2d(
    op: ConvTranspose2d,
    filters: Array,
    bias: Integers,
    filter_scale: Reals,
    x: Affine,
    out: Affine,
    requantizer: MakeRequantizer | None = None,
) -> Kernel:
    """Return the kernel of a transposed convolution; arguments as in ``prepare_conv2d``.

    Each ifmap pixel adds its products to R × S ofmap pixels; products are exact in float64.
    """
    K, R, S, per_group = filters.shape
    group_filters = K // op.groups
    weights = filters.reshape(K, -1).astype(np.int64)
    # Ofmap pixels see different subsets of the taps, so the zero point is subtracted from the ifmap itself.
    make = requantizer or _requantizer
    requantize = make(weights, bias, filter_scale, x, out, op.activation, corrected=False)
    matrices = filters.reshape(op.groups, group_filters, R, S, per_group).transpose(0, 4, 2, 3, 1)
    matrices = np.ascontiguousarray(matrices.reshape(op.groups, per_group, -1), np.float64)  # (G, C/G, R·S·K/G)
    (top, bottom), (left, right) = op.padding

    def conv_transpose2d(ifmap: Codes) -> Codes:
        N, H, W, C = ifmap.shape
        centred = ifmap.reshape(-1, op.groups, C // op.groups).swapaxes(0, 1).astype(np.float64) - x.zero_point
        products = multiply(centred, matrices).reshape(op.groups, N, H, W, R, S, group_filters)
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
    small = most_sum(wide) <= EXACT_FLOAT32
    matrix = np.ascontiguousarray(weights.T, np.float32 if small else np.float64)

    def dense(ifmap: Codes) -> Codes:
        sums = multiply(ifmap.astype(matrix.dtype), matrix) + corrected
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
        sums = multiply(
            first.swapaxes(-1, -2) if transpose_a else first, second.swapaxes(-1, -2) if transpose_b else second
        )
        return saturated(multiply_by_quantized_multiplier(sums.astype(np.int64), multiplier, shift) + out.zero_point)

    return matmul


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


def most_sum(weights: Integers) -> int:
    """Return a bound of |Σ w·x| over the output channels."""
    return int(np.abs(weights).sum(axis=1).max(initial=0)) * MOST_CODE


def _ofmap_shape(op: Conv2d, ifmap: Array, kernel: Pair, channels: int) -> tuple[int, ...]:
    P, Q = map(output_size, ifmap.shape[1:3], kernel, op.strides, op.dilations, op.padding)
    return ifmap.shape[0], P, Q, channels
