"""Calibration: a kernel table of one's own chip from a handful of one's own measurements.

The table that the chip's profile names is the start. Its costs are multiplied by as few factors as the rows can carry
(``coefficients.LADDER``; at most one per four rows), by ``robust_fit``, and its errors are told on nets that were left
out. What a wrong unit explains better than another core does is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwsim import __version__
from hwsim.chip import Chip, CoreEngine, KernelTable
from hwsim.chip.kernels import FitError
from hwsim.errors import UsageError
from hwsim.graph import DType
from hwsim.silicon.coefficients import LADDER, Observation, observed, scaled_table
from hwsim.silicon.measured_file import read_measured
from hwsim.silicon.robust_fit import best_rung, fit_factors
from hwsim.units import W_PER_MW

Floats = npt.NDArray[np.float64]

ROWS_PER_COEFFICIENT = 4
# Another unit is a thousand times off; cores and libraries differ less than this from one another.
SLIP = 100.0


@dataclass(frozen=True, slots=True)
class CalibratedRow:
    """A row and how far predictions are off; errors are predicted over measured, less one.

    Attributes:
        observation: The row.
        before: With the table that the calibration starts from.
        fitted: With the calibrated one.
        left_out: With one that has not seen the likes of the row (``robust_fit.likes``).
        weight: What the row counts in the fit, 0 to 1.
    """

    observation: Observation
    before: float
    fitted: float
    left_out: float
    weight: float


@dataclass(frozen=True, slots=True)
class RunPower:
    """Power while the core runs, from rows with energies.

    Attributes:
        run_mw: Their median [mW].
        left_out: Mean |error| of a row's energy with the median of the others.
        n: Rows.
    """

    run_mw: float
    left_out: float
    n: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibrated kernel table and what it rests on.

    Attributes:
        table: The table.
        start: Name of the table that it started from.
        engine: Core that it is of.
        chip: Its chip.
        factors: Factor of each part (``coefficients.PARTS``), shape [part].
        coefficients: How many different ones were fitted.
        rows: The rows.
        power: Power while running; None with too few energies.
        energies: Rows with energies.
    """

    table: KernelTable
    start: str
    engine: CoreEngine
    chip: Chip
    factors: Floats
    coefficients: int
    rows: tuple[CalibratedRow, ...]
    power: RunPower | None
    energies: int

    @property
    def shares(self) -> Floats:
        """Share of the rows' predicted time that each part has, shape [part]."""
        cycles = [
            row.observation.parts[:, :-1].sum(axis=0) * self.factors / row.observation.cycles for row in self.rows
        ]
        together = np.sum(cycles, axis=0)
        return np.asarray(together / together.sum())

    def mean_error(self, which: str) -> float:
        """Return the mean |error| of the rows ``before``, ``fitted`` or ``left_out``."""
        return float(np.mean([abs(getattr(row, which)) for row in self.rows]))


def calibrate(
    measurements: str | Path,
    chip: Chip,
    *,
    name: str,
    dtype: DType | None = None,
    coefficients: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Fit the kernel table of a chip's core to measurements.

    Args:
        measurements: A CSV file; ``measured_file.COLUMNS`` are its columns.
        chip: The chip they were made on; the table of its runtime is where the fit starts.
        name: The new table's name, which is that of its file.
        dtype: At which nets ran whose row does not say so.
        coefficients: Factors to fit; None takes what rows left out say.
        progress: Told what is being done.

    Raises:
        UsageError: The file is wrong, or its rows cannot carry a fit.
    """
    path = Path(measurements)
    progress(f"reading {path}")
    rows = read_measured(path, dtype=dtype)
    _enough(path, len(rows), coefficients)
    progress("costing the measured nets")
    engine, seen = observed(rows, chip)
    _same_units(path, seen)
    power, energies = _run_power(seen, engine, chip)
    rungs = [count for count in LADDER if count * ROWS_PER_COEFFICIENT <= len(rows)]
    if coefficients is not None:
        rungs = [coefficients]
    count, left_out = best_rung(seen, rungs, progress)
    factors, weight = fit_factors(seen, LADDER[count])
    found = tuple(
        CalibratedRow(one, one.start / one.cycles - 1, one.predict(factors) / one.cycles - 1, float(error), float(w))
        for one, error, w in zip(seen, left_out, weight, strict=True)
    )
    start = engine.kernel_table
    table = _table(start, name, path, chip, count, factors, found)
    return Calibration(table, start.name, engine, chip, factors, count, found, power, energies)


def _enough(path: Path, rows: int, coefficients: int | None) -> None:
    if rows < ROWS_PER_COEFFICIENT:
        raise UsageError(
            f"{path}: has {rows} row{'s' * (rows != 1)}, and a factor takes at least {ROWS_PER_COEFFICIENT}: measure "
            f"{ROWS_PER_COEFFICIENT - rows} more nets (or layers)"
        )
    if coefficients is None:
        return
    if coefficients not in LADDER:
        raise UsageError(f"--coefficients {coefficients}: must be from 1 to {max(LADDER)}")
    if coefficients * ROWS_PER_COEFFICIENT > rows:
        raise UsageError(
            f"--coefficients {coefficients}: takes {coefficients * ROWS_PER_COEFFICIENT} rows, "
            f"{ROWS_PER_COEFFICIENT} for each, but {path} has {rows}; the most they carry is "
            f"{rows // ROWS_PER_COEFFICIENT}"
        )


def _same_units(path: Path, seen: Sequence[Observation]) -> None:
    """Refuse rows that a wrong unit explains better than another core does."""
    ratios = np.array([one.cycles / one.start for one in seen])
    problems = _slips([f"{o.row.where}: {o.row.column} of {o.row.name}" for o in seen], ratios, "ms")
    usual = _usual(ratios)
    if not problems and not 1 / SLIP < usual < SLIP:
        problems = [
            f"{path}: {seen[0].row.column}: rows are {_times(usual)} what the chip's own table predicts: are they in "
            "another unit, or on another clock than the profile's?"
        ]
    if problems:
        raise UsageError("\n".join(problems))


def _slips(told: Sequence[str], ratios: Floats, unit: str) -> list[str]:
    usual = _usual(ratios)
    return [
        f"{what} is {_times(ratio / usual)} what the other rows make of it: is it in another unit than [{unit}]?"
        for what, ratio in zip(told, ratios.tolist(), strict=True)
        if not 1 / SLIP < ratio / usual < SLIP
    ]


def _usual(ratios: Floats) -> float:
    """Return the median ratio; between two that are far apart, the one nearer to one."""
    ordered = np.sort(ratios)
    middle = ordered[[(ordered.size - 1) // 2, ordered.size // 2]]
    return float(middle[np.abs(np.log(middle)).argmin()])


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if ratio >= 1 else f"1/{1 / ratio:.3g} of"


def _run_power(seen: Sequence[Observation], engine: CoreEngine, chip: Chip) -> tuple[RunPower | None, int]:
    """Return the power while running, where at least so many rows tell as a coefficient takes."""
    rows = [one.row for one in seen if one.row.energy_j is not None and one.row.latency_s is not None]
    if len(rows) < ROWS_PER_COEFFICIENT:
        return None, len(rows)
    mean_w = np.array([(row.energy_j or 0.0) / (row.latency_s or np.nan) for row in rows])
    static_w = (chip.static_mw or 0.0) * W_PER_MW
    stated_w = (engine.run_mw or 0.0) * W_PER_MW + static_w
    ratios = mean_w / (stated_w or float(np.median(mean_w)))
    slips = _slips([f"{row.where}: energy_mj of {row.name}" for row in rows], ratios, "mJ")
    if slips:
        raise UsageError("\n".join(slips))
    run_w = mean_w - static_w
    without = np.array([np.median(np.delete(run_w, index)) for index in range(run_w.size)])
    error = float(np.abs((without + static_w) / mean_w - 1).mean())
    return RunPower(float(np.median(run_w)) / W_PER_MW, error, len(rows)), len(rows)


def _table(
    start: KernelTable,
    name: str,
    path: Path,
    chip: Chip,
    count: int,
    factors: Floats,
    rows: Sequence[CalibratedRow],
) -> KernelTable:
    dtype = rows[0].observation.dtype
    nets = len({(row.observation.row.net, row.observation.row.parameters) for row in rows})
    fitted, left_out = (np.abs([getattr(row, which) for row in rows]) for which in ("fitted", "left_out"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    words = f"{count} factor{'s' * (count > 1)}"
    told = (
        f"{dtype}: {len(rows)} rows of {nets} net{'s' * (nets > 1)} in {path.name} on {chip.name}; {words} on "
        f"{start.name}, by robust nonnegative least squares of the relative error; hwsim {__version__}. Other dtypes: "
        f"as {start.name}."
    )
    scaled = scaled_table(start, dtype, factors.tolist())
    return scaled.model_copy(
        update={
            "name": name,
            "fitted_to": told,
            "fit_error": _fit_error(fitted),
            "left_out_error": _fit_error(left_out),
            "sources": {"*": f"measured: {path.name}, sha256 {digest}…; start: {start.name} ({start.library})"},
        }
    )


def _fit_error(size: Floats) -> FitError:
    """Return the error of rows as a table states it."""
    return FitError(mape=round(float(size.mean()), 4), p90=round(float(np.quantile(size, 0.9)), 4), n=size.size)
