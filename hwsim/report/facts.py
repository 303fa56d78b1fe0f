"""What stands below a report's tables: totals, conventions, what was assumed, and the line a person would quote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from hwsim.report.record import MAC_CONVENTION, Report
from hwsim.report.words import human_bytes, lasting, percent, printable, rounded, scaled, shortened

# Names a line of warnings or of live tensors shows before it counts the others.
NAMED = 4


class Fact(NamedTuple):
    """One line: what it is about, and what it says."""

    label: str
    text: str


def facts(report: Report) -> list[Fact]:
    """Return the lines below a report's tables, in order; those that have nothing to say are left out."""
    found = [
        Fact("total", _total(report)),
        Fact("run", conditions(report)),
        Fact("traffic", _traffic(report)),
        Fact("energy", _energy(report)),
        Fact("duty", _duty(report)),
        Fact("battery", _battery(report)),
        Fact("arena", _arena(report)),
        Fact("coverage", report.coverage),
        Fact("MACs", MAC_CONVENTION),
        Fact("error", report.error_source),
        *(Fact("assumed", line) for line in _once(report.assumptions)),
        *(Fact("left out", line) for line in _once(report.outside)),
        *(Fact("warning", line) for line in _once(report.warnings)),
    ]
    if report.unknown_layers:
        count = len(report.unknown_layers)
        said = "1 unknown layer costs" if count == 1 else f"{count} unknown layers cost"
        text = f"{said} nothing here: {some(report.unknown_layers)}"
        found.append(Fact("warning", text))
    found += [Fact("way out", line) for line in report.ways_out]
    return [fact for fact in found if fact.text]


def _total(report: Report) -> str:
    counts = f"{scaled(report.macs, 'MAC')}, {scaled(report.ops, 'op')}"
    if not report.runs:
        return counts
    used = f"{scaled(report.cycles, 'cycle')} at {scaled(report.clock_hz, 'Hz')}"
    return f"{counts}, {used}, utilization {percent(report.utilization)}"


def conditions(report: Report) -> str:
    """Return the conditions that a report's numbers belong to: batch, dtype, what mappings were chosen for."""
    mapped = f", mappings chosen for {report.objective}" if any(layer.mapping for layer in report.layers) else ""
    return f"batch {report.batch}, dtype {report.dtype}{mapped}"


def _traffic(report: Report) -> str:
    moved = ", ".join(f"{name} {human_bytes(count)}" for name, count in report.traffic_bytes.items() if count)
    if not moved:
        return "none"
    told = f"{moved}; {rounded(report.compulsory_ratio)} times the compulsory {human_bytes(report.compulsory_bytes)}"
    above = rounded(report.io_bound_ratio)
    # The bound is told where it says more than the compulsory bytes.
    if above == rounded(report.compulsory_ratio):
        return told
    return f"{told}, {above} times the I/O lower bound {human_bytes(report.io_bound_bytes)}"


def _energy(report: Report) -> str:
    parts = sorted(report.energy_parts_j.items(), key=lambda part: -part[1])
    total = sum(report.energy_parts_j.values())
    if not total or not report.runs:
        return ""
    shares = ", ".join(f"{name} {percent(value / total)}" for name, value in parts)
    return f"{scaled(report.energy_j, 'J')}, {scaled(report.power_w, 'W')} on average: {shares}"


def _duty(report: Report) -> str:
    duty = report.duty
    if duty is None:
        return ""
    if duty.reason:
        return "" if report.reason else f"not possible: {duty.reason}"
    if not duty.waits:
        return f"without a break: {scaled(duty.average_w, 'W')} on average"
    parts = f"{lasting(duty.run_s)} at {scaled(duty.run_w, 'W')}, then {duty.waits} at {scaled(duty.wait_w, 'W')}"
    waking = f", {lasting(duty.wake_s)} to wake up" if duty.wake_s else ""
    return f"every {lasting(duty.period_s)}: {parts}{waking}: {scaled(duty.average_w, 'W')} on average"


def _battery(report: Report) -> str:
    duty = report.duty
    if duty is None or not duty.battery or duty.reason:
        return ""
    held, drawn = scaled(duty.battery_j, "J"), scaled(duty.battery_w, "W")
    return f"{duty.battery} ({held}) gives {drawn} for {lasting(duty.life_s)}, its own discharge left out"


def _arena(report: Report) -> str:
    """Return the peak: when it is, what lives then and at which offset, and how far the plan is from the optimum."""
    if not report.arena:
        return ""
    live = [
        f"{place.tensors[0]} {human_bytes(place.size_bytes)} at {human_bytes(place.offset_bytes)}"
        for place in sorted(report.peak_tensors, key=lambda place: -place.size_bytes)
    ]
    bound = "the least there can be"
    if report.arena_bytes > report.arena_lower_bound_bytes:
        bound = f"{percent(report.arena_gap)} above the least there can be"
    planned = f"{human_bytes(report.arena_bytes)}, {bound} ({report.arena_planner})"
    return f"{planned}; fullest during {report.peak_layer}: {some(live)}"


def some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _once(lines: Sequence[str]) -> list[str]:
    """Return each line once, with how often it was said."""
    return [line if times == 1 else f"{line} ({times} times)" for line, times in Counter(lines).items()]


def quote(report: Report, width: int | None = None) -> str:
    """Return the one line a person would quote.

    Args:
        report: What it is about.
        width: Characters it may have: what it can do without is left out, then names are shortened.
    """
    net, chip = printable(report.net), printable(report.chip)
    runtime = f" ({report.runtime})" if report.runtime else ""
    if not report.runs:
        said = [report.reason, *(report.reason.partition(end)[0] for end in (";", " (", ":"))]
        line = ": "
    else:
        error = "not validated" if report.error_p90 is None else f"± {percent(report.error_p90)}"
        costs = f"{scaled(report.latency_s, 's')}, {scaled(report.energy_j, 'J')}, fits"
        fullest = max(report.memories, key=lambda memory: memory.need_bytes / memory.capacity_bytes)
        full = percent(fullest.need_bytes / fullest.capacity_bytes)
        said = [f"{costs} ({fullest.name} {full} full); {error}", f"{costs}; {error}"]
        line = ": "
    lines = [f"{net} on {chip}{where}{line}{what}" for what in said for where in dict.fromkeys((runtime, ""))]
    if width is None:
        return lines[0]
    fitting = [text for text in lines if len(text) <= width]
    if fitting:
        return fitting[0]
    room = max(width - (len(lines[-1]) - len(net)), 8)
    return f"{shortened(net, room)} on {chip}{line}{said[-1]}"
