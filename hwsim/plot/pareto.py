"""Two quantities of a sweep against each other: the Pareto front of each net, dominated points faint behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from hwsim.errors import UsageError
from hwsim.explore.fronts import front
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.plot.grid import MOST_SERIES, names_of, need_some, varies, way_of
from hwsim.plot.labels import Spot, place_labels
from hwsim.plot.palette import INK, SERIES
from hwsim.plot.quantities import Quantity, count, mark_decades, mark_values, quantity, told, whole_names, wide
from hwsim.plot.sheet import label, sheet, style

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HEIGHT_IN = 3.1
# Beyond so many points in all, the dominated ones are drawn as how many there are in each of so many bins.
MOST_DOTS, BINS = 5000, (240, 160)
# Up to so many points of a front have a mark each.
MARKED = 60
FAINTEST, DARKEST = 0.25, 0.6
MARKS = "osD^vP*"
# Up to so many fronts each have a point annotated.
MOST_CHOSEN = 3


@dataclass(frozen=True, slots=True)
class _Group:
    """The points of one series: their rows of the table, and which of those are the front, by x."""

    name: str
    rows: Ints
    front: Ints


@style()
def plot_pareto(
    table: SweepTable,
    x: str = "latency_s",
    y: str = "energy_j",
    by: str = "",
    *,
    point: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the points that no other beats in both of two quantities, less being better; the others are faint behind.

    One point is annotated with what it is: the one asked for, or that of the least product of the two.

    Args:
        table: From ``hwsim.sweep``, or some of its rows.
        x: A quantity, or an axis such as a memory's size.
        y: Another.
        by: A front for each of its values; none is the net, where there are several.
        point: Row of the table to be annotated, by its ``point``, instead.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a line per front (labelled).

    Raises:
        UsageError: There is no such column or point, or nothing runs.
    """
    if not len(table):
        raise UsageError("the sweep has no rows: nothing to draw")
    across, up = quantity(table, x), quantity(table, y)
    if table.find(x).column == table.find(y).column:
        raise UsageError(f"{x} against {y}: a front has two quantities, and these are one")
    need_some(table, across, up)
    groups = _groups(table, across, up, by)
    chosen = _chosen(table, groups, across, up, point)
    paper = sheet(ax, HEIGHT_IN)
    axes = paper.axes
    _scale(axes, across, up)
    together = sum(len(group.rows) for group in groups)
    for index, group in enumerate(groups):
        rest = np.setdiff1d(group.rows, group.front) if together <= MOST_DOTS else group.rows
        _draw_dominated(
            axes, across.values[rest], up.values[rest], SERIES[index % len(SERIES)], dots=together <= MOST_DOTS
        )
    for index, group in enumerate(groups):
        _draw_front(axes, group, across, up, index)
    handles: list[Artist] = [line for line in axes.lines if line.get_label() in {group.name for group in groups}]
    names = [f"{group.name} ({count(len(group.front))} of {count(len(group.rows))})" for group in groups]
    if len(groups) > 1:
        paper.legend(handles, names, "front, and of how many points")
    apart, alike = _ways(table, chosen)
    paper.title(*_titles(table, groups, across, up, point, alike))
    inked = np.concatenate([_corners(group, across, up) for group in groups])
    # Where rings agree in every axis the note has said it all.
    spots = [_spot(table, row, across, up, apart, vital=point is not None) for row in chosen if apart or not alike]
    place_labels(axes, spots, inked)
    for row in chosen:
        axes.plot(
            across.values[row], up.values[row], "o", color="none", markeredgecolor=INK, markersize=7, label="chosen"
        )
    return axes


def _groups(table: SweepTable, across: Quantity, up: Quantity, by: str) -> list[_Group]:
    """Return the series of a picture, each with its points that have both quantities."""
    known = np.isfinite(across.values) & np.isfinite(up.values)
    name = table.find(by).column.name if by else _by(table)
    way = way_of(table, name) if name else None
    if way is not None and len(way.values) > MOST_SERIES:
        raise UsageError(
            f"{name} has {len(way.values)} values; a picture shows {MOST_SERIES} fronts at most: fix some with --where"
        )
    found = []
    for number_of, value in enumerate(way.values if way is not None else [""]):
        rows = np.flatnonzero(known & (way.number == number_of) if way is not None else known)
        if len(rows):
            best = rows[front([across.values[rows], up.values[rows]])]
            best = best[np.lexsort([up.values[best], across.values[best]])]
            words = label(str(value), 32) if way is None or way.words else told(table, name, value)
            found.append(_Group(words or "front", rows, best))
    return found


def _by(table: SweepTable) -> str:
    """Return what makes fronts where nobody says: the nets, or else the first axis of words."""
    for name in names_of(table):
        stored = table.stored(name)
        if isinstance(stored, Words) and 1 < len(stored.vocabulary) <= MOST_SERIES and varies(table, name):
            return name
    return ""


def _chosen(
    table: SweepTable, groups: Sequence[_Group], across: Quantity, up: Quantity, point: int | None
) -> list[int]:
    """Return the rows to be annotated."""
    if point is None:
        if len(groups) > MOST_CHOSEN:
            return []
        return [int(group.front[np.argmin((across.values * up.values)[group.front])]) for group in groups]
    rows = (
        np.flatnonzero(table["point"] == point) if "point" in table.names else np.arange(len(table))[point : point + 1]
    )
    if not len(rows):
        raise UsageError(f"--point {point}: the sweep has no such point")
    drawn = [int(row) for row in rows if np.isfinite(across.values[row]) and np.isfinite(up.values[row])]
    if not drawn:
        reason = table["reason"][rows[0]] if "reason" in table.names else ""
        raise UsageError(f"--point {point}: does not run{f' ({reason})' if reason else ''}")
    return drawn


def _scale(axes: Axes, across: Quantity, up: Quantity) -> None:
    """Set scales, limits and labels: logarithmic where values span much."""
    known = np.isfinite(across.values) & np.isfinite(up.values)
    for shown, set_scale, set_limits, axis in (
        (across, axes.set_xscale, axes.set_xlim, axes.xaxis),
        (up, axes.set_yscale, axes.set_ylim, axes.yaxis),
    ):
        values = shown.values[known]
        low, high = float(values.min()), float(values.max())
        if wide(values):
            set_scale("log")
            set_limits(low / 1.2, high * 1.2)
            if shown.varied:
                mark_values(axis)
            else:
                mark_decades(axis)
        else:
            room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
            set_limits(low - room, high + room)
        axis.set_label_text(shown.label)
    axes.grid()
    axes.set_axisbelow(True)


def _draw_dominated(axes: Axes, x: Floats, y: Floats, color: str, *, dots: bool) -> None:
    """Draw points faintly: one by one, or, of many, how many there are in each of some bins."""
    if dots:
        axes.plot(
            x,
            y,
            "o",
            color=color,
            markersize=2.5,
            markeredgewidth=0,
            alpha=0.25,
            label="dominated",
            rasterized=True,
            zorder=1,
        )
        return
    sides = ((axes.get_xlim(), axes.get_xscale()), (axes.get_ylim(), axes.get_yscale()))
    (x_edges, x_bin), (y_edges, y_bin) = (
        _binned(values, limits, scale, bins) for values, (limits, scale), bins in zip((x, y), sides, BINS, strict=True)
    )
    many = np.bincount(y_bin * BINS[0] + x_bin, minlength=BINS[0] * BINS[1]).reshape(BINS[1], BINS[0])
    shade = np.log1p(many) / np.log1p(many.max())
    picture = np.zeros((*many.shape, 4))
    picture[..., :3] = to_rgb(color)
    picture[..., 3] = np.where(many > 0, FAINTEST + (DARKEST - FAINTEST) * shade, 0.0)
    axes.pcolormesh(x_edges, y_edges, picture, rasterized=True, label="dominated", zorder=1)


def _binned(values: Floats, limits: tuple[float, float], scale: str, bins: int) -> tuple[Floats, Ints]:
    """Return the edges of equal bins on an axis, and the bin of each value."""
    log = scale == "log"
    low, high = np.log(limits) if log else limits
    steps = np.linspace(low, high, bins + 1)
    place = ((np.log(values) if log else values) - low) * (bins / (high - low))
    return np.exp(steps) if log else steps, place.astype(np.int64)


def _draw_front(axes: Axes, group: _Group, across: Quantity, up: Quantity, index: int) -> None:
    color, few = SERIES[index % len(SERIES)], len(group.front) <= MARKED
    axes.plot(
        across.values[group.front],
        up.values[group.front],
        drawstyle="steps-post",
        color=color,
        linewidth=1.2,
        linestyle="-" if index < len(SERIES) else "--",
        marker=MARKS[index % len(MARKS)] if few else "",
        markersize=3.5,
        label=group.name,
        zorder=3,
    )


def _corners(group: _Group, across: Quantity, up: Quantity) -> Floats:
    return np.stack([across.values[group.front], up.values[group.front]], axis=1)


def _ways(table: SweepTable, chosen: Sequence[int]) -> tuple[list[str], list[str]]:
    """Return the axes by which the chosen points differ, or that lead to the only one; and what they agree in, told."""
    ways = [column.name for column in table.axes if varies(table, column.name)]
    values = {name: table[name][list(chosen)] for name in ways}
    apart = [name for name, of in values.items() if len(chosen) < 2 or (of != of[0]).any()]
    return apart, [told(table, name, values[name][0]) for name in ways if name not in apart]


def _spot(table: SweepTable, row: int, across: Quantity, up: Quantity, ways: Sequence[str], *, vital: bool) -> Spot:
    """Return the label of a chosen point: the axes that lead there."""
    values = {name: table[name][row] for name in ways}
    # A nan is an axis of another sweep than the one that the point is from.
    lines = [told(table, name, value) for name, value in values.items() if value == value] or [
        f"{across.told(across.values[row])}"
    ]
    text = "\n".join(", ".join(lines[start : start + 2]) for start in range(0, len(lines), 2))
    return Spot(float(across.values[row]), float(up.values[row]), text, 4.0, vital=vital)


def _titles(
    table: SweepTable,
    groups: Sequence[_Group],
    across: Quantity,
    up: Quantity,
    point: int | None,
    alike: Sequence[str],
) -> tuple[str, str]:
    """Return the title, and the note that says what is drawn, and what the chosen points agree in."""
    kept, points = sum(len(group.front) for group in groups), sum(len(group.rows) for group in groups)
    whose = " on ".join(name for name in whole_names(table) if name)
    fails = len(table) - points
    what = f"{'front' if len(groups) == 1 else 'fronts'} of {across.name} and {up.name}"
    title = f"{whose}{': ' if whose else ''}{what}, {count(kept)} of {count(points)} points"
    where = f", at {', '.join(alike)}" if alike else ""
    notes = [f"a ring: the least product of both{where}"] * (point is None and len(groups) <= MOST_CHOSEN)
    notes += [f"a ring: point {point}{where}"] * (point is not None)
    notes += [f"{count(fails)} that do not run left out"] * (fails > 0)
    notes += ["the darker, the more points"] * (points > MOST_DOTS)
    return title, "; ".join(notes)
