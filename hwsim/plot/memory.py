"""The activation arena: which buffer lies where, from which layer to which, and what is alive at the peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from hwsim.plot.palette import FAINT_INK, INK, PALE, SERIES, VERMILION
from hwsim.plot.sheet import (
    PT_PER_IN,
    SMALL_PT,
    WIDTH_IN,
    Sheet,
    bytes_unit,
    label,
    sheet,
    style,
    text_width_pt,
    title_report,
)
from hwsim.report import LiveTensor, MemoryReport, Report
from hwsim.report.words import human_bytes

HEIGHT_IN = 3.25
# Buffers alive at the peak that get a colour and a name of their own.
NAMED = len(SERIES) - 1
# The capacity is drawn up to this many times the peak; beyond it, it is only written.
CAPACITY_IN_SIGHT = 1.5
# So many layers have room for their names, which stand upright and need a height of their own.
MOST_NAMES, NAMES_IN, NAMES_SHARE = 36, 0.7, 0.85
MOST_EDGES, EDGE_PT = 150, 0.4


def memory_rows(report: Report) -> list[dict[str, Any]]:
    """Return what ``plot_memory`` draws, a record per buffer of the arena."""
    peak = _peak_index(report)
    return [
        asdict(buffer) | {"tensors": " ".join(buffer.tensors), "alive_at_peak": _alive(buffer, peak)}
        for buffer in report.arena
    ]


@style()
def plot_memory(report: Report, ax: Axes | None = None) -> Axes:
    """Draw the arena's buffers as rectangles: layers to the right, offsets upwards.

    The buffers alive while the peak layer runs have colours and names. The dashed line is the arena's peak, the solid
    one what their memory has left for it. A net that does not fit is drawn, too: its arena may stand above that line.

    Args:
        report: From ``hwsim.evaluate``.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a collection of rectangles per colour.
    """
    paper = sheet(ax, _height_in(report))
    axes, peak_index = paper.axes, _peak_index(report)
    peak_bytes = max((buffer.offset_bytes + buffer.size_bytes for buffer in report.arena), default=0)
    factor, unit = bytes_unit(peak_bytes)
    alive = [buffer for buffer in report.arena if _alive(buffer, peak_index)]
    named, others = alive[:NAMED], alive[NAMED:]
    rest = [buffer for buffer in report.arena if not _alive(buffer, peak_index)]

    title_report(paper, report, f"at most {human_bytes(report.arena_lower_bound_bytes)} alive at once")
    _name_layers(paper, report)
    handles = [Patch(facecolor=color) for color, _ in zip(SERIES, named, strict=False)]
    labels = [f"{human_bytes(buffer.size_bytes)} {label(_writer(report, buffer), 20)}" for buffer in named]
    if others:
        handles.append(Patch(facecolor=FAINT_INK))
        labels.append(f"{human_bytes(sum(buffer.size_bytes for buffer in others))} in {len(others)} more")
    paper.legend(handles, labels, f"alive while {label(report.peak_layer)} runs (dotted line)")
    _draw(axes, rest, PALE, factor)
    _draw(axes, others, FAINT_INK, factor)
    for color, buffer in zip(SERIES, named, strict=False):
        _draw(axes, [buffer], color, factor)

    axes.vlines(peak_index, 0, peak_bytes / factor, color=INK, linestyle=":", linewidth=0.9, zorder=3)
    homes = [memory for memory in report.memories if "activations" in memory.items]
    top = _draw_lines(axes, peak_bytes, homes[0] if homes else None, factor)
    axes.set_ylim(0, top * 1.12 or 1)
    axes.set_ylabel(f"arena offset [{unit}]")
    return axes


def _height_in(report: Report) -> float:
    return HEIGHT_IN + (NAMES_IN if len(report.layers) <= MOST_NAMES and _upright(_names(report)) else 0.0)


def _names(report: Report) -> list[str]:
    return [label(layer.name, 18) for layer in report.layers]


def _upright(names: Sequence[str]) -> bool:
    """Return whether names must stand upright to stand side by side."""
    widest_pt = max(text_width_pt(name, SMALL_PT) for name in names)
    return len(names) * (widest_pt + SMALL_PT) > NAMES_SHARE * WIDTH_IN * PT_PER_IN


def _peak_index(report: Report) -> int:
    return [layer.name for layer in report.layers].index(report.peak_layer)


def _alive(buffer: LiveTensor, layer: int) -> bool:
    return buffer.first_layer <= layer <= buffer.last_layer


def _writer(report: Report, buffer: LiveTensor) -> str:
    """Return what a buffer is called: the layer that writes it, or the input, copy or scratch that it holds."""
    named = buffer.first_layer < 0 or buffer.role in ("scratch", "padded")
    return buffer.tensors[0] if named else report.layers[buffer.first_layer].name


def _draw(axes: Axes, buffers: Sequence[LiveTensor], color: str, factor: float) -> None:
    """Draw rectangles from half a layer before a buffer's first to half a layer after its last."""
    if not buffers:
        return
    left = np.array([buffer.first_layer for buffer in buffers]) - 0.5
    right = np.array([buffer.last_layer for buffer in buffers]) + 0.5
    low = np.array([buffer.offset_bytes for buffer in buffers]) / factor
    high = low + np.array([buffer.size_bytes for buffer in buffers]) / factor
    # Hundreds of rectangles side by side are narrower than their own edges would be.
    width = EDGE_PT if axes.get_xlim()[1] < MOST_EDGES else 0.0
    corners = np.stack([np.stack([left, right, right, left]), np.stack([low, low, high, high])]).transpose(2, 1, 0)
    axes.add_collection(PolyCollection(list(corners), facecolors=color, edgecolors="white", linewidths=width))


def _draw_lines(axes: Axes, peak_bytes: int, home: MemoryReport | None, factor: float) -> float:
    """Draw the peak, and what the arena's home has left for it if that is in sight; return the higher of them."""
    peak, told = peak_bytes / factor, f"peak {human_bytes(peak_bytes)}"
    axes.axhline(peak, color=INK, linestyle="--", linewidth=0.9, label="peak")
    if home is None:
        _write_on_line(axes, peak, told, INK)
        return peak
    taken = home.need_bytes - home.items["activations"] - home.items.get("scratch", 0)
    room_bytes = max(home.capacity_bytes - taken, 0)
    less = f" ({human_bytes(home.capacity_bytes)} less {human_bytes(taken)})" if taken else ""
    room = f"{home.name} has room for {human_bytes(room_bytes)}{less}"
    if room_bytes > CAPACITY_IN_SIGHT * peak_bytes:
        _write_on_line(axes, peak, f"{told}; {room}", INK)
        return peak
    axes.axhline(room_bytes / factor, color=VERMILION, linewidth=1.2, label="capacity")
    _write_on_line(axes, peak, told, INK, left=True)
    _write_on_line(axes, room_bytes / factor, room, VERMILION)
    return max(peak, room_bytes / factor)


def _write_on_line(axes: Axes, height: float, text: str, color: str, *, left: bool = False) -> None:
    axes.annotate(
        text,
        (0.01 if left else 0.99, height),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="left" if left else "right",
        va="bottom",
        fontsize=SMALL_PT,
        color=color,
        path_effects=[withStroke(linewidth=1.5, foreground="white")],
        zorder=4,
    )


def _name_layers(paper: Sheet, report: Report) -> None:
    """Write the layers below the axis: names where there is room for them, else their indices."""
    axes, count = paper.axes, len(report.layers)
    axes.set_xlim(-1.5, count + 0.5)
    if paper.own and count <= MOST_NAMES:
        names = _names(report)
        axes.set_xticks(range(count), names, rotation=90 if _upright(names) else 0)
        axes.tick_params(axis="x", length=2, labelsize=SMALL_PT - 0.5)
        axes.set_xlabel("layer, in the order they run")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.set_xlabel("layer index")
