"""``evaluate``: one net on one chip, as a ``Report``. It is the cost engine at one hardware point."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import fields
from math import nan
from typing import Any

import numpy.typing as npt

from hwsim.chip import ArrayEngine, Chip, CoreEngine, HardwarePoints
from hwsim.cost import NOBODY, ORDERS, Costs, cost, engine_rate, lower
from hwsim.errors import UsageError
from hwsim.graph import DType, Graph
from hwsim.report.record import LayerReport, LiveTensor, Mapping, MemoryReport, Report
from hwsim.report.words import human_bytes


def evaluate(
    net: Graph,
    chip: Chip,
    *,
    batch: int = 1,
    dtype: DType | None = None,
    objective: str = "latency",
    place: MappingType[str, str] | None = None,
) -> Report:
    """Return what a net costs on a chip.

    Args:
        net: From ``load_net`` or a ``GraphBuilder``.
        chip: From ``load_chip``.
        batch: Images that run together.
        dtype: Cost the whole net at this dtype (``"int8"`` for a float net on an integer engine); None keeps its own.
        objective: What array mappings are chosen for: ``latency``, ``energy``, ``edp`` or ``traffic``.
        place: ``{"weights": memory}`` or ``{"activations": memory}``, to overrule the nearest that has room.

    Raises:
        UsageError: An argument makes no sense.
        CostError: An engine lacks a rate or a kernel that the net needs.
    """
    if not isinstance(net, Graph):
        raise UsageError(f"evaluate takes a Graph, not {net!r}: load it with hwsim.load_net")
    if not isinstance(chip, Chip):
        raise UsageError(f"evaluate takes a Chip, not {chip!r}: load it with hwsim.load_chip")
    workload = lower(net, batch=batch, dtype=dtype)
    return report_at(cost(workload, HardwarePoints.of(chip), objective=objective, placed=place), 0, dtype=dtype)


def report_at(costs: Costs, point: int, *, dtype: DType | None = None) -> Report:
    """Return the report of one point of a cost record.

    Args:
        costs: From ``hwsim.cost.cost``.
        point: Index of the hardware point.
        dtype: What the workload was lowered with, to be named.
    """
    chip, workload = costs.points.chip, costs.workload
    memories = _memories(costs, point)
    used = [chip.engines[index] for index in dict.fromkeys(costs.engine.tolist()) if index != NOBODY]
    first = used[0] if used else chip.engines[0]
    clock = costs.points.engine(first.name).clock_hz
    unmappable = _unmappable(costs, point)
    arena = costs.arena
    return Report(
        net=workload.graph.name,
        chip=chip.name,
        runtime=", ".join(engine.runtime for engine in used if isinstance(engine, CoreEngine)),
        batch=workload.batch,
        dtype=dtype or "as stored",
        objective=costs.objective,
        clock_hz=_at(clock, point),
        peak_macs_per_s=_peaks(costs, point),
        params=workload.graph.params,
        param_bytes=workload.weight_bytes,
        layers=_layers(costs, point, unmappable),
        memories=memories,
        arena=tuple(
            LiveTensor(
                tensors=place.tensors,
                offset_bytes=place.offset,
                size_bytes=place.size,
                first_layer=place.first,
                last_layer=place.last,
            )
            for place in arena.placements
        ),
        arena_lower_bound_bytes=arena.lower_bound_bytes,
        peak_layer=workload.rows[arena.peak_layer].layer.name,
        reason=_reason(memories, unmappable),
        assumptions=(*chip.assumptions(), *_model_assumptions(used)),
        outside=chip.outside,
        warnings=workload.graph.warnings,
    )


def _layers(costs: Costs, point: int, unmappable: MappingType[int, str]) -> tuple[LayerReport, ...]:
    chip, graph = costs.points.chip, costs.workload.graph
    memories = [memory.name for memory in chip.memories]
    traffic = costs.traffic_bytes[..., point].sum(axis=(1, 2))
    energy = costs.energy_j[..., point]
    mappings = _mappings(costs, point)
    reports = []
    for index, row in enumerate(costs.workload.rows):
        runs = index not in unmappable
        parts = dict(zip(costs.components, energy[:, index].tolist(), strict=True))
        engine = int(costs.engine[index])
        reports.append(
            LayerReport(
                name=row.layer.name,
                kind=row.kind,
                engine="" if engine == NOBODY else chip.engines[engine].name,
                ofmap_shape=graph.tensors[row.layer.outputs[0]].shape,
                macs=row.macs,
                ops=row.ops,
                cycles=float(costs.cycles[index, point]) if runs else nan,
                latency_s=float(costs.latency_s[index, point]),
                bound=costs.bounds[int(costs.bound[index, point])],
                utilization=float(costs.utilization[index, point]) if runs else nan,
                traffic_bytes=dict(zip(memories, traffic[:, index].tolist(), strict=True)),
                compulsory_bytes=row.compulsory_bytes,
                energy_j=float(energy[:, index].sum()) if runs else nan,
                energy_parts_j={name: value for name, value in parts.items() if value} if runs else {},
                mapping=mappings.get(index) if runs else None,
                reason=unmappable.get(index, ""),
            )
        )
    return tuple(reports)


def _at(column: npt.NDArray[Any], point: int) -> float:
    """Return a column's value at a point; columns of one value hold at every point."""
    return float(column[point if len(column) > 1 else 0])


def _peaks(costs: Costs, point: int) -> dict[str, float]:
    """Return the peak rate of each engine that runs MACs, at the dtype of most of them."""
    chip = costs.points.chip
    macs: dict[tuple[str, str], int] = {}
    for row, engine in zip(costs.workload.rows, costs.engine.tolist(), strict=True):
        if row.macs and engine != NOBODY:
            key = chip.engines[engine].name, row.dtype
            macs[key] = macs.get(key, 0) + row.macs
    peaks = {}
    for name in dict.fromkeys(engine for engine, _ in macs):
        dtype = max((key for key in macs if key[0] == name), key=lambda key: macs[key])[1]
        engine, columns = chip.engine(name), costs.points.engine(name)
        units = _at(columns.rows, point) * _at(columns.cols, point)
        peaks[name] = engine_rate(engine, dtype) * units * _at(columns.cores, point) * _at(columns.clock_hz, point)
    return peaks


def _mappings(costs: Costs, point: int) -> dict[int, Mapping]:
    """Return the chosen mapping of each layer that has one."""
    if costs.mapped is None:
        return {}
    chip = costs.points.chip
    engine = chip.engines[int(costs.engine[costs.mapped_layers[0]])]
    assert isinstance(engine, ArrayEngine)
    columns = {field.name: getattr(costs.mapped, field.name)[:, point].tolist() for field in fields(costs.mapped)}
    return {
        int(layer): Mapping(
            dataflow=engine.dataflow_table[int(columns["dataflow"][i])].name,
            order=ORDERS[int(columns["order"][i])],
            groups=columns["g"][i],
            filters=columns["k"][i],
            channels=columns["c"][i],
            rows=columns["p"][i],
            columns=columns["q"][i],
            footprint_bytes=columns["footprint_bytes"][i],
        )
        for i, layer in enumerate(costs.mapped_layers)
    }


def _unmappable(costs: Costs, point: int) -> dict[int, str]:
    """Return, by layer index, why a layer has no mapping at this point."""
    if costs.mapped is None:
        return {}
    chip = costs.points.chip
    engine = chip.engines[int(costs.engine[costs.mapped_layers[0]])]
    buffer = engine.memory_names(chip)[0]
    capacity = int(costs.capacity_bytes[[memory.name for memory in chip.memories].index(buffer), point])
    reasons = {}
    for i, layer in enumerate(costs.mapped_layers):
        if not costs.mapped.feasible[i, point]:
            need = human_bytes(int(costs.mapped.footprint_bytes[i, point]))
            name = costs.workload.rows[layer].layer.name
            reasons[int(layer)] = (
                f"layer {name!r}: its smallest tile needs {need} of {buffer}, which has {human_bytes(capacity)}"
            )
    return reasons


def _memories(costs: Costs, point: int) -> tuple[MemoryReport, ...]:
    home, store = costs.residency.activations.index[point], costs.residency.weights.index[point]
    reports = []
    for index, memory in enumerate(costs.points.chip.memories):
        record = costs.points.memory(memory.name)
        capacity, usable = int(_at(record.capacity_bytes, point)), int(_at(record.size_bytes, point))
        items = {
            "activations": costs.arena.peak_bytes if index == home else 0,
            "weights": costs.workload.weight_bytes if index == store else 0,
            "tiles": int(costs.tile_bytes[index, point]),
            "runtime": int(costs.runtime_bytes[index, point]),
            "reserved": capacity - usable,
        }
        items = {name: count for name, count in items.items() if count}
        speed = _at(record.read_bytes_per_s, point)
        reports.append(MemoryReport(name=memory.name, items=items, capacity_bytes=capacity, read_bytes_per_s=speed))
    return tuple(reports)


def _reason(memories: tuple[MemoryReport, ...], unmappable: MappingType[int, str]) -> str:
    """Return why the net does not run, in one sentence, or an empty string."""
    if unmappable:
        more = f" (and {len(unmappable) - 1} more layers)" if len(unmappable) > 1 else ""
        return next(iter(unmappable.values())) + more
    for memory in memories:
        if not memory.fits:
            largest = max(memory.items, key=lambda name: memory.items[name])
            return (
                f"does not fit {memory.name}: needs {human_bytes(memory.need_bytes)}, has "
                f"{human_bytes(memory.capacity_bytes)}; the {largest} take {human_bytes(memory.items[largest])}"
            )
    return ""


def _model_assumptions(engines: Sequence[ArrayEngine | CoreEngine]) -> tuple[str, ...]:
    """Return what the models take for granted on these engines, as far as it moves the numbers."""
    told = []
    if any(isinstance(engine, ArrayEngine) for engine in engines):
        told.append("array: layers run one after the other; every tensor returns to its home memory between them")
        told.append("array: psums stay in registers beside the array; concat and split are addressed in place")
    if any(isinstance(engine, CoreEngine) for engine in engines):
        told.append(
            "core: each tensor crosses its memory's port once per layer; kernel scratch buffers are not counted"
        )
    return tuple(told)
