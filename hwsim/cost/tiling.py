"""The mapspace of one layer on one array: tiles, loop orders, sweeps and dataflows, pruned by full dominance.

A mapping cuts the nest into tiles that fit the buffers nearest to the array, and visits them in one of these orders,
outermost loop first (``docs/mapspace.md`` states the same for readers; loops of one trip do not count):

    filter stays   g k c | n · ·     pixels run innermost: filters cross once, the ifmap once per K tile
    ifmap stays    g n · · c | k     filters run innermost: the ifmap crosses once, filters once per pixel tile
    ofmap stays    g k n · · | c     channels run innermost: psums never leave

An operand that would cross several times may be kept whole instead, all of a group's filters or all of its ifmap. `· ·`
are the ofmap's rows and columns, whichever sweeps inside. Where consecutive ifmap tiles differ only by a step of the
sweep, only the rows (or columns) that the tile before did not hold are fetched. Where C is cut and does not run
innermost, psums cross to the activations' home and back between visits. An operand without a buffer streams from its
home at the pace of the array's passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip import OPERANDS, Dataflow
from hwsim.cost.blocks import Blocks
from hwsim.cost.candidates import NO_LIMITS, ORDERS, ArraySetup, Candidates, buffer_traffic, halvings
from hwsim.cost.dominance import non_dominated, ranks
from hwsim.cost.hooks import bus_cycles, coded, less_work, whole, winograd_filters
from hwsim.cost.kept import NOTHING, Kept, stay
from hwsim.cost.nest import Axis, Nest, Touched
from hwsim.cost.spatial import CUT, array_work, unrolling
from hwsim.units import BITS_PER_BYTE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the points of a group share about time and energy per byte; it decides which bytes may be added up.

    Attributes:
        together: Whether filters come from the activations' home.
        home: Factors by which a byte written to the activations' home exceeds one read, in time and in energy; None
            where the points disagree.
        buffers: The same for each buffer.
    """

    together: bool
    home: tuple[float | None, ...]
    buffers: tuple[tuple[float | None, ...], ...]


def read_by_objectives(space: Candidates, setup: ArraySetup, prices: Prices) -> npt.NDArray[np.float64]:
    """Return every quantity that some latency, energy or traffic is computed from, shape [candidate, quantity].

    Each objective is a nondecreasing function of these; a candidate no better in any of them cannot win.
    """
    ifmap, filter_ = coded(space.ifmap_bytes, space.ifmap_coded), coded(space.filter_bytes, space.filter_coded)
    reads, writes = ifmap + space.psum_in_bytes, space.psum_out_bytes
    columns = [*space.buffer_bytes(setup), space.cycles]
    if setup.counts_blocks:
        columns += [-space.blocks, ifmap + space.psum_in_bytes + space.array_filter_bytes]
    if setup.channel_cycles:
        columns.append(space.channel_reads)
    if setup.bus != NO_LIMITS or setup.image_rate < inf:
        columns += [space.bus_cycles, space.load_cycles]
    if any(flow.skips or flow.winograd for flow in setup.dataflows):
        columns.append(space.macs_priced)
    columns += _weighed(reads + filter_ if prices.together else reads, writes, {1.0, *prices.home})
    if not prices.together:
        columns.append(filter_)
    for buffer, factors in enumerate(prices.buffers):
        columns += _weighed(*buffer_traffic(space, setup, buffer), set(factors))
    ifmap_fill = coded(space.ifmap_fill_bytes, space.ifmap_coded)
    filter_fill = coded(space.filter_fill_bytes, space.filter_coded)
    drain = coded(space.drain_bytes, space.ofmap_coded)
    if setup.filled and prices.together:
        columns += _weighed(ifmap_fill + filter_fill, drain, {prices.home[0]})
    elif setup.filled:
        columns += [ifmap_fill, filter_fill, drain]
    else:
        columns.append(space.transfers)
    return np.stack(columns, axis=1).astype(np.float64)


def _weighed(reads: Ints, writes: Ints, factors: set[float | None]) -> list[npt.NDArray[Any]]:
    """Return reads plus writes by each factor, or both apart where a factor is not known."""
    if None in factors:
        return [reads, writes]
    return [reads + factor * writes for factor in factors if factor is not None]


def tile_sizes(extent: int, unit: int) -> list[int]:
    """Return the halvings of an extent, and each rounded up to whole multiples of what the array works on at once."""
    sizes = set(halvings(extent))
    sizes |= {min(-(-size // unit) * unit, extent) for size in sizes}
    return sorted(sizes, reverse=True)


def mapspace(nest: Nest, setup: ArraySetup, kept: Kept = NOTHING) -> Candidates:
    """Return every mapping of a nest of which some operands are kept whole between layers, unpruned."""
    if setup.sub_array:
        return Candidates.joined([mapspace(nest, part, kept) for part in setup.parts])
    meant = [_is_for(dataflow, nest) for dataflow in setup.dataflows]
    return Candidates.joined(
        [
            part
            for index, dataflow in enumerate(setup.dataflows)
            if meant[index] or not any(meant)
            for part in _of_dataflow(nest, setup, index, dataflow, kept)
        ]
    )


def _is_for(dataflow: Dataflow, nest: Nest) -> bool:
    """Return whether a layer is among those that a dataflow is for."""
    extents = nest.extents
    enough = all(extents[dim] >= least for dim, least in dataflow.least_extent.items())
    return enough and all(extents[dim] <= most for dim, most in dataflow.most_extent.items())


# A front is some hundred kilobytes.
@lru_cache(maxsize=4096)
def candidates(nest: Nest, setup: ArraySetup, prices: Prices, kept: Kept = NOTHING) -> Candidates:
    """Return the mappings that some capacity, bandwidth or price can make the best: the full-dominance front.

    One that is no worse than another but for its footprint comes before it.
    """
    # What another mapping of the same part dominates need not be compared with those of all parts.
    parts = (
        [candidates(nest, part, prices, kept) for part in setup.parts]
        if setup.sub_array
        else [mapspace(nest, setup, kept)]
    )
    space = Candidates.joined(parts)
    read = read_by_objectives(space, setup, prices)
    front = non_dominated(read)
    return space.take(front[np.argsort(ranks(read[front, setup.buffer_count :]).sum(axis=0), kind="stable")])


def one_mapping(
    nest: Nest,
    setup: ArraySetup,
    dataflow: str,
    order: tuple[str, str, str],
    tiles: Mapping[str, int],
    kept: Kept = NOTHING,
) -> Candidates:
    """Return one mapping of a nest, whether or not it is among those of the mapspace.

    Args:
        nest: The loop nest.
        setup: The array.
        dataflow: Name of one of its dataflows.
        order: One of ``ORDERS``.
        tiles: Tile size of each dimension of ``CUT``; those left out stay whole.
        kept: Which operands are kept between layers.
    """
    index = [flow.name for flow in setup.dataflows].index(dataflow)
    sizes = {dim: np.array([tiles.get(dim, nest.extents[dim])], dtype=np.int64) for dim in CUT}
    _, ordered = _of_order(nest, setup, setup.dataflows[index], sizes, _windows(nest, sizes), ORDERS.index(order))
    part = _streamed(nest, setup, _of_array(nest, setup, index, sizes) | ordered)
    return Candidates(**stay(kept, nest, setup.dataflows[index], part))


def _of_dataflow(nest: Nest, setup: ArraySetup, index: int, dataflow: Dataflow, kept: Kept) -> Iterator[Candidates]:
    """Yield the mappings of a dataflow, order by order."""
    tiles = _tiles(nest, unrolling(nest, dataflow, setup.rows, setup.cols).factors)
    fair = _fair_blocks(nest, setup.blocks, tiles)
    tiles = {dim: sizes[fair] for dim, sizes in tiles.items()}
    both, windows = _of_array(nest, setup, index, tiles), _windows(nest, tiles)
    for order, (stays, _, entire) in enumerate(ORDERS):
        # An engine with blocks in flight fetches each block's ifmap anew.
        if setup.blocks.in_flight is not None and "ifmap" in (stays, entire):
            continue
        if not entire or setup.has_buffer(entire):
            keep, ordered = _of_order(nest, setup, dataflow, tiles, windows, order)
            part = {name: column[keep] for name, column in (both | ordered).items()}
            yield Candidates(**stay(kept, nest, dataflow, _streamed(nest, setup, part)))


def _fair_blocks(nest: Nest, blocks: Blocks, tiles: dict[str, Ints]) -> npt.NDArray[np.bool_]:
    """Return which tiles an engine's blocks can be: neither too few channels nor too many of anything."""
    channels = tiles["G"] * tiles["K"]
    fair = channels >= min(blocks.least_channels, nest.g * nest.k)
    for size, most in zip((channels, tiles["P"], tiles["Q"]), blocks.most, strict=True):
        fair &= size <= most
    # A block of one group may have too few channels, where no tile holds groups whole.
    return fair if fair.any() else np.ones_like(fair)


def _of_array(nest: Nest, setup: ArraySetup, index: int, tiles: dict[str, Ints]) -> dict[str, Any]:
    """Return the columns that no order of tiles changes: what the array does and takes."""
    dataflow = setup.dataflows[index]
    work = array_work(nest, dataflow, setup.rows, setup.cols, tiles)
    columns: dict[str, Any] = {
        "dataflow": np.full_like(work.cycles, index),
        **{dim.lower(): sizes for dim, sizes in tiles.items()},
        "array_rows": np.full_like(work.cycles, setup.rows),
        "array_cols": np.full_like(work.cycles, setup.cols),
        "array_ifmap_bytes": _packed(work.ifmap_reads, nest.ifmap_bits),
        "array_filter_bytes": winograd_filters(nest, dataflow, _packed(work.filter_reads, nest.filter_bits)),
        "psum_read_bytes": work.psum_reads * setup.psum_bytes,
        "psum_write_bytes": _written(nest, setup, dataflow, work.psum_writes),
        "ofmap_read_bytes": np.full_like(work.cycles, _drained(nest, setup, dataflow)),
        **{
            f"{operand}_coded": np.full(len(work.cycles), setup.sparsity.coded_share(operand, bits))
            for operand, bits in zip(OPERANDS, (nest.ifmap_bits, nest.filter_bits, nest.ofmap_bits), strict=True)
        },
    }
    window_bytes = _packed(work.window_loads, nest.ifmap_bits)
    return (
        columns
        | bus_cycles(setup.bus, dataflow, columns, window_bytes)
        | less_work(nest, setup.sparsity, dataflow, work.cycles)
    )


def _written(nest: Nest, setup: ArraySetup, dataflow: Dataflow, writes: Ints) -> Ints:
    """Return the bytes of psum writes; an array that keeps psums itself gives back finished elements at last."""
    if dataflow.stationary != "ofmap":
        return writes * setup.psum_bytes
    return (writes - nest.ofmap_elements) * setup.psum_bytes + nest.ofmap_bytes


def _drained(nest: Nest, setup: ArraySetup, dataflow: Dataflow) -> int:
    return nest.ofmap_bytes if dataflow.stationary == "ofmap" else nest.ofmap_elements * setup.psum_bytes


def _streamed(nest: Nest, setup: ArraySetup, part: dict[str, Any]) -> dict[str, Any]:
    """Return a part's columns with operands that have no buffer moved between home and array directly."""
    ifmap, filter_, ofmap = (at >= 0 for at in setup.buffers)
    nothing = np.zeros_like(part["cycles"])
    if not ifmap:
        part |= {"ifmap_bytes": part["array_ifmap_bytes"], "ifmap_tile_bytes": nothing, "ifmap_fill_bytes": nothing}
    if setup.image_rate < inf:
        part |= {"bus_cycles": np.maximum(part["bus_cycles"], whole(part["ifmap_bytes"] / setup.image_rate))}
    if not filter_:
        streamed = part["array_filter_bytes"] + nest.bias_bytes
        part |= {"filter_bytes": streamed, "filter_tile_bytes": nothing, "filter_fill_bytes": nothing}
    if not ofmap:
        # Every psum the array takes up again was given back before; the last time it is the finished element.
        spilled = part["psum_read_bytes"]
        part |= {"psum_in_bytes": spilled, "psum_out_bytes": spilled, "ofmap_read_bytes": nothing}
        part |= {"ofmap_tile_bytes": nothing, "drain_bytes": nothing}
    return part


def _tiles(nest: Nest, factors: dict[str, int]) -> dict[str, Ints]:
    """Return the tile sizes of every combination; groups are only cut together when a tile holds whole groups."""
    ns, ks, cs = (tile_sizes(getattr(nest, dim.lower()), factors[dim]) for dim in ("N", "K", "C"))
    ps, qs = tile_sizes(nest.rows.positions, factors["P"]), tile_sizes(nest.cols.positions, factors["Q"])
    # Columns are cut only where a tile has a single row: whole rows first.
    pixels = [(p, qs[0]) for p in ps] + [(1, q) for q in qs[1:]]
    grids = [_grid(ns, [1], ks, cs, pixels)]
    if nest.g > 1:
        grids.append(_grid(ns, tile_sizes(nest.g, factors["G"])[:-1], [nest.k], [nest.c], pixels))
    columns = np.concatenate(grids, axis=1)
    return dict(zip(CUT, columns, strict=True))


def _grid(ns: list[int], gs: list[int], ks: list[int], cs: list[int], pixels: list[tuple[int, int]]) -> Ints:
    """Return every combination as columns in the order of ``CUT``."""
    *sizes, at = (axis.reshape(-1) for axis in np.meshgrid(ns, gs, ks, cs, np.arange(len(pixels)), indexing="ij"))
    return np.stack([*sizes, *np.array(pixels)[at].T]).astype(np.int64)


def _of_order(
    nest: Nest,
    setup: ArraySetup,
    dataflow: Dataflow,
    tiles: dict[str, Ints],
    windows: tuple[_Tables, _Tables],
    order: int,
) -> tuple[npt.NDArray[np.intp], dict[str, Ints]]:
    """Return which tilings an order makes a mapping of its own for, and the columns that depend on it."""
    stays, sweep, kept = ORDERS[order]
    blocks = setup.blocks
    trips = {dim: -(-nest.extents[dim] // tiles[dim]) for dim in CUT}
    n, g, k, c, p, q = (trips[dim] for dim in CUT)
    pixels = n * p * q

    # How often an operand's tiles are fetched anew: the trips of loops outside its innermost that do not index it.
    one = np.ones_like(k)
    if stays == "filter":
        filter_times, ifmap_times, visits = one, np.where(c * pixels > 1, k, 1), np.where(pixels > 1, c, 1)
    elif stays == "ifmap":
        filter_times, ifmap_times, visits = pixels, one, c
    else:
        filter_times, ifmap_times, visits = pixels, k, one
    slides = {"filter": one > 0, "ifmap": c == 1, "ofmap": one < 1}[stays]
    if setup.blocks.in_flight is not None:
        # Each block fetches its ifmap anew, whatever the one before held.
        ifmap_times, slides = k, one < 1
    rows, cols = windows
    swept = rows.sliding * cols.total if sweep == "P" else rows.total * cols.sliding
    touched = np.where(slides, swept, rows.total * cols.total)
    taps = nest.rows.taps * nest.cols.taps
    ifmap_tile, ifmap_first, ifmap_moves = (
        tiles["N"] * tiles["G"] * tiles["C"] * rows.largest * cols.largest,
        tiles["N"] * tiles["G"] * tiles["C"] * rows.first * cols.first,
        g * c * pixels * ifmap_times,
    )
    filter_tile, filter_moves, ofmap_moves = (
        tiles["G"] * tiles["K"] * tiles["C"] * taps,
        g * k * c * filter_times,
        g * k * pixels,
    )
    own = _own(stays, sweep, trips)
    if kept == "filter":
        own &= filter_times > 1
        filter_tile, filter_times, filter_moves = tiles["G"] * nest.k * nest.c * taps, one, g
    elif kept == "ifmap":
        own &= ifmap_times > 1
        whole = nest.rows.touched(nest.rows.positions).total * nest.cols.touched(nest.cols.positions).total
        ifmap_tile = ifmap_first = tiles["G"] * nest.n * nest.c * whole
        touched, ifmap_times, ifmap_moves = whole * one, one, g
    spilled = nest.ofmap_elements * (visits - 1) * setup.psum_bytes
    last = {dim: nest.extents[dim] - (trips[dim] - 1) * tiles[dim] for dim in CUT}
    last_ofmap = last["N"] * last["G"] * last["K"] * last["P"] * last["Q"]

    def copies(moves: Ints) -> Ints:
        # Buffers of an engine with blocks in flight are halved for good.
        return np.where((moves > 1) | (setup.blocks.in_flight is not None), setup.copies, 1)

    def filters(elements: Ints) -> Ints:
        return winograd_filters(nest, dataflow, _packed(elements, nest.filter_bits))

    return np.flatnonzero(own), {
        "order": np.full_like(k, order),
        "ifmap_tile_bytes": blocks.in_banks(_packed(ifmap_tile, nest.ifmap_bits) * copies(ifmap_moves), "ifmap"),
        "filter_tile_bytes": filters(filter_tile) * copies(filter_moves),
        "ofmap_tile_bytes": blocks.in_banks(
            _ofmap_tile(nest, setup, dataflow, tiles, c) * copies(ofmap_moves), "ofmap"
        ),
        "ifmap_bytes": _packed(nest.n * nest.g * nest.c * touched * ifmap_times, nest.ifmap_bits),
        "filter_bytes": filters(nest.g * nest.k * nest.c * taps * filter_times) + nest.bias_bytes,
        "psum_in_bytes": spilled,
        "psum_out_bytes": spilled,
        "ifmap_fill_bytes": _packed(ifmap_first, nest.ifmap_bits),
        "filter_fill_bytes": filters(filter_tile) * (not setup.prefetched),
        "ofmap_bytes": np.full_like(k, nest.ofmap_bytes),
        "kept_ofmap_bytes": np.zeros_like(k),
        "drain_bytes": _packed(last_ofmap, nest.ofmap_bits),
        "blocks": ofmap_moves,
        "channel_reads": nest.g * nest.k * pixels,
        "ifmap_moves": ifmap_moves,
        "filter_moves": filter_moves,
        "ofmap_moves": ofmap_moves * (2 * visits - 1),
    }


def _own(stays: str, sweep: str, trips: dict[str, Ints]) -> npt.NDArray[np.bool_]:
    """Return where an order is one of its own: it stays what its name says, and no other does the same."""
    own = np.ones(len(trips["P"]), dtype=bool)
    slides = np.full_like(own, stays == "filter") | ((stays == "ifmap") & (trips["C"] == 1))
    # Tiles slide along the axis that is cut; where both are, each sweep is an order; where nothing slides, one will do.
    if sweep == "Q":
        own &= slides & (trips["Q"] > 1)
    else:
        own &= ~(slides & (trips["P"] == 1) & (trips["Q"] > 1))
    if stays == "ifmap":
        own &= trips["K"] > 1
    if stays == "ofmap":
        own &= trips["C"] > 1
    return own


def _ofmap_tile(nest: Nest, setup: ArraySetup, dataflow: Dataflow, tiles: dict[str, Ints], c_trips: Ints) -> Ints:
    """Return the bytes of a tile's psums; of its finished elements where the array keeps psums to itself."""
    if setup.blocks.in_flight is not None:
        # What the array works on at once has its place even where a tile does not fill it.
        unit = unrolling(nest, dataflow, setup.rows, setup.cols).factors
        tiles = {dim: -(-sizes // unit[dim]) * unit[dim] for dim, sizes in tiles.items()}
    elements = tiles["N"] * tiles["G"] * tiles["K"] * tiles["P"] * tiles["Q"]
    psums = elements * setup.psum_bytes
    if dataflow.stationary != "ofmap":
        return psums
    return np.where(c_trips > 1, psums, _packed(elements, nest.ofmap_bits))


def _windows(nest: Nest, tiles: dict[str, Ints]) -> tuple[_Tables, _Tables]:
    """Return what tiles touch of the ifmap's rows and columns."""
    return _Tables(nest.rows, tiles["P"]), _Tables(nest.cols, tiles["Q"])


class _Tables:
    """What tiles touch of one spatial axis, by candidate."""

    def __init__(self, axis: Axis, tiles: Ints) -> None:
        sizes, where = np.unique(tiles, return_inverse=True)
        found = [axis.touched(int(size)) for size in sizes]
        self.largest, self.first, self.total, self.sliding = (
            np.array([getattr(touched, name) for touched in found], dtype=np.int64)[where] for name in Touched.__slots__
        )


def _packed(count: Ints, bits: int) -> Ints:
    return -(-count * bits // BITS_PER_BYTE)
