"""Array model: the layers a MAC array runs, each with the best of its mappings at every hardware point.

The choice is made among candidates that pruning has left (``tiling``), at all points of an array's shape at once
(``choosing``). What a mapping costs is in ``array_time``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import inf

import numpy as np
import numpy.typing as npt

from hwsim.chip import OPERANDS, ArrayEngine, Chip, HardwarePoints, rate_dtype
from hwsim.cost.array_time import Moves, Rates, buffer_names, prices_of, times_of
from hwsim.cost.choosing import choose
from hwsim.cost.hooks import coded
from hwsim.cost.nest import Nest
from hwsim.cost.residency import Residency
from hwsim.cost.tiling import ArraySetup, Candidates, Prices, buffer_traffic, candidates
from hwsim.cost.workload import Row
from hwsim.errors import CostError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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
    times = {name: np.zeros(shape) for name in ("cycles", "activation", "weight", "overhead", "latency")}
    ports = np.zeros((len(names), *shape))
    choice = np.zeros(shape, dtype=np.intp)
    tables, length = [], 0
    for group in _groups(engine, points, residency):
        setup = array_setup(engine, points.chip, group.rows, group.cols)
        here = rates.at(group.points)
        table, owner, moves = _front(
            tuple(distinct),
            tuple(dtypes),
            setup,
            prices_of(here, together=group.together),
            tuple(macs_per_pe(engine, dtype) for dtype in dtypes),
        )
        best = choose(moves, owner, here, transfers, objective)
        chosen = moves.take(best)
        found = times_of(chosen, here, transfers)
        for name in times:
            times[name][:, group.points] = chosen.cycles if name == "cycles" else getattr(found, name)
        ports[:, :, group.points] = found.ports
        choice[:, group.points] = best + length
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
    """Points that share an array's shape, and whether both homes are one memory.

    Attributes:
        points: Their indices.
        rows: Rows of the array.
        cols: Columns of the array.
        together: Whether weights and activations have the same home.
    """

    points: npt.NDArray[np.intp]
    rows: int
    cols: int
    together: bool


def _groups(engine: ArrayEngine, points: HardwarePoints, residency: Residency) -> Iterator[_Group]:
    """Yield points group by group."""
    hardware = points.engine(engine.name)
    together = residency.activations.index == residency.weights.index
    shared = np.stack(np.broadcast_arrays(hardware.rows, hardware.cols, together)).astype(np.int64)
    shapes, owner = np.unique(shared, axis=1, return_inverse=True)
    for index, (rows, cols, one_home) in enumerate(shapes.T.tolist()):
        yield _Group(np.flatnonzero(owner.reshape(-1) == index), rows, cols, bool(one_home))


@lru_cache(maxsize=1024)
def _front(
    layers: tuple[Layer, ...],
    dtypes: tuple[str, ...],
    setup: ArraySetup,
    prices: Prices,
    macs_per_cycle: tuple[float, ...],
) -> tuple[Candidates, npt.NDArray[np.intp], Moves]:
    """Return the candidates of layers end to end, the layer of each, and what they move."""
    sets = [
        candidates(nest, setup, replace(prices, together=prices.together or from_activations))
        for nest, _, from_activations in layers
    ]
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
        pj=np.zeros(len(table)),
    )
    return table, owner, moves


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
