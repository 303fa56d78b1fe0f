"""A quantity over two axes: coloured cells with contours, what does not run hatched, the least of it marked."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hwsim.explore.table import SweepTable
from hwsim.plot.grid import Grid, Way
from hwsim.plot.palette import GREY, INK, PALE
from hwsim.plot.quantities import axis_label, geometric, mark_values, wide
from hwsim.plot.sheet import SMALL_PT, Sheet, label, whole_figure
from hwsim.report.words import rounded

Floats = npt.NDArray[np.float64]

# Dark is little. Of matplotlib's maps this one is made to look alike to readers of every colour vision.
COLORS = "cividis"
CONTOURS, FEWEST_FOR_CONTOURS = 7, 6
# Up to so many cells have their value written in them where there are too few for contours.
MOST_WRITTEN = 50
# Up to so many cells in a row there is room for three digits; a cell is bright from this place on the colour scale.
FEW_ACROSS, BRIGHT = 6, 0.55
OUTLINED = (withStroke(linewidth=1.4, foreground=INK),)


def draw_heatmap(paper: Sheet, table: SweepTable, found: Grid) -> None:
    """Draw a grid of two axes."""
    axes, (across, up) = paper.axes, found.x
    cells, swept = found.cells[0].T, found.swept[0].T
    sides = [_side(way) for way in (across, up)]
    norm = LogNorm() if wide(cells) else Normalize()
    for set_scale, (_, _, log) in zip((axes.set_xscale, axes.set_yscale), sides, strict=True):
        if log:
            set_scale("log", base=2)
    (x, x_edges, _), (y, y_edges, _) = sides
    mesh = axes.pcolormesh(x_edges, y_edges, np.ma.masked_invalid(cells), cmap=COLORS, norm=norm, rasterized=True)
    fails = swept & np.isnan(cells)
    if fails.any():
        _hatch(axes, x_edges, y_edges, fails)
    if min(cells.shape) >= FEWEST_FOR_CONTOURS:
        _contour(axes, x, y, cells, norm)
    elif cells.size <= MOST_WRITTEN:
        _write(axes, x, y, cells, norm)
    row, column = np.unravel_index(np.nanargmin(cells), cells.shape)
    axes.plot(x[column], y[row], "o", color="none", markeredgecolor="white", markeredgewidth=2.2, markersize=6.5)
    axes.plot(x[column], y[row], "o", color="white", markeredgecolor=INK, markersize=5, label="least")
    for axis, way, places in ((axes.xaxis, across, x), (axes.yaxis, up, y)):
        axis.set_label_text(axis_label(table.find(way.name).column))
        if way.words:
            axis.set_ticks(places, [label(str(value), 18) for value in way.values])
        else:
            mark_values(axis, places)
    bar = whole_figure(axes).colorbar(mesh, ax=axes, pad=0.02, aspect=28)
    bar.set_label(found.y.label)
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    if isinstance(norm, LogNorm):
        bar.ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    marks = [Line2D([], [], marker="o", linestyle="", color="white", markeredgecolor=INK, markersize=5)]
    names = ["least"]
    if fails.any():
        paper.legend([*marks, Patch(facecolor=PALE, hatch="////", edgecolor=GREY)], [*names, "does not run"])
    else:
        paper.legend(marks, names)


def _side(way: Way) -> tuple[Floats, Floats, bool]:
    """Return where cells stand on an axis, where they end, and whether the axis is logarithmic."""
    places = np.arange(len(way.values), dtype=np.float64) if way.words else way.values.astype(np.float64)
    log = not way.words and geometric(places)
    return places, _edges(places, log=log), log


def _edges(places: Floats, *, log: bool) -> Floats:
    """Return the ends of cells that stand side by side."""
    if log:
        return np.exp(_edges(np.log(places), log=False))
    if len(places) == 1:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    middle = (places[1:] + places[:-1]) / 2
    return np.concatenate([[2 * places[0] - middle[0]], middle, [2 * places[-1] - middle[-1]]])


def _hatch(axes: Axes, x_edges: Floats, y_edges: Floats, fails: npt.NDArray[np.bool_]) -> None:
    """Hatch cells, joined along rows so that a large region takes few shapes."""
    flat = axes.pcolormesh(
        x_edges,
        y_edges,
        np.ma.masked_equal(fails.astype(float), 0.0),
        cmap=mpl.colors.ListedColormap([PALE]),
        rasterized=True,
    )
    flat.set_label("does not run")
    padded = np.pad(fails, ((0, 0), (1, 1))).astype(np.int8)
    for row, steps in enumerate(np.diff(padded, axis=1)):
        for start, stop in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            axes.fill_between(
                x_edges[[start, stop]],
                y_edges[row],
                y_edges[row + 1],
                facecolor="none",
                hatch="////",
                edgecolor=GREY,
                linewidth=0.0,
            )


def _contour(axes: Axes, x: Floats, y: Floats, cells: Floats, norm: Normalize) -> None:
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    locator = LogLocator(base=10, subs=(1.0, 2.0, 5.0)) if isinstance(norm, LogNorm) else MaxNLocator(CONTOURS)
    levels = [level for level in locator.tick_values(low, high) if low < level < high]
    if not levels:
        return
    lines = axes.contour(x, y, np.ma.masked_invalid(cells), levels=levels, colors="white", linewidths=0.7)
    texts = axes.clabel(lines, fmt=lambda value: f"{value:g}", fontsize=SMALL_PT, inline=True, inline_spacing=2)
    for text in texts:
        text.set(in_layout=False, path_effects=OUTLINED)


def _write(axes: Axes, x: Floats, y: Floats, cells: Floats, norm: Normalize) -> None:
    """Write the value of each cell below its middle, in ink where the cell is bright."""
    digits = 3 if len(x) <= FEW_ACROSS else 2
    for row, column in zip(*np.nonzero(np.isfinite(cells)), strict=True):
        axes.annotate(
            rounded(cells[row, column], digits),
            (x[column], y[row]),
            xytext=(0, -8),
            textcoords="offset points",
            ha="center",
            va="center",
            color=INK if norm(cells[row, column]) > BRIGHT else "white",
            fontsize=SMALL_PT - 0.5,
        )
