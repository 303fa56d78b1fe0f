"""Float kernels: one pure function per layer type, channel-last, float32 in and out.

Shapes stand in trailing comments. Letters: N batch, H W ifmap, C ifmap channels, R S kernel, K filters, P Q ofmap.
Products accumulate in float32, in the order of BLAS; pooled and reduced sums in float64 (but see ``global_pool``);
everything else is float32 throughout. Functions of one element are in ``float_functions``, moves of data in
``layout_kernels``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.graph.ops import Coordinates, FusedActivation
from hwsim.reference.conv_gemm import (
    Epilogue,
    GemmConvolution,
    Padding,
    Pair,
    RowLoader,
    block_rows,
    blocks,
    conv2d_depthwise,
    depthwise_taps,
    filter_matrix,
    is_pointwise,
    output_size,
)
from hwsim.reference.counting import multiply
from hwsim.reference.layout_kernels import Scale, source_positions

Array = NDArray[Any]
PoolFunction = Literal["max", "average"]
ReduceFunction = Literal["mean", "sum", "max", "min", "prod"]

NO_PADDING: Padding = ((0, 0), (0, 0))
ACTIVATION_BOUNDS: dict[FusedActivation, tuple[float, float | None]] = {
    "relu": (0.0, None),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}


def prepare_conv2d(
    shape: tuple[int, ...],  # of the ifmap (N, H, W, C)
    filters: Array,  # (K, R, S, C/groups)
    bias: Array | None = None,  # (K,)
    strides: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilations: Pair = (1, 1),
    groups: int = 1,
    activation: FusedActivation | None = None,
) -> Callable[[Array], Array]:  # (N, H, W, C) -> (N, P, Q, K)
    """Return the kernel ``conv2d`` of one ifmap shape, with all that depends on the filter done."""
    kernel = (filters.shape[1], filters.shape[2])
    columns = output_size(shape[2], kernel[1], strides[1], dilations[1], padding[1])
    geometry: dict[str, Any] = {"strides": strides, "padding": padding, "dilations": dilations}
    if groups > 1 and filters.shape[3] == 1:
        taps, epilogue = depthwise_taps(filters), bias_activation(bias, activation, columns)
        return lambda x: conv2d_depthwise(x, taps, epilogue=epilogue, **geometry)
    in_matrix = None if is_pointwise(kernel, strides, padding) else bias
    matrix = filter_matrix(filters, groups, bias=in_matrix)
    finish = bias_activation(bias if in_matrix is None else None, activation, columns)
    convolution = GemmConvolution(shape, matrix, kernel=kernel, **geometry)
    return lambda x: convolution(x, epilogue=finish)


def conv2d(
    x: Array,  # (N, H, W, C)
    filters: Array,  # (K, R, S, C/groups)
    bias: Array | None = None,  # (K,)
    strides: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilations: Pair = (1, 1),
    groups: int = 1,
    activation: FusedActivation | None = None,
) -> Array:  # (N, P, Q, K)
    """Convolve: ofmap[n, p, q, k] = bias[k] + Σ_rsc ifmap[n, p·stride + r·dilation, …, c] · filter[k, r, s, c]."""
    return prepare_conv2d(x.shape, filters, bias, strides, padding, dilations, groups, activation)(x)


def conv_transpose2d(
    x: Array,  # (N, H, W, C)
    filters: Array,  # (K, R, S, C/groups)
    bias: Array | None = None,  # (K,)
    strides: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilations: Pair = (1, 1),
    output_padding: Pair = (0, 0),
    groups: int = 1,
    activation: FusedActivation | None = None,
) -> Array:  # (N, P, Q, K)
    """Transposed convolution: every ifmap pixel adds its filter-weighted patch to the ofmap, which is then cropped."""
    N, H, W, C = x.shape
    K, R, S, _ = filters.shape
    full_h = (H - 1) * strides[0] + (R - 1) * dilations[0] + 1 + output_padding[0]
    full_w = (W - 1) * strides[1] + (S - 1) * dilations[1] + 1 + output_padding[1]
    full = np.zeros((N, full_h, full_w, K), x.dtype)
    grouped = x.reshape(N * H * W, groups, C // groups).swapaxes(0, 1)  # (G, N*H*W, C/G)
    per_group = filters.reshape(groups, K // groups, R, S, C // groups)
    for r in range(R):
        for s in range(S):
            taps = per_group[:, :, r, s].swapaxes(1, 2)  # (G, C/G, K/G)
            patch = multiply(grouped, taps).swapaxes(0, 1).reshape(N, H, W, K)
            top, left = r * dilations[0], s * dilations[1]
            rows = slice(top, top + (H - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (W - 1) * strides[1] + 1, strides[1])
            full[:, rows, columns] += patch
    (top, bottom), (left, right) = padding
    cropped = full[:, top : full_h - bottom, left : full_w - right]
    return activate(cropped if bias is None else cropped + bias, activation)


def dense(
    x: Array,  # (…, C)
    filters: Array,  # (K, C)
    bias: Array | None = None,  # (K,)
    activation: FusedActivation | None = None,
) -> Array:  # (…, K)
    """Multiply by the transposed filter and add the bias."""
    product = multiply(x.reshape(-1, x.shape[-1]), filters.T)
    if bias is not None:
        product += bias
    return activate(product.reshape(*x.shape[:-1], filters.shape[0]), activation)


def matmul(a: Array, b: Array, *, transpose_a: bool = False, transpose_b: bool = False) -> Array:  # (…, M, C)·(…, C, K)
    """Batched product; leading axes broadcast."""
    return multiply(a.swapaxes(-1, -2) if transpose_a else a, b.swapaxes(-1, -2) if transpose_b else b)


def activate(x: Array, activation: FusedActivation | None) -> Array:
    """Apply a fused activation."""
    return x if activation is None else np.clip(x, *ACTIVATION_BOUNDS[activation])


def pool2d(
    x: Array,  # (N, H, W, C)
    function: PoolFunction,
    kernel: Pair,
    strides: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilations: Pair = (1, 1),
    *,
    out_size: Pair | None = None,
    count_include_pad: bool = False,
) -> Array:  # (N, P, Q, C)
    """Take the maximum or the average of windows; padding never wins and adds zero.

    Args:
        x: Ifmap of any dtype; ``average`` sums in float64.
        function: ``max`` or ``average``.
        kernel: (R, S).
        strides: (vertical, horizontal).
        padding: ((top, bottom), (left, right)).
        dilations: (vertical, horizontal).
        out_size: (P, Q) where ceil mode adds windows that hang over the padded ifmap.
        count_include_pad: Divide by the taps inside the padded ifmap instead of those inside the ifmap.
    """
    N, H, W, C = x.shape
    floor_size = tuple(map(output_size, (H, W), kernel, strides, dilations, padding))
    P, Q = out_size or (floor_size[0], floor_size[1])
    hanging = tuple(
        (pads[0], max(pads[1], (positions - 1) * stride + (taps - 1) * dilation + 1 - size - pads[0]))
        for size, taps, stride, dilation, pads, positions in zip(
            (H, W), kernel, strides, dilations, padding, (P, Q), strict=True
        )
    )
    lowest = -np.inf if np.issubdtype(x.dtype, np.floating) else np.iinfo(x.dtype).min
    combine, neutral, dtype = (
        (np.maximum, lowest, x.dtype) if function == "max" else (np.add, 0.0, np.dtype(np.float64))
    )
    out = np.empty((N, P, Q, C), x.dtype)
    divisor = None
    if function == "average":
        counts = [
            _window_counts(*axis, include_pad=count_include_pad)
            for axis in zip((H, W), kernel, strides, dilations, padding, (P, Q), strict=True)
        ]
        divisor = np.multiply.outer(*counts)[..., None]  # (P, Q, 1)

    # Rows first, then columns: R + S - 2 operations for each ofmap element instead of R·S - 1.
    width = W + sum(hanging[1])
    block = block_rows(P, Q, (W * C * strides[0] + width * C + Q * C) * dtype.itemsize, least_pixels=1)
    reach = (kernel[0] - 1) * dilations[0] + 1
    load = RowLoader(x, (block - 1) * strides[0] + reach, (hanging[0], hanging[1]), float(neutral), dtype)
    down = np.empty((block, width, C), dtype)
    across = None if out.dtype == dtype else np.empty((block, Q, C), dtype)
    for image, start, stop in blocks(N, P, block):
        rows = load(image, start * strides[0], (stop - 1) * strides[0] + reach)  # (rows, W', C)
        target = out[image, start:stop]
        columns, pooled = down[: stop - start], target if across is None else across[: stop - start]
        _combine(rows, columns, combine, kernel[0], strides[0], dilations[0])
        _combine(columns.swapaxes(0, 1), pooled.swapaxes(0, 1), combine, kernel[1], strides[1], dilations[1])
        if divisor is not None:
            np.divide(pooled, divisor[start:stop], out=target, casting="same_kind")
    return out


def global_pool(x: Array, function: PoolFunction) -> Array:  # (N, H, W, C) -> (N, 1, 1, C)
    """Take the maximum or the average of the whole image; sums in float32 along columns, then float64 along a row."""
    if function == "max":
        return reduce_axes(x, "max", (1, 2), keepdims=True)
    row = x.sum(axis=1, keepdims=True).sum(axis=2, keepdims=True, dtype=np.float64)
    result: Array = (row / (x.shape[1] * x.shape[2])).astype(x.dtype)
    return result


def reduce_axes(x: Array, function: ReduceFunction, axes: Sequence[int], *, keepdims: bool = False) -> Array:
    """Take the mean, sum, product or extreme along axes; sums and products in float64."""
    axis = tuple(axes)
    result: Array
    if function == "max":
        result = np.max(x, axis=axis, keepdims=keepdims)
    elif function == "min":
        result = np.min(x, axis=axis, keepdims=keepdims)
    elif function == "mean":
        result = np.mean(x, axis=axis, keepdims=keepdims, dtype=np.float64).astype(x.dtype)
    elif function == "sum":
        result = np.sum(x, axis=axis, keepdims=keepdims, dtype=np.float64).astype(x.dtype)
    else:
        result = np.prod(x, axis=axis, keepdims=keepdims, dtype=np.float64).astype(x.dtype)
    return result


def resize_bilinear(
    x: Array, size: Pair, coordinates: Coordinates, scale: Scale = None
) -> Array:  # (N, H, W, C) -> (N, *size, C)
    """Scale an image by weighting the two nearest rows and columns; positions outside read the edge."""
    (rows_low, rows_high, row_weight), (columns_low, columns_high, column_weight) = (
        _neighbours(source_positions(size_in, size_out, coordinates, factor), size_in)
        for size_in, size_out, factor in zip(x.shape[1:3], size, scale or (None, None), strict=True)
    )
    down, across = row_weight.astype(x.dtype)[:, None, None], column_weight.astype(x.dtype)[:, None]
    rows = x[:, rows_low] * (1 - down) + x[:, rows_high] * down  # (N, H', W, C)
    result: Array = rows[:, :, columns_low] * (1 - across) + rows[:, :, columns_high] * across
    return result


def softmax(x: Array, axis: int = -1, beta: float = 1.0, *, log: bool = False) -> Array:
    """Return exp(beta·x) / Σ exp(beta·x) along an axis, or its logarithm; the maximum is subtracted first."""
    scaled = x if beta == 1.0 else x * beta
    shifted = scaled - scaled.max(axis=axis, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(axis=axis, keepdims=True)
    result: Array = shifted - np.log(total) if log else powers / total
    return result


def layer_norm(x: Array, scale: Array | None, shift: Array | None, epsilon: float) -> Array:  # (…, C), (C,), (C,)
    """Return (x − mean) / √(variance + epsilon) · scale + shift over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    normal = centred / np.sqrt(variance + epsilon)
    scaled = normal if scale is None else normal * scale
    result: Array = scaled if shift is None else scaled + shift
    return result


def rms_norm(x: Array, scale: Array | None, epsilon: float) -> Array:  # (…, C), (C,)
    """Return x / √(mean of x² + epsilon) · scale over the last axis (Zhang and Sennrich, arXiv:1910.07467)."""
    normal = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + epsilon)
    result: Array = normal if scale is None else normal * scale
    return result


def l2_norm(x: Array, axis: int, epsilon: float) -> Array:
    """Return x / max(√(sum of x²), epsilon) along an axis."""
    length = np.sqrt(np.square(x).sum(axis=axis, keepdims=True))
    result: Array = x / np.maximum(length, epsilon)
    return result


def batch_norm(x: Array, scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    """Return (x − mean) / √(variance + epsilon) · scale + shift; x is (…, C), every parameter (C,)."""
    gain = scale / np.sqrt(variance + epsilon)
    return x * gain + (shift - mean * gain)


def lrn(x: Array, size: int, alpha: float, beta: float, bias: float) -> Array:  # (…, C)
    """Return x / (bias + alpha/size · Σ x²)^beta, the sum over ``size`` channels around each.

    The window of channel c is [c − ⌊(size − 1)/2⌋, c + ⌈(size − 1)/2⌉], cut at the ends. Source: ONNX operator ``LRN``,
    after Krizhevsky, Sutskever, Hinton, NeurIPS 2012, section 3.3 (whose alpha is not divided by the size).
    """
    before, after = (size - 1) // 2, size // 2
    squares = np.pad(np.square(x), [(0, 0)] * (x.ndim - 1) + [(before, after)])
    total = sum(squares[..., shift : shift + x.shape[-1]] for shift in range(size))
    return (x / (bias + alpha / size * total) ** beta).astype(x.dtype)


def quantize(x: Array, scale: Array, zero_point: Array, dtype: np.dtype[Any]) -> Array:
    """Return round(x / scale) + zero_point, halves to even, held inside ``dtype``; scales broadcast (ONNX's rule)."""
    info = np.iinfo(dtype)
    result: Array = np.clip(np.rint(x / scale) + zero_point, info.min, info.max).astype(dtype)
    return result


def dequantize(x: Array, scale: Array, zero_point: Array) -> Array:
    """Return scale · (x − zero_point) in float32; scales broadcast."""
    return ((x.astype(np.int64) - zero_point) * scale).astype(np.float32)


def bias_activation(bias: Array | None, activation: FusedActivation | None, columns: int) -> Epilogue | None:
    """Return the epilogue that adds a bias (K,) and clips, for ofmaps ``columns`` pixels wide; None where neither is.

    Bias and bound are written out for a whole row of the ofmap: numpy takes half the time with operands as long as
    that. (Two bounds at once are quick as they are.)
    """
    if bias is None and activation is None:
        return None
    row_bias = None if bias is None else np.tile(bias, columns)
    low, high = (None, None) if activation is None else ACTIVATION_BOUNDS[activation]
    row_low: list[Array] = []

    def epilogue(acc: Array, out: Array) -> None:
        assert acc is out, "float kernels accumulate in the ofmap"
        rows = out.reshape(len(out), -1)  # (rows, Q*K)
        if row_bias is not None:
            rows += row_bias
        if high is not None:
            rows.clip(low, high, out=rows)
        elif low is not None:
            if not row_low:
                row_low.append(np.full(rows.shape[1], low, out.dtype))
            np.maximum(rows, row_low[0], out=rows)

    return epilogue


def _combine(x: Array, out: Array, combine: np.ufunc, taps: int, stride: int, dilation: int) -> None:
    """Combine sliding windows along the first axis: (size, …) -> (positions, …)."""
    last = (len(out) - 1) * stride + 1
    windows = [x[tap * dilation : tap * dilation + last : stride] for tap in range(taps)]
    if taps == 1:
        out[...] = windows[0]
        return
    combine(windows[0], windows[1], out=out)
    for window in windows[2:]:
        combine(out, window, out=out)


def _window_counts(
    size: int, taps: int, stride: int, dilation: int, pads: Pair, positions: int, *, include_pad: bool
) -> Array:  # -> (positions,)
    """Count the taps of each window that lie inside the ifmap, or inside the padded ifmap."""
    low, high = (-pads[0], size + pads[1]) if include_pad else (0, size)
    index = np.arange(positions)[:, None] * stride - pads[0] + np.arange(taps) * dilation  # (positions, taps)
    result: Array = ((index >= low) & (index < high)).sum(axis=1)
    return result


def _neighbours(position: Array, size_in: int) -> tuple[Array, Array, Array]:
    """Return, for each ofmap index, the two ifmap indices it lies between and the weight of the second."""
    position = np.clip(position, 0, size_in - 1)
    low = np.floor(position).astype(np.intp)
    return low, np.minimum(low + 1, size_in - 1), position - low
