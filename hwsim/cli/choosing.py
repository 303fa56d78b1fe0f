"""``pareto`` and ``best``: what to choose from a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import DOES_NOT_FIT, app
from hwsim.cli.arguments import Form, Format, format_of
from hwsim.cli.plotting_sweeps import Where, listed
from hwsim.cli.printing import print_in
from hwsim.cli.terminal import note, progress, show_table
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.explore import SweepTable
    from hwsim.explore.choosing import Goals

SweepArg = Annotated[
    Path, typer.Argument(metavar="SWEEP", help="What `hwsim sweep` wrote: a folder, a .parquet or a .csv.")
]
By = Annotated[
    str | None, typer.Option("--by", metavar="A,B", help="Apart for each value of these columns, such as net.")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the rows with every column to a .csv or .parquet.")
]
EveryRow = Annotated[bool, typer.Option("--all-rows", help="Show every row of many.")]


@app.command()
def pareto(
    sweep: SweepArg,
    least: Annotated[
        str | None, typer.Option("--min", metavar="A,B", help="What to have little of: latency_ms,energy_mj.")
    ] = None,
    most: Annotated[str | None, typer.Option("--max", metavar="A,B", help="What to have much of.")] = None,
    where: Where = None,
    by: By = None,
    out: Out = None,
    form: Form = "table",
    every: EveryRow = False,
) -> None:
    """Show the rows of a sweep that no other beats in every objective; default: latency and energy."""
    from hwsim.explore.choice_text import front_quote
    from hwsim.explore.choosing import Goals, front_of

    printed = format_of(form)
    check_out(out)
    minimize, maximize = listed(least), listed(most)
    if not minimize and not maximize:
        minimize = ["latency_ms", "energy_mj"]
    goals = Goals.of(minimize, maximize, listed(by))
    with progress() as stage:
        stage(f"reading {sweep}")
        found = front_of(parts_of(sweep), goals, where)
    if out is not None:
        found.table.write(out)
    show_choice(found.table, goals, where, printed, every)
    if printed is Format.TABLE:
        if len(found.nets) > 1 and "net" not in goals.by:
            note(f"rows of {len(found.nets)} nets compete here; --by net gives each a front of its own")
        print(front_quote(found, goals))


@app.command()
def best(
    sweep: SweepArg,
    where: Where = None,
    least: Annotated[str | None, typer.Option("--min", metavar="NAME", help="What to have least of.")] = None,
    most: Annotated[str | None, typer.Option("--max", metavar="NAME", help="What to have most of.")] = None,
    top: Annotated[int, typer.Option("--top", metavar="N", help="Show so many rows.")] = 1,
    by: By = None,
    out: Out = None,
    form: Form = "table",
    every: EveryRow = False,
) -> None:
    """Show the best row of a sweep under a condition, such as 'latency_ms < 20 and sram_kib <= 256'.

    If no row satisfies it, tell which clause is in the way and how near the nearest comes, and leave with 1.
    """
    from hwsim.explore import SweepTable
    from hwsim.explore.choice_text import best_quote
    from hwsim.explore.choosing import Goals, best_of, groups_left_out, why_no_best

    printed = format_of(form)
    check_out(out)
    goals = Goals.of(listed(least) or ([] if most else ["latency_ms"]), listed(most), listed(by))
    with progress() as stage:
        stage(f"reading {sweep}")
        found = best_of(parts_of(sweep), goals, where, top)
        missing = [SweepTable.read(sweep)] if found is None else []
        if found is not None and goals.by:
            missing = groups_left_out(SweepTable.read(sweep), found, goals.by)
        for part in missing:
            named = ", ".join(f"{name} {part[name][0]}" for name in goals.by if found is not None)
            note(f"{named}: {why_no_best(part, goals, where)}".removeprefix(": "))
    if found is None:
        raise typer.Exit(DOES_NOT_FIT)
    if out is not None:
        found.write(out)
    show_choice(found, goals, where, printed, every)
    if printed is Format.TABLE:
        print(best_quote(found, goals, where))


def parts_of(sweep: Path) -> Iterator[SweepTable]:
    """Yield a sweep in parts: the finished chunks of a folder, or a file as a whole."""
    from hwsim.explore import SweepTable

    if not sweep.is_dir():
        yield SweepTable.read(sweep)
        return
    from hwsim.explore import Store

    yield from Store.open(sweep).tables()


def check_out(out: Path | None) -> None:
    """Check that rows can be written where asked, before they are looked for."""
    from hwsim.explore.files import check_out as check_file

    if out is not None and out.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"--out {out}: must be a .csv or a .parquet")
    check_file(out)


def show_choice(found: SweepTable, goals: Goals, where: str | None, form: Format, every: bool) -> None:
    """Print chosen rows; CSV and JSON with every column."""
    from hwsim.explore.choice_text import SHOWN, choice_table
    from hwsim.report.export import json_text

    limit = None if every else SHOWN
    table = choice_table(found, goals, where, limit=limit)

    def shown() -> None:
        show_table(table)
        if limit is not None and len(found) > limit:
            print(f"… and {len(found) - limit:,} more: --all-rows shows them, --out writes them")
        print()

    print_in(form, table, shown=shown, csv=found.to_csv, json=lambda: json_text(list(found.rows())))
