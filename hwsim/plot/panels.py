"""Quantities of reports that stand side by side: how each is read, scaled and written, and the axes for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwsim.plot.sheet import WIDTH_IN, bytes_unit, joules_unit, seconds_unit, short_bytes
from hwsim.report import Report
from hwsim.report.comparison import quantity
from hwsim.report.words import human_bytes, percent, scaled, si_prefix
from hwsim.units import BYTES_PER_KIB

HEAD_IN, BETWEEN_IN, ABREAST = 0.95, 0.4, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A quantity of a report, and how it is shown.

    Attributes:
        label: What it is called.
        value: Reads it off a report.
        scale: Returns the factor and the unit that suit the largest.
        words: Writes it.
        tick: Writes it at a tick of a logarithmic axis, short and with its unit.
        tick_base: The base of which such ticks are powers.
        always: Whether it has a meaning where the net does not run.
        validated: Whether the chip's error is this quantity's.
    """

    label: str
    value: Callable[[Report], float]
    scale: Callable[[float], tuple[float, str]]
    words: Callable[[float], str]
    tick: Callable[[float], str]
    tick_base: float = 10.0
    always: bool = False
    validated: bool = False


def _bytes(value: float) -> str:
    return human_bytes(round(value))


def _short(unit: str) -> Callable[[float], str]:
    """Return what writes a round value of a unit without zeros behind the point: ``10 ms``."""

    def write(value: float) -> str:
        factor, prefix = si_prefix(value)
        return f"{value / factor:.3g} {prefix}{unit}"

    return write


# Read as ``hwsim compare`` reads them, so that picture and table say the same.
PANELS = {
    "latency": Panel(
        label="latency",
        value=lambda report: report.latency_s,
        scale=seconds_unit,
        words=lambda value: scaled(value, "s"),
        tick=_short("s"),
        validated=True,
    ),
    "energy": Panel(
        label="energy",
        value=lambda report: report.energy_j,
        scale=joules_unit,
        words=lambda value: scaled(value, "J"),
        tick=_short("J"),
    ),
    "traffic": Panel(
        label="traffic at all ports",
        value=lambda report: quantity(report, "traffic_kib") * BYTES_PER_KIB,
        scale=bytes_unit,
        words=_bytes,
        tick=short_bytes,
        tick_base=8.0,
    ),
    "memory": Panel(
        label="peak memory",
        value=lambda report: quantity(report, "peak_kib") * BYTES_PER_KIB,
        scale=bytes_unit,
        words=_bytes,
        tick=short_bytes,
        tick_base=8.0,
        always=True,
    ),
}


def side_by_side(count: int, bars_in: float) -> list[Axes]:
    """Return axes for so many quantities, two abreast, each with room for bars of that height [inch]."""
    columns = min(count, ABREAST)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH_IN, HEAD_IN + (bars_in + BETWEEN_IN) * rows - BETWEEN_IN), layout="constrained")
    panels: list[Axes] = []
    for index in range(count):
        panels.append(figure.add_subplot(rows, columns, index + 1, sharey=panels[0] if panels else None))
        panels[-1].tick_params(axis="y", labelleft=index % columns == 0)
    return panels


def target_of(report: Report) -> str:
    """Return a chip with the kernel library that its cores run."""
    return f"{report.chip} ({report.runtime})" if report.runtime else report.chip


def titles(reports: Sequence[Report], show: Sequence[str]) -> tuple[str, str]:
    """Return the title, and the note that says how far the numbers are validated."""
    nets, chips = list(dict.fromkeys(r.net for r in reports)), list(dict.fromkeys(r.chip for r in reports))
    what = nets[0] if len(nets) == 1 else f"{len(nets)} nets"
    where = target_of(reports[0]) if len(chips) == 1 else f"{len(chips)} chips"
    status: dict[str, list[str]] = {}
    for report in reports:
        error = "not validated" if report.error_p90 is None else f"± {percent(report.error_p90)}"
        status.setdefault(error, []).append(target_of(report))
    errors = [f"{error}: {', '.join(dict.fromkeys(targets))}" for error, targets in status.items()]
    conditions = dict.fromkeys(f"batch {report.batch}, dtype {report.dtype}" for report in reports)
    named = [PANELS[name].label for name in show]
    told = " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    return f"{what} on {where}: {told} of an inference", "; ".join([*errors, *conditions])


def largest(values: Sequence[float]) -> float:
    """Return the largest of the values that have a meaning."""
    return max((value for value in values if isfinite(value)), default=0.0)
