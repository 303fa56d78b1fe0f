"""Figures of hwsim beside published ones: what was aimed at, and whether it is met."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent
# Relative rounding of figures that the sources print, below which two are the same.
SAME = 1e-6

Rule = Literal["within", "at_most", "equal", "none"]


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure is held to.

    Attributes:
        rule: ``within`` a share of the published one, ``at_most`` the published one, ``equal`` to it, or ``none``.
        share: The share, a fraction.
    """

    rule: Rule
    share: float = 0.0

    def met(self, ours: float, published: float) -> bool:
        """Return whether a figure does what was aimed at."""
        if self.rule == "within":
            return abs(ours - published) <= self.share * abs(published)
        if self.rule == "at_most":
            return ours <= published * (1 + SAME)
        return self.rule == "none" or ours == published

    def __str__(self) -> str:
        """Return it in words."""
        return {"within": f"± {self.share:.0%}", "at_most": "≤", "equal": "=", "none": "–"}[self.rule].replace(
            "%", " %"
        )


NO_AIM = Aim("none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure beside the published one.

    Attributes:
        case: What was costed.
        quantity: What the figure is, with its unit.
        ours: hwsim's figure.
        published: The published one.
        aim: What it is held to.
        of: Who published it, where a table has several.
    """

    case: str
    quantity: str
    ours: float
    published: float
    aim: Aim
    of: str = ""

    @property
    def error(self) -> float:
        """Difference over the published figure."""
        return (self.ours - self.published) / self.published

    @property
    def met(self) -> bool:
        """Whether the aim is met."""
        return self.aim.met(self.ours, self.published)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTable:
    """Figures of one source.

    Attributes:
        title: Its heading.
        rows: The figures.
        mean_within: What the mean of the errors' sizes is held to, where there is such an aim.
    """

    title: str
    rows: Sequence[Comparison]
    mean_within: float | None = None

    @property
    def missed(self) -> list[Comparison]:
        """Figures that miss their aim."""
        return [row for row in self.rows if not row.met]

    @property
    def mean_error(self) -> float:
        """Mean size of the errors."""
        return sum(abs(row.error) for row in self.rows) / len(self.rows)

    def markdown(self) -> str:
        """Return the table for a page."""
        several = any(row.of for row in self.rows)
        head = ["case", "quantity", "hwsim", "published", "error", "aim", "met"]
        if several:
            head.insert(4, "by")
        lines = [_line(head), _line(["---"] * len(head))]
        for row in self.rows:
            met = "" if row.aim.rule == "none" else "yes" if row.met else "**no**"
            error = percent(row.error, sign="+")
            cells = [row.case, row.quantity, number(row.ours), number(row.published), error, str(row.aim)]
            if several:
                cells.insert(4, row.of)
            lines.append(_line([*cells, met]))
        if self.mean_within is not None:
            met = "met" if self.mean_error <= self.mean_within else "**not met**"
            lines += [
                "",
                f"Mean size of the errors: {percent(self.mean_error)} (aim {percent(self.mean_within)}, {met}).",
            ]
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def percent(share: float, *, sign: str = "") -> str:
    """Return a fraction in per cent, to a tenth."""
    return f"{share:{sign}.1%}".replace("%", " %")


def number(value: float) -> str:
    """Return a figure as a table shows it: whole ones with groups of digits, others to four digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def rows_of(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table of published facts in this folder."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
