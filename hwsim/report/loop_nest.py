"""A mapping as a loop nest that a person can read: memories, loops, tiles, the array, and what is worth knowing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from hwsim.chip import OPERANDS, ArrayEngine, Chip, Dataflow
from hwsim.cost import Row
from hwsim.cost.nest import DIMS, Nest
from hwsim.cost.replay import Replayed
from hwsim.cost.spatial import CUT, spad_keeps, unrolling
from hwsim.report.words import byte_unit, human_bytes, percent, rounded, scaled

WORDS = {
    "N": "images", "G": "groups", "K": "filters", "C": "channels", "P": "ofmap rows", "Q": "ofmap columns",
    "R": "filter rows", "S": "filter columns",
}  # fmt: skip
# The loops over tiles, outermost first, by what stays and which axis sweeps (docs/mapspace.md).
LOOPS = {
    ("filter", "P"): "GKCNQP",
    ("filter", "Q"): "GKCNPQ",
    ("ifmap", "P"): "GNQPCK",
    ("ifmap", "Q"): "GNPQCK",
    ("ofmap", "P"): "GKNQPC",
}
# The loops over the array's passes: those that do not index what a PE keeps run innermost.
PASSES = {"filter": "GKCRSNPQ", "row": "GKPCRSNQ", "ifmap": "GNPQCRSK", "ofmap": "GNPQKCRS"}
INDENT = 2
COMMENT_AT = 40


@dataclass(frozen=True, slots=True)
class Spatial:
    """How a tile lies on an array.

    Attributes:
        rows: Copies side by side on the rows, by dimension (by all dimensions of a flat axis); those of one left out.
        cols: Likewise on the columns.
        busy: PEs at work in a full pass.
        pes: All that are used.
    """

    rows: dict[str, int]
    cols: dict[str, int]
    busy: int
    pes: int


def spatial(nest: Nest, dataflow: Dataflow, rows: int, cols: int, tiles: Mapping[str, int]) -> Spatial:
    """Return how a dataflow lays a tile of a nest over an array.

    Args:
        nest: The layer, whose extents decide how many copies of each dimension there is room for.
        dataflow: The dataflow.
        rows: Rows of the array.
        cols: Columns of the array.
        tiles: Extents of the tile in all dimensions.
    """
    factors = unrolling(nest, dataflow, rows, cols).factors
    # Columns are laid first, so that without rows they are as they are with them.
    on_cols = unrolling(nest, dataflow.model_copy(update={"rows": ()}), rows, cols).factors
    sides: list[dict[str, int]] = []
    for axis, copies in (
        (dataflow.rows, {dim: -(-factors[dim] // on_cols[dim]) for dim in DIMS}),
        (dataflow.cols, on_cols),
    ):
        if dataflow.flat and len(axis) > 1:
            found = {"·".join(axis): min(copies[axis[0]], prod(tiles[dim] for dim in axis))}
        else:
            found = {dim: min(copies[dim], tiles[dim]) for dim in axis}
        sides.append({name: count for name, count in found.items() if count > 1})
    busy = prod(count for side in sides for count in side.values())
    return Spatial(sides[0], sides[1], busy, rows * cols)


def loop_nest(row: Row, engine: ArrayEngine, chip: Chip, done: Replayed) -> list[str]:
    """Return the lines of a layer's mapping: its loops, outermost first, and sentences about them.

    Args:
        row: The layer.
        engine: The array.
        chip: Its chip.
        done: The mapping.
    """
    nest = row.nest
    assert nest is not None
    dataflow = next(flow for flow in engine.dataflow_table if flow.name == done.chosen.dataflow)
    extents, tiles = nest.extents, done.chosen.tiles
    laid = spatial(nest, dataflow, *_part(engine, done), {**extents, **tiles})
    shape = " ".join(f"{dim}{extents[dim]}" for dim in DIMS if extents[dim] > 1)
    work = f"{scaled(row.macs, 'MAC')}, {round(done.cycles):,} cycles"
    lines = [f"{row.layer.name}: {row.kind} {shape}, {work}, {dataflow.name}"]
    moved = ", ".join(f"{name} {human_bytes(count)}" for name, count in done.home_bytes.items() if count) or "nothing"
    lines.append(f"{' ' * INDENT}{', '.join(engine.homes(chip))}: {moved}")
    depth = 2
    loops = [dim for dim in LOOPS[done.chosen.stays, done.chosen.sweep] if tiles[dim] < extents[dim]]
    for dim in loops:
        what = WORDS[dim] if tiles[dim] > 1 else WORDS[dim].removesuffix("s")
        told = f"{-(-extents[dim] // tiles[dim])} tiles of {tiles[dim]} {what}{_last(extents[dim], tiles[dim])}"
        if dim == loops[-1] and dim in _others(done.chosen.stays):
            told += f"; the {done.chosen.stays} stays"
        lines.append(_line(depth, f"for {dim.lower()} in range(0, {extents[dim]}, {tiles[dim]}):", told))
        depth += 1
    buffers = dict.fromkeys(engine.buffers(chip).values())
    lines += [_line(depth, f"{name}:", _held(engine, chip, name, done)) for name in buffers]
    lines += _array(nest, engine, dataflow, laid, done, depth + 1)
    return lines + [f"{' ' * INDENT}{sentence}" for sentence in _notes(nest, engine, chip, dataflow, laid, done)]


def _part(engine: ArrayEngine, done: Replayed) -> tuple[int, int]:
    """Return rows and columns of the part of the array that a mapping uses."""
    return done.chosen.array or (engine.rows, engine.cols)


def _line(depth: int, code: str, comment: str) -> str:
    return f"{' ' * (INDENT * depth) + code:<{COMMENT_AT}}  # {comment}"


def _last(extent: int, tile: int) -> str:
    rest = extent % tile
    return f", the last of {rest}" if rest else ""


def _others(operand: str) -> str:
    """Return the dimensions that do not index an operand."""
    return {"filter": "NPQ", "ifmap": "K", "ofmap": "C"}[operand]


def _held(engine: ArrayEngine, chip: Chip, name: str, done: Replayed) -> str:
    """Return what a buffer holds of each operand, in one unit."""
    held = {operand: done.tile_bytes[operand] for operand, at in engine.buffers(chip).items() if at == name}
    size = chip.memory(name).size_bytes
    factor, unit = byte_unit(size)
    parts = ", ".join(f"{operand} {rounded(count / factor)}" for operand, count in held.items())
    return f"{rounded(sum(held.values()) / factor)} of {rounded(size / factor)} {unit}: {parts}"


def _array(nest: Nest, engine: ArrayEngine, dataflow: Dataflow, laid: Spatial, done: Replayed, depth: int) -> list[str]:
    """Return the loops over passes of the array and what runs side by side."""
    factors = unrolling(nest, dataflow, *_part(engine, done)).factors
    tiles = {**nest.extents, **done.chosen.tiles}
    flat = [axis for axis in (dataflow.rows, dataflow.cols) if dataflow.flat and len(axis) > 1]
    lines = []
    for dim in PASSES[dataflow.stationary]:
        axis = next((axis for axis in flat if dim in axis), (dim,))
        extent, size = prod(tiles[name] for name in axis), factors[axis[0]]
        if axis[0] == dim and extent > size:
            what = "·".join(axis) if len(axis) > 1 else WORDS[dim]
            told = f"{-(-extent // size)} steps{f' of {size}' if size > 1 else ''} over {what}{_last(extent, size)}"
            name = "".join(axis).lower() if len(axis) > 1 else dim.lower() * 2
            lines.append(_line(depth, f"for {name} in range(0, {extent}, {size}):", told))
            depth += 1
    sides = [
        f"{name} {' × '.join(f'{dim} {count}' for dim, count in on.items()) or '1'} of {size}"
        for name, on, size in (("rows", laid.rows, engine.rows), ("cols", laid.cols, engine.cols))
    ]
    return [*lines, _line(depth, f"{engine.name}:", f"{', '.join(sides)}; {_kept(nest, dataflow)}")]


def _kept(nest: Nest, dataflow: Dataflow) -> str:
    """Return what a PE keeps."""
    if dataflow.stationary != "row":
        kept = f"{dataflow.kept_filters} psums" if dataflow.shifts and dataflow.kept_filters > 1 else ""
        return f"a PE keeps {kept or {'ofmap': 'a psum'}.get(dataflow.stationary, f'its {dataflow.stationary}')}"
    filters, channels = spad_keeps(nest, dataflow)
    return f"a PE keeps filter rows: K {filters} × C {channels}"


def _notes(nest: Nest, engine: ArrayEngine, chip: Chip, dataflow: Dataflow, laid: Spatial, done: Replayed) -> list[str]:
    """Return what is worth knowing: tiles, utilization, ragged edges, what is kept, slides, leaves and returns."""
    chosen, spilled = done.chosen, done.home_bytes["psum_out"]
    trips = {dim: -(-nest.extents[dim] // chosen.tiles[dim]) for dim in CUT}
    told = [f"tiles: {_shapes(nest, chosen.tiles, chosen.kept)}"]
    told.append(
        f"array: {laid.busy} of {engine.rows * engine.cols} PEs in a full pass{_ragged(nest, engine, dataflow, done)}; "
        f"{percent(done.utilization)} of the peak over the layer"
    )
    if spilled:
        told.append(
            f"psums: leave unfinished and return, {human_bytes(spilled)} each way ({trips['C']} tiles of channels)"
        )
    else:
        told.append("psums: none leaves unfinished")
    if chosen.array is not None:
        told.append(f"part: {laid.pes} PEs are used, {chosen.array[0]} rows and {chosen.array[1]} columns")
    if chosen.resident:
        stays = {"ifmap": "a layer before left the ifmap in its buffer", "ofmap": "the ofmap stays in its buffer"}
        told.append(f"on chip: {'; '.join(stays[operand] for operand in chosen.resident)}")
    if chosen.kept:
        told.append(f"kept: the {chosen.kept} stays in its buffer whole and crosses once")
    slides = chosen.stays == "filter" or (chosen.stays == "ifmap" and trips["C"] == 1)
    axis, dim, word = (nest.rows, "P", "rows") if chosen.sweep == "P" else (nest.cols, "Q", "columns")
    seen = axis.touched(chosen.tiles[dim])
    if trips[dim] > 1 and seen.total > seen.sliding and chosen.kept != "ifmap" and done.tile_bytes.get("ifmap"):
        if slides:
            told.append(f"sliding: a sweep fetches {seen.sliding} ifmap {word}, without it {seen.total}")
        else:
            told.append(f"halo: a sweep fetches {seen.total} ifmap {word}, {seen.total - seen.sliding} of them again")
    streamed = [operand for operand in OPERANDS if operand not in done.tile_bytes]
    if streamed:
        told.append(f"no buffer: {' and '.join(streamed)} pass{'es' if len(streamed) == 1 else ''} from home to array")
    names = dict.fromkeys(engine.buffers(chip).values())
    if any(chip.memory(name).transfers == "double_buffered" for name in names):
        told.append(f"{', '.join(names)}: two copies of a tile that is replaced; transfers run beside the work")
    return told


def _shapes(nest: Nest, tiles: Mapping[str, int], kept: str) -> str:
    """Return the shapes of an operand's largest tile, dimensions of one left out."""
    rows, cols = (axis.touched(tiles[dim]).largest for axis, dim in ((nest.rows, "P"), (nest.cols, "Q")))
    whole = {"N": nest.n, "K": nest.k, "C": nest.c} if kept else {}
    of = {name: {**tiles, **whole} if name == kept else tiles for name in OPERANDS}
    if kept == "ifmap":
        rows, cols = (axis.touched(axis.positions).largest for axis in (nest.rows, nest.cols))
    taps = (nest.rows.taps, nest.cols.taps)
    shapes = {
        "ifmap": ([of["ifmap"][dim] for dim in "NGC"], (rows, cols)),
        "filter": ([of["filter"][dim] for dim in "GKC"], taps),
        "ofmap": ([tiles[dim] for dim in "NGK"], (tiles["P"], tiles["Q"])),
    }
    return ", ".join(
        f"{name} {'×'.join(str(size) for size in (*(count for count in counts if count > 1), *area))}"
        for name, (counts, area) in shapes.items()
    )


def _ragged(nest: Nest, engine: ArrayEngine, dataflow: Dataflow, done: Replayed) -> str:
    """Return which dimensions do not divide into whole passes, with what their last one uses."""
    factors = unrolling(nest, dataflow, *_part(engine, done)).factors
    tiles = {**nest.extents, **done.chosen.tiles}
    told = [
        f"the last step over {dim} has {tiles[dim] % factors[dim]} of {factors[dim]}"
        for dim in DIMS
        if factors[dim] > 1 and not dataflow.flat and tiles[dim] > factors[dim] and tiles[dim] % factors[dim]
    ]
    return f" ({', '.join(told)})" if told else ""
