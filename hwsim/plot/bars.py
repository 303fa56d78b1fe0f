"""Bars by layer, stacked by part: a named row per layer where there is room for them, else a profile over the net."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from hwsim.plot.palette import INK, Paint
from hwsim.plot.sheet import SMALL_PT, Sheet, label
from hwsim.report.tables import MAX_ROWS
from hwsim.report.words import percent

Floats = npt.NDArray[np.float64]

ROW_IN, LOOSEST_ROW_IN, HEAD_IN = 0.145, 0.24, 1.05
ROWS_WITHOUT_SCROLLING_IN = 3.2
PROFILE_IN, EMPTY_IN = 2.75, 1.2
# Rows tell their share of the whole from this one on; a profile's note names so many of the costliest layers.
SMALLEST_TOLD, NAMED = 0.01, 4
# Bars of a profile; a net of more layers has several together in each.
MOST_BARS = 240


def height_in(layers: int) -> float:
    """Return the height that a net of so many layers needs, or an empty sheet for none [inch]."""
    if layers > MAX_ROWS:
        return PROFILE_IN
    if not layers:
        return EMPTY_IN
    return HEAD_IN + layers * min(max(ROWS_WITHOUT_SCROLLING_IN / layers, ROW_IN), LOOSEST_ROW_IN)


def draw_bars(
    paper: Sheet,
    names: Sequence[str],
    parts: Mapping[str, Floats],
    paints: Mapping[str, Paint],
    quantity: str,
    marks: Floats | None = None,
) -> None:
    """Draw a bar per layer.

    Args:
        paper: Where to.
        names: The layers, in order.
        parts: What a bar is stacked from: name of the part -> its length in each layer, shape [layer], in the axis's
            unit.
        paints: Paint of each part.
        quantity: What the axis shows, with the unit.
        marks: A value to be marked across each bar, shape [layer].
    """
    axes, total = paper.axes, _total(names, parts)
    highest = max(float(total.max(initial=0.0)), 0.0 if marks is None else float(marks.max(initial=0.0)))
    axes.set_axisbelow(True)
    if len(names) > MAX_ROWS:
        together = -(-len(names) // MOST_BARS)
        _draw_profile(axes, len(names), together, parts, paints, marks)
        each = "" if together == 1 else f" of {together} layers"
        axes.set(xlabel="layer index", ylabel=f"{quantity}{each}", ylim=(0, None))
        axes.grid(axis="y")
    else:
        _draw_rows(axes, names, parts, paints, marks)
        _tell_shares(axes, total)
        axes.set(xlabel=quantity, xlim=(0, highest * 1.12 or 1))
        axes.grid(axis="x")


def swatches(parts: Iterable[str], paints: Mapping[str, Paint]) -> list[Artist]:
    """Return the legend's handle of each part."""
    return [Patch(facecolor=paints[part].color, hatch=paints[part].hatch) for part in parts]


def costliest(names: Sequence[str], parts: Mapping[str, Floats]) -> str:
    """Return the note that names the costliest layers of a profile by index; empty where rows carry their names."""
    total = _total(names, parts)
    whole = total.sum()
    if len(names) <= MAX_ROWS or whole == 0:
        return ""
    order = np.argsort(-total, kind="stable")[:NAMED]
    return "most in " + ", ".join(f"{index}: {label(names[index])} {percent(total[index] / whole)}" for index in order)


def _total(names: Sequence[str], parts: Mapping[str, Floats]) -> Floats:
    return sum(parts.values(), start=np.zeros(len(names)))


def _draw_rows(
    axes: Axes,
    names: Sequence[str],
    parts: Mapping[str, Floats],
    paints: Mapping[str, Paint],
    marks: Floats | None,
) -> None:
    rows = np.arange(len(names))
    start = np.zeros(len(names))
    for name, lengths in parts.items():
        paint = paints[name]
        axes.barh(rows, lengths, left=start, height=0.78, color=paint.color, hatch=paint.hatch, label=name)
        start = start + lengths
    if marks is not None:
        axes.vlines(marks, rows - 0.39, rows + 0.39, color=INK, linewidth=1.2, label="marks")
    axes.set_yticks(rows, [label(name) for name in names])
    axes.tick_params(axis="y", length=0, labelsize=SMALL_PT)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _draw_profile(
    axes: Axes,
    layers: int,
    together: int,
    parts: Mapping[str, Floats],
    paints: Mapping[str, Paint],
    marks: Floats | None,
) -> None:
    """Draw a step per so many layers together: their sum."""
    first = np.arange(0, layers, together)
    edges = np.append(first, layers) - 0.5
    start = np.zeros(len(first))
    for name, values in parts.items():
        paint, lengths = paints[name], np.add.reduceat(values, first)
        axes.stairs(start + lengths, edges, baseline=start, fill=True, color=paint.color, hatch=paint.hatch, label=name)
        start = start + lengths
    if marks is not None:
        axes.hlines(np.add.reduceat(marks, first), edges[:-1], edges[1:], color=INK, linewidth=0.9, label="marks")
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def _tell_shares(axes: Axes, total: Floats) -> None:
    """Write its share of the whole behind each bar that has a share worth telling."""
    for index in np.flatnonzero(total >= SMALLEST_TOLD * total.sum()) if total.any() else ():
        axes.annotate(
            percent(total[index] / total.sum()),
            (total[index], index),
            xytext=(3, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=SMALL_PT,
        )
