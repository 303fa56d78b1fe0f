"""Core model: the layers a processor runs with a kernel library, cycles from the library's kernel table.

    cycles = macs·(cycles per MAC) + outputs·(per output) + inputs·(per input) + weight bytes·(per byte) + (per call)

The table's coefficients were measured with the memories in place, so port times only bound the result from below; each
tensor crosses its memory's port once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.chip import CoreEngine, HardwarePoints, KernelTable
from hwsim.cost.residency import Residency
from hwsim.cost.workload import Row

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ran:
    """What layers cost on a core; arrays of shape [layer, point] but for ``cycles``, [layer, 1].

    Attributes:
        cycles: Core cycles.
        compute_s: Core time.
        call_s: The part of it that does not depend on the layer's size.
        activation_s: Busy time of the activations' home.
        weight_s: Busy time of the weights' home, zero where it is the activations'.
        latency_s: The slowest of them.
    """

    cycles: Floats
    compute_s: Floats
    call_s: Floats
    activation_s: Floats
    weight_s: Floats
    latency_s: Floats


def run_layers(
    layers: Sequence[Row], engine: CoreEngine, table: KernelTable, points: HardwarePoints, residency: Residency
) -> Ran:
    """Cost every layer at every point.

    Raises:
        CostError: The kernel table has no entry for a layer's kind and dtype.
    """
    entries = [table.cost(row.dtype, row.kind, where=f"layer {row.layer.name!r}") for row in layers]
    quantities = np.array(
        [(row.macs or row.ops, row.ofmap_elements, row.ifmap_elements, row.filter_bytes, 1) for row in layers],
        np.float64,
    )
    coefficients = np.array(
        [
            (e.cycles_per_mac, e.cycles_per_output, e.cycles_per_input, e.cycles_per_weight_byte, e.cycles_per_call)
            for e in entries
        ]
    )
    terms = quantities * coefficients
    cycles = terms.sum(axis=1)[:, None]
    clock = points.engine(engine.name).clock_hz
    home, store = residency.activations, residency.weights
    ifmap, filter_, ofmap = (
        np.array([getattr(row, name) for row in layers], dtype=np.float64)[:, None]
        for name in ("ifmap_bytes", "filter_bytes", "ofmap_bytes")
    )
    together = home.index == store.index
    filter_s = filter_ * store.read_s_per_byte
    activation_s = ifmap * home.read_s_per_byte + ofmap * home.write_s_per_byte + np.where(together, filter_s, 0.0)
    weight_s = np.where(together, 0.0, filter_s)
    compute_s = np.broadcast_to(cycles / clock, activation_s.shape)
    return Ran(
        cycles=cycles,
        compute_s=compute_s,
        call_s=np.broadcast_to(terms[:, -1:] / clock, activation_s.shape),
        activation_s=activation_s,
        weight_s=weight_s,
        latency_s=np.maximum(compute_s, np.maximum(activation_s, weight_s)),
    )
