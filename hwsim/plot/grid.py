"""A sweep as a grid to be drawn: one or two axes, a series for each value of another, and nothing else that varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.errors import UsageError
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.plot.quantities import Quantity, count, quantity

Floats = npt.NDArray[np.float64]

KEYS = ("chip", "net", "batch", "dtype", "runtime")
# Lines that a reader can tell apart; cells of a heatmap; values of an axis that a sentence lists.
MOST_SERIES, MOST_CELLS, LISTED = 14, 4_000_000, 5
FIX = "fix what is too much with --at NAME=VALUE or --where, or take the best over it with --best"


@dataclass(frozen=True, slots=True)
class Way:
    """One thing that varies in a sweep.

    Attributes:
        name: The column's name.
        values: Its distinct values, ascending for numbers, in order of appearance for words.
        number: Which of them each row has, shape [row].
        words: Whether they are words.
    """

    name: str
    values: npt.NDArray[Any]
    number: npt.NDArray[np.intp]
    words: bool


@dataclass(frozen=True, slots=True)
class Grid:
    """A quantity over a grid.

    Attributes:
        y: The quantity, by row of the table.
        by: What each series is for; None for one series alone.
        x: The one or two axes.
        cells: The least of the quantity in each cell, nan where none runs, shape [series, x] or [series, x, x].
        swept: Whether there is a row for the cell at all, likewise.
    """

    y: Quantity
    by: Way | None
    x: tuple[Way, ...]
    cells: Floats
    swept: npt.NDArray[np.bool_]


def grid(table: SweepTable, y: str, x: Sequence[str] = (), by: str = "", *, best: bool = False) -> Grid:
    """Return a quantity over the axes of a sweep.

    Args:
        table: A sweep.
        y: The quantity.
        x: One axis or two; none is what varies, if that is one number or two.
        by: What makes series; none is what varies besides one axis.
        best: Whether to take the least over whatever else varies.

    Raises:
        UsageError: The table is empty, nothing of it runs, or more varies than can be shown.
    """
    if not len(table):
        raise UsageError("the sweep has no rows: nothing to draw")
    shown = quantity(table, y)
    need_some(table, shown)
    wanted = [table.find(name).column.name for name in x]
    series = table.find(by).column.name if by else ""
    if len(wanted) > 2 or len({*wanted, series}) < len(wanted) + 1:
        asked = " and ".join([", ".join(x), *([f"a series for {by}"] if by else [])])
        raise UsageError(f"asked for {asked}: a picture has one axis or two, and a series for something else; {FIX}")
    varying = [name for name in names_of(table) if varies(table, name)]
    if not wanted:
        wanted, series = _chosen(table, varying, series)
    rest = [name for name in varying if name not in (*wanted, series)]
    if not series and len(wanted) == 1 and len(rest) == 1 and not best:
        series, rest = rest[0], []
    if rest and not best:
        told = ", ".join(_listed(way_of(table, name)) for name in rest)
        raise UsageError(f"the sweep varies in {told} besides {' and '.join(wanted)}: {FIX}")
    ways = [way_of(table, name) for name in wanted]
    group = way_of(table, series) if series else None
    if group is not None and len(group.values) > MOST_SERIES:
        raise UsageError(f"{_listed(group)} would make {len(group.values)} series; {MOST_SERIES} is the most: {FIX}")
    return _filled(shown, group, ways)


def need_some(table: SweepTable, *shown: Quantity) -> None:
    """Check that some row has a meaning in all quantities.

    Raises:
        UsageError: None has; one reason is told.
    """
    if np.logical_and.reduce([np.isfinite(one.values) for one in shown]).any():
        return
    names = " and ".join(one.name for one in shown)
    reasons = table["reason"] if "reason" in table.names else np.zeros(0, dtype=object)
    why = next((f" ({reason})" for reason in reasons if reason), "")
    raise UsageError(f"none of the sweep's {count(len(table))} rows has a {names}{why}: nothing to draw")


def names_of(table: SweepTable) -> list[str]:
    """Return the columns that make one row differ from another: what was asked, not what came out."""
    return [column.name for column in table.columns if column.role == "axis" or column.name in KEYS]


def way_of(table: SweepTable, name: str) -> Way:
    """Return the distinct values of a column."""
    stored = table.stored(name)
    if isinstance(stored, Words):
        there = np.flatnonzero(np.bincount(stored.codes, minlength=len(stored.vocabulary)))
        place = np.zeros(len(stored.vocabulary), dtype=np.intp)
        place[there] = np.arange(len(there))
        values = np.array([*(stored.vocabulary[code] for code in there), None], dtype=object)[:-1]
        return Way(name, values, place[stored.codes], words=True)
    values, number = np.unique(stored, return_inverse=True)
    return Way(name, values, number.reshape(-1), words=False)


def varies(table: SweepTable, name: str) -> bool:
    """Return whether a column has more than one value."""
    stored = table.stored(name)
    numbers = stored.codes if isinstance(stored, Words) else stored
    return bool(numbers.min() != numbers.max())


def _chosen(table: SweepTable, varying: Sequence[str], series: str) -> tuple[list[str], str]:
    """Return axes and series for what varies, where that needs no choice."""
    free = [name for name in varying if name != series]
    numbers = [name for name in free if not isinstance(table.stored(name), Words)]
    words = [name for name in free if name not in numbers]
    if not varying or not free:
        axes = [column.name for column in table.axes] or [names_of(table)[0]] if names_of(table) else []
        if not axes:
            raise UsageError("the table has no axis: it is no sweep")
        return axes[:1], series
    if len(free) == 1:
        return free, series
    if len(numbers) == 1 and len(words) == 1 and not series:
        return numbers, words[0]
    if len(free) == 2 and not series:
        return free, ""
    told = ", ".join(_listed(way_of(table, name)) for name in free)
    raise UsageError(
        f"the sweep varies in {told}: choose one or two of them with --x, and fix the others with --at NAME=VALUE or "
        "--where, or take the best over them with --best"
    )


def _listed(way: Way) -> str:
    values = [str(value) if way.words else f"{value:g}" for value in way.values[:LISTED]]
    more = f", … {len(way.values)} values" if len(way.values) > LISTED else ""
    return f"{way.name} ({', '.join(values)}{more})"


def _filled(shown: Quantity, group: Way | None, ways: Sequence[Way]) -> Grid:
    shape = (len(group.values) if group else 1, *(len(way.values) for way in ways))
    size = int(np.prod(shape))
    if size > MOST_CELLS:
        names = " × ".join(f"{count(len(way.values))} of {way.name}" for way in ways)
        raise UsageError(
            f"{count(len(shown.values))} rows with {names} make no grid: draw such a sweep with `hwsim plot pareto`"
        )
    numbers = [way.number for way in ways]
    flat = np.ravel_multi_index([group.number if group else np.zeros_like(numbers[0]), *numbers], shape)
    cells = np.full(size, np.nan)
    np.fmin.at(cells, flat, shown.values)
    swept = np.zeros(size, dtype=bool)
    swept[flat] = True
    return Grid(shown, group, tuple(ways), cells.reshape(shape), swept.reshape(shape))
