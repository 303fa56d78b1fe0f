"""``sensitivity``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import app
from hwsim.cli.arguments import (
    AllowUnknown,
    Batch,
    Dims,
    Dtype,
    Form,
    Format,
    Objective,
    Override,
    Parameters,
    Place,
    Runtime,
    chip_of,
    complete_chip,
    complete_field,
    complete_net,
    dtype_of,
    format_of,
    net_of,
    pairs,
)
from hwsim.cli.plotting_sweeps import Where, listed
from hwsim.cli.printing import print_in
from hwsim.cli.terminal import progress, show_facts, show_table
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.explore.sensing import Sensitivity


@app.command()
def sensitivity(
    net: Annotated[
        str,
        typer.Argument(
            metavar="NET|SWEEP", help="A net, as for evaluate; or a sweep, alone.", autocompletion=complete_net
        ),
    ],
    chip: Annotated[
        str | None, typer.Argument(metavar="[CHIP]", help="The chip, as for evaluate.", autocompletion=complete_chip)
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="PATH[=a:b]",
            help="This field only (again for more); a range for --sobol. Default: every number of the profile.",
            autocompletion=complete_field,
        ),
    ] = None,
    of: Annotated[
        str, typer.Option("--of", metavar="A,B", help="Of which results: latency_ms, energy_mj, dram_mib.")
    ] = "latency_s,energy_j",
    step: Annotated[float, typer.Option("--step", metavar="SHARE", help="Change fields by this share.")] = 0.1,
    sobol: Annotated[
        int | None, typer.Option("--sobol", metavar="N", help="Sobol indices from N (a power of two) base samples.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the samples.")] = 0,
    where: Where = None,
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
    every: Annotated[bool, typer.Option("--all-rows", help="Show fields without effect as well.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it as a tornado (.png .svg .pdf).")
    ] = None,
) -> None:
    """Show how much latency and energy depend on each field of a chip, or on each axis of a sweep."""
    from hwsim.explore import SweepTable
    from hwsim.explore.sensing import grid_sensitivity
    from hwsim.explore.sensing import sensitivity as around

    printed = format_of(form)
    objectives = listed(of)
    if not objectives:
        raise UsageError(f"--of {of}: name a result, such as latency_ms")
    if plot is not None:
        from hwsim.plot import check_picture

        check_picture(plot)
    with progress() as stage:
        if chip is None:
            if vary or sobol is not None:
                raise UsageError("--vary and --sobol are of a net on a chip: hwsim sensitivity NET CHIP")
            if not Path(net).exists():
                raise UsageError(f"{net}: is no sweep; of a net, name the chip as well: hwsim sensitivity {net} CHIP")
            stage(f"reading {net}")
            table = SweepTable.read(net)
            chosen = table if where is None else table.where(where)
            if where is not None and not len(chosen):
                raise UsageError(f"--where {where!r}: holds at no row of the sweep")
            found = grid_sensitivity(chosen, objectives)
        else:
            if where is not None:
                raise UsageError("--where is of a sweep: hwsim sensitivity SWEEP")
            stage(f"reading {net}")
            graph, target = net_of(net, with_, dim, allow_unknown), chip_of(chip, runtime, override)
            ranges = {word.partition("=")[0]: word.partition("=")[2] or None for word in vary or ()}
            if sobol is None and any(ranges.values()):
                raise UsageError(
                    "--vary PATH=a:b: a range is of --sobol; elasticities are taken around what the chip has"
                )
            stage(f"varying {target.name}")
            found = around(
                graph,
                target,
                ranges,
                objectives=objectives,
                step=step,
                sobol=sobol,
                seed=seed,
                objective=objective,
                batch=batch,
                dtype=dtype_of(dtype),
                place=dict(pairs(place, "--place")),
            )
        if plot is not None:
            from hwsim.plot import plot_sensitivity, save

            stage(f"drawing {plot}")
            save(plot_sensitivity(found), plot)
    _print(found, printed, every)


def _print(found: Sensitivity, form: Format, every: bool) -> None:
    from hwsim.explore.sensing_text import explained, record, rows, sensitivity_quote, sensitivity_table
    from hwsim.report.export import json_text, rows_csv

    table = sensitivity_table(found, every=every)

    def shown() -> None:
        show_table(table)
        print()
        show_facts(explained(found))
        print()
        print(sensitivity_quote(found))

    print_in(form, table, shown=shown, csv=lambda: rows_csv(rows(found)), json=lambda: json_text(record(found)))
