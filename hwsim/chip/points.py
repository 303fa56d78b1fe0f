"""Hardware points: one chip structure with many values, every quantity a column in SI units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip.chip import Chip
from hwsim.chip.kernels import rate_dtype
from hwsim.chip.paths import full_path
from hwsim.chip.schema import ArrayEngine, CoreEngine, Memory
from hwsim.chip.sram import BY_CACTI, CACTI_RANGE, covers, sram_pj_per_byte
from hwsim.errors import CostError, UsageError
from hwsim.units import BYTES_PER_GB, BYTES_PER_KIB, BYTES_PER_MIB, HZ_PER_MHZ, S_PER_NS, S_PER_US, W_PER_MW, W_PER_UW

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MemoryColumns:
    """A memory at every point; each array has shape [point], or [1] where the points agree.

    Attributes:
        capacity_bytes: Its size.
        size_bytes: What of it the net may use.
        read_bytes_per_s: Read bandwidth.
        write_bytes_per_s: Write bandwidth.
        latency_s: Time before a transfer's first byte.
        read_pj_per_byte: Energy of a read, zero where the engine's run power covers it.
        write_pj_per_byte: Energy of a write, likewise.
        stall_s_per_byte: What a core waits per byte it reads.
        reread_s_per_byte: What it waits per byte it reads again.
        cache_bytes: Size of the cache in front of it.
    """

    capacity_bytes: Ints
    size_bytes: Ints
    read_bytes_per_s: Floats
    write_bytes_per_s: Floats
    latency_s: Floats
    read_pj_per_byte: Floats
    write_pj_per_byte: Floats
    stall_s_per_byte: Floats
    reread_s_per_byte: Floats
    cache_bytes: Floats


@dataclass(frozen=True, slots=True)
class EngineColumns:
    """An engine at every point; arrays as in ``MemoryColumns``.

    Attributes:
        clock_hz: Its clock.
        rows: Rows of an array, one for a core.
        cols: Columns of an array, one for a core.
        vector_lanes: Elementwise operations per cycle of an array.
        cores: Cores of a core engine.
        run_w: Power while the engine runs, zero where it is priced by MACs and accesses.
    """

    clock_hz: Floats
    rows: Ints
    cols: Ints
    vector_lanes: Ints
    cores: Ints
    run_w: Floats


class HardwarePoints:
    """Points that share a chip's structure: its engines, its memories, who reaches what."""

    def __init__(self, chip: Chip, columns: Mapping[str, Floats], count: int) -> None:
        self.chip = chip
        self.count = count
        self._columns = columns
        self._memories = {memory.name: self._memory(memory.name) for memory in chip.memories}
        self._engines = {engine.name: self._engine(engine) for engine in chip.engines}

    @classmethod
    def of(cls, chip: Chip, vary: Mapping[str, Sequence[float]] | None = None) -> HardwarePoints:
        """Return the points at which fields of a chip take other values.

        Args:
            chip: The structure, and the value of every field that is not varied.
            vary: Path of a numeric field -> its value at each point; all of equal length. None is the chip itself.

        Raises:
            UsageError: A path names no numeric field, lengths differ, or a value is out of range.
        """
        columns: dict[str, Floats] = {}
        for path, values in (vary or {}).items():
            whole = full_path(chip, path)
            column = np.asarray(values)
            if column.ndim != 1 or not len(column) or column.dtype.kind not in "iuf":
                raise UsageError(f"{path}: its values must be a list of numbers, one for each point")
            columns[whole] = column.astype(np.float64)
            _check(path, whole, columns[whole])
        lengths = {path: len(column) for path, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise UsageError(f"varied fields differ in length: {lengths}")
        points = cls(chip, columns, next(iter(lengths.values()), 1))
        points._check_sizes()
        return points

    def at(self, index: npt.NDArray[np.intp] | slice) -> HardwarePoints:
        """Return some of the points."""
        if not self._columns:
            count = len(range(*index.indices(self.count))) if isinstance(index, slice) else len(index)
            return HardwarePoints(self.chip, {}, count)
        columns = {path: column[index] for path, column in self._columns.items()}
        return HardwarePoints(self.chip, columns, len(next(iter(columns.values()))))

    def memory(self, name: str) -> MemoryColumns:
        """Return a memory's columns."""
        return self._memories[name]

    def engine(self, name: str) -> EngineColumns:
        """Return an engine's columns."""
        return self._engines[name]

    def mac_pj(self, dtype: str) -> Floats:
        """Return the energy of a MAC at a dtype; zero for cores whose run power covers it.

        A uint8 MAC costs what an int8 MAC does.

        Raises:
            CostError: The profile prices other dtypes, but not this one.
        """
        name, table = rate_dtype(dtype), self.chip.mac_pj
        if name not in table and table:
            raise CostError(f"{self.chip.name}: mac_pj has no {dtype}; it has {', '.join(table)}")
        return self._column(f"mac_pj.{name}", table.get(name, 0.0))

    @property
    def static_w(self) -> Floats:
        """Power while on, besides what engines and accesses take."""
        return self._column("static_mw", self.chip.static_mw or 0.0) * W_PER_MW * self.supply_factor

    @property
    def waits_w(self) -> dict[str, Floats]:
        """Powers at which the chip may wait, by state, as far as it gives them; on is with all engines at rest."""
        given = {
            "sleep": ("sleep_uw", self.chip.sleep_uw, W_PER_UW),
            "idle": ("idle_mw", self.chip.idle_mw, W_PER_MW),
            "on": ("static_mw", self.chip.static_mw, W_PER_MW),
        }
        return {
            state: self._column(field, value) * unit * self.supply_factor
            for state, (field, value, unit) in given.items()
            if value is not None or field in self._columns
        }

    @property
    def wake_s(self) -> Floats:
        """Time from sleep until a core runs."""
        return self._column("wake_us", self.chip.wake_us) * S_PER_US

    @property
    def supply_factor(self) -> Floats:
        """Powers at the supply over those at the supply they were measured at.

        Behind a linear regulator the current is the same at any supply, behind a switching one the power is.
        """
        if self.chip.regulator != "linear" or (supply := self.chip.supply_v) is None:
            return np.ones(1)
        return self._column("supply_v", supply) / self._column("rated_v", self.chip.rated_v or supply)

    def _column(self, path: str, value: Any) -> Floats:
        return self._columns[path] if path in self._columns else np.array([float(value)])

    def _memory(self, name: str) -> MemoryColumns:
        memory, prefix = self.chip.memory(name), f"memories.{name}"
        clock = self._column("clock_mhz", self.chip.clock_mhz) * HZ_PER_MHZ
        capacity = np.array([memory.size_bytes], dtype=np.float64)
        for unit, factor in (("size_bytes", 1), ("size_kib", BYTES_PER_KIB), ("size_mib", BYTES_PER_MIB)):
            if f"{prefix}.{unit}" in self._columns:
                capacity = self._columns[f"{prefix}.{unit}"] * factor
        reserved = self._column(f"{prefix}.reserved_kib", memory.reserved_kib) * BYTES_PER_KIB
        varied_width = f"{prefix}.bytes_per_cycle" in self._columns
        if f"{prefix}.gb_per_s" in self._columns or (memory.gb_per_s is not None and not varied_width):
            read = self._column(f"{prefix}.gb_per_s", memory.gb_per_s) * BYTES_PER_GB
        else:
            read = self._column(f"{prefix}.bytes_per_cycle", memory.bytes_per_cycle) * clock
        price, write_price = self._access_pj(f"{prefix}.pj_per_byte", memory, capacity)
        if memory.write_pj_per_byte is not None or f"{prefix}.write_pj_per_byte" in self._columns:
            write_price = self._column(f"{prefix}.write_pj_per_byte", memory.write_pj_per_byte)
        stall = self._column(f"{prefix}.stall_ns_per_byte", memory.stall_ns_per_byte) * S_PER_NS
        reread = stall
        if memory.reread_ns_per_byte is not None or f"{prefix}.reread_ns_per_byte" in self._columns:
            reread = self._column(f"{prefix}.reread_ns_per_byte", memory.reread_ns_per_byte) * S_PER_NS
        return MemoryColumns(
            capacity_bytes=np.rint(capacity).astype(np.int64),
            size_bytes=np.rint(capacity - reserved).astype(np.int64),
            read_bytes_per_s=read,
            write_bytes_per_s=read * self._column(f"{prefix}.write_share", memory.write_share),
            latency_s=self._column(f"{prefix}.latency_cycles", memory.latency_cycles) / clock,
            read_pj_per_byte=price,
            write_pj_per_byte=write_price,
            stall_s_per_byte=stall,
            reread_s_per_byte=reread,
            cache_bytes=self._column(f"{prefix}.cache_kib", memory.cache_kib) * BYTES_PER_KIB,
        )

    def _access_pj(self, path: str, memory: Memory, capacity: Floats) -> tuple[Floats, Floats]:
        """Return the energy of a byte read and of one written, as far as no price of writes is given."""
        if memory.pj_per_byte != BY_CACTI or path in self._columns:
            price = self._column(path, memory.pj_per_byte or 0.0)
            return price, price
        node = self._column("process_nm", self.chip.process_nm)
        sizes, nodes = np.broadcast_arrays(capacity, node)
        outside = ~covers(sizes, nodes)
        if outside.any():
            at = int(outside.argmax())
            raise UsageError(
                f"{path} = {BY_CACTI}: {sizes[at] / BYTES_PER_KIB:g} KiB at {nodes[at]:g} nm is outside of its table, "
                f"{CACTI_RANGE}: give a number [pJ/B]"
            )
        return sram_pj_per_byte(capacity, node)

    def _engine(self, engine: ArrayEngine | CoreEngine) -> EngineColumns:
        prefix = f"engines.{engine.name}"
        clock = self._column("clock_mhz", self.chip.clock_mhz)
        if engine.clock_mhz is not None or f"{prefix}.clock_mhz" in self._columns:
            clock = self._column(f"{prefix}.clock_mhz", engine.clock_mhz)
        rows = cols = lanes = cores = np.ones(1, dtype=np.int64)
        run_w = self._run_mw(engine, prefix, clock) * W_PER_MW * self.supply_factor
        if isinstance(engine, ArrayEngine):
            rows = self._column(f"{prefix}.rows", engine.rows).astype(np.int64)
            cols = self._column(f"{prefix}.cols", engine.cols).astype(np.int64)
            lanes = cols
            if engine.vector_lanes is not None or f"{prefix}.vector_lanes" in self._columns:
                lanes = self._column(f"{prefix}.vector_lanes", engine.vector_lanes).astype(np.int64)
        else:
            cores = self._column(f"{prefix}.cores", engine.cores).astype(np.int64)
        return EngineColumns(clock * HZ_PER_MHZ, rows, cols, lanes, cores, run_w)

    def _run_mw(self, engine: ArrayEngine | CoreEngine, prefix: str, clock_mhz: Floats) -> Floats:
        """Return an engine's run power at its clock [mW]; a part follows the clock where it is said from which."""
        rated_mw = self._column(f"{prefix}.run_mw", engine.run_mw or 0.0)
        if engine.rated_mhz is None and f"{prefix}.rated_mhz" not in self._columns:
            return rated_mw
        fixed_mw = self._column(f"{prefix}.run_fixed_mw", engine.run_fixed_mw)
        return fixed_mw + (rated_mw - fixed_mw) * clock_mhz / self._column(f"{prefix}.rated_mhz", engine.rated_mhz)

    def _check_sizes(self) -> None:
        for name, memory in self._memories.items():
            if (memory.size_bytes <= 0).any():
                raise UsageError(f"memories.{name}: at some point what is reserved leaves nothing of its size")


WHOLE = ("rows", "cols", "vector_lanes", "cores", "size_bytes")
MAY_BE_ZERO = (
    "latency_cycles",
    "pj_per_byte",
    "write_pj_per_byte",
    "reserved_kib",
    "static_mw",
    "idle_mw",
    "sleep_uw",
    "wake_us",
    "run_fixed_mw",
    "stall_ns_per_byte",
    "reread_ns_per_byte",
    "cache_kib",
)
NUMERIC = (
    *WHOLE,
    *MAY_BE_ZERO,
    "clock_mhz",
    "process_nm",
    "size_kib",
    "size_mib",
    "bytes_per_cycle",
    "gb_per_s",
    "write_share",
    "run_mw",
    "rated_mhz",
    "supply_v",
    "rated_v",
)


def is_column(path: str) -> bool:
    """Return whether points may differ in the field of a full path; other fields are of the structure."""
    return path.split(".")[-1] in NUMERIC or path.startswith("mac_pj.")


def _check(path: str, whole: str, column: Floats) -> None:
    """Check a varied column against its field's rules."""
    field = whole.split(".")[-1]
    priced = whole.startswith("mac_pj.")
    if not is_column(whole):
        raise UsageError(f"{path}: is not a number that can be varied; such are {', '.join(sorted(NUMERIC))}")
    low_ok = column >= 0 if field in MAY_BE_ZERO or priced else column > 0
    bad = column[~(low_ok & np.isfinite(column))]
    if len(bad):
        rule = ">= 0" if field in MAY_BE_ZERO or priced else "> 0"
        raise UsageError(f"{path} = {bad[0]:g}: must be finite and {rule}")
    if field in WHOLE and (column != np.rint(column)).any():
        raise UsageError(f"{path} = {column[column != np.rint(column)][0]:g}: must be a whole number")
    if field == "write_share" and (column > 1).any():
        raise UsageError(f"{path} = {column.max():g}: must be <= 1")
