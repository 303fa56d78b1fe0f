"""Constant folding: a layer type, or a function of shape arithmetic, evaluated on known arrays.

Exporters write the sizes of a reshape or a slice as little subgraphs (shape → gather → concat → …). An importer
translates each of their operators as usual and asks here for the values before it adds a layer; what comes back known
never becomes a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from hwsim.graph import DType, elements
from hwsim.graph.ops import (
    Binary,
    Cast,
    Concat,
    Gather,
    Op,
    Pad,
    Reduce,
    Reshape,
    ShapeMismatchError,
    Slice,
    Split,
    Transpose,
    Unary,
)

Array = np.ndarray[Any, Any]

MAX_FOLDED_ELEMENTS = 2**24
"""Results larger than this and larger than their inputs are left to the graph, so that a few bytes of a file cannot ask
for gigabytes."""

MAX_FOLDED_BYTES = 2**28
"""What all results of a file's folding may take together, beside a few times its stored values."""


class FoldingRoom:
    """Counts what folding makes: a file of many small folded operators must not fill the memory either."""

    def __init__(self, stored_bytes: int) -> None:
        self._left = MAX_FOLDED_BYTES + 16 * stored_bytes

    def take(self, inputs: Iterable[Array | None], outputs: Iterable[Array]) -> None:
        """Note results; those that show an input's own bytes take nothing.

        Raises:
            ValueError: There is no room left.
        """
        known = [array for array in inputs if array is not None]
        for output in outputs:
            if not any(np.may_share_memory(output, array) for array in known):
                self._left -= output.nbytes
        if self._left < 0:
            raise ValueError("constants computed from constants take too much memory; fold them before export")


# Moving values does not look at them, so these fold whatever the quantisation; arithmetic on stored values does not.
MOVES = (Concat, Gather, Reshape, Slice, Split, Transpose)


def numpy_dtype(dtype: DType) -> np.dtype[Any]:
    """Return the numpy dtype that holds a dtype's values; int4 is held one value per int8."""
    return np.dtype("int8" if dtype == "int4" else dtype)


def fold(op: Op, inputs: Sequence[Array]) -> tuple[Array, ...] | None:
    """Return a layer's outputs for known inputs, or None where the layer type is not folded.

    Arithmetic is that of the stored values: the caller must not fold arithmetic on quantised tensors.

    Raises:
        ShapeMismatchError: The inputs break the layer's rule (an index outside its table, shapes that don't broadcast).
    """
    try:
        with np.errstate(all="ignore"):
            return _fold(op, inputs)
    except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError) as error:
        raise ShapeMismatchError(f"constant inputs: {error}") from None


def _fold(op: Op, inputs: Sequence[Array]) -> tuple[Array, ...] | None:
    first = inputs[0]
    match op:
        case Concat(activation=None):
            if sum(x.size for x in inputs) > max(MAX_FOLDED_ELEMENTS, sum({id(x): x.size for x in inputs}.values())):
                return None
            return (np.concatenate([np.asarray(x) for x in inputs], op.axis),)
        case Split():
            return tuple(np.split(first, np.cumsum(op.sizes)[:-1], op.axis))
        case Slice():
            return (first[tuple(map(_index, op.begin, op.end, op.strides))],)
        case Reshape():
            return (first.reshape(tuple(first.shape[i] if size == 0 else size for i, size in enumerate(op.shape))),)
        case Transpose():
            return (first.transpose(op.perm),)
        case Gather():
            if first.ndim == 0 or inputs[1].size * first.size // max(first.shape[op.axis], 1) > MAX_FOLDED_ELEMENTS:
                return None
            return (np.take(first, inputs[1], op.axis),)
        case Cast():
            return (first.astype(numpy_dtype(op.dtype)),)
        case Pad(mode="constant"):
            if elements(tuple(a + n + b for n, (a, b) in zip(first.shape, op.pads, strict=True))) > MAX_FOLDED_ELEMENTS:
                return None
            return (np.pad(first, op.pads, constant_values=op.value),)
        case Binary(activation=None) if op.function in _BINARY:
            a, b = inputs
            if elements(np.broadcast_shapes(a.shape, b.shape)) > max(MAX_FOLDED_ELEMENTS, a.size, b.size):
                return None
            return (np.asarray(_BINARY[op.function](a, b)).astype(np.result_type(a, b)),)
        case Unary() if op.function in _UNARY:
            return (np.asarray(_UNARY[op.function](first)).astype(first.dtype),)
        case Reduce() if op.function in _REDUCE:
            return (np.asarray(_REDUCE[op.function](first, op.axes, op.keepdims)).astype(first.dtype),)
    return None


def _index(begin: int, end: int, stride: int) -> slice:
    """Return the slice of ``Slice``'s resolved bounds; a run down to index 0 has ``end`` −1, numpy's None."""
    return slice(begin, None if end < 0 else end, stride)


def _divide(a: Array, b: Array) -> Array:
    """Return a / b; integers round towards zero, as in ONNX, TFLite and C."""
    if np.issubdtype(np.result_type(a, b), np.floating):
        return np.asarray(a / b)
    if np.any(b == 0):
        raise ZeroDivisionError("division by zero")
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient)


_BINARY: Mapping[str, Callable[[Array, Array], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "pow": np.power,
}
_UNARY: Mapping[str, Callable[[Array], Any]] = {
    "abs": np.abs,
    "neg": np.negative,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": np.reciprocal,
    "square": np.square,
    "exp": np.exp,
    "log": np.log,
}
_REDUCE: Mapping[str, Callable[[Array, tuple[int, ...], bool], Any]] = {
    "sum": lambda x, axes, keep: np.sum(x, axis=axes, keepdims=keep),
    "prod": lambda x, axes, keep: np.prod(x, axis=axes, keepdims=keep),
    "max": lambda x, axes, keep: np.max(x, axis=axes, keepdims=keep),
    "min": lambda x, axes, keep: np.min(x, axis=axes, keepdims=keep),
    "mean": lambda x, axes, keep: np.mean(x, axis=axes, keepdims=keep),
}


# -- shape arithmetic that has no layer type ---------------------------------------------------------------------------


def _fill(shape: Array, value: Array) -> Array:
    return np.full(_sizes(shape), np.asarray(value).reshape(()))


def _sizes(shape: Array) -> tuple[int, ...]:
    """Return a shape given as values, checked before anything of that size is made."""
    sizes = tuple(int(size) for size in np.asarray(shape).reshape(-1))
    if any(size < 0 for size in sizes) or elements(sizes) > MAX_FOLDED_ELEMENTS:
        raise ValueError(f"shape {sizes}: sizes must be >= 0 and make at most {MAX_FOLDED_ELEMENTS} elements")
    return sizes


def _range(start: Array, limit: Array, delta: Array) -> Array:
    first, last, step = (np.asarray(value).reshape(()).item() for value in (start, limit, delta))
    if not (step and (last - first) / step <= MAX_FOLDED_ELEMENTS):
        raise ValueError(f"range from {first} to {last} by {step}")
    return np.asarray(np.arange(first, last, step), np.asarray(start).dtype)


def _broadcast_to(x: Array, shape: Array) -> Array:
    return np.broadcast_to(x, _sizes(np.asarray(np.broadcast_shapes(x.shape, _sizes(shape)))))


def _tile(x: Array, repeats: Array) -> Array:
    times = _sizes(repeats)
    _sizes(np.asarray([n * t for n, t in zip(x.shape, times, strict=True)]))
    return np.tile(x, times)


FUNCTIONS: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "fill": _fill,
        "range": _range,
        "select": np.where,
        "broadcast_to": _broadcast_to,
        "tile": _tile,
        "floor_div": np.floor_divide,
        "floor_mod": np.mod,
        "equal": np.equal,
        "not_equal": np.not_equal,
        "less": np.less,
        "less_equal": np.less_equal,
        "greater": np.greater,
        "greater_equal": np.greater_equal,
        "logical_and": np.logical_and,
        "logical_or": np.logical_or,
        "logical_not": np.logical_not,
        "sign": np.sign,
    }
)
"""Functions that importers fold when all inputs are known, and do not know otherwise; inputs in TFLite's order:
``fill(shape, value)``, ``range(start, limit, delta)``, ``select(condition, x, y)``, ``broadcast_to(x, shape)``, …"""


def fold_function(name: str, inputs: Sequence[Array]) -> Array:
    """Return the value of one of ``FUNCTIONS`` for known inputs.

    Raises:
        ShapeMismatchError: The inputs do not fit the function, or ask for more than ``MAX_FOLDED_ELEMENTS``.
    """
    try:
        with np.errstate(all="ignore"):
            return np.asarray(FUNCTIONS[name](*inputs))
    except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError) as error:
        raise ShapeMismatchError(f"constant inputs: {error}") from None
