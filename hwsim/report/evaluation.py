"""``evaluate``: one net on one chip, as a ``Report``. It is the cost engine at one hardware point."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import fields, replace
from math import nan
from typing import TypeVar

import numpy as np

from hwsim.chip import OPERANDS, WAITING, ArrayEngine, Chip, CoreEngine, ErrorBar, HardwarePoints, error_bar
from hwsim.cost import (
    DIRECTIONS,
    NOBODY,
    ORDERS,
    TENSOR_KINDS,
    Candidates,
    Costs,
    Workload,
    cost,
    engine_rate,
    home_bytes,
    lower,
    natural_dtype,
    net_dtype,
)
from hwsim.errors import UsageError
from hwsim.graph import DType, Graph
from hwsim.report.duty import duty_cycle
from hwsim.report.holding import (
    live_tensors,
    memory_reports,
    tile_bytes,
    unmappable_layers,
    value_at,
    why_not,
)
from hwsim.report.io_bounds import io_bounds
from hwsim.report.record import NET_DOES_NOT_RUN, LayerReport, Mapping, MemoryReport, Report
from hwsim.report.way_out import ways_out

Amount = TypeVar("Amount", int, float)
# What crosses a memory's port, in the order of the cost record's axes.
FLOWS = tuple(f"{direction}_{tensor}" for direction in DIRECTIONS for tensor in TENSOR_KINDS)


def evaluate(
    net: Graph,
    chip: Chip,
    *,
    batch: int = 1,
    dtype: DType | None = None,
    objective: str = "latency",
    place: MappingType[str, str] | None = None,
    period_s: float | None = None,
    battery: str | None = None,
) -> Report:
    """Return what a net costs on a chip.

    Args:
        net: From ``load_net`` or a ``GraphBuilder``.
        chip: From ``load_chip``.
        batch: Images that run together.
        dtype: Cost the whole net at this dtype (``"int8"`` for a float net on an integer engine). None keeps the net's
            own; a net without weights, which has none, takes what the chip's first engine is made for.
        objective: What array mappings are chosen for: ``latency``, ``energy``, ``edp`` or ``traffic``.
        place: ``{"weights": memory}`` or ``{"activations": memory}``, to overrule the nearest that has room.
        period_s: Run it once in so many seconds, and tell the mean power; ``report.duty`` holds it.
        battery: What the chip is fed by, such as ``220mAh@3V``: how long it lasts is in ``report.duty``, too.

    Raises:
        UsageError: An argument makes no sense.
        CostError: An engine lacks a rate or a kernel that the net needs.
    """
    if not isinstance(net, Graph):
        raise UsageError(f"evaluate takes a Graph, not {net!r}: load it with hwsim.load_net")
    if not isinstance(chip, Chip):
        raise UsageError(f"evaluate takes a Chip, not {chip!r}: load it with hwsim.load_chip")
    chosen = dtype or natural_dtype(net, chip)
    costs = cost(lower(net, batch=batch, dtype=chosen), HardwarePoints.of(chip), objective=objective, placed=place)
    report = report_at(costs, 0, dtype=chosen, waits=period_s is not None)
    if period_s is not None or battery is not None:
        report = replace(report, duty=duty_cycle(report, chip, period_s, battery))
    if chosen == dtype:
        return report
    line = f"dtype {chosen}, for the net has no weights and {chip.engines[0].name} does no {net_dtype(net)} MACs"
    return replace(report, assumptions=(line, *report.assumptions))


def report_at(costs: Costs, point: int, *, dtype: DType | None = None, waits: bool = False) -> Report:
    """Return the report of one point of a cost record.

    Args:
        costs: From ``hwsim.cost.cost``.
        point: Index of the hardware point.
        dtype: What the workload was lowered with, to be named.
        waits: Whether the powers of a chip that waits matter.
    """
    chip, workload = costs.points.chip, costs.workload
    memories = memory_reports(costs, point)
    used = [chip.engines[index] for index in dict.fromkeys(costs.engine.tolist()) if index != NOBODY]
    first = used[0] if used else chip.engines[0]
    clock = costs.points.engine(first.name).clock_hz
    unmappable = unmappable_layers(costs, point)
    arena = costs.arena
    reason = why_not(costs, memories, unmappable)
    error = _error_bar(costs)
    return Report(
        net=workload.graph.name,
        chip=chip.name,
        runtime=", ".join(dict.fromkeys(engine.runtime for engine in used if engine.runtime)),
        batch=workload.batch,
        dtype=dtype or stored_dtype(workload),
        objective=costs.objective,
        clock_hz=value_at(clock, point),
        peak_macs_per_s=_peaks(costs, point),
        params=workload.graph.params,
        param_bytes=workload.weight_bytes,
        layers=_layers(costs, point, unmappable, runs=not reason),
        memories=memories,
        arena=live_tensors(costs, arena.placements),
        arena_lower_bound_bytes=arena.lower_bound_bytes,
        arena_planner=arena.planner,
        peak_layer=workload.rows[arena.peak_layer].layer.name,
        peak_tensors=live_tensors(costs, arena.at_peak),
        reason=reason,
        ways_out=ways_out(costs, memories, dtype) if reason else (),
        error_p90=error.p90,
        error_source=error.source,
        assumptions=(
            *chip.assumptions(_in_use(used, memories) | set(WAITING if waits else ())),
            *_model_assumptions(used),
        ),
        outside=chip.outside,
        warnings=workload.graph.warnings,
    )


def stored_dtype(workload: Workload) -> str:
    """Return what to call the dtype of a net that keeps its own: that of most of its MACs."""
    macs: dict[str, int] = {}
    for row in workload.rows:
        macs[row.dtype] = macs.get(row.dtype, 0) + row.macs
    return f"as stored ({max(macs, key=lambda dtype: macs[dtype])})" if macs else "as stored"


def _error_bar(costs: Costs) -> ErrorBar:
    """Return how far off the prediction may be, where one engine runs every layer that has MACs."""
    chip = costs.points.chip
    ran = [
        (row.macs, row.dtype, chip.engines[engine])
        for row, engine in zip(costs.workload.rows, costs.engine.tolist(), strict=True)
        if row.macs and engine != NOBODY
    ]
    engines = {engine.name: engine for _, _, engine in ran}
    only = next(iter(engines.values())) if len(engines) == 1 else None
    if only is None or not only.kernels:
        return ErrorBar(None, "not validated")
    macs: dict[str, int] = {}
    for count, dtype, _ in ran:
        macs[dtype] = macs.get(dtype, 0) + count
    return error_bar(chip.name, only.kernel_table.core, only.kernel_table, max(macs, key=lambda dtype: macs[dtype]))


def _layers(costs: Costs, point: int, unmappable: MappingType[int, str], *, runs: bool) -> tuple[LayerReport, ...]:
    """Return the layers' records; of a net that does not run, without times and energies."""
    chip, graph, rows = costs.points.chip, costs.workload.graph, costs.workload.rows
    memories = [memory.name for memory in chip.memories]
    traffic = costs.traffic_bytes[..., point]
    sums = traffic.sum(axis=(1, 2)).T.tolist()
    flows = traffic.transpose(3, 0, 1, 2).reshape(len(rows), len(memories), len(FLOWS)).tolist()
    energy = costs.energy_j[..., point].T.tolist()
    terms = np.stack([costs.compute_s, *costs.memory_s, costs.overhead_s])[..., point].T.tolist()
    cycles, latency, utilization, bound = (
        column[:, point].tolist() for column in (costs.cycles, costs.latency_s, costs.utilization, costs.bound)
    )
    macs_done = costs.macs_done[:, point].tolist()
    live = _live_bytes(costs)
    mappings = _mappings(costs, point)
    compulsory = [_compulsory_bytes(costs, index, point) for index in range(len(rows))]
    least = io_bounds(costs, point, compulsory)
    return tuple(
        LayerReport(
            name=row.layer.name,
            kind=row.kind,
            engine="" if costs.engine[index] == NOBODY else chip.engines[costs.engine[index]].name,
            ofmap_shape=graph.tensors[row.layer.outputs[0]].shape,
            macs=row.macs,
            ops=row.ops,
            cycles=cycles[index] if runs else nan,
            latency_s=latency[index] if runs else nan,
            bound=costs.bounds[bound[index]] if runs else "",
            macs_done=macs_done[index],
            utilization=utilization[index] if runs else nan,
            terms_s=_nonzero(costs.bounds, terms[index]) if runs else {},
            traffic_bytes=dict(zip(memories, sums[index], strict=True)),
            traffic_parts_bytes={
                name: parts
                for name, flow in zip(memories, flows[index], strict=True)
                if (parts := _nonzero(FLOWS, flow))
            },
            compulsory_bytes=compulsory[index],
            io_bound_bytes=least[index],
            weight_bytes=row.stored_bytes,
            live_bytes=live[index],
            energy_j=sum(energy[index]) if runs else nan,
            energy_parts_j=_nonzero(costs.components, energy[index]) if runs else {},
            mapping=mappings.get(index) if runs else None,
            resident=tuple(_nonzero(OPERANDS, costs.kept_bytes[:, index, point].clip(min=0).tolist())) if runs else (),
            resident_bytes=int(costs.held_bytes[index, point]) if runs else 0,
            fused=bool(costs.fused[index, point]) and runs,
            reason="" if runs else unmappable.get(index, NET_DOES_NOT_RUN),
        )
        for index, row in enumerate(rows)
    )


def _compulsory_bytes(costs: Costs, index: int, point: int) -> int:
    """Return what must cross to and from home: each touched element once, as the layer's engine has it coded.

    What is in the buffer already, or stays there, need not cross.
    """
    if _in_place(costs, index):
        return 0
    row, at = costs.workload.rows[index], costs.engine[index]
    engine = costs.points.chip.engines[at] if at != NOBODY else None
    if not isinstance(engine, ArrayEngine):
        return row.compulsory_bytes
    ifmap, filter_, ofmap = costs.kept_bytes[:, index, point].tolist()
    return sum(home_bytes(row, engine, (ifmap, filter_, ofmap)))


def _in_place(costs: Costs, index: int) -> bool:
    """Return whether a layer touches nothing: an array addresses what its neighbours wrote and will read."""
    engine = costs.engine[index]
    return (
        engine != NOBODY
        and costs.workload.rows[index].view
        and isinstance(costs.points.chip.engines[engine], ArrayEngine)
    )


def _nonzero(names: Sequence[str], values: Sequence[Amount]) -> dict[str, Amount]:
    """Return the amounts that are not zero, by name; names without an amount are passed over."""
    return {name: value for name, value in zip(names, values, strict=False) if value}


def _live_bytes(costs: Costs) -> list[int]:
    """Return the activation bytes that live during each layer, shape [layer]."""
    change = np.zeros(len(costs.workload.rows) + 1, dtype=np.int64)
    for place in costs.arena.placements:
        change[max(place.first, 0)] += place.size
        change[min(place.last + 1, len(change) - 1)] -= place.size
    live: list[int] = np.cumsum(change)[:-1].tolist()
    return live


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
        units = value_at(columns.rows, point) * value_at(columns.cols, point)
        peaks[name] = (
            engine_rate(engine, dtype) * units * value_at(columns.cores, point) * value_at(columns.clock_hz, point)
        )
    return peaks


def _mappings(costs: Costs, point: int) -> dict[int, Mapping]:
    """Return the chosen mapping of each layer that has one."""
    if costs.mapped is None:
        return {}
    engine = costs.mapped_engine
    columns = {field.name: getattr(costs.mapped.tiles, field.name)[:, point].tolist() for field in fields(Candidates)}
    return {
        int(layer): Mapping(
            dataflow=engine.dataflow_table[columns["dataflow"][i]].name,
            stays=ORDERS[columns["order"][i]][0],
            sweep=SWEEPS[ORDERS[columns["order"][i]][1]],
            kept=ORDERS[columns["order"][i]][2],
            images=columns["n"][i],
            groups=columns["g"][i],
            filters=columns["k"][i],
            channels=columns["c"][i],
            rows=columns["p"][i],
            columns=columns["q"][i],
            buffer_bytes=tile_bytes(costs, i, point),
        )
        for i, layer in enumerate(costs.mapped_layers)
    }


SWEEPS = {"P": "rows", "Q": "columns"}


def _in_use(engines: Sequence[ArrayEngine | CoreEngine], memories: Sequence[MemoryReport]) -> set[str]:
    """Return the names of the engines and memories that the numbers rest on."""
    return {engine.name for engine in engines} | {memory.name for memory in memories if memory.items}


def _model_assumptions(engines: Sequence[ArrayEngine | CoreEngine]) -> tuple[str, ...]:
    """Return what the models take for granted on these engines, as far as it moves the numbers."""
    told = []
    if any(isinstance(engine, ArrayEngine) for engine in engines):
        keeps = any(isinstance(engine, ArrayEngine) and engine.inter_layer for engine in engines)
        between = "stay on chip in between where that is best" if keeps else "go back to their home memory in between"
        told.append(f"array: layers run one after the other; tensors {between}")
        told.append("array: concat and split are addressed in place")
    if any(isinstance(engine, CoreEngine) for engine in engines):
        told.append("core: each tensor crosses its memory's port once per layer")
    if any(isinstance(engine, CoreEngine) and engine.memory_facts is None for engine in engines):
        told.append("core: kernel scratch is not counted, nothing is computed in place")
    return tuple(told)
