"""What to choose from a sweep: the points on its Pareto front, and the best one under conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.errors import UsageError
from hwsim.explore.expression import Expression, parse
from hwsim.explore.fronts import front
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Names = Sequence[str] | str
MAX_TOP = 1_000_000


class NothingFoundError(UsageError):
    """No row of a sweep satisfies what was asked; the text says which condition is in the way."""


@dataclass(frozen=True)
class Goals:
    """What is wanted of a row.

    Attributes:
        minimize: Columns to have little of, as ``SweepTable.find`` takes them.
        maximize: Columns to have much of.
        by: Columns of whose values each is looked at by itself.
    """

    minimize: tuple[str, ...]
    maximize: tuple[str, ...]
    by: tuple[str, ...] = ()

    @classmethod
    def of(cls, minimize: Names, maximize: Names, by: Names = ()) -> Goals:
        """Return goals; a single name may stand for itself.

        Raises:
            UsageError: There is none, or one is both.
        """
        least, most, apart = (
            (names,) if isinstance(names, str) else tuple(names) for names in (minimize, maximize, by)
        )
        if not least and not most:
            raise UsageError("say what to minimise or to maximise, such as latency_ms")
        twice = {name for name in (*least, *most) if (*least, *most).count(name) > 1}
        if twice:
            raise UsageError(f"{sorted(twice)[0]} is asked for twice")
        return cls(least, most, apart)

    @property
    def names(self) -> tuple[str, ...]:
        """All objectives, in order."""
        return (*self.minimize, *self.maximize)

    def columns(self, table: SweepTable) -> list[Floats]:
        """Return the objectives as columns of which less is better; what cannot run is nan.

        Raises:
            UsageError: The table lacks one, or it is a column of words.
        """
        found = [_numbers(table, name) for name in self.minimize]
        found += [-_numbers(table, name) for name in self.maximize]
        runs = runs_at(table)
        return [np.where(runs, column, np.nan) for column in found]


def pareto(
    table: SweepTable,
    minimize: Names = (),
    maximize: Names = (),
    *,
    where: str | Expression | None = None,
    by: Names = (),
) -> SweepTable:
    """Return the rows on the Pareto front, sorted by the first objective; of equal rows all.

    Rows that cannot run, and those of which an objective has no value, are left out.

    Args:
        table: A sweep.
        minimize: Columns to have little of: ``["latency_ms", "energy_mj"]``.
        maximize: Columns to have much of.
        where: A condition that rows have to satisfy.
        by: Columns such as ``net``: a front for each of their values.

    Raises:
        UsageError: A name is unknown, or the condition is none.
        NothingFoundError: No row can run, or satisfies the condition.
    """
    return front_of([table], Goals.of(minimize, maximize, by), where).table


@dataclass(frozen=True)
class Front:
    """A front and how many it was chosen from.

    Attributes:
        table: Its rows.
        rows: Rows looked at.
        candidates: Those that can run and satisfy the condition.
        nets: Nets among them all.
    """

    table: SweepTable
    rows: int
    candidates: int
    nets: frozenset[str]


def front_of(parts: Iterable[SweepTable], goals: Goals, where: str | Expression | None = None) -> Front:
    """Return the front of a table that comes in parts, holding no more than the front so far and a part.

    The front of the fronts of parts is that of the whole, for equal rows all stay.

    Raises:
        UsageError: As ``pareto``.
        NothingFoundError: As ``pareto``.
    """
    condition = parse(where) if isinstance(where, str) else where
    kept: SweepTable | None = None
    rows = candidates = 0
    nets: set[str] = set()
    reasons = _Reasons()
    for part in parts:
        rows += len(part)
        nets |= _used(part, "net")
        left = part if condition is None else part.where(condition)
        columns = goals.columns(left)
        candidates += int(np.sum(~np.isnan(columns).any(axis=0)))
        reasons.count(part)
        own = left.take(_fronts(left, goals, columns))
        kept = own if kept is None else SweepTable.joined([kept, own])
        kept = kept.take(_fronts(kept, goals, goals.columns(kept)))
    if kept is None or not rows:
        raise UsageError("the sweep has no row")
    if not len(kept):
        condition_told = f" with {condition.text}" if condition is not None else ""
        raise NothingFoundError(reasons.nothing_runs() or f"no row of the sweep that can run is one{condition_told}")
    return Front(kept.take(_sorted(kept, goals)), rows, candidates, frozenset(nets))


def best(
    table: SweepTable,
    minimize: Names = (),
    maximize: Names = (),
    *,
    where: str | Expression | None = None,
    top: int = 1,
    by: Names = (),
) -> SweepTable:
    """Return the rows that are best in one objective under a condition, best first.

    Args:
        table: A sweep.
        minimize: The column to have little of; or
        maximize: the one to have much of.
        where: The condition, such as ``latency_ms < 20 and sram_kib <= 256``.
        top: How many rows.
        by: Columns such as ``net``: so many rows for each of their values.

    Raises:
        UsageError: A name is unknown, there is not one objective, or the condition is none.
        NothingFoundError: No row satisfies the condition; the text says which clause leaves out most, and how near the
            nearest row comes.
    """
    goals = Goals.of(minimize, maximize, by)
    found = best_of([table], goals, where, top)
    if found is None:
        raise NothingFoundError(why_no_best(table, goals, where))
    return found


def best_of(parts: Iterable[SweepTable], goals: Goals, where: str | Expression | None, top: int) -> SweepTable | None:
    """Return the best rows of a table that comes in parts, or None where none satisfies the condition.

    Raises:
        UsageError: As ``best``.
    """
    if len(goals.names) != 1:
        raise UsageError(f"the best is best in one objective, not in {', '.join(goals.names)}; of several, see pareto")
    if not 1 <= top <= MAX_TOP:
        raise UsageError(f"top = {top}: must be from 1 to {MAX_TOP:,}")
    condition = parse(where) if isinstance(where, str) else where
    kept: SweepTable | None = None
    rows = 0
    for part in parts:
        rows += len(part)
        own = part.take(_best_rows(part, goals, condition, top))
        kept = own if kept is None else SweepTable.joined([kept, own])
        kept = kept.take(_best_rows(kept, goals, condition, top))
    if kept is None or not rows:
        raise UsageError("the sweep has no row")
    return kept if len(kept) else None


def _best_rows(table: SweepTable, goals: Goals, condition: Expression | None, top: int) -> Ints:
    """Return the best rows of each group, best first."""
    (column,) = goals.columns(table)
    allowed = ~np.isnan(column)
    if condition is not None:
        allowed &= _holds(condition, table)
    chosen = [np.zeros(0, dtype=np.int64)]
    for at in _groups(table, goals.by, np.flatnonzero(allowed)):
        values = column[at]
        if at.size > top:
            near = values <= np.partition(values, top - 1)[top - 1]
            at, values = at[near], values[near]
        chosen.append(at[np.argsort(values, kind="stable")][:top])
    return np.concatenate(chosen)


def groups_left_out(table: SweepTable, chosen: SweepTable, by: Sequence[str]) -> list[SweepTable]:
    """Return the rows of each group of a table that has none among the chosen."""
    there = {tuple(row) for row in zip(*(chosen[name].tolist() for name in by), strict=True)}
    parts = [table.take(rows) for rows in _groups(table, by)] if by else []
    return [part for part in parts if tuple(part.take([0])[name].tolist()[0] for name in by) not in there]


def why_no_best(table: SweepTable, goals: Goals, where: str | Expression | None) -> str:
    """Return why no row of a table is the best: none runs, or which clause of the condition is in the way."""
    condition = parse(where) if isinstance(where, str) else where
    runs = np.asarray(~np.isnan(goals.columns(table)).any(axis=0))
    if condition is not None and runs.any():
        return why_none(table, condition, runs)
    reasons = _Reasons()
    reasons.count(table)
    return reasons.nothing_runs() or f"{' and '.join(goals.names)} of no row have a value"


def why_none(table: SweepTable, condition: Expression, runs: Bools) -> str:
    """Return which clause of a condition that no row satisfies leaves out most rows, and how near the nearest comes.

    Args:
        table: The sweep.
        condition: The condition.
        runs: Which rows can run, shape [row].
    """
    clauses = condition.clauses
    holds = [_holds(clause, table) & runs for clause in clauses]
    kept = [int(one.sum()) for one in holds]
    worst = int(np.argmin(kept))
    count = int(runs.sum())
    told = (
        f"no row satisfies {condition.text!r}: {clauses[worst].text} holds at {kept[worst]:,} of the {count:,} that run"
    )
    others = [one for index, one in enumerate(holds) if index != worst]
    rest = np.logical_and.reduce([runs, *others])
    if not rest.any():
        told += ", and without it there is none either" if len(clauses) > 1 else ""
        rest = runs
    elif len(clauses) > 1:
        told += f"; without it {int(rest.sum()):,} would do"
    nearest = _nearest(clauses[worst], table, rest)
    return f"{told}; {nearest}" if nearest else told


def _nearest(clause: Expression, table: SweepTable, rows: Bools) -> str:
    """Return in words how near rows come to a clause that compares something with a number."""
    bound = clause.bound
    if bound is None:
        return ""
    text, sign, limit = bound.value.text, bound.sign, bound.limit
    values = np.broadcast_to(np.asarray(bound.value(table.__getitem__)), (len(table),))
    if values.dtype.kind != "f":
        return ""
    at = np.flatnonzero(rows & ~np.isnan(values))
    if not at.size:
        return ""
    index = int(at[np.abs(values[at] - limit).argmin()])
    axes = ", ".join(f"{axis.name} {_short(table[axis.name][index])}" for axis in table.axes)
    where = f", at {axes}" if axes else ""
    return f"the nearest has {text} = {values[index]:.4g}{where} (asked: {sign} {limit:g})"


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _holds(condition: Expression, table: SweepTable) -> Bools:
    return np.broadcast_to(np.asarray(condition.where(table.__getitem__), dtype=bool), (len(table),))


def _numbers(table: SweepTable, name: str) -> Floats:
    if isinstance(table.stored(name), Words):
        raise UsageError(f"{name} is a word, and has no less and no more; name a number such as latency_ms")
    return np.asarray(table[name], dtype=np.float64)


def _fronts(table: SweepTable, goals: Goals, columns: Sequence[Floats]) -> Ints:
    """Return the rows on the front of each group, group by group."""
    found = [rows[front([column[rows] for column in columns])] for rows in _groups(table, goals.by)]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _groups(table: SweepTable, by: Sequence[str], rows: Ints | None = None) -> list[Ints]:
    """Return which of some rows share the values of columns, in the order in which these first appear."""
    chosen = np.arange(len(table)) if rows is None else rows
    codes = np.zeros(chosen.size, dtype=np.int64)
    for name in by:
        stored = table.stored(name)
        values = (stored.codes if isinstance(stored, Words) else stored)[chosen]
        _, own = np.unique(values, return_inverse=True)
        _, codes = np.unique(codes * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order])) + 1
    groups = [chosen[group] for group in np.split(order, edges) if group.size]
    return sorted(groups, key=lambda group: int(group[0]))


def _sorted(table: SweepTable, goals: Goals) -> Ints:
    """Return the order of rows: group by group, and by the objectives in turn."""
    columns = goals.columns(table)
    parts = [rows[np.lexsort([column[rows] for column in reversed(columns)])] for rows in _groups(table, goals.by)]
    return np.concatenate(parts)


def runs_at(table: SweepTable) -> Bools:
    """Return at which rows the net runs: those without a reason why not."""
    stored = table.stored("reason") if "reason" in table.names else None
    if not isinstance(stored, Words):
        return np.ones(len(table), dtype=bool)
    return np.array([not word for word in stored.vocabulary], dtype=bool)[stored.codes]


def _used(table: SweepTable, name: str) -> set[str]:
    """Return the words that stand in a column, if there is such a column."""
    stored = table.stored(name) if name in table.names else None
    return {stored.vocabulary[code] for code in np.unique(stored.codes)} if isinstance(stored, Words) else set()


class _Reasons:
    """Counts why rows do not run."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._rows = 0

    def count(self, table: SweepTable) -> None:
        self._rows += len(table)
        if "reason" not in table.names:
            return
        stored = table.stored("reason")
        if isinstance(stored, Words):
            for word, count in zip(
                stored.vocabulary, np.bincount(stored.codes, minlength=len(stored.vocabulary)), strict=False
            ):
                self._counts[word] = self._counts.get(word, 0) + int(count)

    def nothing_runs(self) -> str:
        """Return a sentence if no row can run, else nothing."""
        told = {word: count for word, count in self._counts.items() if word and count}
        if sum(told.values()) < self._rows or not told:
            return ""
        word = max(told, key=lambda one: told[one])
        return f"no row of the sweep can run: {told[word]:,} of {self._rows:,} because {word}"
