"""What binds a net on a chip, and what twice of each resource would buy: one call of the engine over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import Any

import numpy as np

from hwsim.chip import ArrayEngine, Chip, HardwarePoints
from hwsim.cost import lower, natural_dtype, totals
from hwsim.errors import UsageError
from hwsim.graph import DType, Graph
from hwsim.report.evaluation import evaluate
from hwsim.report.export import clean, json_text
from hwsim.report.holding import reasons
from hwsim.report.record import Report
from hwsim.report.words import percent, rounded, scaled

# What is doubled of a memory and what is halved; the first of each that the profile gives.
TWICE_OF_A_MEMORY = (
    ("bandwidth", ("bytes_per_cycle", "gb_per_s")),
    ("size", ("size_kib", "size_mib", "size_bytes")),
    ("cache", ("cache_kib",)),
)
HALF_OF_A_MEMORY = (("latency", ("latency_cycles",)), ("wait states", ("stall_ns_per_byte",)))
# A change of less than this share is none: it would be printed as 1.00 times.
NOTICED = 5e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """What another value of one resource would do.

    Attributes:
        resource: What it is, in words: ``dram bandwidth``.
        path: Its field.
        value: The field's value, in the path's unit.
        changed: The value tried: twice as much, or half of a latency.
        latency_s: Latency with it [s]; nan with ``reason`` where the net does not run.
        energy_j: Energy with it [J].
        speedup: Latency now over latency with it.
        energy_ratio: Energy with it over energy now.
        reason: Why there is no number, or empty.
    """

    resource: str
    path: str
    value: float
    changed: float
    latency_s: float
    energy_j: float
    speedup: float
    energy_ratio: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What binds a net on a chip, and what would help.

    Attributes:
        report: The net on the chip as it is.
        binds: Share of the latency of layers that a term bounds, by the term's name, largest first.
        doublings: What changing each resource would buy, the greatest speedup first.
    """

    report: Report
    binds: dict[str, float]
    doublings: tuple[Doubling, ...]

    def __str__(self) -> str:
        """Return the one line a person would quote."""
        report = self.report
        who = f"{report.net} on {report.chip}"
        if not report.runs:
            runs = [change for change in self.doublings if isfinite(change.latency_s)]
            helps = f"; it would with twice the {' or the '.join(change.resource for change in runs)}" if runs else ""
            return f"{who}: {report.reason}{helps}"
        name, share = next(iter(self.binds.items()), ("nothing", 1.0))
        told = f"{who}: {name} binds {percent(share)} of {scaled(report.latency_s, 's')}"
        best = next((change for change in self.doublings if change.speedup > 1 + NOTICED), None)
        if best is None:
            return f"{told}; twice of no single resource would be faster"
        words = f"{'half' if best.changed < best.value else 'twice'} the {best.resource}"
        return f"{told}; {words} would be {rounded(best.speedup)} times as fast"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values; a number without meaning is null, and ``reason`` says why."""
        report = self.report
        told = {
            "schema": 1,
            "quote": str(self),
            **{name: getattr(report, name) for name in ("net", "chip", "runtime", "batch", "dtype", "objective")},
            "reason": report.reason,
            "latency_s": report.latency_s,
            "energy_j": report.energy_j,
            "binds": self.binds,
            "doublings": [asdict(change) for change in self.doublings],
        }
        return {name: clean(value) for name, value in told.items()}

    def to_json(self) -> str:
        """Return ``to_dict`` as JSON text."""
        return json_text(self.to_dict())


def explain(
    net: Graph,
    chip: Chip,
    *,
    batch: int = 1,
    dtype: DType | None = None,
    objective: str = "latency",
    place: Mapping[str, str] | None = None,
) -> Explanation:
    """Return what binds a net on a chip, and what twice of each resource would buy.

    Args:
        net: From ``load_net`` or a ``GraphBuilder``.
        chip: From ``load_chip``.
        batch: Images that run together.
        dtype: As ``evaluate`` takes it.
        objective: As ``evaluate`` takes it.
        place: As ``evaluate`` takes it; a memory that grows takes what it has room for, where nothing is placed.

    Raises:
        UsageError: An argument makes no sense.
        CostError: An engine lacks a rate or a kernel that the net needs.
    """
    report = evaluate(net, chip, batch=batch, dtype=dtype, objective=objective, place=place)
    found, refused = [], []
    for resource, path, factor in _resources(chip, report):
        value = float(chip.get(path))
        try:
            HardwarePoints.of(chip, {path: [value * factor]})
        except UsageError as error:
            refused.append(_refused(resource, path, value, value * factor, str(error)))
        else:
            found.append((resource, path, value, value * factor))
    count = len(found)
    # Point i is the chip with the i-th resource changed and all others as they are.
    vary = {
        path: np.where(np.arange(count) == index, changed, value).tolist()
        for index, (_, path, value, changed) in enumerate(found)
    }
    workload = lower(net, batch=batch, dtype=dtype or natural_dtype(net, chip))
    costed = totals(workload, HardwarePoints.of(chip, vary), objective=objective, placed=place)
    why = reasons(costed)
    changes = [
        Doubling(
            resource=resource,
            path=path,
            value=value,
            changed=changed,
            latency_s=float(costed.latency_s[index]),
            energy_j=float(costed.energy_j[index]),
            speedup=report.latency_s / float(costed.latency_s[index]) if costed.latency_s[index] else nan,
            energy_ratio=float(costed.energy_j[index]) / report.energy_j if report.energy_j else nan,
            reason=why[index],
        )
        for index, (resource, path, value, changed) in enumerate(found)
    ]
    changes.sort(key=lambda change: (-change.speedup if isfinite(change.speedup) else 0.0, change.energy_ratio))
    return Explanation(report=report, binds=_binds(report), doublings=(*changes, *refused))


def _refused(resource: str, path: str, value: float, changed: float, why: str) -> Doubling:
    return Doubling(
        resource=resource, path=path, value=value, changed=changed, latency_s=nan, energy_j=nan, speedup=nan,
        energy_ratio=nan, reason=why,
    )  # fmt: skip


def _binds(report: Report) -> dict[str, float]:
    """Return the share of the latency by what bounds its layers, largest first."""
    if not report.runs or not report.latency_s:
        return {}
    shares: dict[str, float] = {}
    for layer in report.layers:
        if layer.latency_s:
            shares[layer.bound] = shares.get(layer.bound, 0.0) + layer.latency_s / report.latency_s
    return dict(sorted(shares.items(), key=lambda share: -share[1]))


def _resources(chip: Chip, report: Report) -> list[tuple[str, str, float]]:
    """Return what can be changed of a chip: its name in words, its field, and the factor to try."""
    used = {layer.engine for layer in report.layers if layer.engine}
    engines = [engine for engine in chip.engines if engine.name in used]
    found = [("clock", "clock_mhz", 2.0)]
    for engine in engines:
        where = f"engines.{engine.name}"
        if engine.clock_mhz is not None:
            found.append((f"{engine.name} clock", f"{where}.clock_mhz", 2.0))
        if isinstance(engine, ArrayEngine):
            found += [(f"{engine.name} {axis}", f"{where}.{axis}", 2.0) for axis in ("rows", "cols")]
            if engine.vector_lanes is not None:
                found.append((f"{engine.name} vector lanes", f"{where}.vector_lanes", 2.0))
    reached = {name for engine in engines for name in engine.memory_names(chip)}
    for memory in chip.memories:
        for changes, factor in ((TWICE_OF_A_MEMORY, 2.0), (HALF_OF_A_MEMORY, 0.5)):
            for word, fields in changes if memory.name in reached else ():
                field = next((field for field in fields if _given(memory, field)), None)
                if field is not None:
                    found.append((f"{memory.name} {word}", f"memories.{memory.name}.{field}", factor))
    return found


def _given(memory: Any, field: str) -> bool:
    """Return whether a profile gives a field of a memory, other than zero."""
    return bool(getattr(memory, "size_bytes_" if field == "size_bytes" else field))
