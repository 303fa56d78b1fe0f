"""The Pareto front against hand-made points, brute force, another library, and its laws."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import UsageError
from hwsim.explore import fronts
from hwsim.explore.fronts import front


def brute_force(points: np.ndarray) -> np.ndarray:
    """Return the front by comparing every pair; shape [point, objective], lower is better."""
    kept = []
    for i, point in enumerate(points):
        if np.isnan(point).any():
            continue
        others = points[~np.isnan(points).any(axis=1)]
        no_worse = (others <= point).all(axis=1)
        better = (others < point).any(axis=1)
        if not (no_worse & better).any():
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def test_front_on_paper() -> None:
    # (latency, energy): (1,9) and (4,4) and (9,1) trade; (5,4) has the energy of (4,4) but is later; (4,4) stands twice
    # and both stay; (nan, 0) does not run.
    latency = [4, 1, 5, 9, np.nan, 4, 9]
    energy = [4, 9, 4, 1, 0, 4, 2]
    assert front([latency, energy]).tolist() == [0, 1, 3, 5]
    # Highest throughput for the lowest energy: (9, 1) beats (9, 2); (9, 1) beats all others, but (nan, 0) is no point.
    assert front([energy], maximize=[latency]).tolist() == [3]


def test_one_objective_keeps_every_best_point() -> None:
    assert front([[3, 1, 2, 1]]).tolist() == [1, 3]
    assert front([], maximize=[[3, 1, 3]]).tolist() == [0, 2]


def test_no_points_no_front() -> None:
    assert front([[], []]).tolist() == []
    assert front([[np.nan], [1.0]]).tolist() == []


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["uniform", "ties", "sphere", "line"])
def test_equals_brute_force(objectives: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On small inputs with the grid, chunks and recursion all in play."""
    monkeypatch.setattr(fronts, "FEW", 50)
    monkeypatch.setattr(fronts, "CELLS", 3**objectives)
    monkeypatch.setattr(fronts, "PAIRS", 64)
    monkeypatch.setattr(fronts, "CHUNK_ROWS", 97)
    rng = np.random.default_rng([objectives, len(kind)])
    for _ in range(6):
        points = rng.random((int(rng.integers(1, 700)), objectives))
        if kind == "ties":
            points = np.floor(points * 5)
        elif kind == "sphere":
            points = -points / np.linalg.norm(points, axis=1, keepdims=True)
        elif kind == "line":
            points[:, 1:] = np.round(points[:, :1] * 20) + np.round(points[:, 1:])
        points[rng.random(len(points)) < 0.05, rng.integers(objectives)] = np.nan
        sign = rng.choice([-1.0, 1.0], objectives)
        low, high = (list((points * sign).T[sign == s] * s * s) for s in (1.0, -1.0))
        expected = brute_force(points)
        assert front(low, high).tolist() == expected.tolist()


def test_order_of_points_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    points = np.floor(rng.random((20_000, 3)) * 30)
    shuffle = rng.permutation(len(points))
    assert sorted(shuffle[front(list(points[shuffle].T))]) == front(list(points.T)).tolist()


def test_equals_moocore() -> None:
    moocore = pytest.importorskip("moocore")
    points = np.random.default_rng(7).random((30_000, 4))
    theirs = moocore.is_nondominated(points, keep_weakly=True)
    assert front(list(points.T)).tolist() == np.flatnonzero(theirs).tolist()


def test_bad_objectives() -> None:
    with pytest.raises(UsageError, match="an objective to minimise or to maximise"):
        front([])
    with pytest.raises(UsageError, match="columns of one length"):
        front([[1.0, 2.0], [1.0]])
