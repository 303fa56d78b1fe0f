"""How much each objective depends on each field: elasticities around a chip, along the axes of a grid, Sobol indices.

The elasticity of an objective is d ln objective / d ln field: 1 where it grows in proportion, −1 where it falls so, 0
where it does not care. Mappings and placements are chosen anew at every point, so that an elasticity of a small step
may be zero on a plateau and large at an edge; the step is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hwsim.chip import Chip
from hwsim.chip.paths import full_path
from hwsim.chip.points import WHOLE, is_column
from hwsim.errors import HwsimError, UsageError
from hwsim.explore.axes import Axis, axes_of, is_number
from hwsim.explore.choosing import runs_at
from hwsim.explore.extras import need
from hwsim.explore.grid import drawn_at
from hwsim.explore.listed import answer_at
from hwsim.explore.names import column_names, split_unit
from hwsim.explore.question import Question
from hwsim.explore.ranges import Span
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.graph import DType, Graph

Floats = npt.NDArray[np.float64]
Kind = Literal["local", "grid", "sobol"]
OBJECTIVES = ("latency_s", "energy_j")
STEP = 0.1
# Fields that say how numbers are to be read rather than how the chip is built.
NOT_VARIED = ("process_nm", "rated_v", "rated_mhz", "supply_v", "idle_mw", "sleep_uw", "wake_us")
MAX_SAMPLES = 2_000_000
# What is smaller than this is no change but rounding.
NOTHING = 1e-9


@dataclass(frozen=True)
class Sensitivity:
    """Sensitivities of objectives to fields; arrays of shape [axis, objective].

    Attributes:
        kind: local: elasticities around a chip; grid: along the axes of a sweep; sobol: indices over ranges.
        subject: What it is of, in words.
        axes: Names of the fields, as columns of a sweep are called.
        today: What the chip has, or the ends of the range, as text.
        objectives: Names of the objectives.
        values: Elasticity at the chip; its mean over the grid; total Sobol index.
        low: Least elasticity on the grid; first-order Sobol index; else as ``values``.
        high: Largest elasticity on the grid; else as ``values``.
        count: Points that were costed, or pairs of neighbours on the grid.
        left_out: Field -> why it is not among the axes.
    """

    kind: Kind
    subject: str
    axes: tuple[str, ...]
    today: tuple[str, ...]
    objectives: tuple[str, ...]
    values: Floats
    low: Floats
    high: Floats
    count: int
    left_out: Mapping[str, str]


def sensitivity(
    net: Graph,
    chip: Chip,
    vary: Sequence[str] | Mapping[str, Any] | None = None,
    *,
    objectives: Sequence[str] = OBJECTIVES,
    step: float = STEP,
    sobol: int | None = None,
    seed: int = 0,
    objective: str = "latency",
    batch: int = 1,
    dtype: DType | None = None,
    place: Mapping[str, str] | None = None,
) -> Sensitivity:
    """Return how objectives depend on fields of a chip.

    Args:
        net: The net.
        chip: The chip that is varied.
        vary: Paths of fields; None takes every number of the profile. For Sobol indices path -> range ``a:b``; a path
            alone is varied from half of what it is to twice that.
        objectives: Results of a sweep: ``latency_ms``, ``energy_mj``, ``dram_mib``.
        step: By what share a field is changed up and down.
        sobol: Draw so many base samples (a power of two) and return Sobol indices instead; None: elasticities.
        seed: Of the samples.
        objective: What mappings are chosen for.
        batch: As in ``evaluate``.
        dtype: As in ``evaluate``.
        place: As in ``evaluate``.

    Raises:
        UsageError: A field or an objective does not exist, or the net does not run here.
        MissingExtraError: Sobol indices are asked for, and SALib is not installed.
    """
    if not 0 < step < 1:
        raise UsageError(f"step = {step:g}: must be a share above 0 and below 1, such as 0.1")
    ranges: Mapping[str, Any] = vary if isinstance(vary, Mapping) else dict.fromkeys(vary or ())

    def values(path: str, value: float) -> Span | tuple[float, ...]:
        return _steps(path, value, step) if sobol is None else _span(path, value)

    axes, left_out = _axes(chip, ranges, values)
    question = Question.of(
        {net.name: net}, chip, axes, objective=objective, batch=batch, dtype=dtype, place=dict(place or {})
    )
    subject = f"{net.name} on {chip.name}"
    if sobol is not None:
        return _sobol(question, subject, tuple(objectives), sobol, seed, left_out)
    return _local(question, subject, tuple(objectives), left_out)


def _axes(
    chip: Chip, ranges: Mapping[str, Any], values: Callable[[str, float], Span | tuple[float, ...]]
) -> tuple[tuple[Axis, ...], dict[str, str]]:
    """Return the axes, and the fields that were tried by default and cannot be varied."""
    left_out: dict[str, str] = {}
    found: list[Axis] = []
    for path in ranges or _numeric_fields(chip):
        try:
            if ranges.get(path) is not None:
                found += axes_of(chip, {path: ranges[path]})
                continue
            value = chip.get(path)
            if not is_number(value) or value <= 0 or not is_column(full_path(chip, path)):
                raise UsageError(f"--vary {path}: is {_told(value)}, no number above zero; tell a range of values")
            found.append(_first_valid(chip, path, values(path, value)))
        except HwsimError as error:
            if path in ranges:
                raise
            left_out[path] = str(error)
    if not found:
        raise UsageError(f"{chip.name} has no field to vary")
    names = column_names([axis.path for axis in found], ["point", "net", "batch", "dtype", "runtime"])
    return tuple(replace(a, column=replace(a.column, name=names.get(a.path, a.name))) for a in found), left_out


def _first_valid(chip: Chip, path: str, values: Span | tuple[float, ...]) -> Axis:
    """Return the axis; of steps to both sides the one that the profile's rules allow, where one is not."""
    if isinstance(values, Span):
        return axes_of(chip, {path: values})[0]
    try:
        return axes_of(chip, {path: values})[0]
    except HwsimError:
        below = tuple(value for value in values if value <= values[0])
        above = tuple(value for value in values if value >= values[0])
        try:
            return axes_of(chip, {path: below})[0]
        except HwsimError:
            return axes_of(chip, {path: above})[0]


def _told(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numeric_fields(chip: Chip) -> list[str]:
    """Return the fields of a profile that hold a number above zero which the engine takes as a column."""
    found = []
    for path in chip.fields():
        if is_column(path) and path.rpartition(".")[2] not in NOT_VARIED and is_number(chip.get(path)):
            found += [path] if chip.get(path) > 0 else []
    return found


def _whole(path: str) -> bool:
    return path.rpartition(".")[2] in WHOLE


def _steps(path: str, value: float, step: float) -> tuple[float, ...]:
    """Return a field's value, one below it and one above."""
    low, high = value * (1 - step), value * (1 + step)
    if _whole(path):
        low, high = max(min(round(low), value - 1), 1), max(round(high), value + 1)
    return tuple(dict.fromkeys((value, low, high)))


def _span(path: str, value: float) -> Span:
    return Span(max(value / 2, 1.0) if _whole(path) else value / 2, value * 2, log=True)


def _local(question: Question, subject: str, objectives: tuple[str, ...], left_out: dict[str, str]) -> Sensitivity:
    """Return elasticities by central differences; one-sided where a side does not run or cannot be."""
    places: list[tuple[int, int]] = [(0, 0)]  # axis, index of the value; the first is the chip as it is
    places += [(i, place) for i, axis in enumerate(question.axes) for place in range(1, axis.count)]
    at = np.zeros((len(question.axes), len(places)), dtype=np.int64)
    for column, (axis_index, place) in enumerate(places):
        at[axis_index, column] = place
    table = answer_at(question, list(at))
    columns = _columns(table, objectives)
    if np.isnan(columns[:, 0]).any():
        reason = table.row(0)["reason"] or "an objective has no value there"
        raise UsageError(f"{subject}: does not run as it is, so there is nothing to vary around: {reason}")
    values = np.full((len(question.axes), len(objectives)), np.nan)
    for i, axis in enumerate(question.axes):
        here = [0, *(column for column, (index, place) in enumerate(places) if index == i and place)]
        x = axis.numbers[[places[column][1] if column else 0 for column in here]].astype(np.float64)
        order = np.argsort(x)
        for j in range(len(objectives)):
            y = columns[j, np.array(here)[order]]
            values[i, j] = _elasticity(x[order], y)
    today = tuple(f"{axis.numbers[0]:g}" for axis in question.axes)
    names = tuple(axis.name for axis in question.axes)
    return Sensitivity("local", subject, names, today, objectives, values, values, values, len(places), left_out)


def _elasticity(x: Floats, y: Floats) -> float:
    """Return d ln y / d ln x between the outermost points that have a value; nan where there are not two."""
    known = np.flatnonzero(~np.isnan(y))
    if known.size < 2:
        return np.nan
    low, high = known[0], known[-1]
    if y[low] == y[high]:
        return 0.0
    if y[low] <= 0 or y[high] <= 0:
        return np.nan
    slope = float(np.log(y[high] / y[low]) / np.log(x[high] / x[low]))
    return slope if abs(slope) > NOTHING else 0.0


def _columns(table: SweepTable, objectives: Sequence[str]) -> Floats:
    """Return the objectives, nan where the net does not run; shape [objective, row]."""
    runs = runs_at(table)
    columns = []
    for name in objectives:
        if isinstance(table.stored(name), Words):
            raise UsageError(f"{name} is a word; an objective is a number, such as latency_ms")
        columns.append(np.where(runs, np.asarray(table[name], dtype=np.float64), np.nan))
    return np.stack(columns)


def grid_sensitivity(table: SweepTable, objectives: Sequence[str] = OBJECTIVES) -> Sensitivity:
    """Return the elasticities between neighbours of a grid: rows that differ in one axis alone.

    Args:
        table: A sweep.
        objectives: Columns of it.

    Raises:
        UsageError: A column does not exist, or no two rows differ in one axis alone.
    """
    columns = _columns(table, objectives)
    axes = [axis.name for axis in table.axes]
    if not axes:
        raise UsageError("the sweep has no axis that was varied")
    numeric = [name for name in axes if not isinstance(table.stored(name), Words)]
    codes = {
        name: _codes(table, name) for name in [*axes, *(n for n in ("net",) if n in table.names and n not in axes)]
    }
    means, lows, highs, count = [], [], [], 0
    for name in numeric:
        slopes = _slopes(table, name, [code for other, code in codes.items() if other != name], columns)
        count += int((~np.isnan(slopes)).any(axis=0).sum())
        with np.errstate(all="ignore"):
            known = ~np.isnan(slopes)
            means.append(
                np.where(known.any(axis=1), np.where(known, slopes, 0).sum(axis=1) / known.sum(axis=1), np.nan)
            )
        lows.append(np.where(known.any(axis=1), np.where(known, slopes, np.inf).min(axis=1, initial=np.inf), np.nan))
        highs.append(np.where(known.any(axis=1), np.where(known, slopes, -np.inf).max(axis=1, initial=-np.inf), np.nan))
    if not count:
        raise UsageError(
            "no two rows of the sweep that run differ in one axis alone: it is a sample, or has one value per axis; "
            "`hwsim sensitivity NET CHIP --sobol N` draws its own"
        )
    today = tuple(_range(np.asarray(table[name], dtype=np.float64)) for name in numeric)
    words = {name: "its values are words" for name in axes if name not in numeric}
    nets = ", ".join(sorted(set(table["net"].tolist()))) if "net" in table.names else "the sweep"
    subject = f"{nets} on {table.metadata['chip']}" if "chip" in table.metadata else nets
    values, low, high = (np.array(part) for part in (means, lows, highs))
    return Sensitivity("grid", subject, tuple(numeric), today, tuple(objectives), values, low, high, count, words)


def _codes(table: SweepTable, name: str) -> npt.NDArray[np.int64]:
    stored = table.stored(name)
    values = stored.codes if isinstance(stored, Words) else stored
    return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)


def _slopes(table: SweepTable, name: str, others: Sequence[npt.NDArray[np.int64]], columns: Floats) -> Floats:
    """Return the elasticity of each objective between each two neighbours along an axis, shape [objective, pair]."""
    x = np.asarray(table[name], dtype=np.float64)
    order = np.lexsort([x, *others])
    same = np.ones(max(len(x) - 1, 0), dtype=bool)
    for other in others:
        same &= np.diff(other[order]) == 0
    x, y = x[order], columns[:, order]
    with np.errstate(all="ignore"):
        rise, run = np.diff(np.log(np.where(y > 0, y, np.nan)), axis=1), np.diff(np.log(np.where(x > 0, x, np.nan)))
        slopes = rise / run
    slopes = np.where(np.abs(slopes) > NOTHING, slopes, np.where(np.isnan(slopes), np.nan, 0.0))
    return np.asarray(slopes[:, same & (run > 0)])


def _range(values: Floats) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _sobol(
    question: Question, subject: str, objectives: tuple[str, ...], samples: int, seed: int, left_out: dict[str, str]
) -> Sensitivity:
    """Return total and first-order Sobol indices by Saltelli's scheme: samples × (axes + 2) points, costed together."""
    sampling = need("SALib.sample.sobol", "Sobol indices", extra="sensitivity", package="SALib")
    analysis = need("SALib.analyze.sobol", "Sobol indices", extra="sensitivity", package="SALib")
    axes = question.axes
    points = samples * (len(axes) + 2)
    if samples < 2 or samples & (samples - 1) or points > MAX_SAMPLES:
        most = MAX_SAMPLES // (len(axes) + 2)
        raise UsageError(f"--sobol {samples}: must be a power of two, with {len(axes)} axes of at most {most:,}")
    problem = {"num_vars": len(axes), "names": [axis.name for axis in axes], "bounds": [[0.0, 1.0]] * len(axes)}
    drawn = sampling.sample(problem, samples, calc_second_order=False, seed=seed)
    table = answer_at(question, [drawn_at(axis, drawn[:, index]) for index, axis in enumerate(axes)])
    columns = _columns(table, objectives)
    lost = int(np.isnan(columns).any(axis=0).sum())
    if lost:
        told = next(row["reason"] for row in table.rows() if row["reason"]) if not runs_at(table).all() else "no value"
        raise UsageError(
            f"{subject}: {lost:,} of {points:,} samples do not run ({told}), and Sobol indices need all: narrow the "
            "ranges with --vary PATH=a:b"
        )
    total, first = np.zeros((2, len(axes), len(objectives)))
    for index, column in enumerate(columns):
        if np.ptp(column) > NOTHING * np.abs(column).max():
            scale = (column - column.mean()) / column.std()
            found = analysis.analyze(problem, scale, calc_second_order=False, seed=seed)
            total[:, index], first[:, index] = found["ST"], found["S1"]
    today = tuple(_ends(axis) for axis in axes)
    names = tuple(axis.name for axis in axes)
    return Sensitivity("sobol", subject, names, today, objectives, total, first, total, points, left_out)


def _ends(axis: Axis) -> str:
    if isinstance(axis.values, Span):
        return f"{axis.values.low:g} to {axis.values.high:g}"
    return ", ".join(axis.words[:4]) + ("…" if axis.count > 4 else "")


def about(objective: str) -> str:
    """Return what an objective is called in a sentence."""
    return split_unit(objective)[0].replace("_", " ") or objective
