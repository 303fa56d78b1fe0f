"""Windows and axes reduced to one value: pooling, reductions, and the index of an extreme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hwsim.graph.ops.base import (
    FusedActivation,
    Op,
    Padding2d,
    Pair,
    ShapeMismatchError,
    need_no_crop,
    need_positive,
    need_rank,
    normal_axis,
    window_positions,
)
from hwsim.graph.ops.convolution import NO_PADDING
from hwsim.graph.tensor import DType, Spec

ReduceFunction = Literal["mean", "sum", "max", "min", "prod"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool2d(Op):
    """Maximum or average over windows: ifmap (N, H, W, C) → ofmap (N, P, Q, C).

    Average divides by the taps inside the ifmap, or by all that are not past the padded edge where
    ``count_include_pad`` is set. ``ceil_mode`` keeps a last, partly outside window.
    """

    kind: ClassVar[str] = "pool2d"

    function: Literal["max", "average"]
    kernel: Pair
    strides: Pair = (1, 1)
    padding: Padding2d = NO_PADDING
    dilations: Pair = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = False
    activation: FusedActivation | None = None

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        need_rank(inputs[0], 4, "ifmap")
        need_positive(kernel=self.kernel, strides=self.strides, dilations=self.dilations)
        need_no_crop(self.padding)
        n, h, w, c = inputs[0].shape
        p, q = (
            window_positions(size, kernel, stride, dilation, pad, ceil_mode=self.ceil_mode)
            for size, kernel, stride, dilation, pad in zip(
                (h, w), self.kernel, self.strides, self.dilations, self.padding, strict=True
            )
        )
        return (Spec((n, p, q, c), inputs[0].dtype),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return one operation per ofmap element and tap."""
        return outputs[0].elements * self.kernel[0] * self.kernel[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalPool(Op):
    """Maximum or average over the whole image: ifmap (N, H, W, C) → ofmap (N, 1, 1, C)."""

    kind: ClassVar[str] = "global_pool"

    function: Literal["max", "average"]

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        need_rank(inputs[0], 4, "ifmap")
        n, _, _, c = inputs[0].shape
        return (Spec((n, 1, 1, c), inputs[0].dtype),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return one operation per ifmap element."""
        return inputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduce(Op):
    """Mean, sum, product or extreme along axes."""

    kind: ClassVar[str] = "reduce"

    function: ReduceFunction
    axes: tuple[int, ...]
    keepdims: bool = False

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        shape = inputs[0].shape
        axes = {normal_axis(axis, len(shape)) for axis in self.axes}
        if not axes:
            raise ShapeMismatchError("axes is empty")
        kept = (1 if axis in axes else size for axis, size in enumerate(shape) if self.keepdims or axis not in axes)
        return (Spec(tuple(kept), inputs[0].dtype),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return one operation per ifmap element."""
        return inputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgExtreme(Op):
    """Index of the greatest or the least value along an axis, the first of equal ones."""

    kind: ClassVar[str] = "arg_extreme"

    function: Literal["max", "min"]
    axis: int = -1
    keepdims: bool = False
    dtype: DType = "int64"

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the indices' spec; see ``Op.infer``."""
        shape = inputs[0].shape
        axis = normal_axis(self.axis, len(shape))
        return (Spec((*shape[:axis], *(1,) * self.keepdims, *shape[axis + 1 :]), self.dtype),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return one operation per ifmap element."""
        return inputs[0].elements
