"""Dataflows: which loop dimensions an array unrolls over its rows and columns, and what stays put in the PEs.

Terms as in Chen, Emer, Sze, "Eyeriss: a spatial architecture for energy-efficient dataflow", ISCA 2016.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Dim = Literal["N", "G", "K", "C", "P", "Q", "R", "S"]
Stationary = Literal["filter", "ofmap", "ifmap", "row"]


class Dataflow(BaseModel):
    """One way to lay a loop nest over an array.

    Several dimensions on one axis are laid end to end: where the first is small, copies of it stand side by side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(description="Its name.", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    rows: tuple[Dim, ...] = Field(description="Dimensions over the rows of the array, of N G K C P Q R S.")
    cols: tuple[Dim, ...] = Field(description="Dimensions over its columns.")
    stationary: Stationary = Field(description="What a PE keeps: filter, ofmap, ifmap, or a filter row (row).")
    kept_filters: int = Field(
        default=1,
        gt=0,
        le=4096,
        description="Filters whose rows a PE keeps, with stationary: row; an ifmap row serves all.",
    )
    systolic: bool = Field(default=False, description="Whether data ripple through, filling and draining the array.")

    @model_validator(mode="after")
    def _each_dim_once(self) -> Self:
        dims = (*self.rows, *self.cols)
        if len(set(dims)) != len(dims):
            raise ValueError(f"rows = {list(self.rows)}, cols = {list(self.cols)}: a dimension may be unrolled once")
        return self


DATAFLOWS: dict[str, Dataflow] = {
    flow.name: flow
    for flow in (
        # Weights stay; channels are summed down the rows, filters stand in the columns.
        Dataflow(name="weight_stationary", rows=("C",), cols=("K",), stationary="filter"),
        # Each PE finishes one ofmap element: pixels over rows, filters over columns.
        Dataflow(name="output_stationary", rows=("P", "Q"), cols=("K",), stationary="ofmap"),
        # Each PE keeps an ifmap pixel and sends products to the psums of all filters.
        Dataflow(name="input_stationary", rows=("C",), cols=("P", "Q"), stationary="ifmap"),
        # Eyeriss: a PE convolves a filter row with an ifmap row; sets of R x P PEs repeat for channels and filters.
        Dataflow(name="row_stationary", rows=("R", "C"), cols=("P", "K"), stationary="row"),
        # NVDLA, Ethos-U: dot products over channels, one per filter, weights held for the pixels of a tile.
        Dataflow(name="dot_product", rows=("C",), cols=("K",), stationary="filter"),
        # TPU, Gemmini: weights loaded into the array, ifmap rows ripple through.
        Dataflow(
            name="systolic_weight_stationary", rows=("C", "R", "S"), cols=("K",), stationary="filter", systolic=True
        ),
        # Output tile in the array, ifmap and filter ripple through.
        Dataflow(name="systolic_output_stationary", rows=("P", "Q"), cols=("K",), stationary="ofmap", systolic=True),
    )
}
