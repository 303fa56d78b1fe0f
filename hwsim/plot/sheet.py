"""The sheet that a picture is drawn on: its style and size, its title, legend and notes, and the units of its axes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from hwsim.plot.palette import FAINT_INK, INK
from hwsim.report import Report
from hwsim.report.facts import conditions, quote
from hwsim.report.words import byte_unit, printable, rounded, shortened, si_prefix

# As wide as a column of a paper, with letters that can be read there.
WIDTH_IN = 4.5
DPI = 240
PT_PER_IN = 72
SIZE_PT, SMALL_PT, TITLE_PT = 7.5, 6.5, 8.0
MAX_LINES, MAX_NAME = 5, 24
MARGIN_PT = 4.0
# Height of a line in font sizes.
LINE, LEGEND_LINE = 1.2, 1.5
# What a legend's coloured mark and the gaps about it take, and what the widest names leave of the width for a legend.
HANDLE_PT, LEGEND_SHARE = 24.0, 0.73

# Everything a reader's own matplotlibrc could change is reset first, so that a picture is the same everywhere.
STYLE = {
    "axes.edgecolor": FAINT_INK,
    "axes.labelcolor": INK,
    "axes.labelsize": SIZE_PT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": SIZE_PT,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.dpi": DPI,
    "font.size": SIZE_PT,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "hatch.color": "white",
    "hatch.linewidth": 0.6,
    "legend.fontsize": SMALL_PT,
    "legend.title_fontsize": SMALL_PT,
    "pdf.fonttype": 42,
    "svg.hashsalt": "hwsim",
    "text.color": INK,
    # A layer may be called $x$.
    "text.parse_math": False,
    "xtick.color": FAINT_INK,
    "xtick.labelcolor": INK,
    "xtick.labelsize": SMALL_PT,
    "ytick.color": FAINT_INK,
    "ytick.labelcolor": INK,
    "ytick.labelsize": SMALL_PT,
}


# A number, with its thousands apart and its unit, is one word.
_WORD = re.compile(r"\S*\d(?: \d{3}\b)*(?: (?:%|[µa-zA-Z]{1,3}\b))?\S*|\S+")


@contextmanager
def style() -> Iterator[None]:
    """Draw in hwsim's style, whatever the reader's own settings are; they are back in force afterwards."""
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; that is no reason to speak up.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


@dataclass(frozen=True, slots=True)
class Sheet:
    """Axes to draw on, and whether the figure around them is the picture's own."""

    axes: Axes
    own: bool

    def title(self, text: str, note: str = "") -> None:
        """Write a title above, over the figure's whole width, and a note in small letters below."""
        lines = wrapped(text, TITLE_PT if self.own else SMALL_PT, self._width_pt)
        small = wrapped(note, SMALL_PT, self._width_pt)
        if self.own:
            figure = whole_figure(self.axes)
            # The drawing keeps its height, however much there is to say about it.
            more_pt = LINE * (TITLE_PT * (len(lines) - 1) + SMALL_PT * (len(small) - 1))
            figure.set_figheight(figure.get_figheight() + more_pt / PT_PER_IN)
            figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=TITLE_PT)
            if note:
                figure.supxlabel("\n".join(small), x=0.01, ha="left", fontsize=SMALL_PT, color=FAINT_INK)
        else:
            self.axes.set_title("\n".join([*lines, *small]), loc="left", fontsize=SMALL_PT)

    def legend(self, handles: Sequence[Artist], labels: Sequence[str], title: str | None = None) -> None:
        """Put a legend between the title and the axes, in as many columns as fit."""
        if not handles:
            return
        room_pt = (LEGEND_SHARE if self.own else 1.0) * self._width_pt
        widths_pt = [text_width_pt(text, SMALL_PT) + HANDLE_PT for text in labels]
        columns = len(labels) if sum(widths_pt) <= room_pt else max(int(room_pt / max(widths_pt)), 1)
        self.axes.legend(
            handles,
            labels,
            title=title,
            alignment="left",
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
            borderpad=0.2,
            labelspacing=0.3,
            columnspacing=1.2,
            handlelength=1.4,
            handletextpad=0.5,
            ncols=columns,
            frameon=False,
        )
        if not self.own:
            rows = -(-len(labels) // columns) + (title is not None)
            above_pt = rows * LEGEND_LINE * SMALL_PT + MARGIN_PT
            self.axes.set_title(self.axes.get_title(loc="left"), loc="left", fontsize=SMALL_PT, pad=above_pt)

    def say(self, text: str) -> None:
        """Write a sentence where the drawing would be."""
        self.axes.set_axis_off()
        lines = wrapped(text, SIZE_PT, 0.9 * self._width_pt)
        middle = self.axes.transAxes
        self.axes.text(0.5, 0.5, "\n".join(lines), transform=middle, ha="center", va="center", linespacing=1.5)

    @property
    def _width_pt(self) -> float:
        """Width for text: of the own figure, or of the given axes [pt]."""
        figure = whole_figure(self.axes)
        # Given axes may lose some of it to their labels once they are laid out.
        share = 1.0 if self.own else 0.9 * self.axes.get_position().width
        return share * figure.get_figwidth() * PT_PER_IN - 2 * MARGIN_PT


def sheet(ax: Axes | None, height_in: float) -> Sheet:
    """Return the given axes as a sheet, or a new figure of hwsim's width and the given height [inch]."""
    if ax is not None:
        return Sheet(ax, own=False)
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    return Sheet(figure.subplots(), own=True)


def whole_figure(axes: Axes) -> Figure:
    """Return the figure that axes stand in."""
    figure = axes.figure
    return figure if isinstance(figure, Figure) else figure.figure


def title_report(paper: Sheet, report: Report, *notes: str) -> None:
    """Title a sheet with the line that the table ends with; the conditions and notes go below."""
    paper.title(quote(report), "; ".join([*filter(None, notes), conditions(report)]))


def refuse(paper: Sheet, report: Report, what: str) -> Axes:
    """Say on a sheet that a net does not run, so that there is nothing to draw; return the axes."""
    title_report(paper, report)
    paper.say(f"no {what} to show: {report.net} does not run on {report.chip}")
    return paper.axes


def seconds_unit(largest_s: float) -> tuple[float, str]:
    """Return the factor and name of the unit that suits times up to so many seconds."""
    factor, prefix = si_prefix(largest_s)
    return factor, f"{prefix}s"


def joules_unit(largest_j: float) -> tuple[float, str]:
    """Return the factor and name of the unit that suits energies up to so many joules."""
    factor, prefix = si_prefix(largest_j)
    return factor, f"{prefix}J"


def bytes_unit(largest_bytes: float) -> tuple[float, str]:
    """Return the factor and name of the unit that suits up to so many bytes."""
    size, unit = byte_unit(largest_bytes)
    return float(size), unit


def short_bytes(value: float) -> str:
    """Return bytes as the label of a tick, with no zeros behind the point: ``16 KiB``."""
    size, unit = byte_unit(value)
    return f"{float(rounded(value / size).replace(' ', '')):g} {unit}"


def wrapped(text: str, size_pt: float, width_pt: float) -> list[str]:
    """Return text in lines of at most a width, broken between words, or inside one that is wider than that."""
    lines = [""]
    for word in _WORD.findall(printable(text)):
        for piece in _pieces(word, size_pt, width_pt):
            longer = f"{lines[-1]} {piece}".lstrip()
            if text_width_pt(longer, size_pt) <= width_pt:
                lines[-1] = longer
            else:
                lines.append(piece)
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], f"{lines[MAX_LINES - 1]} …"]


def _pieces(word: str, size_pt: float, width_pt: float) -> list[str]:
    """Return a word in pieces that fit a width: mostly the word itself."""
    share = text_width_pt(word, size_pt) / width_pt
    letters = len(word) if share <= 1 else max(int(len(word) / share), 1)
    return [word[start : start + letters] for start in range(0, len(word), letters)]


def text_width_pt(text: str, size_pt: float) -> float:
    """Return how wide a line of text is drawn, at most [pt]."""
    # Letters that are fitted to pixels are a little wider than their outlines.
    return 1.03 * float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size_pt), False)[0])


def label(name: str, room: int = MAX_NAME) -> str:
    """Return a layer's or tensor's name short enough to stand beside an axis."""
    return shortened(printable(name), room)
