"""What a sweep asks, and the answer for some of its rows: the same engine call as ``evaluate``, over many points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip import Chip, CoreEngine, HardwarePoints, with_runtime
from hwsim.cost import NOBODY, Totals, Workload, lower, natural_dtype, totals
from hwsim.explore.axes import Axis
from hwsim.explore.derived import Rules
from hwsim.explore.grid import Block
from hwsim.explore.names import Column, column_names
from hwsim.explore.ranges import Span
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.graph import DType, Graph
from hwsim.report import reasons
from hwsim.report.evaluation import stored_dtype

Array = npt.NDArray[Any]
Structure = tuple[int, ...]
# Chip structures that are kept: a chunk seldom has more, and the next one begins with the last of them.
KEPT = 64


@dataclass(frozen=True)
class Question:
    """Everything that the answer depends on, without the rows; it travels to the workers.

    Attributes:
        nets: What each net is called, and the nets; weights are left out, for no cost depends on them.
        chip: The structure, and the value of every field that is not varied.
        axes: What is varied.
        rules: What follows from that.
        objective: What mappings are chosen for.
        batch: Images that run together, where no axis says.
        dtype: The dtype asked for, where no axis says.
        place: Contents -> memory.
        stored: Whether each net came with weights, and so with a dtype of its own.
    """

    nets: Mapping[str, Graph]
    chip: Chip
    axes: tuple[Axis, ...]
    rules: Rules = field(default_factory=Rules)
    objective: str = "latency"
    batch: int = 1
    dtype: DType | None = None
    place: Mapping[str, str] = field(default_factory=dict)
    stored: tuple[bool, ...] = ()

    @classmethod
    def of(cls, nets: Mapping[str, Graph], chip: Chip, axes: Sequence[Axis], **more: Any) -> Question:
        """Return a question whose nets have left their weights at home."""
        stored = tuple(any(tensor.data is not None for tensor in net.constants) for net in nets.values())
        light = {name: _light(net) for name, net in nets.items()}
        return cls(light, chip, tuple(axes), stored=stored, **more)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the answer, in order."""
        keys = ["point", "net", "batch", "dtype"]
        if any(isinstance(engine, CoreEngine) for engine in self.chip.engines):
            keys.append("runtime")
        names = memory_names(self.chip)
        results = ["latency_s", "energy_j", "edp_js", "macs"]
        results += [f"{name}_bytes" for name in names] + [f"{name}_need_bytes" for name in names]
        of_net = {axis.name: axis.column for axis in self.axes if not axis.column.path}
        return (
            *(of_net.get(key, Column(key, "key")) for key in keys),
            *(axis.column for axis in self.axes if axis.column.path),
            *(derived.column for derived in self.rules.derived),
            *(Column.of(name, "result") for name in (*results, "fits", "reason")),
        )

    def answer(self, block: Block) -> SweepTable:
        """Return the rows of a block; those that break a constraint are left out.

        Raises:
            HwsimError: A value breaks a rule of the profile, or an engine lacks a rate or a kernel that a net needs.
        """
        structural = [index for index, axis in enumerate(self.axes) if axis.structural]
        kinds = np.stack([block.nets, *(block.at[index].astype(np.int64) for index in structural)])
        changes = np.flatnonzero((np.diff(kinds, axis=1) != 0).any(axis=0)) + 1
        tables = [
            self._run(tuple(kinds[:, start].tolist()), _cut(block, int(start), int(stop)))
            for start, stop in zip([0, *changes], [*changes, len(block)], strict=True)
            if stop > start
        ]
        return SweepTable.joined(tables) if tables else SweepTable({c.name: [] for c in self.columns}, self.columns)

    def _run(self, kind: Structure, block: Block) -> SweepTable:
        """Return the rows of a block of one structure."""
        net, chip, batch, asked = self._structure(kind)
        workload, dtype = self._workload(net, chip, batch, asked)
        varied = {axis.column: _values(axis, at) for axis, at in zip(self.axes, block.at, strict=True)}
        known = {column: _readable(values) for column, values in varied.items()}
        derived, kept = self.rules.follow(chip, known, len(block))
        rows = int(kept.sum())
        columns = {axis.column.path: varied[axis.column] for axis in self.axes if not axis.structural}
        columns |= {column.path: values for column, values in derived.items() if column.path}
        # At least one column says how many points there are.
        columns = columns or {"clock_mhz": np.full(len(block), chip.clock_mhz)}
        data: dict[str, Any] = {
            "point": block.points[kept],
            "net": Words.same(net, rows),
            "batch": np.full(rows, batch, dtype=np.int64),
            "dtype": Words.same(dtype or stored_dtype(workload), rows),
        }
        found = None
        if rows:
            points = HardwarePoints.of(chip, {path: values[kept] for path, values in columns.items()})
            found = totals(workload, points, objective=self.objective, placed=self.place)
        data["runtime"] = Words.same("" if found is None else _runtime(chip, found), rows)
        data |= {column.name: values[kept] for column, values in (varied | derived).items()}
        data |= _results(chip, workload, found)
        return SweepTable({column.name: data[column.name] for column in self.columns}, self.columns)

    def __getstate__(self) -> dict[str, Any]:
        """Leave at home what can be worked out again."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @cached_property
    def _structures(self) -> dict[Structure, tuple[str, Chip, int, DType | None]]:
        """Those that were asked for last."""
        return {}

    def _structure(self, kind: Structure) -> tuple[str, Chip, int, DType | None]:
        """Return a net's name, chip, batch and dtype that go with a combination of net and structural values."""
        if kind in self._structures:
            return self._structures[kind]
        chip, batch, dtype = self.chip, self.batch, self.dtype
        structural = [axis for axis in self.axes if axis.structural]
        for axis, index in zip(structural, kind[1:], strict=True):
            value = axis.values[index]  # type: ignore[index]  # a span is never structural
            match axis.path:
                case "batch":
                    batch = value
                case "dtype":
                    dtype = value
                case "runtime":
                    chip = with_runtime(chip, value)
                case path:
                    chip = chip.replace(path, value)
        if len(self._structures) >= KEPT:
            self._structures.clear()
        self._structures[kind] = list(self.nets)[kind[0]], chip, batch, dtype
        return self._structures[kind]

    def _workload(self, net: str, chip: Chip, batch: int, asked: DType | None) -> tuple[Workload, DType | None]:
        dtype = asked
        if asked is None and not self.stored[list(self.nets).index(net)]:
            dtype = natural_dtype(self.nets[net], chip)
        return lower(self.nets[net], batch=batch, dtype=dtype), dtype


def memory_names(chip: Chip) -> list[str]:
    """Return what the memories of a chip are called in names of columns."""
    return list(column_names([f"memories.{memory.name}" for memory in chip.memories], []).values())


def _light(net: Graph) -> Graph:
    """Return a net without its weights."""
    if all(tensor.data is None for tensor in net.constants):
        return net
    return replace(net, tensors={name: replace(tensor, data=None) for name, tensor in net.tensors.items()})


def _cut(block: Block, start: int, stop: int) -> Block:
    rows = slice(start, stop)
    return Block(block.points[rows], block.nets[rows], tuple(at[rows] for at in block.at))


def _values(axis: Axis, at: Array) -> Any:
    """Return an axis's column at some rows."""
    if isinstance(axis.values, Span):
        return at
    return axis.numbers[at] if axis.numeric else Words(at.astype(np.int32), axis.words)


def _readable(values: Any) -> Any:
    """Return a column as expressions read it: of words, which are the same in all rows of a structure, the one word."""
    return np.array(values[0]) if isinstance(values, Words) else values


def _runtime(chip: Chip, found: Totals) -> str:
    """Return the kernel libraries in use, as a report names them."""
    used = [chip.engines[index] for index in dict.fromkeys(found.engine.tolist()) if index != NOBODY]
    return ", ".join(engine.runtime for engine in used if isinstance(engine, CoreEngine))


def _results(chip: Chip, workload: Workload, found: Totals | None) -> dict[str, Any]:
    """Return the result columns; empty ones where no row is left."""
    memories = memory_names(chip)
    if found is None:
        names = ["latency_s", "energy_j", "edp_js", "macs"]
        names += [f"{name}_{what}" for name in memories for what in ("bytes", "need_bytes")]
        empty: dict[str, Any] = {name: np.zeros(0) for name in names}
        return empty | {"fits": np.zeros(0, dtype=np.bool_), "reason": Words.empty(0)}
    rows = found.points.count
    # A report counts what an application reserves as part of the need.
    reserved = [
        found.points.memory(memory.name).capacity_bytes - found.points.memory(memory.name).size_bytes
        for memory in chip.memories
    ]
    results: dict[str, Any] = {
        "latency_s": found.latency_s,
        "energy_j": found.energy_j,
        "edp_js": found.latency_s * found.energy_j,
        "macs": np.full(rows, int(workload.column("macs").sum()), dtype=np.int64),
    }
    results |= {f"{name}_bytes": found.traffic_bytes[index] for index, name in enumerate(memories)}
    results |= {f"{name}_need_bytes": found.need_bytes[i] + reserved[i] for i, name in enumerate(memories)}
    return results | {"fits": found.fits, "reason": Words.of(reasons(found))}
