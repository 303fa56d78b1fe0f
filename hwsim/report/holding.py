"""What a net asks of each memory of a chip at a hardware point, whether it has that, and why the net does not run."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip import CoreEngine
from hwsim.cost import NOBODY, Costs, Placement, Totals
from hwsim.report.record import LiveTensor, MemoryReport
from hwsim.report.words import human_bytes


def memory_reports(costs: Costs | Totals, point: int) -> tuple[MemoryReport, ...]:
    """Return what each memory of the chip has to hold at a point."""
    home, store = costs.residency.activations.index[point], costs.residency.weights.index[point]
    engines = [costs.points.chip.engines[i] for i in set(costs.engine.tolist()) - {NOBODY}]
    unknown = any(isinstance(engine, CoreEngine) and engine.memory_facts is None for engine in engines)
    scratch = costs.arena.scratch_bytes
    reports = []
    for index, memory in enumerate(costs.points.chip.memories):
        record = costs.points.memory(memory.name)
        capacity, usable = int(value_at(record.capacity_bytes, point)), int(value_at(record.size_bytes, point))
        items = {
            "activations": costs.arena.peak_bytes - scratch if index == home else 0,
            "scratch": scratch if index == home else 0,
            "weights": costs.workload.weight_bytes if index == store else 0,
            "tiles": int(costs.tile_bytes[index, point]),
            "runtime": int(costs.runtime_bytes[index, point]),
            "code": int(costs.code_bytes[index, point]),
            "image": int(costs.image_bytes[index, point]),
            "reserved": capacity - usable,
        }
        items = {name: count for name, count in items.items() if count}
        speed = value_at(record.read_bytes_per_s, point)
        reports.append(
            MemoryReport(
                name=memory.name,
                items=items,
                capacity_bytes=capacity,
                read_bytes_per_s=speed,
                not_counted=("scratch",) if unknown and index == home else (),
            )
        )
    return tuple(reports)


def unmappable_layers(costs: Costs, point: int) -> dict[int, str]:
    """Return, by layer index, why a layer has no mapping at this point."""
    if costs.mapped is None:
        return {}
    return {
        int(costs.mapped_layers[i]): _lacking(costs, tile_bytes(costs, i, point), point)
        for i in np.flatnonzero(~costs.mapped.feasible[:, point]).tolist()
    }


def _lacking(costs: Costs | Totals, tiles: MappingType[str, int], point: int) -> str:
    """Return which buffers a layer's smallest tile exceeds."""
    names = [memory.name for memory in costs.points.chip.memories]
    lacking = [
        f"{human_bytes(need)} of {name}, which has {human_bytes(capacity)}"
        for name, need in tiles.items()
        if need > (capacity := int(costs.capacity_bytes[names.index(name), point]))
    ]
    return f"the smallest tile needs {' and '.join(lacking)}"


def why_not(costs: Costs, memories: tuple[MemoryReport, ...], unmappable: MappingType[int, str]) -> str:
    """Return why the net does not run, in one sentence, or an empty string."""
    if unmappable:
        layer, why = next(iter(unmappable.items()))
        return _unmapped(costs, layer, why, len(unmappable) - 1)
    return _too_small(memories)


def reasons(totals: Totals) -> list[str]:
    """Return, for each point, why the net does not run there, as its report has it; empty where it does."""
    told = [""] * totals.points.count
    (where,) = np.nonzero(~totals.feasible)
    if not len(where):
        return told
    # Points of the same needs and sizes have the same reason.
    sizes = [totals.points.memory(memory.name).capacity_bytes for memory in totals.points.chip.memories]
    read = [
        *totals.need_bytes, *totals.tile_bytes, *totals.capacity_bytes, *sizes, *totals.lacking_bytes,
        totals.unmapped, totals.first_unmapped, totals.residency.activations.index, totals.residency.weights.index,
    ]  # fmt: skip
    table = np.stack([np.broadcast_to(column, totals.points.count)[where] for column in read], axis=1)
    _, first, same = np.unique(table, axis=0, return_index=True, return_inverse=True)
    sentences = [_why_not_at(totals, int(where[i])) for i in first]
    for point, kind in zip(where.tolist(), same.reshape(-1).tolist(), strict=True):
        told[point] = sentences[kind]
    return told


def _why_not_at(totals: Totals, point: int) -> str:
    if layer_count := int(totals.unmapped[point]):
        names = [memory.name for memory in totals.points.chip.memories]
        tiles = dict(zip(names, totals.lacking_bytes[:, point].tolist(), strict=True))
        return _unmapped(totals, int(totals.first_unmapped[point]), _lacking(totals, tiles, point), layer_count - 1)
    return _too_small(memory_reports(totals, point))


def _unmapped(costs: Costs | Totals, layer: int, why: str, others: int) -> str:
    more = f" and {others} more layer{'s' if others > 1 else ''}" if others else ""
    return f"does not run: {why} ({costs.workload.rows[layer].layer.name}{more})"


def _too_small(memories: Sequence[MemoryReport]) -> str:
    """Return which memories do not hold what they have to, in one sentence, or an empty string."""
    short = [memory for memory in memories if not memory.fits]
    if not short:
        return ""
    told = [
        f"{memory.name}: needs {human_bytes(memory.need_bytes)}, has {human_bytes(memory.capacity_bytes)}"
        for memory in short
    ]
    largest = max(short[0].items, key=lambda name: short[0].items[name])
    told[0] += f" ({largest} {human_bytes(short[0].items[largest])})"
    return f"does not fit {'; nor '.join(told)}"


def live_tensors(costs: Costs, places: Sequence[Placement]) -> tuple[LiveTensor, ...]:
    """Return buffers of the arena as records; what holds no tensor is named after its layer."""
    rows = costs.workload.rows
    told = {"scratch": "scratch of", "padded": "padded input of"}
    return tuple(
        LiveTensor(
            tensors=place.tensors or (f"{told[place.role]} {rows[place.first].layer.name}",),
            offset_bytes=place.offset,
            size_bytes=place.size,
            first_layer=place.first,
            last_layer=place.last,
            role=place.role,
        )
        for place in places
    )


def tile_bytes(costs: Costs, mapped: int, point: int) -> dict[str, int]:
    """Return what the tiles of a mapped layer take of each buffer, by the buffer's name."""
    assert costs.mapped is not None
    engine = costs.mapped_engine
    held: dict[str, int] = {}
    for operand, name in engine.buffers(costs.points.chip).items():
        tile = getattr(costs.mapped.tiles, f"{operand}_tile_bytes")
        held[name] = held.get(name, 0) + int(tile[mapped, point])
    return held


def value_at(column: npt.NDArray[Any], point: int) -> float:
    """Return a column's value at a point; columns of one value hold at every point."""
    return float(column[point if len(column) > 1 else 0])
