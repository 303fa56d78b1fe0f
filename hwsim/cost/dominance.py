"""Dominance: of many candidates, those that some nondecreasing objective can prefer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Rows whose fate is settled together, at first and at most: each block costs block² comparisons, and strikes from all
# rows after it; the few of the smallest sums strike most.
FIRST_BLOCK, BLOCK = 16, 128


def non_dominated(columns: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the positions of the rows that no other row beats or equals in every column; of equal rows, the first.

    Args:
        columns: Shape [row, quantity]; less is better.
    """
    places = ranks(columns)
    left = np.argsort(places.sum(axis=0), kind="stable")
    # Small numbers are compared many at a time.
    places = places[:, left].astype(np.uint16 if len(left) <= np.iinfo(np.uint16).max else np.int32)
    kept, size = [], FIRST_BLOCK
    while len(left):
        block = places[:, :size]
        among = np.triu(_nowhere_above(block, block), 1).any(axis=0)
        kept.append(left[:size][~among])
        struck = _nowhere_above(block[:, ~among], places[:, size:]).any(axis=0)
        left, places = left[size:][~struck], places[:, size:][:, ~struck]
        size = min(2 * size, BLOCK)
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.intp)


def ranks(columns: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return the rank of each value among those of its column, shape [quantity, row].

    Ranks compare as the values do, are small, and add up exactly: a row has a larger sum than any that dominates it.
    """
    return np.stack([np.unique(column, return_inverse=True)[1] for column in columns.T]).astype(np.int32)


def _nowhere_above(some: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return, for each pair, whether one of ``some`` is nowhere above one of ``others``; shape [some, others]."""
    found: npt.NDArray[np.bool_] = some[0][:, None] <= others[0]
    for mine, theirs in zip(some[1:], others[1:], strict=True):
        found &= mine[:, None] <= theirs
    return found
