"""Columns of a sweep as what an axis shows: values in a unit that suits them, and a label that says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from hwsim.errors import UsageError
from hwsim.explore.names import Column, split_unit
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.plot.sheet import bytes_unit, joules_unit, label, seconds_unit
from hwsim.report.words import rounded

Floats = npt.NDArray[np.float64]

# Letters of a value's name in a legend or a title.
LONGEST = 48
NEED, MOVED = "_need_bytes", "_bytes"
_SCALED = {"s": seconds_unit, "J": joules_unit, "B": bytes_unit}
# What a name whose unit is its only word for what is measured is about: ``dram_gb_per_s``.
_NOUNS = {"bandwidth": "bandwidth", "width": "bandwidth", "access": "access energy"}
# A logarithmic axis needs values that span so much; up to so many values have a tick each.
LOG_SPAN, MOST_TICKS = 8.0, 9
# Factors so alike that only rounding tells them apart.
EVEN = 1e-6


@dataclass(frozen=True, slots=True)
class Quantity:
    """A column of numbers to be drawn.

    Attributes:
        name: What it is, without its unit: ``latency``, ``sram size``.
        unit: Its unit, empty for a count or a share.
        values: In that unit, nan without meaning, shape [row].
        varied: Whether it is an axis of the sweep.
    """

    name: str
    unit: str
    values: Floats
    varied: bool = False

    @property
    def label(self) -> str:
        """What an axis says."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    def told(self, value: float) -> str:
        """Return a value with its unit, as a sentence has it."""
        return f"{rounded(value)} {self.unit}".strip()


def quantity(table: SweepTable, name: str) -> Quantity:
    """Return the column of numbers that a name stands for.

    A result named as the table has it (``latency_s``), or without a unit (``latency``), is scaled to one that suits it.

    Raises:
        UsageError: There is no such column, or it holds words.
    """
    found = table.find(name)
    stored = table.stored(name)
    if isinstance(stored, Words) or stored.dtype.kind == "b":
        kind = "words" if isinstance(stored, Words) else "truth values"
        raise UsageError(f"column {found.column.name!r}: holds {kind}, where a picture needs numbers")
    values = stored.astype(np.float64)
    about = about_of(found.column)
    scale = _SCALED.get(found.unit)
    if found.column.role == "result" and found.factor == 1.0 and scale is not None:
        factor, unit = scale(float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0)))
        return Quantity(about, unit, values / factor)
    return Quantity(about, found.unit, values * found.factor, varied=found.column.role == "axis")


def about_of(column: Column) -> str:
    """Return what a column is about, in words and without its unit: ``dram traffic``."""
    if column.path.startswith("mac_pj."):
        return f"{column.path.rpartition('.')[2]} MAC energy"
    stem, unit = split_unit(column.name)
    if column.role == "result" and column.name.endswith(NEED):
        stem = f"{column.name.removesuffix(NEED)} need"
    elif column.role == "result" and column.name.endswith(MOVED):
        stem = f"{column.name.removesuffix(MOVED)} traffic"
    elif unit is not None and unit.measure in _NOUNS:
        stem = f"{stem} {_NOUNS[unit.measure]}"
    words = (stem if unit is not None and stem else column.name).replace("_", " ").strip()
    return label(words, 40)


def told(table: SweepTable, name: str, value: Any) -> str:
    """Return the value of an axis or a key as a sentence has it: ``npu rows 16``, ``sram size 128 KiB``, ``lenet5``."""
    column = table.find(name).column
    if isinstance(table.stored(name), Words):
        return label(str(value), LONGEST)
    return f"{about_of(column)} {number(float(value))} {column.unit}".strip()


def axis_label(column: Column) -> str:
    """Return what the axis of something that varies says."""
    return f"{about_of(column)} [{column.unit}]" if column.unit else about_of(column)


def count(many: int) -> str:
    """Return how many of something, its thousands apart."""
    return f"{many:,}".replace(",", " ")


def number(value: float) -> str:
    """Return a value as it was given where it is whole, else to three digits."""
    return f"{value:.0f}" if value % 1 == 0 else rounded(value)


def geometric(values: Floats) -> bool:
    """Return whether distinct ascending values are spaced by factors rather than by steps."""
    if len(values) < 3 or values[0] <= 0:
        return False
    steps, factors = np.diff(values), np.diff(np.log(values))
    uneven = float(np.std(factors) / np.mean(factors))
    # Few values of a short span may be powers of one factor, or so only by chance.
    return uneven < EVEN or bool(values[-1] >= LOG_SPAN * values[0] and uneven <= np.std(steps) / np.mean(steps))


def wide(values: Floats) -> bool:
    """Return whether results span so much that only a logarithmic axis shows all of them."""
    known = values[np.isfinite(values)]
    return bool(len(known) and known.min() > 0 and known.max() > LOG_SPAN * known.min())


def mark_values(axis: Axis, values: Floats | None = None) -> None:
    """Put a tick at each of a few values of an axis, or at round numbers between many."""
    if values is not None and len(values) <= MOST_TICKS:
        axis.set_major_locator(FixedLocator(values.tolist()))
    elif axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(base=2, numticks=MOST_TICKS))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def mark_decades(axis: Axis) -> None:
    """Put ticks at 1, 2 and 5 of each decade of a logarithmic axis, or at the decades where there are many."""
    low, high = axis.get_view_interval()
    many = low > 0 and high / low > 1e3
    axis.set_major_locator(LogLocator(base=10, subs=(1.0,) if many else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_names(table: SweepTable) -> list[str]:
    """Return the net, if there is one alone, and the chip that a sweep is of; empty where it does not say."""
    nets = distinct_words(table, "net")
    return [label(nets[0], 40) if len(nets) == 1 else "", label(str(table.metadata.get("chip", "")), 30)]


def distinct_words(table: SweepTable, name: str) -> list[str]:
    """Return the distinct words of a column; none where there is no such column of words."""
    stored = table.stored(name) if name in table.names else None
    return [stored.vocabulary[code] for code in np.unique(stored.codes)] if isinstance(stored, Words) else []
