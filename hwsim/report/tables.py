"""Tables of a report: for the terminal, Markdown, LaTeX and HTML, all from the same columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, nan
from typing import TYPE_CHECKING

from hwsim.graph import Graph
from hwsim.report.comparison import Comparison, quantity
from hwsim.report.record import MAC_CONVENTION, LayerReport, Report
from hwsim.report.words import MISSING, human_bytes, percent, rounded, scaled
from hwsim.units import BYTES_PER_KIB, J_PER_MJ, S_PER_MS

if TYPE_CHECKING:
    from rich.console import RenderableType

# Beyond this many layers a table shows the costliest and sums up the rest.
MAX_ROWS = 60
SHOWN_OF_MANY = 40
WIDTH = 100
SHORTEST_NAME = 12


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its header with the unit, whether it holds numbers, whether only ``wide`` tables show it, its cell."""

    header: str
    numeric: bool
    wide: bool
    cell: Callable[[LayerReport, Report], str]


def _share(layer: LayerReport, report: Report) -> str:
    return rounded(100 * layer.latency_s / report.latency_s) if report.latency_s else MISSING


def _traffic_of(memory: str) -> Callable[[LayerReport, Report], str]:
    return lambda layer, _: rounded(layer.traffic_bytes[memory] / BYTES_PER_KIB)


# What a forward pass measured, where the report has it: zero shares of filter and ifmap.
MEASURED = {"0 in w [%]": "weight_zero_fraction", "0 in if [%]": "ifmap_zero_fraction"}


def _measured_of(name: str) -> Callable[[LayerReport, Report], str]:
    return lambda layer, _: rounded(100 * layer.measured.get(name, nan))


LAYER_COLUMNS = (
    Column("layer", False, False, lambda layer, _: layer.name),
    Column("kind", False, False, lambda layer, _: layer.kind),
    Column("engine", False, True, lambda layer, _: layer.engine or MISSING),
    Column("ofmap", False, False, lambda layer, _: "×".join(map(str, layer.ofmap_shape[1:] or layer.ofmap_shape))),
    Column("MAC [M]", True, False, lambda layer, _: rounded(layer.macs / 1e6) if layer.macs else MISSING),
    Column("op [M]", True, True, lambda layer, _: rounded(layer.ops / 1e6) if layer.ops else MISSING),
    Column("cycle [k]", True, True, lambda layer, _: rounded(layer.cycles / 1e3)),
    Column("t [ms]", True, False, lambda layer, _: rounded(layer.latency_s / S_PER_MS)),
    Column("[%]", True, False, _share),
    Column("bound", False, False, lambda layer, _: layer.bound),
    Column("util [%]", True, False, lambda layer, _: rounded(100 * layer.utilization)),
    Column("E [mJ]", True, False, lambda layer, _: rounded(layer.energy_j / J_PER_MJ)),
)


def layer_columns(report: Report, *, wide: bool) -> list[Column]:
    """Return the columns of the layer table, with the busiest memory's traffic (every memory's when wide)."""
    busiest = sorted(report.traffic_bytes, key=lambda name: -report.traffic_bytes[name])
    shown = [name for name in report.traffic_bytes if wide or name in busiest[:1]]
    traffic = [Column(f"{name} [KiB]", True, False, _traffic_of(name)) for name in shown]
    measured = [
        Column(header, True, False, _measured_of(name))
        for header, name in MEASURED.items()
        if any(name in layer.measured for layer in report.layers)
    ]
    return [column for column in LAYER_COLUMNS if wide or not column.wide] + traffic + measured


def table_cells(report: Report, *, wide: bool = False, every: bool = False) -> tuple[list[Column], list[list[str]]]:
    """Return columns and rows of text; of a long net the costliest layers in order, and a row for the rest.

    Args:
        report: What to show.
        wide: Show every column.
        every: Show every layer.
    """
    columns = layer_columns(report, wide=wide)
    layers = report.layers
    if every or len(layers) <= MAX_ROWS:
        return columns, [[column.cell(layer, report) for column in columns] for layer in layers]
    cost = {id(layer): layer.latency_s if isfinite(layer.latency_s) else float("inf") for layer in layers}
    kept = {id(layer) for layer in sorted(layers, key=lambda layer: -cost[id(layer)])[:SHOWN_OF_MANY]}
    rows = [[column.cell(layer, report) for column in columns] for layer in layers if id(layer) in kept]
    rest = [layer for layer in layers if id(layer) not in kept]
    time = sum(layer.latency_s for layer in rest)
    summary = dict.fromkeys((column.header for column in columns), "")
    summary["layer"] = f"… {len(rest)} more layers"
    summary["MAC [M]"] = rounded(sum(layer.macs for layer in rest) / 1e6)
    summary["t [ms]"] = rounded(time / S_PER_MS)
    summary["[%]"] = rounded(100 * time / report.latency_s) if report.latency_s else MISSING
    return columns, [*rows, list(summary.values())]


def memory_cells(report: Report) -> tuple[list[str], list[list[str]]]:
    """Return headers and rows of the table that says what fits."""
    rows = []
    for memory in report.memories:
        if not memory.items:
            continue
        what = ", ".join(f"{name} {human_bytes(count)}" for name, count in memory.items.items())
        full = percent(memory.need_bytes / memory.capacity_bytes)
        verdict = "fits" if memory.fits else "DOES NOT FIT"
        margin = human_bytes(memory.margin_bytes)
        rows.append(
            [
                memory.name,
                human_bytes(memory.need_bytes),
                human_bytes(memory.capacity_bytes),
                margin,
                full,
                verdict,
                what,
            ]
        )
    return ["memory", "need", "capacity", "margin", "full", "verdict", "holds"], rows


def quote(report: Report) -> str:
    """Return the one line a person would quote."""
    runtime = f" ({report.runtime})" if report.runtime else ""
    where = f"{report.net} on {report.chip}{runtime}"
    if not report.runs:
        return f"{where}: does not run: {report.reason}"
    error = "not validated" if report.error_p90 is None else f"± {percent(report.error_p90)}"
    fullest = max(report.memories, key=lambda memory: memory.need_bytes / memory.capacity_bytes)
    full = percent(fullest.need_bytes / fullest.capacity_bytes)
    return (
        f"{where}: {scaled(report.latency_s, 's')}, {scaled(report.energy_j, 'J')}, "
        f"fits ({fullest.name} {full} full); {error}"
    )


def energy_line(report: Report) -> str:
    """Return where the energy goes, largest share first."""
    parts = sorted(report.energy_parts_j.items(), key=lambda part: -part[1])
    total = sum(report.energy_parts_j.values())
    if not total or not report.runs:
        return ""
    shares = ", ".join(f"{name} {percent(value / total)}" for name, value in parts)
    return f"energy {scaled(report.energy_j, 'J')}: {shares}"


def footer(report: Report) -> list[str]:
    """Return the lines below a table: totals, coverage, conventions, what was assumed, warnings."""
    traffic = ", ".join(f"{name} {human_bytes(count)}" for name, count in report.traffic_bytes.items())
    lines = [
        f"total: {scaled(report.macs, 'MAC')}, {scaled(report.ops, 'op')}, {scaled(report.cycles, 'cycle')} at "
        f"{scaled(report.clock_hz, 'Hz')}, utilization {percent(report.utilization)}; batch {report.batch}, "
        f"dtype {report.dtype}, mappings for {report.objective}",
        f"traffic: {traffic} (compulsory {human_bytes(report.compulsory_bytes)})",
        energy_line(report),
        f"coverage: {report.coverage}; {MAC_CONVENTION}",
        f"error: {report.error_source}",
    ]
    if report.assumptions:
        lines.append("assumed: " + "; ".join(_once(report.assumptions)))
    if report.outside:
        lines.append("not in these numbers: " + "; ".join(_once(report.outside)))
    lines += [f"warning: {warning}" for warning in _once(report.warnings)]
    if report.unknown_layers:
        names = ", ".join(report.unknown_layers[:5]) + (" …" if len(report.unknown_layers) > 5 else "")
        lines.append(f"warning: {len(report.unknown_layers)} unknown layers cost nothing here: {names}")
    return [line for line in lines if line]


def _once(lines: Sequence[str]) -> list[str]:
    """Return each line once, with how often it was said."""
    return [line if times == 1 else f"{line} ({times} times)" for line, times in Counter(lines).items()]


def rich_report(report: Report, *, wide: bool = False, every: bool = False) -> RenderableType:
    """Return the report for a terminal: layers, memories, footer, and the line to quote."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns, rows = table_cells(report, wide=wide, every=every)
    layers = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        layers.add_column(column.header, justify="right" if column.numeric else "left", no_wrap=True)
    for row in _fitted([column.header for column in columns], rows, None if wide else WIDTH):
        layers.add_row(*map(Text, row))
    headers, cells = memory_cells(report)
    memories = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        memories.add_column(header, justify="left" if header in ("memory", "verdict", "holds") else "right")
    for row in cells:
        memories.add_row(*map(Text, row))
    lines = [Text(line, style="dim") for line in footer(report)]
    return Group(layers, Text(), memories, Text(), *lines, Text(quote(report), style="bold"))


def _fitted(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[list[str]]:
    """Return rows whose first column is shortened so that a line keeps to ``width`` characters."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    room = max((width or sum(widths) + len(widths)) - sum(widths[1:]) - len(widths), SHORTEST_NAME)
    return [[_shortened(row[0], room), *row[1:]] for row in rows]


def _shortened(name: str, room: int) -> str:
    """Return a name with its middle left out where it is too long; its end tells layers apart."""
    if len(name) <= room:
        return name
    tail = (room - 1) * 2 // 3
    return f"{name[: room - 1 - tail]}…{name[len(name) - tail :]}"


def markdown_report(report: Report, *, wide: bool = False, every: bool = False) -> str:
    """Return the layer and memory tables and the footer as Markdown."""
    columns, rows = table_cells(report, wide=wide, every=every)
    headers, cells = memory_cells(report)
    return "\n".join(
        [
            _markdown([column.header for column in columns], [column.numeric for column in columns], rows),
            "",
            _markdown(headers, [False] * len(headers), cells),
            "",
            *(f"- {_markdown_text(line)}" for line in footer(report)),
            "",
            f"**{_markdown_text(quote(report))}**",
            "",
        ]
    )


def latex_report(report: Report, *, wide: bool = False, every: bool = False) -> str:
    """Return the layer table as a LaTeX ``tabular`` (package booktabs), the line to quote as a comment."""
    columns, rows = table_cells(report, wide=wide, every=every)
    spec = "".join("r" if column.numeric else "l" for column in columns)
    head = " & ".join(_latex_text(column.header) for column in columns)
    body = [" & ".join(map(_latex_text, row)) + r" \\" for row in rows]
    lines = [f"% {quote(report)}", rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head + r" \\", r"\midrule"]
    return "\n".join([*lines, *body, r"\bottomrule", r"\end{tabular}", ""])


def html_report(report: Report) -> str:
    """Return the tables as HTML, every name escaped."""
    columns, rows = table_cells(report)
    headers, cells = memory_cells(report)
    parts = [f"<p><b>{escape(quote(report))}</b></p>", _html([column.header for column in columns], rows)]
    parts.append(_html(headers, cells))
    parts += [f"<p><small>{escape(line)}</small></p>" for line in footer(report)]
    return "\n".join(parts)


def _markdown(headers: Sequence[str], numeric: Sequence[bool], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        "| " + " | ".join(map(_markdown_text, headers)) + " |",
        "|" + "|".join("--:" if right else "---" for right in numeric) + "|",
        *("| " + " | ".join(map(_markdown_text, row)) + " |" for row in rows),
    ]
    return "\n".join(lines)


def _markdown_text(text: str) -> str:
    return escape(text, quote=False).replace("|", "\\|").replace("\n", " ")


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
        "×": r"$\times$",
        "–": "--",
        "…": r"\dots{}",
    }
)


def _latex_text(text: str) -> str:
    return text.translate(_LATEX).replace("\n", " ")


def _html(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def comparison_cells(comparison: Comparison) -> tuple[list[str], list[list[str]], list[str]]:
    """Return headers, rows and numeric headers of the totals of several reports, with the change against the first."""
    base = comparison.reports[0]
    headers = [
        "net",
        "chip",
        "MAC [M]",
        "weights [KiB]",
        "peak [KiB]",
        "traffic [KiB]",
        "t [ms]",
        "E [mJ]",
        "time ×",
    ]
    rows = []
    for report in comparison.reports:
        values = [
            quantity(report, name) for name in ("weights_kib", "peak_kib", "traffic_kib", "latency_ms", "energy_mj")
        ]
        ratio = report.latency_s / base.latency_s if base.latency_s else float("nan")
        verdict = f"{rounded(ratio)}×" if report.runs else "does not run"
        rows.append([report.net, report.chip, rounded(report.macs / 1e6), *map(rounded, values), verdict])
    return headers, rows, headers[2:]


def delta_cells(comparison: Comparison, most: int) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the ``most`` largest layer deltas of each report after the first."""
    headers = ["layer", "of", "base [ms]", "here [ms]", "change [ms]"]
    rows = []
    for index, report in enumerate(comparison.reports[1:], start=1):
        for delta in comparison.deltas(index)[:most]:
            before, after = (
                MISSING if value is None else rounded(value / S_PER_MS) for value in (delta.before_s, delta.after_s)
            )
            change = ("+" if delta.change_s > 0 else "") + rounded(delta.change_s / S_PER_MS)
            rows.append([delta.name, f"{report.net} on {report.chip}", before, after, change])
    return headers, rows, headers[2:]


def graph_cells(graph: Graph) -> tuple[list[str], list[list[str]], list[str]]:
    """Return headers and rows of a net's layers: shapes, parameters, MACs, other operations, and their sums."""
    headers = ["layer", "type", "ofmap", "params", "MACs", "ops"]
    rows = []
    for layer in graph.layers:
        constants = {name for name in layer.inputs if graph.tensors[name].constant}
        params = sum(graph.tensors[name].elements for name in constants)
        shape = "×".join(map(str, graph.tensors[layer.outputs[0]].shape))
        rows.append(
            [
                layer.name,
                layer.op.kind,
                shape,
                f"{params:,}",
                f"{graph.layer_macs(layer):,}",
                f"{graph.layer_ops(layer):,}",
            ]
        )
    rows.append(["total", "", "", f"{graph.params:,}", f"{graph.macs:,}", f"{graph.ops:,}"])
    return headers, rows, headers[3:]
