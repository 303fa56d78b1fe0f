"""What Optuna sees of a search: a parameter for each axis, values of objectives, how far a condition is missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip.points import WHOLE
from hwsim.explore.axes import Axis
from hwsim.explore.choosing import Goals, runs_at
from hwsim.explore.expression import Expression
from hwsim.explore.ranges import Span
from hwsim.explore.table import SweepTable

Floats = npt.NDArray[np.float64]

RUNS = "the net runs"
# A strict comparison is missed by equality, of which Optuna would think well.
STRICT = 1e-12


@dataclass(frozen=True)
class Parameter:
    """An axis as a parameter.

    Numbers in equal steps, and spans, stand for themselves; other numbers by their place in order, for what is near in
    a search should be near on the axis; words are categories.

    Attributes:
        axis: The axis.
        name: What the parameter is called in the study.
        distribution: Optuna's.
        order: For the places of numbers: index of each value on the axis, by size.
    """

    axis: Axis
    name: str
    distribution: Any
    order: tuple[int, ...] = ()

    @classmethod
    def of(cls, axis: Axis, distributions: Any) -> Parameter:
        """Return the parameter of an axis.

        Args:
            axis: The axis.
            distributions: The module ``optuna.distributions``.
        """
        values = axis.values
        if isinstance(values, Span):
            if axis.path.rpartition(".")[2] in WHOLE:
                low, high = max(round(values.low), 1), round(values.high)
                return cls(axis, axis.name, distributions.IntDistribution(low, high, log=values.log))
            return cls(axis, axis.name, distributions.FloatDistribution(values.low, values.high, log=values.log))
        if not axis.numeric:
            return cls(axis, axis.name, distributions.CategoricalDistribution(axis.words))
        order = tuple(np.argsort(axis.numbers, kind="stable").tolist())
        ranked = axis.numbers[list(order)]
        steps = np.diff(ranked)
        if ranked.dtype.kind == "i" and (steps == (steps[0] if steps.size else 1)).all():
            step = int(steps[0]) if steps.size else 1
            whole = distributions.IntDistribution(int(ranked[0]), int(ranked[-1]), step=step)
            return cls(axis, axis.name, whole, order)
        return cls(axis, f"{axis.name} (place)", distributions.IntDistribution(0, len(order) - 1), order)

    def at(self, chosen: Sequence[Any]) -> npt.NDArray[Any]:
        """Return where parameter values are on the axis: indices of its values, or values of a span."""
        if isinstance(self.axis.values, Span):
            return np.asarray(chosen, dtype=np.float64)
        if not self.axis.numeric:
            return np.array([self.axis.words.index(word) for word in chosen], dtype=np.int64)
        places = np.asarray(chosen, dtype=np.int64)
        if self.name == self.axis.name:
            places = np.searchsorted(self.axis.numbers[list(self.order)], places)
        return np.array(self.order, dtype=np.int64)[places]

    def told(self, chosen: Any) -> Any:
        """Return the value of the axis that a parameter value stands for, for people to read."""
        place = self.at([chosen])[0]
        if isinstance(self.axis.values, Span):
            return float(place)
        return self.axis.numbers[place].item() if self.axis.numeric else self.axis.words[place]


def missed(table: SweepTable, clauses: Sequence[Expression]) -> dict[str, Floats]:
    """Return by how much rows miss each clause of a condition, not above zero where it holds; shape [row].

    A comparison with a number is missed by a share of that number; any other clause by one, as is all by a net that
    does not run.
    """
    runs = runs_at(table)
    found = {RUNS: np.where(runs, 0.0, 1.0)}
    for clause in clauses:
        holds = np.broadcast_to(np.asarray(clause.where(table.__getitem__), dtype=bool), (len(table),))
        amount = _amount(table, clause)
        known = np.where(np.isnan(amount), np.where(holds, 0.0, 1.0), amount)
        found[clause.text] = np.where(runs, known, 1.0)
    return found


def _amount(table: SweepTable, clause: Expression) -> Floats:
    bound = clause.bound
    if bound is None or bound.sign not in ("<", "<=", ">", ">="):
        return np.full(len(table), np.nan)
    values = np.broadcast_to(np.asarray(bound.value(table.__getitem__), dtype=np.float64), (len(table),))
    over = (values - bound.limit) / (abs(bound.limit) or 1.0)
    return np.asarray((over if "<" in bound.sign else -over) + (0.0 if "=" in bound.sign else STRICT))


def objective_values(table: SweepTable, goals: Goals) -> Floats:
    """Return the objectives in their own units and directions, nan where the net does not run; [row, objective]."""
    columns = np.stack(goals.columns(table), axis=1)
    columns[:, len(goals.minimize) :] *= -1
    return columns


def worst_of(values: Floats, worst: Floats, goals: Goals) -> Floats:
    """Return the worst value of each objective so far, which stands in for one that a trial does not have.

    Args:
        values: Of a generation, shape [row, objective].
        worst: So far, nan where there is none yet.
        goals: Which objectives are minimised.
    """
    found = worst.copy()
    for index in range(len(worst)):
        known = values[~np.isnan(values[:, index]), index]
        together = np.append(known, worst[index]) if not np.isnan(worst[index]) else known
        if together.size:
            found[index] = together.max() if index < len(goals.minimize) else together.min()
    return found


def readable(parameters: Sequence[Parameter], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axes' values of a trial whose parameters are places."""
    return {p.axis.name: p.told(chosen[p.name]) for p in parameters if p.name != p.axis.name}
