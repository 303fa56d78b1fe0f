"""What a runtime's kernel table says of an array's layers: the pace of its mappings, set-up, and streaming.

An array's mapping says how many cycles its PEs need; measured silicon needs more, for reasons that no published
document gives. Where a profile names a kernel table for its array, that table says how much, as it does for a core:

    cycles = mapping's cycles · cycles_per_array_cycle          within the time of the mapping
           + Σ coefficient · quantity                           on top of it: nothing hides what is added
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine
from hwsim.cost.core import coefficients, quantities
from hwsim.cost.workload import Row

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Added:
    """Cycles that a table adds on top of a mapping, or of the vector lanes; arrays of shape [layer, 1].

    Attributes:
        cycles: All of them.
        call: The part of it that does not depend on the layer's size.
    """

    cycles: Floats
    call: Floats


def pace(row: Row, engine: ArrayEngine) -> float:
    """Return the cycles that a cycle of a layer's mapping takes; 1 where the array has no table.

    Raises:
        CostError: The kernel table has no entry for the layer's kind and dtype.
    """
    if not engine.kernels:
        return 1.0
    where = f"layer {row.layer.name!r}"
    return engine.kernel_table.cost(row.dtype, row.kind, where=where, variant=row.variant).cycles_per_array_cycle


def added(layers: Sequence[Row], engine: ArrayEngine) -> Added:
    """Return what an array's kernel table adds to its layers.

    Args:
        layers: The layers.
        engine: The array; it has a table.

    Raises:
        CostError: The kernel table has no entry for a layer's kind and dtype.
    """
    table = engine.kernel_table
    # What is addressed in place takes no time at all.
    takes = np.array([not row.view for row in layers])[:, None]
    terms = quantities(layers, table) * coefficients(layers, table) * takes
    return Added(terms.sum(axis=1, keepdims=True), terms[:, -1:])
