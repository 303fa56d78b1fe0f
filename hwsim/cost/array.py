"""Array model: the layers a MAC array runs, each with the best of its mappings at every hardware point.

The choice is made among candidates that pruning has left (``tiling``), at all points at once: points much alike stand
in boxes, and bounds of the objective at a box's corners rule candidates out before each point is looked at. What a
mapping costs is in ``array_time``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import inf

import numpy as np
import numpy.typing as npt

from hwsim.chip import OPERANDS, ArrayEngine, Chip, HardwarePoints, Transfers, rate_dtype
from hwsim.cost.array_time import OBJECTIVES, Moves, Rates, Times, buffer_names, objective_of, prices_of, times_of
from hwsim.cost.hooks import coded
from hwsim.cost.nest import Nest
from hwsim.cost.residency import Residency
from hwsim.cost.tiling import ArraySetup, Candidates, Prices, buffer_traffic, candidates, candidates_within
from hwsim.cost.workload import Row
from hwsim.errors import CostError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Objectives of equal value to this relative precision are a tie, which the next objective breaks.
TIE = 1e-12
# Points that a buffer size must have, on average, before candidates are pruned once more for that size.
WORTH_A_FRONT = 8
# Alike points are costed together in boxes of these sizes, each a part of the one before.
BOXES = (8192, 1024, 128)


@dataclass(frozen=True)
class Mapped:
    """The chosen mapping of layers with MACs and what it costs, arrays of shape [layer, point].

    Attributes:
        feasible: Whether any tile fits the buffers; where not, times are nan.
        cycles: Array cycles.
        compute_s: Array time.
        buffer_s: Busy time of each tile buffer's port, [buffer, layer, point], in the order of ``buffer_names``.
        activation_s: Busy time of the activations' home.
        weight_s: Busy time of the weights' home, zero where it is the activations'.
        overhead_s: First fill and last drain, or the latency of all transfers.
        latency_s: All of it.
        table: Candidates among which the mappings were chosen.
        choice: Index of the chosen one; of the smallest footprint where none fits.
    """

    feasible: npt.NDArray[np.bool_]
    cycles: Floats
    compute_s: Floats
    buffer_s: Floats
    activation_s: Floats
    weight_s: Floats
    overhead_s: Floats
    latency_s: Floats
    table: Candidates
    choice: npt.NDArray[np.intp]

    @cached_property
    def tiles(self) -> Candidates:
        """The chosen mappings, each column of shape [layer, point]."""
        return self.table.take(self.choice)


def array_setup(engine: ArrayEngine, chip: Chip, rows: int, cols: int) -> ArraySetup:
    """Return what the mapspaces of an array of this size depend on."""
    held = engine.buffers(chip)
    names = buffer_names(engine, chip)
    mode = chip.memory(names[0]).transfers if names else "ideal"
    ifmap, filter_, ofmap = (names.index(held[operand]) if operand in held else -1 for operand in OPERANDS)
    bus = engine.bus_bytes_per_cycle
    return ArraySetup(
        rows=rows,
        cols=cols,
        dataflows=engine.dataflow_table,
        psum_bytes=engine.psum_bytes,
        buffers=(ifmap, filter_, ofmap),
        copies=2 if mode == "double_buffered" else 1,
        filled=mode == "double_buffered",
        bus=(bus.get("ifmap", inf), bus.get("filter", inf), bus.get("psum", inf)),
        sparsity=engine.sparsity,
    )


@dataclass(frozen=True, slots=True)
class _Front:
    """Candidates of several layers end to end; those of layer i start at ``starts[i]`` and have ``owner`` i.

    Attributes:
        index: Position of each among the candidates of the group.
        moves: What they move.
        starts: Where each layer's candidates start.
        owner: The layer of each candidate.
    """

    index: npt.NDArray[np.intp]
    moves: Moves
    starts: npt.NDArray[np.intp]
    owner: npt.NDArray[np.intp]

    def take(self, kept: npt.NDArray[np.bool_]) -> _Front:
        """Return the candidates kept; each layer keeps one at least."""
        owner = self.owner[kept]
        starts = np.searchsorted(owner, np.arange(len(self.starts)))
        return _Front(self.index[kept], self.moves.take(kept), starts, owner)


Layer = tuple[Nest, str, bool]  # nest, dtype, whether the filter is an activation


def map_layers(
    layers: Sequence[Row], engine: ArrayEngine, points: HardwarePoints, residency: Residency, objective: str
) -> Mapped:
    """Map every layer with MACs at every point.

    Args:
        layers: Rows with a nest.
        engine: The array.
        points: Hardware points.
        residency: Homes of weights and activations.
        objective: One of ``OBJECTIVES``; ties are broken by the next in that order.

    Returns:
        Arrays of shape [layer, point].
    """
    keys = [(row.nest, row.dtype, row.activation_filter) for row in layers if row.nest is not None]
    distinct = list(dict.fromkeys(keys))
    position = {key: index for index, key in enumerate(distinct)}
    where = np.array([position[key] for key in keys])
    dtypes = list(dict.fromkeys(dtype for _, dtype, _ in distinct))
    rates = Rates.of(engine, points, residency, dtypes)
    names = buffer_names(engine, points.chip)
    transfers = points.chip.memory(names[0]).transfers if names else "ideal"
    shape = (len(distinct), points.count)
    times = {name: np.zeros(shape) for name in ("cycles", *Times.__slots__) if name != "ports"}
    ports = np.zeros((len(names), *shape))
    choice = np.zeros(shape, dtype=np.intp)
    tables, length = [], 0
    for group in _groups(engine, points, residency):
        setup = array_setup(engine, points.chip, group.rows, group.cols)
        table, front = _front(
            tuple(distinct),
            tuple(dtypes),
            setup,
            prices_of(rates.at(group.points), together=group.together),
            tuple(macs_per_pe(engine, dtype) for dtype in dtypes),
            group.capacity_bytes,
        )
        # Neighbours in this order are much alike; boxes of them are slices.
        at = group.points[rates.at(group.points).alike_first()]
        here = rates.at(at)
        best = np.empty((len(distinct), len(at)), dtype=np.intp)
        for box, chosen in _best(front, here, slice(0, len(at)), transfers, objective, BOXES):
            best[:, box] = chosen
        moves = front.moves.take(best)
        found = times_of(moves, here, transfers)
        for name in times:
            times[name][:, at] = moves.cycles if name == "cycles" else getattr(found, name)
        ports[:, :, at] = found.ports
        choice[:, at] = best + length
        tables.append(table)
        length += len(table)
    feasible = np.isfinite(times["latency"])
    for name in ("latency", "overhead"):
        times[name][~feasible] = np.nan
    return Mapped(
        feasible=feasible[where],
        cycles=times["cycles"][where],
        compute_s=(times["cycles"] * rates.cycle_s)[where],
        buffer_s=(ports * rates.cycle_s)[:, where],
        activation_s=(times["activation"] * rates.cycle_s)[where],
        weight_s=(times["weight"] * rates.cycle_s)[where],
        overhead_s=(times["overhead"] * rates.cycle_s)[where],
        latency_s=(times["latency"] * rates.cycle_s)[where],
        table=Candidates.joined(tables),
        choice=choice[where],
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """Points that share an array's shape, whether both homes are one memory, and perhaps the sizes of the buffers.

    Attributes:
        points: Their indices.
        rows: Rows of the array.
        cols: Columns of the array.
        together: Whether weights and activations have the same home.
        capacity_bytes: Usable bytes of each buffer; None where they differ.
    """

    points: npt.NDArray[np.intp]
    rows: int
    cols: int
    together: bool
    capacity_bytes: tuple[int, ...] | None


def _groups(engine: ArrayEngine, points: HardwarePoints, residency: Residency) -> Iterator[_Group]:
    """Yield points group by group; those of one buffer size apart where each size has points enough to be worth it."""
    hardware = points.engine(engine.name)
    sizes = [points.memory(name).size_bytes for name in buffer_names(engine, points.chip)]
    together = residency.activations.index == residency.weights.index
    shared = np.stack(np.broadcast_arrays(hardware.rows, hardware.cols, together, *sizes)).astype(np.int64)
    shapes, owner = np.unique(shared[:3], axis=1, return_inverse=True)
    for index, (rows, cols, one_home) in enumerate(shapes.T.tolist()):
        inside = np.flatnonzero(owner.reshape(-1) == index)
        capacities, of = np.unique(shared[3:, inside], axis=1, return_inverse=True)
        if capacities.shape[1] * WORTH_A_FRONT > len(inside) > 1:
            yield _Group(inside, rows, cols, bool(one_home), None)
            continue
        for number, capacity in enumerate(capacities.T.tolist()):
            yield _Group(inside[of.reshape(-1) == number], rows, cols, bool(one_home), tuple(capacity))


@lru_cache(maxsize=1024)
def _front(
    layers: tuple[Layer, ...],
    dtypes: tuple[str, ...],
    setup: ArraySetup,
    prices: Prices,
    macs_per_cycle: tuple[float, ...],
    capacity_bytes: tuple[int, ...] | None,
) -> tuple[Candidates, _Front]:
    """Return the candidates of layers: for buffers of one size, or for all sizes where none is given."""
    sets = []
    for nest, _, from_activations in layers:
        mine = replace(prices, together=prices.together or from_activations)
        sets.append(
            candidates(nest, setup, mine)
            if capacity_bytes is None
            else candidates_within(nest, setup, mine, capacity_bytes)
        )
    lengths = np.array([len(found) for found in sets])
    owner = np.repeat(np.arange(len(sets)), lengths)
    table = Candidates.joined(sets)
    together = np.array([prices.together or from_activations for *_, from_activations in layers])[owner]
    dtype = np.array([dtypes.index(dtype) for _, dtype, _ in layers])[owner]
    traffic = [buffer_traffic(table, setup, index) for index in range(setup.buffer_count)]
    empty = np.zeros((0, len(table)))
    ifmap, filter_ = coded(table.ifmap_bytes, table.ifmap_coded), coded(table.filter_bytes, table.filter_coded)
    filter_fill = coded(table.filter_fill_bytes, table.filter_coded)
    ofmap = coded(np.array([nest.ofmap_bytes for nest, *_ in layers])[owner], table.ofmap_coded)
    moves = Moves(
        cycles=np.maximum(np.ceil(table.cycles / np.array(macs_per_cycle)[dtype]), table.bus_cycles)
        + table.load_cycles,
        reads=(ifmap + table.psum_in_bytes + np.where(together, filter_, 0)).astype(np.float64),
        writes=(ofmap + table.psum_out_bytes).astype(np.float64),
        stored=np.where(together, 0.0, filter_),
        fill=(coded(table.ifmap_fill_bytes, table.ifmap_coded) + np.where(together, filter_fill, 0)).astype(np.float64),
        stored_fill=np.where(together, 0.0, filter_fill),
        drain=coded(table.drain_bytes, table.ofmap_coded).astype(np.float64),
        transfers=table.transfers.astype(np.float64),
        moved=(ifmap + filter_ + table.psum_in_bytes + table.psum_out_bytes).astype(np.float64),
        macs=table.macs_priced.astype(np.float64),
        dtype=dtype,
        tiles=np.array(table.buffer_bytes(setup), dtype=np.float64) if traffic else empty,
        buffer_reads=np.array([reads for reads, _ in traffic], dtype=np.float64) if traffic else empty,
        buffer_writes=np.array([writes for _, writes in traffic], dtype=np.float64) if traffic else empty,
    )
    return table, _Front(np.arange(len(table)), moves, np.cumsum(lengths) - lengths, owner)


def _best(
    front: _Front, rates: Rates, within: slice, transfers: Transfers, objective: str, boxes: tuple[int, ...]
) -> Iterator[tuple[slice, npt.NDArray[np.intp]]]:
    """Yield boxes of neighbouring points, with the best mapping of each layer at each of them, [layer, point]."""
    for start in range(within.start, within.stop, boxes[0]):
        box = slice(start, min(start + boxes[0], within.stop))
        size, here = box.stop - box.start, rates.at(box)
        inside = front if size < boxes[-1] else _without_hopeless(front, here.corners(), transfers, objective)
        if len(boxes) > 1 and size > boxes[1]:
            yield from _best(inside, rates, box, transfers, objective, boxes[1:])
        else:
            yield box, _choose(inside, here, transfers, objective)


def _without_hopeless(front: _Front, corners: Rates, transfers: Transfers, objective: str) -> _Front:
    """Return the candidates that can be the best somewhere in a box of points.

    Every objective grows with every rate and shrinks with a buffer's size, so that its value at the good corner is a
    lower bound and at the bad corner an upper bound; whoever cannot get below another's upper bound is out.
    """
    moves = front.moves.upright()
    low, high = objective_of(objective, moves, corners, times_of(moves, corners, transfers).latency).T
    enough = np.minimum.reduceat(high, front.starts)[front.owner]
    return front.take(low <= enough * (1 + TIE))


def _choose(front: _Front, rates: Rates, transfers: Transfers, objective: str) -> npt.NDArray[np.intp]:
    """Return, for each layer and point, the index of its first best candidate, shape [layer, point]."""
    latency = times_of(front.moves.upright(), rates, transfers).latency
    open_ = np.ones(latency.shape, dtype=bool)
    for name in (objective, *(other for other in OBJECTIVES if other != objective), "footprint"):
        moves = front.moves.upright()
        if name == "footprint":
            # Where nothing fits, the smallest footprint is chosen, to say what is missing.
            values = np.where(np.isinf(latency), moves.tiles.sum(axis=0), 0.0)
        else:
            values = objective_of(name, moves, rates, latency)
        left = np.where(open_, values, np.inf)
        best = np.minimum.reduceat(left, front.starts, axis=0)[front.owner]
        open_ &= (left <= best * (1 + TIE)) | np.isinf(best)
        # Few are as good as the best anywhere; the next objective need not look at the others.
        somewhere = np.asarray(open_.any(axis=1))
        front, open_, latency = front.take(somewhere), open_[somewhere], latency[somewhere]
        if len(front.index) == len(front.starts):
            break
    position = np.where(open_, np.arange(len(front.owner))[:, None], len(front.owner))
    return front.index[np.minimum.reduceat(position, front.starts, axis=0)]


def macs_per_pe(engine: ArrayEngine, dtype: str) -> float:
    """Return the MACs one PE does in a cycle at a dtype.

    Raises:
        CostError: The engine's profile has no rate for it.
    """
    rate = engine.macs_per_pe.get(rate_dtype(dtype))
    if rate is None:
        known = ", ".join(engine.macs_per_pe)
        raise CostError(f"engine {engine.name!r} does no {dtype} MACs; it does {known}: cost the net with --dtype")
    return rate
