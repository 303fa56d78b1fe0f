"""Kernel tables: what a kernel library costs on a core, by dtype and layer kind."""

from __future__ import annotations

from typing import Literal, Self, get_args

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
EngineDType = Literal["float32", "float16", "int16", "int8", "int4"]
ENGINE_DTYPES: tuple[EngineDType, ...] = get_args(EngineDType)


class KernelCost(BaseModel):
    """Cycles of one kind of layer: a sum of nonnegative terms."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cycles_per_mac: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per MAC, or per op without MACs.")
    cycles_per_output: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per ofmap element.")
    cycles_per_input: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per ifmap element.")
    cycles_per_weight_byte: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per byte of weights and biases.")
    cycles_per_call: float = Field(0.0, ge=0, allow_inf_nan=False, description="Per layer.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give at least one coefficient")
        return self


class FitError(BaseModel):
    """How far a fitted table is off the rows it was fitted to."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mape: float = Field(ge=0, allow_inf_nan=False, description="Mean of |error| / measured, a fraction.")
    n: int = Field(ge=1, description="Rows.")


class KernelTable(BaseModel):
    """What a release of a kernel library costs on a core."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_: int = Field(alias="schema", ge=1, le=1, description="Version of this format: 1.")
    name: str = Field(description="The file's name without its ending.")
    core: str = Field(description="The core, such as cortex-m7.")
    library: str = Field(description="Library and release, as its makers write it.")
    runtime: str = Field(description="The word users pick it by.")
    dtypes: dict[EngineDType, dict[KernelKind, KernelCost]] = Field(description="Costs by dtype and layer kind.")
    runtime_ram_kib: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="RAM the runtime takes for itself. [KiB]"
    )
    code_flash_kib: float = Field(0.0, ge=0, allow_inf_nan=False, description="Flash of kernels and runtime. [KiB]")
    fitted_to: str = Field(description="What the coefficients were fitted to, or 'assumed' and from what.")
    fit_error: FitError | None = Field(None, description="In-sample error of the fit.")
    sources: dict[str, str] = Field(min_length=1, description="Field or * -> document and table.")

    def has(self, dtype: str, kind: str) -> bool:
        """Return whether the table has costs of a layer kind at a dtype; uint8 runs as int8."""
        kinds = self.dtypes.get("int8" if dtype == "uint8" else dtype)  # type: ignore[call-overload]
        return kinds is not None and kind in kinds

    def cost(self, dtype: str, kind: str, *, where: str) -> KernelCost:
        """Return the costs of a layer kind at a dtype; uint8 runs as int8.

        Args:
            dtype: The layer's dtype.
            kind: Its kind.
            where: What to call the layer in an error.

        Raises:
            CostError: The table has none.
        """
        kinds = self.dtypes.get("int8" if dtype == "uint8" else dtype)  # type: ignore[call-overload]
        if kinds is None:
            known = ", ".join(self.dtypes)
            raise CostError(
                f"{where}: kernel table {self.name} has no {dtype} kernels; it has {known}: cost the net with --dtype"
            )
        if kind not in kinds:
            raise CostError(
                f"{where}: kernel table {self.name} has no {kind} kernel for {dtype}; it has {', '.join(kinds)}"
            )
        found: KernelCost = kinds[kind]
        return found
