"""A front, or the best rows of a sweep, as a table and a line that a person would quote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwsim.explore.choosing import Front, Goals
from hwsim.explore.expression import parse
from hwsim.explore.names import split_unit
from hwsim.explore.searching import Searched
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.report.table import Column, Table
from hwsim.report.words import rounded, scaled

# What a row tells besides its axes and what was asked for, while there is room.
ALSO = ("latency_ms", "energy_mj")
# Rows shown of many.
SHOWN = 40
# Units that take a prefix.
SI = ("s", "J", "J·s")
TINY = 1e-3


def choice_table(table: SweepTable, goals: Goals, where: str | None = None, *, limit: int | None = SHOWN) -> Table:
    """Return chosen rows as text: what they are of, their axes, the objectives, and what the condition reads.

    Args:
        table: The rows.
        goals: What they were chosen for.
        where: The condition.
        limit: How many are shown; None is all.
    """
    asked = [*goals.names, *(parse(where).names if where else ())]
    names = _first_of(table, [*_identity(table, goals), *(axis.name for axis in table.axes), *asked])
    there = {table.find(name).column.name for name in names}
    also = [name for name in ALSO if name in table and table.find(name).column.name not in there]
    part = table if limit is None else table.take(slice(0, limit))
    columns, cells = [], []
    for name in [*names, *also]:
        word = isinstance(part.stored(name), Words)
        columns.append(Column(name, numeric=not word, overflow="middle" if word else "keep", drop=int(name in also)))
        exact = part.find(name).column.role in ("key", "axis")
        cells.append([_cell(value, exact=exact) for value in part[name].tolist()])
    return Table(tuple(columns), [list(row) for row in zip(*cells, strict=True)])


def _identity(table: SweepTable, goals: Goals) -> list[str]:
    several = [name for name in ("net", "dtype", "batch", "runtime") if name in table.names and _varies(table, name)]
    return [*goals.by, *several, *(name for name in ("point",) if name in table.names)]


def _varies(table: SweepTable, name: str) -> bool:
    stored = table.stored(name)
    values = stored.codes if isinstance(stored, Words) else stored
    return bool(len(values) and (values != values[0]).any())


def _first_of(table: SweepTable, names: Sequence[str]) -> list[str]:
    """Return names without those that stand for a column that an earlier one shows in the same unit."""
    found: dict[tuple[str, float], str] = {}
    for name in names:
        one = table.find(name)
        found.setdefault((one.column.name, one.factor), name)
    return list(found.values())


def _cell(value: object, *, exact: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if exact else shortly(value)
    return str(value)


def front_quote(found: Front, goals: Goals) -> str:
    """Return how large a front is, what it spans, and the row that is nearest to the best of everything."""
    table = found.table
    among = f"{found.candidates:,} rows" + (f" ({found.rows:,} in all)" if found.candidates < found.rows else "")
    told = f"{len(table):,} of {among} {'is' if len(table) == 1 else 'are'} on the front"
    spans = ", ".join(_span(table, name) for name in goals.names)
    knee = nearest_to_ideal(table, goals)
    if len(table) == 1 or goals.by:
        return f"{told}: {spans}"
    return f"{told}: {spans}; the best compromise is {described(table, knee, goals)}"


def nearest_to_ideal(table: SweepTable, goals: Goals) -> int:
    """Return the row nearest to the least of every objective, each counted from its least to its most on the front."""
    columns = np.stack(goals.columns(table))
    low, high = columns.min(axis=1, keepdims=True), columns.max(axis=1, keepdims=True)
    apart = (columns - low) / np.where(high > low, high - low, 1.0)
    return int((apart**2).sum(axis=0).argmin())


def best_quote(table: SweepTable, goals: Goals, where: str | None) -> str:
    """Return what the best row of each group has, and with which axes."""
    condition = f" with {where}" if where else ""
    (goal,) = goals.names
    word = "least" if goals.minimize else "most"
    quotes = []
    seen: set[tuple[object, ...]] = set()
    for index in range(len(table)):
        key = tuple(table.take([index])[name][0] for name in goals.by)
        if key not in seen:
            seen.add(key)
            head = ", ".join(f"{name} {value}" for name, value in zip(goals.by, key, strict=True))
            quotes.append(f"{head + ': ' if head else ''}the {word} {_about(goal)}{condition} is "
                          f"{described(table, index, goals)}")  # fmt: skip
    return "\n".join(quotes)


def search_quote(found: Searched, chosen: SweepTable) -> str:
    """Return how much of the designs was tried, and what the best are."""
    tried = f"{len(found.distinct):,} designs" + (f" of {found.points:,}" if found.points else "")
    if len(found.goals.names) == 1:
        where = found.condition.text if found.condition is not None else None
        told = best_quote(chosen.take(slice(0, 1)), found.goals, where)
    else:
        knee = nearest_to_ideal(chosen, found.goals)
        spans = ", ".join(_span(chosen, name) for name in found.goals.names)
        compromise = described(chosen, knee, found.goals)
        told = f"{len(chosen):,} are on the front: {spans}; the best compromise is {compromise}"
    return f"{tried} tried in {found.trials:,} trials: {told}"


def described(table: SweepTable, index: int, goals: Goals) -> str:
    """Return a row in words: its objectives, and where it is."""
    row = table.take([index])
    values = ", ".join(_quantity(row, name, float(row[name][0])) for name in goals.names)
    axes = ", ".join(f"{axis.name} {_cell(row[axis.name].tolist()[0], exact=True)}" for axis in table.axes)
    point = f"point {row['point'][0]}" if "point" in table.names else ""
    several = f"{row['net'][0]}" if "net" in table.names and "net" not in goals.by and _varies(table, "net") else ""
    where = ", ".join(part for part in (several, axes) if part)
    place = " ".join(part for part in (point, f"({where})" if where else "") if part)
    return f"{values} at {place}" if place else values


def _about(name: str) -> str:
    return split_unit(name)[0].replace("_", " ") or name


def _span(table: SweepTable, name: str) -> str:
    values = np.asarray(table[name], dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    unit = table.find(name).unit
    if unit in SI:
        first, last = scaled(low, unit), scaled(high, unit)
        return f"{_about(name)} {first}" if first == last else f"{_about(name)} {first} to {last}"
    span = shortly(low) if shortly(low) == shortly(high) else f"{shortly(low)} to {shortly(high)}"
    return f"{_about(name)} {span}{' ' + unit if unit else ''}"


def _quantity(table: SweepTable, name: str, value: float) -> str:
    unit = table.find(name).unit
    if unit in SI:
        return scaled(value, unit)
    return f"{shortly(value)} {unit}" if unit else f"{_about(name)} {shortly(value)}"


def shortly(value: float) -> str:
    """Return a number to three digits, with an exponent where it is tiny."""
    return f"{value:.2e}" if 0 < abs(value) < TINY else rounded(value)
