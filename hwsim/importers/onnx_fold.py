"""Nodes of constants alone, computed while the file is read: shape arithmetic, weights reshaped or dequantised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from hwsim.errors import ModelFileError
from hwsim.importers.constant_folding import FoldingRoom
from hwsim.importers.onnx_node import Array, Const, Node, Stored, as_int8, dequantized

MAX_FOLDED = 2**22  # elements; what is larger is no shape arithmetic, and a hostile file must not eat the memory
FROM_ONNX_TYPE = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float32,
    12: np.uint32,
    13: np.uint64,
    16: np.float32,
}

Rule = Callable[[Node, Sequence[Any]], Sequence[Array]]
_RULES: dict[str, Rule] = {}

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Pow": lambda a, b: np.power(a, b).astype(a.dtype),
    "Min": lambda *arrays: reduce(np.minimum, arrays),
    "Max": lambda *arrays: reduce(np.maximum, arrays),
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Reciprocal": np.reciprocal,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.rint,
    "Sign": np.sign,
    "Sin": np.sin,
    "Cos": np.cos,
    "Tanh": np.tanh,
    "Relu": lambda a: np.maximum(a, 0),
    "Sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Not": np.logical_not,
    "Where": np.where,
}
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceMean": np.mean,
}


class Folding:
    """Computes nodes of constants alone, and adds what they write to the file's constants.

    Attributes:
        where: The file, for what goes wrong.
        constants: Known values by name; grows.
    """

    def __init__(self, where: str, constants: dict[str, Const]) -> None:
        self.where, self.constants = where, constants
        self._room = FoldingRoom(sum(const.array.nbytes for const in constants.values()))

    def fold(self, node: Node) -> bool:
        """Compute a node; return False where an input is no constant or the operator is not one of these.

        Raises:
            ModelFileError: The operator cannot be computed on these values, or the result is enormous.
        """
        if any(name and name not in self.constants for name in node.inputs):
            return False
        rule = _RULES.get(node.op)
        if rule is None and node.op != "DequantizeLinear":
            return False
        inputs = [self.constants[name].array if name else None for name in node.inputs]
        try:
            if rule is None:
                made = [_dequantize(self.where, node, self.constants)]
            else:
                with np.errstate(all="ignore"):
                    outputs = map(np.asarray, rule(node, inputs))
                    made = [Const(name, array) for name, array in zip(node.outputs, outputs, strict=False)]
            self._room.take(inputs, [const.array for const in made])
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError, MemoryError) as error:
            reason = str(error).partition("\n")[0]
            raise ModelFileError(f"{self.where}: node {node.name!r} ({node.op}) cannot be computed: {reason}") from None
        self.constants.update((const.name, const) for const in made)
        return True

    def fold_all(self, nodes: Sequence[Node]) -> list[Node]:
        """Compute the nodes that can be, in order, and return the others."""
        return [node for node in nodes if not self.fold(node)]


# -- rules -------------------------------------------------------------------------------------------------------------


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return register


def _bounded(shape: Sequence[int], free: int = 0) -> tuple[int, ...]:
    """Return a shape as a tuple of ints, refusing negative sizes and enormous results.

    ``free`` is what the inputs hold anyway: a result that is no larger is no bomb.
    """
    sizes = tuple(int(size) for size in shape)
    count = 1
    for size in sizes:
        count *= size
    if min(sizes, default=0) < 0 or count > max(MAX_FOLDED, free):
        raise ValueError(f"a constant of shape {sizes} is too large")
    return sizes


def _axes(node: Node, inputs: Sequence[Any], index: int = 1) -> list[int] | None:
    """Return the axes of an attribute (older opsets) or of an input (newer ones)."""
    if "axes" in node.attrs:
        return [int(axis) for axis in node.attrs["axes"]]
    if len(inputs) > index and inputs[index] is not None:
        return [int(axis) for axis in inputs[index].ravel()]
    return None


@_rule(*_ELEMENTWISE)
def _elementwise(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    _bounded(np.broadcast_shapes(*(array.shape for array in inputs)), max(array.size for array in inputs))
    return [_ELEMENTWISE[node.op](*inputs)]


@_rule("Div", "Mod")
def _divide(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    a, b = inputs
    _bounded(np.broadcast_shapes(a.shape, b.shape), max(a.size, b.size))
    if a.dtype.kind not in "iu":
        return [np.fmod(a, b) if node.op == "Mod" else np.divide(a, b)]
    if not np.all(b):
        raise ValueError("division by zero")
    if node.op == "Mod":
        return [np.fmod(a, b) if node.attrs.get("fmod") else np.mod(a, b)]
    return [(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)]  # ONNX rounds towards zero


@_rule(*_REDUCTIONS)
def _reduce(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    axes = _axes(node, inputs)
    if not axes and node.attrs.get("noop_with_empty_axes"):
        return [inputs[0]]
    keep = bool(node.attrs.get("keepdims", 1))
    reduced = _REDUCTIONS[node.op](inputs[0], axis=tuple(axes) if axes else None, keepdims=keep)
    return [np.asarray(reduced).astype(inputs[0].dtype)]


@_rule("Constant")
def _constant(node: Node, _inputs: Sequence[Any]) -> Sequence[Array]:
    for key, dtype in (
        ("value", None),
        ("value_int", np.int64),
        ("value_ints", np.int64),
        ("value_float", np.float32),
        ("value_floats", np.float32),
    ):
        if key in node.attrs:
            return [np.asarray(node.attrs[key], dtype)]
    raise ValueError("it holds no number")


@_rule("Identity", "Dropout")
def _identity(_node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [inputs[0]]


@_rule("Shape")
def _shape(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [shape_slice(node, inputs[0].shape)]


def shape_slice(node: Node, shape: Sequence[int]) -> Array:
    """Return what a Shape node gives for a tensor of that shape."""
    return np.asarray(shape[slice(node.attrs.get("start", 0), node.attrs.get("end"))], np.int64)


@_rule("Size")
def _size(_node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [np.asarray(inputs[0].size, np.int64)]


@_rule("Cast")
def _cast(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [inputs[0].astype(FROM_ONNX_TYPE[node.attrs["to"]])]


@_rule("Gather")
def _gather(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    data, indices = inputs
    axis = node.attrs.get("axis", 0)
    _bounded((data.size // max(data.shape[axis], 1), indices.size), data.size)
    return [np.take(data, indices.astype(np.int64), axis=axis)]


@_rule("Slice")
def _slice(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [inputs[0][slices(node, inputs, inputs[0].ndim)]]


def slices(node: Node, inputs: Sequence[Any], rank: int) -> tuple[slice, ...]:
    """Return a Slice node's Python slices, one per axis."""
    if "starts" in node.attrs:
        starts, ends = node.attrs["starts"], node.attrs["ends"]
        axes, steps = node.attrs.get("axes"), None
    else:
        starts, ends, axes, steps = (
            None if array is None else array.ravel() for array in [*inputs[1:], None, None][:4]
        )
    found = [slice(None)] * rank
    chosen = range(len(starts)) if axes is None else axes
    for i, axis in enumerate(chosen):
        found[int(axis)] = slice(int(starts[i]), int(ends[i]), 1 if steps is None else int(steps[i]))
    return tuple(found)


@_rule("Concat")
def _concat(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    _bounded([sum(array.size for array in inputs)], sum({id(array): array.size for array in inputs}.values()))
    return [np.concatenate(inputs, axis=node.attrs["axis"])]


@_rule("Squeeze")
def _squeeze(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    axes = _axes(node, inputs)
    return [np.squeeze(inputs[0], None if axes is None else tuple(axes))]


@_rule("Unsqueeze")
def _unsqueeze(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [np.expand_dims(inputs[0], tuple(_axes(node, inputs) or ()))]


@_rule("Reshape")
def _reshape(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [inputs[0].reshape(target_shape(node, inputs[0].shape, inputs[1]))]


def target_shape(node: Node, source: Sequence[int], wanted: Array) -> list[int]:
    """Return a Reshape node's target with 0 (as in the input) and -1 (what is left) resolved."""
    keep_zero = bool(node.attrs.get("allowzero", 0))
    shape = [
        source[axis] if size == 0 and not keep_zero and axis < len(source) else int(size)
        for axis, size in enumerate(wanted.ravel())
    ]
    if shape.count(-1) == 1:
        rest = int(np.prod([size for size in shape if size != -1], dtype=object))
        shape[shape.index(-1)] = int(np.prod(source, dtype=object)) // rest if rest else 0
    return shape


@_rule("Transpose")
def _transpose(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [np.transpose(inputs[0], node.attrs.get("perm"))]


@_rule("Flatten")
def _flatten(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    axis = node.attrs.get("axis", 1)
    rows = int(np.prod(inputs[0].shape[:axis], dtype=object))
    return [inputs[0].reshape(rows, -1)]


@_rule("ConstantOfShape")
def _constant_of_shape(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    value = node.attrs.get("value", np.zeros(1, np.float32))
    return [np.full(_bounded(inputs[0]), value.reshape(()), value.dtype)]


@_rule("Range")
def _range(_node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    start, limit, delta = (array.reshape(()) for array in inputs)
    _bounded([max(int(np.ceil((float(limit) - float(start)) / float(delta))), 0)])
    return [np.arange(start, limit, delta, dtype=start.dtype)]


@_rule("Expand")
def _expand(_node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    shape = _bounded(np.broadcast_shapes(inputs[0].shape, tuple(int(size) for size in inputs[1])))
    return [np.broadcast_to(inputs[0], shape)]


@_rule("Tile")
def _tile(_node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    _bounded([inputs[0].size, *inputs[1]])
    return [np.tile(inputs[0], inputs[1])]


@_rule("Split")
def _split(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    axis = node.attrs.get("axis", 0)
    sizes = inputs[1] if len(inputs) > 1 else node.attrs.get("split")
    return np.split(inputs[0], np.cumsum(split_sizes(sizes, inputs[0].shape[axis], len(node.outputs)))[:-1], axis)


def split_sizes(sizes: Sequence[int] | Array | None, total: int, parts: int) -> tuple[int, ...]:
    """Return a Split node's piece sizes; without a list the pieces are equal and the last one takes what is left."""
    if sizes is not None:
        return tuple(int(size) for size in sizes)
    each = -(-total // parts)
    return (*[each] * (parts - 1), total - each * (parts - 1))


@_rule("NonZero")
def _nonzero(_node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    return [np.asarray(np.nonzero(inputs[0]), np.int64)]


@_rule("MatMul")
def _matmul(_node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    a, b = inputs
    _bounded((*a.shape[:-1], *b.shape[-1:]), max(a.size, b.size))
    return [np.matmul(a, b)]


@_rule("QuantizeLinear")
def _quantize(node: Node, inputs: Sequence[Any]) -> Sequence[Array]:
    data, scale, *rest = inputs
    zero_point = rest[0] if rest and rest[0] is not None else np.zeros((), np.uint8)
    if scale.size > 1:
        along = tuple(-1 if axis == node.attrs.get("axis", 1) % data.ndim else 1 for axis in range(data.ndim))
        scale, zero_point = scale.reshape(along), zero_point.reshape(along if zero_point.size > 1 else ())
    else:
        scale, zero_point = scale.reshape(()), zero_point.reshape(())
    bounds = np.iinfo(zero_point.dtype)
    codes = np.rint(data / scale) + zero_point.astype(np.int64)
    return [np.clip(codes, bounds.min, bounds.max).astype(zero_point.dtype)]


def _dequantize(where: str, node: Node, constants: Mapping[str, Const]) -> Const:
    """Return a dequantised constant that still holds its codes, uint8 ones as int8."""
    codes, scale = constants[node.inputs[0]].array, constants[node.inputs[1]].array
    zero_point = constants[node.inputs[2]].array if node.input(2) else np.zeros(scale.shape, codes.dtype)
    axis = int(node.attrs.get("axis", 1))
    by_channel = -codes.ndim <= axis < codes.ndim and scale.shape == (codes.shape[axis],)
    fits = zero_point.size == scale.size and (scale.size == 1 or by_channel)
    if node.attrs.get("block_size") or not fits or codes.dtype.kind not in "iu":
        raise ModelFileError(
            f"{where}: node {node.name!r} (DequantizeLinear): scales of shape {scale.shape} do not fit codes of shape "
            f"{codes.shape} along axis {axis}; blocked quantisation is not supported"
        )
    stored = Stored(
        codes=as_int8(codes),
        scale=scale.astype(np.float64),
        zero_point=as_int8(zero_point).astype(np.int64),
        axis=axis % codes.ndim if scale.size > 1 else None,
    )
    return Const(node.outputs[0], dequantized(stored), stored)


FOLDED_OPERATORS = frozenset((*_RULES, "DequantizeLinear"))
