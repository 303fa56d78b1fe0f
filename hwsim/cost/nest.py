"""A layer as a loop nest: batch N, groups G, per group filters K and channels C, ofmap P × Q, taps R × S.

    for n, g, k, p, q:  ofmap[n, g, k, p, q] = Σ over c, r, s of
        ifmap[n, g, c, p·stride + r·dilation − pad, …] × filter[g, k, c, r, s]

A dense layer has P = rows of its ifmap and R = S = Q = 1; a depthwise convolution has one channel per group; a product
of two activations is a dense layer whose filter is an activation, one group per matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from hwsim.units import BITS_PER_BYTE

DIMS = ("N", "G", "K", "C", "P", "Q", "R", "S")


@dataclass(frozen=True, slots=True)
class Touched:
    """Ifmap indices that tiles of one spatial axis read; padding and indices that a stride skips are never among them.

    Attributes:
        largest: Indices of the tile that reads most.
        first: Indices of the first tile.
        total: Sum over all tiles: overlapping tiles read their halo again.
        sliding: Sum over all tiles of what the tile before did not hold, when one sweep visits them in order.
    """

    largest: int
    first: int
    total: int
    sliding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """How one spatial axis of the ofmap reads the ifmap."""

    positions: int
    taps: int
    stride: int
    dilation: int
    pad: int
    size: int

    def touched(self, tile: int) -> Touched:
        """Return what tiles of ``tile`` ofmap positions read of the axis."""
        return _touched(self, tile)

    @property
    def pairs(self) -> int:
        """Pairs of an ofmap position and a tap that meet the ifmap, not its padding."""
        return _pairs(self)

    @property
    def most_pairs(self) -> int:
        """Pairs of an ofmap position and a tap that meet the same index of the ifmap, at the index that has most."""
        return _most_pairs(self)

    @property
    def padded(self) -> Axis:
        """The axis with its padding as part of the ifmap."""
        reach = (self.positions - 1) * self.stride + (self.taps - 1) * self.dilation + 1
        return replace(self, pad=0, size=max(reach, self.size + self.pad))

    def pairs_at(self, position: int) -> int:
        """Return how many taps of a position meet the ifmap."""
        index = position * self.stride - self.pad
        return sum(0 <= index + tap * self.dilation < self.size for tap in range(self.taps))


def _indices(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Return the ifmap index of each (position, tap), and whether it lies inside."""
    position = np.arange(axis.positions, dtype=np.int64)
    index = position[:, None] * axis.stride + np.arange(axis.taps, dtype=np.int64) * axis.dilation - axis.pad
    return index, (index >= 0) & (index < axis.size)


@lru_cache(maxsize=16384)
def _pairs(axis: Axis) -> int:
    return int(_indices(axis)[1].sum())


@lru_cache(maxsize=16384)
def _most_pairs(axis: Axis) -> int:
    index, inside = _indices(axis)
    return int(np.bincount(index[inside]).max(initial=0))


@lru_cache(maxsize=65536)
def _touched(axis: Axis, tile: int) -> Touched:
    index, inside = _indices(axis)
    tiles = -(-axis.positions // tile)
    owner = np.broadcast_to((np.arange(axis.positions) // tile)[:, None], index.shape)
    # Tile and index as one number, so that tiles stay apart.
    distinct = np.unique(owner[inside] * axis.size + index[inside])
    per_tile = np.bincount(distinct // axis.size, minlength=tiles)
    held_before = np.isin(distinct, distinct + axis.size, assume_unique=True)
    return Touched(
        largest=int(per_tile.max(initial=0)),
        first=int(per_tile[0]),
        total=len(distinct),
        sliding=len(distinct) - int(held_before.sum()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nest:
    """Extents of the loop nest and bits per element; two layers with equal nests cost the same everywhere.

    Attributes:
        n: Batch (images).
        g: Groups.
        k: Filters per group.
        c: Channels per group.
        rows: P, R and the ifmap's height.
        cols: Q, S and the ifmap's width.
        ifmap_bits: Bits of an ifmap element.
        filter_bits: Bits of a filter element.
        ofmap_bits: Bits of an ofmap element.
        bias_bytes: Bytes of the biases of all groups.
    """

    n: int
    g: int
    k: int
    c: int
    rows: Axis
    cols: Axis
    ifmap_bits: int
    filter_bits: int
    ofmap_bits: int
    bias_bytes: int

    @property
    def extents(self) -> dict[str, int]:
        """Each loop's trip count, by its letter."""
        rows, cols = self.rows, self.cols
        sizes = (self.n, self.g, self.k, self.c, rows.positions, cols.positions, rows.taps, cols.taps)
        return dict(zip(DIMS, sizes, strict=True))

    @property
    def padded(self) -> Nest:
        """The nest with padding as part of its ifmap."""
        return replace(self, rows=self.rows.padded, cols=self.cols.padded)

    @property
    def macs(self) -> int:
        """Multiply-accumulates: the product of all trip counts, padding taps included."""
        product = 1
        for extent in self.extents.values():
            product *= extent
        return product

    @property
    def ifmap_bytes(self) -> int:
        """Bytes of the ifmap elements that are read at all."""
        touched = self.rows.touched(self.rows.positions).total * self.cols.touched(self.cols.positions).total
        return packed(self.n * self.g * self.c * touched, self.ifmap_bits)

    @property
    def filter_bytes(self) -> int:
        """Bytes of filters and biases."""
        return packed(self.g * self.k * self.c * self.rows.taps * self.cols.taps, self.filter_bits) + self.bias_bytes

    @property
    def ofmap_elements(self) -> int:
        """Elements of the ofmap."""
        return self.n * self.g * self.k * self.rows.positions * self.cols.positions

    @property
    def ofmap_bytes(self) -> int:
        """Bytes of the ofmap."""
        return packed(self.ofmap_elements, self.ofmap_bits)


def packed(count: int, bits: int) -> int:
    """Return the whole bytes that ``count`` elements of ``bits`` bits take."""
    return -(-count * bits // BITS_PER_BYTE)
