"""The command line: parse, call, print. Every number comes from the rooms below."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hwsim import __version__
from hwsim.errors import HwsimError, UsageError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hwsim.chip import Chip
    from hwsim.graph import Graph
    from hwsim.report import Report

TABLE_WIDTH = 100
DOES_NOT_FIT, BAD_INPUT, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What a small neural net costs on an embedded processor: latency, energy, memory traffic, fit.",
)
plot_app = typer.Typer(no_args_is_help=True, help="Draw a picture of a net on a chip.")
app.add_typer(plot_app, name="plot")


def main() -> None:
    """Run the command line: 0 done, 1 the net does not fit or a threshold is broken, 2 bad input, 130 interrupted."""
    try:
        app()
    except HwsimError as error:
        _fail(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)


def _fail(sentence: str, code: int) -> NoReturn:
    print(f"hwsim: {sentence}", file=sys.stderr)
    raise SystemExit(code)


class Format(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"


# -- arguments that several commands share -----------------------------------------------------------------------------


def _complete_net(incomplete: str) -> list[str]:
    from hwsim.importers import net_names

    return [name for name in net_names() if name.startswith(incomplete)]


def _complete_chip(incomplete: str) -> list[str]:
    from hwsim.chip import chip_names

    return [name for name in chip_names() if name.startswith(incomplete)]


NetArg = Annotated[
    str,
    typer.Argument(
        metavar="NET",
        help="A model file (.onnx, .tflite, .yaml) or a name from `hwsim nets`.",
        autocompletion=_complete_net,
    ),
]
ChipArg = Annotated[
    str,
    typer.Argument(
        metavar="CHIP", help="A profile (.yaml) or a name from `hwsim chips`.", autocompletion=_complete_chip
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="NAME=VALUE", help="A parameter of a net from `hwsim nets`, such as resolution=96."),
]
Dims = Annotated[
    list[str] | None, typer.Option("--dim", metavar="NAME=N", help="The size of a symbolic dimension of a model file.")
]
AllowUnknown = Annotated[
    bool, typer.Option("--allow-unknown", help="Let unknown operators in at no cost, and say so in the report.")
]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Images that run together.")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="Cost the net at this dtype, such as int8.")]
Objective = Annotated[str, typer.Option("--objective", help="Choose mappings for latency, energy, edp or traffic.")]
Runtime = Annotated[str | None, typer.Option("--runtime", help="The kernel library, such as x-cube-ai-10.0.")]
Place = Annotated[
    list[str] | None,
    typer.Option("--place", metavar="WHAT=MEMORY", help="Put weights or activations into a memory: weights=sram."),
]
Override = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a field of the chip: memories.sram.size_kib=64."),
]
Wide = Annotated[bool, typer.Option("--wide", help="Show every column.")]
Every = Annotated[bool, typer.Option("--all-layers", help="Show every layer of a long net.")]


def _net(source: str, parameters: Sequence[str] | None, dims: Sequence[str] | None, allow_unknown: bool) -> Graph:
    from hwsim.importers import load_net

    sizes = {name: _whole(value, f"--dim {name}") for name, value in _pairs(dims, "--dim")}
    values = {name: _literal(value) for name, value in _pairs(parameters, "--with")}
    return load_net(source, dims=sizes or None, allow_unknown=allow_unknown, **values)


def _chip(source: str, runtime: str | None = None, overrides: Sequence[str] | None = None) -> Chip:
    from hwsim.chip import load_chip

    chip = load_chip(source, runtime=runtime)
    for path, value in _pairs(overrides, "--set"):
        chip = chip.replace(path, _literal(value))
    return chip


def _evaluate(
    net: Graph, chip: Chip, batch: int, dtype: str | None, objective: str, place: Sequence[str] | None
) -> Report:
    from hwsim.graph import DTYPES
    from hwsim.report import evaluate

    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"--dtype {dtype}: must be one of {', '.join(DTYPES)}")
    return evaluate(net, chip, batch=batch, dtype=dtype, objective=objective, place=dict(_pairs(place, "--place")))


def _pairs(words: Iterable[str] | None, option: str) -> list[tuple[str, str]]:
    found = []
    for word in words or ():
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} {word}: write it as {option} NAME=VALUE")
        found.append((name, value))
    return found


def _whole(text: str, what: str) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise UsageError(f"{what} = {text}: must be a whole number >= 1")
    return int(text)


def _literal(text: str) -> Any:
    """Return a word as a truth value, a number, or itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# -- printing ----------------------------------------------------------------------------------------------------------


def _console(*, wide: bool = False) -> Console:
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=False)
    if wide:
        return Console(highlight=False, emoji=False, markup=False, width=max(console.width, 240))
    return console if console.is_terminal else Console(highlight=False, emoji=False, markup=False, width=TABLE_WIDTH)


def _print(renderable: RenderableType, *, wide: bool = False) -> None:
    _console(wide=wide).print(renderable)


def _show_table(headers: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[str] = ()) -> None:
    from rich.table import Table
    from rich.text import Text

    rows, short = list(rows), max(TABLE_WIDTH // 4, 4 * TABLE_WIDTH // (3 * len(headers)))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        # Short names stay whole: prose, paths and headers of numbers fold before they do.
        name = header not in numeric and all(len(row[index]) <= short for row in rows)
        table.add_column(header, justify="right" if header in numeric else "left", overflow="fold", no_wrap=name)
    for row in rows:
        table.add_row(*map(Text, row))
    _print(table)


def _print_report(report: Report, form: Format, *, wide: bool, every: bool) -> None:
    from hwsim.report.tables import latex_report, markdown_report, rich_report

    match form:
        case Format.TABLE:
            _print(rich_report(report, wide=wide, every=every), wide=wide)
        case Format.MARKDOWN:
            print(markdown_report(report, wide=wide, every=every), end="")
        case Format.LATEX:
            print(latex_report(report, wide=wide, every=every), end="")
        case Format.CSV:
            print(report.to_csv(), end="")
        case Format.JSON:
            print(report.to_json(), end="")


# -- commands ----------------------------------------------------------------------------------------------------------


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
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
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
    require_fit: Annotated[bool, typer.Option("--require-fit", help="Leave with 1 if the net does not run.")] = False,
) -> None:
    """Tell what a net costs on a chip, layer by layer."""
    if plot is not None:
        from hwsim.plot import check_picture

        check_picture(plot)
    graph = _net(net, with_, dim, allow_unknown)
    report = _evaluate(graph, _chip(chip, runtime, set_), batch, dtype, objective, place)
    if measure:
        report = _with_measurements(report, graph)
    # Files first: when one cannot be written, the sentence that says so is all there is to read.
    _write(report, json, csv)
    if plot is not None:
        from hwsim.plot import plot_layers, save

        save(plot_layers(report), plot)
    _print_report(report, form, wide=wide, every=all_layers)
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


@app.command()
def compare(
    nets: Annotated[list[str], typer.Argument(metavar="NET…", help="Two nets or more, or one on several chips.")],
    chips: Annotated[
        str, typer.Option("--chips", metavar="A,B", help="Chips, the first net on the first is the base.")
    ],
    batch: Batch = 1,
    dtype: Dtype = None,
    objective: Objective = "latency",
    runtime: Runtime = None,
    top: Annotated[int, typer.Option("--top", min=0, help="How many layer deltas to show.")] = 8,
    fail_if: Annotated[
        list[str] | None, typer.Option("--fail-if", metavar="RULE", help="Leave with 1 if broken: latency_ms>+5%.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw latencies as bars.")] = None,
) -> None:
    """Put nets and chips side by side; the first is the base of every change."""
    from hwsim.report import compare as compare_reports
    from hwsim.report.tables import comparison_cells, delta_cells

    graphs = [_net(net, None, None, False) for net in nets]
    targets = [_chip(chip, runtime) for chip in chips.split(",") if chip]
    comparison = compare_reports(
        [_evaluate(graph, chip, batch, dtype, objective, None) for chip in targets for graph in graphs]
    )
    broken_rules = comparison.broken(fail_if or ())
    if plot is not None:
        from hwsim.plot import plot_compare, save

        save(plot_compare(comparison.reports), plot)
    _show_table(*comparison_cells(comparison))
    if top:
        print()
        _show_table(*delta_cells(comparison, top))
    for sentence in broken_rules:
        print(f"hwsim: {sentence}", file=sys.stderr)
    if broken_rules:
        raise typer.Exit(DOES_NOT_FIT)


@app.command()
def check(
    net: NetArg,
    chip: Annotated[str | None, typer.Argument(metavar="[CHIP]", autocompletion=_complete_chip)] = None,
) -> None:
    """List a model's operators: known, unknown, or left to which engine. Leaves with 1 if some are unknown."""
    from hwsim.importers import inspect_operators

    operators = inspect_operators(net)
    rows = [[op.name, str(op.count), "known" if op.known else "UNKNOWN", op.first] for op in operators]
    _show_table(["operator", "count", "verdict", "first seen as"], rows, ["count"])
    unknown = [op for op in operators if not op.known]
    print()
    if unknown:
        told = ", ".join(f"{op.name} ({op.count})" for op in unknown)
        print(f"{net}: hwsim does not know {told}; evaluate with --allow-unknown to count them as zero")
    elif chip is None:
        print(f"{net}: all {sum(op.count for op in operators)} operators are known")
    if chip is not None:
        from hwsim.cost import engine_kinds

        graph = _net(net, None, None, True)
        target = _chip(chip)
        kinds = [[kind, dtype, str(count), engine] for kind, dtype, count, engine in engine_kinds(graph, target)]
        _show_table(["kind", "dtype", "layers", f"runs on ({target.name})"], kinds, ["layers"])
    if unknown:
        raise typer.Exit(DOES_NOT_FIT)


@app.command()
def run(
    net: NetArg,
    input_: Annotated[
        list[str] | None, typer.Option("--input", metavar="[NAME=]FILE", help="A .npy array; noise when left out.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write the outputs as .npz.")] = None,
    every: Annotated[bool, typer.Option("--every", help="Keep every tensor, not only the outputs.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Show per layer: MACs in the loops, zeros, ranges.")
    ] = False,
    random_weights: Annotated[
        int | None, typer.Option("--random-weights", metavar="SEED", help="Draw the weights of a net that has none.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the noise given as input.")] = 0,
    with_: Parameters = None,
    dim: Dims = None,
) -> None:
    """Run the numpy forward pass."""
    from hwsim.graph import with_random_weights
    from hwsim.reference import forward, load_inputs, noise, save_arrays

    graph = _net(net, with_, dim, False)
    if random_weights is not None:
        graph = with_random_weights(graph, random_weights)
    inputs = noise(graph, seed) | load_inputs(graph, input_ or ())
    if measure:
        _show_table(*_measured(graph, inputs))
        return
    tensors = forward(graph, inputs, every=every)
    if output is not None:
        save_arrays(output, tensors)
    shown = {name: tensors[name] for name in graph.outputs}
    rows = [
        [
            name,
            "×".join(map(str, array.shape)),
            str(array.dtype),
            f"{array.min():.6g}",
            f"{array.max():.6g}",
            _top(array),
        ]
        for name, array in shown.items()
    ]
    _show_table(["output", "shape", "dtype", "min", "max", "largest at"], rows, ["min", "max"])


def _measured(graph: Graph, inputs: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the table of what a forward pass measured, layer by layer."""
    from hwsim.reference import measure
    from hwsim.report.words import percent

    headers = ["layer", "type", "MACs done", "zero weights", "zero inputs", "zero outputs", "min", "max"]
    rows = [
        [
            row.layer,
            row.kind,
            f"{row.macs:,}",
            percent(row.weight_zero_fraction),
            percent(row.ifmap_zero_fraction),
            percent(row.ofmap_zero_fraction),
            f"{row.ofmap_min:.4g}",
            f"{row.ofmap_max:.4g}",
        ]
        for row in measure(graph, inputs)
    ]
    return headers, rows, headers[2:]


def _top(array: Any) -> str:
    """Return the indices of the three largest values."""
    flat = array.reshape(-1)
    return ", ".join(str(index) for index in flat.argsort(kind="stable")[::-1][:3])


@app.command()
def export(
    net: NetArg,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The YAML file to write.")],
    with_: Parameters = None,
    dim: Dims = None,
    allow_unknown: AllowUnknown = False,
) -> None:
    """Write a net as a readable YAML that loads back to an equal graph; weights go into an .npz beside it."""
    from hwsim.importers import export_yaml

    for path in export_yaml(_net(net, with_, dim, allow_unknown), output):
        print(path)


def _words(words: list[str] | None) -> str | None:
    """Return the name in `show NAME` or `NAME`; None for the whole list."""
    given = [word for word in words or [] if word != "show"]
    if len(given) > 1:
        raise UsageError(f"one name at a time, not {' '.join(given)}")
    return given[0] if given else None


Show = Annotated[list[str] | None, typer.Argument(metavar="[show] [NAME]", help="One of them in full.")]


@app.command()
def nets(name: Show = None) -> None:
    """List the nets that come with hwsim, or show one."""
    from hwsim.importers.catalogue import net_cells
    from hwsim.report.tables import graph_cells

    wanted = _words(name)
    if wanted is None:
        _show_table(["net", "what", "parameters"], net_cells())
        return
    _show_table(*graph_cells(_net(wanted, None, None, False)))


@app.command()
def chips(name: Show = None) -> None:
    """List the chips that come with hwsim, or show one with its sources."""
    from hwsim.chip import chip_cells, chip_names, field_cells

    wanted = _words(name)
    if wanted is None:
        _show_table(["chip", "engines", "memories", "runtimes", "what"], chip_cells(chip_names()))
        return
    _show_table(["field", "value", "source"], field_cells(_chip(wanted)))


@app.command()
def ops(name: Show = None) -> None:
    """List the layer types hwsim knows, or show one with its attributes."""
    from hwsim.graph.ops import OPS
    from hwsim.graph.words import op_cells, op_field_cells

    wanted = _words(name)
    if wanted is None:
        _show_table(["layer type", "inputs", "what"], op_cells(OPS))
    else:
        _show_table(["attribute", "type", "default"], op_field_cells(OPS, wanted))


def _plot_command(kind: str) -> Callable[..., None]:
    def draw(
        net: NetArg,
        chip: ChipArg,
        output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A .png, .svg or .pdf to write.")],
        with_: Parameters = None,
        dim: Dims = None,
        batch: Batch = 1,
        dtype: Dtype = None,
        objective: Objective = "latency",
        runtime: Runtime = None,
        place: Place = None,
        set_: Override = None,
        allow_unknown: AllowUnknown = False,
    ) -> None:
        from hwsim.plot import PLOTS, check_picture, save

        check_picture(output)
        report = _evaluate(
            _net(net, with_, dim, allow_unknown), _chip(chip, runtime, set_), batch, dtype, objective, place
        )
        save(PLOTS[kind](report), output)
        print(output)

    return draw


for _kind, _help in {
    "layers": "Time of each layer, coloured by what bounds it.",
    "roofline": "Each layer's arithmetic intensity and speed under the chip's roofs.",
    "memory": "The activation arena: which tensor lives where and when.",
    "energy": "Where each layer's energy goes.",
    "traffic": "Bytes each layer moves, against the compulsory ones.",
}.items():
    plot_app.command(_kind, help=_help)(_plot_command(_kind))
