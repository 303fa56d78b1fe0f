"""What ``fit`` says: a table of nets, chips and their memories, and why a net does not run there."""

from __future__ import annotations

from collections.abc import Sequence

from hwsim.report.facts import Fact, some
from hwsim.report.fitting import Fit
from hwsim.report.table import Column, Table
from hwsim.report.words import MISSING, human_bytes, percent

_NUMBERS = ("need", "capacity", "margin", "full")
# A memory that holds nothing else says nothing of the net: tiles are made to fill their buffer.
_NOT_OF_THE_NET = {"tiles", "reserved"}


def fit_table(fits: Sequence[Fit]) -> Table:
    """Return the table: a row per memory that holds some of the net, the net and the chip named in the first."""
    columns = (
        Column("net", overflow="middle"),
        Column("chip", overflow="middle"),
        Column("memory"),
        *(Column(name, numeric=True) for name in _NUMBERS),
        Column("verdict"),
        Column("fullest during", overflow="middle", drop=1),
    )
    rows: list[list[str]] = []
    for one in fits:
        held = [memory for memory in one.memories if not memory.fits or set(memory.items) - _NOT_OF_THE_NET]
        if not held or (one.reason and all(memory.fits for memory in held)):
            rows.append([one.net, one.chip, *[MISSING] * 5, "DOES NOT RUN", ""])
            continue
        for memory in held:
            head = ["", ""] if memory is not held[0] else [one.net, one.chip]
            amounts = [memory.need_bytes, memory.capacity_bytes, memory.margin_bytes]
            full = percent(memory.need_bytes / memory.capacity_bytes) if memory.capacity_bytes else MISSING
            verdict = "fits" if memory.fits else "DOES NOT FIT"
            peak = one.peak_layer if "activations" in memory.items else ""
            rows.append([*head, memory.name, *map(human_bytes, amounts), full, verdict, peak])
    return Table(columns, rows)


def fit_facts(fits: Sequence[Fit]) -> list[Fact]:
    """Return, for each net and chip that do not suit each other, why, what lives at the peak, and the way out."""
    several = len({one.net for one in fits}) > 1
    told = []
    for one in fits:
        label = f"{one.net} on {one.chip}" if several else one.chip
        told += [Fact(label, one.reason)] if one.reason else []
        told += [Fact(label, f"no time is known: {line}") for line in one.untimed]
        if one.reason:
            if any("activations" in memory.items and not memory.fits for memory in one.memories):
                told.append(Fact(label, _peak(one)))
            told += [Fact(label, f"fits with {one.change}")] if one.change else []
            told += [Fact(label, line) for line in one.ways_out]
    return told


def _peak(one: Fit) -> str:
    live = [
        f"{place.tensors[0]} {human_bytes(place.size_bytes)}"
        for place in sorted(one.peak_tensors, key=lambda place: -place.size_bytes)
    ]
    bound = human_bytes(one.arena_lower_bound_bytes)
    return f"fullest during {one.peak_layer}: {some(live)}; no plan takes less than {bound}"


def fit_quotes(fits: Sequence[Fit]) -> list[str]:
    """Return a line per net: how many of the chips hold it."""
    lines = []
    for net in dict.fromkeys(one.net for one in fits):
        tried = [one for one in fits if one.net == net]
        holding = sum(one.fits for one in tried)
        changed = sum(bool(one.change) for one in tried)
        chips = "chip" if len(tried) == 1 else "chips"
        more = f", {changed} more with a change" if changed else ""
        lines.append(f"{net} fits {holding} of {len(tried)} {chips}{more}")
    return lines
