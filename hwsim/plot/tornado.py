"""A tornado: how much each objective follows each field, the most telling field on top."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hwsim.errors import UsageError
from hwsim.explore.sensing import Sensitivity, about
from hwsim.explore.sensing_text import sensitivity_quote, shown, signed
from hwsim.plot.palette import INK, SERIES, series
from hwsim.plot.sheet import SMALL_PT, label, sheet, style

Floats = npt.NDArray[np.float64]

ROW_IN, HEAD_IN, MOST_ROWS = 0.11, 0.95, 20
# Height of all bars of a field, of the one that it has.
FILLED = 0.8
AXIS = {
    "local": "elasticity [% of change per % of the field]",
    "grid": "elasticity [% of change per % of the field]",
    "sobol": "total Sobol index [share of the variance]",
}
SPREAD = {"grid": "least to largest on the grid", "sobol": "of the field alone"}


@style()
def plot_sensitivity(found: Sensitivity, ax: Axes | None = None) -> Axes:
    """Draw how much each objective follows each field: bars to the left fall, bars to the right rise with it.

    Of a grid a bar is the mean, and a whisker goes from the least to the largest; of Sobol indices a bar is the total
    one, and a stroke the field's own.

    Args:
        found: From ``hwsim.explore.sensitivity`` or ``grid_sensitivity``.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a bar container per objective (labelled by what it is about).

    Raises:
        UsageError: No objective follows any field, or there are more objectives than colours.
    """
    rows = shown(found)
    if not rows:
        raise UsageError(
            f"{found.subject}: nothing follows any of {', '.join(found.axes)}; there is no tornado to draw"
        )
    if len(found.objectives) > len(SERIES):
        raise UsageError(f"a tornado shows {len(SERIES)} objectives at most, asked for {len(found.objectives)}")
    hidden = max(len(rows) - MOST_ROWS, 0)
    rows = rows[:MOST_ROWS]
    many = len(found.objectives)
    paper = sheet(ax, HEAD_IN + ROW_IN * len(rows) * (1 + 0.5 * many))
    axes, places = paper.axes, np.arange(len(rows), dtype=np.float64)
    thick = FILLED / many
    axes.axvline(0, color=INK, linewidth=0.6)
    for index, name in enumerate(found.objectives):
        at: Floats = places + (index - (many - 1) / 2) * thick
        values, low, high = (part[rows, index] for part in (found.values, found.low, found.high))
        known = np.nan_to_num(values)
        axes.barh(at, known, height=0.92 * thick, color=series(index).color, label=about(name))
        if found.kind == "grid":
            axes.hlines(at, low, high, color=INK, linewidth=0.8, label="spread")
        elif found.kind == "sobol":
            axes.vlines(low, at - thick / 2, at + thick / 2, color=INK, linewidth=1.0, label="alone")
        else:
            _write(axes, at, known)
    axes.set_yticks(places, [f"{label(found.axes[row], 30)}  {label(found.today[row], 16)}" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=SMALL_PT)
    axes.margins(x=0.14)
    axes.set_xlabel(AXIS[found.kind])
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    paper.title(sensitivity_quote(found), _note(found, hidden))
    handles: list[Artist] = [Patch(facecolor=series(index).color) for index in range(many)]
    names = [about(name) for name in found.objectives]
    if found.kind in SPREAD:
        mark = "_" if found.kind == "grid" else "|"
        handles.append(Line2D([], [], color=INK, marker=mark, linestyle="", markersize=6))
        names.append(SPREAD[found.kind])
    paper.legend(handles, names)
    return axes


def _write(axes: Axes, places: Floats, values: Floats) -> None:
    """Write each value that is not nothing at the end of its bar."""
    for place, value in zip(places, values, strict=True):
        if signed(float(value)) == "0":
            continue
        axes.annotate(
            signed(float(value)),
            (value, place),
            xytext=(3 if value >= 0 else -3, 0),
            textcoords="offset points",
            ha="left" if value >= 0 else "right",
            va="center_baseline",
            fontsize=SMALL_PT - 1,
        )


def _note(found: Sensitivity, hidden: int) -> str:
    what = {
        "local": "beside a field: what it is",
        "grid": "beside a field: its range",
        "sobol": "beside a field: its range",
    }
    notes = [what[found.kind], f"{hidden} fields of less effect not drawn" if hidden else ""]
    silent = len(found.axes) - len(shown(found))
    notes.append(f"{silent} without any" if silent else "")
    return "; ".join(filter(None, notes))
