"""``sweep``: nets on every design point of a chip, in memory, as a stream of chunks, or kept in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from hwsim.chip import Chip
from hwsim.errors import UsageError
from hwsim.explore.design import Design
from hwsim.explore.files import CSV, PARQUET, check_out, csv_text
from hwsim.explore.grid import Sampling
from hwsim.explore.parquet import write_parquet
from hwsim.explore.prepared import Progress, Sweep, prepare
from hwsim.explore.store import Store
from hwsim.explore.table import SweepTable
from hwsim.files import write_whole
from hwsim.graph import DType, Graph

# A CSV of more rows than this keeps the order in which they were visited.
MAX_SORTED = 2_000_000


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
    if out.suffix.lower() in (PARQUET, CSV) and shard != (1, 1):
        raise UsageError(f"out = {out}: the shards of a sweep meet in a folder, not in a file; join it afterwards")
    check_out(out)
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


def check_workers(workers: int | None) -> int | None:
    """Return a number of processes.

    Raises:
        UsageError: It is none.
    """
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"workers = {workers}: must be from 1 to 1024")
    return workers
