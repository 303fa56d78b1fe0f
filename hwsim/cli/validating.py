"""``validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import app
from hwsim.cli.arguments import Form, Format, format_of
from hwsim.cli.printing import print_in
from hwsim.cli.terminal import progress, show_facts, show_table
from hwsim.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from hwsim.silicon.energy import EnergyRow
    from hwsim.silicon.validation import Checked, Validated


@app.command()
def validate(
    chips: Annotated[str, typer.Option("--chips", metavar="A,B", help="Show these chips only, or all.")] = "all",
    runtime: Annotated[str | None, typer.Option("--runtime", metavar="NAME", help="Show this release only.")] = None,
    form: Form = "table",
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write rows and errors as JSON.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw predicted against measured: a .png, .svg or .pdf to write."),
    ] = None,
    residuals: Annotated[
        Path | None, typer.Option("--residuals", metavar="FILE", help="Draw what is left between them, net by net.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="Write the tables of a Markdown page anew, between its marks."),
    ] = None,
) -> None:
    """Compare predictions with published measurements, fitted to and left out of the fit."""
    from hwsim.files import check_writable, write_whole
    from hwsim.silicon.energy import energy_rows
    from hwsim.silicon.export import checked_json
    from hwsim.silicon.npu_fit import check_npus
    from hwsim.silicon.page import filled, read_page
    from hwsim.silicon.samples import samples
    from hwsim.silicon.validation import check, measured_rows

    printed = format_of(form)
    check_writable(json, page)
    text = read_page(page) if page is not None else ""
    if plot is not None or residuals is not None:
        from hwsim.plot import check_picture

        for picture in (plot, residuals):
            if picture is not None:
                check_picture(picture)
    with progress() as stage:
        stage("costing the measured nets")
        found = check(samples(measured_rows()), progress=stage).joined(check_npus(progress=stage).rows)
        chosen = _chosen(found, chips, runtime)
        energies = energy_rows(progress=stage)
        if page is not None:
            write_whole(page, filled(text, found))
        if json is not None:
            write_whole(json, checked_json(chosen, energies))
        stage("drawing")
        _draw(chosen, plot, residuals)
    _print(chosen, energies, printed, whole=len(chosen) == len(found.rows))


def _chosen(found: Checked, chips: str, runtime: str | None) -> list[Validated]:
    """Return the rows of the chips and the release asked for."""
    measured = sorted({row.measurement.chip for row in found.rows})
    wanted = measured if chips == "all" else [name.strip() for name in chips.split(",") if name.strip()]
    if not wanted:
        raise UsageError(f"--chips {chips}: name chips, separated by commas, or all")
    for name in wanted:
        if name not in measured:
            hint = did_you_mean(name, measured)
            raise UsageError(f"--chips {name}: no measurement of it is known{hint}; known: {', '.join(measured)}")
    rows = [row for row in found.rows if row.measurement.chip in wanted]
    releases = sorted({row.measurement.runtime for row in rows})
    if runtime is not None and runtime not in releases:
        hint = did_you_mean(runtime, releases)
        raise UsageError(f"--runtime {runtime}: no measurement with it is known{hint}; known: {', '.join(releases)}")
    return [row for row in rows if runtime in (None, row.measurement.runtime)]


def _draw(rows: list[Validated], plot: Path | None, residuals: Path | None) -> None:
    if plot is None and residuals is None:
        return
    from hwsim.plot import plot_residuals, plot_validation, save

    if plot is not None:
        save(plot_validation(rows), plot)
    if residuals is not None:
        save(plot_residuals(rows), residuals)


def _print(rows: list[Validated], energies: list[EnergyRow], form: Format, *, whole: bool) -> None:
    from hwsim.report.export import rows_csv
    from hwsim.silicon.energy import energy_errors
    from hwsim.silicon.export import checked_json
    from hwsim.silicon.groups import aimed_sets, by_chip_and_release
    from hwsim.silicon.tables import energy_table, groups_table, sets_table

    table = groups_table(by_chip_and_release(rows))

    def shown() -> None:
        show_table(table)
        print()
        if whole:
            show_table(sets_table(aimed_sets(rows)))
            print()
            show_table(energy_table(energy_errors(energies)))
            print()
        show_facts(
            [
                ("fitted", "the shipped kernel tables, which were fitted to these rows"),
                ("left out", "a fit that has not seen the net's family (or the chip, or the release on that core)"),
                ("energy", "as shipped; run power of the other rounds by itself, and times the shipped latency"),
                ("error", "predicted over measured latency, less one; MAPE its mean size, p90 its 90th percentile"),
            ]
        )

    print_in(
        form,
        table,
        shown=shown,
        csv=lambda: rows_csv([row.record() for row in rows]),
        json=lambda: checked_json(rows, energies),
    )
