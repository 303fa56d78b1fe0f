"""The roofline: how fast each layer runs, against what each memory and each engine allows.

Every memory has a roof of its own, so a layer has an intensity at each of them. It is drawn at the memory whose port it
keeps busy for longest, in that memory's colour: the roof that is lowest for it.

Source: Williams, Waterman, Patterson, CACM 52(4), 2009, doi:10.1145/1498765.1498785.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, log10
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from hwsim.plot.labels import Spot, place_labels
from hwsim.plot.palette import INK, Paint, paints
from hwsim.plot.sheet import label, refuse, sheet, style, title_report
from hwsim.report import Report
from hwsim.report.words import percent, rounded, scaled, si_prefix

HEIGHT_IN, EMPTY_IN = 3.1, 1.2
# Area of the dot of a layer that takes all of the time, and of the smallest dot [pt²].
WHOLE_AREA, SMALLEST_AREA = 700.0, 5.0
NAMED = 5
# Layers are called alike where both coordinates agree to this many decades: they share a label.
ALIKE_DECADES = 0.05
LINE_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A layer under the roofs.

    Attributes:
        layer: Its name.
        engine: The engine that runs it.
        memory: The memory whose port it keeps busy for longest.
        intensity_macs_per_byte: MACs done per byte across that port.
        macs_per_s: MACs done over its latency.
        roof_macs_per_s: The least that its memories and its engine allow.
        time_share: Its share of the net's latency, 0..1.
    """

    layer: str
    engine: str
    memory: str
    intensity_macs_per_byte: float
    macs_per_s: float
    roof_macs_per_s: float
    time_share: float


def dots(report: Report) -> list[Dot]:
    """Return the layers that have MACs, traffic and a latency as dots of a roofline."""
    bandwidth = {memory.name: memory.read_bytes_per_s for memory in report.memories}
    found = []
    for layer in report.layers if report.runs else ():
        busy_s = {name: layer.terms_s[name] for name, count in layer.traffic_bytes.items() if count}
        if not (layer.macs and busy_s and layer.latency_s > 0):
            continue
        memory = max(busy_s, key=lambda name: busy_s[name])
        # What is skipped or saved takes no cycle, and is no part of a dot below the engine's roof.
        intensity = layer.macs_done / layer.traffic_bytes[memory]
        # A peak that the profile does not give (nan) limits nothing.
        roofs = [intensity * bandwidth[memory], report.peak_macs_per_s.get(layer.engine, np.inf)]
        found.append(
            Dot(
                layer=layer.name,
                engine=layer.engine,
                memory=memory,
                intensity_macs_per_byte=intensity,
                macs_per_s=layer.macs_done / layer.latency_s,
                roof_macs_per_s=float(np.nanmin(roofs)),
                time_share=layer.latency_s / report.latency_s,
            )
        )
    return found


def roofline_rows(report: Report) -> list[dict[str, Any]]:
    """Return what ``plot_roofline`` draws, a record per dot."""
    return [asdict(dot) for dot in dots(report)]


@style()
def plot_roofline(report: Report, ax: Axes | None = None) -> Axes:
    """Draw the layers of a net under the roofs of a chip's memories and engines.

    A dot's area is the layer's share of the time; a few of the largest are named. Diamonds are ridge points: left of
    them the memory limits, right of them the engine.

    Args:
        report: From ``hwsim.evaluate``.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a line per memory (labelled by its name) and per engine, and a dot collection per memory.
    """
    paper = sheet(ax, HEIGHT_IN if report.runs else EMPTY_IN)
    points = dots(report)
    if not points:
        return refuse(paper, report, "speeds")
    axes, table = paper.axes, paints(report)
    peaks = {name: peak for name, peak in report.peak_macs_per_s.items() if isfinite(peak)}
    moved = report.traffic_bytes
    bandwidth = {memory.name: memory.read_bytes_per_s for memory in report.memories if moved[memory.name]}
    factor, prefix = si_prefix(max([*peaks.values(), *(dot.macs_per_s for dot in points)]))

    hidden = len(report.layers) - len(points)
    share = 1 - sum(dot.time_share for dot in points)
    title_report(
        paper,
        report,
        "a dot's area is its share of the time",
        f"{hidden} layers without MACs ({percent(max(share, 0.0))} of the time) not drawn" if hidden else "",
        "diamonds: ridge points",
    )
    ridges = _draw_roofs(axes, bandwidth, peaks, points, factor, table)
    _draw_dots(axes, points, factor, table)
    paper.legend(
        [Line2D([], [], color=table[name].color, marker="o", markersize=4) for name in bandwidth],
        [f"{name} {scaled(speed, 'B/s')}" for name, speed in bandwidth.items()],
        "dot in the colour of its busiest port, under that port's roof",
    )
    axes.set_xlabel("arithmetic intensity [MAC/B]")
    axes.set_ylabel(f"speed [{prefix}MAC/s]")
    inked = [np.array([(dot.intensity_macs_per_byte, dot.macs_per_s / factor) for dot in points])]
    inked += [_along(line) for line in axes.lines]
    place_labels(axes, [*ridges, *_names(points, factor)], np.concatenate(inked))
    return axes


def _draw_roofs(
    axes: Axes,
    bandwidth: dict[str, float],
    peaks: dict[str, float],
    points: Sequence[Dot],
    factor: float,
    table: dict[str, Paint],
) -> list[Spot]:
    """Draw a slope per memory and a ceiling per engine, set the limits, and return the labels of peaks and ridges."""
    speeds = [dot.macs_per_s for dot in points]
    intensities = [dot.intensity_macs_per_byte for dot in points]
    ridges = {(name, engine): peak / speed for name, speed in bandwidth.items() for engine, peak in peaks.items()}
    low, high = min([*intensities, *ridges.values()]) / 2, max([*intensities, *ridges.values()]) * 4
    top = max(peaks.values(), default=max(bandwidth.values()) * high)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(min(speeds) / 2 / factor, top * 2.5 / factor))
    drawn: list[float] = []
    for name, speed in bandwidth.items():
        ends = np.array([low, top / speed])
        # Equal roofs lie on each other: the later ones are dashed, and leave the earlier in sight.
        dashes = (0, (3, 3 + 3 * drawn.count(speed))) if speed in drawn else "-"
        color = table[name].color
        axes.plot(ends, ends * speed / factor, color=color, linestyle=dashes, linewidth=1.3, label=name, zorder=2)
        drawn.append(speed)
    for engine, peak in peaks.items():
        start = peak / max(bandwidth.values())
        axes.plot([start, high], [peak / factor] * 2, color=INK, linewidth=1.3, label=engine, zorder=2)
    for (name, engine), ridge in ridges.items():
        axes.plot(
            ridge,
            peaks[engine] / factor,
            "D",
            color=table[name].color,
            markersize=4,
            markeredgecolor=INK,
            markeredgewidth=0.5,
            zorder=4,
        )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="major")
    beyond = max(ridges.values(), default=low)
    spots = [
        Spot((beyond * high) ** 0.5, peak / factor, f"{name} {scaled(peak, 'MAC/s')}", vital=True)
        for name, peak in peaks.items()
    ]
    spots += [
        Spot(ridge, peaks[of] / factor, f"{rounded(ridge)} MAC/B", 2.0, vital=True) for (_, of), ridge in ridges.items()
    ]
    return list(dict.fromkeys(spots))


def _draw_dots(axes: Axes, points: Sequence[Dot], factor: float, table: dict[str, Paint]) -> None:
    for memory in dict.fromkeys(dot.memory for dot in points):
        here = [dot for dot in points if dot.memory == memory]
        axes.scatter(
            [dot.intensity_macs_per_byte for dot in here],
            [dot.macs_per_s / factor for dot in here],
            s=[_area(dot) for dot in here],
            color=table[memory].color,
            alpha=0.7,
            edgecolors=INK,
            linewidths=0.4,
            label=f"{memory} dots",
            zorder=3,
        )


def _names(points: Sequence[Dot], factor: float) -> list[Spot]:
    """Return labels of the places under the roofs where most time is spent."""
    alike: dict[tuple[int, int], list[Dot]] = {}
    for dot in points:
        place = round(log10(dot.intensity_macs_per_byte) / ALIKE_DECADES), round(log10(dot.macs_per_s) / ALIKE_DECADES)
        alike.setdefault(place, []).append(dot)
    groups = sorted(alike.values(), key=lambda group: -sum(dot.time_share for dot in group))
    spots = []
    for group in groups[:NAMED]:
        first = max(group, key=lambda dot: dot.time_share)
        more = f" +{len(group) - 1} alike" if len(group) > 1 else ""
        spots.append(
            Spot(
                first.intensity_macs_per_byte,
                first.macs_per_s / factor,
                f"{label(first.layer)}{more}",
                _area(first) ** 0.5 / 2,
            )
        )
    return spots


def _area(dot: Dot) -> float:
    return max(WHOLE_AREA * dot.time_share, SMALLEST_AREA)


def _along(line: Line2D) -> npt.NDArray[np.float64]:
    """Return points along a straight line of a log-log plot, close enough that a label on it covers some."""
    ends = np.log(np.asarray(line.get_xydata(), dtype=np.float64))
    return np.exp(np.linspace(ends[0], ends[-1], LINE_POINTS))
