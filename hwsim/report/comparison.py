"""Two or more reports side by side: totals, the layers that differ most, and thresholds for CI."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from hwsim.errors import UsageError, did_you_mean
from hwsim.report.record import Report
from hwsim.report.words import rounded, scaled
from hwsim.units import BYTES_PER_KIB, J_PER_MJ, S_PER_MS

# What can be compared and guarded: name -> (unit in SI, how to read it off a report or a layer).
QUANTITIES: dict[str, float] = {
    "latency_ms": S_PER_MS,
    "energy_mj": J_PER_MJ,
    "macs": 1.0,
    "cycles": 1.0,
    "params": 1.0,
    "weights_kib": BYTES_PER_KIB,
    "peak_kib": BYTES_PER_KIB,
    "traffic_kib": BYTES_PER_KIB,
}
_RULE = re.compile(r"\s*([a-z_]+)\s*>\s*([+]?)\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*(%?)\s*")


def quantity(report: Report, name: str) -> float:
    """Return a quantity of a report in the unit its name says; nan where it has no meaning.

    Raises:
        UsageError: There is no such quantity.
    """
    if name not in QUANTITIES:
        known = ", ".join(QUANTITIES)
        raise UsageError(f"quantity {name!r}: must be one of {known}{did_you_mean(name, QUANTITIES)}")
    values: dict[str, float] = {
        "latency_ms": report.latency_s,
        "energy_mj": report.energy_j,
        "macs": report.macs,
        "cycles": report.cycles,
        "params": report.params,
        "weights_kib": report.param_bytes,
        "peak_kib": max((place.offset_bytes + place.size_bytes for place in report.arena), default=0),
        "traffic_kib": sum(report.traffic_bytes.values()),
    }
    return values[name] / QUANTITIES[name]


@dataclass(frozen=True, slots=True)
class Delta:
    """A layer that two reports both have, or one of them: its name and its latencies [s], None where it is missing."""

    name: str
    before_s: float | None
    after_s: float | None

    @property
    def change_s(self) -> float:
        """Latency gained or lost [s]."""
        change = (self.after_s or 0.0) - (self.before_s or 0.0)
        return change if isfinite(change) else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Reports side by side; the first is the base of every change."""

    reports: tuple[Report, ...]

    def totals(self) -> list[dict[str, Any]]:
        """Return one flat record per report: net, chip, every quantity, and whether it fits."""
        return [
            {"net": report.net, "chip": report.chip}
            | {name: quantity(report, name) for name in QUANTITIES}
            | {"fits": report.fits, "reason": report.reason}
            for report in self.reports
        ]

    def deltas(self, index: int = 1) -> list[Delta]:
        """Return the layers of the base and of report ``index``, matched by name, largest change first."""
        base, other = self.reports[0], self.reports[index]
        before = {layer.name: layer.latency_s for layer in base.layers}
        after = {layer.name: layer.latency_s for layer in other.layers}
        found = [Delta(name, before.get(name), after.get(name)) for name in before | after]
        return sorted(found, key=lambda delta: (-abs(delta.change_s), delta.name))

    def to_dict(self) -> dict[str, Any]:
        """Return totals and, for each report after the first, the layers that differ, as JSON values."""
        from hwsim.report.export import clean

        changes = [
            {"net": report.net, "chip": report.chip, "layers": [asdict(delta) for delta in self.deltas(index)]}
            for index, report in enumerate(self.reports)
            if index
        ]
        whole: dict[str, Any] = clean({"totals": self.totals(), "deltas": changes})
        return whole

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return ``to_dict`` as JSON text."""
        from hwsim.report.export import json_text

        return json_text(self.to_dict(), indent=indent)

    def __str__(self) -> str:
        """Return the one line a person would quote: the fastest, and by how much."""
        running = [report for report in self.reports if report.runs]
        if not running:
            return f"none of the {len(self.reports)} runs"
        best, base = min(running, key=lambda report: report.latency_s), self.reports[0]
        told = f"fastest: {best.net} on {best.chip}, {scaled(best.latency_s, 's')}"
        if best is base:
            return f"{told}, the first of {len(self.reports)}"
        if not base.runs:
            return f"{told}; the first does not run"
        return f"{told}, {rounded(base.latency_s / best.latency_s)} times as fast as the first"

    def broken(self, rules: Sequence[str]) -> list[str]:
        """Return a sentence for every rule that some report after the first breaks.

        A rule is ``latency_ms>+5%`` (more than 5 % above the base), ``energy_mj>+0.2`` (more than 0.2 above it) or
        ``peak_kib>256`` (above a limit; the base is held to it as well). A report that does not run breaks every rule
        on a quantity that it then lacks.

        Raises:
            UsageError: A rule does not read so.
        """
        sentences = []
        for rule in rules:
            name, relative, threshold, per_cent = _parse(rule)
            base = quantity(self.reports[0], name)
            limit = threshold
            if relative:
                limit = base * (1 + threshold / 100) if per_cent else base + threshold
            for report in self.reports[1 if relative else 0 :]:
                value = quantity(report, name)
                if not value <= limit:
                    told = f"{value:.6g}" if isfinite(value) else f"without meaning ({report.reason})"
                    sentences.append(f"{report.net} on {report.chip}: {name} is {told}, limit {limit:.6g} ({rule})")
        return sentences


def compare(reports: Sequence[Report]) -> Comparison:
    """Return reports side by side.

    Raises:
        UsageError: There are fewer than two.
    """
    if len(reports) < 2:
        raise UsageError(f"compare needs two results or more, has {len(reports)}: name another net or chip")
    return Comparison(tuple(reports))


def _parse(rule: str) -> tuple[str, bool, float, bool]:
    match = _RULE.fullmatch(rule)
    if match is None:
        raise UsageError(f"rule {rule!r}: write it as latency_ms>+5%, energy_mj>+0.2 or peak_kib>256")
    name, plus, number, per_cent = match.groups()
    if name not in QUANTITIES:
        raise UsageError(
            f"rule {rule!r}: quantity must be one of {', '.join(QUANTITIES)}{did_you_mean(name, QUANTITIES)}"
        )
    try:
        threshold = float(number)
    except ValueError:
        raise UsageError(f"rule {rule!r}: {number!r} is no number") from None
    if per_cent and not plus:
        raise UsageError(f"rule {rule!r}: a per cent needs a base: write {name}>+{number}%")
    return name, bool(plus), threshold, bool(per_cent)
