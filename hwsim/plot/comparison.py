"""Nets and chips side by side: latency and energy of each pair as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from hwsim.errors import UsageError
from hwsim.plot.palette import INK, PALE, Paint, series
from hwsim.plot.sheet import SMALL_PT, WIDTH_IN, Sheet, joules_unit, label, seconds_unit, style
from hwsim.report import Report
from hwsim.report.words import percent, scaled

ROW_IN, HEAD_IN = 0.17, 0.95
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
def plot_compare(reports: Sequence[Report], ax: Axes | None = None) -> Axes:
    """Draw the latency and the energy of each report as bars, nets in groups, a colour per chip.

    A net that does not fit a chip has a hatched strip that says so, and no number. Where a chip has an error against
    silicon, a whisker shows it.

    Args:
        reports: From ``hwsim.evaluate``, in the order of the groups.
        ax: Where to draw the latencies alone; None makes a figure with energies beside them.

    Returns:
        The axes of the latencies.

    Raises:
        UsageError: There is no report.
    """
    if not reports:
        raise UsageError("plot_compare needs a report or more, has none")
    bars, headings = _arranged(reports)
    end = max(bar.row for bar in bars) + 0.6
    times, energies = ax, None
    if times is None:
        figure = Figure(figsize=(WIDTH_IN, HEAD_IN + ROW_IN * (end + 0.6)), layout="constrained")
        times = figure.add_subplot(1, 2, 1)
        energies = figure.add_subplot(1, 2, 2, sharey=times)
        energies.tick_params(axis="y", labelleft=False)
    Sheet(times, own=ax is None).title(*_titles(reports))
    latency_s = [bar.report.latency_s for bar in bars]
    factor, unit = seconds_unit(_largest(latency_s))
    _draw(times, bars, latency_s, factor, "s")
    times.set_xlabel(f"latency [{unit}]")
    for bar in bars:
        if bar.report.error_p90 is not None and bar.report.runs:
            value = bar.report.latency_s / factor
            times.errorbar(value, bar.row, xerr=value * bar.report.error_p90, color=INK, linewidth=0.8, capsize=1.5)
    if energies is not None:
        energy_j = [bar.report.energy_j for bar in bars]
        factor, unit = joules_unit(_largest(energy_j))
        _draw(energies, bars, energy_j, factor, "J")
        energies.set_xlabel(f"energy [{unit}]")
    times.set_yticks([bar.row for bar in bars], [bar.name for bar in bars])
    times.set_ylim(end, -0.6)
    for row, heading in headings:
        times.annotate(
            heading,
            (0, row),
            xycoords=("axes fraction", "data"),
            xytext=(2, 0),
            textcoords="offset points",
            va="center_baseline",
            fontweight="bold",
            fontsize=SMALL_PT,
        ).set_in_layout(False)
    return times


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


def _titles(reports: Sequence[Report]) -> tuple[str, str]:
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
    return f"{what} on {where}: latency and energy of an inference", "; ".join([*errors, *conditions])


def _largest(values: Sequence[float]) -> float:
    return max((value for value in values if isfinite(value)), default=0.0)


def _draw(axes: Axes, bars: Sequence[_Bar], values: Sequence[float], factor: float, unit: str) -> None:
    """Draw a panel; a value without meaning becomes a hatched strip over its whole width."""
    shown = [value / factor for value in values if isfinite(value) and value > 0]
    low, high = 0.0, max(shown, default=1.0) * ROOM_FOR_NUMBER
    if shown and max(shown) > LINEAR_SPAN * min(shown):
        low, high = min(shown) / 2, max(shown) * (high / min(shown)) ** (ROOM_FOR_NUMBER - 1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    for bar, value in zip(bars, values, strict=True):
        runs = isfinite(value)
        if runs:
            axes.barh(bar.row, value / factor, height=0.78, color=bar.paint.color, hatch=bar.paint.hatch)
            text = scaled(value, unit)
        else:
            axes.barh(bar.row, high, height=0.78, color=PALE, hatch="////")
            text = DOES_NOT_RUN if bar.report.fits else DOES_NOT_FIT
        axes.annotate(
            text,
            (max(value / factor, low) if runs else low, bar.row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=SMALL_PT,
            bbox=None if runs else {"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    axes.set_xlim(low, high)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
