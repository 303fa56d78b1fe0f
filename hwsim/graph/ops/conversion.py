"""Changes of number format, and the stand-in for an operator that hwsim does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hwsim.graph.ops.base import Op, ShapeMismatchError
from hwsim.graph.tensor import DType, Shape, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantize(Op):
    """Real or quantised values written in the output tensor's quantisation."""

    kind: ClassVar[str] = "quantize"

    dtype: DType = "int8"

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        if "int" not in self.dtype:
            raise ShapeMismatchError(f"dtype = {self.dtype}: must be an integer type")
        return (Spec(inputs[0].shape, self.dtype),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return a product and an addition per element."""
        return 2 * outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Dequantize(Op):
    """Quantised values made real by the input tensor's quantisation."""

    kind: ClassVar[str] = "dequantize"

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        return (Spec(inputs[0].shape, "float32"),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return a subtraction and a product per element."""
        return 2 * outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast(Op):
    """Values converted to another dtype, unscaled."""

    kind: ClassVar[str] = "cast"

    dtype: DType

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        return (Spec(inputs[0].shape, self.dtype),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return one operation per element."""
        return outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Op):
    """An operator that hwsim does not know, let in on the user's word: shapes as the file says, no cost."""

    kind: ClassVar[str] = "unknown"
    required: ClassVar[int] = 0
    variadic: ClassVar[bool] = True

    operator: str
    shapes: tuple[Shape, ...]
    dtypes: tuple[DType, ...]

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the outputs' specs as the file states them."""
        if len(self.shapes) != len(self.dtypes):
            raise ShapeMismatchError(f"{len(self.shapes)} shapes but {len(self.dtypes)} dtypes")
        if not self.shapes:
            raise ShapeMismatchError("has no outputs")
        return tuple(map(Spec, self.shapes, self.dtypes))
