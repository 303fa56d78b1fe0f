"""Offsets for buffers that live at different times: largest first, in order of life, against it, and by search.

A buffer occupies ``[offset, offset + size)`` from step ``first`` to step ``last``. Two that live at one step must not
overlap, with one exception: a layer may write its result over an input that nobody reads any more, when it starts far
enough below it (``gap``; zero for an elementwise layer). Source of the exception: Blacker, Bao, Jantzen and Sebastián,
"Diagonal Memory Optimisation", arXiv 2010.01668.

Every planner places one buffer after the other at the lowest offset that those placed before leave free; they differ in
the order. Some order reaches the optimum: that of the optimal offsets themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwsim.errors import UsageError, did_you_mean

Ints = npt.NDArray[np.int64]
# Bounds of a search: placements tried to improve orders, fullest steps to start from, and, for no more buffers than
# can be gone through, offsets looked up in all orders.
PROMOTIONS, PIVOTS = 8_000, 8
EXHAUSTIBLE, SEARCH_LOOKUPS = 24, 60_000
# Up to so many buffers plain lists are faster than columns.
FEW = 200


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that live from one step to another, both included."""

    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Buffers to be placed.

    Attributes:
        buffers: What to place.
        gaps: (i, j) -> bytes: j is born at the step at which i dies, and may overlap it when it starts at least so many
            bytes below.
    """

    buffers: tuple[Buffer, ...]
    gaps: Mapping[tuple[int, int], int] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return 1 + max((buffer.last for buffer in self.buffers), default=-1)

    def live_bytes(self) -> Ints:
        """Return what each step needs at least: the sum of what lives, less what gaps let overlap; shape [step]."""
        size, first, last = (
            np.array([getattr(buffer, name) for buffer in self.buffers], dtype=np.int64)
            for name in ("size", "first", "last")
        )
        change = np.zeros(self.steps + 1, dtype=np.int64)
        np.add.at(change, first, size)
        np.subtract.at(change, last + 1, size)
        live = np.cumsum(change)[:-1]
        saved: dict[int, int] = {}
        for (dying, born), gap in self.gaps.items():
            new = self.buffers[born]
            saved[born] = saved.get(born, 0) + min(max(new.size - gap, 0), self.buffers[dying].size)
        for born, total in saved.items():
            live[self.buffers[born].first] -= min(total, self.buffers[born].size)
        return live

    def peak(self, offsets: Sequence[int]) -> int:
        """Return the bytes that a placement takes."""
        return max((at + buffer.size for at, buffer in zip(offsets, self.buffers, strict=True)), default=0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Offsets of a problem's buffers, and whether no others take less."""

    offsets: tuple[int, ...]
    peak_bytes: int
    optimal: bool


class _Shelf:
    """Buffers placed so far."""

    def __init__(self, problem: Problem) -> None:
        self._buffers = problem.buffers
        self._gaps = problem.gaps
        self._living: list[list[int]] = [[] for _ in range(problem.steps)]
        self.offsets = [0] * len(problem.buffers)

    def lowest(self, index: int) -> int:
        """Return the lowest offset that those placed leave to a buffer."""
        buffer = self._buffers[index]
        rivals: Iterable[int] = self._living[buffer.first]
        if buffer.last > buffer.first:
            rivals = set().union(*self._living[buffer.first : buffer.last + 1])
        taken = sorted(self._forbidden(index, rival) for rival in rivals)
        offset = 0
        for low, high in taken:
            if low >= offset:
                break
            offset = max(offset, high)
        return offset

    def _forbidden(self, index: int, rival: int) -> tuple[int, int]:
        """Return the open interval that a rival bars to a buffer's offset."""
        at = self.offsets[rival]
        low, high = at - self._buffers[index].size, at + self._buffers[rival].size
        if (rival, index) in self._gaps:
            low = max(low, at - self._gaps[rival, index])
        if (index, rival) in self._gaps:
            high = min(high, at + self._gaps[index, rival])
        return low, high

    def put(self, index: int, offset: int) -> None:
        """Place a buffer."""
        self.offsets[index] = offset
        buffer = self._buffers[index]
        for step in range(buffer.first, buffer.last + 1):
            self._living[step].append(index)

    def take(self, index: int) -> None:
        """Remove the buffer that was placed last."""
        buffer = self._buffers[index]
        for step in range(buffer.first, buffer.last + 1):
            assert self._living[step].pop() == index


class _WideShelf:
    """The same for thousands of buffers: columns of all that is placed, in order of offset."""

    def __init__(self, problem: Problem) -> None:
        self._buffers = problem.buffers
        self._rivals: dict[int, list[tuple[int, int, bool]]] = {}  # buffer -> those it has a gap with, as the dying one
        for (dying, born), gap in problem.gaps.items():
            self._rivals.setdefault(dying, []).append((born, gap, True))
            self._rivals.setdefault(born, []).append((dying, gap, False))
        self._placed = np.zeros((5, len(problem.buffers)), dtype=np.int64)  # offset, end, first, last, index
        self._count = 0
        self.offsets = [0] * len(problem.buffers)

    def lowest(self, index: int) -> int:
        """Return the lowest offset that those placed leave to a buffer."""
        buffer = self._buffers[index]
        at, ends, first, last, names = self._placed[:, : self._count]
        meets = (first <= buffer.last) & (last >= buffer.first)
        low, high, names = at[meets] - buffer.size, ends[meets], names[meets]
        moved = False
        for rival, gap, dying in self._rivals.get(index, ()):
            for place in np.flatnonzero(names == rival):
                moved = True
                if dying:  # a rival that is born as this one dies starts below it
                    high[place] = min(high[place], self.offsets[rival] + gap)
                else:
                    low[place] = max(low[place], self.offsets[rival] - gap)
        if moved:
            order = np.lexsort((high, low))
            low, high = low[order], high[order]
        # Up to each interval, in order of where they begin, everything below ``reach`` is barred.
        reach = np.maximum.accumulate(np.concatenate([[0], high]))
        free = np.flatnonzero(low >= reach[:-1])
        return int(reach[free[0] if len(free) else -1])

    def put(self, index: int, offset: int) -> None:
        """Place a buffer."""
        self.offsets[index] = offset
        buffer, count = self._buffers[index], self._count
        place = int(np.searchsorted(self._placed[0, :count], offset))
        self._placed[:, place + 1 : count + 1] = self._placed[:, place:count]
        self._placed[:, place] = offset, offset + buffer.size, buffer.first, buffer.last, index
        self._count += 1


def place_in_order(problem: Problem, order: Iterable[int]) -> tuple[int, ...]:
    """Place buffers one after the other, each at the lowest free offset."""
    shelf = _Shelf(problem) if len(problem.buffers) <= FEW else _WideShelf(problem)
    for index in order:
        shelf.put(index, shelf.lowest(index))
    return tuple(shelf.offsets)


def _planned(problem: Problem, order: Sequence[int]) -> Plan:
    offsets = place_in_order(problem, order)
    peak = problem.peak(offsets)
    return Plan(offsets, peak, peak <= problem.live_bytes().max(initial=0))


def greedy_by_size(problem: Problem) -> Plan:
    """Place the largest buffer first.

    Source: Pisarchyk and Lee, "Efficient memory management for deep neural net inference", arXiv 2001.03288.
    """
    buffers = problem.buffers
    return _planned(problem, sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, buffers[i].first, i)))


def first_fit(problem: Problem) -> Plan:
    """Place buffers in the order in which they are born, the larger of twins first."""
    buffers = problem.buffers
    return _planned(problem, sorted(range(len(buffers)), key=lambda i: (buffers[i].first, -buffers[i].size, i)))


def reverse_fit(problem: Problem) -> Plan:
    """Place first what dies last, of twins the later born, then the larger.

    Where results lie over their inputs, each has to start below its input, which this order arrives at.
    """
    buffers = problem.buffers
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].last, -buffers[i].first, -buffers[i].size, i))
    return _planned(problem, order)


def search(problem: Problem, *, lookups: int = SEARCH_LOOKUPS) -> Plan:
    """Return the smallest plan found; ``optimal`` says whether there is none smaller.

    It starts from the other planners' plans, moves the buffers that reach the peak to the front of the order while that
    helps, and then, for few buffers, goes through all orders by branch and bound: offsets never fall along an order,
    and a branch ends where some buffer can no longer end below the best peak.

    Args:
        problem: What to place.
        lookups: How many offsets branch and bound may look up before it settles for the best found.
    """
    plans = (first_fit(problem), reverse_fit(problem), _promoted(problem))
    best = min(plans, key=lambda found: found.peak_bytes)
    if best.optimal or len(problem.buffers) > EXHAUSTIBLE:
        return best
    hunt = _Search(problem, best, lookups)
    hunt.descend(frozenset(range(len(problem.buffers))), 0)
    return Plan(hunt.best.offsets, hunt.best.peak_bytes, hunt.left > 0 or hunt.best.optimal)


def _promoted(problem: Problem) -> Plan:
    """Improve several orders: move whatever reaches the peak to the front, again and again.

    Where results lie over inputs, a result has to be below its input. So the orders start at one of the fullest steps
    and go from there back in time, the later born first, and then on from it; another starts with what is largest.
    """
    buffers, live = problem.buffers, problem.live_bytes()
    load = [int(live[buffer.first : buffer.last + 1].max()) for buffer in buffers]
    orders = [sorted(range(len(buffers)), key=lambda i: (-load[i], -buffers[i].size, i))]
    stacked = {i for pair in problem.gaps for i in pair}
    pivots = min(PIVOTS, PROMOTIONS // max(len(buffers), 1))
    for pivot in np.argsort(-live, kind="stable")[:pivots].tolist():
        born = [(i, buffer.first, buffer.size) for i, buffer in enumerate(buffers)]
        back = sorted((i not in stacked, -first, -size, i) for i, first, size in born if first <= pivot)
        on = sorted((i not in stacked, first, -size, i) for i, first, size in born if first > pivot)
        orders.append([entry[-1] for entry in (*back, *on)])
    best = greedy_by_size(problem)
    for order in orders:
        for _ in range(max(PROMOTIONS // (len(buffers) * len(orders)), 1)):
            offsets = place_in_order(problem, order)
            peak = problem.peak(offsets)
            if peak < best.peak_bytes:
                best = Plan(offsets, peak, peak <= int(live.max()))
                if best.optimal:
                    return best
            top = {i for i in order if offsets[i] + buffers[i].size == peak}
            promoted = [*(i for i in order if i in top), *(i for i in order if i not in top)]
            if promoted == order:
                break
            order = promoted
    return best


class _Search:
    """State of a search: what is placed, the best plan, and how many offsets may still be looked up."""

    def __init__(self, problem: Problem, best: Plan, lookups: int) -> None:
        self._problem, self._shelf = problem, _Shelf(problem)
        self._bound = int(problem.live_bytes().max(initial=0))
        self.best, self.left = best, lookups

    def descend(self, open_: frozenset[int], floor: int) -> None:
        """Try every next buffer whose lowest offset is not below that of the one placed last."""
        if not open_:
            offsets = tuple(self._shelf.offsets)
            peak = self._problem.peak(offsets)
            self.best = Plan(offsets, peak, peak <= self._bound)
            return
        buffers = self._problem.buffers
        lowest = {index: self._shelf.lowest(index) for index in open_}
        self.left -= len(open_)
        if any(at + buffers[index].size >= self.best.peak_bytes for index, at in lowest.items()):
            return
        for index in sorted(open_, key=lambda i: (lowest[i], -buffers[i].size, i)):
            at = lowest[index]
            if at < floor:
                continue
            self._shelf.put(index, at)
            self.descend(open_ - {index}, at)
            self._shelf.take(index)
            if self.best.optimal or self.left <= 0:
                return


PLANNERS: dict[str, Callable[[Problem], Plan]] = {
    "greedy_by_size": greedy_by_size,
    "first_fit": first_fit,
    "reverse_fit": reverse_fit,
    "search": search,
}


def plan(problem: Problem, planner: str) -> Plan:
    """Return a plan by the planner's name.

    Raises:
        UsageError: There is no such planner.
    """
    if planner not in PLANNERS:
        raise UsageError(
            f"planner = {planner!r}: must be one of {', '.join(PLANNERS)}{did_you_mean(planner, PLANNERS)}"
        )
    return PLANNERS[planner](problem)
