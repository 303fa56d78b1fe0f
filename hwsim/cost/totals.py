"""Totals: what a whole net costs at each hardware point, without its layers; the record that sweeps keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip import HardwarePoints
from hwsim.cost.arena import Arena
from hwsim.cost.costs import capacity_bytes, energy_components
from hwsim.cost.residency import Home, Residency
from hwsim.cost.workload import Workload

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Totals:
    """Costs of a net at hardware points; P points, M memories of the chip.

    Where the net does not run, latency and energy are nan and traffic and MACs are those of the mappings that come
    nearest to fitting, without meaning. The same sums stand in a report of ``evaluate``.

    Attributes:
        workload: The lowered net.
        points: The hardware points.
        objective: What mappings were chosen for.
        engine: Index of each layer's engine among the chip's, −1 where none is needed, shape [layer].
        arena: The activation plan.
        residency: Homes of activations and weights.
        latency_s: Latency of the net, nan where it does not run, [P].
        energy_parts_j: Energy by component (``components``), nan where it does not run, [component, P].
        macs_done: MACs that take their cycle, [P].
        traffic_parts_bytes: Bytes across each memory's port, [M, direction, tensor kind, P].
        need_bytes: Bytes each memory has to hold, [M, P].
        tile_bytes: The largest tiles' part of it, [M, P].
        runtime_bytes: RAM that kernel libraries take of it for themselves, [M, P].
        code_bytes: Their code, [M, P].
        image_bytes: Weights that are kept in flash and copied elsewhere to run, [M, P].
        unmapped: How many layers have no mapping that fits the tile buffers, [P].
        first_unmapped: Index of the first of them, −1 where there is none, [P].
        lacking_bytes: What its smallest tile needs of each memory, zero where there is none, [M, P].
    """

    workload: Workload
    points: HardwarePoints
    objective: str
    engine: Ints
    arena: Arena
    residency: Residency
    latency_s: Floats
    energy_parts_j: Floats
    macs_done: Ints
    traffic_parts_bytes: Ints
    need_bytes: Ints
    tile_bytes: Ints
    runtime_bytes: Ints
    code_bytes: Ints
    image_bytes: Ints
    unmapped: Ints
    first_unmapped: Ints
    lacking_bytes: Ints

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the energy shares."""
        return energy_components(self.points.chip)

    @cached_property
    def energy_j(self) -> Floats:
        """Energy of the net, nan where it does not run, [P]."""
        return np.asarray(self.energy_parts_j.sum(axis=0))

    @cached_property
    def traffic_bytes(self) -> Ints:
        """Bytes across each memory's port, [M, P]."""
        return np.asarray(self.traffic_parts_bytes.sum(axis=(1, 2)))

    @cached_property
    def capacity_bytes(self) -> Ints:
        """Usable bytes of each memory, [M, P]."""
        return capacity_bytes(self.points)

    @cached_property
    def fits(self) -> Bools:
        """Whether every memory holds what it has to, [P]."""
        return np.asarray((self.need_bytes <= self.capacity_bytes).all(axis=0))

    @cached_property
    def feasible(self) -> Bools:
        """Whether the net runs: every memory holds what it has to, and every layer has a mapping, [P]."""
        return np.asarray(self.fits & (self.unmapped == 0))


# What has one value at each point, the last axis.
_BY_POINT = (
    "latency_s", "energy_parts_j", "macs_done", "traffic_parts_bytes", "need_bytes", "tile_bytes", "runtime_bytes",
    "code_bytes", "image_bytes", "unmapped", "first_unmapped", "lacking_bytes",
)  # fmt: skip


def joined(points: HardwarePoints, parts: Sequence[Totals]) -> Totals:
    """Return the totals of points that were costed in parts, one after the other."""

    def home(contents: str) -> Home:
        homes = [getattr(part.residency, contents) for part in parts]
        return Home(points, *(np.concatenate([getattr(one, name) for one in homes]) for name in ("index", "fits")))

    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in _BY_POINT
    }
    return replace(parts[0], points=points, residency=Residency(home("activations"), home("weights")), **columns)
