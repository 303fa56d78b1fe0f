"""Layers of a net on one array: each for itself, or with what is kept on chip between them.

What a profile's ``inter_layer`` allows becomes a finite set of plans: which tensors stay in the buffer (``residents``).
A layer has a variant for each way in which the plans can run it, each variant gets its best mapping at every point
(``array``), and the cheapest way through all layers is the plan (``route``). Layer by layer is one of the plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, HardwarePoints
from hwsim.cost.array import Mapped, map_layers
from hwsim.cost.array_time import OBJECTIVES, buffer_names
from hwsim.cost.kept import Kept, Variant
from hwsim.cost.residency import Residency
from hwsim.cost.residents import Resident, residents
from hwsim.cost.route import Step, cheapest, least
from hwsim.cost.vector import Pass, Streamed, stream_layers
from hwsim.cost.workload import Row, Workload

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
LATENCY, ENERGY = OBJECTIVES.index("latency"), OBJECTIVES.index("energy")


@dataclass(frozen=True)
class ArrayRun:
    """Layers on an array as they are run.

    Attributes:
        mapped_layers: Indices of the layers with MACs.
        mapped: Their mappings; None where there are none.
        streamed_layers: Indices of the layers without MACs.
        streamed: Their passes; None where there are none.
        kept_bytes: Of ifmap, filter and ofmap, what is in the buffer already or stays there, [operand, layer, point],
            for all layers of the net.
        held_bytes: What kept tensors take of the buffer during each layer, likewise [layer, point].
        fused: Whether a layer is done as the ofmap of one before leaves, likewise.
        buffer: The buffer that they are in; empty where nothing is ever kept.
    """

    mapped_layers: Index
    mapped: Mapped | None
    streamed_layers: Index
    streamed: Streamed | None
    kept_bytes: Ints
    held_bytes: Ints
    fused: npt.NDArray[np.bool_]
    buffer: str = ""


def run_array(
    workload: Workload,
    layers: Index,
    engine: ArrayEngine,
    points: HardwarePoints,
    residency: Residency,
    objective: str,
) -> ArrayRun:
    """Run layers on an array at every point, each by the mapping and the plan that are best for the objective.

    Args:
        workload: The lowered net.
        layers: Indices of the layers that the array runs.
        engine: The array.
        points: Hardware points.
        residency: Homes of weights and activations.
        objective: One of ``OBJECTIVES``. The plan makes the sum over layers least; for edp it is, of the plans for edp
            layer by layer, for latency and for energy, that of the least product of the sums.
    """
    with_macs = np.array([workload.rows[i].nest is not None for i in layers], dtype=bool)
    mapped_layers, streamed_layers = layers[with_macs], layers[~with_macs]
    if engine.inter_layer:
        plans = _Plans(workload, layers, engine, points, residency, objective)
        return plans.best(mapped_layers, streamed_layers)
    with_nest = [workload.rows[i] for i in mapped_layers]
    without = [workload.rows[i] for i in streamed_layers]
    shape = (len(workload.rows), points.count)
    return ArrayRun(
        mapped_layers=mapped_layers,
        mapped=map_layers(with_nest, engine, points, residency, objective) if with_nest else None,
        streamed_layers=streamed_layers,
        streamed=stream_layers(without, engine, points, residency) if without else None,
        kept_bytes=np.zeros((3, *shape), dtype=np.int64),
        held_bytes=np.zeros(shape, dtype=np.int64),
        fused=np.zeros(shape, dtype=bool),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """What one layer of a leg is.

    Attributes:
        variant: Index of its variant among those of its kind, −1 where it costs nothing here.
        kept_bytes: Of ifmap, filter and ofmap what is kept; below zero what is read besides.
    """

    variant: int
    kept_bytes: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Leg:
    """A layer, or several at once, as one step of a plan, before it is costed.

    Attributes:
        start: Index of the first layer.
        before: Residents kept from before it.
        after: Residents kept beyond the last.
        parts: Its layers.
        held_bytes: What all kept residents take meanwhile.
    """

    start: int
    before: frozenset[int]
    after: frozenset[int]
    parts: tuple[_Part, ...]
    held_bytes: int

    @property
    def stop(self) -> int:
        """Index after the last layer."""
        return self.start + len(self.parts)


class _Plans:
    """All plans of one net on one array."""

    def __init__(
        self,
        workload: Workload,
        layers: Index,
        engine: ArrayEngine,
        points: HardwarePoints,
        residency: Residency,
        objective: str,
    ) -> None:
        self._workload, self._engine, self._points, self._residency = workload, engine, points, residency
        self._objective = objective
        self._on_array = np.zeros(len(workload.rows), dtype=bool)
        self._on_array[layers] = True
        names, self._buffer = buffer_names(engine, points.chip), engine.buffers(points.chip)["ofmap"]
        self._slot, self._slots = names.index(self._buffer), len(names)
        self._most = int(np.max(points.memory(self._buffer).size_bytes))
        may_stay = "resident" in engine.inter_layer
        self._residents = residents(workload, self._on_array, self._most) if may_stay else ()
        self._nested: dict[tuple[int, Variant], int] = {}
        self._passed: dict[tuple[int, Pass], int] = {}
        self._legs = [leg for index in range(len(workload.rows)) for leg in self._legs_of(index)]

    def best(self, mapped_layers: Index, streamed_layers: Index) -> ArrayRun:
        """Return the best plan at every point, as it runs."""
        rows, points = self._workload.rows, self._points
        mapped = streamed = None
        if self._nested:
            mapped = map_layers(
                [rows[index] for index, _ in self._nested],
                self._engine, points, self._residency, self._objective,
                [variant for _, variant in self._nested],
            )  # fmt: skip
        if self._passed:
            streamed = stream_layers(
                [rows[index] for index, _ in self._passed],
                self._engine, points, self._residency,
                [there for _, there in self._passed],
                self._buffer,
            )  # fmt: skip
        route = self._route(self._costs(mapped, streamed))
        variants, kept = self._along(route)
        return ArrayRun(
            mapped_layers=mapped_layers,
            mapped=mapped.pick(variants[mapped_layers]) if mapped is not None else None,
            streamed_layers=streamed_layers,
            streamed=streamed.pick(variants[streamed_layers]) if streamed is not None else None,
            kept_bytes=kept,
            held_bytes=np.array([leg.held_bytes for leg in self._legs], dtype=np.int64)[route],
            fused=np.array([leg.start for leg in self._legs])[route] < np.arange(len(route))[:, None],
            buffer=self._buffer,
        )

    def _along(self, route: Index) -> tuple[Index, Ints]:
        """Return the variant of each layer, [layer, point], and what of it is kept, [operand, layer, point]."""
        variants = np.full(route.shape, -1, dtype=np.intp)
        kept = np.zeros((3, *route.shape), dtype=np.int64)
        for index, taken in enumerate(route):
            legs = np.unique(taken)
            parts = [self._legs[n].parts[index - self._legs[n].start] for n in legs.tolist()]
            which = np.searchsorted(legs, taken)
            variants[index] = np.array([part.variant for part in parts])[which]
            kept[:, index] = np.array([part.kept_bytes for part in parts])[which].T
        return variants, kept

    # -- what plans there are ------------------------------------------------------------------------------------------

    def _legs_of(self, index: int) -> Iterator[_Leg]:
        """Yield the ways to run a layer, by itself and with those that may be fused to it.

        Each with every subset of what may live in the buffer meanwhile, the smallest first.
        """
        for stop in range(index + 1, index + 2 + self._fusable(index)):
            inner = {row.layer.outputs[0] for row in self._workload.rows[index : stop - 1]}
            alive = [
                i
                for i, resident in enumerate(self._residents)
                if resident.first < stop and resident.last >= index and not resident.tensors & inner
            ]
            for size in range(len(alive) + 1):
                for chosen in combinations(alive, size):
                    held = sum(self._residents[i].size_bytes for i in chosen)
                    if held > self._most:
                        continue
                    kept = [self._residents[i] for i in chosen]
                    parts = (
                        self._alone(index, kept, held) if stop == index + 1 else self._fused(index, stop, kept, held)
                    )
                    yield _Leg(
                        start=index,
                        before=frozenset(i for i in chosen if self._residents[i].first < index),
                        after=frozenset(i for i in chosen if self._residents[i].last >= stop),
                        parts=parts,
                        held_bytes=held,
                    )

    def _alone(self, index: int, kept: Sequence[Resident], held: int) -> tuple[_Part]:
        row = self._workload.rows[index]
        read, written = _kept_of(row.layer.inputs, kept), _kept_of(row.layer.outputs, kept)
        if self._on_array[index] and row.nest is not None:
            job = Variant(Kept(ifmap=bool(read), ofmap=bool(written)), self._held(held))
            return (self._multiplied(index, job, (self._ifmap_bytes(row, read), 0, row.ofmap_bytes if written else 0)),)
        if not self._on_array[index]:
            return (_Part(-1, (0, 0, 0)),)
        there = Pass(self._sizes(read), self._sizes(written), held)
        kept_bytes = (0, 0, 0) if row.view else (there.read_bytes, 0, there.written_bytes)
        return (_Part(self._passed.setdefault((index, there), len(self._passed)), kept_bytes),)

    def _fused(self, index: int, stop: int, kept: Sequence[Resident], held: int) -> tuple[_Part, ...]:
        """Return the parts of a layer and elementwise ones that are done on its ofmap as it leaves."""
        first, *others = self._workload.rows[index:stop]
        inner = {row.layer.outputs[0] for row in self._workload.rows[index : stop - 1]}
        besides = list(dict.fromkeys(name for row in others for name in row.layer.inputs if name not in inner))
        in_buffer = [name for name in besides if _kept_of([name], kept)]
        read, written = _kept_of(first.layer.inputs, kept), _kept_of(others[-1].layer.outputs, kept)
        from_home = self._sizes(besides) - self._sizes(in_buffer)
        job = Variant(
            kept=Kept(ifmap=bool(read), ofmap=bool(written)),
            held_bytes=self._held(held),
            lane_ops=sum(max(row.ops, row.ofmap_elements) for row in others),
            home_reads=from_home,
            buffer_reads=self._sizes(in_buffer),
        )
        kept_bytes = (self._ifmap_bytes(first, read) - from_home, 0, first.ofmap_bytes if written else 0)
        idle = Pass(fused=True)
        return (
            self._multiplied(index, job, kept_bytes),
            *(
                _Part(self._passed.setdefault((i, idle), len(self._passed)), (row.ifmap_bytes, 0, row.ofmap_bytes))
                for i, row in enumerate(others, index + 1)
            ),
        )

    def _multiplied(self, index: int, job: Variant, kept_bytes: tuple[int, int, int]) -> _Part:
        return _Part(self._nested.setdefault((index, job), len(self._nested)), kept_bytes)

    def _ifmap_bytes(self, row: Row, read: Sequence[str]) -> int:
        """Return what a kept ifmap spares; of one whose rows a stride skips less is read than is held."""
        return 0 if not read else row.ifmap_bytes if not row.activation_filter else self._sizes(read)

    def _fusable(self, index: int) -> int:
        """Return how many of the next layers can be done on a layer's ofmap as it leaves: elementwise ones in a row."""
        rows, graph = self._workload.rows, self._workload.graph
        first = rows[index]
        # A stage behind the MACs that is timed by itself is no lane to be fused to.
        may_fuse = "fused" in self._engine.inter_layer and not self._engine.stage_per_cycle
        if not may_fuse or not self._on_array[index] or first.nest is None:
            return 0
        name, size = first.layer.outputs[0], first.nest.ofmap_bytes
        count = 0
        for following in range(index + 1, len(rows)):
            row = rows[following]
            fits = (
                self._on_array[following]
                and row.kind in ("elementwise", "activation")
                and not row.filter_bytes
                and row.layer.inputs.count(name) == 1
                and graph.consumers.get(name) == (row.layer,)
                and name not in graph.outputs
                and len(row.layer.outputs) == 1
                and self._workload.sizes[name] == row.ofmap_bytes == size
            )
            if not fits:
                break
            name, count = row.layer.outputs[0], count + 1
        return count

    def _held(self, held: int) -> tuple[int, ...]:
        return tuple(held if slot == self._slot else 0 for slot in range(self._slots)) if held else ()

    def _sizes(self, tensors: Sequence[str]) -> int:
        return sum(self._workload.sizes[name] for name in tensors)

    # -- which of them -------------------------------------------------------------------------------------------------

    def _costs(self, mapped: Mapped | None, streamed: Streamed | None) -> Floats:
        """Return every objective of every leg, [objective, leg, point]."""
        costs = np.zeros((len(OBJECTIVES), len(self._legs), self._points.count))
        for table, with_macs in ((mapped, True), (streamed, False)):
            if table is None:
                continue
            found = [
                (n, part.variant)
                for n, leg in enumerate(self._legs)
                for i, part in enumerate(leg.parts, leg.start)
                if part.variant >= 0 and (self._workload.rows[i].nest is not None) is with_macs
            ]
            legs, variants = np.array(found).T
            # A leg has one part that costs something, so that no sum of its parts is lost.
            costs[:, legs] += table.values[:, variants]
        return costs

    def _route(self, costs: Floats) -> Index:
        """Return which leg runs each layer, [layer, point]."""
        layers = len(self._workload.rows)
        by_itself = [n for n, leg in enumerate(self._legs) if len(leg.parts) == 1 and not leg.held_bytes]
        alone = np.array(by_itself, dtype=np.intp)[:, None]
        if self._objective != "edp":
            found = self._cheapest(costs, self._objective, layers)
            least_cost = self._sum(costs[OBJECTIVES.index(self._objective)], found)
            # Where no plan fits, what layer by layer lacks is told.
            return np.where(np.isinf(least_cost), alone, found)
        routes = [np.broadcast_to(alone, (layers, self._points.count))]
        routes += [self._cheapest(costs, objective, layers) for objective in ("edp", "latency", "energy")]
        sums = np.stack([[self._sum(costs[i], route) for i in (LATENCY, ENERGY)] for route in routes])
        products = sums[:, 0] * sums[:, 1]
        if not self._on_array[[row.kind != "free" for row in self._workload.rows]].all():
            # Beside layers elsewhere only a plan that is better in both is better whatever these take.
            products = np.where((sums <= sums[0]).all(axis=1), products, np.inf)
        chosen = least(products[:, None, :])
        return np.asarray(np.take_along_axis(np.stack(routes), chosen[None, None, :], axis=0)[0])

    def _sum(self, costs: Floats, route: Index) -> Floats:
        """Return the cost of a way, [point], of the costs of legs, [leg, point]."""
        starts = np.array([leg.start for leg in self._legs])[route] == np.arange(len(route))[:, None]
        return np.asarray(np.where(starts, np.take_along_axis(costs, route, axis=0), 0.0).sum(axis=0))

    def _cheapest(self, costs: Floats, objective: str, layers: int) -> Index:
        order = [OBJECTIVES.index(name) for name in (objective, *(o for o in OBJECTIVES if o != objective))]
        steps = [Step(leg.start, leg.stop, leg.before, leg.after, costs[order, n]) for n, leg in enumerate(self._legs)]
        return cheapest(steps, layers)


def _kept_of(names: Sequence[str], kept: Sequence[Resident]) -> list[str]:
    """Return which of some tensors are kept, each once."""
    return [name for name in dict.fromkeys(names) if any(name in resident.tensors for resident in kept)]
