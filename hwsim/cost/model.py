"""The cost engine: a workload and hardware points go in, ``Costs`` come out. ``evaluate`` is one point of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hwsim.chip import ArrayEngine, CoreEngine, HardwarePoints
from hwsim.cost.array import Mapped, map_layers
from hwsim.cost.array_time import OBJECTIVES
from hwsim.cost.costs import Costs
from hwsim.cost.frame import Frame, alike_layers, framed
from hwsim.cost.inter_layer import run_array
from hwsim.cost.ledger import Ledger
from hwsim.cost.totals import Totals, joined
from hwsim.cost.vector import stream_layers
from hwsim.cost.workload import Workload
from hwsim.errors import CostError, UsageError, did_you_mean


def cost(
    workload: Workload,
    points: HardwarePoints,
    *,
    objective: str = "latency",
    placed: Mapping[str, str] | None = None,
    timed: bool = True,
) -> Costs:
    """Cost a workload at every hardware point.

    Args:
        workload: A lowered net.
        points: Hardware points of one chip structure.
        objective: What each layer's mapping is chosen for: latency, energy, edp (their product) or traffic.
        placed: ``weights`` or ``activations`` -> memory, where the profile's rule is not wanted.
        timed: Whether every layer has to have a time. Else ``Costs.untimed`` says which have none, and why: what
            memories have to hold is known without.

    Raises:
        UsageError: The objective or a placement does not exist.
        CostError: No engine takes a layer, or an engine lacks a rate or a kernel for it.
    """
    _check_objective(objective)
    untimed: list[str] = []
    frame = framed(workload, points, placed, None if timed else untimed)
    ledger = Ledger(frame)
    mapped: Mapped | None = None
    mapped_layers = np.zeros(0, dtype=np.intp)
    for unit, layers in frame.shares():
        if isinstance(unit, CoreEngine):
            try:
                ledger.run(layers, unit)
            except CostError as error:
                if timed:
                    raise
                untimed.append(str(error))
                ledger.leave(layers)
        else:
            ran = run_array(workload, layers, unit, points, frame.residency, objective)
            ledger.enter(ran, unit)
            if ran.mapped is not None:
                mapped, mapped_layers = ran.mapped, ran.mapped_layers
    return ledger.costs(objective, mapped, mapped_layers, tuple(untimed))


# Points whose mappings are chosen together, and those of them whose layers are added up together.
CHOSEN_TOGETHER, SUMMED_TOGETHER = 1 << 17, 1 << 11


def totals(
    workload: Workload,
    points: HardwarePoints,
    *,
    objective: str = "latency",
    placed: Mapping[str, str] | None = None,
) -> Totals:
    """Return what a workload costs in total at every hardware point: the sums of ``cost``, layers not kept.

    Layers that are alike are costed once, and points that agree in what a choice of mappings reads share it.

    Args:
        workload: A lowered net.
        points: Hardware points of one chip structure.
        objective: As in ``cost``.
        placed: As in ``cost``.

    Raises:
        UsageError: As in ``cost``.
        CostError: As in ``cost``.
    """
    _check_objective(objective)
    parts: list[Totals] = []
    for start in range(0, points.count, CHOSEN_TOGETHER):
        here = points.at(slice(start, start + CHOSEN_TOGETHER))
        frame = framed(workload, here, placed, None)
        parts += _summed(frame, objective)
    return joined(points, parts)


def _summed(frame: Frame, objective: str) -> Iterator[Totals]:
    """Yield the totals of a frame's points, some at a time."""
    alike = alike_layers(frame)
    mappings: dict[str, Mapped] = {}
    for unit, layers in frame.shares(alike.first):
        with_macs, _ = frame.split(layers)
        if isinstance(unit, ArrayEngine) and len(with_macs) and not unit.inter_layer:
            mapped = map_layers(frame.rows(with_macs), unit, frame.points, frame.residency, objective)
            mappings[unit.name] = mapped.absorbed()
    for start in range(0, frame.points.count, SUMMED_TOGETHER):
        some = slice(start, start + SUMMED_TOGETHER)
        here = frame.at(some)
        ledger = Ledger(here, alike)
        for unit, layers in frame.shares(alike.first):
            if isinstance(unit, CoreEngine):
                ledger.run(layers, unit)
                continue
            if unit.inter_layer:
                ledger.enter(run_array(here.workload, layers, unit, here.points, here.residency, objective), unit)
                continue
            with_macs, without = frame.split(layers)
            if len(with_macs):
                ledger.map(with_macs, unit, mappings[unit.name].at(some))
            if len(without):
                streamed = stream_layers(frame.rows(without), unit, here.points, here.residency)
                ledger.stream(without, unit, streamed)
        yield ledger.totals(objective)


def _check_objective(objective: str) -> None:
    if objective not in OBJECTIVES:
        hint = did_you_mean(objective, OBJECTIVES)
        raise UsageError(f"objective = {objective!r}: must be one of {', '.join(OBJECTIVES)}{hint}")
