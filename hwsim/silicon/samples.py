"""Measured rows as a fit sees them: how many cycles each parameter would add to the row, per unit of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.chip import HardwarePoints, KernelCost, KernelTable, load_chip
from hwsim.cost import cost, lower
from hwsim.cost.core import TERMS, quantities, waiting
from hwsim.cost.workload import FREE, Row
from hwsim.silicon.measurements import Measurement
from hwsim.silicon.parameters import FILTER_LANES, INNER_LANES, NAMES, PARAMETERS, STALL
from hwsim.units import S_PER_MS

Floats = npt.NDArray[np.float64]

# Ofmap positions that share a weight once it is loaded: the 2×2 blocking of the Arm kernels.
WEIGHT_REUSE = 2.0
# What each further core adds, from nets measured on one Cortex-A7 (STM32MP135) and on two (STM32MP157).
PARALLEL_EFFICIENCY = 0.93


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One measured row.

    Attributes:
        measurement: The row.
        cycles: Cycles it took, at the row's clock.
        features: Cycles it would take per unit of each of ``NAMES``, shape [parameter].
    """

    measurement: Measurement
    cycles: float
    features: Floats


def structure(core: str) -> KernelTable:
    """Return a table that says how kernels step through a layer, and nothing of what that costs."""
    return KernelTable(
        schema=1,
        name=core,
        core=core,
        library="none",
        runtime="none",
        dtypes={"int8": {"conv": KernelCost(cycles_per_call=0.0)}},
        inner_lanes=INNER_LANES,
        filter_lanes=FILTER_LANES,
        weight_reuse=WEIGHT_REUSE,
        parallel_efficiency=PARALLEL_EFFICIENCY,
        fitted_to="nothing",
        sources={"*": "assumed"},
    )


def samples(rows: Iterable[Measurement]) -> list[Sample]:
    """Return what a fit needs of measured rows; each must name a net, a chip and a runtime."""
    return [_sample(row) for row in rows]


def _sample(row: Measurement) -> Sample:
    assert row.latency_ms is not None
    assert row.clock_mhz is not None
    chip = load_chip(row.chip, runtime=row.runtime)
    if chip.clock_mhz != row.clock_mhz:
        chip = chip.replace("clock_mhz", row.clock_mhz)
    points = HardwarePoints.of(chip)
    workload = lower(row.graph(), dtype=row.dtype)  # type: ignore[arg-type]
    placed = dict([row.placement.split("=")]) if row.placement else None
    residency = cost(workload, points, placed=placed).residency
    table = structure(row.core)
    layers = [layer for layer in workload.rows if layer.kind != FREE]
    shared = 1 + (row.cores - 1) * PARALLEL_EFFICIENCY
    features = _counts(layers, quantities(layers, table))
    features = np.where([name == "call" for name in NAMES], features, features / shared)
    clock_hz = row.clock_mhz * 1e6
    waits = sum(float(wait.sum()) for wait in waiting(layers, table, points, residency))
    features[NAMES.index(STALL)] = waits * clock_hz
    return Sample(row, row.latency_ms * S_PER_MS * clock_hz, features)


def _counts(layers: Sequence[Row], counted: Floats) -> Floats:
    """Return the sum over layers of what each parameter's coefficients multiply."""
    entries = [layer.variant or layer.kind for layer in layers]
    totals = np.zeros(len(PARAMETERS))
    for index, parameter in enumerate(PARAMETERS):
        for (entry, field), weight in parameter.feeds.items():
            at = [position for position, name in enumerate(entries) if name == entry]
            totals[index] += weight * counted[at, TERMS.index(field)].sum()
    return totals
