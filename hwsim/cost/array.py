"""Array model: the layers a MAC array runs, each with the best of its mappings at every hardware point.

Time of a mapping, with double buffering: the first tiles fill the buffer, then computing, the buffer's port and every
home memory's port run side by side and the slowest decides, then the last ofmap tile drains:

    latency = fill + max(compute, buffer port, each home − its share of fill and drain) + drain

Without double buffering computing and transfers take turns, and every transfer waits for its memory's latency. Traffic
of a mapping never depends on the clock or the bandwidth, but the choice among mappings does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, Dataflow, HardwarePoints
from hwsim.cost.nest import Nest
from hwsim.cost.residency import Residency
from hwsim.cost.spatial import BufferTraffic, buffer_traffic
from hwsim.cost.tiling import Candidates, candidates
from hwsim.cost.workload import Row
from hwsim.errors import CostError
from hwsim.units import J_PER_PJ

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

OBJECTIVES = ("latency", "energy", "edp", "traffic")
# Objectives of equal value to this relative precision are a tie, which the next objective breaks.
TIE = 1e-12
# Points are costed in chunks of about this many [candidate, point] cells, to bound memory.
CELLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Mapped:
    """The chosen mapping of layers with MACs and what it costs, arrays of shape [layer, point].

    Attributes:
        feasible: Whether any tile fits the buffer; where not, times are nan.
        cycles: Array cycles.
        compute_s: Array time.
        buffer_s: Busy time of the buffer's port.
        activation_s: Busy time of the activations' home.
        weight_s: Busy time of the weights' home, zero where it is the activations'.
        overhead_s: First fill and last drain, or the latency of all transfers.
        latency_s: All of it.
        ifmap_bytes: Read from the activations' home.
        filter_bytes: Read from the weights' home (the activations' for a product of activations).
        footprint_bytes: Buffer bytes; of the smallest mapping where none fits.
        dataflow: Index into the engine's dataflows.
        order: Index into ``tiling.ORDERS``.
        g: Groups in a tile; ``k``, ``c``, ``p``, ``q`` likewise filters, channels, rows, columns.
        buffer_ifmap_bytes: Read from the buffer by the array.
        buffer_filter_bytes: Read from the buffer by the array.
    """

    feasible: npt.NDArray[np.bool_]
    cycles: Floats
    compute_s: Floats
    buffer_s: Floats
    activation_s: Floats
    weight_s: Floats
    overhead_s: Floats
    latency_s: Floats
    ifmap_bytes: Ints
    filter_bytes: Ints
    footprint_bytes: Ints
    dataflow: Ints
    order: Ints
    g: Ints
    k: Ints
    c: Ints
    p: Ints
    q: Ints
    buffer_ifmap_bytes: Ints
    buffer_filter_bytes: Ints


@dataclass(frozen=True, slots=True)
class _Front:
    """The candidates of several nests end to end, with their buffer traffic."""

    columns: Candidates
    starts: npt.NDArray[np.intp]
    owner: npt.NDArray[np.intp]
    buffer_ifmap: Ints
    buffer_filter: Ints


@lru_cache(maxsize=256)
def _front(
    nests: tuple[Nest, ...],
    rows: int,
    cols: int,
    dataflows: tuple[Dataflow, ...],
    psum_bytes: int,
    double_buffered: bool,
) -> _Front:
    sets = [candidates(nest, rows, cols, dataflows, psum_bytes, double_buffered) for nest in nests]
    lengths = np.array([len(found) for found in sets])
    columns = Candidates.joined(sets)
    owner = np.repeat(np.arange(len(sets)), lengths)
    traffic: list[list[BufferTraffic]] = [
        [buffer_traffic(nest, dataflow, rows, cols) for dataflow in dataflows] for nest in nests
    ]
    ifmap, filter_ = (
        np.array([[getattr(t, name) for t in row] for row in traffic], dtype=np.int64)[owner, columns.dataflow]
        for name in ("ifmap_bytes", "filter_bytes")
    )
    return _Front(columns, np.cumsum(lengths) - lengths, owner, ifmap, filter_)


def map_layers(
    layers: Sequence[Row], engine: ArrayEngine, points: HardwarePoints, residency: Residency, objective: str
) -> Mapped:
    """Map every layer with MACs at every point.

    Args:
        layers: Rows with a nest.
        engine: The array; its first memory is the buffer, unless it has only one.
        points: Hardware points.
        residency: Homes of weights and activations.
        objective: One of ``OBJECTIVES``; ties are broken by the next in that order.

    Returns:
        Arrays of shape [layer, point].
    """
    distinct = list(dict.fromkeys((row.nest, row.dtype, row.activation_filter, row.ofmap_bytes) for row in layers))
    position = {key: index for index, key in enumerate(distinct)}
    where = np.array([position[row.nest, row.dtype, row.activation_filter, row.ofmap_bytes] for row in layers])
    hardware = points.engine(engine.name)
    shapes = np.stack(np.broadcast_arrays(hardware.rows, hardware.cols, np.zeros(points.count, np.int64))[:2])
    pairs, owner = np.unique(shapes, axis=1, return_inverse=True)
    owner = owner.reshape(-1)
    blank = {name: np.zeros((len(distinct), points.count)) for name in Mapped.__slots__}
    for index, (rows, cols) in enumerate(pairs.T):
        cost = _ShapeCost(distinct, engine, points, residency, objective, int(rows), int(cols))
        chosen = np.flatnonzero(owner == index)
        step = max(CELLS // len(cost.front.owner), 1)
        for start in range(0, len(chosen), step):
            at = chosen[start : start + step]
            for name, column in cost.best(at).items():
                blank[name][:, at] = column
    kinds = {"feasible": np.bool_} | dict.fromkeys(_INTEGERS, np.int64)
    return Mapped(**{name: column[where].astype(kinds.get(name, np.float64)) for name, column in blank.items()})


_TILES = ("dataflow", "order", "g", "k", "c", "p", "q")
_INTEGERS = (*_TILES, "ifmap_bytes", "filter_bytes", "footprint_bytes", "buffer_ifmap_bytes", "buffer_filter_bytes")


class _ShapeCost:
    """Costs of all candidates of all layers on one array shape, over the points that have it."""

    def __init__(
        self,
        layers: Sequence[tuple[Nest | None, str, bool, int]],
        engine: ArrayEngine,
        points: HardwarePoints,
        residency: Residency,
        objective: str,
        rows: int,
        cols: int,
    ) -> None:
        nests = tuple(nest for nest, *_ in layers if nest is not None)
        names = engine.memory_names(points.chip)
        buffer = points.chip.memory(names[0])
        self._overlap = buffer.double_buffered
        self._has_buffer = len(names) > 1
        self._buffer = points.memory(names[0])
        self._clock = points.engine(engine.name).clock_hz
        self._points, self._residency, self._objective = points, residency, objective
        self.front = _front(nests, rows, cols, engine.dataflow_table, engine.psum_bytes, self._overlap)
        of = self.front.owner
        self._ofmap = np.array([ofmap for *_, ofmap in layers], dtype=np.int64)[of][:, None]
        self._from_activations = np.array([flag for _, _, flag, _ in layers])[of][:, None]
        self._macs_per_pe = np.array([macs_per_pe(engine, dtype) for _, dtype, *_ in layers])[of][:, None]

    def best(self, at: npt.NDArray[np.intp]) -> dict[str, np.ndarray]:
        """Return the chosen mapping's quantities at these points, each of shape [layer, point]."""
        cost = self._all(at)
        chosen = _choose(self._ranked(cost, at), self.front.starts, self.front.owner)
        result: dict[str, np.ndarray] = {
            name: np.take_along_axis(column, chosen, axis=0) for name, column in cost.items()
        }
        result["feasible"] = np.isfinite(result["latency_s"])
        for name in ("latency_s", "overhead_s"):
            result[name] = np.where(result["feasible"], result[name], np.nan)
        for name in (*_TILES, "ifmap_bytes", "filter_bytes", "footprint_bytes"):
            result[name] = getattr(self.front.columns, name)[chosen]
        result["buffer_ifmap_bytes"] = self.front.buffer_ifmap[chosen]
        result["buffer_filter_bytes"] = self.front.buffer_filter[chosen]
        return result

    def _all(self, at: npt.NDArray[np.intp]) -> dict[str, Floats]:
        """Return times of every candidate at these points, shape [candidate, point]; inf where it does not fit."""
        columns, home, store = self.front.columns, self._residency.activations, self._residency.weights
        shape = (len(columns), len(at))
        read, write, latency = home.read_s_per_byte[at], home.write_s_per_byte[at], home.latency_s[at]
        together = self._from_activations | (home.index == store.index)[at]
        filter_read = np.where(self._from_activations, read, store.read_s_per_byte[at])
        filter_latency = np.where(together, 0.0, store.latency_s[at])

        filter_s = columns.filter_bytes[:, None] * filter_read
        activation_s = columns.ifmap_bytes[:, None] * read + self._ofmap * write + np.where(together, filter_s, 0.0)
        weight_s = np.where(together, 0.0, filter_s)
        compute_s = np.ceil(columns.cycles[:, None] / self._macs_per_pe) / self._at(self._clock, at)
        buffer_s = self._buffer_time(at) if self._has_buffer else np.zeros(shape)
        if self._overlap:
            ifmap_fill = columns.ifmap_fill_bytes[:, None] * read
            filter_fill = columns.filter_fill_bytes[:, None] * filter_read
            drain = columns.drain_bytes[:, None] * write
            fill_home = ifmap_fill + np.where(together, filter_fill, 0.0)
            fill_store = np.where(together, 0.0, filter_fill)
            overhead_s = np.maximum(fill_home + latency, fill_store + filter_latency) + drain
            rest = np.maximum(activation_s - fill_home - drain, weight_s - fill_store)
            latency_s = overhead_s + np.maximum(np.maximum(compute_s, buffer_s), rest)
        else:
            overhead_s = columns.transfers[:, None] * np.maximum(latency, filter_latency)
            latency_s = overhead_s + np.maximum(compute_s, buffer_s) + activation_s + weight_s
        if self._has_buffer:
            fits = columns.footprint_bytes[:, None] <= self._at(self._buffer.size_bytes, at)
            latency_s = np.where(fits, latency_s, np.inf)
        times = (compute_s, buffer_s, activation_s, weight_s, overhead_s, latency_s)
        names = ("compute_s", "buffer_s", "activation_s", "weight_s", "overhead_s", "latency_s")
        cost = {name: np.broadcast_to(column, shape) for name, column in zip(names, times, strict=True)}
        cost["cycles"] = np.broadcast_to(np.ceil(columns.cycles[:, None] / self._macs_per_pe), shape)
        return cost

    def _buffer_time(self, at: npt.NDArray[np.intp]) -> Floats:
        """Return the busy time of the buffer's port: what the array takes and gives, and what homes bring and fetch."""
        columns = self.front.columns
        reads = (self.front.buffer_ifmap + self.front.buffer_filter)[:, None] + self._ofmap
        writes = (columns.ifmap_bytes + columns.filter_bytes)[:, None] + self._ofmap
        read_s = reads / self._at(self._buffer.read_bytes_per_s, at)
        return np.asarray(read_s + writes / self._at(self._buffer.write_bytes_per_s, at))

    def _ranked(self, cost: dict[str, Floats], at: npt.NDArray[np.intp]) -> list[Floats]:
        """Return the objectives, the asked one first, shape [candidate, point]; inf where a mapping does not fit."""
        columns, home, store = self.front.columns, self._residency.activations, self._residency.weights
        latency = cost["latency_s"]
        fits = np.isfinite(latency)
        moved = columns.ifmap_bytes + columns.filter_bytes
        filter_pj = np.where(self._from_activations, home.read_pj_per_byte[at], store.read_pj_per_byte[at])
        picojoules = (
            columns.ifmap_bytes[:, None] * home.read_pj_per_byte[at] + columns.filter_bytes[:, None] * filter_pj
        )
        if self._has_buffer:
            picojoules = picojoules + moved[:, None] * self._at(self._buffer.write_pj_per_byte, at)
            taken = (self.front.buffer_ifmap + self.front.buffer_filter)[:, None]
            picojoules = picojoules + taken * self._at(self._buffer.read_pj_per_byte, at)
        # An infinite time (it does not fit) at no static power costs nothing; it must not become nan.
        energy = picojoules * J_PER_PJ + self._at(self._points.static_w, at) * np.where(fits, latency, 0.0)
        energy = np.where(fits, energy, np.inf)
        traffic = np.where(fits, moved[:, None], np.inf)
        values = dict(zip(OBJECTIVES, (latency, energy, energy * latency, traffic), strict=True))
        order = [self._objective, *(name for name in OBJECTIVES if name != self._objective)]
        # Where nothing fits, the smallest footprint is chosen, to say what is missing.
        small = np.where(fits, 0, columns.footprint_bytes[:, None]).astype(np.float64)
        return [*(values[name] for name in order), small]

    def _at(self, column: np.ndarray, at: npt.NDArray[np.intp]) -> np.ndarray:
        return np.broadcast_to(column, (self._points.count,))[at]


def macs_per_pe(engine: ArrayEngine, dtype: str) -> float:
    """Return the MACs one PE does in a cycle at a dtype.

    Raises:
        CostError: The engine's profile has no rate for it.
    """
    rates: dict[str, float] = {str(name): rate for name, rate in engine.macs_per_pe.items()}
    rate = rates.get("int8" if dtype == "uint8" else dtype)
    if rate is None:
        known = ", ".join(engine.macs_per_pe)
        raise CostError(f"engine {engine.name!r} does no {dtype} MACs; it does {known}: cost the net with --dtype")
    return rate


def _choose(ranked: list[Floats], starts: npt.NDArray[np.intp], owner: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return, for each layer and point, the position of its first best candidate, shape [layer, point]."""
    open_ = np.ones(ranked[0].shape, dtype=bool)
    for values in ranked:
        left = np.where(open_, values, np.inf)
        best = np.minimum.reduceat(left, starts, axis=0)[owner]
        open_ &= (left <= best * (1 + TIE)) | np.isinf(best)
    position = np.where(open_, np.arange(len(owner))[:, None], len(owner))
    return np.minimum.reduceat(position, starts, axis=0)
