"""Counted execution: a mapping run as nested loops over numpy blocks, every element that moves counted as it moves.

The oracle of the mapspace's formulas, beside the path and never on it. It knows which elements a tile needs, what is
held, and fetches what is missing; it knows nothing of trip counts, products or sums. Psums are added up tile by tile,
leave and come back as the mapping says, and end as the ofmap, which must be the convolution's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from hwsim.chip import Dataflow
from hwsim.cost.kept import NOTHING, Kept
from hwsim.cost.nest import DIMS, Axis, Nest
from hwsim.cost.spatial import Unrolling, spad_keeps, unrolling

Ints = npt.NDArray[np.int64]
Block = dict[str, range]

# The order of loops over tiles, outermost first, by what stays and which axis sweeps.
LOOPS = {
    ("filter", "P"): "GKCNQP",
    ("filter", "Q"): "GKCNPQ",
    ("ifmap", "P"): "GNQPCK",
    ("ifmap", "Q"): "GNPQCK",
    ("ofmap", "P"): "GKNQPC",
}
IFMAP_LOOPS, FILTER_LOOPS, OFMAP_LOOPS = "NGCPQ", "GKC", "NGKPQ"


@dataclass
class Counts:
    """Elements counted while a mapping ran.

    Attributes:
        ofmap: The result, shape [N, G, K, P, Q].
        ifmap: Fetched from its home.
        filter: Fetched from its home.
        psum_in: Psums fetched back from the activations' home.
        psum_out: Psums sent there.
        ofmap_out: Finished elements sent there.
        ofmap_left: Finished elements left in the buffer.
        first: Elements of the first ifmap and filter tiles, and of the last ofmap tile.
        largest: Elements of the largest tile of each operand.
        moves: Tiles moved, by operand.
        blocks: Tiles of the ofmap that were finished.
        cycles: Steps of the array.
        reloads: Changes of its stationary operand.
        window_loads: Ifmap elements that a row-stationary array waits for at the begin of its passes.
        array: Elements the array took (ifmap, filter, psum_in) and gave back (psum_out).
    """

    ofmap: npt.NDArray[np.int64]
    ifmap: int = 0
    filter: int = 0
    psum_in: int = 0
    psum_out: int = 0
    ofmap_out: int = 0
    ofmap_left: int = 0
    first: dict[str, int] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("ifmap", "filter", "ofmap"), 0))
    moves: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("ifmap", "filter", "ofmap"), 0))
    blocks: int = 0
    cycles: int = 0
    reloads: int = 0
    window_loads: int = 0
    array: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("ifmap", "filter", "psum_in", "psum_out"), 0))


def execute(
    nest: Nest,
    dataflow: Dataflow,
    rows: int,
    cols: int,
    order: tuple[str, str, str],
    tiles: Mapping[str, int],
    ifmap: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int64],
    anew: bool = False,
    kept: Kept = NOTHING,
    leaves: Callable[[Block], None] | None = None,
) -> Counts:
    """Run a mapping and count.

    Args:
        nest: The loop nest, small: every element is looked at.
        dataflow: How the array works on a tile.
        rows: Rows of the array.
        cols: Columns of the array.
        order: What stays, the sweep, and what is kept whole: one of ``tiling.ORDERS``.
        tiles: Tile size of N, G, K, C, P and Q.
        ifmap: Shape [N, G, C, height, width].
        weights: Shape [G, K, C, R, S].
        anew: Whether each tile of the ofmap fetches its ifmap anew, whatever is held.
        kept: Operands that are whole in the buffer when the layer begins, or stay there.
        leaves: Is told each finished tile of the ofmap as it leaves its buffer, for home or to stay.
    """
    extents = nest.extents
    counts = Counts(np.zeros((nest.n, nest.g, nest.k, nest.rows.positions, nest.cols.positions), np.int64))
    stays, sweep, whole = order
    loops = LOOPS[stays, sweep]
    everything: Block = {dim: range(extents[dim]) for dim in DIMS}
    chunks = {dim: _chunks(extents[dim], tiles[dim]) for dim in loops}
    array = _Array(nest, dataflow, unrolling(nest, dataflow, rows, cols), counts)
    held: dict[str, tuple[tuple[int, ...], set[int]]] = {}
    channels_done: dict[tuple[int, ...], int] = {}
    for at in product(*(range(len(chunks[dim])) for dim in loops)):
        place = dict(zip(loops, at, strict=True))
        block: Block = {dim: chunks[dim][index] for dim, index in place.items()}
        block |= {"R": range(extents["R"]), "S": range(extents["S"])}

        key = (place["G"],) if whole == "ifmap" else tuple(place[dim] for dim in IFMAP_LOOPS)
        key += (place["K"],) if anew else ()
        if not kept.ifmap and held.get("ifmap", ((-1,), set()))[0] != key:
            need = _ifmap_elements(nest, everything | {"G": block["G"]} if whole == "ifmap" else block)
            before, at_hand = held.get("ifmap", ((-1,) * len(key), set()))
            slid = whole != "ifmap" and not anew and _is_next(before, key, IFMAP_LOOPS.index(sweep))
            counts.ifmap += len(need - at_hand if slid else need)
            counts.first.setdefault("ifmap", len(need))
            _moved(counts, "ifmap", len(need))
            held["ifmap"] = key, need

        key = (place["G"],) if whole == "filter" else tuple(place[dim] for dim in FILTER_LOOPS)
        if not kept.filter and held.get("filter", ((-1,), set()))[0] != key:
            elements = _volume(everything | {"G": block["G"]} if whole == "filter" else block, "GKCRS")
            counts.filter += elements
            counts.first.setdefault("filter", elements)
            _moved(counts, "filter", elements)
            held["filter"] = key, set()

        key = tuple(place[dim] for dim in OFMAP_LOOPS)
        elements = _volume(block, OFMAP_LOOPS)
        if held.get("ofmap", ((-1,), set()))[0] != key:
            # The tile that leaves was counted when it came; one that comes back brings its psums along.
            if key in channels_done:
                counts.psum_in += elements
                _moved(counts, "ofmap", elements)
            held["ofmap"] = key, set()
        done = channels_done[key] = channels_done.get(key, 0) + len(block["C"])
        counts.largest["ofmap"] = max(counts.largest["ofmap"], elements)

        array.work(block, ifmap, weights)
        if done == nest.c and leaves is not None:
            leaves(block)
        if done == nest.c and kept.ofmap:
            counts.ofmap_left += elements
        elif done == nest.c:
            counts.ofmap_out += elements
            counts.blocks += 1
            counts.first["ofmap"] = elements
            _moved(counts, "ofmap", elements)
        elif not _stays_for_next(loops, place, chunks):
            counts.psum_out += elements
            _moved(counts, "ofmap", elements)
    return counts


def _chunks(extent: int, tile: int) -> list[range]:
    return [range(start, min(start + tile, extent)) for start in range(0, extent, tile)]


def _is_next(before: tuple[int, ...], now: tuple[int, ...], sweep: int) -> bool:
    """Return whether a tile is the one after another along the sweep."""
    step = [b - a for a, b in zip(before, now, strict=True)]
    return step[sweep] == 1 and sum(map(abs, step)) == 1


def _stays_for_next(loops: str, place: Mapping[str, int], chunks: Mapping[str, Sequence[range]]) -> bool:
    """Return whether the next step of the loops works on the same ofmap tile."""
    for dim in reversed(loops):
        if place[dim] + 1 < len(chunks[dim]):
            # This loop steps on; all inside it wrap around to their first tile.
            inner = loops[loops.index(dim) + 1 :]
            return dim not in OFMAP_LOOPS and all(place[i] == 0 for i in inner if i in OFMAP_LOOPS)
    return False


def _moved(counts: Counts, operand: str, elements: int) -> None:
    counts.moves[operand] += 1
    counts.largest[operand] = max(counts.largest[operand], elements)


def _volume(block: Block, dims: str) -> int:
    return int(np.prod([len(block[dim]) for dim in dims]))


def _inside(axis: Axis, position: int, tap: int) -> int | None:
    index = position * axis.stride + tap * axis.dilation - axis.pad
    return index if 0 <= index < axis.size else None


def _ifmap_elements(nest: Nest, block: Block) -> set[int]:
    """Return the ifmap elements that a block reads, as flat indices."""
    ys = {y for p in block["P"] for r in block["R"] if (y := _inside(nest.rows, p, r)) is not None}
    xs = {x for q in block["Q"] for s in block["S"] if (x := _inside(nest.cols, q, s)) is not None}
    shape = (nest.n, nest.g, nest.c, nest.rows.size, nest.cols.size)
    found = product(block["N"], block["G"], block["C"], ys, xs)
    return {int(np.ravel_multi_index(index, shape)) for index in found}


class _Array:
    """The array working through a tile pass by pass."""

    def __init__(self, nest: Nest, dataflow: Dataflow, laid: Unrolling, counts: Counts) -> None:
        self._nest, self._dataflow, self._laid, self._counts = nest, dataflow, laid, counts
        self._updated: set[tuple[int, ...]] = set()

    def work(self, tile: Block, ifmap: npt.NDArray[np.int64], weights: npt.NDArray[np.int64]) -> None:
        """Do all MACs of a tile."""
        kept: object = None
        since = self._dataflow.least_passes
        for key, pieces in self._passes(tile):
            # A pass of a flat axis may be several boxes; together they are one step of the array.
            self._counts.cycles += self._steps(pieces[0])
            fresh = key != kept
            kept = key
            # The next set of weights is not there before the one before has had its least passes.
            self._counts.cycles += max(self._dataflow.least_passes - since, 0) if fresh else 0
            since = 1 if fresh else since + 1
            self._counts.reloads += fresh
            self._take(pieces, fresh)
            for box in pieces:
                self._add_up(box, ifmap, weights)
        self._counts.cycles += max(self._dataflow.least_passes - since, 0)

    def _take(self, pieces: Sequence[Block], fresh: bool) -> None:
        array, stationary = self._counts.array, self._dataflow.stationary
        nest = self._nest.padded if self._dataflow.padding_read else self._nest
        if stationary == "row":
            ifmap = {element for box in pieces for element in _ifmap_elements(nest, box)}
            array["ifmap"] += len(ifmap)
            begin = {**pieces[0], "N": pieces[0]["N"][:1], "Q": pieces[0]["Q"][:1]}
            self._counts.window_loads += len(_ifmap_elements(nest, begin))
        elif self._dataflow.shifts:
            array["ifmap"] += len({element for box in pieces for element in _ifmap_elements(nest, box)})
        elif stationary != "ifmap" or fresh:
            array["ifmap"] += len({m for box in pieces for m in _meetings(nest, box)})
        if stationary != "filter" or fresh:
            array["filter"] += len({i for box in pieces for i in product(*(box[dim] for dim in "GKCRS"))})
        if stationary != "ofmap" or fresh:
            psums = {i for box in pieces for i in product(*(box[dim] for dim in OFMAP_LOOPS))}
            array["psum_in"] += len(psums & self._updated)
            array["psum_out"] += len(psums)
            self._updated |= psums

    def _add_up(self, box: Block, ifmap: npt.NDArray[np.int64], weights: npt.NDArray[np.int64]) -> None:
        nest = self._nest
        for p, q, r, s in product(box["P"], box["Q"], box["R"], box["S"]):
            y, x = _inside(nest.rows, p, r), _inside(nest.cols, q, s)
            if y is not None and x is not None:
                pixels = ifmap[np.ix_(box["N"], box["G"], box["C"])][..., y, x]
                taps = weights[np.ix_(box["G"], box["K"], box["C"])][..., r, s]
                where = np.ix_(box["N"], box["G"], box["K"], [p], [q])
                self._counts.ofmap[where] += np.einsum("ngc,gkc->ngk", pixels, taps)[..., None, None]

    def _steps(self, box: Block) -> int:
        """Return the cycles of a pass: one, but for what a PE works through by itself."""
        alone = "NQSKC" if self._dataflow.stationary == "row" else "KRS" if self._dataflow.shifts else ""
        return prod(-(-len(box[dim]) // self._laid.factors[dim]) for dim in alone)

    def _passes(self, tile: Block) -> Iterator[tuple[object, list[Block]]]:
        """Yield each pass over a tile as what its stationary operand is, and the boxes of indices it works on."""
        groups = self._axes(tile)
        order = _pass_order(self._dataflow.stationary)
        names = sorted(groups, key=lambda dims: order.index(dims[0]))
        relevant = {"filter": "GKCRS", "row": "GKCRS", "ifmap": "NGCPQRS", "ofmap": "NGKPQ"}[self._dataflow.stationary]
        for choice in product(*(range(len(groups[dims])) for dims in names)):
            key = tuple(at for dims, at in zip(names, choice, strict=True) if dims[0] in relevant)
            boxes = [groups[dims][at] for dims, at in zip(names, choice, strict=True)]
            yield key, [{dim: span for part in parts for dim, span in part.items()} for parts in product(*boxes)]

    def _axes(self, tile: Block) -> dict[tuple[str, ...], list[list[Block]]]:
        """Return, for each dimension or flat axis, its passes, each a list of boxes."""
        dataflow, laid = self._dataflow, self._laid
        groups: dict[tuple[str, ...], list[list[Block]]] = {}
        flat = {dim for axis in laid.flat for dim in axis}
        for axis in laid.flat:
            points = list(product(*(tile[dim] for dim in axis)))
            size = laid.factors[axis[0]]
            groups[axis] = [
                [
                    {dim: range(i, i + 1) for dim, i in zip(axis, point, strict=True)}
                    for point in points[start : start + size]
                ]
                for start in range(0, len(points), size)
            ]
        filters, channels = spad_keeps(self._nest, dataflow)
        at_once = {"K": filters, "R": 2**40, "S": 2**40} if dataflow.shifts else {}
        if dataflow.stationary == "row":
            at_once = {"K": filters, "C": channels, "N": 2**40, "Q": 2**40, "S": 2**40}
        for dim in DIMS:
            if dim not in flat:
                size = laid.factors[dim] * at_once.get(dim, 1)
                spans = tile[dim]
                groups[dim,] = [[{dim: spans[start : start + size]}] for start in range(0, len(spans), size)]
        return groups


def _meetings(nest: Nest, box: Block) -> Iterator[tuple[int, ...]]:
    """Yield the ifmap's meetings with positions and taps in a box; padding meets nothing."""
    for p, q, r, s in product(box["P"], box["Q"], box["R"], box["S"]):
        if _inside(nest.rows, p, r) is not None and _inside(nest.cols, q, s) is not None:
            yield from ((n, g, c, p, q, r, s) for n, g, c in product(box["N"], box["G"], box["C"]))


def _pass_order(stationary: str) -> str:
    """Return the order of loops over passes: those that do not index the stationary operand run innermost."""
    return {"filter": "GKCRSNPQ", "row": "GKPCRSNQ", "ifmap": "GNPQCRSK", "ofmap": "GNPQKCRS"}[stationary]
