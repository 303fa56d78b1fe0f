"""ONNX nets quantised by onnxruntime's own quantiser, static and dynamic, against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from hwsim.errors import UnknownOperatorError  # noqa: E402
from hwsim.graph import Graph  # noqa: E402
from hwsim.importers.onnx_file import load_onnx  # noqa: E402
from hwsim.reference import forward  # noqa: E402
from tests.importers.onnx_case import INPUTS, Images, drawn, make, node, output_step, session, worst_step  # noqa: E402


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("weight_type", ["QInt8", "QUInt8"])
def test_dynamically_quantised_net_is_hybrid(weight_type: str, per_channel: bool, tmp_path: Path) -> None:
    """Products of real activations and int8 weights, with the float net's MACs, run as plain float."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    constants = {
        "w": drawn(4, 3, 3, 3), "cb": drawn(4, seed=1), "m": drawn(4, 6, seed=2), "b": drawn(6, seed=3),
        "k": drawn(5, 6, seed=4), "l": drawn(5, seed=5),
    }  # fmt: skip
    nodes = [
        node("Conv", "x w cb", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "a"), node("GlobalAveragePool", "a", "g"),
        node("Flatten", "g", "h"), node("MatMul", "h m", "i"), node("Add", "i b", "j"),
        node("Gemm", "j k l", "y", transB=1),
    ]  # fmt: skip
    shape, source, path = (1, 3, 8, 8), tmp_path / "float.onnx", tmp_path / "dynamic.onnx"
    onnx.save(make(nodes, shape, constants), source)
    kind = getattr(quantization.QuantType, weight_type)
    quantization.quantize_dynamic(source, path, per_channel=per_channel, weight_type=kind)
    graph = load_onnx(path)
    assert graph.macs == load_onnx(source).macs
    products = [layer for layer in graph.layers if layer.op.kind in ("conv2d", "dense")]
    assert [graph.tensors[layer.inputs[1]].dtype for layer in products] == ["int8"] * 3
    assert all(graph.tensors[layer.outputs[0]].dtype == "float32" for layer in graph.layers)
    x = {"x": drawn(*shape, seed=9)}
    with pytest.warns(UserWarning, match="run as plain float"):
        found = forward(graph, x)["y"]
    right = session(path).run(None, x)[0]
    assert np.abs(found - right).max() <= 0.02 * np.abs(right).max()  # the runtime rounds activations to 8 bits


def test_another_use_of_dynamic_quantisation_is_unknown(tmp_path: Path) -> None:
    nodes = [node("DynamicQuantizeLinear", "x", "q s z"), node("DequantizeLinear", "q s z", "y")]
    onnx.save(make(nodes, (2, 6), {}), tmp_path / "net.onnx")
    with pytest.raises(UnknownOperatorError, match="DynamicQuantizeLinear"):
        load_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("code_type", ["QInt8", "QUInt8"])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_convnet_quantised_by_onnxruntime(form: str, code_type: str, per_channel: bool, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    shape = (1, 3, 16, 16)
    constants = {
        "w1": drawn(8, 3, 3, 3, spread=0.3), "b1": drawn(8, seed=1), "w2": drawn(8, 1, 3, 3, seed=2, spread=0.4),
        "w3": drawn(12, 8, 1, 1, seed=3, spread=0.4), "b3": drawn(12, seed=4), "w4": drawn(12, 5, seed=5, spread=0.4),
        "b4": drawn(5, seed=6), "zero": np.float32(0), "six": np.float32(6),
    }  # fmt: skip
    nodes = [
        node("Conv", "x w1 b1", "c1", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2", "c2", group=8, pads=[1, 1, 1, 1]),
        node("Clip", "c2 zero six", "r2"),
        node("Add", "r1 r2", "a"),
        node("MaxPool", "a", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "m w3 b3", "c3"),
        node("GlobalAveragePool", "c3", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f w4 b4", "y"),
    ]
    source, path = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    onnx.save(make(nodes, shape, constants), source)
    kind = getattr(quantization.QuantType, code_type)
    quantization.quantize_static(
        source,
        path,
        Images(shape),
        quant_format=getattr(quantization.QuantFormat, form),
        per_channel=per_channel,
        activation_type=kind,
        weight_type=quantization.QuantType.QInt8,
    )
    graph, float_graph = load_onnx(path), load_onnx(source)
    assert graph.macs == float_graph.macs
    inner = [layer for layer in graph.layers if layer.op.kind not in ("quantize", "dequantize")]
    assert graph.rounding == "onnx"
    if form == "QDQ":
        assert {graph.tensors[layer.outputs[0]].dtype for layer in inner} == {"int8"}
        _check_every_tensor(path, graph, shape)
    else:  # onnxruntime's integer kernels, and nothing that it could fuse in another way: equal to the bit
        assert worst_step(path, graph, shape, 1.0) == 0


OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "concat": ("Concat", {"axis": 1}),
    "softmax": ("Softmax", {"axis": 1}),
    "sigmoid": ("Sigmoid", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.1}),
    "average_pool": ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "global_average_pool": ("GlobalAveragePool", {}),
    "mul": ("Mul", {}),
    "add": ("Add", {}),
    "max_pool": ("MaxPool", {"kernel_shape": [2, 2]}),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("code_type", ["QInt8", "QUInt8"])
def test_qlinear_form_of_one_operator(name: str, code_type: str, tmp_path: Path) -> None:
    """A convolution and one operator in onnxruntime's own quantised form: within one step, nearly all equal."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    op, attributes = OPERATORS[name]
    shape = (2, 3, 8, 8)
    inputs = "c d" if op in ("Concat", "Mul", "Add") else "c"
    nodes = [node("Conv", "x w", "c"), node("Conv", "x v", "d"), node(op, inputs, "o", **attributes)]
    nodes += [node("Conv", "o u", "y")]
    channels = 8 if op == "Concat" else 4
    constants = {
        "w": drawn(4, 3, 1, 1), "v": drawn(4, 3, 1, 1, seed=1), "u": drawn(2, channels, 1, 1, seed=2)
    }  # fmt: skip
    source, path = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    onnx.save(make(nodes, shape, constants, opset=17), source)
    quantization.quantize_static(
        source,
        path,
        Images(shape),
        quant_format=quantization.QuantFormat.QOperator,
        activation_type=getattr(quantization.QuantType, code_type),
        weight_type=quantization.QuantType.QInt8,
    )
    try:
        runtime = session(path)
    except Exception as error:
        pytest.skip(str(error)[:80])
    graph = load_onnx(path)
    step = output_step(graph)
    differences = []
    for seed in range(INPUTS):
        x = {"x": drawn(*shape, seed=100 + seed)}
        differences.append(np.abs(forward(graph, x)["y"] - runtime.run(None, x)[0]) / step)
    assert np.max(differences) <= 1.001
    assert np.mean(np.asarray(differences) > 0.5) < 0.02


def test_a_whole_net_quantised_by_onnxruntime(tmp_path: Path) -> None:
    """MobileNetV2 from the shared models, uint8 activations: every convolution and sum equal to the bit."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    source = Path(__file__).parents[2].parent / "shared" / "models" / "mobilenet_v2_0.35_128.onnx"
    if not source.exists():
        pytest.skip("needs the model files of shared/")
    (given,) = ort.InferenceSession(str(source), providers=["CPUExecutionProvider"]).get_inputs()
    shape = (1, *given.shape[1:])

    class Image:
        left = iter([{given.name: drawn(*shape)}])

        def get_next(self) -> Any:
            return next(self.left, None)

    path = tmp_path / "int8.onnx"
    quantization.quantize_static(source, path, Image(), per_channel=True, activation_type=quantization.QuantType.QUInt8)
    model = onnx.load(path)
    codes = [n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear"]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in codes)
    onnx.save(model, tmp_path / "every.onnx")
    runtime, graph = session(tmp_path / "every.onnx"), load_onnx(path)
    image = {given.name: drawn(*shape, seed=1)}
    expected = dict(zip([info.name for info in runtime.get_outputs()], runtime.run(None, image), strict=True))
    found = forward(graph, image, every=True)
    compared = 0
    for name in codes:
        if name not in found:
            continue  # left out by the importer
        mine = found[name].transpose(0, 3, 1, 2) if found[name].ndim == 4 else found[name]
        difference = np.abs(mine.astype(int) + 128 - expected[name])
        assert difference.max() <= (graph.producer[name].op.kind == "softmax"), name  # onnxruntime's cuts 1/scale
        compared += 1
    assert compared > 70


def _check_every_tensor(path: Path, graph: Graph, shape: tuple[int, ...]) -> None:
    """Compare every int8 tensor with onnxruntime's over ``INPUTS`` images: one step, and for the last layer one more
    than the differences of its ifmap make after its weights."""
    model = onnx.load(path)
    codes = [n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear"]
    type_ = {tensor.name: tensor.data_type for tensor in model.graph.initializer}["x_zero_point"]
    model.graph.output.extend(helper.make_tensor_value_info(name, type_, None) for name in codes)
    every = path.with_name("every.onnx")
    onnx.save(model, every)
    runtime = session(every)
    dense = graph.producer[graph.producer["y"].inputs[0]]
    ifmap, filter_ = (graph.tensors[name] for name in dense.inputs[:2])
    ofmap = graph.tensors[dense.outputs[0]]
    assert ifmap.quant is not None
    assert filter_.quant is not None
    assert filter_.data is not None
    weights = np.abs(filter_.data.astype(np.float64)) * np.asarray(filter_.quant.scale)[:, None]
    gain = weights * ifmap.quant.scale[0] / output_step(graph)  # (K, C)
    compared = 0
    for seed in range(INPUTS):
        x = {"x": drawn(*shape, seed=100 + seed)}
        found = forward(graph, x, every=True)
        expected = dict(zip([info.name for info in runtime.get_outputs()], runtime.run(None, x), strict=True))
        differences = {}
        for name in codes:
            right = expected[name].astype(np.int64) - (128 if expected[name].dtype == np.uint8 else 0)
            mine = found[name].transpose(0, 3, 1, 2) if right.ndim == 4 else found[name]
            differences[name] = np.abs(mine - right)
            compared += 1
            if name != ofmap.name:
                assert differences[name].max() <= 1, name
        bound = 1 + differences[ifmap.name] @ gain.T  # (N, K)
        assert np.all(differences[ofmap.name] <= bound)
    assert compared == INPUTS * len(codes)
