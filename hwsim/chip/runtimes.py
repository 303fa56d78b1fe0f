"""What a runtime does with memory: its planner, scratch, padding, results over inputs, and what it takes for itself.

These are facts of a release of a kernel library, not of a core: one YAML file each in ``hw_profiles/runtimes/``, found
by the runtimes that it names. Nothing here is code of one library; a runtime of one's own is a file beside the chip's.
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from hwsim.chip.kernels import EngineDType, KernelKind, rate_dtype

Planner = Literal["greedy_by_size", "first_fit", "reverse_fit", "search"]
Padding = Literal["inside", "before", "written"]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KindMemory(_Facts):
    """What one kind of kernel at one dtype does with memory."""

    scratch_bytes: NotNegative = Field(0.0, description="Scratch of a call. [B]")
    scratch_bytes_per_tap: NotNegative = Field(
        0.0, description="Scratch per product that makes up one output: R·S·C/groups, an im2col column. [B]"
    )
    scratch_bytes_per_filter: NotNegative = Field(0.0, description="Scratch per output channel. [B]")
    scratch_bytes_per_weight: NotNegative = Field(0.0, description="Scratch per weight, unpacked for the call. [B]")
    scratch_weight_bytes_max: NotNegative | None = Field(
        None, description="Most that unpacked weights take; default: no limit. [B]"
    )
    padding: Padding = Field(
        "inside",
        description="inside: the kernel pads as it reads. before: a padded copy is made first, over the input where "
        "nobody else reads that. written: the layer before writes into a padded buffer.",
    )
    overlay: bool = Field(
        False, description="Whether the result may lie over an input that nobody reads any more, row by row."
    )
    overlay_growth_max: Positive | None = Field(
        None, description="Largest result over input for which it does; default: any."
    )


PLAIN = KindMemory()


class OwnMemory(_Facts):
    """What a runtime takes for itself, RAM and code, by the size of the net."""

    ram_bytes: NotNegative = Field(description="RAM besides what layers add. [B]")
    ram_bytes_per_layer: NotNegative = Field(0.0, description="More of it per layer with MACs. [B]")
    ram_bytes_per_other_layer: NotNegative = Field(0.0, description="More of it per layer without MACs. [B]")
    code_bytes: NotNegative = Field(description="Flash of kernels and runtime, besides what layers add. [B]")
    code_bytes_per_layer: NotNegative = Field(0.0, description="More of it per layer. [B]")
    code_bytes_per_filter: NotNegative = Field(0.0, description="More of it per output channel: scales. [B]")


class Runtime(_Facts):
    """What a runtime does with memory."""

    schema_: Literal[1] = Field(alias="schema", description="Version of this format: 1.")
    name: str = Field(description="The file's name without its ending.")
    runtimes: tuple[str, ...] = Field(min_length=1, description="The words users pick it by, as in chips' kernels.")
    planner: Planner = Field(
        "greedy_by_size",
        description="Who places buffers: greedy_by_size (largest first), first_fit (in order of life), reverse_fit "
        "(against it), search (near the optimum).",
    )
    alignment_bytes: int = Field(1, ge=1, le=4096, description="Buffers start at multiples of it. [B]")
    input_in_arena: bool = Field(True, description="Whether the net's inputs live in the arena.")
    output_in_arena: bool = Field(True, description="Whether the net's outputs live in the arena.")
    concat_in_place: bool = Field(False, description="Whether inputs of a concat are written where its result stands.")
    fuses_pooling: bool = Field(
        False,
        description="Whether a convolution and the unpadded maximum pooling after it run as one, a few rows at a time.",
    )
    splits_arena: bool = Field(
        False, description="Whether an arena too large for the memories on the chip is split between them and outside."
    )
    kinds: dict[EngineDType, dict[KernelKind, KindMemory]] = Field({}, description="By dtype and layer kind.")
    own: dict[EngineDType, OwnMemory] = Field(
        {}, description="What it takes for itself, by the dtype of most MACs; default: as the kernel table says."
    )
    fitted_to: str = Field("", description="What the numbers without another source were fitted to.")
    sources: dict[str, str] = Field(min_length=1, description="Field or * -> document, 'measured' or 'assumed'.")

    def habits(self, dtype: str, kind: str) -> KindMemory:
        """Return what a kind of kernel does; nothing where the file says nothing. uint8 runs as int8."""
        return self.kinds.get(rate_dtype(dtype), {}).get(cast("KernelKind", kind), PLAIN)

    def takes(self, dtype: str) -> OwnMemory | None:
        """Return what it takes for itself to run nets of a dtype; None where the file does not say."""
        return self.own.get(rate_dtype(dtype))
