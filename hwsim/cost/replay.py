"""One given mapping of a layer, costed without a search: what a mapping file says is what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from hwsim.chip import OPERANDS, ArrayEngine, Chip, Operand
from hwsim.cost.array import array_cycles, array_setup, layer_setup, macs_per_pe
from hwsim.cost.array_kernels import pace
from hwsim.cost.array_time import buffer_names
from hwsim.cost.candidates import ORDERS, ArraySetup, buffer_traffic
from hwsim.cost.costs import Costs
from hwsim.cost.hooks import coded
from hwsim.cost.kept import Kept
from hwsim.cost.nest import Nest
from hwsim.cost.spatial import CUT
from hwsim.cost.tiling import one_mapping
from hwsim.cost.workload import Row, filter_share, image_rate
from hwsim.errors import UsageError, did_you_mean

# Operands that may stay in their buffer from layer to layer.
RESIDENTS: tuple[Operand, ...] = ("ifmap", "ofmap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A mapping as its choices alone.

    Attributes:
        dataflow: Name of one of the engine's dataflows.
        stays: The operand whose tile stays while the innermost loop over tiles runs.
        sweep: The axis of the ofmap along which tiles follow each other, P or Q.
        kept: An operand kept whole in its buffer besides, filter or ifmap; or empty.
        tiles: Tile size of N, G, K, C, P and Q.
        array: Rows and columns of the part of the array that is used; None for all of it.
        resident: Of ifmap and ofmap, what is in its buffer before the layer or stays there after it.
    """

    dataflow: str
    stays: str
    sweep: str
    kept: str
    tiles: Mapping[str, int]
    array: tuple[int, int] | None = None
    resident: tuple[Operand, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a mapping does, from its choices.

    Attributes:
        chosen: The choices.
        cycles: Cycles of the array, at the pace of its kernel table where it has one.
        tile_bytes: What each operand takes of its buffer, copies included; those without a buffer are left out [B].
        home_bytes: Bytes between homes and chip: ``ifmap``, ``filter``, ``ofmap``, ``psum_in`` and ``psum_out``.
        buffer_bytes: Bytes read from and written to each tile buffer, by name.
        transfers: Tiles moved.
        utilization: MACs done over what the PEs could do in these cycles, 0..1.
    """

    chosen: Chosen
    cycles: float
    utilization: float
    tile_bytes: dict[str, int]
    home_bytes: dict[str, int]
    buffer_bytes: dict[str, tuple[int, int]]
    transfers: int


def chosen_mappings(costs: Costs, point: int) -> dict[int, Chosen]:
    """Return the mapping that was chosen for each layer that has one, by the layer's index."""
    if costs.mapped is None:
        return {}
    engine, tiles = costs.mapped_engine, costs.mapped.tiles
    flows, columns = engine.dataflow_table, costs.points.engine(engine.name)
    whole = tuple(int(size[point if len(size) > 1 else 0]) for size in (columns.rows, columns.cols))
    found = {}
    for i, layer in enumerate(costs.mapped_layers.tolist()):
        stays, sweep, kept = ORDERS[tiles.order[i, point]]
        part = int(tiles.array_rows[i, point]), int(tiles.array_cols[i, point])
        here = {"ifmap": tiles.ifmap_bytes[i, point] == 0, "ofmap": tiles.kept_ofmap_bytes[i, point] > 0}
        found[layer] = Chosen(
            dataflow=flows[tiles.dataflow[i, point]].name,
            stays=stays,
            sweep=sweep,
            kept=kept,
            tiles={dim: int(getattr(tiles, dim.lower())[i, point]) for dim in CUT},
            array=None if part == whole else part,
            resident=tuple(operand for operand in RESIDENTS if here[operand]),
        )
    return found


def replay(row: Row, engine: ArrayEngine, chip: Chip, chosen: Chosen) -> Replayed:
    """Return what a mapping of a layer does on a chip's array.

    Args:
        row: A layer with a nest.
        engine: The array.
        chip: Its chip.
        chosen: The mapping.

    Raises:
        UsageError: It is no mapping of the layer on this array.
    """
    assert row.nest is not None, "only layers with MACs are mapped"
    rows, cols = chosen.array or (engine.rows, engine.cols)
    if (rows, cols) != (engine.rows, engine.cols):
        parts = [(part.rows, part.cols) for part in array_setup(engine, chip, engine.rows, engine.cols).parts]
        if (rows, cols) not in parts:
            told = "rows and columns halved" if engine.sub_array else "the whole, for it has no sub_array"
            raise UsageError(f"array = [{rows}, {cols}]: of {engine.name}, {engine.rows} x {engine.cols}: {told}")
    setup = replace(array_setup(engine, chip, rows, cols), sub_array=False)
    setup = layer_setup(setup, filter_share(row, engine), image_rate(row, engine))
    _check(row.nest, setup, chosen)
    if chosen.resident and "resident" not in engine.inter_layer:
        told = ", ".join(chosen.resident)
        raise UsageError(f"resident = {told}: {engine.name} keeps nothing between layers, for it has no inter_layer")
    order = (chosen.stays, chosen.sweep, chosen.kept)
    kept = Kept(**dict.fromkeys(chosen.resident, True))
    one = one_mapping(row.nest, setup, chosen.dataflow, order, chosen.tiles, kept)
    held = zip(OPERANDS, setup.buffers, strict=True)
    rate = macs_per_pe(engine, row.dtype)
    outputs = np.array([row.nest.ofmap_elements])
    cycles = float(array_cycles(one, outputs, np.array([rate]), setup)[0]) * pace(row, engine)
    return Replayed(
        chosen=chosen,
        cycles=cycles,
        utilization=int(one.macs_done[0]) / (rate * engine.rows * engine.cols * cycles),
        tile_bytes={operand: int(getattr(one, f"{operand}_tile_bytes")[0]) for operand, at in held if at >= 0},
        home_bytes={
            "ifmap": int(coded(one.ifmap_bytes, one.ifmap_coded)[0]),
            "filter": int(coded(one.filter_bytes, one.filter_coded)[0]),
            "ofmap": int(coded(one.ofmap_bytes, one.ofmap_coded)[0]),
            "psum_in": int(one.psum_in_bytes[0]),
            "psum_out": int(one.psum_out_bytes[0]),
        },
        buffer_bytes={
            name: cast("tuple[int, int]", tuple(int(moved[0]) for moved in buffer_traffic(one, setup, index)))
            for index, name in enumerate(buffer_names(engine, chip))
        },
        transfers=int(one.transfers[0]),
    )


def _check(nest: Nest, setup: ArraySetup, chosen: Chosen) -> None:
    """Refuse choices that make no mapping: each sentence names the value and the rule."""
    flows = [flow.name for flow in setup.dataflows]
    if chosen.dataflow not in flows:
        hint = did_you_mean(chosen.dataflow, flows)
        raise UsageError(f"dataflow = {chosen.dataflow}: the array has {', '.join(flows)}{hint}")
    if (chosen.stays, chosen.sweep, chosen.kept) not in ORDERS:
        told = f"stays = {chosen.stays}, sweep = {chosen.sweep}, kept = {chosen.kept or 'nothing'}"
        raise UsageError(f"{told}: is no order of the mapspace (docs/mapspace.md lists them)")
    if chosen.kept and not setup.has_buffer(cast("Operand", chosen.kept)):
        raise UsageError(f"kept = {chosen.kept}: it has no buffer on this array")
    tiles, extents = chosen.tiles, nest.extents
    for dim in CUT:
        if not 1 <= tiles[dim] <= extents[dim]:
            raise UsageError(f"tile.{dim} = {tiles[dim]}: must be from 1 to {extents[dim]}, the loop's extent")
    if tiles["Q"] < extents["Q"] and tiles["P"] > 1:
        raise UsageError(f"tile.Q = {tiles['Q']}: columns are cut only where a tile has one row, and P = {tiles['P']}")
    if tiles["G"] > 1 and (tiles["K"], tiles["C"]) != (extents["K"], extents["C"]):
        raise UsageError(f"tile.G = {tiles['G']}: groups share a tile only where it holds all their K and C")
    trips = {dim: -(-extents[dim] // tiles[dim]) for dim in CUT}
    needs = {"ifmap": "K", "ofmap": "C"}
    cut = needs.get(chosen.stays)
    if cut is not None and trips[cut] == 1:
        raise UsageError(f"stays = {chosen.stays}: needs more than one tile of {cut}, and tile.{cut} is its extent")
    if chosen.sweep == "Q" and trips["Q"] == 1:
        raise UsageError("sweep = Q: needs more than one tile of Q, and tile.Q is its extent")
