"""The program and its exit codes; the commands register with it where they are defined."""

from __future__ import annotations

from typing import Annotated

import typer

from hwsim import __version__

DONE, DOES_NOT_FIT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What a small neural net costs on an embedded processor: latency, energy, memory traffic, fit.",
    epilog="Exit codes: 0 done, 1 does not fit or a rule is broken, 2 bad input, 130 interrupted.",
)
plot_app = typer.Typer(no_args_is_help=True, help="Draw a picture of a net on a chip, of reports or of a sweep.")
app.add_typer(plot_app, name="plot")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hwsim {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # typer acts on it through the callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass
