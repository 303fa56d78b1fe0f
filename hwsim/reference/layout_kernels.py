"""Kernels that move, select or repeat elements without arithmetic: the same for every dtype, channel-last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.graph.ops.layout import Coordinates

Array = NDArray[Any]
Pair = tuple[int, int]
Scale = tuple[float, float] | None
Rounding = Literal["floor", "ceil", "prefer_floor", "prefer_ceil"]
PadMode = Literal["constant", "reflect", "edge"]


def concat(inputs: Sequence[Array], axis: int = -1) -> Array:  # (…, C1), (…, C2), … -> (…, C1 + C2 + …)
    """Join tensors along an axis."""
    first = inputs[0]
    if axis % first.ndim != first.ndim - 1 or not all(x.flags.c_contiguous and x.dtype == first.dtype for x in inputs):
        return np.concatenate(inputs, axis=axis)
    # Along the channels every pixel is a short run. As one opaque item it is moved in one piece (see conv_gemm).
    out = np.empty((*first.shape[:-1], sum(x.shape[-1] for x in inputs)), first.dtype)
    pixel_bytes, offset = out.shape[-1] * out.itemsize, 0
    pixels = out.size // out.shape[-1]
    for x in inputs:
        item = np.dtype((np.void, x.shape[-1] * x.itemsize))
        target: Array = np.ndarray((pixels,), item, buffer=out, offset=offset, strides=(pixel_bytes,))
        target[...] = np.ndarray((pixels,), item, buffer=x)
        offset += item.itemsize
    return out


def split(x: Array, sizes: Sequence[int], axis: int) -> list[Array]:  # (…, A, …) -> (…, sizes[0], …), (…, sizes[1], …)
    """Cut a tensor along an axis into views of the given sizes."""
    return np.split(x, np.cumsum(sizes)[:-1], axis=axis)


def slice_(x: Array, begin: Sequence[int], end: Sequence[int], strides: Sequence[int]) -> Array:
    """Return the strided block begin, begin + stride, … below end; with a negative stride an end of -1 is before 0."""
    bounds = zip(begin, end, strides, strict=True)
    return x[tuple(slice(low, None if high < 0 else high, stride) for low, high, stride in bounds)]


def pad(x: Array, pads: Sequence[Pair], mode: PadMode = "constant", value: float = 0.0) -> Array:
    """Put a border around a tensor; ``reflect`` does not repeat the edge."""
    if mode == "constant":
        return np.pad(x, pads, constant_values=value)
    return np.pad(x, pads, mode=mode)


def channel_shuffle(x: Array, groups: int) -> Array:  # channel (group, index) -> (index, group)
    """Swap the order of groups and of the channels inside them."""
    *leading, C = x.shape
    return x.reshape(*leading, groups, C // groups).swapaxes(-1, -2).reshape(x.shape)


def gather(table: Array, indices: Array, axis: int = 0) -> Array:  # (A, T, B), (I) -> (A, I, B)
    """Pick rows of a table; a negative index counts from its end, one outside raises ``IndexError``."""
    return np.take(table, indices.astype(np.intp), axis=axis)


def arg_extreme(x: Array, axis: int, *, greatest: bool, keepdims: bool, dtype: np.dtype[Any]) -> Array:
    """Return the index of the greatest or least value along an axis, the first of equal ones."""
    indices: Array = (np.argmax if greatest else np.argmin)(x, axis=axis, keepdims=keepdims).astype(dtype)
    return indices


def depth_to_space(
    x: Array, block: int, *, channel_major: bool = False
) -> Array:  # (N, H, W, C) -> (N, H*b, W*b, C/b²)
    """Unfold channels into blocks of pixels; the channel is (row, column, c), or (c, row, column) if channel-major."""
    N, H, W, C = x.shape
    depth = C // block**2
    if channel_major:
        blocks = x.reshape(N, H, W, depth, block, block).transpose(0, 1, 4, 2, 5, 3)  # N, H, b, W, b, c
    else:
        blocks = x.reshape(N, H, W, block, block, depth).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(N, H * block, W * block, depth)


def space_to_depth(x: Array, block: int) -> Array:  # (N, H, W, C) -> (N, H/b, W/b, C*b²)
    """Fold blocks of pixels into channels, in the order (row, column, c)."""
    N, H, W, C = x.shape
    blocks = x.reshape(N, H // block, block, W // block, block, C).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(N, H // block, W // block, block * block * C)


def source_positions(
    size_in: int, size_out: int, coordinates: Coordinates, scale: float | None = None
) -> NDArray[np.float64]:  # -> (size_out,)
    """Return the position in the ifmap that each ofmap index reads, possibly outside it.

    Source: ONNX operator ``Resize``, ``coordinate_transformation_mode``; TFLite's ``align_corners`` and
    ``half_pixel_centers`` are the modes of those names, neither of them is ``asymmetric``.
    """
    index = np.arange(size_out, dtype=np.float64)
    exact_out = size_out if scale is None else size_in * scale  # a fraction, perhaps
    match coordinates:
        case "align_corners":
            return index * (size_in - 1) / max(size_out - 1, 1)
        case "asymmetric":
            return index * size_in / exact_out
        case "pytorch_half_pixel" if size_out == 1:
            return index
        case "half_pixel_symmetric":
            return (index + 0.5 + (exact_out - size_out) / 2) * size_in / exact_out - 0.5
        case _:
            return (index + 0.5) * size_in / exact_out - 0.5


def resize_nearest(
    x: Array, size: Pair, coordinates: Coordinates, rounding: Rounding, scale: Scale = None
) -> Array:  # -> (N, *size, C)
    """Scale an image (N, H, W, C) by picking pixels."""
    rows, columns = (
        np.clip(_rounded(source_positions(*axis[:2], coordinates, axis[2]), rounding), 0, axis[0] - 1).astype(np.intp)
        for axis in zip(x.shape[1:3], size, scale or (None, None), strict=True)
    )
    return x[:, rows[:, None], columns]


def _rounded(position: NDArray[np.float64], rounding: Rounding) -> NDArray[np.float64]:
    match rounding:
        case "floor":
            return np.floor(position)
        case "ceil":
            return np.ceil(position)
        case "prefer_floor":
            return np.ceil(position - 0.5)
        case "prefer_ceil":
            return np.floor(position + 0.5)
