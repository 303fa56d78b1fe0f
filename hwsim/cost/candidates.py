"""Mappings of a layer as columns, and what a mapspace depends on besides the layer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import inf
from typing import cast

import numpy as np
import numpy.typing as npt

from hwsim.chip import OPERANDS, Dataflow, Operand, Sparsity
from hwsim.cost.blocks import ANY_BLOCKS, Blocks

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
# (what stays, which of the ofmap's axes sweeps inside, which operand is kept whole in its buffer)
ORDERS = (
    ("filter", "P", ""),
    ("filter", "Q", ""),
    ("ifmap", "P", ""),
    ("ifmap", "Q", ""),
    ("ofmap", "P", ""),
    ("ifmap", "P", "filter"),
    ("ifmap", "Q", "filter"),
    ("ofmap", "P", "filter"),
    ("filter", "P", "ifmap"),
    ("ofmap", "P", "ifmap"),
)
NO_LIMITS = (inf, inf, inf)
DENSE = Sparsity()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySetup:
    """What a mapspace depends on besides the nest: nothing that a bandwidth, a clock, a capacity or a price decides.

    Attributes:
        rows: Rows of the array.
        cols: Columns of the array.
        dataflows: What it can do.
        psum_bytes: Bytes of a psum.
        buffers: For ifmap, filter and ofmap the number of the buffer that holds its tiles; −1 for none.
        copies: Copies of a tile in its buffer: two where the next one arrives during work on the present.
        filled: Whether the first fill and the last drain cost time, and the number of transfers none; or the reverse.
        bus: Bytes per cycle that the networks to the PEs carry of ifmap, filter and psums (each way); inf for any.
        sparsity: What of the data is zero, who saves what by it, and how operands are coded at home.
        stage_per_cycle: Outputs per cycle of the stage behind the MACs; inf where it never limits.
        blocks: How many blocks are on their way at once, and what they can be.
        image_rate: Bytes of the ifmap that can be fetched per cycle; inf where only memories limit that.
        channel_cycles: Cycles until biases and scales of a channel are there, in every block.
        prefetched: Whether a layer's first filters are there when it begins.
        counts_blocks: Whether the number of blocks matters, more being better: to the stages or to what the engine's
            compiler prefers.
        sub_array: Whether a layer may use a part of the array (``parts``).
    """

    rows: int
    cols: int
    dataflows: tuple[Dataflow, ...]
    psum_bytes: int
    buffers: tuple[int, int, int] = (0, 0, 0)
    copies: int = 2
    filled: bool = True
    bus: tuple[float, float, float] = NO_LIMITS
    sparsity: Sparsity = DENSE
    stage_per_cycle: float = inf
    blocks: Blocks = ANY_BLOCKS
    image_rate: float = inf
    channel_cycles: float = 0.0
    prefetched: bool = False
    counts_blocks: bool = False
    sub_array: bool = False

    @property
    def buffer_count(self) -> int:
        """How many buffers there are."""
        return max(self.buffers) + 1

    @property
    def parts(self) -> list[ArraySetup]:
        """The whole array and, where a layer may use a part of it, its rows and columns halved any number of times."""
        if not self.sub_array:
            return [self]
        return [
            replace(self, rows=rows, cols=cols, sub_array=False)
            for rows in halvings(self.rows)
            for cols in halvings(self.cols)
        ]

    def has_buffer(self, operand: str) -> bool:
        """Return whether tiles of an operand have a buffer."""
        return dict(zip(OPERANDS, self.buffers, strict=True))[cast("Operand", operand)] >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Mappings as columns, each of shape [candidate]; bytes are those of a whole layer.

    Attributes:
        dataflow: Index into the setup's dataflows.
        order: Index into ``ORDERS``.
        n: Images in a tile.
        g: Groups in a tile.
        k: Filters in a tile.
        c: Channels in a tile.
        p: Ofmap rows in a tile.
        q: Ofmap columns in a tile.
        array_rows: Rows of the array that are used, all of them or of a part; ``array_cols`` likewise.
        ifmap_tile_bytes: What the ifmap takes of its buffer, copies included; 0 without one.
        filter_tile_bytes: Likewise the filter.
        ofmap_tile_bytes: Likewise psums and ofmap.
        ifmap_bytes: Of the ifmap, read from its home.
        filter_bytes: Of filters and biases, read from their home.
        psum_in_bytes: Psums read from the activations' home.
        psum_out_bytes: Psums written to it.
        ifmap_fill_bytes: Of the first ifmap tile.
        filter_fill_bytes: Of the first filter tile.
        ofmap_bytes: Of the ofmap, written to its home.
        kept_ofmap_bytes: Of the ofmap, left in its buffer.
        drain_bytes: Of the last ofmap tile.
        ifmap_moves: Tiles of the ifmap moved to or from home; ``filter_moves`` and ``ofmap_moves`` likewise.
        array_ifmap_bytes: Of the ifmap, read by the array.
        array_filter_bytes: Of the filter, read by the array.
        psum_read_bytes: Psums taken up again by the array.
        psum_write_bytes: Psums and ofmap elements given back by the array.
        ofmap_read_bytes: Of finished psums or ofmap elements, read from their buffer on the way home.
        blocks: Tiles of the ofmap.
        channel_reads: Output channels of all blocks together.
        cycles: Array cycles at one MAC per PE and cycle.
        bus_cycles: Cycles that the busiest network between buffers and PEs takes; 0 where none limits.
        load_cycles: Cycles in which the array waits for its networks to bring the next stationary operand.
        macs_done: MACs that take their cycle: no zero skipped, none that Winograd saves.
        macs_priced: MACs that take energy, which gated zeros do not either.
        ifmap_coded: Bytes at home over plain bytes, a fraction; ``filter_coded`` and ``ofmap_coded`` likewise.
    """

    dataflow: Ints
    order: Ints
    n: Ints
    g: Ints
    k: Ints
    c: Ints
    p: Ints
    q: Ints
    array_rows: Ints
    array_cols: Ints
    ifmap_tile_bytes: Ints
    filter_tile_bytes: Ints
    ofmap_tile_bytes: Ints
    ifmap_bytes: Ints
    filter_bytes: Ints
    psum_in_bytes: Ints
    psum_out_bytes: Ints
    ifmap_fill_bytes: Ints
    filter_fill_bytes: Ints
    ofmap_bytes: Ints
    kept_ofmap_bytes: Ints
    drain_bytes: Ints
    ifmap_moves: Ints
    filter_moves: Ints
    ofmap_moves: Ints
    array_ifmap_bytes: Ints
    array_filter_bytes: Ints
    psum_read_bytes: Ints
    psum_write_bytes: Ints
    ofmap_read_bytes: Ints
    blocks: Ints
    channel_reads: Ints
    cycles: Ints
    bus_cycles: Ints
    load_cycles: Ints
    macs_done: Ints
    macs_priced: Ints
    ifmap_coded: Floats
    filter_coded: Floats
    ofmap_coded: Floats

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.order)

    @property
    def transfers(self) -> Ints:
        """Tiles moved, of all operands."""
        return self.ifmap_moves + self.filter_moves + self.ofmap_moves

    def take(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Candidates:
        """Return the candidates at these positions."""
        return Candidates(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @classmethod
    def joined(cls, parts: list[Candidates]) -> Candidates:
        """Return all candidates of several sets, one after the other."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def buffer_bytes(self, setup: ArraySetup) -> list[Ints]:
        """Return what the tiles take of each buffer, shape [candidate] each."""
        tiles = (self.ifmap_tile_bytes, self.filter_tile_bytes, self.ofmap_tile_bytes)
        return [
            sum(
                (tile for tile, at in zip(tiles, setup.buffers, strict=True) if at == buffer), np.zeros_like(self.order)
            )
            for buffer in range(setup.buffer_count)
        ]


def buffer_traffic(columns: Candidates, setup: ArraySetup, index: int) -> tuple[Ints, Ints]:
    """Return bytes read from and written to a tile buffer, shape [candidate]."""
    reads, writes = np.zeros_like(columns.order), np.zeros_like(columns.order)
    for operand, at in zip(OPERANDS, setup.buffers, strict=True):
        if at == index:
            read, written = operand_traffic(columns, operand)
            reads, writes = reads + read, writes + written
    return reads, writes


def operand_traffic(columns: Candidates, operand: Operand) -> tuple[Ints, Ints]:
    """Return bytes of an operand read from and written to the buffer that holds its tiles, shape of the columns."""
    if operand == "ifmap":
        return columns.array_ifmap_bytes, columns.ifmap_bytes
    if operand == "filter":
        return columns.array_filter_bytes, columns.filter_bytes
    reads = columns.psum_read_bytes + columns.psum_out_bytes + columns.ofmap_read_bytes
    return reads, columns.psum_write_bytes + columns.psum_in_bytes + columns.kept_ofmap_bytes


def halvings(extent: int) -> list[int]:
    """Return the tile sizes ceil(extent / 2^i), largest first."""
    sizes = [extent]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // 2))
    return sizes
