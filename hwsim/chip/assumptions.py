"""What a profile leaves open, and which of its numbers are assumed, as lines for a report."""

from __future__ import annotations

from hwsim.chip.paths import field_paths, source_of
from hwsim.chip.schema import ArrayEngine, Chip

# Fields that state no physics, whose source nobody asks for.
UNSOURCED = (
    "schema",
    "name",
    "title",
    "outside",
    "takes",
    "kind",
    "default_runtime",
    "kernels",
    "holds",
    "memories",
    "core",
)


def assumptions(chip: Chip) -> tuple[str, ...]:
    """Return a line for each default taken, and one for all fields whose source is "assumed"."""
    lines = []
    if chip.static_mw is None:
        lines.append("static power 0 mW")
    for memory in chip.memories:
        given = memory.model_fields_set
        if "latency_cycles" not in given:
            lines.append(f"{memory.name}: latency 0 cycles")
        if "double_buffered" not in given and memory is chip.memories[0] and _has_array(chip):
            lines.append(f"{memory.name}: double-buffered")
    for engine in chip.engines:
        if isinstance(engine, ArrayEngine):
            if engine.vector_lanes is None:
                lines.append(f"{engine.name}: {engine.cols} elementwise operations per cycle (one per column)")
            if "psum_bytes" not in engine.model_fields_set:
                lines.append(f"{engine.name}: psums of {engine.psum_bytes} bytes")
            if "macs_per_pe" not in engine.model_fields_set:
                lines.append(f"{engine.name}: one int8 MAC per PE and cycle")
    assumed = [path for path in field_paths(chip) if _is_physics(path) and source_of(chip, path).startswith("assumed")]
    if assumed:
        lines.append("values: " + ", ".join(assumed))
    return tuple(lines)


def _is_physics(path: str) -> bool:
    parts = path.split(".")
    return (parts[0] not in UNSOURCED and parts[-1] not in UNSOURCED) or (
        parts[0] == "memories" and parts[-1] not in UNSOURCED
    )


def _has_array(chip: Chip) -> bool:
    return any(isinstance(engine, ArrayEngine) for engine in chip.engines)
