"""What a profile leaves open, and which of its numbers are assumed, as lines for a report."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hwsim.chip.paths import LISTS, field_paths, short_path, sources_of
from hwsim.chip.schema import ArrayEngine, ChipFields, CoreEngine
from hwsim.chip.sram import BY_CACTI

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
    "regulator",
    "memories",
    "holds",
    "prefers",
)


# Fields that matter only where a chip waits.
WAITING = ("idle_mw", "sleep_uw", "wake_us")


def assumptions(chip: ChipFields, used: Collection[str] | None = None) -> tuple[str, ...]:
    """Return a line for the defaults taken, and one for the fields whose source is "assumed".

    Args:
        chip: The chip.
        used: Names of the engines and memories that matter, and of ``WAITING`` fields; None is all of them.
    """
    lines = []
    engines = [engine for engine in chip.engines if used is None or engine.name in used]
    defaults = []
    if chip.static_mw is None and any(_priced_by_parts(engine) for engine in engines):
        defaults.append("static power 0 mW")
    for engine in engines:
        if isinstance(engine, ArrayEngine):
            defaults += _array_defaults(engine, chip)
        elif engine.rated_mhz not in (None, engine.clock_mhz or chip.clock_mhz):
            open_ = "run_fixed_mw" not in engine.model_fields_set
            defaults += [f"{engine.name}: all of run_mw follows the clock"] if open_ else []
    if defaults:
        lines.append("left open: " + "; ".join(dict.fromkeys(defaults)))
    lines += [
        f"{memory.name}: pJ/B by CACTI 7 for its size (64-bit accesses, low standby power cells)"
        for memory in chip.memories
        if memory.pj_per_byte == BY_CACTI
    ]
    physics = [path for path in field_paths(chip) if path.rpartition(".")[2] not in UNSOURCED and _matters(path, used)]
    sources = sources_of(chip, physics)
    assumed = [path for path, source in zip(physics, sources, strict=True) if source.startswith("assumed")]
    if assumed == physics:
        lines.append("values: all of the profile")
    elif assumed:
        lines.append("values: " + "; ".join(_grouped(assumed)))
    return tuple(lines)


def _matters(path: str, used: Collection[str] | None) -> bool:
    head, _, rest = path.partition(".")
    if used is not None and path in WAITING:
        return path in used
    return used is None or head not in LISTS or rest.partition(".")[0] in used


def _grouped(paths: Sequence[str]) -> list[str]:
    """Return paths with the fields of one engine or memory together: ``flash size_kib, latency_cycles``."""
    fields: dict[str, list[str]] = {}
    for path in paths:
        owner, _, field = short_path(path).partition(".") if path.partition(".")[0] in LISTS else ("", "", path)
        fields.setdefault(owner, []).append(field)
    return [f"{owner} {', '.join(names)}".strip() for owner, names in fields.items()]


def _priced_by_parts(engine: ArrayEngine | CoreEngine) -> bool:
    """Return whether an engine's energy is a sum of MACs and accesses, to which static power would be added."""
    return engine.run_mw is None


def _array_defaults(engine: ArrayEngine, chip: ChipFields) -> list[str]:
    lines = []
    buffers = dict.fromkeys(engine.buffers(chip).values())
    lines += [f"{name}: double-buffered" for name in buffers if "transfers" not in chip.memory(name).model_fields_set]
    homes = [chip.memory(name) for name in engine.homes(chip)]
    lines += [f"{home.name}: latency 0 cycles" for home in homes if "latency_cycles" not in home.model_fields_set]
    if engine.vector_lanes is None:
        lines.append(f"{engine.name}: {engine.cols} elementwise operations per cycle (one per column)")
    if "psum_bytes" not in engine.model_fields_set:
        lines.append(f"{engine.name}: psums of {engine.psum_bytes} bytes")
    if "inter_layer" not in engine.model_fields_set:
        lines.append(f"{engine.name}: nothing stays on chip between layers")
    if "macs_per_pe" not in engine.model_fields_set:
        lines.append(f"{engine.name}: one int8 MAC per PE and cycle")
    return lines
