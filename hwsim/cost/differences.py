"""What many points share of mappings' costs, and by how much one mapping can be behind another in a box of points.

Both follow the formulas of ``array_time``: times are the larger of sums of moves times rates, energies are such sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hwsim.chip import Transfers
from hwsim.cost.array_time import Moves, Rates, Times, objective_of, shared_ratio, times_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Objectives of equal value to this relative precision are a tie, which the next objective breaks.
TIE = 1e-12


def absorbed(moves: Moves, rates: Rates) -> tuple[Moves, Rates]:
    """Return moves and rates of the same times and energies, in which what all points share is worked out.

    Prices that all points share become energy of the mapping, ports as fast at all points become cycles, and bytes
    written are turned into bytes read by a ratio that all points share. What is the same for all is one column.

    Args:
        moves: Of mappings, shape [mapping].
        rates: Of points, shape [point].
    """
    rates, moves = rates.narrowed(), moves.narrowed()
    moves, rates = _prices_absorbed(moves, rates)
    nothing = np.zeros(1)
    if _shared(rates.buffer_read) and _shared(rates.buffer_write):
        cycles = moves.cycles
        for reads, writes, read, write in zip(
            moves.buffer_reads, moves.buffer_writes, rates.buffer_read, rates.buffer_write, strict=True
        ):
            cycles = np.maximum(cycles, reads * read + writes * write)
        none = np.zeros_like(rates.buffer_read)
        moves, rates = replace(moves, cycles=cycles), replace(rates, buffer_read=none, buffer_write=none)
        if not (rates.buffer_read_pj.any() or rates.buffer_write_pj.any()):
            moves = replace(moves, buffer_reads=none, buffer_writes=none)
    ratio = shared_ratio(rates.write, rates.read)
    if ratio is not None and not (rates.read_pj.any() or rates.write_pj.any()):
        moves = replace(moves, reads=moves.reads + ratio * moves.writes, writes=nothing)
        # The drain comes after the longer of two first fills: it is part of one only where the other never waits.
        if not (moves.stored_fill.any() or (moves.stored.any() and rates.store_latency.any())):
            moves = replace(moves, fill=moves.fill + ratio * moves.drain, drain=nothing)
    return moves.narrowed(), rates


def _shared(column: Floats) -> bool:
    return bool(column.shape[-1] == 1)


def _prices_absorbed(moves: Moves, rates: Rates) -> tuple[Moves, Rates]:
    pj, none = moves.pj, np.zeros(1)
    priced = {"read_pj": moves.reads, "write_pj": moves.writes, "store_pj": moves.stored}
    for name, moved in priced.items():
        price = getattr(rates, name)
        if _shared(price):
            pj, rates = pj + moved * price, replace(rates, **{name: none})
    for name, moved in {"buffer_read_pj": moves.buffer_reads, "buffer_write_pj": moves.buffer_writes}.items():
        price = getattr(rates, name)
        if _shared(price):
            pj = pj + (moved * price).sum(axis=0)
            rates = replace(rates, **{name: np.zeros_like(price)})
    if _shared(rates.mac_pj):
        pj = pj + moves.macs * rates.mac_pj[moves.dtype, 0]
        moves = replace(moves, macs=none, dtype=np.zeros(1, dtype=np.intp))
        rates = replace(rates, mac_pj=np.zeros((1, 1)))
    return replace(moves, pj=pj), rates


@dataclass(frozen=True, slots=True)
class Bounds:
    """Mappings in a box of points: what they move, and their times and objectives at its corners.

    Every objective grows with every rate and shrinks with a buffer's size, so that its value where everything is as
    good as anywhere in the box is a lower bound, and where everything is as bad an upper one.

    Attributes:
        moves: What the mappings move.
        good: Rates at the good corner.
        bad: Rates at the bad corner.
        at_good: Times there.
        at_bad: Likewise at the bad corner.
    """

    moves: Moves
    good: Rates
    bad: Rates
    at_good: Times
    at_bad: Times

    @classmethod
    def of(cls, moves: Moves, good: Rates, bad: Rates, transfers: Transfers) -> Bounds:
        """Return the bounds of mappings, each in its own box: all arrays of shape [mapping], or [1]."""
        return cls(moves, good, bad, times_of(moves, good, transfers), times_of(moves, bad, transfers))

    def low(self, objective: str) -> Floats:
        """Return the lower bound of an objective, infinite where a mapping fits nowhere."""
        return objective_of(objective, self.moves, self.good, self.at_good.latency)

    def high(self, objective: str) -> Floats:
        """Return the upper bound of an objective, infinite where a mapping does not fit everywhere."""
        return objective_of(objective, self.moves, self.bad, self.at_bad.latency)

    def behind(self, transfers: Transfers, first: npt.NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """Return by how much at most another mapping of the same box is behind in latency, dynamic energy and traffic.

        Below zero it is ahead everywhere. A sum of differences times rates is largest where each rate is at the end
        of the box that favours it.

        Args:
            transfers: How transfers and computing share the time.
            first: For each mapping, the position of the other; it has to fit everywhere in the box.
        """
        mine, good, bad = self.moves, self.good, self.bad
        other = mine.take(first)

        def by(moved: str, rate: str, part: int | None = None) -> Floats:
            here, there, low, high = (
                getattr(whole, name) if part is None else getattr(whole, name)[part]
                for whole, name in ((mine, moved), (other, moved), (good, rate), (bad, rate))
            )
            more = there - here
            return np.asarray(more * np.where(more > 0, high, low))

        buffers = range(len(good.sizes))
        work = other.cycles - mine.cycles
        for i in buffers:
            work = np.maximum(work, by("buffer_reads", "buffer_read", i) + by("buffer_writes", "buffer_write", i))
        work = np.minimum(work, _at(self.at_bad.work, first) - self.at_good.work)
        activation = by("reads", "read") + by("writes", "write")
        weight = by("stored", "store_read")
        if transfers == "serial":
            more = other.transfers - mine.transfers
            apart = mine.stored > 0
            wait = [np.maximum(rates.latency, np.where(apart, rates.store_latency, 0.0)) for rates in (good, bad)]
            latency = more * np.where(more > 0, wait[1], wait[0]) + work + activation + weight
        else:
            inside = work
            if transfers == "double_buffered":
                inside = work + np.maximum(by("fill", "read"), by("stored_fill", "store_read")) + by("drain", "write")
            inside = np.minimum(inside, _at(self.at_bad.inside, first) - self.at_good.beside)
            beside = np.minimum(np.maximum(activation, weight), _at(self.at_bad.beside, first) - self.at_good.inside)
            latency = np.maximum(inside, beside)
        energy = by("reads", "read_pj") + by("writes", "write_pj") + by("stored", "store_pj") + other.pj - mine.pj
        for i in buffers:
            energy = energy + by("buffer_reads", "buffer_read_pj", i) + by("buffer_writes", "buffer_write_pj", i)
        for i, (low, high) in enumerate(zip(good.mac_pj, bad.mac_pj, strict=True)):
            more = np.where(mine.dtype == i, other.macs - mine.macs, 0.0)
            energy = energy + more * np.where(more > 0, high, low)
        return latency, energy, other.moved - mine.moved


def _at(column: Floats, index: npt.NDArray[np.intp]) -> Floats:
    return column if len(column) == 1 else column[index]
