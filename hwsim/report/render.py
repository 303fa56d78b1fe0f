"""Tables and reports written out: for a terminal, in Markdown, LaTeX and HTML. Every name is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from hwsim.report.facts import Fact, facts, quote
from hwsim.report.record import Report
from hwsim.report.table import WIDTH, Layout, Table, laid_out, wrapped
from hwsim.report.tables import layer_table, memory_table
from hwsim.report.words import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text


def rich_report(
    report: Report, *, wide: bool = False, every: bool = False, width: int | None = WIDTH
) -> RenderableType:
    """Return the report for a terminal: layers, memories, facts, and the line to quote.

    Args:
        report: What to show.
        wide: Show every column, however long the lines.
        every: Show every layer of a long net.
        width: Characters in a line.
    """
    from rich.console import Group

    limit = None if wide else width
    return Group(
        rich_table(layer_table(report, wide=wide, every=every), limit),
        "",
        rich_table(memory_table(report), limit),
        "",
        *(_line(line, "dim") for line in fact_lines(facts(report), width or WIDTH)),
        "",
        *(_line(line, "bold") for line in wrapped(quote(report, limit), limit or WIDTH * 100)),
    )


def rich_table(table: Table, width: int | None = WIDTH) -> RenderableType:
    """Return a table for a terminal, its header and its total in bold."""
    from rich.console import Group

    layout = laid_out(table, width)
    return Group(*_styled(layout))


def _styled(layout: Layout) -> Iterator[Text]:
    yield _line(layout.header, "bold")
    yield from (_line(row) for row in layout.rows)
    yield from (_line(row, "bold") for row in layout.total)


def _line(text: str, style: str = "") -> Text:
    """Return a line that rich neither wraps nor cuts: it was laid out to the width."""
    from rich.text import Text

    return Text(text, style=style, overflow="ignore", no_wrap=True)


def fact_lines(told: Sequence[Fact], width: int = WIDTH) -> list[str]:
    """Return facts as lines: a label, said once where it repeats, and the text with a hanging indent."""
    indent = max((len(fact.label) for fact in told), default=0) + 2
    lines: list[str] = []
    before = ""
    for fact in told:
        label = "" if fact.label == before else fact.label
        first, *more = wrapped(printable(fact.text), width - indent) or [""]
        lines.append(f"{label:<{indent}}{first}")
        # Lines that go on are set in a little further, so that each fact can be told from the next.
        lines += [" " * (indent + 2) + line for line in wrapped(" ".join(more), width - indent - 2)]
        before = fact.label
    return lines


def markdown_report(report: Report, *, wide: bool = False, every: bool = False) -> str:
    """Return the layer and memory tables and the facts as Markdown."""
    parts = [
        markdown_table(layer_table(report, wide=wide, every=every)),
        markdown_table(memory_table(report)),
        "".join(f"- **{fact.label}**: {_markdown(fact.text)}\n" for fact in facts(report)),
        f"**{_markdown(quote(report))}**\n",
    ]
    return "\n".join(parts)


def markdown_table(table: Table) -> str:
    """Return a table in GitHub's Markdown."""
    head, *rows = ([_markdown(cell) for cell in row] for row in (table.headers, *table.rows))
    if table.total:
        rows.append([f"**{_markdown(cell)}**" if cell else "" for cell in table.total])
    rule = ["--:" if right else "---" for right in table.numeric]
    return "".join("| " + " | ".join(row) + " |\n" for row in (head, rule, *rows))


# Marks that Markdown would act on; an underscore inside a word and a bracket that begins no link are left as they are.
_MARKS = re.compile(r"[\\`*|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[])")


def _markdown(text: str) -> str:
    return _indented(_MARKS.sub(r"\\\g<0>", escape(printable(text), quote=False)))


def _indented(text: str) -> str:
    """Return a marked-up cell whose leading blanks are seen."""
    words = text.lstrip(" ")
    return "&emsp;" * ((len(text) - len(words)) // 2) + words


def latex_report(report: Report, *, wide: bool = False, every: bool = False) -> str:
    """Return the layer table as a LaTeX ``tabular`` (package booktabs), the line to quote as a comment."""
    return f"% {printable(quote(report))}\n{latex_table(layer_table(report, wide=wide, every=every))}"


def latex_table(table: Table) -> str:
    """Return a table as a LaTeX ``tabular`` with the rules of booktabs."""
    spec = "".join("r" if right else "l" for right in table.numeric)
    head, *body = (" & ".join(map(_latex, row)) + r" \\" for row in (table.headers, *table.rows))
    lines = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule", *body]
    if table.total:
        lines += [r"\midrule", " & ".join(map(_latex, table.total)) + r" \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


_LATEX = str.maketrans(
    {
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "[": "{[}",
        "]": "{]}",
        "×": r"$\times$",
        "÷": r"$\div$",
        "µ": r"\textmu{}",
        "±": r"$\pm$",
        "−": r"$-$",
        "–": "--",
        "…": r"\dots{}",
    }
)


def _latex(text: str) -> str:
    return printable(text).translate(_LATEX)


def html_report(report: Report) -> str:
    """Return the tables and facts as HTML."""
    told = "".join(f"<dt>{escape(fact.label)}</dt><dd>{escape(printable(fact.text))}</dd>" for fact in facts(report))
    return "\n".join(
        [
            f"<p><b>{escape(printable(quote(report)))}</b></p>",
            html_table(layer_table(report)),
            html_table(memory_table(report)),
            f"<dl>{told}</dl>",
        ]
    )


def html_table(table: Table) -> str:
    """Return a table as HTML, numbers to the right."""
    head = _html_row(table.headers, table.numeric, "th")
    body = "".join(_html_row(row, table.numeric, "td") for row in table.rows)
    foot = f"<tfoot>{_html_row(table.total, table.numeric, 'th')}</tfoot>" if table.total else ""
    return f"<table><thead>{head}</thead><tbody>{body}</tbody>{foot}</table>"


def _html_row(cells: Sequence[str], numeric: Sequence[bool], tag: str) -> str:
    styles = [f' style="text-align:{"right" if right else "left"}"' for right in numeric]
    written = (
        f"<{tag}{style}>{_indented(escape(printable(cell)))}</{tag}>" for cell, style in zip(cells, styles, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"
