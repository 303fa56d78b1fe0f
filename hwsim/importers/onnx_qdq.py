"""Quantised ONNX made quantised layers: DequantizeLinear → operator → QuantizeLinear becomes one int8 operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwsim.graph import Quantization
from hwsim.graph.ops import FusedActivation
from hwsim.importers.onnx_node import Const, Node, as_int8, scalar
from hwsim.importers.onnx_patterns import Match, Net, clip_bounds, rewrite

# Operators with an int8 form, and how many of their inputs are activations (None: all that are no constants).
QUANTISABLE: dict[str, int | None] = {
    "Conv": 1,
    "ConvTranspose": 1,
    "Gemm": 1,
    "MatMul": None,
    "Add": None,
    "Sub": None,
    "Mul": None,
    "Div": None,
    "Concat": None,
    "MaxPool": 1,
    "AveragePool": 1,
    "GlobalAveragePool": 1,
    "GlobalMaxPool": 1,
    "ReduceMean": 1,
    "ReduceSum": 1,
    "ReduceMax": 1,
    "Relu": 1,
    "Clip": 1,
    "LeakyRelu": 1,
    "Elu": 1,
    "Gelu": 1,
    "HardSigmoid": 1,
    "hwsim::Silu": 1,
    "Sigmoid": 1,
    "Tanh": 1,
    "HardSwish": 1,
    "Softmax": 1,
    "Resize": 1,
    "Reshape": 1,
    "Flatten": 1,
    "Squeeze": 1,
    "Unsqueeze": 1,
    "Transpose": 1,
    "Pad": 1,
    "Slice": 1,
    "DepthToSpace": 1,
    "SpaceToDepth": 1,
}
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
TAKES_ACTIVATION = (*WEIGHTED, "Add", "Sub", "Mul", "Div", "Concat", "MaxPool", "AveragePool")


@dataclass(frozen=True, slots=True)
class _Expansion:
    """How a QLinear operator reads: the operator meant, and where codes, scale and zero point of each input stand."""

    op: str
    inputs: tuple[tuple[int, int, int], ...]
    output: tuple[int, int]
    bias: int | None = None


_QLINEAR = {
    "QLinearConv": _Expansion("Conv", ((0, 1, 2), (3, 4, 5)), (6, 7), bias=8),
    "QLinearMatMul": _Expansion("MatMul", ((0, 1, 2), (3, 4, 5)), (6, 7)),
    "com.microsoft::QLinearAdd": _Expansion("Add", ((0, 1, 2), (3, 4, 5)), (6, 7)),
    "com.microsoft::QLinearMul": _Expansion("Mul", ((0, 1, 2), (3, 4, 5)), (6, 7)),
    "com.microsoft::QGemm": _Expansion("Gemm", ((0, 1, 2), (3, 4, 5)), (7, 8), bias=6),
    "com.microsoft::QLinearGlobalAveragePool": _Expansion("GlobalAveragePool", ((0, 1, 2),), (3, 4)),
    "com.microsoft::QLinearAveragePool": _Expansion("AveragePool", ((0, 1, 2),), (3, 4)),
    "com.microsoft::QLinearSoftmax": _Expansion("Softmax", ((0, 1, 2),), (3, 4)),
    "com.microsoft::QLinearReduceMean": _Expansion("ReduceMean", ((0, 1, 2),), (3, 4)),
    "com.microsoft::QLinearSigmoid": _Expansion("Sigmoid", ((0, 1, 2),), (3, 4)),
    "com.microsoft::QLinearLeakyRelu": _Expansion("LeakyRelu", ((0, 1, 2),), (3, 4)),
}
_CONCAT = "com.microsoft::QLinearConcat"
QLINEAR_OPERATORS = frozenset((*_QLINEAR, _CONCAT))


def _expansion(node: Node) -> _Expansion | None:
    """Return how a node reads; a concatenation has its output's parameters first, then three inputs for each part."""
    if node.op != _CONCAT:
        return _QLINEAR.get(node.op)
    parts = ((i, i + 1, i + 2) for i in range(2, len(node.inputs) - 2, 3))
    return _Expansion("Concat", tuple(parts), (0, 1))


def expand_qlinear(nodes: Sequence[Node], constants: dict[str, Const]) -> list[Node]:
    """Return the nodes with QLinear operators written as DequantizeLinear → operator → QuantizeLinear."""
    written: list[Node] = []
    for node in nodes:
        expansion = _expansion(node)
        if expansion is None or (node.op.endswith("Pool") and node.attrs.get("channels_last")):
            written.append(node)
            continue
        reals = []
        for position, (codes, scale, zero_point) in enumerate(expansion.inputs):
            real = f"{node.outputs[0]}/real_{position}"
            params = (node.input(codes), node.input(scale), node.input(zero_point))
            axis = 0 if node.op == "QLinearConv" else 1
            written.append(Node("DequantizeLinear", real, params, (real,), {"axis": axis}))
            reals.append(real)
        if expansion.bias is not None and node.input(expansion.bias):
            reals.append(_real_bias(node, node.input(expansion.bias), constants, written))
        exact = f"{node.outputs[0]}/exact"
        written.append(Node(expansion.op, node.name, tuple(reals), (exact,), node.attrs))
        output = (exact, *(node.input(index) for index in expansion.output))
        written.append(Node("QuantizeLinear", f"{node.name}/quantize", output, node.outputs))
    return written


def _real_bias(node: Node, bias: str, constants: dict[str, Const], written: list[Node]) -> str:
    """Add a DequantizeLinear for an int32 bias, whose scale is the product of the ifmap's and the filter's."""
    ifmap, weights = constants.get(node.input(1)), constants.get(node.input(4))
    if ifmap is None or weights is None:
        return bias
    real, scale = f"{node.outputs[0]}/real_bias", f"{node.outputs[0]}/bias_scale"
    product = np.asarray(ifmap.array.reshape(()) * weights.array.ravel(), np.float32)
    constants[scale] = Const(scale, product if product.size > 1 else product.reshape(()))
    written.append(Node("DequantizeLinear", real, (bias, scale), (real,), {"axis": 0}))
    return real


def quantization(node: Node, constants: Mapping[str, Const]) -> Quantization | None:
    """Return the parameters of a quantise or dequantise node as hwsim stores them: int8, one for the whole tensor."""
    scale = scalar(constants.get(node.input(1)))
    if node.input(2):
        zero_point = constants.get(node.input(2))
    else:
        default = np.zeros((), np.int8 if node.attrs.get("output_dtype") == 3 else np.uint8)
        zero_point = Const("", default)
    if scale is None or zero_point is None or zero_point.array.size != 1 or not np.isfinite(scale) or scale <= 0:
        return None
    if zero_point.array.dtype not in (np.int8, np.uint8):
        return None
    return Quantization((scale,), (int(as_int8(zero_point.array).reshape(())),))


def collapse(nodes: Sequence[Node], constants: Mapping[str, Const], outputs: Iterable[str]) -> list[Node]:
    """Return the nodes with every operator that stands between dequantise and quantise nodes made an int8 one.

    Such a node reads the integer tensors themselves and carries ``quant``. Stored weights stay behind their folded
    DequantizeLinear, whose constant still holds the codes. Operators that are not surrounded stay float.
    """
    net = Net(nodes, constants, outputs)
    matches = []
    for node in nodes:
        if node.op == "QuantizeLinear":
            source = net.made_by(node.inputs[0], "DequantizeLinear")
            if source is not None and _agrees(net, source):
                matches.append(Match((node,), replace(node, inputs=(source.inputs[0], *node.inputs[1:]))))
        elif node.op in QUANTISABLE and (match := _surrounded(net, node)) is not None:
            matches.append(match)
    return rewrite(nodes, matches)


def _surrounded(net: Net, node: Node) -> Match | None:
    if node.op == "Relu" and net.made_by(node.inputs[0], *TAKES_ACTIVATION) is not None:
        return None
    chain = [node]
    activation: FusedActivation | None = None
    after = net.only_reader(node.outputs[0])
    if after is not None and node.op in TAKES_ACTIVATION and after.op in ("Relu", "Clip"):
        activation = _fused(net, after)
        if activation is None:
            return None
        chain.append(after)
        after = net.only_reader(after.outputs[0])
    if after is None or after.op != "QuantizeLinear" or after.inputs[0] != chain[-1].outputs[0]:
        return None
    chain.append(after)
    quant = quantization(after, net.constants)
    if quant is None or len([name for name in node.outputs if name]) != 1:
        return None
    inputs = _integer_inputs(net, node)
    if inputs is None:
        return None
    merged = replace(node, inputs=inputs, outputs=after.outputs, quant=quant, activation=activation)
    return Match(tuple(chain), merged)


def _fused(net: Net, node: Node) -> FusedActivation | None:
    if node.op == "Relu":
        return "relu"
    match clip_bounds(net.constants, node):
        case (0, None):
            return "relu"
        case (0, 6):
            return "relu6"
        case (-1, 1):
            return "relu_n1_to_1"
    return None


def _integer_inputs(net: Net, node: Node) -> tuple[str, ...] | None:
    """Return a node's inputs with dequantised activations replaced by their codes, or None where it is not integer."""
    activations = QUANTISABLE[node.op]
    inputs: list[str] = []
    seen = 0
    for position, name in enumerate(node.inputs):
        source = net.made_by(name, "DequantizeLinear")
        if name and name not in net.constants and (activations is None or position < activations):
            if source is None or not _agrees(net, source):
                return None
            inputs.append(source.inputs[0])
            seen += 1
            continue
        const = net.constants.get(name)
        is_parameter = activations is not None and node.op not in WEIGHTED  # shapes, axes, bounds: plain numbers
        is_bias = node.op in WEIGHTED and position == 2
        if name and not is_parameter and not is_bias and not _has_int8_codes(node, const):
            return None
        if is_bias and const is None:
            return None
        inputs.append(name)
    return tuple(inputs) if seen else None


def _has_int8_codes(node: Node, const: Const | None) -> bool:
    """Return whether a constant operand is stored as int8; only weights may have a scale for each channel."""
    if const is None or const.stored is None or const.stored.codes.dtype != np.int8:
        return False
    return node.op in WEIGHTED or const.stored.axis is None


def _agrees(net: Net, dequantize: Node) -> bool:
    """Return whether a dequantise node reads codes by the parameters that they were written with."""
    own = quantization(dequantize, net.constants)
    before = net.made_by(dequantize.inputs[0], "QuantizeLinear")
    return own is not None and (before is None or quantization(before, net.constants) == own)
