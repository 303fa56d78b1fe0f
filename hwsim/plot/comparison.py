"""Nets and chips side by side: latency, energy, traffic and peak memory of each pair as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from hwsim.errors import UsageError, did_you_mean
from hwsim.plot.dots import draw_dots
from hwsim.plot.palette import INK, PALE, Paint, series
from hwsim.plot.panels import ABREAST, PANELS, Panel, largest, side_by_side, target_of, titles
from hwsim.plot.sheet import SMALL_PT, Sheet, label, style
from hwsim.report import Report

ROW_IN = 0.17
# More bars than this of several nets on several chips make way for dots: a row per chip, a dot per net.
MOST_BARS = 24
# A bar leaves so much of the axis to the number behind the longest one.
ROOM_FOR_NUMBER = 1.45
# Values further apart than this are drawn on a logarithmic axis.
LINEAR_SPAN = 50
DOES_NOT_FIT, DOES_NOT_RUN = "does not fit", "does not run"


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
    """Draw quantities of each report as bars, nets in groups, a colour per chip; of many, as dots, a colour per net.

    A net that does not fit a chip has a hatched strip that says so, and no number; among dots, a cross at the left.
    Where a chip has an error against silicon, a whisker shows it on its latency.

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
    if ax is not None:
        show = show[:1]
    if len(reports) > MOST_BARS and min(len({r.net for r in reports}), len({target_of(r) for r in reports})) > 1:
        return draw_dots(reports, show, ax)
    bars, headings = _arranged(reports)
    end = max(bar.row for bar in bars) + 0.6
    panels = [ax] if ax is not None else side_by_side(len(show), ROW_IN * (end + 0.6))
    Sheet(panels[0], own=ax is None).title(*titles(reports, show))
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


def _arranged(reports: Sequence[Report]) -> tuple[list[_Bar], list[tuple[float, str]]]:
    """Return a bar per report, nets together, and the headings of nets where they are not the bars' own names."""
    nets = list(dict.fromkeys(report.net for report in reports))
    chips = list(dict.fromkeys(target_of(report) for report in reports))
    by_net = len(nets) > 1 and len(chips) > 1
    bars: list[_Bar] = []
    headings: list[tuple[float, str]] = []
    row = 0.0
    for net in nets:
        if by_net:
            headings.append((row, label(net, 44)))
            row += 1
        for report in (report for report in reports if report.net == net):
            name = label(net if len(chips) == 1 else target_of(report), 26)
            bars.append(_Bar(row, name, report, series(chips.index(target_of(report)))))
            row += 1
        row += 0.3 * by_net
    return bars, headings


def _draw(axes: Axes, bars: Sequence[_Bar], panel: Panel) -> None:
    """Draw a panel; a value without meaning becomes a hatched strip over its whole width."""
    values = [panel.value(bar.report) if bar.report.runs or panel.always else nan for bar in bars]
    factor, unit = panel.scale(largest(values))
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
