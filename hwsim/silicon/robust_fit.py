"""A robust nonnegative fit of a kernel table's factors, and how many of them rows can carry.

    minimise  Σ rows  weight · ((predicted / measured − 1) / σ)²  +  Σ factors  ((factor / whole − 1) / spread)²

σ is how far rows scatter, told by their median, and ``whole`` the one factor that suits the rows best: what exact
rows say is believed, and where they scatter as widely as factors differ between libraries, factors stay together. Rows
that are many σ off lose their weight, by Huber's rule first, then by Tukey's, which takes all of it; there σ is no less
than what kernel tables are off. Among the rungs that the rows can carry, the one with the least error on rows left out
is taken, the lower of two that are alike.

Source: Huber, Ronchetti, "Robust Statistics", 2nd ed., 2009, chapter 7; Beaton, Tukey, Technometrics 16(2), 1974,
doi:10.1080/00401706.1974.10489171.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hwsim.silicon.coefficients import LADDER, PARTS, STREAM, UNCHANGED, Observation
from hwsim.silicon.least_squares import nonnegative_least_squares

Floats = npt.NDArray[np.float64]

# How far factors may be from the whole, relative to it.
SPREAD = 0.5
# Rows scatter at least so much: what a timer and an interrupt make of two runs.
LEAST_SCATTER = 0.003
# A normal distribution's σ over the median of |error|, and where its rows begin to lose weight, and have lost it.
SIGMA_OVER_MEDIAN, HUBER, TUKEY = 1.4826, 1.345, 4.685
HUBER_ROUNDS, TUKEY_ROUNDS = 15, 10
# What good kernel tables are off; a row that is no further off is no outlier.
MODEL_SCATTER = 0.05
# A rung is worth climbing if it lowers the left-out error by this share; single rows count no more than this error.
WORTH, MOST_ERROR = 0.05, 0.5


def best_rung(seen: Sequence[Observation], rungs: Sequence[int], progress: Callable[[str], None]) -> tuple[int, Floats]:
    """Return how many coefficients to fit, and each row's error with its like left out."""
    best, kept, least = rungs[0], np.zeros(0), np.inf
    for count in rungs:
        progress(f"fitting {count} coefficients without each net in turn")
        errors = _left_out(seen, LADDER[count])
        size = float(np.minimum(np.abs(errors), MOST_ERROR).mean())
        if size < (1 - WORTH) * least:
            best, kept, least = count, errors, size
    return best, kept


def likes(seen: Sequence[Observation]) -> tuple[str, list[object]]:
    """Return what rows are left out with, in words and as a key per row.

    All rows of a net by name, whatever its parameters; if there is but one, of the net with its parameters; if there is
    but one of these, single layers.
    """
    names: list[object] = [one.row.net for one in seen]
    versions: list[object] = [(one.row.net, one.row.parameters, one.row.clock_mhz) for one in seen]
    if len(set(names)) > 1:
        return "the row's net, at any parameters", names
    if len(set(versions)) > 1:
        return "the row's net at its parameters: all are of one net", versions
    return "the row's layer: all are of one net", list(range(len(seen)))


def _left_out(seen: Sequence[Observation], rung: Sequence[int]) -> Floats:
    """Return each row's error in a fit without its like."""
    _, keys = likes(seen)
    errors = np.zeros(len(seen))
    for key in dict.fromkeys(keys):
        rest = [one for one, other in zip(seen, keys, strict=True) if other != key]
        factors, _ = fit_factors(rest, rung)
        for index, (one, other) in enumerate(zip(seen, keys, strict=True)):
            if other == key:
                errors[index] = one.predict(factors) / one.cycles - 1
    return errors


def fit_factors(seen: Sequence[Observation], rung: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the factor of each part, and each row's weight."""
    groups = np.array(rung)
    count = int(groups.max()) + 1
    measured = np.array([one.cycles for one in seen])
    computing = np.array([one.parts[:, :STREAM].sum() for one in seen]) / measured
    rest = np.array([one.parts[:, STREAM:].sum() for one in seen]) / measured
    whole = max(float(np.median((1 - rest) / computing)), 1e-3)
    centre = np.array([1.0 if (groups == group).argmax() == STREAM else whole for group in range(count)])
    multipliers = np.ones(count)
    weight = np.ones(len(seen))
    for step in range(HUBER_ROUNDS + TUKEY_ROUNDS):
        factors = _spread(centre * multipliers, groups)
        error = np.array([one.predict(factors) for one in seen]) / measured - 1
        sigma = max(SIGMA_OVER_MEDIAN * float(np.median(np.abs(error))), LEAST_SCATTER)
        distance = np.abs(error) / sigma
        if step < HUBER_ROUNDS:
            weight = np.minimum(1.0, HUBER / np.maximum(distance, 1e-12))
        else:
            distance = np.abs(error) / max(sigma, MODEL_SCATTER)
            weight = np.maximum(1 - (distance / TUKEY) ** 2, 0.0) ** 2
        columns, constant = _linear(seen, factors, groups, count)
        held = np.sqrt(weight) / sigma
        matrix = np.vstack([columns * centre / measured[:, None] * held[:, None], np.eye(count) / SPREAD])
        target = np.concatenate([(1 - constant / measured) * held, np.full(count, 1 / SPREAD)])
        multipliers = nonnegative_least_squares(matrix, target)
    return _spread(centre * multipliers, groups), weight


def _spread(values: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """Return the factor of each part from those of the groups; one where no group has it."""
    return np.where(groups == UNCHANGED, 1.0, values[groups])


def _linear(
    seen: Sequence[Observation], factors: Floats, groups: npt.NDArray[np.int64], count: int
) -> tuple[Floats, Floats]:
    """Return cycles per factor, shape [row, group], and those that no factor changes, shape [row].

    Layers whose memory is busy longer than the core is count among the latter.
    """
    columns, constant = np.zeros((len(seen), count)), np.zeros(len(seen))
    for index, one in enumerate(seen):
        core = one.parts @ np.append(factors, 1.0) >= one.port
        sums = one.parts[core].sum(axis=0)
        for part, group in enumerate(groups):
            if group == UNCHANGED:
                constant[index] += sums[part]
            else:
                columns[index, group] += sums[part]
        constant[index] += sums[len(PARTS)] + one.port[~core].sum()
    return columns, constant
