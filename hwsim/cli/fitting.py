"""``fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import DOES_NOT_FIT, app
from hwsim.cli.arguments import (
    AllowUnknown,
    Batch,
    Dims,
    Dtype,
    Form,
    Format,
    Parameters,
    Place,
    Runtime,
    chip_of,
    complete_chips,
    complete_net,
    dtype_of,
    format_of,
    net_of,
    pairs,
    smaller_of,
)
from hwsim.cli.printing import print_in
from hwsim.cli.terminal import progress, show_facts, show_table
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.report import Fit


@app.command()
def fit(
    nets: Annotated[
        list[str],
        typer.Argument(metavar="NET…", help="Model files or names from `hwsim nets`.", autocompletion=complete_net),
    ],
    chips: Annotated[
        str, typer.Option("--chips", metavar="A,B", help="Chips to try, or all.", autocompletion=complete_chips)
    ] = "all",
    with_: Parameters = None,
    dim: Dims = None,
    batch: Batch = 1,
    dtype: Dtype = None,
    runtime: Runtime = None,
    place: Place = None,
    allow_unknown: AllowUnknown = False,
    form: Form = "table",
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the verdicts as JSON.")] = None,
    require_fit: Annotated[
        bool, typer.Option("--require-fit", help="Leave with 1 unless every net fits every chip.")
    ] = False,
) -> None:
    """Tell which chips hold a net, and why others do not; no time is asked for."""
    from hwsim.files import check_writable, write_whole
    from hwsim.report import fit as fit_net
    from hwsim.report.fitting import fits_json

    printed, placed, as_dtype = format_of(form), dict(pairs(place, "--place")), dtype_of(dtype)
    check_writable(json)
    fits = []
    with progress() as stage:
        targets = [chip_of(name, runtime) for name in _named(chips)]
        for net in nets:
            stage(f"reading {net}")
            graph = net_of(net, with_, dim, allow_unknown)
            for target in targets:
                stage(f"fitting {graph.name} into {target.name}")
                smaller = smaller_of(net, with_)
                fits.append(fit_net(graph, target, batch=batch, dtype=as_dtype, place=placed, smaller=smaller))
    if json is not None:
        write_whole(json, fits_json(fits))
    _print(fits, printed)
    if require_fit and not all(one.fits for one in fits):
        raise typer.Exit(DOES_NOT_FIT)


def _named(chips: str) -> list[str]:
    """Return the chips that a list of them names."""
    from hwsim.chip import chip_names

    if chips == "all":
        return list(chip_names())
    names = [name.strip() for name in chips.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--chips {chips}: name chips, separated by commas, or all")
    return list(dict.fromkeys(names))


def _print(fits: list[Fit], form: Format) -> None:
    from hwsim.report.export import rows_csv
    from hwsim.report.fit_table import fit_facts, fit_quotes, fit_table
    from hwsim.report.fitting import fits_json

    table = fit_table(fits)

    def shown() -> None:
        show_table(table)
        print()
        facts = fit_facts(fits)
        if facts:
            show_facts(facts)
            print()
        print("\n".join(fit_quotes(fits)))

    print_in(
        form,
        table,
        shown=shown,
        csv=lambda: rows_csv([row for one in fits for row in one.rows()]),
        json=lambda: fits_json(fits),
    )
