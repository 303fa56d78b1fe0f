"""What each layer costs: its time by what bounds it, its energy by where it goes, its traffic by memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hwsim.plot.bars import costliest, draw_bars, height_in, swatches
from hwsim.plot.palette import INK, paints
from hwsim.plot.sheet import Sheet, bytes_unit, joules_unit, refuse, seconds_unit, sheet, style, title_report
from hwsim.report import Report
from hwsim.report.words import human_bytes, percent

Row = dict[str, Any]


def layers_rows(report: Report) -> list[Row]:
    """Return what ``plot_layers`` draws, a record per layer."""
    return [
        {
            "index": index,
            "layer": layer.name,
            "kind": layer.kind,
            "engine": layer.engine,
            "latency_s": layer.latency_s,
            "time_share": layer.latency_s / report.latency_s if report.latency_s else 0.0,
            "bound": layer.bound,
        }
        for index, layer in enumerate(report.layers)
    ]


@style()
def plot_layers(report: Report, ax: Axes | None = None) -> Axes:
    """Draw the time of each layer, coloured by what bounds it; the longest are told by their share.

    Args:
        report: From ``hwsim.evaluate``.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a bar container per bound (a step patch, for a net of more layers than a table shows).
    """
    paper = _paper(report, ax)
    if not report.runs:
        return refuse(paper, report, "times")
    latency_s = np.array([layer.latency_s for layer in report.layers])
    of = np.array([layer.bound for layer in report.layers])
    factor, unit = seconds_unit(latency_s.max(initial=0.0))
    table = paints(report)
    bounds = [bound for bound in table if latency_s[of == bound].sum() > 0]
    parts = {bound: np.where(of == bound, latency_s, 0.0) / factor for bound in bounds}
    labels = [f"{bound} {percent(latency_s[of == bound].sum() / report.latency_s)}" for bound in bounds]
    title_report(paper, report, costliest(_names(report), parts))
    paper.legend(swatches(parts, table), labels, "bound by, with its share of the time")
    draw_bars(paper, _names(report), parts, table, f"time [{unit}]")
    return paper.axes


def energy_rows(report: Report) -> list[Row]:
    """Return what ``plot_energy`` draws, a record per layer."""
    return [
        {"index": index, "layer": layer.name, "energy_j": layer.energy_j}
        | {f"{part}_j": layer.energy_parts_j.get(part, 0.0) for part in report.energy_parts_j}
        for index, layer in enumerate(report.layers)
    ]


@style()
def plot_energy(report: Report, ax: Axes | None = None) -> Axes:
    """Draw where each layer's energy goes, stacked: MACs, each memory, the core, static power.

    Args:
        report: From ``hwsim.evaluate``.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a bar container (or step patch) per share.
    """
    paper = _paper(report, ax)
    if not report.runs:
        return refuse(paper, report, "energies")
    factor, unit = joules_unit(max(layer.energy_j for layer in report.layers))
    table, whole = paints(report), report.energy_parts_j
    parts = {
        part: np.array([layer.energy_parts_j.get(part, 0.0) for layer in report.layers]) / factor
        for part in table
        if part in whole
    }
    labels = [f"{part} {percent(whole[part] / report.energy_j)}" for part in parts]
    title_report(paper, report, costliest(_names(report), parts))
    paper.legend(swatches(parts, table), labels, "goes to, with its share of the energy")
    draw_bars(paper, _names(report), parts, table, f"energy [{unit}]")
    return paper.axes


def traffic_rows(report: Report) -> list[Row]:
    """Return what ``plot_traffic`` draws, and the traffic of tile buffers, a record per layer."""
    return [
        {"index": index, "layer": layer.name, "compulsory_bytes": layer.compulsory_bytes}
        | {f"{memory}_bytes": count for memory, count in layer.traffic_bytes.items()}
        for index, layer in enumerate(report.layers)
    ]


@style()
def plot_traffic(report: Report, ax: Axes | None = None) -> Axes:
    """Draw the bytes each layer moves across the ports of the memories that hold its tensors.

    A line across each bar marks the compulsory bytes: each touched element once. What an array's tile buffer moves is
    another kind of number, as elements are read there again and again; the note below says how much it is in all.

    Args:
        report: From ``hwsim.evaluate``.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes, with a bar container (or step patch) per memory, and a line collection (or step patch) of the marks.
    """
    paper = _paper(report, ax)
    if not report.runs:
        return refuse(paper, report, "traffic")
    whole = {name: count for name, count in report.traffic_bytes.items() if count}
    homes = [memory.name for memory in report.memories if {"activations", "weights"} & set(memory.items)]
    moved = {
        home: np.array([layer.traffic_bytes[home] for layer in report.layers], dtype=np.float64)
        for home in homes
        if home in whole
    }
    compulsory = np.array([layer.compulsory_bytes for layer in report.layers], dtype=np.float64)
    factor, unit = bytes_unit(max(sum(moved.values(), compulsory * 0).max(initial=0.0), compulsory.max(initial=0.0)))
    table = paints(report)
    parts = {home: counts / factor for home, counts in moved.items()}
    buffers = [f"{name} (tiles) {human_bytes(count)}, not drawn" for name, count in whole.items() if name not in homes]
    title_report(paper, report, costliest(_names(report), parts), *buffers)
    paper.legend(
        [*swatches(parts, table), Line2D([], [], color=INK, linewidth=1.2)],
        [
            *(f"{home} {human_bytes(whole[home])}" for home in parts),
            f"compulsory {human_bytes(report.compulsory_bytes)}",
        ],
        "across the port of, in all",
    )
    draw_bars(paper, _names(report), parts, table, f"traffic [{unit}]", marks=compulsory / factor)
    return paper.axes


def _paper(report: Report, ax: Axes | None) -> Sheet:
    return sheet(ax, height_in(len(report.layers) if report.runs else 0))


def _names(report: Report) -> list[str]:
    return [layer.name for layer in report.layers]
