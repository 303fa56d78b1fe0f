"""Spatial mapping: how many cycles an array takes for a tile, and how often it reads its buffer.

A dataflow unrolls some loop dimensions over the array's rows and some over its columns; several dimensions on one axis
are laid end to end, so a small one leaves room for copies of the next. What is left over is looped over in time, and a
ragged edge costs a whole step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil, prod

import numpy as np
import numpy.typing as npt

from hwsim.chip import Dataflow
from hwsim.cost.nest import DIMS, Nest, packed

Ints = npt.NDArray[np.int64]

# The dimensions each operand's index depends on; along the others one element serves many MACs.
RELEVANT = {"filter": frozenset("GKCRS"), "ifmap": frozenset("NGCPQRS"), "ofmap": frozenset("NGKPQ")}
# The operand whose change makes a systolic array drain and fill again.
RELOADED = {"filter": "filter", "row": "filter", "ifmap": "ifmap", "ofmap": "ofmap"}


def tile_cycles(
    nest: Nest, dataflow: Dataflow, rows: int, cols: int, *, g: Ints, k: Ints, c: Ints, p: Ints, q: Ints
) -> Ints:
    """Return the array cycles of a whole nest cut into tiles, shape [candidate].

    Each tile takes one cycle per step of its loops in time; the loops of a spatial axis advance by its size. A systolic
    array adds rows + columns − 2 cycles whenever its stationary operand changes. Last, partial tiles are costed at
    their own size.

    Args:
        nest: The loop nest.
        dataflow: Which dimensions lie on rows and columns.
        rows: Rows of the array.
        cols: Columns of the array.
        g: Groups in a tile, shape [candidate].
        k: Filters in a tile, likewise.
        c: Channels in a tile.
        p: Ofmap rows in a tile.
        q: Ofmap columns in a tile.
    """
    extents = nest.extents
    tiled = {"G": g, "K": k, "C": c, "P": p, "Q": q}
    whole = {dim: np.full_like(g, extents[dim]) for dim in DIMS}
    total = np.zeros_like(g)
    # A dimension has `full` tiles of its tile size and perhaps one of what remains; tiles of a nest are their product.
    for rest in product((False, True), repeat=len(tiled)):
        count = np.full_like(g, extents["N"])
        inside = dict(whole, N=np.ones_like(g))
        for (dim, tile), partial in zip(tiled.items(), rest, strict=True):
            full, remainder = np.divmod(extents[dim], tile)
            count = count * (np.minimum(remainder, 1) if partial else full)
            inside[dim] = remainder if partial else tile
        if not count.any():
            continue
        total += count * _steps(inside, dataflow, rows, cols)
    return total


def _steps(inside: dict[str, Ints], dataflow: Dataflow, rows: int, cols: int) -> Ints:
    """Return the cycles of one tile of these extents."""
    folds = _folds(inside, dataflow.rows, rows) * _folds(inside, dataflow.cols, cols)
    in_time = [dim for dim in DIMS if dim not in dataflow.rows and dim not in dataflow.cols]
    steps = folds
    for dim in in_time:
        steps = steps * inside[dim]
    if dataflow.systolic:
        reloads = folds
        for dim in in_time:
            if dim in RELEVANT[RELOADED[dataflow.stationary]]:
                reloads = reloads * inside[dim]
        steps = steps + reloads * (rows + cols - 2)
    return steps


def _folds(inside: dict[str, Ints], dims: tuple[str, ...], size: int) -> Ints:
    laid = np.ones_like(inside["N"])
    for dim in dims:
        laid = laid * inside[dim]
    return -(-laid // size)


@dataclass(frozen=True, slots=True)
class BufferTraffic:
    """Bytes between the array and its buffer, for a whole nest.

    Attributes:
        ifmap_bytes: Read.
        filter_bytes: Read.
        ofmap_bytes: Written.
    """

    ifmap_bytes: int
    filter_bytes: int
    ofmap_bytes: int


def buffer_traffic(nest: Nest, dataflow: Dataflow, rows: int, cols: int) -> BufferTraffic:
    """Return how many bytes the array takes from its buffer and gives back.

    One buffer read serves every PE along which the element is shared (a multicast), and every MAC in time for which the
    PE keeps it: for all loops in time that do not index the stationary operand, and for the row dataflow's 1-D
    convolution, in which a PE slides an ifmap row past the rows of the filters it keeps (S MACs per ifmap element and
    filter, Q per weight). Psums stay beside the array; only finished ofmap elements are written.
    """
    extents = nest.extents
    shared_by = {name: _multicast(extents, dataflow, name, rows, cols) for name in ("ifmap", "filter")}
    kept_for = {"ifmap": 1, "filter": 1}
    in_time = [dim for dim in DIMS if dim not in dataflow.rows and dim not in dataflow.cols]
    if dataflow.stationary in kept_for:
        name = dataflow.stationary
        kept_for[name] = prod(extents[dim] for dim in in_time if dim not in RELEVANT[name])
    elif dataflow.stationary == "row":
        kept_for = {
            "ifmap": (extents["S"] if "S" in in_time else 1) * min(dataflow.kept_filters, extents["K"]),
            "filter": extents["Q"] if "Q" in in_time else 1,
        }
    reads = {name: ceil(nest.macs / (shared_by[name] * kept_for[name])) for name in kept_for}
    return BufferTraffic(
        packed(reads["ifmap"], nest.ifmap_bits), packed(reads["filter"], nest.filter_bits), nest.ofmap_bytes
    )


def _multicast(extents: dict[str, int], dataflow: Dataflow, name: str, rows: int, cols: int) -> float:
    """Return the mean number of busy PEs that one buffer read of an operand serves."""
    served = 1.0
    for dims, size in ((dataflow.rows, rows), (dataflow.cols, cols)):
        laid = prod(extents[dim] for dim in dims)
        indexing = prod(extents[dim] for dim in dims if dim in RELEVANT[name])
        busy = laid / ceil(laid / size)
        served *= max(busy / min(indexing, busy), 1.0)
    return served
