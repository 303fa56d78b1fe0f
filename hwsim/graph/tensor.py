"""Tensors as a graph sees them: shape, dtype, quantisation, and data where the tensor is a constant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from hwsim.units import BITS_PER_BYTE

Shape = tuple[int, ...]
DType = Literal[
    "float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "int4", "bool"
]

DTYPES: tuple[DType, ...] = get_args(DType)
BITS: dict[DType, int] = {
    "float32": 32,
    "float16": 16,
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "uint16": 16,
    "int32": 32,
    "uint32": 32,
    "int64": 64,
    "uint64": 64,
    "int4": 4,
    "bool": 8,
}
MAX_RANK = 8
MAX_ELEMENTS = 2**40


def elements(shape: Shape) -> int:
    """Return the number of elements of a shape; a scalar has one."""
    count = 1
    for size in shape:
        count *= size
    return count


def packed_bytes(count: int, dtype: DType) -> int:
    """Return the bytes that ``count`` elements take; int4 packs two into a byte."""
    return -(-count * BITS[dtype] // BITS_PER_BYTE)


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantisation: real = scale × (stored − zero_point).

    ``scale`` and ``zero_point`` hold one value for the whole tensor, or one for each index along ``axis``.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None

    def __post_init__(self) -> None:
        if not self.scale or len(self.scale) != len(self.zero_point):
            raise ValueError(f"{len(self.scale)} scales and {len(self.zero_point)} zero points: must be equal and >= 1")
        if len(self.scale) > 1 and self.axis is None:
            raise ValueError(f"{len(self.scale)} scales need an axis")
        if not all(np.isfinite(value) and value > 0 for value in self.scale):
            raise ValueError("a scale must be finite and > 0")


def zero_point_problem(quant: Quantization, dtype: DType) -> str | None:
    """Return what is wrong with zero points that a dtype cannot store, or None."""
    if "int" not in dtype:
        return None
    info = np.iinfo("int8" if dtype == "int4" else dtype)
    least, greatest = (-8, 7) if dtype == "int4" else (int(info.min), int(info.max))
    wrong = next((point for point in quant.zero_point if not least <= point <= greatest), None)
    return None if wrong is None else f"zero point = {wrong}: must be from {least} to {greatest} for {dtype}"


@dataclass(frozen=True, slots=True)
class Spec:
    """What shape inference works on."""

    shape: Shape
    dtype: DType = "float32"

    @property
    def elements(self) -> int:
        """Elements of the tensor."""
        return elements(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the tensor at its dtype."""
        return packed_bytes(self.elements, self.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A named tensor, in the internal channel-last layout.

    Attributes:
        name: Unique in its graph.
        shape: Sizes; an image is (N, H, W, C), a conv filter (K, R, S, C/groups), a dense filter (K, C).
        dtype: Element type as stored.
        quant: Affine quantisation, or None.
        constant: True for weights and other values stored with the net.
        data: The values of a constant, or None where only the shape is known (a builder's net).
        file_axes: Of a graph input or output that its file lays out otherwise: internal = transpose(file, file_axes).
    """

    name: str
    shape: Shape
    dtype: DType = "float32"
    quant: Quantization | None = None
    constant: bool = False
    data: np.ndarray | None = field(default=None, compare=False, repr=False)
    file_axes: tuple[int, ...] | None = None

    @property
    def spec(self) -> Spec:
        """Shape and dtype alone."""
        return Spec(self.shape, self.dtype)

    @property
    def elements(self) -> int:
        """Elements of the tensor."""
        return elements(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the tensor at its dtype."""
        return packed_bytes(self.elements, self.dtype)

    def same_as(self, other: Tensor) -> bool:
        """Return whether both are equal, constants' data included."""
        if self != other or (self.data is None) != (other.data is None):
            return False
        return self.data is None or other.data is None or bool(np.array_equal(self.data, other.data))
