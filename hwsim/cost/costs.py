"""The cost record: everything known of a workload on hardware points, as arrays over [layer, point]."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, Chip, HardwarePoints
from hwsim.cost.arena import Arena
from hwsim.cost.array import Mapped
from hwsim.cost.residency import Residency
from hwsim.cost.workload import Workload

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DIRECTIONS = ("read", "write")
TENSOR_KINDS = ("filter", "ifmap", "ofmap", "psum")
READ, WRITE = range(len(DIRECTIONS))
FILTER, IFMAP, OFMAP, PSUM = range(len(TENSOR_KINDS))


def energy_components(chip: Chip) -> tuple[str, ...]:
    """Return the names of the energy shares."""
    return ("mac", *(memory.name for memory in chip.memories), "core", "static")


def capacity_bytes(points: HardwarePoints) -> Ints:
    """Return the usable bytes of each memory, [M, P]."""
    sizes = [points.memory(memory.name).size_bytes for memory in points.chip.memories]
    return np.stack([np.broadcast_to(size, (points.count,)) for size in sizes]).astype(np.int64)


@dataclass(frozen=True)
class Costs:
    """Costs of a net's layers at hardware points; L layers, P points, M memories of the chip.

    A layer that cannot be mapped at a point has nan times there; a point whose memories cannot hold the net is not
    ``fits``. Layer sums over such a point are nan, too: ``feasible`` says which points have meaning.

    Attributes:
        workload: The lowered net.
        points: The hardware points.
        objective: What mappings were chosen for.
        engine: Index of each layer's engine among the chip's, −1 where none is needed, shape [L].
        arena: The activation plan.
        residency: Homes of activations and weights.
        cycles: Engine cycles, [L, P].
        compute_s: Engine time, [L, P].
        memory_s: Busy time of each memory's port, [M, L, P].
        overhead_s: Fill and drain, or per-call time, [L, P].
        latency_s: Time of the layer, [L, P].
        bound: Index into ``bounds`` of what limits the layer, [L, P].
        macs_done: MACs that take their cycle: zeros skipped and what Winograd saves left out, [L, P].
        utilization: MACs done / (peak MACs per cycle × cycles), nan without MACs, [L, P].
        traffic_bytes: Bytes across each memory's port, [M, direction, tensor kind, L, P].
        energy_j: Energy by component (``components``), [component, L, P].
        need_bytes: Bytes each memory has to hold: arena, weights, largest tiles and what is kept beside them, [M, P].
        tile_bytes: The part of it that tiles and what is kept beside them take at most, [M, P].
        runtime_bytes: RAM that kernel libraries take of it for themselves, [M, P].
        code_bytes: Their code, [M, P].
        image_bytes: Weights that are kept in flash and copied elsewhere to run, [M, P].
        kept_bytes: Of ifmap, filter and ofmap, what is in an array's buffer before a layer or stays there after it, and
            crosses no home's port; below zero what layers fused to it read besides, [operand, L, P].
        held_bytes: What kept tensors take of the buffer during each layer, [L, P].
        fused: Whether a layer is done as the ofmap of one before leaves, whose row then has what both cost, [L, P].
        mapped: The chosen mappings of the layers at ``mapped_layers``.
        mapped_layers: Indices of layers with a mapping.
        untimed: Why layers have no time, where that was allowed.
    """

    workload: Workload
    points: HardwarePoints
    objective: str
    engine: Ints
    arena: Arena
    residency: Residency
    cycles: Floats
    compute_s: Floats
    memory_s: Floats
    overhead_s: Floats
    latency_s: Floats
    bound: Ints
    macs_done: Ints
    utilization: Floats
    traffic_bytes: Ints
    energy_j: Floats
    need_bytes: Ints
    tile_bytes: Ints
    runtime_bytes: Ints
    code_bytes: Ints
    image_bytes: Ints
    kept_bytes: Ints
    held_bytes: Ints
    fused: Bools
    mapped: Mapped | None
    mapped_layers: Ints
    untimed: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[str, ...]:
        """Names of the terms that can limit a layer."""
        return ("compute", *(memory.name for memory in self.points.chip.memories), "overhead", "nothing")

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the energy shares."""
        return energy_components(self.points.chip)

    @property
    def mapped_engine(self) -> ArrayEngine:
        """The array that layers are mapped onto, where there are such layers."""
        engine = self.points.chip.engines[int(self.engine[self.mapped_layers[0]])]
        assert isinstance(engine, ArrayEngine)
        return engine

    @cached_property
    def capacity_bytes(self) -> Ints:
        """Usable bytes of each memory, [M, P]."""
        return capacity_bytes(self.points)

    @cached_property
    def mappable(self) -> Bools:
        """Whether every layer has a mapping, [P]."""
        return np.asarray(~np.isnan(self.latency_s).any(axis=0))

    @cached_property
    def fits(self) -> Bools:
        """Whether every memory holds what it has to, [P]."""
        return np.asarray((self.need_bytes <= self.capacity_bytes).all(axis=0))

    @cached_property
    def feasible(self) -> Bools:
        """Whether latency and energy have meaning, [P]."""
        return self.fits & self.mappable

    @cached_property
    def total_latency_s(self) -> Floats:
        """Latency of the net, [P]; nan where it does not run."""
        return np.where(self.feasible, self.latency_s.sum(axis=0), np.nan)

    @cached_property
    def total_energy_j(self) -> Floats:
        """Energy of the net, [P]; nan where it does not run."""
        return np.where(self.feasible, self.energy_j.sum(axis=(0, 1)), np.nan)
