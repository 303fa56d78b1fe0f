"""Nonnegative least squares, in numpy alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def nonnegative_least_squares(matrix: Floats, target: Floats) -> Floats:
    """Return x ≥ 0 that minimises |matrix · x − target|.

    The active-set method of Lawson and Hanson, "Solving least squares problems", 1974, chapter 23.

    Args:
        matrix: Shape [row, column].
        target: Shape [row].
    """
    gram, pull = matrix.T @ matrix, matrix.T @ target
    count = matrix.shape[1]
    x, free = np.zeros(count), np.zeros(count, dtype=bool)
    tolerance = 1e-10 * max(float(np.abs(pull).max(initial=0.0)), 1e-300)
    for _ in range(3 * count + 10):
        gradient = pull - gram @ x
        gradient[free] = -np.inf
        best = int(gradient.argmax())
        if free.all() or gradient[best] <= tolerance:
            break
        free[best] = True
        while True:
            trial = np.zeros(count)
            at = np.flatnonzero(free)
            trial[at] = np.linalg.lstsq(gram[np.ix_(at, at)], pull[at], rcond=None)[0]
            if (trial[at] > 0).all():
                x = trial
                break
            # Walk towards the trial until the first variable reaches zero, and hold that one there.
            falling = at[trial[at] <= 0]
            step = (x[falling] / np.maximum(x[falling] - trial[falling], 1e-300)).min()
            x = x + step * (trial - x)
            free[falling[x[falling] <= 1e-14 * max(float(x.max()), 1e-300)]] = False
            x[~free] = 0.0
    return x
