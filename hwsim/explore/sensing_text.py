"""Sensitivities as a table, and as a line that a person would quote."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.explore.sensing import Sensitivity, about
from hwsim.report.table import Column, Table
from hwsim.report.words import MISSING

# An objective follows a field from here on, and hardly sees it up to there.
FOLLOWS, HARDLY = 0.1, 0.03
NAMED = 3
# Fields without effect that are named.
SILENT = 8


def shown(found: Sensitivity, *, every: bool = False) -> list[int]:
    """Return which axes to show, the most telling first; those that change nothing only if all are wanted."""
    size = np.nan_to_num(np.abs(np.stack([found.values, found.low, found.high]))).max(axis=(0, 2))
    order = np.argsort(-size, kind="stable").tolist()
    return order if every else [index for index in order if size[index] >= 0.0005]


def sensitivity_table(found: Sensitivity, *, every: bool = False) -> Table:
    """Return a row per field."""
    what = {"local": "today", "grid": "from, to", "sobol": "range"}[found.kind]
    columns = [Column("field", overflow="middle"), Column(what, numeric=True)]
    columns += [Column(about(name), numeric=True) for name in found.objectives]
    rows = [
        [found.axes[i], found.today[i], *(_cell(found, i, j) for j in range(len(found.objectives)))]
        for i in shown(found, every=every)
    ]
    return Table(tuple(columns), rows)


def _cell(found: Sensitivity, axis: int, objective: int) -> str:
    value, low, high = (float(part[axis, objective]) for part in (found.values, found.low, found.high))
    match found.kind:
        case "grid":
            return MISSING if np.isnan(value) else f"{signed(value)} ({signed(low)} to {signed(high)})"
        case "sobol":
            return f"{value:.2f} ({low:.2f})".replace("-", "−")
        case _:
            return MISSING if np.isnan(value) else signed(value)


def signed(value: float) -> str:
    """Return an elasticity with its sign; 0 for none."""
    return "0" if round(value, 2) == 0 else f"{value:+.2f}".replace("-", "−")


def explained(found: Sensitivity) -> list[tuple[str, str]]:
    """Return what the numbers mean, and which fields stand in no row."""
    told = {
        "local": f"d ln objective / d ln field over a step both ways; mappings chosen anew at {found.count:,} points",
        "grid": f"d ln objective / d ln field: mean (least to largest) over {found.count:,} pairs of neighbours",
        "sobol": f"total Sobol index (of the field alone): shares of the variance over {found.count:,} samples",
    }
    lines = [("shown", told[found.kind])]
    silent = [found.axes[index] for index in range(len(found.axes)) if index not in shown(found)]
    if silent:
        more = f" and {len(silent) - SILENT} more; --all-rows shows them" if len(silent) > SILENT else ""
        lines.append(("no effect", ", ".join(silent[:SILENT]) + more))
    lines += [("left out", f"{name}: {why}") for name, why in found.left_out.items()]
    return lines


def sensitivity_quote(found: Sensitivity) -> str:
    """Return what the first objectives follow, and what they hardly see."""
    parts = [_told(found, index) for index in range(min(2, len(found.objectives)))]
    return f"{found.subject}: {'; '.join(parts)}"


def _told(found: Sensitivity, objective: int) -> str:
    values = np.nan_to_num(found.values[:, objective])
    order = np.argsort(-np.abs(values), kind="stable")
    follows = [index for index in order.tolist() if abs(values[index]) >= FOLLOWS][:NAMED]
    # Worth telling is what one would expect to matter: sizes and shapes, nearest to the engine first.
    expected = ("size_kib", "size_mib", "rows", "cols")
    blind = [index for index in range(len(values)) if abs(values[index]) < HARDLY]
    blind = sorted(blind, key=lambda index: not found.axes[index].endswith(expected))[:2]
    sees = " and ".join(found.axes[index] for index in blind)
    verb = {"sobol": "varies with"}.get(found.kind, "follows")
    number = (lambda value: f"{value:.2f}") if found.kind == "sobol" else signed
    named = ", ".join(f"{found.axes[index]} ({number(float(values[index]))})" for index in follows)
    name = about(found.objectives[objective])
    if not follows:
        return f"{name} follows no field by more than {FOLLOWS:g}"
    return f"{name} {verb} {named}" + (f" and hardly sees {sees}" if sees else "")


def record(found: Sensitivity) -> dict[str, Any]:
    """Return sensitivities for JSON."""
    return {"kind": found.kind, "subject": found.subject, "points": found.count, "rows": rows(found)}


def rows(found: Sensitivity) -> list[dict[str, Any]]:
    """Return a record per field and objective."""
    return [
        {
            "field": axis,
            "at": found.today[i],
            "objective": name,
            "value": float(found.values[i, j]),
            "low": float(found.low[i, j]),
            "high": float(found.high[i, j]),
        }
        for i, axis in enumerate(found.axes)
        for j, name in enumerate(found.objectives)
    ]
