"""A graph written as ONNX, so that onnxruntime can be asked for the same result.

The ONNX model keeps hwsim's channel-last tensors under their names; a layer that ONNX defines on NCHW stands between
two Transposes, most of which onnxruntime cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwsim.graph import Graph, Layer, Tensor, ops

OPSET = 20
IR_VERSION = 9
FARTHEST = np.iinfo(np.int64).min  # a slice's end that lies before index 0

SAME_NAME = "relu sigmoid tanh softplus erf exp log sqrt reciprocal abs neg floor ceil round sin cos"
PLAIN = {name: name.capitalize() for name in SAME_NAME.split()} | {"hard_swish": "HardSwish"}
BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "maximum": "Max", "minimum": "Min", "pow": "Pow"}
CLIPS = {"relu": (0.0, None), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}


class Writer:
    """Collects nodes and constants; every method returns the name of the value it makes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.fresh = 0

    def name(self) -> str:
        self.fresh += 1
        return f"onnx_export_{self.fresh}"

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = self.name()
        self.constants[name] = numpy_helper.from_array(np.array(values, dtype), name)
        return name

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = self.name()
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def channels_first(self, x: str, rank: int = 4) -> str:
        return self.node("Transpose", [x], perm=[0, rank - 1, *range(1, rank - 1)])

    def channels_last(self, x: str, rank: int = 4) -> str:
        return self.node("Transpose", [x], perm=[0, *range(2, rank), 1])

    def clip(self, x: str, low: float | None, high: float | None) -> str:
        return self.node("Clip", [x, *("" if bound is None else self.constant(bound) for bound in (low, high))])

    def activate(self, x: str, activation: str | None) -> str:
        return x if activation is None else self.clip(x, *CLIPS[activation])

    def tensor(self, name: str) -> Tensor:
        return self.graph.tensors[name]

    def data(self, name: str) -> np.ndarray:
        data = self.graph.tensors[name].data
        assert data is not None, f"{name} has no values"
        return data

    def rank(self, name: str) -> int:
        return len(self.tensor(name).shape)


Export = Callable[[Writer, Layer, Any], Any]
EXPORTS: dict[type[ops.Op], Export] = {}


def exports(kind: type[ops.Op]) -> Callable[[Export], Export]:
    def register(function: Export) -> Export:
        EXPORTS[kind] = function
        return function

    return register


def to_onnx(graph: Graph) -> onnx.ModelProto:
    """Return the graph as an ONNX model with the same tensor names and channel-last shapes."""
    writer = Writer(graph)
    for layer in graph.layers:
        made = EXPORTS[type(layer.op)](writer, layer, layer.op)
        for value, name in zip([made] if isinstance(made, str) else made, layer.outputs, strict=True):
            writer.nodes.append(helper.make_node("Identity", [value], [name]))
    used = {name for node in writer.nodes for name in node.input}
    stored = [
        numpy_helper.from_array(np.ascontiguousarray(tensor.data), tensor.name)
        for tensor in graph.constants
        if tensor.name in used
    ]
    model = helper.make_model(
        helper.make_graph(
            writer.nodes,
            graph.name,
            [_value_info(graph.tensors[name]) for name in graph.inputs],
            [_value_info(graph.tensors[name]) for name in graph.outputs],
            [*stored, *writer.constants.values()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model


def _value_info(tensor: Tensor) -> Any:
    return helper.make_tensor_value_info(tensor.name, _onnx_dtype(tensor.dtype), tensor.shape)


def _onnx_dtype(dtype: str) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _pads(padding: Any) -> list[int]:
    (top, bottom), (left, right) = padding
    return [top, left, bottom, right]


@exports(ops.Conv2d)
def _conv2d(w: Writer, layer: Layer, op: ops.Conv2d) -> str:
    filters = w.constant(w.data(layer.inputs[1]).transpose(0, 3, 1, 2))
    made = w.node(
        "Conv",
        [w.channels_first(layer.inputs[0]), filters, *layer.inputs[2:]],
        strides=op.strides,
        pads=_pads(op.padding),
        dilations=op.dilations,
        group=op.groups,
    )
    return w.activate(w.channels_last(made), op.activation)


@exports(ops.ConvTranspose2d)
def _conv_transpose2d(w: Writer, layer: Layer, op: ops.ConvTranspose2d) -> str:
    data = w.data(layer.inputs[1])
    K, R, S, per_group = data.shape
    grouped = data.reshape(op.groups, K // op.groups, R, S, per_group).transpose(0, 4, 1, 2, 3)
    filters = w.constant(grouped.reshape(per_group * op.groups, K // op.groups, R, S))
    made = w.node(
        "ConvTranspose",
        [w.channels_first(layer.inputs[0]), filters, *layer.inputs[2:]],
        strides=op.strides,
        pads=_pads(op.padding),
        dilations=op.dilations,
        output_padding=op.output_padding,
        group=op.groups,
    )
    return w.activate(w.channels_last(made), op.activation)


@exports(ops.Dense)
def _dense(w: Writer, layer: Layer, op: ops.Dense) -> str:
    made = w.node("MatMul", [layer.inputs[0], w.node("Transpose", [layer.inputs[1]], perm=[1, 0])])
    if len(layer.inputs) > 2:
        made = w.node("Add", [made, layer.inputs[2]])
    return w.activate(made, op.activation)


@exports(ops.MatMul)
def _matmul(w: Writer, layer: Layer, op: ops.MatMul) -> str:
    def operand(name: str, transposed: bool) -> str:
        axes = list(range(w.rank(name)))
        return w.node("Transpose", [name], perm=[*axes[:-2], axes[-1], axes[-2]]) if transposed else name

    a, b = layer.inputs
    return w.node("MatMul", [operand(a, op.transpose_a), operand(b, op.transpose_b)])


@exports(ops.Binary)
def _binary(w: Writer, layer: Layer, op: ops.Binary) -> str:
    if op.function == "squared_difference":
        difference = w.node("Sub", layer.inputs)
        return w.activate(w.node("Mul", [difference, difference]), op.activation)
    return w.activate(w.node(BINARY[op.function], layer.inputs), op.activation)


@exports(ops.Unary)
def _unary(w: Writer, layer: Layer, op: ops.Unary) -> str:
    (x,) = layer.inputs
    match op.function:
        case "relu6":
            return w.clip(x, 0.0, 6.0)
        case "clip":
            return w.clip(x, op.low, op.high)
        case "leaky_relu":
            return w.node("LeakyRelu", [x], alpha=op.alpha)
        case "elu":
            return w.node("Elu", [x], alpha=op.alpha)
        case "hard_sigmoid":
            return w.node("HardSigmoid", [x], alpha=op.alpha, beta=op.beta)
        case "silu":
            return w.node("Mul", [x, w.node("Sigmoid", [x])])
        case "gelu":
            return w.node("Gelu", [x], approximate="none")
        case "gelu_tanh":
            return w.node("Gelu", [x], approximate="tanh")
        case "rsqrt":
            return w.node("Reciprocal", [w.node("Sqrt", [x])])
        case "square":
            return w.node("Mul", [x, x])
    return w.node(PLAIN[op.function], [x])


@exports(ops.PRelu)
def _prelu(w: Writer, layer: Layer, _: Any) -> str:
    return w.node("PRelu", layer.inputs)


@exports(ops.Pool2d)
def _pool2d(w: Writer, layer: Layer, op: ops.Pool2d) -> str:
    attributes = {
        "kernel_shape": op.kernel,
        "strides": op.strides,
        "pads": _pads(op.padding),
        "dilations": op.dilations,
        "ceil_mode": int(op.ceil_mode),
    }
    if op.function == "average":
        attributes["count_include_pad"] = int(op.count_include_pad)
    kind = {"max": "MaxPool", "average": "AveragePool"}[op.function]
    made = w.node(kind, [w.channels_first(layer.inputs[0])], **attributes)
    return w.activate(w.channels_last(made), op.activation)


@exports(ops.GlobalPool)
def _global_pool(w: Writer, layer: Layer, op: ops.GlobalPool) -> str:
    kind = {"max": "GlobalMaxPool", "average": "GlobalAveragePool"}[op.function]
    return w.channels_last(w.node(kind, [w.channels_first(layer.inputs[0])]))


@exports(ops.Reduce)
def _reduce(w: Writer, layer: Layer, op: ops.Reduce) -> str:
    return w.node(
        f"Reduce{op.function.capitalize()}",
        [layer.inputs[0], w.constant(op.axes, np.int64)],
        keepdims=int(op.keepdims),
    )


@exports(ops.ArgExtreme)
def _arg_extreme(w: Writer, layer: Layer, op: ops.ArgExtreme) -> str:
    index = w.node(f"Arg{op.function.capitalize()}", layer.inputs, axis=op.axis, keepdims=int(op.keepdims))
    return w.node("Cast", [index], to=_onnx_dtype(op.dtype))


@exports(ops.L2Norm)
def _l2_norm(w: Writer, layer: Layer, op: ops.L2Norm) -> str:
    return w.node("LpNormalization", layer.inputs, axis=op.axis, p=2)


@exports(ops.Concat)
def _concat(w: Writer, layer: Layer, op: ops.Concat) -> str:
    return w.activate(w.node("Concat", layer.inputs, axis=op.axis), op.activation)


@exports(ops.Split)
def _split(w: Writer, layer: Layer, op: ops.Split) -> list[str]:
    names = [w.name() for _ in op.sizes]
    w.nodes.append(helper.make_node("Split", [layer.inputs[0], w.constant(op.sizes, np.int64)], names, axis=op.axis))
    return names


@exports(ops.Slice)
def _slice(w: Writer, layer: Layer, op: ops.Slice) -> str:
    ends = [FARTHEST if end < 0 else end for end in op.end]
    bounds = [w.constant(values, np.int64) for values in (op.begin, ends, range(len(ends)), op.strides)]
    return w.node("Slice", [layer.inputs[0], *bounds])


@exports(ops.Pad)
def _pad(w: Writer, layer: Layer, op: ops.Pad) -> str:
    pads = w.constant(np.array(op.pads).T.reshape(-1), np.int64)  # all before, then all after
    return w.node("Pad", [layer.inputs[0], pads, w.constant(op.value)], mode=op.mode)


def _reshaped(w: Writer, x: str, shape: Sequence[int]) -> str:
    return w.node("Reshape", [x, w.constant(shape, np.int64)])


@exports(ops.Reshape)
def _reshape(w: Writer, layer: Layer, _: ops.Reshape) -> str:
    return _reshaped(w, layer.inputs[0], w.tensor(layer.outputs[0]).shape)


@exports(ops.Transpose)
def _transpose(w: Writer, layer: Layer, op: ops.Transpose) -> str:
    return w.node("Transpose", layer.inputs, perm=op.perm)


@exports(ops.ChannelShuffle)
def _channel_shuffle(w: Writer, layer: Layer, op: ops.ChannelShuffle) -> str:
    shape = w.tensor(layer.inputs[0]).shape
    rank = len(shape)
    grouped = _reshaped(w, layer.inputs[0], [*shape[:-1], op.groups, shape[-1] // op.groups])
    return _reshaped(w, w.node("Transpose", [grouped], perm=[*range(rank - 1), rank, rank - 1]), shape)


@exports(ops.Resize)
def _resize(w: Writer, layer: Layer, op: ops.Resize) -> str:
    n, _, _, c = w.tensor(layer.inputs[0]).shape
    rounding = {"prefer_floor": "round_prefer_floor", "prefer_ceil": "round_prefer_ceil"}
    sizes, scales = ["", w.constant([n, c, *op.size], np.int64)], [w.constant([1, 1, *(op.scale or ())])]
    goal = sizes if op.scale is None else scales
    made = w.node(
        "Resize",
        [w.channels_first(layer.inputs[0]), "", *goal],
        mode={"nearest": "nearest", "bilinear": "linear"}[op.mode],
        coordinate_transformation_mode=op.coordinates,
        nearest_mode=rounding.get(op.rounding, op.rounding),
    )
    return w.channels_last(made)


@exports(ops.Softmax)
def _softmax(w: Writer, layer: Layer, op: ops.Softmax) -> str:
    x = layer.inputs[0] if op.beta == 1.0 else w.node("Mul", [layer.inputs[0], w.constant(op.beta)])
    return w.node("LogSoftmax" if op.log else "Softmax", [x], axis=op.axis)


@exports(ops.LayerNorm)
def _layer_norm(w: Writer, layer: Layer, op: ops.LayerNorm) -> str:
    x, *parameters = layer.inputs
    scale = parameters or [w.constant(np.ones(w.tensor(x).shape[-1]))]
    return w.node("LayerNormalization", [x, *scale], axis=-1, epsilon=op.epsilon)


@exports(ops.RmsNorm)
def _rms_norm(w: Writer, layer: Layer, op: ops.RmsNorm) -> str:
    x = layer.inputs[0]
    mean = w.node("ReduceMean", [w.node("Mul", [x, x]), w.constant([-1], np.int64)])
    root = w.node("Sqrt", [w.node("Add", [mean, w.constant(op.epsilon)])])
    normal = w.node("Div", [x, root])
    return w.node("Mul", [normal, layer.inputs[1]]) if len(layer.inputs) > 1 else normal


@exports(ops.BatchNorm)
def _batch_norm(w: Writer, layer: Layer, op: ops.BatchNorm) -> str:
    rank = w.rank(layer.inputs[0])
    x = w.channels_first(layer.inputs[0], rank)
    return w.channels_last(w.node("BatchNormalization", [x, *layer.inputs[1:]], epsilon=op.epsilon), rank)


@exports(ops.Lrn)
def _lrn(w: Writer, layer: Layer, op: ops.Lrn) -> str:
    x = w.channels_first(layer.inputs[0])
    return w.channels_last(w.node("LRN", [x], size=op.size, alpha=op.alpha, beta=op.beta, bias=op.bias))


@exports(ops.Gather)
def _gather(w: Writer, layer: Layer, op: ops.Gather) -> str:
    return w.node("Gather", layer.inputs, axis=op.axis)


@exports(ops.DepthToSpace)
def _depth_to_space(w: Writer, layer: Layer, op: ops.DepthToSpace) -> str:
    mode = "CRD" if op.channel_major else "DCR"
    x = w.channels_first(layer.inputs[0])
    return w.channels_last(w.node("DepthToSpace", [x], blocksize=op.block, mode=mode))


@exports(ops.SpaceToDepth)
def _space_to_depth(w: Writer, layer: Layer, op: ops.SpaceToDepth) -> str:
    return w.channels_last(w.node("SpaceToDepth", [w.channels_first(layer.inputs[0])], blocksize=op.block))


def _linear(w: Writer, kind: str, x: str, tensor: Tensor) -> str:
    assert tensor.quant is not None
    per_axis = tensor.quant.axis is not None
    scale, zero = tensor.quant.scale, tensor.quant.zero_point
    parameters = [
        w.constant(scale if per_axis else scale[0]),
        w.constant(zero if per_axis else zero[0], np.dtype(tensor.dtype)),
    ]
    return w.node(kind, [x, *parameters], **({"axis": tensor.quant.axis} if per_axis else {}))


@exports(ops.Quantize)
def _quantize(w: Writer, layer: Layer, _: ops.Quantize) -> str:
    return _linear(w, "QuantizeLinear", layer.inputs[0], w.tensor(layer.outputs[0]))


@exports(ops.Dequantize)
def _dequantize(w: Writer, layer: Layer, _: ops.Dequantize) -> str:
    return _linear(w, "DequantizeLinear", layer.inputs[0], w.tensor(layer.inputs[0]))


@exports(ops.Cast)
def _cast(w: Writer, layer: Layer, op: ops.Cast) -> str:
    return w.node("Cast", layer.inputs, to=_onnx_dtype(op.dtype))
