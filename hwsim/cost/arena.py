"""The activation arena: the buffers of a net, where a planner puts them, and the moment at which it is fullest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from hwsim.chip.runtimes import Runtime
from hwsim.cost.buffers import Need, arena_problem
from hwsim.cost.planners import Buffer, Ints, Plan, Problem, plan
from hwsim.cost.workload import Workload
from hwsim.graph import Graph

DEFAULT_PLANNER = "greedy_by_size"


@dataclass(frozen=True, slots=True)
class Placement:
    """One buffer of the arena.

    Attributes:
        tensors: The tensors that share it: a reshape's input and output are the same bytes. None for scratch and for
            padded copies.
        role: ``tensor``, ``padded`` (a padded copy of an input), ``rows`` (some rows of a tensor that is never
            whole) or ``scratch``.
        offset: First byte in the arena.
        size: Bytes.
        first: Index of the layer that writes it (−1 for a graph input).
        last: Index of the last layer that reads it (the number of layers for a graph output).
    """

    tensors: tuple[str, ...]
    role: str
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Arena:
    """The planned arena.

    Attributes:
        placements: Largest first.
        peak_bytes: Bytes the arena needs.
        lower_bound_bytes: Largest sum of buffers that live at one time, less what may overlap; no planner can do with
            less.
        peak_layer: Index of the layer during which the arena is used to its end; of several, that with most alive.
        at_peak: What lives then, from the lowest offset up.
        planner: Who planned it.
    """

    placements: tuple[Placement, ...]
    peak_bytes: int
    lower_bound_bytes: int
    peak_layer: int
    at_peak: tuple[Placement, ...]
    planner: str

    @property
    def scratch_bytes(self) -> int:
        """Scratch of kernels among what lives at the peak."""
        return sum(place.size for place in self.at_peak if place.role == "scratch")

    def live_at(self, layer: int) -> tuple[Placement, ...]:
        """Return what lives while a layer runs, largest first."""
        return tuple(place for place in self.placements if place.first <= layer <= place.last)


# A question names runtimes by identity, for comparing their fields takes longer than planning a small net; the answer
# keeps them alive, so that no other takes their identity.
_cache: WeakKeyDictionary[Graph, dict[object, tuple[Arena, list[Runtime | None]]]] = WeakKeyDictionary()


def plan_arena(
    workload: Workload, runtimes: Sequence[Runtime | None] | None = None, *, planner: str | None = None
) -> Arena:
    """Place every activation for its lifetime, with the scratch that kernels need; the same question is answered once.

    Args:
        workload: The lowered net.
        runtimes: By layer, the runtime that runs it; None where nothing is known of one: no scratch, no overlaps.
        planner: A planner's name, to overrule the runtime's (largest first, where there is none).

    Raises:
        UsageError: There is no such planner.
    """
    runtimes = list(runtimes or [None] * len(workload.rows))
    main = next((runtime for runtime in runtimes if runtime is not None), None)
    planner = planner or (main.planner if main else DEFAULT_PLANNER)
    question = (workload.batch, tuple(workload.sizes.values()), tuple(map(id, runtimes)), planner)
    answers = _cache.setdefault(workload.graph, {})
    if question not in answers:
        answers[question] = _planned(*arena_problem(workload, runtimes), planner), runtimes
    return answers[question][0]


def _planned(needs: Sequence[Need], problem: Problem, planner: str) -> Arena:
    planned, live = plan(problem, planner), problem.live_bytes()
    buffers = problem.buffers
    fullest = _fullest(buffers, planned, live)
    places = [
        Placement(
            tensors=need.tensors,
            role=need.role,
            offset=offset,
            size=buffer.size,
            first=need.owner,
            last=buffer.last // 2,
        )
        for need, offset, buffer in zip(needs, planned.offsets, buffers, strict=True)
    ]
    at_peak = [place for place, buffer in zip(places, buffers, strict=True) if buffer.first <= fullest <= buffer.last]
    return Arena(
        placements=tuple(sorted(places, key=lambda place: (-place.size, place.first, place.offset))),
        peak_bytes=planned.peak_bytes,
        lower_bound_bytes=int(live.max(initial=0)),
        peak_layer=fullest // 2,
        at_peak=tuple(sorted(at_peak, key=lambda place: (place.offset, place.size))),
        planner=planner,
    )


def _fullest(buffers: Sequence[Buffer], planned: Plan, live: Ints) -> int:
    """Return the step with most alive among those in which the arena is used to its end."""
    at_end = [
        range(buffer.first, buffer.last + 1)
        for buffer, offset in zip(buffers, planned.offsets, strict=True)
        if offset + buffer.size == planned.peak_bytes
    ]
    return max((step for steps in at_end for step in steps), key=lambda step: (live[step], -step), default=0)
