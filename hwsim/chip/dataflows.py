"""Dataflows: which loop dimensions an array unrolls over its rows and columns, and what stays put in the PEs.

Terms as in Chen, Emer, Sze, "Eyeriss: a spatial architecture for energy-efficient dataflow", ISCA 2016.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Dim = Literal["N", "G", "K", "C", "P", "Q", "R", "S"]
Stationary = Literal["filter", "ofmap", "ifmap", "row"]
Spad = Literal["ifmap", "filter", "psum"]
# Dimensions that index the same operands, and so can share a long index.
ALIKE = (("N", "P", "Q"), ("C", "R", "S"), ("K",), ("G",))


class Dataflow(BaseModel):
    """One way to lay a loop nest over an array.

    Of several dimensions on one axis the first takes what it needs, and whole copies of it stand side by side for the
    next; ``flat`` lays them end to end instead. A dimension on both axes takes columns first, and rows for the rest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(description="Its name.", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    rows: tuple[Dim, ...] = Field(description="Dimensions over the rows of the array, of N G K C P Q R S.")
    cols: tuple[Dim, ...] = Field(description="Dimensions over its columns.")
    at_most: dict[Dim, Annotated[int, Field(gt=0, le=65536)]] = Field(
        default={}, description="Most copies of a dimension on an axis; default: what it needs."
    )
    least_extent: dict[Dim, Annotated[int, Field(gt=0, le=65536)]] = Field(
        default={}, description="Layers it is for, where others run the rest: of so many of a dimension at least."
    )
    most_extent: dict[Dim, Annotated[int, Field(gt=0, le=65536)]] = Field(
        default={}, description="The same: of so many at most."
    )
    stationary: Stationary = Field(description="What a PE keeps: filter, ofmap, ifmap, or a filter row (row).")
    kept_filters: int = Field(
        default=1,
        gt=0,
        le=4096,
        description="Filters whose rows a PE keeps, with stationary: row, or whose psums, with shifts; what it takes "
        "of the ifmap serves all.",
    )
    kept_channels: int = Field(
        default=1,
        gt=0,
        le=4096,
        description="Channels whose products a PE adds up before it passes a psum on, with stationary: row.",
    )
    spad_words: dict[Spad, Annotated[int, Field(gt=0, le=2**20)]] = Field(
        default={},
        description="Words of ifmap, filter and psum that a PE holds, with stationary: row; fewer filters and channels "
        "are kept where a filter row is too long for them. [word]",
    )
    flat: bool = Field(
        default=False,
        description="Whether an axis lays its dimensions end to end as one long index (im2col), not copy by copy.",
    )
    joined: tuple[Dim, ...] = Field(
        default=(),
        description="Neighbours on an axis that lie end to end as one index, the other dimensions beside them: taps "
        "(R, S), not flat; at_most of the first is that of all.",
    )
    least_passes: int = Field(
        default=1,
        gt=0,
        le=4096,
        description="Passes that each set of weights takes at least, while the next is decoded; with stationary: "
        "filter, not flat.",
    )
    systolic: bool = Field(default=False, description="Whether data ripple through, filling and draining the array.")
    load_exposed: bool = Field(
        default=False,
        description="Whether the array waits while its next stationary operand is loaded: a cycle per row if systolic; "
        "with stationary: row for filters and the first window of the ifmap to pass the engine's buses.",
    )
    shifts: bool = Field(
        default=False,
        description="Whether PEs hand ifmap elements to their neighbours, so that a block of pixels takes each once "
        "for all taps; with stationary: ofmap and P or Q unrolled, not flat.",
    )
    padding_read: bool = Field(
        default=False,
        description="Whether padding goes to the PEs like any element of the ifmap, with stationary: row.",
    )
    skips: tuple[Literal["ifmap", "filter"], ...] = Field(
        default=(),
        description="Operands whose zeros take no cycle and no energy; how many are zero: the engine's zeros.",
    )
    winograd: int | None = Field(
        default=None,
        ge=2,
        le=6,
        description="Edge m of the ofmap's tiles by which 3x3 filters of stride 1 run as Winograd's F(m x m, 3 x 3), "
        "with ((m + 2) / 3m)^2 of the MACs and ((m + 2) / 3)^2 of the filter bytes; default: they do not.",
    )

    def __hash__(self) -> int:
        """Return a hash; equal dataflows have equal names, and tables within them have none."""
        return hash((self.name, self.rows, self.cols, self.stationary))

    @model_validator(mode="after")
    def _each_dim_once(self) -> Self:
        for axis, dims in (("rows", self.rows), ("cols", self.cols)):
            if len(set(dims)) != len(dims):
                raise ValueError(f"{axis} = {list(dims)}: a dimension may stand on an axis once")
        both = [dim for dim in self.rows if dim in self.cols]
        if both and self.flat:
            raise ValueError(
                f"flat, with {both[0]} on both axes: an axis that lies end to end has its dimensions alone"
            )
        return self

    @model_validator(mode="after")
    def _caps_have_dims(self) -> Self:
        for dim in self.at_most:
            if dim not in (*self.rows, *self.cols):
                raise ValueError(f"at_most.{dim}: {dim} is on neither axis")
            if self.flat and any(dim in axis and len(axis) > 1 for axis in (self.rows, self.cols)):
                raise ValueError(f"at_most.{dim}: {dim} lies end to end with others (flat)")
        return self

    @model_validator(mode="after")
    def _joined_are_taps(self) -> Self:
        if self.joined and (self.flat or not any(_runs(axis, self.joined) for axis in (self.rows, self.cols))):
            raise ValueError(f"joined = {list(self.joined)}: must stand side by side on an axis that is not flat")
        if set(self.joined) - {"R", "S"} or set(self.joined[1:]) & set(self.at_most):
            raise ValueError(f"joined = {list(self.joined)}: only taps (R, S) lie end to end, at_most with the first")
        return self

    @model_validator(mode="after")
    def _facts_have_their_place(self) -> Self:
        for name in ("spad_words", "padding_read"):
            if getattr(self, name) and self.stationary != "row":
                raise ValueError(f"{name}: only with stationary: row")
        if self.least_passes > 1 and (self.stationary != "filter" or self.flat):
            raise ValueError("least_passes: only with stationary: filter, not flat")
        if self.shifts and (self.stationary != "ofmap" or self.flat or not {"P", "Q"} & {*self.rows, *self.cols}):
            raise ValueError("shifts: only with stationary: ofmap and P or Q on an axis, not flat")
        return self

    @model_validator(mode="after")
    def _flat_axes_make_sense(self) -> Self:
        for axis in (self.rows, self.cols) if self.flat else ():
            if not any(set(axis) <= set(alike) for alike in ALIKE):
                raise ValueError(
                    f"flat, with {list(axis)} on one axis: only pixels (N, P, Q) or the window (C, R, S) lie end to end"
                )
        return self


def _runs(axis: tuple[Dim, ...], dims: tuple[Dim, ...]) -> bool:
    """Return whether dimensions stand on an axis side by side, in this order."""
    return any(axis[start : start + len(dims)] == dims for start in range(len(axis)))


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
