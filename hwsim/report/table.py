"""A table of text, whoever prints it: what its columns are, and how it is laid out to a width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hwsim.report.words import printable, shortened

WIDTH = 100
# How far a column that gives way is narrowed before others are left out for it, and how far after that.
SHORT, SHORTEST = 20, 12
_BEFORE_UNIT, _NO_BREAK = re.compile(r"(?<=[0-9]) (?=[^ 0-9])"), "\N{NO-BREAK SPACE}"
Overflow = Literal["keep", "middle", "end", "wrap"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        header: Its name, with the unit.
        numeric: Whether it holds numbers, which stand to the right.
        overflow: What gives where the table is too wide: nothing, a cell's middle or end, or the line.
        drop: Columns of a table that is still too wide are left out by this number, largest first; 0 never.
    """

    header: str
    numeric: bool = False
    overflow: Overflow = "keep"
    drop: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under columns, and perhaps their total."""

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] | None = None

    @property
    def headers(self) -> list[str]:
        """The columns' headers."""
        return [column.header for column in self.columns]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        return [column.numeric for column in self.columns]


@dataclass(frozen=True, slots=True)
class Layout:
    """A table as lines of text without trailing blanks."""

    header: str
    rows: tuple[str, ...]
    total: tuple[str, ...]


def laid_out(table: Table, width: int | None = WIDTH) -> Layout:
    """Return a table as lines that keep to a width; columns give way as they say, the widest first.

    Args:
        table: The table. Characters that a terminal would act on are shown as �.
        width: Characters in a line; None sets no limit.
    """
    kept, least = list(range(len(table.columns))), SHORT
    body = [[printable(cell) for cell in row] for row in (*table.rows, *([table.total] if table.total else []))]
    while True:
        columns = [table.columns[i] for i in kept]
        cells = [[row[i] for i in kept] for row in body]
        natural = [max(map(len, column)) for column in zip([c.header for c in columns], *cells, strict=True)]
        gap, widths, fits = _fitted(columns, natural, least, width)
        if fits:
            break
        droppable = [i for i in kept if table.columns[i].drop]
        if droppable:
            kept.remove(max(droppable, key=lambda i: table.columns[i].drop))
        elif least > SHORTEST:
            least = SHORTEST
        else:
            break
    lines = [_lines(row, columns, widths, " " * gap) for row in cells]
    rows, total = (lines[:-1], lines[-1]) if table.total else (lines, [])
    (header,) = _lines([column.header for column in columns], columns, widths, " " * gap)
    return Layout(header, tuple(line for row in rows for line in row), tuple(total))


def _fitted(
    columns: Sequence[Column], natural: Sequence[int], least: int, width: int | None
) -> tuple[int, list[int], bool]:
    """Return the blanks between columns, their widths, and whether they fit: as they are if they do, else narrowed."""
    gaps = len(columns) - 1
    floors = [
        size if column.overflow == "keep" else min(size, max(least, len(column.header)))
        for column, size in zip(columns, natural, strict=True)
    ]
    for gap, narrowest in ((2, natural), (1, natural), (2, floors), (1, floors)):
        if width is None or sum(narrowest) + gap * gaps <= width:
            widths = list(natural)
            while width is not None and sum(widths) + gap * gaps > width:
                index = max((i for i, floor in enumerate(floors) if widths[i] > floor), key=lambda i: widths[i])
                widths[index] -= 1
            return gap, widths, True
    return 1, floors, False


def _lines(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], gap: str) -> list[str]:
    """Return a row as lines: several where a cell is wrapped."""
    parts = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        match column.overflow:
            case "middle":
                parts.append([shortened(cell, width)])
            case "end":
                parts.append([cell if len(cell) <= width else f"{cell[: width - 1].rstrip()}…"])
            case "wrap":
                parts.append(wrapped(cell, width) or [""])
            case _:
                parts.append([cell])
    lines = []
    for index in range(max(map(len, parts))):
        line = [
            f"{part[index] if index < len(part) else '':{'>' if column.numeric else '<'}{width}}"
            for part, column, width in zip(parts, columns, widths, strict=True)
        ]
        lines.append(gap.join(line).rstrip())
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Return text as lines of at most ``width`` characters, broken at blanks but not between a number and its unit.

    A word that is longer stands whole.
    """
    glued = _BEFORE_UNIT.sub(_NO_BREAK, text)
    lines = textwrap.wrap(glued, max(width, 1), break_long_words=False, break_on_hyphens=False)
    return [line.replace(_NO_BREAK, " ") for line in lines]
