"""The ski slope: how much traffic is left at every capacity of an array's tile buffers.

The engine costs the net at many capacities, with mappings chosen for traffic; nothing is computed here that a report of
a chip of that size would not say.

Source of the name and of the picture: Gilbert et al., "Orojenesis", ISCA 2024, doi:10.1109/ISCA59077.2024.00025.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil, floor, log2

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, Chip, HardwarePoints
from hwsim.cost import Costs, cost, lower, natural_dtype
from hwsim.errors import UsageError, did_you_mean
from hwsim.graph import DType, Graph
from hwsim.report.evaluation import report_at

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# The powers of two between which capacities lie, and how many are asked for from one to the next.
DOUBLINGS, PER_DOUBLING = (6, 37), 16
WHOLE_NET = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkiSlope:
    """Traffic of a net's layers at capacities of the tile buffers.

    Attributes:
        net: Its name.
        chip: The chip whose buffers take other sizes.
        dtype: The arithmetic's dtype; empty for the net's own.
        batch: Images that run together.
        buffers: The array's tile buffers; more than one grow in proportion.
        homes: The memories whose traffic is counted: all others that anything crosses to.
        layers: Names of the layers.
        capacity_bytes: Usable bytes of all tile buffers together, ascending, the chip's own among them, [size].
        traffic_bytes: Bytes across the homes' ports, nan where the layer has no mapping, shape [layer, size].
        compulsory_bytes: Each touched element once, shape [layer].
        chip_bytes: Usable capacity of the chip as it is.
    """

    net: str
    chip: str
    dtype: str
    batch: int
    buffers: tuple[str, ...]
    homes: tuple[str, ...]
    layers: tuple[str, ...]
    capacity_bytes: Ints
    traffic_bytes: Floats
    compulsory_bytes: Ints
    chip_bytes: int

    def of(self, layer: str = WHOLE_NET) -> tuple[Floats, int]:
        """Return the traffic at each capacity, [size], and the compulsory one, of a layer or the whole net [B].

        Raises:
            UsageError: The net has no such layer.
        """
        if layer == WHOLE_NET:
            return self.traffic_bytes.sum(axis=0), int(self.compulsory_bytes.sum())
        if layer not in self.layers:
            raise UsageError(f"{self.net} has no layer {layer!r}{did_you_mean(layer, self.layers)}")
        index = self.layers.index(layer)
        return self.traffic_bytes[index], int(self.compulsory_bytes[index])

    def on_chip(self, layer: str = WHOLE_NET) -> float:
        """Return the traffic at the chip's own capacity; nan where it does not run [B]."""
        at = int(np.searchsorted(self.capacity_bytes, self.chip_bytes))
        return float(self.of(layer)[0][at])

    def enough_bytes(self, layer: str = WHOLE_NET) -> int:
        """Return the least of the capacities at which no larger one saves anything [B]."""
        traffic, _ = self.of(layer)
        return int(self.capacity_bytes[np.flatnonzero(traffic == traffic[-1])[0]])

    def rows(self) -> list[dict[str, int | float | None]]:
        """Return a flat record per capacity: the bytes of the net, and of each layer; None where it cannot run."""
        whole, _ = self.of()
        return [
            {"capacity_bytes": int(capacity), "traffic_bytes": _known(whole[at])}
            | {f"{name}_bytes": _known(self.traffic_bytes[index, at]) for index, name in enumerate(self.layers)}
            for at, capacity in enumerate(self.capacity_bytes)
        ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def ski_slope(net: Graph, chip: Chip, *, batch: int = 1, dtype: DType | None = None) -> SkiSlope:
    """Return the traffic of a net at every capacity of a chip's tile buffers, with mappings chosen for traffic.

    Args:
        net: The net.
        chip: A chip with an array whose tiles have a buffer; buffers that stand apart keep their proportions.
        batch: Images that run together.
        dtype: Cost the net at this dtype; None as in ``evaluate``.

    Raises:
        UsageError: The chip has no tile buffer, or an argument makes no sense.
        CostError: An engine lacks a rate or a kernel that the net needs.
    """
    chosen = dtype or natural_dtype(net, chip)
    workload = lower(net, batch=batch, dtype=chosen)
    shares = _tile_buffers(chip)
    own = sum(shares.values())

    def at(capacities: Ints) -> Costs:
        sizes = {
            f"memories.{name}.size_bytes": np.maximum(np.rint(capacities * (share / own)), 1)
            for name, share in shares.items()
        }
        return cost(workload, HardwarePoints.of(_bare(chip, shares), sizes), objective="traffic")

    capacities = _capacities(_moved(at(2 ** np.arange(*DOUBLINGS)), shares), own)
    if not len(capacities):
        raise UsageError(f"{net.name} on {chip.name}: some layer has no tile that a {' and '.join(shares)} could hold")
    costs = at(capacities)
    today = report_at(costs, int(np.searchsorted(capacities, own)), dtype=chosen)
    return SkiSlope(
        net=net.name,
        chip=chip.name,
        dtype=today.dtype,
        batch=batch,
        buffers=tuple(shares),
        homes=tuple(name for name, count in today.traffic_bytes.items() if count and name not in shares),
        layers=tuple(row.layer.name for row in workload.rows),
        capacity_bytes=capacities,
        traffic_bytes=_moved(costs, shares),
        compulsory_bytes=np.array([layer.compulsory_bytes for layer in today.layers], dtype=np.int64),
        chip_bytes=own,
    )


def _tile_buffers(chip: Chip) -> dict[str, int]:
    """Return the usable bytes of each tile buffer of a chip's first array.

    Raises:
        UsageError: It has none.
    """
    for engine in chip.engines:
        if isinstance(engine, ArrayEngine) and engine.buffers(chip):
            memories = [chip.memory(name) for name in dict.fromkeys(engine.buffers(chip).values())]
            return {memory.name: memory.size_bytes - memory.reserved_bytes for memory in memories}
    raise UsageError(f"{chip.name} has no array with a tile buffer; a ski slope is that of a buffer's capacity")


def _bare(chip: Chip, buffers: Collection[str]) -> Chip:
    """Return a chip whose buffers are all for tiles, at a price that needs no table: traffic does not depend on it."""
    for name in buffers:
        prefix = f"memories.{name}"
        chip = chip.replace(f"{prefix}.reserved_kib", 0.0).replace(f"{prefix}.pj_per_byte", 0.0)
    return chip


def _moved(costs: Costs, buffers: Collection[str]) -> Floats:
    """Return the bytes that cross to memories other than buffers; nan where a layer has no mapping, [layer, size]."""
    homes = [index for index, memory in enumerate(costs.points.chip.memories) if memory.name not in buffers]
    moved: Floats = costs.traffic_bytes[homes].sum(axis=(0, 1, 2)).astype(np.float64)
    moved[np.isnan(costs.latency_s)] = np.nan
    return moved


def _capacities(coarse: Floats, own: int) -> Ints:
    """Return the capacities to ask for: from where the net starts to run to where nothing changes, and the chip's.

    Args:
        coarse: Traffic at each of the doublings, [layer, size].
        own: The chip's own capacity.
    """
    whole = coarse.sum(axis=0)
    if np.isnan(whole[-1]):
        return np.zeros(0, dtype=np.int64)
    starts = DOUBLINGS[0] + int(np.flatnonzero(~np.isnan(whole))[0]) - 1
    ends = DOUBLINGS[0] + int(np.flatnonzero(whole == whole[-1])[0]) + 1
    first, last = min(starts, floor(log2(own))), max(ends, ceil(log2(own)) + 1)
    steps = 2 ** np.linspace(first, last, (last - first) * PER_DOUBLING + 1)
    return np.unique(np.append(np.rint(steps).astype(np.int64), own))
