"""Every ONNX operator that hwsim maps, against onnxruntime, on small random models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from hwsim.graph import Graph  # noqa: E402
from hwsim.graph import ops as gops  # noqa: E402
from hwsim.importers.onnx_file import load_onnx  # noqa: E402
from hwsim.reference import forward  # noqa: E402

RELATIVE = 1e-4  # of the output's largest magnitude
IMAGE = (2, 6, 7, 9)  # N, C, H, W: all different, so that a swapped axis cannot hide


def values(*shape: int, seed: int = 0, positive: bool = False) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return np.abs(drawn) + np.float32(0.5) if positive else drawn


def model(
    nodes: Sequence[Any],
    inputs: dict[str, np.ndarray],
    outputs: Sequence[str],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 17,
    domains: Sequence[str] = (),
) -> Any:
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "net",
        infos,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def check(built: Any, inputs: dict[str, np.ndarray], folder: Path) -> Graph:
    """Import a model, run it, and compare every output with onnxruntime's."""
    path = folder / "net.onnx"
    onnx.save(built, path)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    expected = session.run(None, inputs)
    graph = load_onnx(path)
    found = forward(graph, inputs)
    for info, right in zip(session.get_outputs(), expected, strict=True):
        assert found[info.name].shape == right.shape
        worst = np.abs(found[info.name].astype(np.float64) - right).max()
        assert worst <= RELATIVE * max(np.abs(right).max(), 1e-6), f"{info.name}: {worst}"
    return graph


def kinds(graph: Graph) -> list[str]:
    return [layer.op.kind for layer in graph.layers]


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op}_{outputs.split()[0]}", **attributes)


# -- one operator at a time, behind a convolution so that it meets the channel-last layout ---------------------------

CONV = {"w": values(6, 6, 1, 1, seed=5) / 3}
SINGLE: dict[str, tuple[Any, dict[str, np.ndarray]]] = {
    **{
        op: (node(op, "c"), {})
        for op in (
            *("Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "Erf", "Exp", "Abs", "Neg", "Floor", "Ceil", "Round"),
            *("Sin", "Cos", "Identity", "Elu", "LeakyRelu", "HardSigmoid", "GlobalAveragePool", "GlobalMaxPool"),
            *("Flatten", "Softmax", "LogSoftmax"),
        )
    },
    "elu_alpha": (node("Elu", "c", alpha=0.5), {}),
    "clip": (node("Clip", "c lo hi"), {"lo": np.float32(-0.5), "hi": np.float32(0.25)}),
    "clip_low": (node("Clip", "c lo"), {"lo": np.float32(-0.5)}),
    "prelu": (node("PRelu", "c s"), {"s": values(6, 1, 1)}),
    "add_channels": (node("Add", "c s"), {"s": values(6, 1, 1)}),
    "add_columns": (node("Add", "c s"), {"s": values(9)}),
    "add_wide": (node("Add", "c s"), {"s": values(3, 1, 2, 1, 7, 1)[:1]}),
    "sub_from": (node("Sub", "s c"), {"s": values(1, 6, 1, 9)}),
    "pow_two": (node("Pow", "c s"), {"s": np.float32(2)}),
    "max": (node("Max", "c s d"), {"s": values(6, 1, 1), "d": np.float32(0.1)}),
    "mean": (node("Mean", "c s c"), {"s": values(6, 1, 1)}),
    "softmax_channels": (node("Softmax", "c", axis=1), {}),
    "reduce_mean_image": (node("ReduceMean", "c", axes=[2, 3], keepdims=0), {}),
    "reduce_mean_channels": (node("ReduceMean", "c", axes=[1], keepdims=0), {}),
    "reduce_max_rows": (node("ReduceMax", "c", axes=[-2]), {}),
    "reduce_sum": (node("ReduceSum", "c a", keepdims=0), {"a": np.array([0, 3])}),
    "reduce_min": (node("ReduceMin", "c", axes=[1], keepdims=1), {}),
    "reduce_prod": (node("ReduceProd", "c", axes=[3], keepdims=0), {}),
    "max_pool": (node("MaxPool", "c", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1]), {}),
    "max_pool_ceil": (node("MaxPool", "c", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), {}),
    "max_pool_dilated": (node("MaxPool", "c", kernel_shape=[2, 3], dilations=[2, 2]), {}),
    "average_pool": (node("AveragePool", "c", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), {}),
    "average_pool_pad": (
        node("AveragePool", "c", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
        {},
    ),
    "average_pool_ceil": (node("AveragePool", "c", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), {}),
    "average_pool_same": (node("AveragePool", "c", kernel_shape=[2, 2], auto_pad="SAME_UPPER"), {}),
    "max_pool_same_lower": (node("MaxPool", "c", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"), {}),
    "concat_channels": (node("Concat", "c x c", axis=1), {}),
    "concat_constant": (node("Concat", "c s", axis=2), {"s": values(2, 6, 3, 9)}),
    "slice": (node("Slice", "c b e a s"), {"b": [1, 8], "e": [6, 0], "a": [1, 3], "s": [2, -3]}),
    "slice_reverse": (
        node("Slice", "c b e a s"),
        {"b": [-1], "e": [-(2**63) + 1], "a": [2], "s": [-1]},
    ),
    "pad": (node("Pad", "c p v"), {"p": [0, 1, 0, 2, 0, 0, 3, 1], "v": np.float32(1.5)}),
    "pad_reflect": (node("Pad", "c p", mode="reflect"), {"p": [0, 0, 2, 1, 0, 0, 1, 2]}),
    "pad_edge": (node("Pad", "c p", mode="edge"), {"p": [0, 0, 2, 1, 0, 0, 1, 2]}),
    "reshape": (node("Reshape", "c s"), {"s": [0, 3, -1, 9]}),
    "reshape_image_to_rows": (node("Reshape", "c s"), {"s": [2, 6, -1]}),
    "reshape_all": (node("Reshape", "c s"), {"s": [-1]}),
    "flatten_axis": (node("Flatten", "c", axis=2), {}),
    "transpose": (node("Transpose", "c", perm=[3, 0, 1, 2]), {}),
    "unsqueeze": (node("Unsqueeze", "c a"), {"a": [1, 5]}),
    "lrn": (node("LRN", "c", size=3, alpha=0.5, beta=0.75, bias=1.5), {}),
    "lrn_defaults": (node("LRN", "c", size=5), {}),
    "depth_to_space": (node("DepthToSpace", "d", blocksize=2), {"_": [0]}),
    "resize_nearest": (
        node("Resize", "c r s", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 3], np.float32)},
    ),
    "resize_sizes": (
        node("Resize", "c r r z", mode="linear", coordinate_transformation_mode="half_pixel"),
        {"r": np.zeros(0, np.float32), "z": [2, 6, 5, 20]},
    ),
    "resize_corners": (
        node("Resize", "c r r z", mode="linear", coordinate_transformation_mode="align_corners"),
        {"r": np.zeros(0, np.float32), "z": [2, 6, 13, 4]},
    ),
    "resize_default": (
        node("Resize", "c r s", mode="nearest"),
        {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)},
    ),
    "gather_channels": (node("Gather", "c i", axis=1), {"i": [3, 0, -1]}),
    "gather_one": (node("Gather", "c i", axis=2), {"i": np.array(4)}),
    "gather_strided": (node("Gather", "c i", axis=3), {"i": [1, 3, 5]}),
    "gather_table_of_indices": (node("Gather", "c i", axis=1), {"i": [[3, 0], [1, 1]]}),
    "expand": (node("Expand", "m s"), {"s": [2, 6, 4, 9]}),
    "tile": (node("Tile", "c s"), {"s": [1, 2, 1, 3]}),
    "l2_norm_channels": (node("LpNormalization", "c", axis=1), {}),
    "l2_norm": (node("LpNormalization", "c"), {}),
    "layer_norm": (node("LayerNormalization", "c g b", axis=-1), {"g": values(9), "b": values(9, seed=1)}),
    "layer_norm_image": (node("LayerNormalization", "c g", axis=1), {"g": values(6, 7, 9)}),
    "batch_norm": (
        node("BatchNormalization", "r g b m v", epsilon=1e-3),
        {"g": values(6), "b": values(6, seed=1), "m": values(6, seed=2), "v": values(6, seed=3, positive=True)},
    ),
    "matmul": (node("MatMul", "c g"), {"g": values(9, 4)}),
    "matmul_left": (node("MatMul", "g c"), {"g": values(4, 7)}),
}
BEFORE = {
    "d": ("depth_to_space", node("Conv", "x wd", "d")),
    "m": ("expand", node("ReduceMean", "c", "m", axes=[2])),
    "r": ("batch_norm", node("Relu", "c", "r")),
}


@pytest.mark.parametrize("name", SINGLE)
def test_operator_equals_onnxruntime(name: str, tmp_path: Path) -> None:
    last, constants = SINGLE[name]
    nodes = [node("Conv", "x w", "c")]
    nodes += [before for tensor, (_, before) in BEFORE.items() if tensor in last.input and tensor not in constants]
    x = {"x": values(*IMAGE, seed=9)}
    stored = {"wd": values(8, 6, 1, 1), **CONV, **{key: np.asarray(value) for key, value in constants.items()}}
    check(model([*nodes, last], x, ["y"], stored), x, tmp_path)


@pytest.mark.parametrize("op", ["Sqrt", "Log", "Reciprocal"])
def test_operators_of_positive_numbers(op: str, tmp_path: Path) -> None:
    x = {"x": values(*IMAGE, positive=True)}
    check(model([node(op, "x")], x, ["y"]), x, tmp_path)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
def test_arithmetic_of_images_and_their_channel_means(op: str, tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    nodes = [node("Conv", "x w", "c"), node("GlobalMaxPool", "x", "m"), node(op, "c m")]
    graph = check(model(nodes, x, ["y"], CONV), x, tmp_path)
    assert "transpose" not in kinds(graph)


CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": (IMAGE, (4, 6, 3, 3), {}),
    "strided": (IMAGE, (4, 6, 3, 2), {"strides": [2, 3], "pads": [1, 0, 2, 1]}),
    "dilated": (IMAGE, (4, 6, 3, 3), {"dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    "grouped": (IMAGE, (4, 3, 3, 3), {"group": 2}),
    "depthwise": (IMAGE, (12, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    "same_upper": (IMAGE, (4, 6, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same_lower": (IMAGE, (4, 6, 2, 4), {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
    "valid": (IMAGE, (4, 6, 3, 3), {"auto_pad": "VALID"}),
    "one_dimensional": ((2, 6, 11), (4, 6, 3), {"strides": [2], "pads": [2, 1]}),
    "one_dimensional_depthwise": ((2, 6, 11), (6, 1, 3), {"group": 6, "dilations": [2]}),
}


@pytest.mark.parametrize("name", CONVS)
def test_convolution(name: str, tmp_path: Path) -> None:
    shape, filter_shape, attributes = CONVS[name]
    x = {"x": values(*shape)}
    stored = {"w": values(*filter_shape, seed=1), "b": values(filter_shape[0], seed=2)}
    graph = check(model([node("Conv", "x w b", **attributes)], x, ["y"], stored), x, tmp_path)
    # MACs: ofmap elements x (C/groups x R x S), which is the filter's size without its first axis.
    assert graph.macs == graph.tensors["y"].elements * int(np.prod(filter_shape[1:]))


TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": (IMAGE, (6, 4, 3, 3), {}),
    "strided": (IMAGE, (6, 4, 3, 2), {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}),
    "grouped": (IMAGE, (6, 2, 3, 3), {"group": 3, "strides": [2, 2]}),
    "same": (IMAGE, (6, 4, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "one_dimensional": ((2, 6, 11), (6, 4, 4), {"strides": [2], "pads": [1, 1]}),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name: str, tmp_path: Path) -> None:
    shape, filter_shape, attributes = TRANSPOSED[name]
    x = {"x": values(*shape)}
    stored = {"w": values(*filter_shape, seed=1), "b": values(filter_shape[1] * attributes.get("group", 1), seed=2)}
    check(model([node("ConvTranspose", "x w b", **attributes)], x, ["y"], stored), x, tmp_path)


@pytest.mark.parametrize("opset", [9, 11, 13, 18])
def test_older_and_newer_forms(opset: int, tmp_path: Path) -> None:
    """The same net in four opsets: attributes that became inputs, and softmax over one or all later axes."""
    x = {"x": values(*IMAGE)}
    stored: dict[str, np.ndarray] = dict(CONV)
    nodes = [node("Conv", "x w", "c")]
    if opset < 11:
        nodes += [node("Clip", "c", "k", min=0.0, max=6.0), node("Pad", "k", "p", pads=[0, 0, 1, 1, 0, 0, 0, 0])]
    else:
        stored |= {"lo": np.float32(0), "hi": np.float32(6), "pads": np.array([0, 0, 1, 1, 0, 0, 0, 0])}
        nodes += [node("Clip", "c lo hi", "k"), node("Pad", "k pads", "p")]
    nodes.append(node("Softmax", "p", "s", axis=1))
    if opset < 13:
        nodes += [node("Split", "s", "s1 s2", axis=1, split=[2, 4]), node("Unsqueeze", "s1", "u", axes=[0])]
        nodes.append(node("Squeeze", "u", "v", axes=[0]))
    else:
        stored |= {"parts": np.array([2, 4]), "zero": np.array([0])}
        nodes += [node("Split", "s parts", "s1 s2", axis=1), node("Unsqueeze", "s1 zero", "u")]
        nodes.append(node("Squeeze", "u zero", "v"))
    if opset < 18:
        nodes.append(node("ReduceMean", "v", axes=[1]))
    else:
        stored["one"] = np.array([1])
        nodes.append(node("ReduceMean", "v one"))
    graph = check(model(nodes, x, ["y", "s2"], stored, opset), x, tmp_path)
    conv = graph.layers[0]
    assert isinstance(conv.op, gops.Conv2d)
    assert conv.op.activation == "relu6"


def test_upsample_of_opset_9(tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    nodes = [node("Upsample", "x s", mode="nearest")]
    path = tmp_path / "net.onnx"
    onnx.save(model(nodes, x, ["y"], {"s": np.array([1, 1, 2, 2], np.float32)}, opset=9), path)
    found = forward(load_onnx(path), x)["y"]
    np.testing.assert_array_equal(found, x["x"].repeat(2, axis=2).repeat(2, axis=3))


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize(
    "attributes", [{}, {"axis": 1}, {"axis": -1, "keepdims": 0}, {"axis": 2, "keepdims": 0}], ids=str
)
def test_index_of_an_extreme(op: str, attributes: dict[str, int], tmp_path: Path) -> None:
    # After a max pool: an image, held channel-last inside.
    x = {"x": np.random.default_rng(0).integers(0, 3, IMAGE).astype(np.float32)}
    nodes = [node("MaxPool", "x", "m", kernel_shape=[2, 2]), node(op, "m", "i", **attributes)]
    built = model([*nodes, node("Cast", "i", to=TensorProto.FLOAT)], x, ["y"])
    assert kinds(check(built, x, tmp_path)) == ["pool2d", "arg_extreme", "cast"]


def test_space_to_depth(tmp_path: Path) -> None:
    x = {"x": values(2, 3, 4, 6)}
    graph = check(model([node("SpaceToDepth", "x", blocksize=2)], x, ["y"]), x, tmp_path)
    assert kinds(graph) == ["space_to_depth"]


def test_depth_to_space_crd(tmp_path: Path) -> None:
    x = {"x": values(2, 12, 4, 6)}
    check(model([node("DepthToSpace", "x", blocksize=2, mode="CRD")], x, ["y"]), x, tmp_path)


@pytest.mark.parametrize(
    "attributes",
    [{}, {"transB": 1}, {"transB": 1, "alpha": 0.5, "beta": 2.0}, {"transA": 1}],
    ids=["plain", "transposed", "scaled", "both"],
)
def test_gemm(attributes: dict[str, Any], tmp_path: Path) -> None:
    x = {"x": values(8, 5) if "transA" in attributes else values(5, 8)}
    stored = {"w": values(3, 8) if "transB" in attributes else values(8, 3), "b": values(3, seed=4)}
    graph = check(model([node("Gemm", "x w b", **attributes)], x, ["y"], stored), x, tmp_path)
    assert graph.macs == 5 * 8 * 3


def test_gemm_with_a_matrix_for_a_bias(tmp_path: Path) -> None:
    x = {"x": values(5, 8)}
    check(model([node("Gemm", "x w b")], x, ["y"], {"w": values(8, 3), "b": values(5, 3)}), x, tmp_path)


def test_flattened_image_into_gemm_needs_no_transpose(tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    stored = {**CONV, "g": values(5, 6 * 7 * 9), "b": values(5)}
    nodes = [node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("Relu", "f", "r")]
    graph = check(model([*nodes, node("Gemm", "r g b", transB=1)], x, ["y"], stored), x, tmp_path)
    assert kinds(graph) == ["conv2d", "reshape", "dense"]
    # The ReLU moves before the flattening, where the convolution takes it in.
    assert graph.layers[0].op == gops.Conv2d(activation="relu")


def test_flattened_image_read_twice(tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    stored = {**CONV, "g": values(6 * 7 * 9, 5)}
    nodes = [node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("MatMul", "f g", "y"), node("Neg", "f", "z")]
    check(model(nodes, x, ["y", "z"], stored), x, tmp_path)


def test_attention(tmp_path: Path) -> None:
    """Two heads of attention over five tokens, as PyTorch exports it: reshape, transpose, product, softmax, product."""
    x = {"x": values(2, 5, 8)}
    stored = {"wq": values(8, 8), "wk": values(8, 8, seed=1), "wv": values(8, 8, seed=2), "bq": values(8, seed=3)}
    stored["heads"] = np.array([0, 5, 2, 4])
    stored["flat"] = np.array([0, 5, 8])
    nodes = [node("MatMul", "x wq", "q0"), node("Add", "bq q0", "q1")]
    nodes += [node("MatMul", f"x w{name}", f"{name}1") for name in "kv"]
    for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes.append(node("Reshape", f"{name}1 heads", f"{name}2"))
        nodes.append(node("Transpose", f"{name}2", f"{name}3", perm=perm))
    nodes += [node("MatMul", "q3 k3", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p v3", "o")]
    nodes += [node("Transpose", "o", "o1", perm=[0, 2, 1, 3]), node("Reshape", "o1 flat", "y")]
    graph = check(model(nodes, x, ["y"], stored), x, tmp_path)
    # projections 3 x (2*5*8*8) = 1920; scores and values 2 x (2*2*5*5*4) = 800
    assert graph.macs == 1920 + 800


def test_patch_embedding_and_class_token(tmp_path: Path) -> None:
    x = {"x": values(1, 3, 8, 8)}
    stored = {"w": values(6, 3, 4, 4), "s": np.array([1, 6, -1]), "token": values(1, 1, 6), "i": np.array(0)}
    nodes = [
        node("Conv", "x w", "c", strides=[4, 4]),
        node("Reshape", "c s", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1]),
        node("Concat", "token t", "k", axis=1),
        node("Gather", "k i", "y", axis=1),
        node("Identity", "k", "z"),
    ]
    graph = check(model(nodes, x, ["y", "z"], stored), x, tmp_path)
    assert "transpose" not in kinds(graph)


def test_embedding(tmp_path: Path) -> None:
    x = {"x": np.array([[1, 4, 0]], np.int64)}
    nodes = [node("Gather", "table x", "e"), node("MatMul", "e w")]
    check(model(nodes, x, ["y"], {"table": values(5, 8), "w": values(8, 3)}), x, tmp_path)


# -- patterns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("rank", [4, 5])
def test_channel_shuffle(batch: int, rank: int, tmp_path: Path) -> None:
    x = {"x": values(batch, 6, 7, 9)}
    split = [batch, 2, 3, 7, 9] if rank == 5 else [batch, 2, 3, 63]
    stored = {**CONV, "a": np.array(split), "b": np.array([batch, -1, 7, 9])}
    nodes = [
        node("Conv", "x w", "c"),
        node("Reshape", "c a", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4][:rank]),
        node("Reshape", "t b", "s"),
        node("Conv", "s w"),
    ]
    graph = check(model(nodes, x, ["y"], stored), x, tmp_path)
    assert kinds(graph) == ["conv2d", "channel_shuffle", "conv2d"]
    assert graph.layers[1].op == gops.ChannelShuffle(groups=2)


def _gelu(half: str) -> list[Any]:
    inner = [node("Div", "x root", "d"), node("Erf", "d", "e"), node("Add", "e one", "a")]
    if half == "before":
        return [*inner, node("Mul", "x half", "h"), node("Mul", "h a")]
    if half == "between":
        return [*inner, node("Mul", "a half", "m"), node("Mul", "x m")]
    return [*inner, node("Mul", "x a", "m"), node("Mul", "half m")]


def _gelu_tanh(cube: list[Any]) -> list[Any]:
    """½ · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) with the cube as given, in tensor p."""
    return [
        *cube,
        *(node("Mul", "bend p", "q"), node("Add", "x q", "a"), node("Mul", "a scale", "s"), node("Tanh", "s", "t")),
        *(node("Add", "t one", "u"), node("Mul", "half x", "h"), node("Mul", "h u")),
    ]


PATTERNS: dict[str, tuple[list[Any], str]] = {
    **{f"gelu_half_{half}": (_gelu(half), "gelu") for half in ("before", "between", "after")},
    "gelu_tanh_power": (_gelu_tanh([node("Pow", "x three", "p")]), "gelu_tanh"),
    "gelu_tanh_product": (_gelu_tanh([node("Mul", "x x", "r"), node("Mul", "r x", "p")]), "gelu_tanh"),
    "silu": ([node("Sigmoid", "x", "s"), node("Mul", "x s")], "silu"),
    "hard_swish": ([node("HardSigmoid", "x", "s", alpha=1 / 6), node("Mul", "s x")], "hard_swish"),
    "hard_swish_clip": (
        [node("Add", "x three", "a"), node("Clip", "a zero six", "k"), node("Mul", "x k", "m"), node("Div", "m six")],
        "hard_swish",
    ),
    "hard_swish_divided_first": (
        [node("Add", "x three", "a"), node("Clip", "a zero six", "k"), node("Div", "k six", "m"), node("Mul", "x m")],
        "hard_swish",
    ),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_activation_patterns(name: str, tmp_path: Path) -> None:
    nodes, function = PATTERNS[name]
    x = {"x": values(*IMAGE) * 4}
    numbers = {"root": np.sqrt(2), "one": 1, "half": 0.5, "three": 3, "zero": 0, "six": 6}
    numbers |= {"bend": 0.044715, "scale": np.sqrt(2 / np.pi)}
    graph = check(model(nodes, x, ["y"], {k: np.float32(v) for k, v in numbers.items()}), x, tmp_path)
    assert [layer.op for layer in graph.layers] == [gops.Unary(function=function)]


@pytest.mark.parametrize("centred", [True, False], ids=["layer_norm", "rms_norm"])
def test_norm_patterns(centred: bool, tmp_path: Path) -> None:
    x = {"x": values(2, 5, 8)}
    stored = {"two": np.float32(2), "eps": np.float32(1e-5), "g": values(8), "b": values(8, seed=1)}
    nodes = [node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d")] if centred else []
    source = "d" if centred else "x"
    nodes += [node("Pow", f"{source} two", "p"), node("ReduceMean", "p", "v", axes=[-1]), node("Add", "v eps", "a")]
    nodes += [node("Sqrt", "a", "q"), node("Div", f"{source} q", "n"), node("Mul", "n g", "k" if centred else "y")]
    nodes += [node("Add", "k b")] if centred else []
    graph = check(model(nodes, x, ["y"], stored), x, tmp_path)
    assert kinds(graph) == ["layer_norm" if centred else "rms_norm"]


def test_norm_over_channels_of_an_image(tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    stored = {**CONV, "two": np.float32(2), "eps": np.float32(1e-5), "g": values(6, 1, 1)}
    nodes = [node("Conv", "x w", "c"), node("ReduceMean", "c", "m", axes=[1]), node("Sub", "c m", "d")]
    nodes += [node("Pow", "d two", "p"), node("ReduceMean", "p", "v", axes=[1]), node("Add", "v eps", "a")]
    nodes += [node("Sqrt", "a", "q"), node("Div", "d q", "n"), node("Mul", "n g")]
    graph = check(model(nodes, x, ["y"], stored), x, tmp_path)
    assert kinds(graph) == ["conv2d", "layer_norm", "binary"]


def test_a_pattern_whose_middle_is_read_elsewhere_stays(tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    nodes = [node("Sigmoid", "x", "s"), node("Mul", "x s"), node("Neg", "s", "z")]
    graph = check(model(nodes, x, ["y", "z"]), x, tmp_path)
    assert sorted(kinds(graph)) == ["binary", "unary", "unary"]


def test_batch_norm_and_relu_are_taken_into_the_convolution(tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    stored = {**CONV, **{name: values(6, seed=i) for i, name in enumerate("gbm")}, "v": values(6, positive=True)}
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c g b m v", "n"), node("Relu", "n")]
    graph = check(model(nodes, x, ["y"], stored), x, tmp_path)
    assert [layer.op for layer in graph.layers] == [gops.Conv2d(activation="relu")]


def test_one_dimensional_convolutions_need_no_reshape_between_them(tmp_path: Path) -> None:
    x = {"x": values(2, 6, 11)}
    stored = {"w": values(6, 6, 3), **{name: values(6, seed=i) for i, name in enumerate("gbm")}}
    stored["v"] = values(6, positive=True)
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1]),
        node("BatchNormalization", "c g b m v", "n"),
        node("Relu", "n", "r"),
    ]
    nodes += [node("Conv", "r w", "d"), node("Add", "d half", "e"), node("MaxPool", "e", kernel_shape=[2])]
    graph = check(model(nodes, x, ["y"], {**stored, "half": np.float32(0.5)}), x, tmp_path)
    assert kinds(graph) == ["reshape", "conv2d", "conv2d", "binary", "pool2d", "reshape"]


def test_transposes_around_a_convolution_vanish(tmp_path: Path) -> None:
    """As converters from TensorFlow write it: the file's tensors are NHWC, its convolution is NCHW."""
    x = {"x": values(2, 7, 9, 6)}
    nodes = [
        node("Transpose", "x", "a", perm=[0, 3, 1, 2]),
        node("Conv", "a w", "c"),
        node("Transpose", "c", "y", perm=[0, 2, 3, 1]),
    ]
    graph = check(model(nodes, x, ["y"], CONV), x, tmp_path)
    assert kinds(graph) == ["conv2d"]
    assert graph.tensors["x"].file_axes is None
    assert graph.tensors["y"].file_axes is None


def test_split_halves(tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    nodes = [node("Conv", "x w", "c"), node("Split", "c", "y z", axis=1)]
    check(model(nodes, x, ["y", "z"], CONV, opset=13), x, tmp_path)


def test_dropout_and_cast_to_the_same_type_are_dropped(tmp_path: Path) -> None:
    x = {"x": values(*IMAGE)}
    nodes = [node("Dropout", "x", "d"), node("Cast", "d", "e", to=TensorProto.FLOAT), node("Relu", "e")]
    assert kinds(check(model(nodes, x, ["y"]), x, tmp_path)) == ["unary"]


def test_products_of_two_activations(tmp_path: Path) -> None:
    x = {"x": values(2, 3, 4, 5), "z": values(4, 5, seed=1)}
    nodes = [node("Transpose", "z", "zt", perm=[1, 0]), node("MatMul", "x zt")]
    graph = check(model(nodes, x, ["y"]), x, tmp_path)
    assert [layer.op for layer in graph.layers] == [gops.MatMul(transpose_b=True)]
    assert graph.macs == 2 * 3 * 4 * 4 * 5
