"""``sweep``: nets on every design point of a chip, in memory, as a stream of chunks, or kept in a folder."""

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
from hwsim.explore.files import CSV, PARQUET, csv_text
from hwsim.explore.grid import Plan, Sampling, plan
from hwsim.explore.parquet import duckdb, write_parquet
from hwsim.explore.processes import Chunk
from hwsim.explore.question import Question
from hwsim.explore.ranges import Span
from hwsim.explore.store import MOST_CHUNKS, Store, by_net_and_point, cut
from hwsim.explore.table import SweepTable
from hwsim.explore.workers import answers
from hwsim.files import check_writable, write_whole
from hwsim.graph import DTYPES, DType, Graph

# Rows of a chunk: enough to keep the engine busy, few enough that a worker holds little.
CHUNK_ROWS, LEAST_CHUNK_ROWS = 16_384, 512
# Small sweeps are cut into so many chunks, so that there is work for all.
CHUNKS = 16
# What is held in memory without a file; and what a CSV is put in order for.
MAX_HELD, MAX_SORTED = 5_000_000, 2_000_000

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


def sweep(
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
    workers: int | None = None,
    executor: Executor | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    shard: tuple[int, int] | str | None = None,
    progress: Progress | None = None,
) -> SweepTable:
    """Return what nets cost on every design point of a chip: the numbers of ``evaluate``, a row each.

    Args:
        nets: A net, several, or names of your own -> nets.
        chip: The structure, and the value of every field that is not varied.
        vary: Path of a field (``sram.size_kib``, ``npu.dataflows``), ``batch``, ``dtype`` or ``runtime`` -> values: a
            list, or a text such as ``32:1024:x2`` or ``8:64:8``. The grid's last axis varies fastest.
        design: A design file, or what it would hold: axes, derived fields, constraints, sampling.
        sample: Draw points instead of taking the whole grid: ``sobol:1000`` or ``latin_hypercube:1000``.
        seed: Of the sample.
        objective: As in ``evaluate``.
        batch: As in ``evaluate``.
        dtype: As in ``evaluate``.
        place: As in ``evaluate``.
        workers: Processes; None is as many as there are cores once the work is worth it, 1 stays in this one.
        executor: Any executor of ``concurrent.futures`` that is to do the work.
        out: A folder for chunks, or a ``.parquet`` or ``.csv`` file; needed for more than five million rows.
        resume: Go on with what ``out`` has.
        force: Begin anew, whatever ``out`` has.
        shard: ``(i, n)`` or ``"i/n"``: only every n-th chunk of a folder, beginning with the i-th, counted from one.
        progress: Is told rows done and rows there are.

    Returns:
        The table; of a folder or a file, its columns are read when they are asked for.

    Raises:
        HwsimError: Something of it is wrong; the sentence says what.
    """
    ready = prepare(
        nets, chip, vary, design=design, sample=sample, seed=seed, objective=objective, batch=batch, dtype=dtype,
        place=place,
    )  # fmt: skip
    how: dict[str, Any] = {"workers": check_workers(workers), "executor": executor, "progress": progress}
    if out is None:
        if shard is not None or resume or force:
            raise UsageError("resume, force and shard need a folder (out)")
        return ready.table(**how)
    return written(ready, Path(out), resume=resume, force=force, shard=shard_of(shard), **how)


def written(
    ready: Sweep, out: Path, *, resume: bool = False, force: bool = False, shard: tuple[int, int] = (1, 1), **how: Any
) -> SweepTable:
    """Run a sweep into a folder or a file, and return its table.

    Raises:
        HwsimError: It cannot be written, or holds another sweep.
    """
    store = stored(ready, out, resume=resume, force=force, shard=shard, **how)
    if store.folder == out:
        return store.table() if store.finished() else SweepTable({}, ready.question.columns, ready.metadata)
    finish(store, out)
    return SweepTable.read(out)


def stored(
    ready: Sweep, out: Path, *, resume: bool = False, force: bool = False, shard: tuple[int, int] = (1, 1), **how: Any
) -> Store:
    """Run a sweep into a folder, for a file into one beside it, and return what is there.

    Raises:
        HwsimError: It cannot be written, or holds another sweep.
    """
    suffix = out.suffix.lower()
    if suffix in (PARQUET, CSV):
        if shard != (1, 1):
            raise UsageError(f"out = {out}: the shards of a sweep meet in a folder, not in a file; join it afterwards")
        check_writable(out)
        if suffix == PARQUET:
            duckdb("Parquet")
    store = Store.create(chunk_folder(out), ready.manifest, resume=resume, force=force, shared=shard != (1, 1))
    ready.into(store, shard=shard, **how)
    return store


def finish(store: Store, out: Path) -> None:
    """Join the chunks beside a file into it, and remove them.

    Raises:
        UsageError: It cannot be written; the chunks stay.
    """
    join(store, out)
    store.remove()


def chunk_folder(out: Path) -> Path:
    """Return the folder that keeps the chunks of a sweep until its file is written, or that is asked for itself."""
    return out.with_name(f"{out.name}.chunks") if out.suffix.lower() in (PARQUET, CSV) else out


def join(store: Store, path: Path) -> None:
    """Write the finished chunks of a store as one Parquet or CSV file.

    A CSV of more than two million rows keeps the order in which they were visited.

    Raises:
        UsageError: It is neither, or cannot be written.
    """
    match path.suffix.lower():
        case ".parquet":
            write_parquet(store.tables(), path)
        case ".csv":
            ordered = store.rows <= MAX_SORTED
            tables = [store.table()] if ordered else store.tables()
            text = "".join(csv_text(table, header=index == 0) for index, table in enumerate(tables))
            write_whole(path, text)
        case _:
            raise UsageError(f"cannot write {path}: a sweep is joined into a .parquet or a .csv")


def sweep_chunks(
    nets: Graph | Sequence[Graph] | Mapping[str, Graph],
    chip: Chip,
    vary: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    **more: Any,
) -> Iterator[SweepTable]:
    """Yield what ``sweep`` returns chunk by chunk, as they are finished, never holding more than a few.

    Args:
        nets: As in ``sweep``, as are all others.
        chip: The chip.
        vary: The axes.
        workers: Processes.
        executor: Who does the work instead.
        progress: Is told rows done and rows there are.
        more: What ``prepare`` takes: design, sample, objective, …
    """
    ready = prepare(nets, chip, vary, **more)
    for _, table in ready.tables(workers=check_workers(workers), executor=executor, progress=progress):
        yield table


def shard_of(shard: tuple[int, int] | str | None) -> tuple[int, int]:
    """Return a part and the number of parts.

    Raises:
        UsageError: It is none.
    """
    if shard is None:
        return 1, 1
    words = shard.split("/") if isinstance(shard, str) else [str(number) for number in shard]
    if len(words) == 2 and all(word.isdecimal() and len(word) < 10 for word in words):
        part, parts = map(int, words)
        if 1 <= part <= parts:
            return part, parts
    told = shard if isinstance(shard, str) else "/".join(words)
    raise UsageError(f"shard = {told}: must be i/n with i from 1 to n, such as 2/8")


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


def check_workers(workers: int | None) -> int | None:
    """Return a number of processes.

    Raises:
        UsageError: It is none.
    """
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"workers = {workers}: must be from 1 to 1024")
    return workers
