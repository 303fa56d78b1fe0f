"""What would make a net run that does not: the nearest change, found by asking the cost room again."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf, sqrt

from hwsim.chip import ArrayEngine, Chip
from hwsim.cost import Costs, Workload, lower, memory_facts, plan_arena
from hwsim.graph import BITS, DType
from hwsim.report.record import MemoryReport
from hwsim.report.words import human_bytes

# The dtypes to try, widest first: a narrower one is a greater change.
_WIDEST_FIRST: tuple[DType, ...] = ("float32", "float16", "int16", "int8", "int4")
# How a word of ``holds`` is called among a memory's items.
CONTENTS = ("activations", "weights")


def ways_out(costs: Costs, memories: Sequence[MemoryReport], dtype: DType | None) -> tuple[str, ...]:
    """Return, for each memory that is too small, the nearest change with which it would do, as a sentence.

    Args:
        costs: A cost record.
        memories: What each memory has to hold there.
        dtype: What the net was lowered at.
    """
    short = [memory for memory in memories if not memory.fits]
    told = []
    for memory in short:
        contents = max(CONTENTS, key=lambda name: memory.items.get(name, 0))
        if contents not in memory.items:
            held = "a tile of every layer" if "tiles" in memory.items else " and ".join(memory.items)
            told.append(f"{memory.name}: {human_bytes(memory.need_bytes)} would hold {held}")
            continue
        found = (
            _elsewhere(costs, memory, memories, contents)
            or _narrower(costs, memory, contents)
            or _smaller_batch(costs, memory, contents, dtype)
            or _less(costs, memory, contents)
        )
        told.append(f"{memory.name}: {found}")
    return tuple(told)


def _room(memory: MemoryReport, contents: str) -> int:
    """Return the bytes that the contents may take of a memory [B]."""
    return memory.margin_bytes + _need(memory, contents)


def _need(memory: MemoryReport, contents: str) -> int:
    """Return what the contents take of a memory [B]; scratch is planned with the activations and moves with them."""
    return memory.items.get(contents, 0) + (memory.items.get("scratch", 0) if contents == "activations" else 0)


def _elsewhere(costs: Costs, memory: MemoryReport, memories: Sequence[MemoryReport], contents: str) -> str:
    """Return a memory with room that the profile does not use for these contents, but that could hold them.

    Weights of a flash find no way out in RAM, for they are kept in flash all the same.
    """
    chip, need = costs.points.chip, _need(memory, contents)
    kept = contents == "weights" and chip.memory(memory.name).kind == "flash"
    buffers = {engine.memory_names(chip)[0] for engine in chip.engines if isinstance(engine, ArrayEngine)}
    for other in memories:
        flash = chip.memory(other.name).kind == "flash"
        suits = flash if kept else (contents == "weights" or not flash)
        if other.name != memory.name and other.name not in buffers and suits and _room(other, contents) >= need:
            return f"keep the {contents} in {other.name} (--place {contents}={other.name})"
    return ""


def _sizes(costs: Costs, contents: str, *, batch: int, dtype: DType | None) -> int:
    workload = lower(costs.workload.graph, batch=batch, dtype=dtype)
    if contents == "weights":
        return workload.weight_bytes
    return plan_arena(workload, memory_facts(costs.points.chip, costs.engine)).peak_bytes


def _narrower(costs: Costs, memory: MemoryReport, contents: str) -> str:
    """Return the widest dtype that the chip runs and at which the contents fit."""
    for narrower in narrower_dtypes(costs.points.chip, costs.workload):
        need = _sizes(costs, contents, batch=costs.workload.batch, dtype=narrower)
        if need <= _room(memory, contents):
            return f"at {narrower} the {contents} would take {human_bytes(need)} and fit (--dtype {narrower})"
    return ""


def narrower_dtypes(chip: Chip, workload: Workload) -> list[DType]:
    """Return the dtypes that a chip runs, narrower than the widest of a net's MACs; all others if it lacks that one."""
    current: DType = max((row.dtype for row in workload.rows if row.macs), key=lambda one: BITS[one], default="int4")
    below = BITS[current] if _runs(chip, current) else inf
    return [dtype for dtype in _WIDEST_FIRST if BITS[dtype] < below and dtype != current and _runs(chip, dtype)]


def _runs(chip: Chip, dtype: str) -> bool:
    return any(
        dtype in (engine.macs_per_pe if isinstance(engine, ArrayEngine) else engine.kernel_table.dtypes)
        for engine in chip.engines
    )


def _smaller_batch(costs: Costs, memory: MemoryReport, contents: str, dtype: DType | None) -> str:
    batch = costs.workload.batch
    if batch == 1 or contents != "activations":
        return ""
    smaller = min(floor(batch * _room(memory, contents) / _need(memory, contents)), batch - 1)
    while smaller >= 1:
        if _sizes(costs, contents, batch=smaller, dtype=dtype) <= _room(memory, contents):
            return f"a batch of {smaller} would fit (--batch {smaller})"
        smaller //= 2
    return ""


def _less(costs: Costs, memory: MemoryReport, contents: str) -> str:
    """Return how much has to go, and where most of it is."""
    room, need = max(_room(memory, contents), 0), _need(memory, contents)
    gone = f"{human_bytes(need - room)} of {contents} must go"
    if contents == "weights":
        rows = sorted(costs.workload.rows, key=lambda row: -row.stored_bytes)[:2]
        largest = " and ".join(f"{row.layer.name} {human_bytes(row.stored_bytes)}" for row in rows if row.stored_bytes)
        return f"{gone}; most are in {largest}"
    peak = costs.workload.rows[costs.arena.peak_layer].layer.name
    image = any(len(shape) == 4 and min(shape[1:3]) > 1 for shape in _input_shapes(costs))
    scale = floor(100 * sqrt(room / need))
    smaller = f"; an input of {scale} % of its height and width would do" if image and scale else ""
    return f"{gone} around {peak}{smaller}"


def _input_shapes(costs: Costs) -> list[tuple[int, ...]]:
    graph = costs.workload.graph
    return [graph.tensors[name].shape for name in graph.inputs]
