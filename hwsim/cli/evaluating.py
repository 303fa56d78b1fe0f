"""``evaluate`` and ``compare``."""

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
    Every,
    Form,
    Format,
    NetArg,
    Objective,
    Override,
    Parameters,
    Place,
    Runtime,
    Wide,
    chip_of,
    complete_chips,
    complete_net,
    format_of,
    net_of,
    report_of,
    saved_report,
)
from hwsim.cli.printing import print_in
from hwsim.cli.terminal import console, note, progress, show, show_table
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.graph import Graph
    from hwsim.report import Comparison, Report


@app.command()
def evaluate(
    net: NetArg,
    chip: ChipArg,
    with_: Parameters = None,
    dim: Dims = None,
    batch: Batch = 1,
    dtype: Dtype = None,
    objective: Objective = "latency",
    runtime: Runtime = None,
    place: Place = None,
    set_: Override = None,
    allow_unknown: AllowUnknown = False,
    form: Form = "table",
    wide: Wide = False,
    all_layers: Every = False,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the layers as CSV.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the layers (.png .svg .pdf).")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Add zero shares and ranges from a forward pass on noise.")
    ] = False,
    period: Annotated[
        str | None, typer.Option("--period", metavar="TIME", help="Run it once in every 1s, 100ms or 5min.")
    ] = None,
    battery: Annotated[
        str | None, typer.Option("--battery", metavar="CELL", help="Tell how long 220mAh@3V or 2.4Wh last.")
    ] = None,
    require_fit: Annotated[bool, typer.Option("--require-fit", help="Leave with 1 if the net does not run.")] = False,
) -> None:
    """Tell what a net costs on a chip, layer by layer."""
    from hwsim.files import check_writable
    from hwsim.report.duty import battery_of, seconds

    printed = format_of(form)
    period_s = None if period is None else seconds(period, "--period")
    if battery is not None:
        battery_of(battery)
    check_writable(json, csv, plot)
    if plot is not None:
        from hwsim.plot import check_picture

        check_picture(plot)
    with progress() as stage:
        stage(f"reading {net}")
        graph, target = net_of(net, with_, dim, allow_unknown), chip_of(chip, runtime, set_)
        stage(f"costing {len(graph.layers)} layers on {target.name}")
        report = report_of(graph, target, batch, dtype, objective, place, period_s=period_s, battery=battery)
        if measure:
            stage(f"running {graph.name} on noise")
            report = _with_measurements(report, graph)
        # Files first: when one cannot be written, the sentence that says so is all there is to read.
        _write(report, json, csv)
        if plot is not None:
            from hwsim.plot import plot_layers, save

            stage(f"drawing {plot}")
            save(plot_layers(report), plot)
    _print_report(report, printed, wide=wide, every=all_layers)
    if require_fit and not report.runs:
        raise typer.Exit(DOES_NOT_FIT)


def _with_measurements(report: Report, graph: Graph) -> Report:
    """Return the report with what a forward pass on noise measured of each layer."""
    from hwsim.reference import measure, noise

    rows = measure(graph, noise(graph))
    return report.with_measurements(
        {
            row.layer: {
                "weight_zero_fraction": row.weight_zero_fraction,
                "ifmap_zero_fraction": row.ifmap_zero_fraction,
                "ofmap_zero_fraction": row.ofmap_zero_fraction,
                "ofmap_min": row.ofmap_min,
                "ofmap_max": row.ofmap_max,
            }
            for row in rows
        }
    )


def _write(report: Report, json: Path | None, csv: Path | None) -> None:
    from hwsim.files import write_whole

    if json is not None:
        write_whole(json, report.to_json())
    if csv is not None:
        write_whole(csv, report.to_csv())


def _print_report(report: Report, form: Format, *, wide: bool, every: bool) -> None:
    from hwsim.report.render import latex_report, markdown_report, rich_report

    match form:
        case Format.TABLE:
            show(lambda width: rich_report(report, wide=wide, every=every, width=width), wide=wide)
        case Format.MARKDOWN:
            print(markdown_report(report, wide=wide, every=every), end="")
        case Format.LATEX:
            print(latex_report(report, wide=wide, every=every), end="")
        case Format.CSV:
            print(report.to_csv(), end="")
        case Format.JSON:
            print(report.to_json(), end="")


@app.command()
def compare(
    nets: Annotated[
        list[str],
        typer.Argument(
            metavar="NET…",
            help="Nets, or reports written by evaluate --json; the first is the base.",
            autocompletion=complete_net,
        ),
    ],
    chips: Annotated[
        str | None,
        typer.Option("--chips", metavar="A,B", help="Chips to run the nets on.", autocompletion=complete_chips),
    ] = None,
    with_: Parameters = None,
    dim: Dims = None,
    batch: Batch = 1,
    dtype: Dtype = None,
    objective: Objective = "latency",
    runtime: Runtime = None,
    allow_unknown: AllowUnknown = False,
    top: Annotated[int, typer.Option("--top", metavar="N", help="How many layer deltas to show.")] = 8,
    fail_if: Annotated[
        list[str] | None, typer.Option("--fail-if", metavar="RULE", help="Leave with 1 if broken: latency_ms>+5%.")
    ] = None,
    form: Form = "table",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write totals and deltas as JSON.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw them side by side (.png .svg .pdf).")
    ] = None,
) -> None:
    """Put nets, chips and earlier reports side by side; the first is the base of every change."""
    from hwsim.files import check_writable
    from hwsim.report import compare as compare_reports

    printed = format_of(form)
    check_writable(json, plot)
    if plot is not None:
        from hwsim.plot import check_picture

        check_picture(plot)
    saved = [name for name in nets if name.endswith(".json")]
    if len(saved) < len(nets) and not chips:
        raise UsageError("compare needs --chips A,B for nets that are no reports (.json)")
    with progress() as stage:
        reports = [saved_report(Path(name)) for name in saved]
        graphs = [net_of(name, with_, dim, allow_unknown) for name in nets if name not in saved]
        for name in (chips or "").split(",") if graphs else ():
            if name:
                target = chip_of(name, runtime)
                for graph in graphs:
                    stage(f"costing {graph.name} on {target.name}")
                    reports.append(report_of(graph, target, batch, dtype, objective, None))
    comparison = compare_reports(reports)
    broken_rules = comparison.broken(fail_if or ())
    if json is not None:
        from hwsim.files import write_whole

        write_whole(json, comparison.to_json())
    if plot is not None:
        from hwsim.plot import plot_compare, save

        save(plot_compare(comparison.reports), plot)
    _print_comparison(comparison, printed, top)
    for sentence in broken_rules:
        note(sentence)
    if broken_rules:
        raise typer.Exit(DOES_NOT_FIT)


def _print_comparison(comparison: Comparison, form: Format, top: int) -> None:
    from hwsim.report.export import rows_csv
    from hwsim.report.facts import quote
    from hwsim.report.tables import comparison_table, delta_tables

    table = comparison_table(comparison)

    def shown() -> None:
        show_table(table)
        if not all(report.runs for report in comparison.reports):
            print()
        for report in comparison.reports:
            if not report.runs:
                print(quote(report, console().width))
        for title, deltas in delta_tables(comparison, top) if top > 0 else ():
            print(f"\n{title}")
            show_table(deltas)
        print(f"\n{comparison}")

    print_in(form, table, shown=shown, csv=lambda: rows_csv(comparison.totals()), json=comparison.to_json)
