"""Array model: the layers a MAC array runs, each with the best of its mappings at every hardware point.

Time of a mapping whose buffers are double-buffered: the first tiles fill them, then computing, every buffer's port and
every home memory's port run side by side and the slowest decides, then the last ofmap tile drains:

    latency = max(fill + max(compute, buffer ports) + drain, each home's transfers, fill and drain among them)

With ``serial`` transfers computing and transfers take turns, and every transfer waits for its memory's latency; with
``ideal`` ones everything overlaps and neither fill nor drain counts, as several other tools assume. Traffic of a
mapping never depends on the clock or the bandwidth, but the choice among mappings does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hwsim.chip import OPERANDS, ArrayEngine, Chip, HardwarePoints
from hwsim.cost.nest import Nest
from hwsim.cost.residency import Residency
from hwsim.cost.tiling import ArraySetup, Candidates, Prices, buffer_traffic, candidates, candidates_within
from hwsim.cost.workload import Row
from hwsim.errors import CostError
from hwsim.units import J_PER_PJ

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

OBJECTIVES = ("latency", "energy", "edp", "traffic")
# Objectives of equal value to this relative precision are a tie, which the next objective breaks.
TIE = 1e-12
# Points are costed in chunks of about this many [candidate, point] cells, which a processor's cache can hold.
CELLS = 50_000
# Points that a buffer size must have, on average, before candidates are pruned once more for that size.
WORTH_A_FRONT = 8


@dataclass(frozen=True, slots=True)
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
        tiles: The chosen mappings; of the smallest footprint where none fits.
    """

    feasible: npt.NDArray[np.bool_]
    cycles: Floats
    compute_s: Floats
    buffer_s: Floats
    activation_s: Floats
    weight_s: Floats
    overhead_s: Floats
    latency_s: Floats
    tiles: Candidates


def buffer_names(engine: ArrayEngine, chip: Chip) -> list[str]:
    """Return an array's tile buffers, nearest first."""
    return list(dict.fromkeys(engine.buffers(chip).values()))


def array_setup(engine: ArrayEngine, chip: Chip, rows: int, cols: int) -> ArraySetup:
    """Return what the mapspaces of an array of this size depend on."""
    held = engine.buffers(chip)
    names = buffer_names(engine, chip)
    mode = chip.memory(names[0]).transfers if names else "ideal"
    ifmap, filter_, ofmap = (names.index(held[operand]) if operand in held else -1 for operand in OPERANDS)
    return ArraySetup(
        rows=rows,
        cols=cols,
        dataflows=engine.dataflow_table,
        psum_bytes=engine.psum_bytes,
        buffers=(ifmap, filter_, ofmap),
        copies=2 if mode == "double_buffered" else 1,
        filled=mode == "double_buffered",
    )


@dataclass(frozen=True, slots=True)
class _Fronts:
    """The candidates of several nests end to end; candidates of nest i start at ``starts[i]`` and have ``owner`` i."""

    columns: Candidates
    starts: npt.NDArray[np.intp]
    owner: npt.NDArray[np.intp]


@lru_cache(maxsize=1024)
def _fronts(
    nests: tuple[Nest, ...],
    setup: ArraySetup,
    prices: tuple[Prices, ...],
    capacity_bytes: tuple[int, ...] | None,
) -> _Fronts:
    """Return the candidates of nests: for buffers of one size, or for all sizes where none is given."""
    sets = [
        candidates(nest, setup, price)
        if capacity_bytes is None
        else candidates_within(nest, setup, price, capacity_bytes)
        for nest, price in zip(nests, prices, strict=True)
    ]
    lengths = np.array([len(found) for found in sets])
    return _Fronts(Candidates.joined(sets), np.cumsum(lengths) - lengths, np.repeat(np.arange(len(sets)), lengths))


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
    distinct = list(dict.fromkeys((row.nest, row.dtype, row.activation_filter) for row in layers))
    position = {key: index for index, key in enumerate(distinct)}
    where = np.array([position[row.nest, row.dtype, row.activation_filter] for row in layers])
    shape = (len(distinct), points.count)
    buffers = buffer_names(engine, points.chip)
    times = {name: np.zeros(shape) for name in TIMES}
    buffer_s = np.zeros((len(buffers), *shape))
    tiles: dict[str, Ints] = {field.name: np.zeros(shape, dtype=np.int64) for field in fields(Candidates)}
    for group in _groups(engine, points, residency):
        cost = _GroupCost(distinct, engine, points, residency, objective, group)
        step = max(CELLS // len(cost.fronts.owner), 1)
        for start in range(0, len(group.points), step):
            at = group.points[start : start + step]
            best, found, busy = cost.best(at)
            for name, column in found.items():
                times[name][:, at] = column
            buffer_s[:, :, at] = busy
            for name in tiles:
                tiles[name][:, at] = getattr(cost.fronts.columns, name)[best]
    feasible = np.isfinite(times["latency_s"])
    for name in ("latency_s", "overhead_s"):
        times[name][~feasible] = np.nan
    return Mapped(
        feasible=feasible[where],
        buffer_s=buffer_s[:, where],
        tiles=Candidates(**{name: column[where] for name, column in tiles.items()}),
        **{name: column[where] for name, column in times.items()},
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """Points that share an array's shape, whether both homes are one memory, and perhaps the sizes of the buffers.

    Attributes:
        points: Their indices.
        rows: Rows of the array.
        cols: Columns of the array.
        capacity_bytes: Usable bytes of each buffer; None where they differ.
    """

    points: npt.NDArray[np.intp]
    rows: int
    cols: int
    capacity_bytes: tuple[int, ...] | None


def _groups(engine: ArrayEngine, points: HardwarePoints, residency: Residency) -> Iterator[_Group]:
    """Yield points group by group; those of one buffer size apart where each size has points enough to be worth it."""
    hardware = points.engine(engine.name)
    sizes = [points.memory(name).size_bytes for name in buffer_names(engine, points.chip)]
    together = residency.activations.index == residency.weights.index
    shared = np.stack(np.broadcast_arrays(hardware.rows, hardware.cols, together, *sizes)).astype(np.int64)
    shapes, owner = np.unique(shared[:3], axis=1, return_inverse=True)
    for index, (rows, cols, _) in enumerate(shapes.T.tolist()):
        inside = np.flatnonzero(owner.reshape(-1) == index)
        capacities, of = np.unique(shared[3:, inside], axis=1, return_inverse=True)
        if capacities.shape[1] * WORTH_A_FRONT > len(inside) > 1:
            yield _Group(inside, rows, cols, None)
            continue
        for number, capacity in enumerate(capacities.T.tolist()):
            yield _Group(inside[of.reshape(-1) == number], rows, cols, tuple(capacity))


TIMES = ("cycles", "compute_s", "activation_s", "weight_s", "overhead_s", "latency_s")


class _GroupCost:
    """Costs of all candidates of all layers over a group of points."""

    def __init__(
        self,
        layers: Sequence[tuple[Nest | None, str, bool]],
        engine: ArrayEngine,
        points: HardwarePoints,
        residency: Residency,
        objective: str,
        group: _Group,
    ) -> None:
        nests = tuple(nest for nest, *_ in layers if nest is not None)
        names = buffer_names(engine, points.chip)
        self._mode = points.chip.memory(names[0]).transfers if names else "ideal"
        self._setup = array_setup(engine, points.chip, group.rows, group.cols)
        self._buffers = [points.memory(name) for name in names]
        self._clock = points.engine(engine.name).clock_hz
        self._points, self._residency, self._objective = points, residency, objective
        prices = {flag: self._prices(flag, group.points) for flag in {bool(flag) for *_, flag in layers}}
        prices_of = tuple(prices[bool(flag)] for *_, flag in layers)
        self.fronts = _fronts(nests, self._setup, prices_of, group.capacity_bytes)
        of = self.fronts.owner
        self._ofmap = np.array([nest.ofmap_bytes for nest in nests], dtype=np.int64)[of]
        self._from_activations = np.array([flag for *_, flag in layers])[of][:, None]
        self._macs_per_pe = np.array([macs_per_pe(engine, dtype) for _, dtype, _ in layers])[of]

    def _prices(self, from_activations: bool, group: npt.NDArray[np.intp]) -> Prices:
        home, store = self._residency.activations, self._residency.weights
        together = from_activations or bool((home.index == store.index)[group[0]])
        return Prices(
            together=together,
            home=(
                _shared_ratio(home.write_s_per_byte[group], home.read_s_per_byte[group]),
                _shared_ratio(home.write_pj_per_byte[group], home.read_pj_per_byte[group]),
            ),
            buffers=tuple(
                (
                    _shared_ratio(self._at(b.read_bytes_per_s, group), self._at(b.write_bytes_per_s, group)),
                    _shared_ratio(self._at(b.write_pj_per_byte, group), self._at(b.read_pj_per_byte, group)),
                )
                for b in self._buffers
            ),
        )

    def best(self, at: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], dict[str, Floats], Floats]:
        """Return the chosen mapping at these points: position, times, busy times of buffers."""
        times, busy = self._times(at)
        chosen = _choose(self._ranked(times["latency_s"], at), self.fronts.starts, self.fronts.owner)
        found = {name: np.take_along_axis(column, chosen, axis=0) for name, column in times.items()}
        ports = [np.take_along_axis(port, chosen, axis=0) for port in busy]
        return chosen, found, np.stack(ports) if ports else np.zeros((0, *chosen.shape))

    def _times(self, at: npt.NDArray[np.intp]) -> tuple[dict[str, Floats], list[Floats]]:
        """Return times of every candidate at these points, shape [candidate, point]; inf where it does not fit."""
        columns, home, store = self.fronts.columns, self._residency.activations, self._residency.weights
        shape = (len(columns), len(at))
        read, write, latency = home.read_s_per_byte[at], home.write_s_per_byte[at], home.latency_s[at]
        together = self._from_activations | (home.index == store.index)[at]
        filter_read = np.where(self._from_activations, read, store.read_s_per_byte[at])
        filter_latency = np.where(together, 0.0, store.latency_s[at])

        filter_s = columns.filter_bytes[:, None] * filter_read
        activation_s = (
            (columns.ifmap_bytes + columns.psum_in_bytes)[:, None] * read
            + (self._ofmap + columns.psum_out_bytes)[:, None] * write
            + np.where(together, filter_s, 0.0)
        )
        weight_s = np.where(together, 0.0, filter_s)
        cycles = np.ceil(columns.cycles / self._macs_per_pe)[:, None]
        compute_s = cycles / self._at(self._clock, at)
        ports = [np.broadcast_to(self._port_time(index, at), shape) for index in range(len(self._buffers))]
        work_s = np.maximum.reduce([np.broadcast_to(compute_s, shape), *ports])
        if self._mode == "ideal":
            overhead_s: Floats = np.zeros(shape)
            latency_s = np.maximum(work_s, np.maximum(activation_s, weight_s))
        elif self._mode == "serial":
            overhead_s = np.asarray(columns.transfers[:, None] * np.maximum(latency, filter_latency), np.float64)
            latency_s = overhead_s + work_s + activation_s + weight_s
        else:
            ifmap_fill = columns.ifmap_fill_bytes[:, None] * read
            filter_fill = columns.filter_fill_bytes[:, None] * filter_read
            drain = columns.drain_bytes[:, None] * write
            fill_home = ifmap_fill + np.where(together, filter_fill, 0.0)
            fill_store = np.where(together, 0.0, filter_fill)
            overhead_s = np.maximum(fill_home + latency, fill_store + filter_latency) + drain
            home_s = np.maximum(activation_s + latency, weight_s + filter_latency)
            latency_s = np.maximum(overhead_s + work_s, home_s)
        latency_s = np.where(self._fits(at), latency_s, np.inf)
        found = (cycles, compute_s, activation_s, weight_s, overhead_s, latency_s)
        return {name: np.broadcast_to(time, shape) for name, time in zip(TIMES, found, strict=True)}, ports

    def _fits(self, at: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        fits = np.ones((len(self.fronts.columns), len(at)), dtype=bool)
        for need, buffer in zip(self.fronts.columns.buffer_bytes(self._setup), self._buffers, strict=True):
            fits &= need[:, None] <= self._at(buffer.size_bytes, at)
        return fits

    def _port_time(self, index: int, at: npt.NDArray[np.intp]) -> Floats:
        """Return the busy time of a buffer's port: what the array takes and gives, and what homes bring and fetch."""
        reads, writes = buffer_traffic(self.fronts.columns, self._setup, index)
        buffer = self._buffers[index]
        read_s = reads[:, None] / self._at(buffer.read_bytes_per_s, at)
        return np.asarray(read_s + writes[:, None] / self._at(buffer.write_bytes_per_s, at))

    def _ranked(self, latency: Floats, at: npt.NDArray[np.intp]) -> list[Floats]:
        """Return the objectives, the asked one first, shape [candidate, point]; inf where a mapping does not fit."""
        columns, home, store = self.fronts.columns, self._residency.activations, self._residency.weights
        fits = np.isfinite(latency)
        filter_pj = np.where(self._from_activations, home.read_pj_per_byte[at], store.read_pj_per_byte[at])
        picojoules: Floats = (
            (columns.ifmap_bytes + columns.psum_in_bytes)[:, None] * home.read_pj_per_byte[at]
            + columns.psum_out_bytes[:, None] * home.write_pj_per_byte[at]
            + columns.filter_bytes[:, None] * filter_pj
        )
        for index, buffer in enumerate(self._buffers):
            reads, writes = buffer_traffic(columns, self._setup, index)
            read_pj, write_pj = self._at(buffer.read_pj_per_byte, at), self._at(buffer.write_pj_per_byte, at)
            picojoules = np.asarray(picojoules + reads[:, None] * read_pj + writes[:, None] * write_pj)
        # An infinite time (it does not fit) at no static power costs nothing; it must not become nan.
        energy = picojoules * J_PER_PJ + self._at(self._points.static_w, at) * np.where(fits, latency, 0.0)
        energy = np.where(fits, energy, np.inf)
        moved = columns.ifmap_bytes + columns.filter_bytes + columns.psum_in_bytes + columns.psum_out_bytes
        traffic = np.where(fits, moved[:, None], np.inf)
        values = dict(zip(OBJECTIVES, (latency, energy, energy * latency, traffic), strict=True))
        order = [self._objective, *(name for name in OBJECTIVES if name != self._objective)]
        # Where nothing fits, the smallest footprint is chosen, to say what is missing.
        footprint = sum(columns.buffer_bytes(self._setup), np.zeros(len(columns), dtype=np.int64))
        small = np.where(fits, 0, footprint[:, None]).astype(np.float64)
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


def _shared_ratio(over: Floats, under: Floats) -> float | None:
    """Return the ratio of two columns if it is the same at all points; 1 where both are zero."""
    if (over == under).all():
        return 1.0
    ratio = over / np.where(under == 0, np.nan, under)
    return float(ratio[0]) if (ratio == ratio[0]).all() else None


def _choose(ranked: list[Floats], starts: npt.NDArray[np.intp], owner: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return, for each layer and point, the position of its first best candidate, shape [layer, point]."""
    open_ = np.ones(ranked[0].shape, dtype=bool)
    for values in ranked:
        left = np.where(open_, values, np.inf)
        best = np.minimum.reduceat(left, starts, axis=0)[owner]
        open_ &= (left <= best * (1 + TIE)) | np.isinf(best)
    position = np.where(open_, np.arange(len(owner))[:, None], len(owner))
    return np.minimum.reduceat(position, starts, axis=0)
