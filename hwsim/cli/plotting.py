"""``plot``: pictures of a net on a chip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hwsim.cli.app import plot_app
from hwsim.cli.arguments import (
    AllowUnknown,
    Batch,
    ChipArg,
    Dims,
    Dtype,
    NetArg,
    Objective,
    Override,
    Parameters,
    Place,
    Runtime,
    chip_of,
    dtype_of,
    net_of,
    report_of,
)
from hwsim.cli.terminal import progress

PICTURES = {
    "layers": "Time of each layer, coloured by what bounds it.",
    "roofline": "Each layer's arithmetic intensity and speed under the chip's roofs.",
    "memory": "The activation arena: which tensor lives where and when.",
    "energy": "Where each layer's energy goes.",
    "traffic": "Bytes each layer moves, against the compulsory ones.",
}


Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A .png, .svg or .pdf to write.")]
Data = Annotated[Path | None, typer.Option("--data", metavar="FILE", help="Write what the picture shows as CSV, too.")]


def _command(kind: str) -> Callable[..., None]:
    def draw(
        net: NetArg,
        chip: ChipArg,
        output: Output,
        data: Data = None,
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
        from hwsim.files import check_writable, write_whole
        from hwsim.plot import PLOTS, ROWS, check_picture, save
        from hwsim.report.export import rows_csv

        check_picture(output)
        check_writable(output, data)
        with progress() as stage:
            stage(f"reading {net}")
            graph, target = net_of(net, with_, dim, allow_unknown), chip_of(chip, runtime, set_)
            stage(f"costing {len(graph.layers)} layers on {target.name}")
            report = report_of(graph, target, batch, dtype, objective, place)
            stage(f"drawing {output}")
            if data is not None:
                write_whole(data, rows_csv(ROWS[kind](report)))
            save(PLOTS[kind](report), output)
        print(output)

    return draw


@plot_app.command()
def skislope(
    net: NetArg,
    chip: ChipArg,
    output: Output,
    layer: Annotated[
        list[str] | None, typer.Option("--layer", metavar="NAME", help="A curve for this layer, not the whole net.")
    ] = None,
    data: Data = None,
    with_: Parameters = None,
    dim: Dims = None,
    batch: Batch = 1,
    dtype: Dtype = None,
    set_: Override = None,
    allow_unknown: AllowUnknown = False,
) -> None:
    """Traffic over the capacity of an array's tile buffers, with today's chip marked."""
    from hwsim.explore.skislope import ski_slope
    from hwsim.files import check_writable, write_whole
    from hwsim.plot import check_picture, plot_skislope, save
    from hwsim.report.export import rows_csv

    check_picture(output)
    check_writable(output, data)
    with progress() as stage:
        stage(f"reading {net}")
        graph, target = net_of(net, with_, dim, allow_unknown), chip_of(chip, None, set_)
        stage(f"costing {len(graph.layers)} layers at every capacity")
        slope = ski_slope(graph, target, batch=batch, dtype=dtype_of(dtype))
        stage(f"drawing {output}")
        axes = plot_skislope(slope, layer or ())
        if data is not None:
            write_whole(data, rows_csv(slope.rows()))
        save(axes, output)
    print(output)


for _kind, _help in PICTURES.items():
    plot_app.command(_kind, help=_help)(_command(_kind))
