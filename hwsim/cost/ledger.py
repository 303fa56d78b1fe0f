"""The ledger: what engines say of their layers, entered into arrays over points, and the sums taken over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, CoreEngine
from hwsim.cost.array import Flows, Mapped, macs_per_pe
from hwsim.cost.array_kernels import added
from hwsim.cost.array_time import buffer_names
from hwsim.cost.core import run_layers
from hwsim.cost.costs import FILTER, IFMAP, OFMAP, PSUM, READ, TENSOR_KINDS, WRITE, Costs, capacity_bytes
from hwsim.cost.frame import Alike, Frame, engine_rate
from hwsim.cost.inter_layer import ArrayRun
from hwsim.cost.totals import Totals
from hwsim.cost.vector import Streamed
from hwsim.cost.workload import Row
from hwsim.units import J_PER_PJ

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]


class Ledger:
    """Arrays being filled, engine by engine, and the sums taken over them at the end.

    Its entries are the layers, or, where only totals are kept, the engines: what their layers cost is then added up as
    it is entered, alike layers as often as there are.
    """

    def __init__(self, frame: Frame, alike: Alike | None = None) -> None:
        self._frame, self._alike = frame, alike
        self._workload, self._points, self._residency = frame.workload, frame.points, frame.residency
        self._memories = self._points.chip.memories
        self._names = [memory.name for memory in self._memories]
        count, memories = self._points.count, len(self._memories)
        entries = len(self._workload.rows) if alike is None else len(self._points.chip.engines)
        self._latency_s = np.zeros((entries, count))
        self._macs = np.zeros((entries, count), dtype=np.int64)
        self._traffic = np.zeros((memories, 2, 4, entries, count), dtype=np.int64)
        self._mac_j = np.zeros((entries, count))
        self._core_j = np.zeros((entries, count))
        # Whether an entry's engine has a power of its own, which covers what its MACs and memories take.
        self._by_power = np.zeros((entries, 1), dtype=bool)
        self._tiles = np.zeros((memories, count), dtype=np.int64)
        self._runtime, self._code, self._image = self._runtimes()
        if alike is None:
            self._cycles = np.zeros((entries, count))
            self._compute_s = np.zeros((entries, count))
            self._overhead_s = np.zeros((entries, count))
            self._peak = np.full((entries, count), np.nan)
            self._memory_s = np.zeros((memories, entries, count))
            self._macs += self._workload.column("macs")[:, None]
            self._kept = np.zeros((3, entries, count), dtype=np.int64)
            self._held = np.zeros((entries, count), dtype=np.int64)
            self._fused = np.zeros((entries, count), dtype=bool)
        else:
            self._unmapped = np.zeros(count, dtype=np.int64)
            self._first_unmapped = np.full(count, -1, dtype=np.int64)
            self._lacking = np.zeros((memories, count), dtype=np.int64)

    def _entry(self, at: Index) -> Index:
        """Return the entries of layers of one engine."""
        return at if self._alike is None else self._frame.engine[at[:1]]

    def _of(self, at: Index, values: np.ndarray) -> np.ndarray:
        """Return what layers add to their entries, [layer, point] or their sum, [1, point]."""
        if self._alike is None:
            return values
        return np.asarray((self._alike.counts[at][:, None] * values).sum(axis=0, keepdims=True))

    def enter(self, ran: ArrayRun, engine: ArrayEngine) -> None:
        """Enter the layers of an array."""
        if self._alike is None:
            self._kept += ran.kept_bytes
            self._held += ran.held_bytes
            self._fused |= ran.fused
        if ran.mapped is not None:
            self.map(ran.mapped_layers, engine, ran.mapped, ran.held_bytes[ran.mapped_layers])
        if ran.streamed is not None:
            self.stream(ran.streamed_layers, engine, ran.streamed, ran.buffer)
        if ran.buffer:
            index = self._names.index(ran.buffer)
            self._tiles[index] = np.maximum(self._tiles[index], ran.held_bytes.max(axis=0, initial=0))

    def map(self, at: Index, engine: ArrayEngine, mapped: Mapped, held_bytes: Ints | int = 0) -> None:
        """Enter layers with MACs on an array, and what is held in the buffer of the ofmap beside each."""
        rows, entry, flows = self._frame.rows(at), self._entry(at), mapped.flows
        self._latency_s[entry] += self._of(at, mapped.latency_s)
        if engine.run_mw is None:
            self._mac_j[entry] += self._of(at, flows.macs_priced * self._mac_prices(rows)) * J_PER_PJ
        self._macs[entry] = self._of(at, flows.macs_done)
        self._enter_homes(at, flows.ifmap, flows.filter, flows.ofmap)
        self._enter_spills(at, flows.psum_in, flows.psum_out)
        self._enter_buffers(at, engine, flows, held_bytes)
        if self._alike is None:
            hardware = self._points.engine(engine.name)
            rates = np.array([macs_per_pe(engine, row.dtype) for row in rows])[:, None]
            self._peak[at] = rates * (hardware.rows * hardware.cols)
            self._enter_times(at, mapped.cycles, mapped.compute_s, mapped.activation_s, mapped.weight_s)
            self._overhead_s[at] = mapped.overhead_s
            for name, busy_s in zip(buffer_names(engine, self._points.chip), mapped.buffer_s, strict=True):
                self._memory_s[self._names.index(name)][at] = busy_s
        else:
            self._enter_unmapped(at, engine, mapped)
        self._add(at, engine, mapped.latency_s)

    def _enter_unmapped(self, at: Index, engine: ArrayEngine, mapped: Mapped) -> None:
        """Enter which layers have no mapping that fits, and what the first of them would need."""
        missing = ~mapped.feasible
        assert self._alike is not None
        self._unmapped += self._alike.counts[at] @ missing
        (where,) = np.nonzero(missing.any(axis=0))
        first = missing[:, where].argmax(axis=0)
        self._first_unmapped[where] = at[first]
        for operand, name in engine.buffers(self._points.chip).items():
            tile = getattr(mapped.flows, f"{operand}_tile")
            self._lacking[self._names.index(name), where] += tile[first, where]

    def _enter_spills(self, at: Index, read: Ints, written: Ints) -> None:
        entry, read, written = self._entry(at), self._of(at, read), self._of(at, written)
        for index in range(len(self._memories)):
            here = self._residency.activations.index == index
            self._traffic[index, READ, PSUM][entry] += np.where(here, read, 0)
            self._traffic[index, WRITE, PSUM][entry] += np.where(here, written, 0)

    def _enter_buffers(self, at: Index, engine: ArrayEngine, flows: Flows, held_bytes: Ints | int) -> None:
        entry, buffers = self._entry(at), engine.buffers(self._points.chip)
        for operand, name in buffers.items():
            traffic = self._traffic[self._names.index(name)]
            # What leaves for good is the ofmap; all that comes and goes before is psums.
            for tensor in ("ofmap", "psum") if operand == "ofmap" else (operand,):
                kind = TENSOR_KINDS.index(tensor)
                traffic[READ, kind][entry] += self._of(at, getattr(flows, f"{tensor}_read"))
                traffic[WRITE, kind][entry] += self._of(at, getattr(flows, f"{tensor}_written"))
        for name in dict.fromkeys(buffers.values()):
            index = self._names.index(name)
            taken = sum(getattr(flows, f"{operand}_tile") for operand, at_ in buffers.items() if at_ == name)
            beside = held_bytes if name == buffers.get("ofmap") else 0
            self._tiles[index] = np.maximum(self._tiles[index], np.max(taken + beside, axis=0))

    def stream(self, at: Index, engine: ArrayEngine, streamed: Streamed, buffer: str = "") -> None:
        """Enter layers without MACs on an array's vector lanes, and the buffer that some operands are in."""
        entry = self._entry(at)
        self._latency_s[entry] += self._of(at, streamed.latency_s)
        self._enter_homes(at, *streamed.home_bytes)
        if buffer:
            traffic = self._traffic[self._names.index(buffer)]
            traffic[READ, IFMAP][entry] += self._of(at, streamed.buffer_bytes[READ])
            traffic[WRITE, OFMAP][entry] += self._of(at, streamed.buffer_bytes[WRITE])
        if self._alike is None:
            self._enter_times(at, streamed.cycles, streamed.compute_s, streamed.activation_s, streamed.weight_s)
            if buffer:
                self._memory_s[self._names.index(buffer)][at] += streamed.buffer_s
        self._add(at, engine, streamed.latency_s)

    def _add(self, at: Index, engine: ArrayEngine, latency_s: Floats) -> None:
        """Enter what an array's kernel table adds to its layers, and the power of the chip if the profile gives it."""
        hardware, entry = self._points.engine(engine.name), self._entry(at)
        if engine.kernels:
            more = added(self._frame.rows(at), engine)
            more_s = more.cycles / hardware.clock_hz
            self._latency_s[entry] += self._of(at, more_s)
            latency_s = latency_s + more_s
            if self._alike is None:
                self._cycles[at] += more.cycles
                self._compute_s[at] += (more.cycles - more.call) / hardware.clock_hz
                self._overhead_s[at] += more.call / hardware.clock_hz
        if engine.run_mw is not None:
            self._core_j[entry] += hardware.run_w * self._of(at, latency_s)
            self._by_power[entry] = True

    def _runtimes(self) -> tuple[Ints, Ints, Ints]:
        """Return what runtimes take for themselves, and the image of weights that are copied from flash to run.

        RAM beside the activations, code, and image, each of shape [memory, point].
        """
        taken, store = self._frame.taken, self._frame.store
        columns, home, weights = np.arange(self._points.count), self._residency.activations, self._residency.weights
        runtime, code, image = np.zeros((3, len(self._memories), self._points.count), dtype=np.int64)
        runtime[home.index, columns] = int(taken.ram_bytes)
        code[store.index, columns] = int(taken.code_bytes)
        is_flash = np.array([memory.kind == "flash" for memory in self._memories])
        copied = (store.index != weights.index) & is_flash[store.index]
        image[store.index, columns] = np.where(copied, self._workload.weight_bytes, 0)
        return runtime, code, image

    def run(self, at: Index, engine: CoreEngine) -> None:
        """Enter layers on a core."""
        rows, entry = self._frame.rows(at), self._entry(at)
        ran = run_layers(rows, engine, engine.kernel_table, self._points, self._residency)
        hardware = self._points.engine(engine.name)
        self._latency_s[entry] += self._of(at, ran.latency_s)
        if engine.run_mw is None:
            self._mac_j[entry] += self._of(at, self._column(rows, "macs") * self._mac_prices(rows)) * J_PER_PJ
        else:
            self._core_j[entry] += hardware.run_w * self._of(at, ran.latency_s)
            self._by_power[entry] = True
        self._enter_homes(at, *(self._column(rows, f"{kind}_bytes") for kind in ("ifmap", "filter", "ofmap")))
        if self._alike is None:
            self._enter_times(at, ran.cycles, ran.compute_s, ran.activation_s, ran.weight_s)
            self._overhead_s[at] = ran.call_s
            peaks = [engine_rate(engine, row.dtype) for row in rows]
            self._peak[at] = np.array(peaks)[:, None] * hardware.cores
        else:
            self._macs[entry] += self._of(at, self._column(rows, "macs"))

    def leave(self, at: Index) -> None:
        """Enter layers without a time."""
        for column in (self._cycles, self._compute_s, self._overhead_s, self._latency_s):
            column[at] = np.nan

    def costs(self, objective: str, mapped: Mapped | None, mapped_layers: Index, untimed: tuple[str, ...]) -> Costs:
        """Return the finished record of layers."""
        macs, frame = self._macs, self._frame
        with np.errstate(divide="ignore", invalid="ignore"):
            utilization = np.where(macs > 0, macs / (self._peak * self._cycles), np.nan)
        return Costs(
            workload=self._workload,
            points=self._points,
            objective=objective,
            engine=frame.engine,
            arena=frame.arena,
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
            energy_j=self._energy(),
            need_bytes=self._need(),
            tile_bytes=self._tiles,
            runtime_bytes=self._runtime,
            code_bytes=self._code,
            image_bytes=self._image,
            kept_bytes=self._kept,
            held_bytes=self._held,
            fused=self._fused,
            mapped=mapped,
            mapped_layers=mapped_layers,
            untimed=untimed,
        )

    def totals(self, objective: str) -> Totals:
        """Return the finished record of sums."""
        need, frame = self._need(), self._frame
        feasible = (need <= capacity_bytes(self._points)).all(axis=0) & (self._unmapped == 0)
        return Totals(
            workload=self._workload,
            points=self._points,
            objective=objective,
            engine=frame.engine,
            arena=frame.arena,
            residency=self._residency,
            latency_s=np.where(feasible, self._latency_s.sum(axis=0), np.nan),
            energy_parts_j=np.where(feasible, self._energy().sum(axis=1), np.nan),
            macs_done=self._macs.sum(axis=0),
            traffic_parts_bytes=self._traffic.sum(axis=3),
            need_bytes=need,
            tile_bytes=self._tiles,
            runtime_bytes=self._runtime,
            code_bytes=self._code,
            image_bytes=self._image,
            unmapped=self._unmapped,
            first_unmapped=self._first_unmapped,
            lacking_bytes=self._lacking,
        )

    def _need(self) -> Ints:
        """Return the bytes that each memory has to hold, [memory, point]."""
        need = self._tiles + self._runtime + self._code + self._image
        columns = np.arange(self._points.count)
        need[self._residency.activations.index, columns] += self._frame.arena.peak_bytes
        need[self._residency.weights.index, columns] += self._workload.weight_bytes
        return need

    def _energy(self) -> Floats:
        """Return the energy of each component, [component, entry, point]."""
        memory_j = [self._access_energy(index) for index in range(len(self._memories))]
        return np.stack([self._mac_j, *memory_j, self._core_j, self._points.static_w * self._latency_s])

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
        priced = (read * record.read_pj_per_byte + written * record.write_pj_per_byte) * J_PER_PJ
        return np.where(self._by_power, 0.0, priced)

    def _enter_times(
        self, at: Index, cycles: Floats, compute_s: Floats, activation_s: Floats, weight_s: Floats
    ) -> None:
        self._cycles[at], self._compute_s[at] = cycles, compute_s
        for index in range(len(self._memories)):
            self._memory_s[index][at] += np.where(self._residency.activations.index == index, activation_s, 0.0)
            self._memory_s[index][at] += np.where(self._residency.weights.index == index, weight_s, 0.0)

    def _enter_homes(self, at: Index, ifmap: Ints, filter_: Ints, ofmap: Ints) -> None:
        entry = self._entry(at)
        from_activations = np.array([self._workload.rows[i].activation_filter for i in at])[:, None]
        read = self._of(at, ifmap + np.where(from_activations, filter_, 0))
        stored, written = self._of(at, np.where(from_activations, 0, filter_)), self._of(at, ofmap)
        for index in range(len(self._memories)):
            here = self._residency.activations.index == index
            self._traffic[index, READ, IFMAP][entry] += np.where(here, read, 0)
            self._traffic[index, WRITE, OFMAP][entry] += np.where(here, written, 0)
            self._traffic[index, READ, FILTER][entry] += np.where(self._residency.weights.index == index, stored, 0)

    def _mac_prices(self, rows: Sequence[Row]) -> Floats:
        return np.stack([np.broadcast_to(self._points.mac_pj(row.dtype), (self._points.count,)) for row in rows])

    def _column(self, rows: Sequence[Row], name: str) -> Ints:
        return np.array([getattr(row, name) for row in rows], dtype=np.int64)[:, None]
