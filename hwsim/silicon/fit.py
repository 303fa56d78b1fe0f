"""The fit: one physical table per core, a few factors per library release, shared by every core it runs on.

    cycles = Σ over parameters of  features · value(core, dtype) · factor(release, group)

A release's factors are of its integer kernels; float kernels hardly differ between releases and have none.

Values and factors are fitted in turn, each by nonnegative least squares of the relative error, rows weighted so that a
family counts by the root of its rows. The Cortex-M7, which has the most nets, gets a value per parameter, held near its
prior; every other core is that table (a float table: its core's integer one) times a scale per group, as few
coefficients as its rows can carry: at most one per four.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwsim.silicon.least_squares import nonnegative_least_squares
from hwsim.silicon.parameters import GROUPS, NAMES, PARAMETERS
from hwsim.silicon.samples import Sample

Floats = npt.NDArray[np.float64]
Bench = tuple[str, str]  # core, dtype

ROWS_PER_COEFFICIENT = 4
FULL: tuple[Bench, ...] = (("cortex-m7", "int8"), ("cortex-a7", "int8"))
"""Where every parameter has a value of its own: those with four rows for each."""
PARENTS: Mapping[Bench, Bench] = {
    ("cortex-m4", "int8"): ("cortex-m7", "int8"),
    ("cortex-m33", "int8"): ("cortex-m7", "int8"),
    ("cortex-m0plus", "int8"): ("cortex-m7", "int8"),
    ("cortex-a7", "int8"): ("cortex-m7", "int8"),
    ("cortex-a35", "int8"): ("cortex-a7", "int8"),
    ("cortex-m7", "float32"): ("cortex-m7", "int8"),
    ("cortex-m4", "float32"): ("cortex-m4", "int8"),
    ("cortex-m33", "float32"): ("cortex-m33", "int8"),
}
"""The table that a bench's is a scaled copy of, or has its priors from."""
PRIORS: Mapping[Bench, Mapping[str, float]] = {
    # TensorFlow Lite resizes integers with its reference kernel, 64-bit products and divisions, in one thread.
    ("cortex-a7", "int8"): {"resize": 1500.0},
}
"""Priors that are not the parent's."""
TELLING: tuple[Bench, ...] = tuple((core, "int8") for core in ("cortex-m7", "cortex-m4", "cortex-m33", "cortex-a7"))
"""Whose rows the factors of releases are fitted to; the others take them as they are."""
REFERENCE = frozenset({"x-cube-ai-9.1", "x-cube-ai-10.0", "st-edge-ai-4.0", "x-linux-ai-5.1"})
"""Releases whose rows do not differ beyond noise: their factors are one by definition."""

# How strongly priors hold against rows, in units of a relative error; how far factors and scales may be from one.
PRIOR_WEIGHT = 0.2
FACTOR_SPREAD = 1.0
# What another core says of kernels outside the products, in other libraries, is held so much more loosely.
LOOSE = 4.0
SCALE_SPREAD = 1.0
# Rows further off than this count less: their error grows linearly, not squared.
ROBUST_ERROR = 0.08
ROUNDS = 12

_PRIOR = np.array([parameter.prior for parameter in PARAMETERS])
_SPREAD = np.array([parameter.spread for parameter in PARAMETERS])
OTHER = GROUPS.index("other")
_GROUP = np.array([GROUPS.index(parameter.group) for parameter in PARAMETERS])


@dataclass(frozen=True)
class Fit:
    """Fitted values.

    Attributes:
        values: Core and dtype -> value of each parameter, shape [parameter].
        factors: Release -> factor of each group, shape [group].
        coefficients: How many numbers were fitted for a bench or a release.
    """

    values: dict[Bench, Floats] = field(default_factory=dict)
    factors: dict[str, Floats] = field(default_factory=dict)
    coefficients: dict[str, int] = field(default_factory=dict)

    def predict(self, sample: Sample) -> float:
        """Return the cycles of a row; a release never seen has the factors one."""
        return float(sample.features @ (self.values[bench(sample)] * self.factor_of(sample)[_GROUP]))

    def factor(self, runtime: str) -> Floats:
        """Return a release's factors, which are of its integer kernels."""
        return self.factors.get(runtime, np.ones(len(GROUPS)))

    def factor_of(self, sample: Sample) -> Floats:
        """Return the factors that hold for a row."""
        row = sample.measurement
        return self.factor(row.runtime) if row.dtype == "int8" else np.ones(len(GROUPS))

    def relative_error(self, sample: Sample) -> float:
        """Return predicted over measured, less one."""
        return self.predict(sample) / sample.cycles - 1


def bench(sample: Sample) -> Bench:
    """Return core and dtype of a row."""
    return sample.measurement.core, sample.measurement.dtype


def fit(samples: Sequence[Sample]) -> Fit:
    """Fit values and factors to measured rows."""
    benches = _in_order({bench(sample) for sample in samples})
    result = Fit(values={one: _PRIOR.copy() for one in _with_parents(benches)})
    features = np.array([sample.features for sample in samples])
    relative = features / np.array([sample.cycles for sample in samples])[:, None]
    own = {one: np.array([bench(sample) == one for sample in samples]) for one in benches}
    runtime = np.array([sample.measurement.runtime for sample in samples])
    telling = np.array([bench(sample) in TELLING for sample in samples])
    base_weight = _weights(samples)
    weight = base_weight
    for step in range(ROUNDS):
        scale = np.array([result.factor_of(sample)[_GROUP] for sample in samples])
        for one in benches:
            _fit_values(result, one, (relative * scale)[own[one]], weight[own[one]])
        held = np.array([result.values[bench(sample)] for sample in samples])
        for name in sorted(set(runtime[telling].tolist()) - REFERENCE):
            at = (runtime == name) & telling
            _fit_factors(result, name, (relative * held)[at], weight[at])
        if step >= 2:
            scale = np.array([result.factor_of(sample)[_GROUP] for sample in samples])
            error = np.abs((relative * held * scale).sum(axis=1) - 1)
            weight = base_weight * np.sqrt(np.minimum(1.0, ROBUST_ERROR / np.maximum(error, 1e-12)))
    return result


def _with_parents(benches: Sequence[Bench]) -> list[Bench]:
    found = list(benches)
    for one in found:
        parent = PARENTS.get(one)
        if parent is not None and parent not in found:
            found.append(parent)
    return found


def _in_order(benches: set[Bench]) -> list[Bench]:
    """Return benches, each after its parent."""

    def depth(one: Bench) -> int:
        return 1 + depth(PARENTS[one]) if one in PARENTS else 0

    return sorted(benches, key=lambda one: (depth(one), one))


def _weights(samples: Sequence[Sample]) -> Floats:
    """Return row weights: rows of one family on one core and release share theirs, by the root of their number."""
    keys = [(bench(s), s.measurement.runtime, s.measurement.family) for s in samples]
    counts = Counter(keys)
    return np.array([counts[key] for key in keys]) ** -0.5


def slope(x: Floats, y: Floats) -> float:
    """Return the factor that brings x nearest to y."""
    return float(x @ y / np.maximum(x @ x, 1e-300))


def ridge(columns: Floats, weight: Floats, target: Floats, spread: Floats) -> Floats:
    """Return nonnegative multipliers near one that make weighted columns sum to the target."""
    hold = PRIOR_WEIGHT / spread
    matrix = np.vstack([columns * weight[:, None], np.diag(hold)])
    return nonnegative_least_squares(matrix, np.concatenate([target * weight, hold]))


def _fit_values(result: Fit, one: Bench, relative: Floats, weight: Floats) -> None:
    rows = len(relative)
    parent = result.values[PARENTS[one]] if one in PARENTS else _PRIOR
    ones = np.ones(rows)
    label = "/".join(one)
    if one in FULL and rows >= len(NAMES):
        prior = parent
        if one in PARENTS:
            prior = parent * _group_scales(relative * parent, weight, 1)[_GROUP]
        for name, value in PRIORS.get(one, {}).items():
            prior = np.where(np.array(NAMES) == name, value, prior)
        inherited = (one in PARENTS) & ~np.isin(NAMES, list(PRIORS.get(one, {})))
        spread = np.where(inherited & (_GROUP == OTHER), LOOSE * _SPREAD, _SPREAD)
        result.values[one] = prior * ridge(relative * prior, weight, ones, spread)
        result.coefficients[label] = len(NAMES)
        return
    # A table waits for memories as its integer kernels do.
    most = len(GROUPS) if one[1] == "int8" else len(GROUPS) - 1
    count = max(1, min(most, rows // ROWS_PER_COEFFICIENT))
    result.values[one] = parent * _group_scales(relative * parent, weight, count)[_GROUP]
    result.coefficients[label] = count


def _fit_factors(result: Fit, name: str, relative: Floats, weight: Floats) -> None:
    count = max(1, min(len(GROUPS), len(relative) // ROWS_PER_COEFFICIENT))
    result.factors[name] = _group_scales(relative, weight, count, spread=FACTOR_SPREAD)
    result.coefficients[name] = count


def _group_scales(relative: Floats, weight: Floats, count: int, *, spread: float = SCALE_SPREAD) -> Floats:
    """Return a factor per group; with one coefficient computing is scaled as a whole and waiting is left as it is.

    Groups are held near the one factor that fits the rows best, so that a core ten times slower is no pull to one.
    """
    sums = np.stack([relative[:, index == _GROUP].sum(axis=1) for index in range(len(GROUPS))], axis=1)
    columns = {1: sums[:, :2].sum(axis=1, keepdims=True), 2: sums[:, :2], 3: sums}[count]
    rest = np.ones(len(sums)) - (sums[:, 2] if count < 3 else 0.0)
    computing = sums[:, :2].sum(axis=1)
    whole = max(slope(computing * weight, (np.ones(len(sums)) - sums[:, 2]) * weight), 1e-3)
    if count == 1:
        return np.array([whole, whole, 1.0])
    centre = np.array([whole, whole, 1.0])[:count]
    found = centre * ridge(columns * centre, weight, rest, np.full(count, spread))
    return np.array([*found, *[1.0] * (len(GROUPS) - count)])
