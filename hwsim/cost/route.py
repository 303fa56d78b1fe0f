"""The cheapest way through a net's layers when what one of them costs depends on what others leave behind.

Between two layers the net is in a state: what is kept from there on. A step runs one layer, or several at once, and
leads from one state to another; its cost is a column over hardware points. Costs add up, so that the best way to each
state follows from the best ways to the states before it, at all points at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
State = frozenset[int]

# Ways whose costs differ by less than this share are equally good; the next objective decides.
TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Step:
    """Layers run together, from a state before them to one after them.

    Attributes:
        start: Index of the first layer.
        stop: Index after the last.
        before: State at the start.
        after: State at the stop.
        costs: Additive objectives, the one that matters most first, [objective, point]; infinite where it cannot be.
    """

    start: int
    stop: int
    before: State
    after: State
    costs: Floats


def cheapest(steps: Sequence[Step], layers: int) -> Index:
    """Return, for each layer and point, the index of the step that runs it on the cheapest way; shape [layer, point].

    Of equally good ways the one whose steps come first is taken. Every layer must have a step from the empty state to
    the empty state.
    """
    count = steps[0].costs.shape[1]
    best: dict[tuple[int, State], Floats] = {(0, frozenset()): np.zeros_like(steps[0].costs)}
    last: dict[tuple[int, State], Index] = {}
    arriving: dict[tuple[int, State], list[int]] = {}
    for number, step in enumerate(steps):
        arriving.setdefault((step.stop, step.after), []).append(number)
    for place in sorted(arriving, key=lambda place: place[0]):
        numbers = [number for number in arriving[place] if (steps[number].start, steps[number].before) in best]
        if not numbers:
            continue
        totals = np.stack([best[steps[n].start, steps[n].before] + steps[n].costs for n in numbers])
        chosen = least(totals)
        best[place] = np.take_along_axis(totals, chosen[None, None, :], axis=0)[0]
        last[place] = np.array(numbers)[chosen]
    route = np.full((layers, count), -1, dtype=np.intp)
    # From the end back: points that stand at one place go together.
    standing: dict[tuple[int, State], Index] = {(layers, frozenset()): np.arange(count)}
    while standing:
        place = max(standing, key=lambda key: key[0])
        here = standing.pop(place)
        taken = last[place][here]
        for number in np.unique(taken).tolist():
            step, those = steps[number], here[taken == number]
            route[step.start : step.stop, those] = number
            before = (step.start, step.before)
            if step.start:
                standing[before] = np.concatenate([standing[before], those]) if before in standing else those
    return route


def least(costs: Floats) -> Index:
    """Return the index of the first option of least cost at each point, ties broken objective by objective.

    Args:
        costs: Shape [option, objective, point].
    """
    open_ = np.ones((costs.shape[0], costs.shape[2]), dtype=bool)
    for values in np.moveaxis(costs, 1, 0):
        left = np.where(open_, values, np.inf)
        best = left.min(axis=0)
        open_ &= (left <= best * (1 + TIE)) | np.isinf(best)
    return np.asarray(open_.argmax(axis=0))
