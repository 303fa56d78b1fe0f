"""Many nets on many chips: a row per chip, a dot per net, a panel per quantity."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hwsim.errors import UsageError
from hwsim.plot.palette import FAINT_INK, SERIES
from hwsim.plot.panels import PANELS, Panel, side_by_side, target_of, titles
from hwsim.plot.sheet import PT_PER_IN, SMALL_PT, Sheet, label, whole_figure
from hwsim.report import Report

ROW_IN = 0.19
MARKS = "osD^vP*"
# Dots of a row stand so far from each other, and all within this of the row's middle.
APART, FARTHEST = 0.14, 0.34


def draw_dots(reports: Sequence[Report], show: Sequence[str], ax: Axes | None) -> Axes:
    """Draw quantities of reports as dots; see ``plot_compare``.

    Raises:
        UsageError: There are more nets than marks.
    """
    nets = list(dict.fromkeys(report.net for report in reports))
    pairs = [(report.net, report.chip) for report in reports]
    # The library is part of the name where a chip runs a net with several.
    names = [report.chip if len(set(pairs)) == len(pairs) else target_of(report) for report in reports]
    rows = list(dict.fromkeys(names))
    if len(nets) > len(SERIES):
        raise UsageError(
            f"{len(nets)} nets on {len(rows)} chips: a picture of so many shows {len(SERIES)} nets at most"
        )
    panels = [ax] if ax is not None else side_by_side(len(show), ROW_IN * len(rows))
    paper = Sheet(panels[0], own=ax is None)
    paper.title(*titles(reports, show))
    step = min(APART, 2 * FARTHEST / max(len(nets) - 1, 1))
    for axes, panel in zip(panels, (PANELS[name] for name in show), strict=False):
        values = [panel.value(report) if report.runs or panel.always else nan for report in reports]
        places = [
            rows.index(name) + (nets.index(report.net) - (len(nets) - 1) / 2) * step
            for name, report in zip(names, reports, strict=True)
        ]
        _draw(axes, reports, values, places, [nets.index(report.net) for report in reports], panel)
        axes.set_ylim(len(rows) - 0.4, -0.6)
    panels[0].set_yticks(range(len(rows)), [label(name, 28) for name in rows])
    handles = [
        Line2D([], [], marker=MARKS[at], color=SERIES[at], linestyle="", markersize=4) for at in range(len(nets))
    ]
    words = [label(net, 28) for net in nets]
    if not all(report.runs for report in reports):
        handles.append(Line2D([], [], marker="x", color=FAINT_INK, linestyle="", markersize=4))
        words.append("does not run")
    paper.legend(handles, words)
    if ax is None:
        _let_overhang(panels[0])
    return panels[0]


def _let_overhang(axes: Axes) -> None:
    """Let a legend be wider than its axes: it takes its height from the layout, not its width."""
    legend = axes.get_legend()
    assert legend is not None
    whole_figure(axes).draw_without_rendering()
    height_pt = legend.get_window_extent().height * PT_PER_IN / whole_figure(axes).dpi
    legend.set_in_layout(False)
    axes.set_title("legend", loc="right", alpha=0.0, fontsize=SMALL_PT, pad=height_pt - SMALL_PT)


def _draw(
    axes: Axes,
    reports: Sequence[Report],
    values: Sequence[float],
    places: Sequence[float],
    nets: Sequence[int],
    panel: Panel,
) -> None:
    shown = [value for value in values if isfinite(value) and value > 0]
    low, high = min(shown, default=1.0) / 2, max(shown, default=1.0) * 2
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    for report, value, place, net in zip(reports, values, places, nets, strict=True):
        color, mark, name = SERIES[net], MARKS[net], report.net
        if not isfinite(value):
            value, mark, name = low * (high / low) ** 0.02, "x", "does not run"
        axes.plot(max(value, low), place, marker=mark, color=color, markersize=4.0, linestyle="", label=name)
        if panel.validated and report.error_p90 is not None and report.runs:
            ends = [value * (1 - min(report.error_p90, 0.99)), value * (1 + report.error_p90)]
            axes.plot(ends, [place, place], color=color, linewidth=0.9, label="error")
    axes.xaxis.set_major_locator(LogLocator(base=panel.tick_base, numticks=5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: panel.tick(value)))
    axes.set_xlabel(panel.label)
    axes.grid(axis="x")
    for row in range(round(max(places)) + 1):
        axes.axhline(row + 0.5, color="#EEEEEE", linewidth=0.5, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
