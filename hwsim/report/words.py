"""Numbers as people read them: three digits, a unit that keeps them short."""

from __future__ import annotations

from math import floor, isfinite, log10

from hwsim.units import (
    BYTES_PER_GIB,
    BYTES_PER_KIB,
    BYTES_PER_MIB,
    S_PER_DAY,
    S_PER_HOUR,
    S_PER_MINUTE,
    S_PER_YEAR,
)

MISSING = "–"
DIGITS = 3
# From here on a number of KiB would have four digits, of which three are told: 0.977 MiB, not 1 000 KiB.
SHORT_OF = 1000 / 1024
_LONG = ((S_PER_YEAR, "years"), (S_PER_DAY, "days"), (S_PER_HOUR, "h"), (S_PER_MINUTE, "min"))
_PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def rounded(value: float, digits: int = DIGITS) -> str:
    """Return a number to three significant digits, without an exponent and with no false zeros; – for nan."""
    if not isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    places = digits - 1 - floor(log10(abs(value)))
    # Rounding can carry into a new digit (9.996 -> 10.0).
    value = round(value, places)
    places = max(digits - 1 - floor(log10(abs(value))), 0)
    return f"{value:,.{places}f}".replace(",", " ")


def scaled(value: float, unit: str) -> str:
    """Return a quantity with the SI prefix that leaves one to three digits before the point: ``12.3 ms``."""
    if not isfinite(value):
        return MISSING
    factor, prefix = si_prefix(value)
    return f"{rounded(value / factor)} {prefix}{unit}"


def lasting(seconds: float) -> str:
    """Return a time in the unit that suits it, up to years: ``163 ms``, ``5 min``, ``2.4 years``."""
    if not isfinite(seconds):
        return MISSING
    for size, unit in _LONG:
        if seconds >= 2 * size:
            return f"{rounded(seconds / size)} {unit}"
    return scaled(seconds, "s")


def si_prefix(value: float) -> tuple[float, str]:
    """Return the factor and the name of the SI prefix that suits a finite number: 0.012 -> (0.001, "m")."""
    if value == 0:
        return 1.0, ""
    power = 3 * floor(log10(abs(float(f"{value:.{DIGITS - 1}e}"))) / 3)
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return 10.0**power, _PREFIXES[power]


def human_bytes(count: int) -> str:
    """Return bytes as B, KiB, MiB or GiB."""
    size, unit = byte_unit(count)
    return f"{rounded(count / size)} {unit}" if size > 1 else f"{count} B"


def byte_unit(count: float) -> tuple[int, str]:
    """Return the bytes and the name of the unit that suits a number of bytes: 70 000 -> (1024, "KiB")."""
    for size, unit in ((BYTES_PER_GIB, "GiB"), (BYTES_PER_MIB, "MiB")):
        if abs(count) >= SHORT_OF * size:
            return size, unit
    if abs(count) >= BYTES_PER_KIB:
        return BYTES_PER_KIB, "KiB"
    return 1, "B"


def percent(share: float) -> str:
    """Return a share 0..1 in per cent."""
    return MISSING if not isfinite(share) else f"{rounded(100 * share)} %"


def shortened(name: str, room: int) -> str:
    """Return a name with its middle left out where it is longer than ``room``; its end tells layers apart."""
    if len(name) <= room:
        return name
    tail = (room - 1) * 2 // 3
    return f"{name[: room - 1 - tail]}…{name[len(name) - tail :]}"


def printable(text: str) -> str:
    """Return text on one line, with � for characters that a terminal would act on: names come from files."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "�" for char in text)
