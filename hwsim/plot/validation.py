"""Predicted against measured latency, and what is left between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from hwsim.errors import UsageError
from hwsim.plot.palette import FAINT_INK, INK, NAVY, PALE, SERIES
from hwsim.plot.sheet import SMALL_PT, label, sheet, style
from hwsim.report.words import percent, scaled
from hwsim.silicon.validation import Validated, Way

HEIGHT_IN, ROW_IN, HEAD_IN = 4.2, 0.15, 1.1
BAND = 0.25
# A colour and a mark per core, one for all NPUs, and one for any other core.
NPU = "NPU"
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m33", "cortex-m7", "cortex-a7", "cortex-a35", NPU)
MARKS = "osD^vPX*"
_COLORS = (*SERIES[:-1], NAVY, SERIES[-1])


@style()
def plot_validation(rows: Sequence[Validated], ax: Axes | None = None) -> Axes:
    """Draw predicted against measured latency on logarithmic axes, each row's net family left out of the fit.

    Args:
        rows: From ``hwsim.silicon.check``.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        UsageError: No row has a prediction.
    """
    shown = _known(rows, "family")
    paper = sheet(ax, HEIGHT_IN)
    axes = paper.axes
    measured = np.array([row.measured_s for row in shown])
    predicted = measured * (1 + np.array([row.left_out_errors["family"] for row in shown]))
    low, high = min(measured.min(), predicted.min()) / 1.5, max(measured.max(), predicted.max()) * 1.5
    line = np.array([low, high])
    axes.fill_between(line, line * (1 - BAND), line * (1 + BAND), color=PALE, linewidth=0, zorder=0)
    axes.plot(line, line, color=FAINT_INK, linewidth=0.6, zorder=1)
    for core in _cores(shown):
        at = [index for index, row in enumerate(shown) if _unit(row) == core]
        axes.plot(measured[at], predicted[at], _mark(core), **_look(core))
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: scaled(value, "s")))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.grid()
    axes.set_axisbelow(True)
    axes.set_xlabel("measured latency")
    axes.set_ylabel("predicted latency")
    paper.title(_title(shown, "family"), "each net family left out of the fit in its turn")
    handles, names = _legend(shown)
    paper.legend([*handles, Patch(color=PALE)], [*names, f"± {100 * BAND:g} %"])
    return axes


@style()
def plot_residuals(rows: Sequence[Validated], way: Way = "family", ax: Axes | None = None) -> Axes:
    """Draw the error of each row, a line per net, a mark per chip.

    Args:
        rows: From ``hwsim.silicon.check``.
        way: What was left out of the fit.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        UsageError: No row has a prediction.
    """
    shown = _known(rows, way)
    nets = sorted({(row.measurement.family, _net(row)) for row in shown})
    paper = sheet(ax, HEAD_IN + ROW_IN * len(nets))
    axes = paper.axes
    axes.axvline(0, color=INK, linewidth=0.6)
    for core in _cores(shown):
        here = [row for row in shown if _unit(row) == core]
        lines = [nets.index((row.measurement.family, _net(row))) for row in here]
        axes.plot([100 * row.left_out_errors[way] for row in here], lines, _mark(core), **_look(core))
    axes.set_yticks(range(len(nets)), [label(name, 40) for _, name in nets], fontsize=SMALL_PT)
    axes.set_ylim(len(nets) - 0.4, -0.6)
    axes.set_xlabel("predicted over measured, less one [%]")
    axes.grid()
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    paper.title(_title(shown, way), f"each {'net family' if way == 'family' else way} left out of the fit in its turn")
    paper.legend(*_legend(shown))
    return axes


def _known(rows: Sequence[Validated], way: Way) -> list[Validated]:
    known = [row for row in rows if not np.isnan(row.left_out_errors.get(way, np.nan))]
    if not known:
        raise UsageError("a picture of predictions needs a row or more that is predicted, has none")
    return known


def _title(rows: Sequence[Validated], way: Way) -> str:
    errors = [abs(row.left_out_errors[way]) for row in rows]
    p90 = float(np.quantile(errors, 0.9))
    return f"{len(rows)} measurements: mean |error| {percent(float(np.mean(errors)))}, 90th percentile {percent(p90)}"


def _net(row: Validated) -> str:
    return row.measurement.net_name.removesuffix("()")


def _unit(row: Validated) -> str:
    return NPU if row.measurement.engine == "npu" else row.measurement.core


def _cores(rows: Sequence[Validated]) -> list[str]:
    return sorted({_unit(row) for row in rows}, key=lambda core: (_place(core), core))


def _legend(rows: Sequence[Validated]) -> tuple[list[Artist], list[str]]:
    """Return a mark per core, and one of NPUs, with how many rows it has."""
    cores = _cores(rows)
    marks: list[Artist] = [Line2D([], [], marker=_mark(core), **_look(core)) for core in cores]
    return marks, [f"{core} ({sum(_unit(row) == core for row in rows)})" for core in cores]


def _place(core: str) -> int:
    return CORES.index(core) if core in CORES else len(CORES)


def _mark(core: str) -> str:
    return MARKS[_place(core)]


def _look(core: str) -> dict[str, Any]:
    color = _COLORS[_place(core)]
    return {"color": color, "linestyle": "", "markersize": 3, "markeredgewidth": 0, "alpha": 0.75}
