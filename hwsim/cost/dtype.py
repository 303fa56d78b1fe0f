"""At which dtype a net is costed when nobody says."""

from __future__ import annotations

from typing import cast

from hwsim.chip import ArrayEngine, Chip
from hwsim.graph import DType, Graph


def net_dtype(graph: Graph) -> DType:
    """Return the dtype of a net's input."""
    return graph.tensors[graph.inputs[0]].dtype if graph.inputs else "float32"


def natural_dtype(graph: Graph, chip: Chip) -> DType | None:
    """Return the dtype to cost a net at on a chip when none is asked for; None for the net's own.

    A net with weights is what it is. One without (a builder's) is only called float32, and is costed at what the chip's
    first engine is made for if that cannot do float32: at the dtype of most MACs per cycle.
    """
    engine = chip.engines[0]
    if not isinstance(engine, ArrayEngine) or any(tensor.data is not None for tensor in graph.constants):
        return None
    rates = engine.macs_per_pe
    if net_dtype(graph) in rates:
        return None
    return cast("DType", max(rates, key=lambda dtype: rates[dtype]))
