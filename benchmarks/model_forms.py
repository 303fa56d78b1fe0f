"""Forms of core model, compared on nets they have not seen: a plain linear one and the one that hwsim uses.

    python benchmarks/model_forms.py

The plain form has coefficients of its own for every core and release: cycles per MAC of four kinds, per output of two,
per weight byte and per call, nonnegative least squares of the relative error. The physical form is that of
``hwsim.silicon.fit``. Errors are those of rows whose net family was left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hwsim.chip import CONV_LIKE
from hwsim.cost import lower
from hwsim.cost.workload import FREE
from hwsim.silicon.least_squares import nonnegative_least_squares
from hwsim.silicon.samples import Sample, samples
from hwsim.silicon.validation import check, measured_rows

Floats = npt.NDArray[np.float64]
MIN_ROWS, MIN_FAMILIES = 8, 4
HEAD = f"{'core':<14}{'release':<18}{'n':>4}{'families':>10}{'plain: fitted':>15}{'left out':>10}{'p90':>8}"


def main() -> None:
    """Print the errors of both forms for every core and release with enough rows."""
    rows = samples(measured_rows())
    physical = check(rows, ["family"])
    print(HEAD + f"{'physical: fitted':>18}{'left out':>10}{'p90':>8}")
    groups: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(rows):
        if row.measurement.dtype == "int8":
            groups.setdefault((row.measurement.core, row.measurement.runtime), []).append(index)
    for (core, runtime), members in sorted(groups.items()):
        families = {rows[index].measurement.family for index in members}
        if len(members) < MIN_ROWS or len(families) < MIN_FAMILIES:
            continue
        fitted, left_out = plain_errors([rows[index] for index in members])
        ours = np.abs([physical.rows[index].left_out_error for index in members])
        ours_fitted = np.abs([physical.rows[index].shipped_error for index in members])
        print(
            f"{core:<14}{runtime:<18}{len(members):>4}{len(families):>10}{_mean(fitted):>15}{_mean(left_out):>10}"
            f"{_p90(left_out):>8}{_mean(ours_fitted):>18}{_mean(ours):>10}{_p90(ours):>8}"
        )


def plain_errors(rows: Sequence[Sample]) -> tuple[Floats, Floats]:
    """Return the absolute relative errors of the plain form, fitted to all rows and to those of other families."""
    counts = np.array([plain_counts(row) for row in rows])
    relative = counts / np.array([row.cycles for row in rows])[:, None]
    families = np.array([row.measurement.family for row in rows])
    ones = np.ones(len(rows))
    fitted = relative @ nonnegative_least_squares(relative, ones) - 1
    left_out = np.empty(len(rows))
    for family in set(families.tolist()):
        out = families == family
        left_out[out] = relative[out] @ nonnegative_least_squares(relative[~out], ones[~out]) - 1
    return np.abs(fitted), np.abs(left_out)


def plain_counts(row: Sample) -> Floats:
    """Return MACs of k×k, pointwise, dense and depthwise layers, outputs with and without MACs, weight bytes, calls."""
    counts = np.zeros(8)
    macs = {"conv": 0, "transposed_conv": 0, "pointwise": 1, "dense": 2, "matmul": 2, "depthwise": 3}
    for layer in lower(row.measurement.graph(), dtype="int8").rows:
        if layer.kind == FREE:
            continue
        if layer.kind in macs:
            counts[macs[layer.kind]] += layer.macs
        counts[4 if layer.kind in CONV_LIKE else 5] += layer.ofmap_elements
        counts[6] += layer.filter_bytes
        counts[7] += 1
    return counts


def _mean(errors: Floats) -> str:
    return f"{np.mean(errors):.1%}"


def _p90(errors: Floats) -> str:
    return f"{np.quantile(errors, 0.9):.1%}"


if __name__ == "__main__":
    main()
