"""The activation arena: when each activation lives, and where a greedy planner puts it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.cost.workload import FREE, Workload


@dataclass(frozen=True, slots=True)
class Placement:
    """One buffer of the arena.

    Attributes:
        tensors: The tensors that share it: a reshape's input and output are the same bytes.
        offset: First byte in the arena.
        size: Bytes.
        first: Index of the layer that writes it (−1 for a graph input).
        last: Index of the last layer that reads it (the number of layers for a graph output).
    """

    tensors: tuple[str, ...]
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Arena:
    """The planned arena.

    Attributes:
        placements: Largest first, in the planner's order.
        peak_bytes: Bytes the arena needs.
        lower_bound_bytes: Largest sum of buffers that live at one time; no planner can do with less.
        peak_layer: Index of the layer during which that sum is reached.
    """

    placements: tuple[Placement, ...]
    peak_bytes: int
    lower_bound_bytes: int
    peak_layer: int

    def live_at(self, layer: int) -> tuple[Placement, ...]:
        """Return what lives while a layer runs, largest first."""
        return tuple(place for place in self.placements if place.first <= layer <= place.last)


def plan_arena(workload: Workload) -> Arena:
    """Place every activation for its lifetime: the largest first, each at the lowest offset free of its contemporaries.

    Graph inputs live from the start, outputs to the end. Source: greedy-by-size of Pisarchyk and Lee, "Efficient memory
    management for deep neural net inference", arXiv 2001.03288.
    """
    lifetimes = _lifetimes(workload)
    order = sorted(lifetimes, key=lambda buffer: (-buffer[1], buffer[2], buffer[0]))
    first = np.array([buffer[2] for buffer in order])
    last = np.array([buffer[3] for buffer in order])
    size = np.array([buffer[1] for buffer in order], dtype=np.int64)
    offset = np.zeros(len(order), dtype=np.int64)
    for index in range(len(order)):
        overlaps = np.flatnonzero((first[:index] <= last[index]) & (last[:index] >= first[index]))
        taken = overlaps[np.argsort(offset[overlaps], kind="stable")]
        offset[index] = _lowest_gap(offset[taken], size[taken], int(size[index]))
    load = np.zeros(len(workload.rows), dtype=np.int64)
    np.add.at(load, np.maximum(first, 0), size)
    ends = last + 1
    np.subtract.at(load, ends[ends < len(load)], size[ends < len(load)])
    live = np.cumsum(load)
    placements = tuple(
        Placement(tensors, int(offset[i]), int(size[i]), int(first[i]), int(last[i]))
        for i, (tensors, *_) in enumerate(order)
    )
    return Arena(placements, int((offset + size).max()), int(live.max()), int(live.argmax()))


def _lowest_gap(offsets: np.ndarray, sizes: np.ndarray, need: int) -> int:
    """Return the lowest offset at which ``need`` bytes fit between buffers sorted by offset."""
    if not len(offsets):
        return 0
    ends = np.maximum.accumulate(offsets + sizes)
    starts = np.concatenate(([0], ends))
    room = np.concatenate((offsets, [np.iinfo(np.int64).max])) - starts
    return int(starts[np.argmax(room >= need)])


def _lifetimes(workload: Workload) -> list[tuple[tuple[str, ...], int, int, int]]:
    """Return (tensors, bytes, first, last) of each buffer; aliases of a reshape are one buffer."""
    graph = workload.graph
    root: dict[str, str] = {}
    first: dict[str, int] = dict.fromkeys(graph.inputs, -1)
    last: dict[str, int] = dict.fromkeys(graph.inputs, -1)
    members: dict[str, list[str]] = {name: [name] for name in graph.inputs}
    for index, row in enumerate(workload.rows):
        sources = [root.get(name, name) for name in row.layer.inputs if not graph.tensors[name].constant]
        for name in sources:
            last[name] = index
        for name in row.layer.outputs:
            if row.kind == FREE and sources:
                root[name] = sources[0]
                members[sources[0]].append(name)
            else:
                first[name] = last[name] = index
                members[name] = [name]
    for name in graph.outputs:
        if not graph.tensors[name].constant:
            last[root.get(name, name)] = len(workload.rows)
    return [
        (tuple(members[name]), max(workload.sizes[member] for member in members[name]), first[name], last[name])
        for name in members
    ]
