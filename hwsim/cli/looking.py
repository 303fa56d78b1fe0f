"""``check``, ``nets``, ``chips``, ``ops`` and ``export``: what is there, before anything is costed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import DOES_NOT_FIT, app
from hwsim.cli.arguments import (
    AllowUnknown,
    Dims,
    Dtype,
    NetArg,
    Parameters,
    chip_of,
    complete_chip,
    complete_net,
    dtype_of,
    net_of,
)
from hwsim.cli.terminal import progress, show_facts, show_table
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.report.table import Table


@app.command()
def check(
    net: NetArg,
    chip: Annotated[str | None, typer.Argument(metavar="[CHIP]", autocompletion=complete_chip)] = None,
    with_: Parameters = None,
    dim: Dims = None,
    dtype: Dtype = None,
) -> None:
    """List a model's operators: known or not, and which engine takes them. Leaves with 1 if any is left over."""
    from hwsim.importers import inspect_operators
    from hwsim.report.table import Column, Table

    with progress() as stage:
        stage(f"reading {net}")
        operators = inspect_operators(net)
        known = Table(
            (
                Column("operator"),
                Column("count", numeric=True),
                Column("verdict"),
                Column("first seen as", overflow="middle"),
            ),
            [[op.name, str(op.count), "known" if op.known else "UNKNOWN", op.first] for op in operators],
        )
        fit = _engines(net, chip, with_, dim, dtype) if chip is not None else None
    show_table(known)
    if fit is not None:
        print()
        show_table(fit[0])
    unknown = [op for op in operators if not op.known]
    lines = [fit[1]] if fit is not None else []
    if unknown:
        told = ", ".join(f"{op.name} ({op.count})" for op in unknown)
        lines.append(f"{net}: hwsim does not know {told}; evaluate with --allow-unknown to count them as zero")
    elif fit is None:
        lines.append(f"{net}: all {sum(op.count for op in operators)} operators are known")
    print()
    print("\n".join(lines))
    if unknown or (fit is not None and fit[2]):
        raise typer.Exit(DOES_NOT_FIT)


def _engines(
    net: str, chip: str, with_: list[str] | None, dim: list[str] | None, dtype: str | None
) -> tuple[Table, str, bool]:
    """Return which engine takes which kind of layer, a line about it, and whether some are taken by none."""
    from hwsim.cost import engine_kinds, natural_dtype
    from hwsim.report.table import Column, Table
    from hwsim.report.words import percent

    graph, target = net_of(net, with_, dim, True), chip_of(chip)
    chosen = dtype_of(dtype) or natural_dtype(graph, target)
    kinds = engine_kinds(graph, target, dtype=chosen)
    columns = (
        Column("kind"),
        Column("dtype"),
        Column("layers", numeric=True),
        Column("MACs", numeric=True),
        Column(f"runs on ({target.name})", overflow="wrap"),
    )
    rows = [[row.kind, row.dtype, str(row.layers), f"{row.macs:,}", row.engine or row.why] for row in kinds]
    homeless = [row for row in kinds if not row.runs]
    if not homeless:
        engines = ", ".join(dict.fromkeys(row.engine for row in kinds if row.engine))
        return Table(columns, rows), f"{graph.name}: every layer has an engine on {target.name} ({engines})", False
    layers, macs = sum(row.layers for row in homeless), sum(row.macs for row in homeless)
    told = f"{layers} of {len(graph.layers)} layers, {percent(macs / graph.macs if graph.macs else 0)} of the MACs"
    return Table(columns, rows), f"{graph.name}: {told}, have no engine on {target.name}; see --dtype", True


@app.command()
def export(
    net: NetArg,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The YAML file to write.")],
    with_: Parameters = None,
    dim: Dims = None,
    allow_unknown: AllowUnknown = False,
) -> None:
    """Write a net as a readable YAML that loads back to an equal graph; weights go into an .npz beside it."""
    from hwsim.files import check_writable
    from hwsim.importers import export_yaml

    check_writable(output)
    with progress() as stage:
        stage(f"reading {net}")
        paths = export_yaml(net_of(net, with_, dim, allow_unknown), output)
    for path in paths:
        print(path)


def _words(words: list[str] | None) -> str | None:
    """Return the name in `show NAME` or `NAME`; None for the whole list."""
    given = [word for index, word in enumerate(words or ()) if index or word != "show"]
    if len(given) > 1:
        raise UsageError(f"one name at a time, not {' '.join(given)}")
    return given[0] if given else None


def _complete_op(incomplete: str) -> list[str]:
    from hwsim.graph.ops import OPS

    return [name for name in OPS if name.startswith(incomplete)]


@app.command()
def nets(
    name: Annotated[
        list[str] | None,
        typer.Argument(metavar="[show] [NAME]", help="One of them in full.", autocompletion=complete_net),
    ] = None,
) -> None:
    """List the nets that come with hwsim, or show one."""
    from hwsim.importers.catalogue import net_cells
    from hwsim.report.table import Column, Table
    from hwsim.report.tables import graph_table
    from hwsim.report.words import rounded

    wanted = _words(name)
    known = {row[0]: row[1:] for row in net_cells()}
    if wanted is not None:
        if wanted in known:
            title, parameters = known[wanted]
            print(f"{wanted}: {title}\nparameters: {parameters}\n")
        show_table(graph_table(net_of(wanted, None, None, False)))
        return
    columns = (
        Column("net"),
        Column("MAC [M]", numeric=True),
        Column("params [M]", numeric=True),
        Column("layers", numeric=True),
        Column("input"),
        Column("what", overflow="end"),
    )
    rows = []
    for net, (title, _) in known.items():
        graph = net_of(net, None, None, False)
        shape = "×".join(map(str, graph.tensors[graph.inputs[0]].shape[1:])) if graph.inputs else ""
        counts = [rounded(graph.macs / 1e6), rounded(graph.params / 1e6), str(len(graph.layers))]
        rows.append([net, *counts, shape or "1", title])
    show_table(Table(columns, rows))
    print("\n`hwsim nets NAME` shows layers and parameters; --with NAME=VALUE sets one")


@app.command()
def chips(
    name: Annotated[
        list[str] | None,
        typer.Argument(metavar="[show] [NAME]", help="One of them in full.", autocompletion=complete_chip),
    ] = None,
) -> None:
    """List the chips that come with hwsim, or show one with its sources."""
    from hwsim.chip import chip_cells, chip_names, field_cells
    from hwsim.report.table import Column, Table

    wanted = _words(name)
    if wanted is None:
        columns = (
            Column("chip"),
            Column("engines"),
            Column("MHz", numeric=True),
            Column("GMAC/s", numeric=True),
            Column("on chip", numeric=True),
            Column("what", overflow="end"),
        )
        show_table(Table(columns, chip_cells(chip_names())))
        print("\n`hwsim chips NAME` shows every field with its source; --set PATH=VALUE changes one")
        return
    chip = chip_of(wanted)
    print(f"{chip.name}: {chip.title}\n" if chip.title else f"{chip.name}\n")
    fields = (Column("field"), Column("value", overflow="wrap"), Column("source", overflow="wrap"))
    show_table(Table(fields, field_cells(chip)))
    told = [*(("runtime", name) for name in chip.runtimes), *(("left out", line) for line in chip.outside)]
    if told:
        print()
        show_facts(told)


@app.command()
def ops(
    name: Annotated[
        list[str] | None,
        typer.Argument(metavar="[show] [NAME]", help="One of them in full.", autocompletion=_complete_op),
    ] = None,
) -> None:
    """List the layer types hwsim knows, or show one with its attributes."""
    from hwsim.graph.ops import OPS
    from hwsim.graph.words import op_cells, op_field_cells
    from hwsim.report.table import Column, Table

    wanted = _words(name)
    if wanted is None:
        columns = (Column("layer type"), Column("inputs"), Column("what", overflow="end"))
        show_table(Table(columns, op_cells(OPS)))
        print("\n`hwsim ops NAME` shows what a layer type does and its attributes")
        return
    rows = op_field_cells(OPS, wanted)
    print(f"{wanted}: {' '.join((OPS[wanted].__doc__ or '').split())}\n")
    if rows:
        show_table(Table((Column("attribute"), Column("type"), Column("default")), rows))
