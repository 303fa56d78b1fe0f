"""Convolution as matrix products: the core that the float and the int8 kernels share.

Everything is channel-last: ifmap (N, H, W, C), filter (K, R, S, C/groups), ofmap (N, P, Q, K).

Design. A convolution is one matrix product of the unfolded ifmap (P*Q, R*S*C) with the filter matrix (R*S*C, K).
Unfolding the whole ifmap writes R*S copies of it to memory and reads them back, which can cost as much as the product
itself. So the ofmap is made in blocks of rows, each small enough that its columns, its accumulators and the ifmap rows
that it reads stay in the L2 cache:

1. *load*: the ifmap rows of the block go into a small padded buffer (cast to the computing dtype on the way). Without
   padding and without a cast the ifmap is read in place.
2. *unfold*: columns (rows, Q, R, S*C) are copied from a strided view; with dilation 1 the S taps of a row are
   neighbours in a channel-last ifmap, so each copied run is S*C long. A 1x1 stride-1 convolution skips this step.
3. *multiply*: BLAS writes into the ofmap itself, or into one reused accumulator where the dtypes differ. A bias may
   ride along as one more row of the filter matrix, against a column of ones: that spares a pass over the ofmap.
4. *epilogue*: bias, activation or requantisation while the block is still in cache.

Depthwise convolutions have no product to give to BLAS: they multiply and accumulate per tap over runs of Q*C elements,
the strides having been turned into phases by step 1.

Measured and left out, for 3x3 layers on one thread of a current x86 core: a product per tap with shifted ifmaps is 5 to
10 % slower in SqueezeNet v1.1, whose squeezed ifmaps are thin, and 10 to 20 % faster at 64 to 256 channels. Winograd's
F(2x2, 3x3) is 1.3 to 1.7 times as fast from 64 channels on, its error below 1e-6; it saves 5 % of SqueezeNet, and it
is not exact on integers.

Accumulation is in the dtype of the filter matrix: float32 or float64, in the order of BLAS. With integer values
the result is exact while every partial sum stays below 2**24 (float32) or 2**53 (float64); ``splits`` cuts the
reduction into parts for which that holds, and adds the parts in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.reference.counting import count_macs

Array = NDArray[Any]
Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))
Epilogue = Callable[[Array, Array], None]
"""``epilogue(acc, out)`` reads ``acc`` (rows, Q, K) and writes ``out`` (rows, Q, K); one array where dtypes agree."""

BLOCK_BYTES = 1024 * 1024  # columns and accumulators of one block; the L2 of a current core


def output_size(size: int, kernel: int, stride: int, dilation: int, pads: Pair) -> int:
    """Return the ofmap extent along one axis [elements]; no ceil mode."""
    return (size + pads[0] + pads[1] - dilation * (kernel - 1) - 1) // stride + 1


def is_pointwise(kernel: Pair, strides: Pair, padding: Padding) -> bool:
    """Return whether every ifmap pixel is read once, as it is: then nothing is unfolded."""
    return kernel == (1, 1) and strides == (1, 1) and padding == ((0, 0), (0, 0))


def filter_matrix(
    filters: Array, groups: int = 1, dtype: type[np.floating[Any]] = np.float32, bias: Array | None = None
) -> Array:
    """Return the filter (K, R, S, C/groups) as contiguous matrices (groups, R*S*C/groups, K/groups) of ``dtype``.

    With ``bias`` (K,) each matrix has it as one more row; a pointwise convolution cannot take that.
    """
    K = filters.shape[0]
    per_group = filters.reshape(groups, K // groups, -1)  # (G, K/G, R*S*C/G)
    if bias is not None:
        per_group = np.concatenate([per_group, bias.reshape(groups, -1, 1)], axis=2)
    return np.ascontiguousarray(per_group.transpose(0, 2, 1), dtype=dtype)


def depthwise_taps(filters: Array, dtype: type[np.floating[Any]] = np.float32) -> Array:
    """Return the depthwise filter (K, R, S, 1) as taps (R, S, K) of ``dtype``."""
    return np.ascontiguousarray(filters[..., 0].transpose(1, 2, 0), dtype=dtype)


class GemmConvolution:
    """A convolution of one ifmap shape by blocked matrix products, its geometry worked out; see the module's docstring.

    Args:
        shape: Of the ifmap (N, H, W, C).
        matrix: ``filter_matrix(...)``: (groups, R*S*C/groups, K/groups), float32 or float64; or with a bias row.
        kernel: (R, S).
        strides: (vertical, horizontal).
        padding: ((top, bottom), (left, right)).
        dilations: (vertical, horizontal).
        pad_value: What stands in the padding; the zero point of a quantised ifmap.
        splits: Inner bounds at which the reduction R*S*C/groups is cut; the parts are added in float64.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        matrix: Array,
        *,
        kernel: Pair,
        strides: Pair = (1, 1),
        padding: Padding = ((0, 0), (0, 0)),
        dilations: Pair = (1, 1),
        pad_value: float = 0.0,
        splits: Sequence[int] = (),
    ) -> None:
        N, H, W, C = shape
        G, self.depth, Kg = matrix.shape
        self.matrix, self.kernel, self.strides, self.dilations = matrix, kernel, strides, dilations
        self.padding, self.pad_value = padding, pad_value
        P = output_size(H, kernel[0], strides[0], dilations[0], padding[0])
        self.columns = output_size(W, kernel[1], strides[1], dilations[1], padding[1])
        self.shape = (N, P, self.columns, G * Kg)
        self.taps = kernel[0] * kernel[1] * (C // G)
        self.bounds = (0, *splits, self.depth) if splits else ()
        self.sum_dtype = np.dtype(np.float64) if splits else matrix.dtype
        self.pointwise = is_pointwise(kernel, strides, padding)
        if self.pointwise:
            # Every pixel is a row of the product already: the images of a batch join into one tall matrix.
            N, P = 1, N * H
        row_bytes = self.columns * (G * Kg + (0 if self.pointwise else self.taps)) * matrix.itemsize
        self.block = block_rows(P, self.columns, row_bytes)
        reach = (kernel[0] - 1) * dilations[0] + 1
        self.blocks = [
            (image, start, stop, start * strides[0], (stop - 1) * strides[0] + reach)
            for image, start, stop in blocks(N, P, self.block)
        ]
        self.most_rows = (self.block - 1) * strides[0] + reach

    def __call__(self, x: Array, out: Array | None = None, epilogue: Epilogue | None = None) -> Array:
        """Convolve.

        Args:
            x: Ifmap (N, H, W, C) of any dtype; it is cast to the dtype of the matrix block by block.
            out: Ofmap (N, P, Q, K) of any dtype; a new one of the dtype of the matrix when None. Its pixels may lie
                apart (channels of a wider ofmap) where no epilogue asks for more.
            epilogue: Called per block as ``epilogue(acc, out)``; when None the accumulators are the result.

        Returns:
            ``out``.
        """
        Q, K = self.shape[2:]
        if out is None:
            out = np.empty(self.shape, self.matrix.dtype)
        ofmap = out
        if self.pointwise:
            x, ofmap = x.reshape(1, -1, *x.shape[2:]), out.reshape(1, -1, Q, K)
        sums = None if out.dtype == self.sum_dtype else np.empty((self.block, Q, K), self.sum_dtype)
        load = RowLoader(x, self.most_rows, self.padding, self.pad_value, self.matrix.dtype)
        columns = None if self.pointwise else np.empty((self.block, Q, self.depth), self.matrix.dtype)
        if columns is not None and self.depth > self.taps:
            columns[..., self.taps] = 1.0  # against the bias row
        for image, start, stop, first, last in self.blocks:
            loaded = load(image, first, last)
            target = ofmap[image, start:stop]
            acc = target if sums is None else sums[: stop - start]
            self._multiply(loaded, columns, acc.reshape(-1, K))
            if epilogue is not None:
                epilogue(acc, target)
            elif sums is not None:
                target[...] = acc
        return out

    def _multiply(self, loaded: Array, columns: Array | None, acc: Array) -> None:
        """Write the sums of a block of padded ifmap rows (H', W', C), unfolded in columns, to ``acc`` (rows*Q, K)."""
        G, _, Kg = self.matrix.shape
        pixels, Cg = len(acc), loaded.shape[2] // G
        count_macs(pixels * G * Kg * self.taps)
        rows = loaded if columns is None else columns[: pixels // self.columns]
        matrix = rows.reshape(pixels, -1)
        for group in range(G):
            product = acc if G == 1 else acc[:, group * Kg : (group + 1) * Kg]
            operand = matrix
            if columns is not None:
                _unfold(loaded, rows, group, Cg, self.kernel, self.strides, self.dilations)
            elif G > 1:
                operand = matrix[:, group * Cg : (group + 1) * Cg]
            if not self.bounds:
                np.matmul(operand, self.matrix[group], out=product)
                continue
            part = np.empty((pixels, Kg), self.matrix.dtype)
            product[...] = 0.0
            for low, high in pairwise(self.bounds):
                np.matmul(operand[:, low:high], self.matrix[group, low:high], out=part)
                product += part


def conv2d_gemm(
    x: Array,
    matrix: Array,
    *,
    kernel: Pair,
    strides: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilations: Pair = (1, 1),
    pad_value: float = 0.0,
    out: Array | None = None,
    epilogue: Epilogue | None = None,
    splits: Sequence[int] = (),
) -> Array:
    """Convolve once; arguments as those of ``GemmConvolution``."""
    convolution = GemmConvolution(
        x.shape,
        matrix,
        kernel=kernel,
        strides=strides,
        padding=padding,
        dilations=dilations,
        pad_value=pad_value,
        splits=splits,
    )
    return convolution(x, out, epilogue)


def conv2d_depthwise(
    x: Array,
    taps: Array,
    *,
    strides: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilations: Pair = (1, 1),
    pad_value: float = 0.0,
    out: Array | None = None,
    epilogue: Epilogue | None = None,
) -> Array:
    """Convolve each channel with its own filter, by multiply and accumulate over the taps.

    Args:
        x: Ifmap (N, H, W, C) of any dtype.
        taps: ``depthwise_taps(...)``: (R, S, K), float32 or float64; K is a multiple of C, and filter k reads
            channel k // (K / C).
        strides: (vertical, horizontal).
        padding: ((top, bottom), (left, right)).
        dilations: (vertical, horizontal).
        pad_value: What stands in the padding.
        out: Ofmap (N, P, Q, K) of any dtype, C-contiguous; a new one of the dtype of ``taps`` when None.
        epilogue: Called per block as ``epilogue(acc, out)``; when None the accumulators are the result.

    Returns:
        ``out``. Accumulation is in the dtype of ``taps``, tap by tap in row-major order.
    """
    R, S, K = taps.shape
    if x.shape[3] != K:
        x = np.repeat(x, K // x.shape[3], axis=3)
    N, H, W, _ = x.shape
    P = output_size(H, R, strides[0], dilations[0], padding[0])
    Q = output_size(W, S, strides[1], dilations[1], padding[1])
    if out is None:
        out = np.empty((N, P, Q, K), taps.dtype)
    block = block_rows(P, Q, Q * K * (2 + strides[0] * strides[1]) * taps.itemsize, least_pixels=1)
    sums = None if out.dtype == taps.dtype else np.empty((block, Q * K), taps.dtype)
    product = np.empty((block, Q * K), taps.dtype)
    tiled = np.tile(taps, (1, 1, Q))  # (R, S, Q*K): the filter repeated along a row, so that a tap is one long run

    loader = RowLoader(
        x, (block - 1) * strides[0] + (R - 1) * dilations[0] + 1, padding, pad_value, taps.dtype, phases=strides[1]
    )
    for image, start, stop in blocks(N, P, block):
        rows = stop - start
        loaded = loader(image, start * strides[0], (stop - 1) * strides[0] + (R - 1) * dilations[0] + 1)
        target = out[image, start:stop]
        acc = target.reshape(rows, Q * K) if sums is None else sums[:rows]
        for r in range(R):
            first = r * dilations[0]
            lines = loaded[first : first + (rows - 1) * strides[0] + 1 : strides[0]]  # (rows, phases, Wp/phases, K)
            for s in range(S):
                phase, offset = s * dilations[1] % strides[1], s * dilations[1] // strides[1]
                count_macs(rows * Q * K)
                run = lines[:, phase, offset : offset + Q].reshape(rows, Q * K)
                if r == s == 0:
                    np.multiply(run, tiled[0, 0], out=acc)
                else:
                    np.multiply(run, tiled[r, s], out=product[:rows])
                    acc += product[:rows]
        if epilogue is not None:
            epilogue(target if sums is None else acc.reshape(rows, Q, K), target)
        elif sums is not None:
            target[...] = acc.reshape(rows, Q, K)
    return out


class RowLoader:
    """Gives the padded ifmap rows of a block in the computing dtype, from one reused buffer."""

    def __init__(
        self, x: Array, most_rows: int, padding: Padding, pad_value: float, dtype: np.dtype[Any], phases: int = 0
    ) -> None:
        _, H, W, C = x.shape
        (self.top, _), (self.left, right) = padding
        self.x, self.pad_value, self.height, self.width = x, pad_value, H, W
        self.in_place = padding == ((0, 0), (0, 0)) and x.dtype == dtype and phases <= 1 and x.flags.c_contiguous
        self.phases = phases
        if self.in_place:
            return
        padded = self.left + W + right
        if phases > 1:
            padded += -padded % phases  # a whole number of columns per phase
        # The side columns are written here once; a block overwrites only what lies between them.
        self.buffer = np.empty((most_rows, padded, C), dtype)
        self.buffer[:, : self.left] = pad_value
        self.buffer[:, self.left + W :] = pad_value
        if phases > 1:
            self.split = np.empty((most_rows, phases, padded // phases, C), dtype)

    def __call__(self, image: int, start: int, stop: int) -> Array:
        """Return padded rows [start, stop) as (rows, W', C), or (rows, phases, W'/phases, C) with phases."""
        if self.in_place:
            rows = self.x[image, start:stop]
            return rows[:, None] if self.phases else rows
        low, high = start - self.top, stop - self.top  # in rows of the ifmap
        above, below = min(max(0, -low), high - low), min(max(0, high - self.height), high - low)
        filled = self.buffer[: stop - start]
        inner = filled[:, self.left : self.left + self.width]
        inner[above : high - low - below] = self.x[image, low + above : high - below]
        inner[:above] = self.pad_value
        inner[high - low - below :] = self.pad_value
        if not self.phases:
            return filled
        if self.phases == 1:
            return filled[:, None]
        split = self.split[: stop - start]
        split[...] = filled.reshape(stop - start, -1, self.phases, filled.shape[2]).transpose(0, 2, 1, 3)
        return split


def _unfold(
    rows: Array, columns: Array, group: int, channels: int, kernel: Pair, strides: Pair, dilations: Pair
) -> None:
    """Copy one group's channels of padded ifmap rows (H', W', C) into columns (rows, Q, R*S*channels or more).

    A run of neighbouring values is copied as one opaque item: numpy then moves it in one piece, where a copy of
    floats sets up an inner loop for each run; that is 2 to 3 times as fast at the 50 to 200 bytes that are usual here.
    """
    R, S = kernel
    P, Q, _ = columns.shape
    by_row, by_column, _ = rows.strides  # that of an axis of size one may be anything, and is not used
    by_channel = rows.itemsize
    whole_row = channels == rows.shape[2] and dilations[1] == 1
    run, runs_per_row = (S * channels, 1) if whole_row else (channels, S)
    item = np.dtype((np.void, run * by_channel))
    taps = np.ndarray(
        (P, Q, R, runs_per_row),
        item,
        buffer=rows,
        offset=group * channels * by_channel,
        strides=(by_row * strides[0], by_column * strides[1], by_row * dilations[0], by_column * dilations[1]),
    )
    by_run = run * by_channel
    steps = (*columns.strides[:2], runs_per_row * by_run, by_run)
    np.ndarray((P, Q, R, runs_per_row), item, buffer=columns, strides=steps)[...] = taps


def block_rows(P: int, Q: int, row_bytes: int, least_pixels: int = 96) -> int:
    """Return the ofmap rows of a block: few enough for the cache, enough pixels for BLAS to run at speed."""
    rows = max(BLOCK_BYTES // max(1, row_bytes), -(-least_pixels // max(1, Q)), 1)
    blocks = -(-P // rows)
    return max(1, -(-P // max(1, blocks)))  # even blocks: no thin remainder at the end


def blocks(N: int, P: int, block: int) -> Iterator[tuple[int, int, int]]:
    """Yield (image, first row, row after the last) of every block."""
    for image in range(N):
        for start in range(0, P, block):
            yield image, start, min(P, start + block)
