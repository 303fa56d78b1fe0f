"""Layers without MACs on an array engine: its vector lanes work through them, operands stream from their home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, HardwarePoints, StageKind
from hwsim.cost.blocks import ANY
from hwsim.cost.residency import Residency
from hwsim.cost.stages import pipelined_cycles
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
    bytes_ = [(0, 0, 0) if row.view else home_bytes(row, engine) for row in layers]
    return np.array(bytes_, dtype=np.int64).T[:, :, None]


def lane_rates(layers: Sequence[Row], engine: ArrayEngine, lanes: Ints) -> Floats:
    """Return the elements per cycle of each layer's kind, shape [layer, point]: as the profile says, or by its lanes.

    Args:
        layers: Layers without MACs.
        engine: The array.
        lanes: Its vector lanes, shape [point].
    """
    said = [engine.stage_per_cycle.get(kind) if (kind := _stage(row)) else None for row in layers]
    return np.array([lanes if rate is None else np.full(len(lanes), rate) for rate in said]).astype(np.float64)


def _behind_pools(layers: Sequence[Row], engine: ArrayEngine, cycles: Floats) -> Floats:
    """Return cycles with what the stage behind adds to layers that leave one pixel, in blocks of channels."""
    one_pixel = [row.kind == "pool" and row.pixels == 1 for row in layers]
    outputs = np.array([row.ofmap_elements for row in layers])[:, None]
    blocks = -(-outputs // engine.block_most.get("K", ANY))
    rate = engine.stage_per_cycle.get("macs", inf)
    both = pipelined_cycles(cycles, outputs, blocks, rate, engine.blocks_in_flight)
    return np.where(np.array(one_pixel)[:, None], both, cycles)


def _stage(row: Row) -> StageKind | None:
    """Return what the stage behind the MACs calls a layer's kind."""
    if row.kind == "pool":
        return "global_pool" if row.pixels == 1 else "pool"
    if row.kind == "elementwise":
        return "multiply" if row.variant == "multiply" else "elementwise"
    return "activation" if row.kind == "activation" else None


def stream_layers(layers: Sequence[Row], engine: ArrayEngine, points: HardwarePoints, residency: Residency) -> Streamed:
    """Cost layers without MACs at every point: operands cross once, lanes do one operation per cycle, both at a time.

    A layer whose operands can be addressed in place (concat, split) takes neither time nor traffic.
    """
    hardware = points.engine(engine.name)
    home, store = residency.activations, residency.weights
    count = (points.count,)
    active = np.array([not row.view for row in layers])[:, None]
    work = np.array([max(row.ops, row.ofmap_elements) for row in layers], dtype=np.float64)[:, None] * active
    lanes = np.broadcast_to(hardware.vector_lanes, count)
    cycles = np.ceil(work / lane_rates(layers, engine, lanes))
    if engine.blocks_in_flight is not None:
        cycles = _behind_pools(layers, engine, cycles)
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
