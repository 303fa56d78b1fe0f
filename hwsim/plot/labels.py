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
from hwsim.plot.sheet import SMALL_PT, whole_figure

Floats = npt.NDArray[np.float64]

# Where a label may stand: the side of its point, the best first, and the distance from it [pt].
_SIDES = ((0, 1), (1, 0), (-1, 0), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_PLACES = tuple((side, distance_pt) for distance_pt in (2.5, 7.0, 14.0, 24.0, 36.0) for side in _SIDES)
DIAGONAL = 0.5**0.5
# Labels at this distance and beyond have a line to their point.
FAR_PT = 14.0
MOST_COVERED, LEADER_POINTS = 2, 16
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
    taken: list[Bbox] = []
    for spot in spots:
        note, point = _written(axes, spot), axes.transData.transform((spot.x, spot.y))
        free = []
        for rank, place in enumerate(_PLACES):
            box = _moved(note, place, spot.reach_pt)
            if _within(box, inside) and not any(_in_the_way(other, box, point) for other in taken):
                free.append((box.count_contains(points), rank))
        covered, rank = min(free, default=(len(points), 0))
        if not free or (covered > MOST_COVERED and not spot.vital):
            note.remove()
            continue
        taken.append(_moved(note, _PLACES[rank], spot.reach_pt))
        if _PLACES[rank][1] >= FAR_PT:
            _draw_leader(axes, spot, note)


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


def _moved(note: Annotation, place: tuple[tuple[int, int], float], reach_pt: float) -> Bbox:
    """Put a label to a place about its point and return the pixels it covers."""
    (right, up), distance_pt = place
    distance_pt += reach_pt * (DIAGONAL if right and up else 1.0)
    note.xyann = (right * distance_pt, up * distance_pt)
    note.set(ha=_ALIGN_X[right], va=_ALIGN_Y[up])
    return note.get_window_extent()


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
