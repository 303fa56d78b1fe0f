"""The answers at points that are listed one by one, in one call of the engine for each structure among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.explore.grid import Block
from hwsim.explore.question import Question
from hwsim.explore.table import SweepTable


def answer_at(question: Question, at: Sequence[npt.ArrayLike], *, first: int = 0, net: int = 0) -> SweepTable:
    """Return the rows of points, by their numbers; those that break a constraint of the question have none.

    Args:
        question: What is asked; one of its nets.
        at: For each axis: index of the value by point, or the value itself where the axis is a span; shape [point].
        first: Number of the first point.
        net: Index of the net.
    """
    columns: list[Any] = [np.asarray(column) for column in at]
    count = len(columns[0]) if columns else 1
    structural = [column for axis, column in zip(question.axes, columns, strict=True) if axis.structural]
    order = np.lexsort(structural) if structural else np.arange(count)
    rows = tuple(column[order] for column in columns)
    table = question.answer(Block(first + order, np.full(count, net, dtype=np.int64), rows))
    return table.take(np.argsort(table["point"]))
