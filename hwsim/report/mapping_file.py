"""Mappings as a YAML file: written from a search, validated and read back to be costed exactly as they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwsim.chip import ArrayEngine, Chip, Operand
from hwsim.cost import Costs, Row
from hwsim.cost.replay import Chosen, Replayed, replay
from hwsim.errors import UsageError, did_you_mean
from hwsim.yaml_file import read_yaml

MAX_FILE_BYTES = 8 * 2**20
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
NOT_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
Extent = Annotated[int, Field(gt=0, le=2**31)]
Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Loops(_Model):
    """Extents of loops, of a layer or of a tile; groups, filters and channels of a group, ofmap rows and columns."""

    N: Extent
    G: Extent
    K: Extent
    C: Extent
    P: Extent
    Q: Extent


class LayerMapping(_Model):
    """How an array runs a layer, and what that comes to.

    The choices are ``dataflow``, ``stays``, ``sweep``, ``kept``, ``tile`` and ``resident``; ``loops`` and ``taps`` say
    for which layer. What it comes to is told for readers, and compared when the file is read, where it stands there.
    """

    layer: str
    loops: Loops
    taps: tuple[Extent, Extent]
    dataflow: str
    stays: Literal["ifmap", "filter", "ofmap"]
    sweep: Literal["P", "Q"]
    kept: Literal["ifmap", "filter", ""] = ""
    tile: Loops
    array: tuple[Extent, Extent] | None = None
    resident: tuple[Literal["ifmap", "ofmap"], ...] | None = None
    cycles: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    tile_bytes: dict[str, Count] | None = None
    home_bytes: dict[str, Count] | None = None
    buffer_bytes: dict[str, tuple[Count, Count]] | None = None


class MappingFile(_Model):
    """Mappings of a net's layers on a chip's array."""

    schema_: Literal[1] = Field(alias="schema")
    net: str
    chip: str
    engine: str
    layers: tuple[LayerMapping, ...] = Field(min_length=1)


def mapping_file(costs: Costs, rows: Sequence[Row], done: Mapping[int, Replayed]) -> MappingFile:
    """Return the record of mappings.

    Args:
        costs: Where they are from: names of net, chip and engine.
        rows: The net's layers.
        done: What each mapping does, by the layer's index.
    """
    return MappingFile(
        schema=1,
        net=costs.workload.graph.name,
        chip=costs.points.chip.name,
        engine=costs.mapped_engine.name,
        layers=tuple(_record(rows[index], one) for index, one in done.items()),
    )


def _record(row: Row, done: Replayed) -> LayerMapping:
    assert row.nest is not None
    extents = row.nest.extents
    return LayerMapping(
        layer=row.layer.name,
        loops=Loops(**{dim: extents[dim] for dim in Loops.model_fields}),
        taps=(extents["R"], extents["S"]),
        dataflow=done.chosen.dataflow,
        stays=cast("Operand", done.chosen.stays),
        sweep=cast("Literal['P', 'Q']", done.chosen.sweep),
        kept=cast("Literal['ifmap', 'filter', '']", done.chosen.kept),
        tile=Loops(**done.chosen.tiles),
        array=done.chosen.array,
        resident=cast('tuple[Literal["ifmap", "ofmap"], ...]', done.chosen.resident) or None,
        cycles=done.cycles,
        tile_bytes=done.tile_bytes,
        home_bytes=done.home_bytes,
        buffer_bytes=done.buffer_bytes,
    )


def mapping_json(file: MappingFile) -> str:
    """Return mappings as JSON text, of the same fields as the YAML."""
    return json.dumps(file.model_dump(by_alias=True), indent=2, ensure_ascii=False) + "\n"


def mapping_yaml(file: MappingFile) -> str:
    """Return mappings as YAML text: a block per layer, a line per field."""
    data = file.model_dump(by_alias=True, exclude_none=True)
    layers = data.pop("layers")
    lines = [
        "# Mappings of layers on a MAC array: `hwsim explain NET CHIP --mapping --from FILE` costs them as they stand."
    ]
    lines += [f"{name}: {_flow(value)}" for name, value in data.items()]
    lines.append("layers:")
    for layer in layers:
        first, *rest = (f"{name}: {_flow(value)}" for name, value in layer.items())
        lines += [f"  - {first}", *(f"    {line}" for line in rest)]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """Return a value on one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str):
        # Words that some YAML would take for something else (no, null, N) are quoted like any odd name.
        return value if PLAIN.fullmatch(value) and value.lower() not in NOT_WORDS else _quoted(value)
    return str(value)


def _quoted(text: str) -> str:
    escaped = "".join(char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in text)
    return f'"{escaped}"'


def read_mapping(path: str | Path) -> MappingFile:
    """Return the mappings of a file.

    Raises:
        UsageError: It cannot be read, or breaks a rule; every field that does is named.
    """
    data, places = read_yaml(path, error=UsageError, max_bytes=MAX_FILE_BYTES)
    try:
        return MappingFile.model_validate(_tuples(data))
    except ValidationError as error:
        told = []
        problems = error.errors(include_url=False)
        for problem in problems[:8]:
            key = tuple(problem["loc"])
            # What is wrong with a part makes its whole wrong, too.
            if any(len(other["loc"]) > len(key) and other["loc"][: len(key)] == key for other in problems):
                continue
            line = next((places[key[:end]][0] for end in range(len(key), 0, -1) if key[:end] in places), 1)
            told.append(f"{path}:{line}: {'.'.join(map(str, key))}: {problem['msg'][0].lower()}{problem['msg'][1:]}")
        raise UsageError("\n".join(told)) from None


def _tuples(data: Any) -> Any:
    """Return YAML's lists as tuples, which is what strict models take."""
    if isinstance(data, dict):
        return {key: _tuples(value) for key, value in data.items()}
    return tuple(map(_tuples, data)) if isinstance(data, list) else data


def replayed(
    file: MappingFile, path: str | Path, rows: Sequence[Row], engine: ArrayEngine, chip: Chip
) -> dict[int, Replayed]:
    """Return what the mappings of a file do, by the layer's index; nothing is searched.

    Args:
        file: The mappings.
        path: Where they were read from, for what is wrong with them.
        rows: The net's layers.
        engine: The array that runs them.
        chip: Its chip.

    Raises:
        UsageError: A layer is none of the net's or another one by its loops, a mapping is none of the array's, or it
            does not come to what the file says.
    """
    known: Mapping[str, int] = {row.layer.name: index for index, row in enumerate(rows) if row.nest is not None}
    found = {}
    for number, layer in enumerate(file.layers):
        where = f"{path}: layers.{number} ({layer.layer})"
        if layer.layer not in known:
            raise UsageError(f"{where}: the net has no such layer on an array{did_you_mean(layer.layer, known)}")
        row = rows[known[layer.layer]]
        assert row.nest is not None
        extents = row.nest.extents
        told = layer.loops.model_dump() | {"R": layer.taps[0], "S": layer.taps[1]}
        for dim, extent in told.items():
            if extent != extents[dim]:
                raise UsageError(f"{where}: {dim} = {extent}, and the net's layer has {dim} = {extents[dim]}")
        chosen = Chosen(
            dataflow=layer.dataflow,
            stays=layer.stays,
            sweep=layer.sweep,
            kept=layer.kept,
            tiles=layer.tile.model_dump(),
            array=layer.array,
            resident=layer.resident or (),
        )
        try:
            done = replay(row, engine, chip, chosen)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        for name in ("cycles", "tile_bytes", "home_bytes", "buffer_bytes"):
            said, comes_to = getattr(layer, name), getattr(done, name)
            if said is not None and said != comes_to:
                said, comes_to = (_flow(amount) for amount in (said, comes_to))
                raise UsageError(
                    f"{where}: {name} = {said}, and on {chip.name} the mapping comes to {comes_to}; leave the line "
                    f"out, or give the chip it was made for ({file.chip})"
                )
        found[known[layer.layer]] = done
    return found
