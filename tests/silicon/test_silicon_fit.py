"""The fit: least squares against full enumeration, values that are known beforehand, and what it must not see."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from hwsim.silicon.fit import FULL, REFERENCE, ROWS_PER_COEFFICIENT, TELLING, bench, fit
from hwsim.silicon.least_squares import nonnegative_least_squares
from hwsim.silicon.parameters import GROUPS, NAMES, PARAMETERS
from hwsim.silicon.validation import without


def enumerated(matrix, target):
    """The best nonnegative solution over every set of variables that are not zero."""
    count = matrix.shape[1]
    best, least = np.zeros(count), np.linalg.norm(target)
    for size in range(1, count + 1):
        for free in combinations(range(count), size):
            x = np.zeros(count)
            x[list(free)] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
            rest = np.linalg.norm(matrix @ x - target)
            if (x >= 0).all() and rest < least - 1e-12:
                best, least = x, rest
    return best


@pytest.mark.parametrize("seed", range(30))
def test_least_squares_are_those_of_full_enumeration(seed):
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(3, 12)), int(rng.integers(1, 7))
    matrix = rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-2, 3, columns)
    target = rng.normal(size=rows)
    got, best = nonnegative_least_squares(matrix, target), enumerated(matrix, target)
    assert (got >= 0).all()
    assert np.linalg.norm(matrix @ got - target) == pytest.approx(np.linalg.norm(matrix @ best - target), rel=1e-9)


def test_least_squares_of_nothing_to_gain():
    assert nonnegative_least_squares(np.eye(2), np.array([-1.0, -2.0])).tolist() == [0, 0]
    assert nonnegative_least_squares(np.eye(2), np.zeros(2)).tolist() == [0, 0]
    # Two equal columns: how they share is open, their sum is not.
    assert nonnegative_least_squares(np.ones((3, 2)), np.full(3, 5.0)).sum() == pytest.approx(5)


def made_up(found, values, factors):
    """The rows with the cycles that values and factors would make."""
    group = np.array([GROUPS.index(parameter.group) for parameter in PARAMETERS])
    rows = [sample for sample in found.samples if bench(sample) == ("cortex-m7", "int8")]
    scales = [factors.get(row.measurement.runtime, np.ones(3))[group] for row in rows]
    return [
        replace(row, cycles=float(row.features @ (values * scale))) for row, scale in zip(rows, scales, strict=True)
    ]


def test_values_and_factors_known_beforehand_are_found(found):
    rng = np.random.default_rng(1)
    values = np.array([parameter.prior for parameter in PARAMETERS]) * rng.uniform(0.7, 1.4, len(NAMES))
    factors = {"x-cube-ai-7.3": np.array([1.3, 1.5, 1.1]), "st-edge-ai-3.0": np.array([0.9, 1.2, 1.0])}
    rows = made_up(found, values, factors)
    got = fit(rows)
    errors = np.array([abs(got.relative_error(row)) for row in rows])
    assert errors.mean() < 0.01
    assert errors.max() < 0.06
    assert got.factors["x-cube-ai-7.3"][:2] == pytest.approx(factors["x-cube-ai-7.3"][:2], rel=0.06)
    assert got.values["cortex-m7", "int8"][NAMES.index("mac")] == pytest.approx(values[NAMES.index("mac")], rel=0.08)


def test_a_unit_of_time_changes_nothing(found):
    # All chips and releases twice as slow: every value doubles but for the stall factor's and the priors' pull.
    rows = [sample for sample in found.samples if bench(sample) == ("cortex-m4", "int8")]
    whole = [*rows, *(sample for sample in found.samples if bench(sample) == ("cortex-m7", "int8"))]
    once = fit(whole)
    twice = fit([replace(s, cycles=2 * s.cycles, features=2 * s.features) for s in whole])
    assert twice.values["cortex-m4", "int8"] == pytest.approx(once.values["cortex-m4", "int8"])


def test_no_more_coefficients_than_rows_can_carry(found):
    for label, count in found.fit.coefficients.items():
        if "/" in label:
            rows = [sample for sample in found.samples if "/".join(bench(sample)) == label]
        else:
            rows = [s for s in found.samples if s.measurement.runtime == label and bench(s) in TELLING]
        assert count == 1 or count * ROWS_PER_COEFFICIENT <= len(rows), label
    assert all(found.fit.coefficients["/".join(one)] == len(NAMES) for one in FULL)


def test_the_newest_releases_define_the_table(found):
    assert not REFERENCE & set(found.fit.factors)
    fitted = {s.measurement.runtime for s in found.samples if bench(s) in TELLING}
    assert set(found.fit.factors) | REFERENCE == fitted | REFERENCE


def test_what_is_left_out_is_not_seen(found):
    chosen = [i for i, sample in enumerate(found.samples) if sample.measurement.family == "ResNetV1"]
    assert len(chosen) > 30

    def predicted(samples):
        return [(1 + e) * samples[i].cycles for i, e in zip(chosen, without(samples, chosen), strict=True)]

    spoilt = [
        replace(sample, cycles=1000 * sample.cycles) if index in chosen else sample
        for index, sample in enumerate(found.samples)
    ]
    assert predicted(spoilt) == pytest.approx(predicted(found.samples))
