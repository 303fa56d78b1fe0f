"""Fields given in a unit that profiles do not use: which field was meant, and what its value would be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hwsim.errors import did_you_mean
from hwsim.units import BITS_PER_BYTE, BYTES_PER_GIB, BYTES_PER_KIB, BYTES_PER_MIB


class Unit(NamedTuple):
    """A unit: what it measures, how many of that measure's base unit it is, and how people write it."""

    measure: str
    factor: float
    written: str


# By the ending of a field's name; a longer ending wins over a shorter.
UNITS: dict[str, Unit] = {
    "bits": Unit("size", 1 / BITS_PER_BYTE, "bit"),
    "bytes": Unit("size", 1, "B"),
    "b": Unit("size", 1, "B"),
    "kb": Unit("size", 1e3, "kB"),
    "kib": Unit("size", BYTES_PER_KIB, "KiB"),
    "mb": Unit("size", 1e6, "MB"),
    "mib": Unit("size", BYTES_PER_MIB, "MiB"),
    "gb": Unit("size", 1e9, "GB"),
    "gib": Unit("size", BYTES_PER_GIB, "GiB"),
    "bytes_per_s": Unit("bandwidth", 1, "B/s"),
    "kb_per_s": Unit("bandwidth", 1e3, "kB/s"),
    "mb_per_s": Unit("bandwidth", 1e6, "MB/s"),
    "mib_per_s": Unit("bandwidth", BYTES_PER_MIB, "MiB/s"),
    "gb_per_s": Unit("bandwidth", 1e9, "GB/s"),
    "gib_per_s": Unit("bandwidth", BYTES_PER_GIB, "GiB/s"),
    "bytes_per_cycle": Unit("width", 1, "B/cycle"),
    "bits_per_cycle": Unit("width", 1 / BITS_PER_BYTE, "bit/cycle"),
    "hz": Unit("frequency", 1, "Hz"),
    "khz": Unit("frequency", 1e3, "kHz"),
    "mhz": Unit("frequency", 1e6, "MHz"),
    "ghz": Unit("frequency", 1e9, "GHz"),
    "nw": Unit("power", 1e-9, "nW"),
    "uw": Unit("power", 1e-6, "µW"),
    "mw": Unit("power", 1e-3, "mW"),
    "w": Unit("power", 1, "W"),
    "fj": Unit("energy", 1e-15, "fJ"),
    "pj": Unit("energy", 1e-12, "pJ"),
    "nj": Unit("energy", 1e-9, "nJ"),
    "fj_per_byte": Unit("access", 1e-15, "fJ/B"),
    "pj_per_byte": Unit("access", 1e-12, "pJ/B"),
    "nj_per_byte": Unit("access", 1e-9, "nJ/B"),
    "pj_per_bit": Unit("access", BITS_PER_BYTE * 1e-12, "pJ/bit"),
    "mv": Unit("voltage", 1e-3, "mV"),
    "v": Unit("voltage", 1, "V"),
    "um": Unit("length", 1e-6, "µm"),
    "nm": Unit("length", 1e-9, "nm"),
}
# Other words for what a field is about.
STEMS = {"capacity": "size", "frequency": "clock", "freq": "clock", "bandwidth": "", "bw": "", "energy": "", "port": ""}


def meant(field: str, known: Iterable[str], value: Any = None) -> str:
    """Return ``; did you mean 'size_kib' [KiB]? (256 kB is 250 KiB)`` for a mistyped field or unit, or nothing.

    Args:
        field: The unknown field.
        known: Fields there are in its place.
        value: What it was given, to be converted where it is a number.
    """
    names = list(known)
    stem, unit = _split(field)
    alike = [
        (name, other)
        for name in names
        for other_stem, other in (_split(name),)
        if unit is not None and other is not None and (other_stem, other.measure) == (stem, unit.measure)
    ]
    if unit is None or not alike:
        if STEMS.get(field) == "":
            found = [name for name in names if (split := _split(name))[1] and split[0] == "" and _is_port(split[1])]
            return f"; did you mean {' or '.join(map(repr, found))}?" if found else did_you_mean(field, names)
        return did_you_mean(field, names)
    name, other = min(alike, key=lambda pair: abs(pair[1].factor / unit.factor - 1))
    hint = f"; did you mean {name!r} [{other.written}]?"
    if isinstance(value, int | float) and not isinstance(value, bool) and other.factor != unit.factor:
        hint += f" ({value:g} {unit.written} is {value * unit.factor / other.factor:.6g} {other.written})"
    return hint


def _is_port(unit: Unit | None) -> bool:
    return unit is not None and unit.measure in ("bandwidth", "width")


def _split(field: str) -> tuple[str, Unit | None]:
    """Return what a field is about and its unit, by the longest ending that is one."""
    for ending in sorted(UNITS, key=len, reverse=True):
        if field == ending or field.endswith(f"_{ending}"):
            stem = field[: -len(ending)].rstrip("_")
            return STEMS.get(stem, stem), UNITS[ending]
    return STEMS.get(field, field), None
