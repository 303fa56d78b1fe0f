"""``plot sweep``, ``pareto``, ``sensitivity`` and ``compare``: pictures of results that are already there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import plot_app
from hwsim.cli.arguments import pairs, saved_report
from hwsim.cli.plotting import Output
from hwsim.cli.terminal import progress
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.explore import SweepTable

Sweeps = Annotated[
    list[Path], typer.Argument(metavar="SWEEP…", help="What `hwsim sweep` wrote: a folder, a .parquet or a .csv.")
]
Where = Annotated[
    str | None, typer.Option("--where", metavar="EXPR", help="Only rows at which this holds: 'sram_kib <= 256'.")
]
At = Annotated[list[str] | None, typer.Option("--at", metavar="NAME=VALUE", help="Only rows at this value of an axis.")]


@plot_app.command("sweep")
def plot_a_sweep(
    files: Sweeps,
    output: Output,
    y: Annotated[str, typer.Option("--y", metavar="NAME", help="What is shown: latency_ms, dram_mib.")] = "latency_s",
    x: Annotated[
        str | None, typer.Option("--x", metavar="A[,B]", help="Over one axis (lines) or two (heatmap).")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="A line for each value of this.")] = None,
    best: Annotated[bool, typer.Option("--best", help="The least over whatever else varies.")] = False,
    where: Where = None,
    at: At = None,
) -> None:
    """A quantity over one axis as lines, over two as a heatmap."""
    from hwsim.plot import check_picture, plot_sweep, save

    check_picture(output)
    with progress() as stage:
        stage("reading the sweep")
        table = chosen_rows(files, where, at)
        stage(f"drawing {output}")
        save(plot_sweep(table, y, listed(x), by or "", best=best), output)
    print(output)


@plot_app.command("pareto")
def plot_a_front(
    files: Sweeps,
    output: Output,
    least: Annotated[
        str, typer.Option("--min", metavar="A,B", help="The two quantities, or axes, to have little of.")
    ] = "latency_s,energy_j",
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="A front for each value of this.")] = None,
    point: Annotated[int | None, typer.Option("--point", metavar="N", help="The point to annotate.")] = None,
    where: Where = None,
    at: At = None,
) -> None:
    """Two quantities against each other: fronts, dominated points faint, one point annotated."""
    from hwsim.plot import check_picture, plot_pareto, save

    check_picture(output)
    names = listed(least)
    if len(names) != 2:
        raise UsageError(f"--min {least}: a picture of a front has two quantities: --min latency_ms,energy_mj")
    with progress() as stage:
        stage("reading the sweep")
        table = chosen_rows(files, where, at)
        stage(f"drawing {output}")
        save(plot_pareto(table, names[0], names[1], by or "", point=point), output)
    print(output)


@plot_app.command("sensitivity")
def plot_a_tornado(
    files: Sweeps,
    output: Output,
    of: Annotated[
        str, typer.Option("--of", metavar="A,B", help="Of which results: latency_ms, energy_mj, dram_mib.")
    ] = "latency_s,energy_j",
    where: Where = None,
    at: At = None,
) -> None:
    """How much results follow each axis of a sweep, as a tornado; of a net: hwsim sensitivity NET CHIP --plot FILE."""
    from hwsim.explore import grid_sensitivity
    from hwsim.plot import check_picture, plot_sensitivity, save

    check_picture(output)
    objectives = listed(of)
    if not objectives:
        raise UsageError(f"--of {of}: name a result, such as latency_ms")
    with progress() as stage:
        stage("reading the sweep")
        found = grid_sensitivity(chosen_rows(files, where, at), objectives)
        stage(f"drawing {output}")
        save(plot_sensitivity(found), output)
    print(output)


@plot_app.command("compare")
def plot_reports(
    files: Annotated[
        list[Path], typer.Argument(metavar="REPORT…", help="What `hwsim evaluate --json` wrote, in the order of bars.")
    ],
    output: Output,
    what: Annotated[
        str, typer.Option("--show", metavar="A,B", help="Of latency, energy, traffic, memory.")
    ] = "latency,energy,traffic,memory",
) -> None:
    """Reports side by side as bars, nets in groups."""
    from hwsim.plot import check_picture, plot_compare, save

    check_picture(output)
    reports = [saved_report(path) for path in files]
    save(plot_compare(reports, show=listed(what)), output)
    print(output)


def listed(words: str | None) -> list[str]:
    """Return words that stand between commas."""
    return [word.strip() for word in (words or "").split(",") if word.strip()]


def chosen_rows(files: Sequence[Path], where: str | None, at: Sequence[str] | None) -> SweepTable:
    """Return the rows that a picture is of, of one sweep or of several below each other.

    Raises:
        UsageError: A file is no sweep, or no row is left.
    """
    from hwsim.explore import SweepTable

    tables = [SweepTable.read(path) for path in files]
    chips = [str(table.metadata.get("chip", path.stem)) for table, path in zip(tables, files, strict=True)]
    if len(set(chips)) > 1:
        tables = [_with_chip(table, chip) for table, chip in zip(tables, chips, strict=True)]
    table = SweepTable.joined(tables) if len(tables) > 1 else tables[0]
    for name, value in pairs(at, "--at"):
        table = _rows_at(table, name, value)
    if where is not None:
        table = table.where(where)
        if not len(table):
            raise UsageError(f"--where {where!r}: holds at no row of the sweep")
    return table


def _with_chip(table: SweepTable, chip: str) -> SweepTable:
    """Return the table of one of several sweeps, with the name of its chip in each row."""
    from hwsim.explore import Column, SweepTable
    from hwsim.explore.words import Words

    columns = {"chip": Words.same(chip, len(table))} | {name: table.stored(name) for name in table.names}
    rest = {name: value for name, value in table.metadata.items() if name != "chip"}
    return SweepTable(columns, [Column("chip", "key"), *table.columns], rest)


def _rows_at(table: SweepTable, name: str, value: str) -> SweepTable:
    """Return the rows at which an axis has a value, in the unit of the name."""
    import numpy as np

    column = table[name]
    if column.dtype.kind == "O":
        rows = column == value
    else:
        try:
            rows = np.isclose(column.astype(np.float64), float(value), rtol=1e-9, atol=0.0)
        except ValueError:
            raise UsageError(f"--at {name}={value}: {name} is a number, {value!r} is none") from None
    if not rows.any():
        known = sorted(set(column[:100_000].tolist()))
        told = ", ".join(f"{one:g}" if column.dtype.kind != "O" else str(one) for one in known[:8])
        raise UsageError(
            f"--at {name}={value}: the sweep has no such row; it has {told}{', …' if len(known) > 8 else ''}"
        )
    return table.take(rows)
