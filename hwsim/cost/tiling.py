"""The mapspace of one layer on one array shape: tiles, loop orders and dataflows, pruned by full dominance.

A mapping cuts the nest into tiles that fit the buffer nearest to the array. Tile sizes are ceil(extent / 2^i) of G, K,
C, P and, once a tile has a single row, Q; taps stay whole, images and outer tiles are looped over. Three loop orders,
outermost first:

    filter outer   g k | n p q      filters cross once, the ifmap once per K tile
    ifmap outer    g n p q | k      the ifmap crosses once, filters once per image and pixel tile
    channel inner  g n k p q | c    where C is cut: both cross once per tile that needs them; psums stay until C is done

The ofmap crosses once in every order, as psums never leave. ``docs/mapspace.md`` states the same for readers, and the
tests enumerate it by brute force.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from hwsim.chip import Dataflow
from hwsim.cost.nest import Axis, Nest
from hwsim.cost.spatial import buffer_traffic, tile_cycles
from hwsim.units import BITS_PER_BYTE

Ints = npt.NDArray[np.int64]
ORDERS = ("filter outer", "ifmap outer", "channel inner")
FILTER_OUTER, IFMAP_OUTER, CHANNEL_INNER = range(len(ORDERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Mappings as columns, each of shape [candidate].

    Attributes:
        dataflow: Index into the engine's dataflows.
        order: Index into ``ORDERS``.
        g: Groups in a tile.
        k: Filters in a tile.
        c: Channels in a tile.
        p: Ofmap rows in a tile.
        q: Ofmap columns in a tile.
        footprint_bytes: Buffer bytes, double-buffered where an operand has more than one tile.
        ifmap_bytes: Bytes of the ifmap that cross into the buffer.
        filter_bytes: Bytes of filters and biases that cross into the buffer.
        ifmap_fill_bytes: Bytes of the first ifmap tile.
        filter_fill_bytes: Bytes of the first filter tile.
        drain_bytes: Bytes of the last ofmap tile.
        transfers: Tiles moved, of all tensors.
        cycles: Array cycles.
    """

    dataflow: Ints
    order: Ints
    g: Ints
    k: Ints
    c: Ints
    p: Ints
    q: Ints
    footprint_bytes: Ints
    ifmap_bytes: Ints
    filter_bytes: Ints
    ifmap_fill_bytes: Ints
    filter_fill_bytes: Ints
    drain_bytes: Ints
    transfers: Ints
    cycles: Ints

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.order)

    def take(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Candidates:
        """Return the candidates at these positions."""
        return Candidates(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @classmethod
    def joined(cls, parts: list[Candidates]) -> Candidates:
        """Return all candidates of several sets, one after the other."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


# What a latency, an energy or a traffic is computed from, besides the buffer's accesses; a candidate no better in any
# of these and those can't win.
READ_BY_OBJECTIVES = (
    "footprint_bytes",
    "cycles",
    "ifmap_bytes",
    "filter_bytes",
    "ifmap_fill_bytes",
    "filter_fill_bytes",
    "drain_bytes",
    "transfers",
)


def ladder(extent: int) -> list[int]:
    """Return the tile sizes ceil(extent / 2^i), largest first."""
    sizes = [extent]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def mapspace(
    nest: Nest, rows: int, cols: int, dataflows: tuple[Dataflow, ...], psum_bytes: int, double_buffered: bool
) -> Candidates:
    """Return every mapping of a nest on a ``rows`` × ``cols`` array, unpruned."""
    g, k, c, p, q, order = _tiles(nest)
    row_tiles, col_tiles = _touched_table(nest.rows, p), _touched_table(nest.cols, q)
    taps = nest.rows.taps * nest.cols.taps
    g_tiles, k_tiles, c_tiles = -(-nest.g // g), -(-nest.k // k), -(-nest.c // c)
    pixel_tiles = -(-nest.rows.positions // p) * -(-nest.cols.positions // q)

    # How often each operand crosses, and how many of its tiles there are.
    # An operand whose only tile stays in the buffer is not fetched again.
    one = np.ones_like(k)
    filter_times = np.choose(order, [one, np.where(k_tiles > 1, nest.n * pixel_tiles, 1), nest.n * pixel_tiles])
    ifmap_times = np.choose(order, [np.where(nest.n * pixel_tiles > 1, k_tiles, 1), one, k_tiles])
    ifmap_bytes = _packed(nest.n * nest.g * nest.c * row_tiles[1] * col_tiles[1] * ifmap_times, nest.ifmap_bits)
    filter_once = nest.g * nest.k * nest.c * taps
    filter_bytes = _packed(filter_once * filter_times, nest.filter_bits) + nest.bias_bytes

    ifmap_tile = _packed(g * c * row_tiles[0] * col_tiles[0], nest.ifmap_bits)
    filter_tile = _packed(g * k * c * taps, nest.filter_bits)
    filter_moves = g_tiles * k_tiles * c_tiles * filter_times
    ifmap_moves = nest.n * g_tiles * c_tiles * pixel_tiles * ifmap_times
    ofmap_moves = nest.n * g_tiles * k_tiles * pixel_tiles
    copies = 2 if double_buffered else 1
    footprint = (
        ifmap_tile * np.where(ifmap_moves > 1, copies, 1)
        + filter_tile * np.where(filter_moves > 1, copies, 1)
        + g * k * p * q * psum_bytes
    )
    columns = {
        "order": order,
        "g": g,
        "k": k,
        "c": c,
        "p": p,
        "q": q,
        "footprint_bytes": footprint,
        "ifmap_bytes": ifmap_bytes,
        "filter_bytes": filter_bytes,
        "ifmap_fill_bytes": ifmap_tile,
        "filter_fill_bytes": filter_tile,
        "drain_bytes": _packed(g * k * p * q, nest.ofmap_bits),
        "transfers": filter_moves + ifmap_moves + ofmap_moves,
    }
    parts = [
        Candidates(
            dataflow=np.full_like(order, index),
            cycles=tile_cycles(nest, dataflow, rows, cols, g=g, k=k, c=c, p=p, q=q),
            **columns,
        )
        for index, dataflow in enumerate(dataflows)
    ]
    return Candidates.joined(parts)


@lru_cache(maxsize=16384)
def candidates(
    nest: Nest, rows: int, cols: int, dataflows: tuple[Dataflow, ...], psum_bytes: int, double_buffered: bool
) -> Candidates:
    """Return the mappings that some capacity, bandwidth or price can make the best: the full-dominance front."""
    space = mapspace(nest, rows, cols, dataflows, psum_bytes, double_buffered)
    traffic = [buffer_traffic(nest, dataflow, rows, cols) for dataflow in dataflows]
    buffer_reads = np.array([t.ifmap_bytes + t.filter_bytes for t in traffic], dtype=np.int64)[space.dataflow]
    columns = [*(getattr(space, name) for name in READ_BY_OBJECTIVES), buffer_reads]
    return space.take(non_dominated(np.stack(columns, axis=1)))


def non_dominated(columns: Ints) -> npt.NDArray[np.intp]:
    """Return the positions of the rows that no other row beats or equals in every column; of equal rows, the first.

    Args:
        columns: Shape [row, quantity]; less is better.
    """
    order = np.lexsort(columns.T[::-1])
    left, kept = order, []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        # Sorted lexicographically, a row can only be dominated by one before it.
        left = left[(columns[left] < columns[best]).any(axis=1)]
    return np.sort(np.array(kept, dtype=np.intp))


def _tiles(nest: Nest) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    """Return the tile sizes g, k, c, p, q and the order of every mapping."""
    p_all, q_all = nest.rows.positions, nest.cols.positions
    pixels = [(p, q_all) for p in ladder(p_all)] + [(1, q) for q in ladder(q_all)[1:]]
    found: list[tuple[int, int, int, int, int, int]] = []
    for (p, q), k, c in product(pixels, ladder(nest.k), ladder(nest.c)):
        orders = (CHANNEL_INNER,) if c < nest.c else (FILTER_OUTER, IFMAP_OUTER)
        groups = ladder(nest.g) if (k, c) == (nest.k, nest.c) else [1]
        found.extend((g, k, c, p, q, order) for g in groups for order in orders)
    columns = np.array(found, dtype=np.int64).T
    return columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]


def _touched_table(axis: Axis, tiles: Ints) -> tuple[Ints, Ints]:
    """Return (largest tile's ifmap extent, sum over tiles) for each tile size of a column."""
    sizes, where = np.unique(tiles, return_inverse=True)
    table = np.array([axis.touched(int(size)) for size in sizes], dtype=np.int64)
    return table[where, 0], table[where, 1]


def _packed(count: Ints, bits: int) -> Ints:
    return -(-count * bits // BITS_PER_BYTE)
