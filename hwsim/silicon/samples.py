"""Measured rows as a fit sees them: how many cycles each parameter would add to the row, per unit of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hwsim.chip import Chip, CoreEngine, HardwarePoints, KernelCost, KernelTable, load_chip
from hwsim.cost import cost, lower
from hwsim.cost.core import TERMS, quantities, waiting
from hwsim.cost.workload import FREE, Row, Workload
from hwsim.graph import Graph
from hwsim.silicon.measurements import Measurement
from hwsim.silicon.parameters import FILTER_LANES, INNER_LANES, NAMES, PARAMETERS, STALL
from hwsim.units import HZ_PER_MHZ, S_PER_MS

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
        shipped_cycles: Cycles that the cost engine predicts with the shipped tables.
        features: Cycles it would take per unit of each of ``NAMES``, shape [parameter].
    """

    measurement: Measurement
    cycles: float
    shipped_cycles: float
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


@lru_cache(maxsize=64)
def _chip(name: str, runtime: str, clock_mhz: float) -> Chip:
    chip = load_chip(name, runtime=runtime)
    return chip if chip.clock_mhz == clock_mhz else chip.replace("clock_mhz", clock_mhz)


@lru_cache(maxsize=64)
def _workload(graph: Graph, dtype: str) -> Workload:
    return lower(graph, dtype=dtype)  # type: ignore[arg-type]


def _sample(row: Measurement) -> Sample:
    assert row.latency_ms is not None
    assert row.clock_mhz is not None
    points = HardwarePoints.of(_chip(row.chip, row.runtime, row.clock_mhz))
    workload = _workload(row.graph(), row.dtype)
    placed = dict([row.placement.split("=")]) if row.placement else None
    costs = cost(workload, points, placed=placed)
    residency = costs.residency
    table = structure(row.core)
    engine = next(e for e in points.chip.engines if isinstance(e, CoreEngine) and e.core == row.core)
    layers = [layer for layer in workload.rows if layer.kind != FREE]
    shared = 1 + (row.cores - 1) * PARALLEL_EFFICIENCY
    features = _counts(layers, quantities(layers, table))
    features = np.where([name == "call" for name in NAMES], features, features / shared)
    clock_hz = row.clock_mhz * HZ_PER_MHZ
    waits = sum(float(wait.sum()) for wait in waiting(layers, engine, table, points, residency))
    features[NAMES.index(STALL)] = waits * clock_hz
    return Sample(row, row.latency_ms * S_PER_MS * clock_hz, float(costs.total_latency_s[0]) * clock_hz, features)


def _counts(layers: Sequence[Row], counted: Floats) -> Floats:
    """Return the sum over layers of what each parameter's coefficients multiply."""
    entries = [layer.variant or layer.kind for layer in layers]
    totals = np.zeros(len(PARAMETERS))
    for index, parameter in enumerate(PARAMETERS):
        for (entry, field), weight in parameter.feeds.items():
            at = [position for position, name in enumerate(entries) if name == entry]
            totals[index] += weight * counted[at, TERMS.index(field)].sum()
    return totals
