"""A sweep in a few numbers: how many points ran, and the best of each net, found chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwsim.explore.names import Column
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words

# What is to be little of.
OBJECTIVES = ("latency_s", "energy_j", "edp_js")


@dataclass
class Summary:
    """What a sweep came to.

    Attributes:
        columns: The columns of its table.
        rows: Rows that were costed.
        ran: Those of them at which the net runs.
        best: By net and objective, the row with the least of it; of equal ones the first point.
        reasons: How many rows do not run, by what their reason begins with.
    """

    columns: tuple[Column, ...] = ()
    rows: int = 0
    ran: int = 0
    best: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Iterable[SweepTable]) -> Summary:
        """Return the summary of a table that comes in parts."""
        summary = cls()
        for table in tables:
            summary._add(table)
        return summary

    @property
    def axes(self) -> list[Column]:
        """The columns that were varied."""
        return [column for column in self.columns if column.role == "axis"]

    def _add(self, table: SweepTable) -> None:
        self.columns = self.columns or table.columns
        self.rows += len(table)
        self.ran += int((~np.isnan(table["latency_s"])).sum())
        nets = table.stored("net")
        assert isinstance(nets, Words)
        for code, net in enumerate(nets.vocabulary):
            rows = np.flatnonzero(nets.codes == code)
            self._compare(net, table, rows)
        reasons = table.stored("reason")
        assert isinstance(reasons, Words)
        for code, count in zip(*np.unique(reasons.codes, return_counts=True), strict=True):
            kind = reasons.vocabulary[int(code)].partition(":")[0]
            if kind:
                self.reasons[kind] = self.reasons.get(kind, 0) + int(count)

    def _compare(self, net: str, table: SweepTable, rows: Any) -> None:
        kept = self.best.setdefault(net, {})
        for objective in OBJECTIVES:
            values = table[objective][rows]
            if not len(values) or np.isnan(values).all():
                continue
            least = np.nanmin(values)
            candidates = rows[values == least]
            row = table.row(int(candidates[table["point"][candidates].argmin()]))
            known = kept.get(objective)
            if known is None or (least, row["point"]) < (known[objective], known["point"]):
                kept[objective] = row
