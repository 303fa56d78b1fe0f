"""Labels beside points of a drawing, where they cover neither each other nor, if it can be helped, the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from hwsim.plot.palette import FAINT_INK, INK
from hwsim.plot.sheet import PT_PER_IN, SMALL_PT, whole_figure

Floats = npt.NDArray[np.float64]

# Where a label may stand: the side of its point, the best first, and the distance from it [pt].
_SIDES = ((0, 1), (1, 0), (-1, 0), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_PLACES = tuple((side, distance_pt) for distance_pt in (2.5, 7.0, 14.0, 24.0, 36.0) for side in _SIDES)
DIAGONAL = 0.5**0.5
# Labels at this distance and beyond have a line to their point.
FAR_PT = 14.0
MOST_COVERED, CLEAR_PT, LEADER_POINTS = 2, 1.0, 16
_ALIGN_X = {-1: "right", 0: "center", 1: "left"}
_ALIGN_Y = {-1: "top", 0: "center", 1: "bottom"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A point and the text that names it.

    Attributes:
        x: The point [data coordinates].
        y: Likewise.
        text: Its label.
        reach_pt: How far the point's own mark reaches [pt].
        vital: Whether it is labelled even where that covers the drawing.
    """

    x: float
    y: float
    text: str
    reach_pt: float = 0.0
    vital: bool = False


def place_labels(axes: Axes, spots: Sequence[Spot], drawn: Floats | None = None) -> None:
    """Write a label beside each spot; one that finds no free place in the axes, or is in the way there, is left out.

    Limits and scales of the axes must be final.

    Args:
        axes: Where to.
        spots: Points with their texts, the most important first.
        drawn: Points better not covered, shape [point, 2], data coordinates.
    """
    if not spots:
        return
    # The layout puts the axes in their place only when the figure is drawn.
    whole_figure(axes).draw_without_rendering()
    inside = axes.get_window_extent()
    points = axes.transData.transform(np.zeros((0, 2)) if drawn is None else drawn)
    dots_per_pt = whole_figure(axes).dpi / PT_PER_IN
    taken: list[Bbox] = []
    for spot in spots:
        note, point = _written(axes, spot), axes.transData.transform(np.array([spot.x, spot.y]))
        size = np.array(note.get_window_extent().size)
        free = []
        for rank, (side, distance_pt) in enumerate(_PLACES):
            box = _box(point, size, side, _off(side, distance_pt + spot.reach_pt) * dots_per_pt)
            if _within(box, inside) and not any(_in_the_way(other, box, point) for other in taken):
                free.append((box.padded(CLEAR_PT * dots_per_pt).count_contains(points), rank, box))
        covered, rank, box = min(free, key=lambda place: place[:2], default=(len(points), 0, inside))
        if not free or (covered > MOST_COVERED and not spot.vital):
            note.remove()
            continue
        side, distance_pt = _PLACES[rank]
        note.xyann = tuple(_off(side, distance_pt + spot.reach_pt))
        note.set(ha=_ALIGN_X[side[0]], va=_ALIGN_Y[side[1]])
        if distance_pt >= FAR_PT:
            _draw_leader(axes, spot, note)
        taken.append(box)


def _written(axes: Axes, spot: Spot) -> Annotation:
    note = axes.annotate(
        spot.text,
        (spot.x, spot.y),
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=SMALL_PT,
        color=INK,
        zorder=5,
        path_effects=[withStroke(linewidth=1.5, foreground="white")],
    )
    note.set_in_layout(False)
    return note


def _off(side: tuple[int, int], distance_pt: float) -> Floats:
    """Return how far right and up of its point a label is tied [pt]."""
    return np.array(side) * distance_pt * (DIAGONAL if all(side) else 1.0)


def _box(point: Floats, size: Floats, side: tuple[int, int], off: Floats) -> Bbox:
    """Return what a label of a size covers on a side of its point, at a distance [pixels]."""
    corner = point + off + (np.array(side) - 1) / 2 * size
    return Bbox([corner, corner + size])


def _in_the_way(other: Bbox, box: Bbox, point: Floats) -> bool:
    """Return whether another label meets a label's box, or the straight way from there to its point [pixels]."""
    way = np.linspace(point, np.clip(point, box.min, box.max), LEADER_POINTS)
    return bool(box.overlaps(other)) or other.count_contains(way) > 0


def _draw_leader(axes: Axes, spot: Spot, note: Annotation) -> None:
    line = {"arrowstyle": "-", "color": FAINT_INK, "linewidth": 0.5, "shrinkA": 0, "shrinkB": spot.reach_pt}
    leader = axes.annotate("", note.xy, xytext=note.xyann, textcoords="offset points", arrowprops=line, zorder=4)
    leader.set_in_layout(False)


def _within(box: Bbox, outer: Bbox) -> bool:
    return bool(outer.x0 <= box.x0 and outer.y0 <= box.y0 and box.x1 <= outer.x1 and box.y1 <= outer.y1)
