"""What there is to say of chips: a line each, and a profile with its sources."""

from __future__ import annotations

from collections.abc import Iterable

from hwsim.chip.chip import Chip
from hwsim.chip.loader import load_chip
from hwsim.chip.paths import field_paths, source_of, value_at
from hwsim.chip.schema import ArrayEngine, CoreEngine


def chip_cells(names: Iterable[str]) -> list[list[str]]:
    """Return a row per chip: name, engines, memories, runtimes, title."""
    rows = []
    for chip in map(load_chip, names):
        engines = ", ".join(_engine(engine) for engine in chip.engines)
        memories = ", ".join(memory.name for memory in chip.memories)
        runtimes = ", ".join(
            name for engine in chip.engines if isinstance(engine, CoreEngine) for name in engine.kernels
        )
        rows.append([chip.name, engines, memories, runtimes, chip.title])
    return rows


def _engine(engine: ArrayEngine | CoreEngine) -> str:
    return f"{engine.rows}×{engine.cols} array" if isinstance(engine, ArrayEngine) else engine.core


def field_cells(chip: Chip) -> list[list[str]]:
    """Return a row per field of a chip: path, value, source."""
    return [[path, _shown(value_at(chip, path)), source_of(chip, path)] for path in field_paths(chip)]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    name = getattr(value, "name", None)
    return f"{value:g}" if isinstance(value, float) else str(name or value)
