"""The mappings of a net's layers on a chip's array, searched or read from a file, as text and as a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsim.chip import ArrayEngine, Chip, HardwarePoints
from hwsim.cost import Costs, Row, cost, lower, natural_dtype
from hwsim.cost.replay import Replayed, chosen_mappings, replay
from hwsim.errors import UsageError, did_you_mean
from hwsim.graph import DType, Graph
from hwsim.report.holding import unmappable_layers
from hwsim.report.loop_nest import loop_nest
from hwsim.report.mapping_file import MappingFile, mapping_file, read_mapping, replayed


@dataclass(frozen=True, slots=True)
class Mappings:
    """Mappings, ready to be shown.

    Attributes:
        blocks: Lines of each different layer.
        file: The record, or None where there is no mapping.
        quote: What there is, in one line.
    """

    blocks: list[list[str]]
    file: MappingFile | None
    quote: str


def mappings_of(
    net: Graph,
    chip: Chip,
    *,
    batch: int = 1,
    dtype: DType | None = None,
    objective: str = "latency",
    place: Mapping[str, str] | None = None,
    layers: Sequence[str] | None = None,
    source: Path | None = None,
) -> Mappings:
    """Return the mapping of each layer that an array runs.

    Args:
        net: The net.
        chip: The chip.
        batch: Images that run together.
        dtype: As ``evaluate`` takes it.
        objective: As ``evaluate`` takes it.
        place: As ``evaluate`` takes it.
        layers: Names of the layers wanted; None is all.
        source: A file of mappings, to be costed as they stand; None searches.

    Raises:
        UsageError: A layer does not exist or has no mapping, or the file breaks a rule.
    """
    who = f"{net.name} on {chip.name}"
    arrays = [engine.name for engine in chip.engines if isinstance(engine, ArrayEngine)]
    if not arrays:
        return Mappings([], None, f"{who}: {chip.engines[0].name} is a core, which runs kernels and has no mapping")
    workload = lower(net, batch=batch, dtype=dtype or natural_dtype(net, chip))
    costs = cost(workload, HardwarePoints.of(chip), objective=objective, placed=place)
    names = [row.layer.name for row in workload.rows]
    wanted = [_index(name, names, who) for name in layers] if layers else range(len(names))
    if costs.mapped is None:
        return Mappings([], None, f"{who}: {' and '.join(arrays)} runs no layer that has MACs, so there is no mapping")
    engine, lacking = costs.mapped_engine, unmappable_layers(costs, 0)
    if source is None:
        chosen = chosen_mappings(costs, 0)
        done = {
            index: replay(workload.rows[index], engine, chip, chosen[index])
            for index in wanted
            if index in chosen and index not in lacking
        }
    else:
        every = replayed(read_mapping(source), source, workload.rows, engine, chip)
        done = {index: every[index] for index in wanted if index in every}
    for index in wanted if layers else ():
        if index not in done:
            raise UsageError(f"layer {names[index]!r} of {who}: {_why(costs, index, lacking, source)}")
    blocks = _blocks(workload.rows, engine, chip, done)
    blocks += [[f"{names[index]}: no mapping: {why}"] for index, why in lacking.items() if index in wanted]
    how = f"read from {source}" if source is not None else f"chosen for {objective}"
    quote = f"{who}: {len(done)} mapping{'s' if len(done) != 1 else ''} on {engine.name}, {how}"
    return Mappings(blocks, mapping_file(costs, workload.rows, done) if done else None, quote)


def _index(name: str, names: Sequence[str], who: str) -> int:
    if name not in names:
        raise UsageError(f"--layer {name}: {who.partition(' on ')[0]} has no such layer{did_you_mean(name, names)}")
    return names.index(name)


def _why(costs: Costs, index: int, lacking: Mapping[int, str], source: Path | None) -> str:
    """Return why a layer that was asked for has no mapping."""
    if index in lacking:
        return f"no mapping: {lacking[index]}"
    if index in costs.mapped_layers:
        return f"{source} has no mapping of it"
    return "it has no mapping, for no array does MACs for it"


def _blocks(rows: Sequence[Row], engine: ArrayEngine, chip: Chip, done: Mapping[int, Replayed]) -> list[list[str]]:
    """Return the lines of each mapping; equal layers with equal mappings are shown once, with all their names."""
    alike: dict[str, list[int]] = {}
    for index, one in done.items():
        alike.setdefault(repr((rows[index].nest, rows[index].dtype, one)), []).append(index)
    blocks = []
    for first, *others in alike.values():
        block = loop_nest(rows[first], engine, chip, done[first])
        if others:
            block.append(f"  the same for {', '.join(rows[index].layer.name for index in others)}")
        blocks.append(block)
    return blocks
