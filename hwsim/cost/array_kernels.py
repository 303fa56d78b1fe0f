"""What a runtime's kernel table adds to an array's layers: set-up, streaming, and cycles beyond those of the mapping.

An array's mapping says how many cycles its PEs need; measured silicon needs more, for reasons that no published
document gives. Where a profile names a kernel table for its array, that table says how much, as it does for a core:

    cycles = mapping's cycles · cycles_per_array_cycle + Σ coefficient · quantity

Nothing hides what is added. The mapping is chosen without it.
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
    """Cycles that a table adds; arrays that broadcast as [layer, point].

    Attributes:
        cycles: All of them.
        call: The part of it that does not depend on the layer's size.
    """

    cycles: Floats
    call: Floats


def added(layers: Sequence[Row], engine: ArrayEngine, cycles: Floats) -> Added:
    """Return what an array's kernel table adds to its layers.

    Args:
        layers: The layers.
        engine: The array; it has a table.
        cycles: Cycles of their mappings, or of the vector lanes, shape [layer, point].

    Raises:
        CostError: The kernel table has no entry for a layer's kind and dtype.
    """
    table = engine.kernel_table
    # What is addressed in place takes no time at all.
    takes = np.array([not row.view for row in layers])[:, None]
    terms = quantities(layers, table) * coefficients(layers, table) * takes
    pace = np.array(
        [
            table.cost(
                row.dtype, row.kind, where=f"layer {row.layer.name!r}", variant=row.variant
            ).cycles_per_array_cycle
            for row in layers
        ]
    )[:, None]
    return Added(cycles * (pace - 1) + terms.sum(axis=1, keepdims=True), terms[:, -1:])
