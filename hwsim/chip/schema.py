"""The profile schema: one chip as the cost models see it, one YAML file each in ``hw_profiles/``.

Fields carry the units people write (MHz, KiB, pJ/byte); what the models read are properties and hardware points in SI
and bytes. Physics has no defaults: a missing number is asked for. Structure has documented defaults, which reports
list.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, field_validator, model_validator

from hwsim.chip.buffers import DOUBLE_BUFFERED, OPERANDS, Operand, Transfers, tile_buffers
from hwsim.chip.dataflows import DATAFLOWS, Dataflow, Spad
from hwsim.chip.kernels import KERNEL_KINDS, EngineDType, KernelKind, KernelTable
from hwsim.chip.runtimes import Runtime
from hwsim.chip.sparsity import GOLOMB_RICE, Sparsity
from hwsim.units import BYTES_PER_GB, BYTES_PER_KIB, BYTES_PER_MIB, HZ_PER_MHZ

NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
# Engines and memories stand in paths, which are split at dots.
PART_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
MAX_SIZE_BYTES = 2**50
Contents = Literal["weights", "activations"]
Regulator = Literal["linear", "smps"]
StageKind = Literal["macs", "elementwise", "multiply", "activation", "pool", "global_pool"]
BlockDim = Literal["K", "P", "Q"]
BlockOperand = Literal["ifmap", "ofmap"]
Preference = Literal["macs", "fetches", "small_blocks"]
InterLayer = Literal["resident", "fused"]
MemoryKind = Literal["sram", "tcm", "cache", "flash", "dram"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Memory(_Model):
    """A memory: its size, its port, what an access costs, and what may live there."""

    name: str = Field(pattern=PART_NAME, description="Unique name; without the size, which has a field of its own.")
    size_bytes_: int | None = Field(None, alias="size_bytes", gt=0, description="Size. [B]")
    size_kib: Positive | None = Field(None, description="Size. [KiB]")
    size_mib: Positive | None = Field(None, description="Size. [MiB]")
    bytes_per_cycle: Positive | None = Field(None, description="Port width per cycle of the chip's clock. [B/cycle]")
    gb_per_s: Positive | None = Field(None, description="Port bandwidth, instead of bytes_per_cycle. [1e9 B/s]")
    write_share: Positive = Field(1.0, le=1, description="Write bandwidth over read bandwidth.")
    latency_cycles: NotNegative = Field(0.0, description="Cycles before a transfer's first byte. [cycle]")
    pj_per_byte: NotNegative | Literal["cacti"] | None = Field(
        None, description="Energy of an access [pJ/B], or cacti: an SRAM of this size at process_nm, by CACTI 7."
    )
    write_pj_per_byte: NotNegative | None = Field(None, description="Energy of a write, where it differs. [pJ/B]")
    kind: MemoryKind | None = Field(
        None, description="sram, tcm, cache, flash or dram; default: dram if last, else sram."
    )
    holds: tuple[Contents, ...] = Field(("weights", "activations"), min_length=1, description="What may live there.")
    operands: tuple[Operand, ...] | None = Field(
        None,
        min_length=1,
        description="As a tile buffer: the operands it holds, of ifmap, filter, ofmap; default: all.",
    )
    transfers: Transfers = Field(
        DOUBLE_BUFFERED,
        description="As a tile buffer: double_buffered (two copies of a tile; transfers overlap work, first fill and "
        "last drain count), serial (one copy, transfers and work take turns), or ideal (one copy, all overlap).",
    )
    reserved_kib: NotNegative = Field(0.0, description="What the application keeps for itself. [KiB]")
    stall_ns_per_byte: NotNegative = Field(
        0.0, description="What a core waits per byte it reads here, over a memory without wait states. [ns/B]"
    )
    reread_ns_per_byte: NotNegative | None = Field(
        None, description="The same when it reads a byte again; default: as the first time. [ns/B]"
    )
    cache_kib: NotNegative = Field(0.0, description="Cache between a core and this memory; 0: none. [KiB]")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        sizes = [name for name in ("size_bytes", "size_kib", "size_mib") if name in _given(self)]
        if len(sizes) != 1:
            raise ValueError(f"size: give one of size_bytes, size_kib, size_mib (given: {', '.join(sizes) or 'none'})")
        ports = [name for name in ("bytes_per_cycle", "gb_per_s") if name in _given(self)]
        if len(ports) != 1:
            raise ValueError(f"bandwidth: give one of bytes_per_cycle, gb_per_s (given: {', '.join(ports) or 'none'})")
        if self.size_bytes > MAX_SIZE_BYTES:
            raise ValueError(f"size = {self.size_bytes} B: must be <= 2^50 B")
        if self.reserved_bytes >= self.size_bytes:
            raise ValueError(f"reserved_kib = {self.reserved_kib:g}: must be less than the memory's size")
        if self.kind == "flash" and self.holds != ("weights",):
            raise ValueError("kind = flash: cannot be written to while running; give holds: [weights]")
        return self

    @property
    def size_bytes(self) -> int:
        """Size [B]."""
        if self.size_bytes_ is not None:
            return self.size_bytes_
        if self.size_kib is not None:
            return round(self.size_kib * BYTES_PER_KIB)
        return round((self.size_mib or 0) * BYTES_PER_MIB)

    @property
    def reserved_bytes(self) -> int:
        """What the application keeps [B]."""
        return round(self.reserved_kib * BYTES_PER_KIB)

    def bytes_per_s(self, clock_hz: float) -> float:
        """Return the read bandwidth [B/s] at the chip's clock."""
        if self.bytes_per_cycle is not None:
            return self.bytes_per_cycle * clock_hz
        return (self.gb_per_s or 0) * BYTES_PER_GB


class _Engine(_Model):
    name: str = Field(pattern=PART_NAME, description="Unique name.")
    clock_mhz: Positive | None = Field(None, description="Its clock; default: the chip's. [MHz]")
    memories: tuple[str, ...] | None = Field(
        None, min_length=1, description="Memories it reaches, nearest first; default: all."
    )
    takes: tuple[KernelKind, ...] = Field(KERNEL_KINDS, min_length=1, description="Layer kinds it runs; default: all.")
    kernels: dict[str, str] = Field(
        {},
        description="Runtime -> kernel table that says what layers cost beside the array's cycles; with another "
        "runtime the array is not used; default: its cycles alone.",
    )
    default_runtime: str | None = Field(None, description="The runtime used when none is asked for; default: the last.")
    run_mw: Positive | None = Field(
        None,
        description="Power of the whole chip at its supply while this engine runs, MACs and memories included. [mW]",
    )
    rated_mhz: Positive | None = Field(
        None,
        description="Clock at which run_mw was measured, from where it follows the clock; default: it does not. [MHz]",
    )
    run_fixed_mw: NotNegative = Field(
        0.0, description="What of run_mw does not follow the clock: leakage, regulators, what is always on. [mW]"
    )

    # Set by the loader, which knows where kernel tables and runtimes lie.
    _table: KernelTable | None = PrivateAttr(None)
    _memory: Runtime | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _runtime_known(self) -> Self:
        if self.default_runtime is not None and self.default_runtime not in self.kernels:
            known = ", ".join(self.kernels) or "those of kernels, and there are none"
            raise ValueError(f"default_runtime = {self.default_runtime!r}: must be one of {known}")
        return self

    @property
    def runtime(self) -> str:
        """The runtime in force; empty where there is none."""
        return self.default_runtime or next(reversed(self.kernels), "")

    @property
    def kernel_table(self) -> KernelTable:
        """The kernel table in force."""
        assert self._table is not None, "a chip's kernel tables are attached when it is loaded"
        return self._table

    @property
    def memory_facts(self) -> Runtime | None:
        """What the runtime in force does with memory, or None where no file tells of it."""
        return self._memory

    def with_table(self, table: KernelTable, memory: Runtime | None = None) -> Self:
        """Return the engine with its kernel table, and what its runtime does with memory, attached."""
        engine = self.model_copy()
        engine._table, engine._memory = table, memory
        return engine

    def memory_names(self, chip: ChipFields) -> list[str]:
        """Return the memories it reaches, nearest first."""
        return list(self.memories) if self.memories is not None else [memory.name for memory in chip.memories]


class ArrayEngine(_Engine):
    """A MAC array fed from the nearest memory it reaches."""

    kind: Literal["array"] = Field(description="Makes it an array.")
    rows: int = Field(gt=0, le=65536, description="Rows of PEs.")
    cols: int = Field(gt=0, le=65536, description="Columns of PEs.")
    dataflows: tuple[str | Dataflow, ...] = Field(min_length=1, description="Names of built-in dataflows, or own ones.")
    macs_per_pe: dict[EngineDType, Positive] = Field(
        {"int8": 1.0}, min_length=1, description="MACs of a PE per cycle, by dtype."
    )
    sub_array: bool = Field(
        False,
        description="Whether a layer may use a part of the array: its rows and columns halved any number of times.",
    )
    psum_bytes: int = Field(4, gt=0, le=8, description="Bytes of a partial sum. [B]")
    vector_lanes: int | None = Field(None, gt=0, description="Elementwise operations per cycle; default: cols.")
    stage_per_cycle: dict[StageKind, Positive] = Field(
        {},
        description="Elements per cycle of the stage behind the MACs: macs (outputs of layers with MACs, which it "
        "takes block by block while the MACs work on the next), elementwise, multiply and activation (outputs), pool "
        "(inputs of windows), global_pool (the same where one pixel is left); default: macs never wait, others take "
        "vector_lanes.",
    )
    blocks_in_flight: int | None = Field(
        None,
        gt=0,
        description="Blocks on their way through MACs and the stage behind them at once, with stage_per_cycle; buffers "
        "then hold two of each tile even where a layer has one; default: any number.",
    )
    block_least_channels: int = Field(
        1, gt=0, le=65536, description="Least output channels of a block, where a layer has so many."
    )
    block_most: dict[BlockDim, Annotated[int, Field(gt=0, le=65536)]] = Field(
        {}, description="Most output channels (K), rows (P) and columns (Q) of a block; default: any number."
    )
    block_banks_kib: dict[BlockOperand, Positive] = Field(
        {},
        description="Banks of which ifmap and psums of blocks take whole ones in their buffer; default: single bytes. "
        "[KiB]",
    )
    image_bytes_per_cycle: Positive | None = Field(
        None,
        description="Bytes per cycle at which it fetches an image, a net's input of at most 16 channels, whose pixels "
        "are short runs of memory; default: as any map. [B/cycle]",
    )
    channel_bytes: NotNegative | None = Field(
        None,
        description="Bytes of biases and scales that come with the filters of an output channel; default: the net's "
        "biases. [B]",
    )
    channel_cycles: NotNegative = Field(
        0.0,
        description="Cycles until the biases and scales of an output channel are there, in every block, while the MACs "
        "work; with stage_per_cycle.macs. [cycle]",
    )
    prefetches_filters: bool = Field(
        False, description="Whether a layer's first filters are fetched during the layer before it."
    )
    prefers: tuple[Preference, ...] = Field(
        (),
        description="What its compiler chooses mappings by, in this order: cycles of the MACs alone (macs), bytes of "
        "ifmap and filters that blocks fetch (fetches), small_blocks; default: by the objective that is asked for.",
    )
    bus_bytes_per_cycle: dict[Spad, Positive] = Field(
        {},
        description="Widths of the networks that carry ifmap, filter and psum (each way) between buffers and PEs; "
        "default: no limit. [B/cycle]",
    )
    zeros: dict[Operand, Annotated[float, Field(ge=0, lt=1)]] = Field(
        {}, description="Share of zeros among the elements of ifmap, filter and ofmap; default: 0."
    )
    gates: tuple[Literal["ifmap", "filter"], ...] = Field(
        (), description="Operands whose zeros take no MAC energy, but their cycles; see skips of a dataflow."
    )
    coded: dict[Operand, Annotated[float, Field(gt=0, le=2)] | Literal["run_length", "golomb_rice"]] = Field(
        {},
        description="How an operand is coded at home: bytes over plain bytes, or run_length (pairs of a 5-bit run of "
        "zeros and a word, packed into 64 bits), or golomb_rice (of filters: by the values of each layer's weights, "
        "plain where the net has none); buffers hold it plain; default: plain.",
    )

    inter_layer: tuple[InterLayer, ...] = Field(
        (),
        description="What it does between layers. resident: tensors stay in the tile buffer of ifmap and ofmap while "
        "there is room; fused: elementwise layers are done on an ofmap as it leaves; default: nothing, every layer "
        "takes its ifmap from home and brings its ofmap there.",
    )

    @field_validator("coded")
    @classmethod
    def _filters_by_value(cls, coded: dict[Operand, object]) -> dict[Operand, object]:
        for operand, code in coded.items():
            if code == GOLOMB_RICE and operand != "filter":
                raise ValueError(f"{operand} = {GOLOMB_RICE}: only filters have values before a net runs")
        return coded

    def buffers(self, chip: ChipFields) -> dict[Operand, str]:
        """Return the tile buffer of each operand that has one; the others stream from their home."""
        return tile_buffers([(name, chip.memory(name).operands) for name in self.memory_names(chip)])

    def homes(self, chip: ChipFields) -> list[str]:
        """Return the memories it reaches that can hold whole tensors, nearest first."""
        buffers = set(self.buffers(chip).values())
        return [name for name in self.memory_names(chip) if name not in buffers]

    @cached_property
    def sparsity(self) -> Sparsity:
        """What of its data is zero, and who saves what by it."""
        ifmap, filter_, ofmap = (self.zeros.get(operand, 0.0) for operand in OPERANDS)
        ifmap_code, filter_code, ofmap_code = (self.coded.get(operand, 1.0) for operand in OPERANDS)
        return Sparsity((ifmap, filter_, ofmap), self.gates, (ifmap_code, filter_code, ofmap_code))

    @cached_property
    def dataflow_table(self) -> tuple[Dataflow, ...]:
        """Its dataflows, names looked up."""
        return tuple(DATAFLOWS[flow] if isinstance(flow, str) else flow for flow in self.dataflows)


class CoreEngine(_Engine):
    """A processor that runs a kernel library; what the library costs is in its kernel table."""

    kind: Literal["core"] = Field(description="Makes it a core.")
    core: str = Field(description="The core, such as cortex-m7.")
    cores: int = Field(1, gt=0, le=1024, description="Cores that share a layer, as the kernel table was measured.")
    peak_macs_per_cycle: dict[EngineDType, Positive] = Field(
        min_length=1, description="MACs of a core per cycle, by dtype."
    )
    kernels: dict[str, str] = Field(min_length=1, description="Runtime -> kernel table, a file of hw_profiles/kernels.")


Engine = Annotated[ArrayEngine | CoreEngine, Discriminator("kind")]


class ChipFields(_Model):
    """The fields of a chip: engines, memories nearest first, prices, and where every number is from."""

    schema_: int = Field(alias="schema", ge=1, le=1, description="Version of this format: 1.")
    name: str = Field(pattern=NAME, description="The chip's name.")
    title: str = Field("", max_length=200, description="The chip in one line.")
    clock_mhz: Positive = Field(description="Clock of memories, and of engines without one of their own. [MHz]")
    process_nm: Positive | None = Field(None, description="Process node. [nm]")
    supply_v: Positive | None = Field(None, description="Supply voltage it runs at. [V]")
    rated_v: Positive | None = Field(
        None, description="Supply voltage at which its power figures were measured; default: supply_v. [V]"
    )
    regulator: Regulator | None = Field(
        None, description="What feeds the core. linear: the current is the same at any supply; smps: the power is."
    )
    engines: tuple[Engine, ...] = Field(
        min_length=1, max_length=16, description="In the order they are offered layers."
    )
    memories: tuple[Memory, ...] = Field(min_length=1, max_length=16, description="Nearest to the engines first.")
    mac_pj: dict[EngineDType, NotNegative] = Field({}, description="Energy of a MAC, by dtype. [pJ]")
    static_mw: NotNegative | None = Field(
        None, description="Power while on, besides what engines and accesses take. [mW]"
    )
    idle_mw: NotNegative | None = Field(
        None, description="Power of the whole chip while it waits with its clocks on, the core stopped. [mW]"
    )
    sleep_uw: NotNegative | None = Field(
        None, description="Power of the whole chip in the deepest sleep that keeps its RAM. [µW]"
    )
    wake_us: NotNegative = Field(0.0, description="Time from that sleep until the core runs, at the core's power. [µs]")
    outside: tuple[str, ...] = Field((), description="What the numbers leave out.")
    sources: dict[str, str] = Field(min_length=1, description="Field path or * -> document and table, or 'assumed'.")

    @property
    def clock_hz(self) -> float:
        """The chip's clock [Hz]."""
        return self.clock_mhz * HZ_PER_MHZ

    def memory(self, name: str) -> Memory:
        """Return the memory of that name."""
        return next(memory for memory in self.memories if memory.name == name)

    def engine(self, name: str) -> ArrayEngine | CoreEngine:
        """Return the engine of that name."""
        return next(engine for engine in self.engines if engine.name == name)

    def memory_kind(self, memory: Memory) -> MemoryKind:
        """Return a memory's kind: as given, else DRAM for the last of several and SRAM for the others."""
        if memory.kind is not None:
            return memory.kind
        return "dram" if len(self.memories) > 1 and memory is self.memories[-1] else "sram"


def _given(model: BaseModel) -> set[str]:
    """Return the fields that the file gives, by their names in the file."""
    fields = type(model).model_fields
    return {fields[name].alias or name for name in model.model_fields_set if getattr(model, name) is not None}


def plain(model: BaseModel) -> dict[str, Any]:
    """Return a model's given fields as plain values, as they would stand in the file."""
    return model.model_dump(by_alias=True, exclude_unset=True)
