"""ONNX matrix products, norms, softmax and reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hwsim.graph import Shape, elements
from hwsim.graph import ops as gops
from hwsim.graph.ops.pooling import ReduceFunction
from hwsim.importers.onnx_layout import EXTRA, Activation, last, plain, regroup
from hwsim.importers.onnx_node import Array, Const, Node
from hwsim.importers.onnx_ops_conv import stored_bias, stored_filter
from hwsim.importers.onnx_ops_elementwise import variadic
from hwsim.importers.onnx_translate import Translation, UnsupportedFormError, onnx_op

REDUCTIONS: dict[str, ReduceFunction] = {
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
}


def dense(
    t: Translation, node: Node, value: Activation, weights: Const, *, turn: Callable[[Array], Array], channel_axis: int
) -> None:
    """Add a dense layer over the last axis; ``turn`` brings the file's weights to (K, C).

    An ifmap whose flattening was put off is flattened as it lies, and the weights' inputs are reordered instead.
    """
    tag = f"dense{channel_axis}"
    order = _flattened_as_it_lies(value)
    if order is not None and value.merged is not None:
        shape = value.merged
        x = t.builder.move(gops.Reshape(shape=shape), value.tensor, f"{node.name}/flatten")
        axes = plain(len(shape))
        tag += f"/{value.axes}{value.shape}"
    else:
        value = t.builder.flushed(value)
        axes = last(len(value.shape) - 1, value)
        x = t.builder.arranged(value, axes)

    def turned(array: Array) -> Array:
        matrix = turn(array)
        fits = order is not None and matrix.shape[1:] == order.shape  # if not, the layer's shape rule says so
        return matrix[:, order] if fits else matrix

    filter_ = stored_filter(t, node, weights, tag, turned, channel_axis)
    inputs = [x, filter_]
    if node.input(2):
        bias, scale = t.need_const(node, 2, "a bias"), float(node.attrs.get("beta", 1.0))
        values = np.broadcast_to(bias.array.ravel() * bias.array.dtype.type(scale), t.builder.shape(filter_)[:1])
        inputs.append(stored_bias(t, node, bias, x, filter_, values))
    t.emit(node, gops.Dense(activation=node.activation), inputs, axes)


def _flattened_as_it_lies(value: Activation) -> Array | None:
    """Return, for each input of the dense layer as the ifmap lies, its place in the file; None where that fails.

    It works when a reshape that was put off merges all axes but the leading ones, and only those lie in another order.
    """
    if value.merged is None or EXTRA in value.axes:
        return None
    groups = regroup(value.shape, value.merged)
    source, into = groups[-1]
    now = [axis for axis in value.axes if value.shape[axis] != 1]
    head, tail = now[: len(now) - len(source)], now[len(now) - len(source) :]
    if into != [len(value.merged) - 1] or sorted(tail) != source or head != sorted(head):
        return None
    if [axis for group, _ in groups[:-1] for axis in group] != head:
        return None
    places = np.arange(elements(tuple(value.shape[axis] for axis in source)))
    places = places.reshape([value.shape[axis] for axis in source])
    return places.transpose([source.index(axis) for axis in tail]).ravel()


@onnx_op("MatMul")
def _matmul(t: Translation, node: Node) -> None:
    a, b = node.inputs[:2]
    left, right = t.const(a), t.const(b)
    if right is not None and left is None and right.array.ndim == 2:
        dense(t, node, t.raw(node), right, turn=np.transpose, channel_axis=1)
        return
    if left is not None and right is None and left.array.ndim == 2 and len(t.file_shape(b)) >= 2 and not node.quant:
        value = t.activation(node, 1)
        axes = last(len(value.shape) - 2, value)  # W·X is (Xᵀ·Wᵀ)ᵀ, and the outer transpose is one of layout only
        filter_ = t.builder.store(left.name, "rows", left.array)
        t.emit(node, gops.Dense(), [t.builder.arranged(value, axes), filter_], axes)
        return
    rank = max(len(t.file_shape(a)), len(t.file_shape(b)))
    if min(len(t.file_shape(a)), len(t.file_shape(b))) < 2:
        raise UnsupportedFormError("of a vector")
    if node.quant is not None and (left is not None or right is not None):
        raise UnsupportedFormError("in int8 with stored weights of more than two axes")
    (x, flip_x), (y, flip_y) = _factor(t, node, 0), _factor(t, node, 1)
    op = gops.MatMul(transpose_a=flip_x, transpose_b=flip_y)
    t.emit(replace(node, inputs=node.inputs[:2]), op, [x, y], plain(rank))


def _factor(t: Translation, node: Node, index: int) -> tuple[str, bool]:
    """Return a factor of a product and whether its last two axes lie swapped."""
    value = t.activation(node, index)
    rank = len(value.shape)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    if value.axes == swapped:
        return value.tensor, True
    return t.builder.arranged(value, plain(rank)), False


@onnx_op("Gemm")
def _gemm(t: Translation, node: Node) -> None:
    value = t.raw(node)
    if node.attrs.get("transA"):
        value = t.builder.flushed(value)
        value = Activation(
            value.tensor, tuple(1 - axis if axis >= 0 else axis for axis in value.axes), value.shape[::-1]
        )
    alpha, transposed = float(node.attrs.get("alpha", 1.0)), bool(node.attrs.get("transB"))
    if node.quant is not None and (alpha != 1 or float(node.attrs.get("beta", 1.0)) != 1):
        raise UnsupportedFormError("in int8 with alpha or beta")
    weights, bias = t.const(node.inputs[1]), t.const(node.input(2))
    if weights is None:
        _gemm_of_activations(t, node, value, transposed)
        return
    channels = weights.array.shape[0 if transposed else 1]
    fits = bias is not None and (bias.array.size == 1 or bias.array.shape in ((channels,), (1, channels)))
    product = node
    if node.input(2) and not fits:
        if float(node.attrs.get("beta", 1.0)) != 1:
            raise UnsupportedFormError("with beta and a bias that is no vector")
        exact = t.builder.fresh(f"{node.outputs[0]}/product")
        product = replace(node, name=t.builder.fresh(f"{node.name}/product"), inputs=node.inputs[:2], outputs=(exact,))

    if alpha != 1:
        weights = Const(f"{weights.name}/{alpha:g}", weights.array * weights.array.dtype.type(alpha))

    def turn(array: Array) -> Array:
        return array if transposed else array.T

    dense(t, product, value, weights, turn=turn, channel_axis=0 if transposed else 1)
    if product is not node:
        variadic(t, replace(node, inputs=(product.outputs[0], node.inputs[2])), "add")


def _gemm_of_activations(t: Translation, node: Node, value: Activation, transposed: bool) -> None:
    if float(node.attrs.get("alpha", 1.0)) != 1 or float(node.attrs.get("beta", 1.0)) != 1 or node.quant is not None:
        raise UnsupportedFormError("of two activations with alpha or beta, or in int8")
    x = t.builder.arranged(value, plain(2))
    y = t.builder.arranged(t.activation(node, 1), plain(2))
    product = node
    if node.input(2):
        exact = t.builder.fresh(f"{node.outputs[0]}/product")
        product = replace(node, name=t.builder.fresh(f"{node.name}/product"), outputs=(exact,))
    t.emit(product, gops.MatMul(transpose_b=transposed), [x, y], plain(2))
    if product is not node:
        variadic(t, replace(node, inputs=(product.outputs[0], node.inputs[2])), "add")


# -- norms -------------------------------------------------------------------------------------------------------------


@onnx_op("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def _norm(t: Translation, node: Node) -> None:
    node = t.first_output_only(node)
    value = t.activation(node)
    rank = len(value.shape)
    axis = int(node.attrs.get("single_axis", node.attrs.get("axis", -1))) % rank
    whole = "single_axis" not in node.attrs and axis < rank - 1
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    op = gops.LayerNorm(epsilon=epsilon) if node.op == "LayerNormalization" else gops.RmsNorm(epsilon=epsilon)
    consts = [t.need_const(node, index, "parameters") for index in (1, 2) if node.input(index)]
    names = [t.builder.store(const.name, "channels", const.array.ravel()) for const in consts]
    if not whole:
        axes = last(axis, value)
        t.emit(node, op, [t.builder.arranged(value, axes), *names], axes)
        return
    if any(const.array.shape != value.shape[axis:] for const in consts):
        raise UnsupportedFormError(f"over axes {axis} to {rank - 1} with parameters that are broadcast")
    _around(t, node, value, op, names, (*value.shape[:axis], elements(value.shape[axis:])))


def _around(t: Translation, node: Node, value: Activation, op: gops.Op, more: Sequence[str], shape: Shape) -> None:
    """Add a layer that works on another shape of its input, between two reshapes."""
    x = t.builder.arranged(value, plain(len(value.shape)))
    flat = t.builder.move(gops.Reshape(shape=shape), x, f"{node.name}/flatten")
    done = t.aux(op, [flat, *more], f"{node.name}/flat")
    t.emit(node, gops.Reshape(shape=value.shape), [done], plain(len(value.shape)), moves=True)


@onnx_op("Softmax", "LogSoftmax")
def _softmax(t: Translation, node: Node) -> None:
    value = t.activation(node)
    shape = value.shape
    axis = int(node.attrs.get("axis", -1 if t.opset >= 13 else 1)) % len(shape)
    log = node.op == "LogSoftmax"
    if t.opset < 13 and elements(shape[axis + 1 :]) > 1:  # before opset 13 all axes from ``axis`` on count as one
        if node.quant is not None:
            raise UnsupportedFormError("in int8 over several axes")
        flat = (elements(shape[:axis]), elements(shape[axis:]))
        _around(t, node, value, gops.Softmax(axis=-1, log=log), (), flat)
        return
    t.emit(node, gops.Softmax(axis=value.axes.index(axis), log=log), [value.tensor], value.axes)


@onnx_op("LpNormalization")
def _l2_norm(t: Translation, node: Node) -> None:
    if int(node.attrs.get("p", 2)) != 2:
        raise UnsupportedFormError(f"with p = {node.attrs['p']}")
    value = t.activation(node)
    axis = int(node.attrs.get("axis", -1)) % len(value.shape)
    # ONNX has no least length: a vector of zeros stays one.
    op = gops.L2Norm(axis=value.axes.index(axis), epsilon=1e-30)
    t.emit(node, op, [value.tensor], value.axes)


@onnx_op("ArgMax", "ArgMin")
def _arg_extreme(t: Translation, node: Node) -> None:
    if node.attrs.get("select_last_index"):
        raise UnsupportedFormError("with the last of equal values")
    value = t.activation(node)
    rank = len(value.shape)
    axis, keep = int(node.attrs.get("axis", 0)) % rank, bool(node.attrs.get("keepdims", 1))
    op = gops.ArgExtreme(
        function="max" if node.op == "ArgMax" else "min", axis=value.axes.index(axis), keepdims=keep, dtype="int64"
    )
    left = [other for other in range(rank) if other != axis]
    order = value.axes if keep else tuple(a if a == EXTRA else left.index(a) for a in value.axes if a != axis)
    t.emit(node, op, [value.tensor], order)


@onnx_op(*REDUCTIONS)
def _reduce(t: Translation, node: Node) -> None:
    value = t.activation(node)
    rank = len(value.shape)
    listed = t.integers(node, 1, "axes")
    if not listed and node.attrs.get("noop_with_empty_axes"):
        t.alias(node, value)
        return
    axes = {axis % rank for axis in listed} if listed else set(range(rank))
    keep = bool(node.attrs.get("keepdims", 1))
    inside = tuple(index for index, axis in enumerate(value.axes) if axis in axes)
    left = [axis for axis in range(rank) if axis not in axes]
    order = (
        value.axes
        if keep
        else tuple(axis if axis == EXTRA else left.index(axis) for axis in value.axes if axis not in axes)
    )
    node = replace(node, inputs=node.inputs[:1])
    op = gops.Reduce(function=REDUCTIONS[node.op], axes=inside, keepdims=keep)
    t.emit(node, op, [value.tensor], order)
