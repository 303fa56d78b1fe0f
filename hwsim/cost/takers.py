"""Which engine of a chip takes which kinds of a net's layers; nothing is costed."""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.chip import ArrayEngine, Chip
from hwsim.cost.frame import has_rate
from hwsim.cost.workload import FREE, UNKNOWN, Row, lower
from hwsim.graph import DType, Graph


@dataclass(frozen=True, slots=True)
class Taken:
    """Layers of one kind and dtype, and who runs them.

    Attributes:
        kind: The kind.
        dtype: The dtype.
        layers: How many there are.
        macs: Their MACs.
        engine: The engine's name, empty where none takes them or none is needed.
        why: Why the engine is empty.
        runs: Whether a report could be made of them.
    """

    kind: str
    dtype: str
    layers: int
    macs: int
    engine: str
    why: str
    runs: bool


def engine_kinds(graph: Graph, chip: Chip, *, dtype: DType | None = None) -> list[Taken]:
    """Return who takes each kind of layer of a net, kinds in order of appearance.

    Args:
        graph: The net.
        chip: The chip.
        dtype: As ``lower`` takes it.
    """
    alike: dict[tuple[str, str], list[Row]] = {}
    for row in lower(graph, dtype=dtype).rows:
        alike.setdefault((row.kind, row.dtype), []).append(row)
    found = []
    for (kind, row_dtype), rows in alike.items():
        engine, why = _taker(chip, rows[0])
        runs = bool(engine) or kind == FREE
        found.append(Taken(kind, row_dtype, len(rows), sum(row.macs for row in rows), engine, why, runs))
    return found


def _taker(chip: Chip, row: Row) -> tuple[str, str]:
    """Return the engine that runs a layer, or an empty name and why none does."""
    if row.kind in (FREE, UNKNOWN):
        return "", "none needed" if row.kind == FREE else "UNKNOWN"
    takers = [engine for engine in chip.engines if row.kind in engine.takes]
    if not takers:
        return "", f"NONE: no engine takes {row.kind} layers"
    engine = next((engine for engine in takers if has_rate(engine, row)), None)
    if engine is None:
        return "", f"NONE: {takers[0].name} does no {row.dtype} MACs"
    if not isinstance(engine, ArrayEngine) and not engine.kernel_table.has(row.dtype, row.kind):
        return "", f"NONE: {engine.kernel_table.name} has no {row.dtype} {row.kind}"
    return engine.name, ""
