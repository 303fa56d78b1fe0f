"""``search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import DOES_NOT_FIT, app
from hwsim.cli.arguments import (
    AllowUnknown,
    Batch,
    ChipArg,
    Dims,
    Dtype,
    Form,
    Format,
    NetArg,
    Objective,
    Override,
    Parameters,
    Place,
    Runtime,
    axes_of,
    chip_of,
    complete_field,
    dtype_of,
    format_of,
    net_of,
    pairs,
)
from hwsim.cli.choosing import EveryRow, show_choice
from hwsim.cli.plotting_sweeps import listed
from hwsim.cli.terminal import note, progress

if TYPE_CHECKING:
    from hwsim.explore.searching import Searched

# Of one objective, so many of the best designs are shown.
BEST = 5


@app.command()
def search(
    net: NetArg,
    chip: ChipArg,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="PATH=RANGE",
            help="What may differ: sram.size_kib=32:1024:x2, npu.rows=8:64:8, dram.gb_per_s=1:16.",
            autocompletion=complete_field,
        ),
    ] = None,
    design: Annotated[
        Path | None, typer.Option("--design", metavar="FILE", help="Axes, derived fields and constraints, in YAML.")
    ] = None,
    least: Annotated[
        str | None, typer.Option("--min", metavar="A,B", help="What to have little of; default: latency_ms.")
    ] = None,
    most: Annotated[str | None, typer.Option("--max", metavar="A,B", help="What to have much of.")] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="What designs have to satisfy: 'area_mm2 <= 2'.")
    ] = None,
    trials: Annotated[int, typer.Option("--trials", metavar="N", help="Designs to try.")] = 500,
    generation: Annotated[
        int | None, typer.Option("--generation", metavar="N", help="Designs that are tried and learnt from together.")
    ] = None,
    sampler: Annotated[
        str, typer.Option("--sampler", metavar="WORD", help="tpe, nsga2, random; auto goes by the objectives.")
    ] = "auto",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Where the search starts from.")] = 0,
    study: Annotated[
        Path | None,
        typer.Option("--study", metavar="FILE", help="Keep the study, for optuna-dashboard: a .db or a .log."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR|FILE", help="Write the designs: a folder, a .parquet, a .csv.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study, to --trials in all.")] = False,
    with_: Parameters = None,
    dim: Dims = None,
    allow_unknown: AllowUnknown = False,
    batch: Batch = 1,
    dtype: Dtype = None,
    objective: Objective = "latency",
    runtime: Runtime = None,
    place: Place = None,
    override: Override = None,
    form: Form = "table",
    every: EveryRow = False,
) -> None:
    """Search designs where a grid is too large, for one objective or several, under conditions."""
    from hwsim.explore import prepare
    from hwsim.explore.choosing import Goals
    from hwsim.explore.files import check_out
    from hwsim.explore.searching import Search, drawing

    printed = format_of(form)
    check_out(out)
    goals = Goals.of(listed(least) or ([] if most else ["latency_ms"]), listed(most))
    axes = axes_of(vary)
    with progress() as stage:
        stage(f"reading {net}")
        ready = prepare(
            net_of(net, with_, dim, allow_unknown),
            chip_of(chip, runtime, override),
            axes,
            design=design,
            sample=drawing(trials, seed),
            objective=objective,
            batch=batch,
            dtype=dtype_of(dtype),
            place=dict(pairs(place, "--place")),
        )
        hunt = Search(ready, goals, where, trials, generation, sampler, seed)
        found = hunt.run(
            study=study, out=out, resume=resume, progress=lambda done, of: stage(f"{done:,} of {of:,} trials")
        )
    _print(found, printed, every)


def _print(found: Searched, form: Format, every: bool) -> None:
    from hwsim.explore.choice_text import search_quote
    from hwsim.explore.choosing import NothingFoundError, best_of, front_of, why_no_best

    table, goals = found.distinct, found.goals
    try:
        if len(goals.names) > 1:
            chosen = front_of([table], goals, found.condition).table
        else:
            best = best_of([table], goals, found.condition, BEST)
            if best is None:
                raise NothingFoundError(why_no_best(table, goals, found.condition))
            chosen = best
    except NothingFoundError as error:
        note(str(error))
        raise typer.Exit(DOES_NOT_FIT) from None
    show_choice(chosen, goals, found.condition.text if found.condition else None, form, every)
    if form is Format.TABLE:
        print(search_quote(found, chosen))
