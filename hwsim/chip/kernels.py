"""Kernel tables: what a kernel library costs on a core, by dtype and layer kind."""

from __future__ import annotations

from typing import Literal, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hwsim.errors import CostError

KernelKind = Literal[
    "conv",
    "pointwise",
    "depthwise",
    "transposed_conv",
    "dense",
    "matmul",
    "pool",
    "elementwise",
    "activation",
    "softmax",
    "norm",
    "resize",
    "copy",
]
KERNEL_KINDS: tuple[KernelKind, ...] = get_args(KernelKind)
# What a table lists: kinds, and variants of a kind that cost so much more that they may stand apart.
KernelEntry = Literal[KernelKind, "multiply", "exponential"]
CONV_LIKE: tuple[KernelKind, ...] = ("conv", "pointwise", "transposed_conv", "dense", "matmul")
EngineDType = Literal["float32", "float16", "int16", "int8", "int4"]
ENGINE_DTYPES: tuple[EngineDType, ...] = get_args(EngineDType)
FLOAT_DTYPES = frozenset({"float32", "float16"})


def rate_dtype(dtype: str) -> EngineDType:
    """Return the dtype by whose rates, kernels and prices another runs: uint8 as int8, others as themselves."""
    return cast("EngineDType", "int8" if dtype == "uint8" else dtype)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KernelCost(_Model):
    """Cycles of one kind of layer: a sum of nonnegative terms."""

    cycles_per_mac: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="Per MAC, lanes filled up; per op without MACs."
    )
    cycles_per_output: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per ofmap element.")
    cycles_per_input: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per ifmap element.")
    cycles_per_pixel: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per ofmap position, all channels.")
    cycles_per_column: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="Per element gathered into im2col columns, lanes filled up."
    )
    cycles_per_ragged_mac: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="More per MAC of a k×k layer whose channels do not fill the lanes."
    )
    cycles_per_thin_output: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="More per ofmap element of a k×1 kernel, k > 1."
    )
    cycles_per_weight_byte: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per byte of weights and biases.")
    cycles_per_call: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per layer.")
    cycles_per_array_cycle: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="On an array: per cycle of its mapping."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give at least one coefficient")
        return self

    def scaled(self, factor: float, *, weight_byte: float, call: float) -> KernelCost:
        """Return the costs times a factor; weight bytes and calls have one of their own."""
        own = {"cycles_per_weight_byte": weight_byte, "cycles_per_call": call}
        return KernelCost(**{name: getattr(self, name) * own.get(name, factor) for name in self.model_fields_set})


class FitError(_Model):
    """How far a table is off measured rows."""

    mape: float = Field(ge=0, allow_inf_nan=False, description="Mean of |error| / measured, a fraction.")
    p90: float | None = Field(None, ge=0, allow_inf_nan=False, description="90th percentile of it.")
    n: int = Field(ge=1, description="Rows.")


class Factors(_Model):
    """How the integer kernels of a release of a library differ from the physical table of its core."""

    conv: float = Field(1.0, gt=0, allow_inf_nan=False, description="Of convolutions, dense layers and products.")
    other: float = Field(1.0, gt=0, allow_inf_nan=False, description="Of depthwise and all other layers, and of calls.")
    stream: float = Field(1.0, gt=0, allow_inf_nan=False, description="Of weight bytes and of waiting for memories.")


class KernelTable(_Model):
    """What a release of a kernel library costs on a core.

    The physical table of a core is stated once; the table of a release names it as ``base`` and says by which factors
    its integer kernels differ.
    """

    schema_: Literal[1] = Field(alias="schema", description="Version of this format.")
    name: str = Field(description="The file's name without its ending.")
    core: str = Field(description="The core, such as cortex-m7.")
    library: str = Field(description="Library and release, as its makers write it.")
    runtime: str = Field(description="The word users pick it by.")
    base: str | None = Field(None, description="The physical table that the factors apply to; a file beside this one.")
    factors: Factors = Field(Factors(), description="What they are.")
    dtypes: dict[EngineDType, dict[KernelEntry, KernelCost]] = Field(
        {}, description="Costs by dtype and layer kind; with a base, what differs from it beyond the factors."
    )
    inner_lanes: int = Field(1, ge=1, le=1024, description="Products that a step of the inner loop takes at once.")
    filter_lanes: int = Field(1, ge=1, le=1024, description="Filters that the inner loop works on at once.")
    weight_reuse: float = Field(
        1.0, ge=1, allow_inf_nan=False, description="Ofmap positions that use a weight each time it is read."
    )
    stall_factor: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="Times that the profile says memories keep a core waiting are multiplied by it, and by the factor "
        "stream.",
    )
    parallel_efficiency: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share of a core that each further one adds; default: cycles are those of all cores together.",
    )
    runtime_ram_kib: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="RAM the runtime takes for itself. [KiB]"
    )
    code_flash_kib: float = Field(0.0, ge=0, allow_inf_nan=False, description="Flash of kernels and runtime. [KiB]")
    fitted_to: str = Field(description="What the coefficients were fitted to, or 'assumed' and from what.")
    fit_error: FitError | None = Field(None, description="In-sample error of the fit.")
    left_out_error: FitError | None = Field(None, description="Error on rows that a fit without them predicts.")
    sources: dict[str, str] = Field(min_length=1, description="Field or * -> document and table.")

    @model_validator(mode="after")
    def _costs_something(self) -> Self:
        if self.base is None and not self.dtypes:
            raise ValueError("dtypes: missing: give costs by dtype and layer kind, or a base table")
        if self.base is None and self.factors != Factors():
            raise ValueError("factors: they apply to a base table, and none is given")
        return self

    def over(self, base: KernelTable) -> KernelTable:
        """Return the table with its base's costs times its factors; what it states itself stands as it is."""
        dtypes = {
            dtype: {kind: self._scaled(dtype, kind, cost) for kind, cost in costs.items()} | self.dtypes.get(dtype, {})
            for dtype, costs in base.dtypes.items()
        }
        dtypes |= {dtype: costs for dtype, costs in self.dtypes.items() if dtype not in dtypes}
        own = self.model_fields_set
        shared = ("inner_lanes", "filter_lanes", "weight_reuse", "stall_factor", "parallel_efficiency")
        taken = {name: getattr(base, name) for name in shared if name not in own}
        return self.model_copy(update={**taken, "dtypes": dtypes})

    def _scaled(self, dtype: EngineDType, kind: KernelEntry, cost: KernelCost) -> KernelCost:
        if dtype in FLOAT_DTYPES:
            return cost
        factors = self.factors
        main = factors.conv if kind in CONV_LIKE else factors.other
        return cost.scaled(main, weight_byte=factors.stream, call=factors.other)

    def stalls(self, dtype: str) -> float:
        """Return how often a kernel waits the times that the profile says memories keep a core waiting."""
        return self.stall_factor * (1.0 if dtype in FLOAT_DTYPES else self.factors.stream)

    def has(self, dtype: str, kind: str) -> bool:
        """Return whether the table has costs of a layer kind at a dtype; uint8 runs as int8."""
        kinds = self.dtypes.get(rate_dtype(dtype))
        return kinds is not None and kind in kinds

    def cost(self, dtype: str, kind: str, *, where: str, variant: str = "") -> KernelCost:
        """Return the costs of a layer kind at a dtype; uint8 runs as int8.

        Args:
            dtype: The layer's dtype.
            kind: Its kind.
            where: What to call the layer in an error.
            variant: A variant of the kind, where the layer is one; the kind's costs hold unless the table has its own.

        Raises:
            CostError: The table has none.
        """
        kinds = self.dtypes.get(rate_dtype(dtype))
        if kinds is None:
            known = ", ".join(self.dtypes)
            raise CostError(
                f"{where}: kernel table {self.name} has no {dtype} kernels; it has {known}: cost the net with --dtype"
            )
        if kind not in kinds:
            raise CostError(
                f"{where}: kernel table {self.name} has no {kind} kernel for {dtype}; it has {', '.join(kinds)}"
            )
        costs: dict[str, KernelCost] = {str(entry): cost for entry, cost in kinds.items()}
        return costs.get(variant, costs[kind])
