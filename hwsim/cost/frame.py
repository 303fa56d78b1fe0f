"""What is decided of a net before its layers are costed: engines, homes, the activation plan, layers that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, CoreEngine, HardwarePoints, rate_dtype
from hwsim.cost.arena import Arena, plan_arena
from hwsim.cost.array import macs_per_pe
from hwsim.cost.footprint import Footprint, footprint, memory_facts
from hwsim.cost.residency import Home, Residency, place
from hwsim.cost.workload import FREE, UNKNOWN, Row, Workload, filter_share
from hwsim.errors import CostError

Ints = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]
NOBODY = -1


@dataclass(frozen=True)
class Frame:
    """What is decided of a net before its layers are costed.

    Attributes:
        workload: The net.
        points: The hardware points.
        engine: Index of each layer's engine, −1 where none is needed.
        arena: The activation plan.
        residency: Homes of activations and weights.
        taken: What runtimes take for themselves.
        store: Where code is, and weights while the chip is off.
    """

    workload: Workload
    points: HardwarePoints
    engine: Ints
    arena: Arena
    residency: Residency
    taken: Footprint
    store: Home

    def at(self, index: slice) -> Frame:
        """Return the frame of some of the points."""
        points = self.points.at(index)
        return replace(
            self, points=points, residency=self.residency.at(points, index), store=self.store.at(points, index)
        )

    def rows(self, layers: Index) -> list[Row]:
        """Return layers by their indices."""
        return [self.workload.rows[i] for i in layers]

    def shares(self, among: Index | None = None) -> Iterator[tuple[ArrayEngine | CoreEngine, Index]]:
        """Yield each engine in use with its layers, all or those among some.

        Raises:
            CostError: Two arrays share the layers with MACs.
        """
        mapped = False
        for index, unit in enumerate(self.points.chip.engines):
            layers = np.flatnonzero(self.engine == index) if among is None else among[self.engine[among] == index]
            if isinstance(unit, ArrayEngine) and len(self.split(layers)[0]):
                if mapped:
                    name = self.points.chip.name
                    raise CostError(f"chip {name!r}: two arrays share the net's layers; give each kind to one of them")
                mapped = True
            if len(layers):
                yield unit, layers

    def split(self, layers: Index) -> tuple[Index, Index]:
        """Return the layers with MACs, and those without."""
        with_macs = np.array([row.nest is not None for row in self.rows(layers)], dtype=bool)
        return layers[with_macs], layers[~with_macs]


def framed(
    workload: Workload, points: HardwarePoints, placed: Mapping[str, str] | None, untaken: list[str] | None
) -> Frame:
    """Return what is decided of a net before its layers are costed; the arguments are those of ``cost``."""
    chip = points.chip
    engine = _assign(workload.rows, points, untaken)
    used = [chip.engines[index] for index in dict.fromkeys(engine.tolist()) if index != NOBODY]
    arena = plan_arena(workload, memory_facts(chip, engine))
    taken = footprint(chip, workload.rows, engine)
    # A memory has room for a net only if it has room for what the libraries keep beside it.
    homes = partial(
        place,
        points,
        _home_memories(points, used or chip.engines[:1]),
        arena_bytes=arena.peak_bytes + int(taken.ram_bytes),
        weight_bytes=workload.weight_bytes + int(taken.code_bytes),
    )
    residency = homes(wanted=placed)
    # Code stays, and weights are kept, where the profile's rule puts them, wherever weights are copied to for running.
    store = residency.weights if not placed else homes().weights
    return Frame(workload, points, engine, arena, residency, taken, store)


@dataclass(frozen=True, slots=True)
class Alike:
    """Layers that cost the same.

    Attributes:
        first: Indices of the first layer of each kind, ascending.
        counts: How many layers are like the first of their kind, shape [layer].
    """

    first: Index
    counts: Ints


def alike_layers(frame: Frame) -> Alike:
    """Return which layers cost the same: all but their names and tensors is, and nothing is kept between them."""
    seen: dict[Any, int] = {}
    counts = np.zeros(len(frame.workload.rows), dtype=np.int64)
    names = [field.name for field in fields(Row) if field.name not in ("layer", "weight_code")]
    chip = frame.points.chip
    for index, (row, engine) in enumerate(zip(frame.workload.rows, frame.engine.tolist(), strict=True)):
        if engine == NOBODY:
            continue
        unit = chip.engines[engine]
        if isinstance(unit, ArrayEngine) and unit.inter_layer:
            seen[index], counts[index] = index, 1
            continue
        share = filter_share(row, unit) if isinstance(unit, ArrayEngine) else None
        key = (engine, share, row.layer.op, *(getattr(row, name) for name in names))
        counts[seen.setdefault(key, index)] += 1
    return Alike(np.array(list(seen.values()), dtype=np.intp), counts)


def _assign(rows: Sequence[Row], points: HardwarePoints, untaken: list[str] | None) -> Ints:
    """Return each layer's engine: the first that takes its kind; −1 for what needs none.

    Args:
        rows: The layers.
        points: Hardware points.
        untaken: Collects why layers have no engine; None makes that an error.
    """
    chip = points.chip
    assigned = np.full(len(rows), NOBODY, dtype=np.int64)
    for position, row in enumerate(rows):
        if row.kind in (FREE, UNKNOWN):
            continue
        for index, engine in enumerate(chip.engines):
            if row.kind in engine.takes and has_rate(engine, row):
                assigned[position] = index
                break
        else:
            takers = [engine for engine in chip.engines if row.kind in engine.takes]
            if not takers:
                lacking = f"no engine of {chip.name} takes {row.kind} layers; add a host core to it"
                if untaken is None:
                    raise CostError(f"layer {row.layer.name!r}: {lacking}")
                untaken += [lacking] if lacking not in untaken else []
                continue
            # Ask the first taker for its rate, for the sentence that says what it lacks.
            if isinstance(takers[0], ArrayEngine):
                macs_per_pe(takers[0], row.dtype)
            assigned[position] = chip.engines.index(takers[0])
    return assigned


def engine_rate(engine: ArrayEngine | CoreEngine, dtype: str) -> float:
    """Return the peak MACs per cycle of one PE or core at a dtype; nan where a core's profile does not say."""
    if isinstance(engine, ArrayEngine):
        return macs_per_pe(engine, dtype)
    return engine.peak_macs_per_cycle.get(rate_dtype(dtype), np.nan)


def has_rate(engine: ArrayEngine | CoreEngine, row: Row) -> bool:
    """Return whether an engine does a layer's MACs at its dtype; of a core its kernel table says so, when asked."""
    if isinstance(engine, CoreEngine) or row.nest is None:
        return True
    return rate_dtype(row.dtype) in engine.macs_per_pe


def _home_memories(points: HardwarePoints, engines: Sequence[ArrayEngine | CoreEngine]) -> list[str]:
    """Return the memories that can be home of a tensor: reached by every engine in use, and no array's tile buffer."""
    names = [memory.name for memory in points.chip.memories]
    for engine in engines:
        reached = engine.memory_names(points.chip)
        if isinstance(engine, ArrayEngine):
            reached = engine.homes(points.chip)
        names = [name for name in names if name in reached]
    if not names:
        used = ", ".join(engine.name for engine in engines)
        raise CostError(f"chip {points.chip.name!r}: engines {used} share no memory that could hold a net's tensors")
    return names
