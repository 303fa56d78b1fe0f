"""Measured rows of NPUs, the fit of what their tables add to the array model, and how far off it is.

    cycles = fixed + Σ over parameters and groups of  features · value(NPU, parameter) · factor(release, group)

``fixed`` is what the array model says without a table: memories, and layers that the host core takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import nan
from typing import cast

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, Chip, HardwarePoints, KernelCost, KernelEntry, KernelTable, chip_names, load_chip
from hwsim.cost import cost, lower
from hwsim.cost.core import TERMS, quantities
from hwsim.silicon.fit import ROBUST_ERROR, ROUNDS, ROWS_PER_COEFFICIENT, ridge, slope
from hwsim.silicon.measurements import Measurement, measurements
from hwsim.silicon.npu_parameters import ARRAY_NAMES, ARRAY_PARAMETERS, BY_CHIP, EVERY, NPUS, PACE, Npu, group_of
from hwsim.silicon.parameters import GROUPS
from hwsim.silicon.validation import Validated
from hwsim.units import HZ_PER_MHZ, S_PER_MS

Floats = npt.NDArray[np.float64]
SPREAD = np.array([parameter.spread for parameter in ARRAY_PARAMETERS])
# No mapping runs in fewer cycles than it has.
FLOOR = np.array([float(any(name == PACE for _, name in parameter.feeds)) for parameter in ARRAY_PARAMETERS])
# With a factor per group the last, of streaming, is of weights: no parameter of an array follows it.
MOST_FACTORS = 2


@dataclass(frozen=True, slots=True, eq=False)
class NpuSample:
    """One measured row of an NPU.

    Attributes:
        measurement: The row.
        cycles: Cycles it took, at the array's clock.
        shipped_cycles: Cycles that the cost engine predicts with the shipped table.
        fixed: What it would take besides what the table says.
        features: Cycles per unit of each parameter, by group of layers, shape [parameter, group].
    """

    measurement: Measurement
    cycles: float
    shipped_cycles: float
    fixed: float
    features: Floats


@dataclass(frozen=True)
class NpuFit:
    """Fitted values of one NPU.

    Attributes:
        npu: Which.
        values: Value of each parameter.
        factors: Release -> factor of each group; releases that are not here have ones.
        coefficients: How many numbers were fitted: of the table, and of each release.
    """

    npu: Npu
    values: Floats
    factors: dict[str, Floats] = field(default_factory=dict)
    coefficients: dict[str, int] = field(default_factory=dict)

    def factor(self, runtime: str) -> Floats:
        """Return a release's factors, shape [group]."""
        return self.factors.get(runtime, np.ones(len(GROUPS)))

    def relative_error(self, sample: NpuSample) -> float:
        """Return predicted over measured, less one."""
        cycles = sample.fixed + self.values @ sample.features @ self.factor(sample.measurement.runtime)
        return float(cycles / sample.cycles - 1)


def npu_rows() -> list[Measurement]:
    """Return the rows of NPUs that hwsim can predict and that say something new and certain.

    Nets whose weights have four bits in some layers are left aside: which layers is not published.
    """
    known = {npu.chip: frozenset(npu.libraries) for npu in NPUS if npu.chip in chip_names()}
    return [
        row
        for row in measurements()
        if row.engine == "npu"
        and row.net
        and row.trusted
        and row.dtype != "int4/int8"
        and row.runtime in known.get(row.chip, ())
    ]


@lru_cache(maxsize=64)
def _chips(name: str, runtime: str) -> tuple[Chip, Chip, ArrayEngine]:
    """Return a chip as shipped, the same with a table that adds nothing, and its array."""
    shipped = load_chip(name, runtime=runtime)
    bare = KernelTable(
        schema=1,
        name="bare",
        core=name,
        library="none",
        runtime=runtime,
        dtypes={"int8": dict.fromkeys(EVERY, KernelCost(cycles_per_call=0.0))},
        fitted_to="nothing",
        sources={"*": "assumed"},
    )
    engines = tuple(
        engine.with_table(bare, engine.memory_facts) if isinstance(engine, ArrayEngine) else engine
        for engine in shipped.engines
    )
    array = next(engine for engine in engines if isinstance(engine, ArrayEngine))
    return shipped, shipped.model_copy(update={"engines": engines}), array


def npu_samples(rows: Sequence[Measurement]) -> list[NpuSample]:
    """Return what a fit needs of rows; those of one net, chip and release share their costs."""
    return [_sample(row, *_costs(row.chip, row.runtime, row.net, row.parameters)) for row in rows]


@lru_cache(maxsize=512)
def _costs(chip: str, runtime: str, net: str, parameters: str) -> tuple[float, float, Floats]:
    """Return seconds by the shipped table, seconds besides what a table says, and features in seconds."""
    row = next(one for one in measurements() if (one.net, one.parameters) == (net, parameters))
    shipped, bare, array = _chips(chip, runtime)
    workload = lower(row.graph(), dtype="int8")
    seconds = float(cost(workload, HardwarePoints.of(shipped)).total_latency_s[0])
    costs = cost(workload, HardwarePoints.of(bare))
    index = [engine.name for engine in bare.engines].index(array.name)
    mine = [position for position in np.flatnonzero(costs.engine == index) if not workload.rows[position].view]
    layers = [workload.rows[position] for position in mine]
    mapped = costs.cycles[mine, 0]
    entries = [cast("KernelEntry", layer.variant or layer.kind) for layer in layers]
    counted = quantities(layers, array.kernel_table)
    features = np.zeros((len(ARRAY_PARAMETERS), len(GROUPS)))
    for number, parameter in enumerate(ARRAY_PARAMETERS):
        for entry, name in parameter.feeds:
            at = [position for position, other in enumerate(entries) if other == entry]
            amount = mapped[at] if name == PACE else counted[at, TERMS.index(name)]
            group = GROUPS.index("other") if parameter.name == "call" else group_of(entry)
            features[number, group] += amount.sum()
    clock_hz = float(HardwarePoints.of(bare).engine(array.name).clock_hz[0])
    # A mapping's cycles are counted by their pace, and no longer as they are; vector lanes have no pace of their own.
    paced = [entry in _PACED for entry in entries]
    fixed = float(costs.total_latency_s[0]) - mapped[paced].sum() / clock_hz
    return seconds, fixed, features / clock_hz


_PACED = frozenset(entry for parameter in ARRAY_PARAMETERS for entry, name in parameter.feeds if name == PACE)


def _sample(row: Measurement, seconds: float, fixed: float, features: Floats) -> NpuSample:
    assert row.latency_ms is not None
    clock_hz = (row.clock_mhz or nan) * HZ_PER_MHZ
    return NpuSample(
        row, row.latency_ms * S_PER_MS * clock_hz, seconds * clock_hz, fixed * clock_hz, features * clock_hz
    )


def fit_npu(npu: Npu, samples: Sequence[NpuSample], *, count: int | None = None) -> NpuFit:
    """Fit an NPU's table and its releases' factors to its rows, in turn, as those of cores are.

    Args:
        npu: The NPU.
        samples: Its rows.
        count: How many coefficients the table may have; default: a quarter of the rows.
    """
    prior = np.array([npu.priors[name] for name in ARRAY_NAMES])
    result = NpuFit(npu, prior.copy())
    if not samples:
        return result
    count = table_coefficients(npu, samples) if count is None else count
    cycles = np.array([sample.cycles for sample in samples])
    features = np.array([sample.features for sample in samples]) / cycles[:, None, None]
    rest = 1 - np.array([sample.fixed for sample in samples]) / cycles
    runtime = np.array([sample.measurement.runtime for sample in samples])
    base = _weights(samples)
    weight = base
    result.coefficients["table"] = count
    for _ in range(ROUNDS):
        scale = np.array([result.factor(name) for name in runtime])
        columns = np.einsum("rpg,rg->rp", features, scale)
        own = (runtime == npu.reference) | (count == len(prior))
        result.values[:] = np.maximum(_values(prior, count, columns[own], rest[own], weight[own]), FLOOR)
        for name in sorted(set(runtime.tolist()) - {npu.reference}):
            at = runtime == name
            groups = np.einsum("rpg,p->rg", features[at], result.values)
            result.factors[name] = _factors(npu, groups, rest[at], weight[at])
            result.coefficients[name] = min(MOST_FACTORS, max(1, int(at.sum()) // ROWS_PER_COEFFICIENT))
        scale = np.array([result.factor(name) for name in runtime])
        error = np.abs(np.einsum("rpg,p,rg->r", features, result.values, scale) - rest)
        weight = base * np.sqrt(np.minimum(1.0, ROBUST_ERROR / np.maximum(error, 1e-12)))
    return result


def table_coefficients(npu: Npu, samples: Sequence[NpuSample]) -> int:
    """Return how many coefficients the rows of an NPU's table carry: one per parameter, one for all, or none."""
    if len(samples) >= ROWS_PER_COEFFICIENT * len(ARRAY_NAMES):
        return len(ARRAY_NAMES)
    own = sum(sample.measurement.runtime == npu.reference for sample in samples)
    return min(1, own // ROWS_PER_COEFFICIENT)


def _weights(samples: Sequence[NpuSample]) -> Floats:
    counts = Counter((sample.measurement.runtime, sample.measurement.family) for sample in samples)
    return np.array([counts[s.measurement.runtime, s.measurement.family] for s in samples]) ** -0.5


def _values(prior: Floats, count: int, columns: Floats, rest: Floats, weight: Floats) -> Floats:
    """Return a value for every parameter, the priors times one scale, or the priors."""
    if count == len(prior):
        return prior * ridge(columns * prior, weight, rest, SPREAD)
    if count == 0 or not len(rest):
        return prior
    return prior * max(slope((columns @ prior) * weight, rest * weight), 1e-3)


def _factors(npu: Npu, columns: Floats, rest: Floats, weight: Floats) -> Floats:
    """Return a release's factors, held near one."""
    apart = len(rest) >= MOST_FACTORS * ROWS_PER_COEFFICIENT
    columns = columns[:, :MOST_FACTORS] if apart else columns.sum(axis=1, keepdims=True)
    found = ridge(columns, weight, rest, np.full(columns.shape[1], npu.factor_spread))
    return np.array([*np.broadcast_to(found, MOST_FACTORS), 1.0])


@dataclass(frozen=True)
class NpusChecked:
    """All rows of NPUs that can be predicted.

    Attributes:
        fits: Table name -> its fit to all rows.
        samples: The rows as the fits see them.
        rows: How far predictions are off, a row per sample.
    """

    fits: dict[str, NpuFit]
    samples: tuple[NpuSample, ...]
    rows: tuple[Validated, ...]


def check_npus(*, progress: Callable[[str], None] = lambda _: None) -> NpusChecked:
    """Fit every NPU to its rows, and to those of all but one family in turn."""
    fits, found, samples = {}, [], []
    for npu in NPUS:
        progress(f"costing the nets measured on {npu.chip}")
        mine = npu_samples([row for row in npu_rows() if BY_CHIP[row.chip] is npu])
        count = table_coefficients(npu, mine)
        fits[npu.table] = fit_npu(npu, mine)
        for family in sorted({sample.measurement.family for sample in mine}):
            rest = fit_npu(npu, [one for one in mine if one.measurement.family != family], count=count)
            for sample in mine:
                if sample.measurement.family == family:
                    samples.append(sample)
                    found.append(_validated(sample, rest.relative_error(sample)))
    return NpusChecked(fits, tuple(samples), tuple(found))


def _validated(sample: NpuSample, left_out: float) -> Validated:
    row = sample.measurement
    seconds = sample.cycles / ((row.clock_mhz or nan) * HZ_PER_MHZ)
    return Validated(row, seconds, sample.shipped_cycles / sample.cycles - 1, {"family": left_out})
