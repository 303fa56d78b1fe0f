"""``explain``: what binds and what would help, or the mapping of each array layer as a loop nest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwsim.cli.app import app
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
    pairs,
)
from hwsim.cli.terminal import progress, show_facts, show_table
from hwsim.errors import UsageError


@app.command()
def explain(
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
    mapping: Annotated[
        bool, typer.Option("--mapping", help="Show the mapping of each array layer as a loop nest.")
    ] = False,
    layer: Annotated[
        list[str] | None, typer.Option("--layer", metavar="NAME", help="With --mapping: only this layer.")
    ] = None,
    yaml: Annotated[
        Path | None, typer.Option("--yaml", metavar="FILE", help="With --mapping: write the mappings as YAML.")
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="With --mapping: cost the mappings of this YAML as they stand."),
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what is shown as JSON.")] = None,
) -> None:
    """Tell what binds a net on a chip, and what twice of each resource would buy; or how an array runs each layer."""
    from hwsim.files import check_writable, write_whole

    for option, value in (("--layer", layer), ("--yaml", yaml), ("--from", from_)):
        if value is not None and not mapping:
            raise UsageError(f"{option} goes with --mapping")
    check_writable(yaml, json)
    placed, as_dtype = dict(pairs(place, "--place")), dtype_of(dtype)
    with progress() as stage:
        stage(f"reading {net}")
        graph, target = net_of(net, with_, dim, allow_unknown), chip_of(chip, runtime, set_)
        stage(f"costing {len(graph.layers)} layers on {target.name}")
        if not mapping:
            from hwsim.report import explain as explain_net
            from hwsim.report.explain_table import explanation_table, unchanged

            told = explain_net(graph, target, batch=batch, dtype=as_dtype, objective=objective, place=placed)
            if json is not None:
                write_whole(json, told.to_json())
    if not mapping:
        show_table(explanation_table(told))
        print()
        show_facts(unchanged(told))
        print(f"\n{told}")
        return
    from hwsim.report.mappings import mappings_of

    with progress() as stage:
        stage(f"mapping {len(graph.layers)} layers onto {target.name}")
        found = mappings_of(
            graph, target, batch=batch, dtype=as_dtype, objective=objective, place=placed, layers=layer, source=from_
        )
        if found.file is None and (yaml is not None or json is not None):
            raise UsageError(found.quote)
        if found.file is not None:
            from hwsim.report.mapping_file import mapping_json, mapping_yaml

            if yaml is not None:
                write_whole(yaml, mapping_yaml(found.file))
            if json is not None:
                write_whole(json, mapping_json(found.file))
    for block in found.blocks:
        print("\n".join(block), end="\n\n")
    print(found.quote)
