"""Dataflows: which loop dimensions an array unrolls over its rows and columns, and what stays put in the PEs.

Terms as in Chen, Emer, Sze, "Eyeriss: a spatial architecture for energy-efficient dataflow", ISCA 2016.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Dim = Literal["N", "G", "K", "C", "P", "Q", "R", "S"]
Stationary = Literal["filter", "ofmap", "ifmap", "row"]
# Dimensions that index the same operands, and so can share a long index.
ALIKE = (("N", "P", "Q"), ("C", "R", "S"), ("K",), ("G",))


class Dataflow(BaseModel):
    """One way to lay a loop nest over an array.

    Of several dimensions on one axis the first takes what it needs, and whole copies of it stand side by side for the
    next; ``flat`` lays them end to end instead.
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
    kept_channels: int = Field(
        default=1,
        gt=0,
        le=4096,
        description="Channels whose products a PE adds up before it passes a psum on, with stationary: row.",
    )
    flat: bool = Field(
        default=False,
        description="Whether an axis lays its dimensions end to end as one long index (im2col), not copy by copy.",
    )
    systolic: bool = Field(default=False, description="Whether data ripple through, filling and draining the array.")
    load_exposed: bool = Field(
        default=False,
        description="Whether a systolic array waits, a cycle per row, while the next stationary operand is loaded.",
    )

    @model_validator(mode="after")
    def _each_dim_once(self) -> Self:
        dims = (*self.rows, *self.cols)
        if len(set(dims)) != len(dims):
            raise ValueError(f"rows = {list(self.rows)}, cols = {list(self.cols)}: a dimension may be unrolled once")
        return self

    @model_validator(mode="after")
    def _flat_axes_make_sense(self) -> Self:
        for axis in (self.rows, self.cols) if self.flat else ():
            if not any(set(axis) <= set(alike) for alike in ALIKE):
                raise ValueError(
                    f"flat, with {list(axis)} on one axis: only pixels (N, P, Q) or the window (C, R, S) lie end to end"
                )
        return self


DATAFLOWS: dict[str, Dataflow] = {
    flow.name: flow
    for flow in (
        # Weights stay; channels are summed down the rows, filters stand in the columns.
        Dataflow(name="weight_stationary", rows=("C",), cols=("K",), stationary="filter"),
        # Each PE finishes one ofmap element: pixels over rows, filters over columns.
        Dataflow(name="output_stationary", rows=("P", "Q"), cols=("K",), stationary="ofmap", flat=True),
        # Each PE keeps an ifmap pixel and sends products to the psums of all filters.
        Dataflow(name="input_stationary", rows=("C",), cols=("P", "Q"), stationary="ifmap", flat=True),
        # Eyeriss: a PE convolves a filter row with an ifmap row; sets of R x P PEs repeat for channels and filters.
        Dataflow(name="row_stationary", rows=("R", "C"), cols=("P", "K"), stationary="row"),
        # NVDLA, Ethos-U: dot products over channels, one per filter, weights held for the pixels of a tile.
        Dataflow(name="dot_product", rows=("C",), cols=("K",), stationary="filter"),
        # TPU, Gemmini: weights loaded into the array, ifmap rows ripple through.
        Dataflow(
            name="systolic_weight_stationary",
            rows=("C", "R", "S"),
            cols=("K",),
            stationary="filter",
            flat=True,
            systolic=True,
        ),
        # Output tile in the array, ifmap and filter ripple through.
        Dataflow(
            name="systolic_output_stationary",
            rows=("P", "Q"),
            cols=("K",),
            stationary="ofmap",
            flat=True,
            systolic=True,
        ),
    )
}
