"""What a profile leaves open, and which of its numbers are assumed, as lines for a report."""

from __future__ import annotations

from hwsim.chip.paths import field_paths, source_of
from hwsim.chip.schema import ArrayEngine, ChipFields, CoreEngine

# Fields that state no physics, whose source nobody asks for.
UNSOURCED = (
    "schema",
    "name",
    "title",
    "outside",
    "takes",
    "kind",
    "core",
    "kernels",
    "default_runtime",
    "memories",
    "holds",
)


def assumptions(chip: ChipFields) -> tuple[str, ...]:
    """Return a line for each default taken, and one for all fields whose source is "assumed"."""
    lines = []
    if chip.static_mw is None and any(_priced_by_parts(engine) for engine in chip.engines):
        lines.append("static power 0 mW")
    for engine in chip.engines:
        if isinstance(engine, ArrayEngine):
            lines += _array_defaults(engine, chip)
    physics = [path for path in field_paths(chip) if path.rpartition(".")[2] not in UNSOURCED]
    assumed = [path for path in physics if source_of(chip, path).startswith("assumed")]
    if assumed == physics:
        lines.append("all values of the profile")
    elif assumed:
        lines.append("values: " + ", ".join(assumed))
    return tuple(dict.fromkeys(lines))


def _priced_by_parts(engine: ArrayEngine | CoreEngine) -> bool:
    """Return whether an engine's energy is a sum of MACs and accesses, to which static power would be added."""
    return isinstance(engine, ArrayEngine) or engine.run_mw is None


def _array_defaults(engine: ArrayEngine, chip: ChipFields) -> list[str]:
    lines = []
    reached = [chip.memory(name) for name in engine.memory_names(chip)]
    homes = reached[1:] if len(reached) > 1 else reached
    if "double_buffered" not in reached[0].model_fields_set:
        lines.append(f"{reached[0].name}: double-buffered")
    lines += [f"{home.name}: latency 0 cycles" for home in homes if "latency_cycles" not in home.model_fields_set]
    if engine.vector_lanes is None:
        lines.append(f"{engine.name}: {engine.cols} elementwise operations per cycle (one per column)")
    if "psum_bytes" not in engine.model_fields_set:
        lines.append(f"{engine.name}: psums of {engine.psum_bytes} bytes")
    if "macs_per_pe" not in engine.model_fields_set:
        lines.append(f"{engine.name}: one int8 MAC per PE and cycle")
    return lines
