"""Operands that are whole in an array's buffer when a layer begins, or stay there when it ends.

They cross no home's port in that layer and need no tile: the array takes the ifmap and filters from where they lie, and
finished elements are left in the buffer instead of being sent home. What they take of the buffer for as long as they
live is not the layer's matter, but that of whoever decides what is kept (``inter_layer``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from hwsim.chip import Dataflow
from hwsim.cost.nest import Nest

INNER = ("n", "g", "k", "p", "q")


@dataclass(frozen=True, slots=True)
class Kept:
    """Which operands of a layer are kept.

    Attributes:
        ifmap: Whether a layer before has left it in the buffer.
        filter: Whether filters and biases were fetched before.
        ofmap: Whether it is left in the buffer for a layer after.
    """

    ifmap: bool = False
    filter: bool = False
    ofmap: bool = False


NOTHING = Kept()


def stay(kept: Kept, nest: Nest, dataflow: Dataflow, part: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of mappings with what is kept taken out of tiles and traffic.

    An array that keeps psums to itself writes finished elements where they stay; another leaves psums in a tile, from
    which they are read, and written again as finished elements.

    Args:
        kept: Which operands are kept.
        nest: The loop nest.
        dataflow: The dataflow of all these mappings.
        part: Columns of ``Candidates`` by name.
    """
    nothing = np.zeros_like(part["cycles"])
    for operand in ("ifmap", "filter"):
        if getattr(kept, operand):
            columns = ("bytes", "tile_bytes", "fill_bytes", "moves")
            part |= {f"{operand}_{column}": nothing for column in columns}
    if kept.ofmap:
        extents = {dim.lower(): extent for dim, extent in nest.extents.items()}
        finished_moves = prod(-(-extents[dim] // part[dim]) for dim in INNER)
        part |= {
            "ofmap_bytes": nothing,
            "kept_ofmap_bytes": np.full_like(nothing, nest.ofmap_bytes),
            "drain_bytes": nothing,
            "ofmap_moves": part["ofmap_moves"] - finished_moves,
        }
        if dataflow.stationary == "ofmap":
            part |= {
                "ofmap_tile_bytes": np.where(part["c"] < nest.c, part["ofmap_tile_bytes"], 0),
                "psum_write_bytes": part["psum_write_bytes"] - nest.ofmap_bytes,
                "ofmap_read_bytes": nothing,
            }
    return part


@dataclass(frozen=True, slots=True)
class Variant:
    """A layer as it runs between others.

    Attributes:
        kept: Which of its operands are kept.
        held_bytes: What kept tensors, its own among them, take of each buffer meanwhile [B]; empty: nothing.
        lane_ops: Operations that the vector lanes do on the ofmap as it leaves, for layers fused to this one.
        home_reads: What these read besides from the activations' home [B].
        buffer_reads: What they read besides from the ofmap's buffer [B].
    """

    kept: Kept = NOTHING
    held_bytes: tuple[int, ...] = ()
    lane_ops: int = 0
    home_reads: int = 0
    buffer_reads: int = 0

    def in_buffers(self, count: int) -> tuple[int, ...]:
        """Return what is held in each of so many buffers."""
        return self.held_bytes or (0,) * count


AS_ALONE = Variant()
