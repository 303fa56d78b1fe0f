"""``sweep`` and ``query``: many design points, and questions to what came of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.app import INTERRUPTED, app
from hwsim.cli.arguments import (
    AllowUnknown,
    Batch,
    ChipArg,
    Dims,
    Dtype,
    Form,
    Format,
    Objective,
    Override,
    Parameters,
    Place,
    Runtime,
    axes_of,
    chip_of,
    complete_field,
    complete_net,
    dtype_of,
    format_of,
    net_of,
    pairs,
)
from hwsim.cli.printing import print_in
from hwsim.cli.terminal import note, pipes_may_break, progress, show_facts, show_table
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.explore import Sweep
    from hwsim.explore.summary import Summary
    from hwsim.report.table import Table

# Rows of a table that a person still reads.
SHOWN = 40


def _complete_nets(incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in complete_net(last)]


@app.command()
def sweep(
    nets: Annotated[
        str,
        typer.Argument(
            metavar="NET[,NET…]",
            help="Model files or names from `hwsim nets`, separated by commas.",
            autocompletion=_complete_nets,
        ),
    ],
    chip: ChipArg,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="PATH=RANGE",
            help="An axis: sram.size_kib=32:1024:x2, npu.rows=8:64:8, npu.dataflows=a,b; batch, dtype, runtime.",
            autocompletion=complete_field,
        ),
    ] = None,
    design: Annotated[
        Path | None,
        typer.Option("--design", metavar="FILE", help="Axes, derived fields, constraints and sampling, in YAML."),
    ] = None,
    with_: Parameters = None,
    dim: Dims = None,
    batch: Batch = 1,
    dtype: Dtype = None,
    objective: Objective = "latency",
    runtime: Runtime = None,
    place: Place = None,
    set_: Override = None,
    allow_unknown: AllowUnknown = False,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="HOW:N", help="Draw N points: sobol:1000 or latin_hypercube:1000."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Where the drawing starts from.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR|FILE", help="A folder of chunks, a .parquet or a .csv.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes; all cores where the work is worth it.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler that is to do the work.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Only every N-th chunk, beginning with the I-th.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what --out has.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin anew, whatever --out has.")] = False,
) -> None:
    """Cost nets at every point of a grid or a sample over the fields of a chip."""
    from hwsim.explore import prepare
    from hwsim.explore.sweeping import check_workers, shard_of

    check_workers(workers)
    part = shard_of(shard)
    if out is None and (resume or force or shard):
        raise UsageError("--resume, --force and --shard need --out DIR")
    with progress() as stage:
        stage(f"reading {nets}")
        graphs = [net_of(name, with_, dim, allow_unknown) for name in _names(nets)]
        ready = prepare(
            graphs,
            chip_of(chip, runtime, set_),
            axes_of(vary),
            design=design,
            sample=sample,
            seed=seed,
            objective=objective,
            batch=batch,
            dtype=dtype_of(dtype),
            place=dict(pairs(place, "--place")),
        )
        clock = _Clock(stage)
        with pipes_may_break(), _executor(dask) as executor:
            how: dict[str, Any] = {"workers": workers, "executor": executor, "progress": clock.at}
            if out is None:
                summary = _held(ready, how)
            else:
                summary = _kept(ready, out, stage, {**how, "resume": resume, "force": force, "shard": part})
    _print(ready, summary, clock, out)


def _names(nets: str) -> list[str]:
    """Return the nets of a command line; a file may have commas in its name."""
    if Path(nets).exists():
        return [nets]
    names = [name.strip() for name in nets.split(",") if name.strip()]
    if not names:
        raise UsageError("name a net, or several separated by commas")
    return names


@contextlib.contextmanager
def _executor(address: str | None) -> Iterator[Executor | None]:
    if address is None:
        yield None
        return
    from hwsim.explore.cluster import dask_executor

    with dask_executor(address) as executor:
        yield executor


class _Clock:
    """Says how far a sweep is, how fast, and how long it will go on."""

    def __init__(self, stage: Callable[[str], None]) -> None:
        self._stage = stage
        self.start, self.seconds, self.rows = time.monotonic(), 0.0, 0

    def at(self, done: int, whole: int) -> None:
        """Take note of rows that are done."""
        from hwsim.report.words import lasting, rounded

        if not done:
            self.start = time.monotonic()
        self.rows, self.seconds = done, time.monotonic() - self.start
        told = f"{done:,} of {whole:,} rows".replace(",", " ")
        if done and self.seconds:
            rate = done / self.seconds
            told += f", {rounded(rate)}/s, {lasting((whole - done) / rate)} left"
        self._stage(told)


def _held(ready: Sweep, how: dict[str, Any]) -> Summary:
    """Run a sweep that leaves nothing behind but its summary."""
    from hwsim.explore.summary import Summary

    return Summary.of(table for _, table in ready.tables(**how))


def _kept(ready: Sweep, out: Path, stage: Callable[[str], None], how: dict[str, Any]) -> Summary:
    """Run a sweep into a folder or a file."""
    from hwsim.explore.store import MANIFEST, Store
    from hwsim.explore.summary import Summary
    from hwsim.explore.sweeping import chunk_folder, finish, stored

    folder = chunk_folder(out)
    try:
        store = stored(ready, out, **how)
        stage("looking for the best")
        summary = Summary.of(store.tables())
        if store.folder != out:
            stage(f"writing {out}")
            finish(store, out)
        return summary
    except KeyboardInterrupt:
        if (folder / MANIFEST).exists():
            begun = Store.open(folder)
            done, whole = len(begun.finished()), len(begun.chunks)
            note(f"interrupted: {done} of {whole} chunks are finished in {folder}; go on with --resume")
        raise typer.Exit(INTERRUPTED) from None


def _print(ready: Sweep, summary: Summary, clock: _Clock, out: Path | None) -> None:
    """Print the best of each net and what the sweep came to; the last line is to be quoted."""
    from hwsim.report.words import percent, rounded

    if summary.best and summary.axes:
        show_table(_best_table(summary))
        print()
    share = percent(summary.ran / summary.rows) if summary.rows else "none"
    costed = f"{summary.rows:,}".replace(",", " ")
    facts = [("points", f"{costed} net evaluations, {share} of them run")]
    if len(ready.question.rules.constraints) and summary.rows < ready.rows:
        facts.append(("constraints", f"left out {ready.rows - summary.rows:,} more".replace(",", " ")))
    facts += [("not run", f"{count:,} × {kind}".replace(",", " ")) for kind, count in sorted(summary.reasons.items())]
    if clock.rows:
        facts.append(("rate", f"{rounded(clock.rows / max(clock.seconds, 1e-9))} net evaluations/s"))
    if out is not None:
        facts.append(("in", str(out)))
    show_facts(facts)
    print()
    print(_quotable(ready, summary))


def _best_table(summary: Summary) -> Table:
    from hwsim.report.table import Column, Table
    from hwsim.report.words import scaled

    wanted = [("latency_s", "latency", "s"), ("energy_j", "energy", "J"), ("edp_js", "EDP", "J·s")]
    axes = summary.axes
    columns = [
        Column("net", overflow="middle"),
        Column("least"),
        *(Column(header, numeric=True) for _, header, _ in wanted),
    ]
    columns += [
        Column(_header(axis.name, axis.unit), numeric=True, overflow="end", drop=i) for i, axis in enumerate(axes)
    ]
    rows = []
    for net, best in summary.best.items():
        for objective, header, _ in wanted:
            row = best.get(objective)
            if row is not None:
                cells = [scaled(row[name], unit) for name, _, unit in wanted]
                rows.append([net, header, *cells, *(_cell(row[axis.name]) for axis in axes)])
    return Table(tuple(columns), rows)


def _header(name: str, unit: str) -> str:
    """Return the header of an axis, with its unit where the name does not say it."""
    return name if not unit or name.endswith(unit.lower()) else f"{name} [{unit}]"


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _quotable(ready: Sweep, summary: Summary) -> str:
    from hwsim.report.words import scaled

    chip = ready.question.chip.name
    rows = f"{summary.rows // max(len(ready.question.nets), 1):,}".replace(",", " ")
    bests = [(net, best["latency_s"]) for net, best in summary.best.items() if "latency_s" in best]
    if not bests:
        return f"{', '.join(ready.question.nets)} on {chip}: none of {rows} points runs"
    net, row = bests[0]
    at = ", ".join(f"{axis.name} {_cell(row[axis.name])}" for axis in summary.axes)
    told = f"{net} on {chip}: {scaled(row['latency_s'], 's')} at best" + (f" ({at})" if at else "")
    return told + f", of {rows} points" + (f", for {len(summary.best)} nets" if len(summary.best) > 1 else "")


@app.command()
def query(
    source: Annotated[
        Path, typer.Argument(metavar="DIR|FILE", help="What `hwsim sweep` wrote: a folder, a .parquet or a .csv.")
    ],
    sql: Annotated[
        str | None, typer.Argument(metavar="[SQL]", help="One SELECT over the table sweep; its columns if left out.")
    ] = None,
    form: Form = "table",
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="Join the chunks of a folder into a Parquet file.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Join the chunks of a folder into a CSV file.")
    ] = None,
) -> None:
    """Ask a sweep in SQL, or join its chunks into one file."""
    from hwsim.explore.query import query as ask

    printed = format_of(form)
    with progress() as stage:
        for path in (parquet, csv):
            if path is not None:
                stage(f"writing {path}")
                _join(source, path)
        if sql is None and (parquet is not None or csv is not None):
            return
        stage("asking")
        names, rows = ask(source, sql) if sql is not None else _columns(source)
    _print_rows(names, rows, printed)


def _join(source: Path, path: Path) -> None:
    from hwsim.explore import Store, SweepTable
    from hwsim.explore.sweeping import join

    if source.is_dir():
        join(Store.open(source), path)
    else:
        SweepTable.read(source).write(path)


def _columns(source: Path) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the columns of a sweep as rows."""
    from hwsim.explore import SweepTable

    table = SweepTable.read(source)
    return ["column", "is", "unit", "field"], [(c.name, c.role, c.unit, c.path) for c in table.columns]


def _print_rows(names: list[str], rows: list[tuple[Any, ...]], form: Format) -> None:
    from hwsim.report.export import json_text, rows_csv
    from hwsim.report.table import Column, Table

    records = [dict(zip(names, row, strict=True)) for row in rows]
    numeric = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(names))]
    columns = tuple(
        Column(name, numeric=number, overflow="keep" if number else "end", drop=index)
        for index, (name, number) in enumerate(zip(names, numeric, strict=True))
    )
    cells = [[_value(value) for value in row] for row in rows]

    def shown() -> None:
        show_table(Table(columns, cells[:SHOWN]))
        if len(rows) > SHOWN:
            print(f"\n… and {len(rows) - SHOWN:,} more rows; --format csv prints them all".replace(",", " "))

    print_in(
        form,
        Table(columns, cells),
        shown=shown,
        csv=lambda: rows_csv(records),
        # SQL has dates and decimals, too.
        json=lambda: json_text(records, default=str),
    )


def _value(value: Any) -> str:
    from hwsim.report.words import MISSING

    if value is None or value != value:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
