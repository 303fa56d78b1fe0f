"""The cost engine: a workload and hardware points go in, ``Costs`` come out. ``evaluate`` is one point of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, CoreEngine, HardwarePoints, rate_dtype
from hwsim.cost.arena import Arena, plan_arena
from hwsim.cost.array import Mapped, macs_per_pe, map_layers
from hwsim.cost.array_time import OBJECTIVES
from hwsim.cost.core import run_layers
from hwsim.cost.costs import FILTER, IFMAP, OFMAP, PSUM, READ, WRITE, Costs
from hwsim.cost.footprint import Footprint, footprint, memory_facts
from hwsim.cost.hooks import coded
from hwsim.cost.residency import Home, Residency, place
from hwsim.cost.tiling import operand_traffic
from hwsim.cost.totals import Totals, joined, summed
from hwsim.cost.vector import stream_layers, streamed_bytes
from hwsim.cost.workload import FREE, UNKNOWN, Row, Workload
from hwsim.errors import CostError, UsageError, did_you_mean
from hwsim.units import J_PER_PJ

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]
NOBODY = -1


def cost(
    workload: Workload,
    points: HardwarePoints,
    *,
    objective: str = "latency",
    placed: Mapping[str, str] | None = None,
    timed: bool = True,
) -> Costs:
    """Cost a workload at every hardware point.

    Args:
        workload: A lowered net.
        points: Hardware points of one chip structure.
        objective: What each layer's mapping is chosen for: latency, energy, edp (their product) or traffic.
        placed: ``weights`` or ``activations`` -> memory, where the profile's rule is not wanted.
        timed: Whether every layer has to have a time. Else ``Costs.untimed`` says which have none, and why: what
            memories have to hold is known without.

    Raises:
        UsageError: The objective or a placement does not exist.
        CostError: No engine takes a layer, or an engine lacks a rate or a kernel for it.
    """
    if objective not in OBJECTIVES:
        hint = did_you_mean(objective, OBJECTIVES)
        raise UsageError(f"objective = {objective!r}: must be one of {', '.join(OBJECTIVES)}{hint}")
    chip = points.chip
    untimed: list[str] = []
    engine = _assign(workload.rows, points, None if timed else untimed)
    used = [chip.engines[index] for index in dict.fromkeys(engine.tolist()) if index != NOBODY]
    arena = plan_arena(workload, memory_facts(chip, engine))
    runtime = footprint(chip, workload.rows, engine)
    # A memory has room for a net only if it has room for what the libraries keep beside it.
    homes = partial(
        place,
        points,
        _home_memories(points, used or chip.engines[:1]),
        arena_bytes=arena.peak_bytes + int(runtime.ram_bytes),
        weight_bytes=workload.weight_bytes + int(runtime.code_bytes),
    )
    residency = homes(wanted=placed)
    ledger = _Ledger(workload, points, residency)
    # Code stays, and weights are kept, where the profile's rule puts them, wherever weights are copied to for running.
    ledger.runtimes(runtime, residency.weights if not placed else homes().weights)
    mapped: Mapped | None = None
    mapped_layers = np.zeros(0, dtype=np.intp)
    for index, unit in enumerate(chip.engines):
        layers = np.flatnonzero(engine == index)
        if isinstance(unit, CoreEngine):
            if len(layers):
                try:
                    ledger.run(layers, unit)
                except CostError as error:
                    if timed:
                        raise
                    untimed.append(str(error))
                    ledger.leave(layers)
        elif len(layers):
            with_macs = np.array([workload.rows[i].nest is not None for i in layers])
            if with_macs.any():
                if mapped is not None:
                    raise CostError(
                        f"chip {chip.name!r}: two arrays share the net's layers; give each kind to one of them"
                    )
                mapped_layers = layers[with_macs]
                mapped = ledger.map(mapped_layers, unit, objective)
            if not with_macs.all():
                ledger.stream(layers[~with_macs], unit)
    return ledger.costs(objective, engine, arena, mapped, mapped_layers, tuple(untimed))


# Points that are costed at a time where only their totals are kept.
POINTS_AT_A_TIME = 2048


def totals(
    workload: Workload,
    points: HardwarePoints,
    *,
    objective: str = "latency",
    placed: Mapping[str, str] | None = None,
) -> Totals:
    """Return what a workload costs in total at every hardware point: the sums of ``cost`` in constant memory a point.

    Args:
        workload: A lowered net.
        points: Hardware points of one chip structure.
        objective: As in ``cost``.
        placed: As in ``cost``.

    Raises:
        UsageError: As in ``cost``.
        CostError: As in ``cost``.
    """
    parts = [
        summed(cost(workload, points.at(slice(start, start + POINTS_AT_A_TIME)), objective=objective, placed=placed))
        for start in range(0, points.count, POINTS_AT_A_TIME)
    ]
    return joined(points, parts)


def _assign(rows: Sequence[Row], points: HardwarePoints, untaken: list[str] | None) -> Ints:
    """Return each layer's engine: the first that takes its kind; −1 for what needs none.

    Args:
        rows: The layers.
        points: Hardware points.
        untaken: Collects why layers have no engine; None makes that an error.
    """
    chip = points.chip
    assigned = np.full(len(rows), NOBODY, dtype=np.int64)
    for position, row in enumerate(rows):
        if row.kind in (FREE, UNKNOWN):
            continue
        for index, engine in enumerate(chip.engines):
            if row.kind in engine.takes and has_rate(engine, row):
                assigned[position] = index
                break
        else:
            takers = [engine for engine in chip.engines if row.kind in engine.takes]
            if not takers:
                lacking = f"no engine of {chip.name} takes {row.kind} layers; add a host core to it"
                if untaken is None:
                    raise CostError(f"layer {row.layer.name!r}: {lacking}")
                untaken += [lacking] if lacking not in untaken else []
                continue
            # Ask the first taker for its rate, for the sentence that says what it lacks.
            if isinstance(takers[0], ArrayEngine):
                macs_per_pe(takers[0], row.dtype)
            assigned[position] = chip.engines.index(takers[0])
    return assigned


def engine_rate(engine: ArrayEngine | CoreEngine, dtype: str) -> float:
    """Return the peak MACs per cycle of one PE or core at a dtype; nan where a core's profile does not say."""
    if isinstance(engine, ArrayEngine):
        return macs_per_pe(engine, dtype)
    return engine.peak_macs_per_cycle.get(rate_dtype(dtype), np.nan)


def has_rate(engine: ArrayEngine | CoreEngine, row: Row) -> bool:
    """Return whether an engine does a layer's MACs at its dtype; of a core its kernel table says so, when asked."""
    if isinstance(engine, CoreEngine) or row.nest is None:
        return True
    return rate_dtype(row.dtype) in engine.macs_per_pe


def _home_memories(points: HardwarePoints, engines: Sequence[ArrayEngine | CoreEngine]) -> list[str]:
    """Return the memories that can be home of a tensor: reached by every engine in use, and no array's tile buffer."""
    names = [memory.name for memory in points.chip.memories]
    for engine in engines:
        reached = engine.memory_names(points.chip)
        if isinstance(engine, ArrayEngine):
            reached = engine.homes(points.chip)
        names = [name for name in names if name in reached]
    if not names:
        used = ", ".join(engine.name for engine in engines)
        raise CostError(f"chip {points.chip.name!r}: engines {used} share no memory that could hold a net's tensors")
    return names


class _Ledger:
    """Arrays being filled, engine by engine, and the sums taken over them at the end."""

    def __init__(self, workload: Workload, points: HardwarePoints, residency: Residency) -> None:
        self._workload, self._points, self._residency = workload, points, residency
        self._memories = points.chip.memories
        self._names = [memory.name for memory in self._memories]
        layers, count, memories = len(workload.rows), points.count, len(self._memories)
        self._cycles = np.zeros((layers, count))
        self._compute_s = np.zeros((layers, count))
        self._overhead_s = np.zeros((layers, count))
        self._latency_s = np.zeros((layers, count))
        self._peak = np.full((layers, count), np.nan)
        self._macs = np.repeat(workload.column("macs")[:, None], count, axis=1)
        self._memory_s = np.zeros((memories, layers, count))
        self._traffic = np.zeros((memories, 2, 4, layers, count), dtype=np.int64)
        self._mac_j = np.zeros((layers, count))
        self._core_j = np.zeros((layers, count))
        self._tiles = np.zeros((memories, count), dtype=np.int64)
        self._runtime = np.zeros((memories, count), dtype=np.int64)
        self._code = np.zeros((memories, count), dtype=np.int64)
        self._image = np.zeros((memories, count), dtype=np.int64)

    def map(self, at: Index, engine: ArrayEngine, objective: str) -> Mapped:
        """Enter layers with MACs on an array."""
        rows = [self._workload.rows[i] for i in at]
        mapped = map_layers(rows, engine, self._points, self._residency, objective)
        self._enter(at, mapped.cycles, mapped.compute_s, mapped.latency_s, mapped.activation_s, mapped.weight_s)
        self._overhead_s[at] = mapped.overhead_s
        hardware = self._points.engine(engine.name)
        rates = np.array([macs_per_pe(engine, row.dtype) for row in rows])[:, None]
        self._peak[at] = rates * (hardware.rows * hardware.cols)
        prices = np.stack([np.broadcast_to(self._points.mac_pj(row.dtype), (self._points.count,)) for row in rows])
        tiles = mapped.tiles
        self._mac_j[at] = tiles.macs_priced * prices * J_PER_PJ
        self._macs[at] = tiles.macs_done
        self._enter_homes(
            at,
            coded(tiles.ifmap_bytes, tiles.ifmap_coded),
            coded(tiles.filter_bytes, tiles.filter_coded),
            coded(self._column(rows, "ofmap_bytes"), tiles.ofmap_coded),
        )
        self._enter_spills(at, tiles.psum_in_bytes, tiles.psum_out_bytes)
        self._enter_buffers(at, engine, mapped)
        return mapped

    def _enter_spills(self, at: Index, read: Ints, written: Ints) -> None:
        for index in range(len(self._memories)):
            here = self._residency.activations.index == index
            self._traffic[index, READ, PSUM][at] += np.where(here, read, 0)
            self._traffic[index, WRITE, PSUM][at] += np.where(here, written, 0)

    def _enter_buffers(self, at: Index, engine: ArrayEngine, mapped: Mapped) -> None:
        tiles, buffers = mapped.tiles, engine.buffers(self._points.chip)
        for operand, name in buffers.items():
            traffic = self._traffic[self._names.index(name)]
            read, written = operand_traffic(tiles, operand)
            if operand == "ofmap":
                # What leaves for good is the ofmap; all that comes and goes before is psums.
                traffic[READ, OFMAP][at] += tiles.ofmap_read_bytes
                traffic[WRITE, OFMAP][at] += tiles.ofmap_read_bytes
                traffic[READ, PSUM][at] += read - tiles.ofmap_read_bytes
                traffic[WRITE, PSUM][at] += written - tiles.ofmap_read_bytes
            else:
                kind = IFMAP if operand == "ifmap" else FILTER
                traffic[READ, kind][at] += read
                traffic[WRITE, kind][at] += written
        for number, name in enumerate(dict.fromkeys(buffers.values())):
            index = self._names.index(name)
            self._memory_s[index][at] = mapped.buffer_s[number]
            held = sum(getattr(tiles, f"{operand}_tile_bytes") for operand, at_ in buffers.items() if at_ == name)
            self._tiles[index] = np.maximum(self._tiles[index], np.max(held, axis=0))

    def stream(self, at: Index, engine: ArrayEngine) -> None:
        """Enter layers without MACs on an array's vector lanes."""
        rows = [self._workload.rows[i] for i in at]
        streamed = stream_layers(rows, engine, self._points, self._residency)
        self._enter(
            at, streamed.cycles, streamed.compute_s, streamed.latency_s, streamed.activation_s, streamed.weight_s
        )
        self._enter_homes(at, *streamed_bytes(rows, engine))

    def runtimes(self, taken: Footprint, store: Home) -> None:
        """Enter what runtimes take for themselves, and the image of weights that are copied from flash to run.

        Args:
            taken: RAM, beside the activations, and code.
            store: Where code is, and weights while the chip is off.
        """
        columns, home, weights = np.arange(self._points.count), self._residency.activations, self._residency.weights
        np.add.at(self._runtime, (home.index, columns), int(taken.ram_bytes))
        np.add.at(self._code, (store.index, columns), int(taken.code_bytes))
        is_flash = np.array([memory.kind == "flash" for memory in self._memories])
        copied = (store.index != weights.index) & is_flash[store.index]
        np.add.at(self._image, (store.index, columns), np.where(copied, self._workload.weight_bytes, 0))

    def run(self, at: Index, engine: CoreEngine) -> None:
        """Enter layers on a core."""
        rows = [self._workload.rows[i] for i in at]
        ran = run_layers(rows, engine, engine.kernel_table, self._points, self._residency)
        self._enter(at, ran.cycles, ran.compute_s, ran.latency_s, ran.activation_s, ran.weight_s)
        self._overhead_s[at] = ran.call_s
        hardware = self._points.engine(engine.name)
        peaks = [engine_rate(engine, row.dtype) for row in rows]
        self._peak[at] = np.array(peaks)[:, None] * hardware.cores
        if engine.run_mw is None:
            prices = np.stack([np.broadcast_to(self._points.mac_pj(row.dtype), (self._points.count,)) for row in rows])
            self._mac_j[at] = self._column(rows, "macs") * prices * J_PER_PJ
        else:
            self._core_j[at] = hardware.run_w * ran.latency_s
        self._enter_homes(at, *(self._column(rows, f"{kind}_bytes") for kind in ("ifmap", "filter", "ofmap")))

    def leave(self, at: Index) -> None:
        """Enter layers without a time."""
        for column in (self._cycles, self._compute_s, self._overhead_s, self._latency_s):
            column[at] = np.nan

    def costs(
        self,
        objective: str,
        engine: Ints,
        arena: Arena,
        mapped: Mapped | None,
        mapped_layers: Index,
        untimed: tuple[str, ...],
    ) -> Costs:
        """Return the finished record."""
        points, workload = self._points, self._workload
        macs = self._macs
        with np.errstate(divide="ignore", invalid="ignore"):
            utilization = np.where(macs > 0, macs / (self._peak * self._cycles), np.nan)
        need = self._tiles + self._runtime + self._code + self._image
        columns = np.arange(points.count)
        np.add.at(need, (self._residency.activations.index, columns), arena.peak_bytes)
        np.add.at(need, (self._residency.weights.index, columns), workload.weight_bytes)
        memory_j = [self._access_energy(index) for index in range(len(self._memories))]
        static_j = points.static_w * self._latency_s
        return Costs(
            workload=workload,
            points=points,
            objective=objective,
            engine=engine,
            arena=arena,
            residency=self._residency,
            cycles=self._cycles,
            compute_s=self._compute_s,
            memory_s=self._memory_s,
            overhead_s=self._overhead_s,
            latency_s=self._latency_s,
            bound=self._bound(),
            macs_done=self._macs,
            utilization=utilization,
            traffic_bytes=self._traffic,
            energy_j=np.stack([self._mac_j, *memory_j, self._core_j, static_j]),
            need_bytes=need,
            tile_bytes=self._tiles,
            runtime_bytes=self._runtime,
            code_bytes=self._code,
            image_bytes=self._image,
            mapped=mapped,
            mapped_layers=mapped_layers,
            untimed=untimed,
        )

    def _bound(self) -> Ints:
        """Return the largest term of each layer; the overhead counts only where it exceeds every other."""
        terms = np.stack([self._compute_s, *self._memory_s, self._overhead_s])
        largest = np.argmax(terms, axis=0)
        # A core's per-call time is part of its computing, and names the bound when it is most of it.
        by_calls = self._overhead_s > 0.5 * self._latency_s
        largest = np.where(by_calls, len(terms) - 1, largest)
        return np.where(self._latency_s == 0, len(terms), largest).astype(np.int64)

    def _access_energy(self, index: int) -> Floats:
        record = self._points.memory(self._names[index])
        read, written = self._traffic[index].sum(axis=1)
        return np.asarray((read * record.read_pj_per_byte + written * record.write_pj_per_byte) * J_PER_PJ)

    def _enter(
        self, at: Index, cycles: Floats, compute_s: Floats, latency_s: Floats, activation_s: Floats, weight_s: Floats
    ) -> None:
        self._cycles[at], self._compute_s[at], self._latency_s[at] = cycles, compute_s, latency_s
        for index in range(len(self._memories)):
            self._memory_s[index][at] += np.where(self._residency.activations.index == index, activation_s, 0.0)
            self._memory_s[index][at] += np.where(self._residency.weights.index == index, weight_s, 0.0)

    def _enter_homes(self, at: Index, ifmap: Ints, filter_: Ints, ofmap: Ints) -> None:
        from_activations = np.array([self._workload.rows[i].activation_filter for i in at])[:, None]
        for index in range(len(self._memories)):
            here = self._residency.activations.index == index
            self._traffic[index, READ, IFMAP][at] += np.where(here, ifmap + np.where(from_activations, filter_, 0), 0)
            self._traffic[index, WRITE, OFMAP][at] += np.where(here, ofmap, 0)
            stored = (self._residency.weights.index == index) & ~from_activations
            self._traffic[index, READ, FILTER][at] += np.where(stored, filter_, 0)

    def _column(self, rows: Sequence[Row], name: str) -> Ints:
        return np.array([getattr(row, name) for row in rows], dtype=np.int64)[:, None]
