"""Layers that move, select or repeat elements without arithmetic (bilinear resize excepted)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hwsim.graph.ops.base import FusedActivation, Op, Pair, ShapeMismatchError, need_positive, need_rank, normal_axis
from hwsim.graph.tensor import Spec, elements

Coordinates = Literal["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"]
BILINEAR_OPS = 7  # four products and three additions


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Op):
    """Tensors joined along an axis."""

    kind: ClassVar[str] = "concat"
    variadic: ClassVar[bool] = True

    axis: int = -1
    activation: FusedActivation | None = None

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        first = inputs[0].shape
        axis = normal_axis(self.axis, len(first))
        for other in inputs[1:]:
            same = len(other.shape) == len(first) and all(
                a == b for i, (a, b) in enumerate(zip(first, other.shape, strict=True)) if i != axis
            )
            if not same:
                raise ShapeMismatchError(f"inputs of shape {first} and {other.shape} differ off axis {axis}")
        joined = sum(spec.shape[axis] for spec in inputs)
        return (Spec((*first[:axis], joined, *first[axis + 1 :]), inputs[0].dtype),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Op):
    """A tensor cut along an axis into pieces of the given sizes, one output each."""

    kind: ClassVar[str] = "split"

    axis: int
    sizes: tuple[int, ...]

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the outputs' specs; see ``Op.infer``."""
        shape = inputs[0].shape
        axis = normal_axis(self.axis, len(shape))
        need_positive(sizes=self.sizes)
        if sum(self.sizes) != shape[axis]:
            raise ShapeMismatchError(
                f"sizes = {self.sizes} sum to {sum(self.sizes)}, but axis {axis} has {shape[axis]}"
            )
        return tuple(Spec((*shape[:axis], size, *shape[axis + 1 :]), inputs[0].dtype) for size in self.sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Op):
    """A strided block: indices begin[i], begin[i] + strides[i], … below end[i] on every axis.

    All three hold one entry per axis, already resolved against the input's shape: with a positive stride
    0 ≤ begin < end ≤ size; with a negative one indices run down from begin to above end, and −1 ≤ end < begin.
    """

    kind: ClassVar[str] = "slice"

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        shape = inputs[0].shape
        if not len(self.begin) == len(self.end) == len(self.strides) == len(shape):
            raise ShapeMismatchError(f"begin, end and strides need one entry for each axis of its input {shape}")
        if 0 in self.strides:
            raise ShapeMismatchError(f"strides = {self.strides}: must not be 0")
        for size, begin, end, stride in zip(shape, self.begin, self.end, self.strides, strict=True):
            inside = 0 <= begin < end <= size if stride > 0 else -1 <= end < begin < size
            if not inside:
                raise ShapeMismatchError(f"begin = {self.begin}, end = {self.end}: outside its input {shape}, or empty")
        return (Spec(tuple(map(len, map(range, self.begin, self.end, self.strides))), inputs[0].dtype),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(Op):
    """A border around a tensor: ``pads`` holds (before, after) for every axis."""

    kind: ClassVar[str] = "pad"

    pads: tuple[Pair, ...]
    mode: Literal["constant", "reflect", "edge"] = "constant"
    value: float = 0.0

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        shape = inputs[0].shape
        if len(self.pads) != len(shape):
            raise ShapeMismatchError(f"pads = {self.pads}: needs one pair for each axis of its input {shape}")
        padded = tuple(before + size + after for size, (before, after) in zip(shape, self.pads, strict=True))
        if min(padded, default=1) < 1 or min((min(pair) for pair in self.pads), default=0) < 0:
            raise ShapeMismatchError(f"pads = {self.pads}: must be >= 0 (crop with a slice)")
        if self.mode == "reflect" and any(max(pair) >= size for pair, size in zip(self.pads, shape, strict=True)):
            raise ShapeMismatchError(f"pads = {self.pads}: reflection must be shorter than its input {shape}")
        return (Spec(padded, inputs[0].dtype),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape(Op):
    """The same elements, in the same order, under another shape (flatten, squeeze and unsqueeze are cases).

    ``shape`` may hold one −1, which takes what is left, and 0 for "as in the input".
    """

    kind: ClassVar[str] = "reshape"

    shape: tuple[int, ...]

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        source = inputs[0].shape
        shape = list(self.shape)
        for axis, size in enumerate(shape):
            if size == 0 and axis < len(source):
                shape[axis] = source[axis]
        free = [axis for axis, size in enumerate(shape) if size == -1]
        known = elements(tuple(size for size in shape if size != -1))
        count = inputs[0].elements
        if len(free) == 1 and known > 0 and count % known == 0:
            shape[free[0]] = count // known
        if min(shape, default=1) < 1 or elements(tuple(shape)) != count:
            raise ShapeMismatchError(f"shape = {self.shape}: cannot hold the {count} elements of its input {source}")
        return (Spec(tuple(shape), inputs[0].dtype),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Op):
    """Axes reordered: axis i of the ofmap is axis ``perm[i]`` of the ifmap."""

    kind: ClassVar[str] = "transpose"

    perm: tuple[int, ...]

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        shape = inputs[0].shape
        if sorted(self.perm) != list(range(len(shape))):
            raise ShapeMismatchError(f"perm = {self.perm}: must order the {len(shape)} axes of its input {shape}")
        return (Spec(tuple(shape[axis] for axis in self.perm), inputs[0].dtype),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShuffle(Op):
    """Channels (last axis) read as (groups, C/groups) and written as (C/groups, groups)."""

    kind: ClassVar[str] = "channel_shuffle"

    groups: int

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        need_positive(groups=self.groups)
        if not inputs[0].shape or inputs[0].shape[-1] % self.groups:
            raise ShapeMismatchError(f"groups = {self.groups}: must divide the channels of its input {inputs[0].shape}")
        return (inputs[0],)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Op):
    """An image scaled to (H, W): ifmap (N, H, W, C) → ofmap (N, H', W', C).

    ``coordinates`` says which ifmap position an ofmap index x of ``out`` reads, for ``in`` pixels:
    ``asymmetric`` x·in/out, ``half_pixel`` (x + ½)·in/out − ½, ``align_corners`` x·(in − 1)/(out − 1);
    ``pytorch_half_pixel`` is ``half_pixel``, but 0 where ``out`` is 1. Where ``scale`` (vertical, horizontal) is given,
    1/scale stands for in/out, from which it differs when in·scale is no whole number; ``half_pixel_symmetric`` then
    centres the images on each other.
    ``rounding`` is how ``nearest`` picks a pixel from it (``prefer_floor`` and ``prefer_ceil`` say where ½ goes).
    """

    kind: ClassVar[str] = "resize"

    mode: Literal["nearest", "bilinear"]
    size: Pair
    coordinates: Coordinates = "half_pixel"
    rounding: Literal["floor", "ceil", "prefer_floor", "prefer_ceil"] = "floor"
    scale: tuple[float, float] | None = None

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        need_rank(inputs[0], 4, "ifmap")
        need_positive(size=self.size)
        if self.scale is not None and not all(0 < factor < float("inf") for factor in self.scale):
            raise ShapeMismatchError(f"scale = {self.scale}: must be > 0")
        n, _, _, c = inputs[0].shape
        return (Spec((n, *self.size, c), inputs[0].dtype),)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return seven operations per ofmap element for bilinear, none for nearest."""
        return BILINEAR_OPS * outputs[0].elements if self.mode == "bilinear" else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather(Op):
    """Rows of a table picked by index along an axis; an embedding is ``axis = 0`` of a stored table.

    Table (A, T, B) and indices (I) → ofmap (A, I, B), where T is ``axis``.
    """

    kind: ClassVar[str] = "gather"
    roles: ClassVar[tuple[str, ...]] = ("table", "indices")
    required: ClassVar[int] = 2

    axis: int = 0

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        table, indices = inputs
        if "int" not in indices.dtype:
            raise ShapeMismatchError(f"indices are {indices.dtype}, must be integers")
        axis = normal_axis(self.axis, len(table.shape))
        return (Spec((*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :]), table.dtype),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthToSpace(Op):
    """Channels unfolded into blocks of pixels: (N, H, W, C) → (N, H·b, W·b, C/b²).

    The channel index is (block row, block column, channel), or (channel, block row, block column) where
    ``channel_major`` is set (ONNX's CRD mode).
    """

    kind: ClassVar[str] = "depth_to_space"

    block: int
    channel_major: bool = False

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        need_rank(inputs[0], 4, "ifmap")
        need_positive(block=self.block)
        n, h, w, c = inputs[0].shape
        if c % self.block**2:
            raise ShapeMismatchError(f"block = {self.block}: its square must divide the channels of its input ({c})")
        return (Spec((n, h * self.block, w * self.block, c // self.block**2), inputs[0].dtype),)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceToDepth(Op):
    """Blocks of pixels folded into channels: (N, H, W, C) → (N, H/b, W/b, C·b²), index (row, column, channel)."""

    kind: ClassVar[str] = "space_to_depth"

    block: int

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        need_rank(inputs[0], 4, "ifmap")
        need_positive(block=self.block)
        n, h, w, c = inputs[0].shape
        if h % self.block or w % self.block:
            raise ShapeMismatchError(f"block = {self.block}: must divide the height and width of its input ({h} x {w})")
        return (Spec((n, h // self.block, w // self.block, c * self.block**2), inputs[0].dtype),)
