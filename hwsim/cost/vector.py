"""Layers without MACs on an array engine: its vector lanes work through them, operands stream from their home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, HardwarePoints
from hwsim.cost.residency import Residency
from hwsim.cost.workload import Row, home_bytes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Streamed:
    """What streamed layers cost, arrays of shape [layer, point]: vector time, port times, and the slowest of them."""

    cycles: Floats
    compute_s: Floats
    activation_s: Floats
    weight_s: Floats
    latency_s: Floats


def streamed_bytes(layers: Sequence[Row], engine: ArrayEngine) -> Ints:
    """Return the bytes of ifmap, filter and ofmap that cross, shape [operand, layer, 1]; none in place."""
    bytes_ = [(0, 0, 0) if row.view else home_bytes(row, engine.sparsity) for row in layers]
    return np.array(bytes_, dtype=np.int64).T[:, :, None]


def stream_layers(layers: Sequence[Row], engine: ArrayEngine, points: HardwarePoints, residency: Residency) -> Streamed:
    """Cost layers without MACs at every point: operands cross once, lanes do one operation per cycle, both at a time.

    A layer whose operands can be addressed in place (concat, split) takes neither time nor traffic.
    """
    hardware = points.engine(engine.name)
    home, store = residency.activations, residency.weights
    count = (points.count,)
    active = np.array([not row.view for row in layers])[:, None]
    work = np.array([max(row.ops, row.ofmap_elements) for row in layers], dtype=np.float64)[:, None] * active
    cycles = np.broadcast_to(np.ceil(work / hardware.vector_lanes), (len(layers), *count))
    ifmap, filter_, ofmap = streamed_bytes(layers, engine)
    together = home.index == store.index
    filter_s = filter_ * store.read_s_per_byte
    activation_s = ifmap * home.read_s_per_byte + ofmap * home.write_s_per_byte + np.where(together, filter_s, 0.0)
    weight_s = np.where(together, 0.0, filter_s)
    compute_s = cycles / hardware.clock_hz
    return Streamed(
        cycles=cycles,
        compute_s=compute_s,
        activation_s=activation_s,
        weight_s=weight_s,
        latency_s=np.maximum(compute_s, np.maximum(activation_s, weight_s)),
    )
