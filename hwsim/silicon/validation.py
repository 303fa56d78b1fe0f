"""Validation: every measured row that can be predicted, in a fit with it and in one without its net family.

``validate`` asks the cost engine, as a user would, and puts beside it what the fit says when the row's family is left
out whole; that second error is the one reports carry.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwsim.chip import chip_names, load_chip
from hwsim.chip.schema import CoreEngine
from hwsim.silicon.fit import Fit, bench, fit
from hwsim.silicon.measurements import Measurement, measurements
from hwsim.silicon.samples import Sample

Floats = npt.NDArray[np.float64]
Key = Callable[[Measurement], str]


def measured_rows() -> list[Measurement]:
    """Return the rows of cores that hwsim can predict and that say something new and certain."""
    return [row for row in measurements() if row.engine == "core" and row.net and row.trusted and _has_profile(row)]


def _has_profile(row: Measurement) -> bool:
    """Return whether a shipped profile has the row's chip, core and runtime at its dtype."""
    if row.chip not in chip_names() or row.dtype not in ("int8", "float32"):
        return False
    engines = load_chip(row.chip).engines
    return any(isinstance(e, CoreEngine) and e.core == row.core and row.runtime in e.kernels for e in engines)


@dataclass(frozen=True)
class Checked:
    """Measured rows, the fit to all of them, and errors of fits without them.

    Attributes:
        samples: The rows.
        fit: The fit to all.
        left_out: Row (by identity) -> relative error when its family is left out; nan where nothing is left to fit to.
    """

    samples: Sequence[Sample]
    fit: Fit
    left_out: dict[int, float] = field(default_factory=dict)

    def errors(self, rows: Sequence[Sample]) -> tuple[Floats, Floats]:
        """Return relative errors of rows, fitted and left out."""
        return (
            np.array([self.fit.relative_error(row) for row in rows]),
            np.array([self.left_out[id(row)] for row in rows]),
        )


def check(rows: Sequence[Sample], *, progress: Callable[[str], None] = lambda _: None) -> Checked:
    """Fit to all rows, and to all but one family for every family."""
    whole = fit(rows)
    families = sorted({row.measurement.family for row in rows})
    left_out: dict[int, float] = {}
    for index, family in enumerate(families, start=1):
        progress(f"without {family} ({index} of {len(families)})")
        left_out |= without(rows, lambda row, family=family: row.family == family)  # type: ignore[misc]
    return Checked(rows, whole, left_out)


def without(rows: Sequence[Sample], chosen: Callable[[Measurement], bool]) -> dict[int, float]:
    """Return the errors of chosen rows in a fit without them; nan where no row of their core and dtype is left."""
    kept = [row for row in rows if not chosen(row.measurement)]
    rest = fit(kept)
    known = {bench(row) for row in kept}
    return {
        id(row): rest.relative_error(row) if bench(row) in known else float("nan")
        for row in rows
        if chosen(row.measurement)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """Errors of a group of rows; fractions.

    Attributes:
        chip: The chip.
        core: Its core.
        runtime: The library release, or ``*`` for all.
        dtype: The dtype.
        n: Rows with a left-out error.
        families: Net families among them.
        fitted_mape: Mean absolute error in the fit to all rows.
        mape: Mean absolute error, family left out.
        bias: Mean error, family left out.
        p90: 90th percentile of the absolute error, family left out.
        worst: The row that is furthest off, left out: its net and error.
    """

    chip: str
    core: str
    runtime: str
    dtype: str
    n: int
    families: int
    fitted_mape: float
    mape: float
    bias: float
    p90: float
    worst: str


def summary(found: Checked, rows: Sequence[Sample], *, chip: str, runtime: str) -> ErrorRow | None:
    """Return the errors of rows that share core and dtype, or None where none has one."""
    fitted, left_out = found.errors(rows)
    known = ~np.isnan(left_out)
    if not known.any():
        return None
    kept = [row for row, good in zip(rows, known.tolist(), strict=True) if good]
    errors = left_out[known]
    worst = int(np.abs(errors).argmax())
    core, dtype = bench(kept[0])
    return ErrorRow(
        chip=chip,
        core=core,
        runtime=runtime,
        dtype=dtype,
        n=len(kept),
        families=len({row.measurement.family for row in kept}),
        fitted_mape=float(np.abs(fitted[known]).mean()),
        mape=float(np.abs(errors).mean()),
        bias=float(errors.mean()),
        p90=float(np.quantile(np.abs(errors), 0.9)),
        worst=f"{kept[worst].measurement.net_name} {errors[worst]:+.0%}",
    )


def summaries(found: Checked) -> list[ErrorRow]:
    """Return a row per chip, release and dtype, and one per chip and dtype over its releases (``*``)."""
    groups: dict[tuple[str, str, str], list[Sample]] = {}
    for sample in found.samples:
        row = sample.measurement
        for runtime in (row.runtime, "*"):
            groups.setdefault((row.chip, row.dtype, runtime), []).append(sample)
    rows = (summary(found, group, chip=chip, runtime=runtime) for (chip, _, runtime), group in sorted(groups.items()))
    return [row for row in rows if row is not None]


FIELDS = ("chip", "core", "runtime", "dtype", "n", "families", "fitted_mape", "mape", "bias", "p90")


def error_rows(found: Checked) -> str:
    """Return the summaries as the CSV that reports take their error bars from."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in summaries(found):
        values = [getattr(row, name) for name in FIELDS]
        writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in values])
    return text.getvalue()
