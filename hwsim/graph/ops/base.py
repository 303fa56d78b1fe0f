"""The base of every layer type: its inputs' roles, its shape rule and its counts.

A layer type is a frozen dataclass of plain attributes. It knows shapes, no weights and no chip. A new one is a subclass
with a ``kind`` word, an ``infer`` rule and its counts; it registers itself in ``OPS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hwsim.graph.tensor import Spec

FusedActivation = Literal["relu", "relu6", "relu_n1_to_1"]
Pair = tuple[int, int]
Padding2d = tuple[Pair, Pair]

OPS: dict[str, type[Op]] = {}


class ShapeMismatchError(Exception):
    """A shape rule is broken; the graph wraps it with the layer's and its producers' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """A layer type with its attributes.

    Class attributes:
        kind: The word for it in a net YAML and in ``hwsim ops``.
        roles: What each input is, in order; those past ``required`` may be left out.
        required: How many inputs there must be.
        variadic: Whether the last role repeats.
    """

    kind: ClassVar[str] = ""
    roles: ClassVar[tuple[str, ...]] = ("ifmap",)
    required: ClassVar[int] = 1
    variadic: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        # dataclass(slots=True) makes the class twice; the second, slotted one must win.
        if cls.kind:
            OPS[cls.kind] = cls

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the outputs' specs.

        Raises:
            ShapeMismatchError: The inputs break the layer's shape rule.
        """
        raise NotImplementedError

    def macs(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return multiply-accumulates, padding taps included and bias excluded; zero but for matrix products."""
        return 0

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return elementary operations other than MACs; zero where data is only moved."""
        return 0

    def role(self, index: int) -> str:
        """Return the role of input ``index``."""
        return self.roles[min(index, len(self.roles) - 1)]

    def check_arity(self, count: int) -> None:
        """Raise ``ShapeMismatchError`` when a layer of this type cannot take ``count`` inputs."""
        most = count if self.variadic else len(self.roles)
        if not self.required <= count <= most:
            wanted = f">= {self.required}" if self.variadic else f"{self.required} to {most}"
            raise ShapeMismatchError(f"has {count} inputs, needs {wanted} ({', '.join(self.roles)})")


def need_rank(spec: Spec, rank: int, role: str) -> None:
    """Raise ``ShapeMismatchError`` unless ``spec`` has ``rank`` axes."""
    if len(spec.shape) != rank:
        raise ShapeMismatchError(f"{role} has {len(spec.shape)} axes {spec.shape}, needs {rank}")


def need_positive(**values: int | tuple[int, ...]) -> None:
    """Raise ``ShapeMismatchError`` naming the first attribute that holds a number below one."""
    for name, value in values.items():
        for number in value if isinstance(value, tuple) else (value,):
            if number < 1:
                raise ShapeMismatchError(f"{name} = {value}: must be >= 1")


WEIGHT_DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int4")


def need_weights(filter_: Spec) -> None:
    """Raise ``ShapeMismatchError`` unless a filter is of a type that products are made of."""
    if filter_.dtype not in WEIGHT_DTYPES:
        raise ShapeMismatchError(f"filter is {filter_.dtype}, must be one of {', '.join(WEIGHT_DTYPES)}")


def need_no_crop(padding: Padding2d) -> None:
    """Raise ``ShapeMismatchError`` where padding is negative."""
    if min(map(min, padding)) < 0:
        raise ShapeMismatchError(f"padding = {padding}: must be >= 0 (crop with a slice)")


def normal_axis(axis: int, rank: int) -> int:
    """Return ``axis`` counted from the front, for a tensor of ``rank`` axes."""
    if not -rank <= axis < rank:
        raise ShapeMismatchError(f"axis = {axis}: its input has {rank} axes")
    return axis % rank


def window_positions(size: int, kernel: int, stride: int, dilation: int, pad: Pair, *, ceil_mode: bool = False) -> int:
    """Return how many positions a sliding window takes along an axis.

    With ``ceil_mode`` a last, partly outside window counts when it starts inside the input or its leading padding
    (the rule of Caffe and PyTorch).

    Raises:
        ShapeMismatchError: The window is larger than the padded input.
    """
    span = (kernel - 1) * dilation + 1
    room = size + pad[0] + pad[1] - span
    if room < 0:
        raise ShapeMismatchError(f"window of {span} exceeds its input of {size} with padding {pad[0]} + {pad[1]}")
    if not ceil_mode:
        return room // stride + 1
    positions = -(-room // stride) + 1
    if (positions - 1) * stride >= size + pad[0]:
        positions -= 1
    return positions


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Return TensorFlow's SAME padding (before, after): ofmap = ceil(size / stride), the odd one after."""
    positions = -(-size // stride)
    total = max((positions - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2
