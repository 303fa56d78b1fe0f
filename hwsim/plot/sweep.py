"""A sweep as a picture: lines over one axis, a heatmap over two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hwsim.explore.table import SweepTable
from hwsim.plot.grid import Grid, grid, varies
from hwsim.plot.heatmap import draw_heatmap
from hwsim.plot.palette import FAINT_INK, SERIES
from hwsim.plot.quantities import (
    LONGEST,
    about_of,
    axis_label,
    geometric,
    mark_decades,
    mark_values,
    told,
    whole_names,
    wide,
)
from hwsim.plot.sheet import Sheet, label, sheet, style

Floats = npt.NDArray[np.float64]

HEIGHT_IN, HEATMAP_IN = 2.6, 3.0
DASHES, MARKS = ("-", "--"), "osD^vP*"
# Up to so many points of a line have a mark each.
MARKED = 24
NOT_RUN_AT = 0.02


@style()
def plot_sweep(
    table: SweepTable,
    y: str = "latency_s",
    x: Sequence[str] = (),
    by: str = "",
    *,
    best: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantity over what a sweep varies: lines over one axis, a heatmap over two.

    Crosses at the foot of a line, and hatched cells of a heatmap, are points that do not run.

    Args:
        table: From ``hwsim.sweep``, or some of its rows (``table.where``).
        y: The quantity, such as ``latency_ms`` or ``dram_mib``; less is better.
        x: One axis or two; none is what varies, if that is one or two.
        by: What has a line for each of its values; none is what varies besides one axis.
        best: Take the least over whatever else varies.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a line per series (labelled), or a mesh.

    Raises:
        UsageError: There is no such column, nothing runs, or more varies than can be shown.
    """
    found = grid(table, y, x, by, best=best)
    paper = sheet(ax, HEATMAP_IN if len(found.x) == 2 else HEIGHT_IN)
    paper.title(_title(table, found), _note(table, found, best=best))
    if len(found.x) == 2:
        draw_heatmap(paper, table, found)
    else:
        _draw_lines(paper, table, found)
    return paper.axes


def _draw_lines(paper: Sheet, table: SweepTable, found: Grid) -> None:
    axes, (way,) = paper.axes, found.x
    places = np.arange(len(way.values), dtype=np.float64) if way.words else way.values.astype(np.float64)
    if not way.words and geometric(places):
        axes.set_xscale("log", base=2)
    if wide(found.cells):
        axes.set_yscale("log")
    handles: list[Artist] = []
    crossed = False
    for index, cells in enumerate(found.cells):
        color, dashes = SERIES[index % len(SERIES)], DASHES[index // len(SERIES) % len(DASHES)]
        name = _series_name(found, index)
        few = min(len(places), np.isfinite(cells).sum()) <= MARKED
        handles += axes.plot(
            places,
            cells,
            color=color,
            linestyle=dashes,
            marker=MARKS[index % len(MARKS)] if few else "",
            markersize=3,
            linewidth=1.3,
            label=name,
        )
        fails = found.swept[index] & np.isnan(cells)
        if fails.any():
            crossed = True
            foot = np.full(fails.sum(), NOT_RUN_AT * (1 + 2 * index))
            axes.plot(
                places[fails],
                foot,
                "x",
                transform=axes.get_xaxis_transform(),
                color=color,
                markersize=3.5,
                label="does not run",
            )
    known = found.cells[np.isfinite(found.cells)]
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0 if known.min() >= 0 else None)
        axes.margins(y=0.1)
        axes.set_ylim(0 if known.min() >= 0 else None, known.max() * 1.08 or 1)
    else:
        axes.set_ylim(known.min() / 1.5, known.max() * 1.2)
        mark_decades(axes.yaxis)
    if way.words:
        axes.set_xticks(places, [label(str(value), 18) for value in way.values])
        axes.margins(x=0.08)
    else:
        mark_values(axes.xaxis, places)
    axes.grid()
    axes.set_axisbelow(True)
    axes.set_xlabel(axis_label(table.find(way.name).column))
    axes.set_ylabel(found.y.label)
    if crossed:
        handles.append(Line2D([], [], marker="x", linestyle="", color=FAINT_INK, markersize=3.5))
    names = [str(handle.get_label()) for handle in handles[: len(found.cells)]]
    if len(handles) > 1:
        paper.legend(handles, [*names, *["does not run"] * crossed], _series_title(table, found))


def _series_name(found: Grid, index: int) -> str:
    if found.by is None:
        return found.y.name
    value = found.by.values[index]
    return label(str(value), LONGEST) if found.by.words else f"{value:g}"


def _series_title(table: SweepTable, found: Grid) -> str | None:
    return axis_label(table.find(found.by.name).column) if found.by is not None and not found.by.words else None


def _title(table: SweepTable, found: Grid) -> str:
    """Return the sentence to quote: where the quantity is least."""
    place = np.unravel_index(np.nanargmin(found.cells), found.cells.shape)
    ways = [found.by, *found.x] if found.by is not None else [None, *found.x]
    where = [
        told(table, way.name, way.values[at])
        for way, at in zip(ways, place, strict=True)
        if way and len(way.values) > 1
    ]
    whose = [f"{name}" for name in whole_names(table) if name]
    at = f" at {', '.join(where)}" if where else ""
    return f"{' on '.join(whose)}{': ' if whose else ''}least {found.y.name} {found.y.told(found.cells[place])}{at}"


def _note(table: SweepTable, found: Grid, *, best: bool) -> str:
    shown = {way.name for way in (*found.x, found.by) if way}
    fixed, open_ = [], []
    for column in table.columns:
        if (column.role != "axis" and column.name not in ("batch", "dtype")) or column.name in shown:
            continue
        if varies(table, column.name):
            open_.append(about_of(column))
        else:
            fixed.append(told(table, column.name, table[column.name][0]))
    return ", ".join([*fixed, *([f"the best over {' and '.join(open_)}"] if open_ and best else [])])
