"""Validation: every measured row that can be predicted, by the shipped tables and by fits that have not seen its like.

The shipped error is that of the cost engine, as a user meets it. The left-out errors are of fits without the row's net
family, without its chip, or without its release on its core; that of the family is the one reports carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import isnan, nan
from typing import Any, Literal, get_args

from hwsim.chip import CoreEngine, chip_names, load_chip
from hwsim.silicon.fit import REFERENCE, Fit, bench, fit
from hwsim.silicon.measurements import Measurement, measurements
from hwsim.silicon.samples import Sample
from hwsim.units import HZ_PER_MHZ

Way = Literal["family", "chip", "release"]
WAYS: tuple[Way, ...] = get_args(Way)
# What a row shares with those that are left out with it.
_KEYS: Mapping[Way, Callable[[Measurement], tuple[str, ...]]] = {
    "family": lambda row: (row.family,),
    "chip": lambda row: (row.chip,),
    "release": lambda row: (row.core, row.runtime),
}


@dataclass(frozen=True, slots=True)
class Validated:
    """A measured row and how far predictions are off; errors are predicted over measured, less one.

    Attributes:
        measurement: The row.
        measured_s: Its latency.
        shipped_error: Of the cost engine with the shipped tables.
        left_out_errors: Way -> error of a fit that has not seen the likes of the row; nan where it leaves nothing to
            fit the row's core or release to.
    """

    measurement: Measurement
    measured_s: float
    shipped_error: float
    left_out_errors: Mapping[Way, float]

    @property
    def left_out_error(self) -> float:
        """The error when its net family is left out."""
        return self.left_out_errors["family"]

    def record(self) -> dict[str, Any]:
        """Return the row for JSON and CSV: SI units, None for what is not known."""
        row = self.measurement
        return {
            "set": row.set,
            "net": row.net,
            "parameters": row.parameters,
            "family": row.family,
            "chip": row.chip,
            "engine": row.engine,
            "core": row.core,
            "runtime": row.runtime,
            "dtype": row.dtype,
            "measured_s": self.measured_s,
            "predicted_s": self.measured_s * (1 + self.shipped_error),
            "error": self.shipped_error,
            **{f"error_without_{way}": None if isnan(e) else e for way, e in self.left_out_errors.items()},
            "source": row.source,
        }


@dataclass(frozen=True)
class Checked:
    """All rows that can be predicted.

    Attributes:
        samples: The rows as the fit sees them.
        fit: The fit to all of them.
        rows: How far predictions are off: a row per sample, and those joined to them.
    """

    samples: Sequence[Sample]
    fit: Fit
    rows: tuple[Validated, ...]

    def joined(self, others: Sequence[Validated]) -> Checked:
        """Return the same with rows of other engines beside its own."""
        return replace(self, rows=(*self.rows, *others))


def measured_rows() -> list[Measurement]:
    """Return the rows of cores that hwsim can predict and that say something new and certain."""
    return [row for row in measurements() if row.engine == "core" and row.net and row.trusted and _predictable(row)]


def _predictable(row: Measurement) -> bool:
    """Return whether a shipped profile has the row's chip, core and runtime at its dtype."""
    return row.dtype in ("int8", "float32") and row.runtime in _runtimes(row.chip, row.core)


@cache
def _runtimes(chip: str, core: str) -> frozenset[str]:
    """Return the runtimes of a shipped chip's core; none where there is no such chip or core."""
    engines = load_chip(chip).engines if chip in chip_names() else ()
    return frozenset(
        runtime
        for engine in engines
        if isinstance(engine, CoreEngine) and engine.core == core
        for runtime in engine.kernels
    )


def check(
    samples: Sequence[Sample], ways: Sequence[Way] = WAYS, *, progress: Callable[[str], None] = lambda _: None
) -> Checked:
    """Fit to all rows, and to all but those that share their family, chip or release.

    Args:
        samples: The rows.
        ways: What to leave out in turn.
        progress: Told what is being done.
    """
    whole = fit(samples)
    errors: list[dict[Way, float]] = [{} for _ in samples]
    for way in ways:
        keys = [_KEYS[way](sample.measurement) for sample in samples]
        for key in sorted(set(keys)):
            progress(f"fitting without {' '.join(key)}")
            chosen = [index for index, other in enumerate(keys) if other == key]
            for index, error in zip(chosen, without(samples, chosen), strict=True):
                errors[index][way] = error
    rows = tuple(_validated(sample, left_out) for sample, left_out in zip(samples, errors, strict=True))
    return Checked(samples, whole, rows)


def _validated(sample: Sample, left_out: Mapping[Way, float]) -> Validated:
    row = sample.measurement
    seconds = sample.cycles / ((row.clock_mhz or nan) * HZ_PER_MHZ)
    return Validated(row, seconds, sample.shipped_cycles / sample.cycles - 1, left_out)


def without(samples: Sequence[Sample], chosen: Sequence[int]) -> list[float]:
    """Return the errors of chosen rows in a fit without them.

    nan where no row of their core and dtype is left, or none that tells of their release.
    """
    left = set(chosen)
    kept = [sample for index, sample in enumerate(samples) if index not in left]
    rest = fit(kept)
    benches = {bench(sample) for sample in kept}
    releases = {sample.measurement.runtime for sample in kept} | REFERENCE
    return [
        rest.relative_error(sample) if bench(sample) in benches and sample.measurement.runtime in releases else nan
        for sample in (samples[index] for index in chosen)
    ]
