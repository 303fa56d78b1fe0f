"""Layers without MACs on an array engine: its vector lanes work through them, operands stream from where they are.

That is their home, or the array's tile buffer for what is kept there between layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, HardwarePoints, StageKind
from hwsim.cost.array_time import OBJECTIVES
from hwsim.cost.blocks import ANY
from hwsim.cost.residency import Residency
from hwsim.cost.stages import pipelined_cycles
from hwsim.cost.workload import Row, home_bytes
from hwsim.units import J_PER_PJ

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pass:
    """What of a layer without MACs is in the buffer [B].

    Attributes:
        read_bytes: Of what it reads, there already.
        written_bytes: Of what it writes, left there.
        held_bytes: What all kept tensors take of the buffer meanwhile.
        fused: Whether the layer is done as the ofmap of the one before leaves, and takes nothing for itself.
    """

    read_bytes: int = 0
    written_bytes: int = 0
    held_bytes: int = 0
    fused: bool = False


@dataclass(frozen=True, slots=True)
class Streamed:
    """What streamed layers cost, arrays of shape [layer, point].

    Attributes:
        cycles: Of the vector lanes.
        compute_s: The lanes' time.
        buffer_s: Busy time of the tile buffer's port.
        activation_s: Busy time of the activations' home.
        weight_s: Busy time of the weights' home, zero where it is the activations'.
        latency_s: The slowest of them.
        values: Every objective, in the order of ``OBJECTIVES`` and in units of a point's own (cycles, pJ, bytes);
            infinite where what is held does not fit, [objective, layer, point].
        home_bytes: Of ifmap, filter and ofmap, what crosses to and from home, [operand, layer, point].
        buffer_bytes: Read from the buffer and written to it, [direction, layer, point].
        held_bytes: What kept tensors take of the buffer.
    """

    cycles: Floats
    compute_s: Floats
    buffer_s: Floats
    activation_s: Floats
    weight_s: Floats
    latency_s: Floats
    values: Floats
    home_bytes: Ints
    buffer_bytes: Ints
    held_bytes: Ints

    def pick(self, which: npt.NDArray[np.intp]) -> Streamed:
        """Return other rows of the same columns: at [layer, point] that of index ``which[layer, point]``."""
        columns = (getattr(self, field.name) for field in fields(self))
        return Streamed(
            *(
                np.take_along_axis(column, np.broadcast_to(which, (*column.shape[:-2], *which.shape)), axis=-2)
                for column in columns
            )
        )


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


def stream_layers(
    layers: Sequence[Row],
    engine: ArrayEngine,
    points: HardwarePoints,
    residency: Residency,
    passes: Sequence[Pass] | None = None,
    buffer: str | None = None,
) -> Streamed:
    """Cost layers without MACs at every point: operands cross once, lanes do one operation per cycle, both at a time.

    A layer whose operands can be addressed in place (concat, split) takes neither time nor traffic.

    Args:
        layers: Rows without a nest.
        engine: The array.
        points: Hardware points.
        residency: Homes of weights and activations.
        passes: What of each layer is in the buffer; default: nothing.
        buffer: The buffer that it is in.
    """
    hardware = points.engine(engine.name)
    home, store = residency.activations, residency.weights
    shape = (len(layers), points.count)
    beside = [Pass()] * len(layers) if passes is None else passes
    at_rest = [row.view or there.fused for row, there in zip(layers, beside, strict=True)]
    active = ~np.array(at_rest)[:, None]
    work = np.array([max(row.ops, row.ofmap_elements) for row in layers], dtype=np.float64)[:, None] * active
    lanes = np.broadcast_to(hardware.vector_lanes, shape[1:])
    cycles = np.ceil(work / lane_rates(layers, engine, lanes))
    if engine.blocks_in_flight is not None:
        cycles = _behind_pools(layers, engine, cycles) * active
    crossing = [
        (0, 0, 0) if rests else home_bytes(row, engine, (there.read_bytes, 0, there.written_bytes))
        for row, there, rests in zip(layers, beside, at_rest, strict=True)
    ]
    ifmap, filter_, ofmap = at_home = np.array(crossing, dtype=np.int64).T[:, :, None]
    moved = [
        (0, 0) if rests else (there.read_bytes, there.written_bytes)
        for there, rests in zip(beside, at_rest, strict=True)
    ]
    read, written = in_buffer = np.array(moved, dtype=np.int64).T[:, :, None]
    held = np.array([there.held_bytes for there in beside], dtype=np.int64)[:, None]
    together = home.index == store.index
    filter_s = filter_ * store.read_s_per_byte
    activation_s = ifmap * home.read_s_per_byte + ofmap * home.write_s_per_byte + np.where(together, filter_s, 0.0)
    weight_s = np.where(together, 0.0, filter_s)
    compute_s = cycles / hardware.clock_hz
    picojoules = ifmap * home.read_pj_per_byte + ofmap * home.write_pj_per_byte + filter_ * store.read_pj_per_byte
    buffer_s: Floats = np.zeros(shape)
    fits = np.ones(shape, dtype=bool)
    if buffer is not None:
        port = points.memory(buffer)
        buffer_s = buffer_s + read / port.read_bytes_per_s + written / port.write_bytes_per_s
        picojoules = picojoules + read * port.read_pj_per_byte + written * port.write_pj_per_byte
        fits = fits & (held <= port.size_bytes)
    latency_s = np.maximum.reduce([compute_s, activation_s, weight_s, buffer_s])
    picojoules = picojoules + points.static_w * latency_s / J_PER_PJ
    waited = latency_s * hardware.clock_hz
    values = dict(
        zip(OBJECTIVES, (waited, picojoules, waited * picojoules, (ifmap + filter_ + ofmap).astype(float)), strict=True)
    )
    return Streamed(
        cycles=cycles,
        compute_s=compute_s,
        buffer_s=buffer_s,
        activation_s=activation_s,
        weight_s=weight_s,
        latency_s=latency_s,
        values=np.stack([np.where(fits, values[name], np.inf) for name in OBJECTIVES]),
        home_bytes=np.broadcast_to(at_home, (3, *shape)),
        buffer_bytes=np.broadcast_to(in_buffer, (2, *shape)),
        held_bytes=np.broadcast_to(held, shape),
    )
