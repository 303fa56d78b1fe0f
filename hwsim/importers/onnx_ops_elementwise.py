"""ONNX operators that treat each element alone, and changes of number format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwsim.graph import elements
from hwsim.graph import ops as gops
from hwsim.graph.ops import BinaryFunction, UnaryFunction
from hwsim.importers.onnx_layout import plain
from hwsim.importers.onnx_node import Node, scalar
from hwsim.importers.onnx_patterns import clip_bounds
from hwsim.importers.onnx_qdq import quantization
from hwsim.importers.onnx_read import ELEMENT_TYPES
from hwsim.importers.onnx_translate import Translation, UnsupportedFormError, onnx_op

UNARY: dict[str, UnaryFunction] = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "HardSwish": "hard_swish",
    "hwsim::Silu": "silu",
    "Swish": "silu",
    "Softplus": "softplus",
    "Erf": "erf",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Reciprocal": "reciprocal",
    "Abs": "abs",
    "Neg": "neg",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
    "Sin": "sin",
    "Cos": "cos",
    "com.microsoft::Gelu": "gelu",
}
BINARY: dict[str, BinaryFunction] = {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "Pow": "pow",
    "Max": "maximum",
    "Min": "minimum",
    "Sum": "add",
}


def unary(t: Translation, node: Node, op: gops.Unary) -> None:
    """Add a function of each element; it needs no particular layout, and passes over a reshape that was put off."""
    value = t.raw(node)
    node = replace(node, inputs=node.inputs[:1], outputs=node.outputs[:1])
    t.emit(node, op, [value.tensor], value.axes, merged=value.merged, shape=value.shape)


@onnx_op(*UNARY)
def _unary(t: Translation, node: Node) -> None:
    unary(t, node, gops.Unary(function=UNARY[node.op]))


@onnx_op("Gelu")
def _gelu(t: Translation, node: Node) -> None:
    function: UnaryFunction = "gelu_tanh" if node.attrs.get("approximate", "none") == "tanh" else "gelu"
    unary(t, node, gops.Unary(function=function))


@onnx_op("LeakyRelu")
def _leaky_relu(t: Translation, node: Node) -> None:
    unary(t, node, gops.Unary(function="leaky_relu", alpha=node.attrs.get("alpha", 0.01)))


@onnx_op("Elu")
def _elu(t: Translation, node: Node) -> None:
    unary(t, node, gops.Unary(function="elu", alpha=node.attrs.get("alpha", 1.0)))


@onnx_op("HardSigmoid")
def _hard_sigmoid(t: Translation, node: Node) -> None:
    op = gops.Unary(function="hard_sigmoid", alpha=node.attrs.get("alpha", 0.2), beta=node.attrs.get("beta", 0.5))
    unary(t, node, op)


@onnx_op("Clip")
def _clip(t: Translation, node: Node) -> None:
    bounds = clip_bounds(t.constants, node)
    if bounds is None:
        raise UnsupportedFormError("with bounds that the net computes")
    if bounds == (None, None):
        t.alias(node, t.raw(node))
        return
    unary(t, node, gops.Unary(function="clip", low=bounds[0], high=bounds[1]))


@onnx_op("Identity", "Dropout")
def _identity(t: Translation, node: Node) -> None:
    if node.op == "Dropout" and node.input(2) and scalar(t.const(node.input(2))) != 0:
        raise UnsupportedFormError("in training mode")
    t.alias(t.first_output_only(node), t.raw(node))


@onnx_op("PRelu")
def _prelu(t: Translation, node: Node) -> None:
    value = t.activation(node)
    slope = t.operand(node.inputs[1], value.axes, quantized=False)
    t.emit(node, gops.PRelu(), [value.tensor, slope], value.axes)


@onnx_op(*BINARY)
def _binary(t: Translation, node: Node) -> None:
    if len(node.inputs) == 1:
        t.alias(node, t.raw(node))
    elif node.op == "Pow" and (power := scalar(t.const(node.inputs[1]))) in (2, 0.5):
        function: UnaryFunction = "square" if power == 2 else "sqrt"
        unary(t, node, gops.Unary(function=function))
    else:
        variadic(t, node, BINARY[node.op])


@onnx_op("Mean")
def _mean(t: Translation, node: Node) -> None:
    if len(node.inputs) == 1:
        t.alias(node, t.raw(node))
        return
    sum_name = t.builder.fresh(f"{node.outputs[0]}/sum")
    variadic(t, replace(node, name=t.builder.fresh(f"{node.name}/sum"), outputs=(sum_name,)), "add")
    share = t.builder.store(f"{node.outputs[0]}/share", "", np.asarray(1 / len(node.inputs), np.float32))
    value = t.values[sum_name]
    t.emit(node, gops.Binary(function="mul"), [value.tensor, share], value.axes)


def variadic(t: Translation, node: Node, function: BinaryFunction) -> None:
    """Add arithmetic of two tensors, or of more as a chain; the largest operand decides the layout."""
    ranks = [len(t.file_shape(name)) for name in node.inputs]
    computed = [t.values[name] for name in node.inputs if name in t.values]
    if not computed:
        raise UnsupportedFormError("of constants alone")
    leader = max(computed, key=lambda value: (len(value.file_shape), elements(value.file_shape), value.axes))
    if (
        leader.merged is not None
        and node.quant is None
        and len(computed) == 1
        and all(const.array.size == 1 for name in node.inputs if (const := t.const(name)) is not None)
    ):
        names = [
            leader.tensor if const is None else t.builder.store(name, "scalar", const.array.reshape(()))
            for name in node.inputs
            for const in (t.const(name),)
        ]
        if len(names) == 2 and max(ranks) == len(leader.file_shape):
            op = gops.Binary(function=function, activation=node.activation)
            t.emit(node, op, names, leader.axes, merged=leader.merged, shape=leader.shape)
            return
    leader = t.builder.flushed(leader)
    axes = leader.axes if len(leader.shape) == max(ranks) else plain(max(ranks))
    tensors = [t.operand(name, axes, node.quant is not None) for name in node.inputs]
    for index, tensor in enumerate(tensors[1:-1]):
        word = f"{node.name}/{index}"
        tensors[index + 1] = t.aux(gops.Binary(function=function), [tensors[index], tensor], word)
    t.emit(node, gops.Binary(function=function, activation=node.activation), tensors[-2:], axes)


@onnx_op("Cast")
def _cast(t: Translation, node: Node) -> None:
    value = t.raw(node)
    dtype = ELEMENT_TYPES.get(node.attrs["to"])
    if dtype is None:
        raise UnsupportedFormError(f"to element type {node.attrs['to']}")
    if dtype == t.builder.tensor(value.tensor).dtype:
        t.alias(node, value)
        return
    t.emit(node, gops.Cast(dtype=dtype), [value.tensor], value.axes, merged=value.merged, shape=value.shape)


@onnx_op("QuantizeLinear")
def _quantize_linear(t: Translation, node: Node) -> None:
    quant = quantization(node, t.constants)
    if quant is None:
        raise UnsupportedFormError("of an activation by channel, by block, or to other than 8 bits")
    value = t.activation(node)
    if t.builder.tensor(value.tensor).quant == quant:
        t.alias(node, value)
        return
    node = replace(node, quant=quant, inputs=node.inputs[:1])
    t.emit(node, gops.Quantize(), [value.tensor], value.axes)


@onnx_op("DequantizeLinear")
def _dequantize_linear(t: Translation, node: Node) -> None:
    if quantization(node, t.constants) is None:
        raise UnsupportedFormError("of an activation by channel, by block, or from other than 8 bits")
    value = t.activation(node)
    if t.builder.tensor(value.tensor).quant is None:
        raise UnsupportedFormError(f"of {node.inputs[0]!r}, whose quantisation is not known")
    t.emit(node, gops.Dequantize(), [value.tensor], value.axes)
