"""A sweep made ready: what it asks, which points it has, how they are cut, and what it is known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hwsim import __version__
from hwsim.chip import Chip, CoreEngine
from hwsim.chip.schema import plain
from hwsim.cost import OBJECTIVES
from hwsim.errors import UsageError, did_you_mean
from hwsim.explore.axes import Axis, axes_of
from hwsim.explore.derived import rules_of
from hwsim.explore.design import Design, design_of, load_design
from hwsim.explore.grid import Plan, Sampling, plan
from hwsim.explore.processes import Chunk
from hwsim.explore.question import Question
from hwsim.explore.ranges import Span
from hwsim.explore.store import MOST_CHUNKS, Store, by_net_and_point, cut
from hwsim.explore.table import SweepTable
from hwsim.explore.workers import answers
from hwsim.graph import DTYPES, DType, Graph

# Rows of a chunk: enough to keep the engine busy, few enough that a worker holds little.
CHUNK_ROWS, LEAST_CHUNK_ROWS = 16_384, 512
# Small sweeps are cut into so many chunks, so that there is work for all.
CHUNKS = 16
# What is held in memory without a file.
MAX_HELD = 5_000_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sweep:
    """A sweep that is ready to run.

    Attributes:
        question: What is asked at every row.
        plan: Which rows there are.
        sampling: How points are drawn; None is the full grid.
    """

    question: Question
    plan: Plan
    sampling: Sampling | None = None

    @property
    def rows(self) -> int:
        """Design points times nets."""
        return self.plan.rows

    @cached_property
    def chunk_rows(self) -> int:
        """Rows of a chunk; it depends on the sweep alone, so that any machine cuts it alike."""
        usual = min(max(-(-self.rows // CHUNKS), LEAST_CHUNK_ROWS), CHUNK_ROWS)
        return max(usual, -(-self.rows // MOST_CHUNKS))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The whole question as JSON values."""
        question = self.question
        profile = json.loads(json.dumps(plain(question.chip), default=str))
        sampling = self.sampling
        return {
            "hwsim": __version__,
            "nets": {name: net_hash(net) for name, net in question.nets.items()},
            "chip": question.chip.name,
            "axes": {axis.path: _told(axis) for axis in question.axes},
            "derived": {derived.column.name: derived.expression.text for derived in question.rules.derived},
            "constraints": [constraint.text for constraint in question.rules.constraints],
            "sample": None if sampling is None else [sampling.method, sampling.count, sampling.seed],
            "objective": question.objective,
            "batch": question.batch,
            "dtype": question.dtype,
            "place": dict(question.place),
            "profile": profile,
            "kernel_tables": _kernel_hashes(question.chip),
            "rows": self.rows,
            "chunk_rows": self.chunk_rows,
            "columns": [[column.name, column.role, column.path, column.unit] for column in question.columns],
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """What a table of it tells of the question."""
        return {key: value for key, value in self.manifest.items() if key != "columns"}

    def tables(
        self,
        chunks: Sequence[Chunk] | None = None,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> Iterator[tuple[int, SweepTable]]:
        """Yield the number and the answer of each chunk as it is finished; few are held at a time."""
        chosen = cut(self.rows, self.chunk_rows) if chunks is None else chunks
        rows = {number: last - first for number, first, last in chosen}
        done, whole = 0, sum(rows.values())
        if progress is not None:
            progress(0, whole)
        for number, table in answers(self.question, self.plan, chosen, workers=workers, executor=executor):
            done += rows[number]
            if progress is not None:
                progress(done, whole)
            table.metadata = self.metadata
            yield number, table

    def table(self, **how: Any) -> SweepTable:
        """Return the whole answer, net by net and by point.

        Raises:
            UsageError: It is too large to be held.
        """
        if self.rows > MAX_HELD:
            raise UsageError(f"the sweep has {self.rows:,} rows; more than {MAX_HELD:,} need a folder or a file (out)")
        parts = dict(self.tables(**how))
        table = SweepTable.joined([parts[number] for number in sorted(parts)])
        return table.take(by_net_and_point(table))

    def into(
        self, store: Store, *, shard: tuple[int, int] = (1, 1), progress: Progress | None = None, **how: Any
    ) -> None:
        """Compute the chunks that a store lacks, those of one shard of several.

        Raises:
            UsageError: A chunk cannot be written; what is finished stays.
        """
        part, parts = shard
        left = [chunk for chunk in store.missing() if chunk[0] % parts == part - 1]
        for number, table in self.tables(left, progress=progress, **how):
            store.write(number, table)


def prepare(
    nets: Graph | Sequence[Graph] | Mapping[str, Graph],
    chip: Chip,
    vary: Mapping[str, Any] | None = None,
    *,
    design: Design | Mapping[str, Any] | str | Path | None = None,
    sample: Sampling | str | None = None,
    seed: int | None = None,
    objective: str = "latency",
    batch: int = 1,
    dtype: DType | None = None,
    place: Mapping[str, str] | None = None,
) -> Sweep:
    """Return a sweep that is ready to run; see ``sweep``.

    Raises:
        HwsimError: Something of it is wrong.
    """
    named = _named(nets)
    if not isinstance(chip, Chip):
        raise UsageError(f"sweep takes a Chip, not {chip!r}: load it with hwsim.load_chip")
    if objective not in OBJECTIVES:
        hint = did_you_mean(objective, OBJECTIVES)
        raise UsageError(f"objective = {objective!r}: must be one of {', '.join(OBJECTIVES)}{hint}")
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"dtype = {dtype!r}: must be one of {', '.join(DTYPES)}{did_you_mean(dtype, DTYPES)}")
    said = _design(design)
    twice = [name for name in vary or {} if name in said.axes]
    if twice:
        raise UsageError(f"axis {twice[0]}: is in the design as well; vary it in one of them")
    axes = axes_of(chip, {**said.axes, **(vary or {})}, [name for name in said.derived if "." not in name])
    rules = rules_of(chip, axes, said.derived, said.constraints)
    sampling = _sampling(sample, seed, said.sampling)
    question = Question.of(
        named, chip, axes, rules=rules, objective=objective, batch=batch, dtype=dtype, place=dict(place or {})
    )
    return Sweep(question, plan(axes, len(named), sampling), sampling)


def net_hash(net: Graph) -> str:
    """Return a digest of what a net's costs depend on: layers, shapes and dtypes, not weights."""
    digest = hashlib.sha256()
    for layer in net.layers:
        digest.update(repr((layer.name, layer.op, layer.inputs, layer.outputs)).encode())
    for tensor in net.tensors.values():
        digest.update(repr((tensor.name, tensor.shape, tensor.dtype, tensor.constant)).encode())
    digest.update(repr((net.inputs, net.outputs)).encode())
    return digest.hexdigest()


def _kernel_hashes(chip: Chip) -> dict[str, str]:
    return {
        engine.name: hashlib.sha256(repr(engine.kernel_table).encode()).hexdigest()
        for engine in chip.engines
        if isinstance(engine, CoreEngine)
    }


def _told(axis: Axis) -> Any:
    """Return the values of an axis as JSON."""
    if isinstance(axis.values, Span):
        return {"from": axis.values.low, "to": axis.values.high, "log": axis.values.log}
    return list(axis.values) if axis.numeric else list(axis.words)


def _named(nets: Graph | Sequence[Graph] | Mapping[str, Graph]) -> dict[str, Graph]:
    """Return the nets by the names they have in the table; of equal names the later ones get a number."""
    if isinstance(nets, Graph):
        nets = [nets]
    if isinstance(nets, Mapping):
        named = dict(nets)
    else:
        named = {}
        for net in nets:
            name = getattr(net, "name", str(net))
            taken = sum(1 for other in named if other == name or other.startswith(f"{name}#"))
            named[f"{name}#{taken + 1}" if taken else name] = net
    for net in named.values():
        if not isinstance(net, Graph):
            raise UsageError(f"sweep takes Graphs, not {net!r}: load it with hwsim.load_net")
    if not named:
        raise UsageError("a sweep needs a net")
    return named


def _design(design: Design | Mapping[str, Any] | str | Path | None) -> Design:
    if design is None or isinstance(design, Design):
        return design or Design()
    return load_design(design) if isinstance(design, str | Path) else design_of(design)


def _sampling(sample: Sampling | str | None, seed: int | None, said: Sampling | None) -> Sampling | None:
    chosen = Sampling.of(sample) if isinstance(sample, str) else sample or said
    if seed is not None:
        if chosen is None:
            raise UsageError(f"seed = {seed}: is of a sample; tell which (sobol:1000)")
        chosen = replace(chosen, seed=seed)
    return chosen
