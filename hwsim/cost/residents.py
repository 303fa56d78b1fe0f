"""Tensors that may stay in an array's buffer from the layer that writes them to the last that reads them.

A tensor and what is a view of it, by a reshape, a concatenation or a split that is done by addressing, are the same
bytes and stay together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.cost.workload import FREE, Row, Workload
from hwsim.graph import ops

# How many residents may live at one time. Every subset of them is a state, so that each one more doubles the work.
MOST_ALIVE = 5


@dataclass(frozen=True, slots=True)
class Resident:
    """Bytes that may stay in the buffer.

    Attributes:
        tensors: The tensors that are these bytes or part of them.
        size_bytes: What they take.
        first: Index of the layer that writes first to it.
        last: Index of the last layer that reads it.
    """

    tensors: frozenset[str]
    size_bytes: int
    first: int
    last: int


def residents(workload: Workload, on_array: npt.NDArray[np.bool_], most_bytes: int) -> tuple[Resident, ...]:
    """Return what may stay in an array's buffer, in the order in which it is written.

    Inputs and outputs of the net are at home, and so is what a core reads or writes, what is the filter of a product of
    two activations, and what lies in two concatenations at once. Where more than ``MOST_ALIVE`` would live at one time,
    that of the largest size × life goes home.

    Args:
        workload: The lowered net.
        on_array: Whether a layer runs on the array, shape [layer].
        most_bytes: Size of the buffer, the largest of all points.
    """
    family = _families(workload, on_array)
    barred = set(workload.graph.inputs) | set(workload.graph.outputs)
    written: dict[str, int] = {}
    read: dict[str, int] = {}
    for index, row in enumerate(workload.rows):
        views = row.kind == FREE or (row.view and on_array[index])
        if not views:
            barred |= set(_never_kept(row)) if on_array[index] else {*row.layer.inputs, *row.layer.outputs}
        for name in row.layer.outputs:
            written.setdefault(name, index)
        read |= dict.fromkeys(row.layer.inputs, index)
    found = []
    for tensors in family:
        known = tensors & workload.sizes.keys()
        if known & barred or not known & written.keys() or not known & read.keys():
            continue
        size = max(workload.sizes[name] for name in known)
        if 0 < size <= most_bytes:
            first, last = (
                min(written[name] for name in known & written.keys()),
                max(read[name] for name in known & read.keys()),
            )
            found.append(Resident(frozenset(known), size, first, last))
    return _few_at_a_time(sorted(found, key=lambda resident: (resident.first, resident.last)), len(workload.rows))


def _never_kept(row: Row) -> Iterable[str]:
    """Return the tensors of a layer on the array that it takes from home in any case."""
    if isinstance(row.layer.op, ops.Gather):
        return row.layer.inputs
    return row.layer.inputs[1:] if row.nest is not None else ()


def _families(workload: Workload, on_array: npt.NDArray[np.bool_]) -> list[set[str]]:
    """Return sets of tensors that are the same bytes, but for those of which some would have to be in two places."""
    same: dict[str, str] = {}

    def root(name: str, links: dict[str, str]) -> str:
        while name in links:
            name = links[name]
        return name

    for row in workload.rows:
        if row.kind == FREE:
            for name in row.layer.outputs:
                same[name] = root(row.layer.inputs[0], same)
    inside: dict[str, str] = {}
    torn: set[str] = set()
    for index, row in enumerate(workload.rows):
        if not (row.view and on_array[index]):
            continue
        joins = isinstance(row.layer.op, ops.Concat)
        whole = root(row.layer.outputs[0] if joins else row.layer.inputs[0], same)
        for name in row.layer.inputs if joins else row.layer.outputs:
            part = root(name, same)
            if part in inside or part == whole:
                torn |= {part, whole}
            else:
                inside[part] = whole
    families: dict[str, set[str]] = {}
    for name in workload.graph.tensors:
        if name in workload.sizes:
            families.setdefault(root(root(name, same), inside), set()).add(name)
    bad = {root(name, inside) for name in torn}
    return [tensors for name, tensors in families.items() if name not in bad]


def _few_at_a_time(found: Sequence[Resident], steps: int) -> tuple[Resident, ...]:
    """Leave out residents, the largest in size × life first, until no more than ``MOST_ALIVE`` live at one time."""
    left = list(found)
    for step in range(steps):
        alive = [resident for resident in left if resident.first <= step <= resident.last]
        alive.sort(key=lambda resident: resident.size_bytes * (resident.last - resident.first + 1))
        for resident in alive[MOST_ALIVE:]:
            left.remove(resident)
    return tuple(left)
