"""The ski slope: traffic over the capacity of the tile buffers, down to what no buffer can save."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from hwsim.errors import UsageError
from hwsim.explore.skislope import WHOLE_NET, SkiSlope
from hwsim.plot.labels import Spot, place_labels
from hwsim.plot.palette import FAINT_INK, INK, series
from hwsim.plot.sheet import bytes_unit, label, sheet, short_bytes, style
from hwsim.report.words import human_bytes, rounded

HEIGHT_IN = 2.7
MOST_CURVES = 7
# Room below the lowest bound for what is written there, as a factor; points on each part of a step.
ROOM_BELOW, STEP_POINTS = 1.5, 4


@style()
def plot_skislope(slope: SkiSlope, layers: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Draw the traffic that is left at each capacity of the tile buffers, both logarithmic.

    A dashed line is the compulsory traffic, a dot the chip as it is, an upright stroke the capacity from which on
    nothing more is saved.

    Args:
        slope: From ``hwsim.explore.ski_slope``.
        layers: A curve for each of these; none is one curve for the whole net.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a step line per curve (labelled by its name).

    Raises:
        UsageError: The net has no such layer, it moves nothing, or there are more curves than colours.
    """
    names = list(dict.fromkeys(layers)) or [WHOLE_NET]
    if len(names) > MOST_CURVES:
        raise UsageError(f"a ski slope shows up to {MOST_CURVES} layers, asked for {len(names)}")
    for name in names:
        if not slope.of(name)[1]:
            raise UsageError(f"layer {name!r} of {slope.net} moves no bytes: it has no ski slope")
    paper = sheet(ax, HEIGHT_IN)
    axes = paper.axes
    factor, unit = bytes_unit(max(float(np.nanmax(slope.of(name)[0])) for name in names))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    spots: list[Spot] = []
    axes.axvline(slope.chip_bytes, color=FAINT_INK, linewidth=0.8, linestyle=":", label="chip")
    for index, name in enumerate(names):
        spots += _draw_curve(axes, slope, name, factor, series(index).color, alone=len(names) == 1)
    axes.xaxis.set_major_locator(LogLocator(base=4, numticks=10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_bytes(value)))
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid()
    axes.set_axisbelow(True)
    runs = ~np.isnan(np.array([slope.of(name)[0] for name in names])).all(axis=0)
    axes.set_xlim(slope.capacity_bytes[runs][0], slope.capacity_bytes[-1])
    low, high = axes.get_ylim()
    axes.set_ylim(low / ROOM_BELOW, high)
    axes.set_xlabel(f"usable capacity of {' and '.join(slope.buffers)} [B, KiB, MiB]")
    axes.set_ylabel(f"traffic of {', '.join(slope.homes)} [{unit}]")
    paper.title(_title(slope, names), _note(slope))
    if len(names) > 1:
        handles: list[Artist] = [
            Line2D([], [], color=series(index).color, linewidth=1.5) for index in range(len(names))
        ]
        dashed = Line2D([], [], color=FAINT_INK, linestyle="--", linewidth=0.8)
        paper.legend([*handles, dashed], [*(_told(slope, name) for name in names), "compulsory"])
    place_labels(axes, spots, np.concatenate([_along(line) for line in axes.lines[1:]]))
    return axes


def _draw_curve(axes: Axes, slope: SkiSlope, name: str, factor: float, color: str, *, alone: bool) -> list[Spot]:
    """Draw one curve with its bound and its marks, and return the labels of those."""
    moved, compulsory = slope.of(name)
    sizes, traffic = slope.capacity_bytes, moved / factor
    axes.plot(sizes, traffic, drawstyle="steps-post", color=color, linewidth=1.5, label=name or slope.net, zorder=3)
    bound = compulsory / factor
    axes.plot(sizes, np.full(len(sizes), bound), color=color, linestyle="--", linewidth=0.8, zorder=2, label="bound")
    today, enough = slope.on_chip(name) / factor, slope.enough_bytes(name)
    axes.plot(enough, traffic[-1], "|", color=color, markersize=8, markeredgewidth=1.2, zorder=4, label="enough")
    spots = []
    if isfinite(today):
        axes.plot(slope.chip_bytes, today, "o", color=color, markeredgecolor=INK, markersize=5, zorder=5, label="today")
    if not alone:
        return []
    if isfinite(today):
        text = f"{label(slope.chip)}: {human_bytes(slope.chip_bytes)}, {human_bytes(round(today * factor))}"
        spots.append(Spot(slope.chip_bytes, today, text, 3.0, vital=True))
    spots.append(Spot(enough, traffic[-1], f"no less from {human_bytes(enough)} on", 4.0, vital=True))
    first = float(sizes[np.flatnonzero(~np.isnan(traffic))[0]])
    spots.append(Spot(first * 4, bound, f"compulsory {human_bytes(compulsory)}", vital=True))
    return spots


def _told(slope: SkiSlope, name: str) -> str:
    """Return a curve's name in the legend: what the chip moves of it, as a multiple of what it must."""
    today, (_, bound) = slope.on_chip(name), slope.of(name)
    return f"{label(name)} {rounded(today / bound)}×" if isfinite(today) else label(name)


def _along(line: Line2D) -> npt.NDArray[np.float64]:
    """Return points along a line of steps, close enough that a label on it covers some."""
    corners = np.repeat(np.asarray(line.get_xydata(), dtype=np.float64), 2, axis=0)
    corners[1:-1, 1] = corners[:-2, 1]
    share = np.arange(STEP_POINTS)[:, None, None] / STEP_POINTS
    return np.exp(np.log(corners[:-1]) * (1 - share) + np.log(corners[1:]) * share).reshape(-1, 2)


def _title(slope: SkiSlope, names: Sequence[str]) -> str:
    """Return the sentence to quote: how far today's chip is from what no buffer can save."""
    whose = f"{slope.net} on {slope.chip}"
    if len(names) > 1:
        return f"{whose}: what a tile buffer saves, layer by layer, and how many times the compulsory is left"
    what = f"{names[0]} of {whose}" if names[0] else whose
    today, (_, bound) = slope.on_chip(names[0]), slope.of(names[0])
    if not isfinite(today):
        return f"{what}: {human_bytes(slope.chip_bytes)} hold no tile of it"
    return f"{what}: {human_bytes(slope.chip_bytes)} leave {rounded(today / bound)} times the compulsory traffic"


def _note(slope: SkiSlope) -> str:
    kept = "; buffers grow in proportion" if len(slope.buffers) > 1 else ""
    conditions = f"batch {slope.batch}, dtype {slope.dtype}, mappings chosen for traffic{kept}"
    return f"{conditions}; dotted: the chip as it is"
