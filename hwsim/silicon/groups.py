"""Errors of groups of measured rows: by chip and release, and of the sets that hwsim aims at."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hwsim.chip import MIN_FAMILIES, MIN_ROWS
from hwsim.silicon.measurements import Measurement
from hwsim.silicon.npu_parameters import BY_CHIP
from hwsim.silicon.validation import Validated, Way

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Errors of a group of rows; fractions. Only rows with a left-out error count.

    Attributes:
        n: Rows.
        families: Net families among them.
        shipped_mape: Mean absolute error of the shipped tables, which were fitted to the rows.
        shipped_p90: 90th percentile of it.
        mape: Mean absolute error, left out.
        bias: Mean error, left out.
        p90: 90th percentile of the absolute error, left out.
        worst: The row furthest off, left out.
        worst_error: Its error.
    """

    n: int
    families: int
    shipped_mape: float
    shipped_p90: float
    mape: float
    bias: float
    p90: float
    worst: Validated
    worst_error: float


def errors_of(rows: Iterable[Validated], way: Way = "family") -> Errors | None:
    """Return the errors of rows, or None where none of them has one."""
    pairs = [(row, row.left_out_errors[way]) for row in rows]
    known = [(row, error) for row, error in pairs if not np.isnan(error)]
    if not known:
        return None
    left_out = np.array([error for _, error in known])
    shipped = np.array([row.shipped_error for row, _ in known])
    worst = int(np.abs(left_out).argmax())
    return Errors(
        n=len(known),
        families=len({row.measurement.family for row, _ in known}),
        shipped_mape=float(np.abs(shipped).mean()),
        shipped_p90=float(np.quantile(np.abs(shipped), 0.9)),
        mape=float(np.abs(left_out).mean()),
        bias=float(left_out.mean()),
        p90=float(np.quantile(np.abs(left_out), 0.9)),
        worst=known[worst][0],
        worst_error=float(left_out[worst]),
    )


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one chip, release and dtype; ``*`` for any release."""

    chip: str
    core: str
    runtime: str
    dtype: str
    errors: Errors


def by_chip_and_release(rows: Iterable[Validated]) -> list[Group]:
    """Return a group per chip, dtype and release, and one over the releases of each chip and dtype."""
    groups: dict[tuple[str, str, str, str], list[Validated]] = {}
    for row in rows:
        m = row.measurement
        for runtime in (ANY, m.runtime):
            groups.setdefault((m.chip, unit_of(m), _dtype(m), runtime), []).append(row)
    found = []
    for (chip, core, dtype, runtime), members in sorted(groups.items()):
        errors = errors_of(members)
        if errors is not None:
            found.append(Group(chip, core, runtime, dtype, errors))
    return found


def unit_of(row: Measurement) -> str:
    """Return what does most of a row's work: its core, or its NPU by the name of its table."""
    return BY_CHIP[row.chip].table if row.engine == "npu" else row.core


def _dtype(row: Measurement) -> str:
    """Return the dtype that a row is predicted at: NPUs take narrower weights as 8 bits wide."""
    return "int8" if row.engine == "npu" else row.dtype


@dataclass(frozen=True, slots=True)
class AimedSet:
    """A set of rows that hwsim aims at, and how far off it is; fractions.

    Attributes:
        name: What the rows have in common.
        way: What was left out.
        rows: The rows.
        errors: How far predictions are off.
        mape_aim: Aim of the mean absolute error.
        p90_aim: Aim of its 90th percentile.
    """

    name: str
    way: Way
    rows: tuple[Validated, ...]
    errors: Errors
    mape_aim: float
    p90_aim: float

    @property
    def met(self) -> bool:
        """Whether both aims are met."""
        return self.errors.mape <= self.mape_aim and self.errors.p90 <= self.p90_aim


M7_AIM, SMALL_AIM, ALL_AIM, NPU_AIM = (0.06, 0.15), (0.10, 0.20), (0.10, 0.25), (0.20, 0.40)


def aimed_sets(rows: Sequence[Validated]) -> list[AimedSet]:
    """Return the sets hwsim aims at, as far as the rows make them up."""
    releases = sorted({row.measurement.runtime for row in rows})
    by_release = [
        _aimed(f"Cortex-M7 int8, {runtime}", "family", _of(rows, "cortex-m7", runtime), M7_AIM) for runtime in releases
    ]
    sets = [one for one in by_release if one and one.errors.n >= MIN_ROWS and one.errors.families >= MIN_FAMILIES]
    ways: tuple[Way, ...] = ("chip", "release")
    small = [
        _aimed(f"{name} int8", way, _of(rows, core), SMALL_AIM)
        for core, name in (("cortex-m33", "Cortex-M33"), ("cortex-m4", "Cortex-M4"))
        for way in ways
    ]
    everything = [
        _aimed("all rows of cores", "family", [row for row in rows if row.measurement.engine == "core"], ALL_AIM),
        _aimed("NPUs", "family", [row for row in rows if row.measurement.engine == "npu"], NPU_AIM),
    ]
    return [one for one in (*sets, *small, *everything) if one is not None]


def _of(rows: Sequence[Validated], core: str, runtime: str = ANY) -> list[Validated]:
    """Return the int8 rows of a core, with one release or any."""
    return [
        row
        for row in rows
        if unit_of(row.measurement) == core
        and row.measurement.dtype == "int8"
        and runtime in (ANY, row.measurement.runtime)
    ]


def _aimed(name: str, way: Way, rows: Sequence[Validated], aims: tuple[float, float]) -> AimedSet | None:
    members = tuple(row for row in rows if way in row.left_out_errors)
    errors = errors_of(members, way)
    return None if errors is None else AimedSet(name, way, members, errors, *aims)


_FIELDS = ("chip", "core", "runtime", "dtype")
_NUMBERS = ("n", "families", "mape", "bias", "p90")


def error_bars_csv(rows: Iterable[Validated]) -> str:
    """Return the groups as the CSV that reports take their error bars from."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIELDS, *_NUMBERS])
    for group in by_chip_and_release(rows):
        numbers = [getattr(group.errors, name) for name in _NUMBERS]
        written = [f"{value:.4f}" if isinstance(value, float) else value for value in numbers]
        writer.writerow([*(getattr(group, name) for name in _FIELDS), *written])
    return text.getvalue()
