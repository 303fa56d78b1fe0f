"""Exact Pareto fronts of many points and any number of objectives, in numpy alone.

A point is on the front unless another is no worse in every objective and better in one. Equal points do not dominate
each other: **all of them stay**, so that the front does not depend on the order of points, and the front of fronts of
parts is the front of the whole. Points with a nan in any objective (those that cannot run) are left out.

Four steps, each exact:

1. A few points that beat most of a sample strike out what they beat, in one pass.
2. A grid over the objectives, its cells cut at quantiles: a point falls if some point lies in a cell that is lower in
   every objective. This leaves, of points that are not all on the front, few; it is repeated on what is left for as
   long as that helps.
3. What is left is sorted and made distinct; of two objectives the front is then a running minimum.
4. Of more, the front of the earlier half, and those of the later half's front that none of the former dominates:
   divide and conquer, one objective less at each level.

Source: Kung, Luccio, Preparata, "On finding the maxima of a set of vectors", J. ACM 22(4), 1975,
doi:10.1145/321906.321910 (step 4); Bentley, "Multidimensional divide-and-conquer", CACM 23(4), 1980,
doi:10.1145/358841.358850.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hwsim.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Rows looked at together, which bounds the memory that a pass over the points takes.
CHUNK_ROWS = 1 << 20
# Points that strike others out, and rows that they are chosen by.
STRIKERS, TRIED_ROWS = 4, 2048
# Cells of the grid, and rows that its quantiles are taken from.
CELLS, SAMPLE_ROWS = 1 << 21, 1 << 16
# Fewer points than this need no grid; one that leaves more than this share of the points is the last.
FEW, WORTHWHILE = 4096, 0.7
# Points of a leaf of the recursion, and pairs that are compared one by one.
LEAF, PAIRS = 64, 1 << 15


def front(minimize: Sequence[npt.ArrayLike], maximize: Sequence[npt.ArrayLike] = ()) -> Ints:
    """Return the indices of the points on the Pareto front, ascending.

    Args:
        minimize: Columns that are better when lower, each of shape [point].
        maximize: Columns that are better when higher, likewise.

    Raises:
        UsageError: There is no objective, or columns differ in length.
    """
    columns = [(np.asarray(column, dtype=np.float64), 1.0) for column in minimize]
    columns += [(np.asarray(column, dtype=np.float64), -1.0) for column in maximize]
    if not columns:
        raise UsageError("a Pareto front needs an objective to minimise or to maximise")
    sizes = {column.shape for column, _ in columns}
    if len(sizes) > 1 or len(columns[0][0].shape) != 1:
        raise UsageError(f"objectives of a Pareto front must be columns of one length, not of {sorted(sizes)}")
    count = columns[0][0].size
    strikers = _strikers(columns) if count > FEW else np.zeros((0, len(columns)))
    kept = np.concatenate([_numbered(columns, strikers, start) for start in range(0, count, CHUNK_ROWS)] or [_NONE])
    while kept.size > FEW and len(columns) > 1:
        left = _above_grid(columns, kept)
        helped = left.size < WORTHWHILE * kept.size
        kept = left
        if not helped:
            break
    points = np.stack([sign * column[kept] for column, sign in columns], axis=1)
    return kept[_on_front(points)]


_NONE: Ints = np.zeros(0, dtype=np.int64)


def _strikers(columns: Sequence[tuple[Floats, float]]) -> Floats:
    """Return points that beat most of a sample of all, shape [striker, objective]."""
    step = -(-columns[0][0].size // TRIED_ROWS)
    sample = np.stack([sign * column[::step] for column, sign in columns], axis=1)
    sample = sample[~np.isnan(sample).any(axis=1)]
    best = sample[_on_front(sample)]
    chosen: list[Floats] = []
    while len(sample) and len(chosen) < STRIKERS:
        beats = np.ones((len(best), len(sample)), dtype=bool)
        for objective in range(sample.shape[1]):
            beats &= best[:, None, objective] < sample[None, :, objective]
        most = int(beats.sum(axis=1).argmax())
        if not beats[most].any():
            break
        chosen.append(best[most])
        sample = sample[~beats[most]]
    return np.array(chosen).reshape(-1, len(columns))


def _numbered(columns: Sequence[tuple[Floats, float]], strikers: Floats, start: int) -> Ints:
    """Return the rows of a chunk that have no nan and that no striker beats in every objective."""
    part = slice(start, start + CHUNK_ROWS)
    fallen = np.logical_or.reduce([np.isnan(column[part]) for column, _ in columns])
    for striker in strikers:
        worse = [
            column[part] > value if sign > 0 else column[part] < -value
            for (column, sign), value in zip(columns, striker.tolist(), strict=True)
        ]
        fallen |= np.logical_and.reduce(worse)
    return np.flatnonzero(~fallen) + start


def _above_grid(columns: Sequence[tuple[Floats, float]], kept: Ints) -> Ints:
    """Return the rows for which no point lies in a cell that is lower in every objective."""
    bins = max(2, int(CELLS ** (1 / len(columns))))
    sample = kept[:: max(1, kept.size // SAMPLE_ROWS)]
    edges = []
    for column, sign in columns:
        values = np.sort(sign * column[sample])
        edges.append(np.unique(values[np.linspace(0, values.size - 1, bins + 1).astype(np.int64)[1:-1]]))
    shape = tuple(edge.size + 1 for edge in edges)
    cells = np.zeros(kept.size, dtype=np.int64)
    for start in range(0, kept.size, CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        rows = kept[part]
        for (column, sign), edge in zip(columns, edges, strict=True):
            cells[part] *= edge.size + 1
            cells[part] += np.searchsorted(edge, sign * column[rows], side="right")
    occupied = np.zeros(shape, dtype=bool)
    occupied.reshape(-1)[cells] = True
    below = occupied
    for axis in range(len(shape)):
        below = np.logical_or.accumulate(below, axis=axis)
    beaten = np.zeros(shape, dtype=bool)
    beaten[tuple(slice(1, None) for _ in shape)] = below[tuple(slice(None, -1) for _ in shape)]
    return kept[~beaten.reshape(-1)[cells]]


def _on_front(points: Floats) -> Ints:
    """Return the indices of the points on the front, ascending; shape [point, objective], no nan."""
    if not len(points):
        return _NONE
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    first = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    group = np.cumsum(first) - 1
    distinct = ordered[first]
    chosen = np.zeros(len(distinct), dtype=bool)
    chosen[_sorted_front(distinct)] = True
    return np.sort(order[chosen[group]])


def _sorted_front(points: Floats) -> Ints:
    """Return the indices of the front of distinct points that are sorted by their objectives, first to last."""
    if points.shape[1] == 1:
        return np.zeros(1, dtype=np.int64)
    if points.shape[1] == 2:
        lowest = np.minimum.accumulate(points[:, 1])
        return np.flatnonzero(np.concatenate([[True], points[1:, 1] < lowest[:-1]]))
    fronts = _leaf_fronts(points)
    while len(fronts) > 1:
        fronts = [
            _joined(points, *fronts[index : index + 2]) if index + 1 < len(fronts) else fronts[index]
            for index in range(0, len(fronts), 2)
        ]
    return fronts[0]


def _leaf_fronts(points: Floats) -> list[Ints]:
    """Return the front of each run of ``LEAF`` points, by comparing every pair."""
    fronts = []
    step = LEAF * max(1, (CHUNK_ROWS // LEAF**2))
    for start in range(0, len(points), step):
        part = points[start : start + step]
        count = -(-len(part) // LEAF)
        # Runs are filled up with points that dominate nothing.
        runs = np.full((count, LEAF, points.shape[1]), np.inf)
        runs.reshape(count * LEAF, -1)[: len(part)] = part
        # Of distinct sorted points only an earlier one can dominate a later one, and does if it is nowhere higher.
        beats = np.broadcast_to(_EARLIER, (count, LEAF, LEAF)).copy()
        for objective in range(1, points.shape[1]):
            values = runs[:, :, objective]
            beats &= values[:, :, None] <= values[:, None, :]
        chosen: Bools = ~np.asarray(beats.any(axis=1))
        for index in range(count):
            alive = np.flatnonzero(chosen[index]) + start + index * LEAF
            fronts.append(alive[alive < len(points)])
    return fronts


_EARLIER = np.triu(np.ones((LEAF, LEAF), dtype=bool), k=1)


def _joined(points: Floats, earlier: Ints, later: Ints) -> Ints:
    """Return the front of two fronts of which no point of the later dominates one of the earlier."""
    beaten = _beaten(points[earlier, 1:], points[later, 1:])
    return np.concatenate([earlier, later[~beaten]])


def _beaten(a: Floats, b: Floats) -> Bools:
    """Return which points of ``b`` have a point of ``a`` that is nowhere higher; shapes [point, objective]."""
    result = np.zeros(len(b), dtype=bool)
    if not len(a) or not len(b):
        return result
    # Only those of a below b's highest corner, and those of b above a's lowest, can matter.
    a = a[(a <= b.max(axis=0)).all(axis=1)]
    if not len(a):
        return result
    above = np.flatnonzero((b >= a.min(axis=0)).all(axis=1))
    b = b[above]
    if len(b):
        result[above] = _compared(a, b)
    return result


def _compared(a: Floats, b: Floats) -> Bools:
    objectives = a.shape[1]
    if objectives == 1:
        return np.asarray(b[:, 0] >= a[:, 0].min())
    if objectives == 2:
        order = np.argsort(a[:, 0])
        lowest = np.minimum.accumulate(a[order, 1])
        at = np.searchsorted(a[order, 0], b[:, 0], side="right") - 1
        return np.asarray((at >= 0) & (lowest[at] <= b[:, 1]))
    if len(a) * len(b) <= PAIRS:
        nowhere_higher = a[:, None, 0] <= b[None, :, 0]
        for objective in range(1, objectives):
            nowhere_higher &= a[:, None, objective] <= b[None, :, objective]
        return np.asarray(nowhere_higher.any(axis=0))
    if a[:, 0].max() <= b[:, 0].min():
        return _beaten(a[:, 1:], b[:, 1:])
    values = np.concatenate([a[:, 0], b[:, 0]])
    middle = np.partition(values, values.size // 2)[values.size // 2]
    if middle == values.max():  # ties at the top: cut below them
        middle = values[values < middle].max()
    a_low, b_low = a[:, 0] <= middle, b[:, 0] <= middle
    result = np.zeros(len(b), dtype=bool)
    result[b_low] = _beaten(a[a_low], b[b_low])
    high = np.flatnonzero(~b_low)
    beaten = _beaten(a[a_low][:, 1:], b[high][:, 1:])
    rest = high[~beaten]
    beaten[~beaten] = _beaten(a[~a_low], b[rest])
    result[high] = beaten
    return result
