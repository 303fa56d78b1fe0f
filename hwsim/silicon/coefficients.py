"""What a calibration may change of a kernel table, and what each measured row says of it.

A table's costs, and the waiting for memories, fall into six parts. A calibration multiplies parts by factors; which
parts share a factor is a rung of a ladder, from one factor for all computing to one for every part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.chip import CONV_LIKE, Chip, CoreEngine, HardwarePoints, KernelCost, KernelTable, rate_dtype
from hwsim.chip.kernels import EngineDType, KernelEntry
from hwsim.cost import NOBODY, Row, cost, lower, natural_dtype
from hwsim.cost.core import TERMS, coefficients, port_times, quantities, waiting
from hwsim.errors import HwsimError, UsageError, did_you_mean
from hwsim.silicon.measured_file import MeasuredRow

Floats = npt.NDArray[np.float64]

PARTS = (
    "MACs of convolutions, dense layers and products",
    "all else of these layers",
    "depthwise layers",
    "other layers",
    "calls",
    "loading weights, waiting for memories",
)
PRODUCT_MACS, PRODUCT_REST, DEPTHWISE, OTHER, CALLS, STREAM = range(len(PARTS))
# What no factor changes: layers at another dtype than the one that is calibrated.
FIXED = len(PARTS)
UNCHANGED = -1
LADDER: Mapping[int, tuple[int, ...]] = {
    1: (0, 0, 0, 0, 0, UNCHANGED),
    2: (0, 0, 1, 1, 1, UNCHANGED),
    3: (0, 0, 1, 1, 1, 2),
    4: (0, 0, 1, 2, 2, 3),
    5: (0, 1, 2, 3, 3, 4),
    6: (0, 1, 2, 3, 4, 5),
}
"""Coefficients -> which of them multiplies each part."""


def part_of(entry: str, term: str) -> int:
    """Return the part that a coefficient of a kernel table belongs to."""
    if term == "cycles_per_weight_byte":
        return STREAM
    if term == "cycles_per_call":
        return CALLS
    if entry in CONV_LIKE:
        return PRODUCT_MACS if term in ("cycles_per_mac", "cycles_per_ragged_mac") else PRODUCT_REST
    return DEPTHWISE if entry == "depthwise" else OTHER


def scaled_table(table: KernelTable, dtype: EngineDType, factors: Sequence[float]) -> KernelTable:
    """Return a table with the costs of a dtype, and the waiting, times the factors of their parts."""
    costs: dict[KernelEntry, KernelCost] = {
        entry: KernelCost(
            **{term: getattr(kernel, term) * factors[part_of(entry, term)] for term in kernel.model_fields_set}
        )
        for entry, kernel in table.dtypes[dtype].items()
    }
    stall = table.stalls(dtype) * factors[STREAM]
    own = {"base": None, "dtypes": {**table.dtypes, dtype: costs}, "stall_factor": stall}
    return KernelTable.model_validate(table.model_dump(by_alias=True, exclude={"factors", "base"}) | own)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A measured row beside what the table makes of it before it is calibrated.

    Attributes:
        row: The row.
        dtype: By whose kernels most of its MACs run.
        cycles: Measured cycles of the net, or of the layer.
        parts: Cycles of each layer by part, the last for what no factor changes, shape [layer, part + 1].
        port: Cycles that a layer takes at least, for a memory's port is busy, shape [layer].
    """

    row: MeasuredRow
    dtype: EngineDType
    cycles: float
    parts: Floats
    port: Floats

    def predict(self, factors: Floats) -> float:
        """Return the cycles with factors of the parts, shape [part]."""
        return float(np.maximum(self.parts @ np.append(factors, 1.0), self.port).sum())

    @property
    def start(self) -> float:
        """The cycles before calibration."""
        return self.predict(np.ones(len(PARTS)))


def observed(rows: Sequence[MeasuredRow], chip: Chip) -> tuple[CoreEngine, list[Observation]]:
    """Return the core that runs the measured nets, and what its kernel table makes of each row.

    Raises:
        UsageError: A row cannot be told by one core's kernels of one dtype; a line per row.
    """
    cores = [engine for engine in chip.engines if isinstance(engine, CoreEngine)]
    if not cores:
        raise UsageError(f"--chip {chip.name}: has no core, and only cores have kernel tables to calibrate")
    problems, found = [], []
    engines: dict[str, CoreEngine] = {}
    for row in rows:
        try:
            engine, observation = _observation(row, chip)
            engines[engine.name] = engine
            found.append(observation)
        except HwsimError as error:
            text = str(error)
            problems.append(text if text.startswith(row.where) else f"{row.where}: {row.name}: {text}")
    if problems:
        raise UsageError("\n".join(problems))
    if len(engines) > 1:
        raise UsageError(f"rows run on {' and '.join(engines)} of {chip.name}: calibrate one core at a time")
    (core,) = engines.values()
    by_dtype = {observation.dtype: observation.row for observation in reversed(found)}
    if len(by_dtype) > 1:
        told = ", ".join(f"{row.where} as {dtype}" for dtype, row in by_dtype.items())
        raise UsageError(f"rows run at several dtypes ({told}): calibrate one at a time, each from its own file")
    return core, found


def _observation(row: MeasuredRow, chip: Chip) -> tuple[CoreEngine, Observation]:
    at = chip if row.clock_mhz is None else chip.replace(_clock(chip), row.clock_mhz)
    points = HardwarePoints.of(at)
    workload = lower(row.graph, dtype=row.dtype or natural_dtype(row.graph, chip))
    costs = cost(workload, points)
    used = [at.engines[index] for index in dict.fromkeys(costs.engine.tolist()) if index != NOBODY]
    if len(used) != 1 or not isinstance(used[0], CoreEngine):
        raise UsageError(f"{row.where}: {row.name}: runs on {', '.join(e.name for e in used)} of {chip.name}, not on "
                         "one core alone")  # fmt: skip
    engine, table = used[0], used[0].kernel_table
    layers = [layer for layer, index in zip(workload.rows, costs.engine.tolist(), strict=True) if index != NOBODY]
    if row.layer:
        named = [layer for layer in layers if layer.layer.name == row.layer]
        if not named:
            known = [layer.layer.name for layer in layers]
            hint = did_you_mean(row.layer, known) or f"; it has {len(known)}, such as {known[0]}"
            raise UsageError(f"{row.where}: layer = {row.layer!r}: {row.net} has no such layer that takes time{hint}")
        layers = named
    clock_hz = float(points.engine(engine.name).clock_hz[0])
    cycles = row.cycles if row.cycles is not None else (row.latency_s or np.nan) * clock_hz
    dtype = _main_dtype(workload.rows)
    waits = sum(waiting(layers, engine, table, points, costs.residency))
    ports = np.maximum(*port_times(layers, costs.residency))
    cores = float(points.engine(engine.name).cores[0])
    parts = _parts(layers, table, dtype, np.asarray(waits)[:, 0] * clock_hz, cores)
    return engine, Observation(
        row, dtype, float(cycles), parts, np.broadcast_to(ports, (len(layers), 1))[:, 0] * clock_hz
    )


def _clock(chip: Chip) -> str:
    """Return the path of the clock of a chip's core."""
    core = next(engine for engine in chip.engines if isinstance(engine, CoreEngine))
    return "clock_mhz" if core.clock_mhz is None else f"engines.{core.name}.clock_mhz"


def _main_dtype(layers: Sequence[Row]) -> EngineDType:
    macs: dict[EngineDType, int] = {}
    for layer in layers:
        if layer.macs:
            macs[rate_dtype(layer.dtype)] = macs.get(rate_dtype(layer.dtype), 0) + layer.macs
    if not macs:
        raise UsageError("the net has no MACs, and tells nothing of the kernels that have")
    return max(macs, key=lambda dtype: macs[dtype])


def _parts(layers: Sequence[Row], table: KernelTable, dtype: EngineDType, waits: Floats, cores: float) -> Floats:
    """Return cycles by layer and part, shape [layer, part + 1]."""
    terms = quantities(layers, table) * coefficients(layers, table)
    shared = 1.0 if table.parallel_efficiency is None else 1 + (cores - 1) * table.parallel_efficiency
    terms[:, :-1] /= shared
    parts = np.zeros((len(layers), len(PARTS) + 1))
    for index, layer in enumerate(layers):
        own = rate_dtype(layer.dtype) == dtype
        for column, term in enumerate(TERMS):
            parts[index, part_of(layer.kind, term) if own else FIXED] += terms[index, column]
        parts[index, STREAM if own else FIXED] += waits[index]
    return parts
