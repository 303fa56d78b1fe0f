"""Layers that treat each element alone: arithmetic of two tensors and functions of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hwsim.graph.ops.base import FusedActivation, Op, ShapeMismatchError
from hwsim.graph.tensor import Shape, Spec

BinaryFunction = Literal["add", "sub", "mul", "div", "maximum", "minimum", "pow", "squared_difference"]
UnaryFunction = Literal[
    "relu",
    "relu6",
    "clip",
    "leaky_relu",
    "elu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "hard_swish",
    "silu",
    "gelu",
    "gelu_tanh",
    "softplus",
    "erf",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "square",
    "abs",
    "neg",
    "floor",
    "ceil",
    "round",
    "sin",
    "cos",
]


def broadcast(a: Shape, b: Shape) -> Shape:
    """Return the shape two shapes broadcast to, aligned at the last axis.

    Raises:
        ShapeMismatchError: Two sizes differ and neither is one.
    """
    rank = max(len(a), len(b))
    wide_a, wide_b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    for size_a, size_b in zip(wide_a, wide_b, strict=True):
        if size_a != size_b and 1 not in (size_a, size_b):
            raise ShapeMismatchError(f"operands of shape {a} and {b} do not broadcast")
    return tuple(size_b if size_a == 1 else size_a for size_a, size_b in zip(wide_a, wide_b, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Op):
    """Arithmetic of two tensors, broadcast against each other; either may be a constant."""

    kind: ClassVar[str] = "binary"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "operand")
    required: ClassVar[int] = 2

    function: BinaryFunction
    activation: FusedActivation | None = None

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        return (Spec(broadcast(inputs[0].shape, inputs[1].shape), inputs[0].dtype),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return one operation per ofmap element."""
        return outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Op):
    """A function of each element.

    ``low`` and ``high`` bound ``clip`` (None leaves a side open); ``alpha`` is the negative slope of ``leaky_relu`` and
    ``elu``, and ``hard_sigmoid`` is clip(alpha·x + beta, 0, 1). ``gelu`` uses erf, ``gelu_tanh`` an approximation.
    """

    kind: ClassVar[str] = "unary"

    function: UnaryFunction
    alpha: float | None = None
    beta: float | None = None
    low: float | None = None
    high: float | None = None

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        if self.function in ("leaky_relu", "elu", "hard_sigmoid") and self.alpha is None:
            raise ShapeMismatchError(f"function {self.function} needs alpha")
        if self.function == "hard_sigmoid" and self.beta is None:
            raise ShapeMismatchError("function hard_sigmoid needs beta")
        if self.function == "clip" and self.low is None and self.high is None:
            raise ShapeMismatchError("function clip needs low, high or both")
        return (inputs[0],)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return one operation per element, whatever the function costs to compute."""
        return outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class PRelu(Op):
    """ReLU with a stored negative slope, broadcast against the ifmap (one per channel, usually)."""

    kind: ClassVar[str] = "prelu"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "slope")
    required: ClassVar[int] = 2

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        if broadcast(inputs[0].shape, inputs[1].shape) != inputs[0].shape:
            raise ShapeMismatchError(f"slope of shape {inputs[1].shape} is larger than its input {inputs[0].shape}")
        return (inputs[0],)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return one operation per element."""
        return outputs[0].elements
