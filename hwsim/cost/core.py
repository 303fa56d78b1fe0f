"""Core model: the layers a processor runs with a kernel library, cycles from the library's kernel table.

    cycles = Σ coefficient · quantity                       the table's terms, operands in memory without wait states
    stall  = weights · (first read + re-reads · missed) + activations      what the memories make the core wait

Every quantity of the sum is a count of the layer's loops; what a memory makes a core wait, and the cache between them,
stand in the chip's profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.chip import CoreEngine, HardwarePoints, KernelTable
from hwsim.cost.nest import Nest
from hwsim.cost.residency import Home, Residency
from hwsim.cost.workload import Row

Floats = npt.NDArray[np.float64]

# One coefficient of ``KernelCost`` each, in this order.
TERMS = (
    "cycles_per_mac",
    "cycles_per_output",
    "cycles_per_input",
    "cycles_per_pixel",
    "cycles_per_column",
    "cycles_per_ragged_mac",
    "cycles_per_thin_output",
    "cycles_per_weight_byte",
    "cycles_per_call",
)
# Bytes of both operands that a kernel reads per MAC and weight reuse: it widens ifmap elements to 16 bits first.
OPERAND_BYTES = 2.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What layers cost on a core; arrays of shape [layer, point].

    Attributes:
        cycles: Core cycles, waiting included.
        compute_s: Core time without waiting.
        call_s: The part of it that does not depend on the layer's size.
        activation_s: What the activations' home takes: the time its port is busy, or the core waits for it.
        weight_s: The same of the weights' home, zero where it is the activations'.
        latency_s: Computing and waiting, and never less than a port is busy.
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
    terms = quantities(layers, table) * coefficients(layers, table)
    hardware = points.engine(engine.name)
    shared = 1.0 if table.parallel_efficiency is None else 1 + (hardware.cores - 1) * table.parallel_efficiency
    call = terms[:, -1:]
    work = terms[:, :-1].sum(axis=1)[:, None] / shared + call
    wait_weight_s, wait_activation_s = waiting(layers, engine, table, points, residency)
    shape = np.broadcast_shapes(work.shape, wait_weight_s.shape, wait_activation_s.shape)
    compute_s = np.broadcast_to(work / hardware.clock_hz, shape)
    weight_port_s, activation_port_s = port_times(layers, residency)
    together = residency.activations.index == residency.weights.index
    wait_s = wait_weight_s + wait_activation_s
    core_s = compute_s + wait_s
    waited_s = wait_activation_s + np.where(together, wait_weight_s, 0.0)
    return Ran(
        cycles=np.broadcast_to(work + wait_s * hardware.clock_hz, shape),
        compute_s=compute_s,
        call_s=np.broadcast_to(call / hardware.clock_hz, shape),
        activation_s=np.maximum(activation_port_s, waited_s),
        weight_s=np.where(together, 0.0, np.maximum(weight_port_s, wait_weight_s)),
        latency_s=np.maximum(core_s, np.maximum(activation_port_s, weight_port_s)),
    )


def port_times(layers: Sequence[Row], residency: Residency) -> tuple[Floats, Floats]:
    """Return how long the ports of the weights' and the activations' homes are busy.

    Both have shape [layer, point]. Where they are one memory, its whole time stands with the activations.
    """
    home, store = residency.activations, residency.weights
    ifmap, filter_, ofmap = (_column(layers, name) for name in ("ifmap_bytes", "filter_bytes", "ofmap_bytes"))
    weight_s = filter_ * store.read_s_per_byte
    activation_s = ifmap * home.read_s_per_byte + ofmap * home.write_s_per_byte
    together = home.index == store.index
    return np.where(together, 0.0, weight_s), activation_s + np.where(together, weight_s, 0.0)


def quantities(layers: Sequence[Row], table: KernelTable) -> Floats:
    """Return how often each layer does what each term counts, shape [layer, term]; the last is the call itself."""
    return np.array([_quantities(row, table) for row in layers], dtype=np.float64).reshape(-1, len(TERMS))


def coefficients(layers: Sequence[Row], table: KernelTable) -> Floats:
    """Return the table's cycles per quantity, shape [layer, term].

    Raises:
        CostError: The kernel table has no entry for a layer's kind and dtype.
    """
    entries = [
        table.cost(row.dtype, row.kind, where=f"layer {row.layer.name!r}", variant=row.variant) for row in layers
    ]
    return np.array([[getattr(entry, term) for term in TERMS] for entry in entries]).reshape(-1, len(TERMS))


def _quantities(row: Row, table: KernelTable) -> tuple[float, ...]:
    nest = row.nest
    if nest is None:
        return (row.ops, row.ofmap_elements, row.ifmap_elements, 0, 0, 0, 0, row.filter_bytes, 1)
    if row.kind == "depthwise":
        return (row.macs, row.ofmap_elements, row.ifmap_elements, _pixels(nest), 0, 0, 0, row.filter_bytes, 1)
    inner = _filled(nest.c * nest.rows.taps * nest.cols.taps, table.inner_lanes)
    columns = _pixels(nest) * nest.g * inner
    macs = columns * _filled(nest.k, table.filter_lanes)
    windowed = nest.rows.taps * nest.cols.taps > 1
    thin = nest.rows.taps > 1 and nest.cols.taps == 1
    return (
        macs,
        row.ofmap_elements,
        row.ifmap_elements,
        _pixels(nest),
        columns,
        macs if windowed and nest.c % table.inner_lanes else 0,
        row.ofmap_elements if thin else 0,
        row.filter_bytes,
        1,
    )


def _pixels(nest: Nest) -> int:
    return nest.n * nest.rows.positions * nest.cols.positions


def _filled(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes


def waiting(
    layers: Sequence[Row], engine: CoreEngine, table: KernelTable, points: HardwarePoints, residency: Residency
) -> tuple[Floats, Floats]:
    """Return how long the core waits for weights and for activations.

    Both have shape [layer, point].

    Weights are read once per ``weight_reuse`` ofmap positions. A cache keeps those that fit beside the rows of ifmap a
    window spans; of a larger set it has lost the share ``missed``. Activations behind a cache cross once per tensor;
    without one every operand waits. Where they live outside, a runtime that splits the arena keeps on the chip what
    fits there.
    """
    store, home = residency.weights, residency.activations
    passes = np.array([_passes(row, table) for row in layers], dtype=np.float64)[:, None]
    weights = np.array([0.0 if row.activation_filter else row.filter_bytes for row in layers])[:, None]
    window = np.array([_window_bytes(row) for row in layers], dtype=np.float64)[:, None]
    kept = weights + np.where(home.cache_bytes > 0, window, 0.0)
    missed_ = np.where(store.cache_bytes > 0, missed(kept / np.maximum(store.cache_bytes, 1.0)), 1.0)
    weight_s = weights * (store.stall_s_per_byte + np.maximum(passes - 1, 0) * missed_ * store.reread_s_per_byte)
    moved = _column(layers, "ifmap_bytes") + _column(layers, "ofmap_bytes")
    splits = engine.memory_facts is not None and engine.memory_facts.splits_arena
    on_chip = _largest_on_chip(points, home) if splits else home
    outside = np.where(home.index == on_chip.index, 0.0, np.maximum(moved - on_chip.size_bytes, 0.0))
    cached_s = (moved - outside) * on_chip.stall_s_per_byte + outside * home.stall_s_per_byte
    macs = _column(layers, "macs")
    operands = np.where(macs > 0, macs * (OPERAND_BYTES / table.weight_reuse), moved)
    activation_s = np.where(home.cache_bytes > 0, cached_s, operands * home.stall_s_per_byte)
    factor = np.array([table.stalls(row.dtype) for row in layers])[:, None]
    return factor * weight_s, factor * activation_s


def missed(load: Floats) -> Floats:
    """Return the share of a set of lines, swept again and again, that a cache has lost: 0 where the set fits.

    With random replacement a line survives the m·load·lines misses of a sweep with probability exp(−m·load), where m
    is that very share: m = 1 − exp(−m·load).

    Args:
        load: Size of the set over size of the cache.
    """
    return np.asarray(np.interp(load, _LOAD, _MISSED))


_MISSED = np.concatenate([[0.0], np.linspace(0.001, 0.9999, 2000)])
_LOAD = np.concatenate([[1.0], -np.log1p(-_MISSED[1:]) / _MISSED[1:]])


def _largest_on_chip(points: HardwarePoints, home: Home) -> Home:
    """Return the largest on-chip memory that may hold activations, or the home itself where that is not outside."""
    chip = points.chip
    inside = [
        (i, memory)
        for i, memory in enumerate(chip.memories)
        if "activations" in memory.holds and chip.memory_kind(memory) != "dram"
    ]
    outside = [i for i, memory in enumerate(chip.memories) if chip.memory_kind(memory) == "dram"]
    index = home.index
    if inside and outside:
        largest = max(inside, key=lambda item: item[1].size_bytes)[0]
        index = np.where(np.isin(home.index, outside), largest, home.index)
    return Home(points, index, home.fits)


def _passes(row: Row, table: KernelTable) -> float:
    """Return how often a layer's weights are read; the few of a depthwise layer stay at hand."""
    if row.nest is None or row.kind == "depthwise":
        return 1.0
    return float(np.ceil(_pixels(row.nest) / table.weight_reuse))


def _window_bytes(row: Row) -> float:
    """Return the bytes of the ifmap rows that a window spans."""
    nest = row.nest
    if nest is None or row.kind == "depthwise":
        return 0.0
    rows = min(nest.rows.taps, nest.rows.size)
    return row.ifmap_bytes * rows / nest.rows.size


def _column(rows: Sequence[Row], name: str) -> Floats:
    return np.array([getattr(row, name) for row in rows], dtype=np.float64)[:, None]
