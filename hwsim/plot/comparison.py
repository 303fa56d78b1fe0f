"""Nets and chips side by side: latency, energy, traffic and peak memory of each pair as bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from hwsim.errors import UsageError, did_you_mean
from hwsim.plot.palette import INK, PALE, Paint, series
from hwsim.plot.sheet import SMALL_PT, WIDTH_IN, Sheet, bytes_unit, joules_unit, label, seconds_unit, style
from hwsim.report import Report
from hwsim.report.comparison import quantity
from hwsim.report.words import human_bytes, percent, scaled
from hwsim.units import BYTES_PER_KIB

ROW_IN, HEAD_IN, BETWEEN_IN = 0.17, 0.95, 0.4
# A bar leaves so much of the axis to the number behind the longest one.
ROOM_FOR_NUMBER = 1.45
# Values further apart than this are drawn on a logarithmic axis.
LINEAR_SPAN = 50
ABREAST = 2
DOES_NOT_FIT, DOES_NOT_RUN = "does not fit", "does not run"


@dataclass(frozen=True, slots=True)
class _Panel:
    """A quantity of a report, and how it is shown.

    Attributes:
        label: What it is called.
        value: Reads it off a report.
        scale: Returns the factor and the unit that suit the largest.
        words: Writes it.
        always: Whether it has a meaning where the net does not run.
        validated: Whether the chip's error is this quantity's.
    """

    label: str
    value: Callable[[Report], float]
    scale: Callable[[float], tuple[float, str]]
    words: Callable[[float], str]
    always: bool = False
    validated: bool = False


def _bytes(value: float) -> str:
    return human_bytes(round(value))


# Read as ``hwsim compare`` reads them, so that picture and table say the same.
PANELS = {
    "latency": _Panel(
        "latency", lambda report: report.latency_s, seconds_unit, lambda value: scaled(value, "s"), validated=True
    ),
    "energy": _Panel("energy", lambda report: report.energy_j, joules_unit, lambda value: scaled(value, "J")),
    "traffic": _Panel(
        "traffic at all ports", lambda report: quantity(report, "traffic_kib") * BYTES_PER_KIB, bytes_unit, _bytes
    ),
    "memory": _Panel(
        "peak memory", lambda report: quantity(report, "peak_kib") * BYTES_PER_KIB, bytes_unit, _bytes, always=True
    ),
}


@dataclass(frozen=True, slots=True)
class _Bar:
    row: float
    name: str
    report: Report
    paint: Paint


@style()
def plot_compare(
    reports: Sequence[Report],
    ax: Axes | None = None,
    *,
    show: Sequence[str] = ("latency", "energy", "traffic", "memory"),
) -> Axes:
    """Draw quantities of each report as bars, nets in groups, a colour per chip.

    A net that does not fit a chip has a hatched strip that says so, and no number. Where a chip has an error against
    silicon, a whisker shows it on its latency.

    Args:
        reports: From ``hwsim.evaluate``, in the order of the groups.
        ax: Where to draw the first quantity alone; None makes a figure with all of them.
        show: The quantities: latency, energy, traffic (of all memories together), memory (the arena's peak).

    Returns:
        The axes of the first quantity.

    Raises:
        UsageError: There is no report, or no such quantity.
    """
    if not reports:
        raise UsageError("plot_compare needs a report or more, has none")
    for name in show:
        if name not in PANELS:
            raise UsageError(f"show {name!r}: must be one of {', '.join(PANELS)}{did_you_mean(name, PANELS)}")
    if not show:
        raise UsageError(f"show: name a quantity or more of {', '.join(PANELS)}")
    bars, headings = _arranged(reports)
    end = max(bar.row for bar in bars) + 0.6
    panels = [ax] if ax is not None else _panels(len(show), ROW_IN * (end + 0.6))
    Sheet(panels[0], own=ax is None).title(*_titles(reports, show))
    for index, (axes, name) in enumerate(zip(panels, show, strict=False)):
        _draw(axes, bars, PANELS[name])
        axes.set_ylim(end, -0.6)
        for row, heading in headings if index % ABREAST == 0 else ():
            axes.annotate(
                heading,
                (0, row),
                xycoords=("axes fraction", "data"),
                xytext=(2, 0),
                textcoords="offset points",
                va="center_baseline",
                fontweight="bold",
                fontsize=SMALL_PT,
            ).set_in_layout(False)
    panels[0].set_yticks([bar.row for bar in bars], [bar.name for bar in bars])
    return panels[0]


def _panels(count: int, bars_in: float) -> list[Axes]:
    """Return axes for so many quantities, two abreast, each with room for bars of that height [inch]."""
    columns = min(count, ABREAST)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH_IN, HEAD_IN + (bars_in + BETWEEN_IN) * rows - BETWEEN_IN), layout="constrained")
    panels: list[Axes] = []
    for index in range(count):
        panels.append(figure.add_subplot(rows, columns, index + 1, sharey=panels[0] if panels else None))
        panels[-1].tick_params(axis="y", labelleft=index % columns == 0)
    return panels


def _arranged(reports: Sequence[Report]) -> tuple[list[_Bar], list[tuple[float, str]]]:
    """Return a bar per report, nets together, and the headings of nets where they are not the bars' own names."""
    nets = list(dict.fromkeys(report.net for report in reports))
    chips = list(dict.fromkeys(_target(report) for report in reports))
    by_net = len(nets) > 1 and len(chips) > 1
    bars: list[_Bar] = []
    headings: list[tuple[float, str]] = []
    row = 0.0
    for net in nets:
        if by_net:
            headings.append((row, label(net, 44)))
            row += 1
        for report in (report for report in reports if report.net == net):
            name = label(net if len(chips) == 1 else _target(report), 26)
            bars.append(_Bar(row, name, report, series(chips.index(_target(report)))))
            row += 1
        row += 0.3 * by_net
    return bars, headings


def _target(report: Report) -> str:
    return f"{report.chip} ({report.runtime})" if report.runtime else report.chip


def _titles(reports: Sequence[Report], show: Sequence[str]) -> tuple[str, str]:
    """Return the title, and the note that says how far the numbers are validated."""
    nets, chips = (list(dict.fromkeys(names)) for names in zip(*((r.net, _target(r)) for r in reports), strict=True))
    what = nets[0] if len(nets) == 1 else f"{len(nets)} nets"
    where = chips[0] if len(chips) == 1 else f"{len(chips)} chips"
    status: dict[str, list[str]] = {}
    for report in reports:
        error = "not validated" if report.error_p90 is None else f"± {percent(report.error_p90)}"
        status.setdefault(error, []).append(_target(report))
    errors = [f"{error}: {', '.join(dict.fromkeys(targets))}" for error, targets in status.items()]
    conditions = dict.fromkeys(f"batch {report.batch}, dtype {report.dtype}" for report in reports)
    named = [PANELS[name].label for name in show]
    told = " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    return f"{what} on {where}: {told} of an inference", "; ".join([*errors, *conditions])


def _largest(values: Sequence[float]) -> float:
    return max((value for value in values if isfinite(value)), default=0.0)


def _draw(axes: Axes, bars: Sequence[_Bar], panel: _Panel) -> None:
    """Draw a panel; a value without meaning becomes a hatched strip over its whole width."""
    values = [panel.value(bar.report) if bar.report.runs or panel.always else nan for bar in bars]
    factor, unit = panel.scale(_largest(values))
    shown = [value / factor for value in values if isfinite(value) and value > 0]
    low, high = 0.0, max(shown, default=1.0) * ROOM_FOR_NUMBER
    if shown and max(shown) > LINEAR_SPAN * min(shown):
        low, high = min(shown) / 2, max(shown) * (high / min(shown)) ** (ROOM_FOR_NUMBER - 1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    for bar, value in zip(bars, values, strict=True):
        runs, error = isfinite(value), bar.report.error_p90 if panel.validated else None
        if runs:
            axes.barh(bar.row, value / factor, height=0.78, color=bar.paint.color, hatch=bar.paint.hatch)
            text = panel.words(value)
            if error is not None:
                length = value / factor
                axes.errorbar(length, bar.row, xerr=length * error, color=INK, linewidth=0.8, capsize=1.5)
        else:
            axes.barh(bar.row, high, height=0.78, color=PALE, hatch="////")
            text = DOES_NOT_RUN if bar.report.fits else DOES_NOT_FIT
        axes.annotate(
            text,
            (max(value / factor * (1 + (error or 0.0)), low) if runs else low, bar.row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=SMALL_PT,
            bbox=None if runs else {"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    axes.set_xlim(low, high)
    axes.set_xlabel(f"{panel.label} [{unit}]")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
