"""Quantised ONNX written by hand: QDQ and QLinear models against onnxruntime, within one quantisation step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from hwsim.graph import Graph  # noqa: E402
from hwsim.importers.onnx_file import load_onnx  # noqa: E402
from hwsim.reference import forward  # noqa: E402
from tests.importers.onnx_case import drawn, make, node, output_step, session, worst_step  # noqa: E402


class Quantizer:
    """Writes QDQ nodes and their parameters by hand."""

    def __init__(self, code_type: type[np.integer[Any]] = np.int8) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.code_type = code_type

    def weights(self, name: str, real: np.ndarray, axis: int | None) -> str:
        """Store int8 codes with a scale for each index along ``axis`` and dequantise them."""
        others = tuple(i for i in range(real.ndim) if i != axis)
        scale = np.abs(real).max(axis=others if axis is not None else None, keepdims=axis is not None) / 127
        self.constants[f"{name}_codes"] = np.rint(real / scale).astype(np.int8)
        self.constants[f"{name}_scale"] = scale.ravel().astype(np.float32) if axis is not None else np.float32(scale)
        self.constants[f"{name}_zero"] = np.zeros_like(self.constants[f"{name}_scale"], np.int8)
        attributes = {} if axis is None else {"axis": axis}
        parts = " ".join(f"{name}_{part}" for part in ("codes", "scale", "zero"))
        self.nodes.append(node("DequantizeLinear", parts, name, **attributes))
        return name

    def bias(self, name: str, real: np.ndarray, ifmap_scale: float, weights: str) -> str:
        scale = np.float32(ifmap_scale) * self.constants[f"{weights}_scale"]
        self.constants[f"{name}_codes"] = np.rint(real / scale).astype(np.int32)
        self.constants[f"{name}_scale"] = np.asarray(scale, np.float32)
        self.constants[f"{name}_zero"] = np.zeros(scale.shape, np.int32)
        parts = " ".join(f"{name}_{part}" for part in ("codes", "scale", "zero"))
        self.nodes.append(node("DequantizeLinear", parts, name, axis=0))
        return name

    def activation(self, tensor: str, scale: float, zero_point: int) -> str:
        """Quantise and dequantise a tensor."""
        self.constants[f"{tensor}_s"] = np.float32(scale)
        self.constants[f"{tensor}_z"] = self.code_type(zero_point + (128 if self.code_type == np.uint8 else 0))
        self.nodes.append(node("QuantizeLinear", f"{tensor} {tensor}_s {tensor}_z", f"{tensor}_q"))
        self.nodes.append(node("DequantizeLinear", f"{tensor}_q {tensor}_s {tensor}_z", f"{tensor}_dq"))
        return f"{tensor}_dq"

    def finish(self, tensor: str, shape: tuple[int, ...], path: Path) -> Graph:
        self.nodes.append(node("Identity", tensor, "y"))
        onnx.save(make(self.nodes, shape, self.constants), path)
        return load_onnx(path)


SHAPE = (2, 6, 9, 8)


@pytest.mark.parametrize("code_type", [np.int8, np.uint8])
def test_convnet_by_hand(code_type: type[np.integer[Any]], tmp_path: Path) -> None:
    """Conv + ReLU, depthwise + clip, a residual add, average pool, Gemm: int8 from end to end."""
    q = Quantizer(code_type)
    x = q.activation("x", 0.03, 5)
    q.weights("w1", drawn(8, 6, 3, 3, spread=0.2), 0)
    q.bias("b1", drawn(8, seed=1), 0.03, "w1")
    q.nodes += [node("Conv", f"{x} w1 b1", "c1", pads=[1, 1, 1, 1]), node("Relu", "c1", "r1")]
    r1 = q.activation("r1", 0.025, -128)
    q.weights("w2", drawn(8, 1, 3, 3, seed=2, spread=0.4), 0)
    q.bias("b2", drawn(8, seed=3), 0.025, "w2")
    q.constants |= {"zero": np.float32(0), "six": np.float32(6)}
    q.nodes += [node("Conv", f"{r1} w2 b2", "c2", pads=[1, 1, 1, 1], group=8), node("Clip", "c2 zero six", "r2")]
    r2 = q.activation("r2", 0.0235, -128)
    q.nodes.append(node("Add", f"{r1} {r2}", "a"))
    a = q.activation("a", 0.04, -120)
    q.nodes.append(node("GlobalAveragePool", a, "g"))
    g = q.activation("g", 0.02, -110)
    q.nodes.append(node("Flatten", g, "f"))
    f = q.activation("f", 0.02, -110)
    q.weights("w3", drawn(5, 8, seed=4, spread=0.3), 0)
    q.bias("b3", drawn(5, seed=5), 0.02, "w3")
    q.nodes.append(node("Gemm", f"{f} w3 b3", "d", transB=1))
    d = q.activation("d", 0.05, 3)
    path = tmp_path / "net.onnx"
    graph = q.finish(d, SHAPE, path)
    assert [layer.op.kind for layer in graph.layers] == [
        *("quantize", "conv2d", "conv2d", "binary", "global_pool", "reshape", "dense", "dequantize")
    ]
    for layer in graph.layers[1:-1]:
        assert graph.tensors[layer.outputs[0]].dtype == "int8"
    filters = [graph.tensors[layer.inputs[1]] for layer in graph.layers if layer.op.kind in ("conv2d", "dense")]
    assert [(tensor.dtype, tensor.shape) for tensor in filters] == [
        ("int8", (8, 3, 3, 6)),
        ("int8", (8, 3, 3, 1)),
        ("int8", (5, 8)),
    ]
    assert all(graph.tensors[layer.inputs[2]].dtype == "int32" for layer in graph.layers if len(layer.inputs) == 3)
    # bytes of the weights: 8*54 + 8*9 + 5*8 = 544 int8, and 8 + 8 + 5 = 21 biases of 4 bytes
    assert sum(tensor.bytes for tensor in graph.constants) == 544 + 84
    # A step of an ifmap, times a weight, is less than a step of the ofmap: the last layer too stays at one.
    assert worst_step(path, graph, SHAPE, output_step(graph)) <= 1.001


SINGLE: dict[str, Any] = {
    "conv_strided": lambda q, x: [
        node("Conv", f"{x} {q.weights('w', drawn(5, 6, 3, 3, spread=0.2), 0)}", "o", strides=[2, 2])
    ],
    "conv_per_tensor": lambda q, x: [node("Conv", f"{x} {q.weights('w', drawn(5, 6, 1, 1, spread=0.2), None)}", "o")],
    "max_pool": lambda q, x: [node("MaxPool", x, "o", kernel_shape=[2, 2], strides=[2, 2])],
    "average_pool": lambda q, x: [node("AveragePool", x, "o", kernel_shape=[2, 2], strides=[2, 2])],
    "mul": lambda q, x: [node("Mul", f"{x} {x}", "o")],
    "sub_constant": lambda q, x: [node("Sub", f"{x} {q.weights('w', drawn(6, 1, 1), None)}", "o")],
    "sigmoid": lambda q, x: [node("Sigmoid", x, "o")],
    "leaky_relu": lambda q, x: [node("LeakyRelu", x, "o", alpha=0.1)],
    "hard_swish": lambda q, x: [node("HardSigmoid", x, "h", alpha=1 / 6), node("Mul", f"h {x}", "o")],
    "mean": lambda q, x: [node("ReduceMean", x, "o", axes=[2, 3], keepdims=0)],
    "softmax": lambda q, x: [node("Softmax", x, "o", axis=1)],
    "concat": lambda q, x: [node("Concat", f"{x} {x}", "o", axis=1)],
    "transpose": lambda q, x: [node("Transpose", x, "o", perm=[0, 3, 1, 2])],
    "matmul": lambda q, x: [node("MatMul", f"{x} {q.weights('w', drawn(8, 5, spread=0.3), 1)}", "o")],
    "matmul_of_activations": lambda q, x: [
        node("Transpose", x, "t", perm=[0, 1, 3, 2]),
        node("MatMul", f"{q.activation('t', 0.03, 5)} {x}", "o"),
    ],
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_operator_within_one_step(name: str, tmp_path: Path) -> None:
    q = Quantizer()
    x = q.activation("x", 0.03, 5)
    nodes = SINGLE[name](q, x)
    if name == "matmul_of_activations":
        q.nodes.insert(len(q.nodes) - 2, nodes.pop(0))
    q.nodes += nodes
    scale = {"sigmoid": 1 / 256, "softmax": 1 / 256, "mean": 0.01, "matmul_of_activations": 0.2}.get(name, 0.035)
    o = q.activation("o", scale, -128 if scale == 1 / 256 else -4)
    path = tmp_path / "net.onnx"
    graph = q.finish(o, SHAPE, path)
    kinds = [layer.op.kind for layer in graph.layers]
    assert kinds[0] == "quantize"
    assert kinds[-1] == "dequantize"
    assert "dequantize" not in kinds[:-1]
    assert worst_step(path, graph, SHAPE, scale) <= 1.001


def test_what_is_not_surrounded_stays_float(tmp_path: Path) -> None:
    q = Quantizer()
    x = q.activation("x", 0.03, 5)
    q.nodes += [node("Sqrt", x, "s0"), node("Abs", x, "o")]
    q.nodes.pop(-2)
    o = q.activation("o", 0.03, 0)
    path = tmp_path / "net.onnx"
    graph = q.finish(o, SHAPE, path)
    assert [layer.op.kind for layer in graph.layers] == ["quantize", "dequantize", "unary", "quantize", "dequantize"]
    assert worst_step(path, graph, SHAPE, 0.03) <= 1.001


def test_weights_alone_quantised(tmp_path: Path) -> None:
    q = Quantizer()
    q.weights("w", drawn(5, 6, 3, 3), 0)
    q.nodes.append(node("Conv", "x w", "o"))
    path = tmp_path / "net.onnx"
    graph = q.finish("o", SHAPE, path)
    filter_ = graph.tensors[graph.layers[0].inputs[1]]
    assert (filter_.dtype, filter_.shape) == ("int8", (5, 3, 3, 6))
    x = {"x": drawn(*SHAPE)}
    with pytest.warns(UserWarning, match="float"):
        found = forward(graph, x)["y"]
    np.testing.assert_allclose(found, session(path).run(None, x)[0], rtol=0, atol=1e-4 * np.abs(found).max())


def test_qlinear_operators(tmp_path: Path) -> None:
    """QLinearConv with a bias and a scale per channel, QLinearAdd, QLinearMatMul."""
    real = drawn(4, 6, 3, 3, spread=0.2)
    scale = (np.abs(real).max(axis=(1, 2, 3)) / 127).astype(np.float32)
    constants = {
        "xs": np.float32(0.03), "xz": np.int8(5), "w": np.rint(real / scale[:, None, None, None]).astype(np.int8),
        "ws": scale, "wz": np.zeros(4, np.int8), "cs": np.float32(0.04), "cz": np.int8(-3),
        "b": np.array([100, -200, 300, 0], np.int32), "as": np.float32(0.06), "az": np.int8(7),
        "m": np.random.default_rng(1).integers(-127, 128, (8, 3)).astype(np.int8),
        "ms": np.float32(0.005), "mz": np.int8(0), "ps": np.float32(0.05), "pz": np.int8(-1),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"),
        node("QLinearConv", "q xs xz w ws wz cs cz b", "c", pads=[1, 1, 1, 1]),
        node("QLinearAdd", "c cs cz c cs cz as az", "a", domain="com.microsoft"),
        node("QLinearMatMul", "a as az m ms mz ps pz", "p"),
        node("DequantizeLinear", "p ps pz", "y"),
    ]
    path = tmp_path / "net.onnx"
    onnx.save(make(nodes, SHAPE, constants), path)
    graph = load_onnx(path)
    kinds = [layer.op.kind for layer in graph.layers if layer.op.kind != "transpose"]
    assert kinds == ["quantize", "conv2d", "binary", "dense", "dequantize"]
    # conv: 2*4*9*8 outputs x 54 taps; matmul: 2*4*9*3 outputs x 8
    assert graph.macs == 576 * 54 + 216 * 8
    assert worst_step(path, graph, SHAPE, 0.05) <= 2.001  # three layers: a step of the add is 0.06 x 8 weights


def test_quantised_input_and_output(tmp_path: Path) -> None:
    """A uint8 image in, uint8 codes out; inside they are int8."""
    constants = {"s": np.float32(0.03), "z": np.uint8(131), "t": np.float32(0.05), "k": np.uint8(7)}
    nodes = [
        node("DequantizeLinear", "x s z", "d"),
        node("GlobalAveragePool", "d", "g"),
        node("QuantizeLinear", "g t k", "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    net = load_onnx(path)
    assert [layer.op.kind for layer in net.layers] == ["quantize", "global_pool", "quantize"]
    x = {"x": np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)}
    found, right = forward(net, x)["y"], session(path).run(None, x)[0]
    assert (found.dtype, found.shape) == (right.dtype, right.shape)
    assert np.abs(found.astype(int) - right.astype(int)).max() <= 1
