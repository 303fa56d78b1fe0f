"""A layer as a loop nest: batch N, groups G, per group filters K and channels C, ofmap P × Q, taps R × S.

    for n, g, k, p, q:  ofmap[n, g, k, p, q] = Σ over c, r, s of
        ifmap[n, g, c, p·stride + r·dilation − pad, …] × filter[g, k, c, r, s]

A dense layer has P = rows of its ifmap and R = S = Q = 1; a depthwise convolution has one channel per group; a product
of two activations is a dense layer whose filter is an activation, one group per matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwsim.units import BITS_PER_BYTE

DIMS = ("N", "G", "K", "C", "P", "Q", "R", "S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """How one spatial axis of the ofmap reads the ifmap."""

    positions: int
    taps: int
    stride: int
    dilation: int
    pad: int
    size: int

    def touched(self, tile: int) -> tuple[int, int]:
        """Return what tiles of ``tile`` ofmap positions read of the axis.

        Returns:
            Distinct ifmap indices of the largest tile, and their sum over all tiles: overlapping tiles read their halo
            again, padding is never read, and indices a stride skips are not read either.
        """
        return _touched(self, tile)


@lru_cache(maxsize=65536)
def _touched(axis: Axis, tile: int) -> tuple[int, int]:
    position = np.arange(axis.positions, dtype=np.int64)
    index = position[:, None] * axis.stride + np.arange(axis.taps, dtype=np.int64) * axis.dilation - axis.pad
    inside = (index >= 0) & (index < axis.size)
    owner = np.broadcast_to((position // tile)[:, None], index.shape)
    distinct = np.unique(owner[inside] * axis.size + index[inside])
    per_tile = np.bincount(distinct // axis.size)
    return int(per_tile.max(initial=0)), int(per_tile.sum())


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
    def macs(self) -> int:
        """Multiply-accumulates: the product of all trip counts, padding taps included."""
        product = 1
        for extent in self.extents.values():
            product *= extent
        return product

    @property
    def ifmap_bytes(self) -> int:
        """Bytes of the ifmap elements that are read at all."""
        touched = self.rows.touched(self.rows.positions)[1] * self.cols.touched(self.cols.positions)[1]
        return packed(self.n * self.g * self.c * touched, self.ifmap_bits)

    @property
    def filter_bytes(self) -> int:
        """Bytes of filters and biases."""
        return packed(self.g * self.k * self.c * self.rows.taps * self.cols.taps, self.filter_bits) + self.bias_bytes

    @property
    def ofmap_bytes(self) -> int:
        """Bytes of the ofmap."""
        return packed(self.n * self.g * self.k * self.rows.positions * self.cols.positions, self.ofmap_bits)


def packed(count: int, bits: int) -> int:
    """Return the whole bytes that ``count`` elements of ``bits`` bits take."""
    return -(-count * bits // BITS_PER_BYTE)
