"""``fit``: whether the memories of a chip hold a net, what fills them, and the nearest change with which they would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

from hwsim import __version__
from hwsim.chip import Chip, HardwarePoints
from hwsim.cost import NOBODY, Costs, cost, lower, natural_dtype
from hwsim.errors import CostError, UsageError
from hwsim.graph import DType, Graph
from hwsim.report.export import clean, json_text
from hwsim.report.holding import live_tensors, memory_reports, unmappable_layers, why_not
from hwsim.report.record import LiveTensor, MemoryReport
from hwsim.report.way_out import CONTENTS, narrower_dtypes, ways_out

# The options of the command line that make a smaller net, and the net.
Smaller = tuple[tuple[str, ...], Graph]
# A smaller net is at most so many changes from the first.
_MOST_SMALLER = 2


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Whether a chip holds a net. No time is asked for, so a net may fit that hwsim cannot cost there.

    Attributes:
        net: The net's name.
        chip: The chip's name.
        runtime: The kernel library, or empty for arrays alone.
        batch: Images per inference.
        dtype: The dtype the net is held at, or empty for its own.
        memories: One record per memory; none of a net that the chip's engines do not run.
        arena_bytes: Bytes of the activation arena.
        arena_lower_bound_bytes: What no plan can go below [B].
        peak_layer: Name of the layer during which the arena is used to its end.
        peak_tensors: What lives then, from the lowest offset up.
        reason: Why the net does not run there, or empty.
        change: Options of the command line with which it would, found by trying; empty if it does, or none was found.
        ways_out: Where no option was found, what is too much in each memory.
        untimed: Why layers have no time there: ``evaluate`` says no more than this.
    """

    net: str
    chip: str
    runtime: str
    batch: int
    dtype: str
    memories: tuple[MemoryReport, ...] = ()
    arena_bytes: int
    arena_lower_bound_bytes: int
    peak_layer: str
    peak_tensors: tuple[LiveTensor, ...]
    reason: str = ""
    change: str = ""
    ways_out: tuple[str, ...] = ()
    untimed: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the chip holds the net and can run it."""
        return not self.reason

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        memories = [
            asdict(memory) | {"need_bytes": memory.need_bytes, "margin_bytes": memory.margin_bytes, "fits": memory.fits}
            for memory in self.memories
        ]
        told: dict[str, Any] = clean(asdict(self) | {"fits": self.fits, "memories": memories})
        return told

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat record per memory that holds something; one record where the net does not run at all."""
        head = {name: getattr(self, name) for name in ("net", "chip", "runtime", "batch", "dtype", "fits")}
        tail = {"peak_layer": self.peak_layer, "reason": self.reason, "change": self.change}
        held = [
            head
            | {
                "memory": memory.name,
                "need_bytes": memory.need_bytes,
                "capacity_bytes": memory.capacity_bytes,
                "margin_bytes": memory.margin_bytes,
            }
            | {f"{name}_bytes": count for name, count in memory.items.items()}
            | tail
            for memory in self.memories
            if memory.items
        ]
        return held or [head | tail]


@dataclass(frozen=True)
class _Attempt:
    """A net on a chip in one way of running it."""

    net: Graph
    chip: Chip
    batch: int
    dtype: DType | None
    place: Mapping[str, str]

    def held(self) -> tuple[Costs | None, tuple[MemoryReport, ...], str]:
        """Return the costs without times, what memories hold, and why it does not run; no costs if engines refuse.

        Raises:
            UsageError: The batch or a placement makes no sense.
        """
        try:
            workload = lower(self.net, batch=self.batch, dtype=self.dtype)
            costs = cost(workload, HardwarePoints.of(self.chip), placed=self.place, timed=False)
        except CostError as error:
            return None, (), f"does not run: {error}"
        memories = memory_reports(costs, 0)
        return costs, memories, why_not(costs, memories, unmappable_layers(costs, 0))

    def runs(self) -> bool:
        """Return whether the chip holds it."""
        try:
            return not self.held()[2]
        except UsageError:
            return False


def fit(
    net: Graph,
    chip: Chip,
    *,
    batch: int = 1,
    dtype: DType | None = None,
    place: Mapping[str, str] | None = None,
    smaller: Callable[[], Sequence[Smaller]] | None = None,
) -> Fit:
    """Return whether a chip holds a net, and the nearest change with which it would.

    Args:
        net: From ``load_net`` or a ``GraphBuilder``.
        chip: From ``load_chip``.
        batch: Images that run together.
        dtype: Hold the whole net at this dtype. None keeps the net's own, as ``evaluate`` does.
        place: ``{"weights": memory}`` or ``{"activations": memory}``, to overrule the nearest that has room.
        smaller: Makes smaller versions of the net to try, the nearest first, each with the options that ask for it.

    Raises:
        UsageError: An argument makes no sense.
    """
    first = _Attempt(net, chip, batch, dtype or natural_dtype(net, chip), place or {})
    costs, memories, reason = first.held()
    used = chip.engines if costs is None else [chip.engines[i] for i in sorted(set(costs.engine.tolist()) - {NOBODY})]
    change = next((words for words, changed in _changes(first, smaller) if changed.runs()), "") if reason else ""
    arena = costs.arena if costs else None
    return Fit(
        net=net.name,
        chip=chip.name,
        runtime=", ".join(dict.fromkeys(engine.runtime for engine in used if engine.runtime)),
        batch=batch,
        dtype=first.dtype or "",
        memories=memories,
        arena_bytes=arena.peak_bytes if arena else 0,
        arena_lower_bound_bytes=arena.lower_bound_bytes if arena else 0,
        peak_layer=costs.workload.rows[arena.peak_layer].layer.name if costs and arena else "",
        peak_tensors=live_tensors(costs, arena.at_peak) if costs and arena else (),
        reason=reason,
        change=change,
        ways_out=ways_out(costs, memories, first.dtype) if costs and reason and not change else (),
        untimed=costs.untimed if costs else (),
    )


def _changes(first: _Attempt, smaller: Callable[[], Sequence[Smaller]] | None) -> Iterator[tuple[str, _Attempt]]:
    """Yield changes, the nearest first, each with the options that make it.

    Another place costs nothing, a narrower dtype some accuracy, a smaller batch needs another program, a smaller net
    another training. Fewer changes come before more.
    """
    nets: list[Smaller] = []

    def shrunk(attempt: _Attempt, changes: int) -> Iterator[tuple[str, _Attempt]]:
        if smaller is not None and not nets:
            nets.extend(smaller())
        yield from ((" ".join(words), replace(attempt, net=net)) for words, net in nets if len(words) == changes)

    yield from _places(first)
    narrow = list(_dtypes(first))
    yield from narrow
    yield from _batches(first)
    yield from shrunk(first, 1)
    for changes in range(1, _MOST_SMALLER + 1):
        for words, attempt in narrow:
            others = chain(_places(attempt), _batches(attempt)) if changes == 1 else ()
            for more, changed in chain(others, shrunk(attempt, changes)):
                yield f"{words} {more}", changed
        yield from shrunk(first, changes + 1)


def _places(attempt: _Attempt) -> Iterator[tuple[str, _Attempt]]:
    for contents in CONTENTS:
        for memory in attempt.chip.memories:
            if attempt.place.get(contents) != memory.name:
                moved = replace(attempt, place={**attempt.place, contents: memory.name})
                yield f"--place {contents}={memory.name}", moved


def _dtypes(attempt: _Attempt) -> Iterator[tuple[str, _Attempt]]:
    for dtype in narrower_dtypes(attempt.chip, lower(attempt.net, dtype=attempt.dtype)):
        yield f"--dtype {dtype}", replace(attempt, dtype=dtype)


def _batches(attempt: _Attempt) -> Iterator[tuple[str, _Attempt]]:
    batch = attempt.batch // 2
    while batch:
        yield f"--batch {batch}", replace(attempt, batch=batch)
        batch //= 2


def fits_json(fits: Sequence[Fit]) -> str:
    """Return records as JSON text."""
    head = {"hwsim": __version__, "units": {"bytes": "byte", "items": "byte", "_per_s": "per second"}}
    told = head | {"fits": [one.to_dict() for one in fits]}
    return json_text(told)
