"""One palette for every picture: a memory, an engine or a share of the energy keeps its colour from plot to plot."""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.report import Report

# Colours that stay apart for colour-blind readers. Source: Okabe and Ito, "Color Universal Design", 2008.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY, YELLOW = "#D55E00", "#56B4E9", "#F0E442"
NAVY, DARK, GREY, PALE = "#003A5D", "#555555", "#999999", "#DDDDDD"
INK, FAINT_INK = "#222222", "#666666"

SERIES = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, YELLOW)
# Memories leave blue to computing.
_MEMORIES = SERIES[1:]
_HATCHES = ("", "////", "....", "xxxx")
_ROLES = {"compute": BLUE, "mac": BLUE, "core": NAVY, "overhead": DARK, "static": GREY, "nothing": PALE}


@dataclass(frozen=True, slots=True)
class Paint:
    """How an area is filled: a colour, and a hatch that tells equal colours apart."""

    color: str
    hatch: str = ""


def paints(report: Report) -> dict[str, Paint]:
    """Return the paint of everything that bounds a layer or takes energy: computing, each memory of the chip, …."""
    table = {name: Paint(color) for name, color in _ROLES.items()}
    return table | {memory.name: _nth(index, _MEMORIES) for index, memory in enumerate(report.memories)}


def series(index: int) -> Paint:
    """Return the paint of the n-th of things that have no role."""
    return _nth(index, SERIES)


def _nth(index: int, colors: tuple[str, ...]) -> Paint:
    return Paint(colors[index % len(colors)], _HATCHES[index // len(colors) % len(_HATCHES)])
