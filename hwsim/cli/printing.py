"""What a command prints in each form of ``--format``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hwsim.cli.arguments import Format

if TYPE_CHECKING:
    from hwsim.report.table import Table


def print_in(
    form: Format,
    table: Table,
    *,
    shown: Callable[[], None],
    csv: Callable[[], str],
    json: Callable[[], str],
) -> None:
    """Print a result.

    Args:
        form: As what.
        table: As Markdown and LaTeX.
        shown: Shows it to a person: the table and what stands around it.
        csv: Its flat records as CSV text.
        json: All of it as JSON text.
    """
    from hwsim.report.render import latex_table, markdown_table

    match form:
        case Format.TABLE:
            shown()
        case Format.MARKDOWN:
            print(markdown_table(table), end="")
        case Format.LATEX:
            print(latex_table(table), end="")
        case Format.CSV:
            print(csv(), end="")
        case Format.JSON:
            print(json(), end="")
