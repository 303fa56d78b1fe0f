"""What there is to say of chips: a line each, and a profile with its sources."""

from __future__ import annotations

from collections.abc import Iterable

from hwsim.chip.chip import Chip
from hwsim.chip.loader import load_chip
from hwsim.chip.paths import LISTS, NOT_GIVEN, field_paths, sources_of, value_at
from hwsim.chip.schema import ArrayEngine, CoreEngine
from hwsim.units import BYTES_PER_KIB

# Fields that a table of fields leaves to the lines around it.
TOLD_APART = ("schema", "name", "title", "outside")
# Fields of structure, whose source nobody asks for.
STRUCTURE = ("memories", "takes", "kind", "core", "kernels", "default_runtime", "holds")
ON_CHIP = ("sram", "tcm", "cache")
AS_ABOVE = "″"


def chip_cells(names: Iterable[str]) -> list[list[str]]:
    """Return a row per chip: name, engines, clock [MHz], peak rate [GMAC/s], RAM on chip, title.

    The peak is the first engine's, at the dtype it is fastest at.
    """
    rows = []
    for chip in map(load_chip, names):
        engines = " + ".join(_engine(engine) for engine in chip.engines)
        on_chip = sum(memory.size_bytes for memory in chip.memories if chip.memory_kind(memory) in ON_CHIP)
        size = f"{on_chip / BYTES_PER_KIB:,.0f} KiB".replace(",", " ") if on_chip else "–"
        rows.append([chip.name, engines, f"{chip.clock_mhz:g}", _peak(chip), size, chip.title])
    return rows


def _engine(engine: ArrayEngine | CoreEngine) -> str:
    if isinstance(engine, ArrayEngine):
        return f"{engine.rows}×{engine.cols}"
    return f"{engine.cores} {engine.core}" if engine.cores > 1 else engine.core


def _peak(chip: Chip) -> str:
    engine = chip.engines[0]
    units = engine.rows * engine.cols if isinstance(engine, ArrayEngine) else engine.cores
    rates = engine.macs_per_pe if isinstance(engine, ArrayEngine) else engine.peak_macs_per_cycle
    peak = max(rates.values()) * units * (engine.clock_mhz or chip.clock_mhz) / 1e3
    return f"{peak:.0f}" if peak >= 100 else f"{peak:.3g}"


def field_cells(chip: Chip) -> list[list[str]]:
    """Return a row per field of a chip: path, value, source; a source that is the one above is a ditto mark.

    The fields of an engine or a memory stand below a row with its path.
    """
    paths = [path for path in field_paths(chip) if path not in TOLD_APART]
    rows, above, last = [], "", ""
    for path, source in zip(paths, sources_of(chip, paths), strict=True):
        words = path.split(".")
        owner = ".".join(words[:2]) if words[0] in LISTS else ""
        if owner != last and owner:
            rows.append([owner, "", ""])
        told = "" if source == NOT_GIVEN and words[-1] in STRUCTURE else source
        field = f"  {'.'.join(words[2:])}" if owner else path
        rows.append([field, _shown(value_at(chip, path)), AS_ABOVE if told and told == above else told])
        above, last = told, owner
    return rows


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    name = getattr(value, "name", None)
    return f"{value:g}" if isinstance(value, float) else str(name or value)
