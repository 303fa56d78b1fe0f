"""``calibrate``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import app
from hwsim.cli.arguments import Dtype, Form, Format, Override, Runtime, chip_of, complete_chip, dtype_of, format_of
from hwsim.cli.printing import print_in
from hwsim.cli.terminal import progress, show_facts, show_table
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.silicon.calibrate import Calibration


@app.command()
def calibrate(
    measurements: Annotated[
        Path,
        typer.Argument(metavar="FILE.csv", help="Measurements: columns net and latency_ms, or net, layer and cycles."),
    ],
    chip: Annotated[
        str,
        typer.Option(
            "--chip",
            metavar="CHIP",
            help="The profile (.yaml) or chip they were made on.",
            autocompletion=complete_chip,
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="TABLE.yaml", help="Write the kernel table to this file.")
    ],
    runtime: Runtime = None,
    dtype: Dtype = None,
    override: Override = None,
    coefficients: Annotated[
        int | None,
        typer.Option("--coefficients", metavar="N", help="Fit so many factors; default: what rows left out say."),
    ] = None,
    form: Form = "table",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write factors and errors as JSON.")
    ] = None,
) -> None:
    """Fit the kernel table of your own chip to your own measurements, and tell its error on nets left out."""
    from hwsim.files import check_writable, write_whole
    from hwsim.report.export import json_text
    from hwsim.silicon.calibrate import calibrate as fit
    from hwsim.silicon.calibration_text import record, table_yaml

    printed, as_dtype = format_of(form), dtype_of(dtype)
    if out.suffix not in (".yaml", ".yml") or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", out.stem):
        raise UsageError(f"-o {out}: name the kernel table as TABLE.yaml, of letters, digits, _, - and .")
    check_writable(out, json)
    with progress() as stage:
        found = fit(
            measurements,
            chip_of(chip, runtime, override),
            name=out.stem,
            dtype=as_dtype,
            coefficients=coefficients,
            progress=stage,
        )
    write_whole(out, table_yaml(found.table))
    if json is not None:
        write_whole(json, json_text(record(found)))
    _print(found, printed, out)


def _print(found: Calibration, form: Format, out: Path) -> None:
    from hwsim.report.export import json_text, rows_csv
    from hwsim.silicon.calibration_text import factors_table, quote, record, rows_record, rows_table, told

    table = rows_table(found)

    def shown() -> None:
        show_table(table)
        print()
        show_table(factors_table(found))
        print()
        show_facts(told(found, out.name))
        print()
        print(quote(found))

    print_in(form, table, shown=shown, csv=lambda: rows_csv(rows_record(found)), json=lambda: json_text(record(found)))
