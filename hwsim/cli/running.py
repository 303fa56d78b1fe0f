"""``run``: the numpy forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.app import app
from hwsim.cli.arguments import Dims, NetArg, Parameters, net_of
from hwsim.cli.terminal import note, progress, show_table
from hwsim.errors import UsageError

if TYPE_CHECKING:
    from hwsim.reference import LayerMeasurement
    from hwsim.report.table import Table


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
    seed: Annotated[int, typer.Option("--seed", metavar="SEED", help="Seed of the noise given as input.")] = 0,
    with_: Parameters = None,
    dim: Dims = None,
) -> None:
    """Run the numpy forward pass."""
    import warnings

    from hwsim.files import check_writable
    from hwsim.graph import with_random_weights
    from hwsim.reference import forward, load_inputs, noise, save_arrays
    from hwsim.reference import measure as measured

    if every and output is None:
        raise UsageError("--every keeps every tensor for the file of --output: say --output FILE")
    check_writable(output)
    with progress() as stage, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        stage(f"reading {net}")
        graph = net_of(net, with_, dim, False)
        if random_weights is not None:
            graph = with_random_weights(graph, random_weights)
        inputs = noise(graph, seed) | load_inputs(graph, input_ or ())
        stage(f"running {len(graph.layers)} layers of {graph.name}")
        table = _measurement_table(measured(graph, inputs)) if measure else None
        if table is None or output is not None:
            tensors = forward(graph, inputs, every=every)
            if output is not None:
                save_arrays(output, tensors)
            table = table or _output_table({name: tensors[name] for name in graph.outputs})
    for told in dict.fromkeys(str(warning.message) for warning in caught):
        note(told)
    show_table(table)


def _output_table(outputs: dict[str, Any]) -> Table:
    from hwsim.report.table import Column, Table

    columns = (
        Column("output", overflow="middle"),
        Column("shape"),
        Column("dtype"),
        Column("min", numeric=True),
        Column("max", numeric=True),
        Column("largest at"),
    )
    rows = [
        [
            name,
            "×".join(map(str, array.shape)),
            str(array.dtype),
            f"{array.min():.6g}",
            f"{array.max():.6g}",
            ", ".join(str(index) for index in array.reshape(-1).argsort(kind="stable")[::-1][:3]),
        ]
        for name, array in outputs.items()
    ]
    return Table(columns, rows)


def _measurement_table(measured: list[LayerMeasurement]) -> Table:
    """Return what a forward pass measured, layer by layer."""
    from hwsim.report.table import Column, Table
    from hwsim.report.words import MISSING, rounded

    headers = ("MACs done", "0 in w [%]", "0 in if [%]", "0 in of [%]", "min", "max")
    columns = (Column("layer", overflow="middle"), Column("type"), *(Column(name, numeric=True) for name in headers))
    rows = [
        [
            row.layer,
            row.kind,
            f"{row.macs:,}" if row.macs else MISSING,
            rounded(100 * row.weight_zero_fraction),
            rounded(100 * row.ifmap_zero_fraction),
            rounded(100 * row.ofmap_zero_fraction),
            f"{row.ofmap_min:.4g}",
            f"{row.ofmap_max:.4g}",
        ]
        for row in measured
    ]
    return Table(columns, rows, ["total", "", f"{sum(row.macs for row in measured):,}", "", "", "", "", ""])
