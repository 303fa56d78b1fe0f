"""Spatial mapping: the passes an array makes over a tile, their cycles, and what the array asks its buffers for.

A dataflow unrolls some loop dimensions over the array's rows and some over its columns. On an axis the first dimension
takes what it needs and whole copies of it stand side by side for the next one; a ``flat`` dataflow lays all dimensions
of an axis end to end as one long index instead (im2col). What is left over is looped over in time, a step per cycle,
and a ragged edge costs a whole step. One trip through the leftover loops of a dimension is a pass of it.

The stationary operand stays in the PEs while the loops that do not index it run; the others come by with every pass:

    reads = the operand's indices in a tile × passes of the loops that do not index it (once a tile when stationary)

``sum over tiles`` is exact for ragged tiles, because it factors by dimension. Terms: Chen, Emer, Sze, ISCA 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from hwsim.chip import Dataflow
from hwsim.cost.nest import DIMS, Axis, Nest

Ints = npt.NDArray[np.int64]

# The three classes of loops beside G: each operand lacks one of them.
PIXELS = ("N", "P", "Q")  # not in the filter
FILTERS = ("K",)  # not in the ifmap
WINDOW = ("C", "R", "S")  # not in the ofmap
CUT = ("N", "G", "K", "C", "P", "Q")  # dimensions that tiles cut; taps stay whole


@dataclass(frozen=True, slots=True)
class Unrolling:
    """How many indices of each dimension the array works on at once.

    Attributes:
        factors: Copies side by side, by dimension; 1 for those in time. Of a flat axis: its size, by its first
            dimension.
        flat: The dimensions of each flat axis with more than one, laid end to end.
    """

    factors: dict[str, int]
    flat: tuple[tuple[str, ...], ...] = ()

    @property
    def busy_pes(self) -> int:
        """PEs of a full pass."""
        return prod(self.factors.values())


def unrolling(nest: Nest, dataflow: Dataflow, rows: int, cols: int) -> Unrolling:
    """Return how a dataflow lays a nest over a ``rows`` × ``cols`` array."""
    extents = nest.extents
    factors = dict.fromkeys(DIMS, 1)
    flat = []
    # Columns first: of a dimension on both axes the rows take what is left.
    for dims, size in ((dataflow.cols, cols), (dataflow.rows, rows)):
        if dataflow.flat and len(dims) > 1:
            flat.append(dims)
            factors[dims[0]] = min(size, prod(extents[dim] for dim in dims))
            continue
        room = size
        for dim in dims:
            if dim in dataflow.joined:
                if dim == dataflow.joined[0]:
                    flat.append(dataflow.joined)
                    factors[dim] = min(
                        room,
                        prod(extents[joined] for joined in dataflow.joined),
                        dataflow.at_most.get(dim, room),
                    )
                    room //= factors[dim]
                continue
            copies = min(-(-extents[dim] // factors[dim]), room, dataflow.at_most.get(dim, room))
            factors[dim] = min(factors[dim] * copies, extents[dim])
            room //= copies
    return Unrolling(factors, tuple(flat))


@dataclass(frozen=True, slots=True)
class ArrayWork:
    """What the array does for a whole nest cut into tiles; arrays of shape [candidate], all in elements.

    Attributes:
        cycles: Steps, plus filling and draining where data ripple through, at one MAC per PE and cycle.
        filter_reads: Filter elements it takes.
        ifmap_reads: Ifmap elements it takes.
        psum_writes: Psums and finished ofmap elements it gives back.
        psum_reads: Psums it takes up again.
        window_loads: Ifmap elements of the first window of each pass that waits for its filters; zero where none does.
    """

    cycles: Ints
    filter_reads: Ints
    ifmap_reads: Ints
    psum_writes: Ints
    psum_reads: Ints
    window_loads: Ints


def array_work(nest: Nest, dataflow: Dataflow, rows: int, cols: int, tiles: Mapping[str, Ints]) -> ArrayWork:
    """Return what the array does for a nest cut into tiles.

    Args:
        nest: The loop nest.
        dataflow: Which dimensions lie on rows and columns, and what is stationary.
        rows: Rows of the array.
        cols: Columns of the array.
        tiles: Tile size of each dimension of ``CUT``, shape [candidate].
    """
    laid = unrolling(nest, dataflow, rows, cols)
    extents = nest.extents
    count = {dim: -(-extents[dim] // tiles[dim]) for dim in CUT}
    groups, filters, window, pixels = (_passes(nest, laid, dims, tiles) for dims in (("G",), FILTERS, WINDOW, PIXELS))
    cycles = groups * filters * window * _paced(nest, laid, dataflow, tiles, pixels)
    pixel_tiles = count["N"] * count["P"] * count["Q"]

    weights = nest.g * nest.k * nest.c * nest.rows.taps * nest.cols.taps
    products = nest.n * nest.g * nest.c * nest.rows.pairs * nest.cols.pairs
    stationary = dataflow.stationary
    if stationary == "row":
        row_passes = _dim_passes(nest.rows.positions, tiles["P"], laid.factors["P"])
        kept_filters, _ = spad_keeps(nest, dataflow)
        seen = nest.padded if dataflow.padding_read else nest
        # Each ifmap row goes by once per pass of K.
        rows_read = nest.g * nest.c * _rows_of_passes(seen.rows, tiles["P"], laid.factors["P"], laid.factors["R"])
        rows_read = rows_read * _dim_passes(nest.k, tiles["K"], laid.factors["K"] * kept_filters)
        windows = _first_windows(seen.cols, tiles["Q"]) if dataflow.load_exposed else np.zeros_like(rows_read)
        return ArrayWork(
            cycles=cycles,
            filter_reads=weights * count["N"] * row_passes * count["Q"],
            ifmap_reads=nest.n * rows_read * _touched_total(seen.cols, tiles["Q"]),
            window_loads=count["N"] * rows_read * windows,
            **_psums(nest, _kept_window(nest, laid, dataflow, tiles)),
        )
    reloads = {
        "filter": groups * filters * window * pixel_tiles,
        "ofmap": groups * filters * pixels * count["C"],
        "ifmap": groups * window * pixels * count["K"],
    }[stationary]
    if dataflow.systolic:
        cycles = cycles + reloads * (rows + cols - 2 + (rows if dataflow.load_exposed else 0))
    ifmap_reads = products * (count["K"] if stationary == "ifmap" else filters)
    if dataflow.shifts:
        blocks = (
            _rows_of_passes(axis, tiles[dim], laid.factors[dim], axis.taps)
            for axis, dim in ((nest.rows, "P"), (nest.cols, "Q"))
        )
        ifmap_reads = nest.n * nest.g * nest.c * prod(blocks, start=np.ones_like(cycles))
        ifmap_reads = ifmap_reads * _dim_passes(nest.k, tiles["K"], laid.factors["K"] * dataflow.kept_filters)
    return ArrayWork(
        cycles=cycles,
        filter_reads=weights * (pixel_tiles if stationary == "filter" else pixels),
        ifmap_reads=ifmap_reads,
        window_loads=np.zeros_like(cycles),
        **_psums(nest, count["C"] if stationary == "ofmap" else window),
    )


def _psums(nest: Nest, updates: Ints) -> dict[str, Ints]:
    """Return psum accesses when every ofmap element is updated so often; the first update reads none."""
    return {"psum_writes": nest.ofmap_elements * updates, "psum_reads": nest.ofmap_elements * (updates - 1)}


def spad_keeps(nest: Nest, dataflow: Dataflow) -> tuple[int, int]:
    """Return how many filters and channels a row-stationary PE keeps, as far as its scratchpads hold filter rows."""
    taps, spads = nest.cols.taps, dataflow.spad_words
    filters, channels = dataflow.kept_filters, dataflow.kept_channels
    if "ifmap" in spads:
        channels = min(channels, spads["ifmap"] // taps)
    if "filter" in spads:
        channels = min(channels, spads["filter"] // taps)
    channels = max(channels, 1)
    if "filter" in spads:
        filters = min(filters, spads["filter"] // (channels * taps))
    if "psum" in spads:
        filters = min(filters, spads["psum"])
    return max(filters, 1), channels


def _kept_window(nest: Nest, laid: Unrolling, dataflow: Dataflow, tiles: Mapping[str, Ints]) -> Ints:
    """Return how often a psum leaves a row-stationary array: PEs add up taps and the channels they keep."""
    row_passes = -(-nest.rows.taps // laid.factors["R"])
    _, channels = spad_keeps(nest, dataflow)
    return _dim_passes(nest.c, tiles["C"], laid.factors["C"] * channels) * row_passes


def _passes(nest: Nest, laid: Unrolling, dims: tuple[str, ...], tiles: Mapping[str, Ints]) -> Ints:
    """Return the passes of a class of loops, summed over its tiles."""
    extents = nest.extents
    total = np.ones_like(tiles["K"])
    for axis in laid.flat:
        if axis[0] in dims:
            total = total * _flat_passes(extents, axis, laid.factors[axis[0]], tiles)
    on_flat = [dim for axis in laid.flat for dim in axis]
    for dim in dims:
        if dim not in on_flat:
            whole = tiles.get(dim, np.full_like(total, extents[dim]))
            total = total * _dim_passes(extents[dim], whole, laid.factors[dim])
    return total


def _paced(nest: Nest, laid: Unrolling, dataflow: Dataflow, tiles: Mapping[str, Ints], pixels: Ints) -> Ints:
    """Return the passes over pixels, summed over tiles, of which each tile takes the least that a dataflow allows."""
    if dataflow.least_passes == 1:
        return pixels
    extents, total = nest.extents, np.zeros_like(pixels)
    for partial in product((False, True), repeat=len(PIXELS)):
        tiles_so, passes = np.ones_like(total), np.ones_like(total)
        for dim, is_rest in zip(PIXELS, partial, strict=True):
            full, rest = np.divmod(extents[dim], tiles[dim])
            tiles_so = tiles_so * (np.minimum(rest, 1) if is_rest else full)
            passes = passes * -(-(rest if is_rest else tiles[dim]) // laid.factors[dim])
        total = total + tiles_so * np.maximum(passes, dataflow.least_passes)
    return total


def _dim_passes(extent: int, tile: Ints, factor: int) -> Ints:
    """Return ceil(tile / factor), summed over all tiles of an extent."""
    full, rest = np.divmod(extent, tile)
    passes: Ints = full * -(-tile // factor) + -(-rest // factor)
    return passes


def _flat_passes(extents: Mapping[str, int], axis: tuple[str, ...], size: int, tiles: Mapping[str, Ints]) -> Ints:
    """Return ceil(product of the tile's dimensions / size), summed over the tiles that cut these dimensions."""
    cut = [dim for dim in axis if dim in tiles]
    whole = prod(extents[dim] for dim in axis if dim not in tiles)
    total = np.zeros_like(tiles["K"])
    # Of each dimension there are full tiles and perhaps one of what remains.
    for partial in product((False, True), repeat=len(cut)):
        tiles_so, inside = np.ones_like(total), np.full_like(total, whole)
        for dim, is_rest in zip(cut, partial, strict=True):
            full, rest = np.divmod(extents[dim], tiles[dim])
            tiles_so = tiles_so * (np.minimum(rest, 1) if is_rest else full)
            inside = inside * (rest if is_rest else tiles[dim])
        total = total + tiles_so * -(-inside // size)
    return total


def _touched_total(axis: Axis, tile: Ints) -> Ints:
    sizes, where = np.unique(tile, return_inverse=True)
    return np.array([axis.touched(int(size)).total for size in sizes], dtype=np.int64)[where]


def _first_windows(axis: Axis, tile: Ints) -> Ints:
    """Return the indices that the first position of each tile reads, summed over tiles."""
    sizes, where = np.unique(tile, return_inverse=True)
    firsts = [sum(axis.pairs_at(start) for start in range(0, axis.positions, int(size))) for size in sizes]
    return np.array(firsts, dtype=np.int64)[where]


def _rows_of_passes(axis: Axis, tile: Ints, positions: int, taps: int) -> Ints:
    """Return the ifmap rows read when passes of so many ofmap rows and filter rows work through each tile."""
    sizes, where = np.unique(tile, return_inverse=True)
    return np.array([_rows_of(axis, int(size), positions, taps) for size in sizes], dtype=np.int64)[where]


@lru_cache(maxsize=16384)
def _rows_of(axis: Axis, tile: int, positions: int, taps: int) -> int:
    total = 0
    for start in range(0, axis.positions, tile):
        end = min(start + tile, axis.positions)
        for first, tap in product(range(start, end, positions), range(0, axis.taps, taps)):
            position = np.arange(first, min(first + positions, end))[:, None]
            read = np.unique(position * axis.stride + np.arange(tap, min(tap + taps, axis.taps)) * axis.dilation)
            total += int(((read >= axis.pad) & (read < axis.size + axis.pad)).sum())
    return total
