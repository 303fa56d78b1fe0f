"""The choice of mappings at many points: boxes of points are halved until one candidate of each layer is left in each.

All boxes of a depth are looked at together, as one list of pairs of a box and a candidate. A pair is struck out when
some other candidate of the layer is surely chosen before it everywhere in the box: because its upper bound is below
the pair's lower one, or because it is nowhere behind in what the objectives read. What is left of a box whose points
do not differ is compared directly. So points that agree in what a choice reads cost as much as one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip import Transfers
from hwsim.cost.array_time import OBJECTIVES, ROUNDING, Moves, Rates, objective_of, times_of
from hwsim.cost.differences import TIE, Bools, Bounds, absorbed

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# Pairs that are looked at together; more are taken in turns.
PAIRS = 200_000
# Of these rates no time is made: in boxes they matter only where times agree, and are halved last.
ENERGY_RATES = ("read_pj", "write_pj", "store_pj", "static_pj", "mac_pj", "buffer_read_pj", "buffer_write_pj")
LATER = 0.01


def choose(moves: Moves, owner: Index, rates: Rates, transfers: Transfers, objective: str) -> npt.NDArray[np.int32]:
    """Return the index of the best candidate of each layer at each point, shape [layer, point].

    Ties are broken by the other objectives in their order, then by the order of candidates. Where no candidate fits,
    it is that of the smallest footprint.

    Args:
        moves: What candidates move, layer by layer, shape [candidate].
        owner: The layer of each, ascending.
        rates: Of the points.
        transfers: How transfers and computing share the time.
        objective: One of ``OBJECTIVES``.
    """
    count = rates.read.shape[-1]
    search = _Search(*absorbed(moves, rates), owner, transfers, objective, count)
    waiting = [search.everything(moves, count)]
    while waiting:
        waiting += search.halved(waiting.pop())
    return search.chosen


@dataclass(frozen=True, slots=True)
class _Batch:
    """Boxes of points and the candidates left in each.

    Attributes:
        points: Indices of points, box by box.
        starts: Where each box starts among them.
        box: Of each pair its box, ascending.
        candidate: Of each pair its candidate, ascending within a box.
    """

    points: Index
    starts: Index
    box: Index
    candidate: Index

    @property
    def sizes(self) -> Index:
        """Points of each box."""
        return np.diff(self.starts, append=len(self.points))


class _Search:
    """What does not change while boxes are halved, and the choices made so far."""

    def __init__(
        self, moves: Moves, rates: Rates, owner: Index, transfers: Transfers, objective: str, count: int
    ) -> None:
        self._moves, self._rates, self._owner, self._transfers = moves, rates, owner, transfers
        self._order = (objective, *(name for name in OBJECTIVES if name != objective))
        self._layers = int(owner[-1]) + 1
        self.chosen = np.zeros((self._layers, count), dtype=np.int32)
        # The rates in which points differ: name, row or −1 for a plain column, values.
        self._columns: list[tuple[str, int, Floats]] = []
        for name in Rates.__slots__:
            column = getattr(rates, name)
            if name != "cycle_s" and column.shape[-1] > 1:
                rows = [(-1, column)] if column.ndim == 1 else list(enumerate(column))
                self._columns += [(name, row, values) for row, values in rows]
        self._weights = np.array([LATER if name in ENERGY_RATES else 1.0 for name, *_ in self._columns])

    def everything(self, moves: Moves, count: int) -> _Batch:
        """Return one box of all points with all candidates."""
        held = np.broadcast_to(moves.tiles.sum(axis=0), self._owner.shape)
        starts = np.searchsorted(self._owner, np.arange(self._layers))
        least = np.minimum.reduceat(held, starts)[self._owner]
        self._smallest = self._first(held <= least, self._owner, self._layers)
        candidates = np.arange(len(self._owner))
        return _Batch(np.arange(count), np.zeros(1, dtype=np.intp), np.zeros_like(candidates), candidates)

    def halved(self, batch: _Batch) -> list[_Batch]:
        """Choose what is decided in boxes; return the others in halves, with the pairs left there."""
        low, high = self._corners(batch)
        alike: Bools = np.all(high - low <= ROUNDING * high, axis=0)
        pair_alike = alike[batch.box]
        self._compare(batch, low, pair_alike)
        rest = _pairs(batch, ~pair_alike)
        left = self._struck(rest, low, high)
        spread = (high - low) / np.maximum(high + low, np.finfo(float).tiny) * self._weights[:, None]
        return self._split(left, low, high, spread) if len(left.box) else []

    def _corners(self, batch: _Batch) -> tuple[Floats, Floats]:
        """Return the least and the greatest of each varying rate in each box, shape [column, box]."""
        shape = (len(self._columns), len(batch.starts))
        low, high = np.empty(shape), np.empty(shape)
        for i, (*_, values) in enumerate(self._columns):
            inside = values[batch.points]
            low[i] = np.minimum.reduceat(inside, batch.starts)
            high[i] = np.maximum.reduceat(inside, batch.starts)
        return low, high

    def _rates_of(self, low: Floats, high: Floats, box: Index, *, bad: bool) -> Rates:
        """Return the rates at a corner of the box of each pair."""
        found = {name: getattr(self._rates, name) for name in Rates.__slots__}
        for i, (name, row, _) in enumerate(self._columns):
            worst = low if name == "sizes" else high
            best = high if name == "sizes" else low
            values = (worst if bad else best)[i][box]
            if row < 0:
                found[name] = values
            else:
                if row == 0:
                    found[name] = np.empty((len(found[name]), len(box)))
                found[name][row] = values
        return Rates(**found)

    def _compare(self, batch: _Batch, at: Floats, alike: Bools) -> None:
        """Choose among the pairs of boxes whose points do not differ."""
        box, candidate = batch.box[alike], batch.candidate[alike]
        if not len(box):
            return
        moves, rates = self._moves.take(candidate), self._rates_of(at, at, box, bad=False)
        cell, cells = self._cells(box, candidate)
        latency = np.broadcast_to(times_of(moves, rates, self._transfers).latency, box.shape)
        open_ = np.ones(len(box), dtype=bool)
        starts = np.searchsorted(cell, np.arange(cells))
        for name in self._order:
            values = np.where(open_, objective_of(name, moves, rates, latency), np.inf)
            best = np.minimum.reduceat(values, starts)[cell]
            open_ &= (values <= best * (1 + TIE)) & np.isfinite(values)
        first = self._first(open_, cell, cells)
        chosen = np.where(first < len(box), candidate[np.minimum(first, len(box) - 1)], -1)
        self._enter(batch, box[starts], self._owner[candidate[starts]], chosen)

    def _struck(self, batch: _Batch, low: Floats, high: Floats) -> _Batch:
        """Strike out pairs that cannot win, enter what is decided, and return the pairs of the rest."""
        if not len(batch.box):
            return batch
        box, candidate = batch.box, batch.candidate
        good, bad = (self._rates_of(low, high, box, bad=worst) for worst in (False, True))
        bounds = Bounds.of(self._moves.take(candidate), good, bad, self._transfers)
        cell, cells = self._cells(box, candidate)
        starts = np.searchsorted(cell, np.arange(cells))
        main = self._order[0]
        lower, upper = (np.broadcast_to(found(main), box.shape) for found in (bounds.low, bounds.high))
        least = np.minimum.reduceat(upper, starts)[cell]
        # Pairs that fit nowhere in the box are out, unless nothing else is there.
        kept = (lower <= least * (1 + TIE)) & np.isfinite(lower)
        nearly = kept & (upper <= least * (1 + TIE))
        seconds = np.broadcast_to(bounds.high(self._order[1]), box.shape)
        second = np.minimum.reduceat(np.where(nearly, seconds, np.inf), starts)[cell]
        first = self._first(nearly & (seconds <= second * (1 + TIE)), cell, cells)[cell]
        known = first < len(box)
        first = np.where(known, first, 0)
        fits = known & np.isfinite(upper[first])
        kept &= ~(fits & self._beaten(bounds, first))
        # What is left alone, and fits wherever it stands, is chosen; so is the smallest where nothing fits.
        left = np.add.reduceat(kept.astype(np.intp), starts)
        only = self._first(kept, cell, cells)
        sure = np.isfinite(upper[np.minimum(only, len(box) - 1)])
        owner = self._owner[candidate[starts]]
        sure |= candidate[np.minimum(only, len(box) - 1)] == self._candidate_of_smallest(owner)
        decided = (left == 0) | ((left == 1) & sure)
        chosen = np.where(left == 0, -1, candidate[np.minimum(only, len(box) - 1)])
        self._enter(batch, box[starts][decided], owner[decided], chosen[decided])
        return _pairs(batch, kept & ~decided[cell])

    def _beaten(self, bounds: Bounds, first: Index) -> Bools:
        """Return which pairs another of their cell is chosen before, everywhere in the box."""
        latency, energy, traffic = bounds.behind(self._transfers, first)
        static = np.where(latency > 0, bounds.bad.static_pj, bounds.good.static_pj)
        energy = energy + static * latency
        names = ("latency", "energy", "traffic")
        behind = dict(zip(names, (latency, energy, traffic), strict=True))
        ahead: dict[str, Any] = {}
        for name in names:
            high = np.broadcast_to(bounds.high(name), first.shape)[first]
            ahead[name] = behind[name] < -2 * TIE * high
        behind["edp"] = np.maximum(latency, energy)
        ahead["edp"] = ahead["latency"] | ahead["energy"]
        itself = first == np.arange(len(first))
        beaten = first < np.arange(len(first))
        for name in reversed(self._order):
            beaten = (ahead[name] & (behind[name] <= 0)) | ((behind[name] <= 0) & beaten)
        return np.asarray(beaten & ~itself)

    def _cells(self, box: Index, candidate: Index) -> tuple[Index, int]:
        """Return of each pair the number of its box and layer among those there are, and their count."""
        key = box * self._layers + self._owner[candidate]
        cell = np.cumsum(np.diff(key, prepend=key[:1]) != 0)
        return cell, int(cell[-1]) + 1

    @staticmethod
    def _first(of: Bools, cell: Index, cells: int) -> Index:
        """Return the first pair of each cell that is one of some, or the number of pairs where none is."""
        found = np.full(cells, len(of), dtype=np.intp)
        at = np.flatnonzero(of)[::-1]
        found[cell[at]] = at
        return found

    def _candidate_of_smallest(self, layer: Index) -> Index:
        return self._smallest[layer]

    def _enter(self, batch: _Batch, box: Index, layer: Index, candidate: Index) -> None:
        """Enter choices of boxes; −1 for the candidate of the smallest footprint."""
        candidate = np.where(candidate < 0, self._smallest[layer], candidate)
        sizes = batch.sizes[box]
        at = np.repeat(batch.starts[box] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        self.chosen[np.repeat(layer, sizes), batch.points[at]] = np.repeat(candidate, sizes)

    def _split(self, left: _Batch, low: Floats, high: Floats, spread: Floats) -> list[_Batch]:
        """Return the boxes that have pairs left, each in two, in batches that are not too large."""
        boxes, box = np.unique(left.box, return_inverse=True)
        axis = spread[:, boxes].argmax(axis=0)
        least, greatest = low[axis, boxes], high[axis, boxes]
        middle = np.where(least > 0, np.sqrt(least * greatest), (least + greatest) / 2)
        middle = np.where((least <= middle) & (middle < greatest), middle, least)
        sizes = left.sizes[boxes]
        before = np.cumsum(sizes) - sizes
        of = np.repeat(np.arange(len(boxes)), sizes)
        points = left.points[np.repeat(left.starts[boxes] - before, sizes) + np.arange(len(of))]
        values = np.empty(len(points))
        for i in np.unique(axis):
            here = axis[of] == i
            values[here] = self._columns[i][2][points[here]]
        upper = values > middle[of]
        half = 2 * of + upper
        order = np.argsort(half, kind="stable")
        counts = np.bincount(half, minlength=2 * len(boxes))
        starts = np.cumsum(counts) - counts
        pairs = np.bincount(box, minlength=len(boxes))
        twice = np.repeat(pairs, 2)
        first = np.repeat(np.cumsum(pairs) - pairs, 2)
        at = np.repeat(first - (np.cumsum(twice) - twice), twice) + np.arange(twice.sum())
        whole = _Batch(points[order], starts, np.repeat(np.arange(len(twice)), twice), left.candidate[at])
        return _in_turns(whole, twice)


def _pairs(batch: _Batch, kept: Bools) -> _Batch:
    return _Batch(batch.points, batch.starts, batch.box[kept], batch.candidate[kept])


def _in_turns(batch: _Batch, pairs: Index) -> list[_Batch]:
    """Return a batch in parts of so many pairs that they may be looked at together."""
    ends = np.cumsum(pairs)
    part = (ends - 1) // PAIRS
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(pairs)]
    if len(cuts) == 2:
        return [batch]
    found = []
    stops = np.append(batch.starts, len(batch.points))
    begins = ends - pairs
    for begin, end in pairwise(cuts):
        some = slice(int(begins[begin]), int(ends[end - 1]))
        points = batch.points[stops[begin] : stops[end]]
        starts = batch.starts[begin:end] - stops[begin]
        found.append(_Batch(points, starts, batch.box[some] - begin, batch.candidate[some]))
    return found
