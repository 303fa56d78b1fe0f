"""Result records: a report of one net on one chip, its layers, and its memories. Plain Python values, SI and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Mapping_
from dataclasses import dataclass, field, replace
from math import isnan, nan
from typing import TYPE_CHECKING, Any, TypeVar

from hwsim.report.duty import DutyCycle

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

Json = Any
Number = TypeVar("Number", int, float)

SCHEMA = 1
# The reason of a layer that could run, in a net that does not.
NET_DOES_NOT_RUN = "the net does not run"
MAC_CONVENTION = "1 MAC = 1 multiply + 1 add = 2 ops; padding taps count, bias does not; ops: all else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """How an array runs a layer.

    Attributes:
        dataflow: Which of the engine's dataflows.
        stays: The operand whose tile stays in its buffer while the innermost loop over tiles runs.
        sweep: Along which of the ofmap's axes tiles follow each other: rows or columns.
        kept: An operand kept whole in its buffer besides, filter or ifmap; or empty.
        images: Images in a tile; ``groups``, ``filters`` and ``channels`` (of a group), ofmap ``rows`` and ``columns``
            likewise.
        buffer_bytes: What the tiles take of each buffer [B].
    """

    dataflow: str
    stays: str
    sweep: str
    kept: str
    images: int
    groups: int
    filters: int
    channels: int
    rows: int
    columns: int
    buffer_bytes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """What one layer costs.

    Attributes:
        name: The layer's name.
        kind: Its kind (conv, pointwise, depthwise, dense, pool, …).
        engine: The engine that runs it; empty where none is needed.
        ofmap_shape: Shape of its first output, channel last.
        macs: Multiply-accumulates.
        ops: Other elementary operations.
        cycles: Engine cycles.
        latency_s: Time [s]; nan with ``reason`` where the layer cannot run.
        bound: What limits it: compute, a memory's name, overhead, or nothing; empty where the layer cannot run.
        macs_done: MACs that take their cycle: all but zeros that are skipped and what Winograd saves.
        utilization: MACs done / (peak × cycles), 0..1; nan for a layer without MACs.
        terms_s: Busy time of compute and of each memory's port, and the overhead of fill, drain and calls [s]. They
            overlap where the latency is less than their sum.
        traffic_bytes: Bytes across each memory's port.
        traffic_parts_bytes: The same by direction and tensor: memory -> ``read_filter``, ``write_ofmap``, … -> bytes.
        compulsory_bytes: Each touched element once; what home memories must move at least.
        io_bound_bytes: What home memories must move at least, in whatever order an array does the layer's MACs, with
            what its buffers and PEs hold; elsewhere the same as ``compulsory_bytes``.
        weight_bytes: Stored constants that the layer reads.
        live_bytes: Activations that the arena holds while the layer runs.
        energy_j: Energy [J]; nan where the layer cannot run.
        energy_parts_j: The same by share: mac, each memory, core, static.
        mapping: The array's mapping, or None.
        resident: Operands that are whole in the array's buffer before the layer, or stay there after it: ifmap, filter,
            ofmap; of several ifmaps some.
        resident_bytes: What tensors that stay between layers take of that buffer while this one runs.
        fused: Whether the layer is done as the ofmap of one before leaves; its cost is in that one's.
        reason: Why a number is missing, or empty.
        measured: What a forward pass measured of it (zero fractions, ranges), where one was asked for.
    """

    name: str
    kind: str
    engine: str
    ofmap_shape: tuple[int, ...]
    macs: int
    ops: int
    cycles: float
    latency_s: float
    bound: str
    macs_done: int
    utilization: float
    terms_s: dict[str, float]
    traffic_bytes: dict[str, int]
    traffic_parts_bytes: dict[str, dict[str, int]]
    compulsory_bytes: int
    io_bound_bytes: int
    weight_bytes: int
    live_bytes: int
    energy_j: float
    energy_parts_j: dict[str, float]
    mapping: Mapping | None = None
    resident: tuple[str, ...] = ()
    resident_bytes: int = 0
    fused: bool = False
    reason: str = ""
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """What one memory has to hold.

    Attributes:
        name: The memory's name.
        items: Need by what it is: activations, weights, tiles, scratch, runtime, code, image (weights that are copied
            elsewhere to run), reserved [B].
        not_counted: Items that take some of it too, but that nothing is known of.
        capacity_bytes: Its size [B].
        read_bytes_per_s: Read bandwidth of its port [B/s].
    """

    name: str
    items: dict[str, int]
    capacity_bytes: int
    read_bytes_per_s: float
    not_counted: tuple[str, ...] = ()

    @property
    def need_bytes(self) -> int:
        """Sum of the needs."""
        return sum(self.items.values())

    @property
    def margin_bytes(self) -> int:
        """What is left; negative where the net does not fit."""
        return self.capacity_bytes - self.need_bytes

    @property
    def fits(self) -> bool:
        """Whether everything fits."""
        return self.margin_bytes >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTensor:
    """A buffer of the arena: which tensors, where, and for which layers (indices, inclusive).

    Attributes:
        tensors: The tensors that share it; a word for what it is where it holds none.
        offset_bytes: Its first byte in the arena.
        size_bytes: Its size.
        first_layer: Index of the layer that writes it, −1 for an input of the net.
        last_layer: Index of the last layer that reads it; the number of layers for an output of the net.
        role: tensor, padded (a padded copy of an input), rows (some rows of a tensor that is never whole) or scratch.
    """

    tensors: tuple[str, ...]
    offset_bytes: int
    size_bytes: int
    first_layer: int
    last_layer: int
    role: str = "tensor"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a net costs on a chip. Totals are sums over ``layers``; the same numbers stand in tables, JSON and plots.

    Attributes:
        net: The net's name.
        chip: The chip's name.
        runtime: The kernel library, or empty for arrays alone.
        batch: Images per inference.
        dtype: The dtype the net was costed at; "as stored (int8)" where it is the net's own, named by most of its MACs.
        objective: What mappings were chosen for.
        clock_hz: Clock of the first engine in use [Hz].
        peak_macs_per_s: What each engine in use can do at most, at the dtype of its layers [MAC/s].
        params: Parameters (elements).
        param_bytes: Their bytes.
        layers: One record per layer.
        memories: One record per memory.
        arena: The activation plan, largest buffers first.
        arena_lower_bound_bytes: What no plan can go below [B].
        arena_planner: Who planned it.
        peak_layer: Name of the layer during which the arena is used to its end; of several, that with most alive.
        peak_tensors: What lives then, from the lowest offset up.
        reason: Why the net does not run, or empty.
        ways_out: For each memory that is too small, the nearest change with which it would do.
        duty: What the chip draws that runs it again and again, where that was asked.
        error_p90: 90th percentile of the relative error against silicon, or None: not validated.
        error_source: What that error was measured on, or why there is none.
        assumptions: What the profile left open and what stands in its place.
        outside: What the numbers leave out.
        warnings: What else a reader should know, each once.
    """

    net: str
    chip: str
    runtime: str
    batch: int
    dtype: str
    objective: str
    clock_hz: float
    peak_macs_per_s: dict[str, float]
    params: int
    param_bytes: int
    layers: tuple[LayerReport, ...]
    memories: tuple[MemoryReport, ...]
    arena: tuple[LiveTensor, ...]
    arena_lower_bound_bytes: int
    arena_planner: str
    peak_layer: str
    peak_tensors: tuple[LiveTensor, ...]
    reason: str = ""
    ways_out: tuple[str, ...] = ()
    duty: DutyCycle | None = None
    error_p90: float | None = None
    error_source: str = "not validated"
    assumptions: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def fits(self) -> bool:
        """Whether every memory holds what it has to."""
        return all(memory.fits for memory in self.memories)

    @property
    def arena_bytes(self) -> int:
        """What the activation plan takes: the highest end of a buffer [B]."""
        return max((place.offset_bytes + place.size_bytes for place in self.arena), default=0)

    @property
    def arena_gap(self) -> float:
        """How far the plan is above what no plan can go below, a share of that; zero is the optimum."""
        bound = self.arena_lower_bound_bytes
        return self.arena_bytes / bound - 1 if bound else 0.0

    @property
    def runs(self) -> bool:
        """Whether latency and energy have meaning; ``reason`` says why not."""
        return not self.reason

    @property
    def latency_s(self) -> float:
        """Latency of one inference of the whole batch [s]; nan where the net does not run."""
        return sum(layer.latency_s for layer in self.layers) if self.runs else nan

    @property
    def energy_j(self) -> float:
        """Energy of one inference of the whole batch [J]; nan where the net does not run."""
        return sum(layer.energy_j for layer in self.layers) if self.runs else nan

    @property
    def energy_parts_j(self) -> dict[str, float]:
        """Energy by share [J]."""
        return _summed(layer.energy_parts_j for layer in self.layers)

    @property
    def power_w(self) -> float:
        """Mean power while it runs [W]."""
        return self.energy_j / self.latency_s if self.latency_s else nan

    @property
    def cycles(self) -> float:
        """Engine cycles of all layers."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return sum(layer.macs for layer in self.layers)

    @property
    def ops(self) -> int:
        """Other elementary operations."""
        return sum(layer.ops for layer in self.layers)

    @property
    def traffic_bytes(self) -> dict[str, int]:
        """Bytes across each memory's port."""
        return _summed(layer.traffic_bytes for layer in self.layers)

    @property
    def traffic_parts_bytes(self) -> dict[str, dict[str, int]]:
        """Bytes across each memory's port by direction and tensor: memory -> ``read_filter``, … -> bytes."""
        return {
            name: _summed(layer.traffic_parts_bytes.get(name, {}) for layer in self.layers)
            for name in self.traffic_bytes
        }

    @property
    def compulsory_bytes(self) -> int:
        """Each touched element of each layer once [B]."""
        return sum(layer.compulsory_bytes for layer in self.layers)

    @property
    def compulsory_ratio(self) -> float:
        """What the memories that hold tensors move, over what they must move at least."""
        return self.home_traffic_bytes / self.compulsory_bytes if self.compulsory_bytes else nan

    @property
    def home_names(self) -> tuple[str, ...]:
        """The memories that hold whole tensors."""
        return tuple(memory.name for memory in self.memories if {"activations", "weights"} & set(memory.items))

    @property
    def home_traffic_bytes(self) -> int:
        """Bytes across their ports."""
        return sum(self.traffic_bytes[name] for name in self.home_names)

    @property
    def io_bound_bytes(self) -> int:
        """What they must move at least, in whatever order each layer's MACs are done [B]."""
        return sum(layer.io_bound_bytes for layer in self.layers)

    @property
    def io_bound_ratio(self) -> float:
        """What they move, over that."""
        return self.home_traffic_bytes / self.io_bound_bytes if self.io_bound_bytes else nan

    @property
    def peak_bytes(self) -> dict[str, int]:
        """What each memory has to hold [B]."""
        return {memory.name: memory.need_bytes for memory in self.memories}

    @property
    def utilization(self) -> float:
        """MACs done over what the engines could do in the cycles of layers with MACs, 0..1."""
        peak = sum(layer.macs_done / layer.utilization for layer in self.layers if layer.utilization > 0)
        return sum(layer.macs_done for layer in self.layers) / peak if peak else nan

    @property
    def unknown_layers(self) -> tuple[str, ...]:
        """Layers let in unknown: they cost nothing here."""
        return tuple(layer.name for layer in self.layers if layer.kind == "unknown")

    @property
    def coverage(self) -> str:
        """What share of the net the numbers cover, as a line."""
        modelled = len(self.layers) - len(self.unknown_layers)
        share = "100 % of known MACs" if self.unknown_layers else "100 % of MACs"
        return f"{share}, {modelled} of {len(self.layers)} layers modelled"

    def with_measurements(self, measured: Mapping_[str, dict[str, float]]) -> Report:
        """Return the report with what a forward pass measured, by layer name; layers not named stay as they are."""
        layers = tuple(replace(layer, measured=measured.get(layer.name, {})) for layer in self.layers)
        return replace(self, layers=layers)

    def rows(self) -> list[dict[str, Json]]:
        """Return a flat record per layer, for a DataFrame or a CSV; units are in the names."""
        return [_flat(index, layer) for index, layer in enumerate(self.layers)]

    def to_dict(self) -> dict[str, Json]:
        """Return everything as JSON values; a number without meaning is null, and ``reason`` says why."""
        from hwsim.report.export import report_dict

        return report_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping_[str, Json]) -> Report:
        """Return the report that ``to_dict`` gave.

        Raises:
            UsageError: The record is none of these, or of another schema.
        """
        from hwsim.report.export import report_of

        return report_of(data)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return ``to_dict`` as JSON text."""
        from hwsim.report.export import report_json

        return report_json(self, indent=indent)

    def to_csv(self) -> str:
        """Return ``rows`` as CSV text."""
        from hwsim.report.export import rows_csv

        return rows_csv(self.rows())

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        from hwsim.report.render import html_report

        return html_report(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Show the table where rich prints."""
        from hwsim.report.render import rich_report

        yield rich_report(self, width=options.max_width)

    def __str__(self) -> str:
        """Return the one line a person would quote."""
        from hwsim.report.facts import quote

        return quote(self)


def _summed(parts: Iterable[dict[str, Number]]) -> dict[str, Number]:
    """Add records key by key; a part without meaning (nan) adds nothing."""
    total: dict[str, Number] = {}
    for part in parts:
        for name, value in part.items():
            if not isnan(value):
                total[name] = total.get(name, 0) + value
    return total


def _flat(index: int, layer: LayerReport) -> dict[str, Json]:
    row: dict[str, Json] = {
        "index": index,
        "layer": layer.name,
        "kind": layer.kind,
        "engine": layer.engine,
        "ofmap_shape": "x".join(map(str, layer.ofmap_shape)),
        "macs": layer.macs,
        "ops": layer.ops,
        "cycles": layer.cycles,
        "latency_s": layer.latency_s,
        "bound": layer.bound,
        "macs_done": layer.macs_done,
        "utilization": layer.utilization,
        "compulsory_bytes": layer.compulsory_bytes,
        "io_bound_bytes": layer.io_bound_bytes,
        "weight_bytes": layer.weight_bytes,
        "live_bytes": layer.live_bytes,
        "energy_j": layer.energy_j,
        "resident": " ".join(layer.resident),
        "resident_bytes": layer.resident_bytes,
        "fused": layer.fused,
        "reason": layer.reason,
    }
    row |= {f"traffic_{name}_bytes": count for name, count in layer.traffic_bytes.items()}
    row |= {
        f"traffic_{name}_{part}_bytes": count
        for name, parts in layer.traffic_parts_bytes.items()
        for part, count in parts.items()
    }
    row |= {f"time_{name}_s": seconds for name, seconds in layer.terms_s.items()}
    row |= {f"energy_{name}_j": energy for name, energy in layer.energy_parts_j.items()}
    return row | layer.measured
