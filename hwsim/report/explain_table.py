"""An explanation as a table."""

from __future__ import annotations

from math import isfinite

from hwsim.report.explaining import NOTICED, Doubling, Explanation
from hwsim.report.table import Column, Table
from hwsim.report.words import MISSING, percent, rounded, scaled

# Units of fields by their names in a profile.
UNITS = {
    "clock_mhz": "MHz", "bytes_per_cycle": "B/cycle", "gb_per_s": "GB/s", "size_kib": "KiB", "size_mib": "MiB",
    "size_bytes": "B", "cache_kib": "KiB", "latency_cycles": "cycle", "stall_ns_per_byte": "ns/B",
}  # fmt: skip


def explanation_table(told: Explanation) -> Table:
    """Return what binds, then what each change would buy; changes that buy nothing are left out (``unchanged``)."""
    columns = (
        Column("what"),
        Column("from", numeric=True),
        Column("to"),
        Column("t", numeric=True),
        Column("× as fast", numeric=True),
        Column("E", numeric=True),
        Column("× energy", numeric=True),
        Column("", overflow="wrap"),
    )
    report = told.report
    binds = ", ".join(f"{name} {percent(share)}" for name, share in told.binds.items())
    now = scaled(report.latency_s, "s"), scaled(report.energy_j, "J")
    same = "1" if report.runs else MISSING
    rows = [["as it is", "", "", now[0], same, now[1], same, f"binds: {binds}" if binds else report.reason]]
    for change in told.doublings:
        if not _nothing(change, told):
            times, energy = (
                rounded(ratio) if isfinite(ratio) else MISSING for ratio in (change.speedup, change.energy_ratio)
            )
            unit = UNITS.get(change.path.rpartition(".")[2], "")
            amounts = f"{change.value:g}", f"{change.changed:g} {unit}".strip()
            after = scaled(change.latency_s, "s"), scaled(change.energy_j, "J")
            rows.append([change.resource, *amounts, after[0], times, after[1], energy, change.reason])
    return Table(columns, rows)


def unchanged(told: Explanation) -> list[tuple[str, str]]:
    """Return a labelled line that names what would buy nothing, or none."""
    names = [change.resource for change in told.doublings if _nothing(change, told)]
    return [("no change", f"by twice (of latencies and waits: half) the {', '.join(names)}")] if names else []


def _nothing(change: Doubling, told: Explanation) -> bool:
    if not told.report.runs:
        return bool(change.reason)
    return not change.reason and abs(change.speedup - 1) < NOTICED and abs(change.energy_ratio - 1) < NOTICED
