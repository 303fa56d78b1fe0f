"""What the columns of a sweep are called, and the one way from what a user writes to a column and a unit.

A column has one name, which SQL takes as it is: an axis that of its shortest path with underscores for dots, in the
unit it was given in; a result its SI unit. All other ways to write it lead here: ``memories.sram.size_kib``,
``sram.size_kib``, ``sram_size_mib``, ``sram_kib`` (the size, where that is an axis; else the bytes moved),
``latency_ms``, ``dram_mib``, ``dram_traffic_mib``, ``latency``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hwsim.chip.paths import short_path
from hwsim.chip.unit_words import UNITS as PROFILE_UNITS
from hwsim.chip.unit_words import Unit
from hwsim.errors import UsageError, did_you_mean
from hwsim.units import J_PER_MJ, J_PER_PJ, J_PER_UJ, S_PER_MS, S_PER_NS, S_PER_US

# key: which point of what; axis: was varied; derived: follows from axes; result: was computed.
Role = Literal["key", "axis", "derived", "result"]

# By the ending of a name; the longest that fits counts.
UNITS: dict[str, Unit] = {
    **PROFILE_UNITS,
    "s": Unit("time", 1, "s"),
    "ms": Unit("time", S_PER_MS, "ms"),
    "us": Unit("time", S_PER_US, "µs"),
    "ns": Unit("time", S_PER_NS, "ns"),
    "j": Unit("energy", 1, "J"),
    "mj": Unit("energy", J_PER_MJ, "mJ"),
    "uj": Unit("energy", J_PER_UJ, "µJ"),
    "pj": Unit("energy", J_PER_PJ, "pJ"),
    "js": Unit("energy-delay", 1, "J·s"),
    "mm2": Unit("area", 1, "mm²"),
    "um2": Unit("area", 1e-6, "µm²"),
    "cycles": Unit("cycles", 1, "cycle"),
}
_ENDINGS = sorted(UNITS, key=len, reverse=True)
_TRAFFIC = "_traffic"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sweep.

    Attributes:
        name: Its one name.
        role: What it is to the sweep.
        path: Full path of the profile's field, where it is one.
        unit: Its unit as people write it (KiB, s), empty for a count, a share or a word.
    """

    name: str
    role: Role
    path: str = ""
    unit: str = ""

    @classmethod
    def of(cls, name: str, role: Role, path: str = "") -> Column:
        """Return a column whose unit is told by the end of its name, or of its path."""
        unit = split_unit(path.rpartition(".")[2] if path and not path.startswith("mac_pj.") else name)[1]
        if path.startswith("mac_pj."):
            unit = UNITS["pj"]
        return cls(name, role, path, unit.written if unit is not None else "")


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: a column, and what its values are multiplied by to be in the unit asked for.

    Attributes:
        column: The column.
        factor: Values in the unit asked for = values of the column × factor.
        unit: The unit asked for, as people write it.
    """

    column: Column
    factor: float
    unit: str


def split_unit(name: str) -> tuple[str, Unit | None]:
    """Return what a name is about and its unit, by the longest ending that is one."""
    for ending in _ENDINGS:
        if name == ending or name.endswith(f"_{ending}"):
            return name[: -len(ending)].rstrip("_"), UNITS[ending]
    return name, None


def flat(path: str) -> str:
    """Return a path as SQL takes it: dots and dashes become underscores."""
    return re.sub(r"\W", "_", path)


def column_names(paths: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Return the name of each axis's column: its shortest path that no other column has, with underscores for dots.

    Args:
        paths: Full paths of the axes.
        taken: Names that other columns have.
    """
    used = {name.lower() for name in taken}  # SQL does not tell capitals from small letters
    names: dict[str, str] = {}
    for path in paths:
        forms = [flat(short_path(path)), flat(path)]
        forms += [f"{flat(path)}_{number}" for number in range(2, len(paths) + 3)]
        names[path] = next(form for form in forms if form.lower() not in used)
        used.add(names[path].lower())
    return names


def find(columns: Sequence[Column], name: str) -> Found:
    """Return the column that a name stands for.

    Args:
        columns: Those there are.
        name: As a user writes it.

    Raises:
        UsageError: It stands for none; the nearest is told.
    """
    for column in columns:
        if name in (column.name, column.path) or (column.path and name == short_path(column.path)):
            return Found(column, 1.0, column.unit)
    written = flat(name).lower()
    for column in columns:
        if written in _forms(column):
            return Found(column, 1.0, column.unit)
    found = _in_another_unit(columns, written)
    if found is not None:
        return found
    known = [column.name for column in columns]
    hint = did_you_mean(written, known) or did_you_mean(name, [column.path for column in columns if column.path])
    raise UsageError(f"the sweep has no column {name!r}{hint or '; it has ' + ', '.join(known)}")


def _forms(column: Column) -> tuple[str, ...]:
    """Return the column's name, and its path, as they are with underscores and small letters."""
    return (column.name.lower(), flat(column.path).lower()) if column.path else (column.name.lower(),)


def _in_another_unit(columns: Sequence[Column], written: str) -> Found | None:
    """Return the column that a name means in a unit that is not the column's own, or in its own if it names none."""
    stem, unit = split_unit(written)
    # A memory's name with a unit of size is its size where that was varied, and what it moves where it was not.
    stems = [f"{stem}_size", stem] if unit is not None and unit.measure == "size" else [stem]
    stems += [stem.removesuffix(_TRAFFIC)] if stem.endswith(_TRAFFIC) else []
    for wanted in stems:
        for column in columns:
            for form in _forms(column):
                about, own = split_unit(form)
                if about != wanted or own is None or (stem.endswith(_TRAFFIC) and column.role != "result"):
                    continue
                if unit is None:
                    return Found(column, 1.0, column.unit)
                if own.measure == unit.measure:
                    return Found(column, own.factor / unit.factor, unit.written)
    return None
