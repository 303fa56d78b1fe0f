"""A report as JSON and CSV; numbers without meaning are null, and empty."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from hwsim import __version__
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.report.record import Report

Json = Any

# What the end of a field's name says of its unit; a number without one is a count or a share from 0 to 1.
UNITS = {
    "_s": "second",
    "_j": "joule",
    "_w": "watt",
    "_bytes": "byte",
    "_hz": "hertz",
    "_per_s": "per second",
    "items": "byte",
    "macs": "multiply-accumulates",
    "macs_done": "multiply-accumulates that take their cycle",
    "ops": "operations that are no MACs",
    "cycles": "cycles of the engine",
    "utilization": "share from 0 to 1",
    "compulsory_ratio": "bytes moved over bytes that must move",
    "io_bound_ratio": "bytes moved over the least that any order of the MACs moves",
    "arena_gap": "share of the lower bound",
    "error_p90": "share of the latency",
}
NULL = {
    "latency_s": "the net or the layer does not run; reason says why",
    "energy_j": "as latency_s",
    "power_w": "as latency_s",
    "cycles": "as latency_s",
    "utilization": "no MACs, no peak rate known, or as latency_s",
    "error_p90": "not validated; error_source says why",
    "mapping": "the layer is not mapped onto an array",
    "duty": "neither a period nor a battery was given",
    "average_w": "duty.reason says why",
}

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
    "traffic_parts_bytes",
    "compulsory_bytes",
    "compulsory_ratio",
    "io_bound_bytes",
    "io_bound_ratio",
    "arena_bytes",
    "arena_gap",
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
    head = {"schema": SCHEMA, "hwsim": __version__, "mac_convention": MAC_CONVENTION, "units": UNITS, "null": NULL}
    head |= {"quote": str(report), "coverage": report.coverage}
    told = head | whole | {"totals": totals, "memories": memories, "arena": arena, "layers": layers}
    return {name: clean(value) for name, value in told.items()}


def report_of(data: Mapping[str, Json]) -> Report:
    """Return the report that ``report_dict`` turned into JSON values.

    Raises:
        UsageError: They are none of these, or of another schema.
    """
    from pydantic import TypeAdapter, ValidationError

    from hwsim.report.duty import DutyCycle
    from hwsim.report.record import SCHEMA, LayerReport, Report

    if not isinstance(data, dict) or "layers" not in data or "schema" not in data:
        raise UsageError("is no report of hwsim; `hwsim evaluate NET CHIP --json FILE` writes one")
    if data["schema"] != SCHEMA:
        raise UsageError(f"schema = {data['schema']!r}: this hwsim reads reports of schema {SCHEMA}")
    numbers = {field.name for record in (LayerReport, DutyCycle) for field in fields(record) if field.type == "float"}
    try:
        return TypeAdapter(Report).validate_python(_with_nan(data, numbers))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise UsageError(
            f"is no whole report of hwsim: {place}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
        ) from None


def _with_nan(value: Json, numbers: set[str]) -> Json:
    """Return JSON values with nan for null where a field is a number."""
    if isinstance(value, list):
        return [_with_nan(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    measured = value.get("measured")
    inner = {name: _with_nan(item, numbers) for name, item in value.items()}
    inner |= {name: nan for name in numbers & inner.keys() if inner[name] is None}
    if isinstance(measured, dict):
        inner["measured"] = {name: nan if item is None else item for name, item in measured.items()}
    return inner


def report_json(report: Report, *, indent: int | None = 2) -> str:
    """Return a report as JSON text."""
    return json_text(report_dict(report), indent=indent)


def json_text(value: Json, *, indent: int | None = 2, default: Callable[[Any], Json] | None = None) -> str:
    """Return plain values as JSON text; nan and infinities are null, and ``default`` makes plain what is not."""
    return json.dumps(clean(value), indent=indent, ensure_ascii=False, allow_nan=False, default=default) + "\n"


def rows_csv(rows: Sequence[dict[str, Json]]) -> str:
    """Return flat records as CSV text, the columns of all rows in order of appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in clean(row).items()} for row in rows)
    return text.getvalue()


def clean(value: Json) -> Json:
    """Replace nan and infinities by None and tuples by lists, at any depth."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
