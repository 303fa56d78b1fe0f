"""A report as JSON and CSV; numbers without meaning are null, and empty."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from hwsim import __version__

if TYPE_CHECKING:
    from hwsim.report.record import Report

Json = Any

TOTALS = (
    "latency_s",
    "energy_j",
    "power_w",
    "cycles",
    "macs",
    "ops",
    "utilization",
    "energy_parts_j",
    "traffic_bytes",
    "compulsory_bytes",
    "peak_bytes",
    "fits",
)


def report_dict(report: Report) -> dict[str, Json]:
    """Return a report as JSON values: conditions, totals, memories, layers, and what they rest on."""
    from hwsim.report.record import MAC_CONVENTION, SCHEMA

    whole = asdict(report)
    layers, memories, arena = whole.pop("layers"), whole.pop("memories"), whole.pop("arena")
    for record, memory in zip(memories, report.memories, strict=True):
        record |= {"need_bytes": memory.need_bytes, "margin_bytes": memory.margin_bytes, "fits": memory.fits}
    totals = {name: getattr(report, name) for name in TOTALS}
    head = {"schema": SCHEMA, "hwsim": __version__, "mac_convention": MAC_CONVENTION, "coverage": report.coverage}
    told = head | whole | {"totals": totals, "memories": memories, "arena": arena, "layers": layers}
    return {name: _clean(value) for name, value in told.items()}


def report_json(report: Report, *, indent: int | None = 2) -> str:
    """Return a report as JSON text."""
    return json.dumps(report_dict(report), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def rows_csv(rows: Sequence[dict[str, Json]]) -> str:
    """Return flat records as CSV text, the columns of all rows in order of appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in _clean(row).items()} for row in rows)
    return text.getvalue()


def _clean(value: Json) -> Json:
    """Replace nan and infinities by None and tuples by lists, at any depth."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
