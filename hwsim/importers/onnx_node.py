"""What the ONNX importer's stages hand to one another: nodes, constants, and quantisation parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.graph import DType, Quantization, Shape
from hwsim.graph.ops import FusedActivation

Array = NDArray[Any]

UINT8_TO_INT8 = 128  # uint8 codes are held as int8, moved by half their range: the same real values


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the file.

    Attributes:
        op: Its type, with ``domain::`` before it where the domain is not ONNX's own.
        name: The file's name for it, or one made from its first output.
        inputs: Tensors it reads; an empty string stands for one that is left out.
        outputs: Tensors it writes; empty likewise.
        attrs: Attributes as Python values and arrays.
        quant: Set where the quantise and dequantise steps around it were taken in: how its output is stored.
        activation: Set where the activation after it was taken in together with those steps.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    quant: Quantization | None = None
    activation: FusedActivation | None = None

    def input(self, index: int) -> str:
        """Return the name of an input, empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(frozen=True, slots=True)
class Stored:
    """Integer codes and what they stand for: real = scale × (codes − zero_point), along ``axis`` where not scalar."""

    codes: Array
    scale: Array
    zero_point: Array
    axis: int | None

    def quantization(self, axis: int | None) -> Quantization:
        """Return the parameters with the channels along ``axis`` of some other layout."""
        scale, zero_point = self.scale.ravel(), self.zero_point.ravel()
        return Quantization(
            tuple(map(float, scale)), tuple(map(int, zero_point)), axis if scale.size > 1 and axis is not None else None
        )


@dataclass(frozen=True, slots=True)
class Const:
    """A constant in the file's layout; ``stored`` holds the integers where the file keeps it quantised."""

    name: str
    array: Array
    stored: Stored | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A graph input or output as the file declares it, symbols resolved; no shape where the file gives none."""

    name: str
    shape: Shape | None
    dtype: DType


@dataclass(slots=True)
class OnnxFile:
    """A file read and resolved, ready to translate; ``open_dims`` names axes of inputs that nobody gave a size."""

    name: str
    opset: int
    nodes: list[Node]
    constants: dict[str, Const]
    inputs: list[Port]
    outputs: list[Port]
    open_dims: tuple[str, ...] = ()


def writers(nodes: Iterable[Node]) -> dict[str, Node]:
    """Return the node that writes each tensor."""
    return {name: node for node in nodes for name in node.outputs if name}


def readers(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    """Return the nodes that read each tensor; a node that reads it twice counts twice."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            if name:
                found.setdefault(name, []).append(node)
    return found


def scalar(const: Const | None) -> float | None:
    """Return the value of a one-element constant, else None."""
    return float(const.array.reshape(())) if const is not None and const.array.size == 1 else None


def as_int8(codes: Array) -> Array:
    """Return uint8 codes or zero points as int8 (see ``UINT8_TO_INT8``); others as they are."""
    return (codes.astype(np.int16) - UINT8_TO_INT8).astype(np.int8) if codes.dtype == np.uint8 else codes


def dequantized(stored: Stored) -> Array:
    """Return the real values of stored codes, float32."""
    scale, zero_point = stored.scale, stored.zero_point
    if stored.axis is not None and scale.size > 1:
        along = tuple(-1 if axis == stored.axis else 1 for axis in range(stored.codes.ndim))
        scale, zero_point = scale.reshape(along), zero_point.reshape(along)
    else:
        scale, zero_point = scale.reshape(()), zero_point.reshape(())
    return np.asarray((stored.codes.astype(np.int64) - zero_point.astype(np.int64)) * scale, np.float32)
