"""Every layer type on random small shapes, float32, against onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pytest

from hwsim.graph import Graph, GraphBuilder, Quantization, ops, with_random_weights
from hwsim.reference import forward
from tests.onnx_export import EXPORTS, to_onnx

ort = pytest.importorskip("onnxruntime")
TOLERANCE = 1e-4  # of the output's largest magnitude

EVERYWHERE = np.array(
    [[[-3.7, -3.0, -1.0, -0.5, -0.0, 0.0, 0.4, 0.5, 1.5, 2.5, 3.0, 5.9, 6.1, 40.0, -40.0]]], np.float32
)


def run_onnx(graph: Graph, inputs: Mapping[str, Any]) -> list[Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(to_onnx(graph).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(list(graph.outputs), dict(inputs)))


def random_inputs(graph: Graph, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(graph.tensors[name].shape, np.float32) for name in graph.inputs}


def assert_equals_onnx(graph: Graph, inputs: Mapping[str, Any]) -> None:
    ours = forward(graph, inputs)
    for name, theirs in zip(graph.outputs, run_onnx(graph, inputs), strict=True):
        assert ours[name].shape == theirs.shape == graph.tensors[name].shape
        assert ours[name].dtype == theirs.dtype
        if not np.issubdtype(theirs.dtype, np.floating):
            np.testing.assert_array_equal(ours[name], theirs)
            continue
        np.testing.assert_array_equal(np.isfinite(ours[name]), np.isfinite(theirs))
        finite = np.isfinite(theirs)
        largest = np.abs(theirs[finite]).max(initial=1e-30)
        assert np.abs(ours[name][finite] - theirs[finite]).max(initial=0.0) <= TOLERANCE * largest, name


def one_layer(
    op: ops.Op, *shapes: tuple[int, ...], constants: tuple[tuple[int, ...], ...] = (), seed: int = 0
) -> Graph:
    b = GraphBuilder("one_layer")
    names = [b.input(f"x{index}", shape) for index, shape in enumerate(shapes)]
    names += [b.constant(f"c{index}", shape) for index, shape in enumerate(constants)]
    return with_random_weights(b.build(b.add(op, names)), seed)


def check(op: ops.Op, *shapes: tuple[int, ...], constants: tuple[tuple[int, ...], ...] = (), seed: int = 0) -> None:
    graph = one_layer(op, *shapes, constants=constants, seed=seed)
    assert_equals_onnx(graph, random_inputs(graph, seed))


@pytest.mark.parametrize("seed", range(40))
def test_conv2d(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2, 3]))
    per_group, filters = int(rng.integers(1, 5)), groups * int(rng.integers(1, 5))
    if seed % 4 == 3:  # depthwise, with a channel multiplier
        groups, per_group = 6, 1
        filters = groups * int(rng.integers(1, 3))
    kernel = tuple(map(int, rng.integers(1, 4, 2)))
    op = ops.Conv2d(
        strides=tuple(map(int, rng.integers(1, 4, 2))),
        padding=tuple(tuple(map(int, pads)) for pads in rng.integers(0, 3, (2, 2))) if seed % 3 else ((0, 0), (0, 0)),
        dilations=tuple(map(int, rng.integers(1, 3, 2))),
        groups=groups,
        activation=[None, "relu", "relu6", "relu_n1_to_1"][seed % 4],
    )
    shape = (int(rng.integers(1, 4)), int(rng.integers(7, 12)), int(rng.integers(7, 12)), groups * per_group)
    constants = ((filters, *kernel, per_group), (filters,))[: 1 + seed % 2]
    check(op, shape, constants=constants, seed=seed)


@pytest.mark.parametrize("shape", [(2, 9, 11, 8), (1, 1, 1, 8), (3, 1, 7, 8), (2, 6, 1, 8)])
def test_pointwise_conv2d(shape: tuple[int, ...]) -> None:
    check(ops.Conv2d(activation="relu"), shape, constants=((5, 1, 1, 8), (5,)))
    check(ops.Conv2d(groups=2), shape, constants=((6, 1, 1, 4),))


@pytest.mark.parametrize("seed", range(12))
def test_conv_transpose2d(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = 1 + seed % 2
    strides = tuple(map(int, rng.integers(1, 4, 2)))
    op = ops.ConvTranspose2d(
        strides=strides,
        padding=tuple(tuple(map(int, pads)) for pads in rng.integers(0, 2, (2, 2))),
        dilations=tuple(map(int, rng.integers(1, 3, 2))),
        output_padding=tuple(int(rng.integers(0, stride)) for stride in strides),
        groups=groups,
        activation=[None, "relu"][seed % 2],
    )
    filters = groups * 3
    check(op, (2, 4, 5, groups * 2), constants=((filters, 3, 2, 2), (filters,)), seed=seed)


@pytest.mark.parametrize("shape", [(3, 7), (1, 7), (2, 5, 7), (2, 1, 1, 7)])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_dense(shape: tuple[int, ...], activation: ops.FusedActivation | None) -> None:
    check(ops.Dense(activation=activation), shape, constants=((4, 7), (4,)))
    check(ops.Dense(activation=activation), shape, constants=((4, 7),))


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("leading", [((), ()), ((2, 3), (2, 3)), ((2, 1), (3,)), ((2,), ())])
def test_matmul(transpose_a: bool, transpose_b: bool, leading: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a = (5, 4) if transpose_a else (4, 5)
    b = (6, 5) if transpose_b else (5, 6)
    check(ops.MatMul(transpose_a=transpose_a, transpose_b=transpose_b), leading[0] + a, leading[1] + b)


@pytest.mark.parametrize("function", ["add", "sub", "mul", "div", "maximum", "minimum", "squared_difference"])
@pytest.mark.parametrize(
    "shapes", [((2, 3, 4, 5), (2, 3, 4, 5)), ((2, 3, 4, 5), (5,)), ((1, 5), (2, 3, 1, 1)), ((3,), ())]
)
def test_binary(function: ops.BinaryFunction, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    check(ops.Binary(function=function), *shapes)
    check(ops.Binary(function=function, activation="relu6"), *shapes)


def test_pow() -> None:
    graph = one_layer(ops.Binary(function="pow"), (2, 3), (3,))
    rng = np.random.default_rng(0)
    assert_equals_onnx(graph, {"x0": rng.uniform(0, 3, (2, 3)).astype(np.float32), "x1": np.float32([2.0, 0.5, -1.0])})


UNARY_FUNCTIONS = [
    "relu", "relu6", "sigmoid", "tanh", "hard_swish", "silu", "gelu", "gelu_tanh", "softplus", "erf", "exp", "log",
    "sqrt", "rsqrt", "reciprocal", "square", "abs", "neg", "floor", "ceil", "round", "sin", "cos",
]  # fmt: skip


@pytest.mark.parametrize("function", UNARY_FUNCTIONS)
def test_unary(function: ops.UnaryFunction) -> None:
    graph = one_layer(ops.Unary(function=function), EVERYWHERE.shape)
    assert_equals_onnx(graph, {"x0": EVERYWHERE})
    check(ops.Unary(function=function), (2, 3, 4, 5))


@pytest.mark.parametrize(
    "op",
    [
        ops.Unary(function="clip", low=-1.0, high=2.0),
        ops.Unary(function="clip", low=-1.0),
        ops.Unary(function="clip", high=0.25),
        ops.Unary(function="leaky_relu", alpha=0.1),
        ops.Unary(function="elu", alpha=0.7),
        ops.Unary(function="hard_sigmoid", alpha=0.2, beta=0.5),
        ops.Unary(function="hard_sigmoid", alpha=1 / 6, beta=0.5),
    ],
    ids=repr,
)
def test_unary_with_attributes(op: ops.Unary) -> None:
    assert_equals_onnx(one_layer(op, EVERYWHERE.shape), {"x0": EVERYWHERE})


@pytest.mark.parametrize("slope", [(5,), (1, 1, 5), (3, 4, 5)])
def test_prelu(slope: tuple[int, ...]) -> None:
    check(ops.PRelu(), (2, 3, 4, 5), constants=(slope,))


@pytest.mark.parametrize("function", ["max", "average"])
@pytest.mark.parametrize("seed", range(16))
def test_pool2d(function: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = tuple(map(int, rng.integers(2, 4, 2)))
    op = ops.Pool2d(
        function=function,
        kernel=kernel,
        strides=tuple(map(int, rng.integers(1, 4, 2))),
        padding=tuple(tuple(map(int, pads)) for pads in rng.integers(0, 2, (2, 2))),
        dilations=tuple(map(int, rng.integers(1, 3, 2))),
        count_include_pad=bool(seed % 2) and function == "average",
    )
    check(op, (2, int(rng.integers(7, 11)), int(rng.integers(7, 11)), 3), seed=seed)


@pytest.mark.parametrize("function", ["max", "average"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(6, 3, 2), (7, 3, 2), (8, 2, 3), (10, 3, 4)])
def test_pool2d_in_ceil_mode(function: Any, size: int, kernel: int, stride: int) -> None:
    op = ops.Pool2d(function=function, kernel=(kernel, kernel), strides=(stride, stride), ceil_mode=True)
    check(op, (1, size, size + 1, 2))


@pytest.mark.parametrize("function", ["max", "average"])
def test_global_pool(function: Any) -> None:
    check(ops.GlobalPool(function=function), (2, 5, 6, 7))


@pytest.mark.parametrize("function", ["mean", "sum", "max", "min", "prod"])
@pytest.mark.parametrize("axes", [(1, 2), (-1,), (0, 1, 2, 3)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reduce(function: Any, axes: tuple[int, ...], keepdims: bool) -> None:
    check(ops.Reduce(function=function, axes=axes, keepdims=keepdims), (2, 3, 4, 5))


@pytest.mark.parametrize("function", ["max", "min"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_arg_extreme(function: Any, axis: int, keepdims: bool) -> None:
    graph = one_layer(ops.ArgExtreme(function=function, axis=axis, keepdims=keepdims), (5, 6, 7))
    coarse = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype(np.float32)  # equal values: the first counts
    assert_equals_onnx(graph, {"x0": coarse})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(axis: int) -> None:
    shapes = [(2, 3, 4), (2, 3, 4), (2, 3, 4)]
    shapes[1] = tuple(5 if index == axis % 3 else size for index, size in enumerate(shapes[1]))
    check(ops.Concat(axis=axis), *shapes)
    check(ops.Concat(axis=axis, activation="relu"), *shapes)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_split(axis: int) -> None:
    check(ops.Split(axis=axis, sizes=(1, 4, 2)), tuple(7 if index == axis % 3 else 2 for index in range(3)))


def test_concat_of_split_views() -> None:
    b = GraphBuilder("split_concat")
    first, second = b.split(b.input("x", (2, 3, 4, 10)), (4, 6))
    graph = b.build([b.concat([second, first])])
    assert_equals_onnx(graph, random_inputs(graph, 0))


def test_slice() -> None:
    check(ops.Slice(begin=(0, 1, 5), end=(2, 5, 1), strides=(1, 2, -2)), (2, 5, 6))
    check(ops.Slice(begin=(1, 4), end=(-1, -1), strides=(-1, -3)), (2, 5))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad(mode: Any) -> None:
    check(
        ops.Pad(pads=((0, 0), (1, 2), (2, 0), (0, 1)), mode=mode, value=0.5 if mode == "constant" else 0.0),
        (2, 3, 4, 5),
    )


def test_moves() -> None:
    check(ops.Reshape(shape=(0, -1)), (2, 3, 4))
    check(ops.Transpose(perm=(2, 0, 1)), (2, 3, 4))
    check(ops.ChannelShuffle(groups=3), (1, 2, 2, 12))
    check(ops.DepthToSpace(block=2), (2, 3, 4, 12))
    check(ops.DepthToSpace(block=2, channel_major=True), (2, 3, 4, 12))
    check(ops.SpaceToDepth(block=2), (2, 4, 6, 3))


@pytest.mark.parametrize("size", [(8, 10), (3, 2), (7, 9), (4, 5), (1, 1)])
@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "align_corners"])
def test_resize(size: tuple[int, int], coordinates: Any) -> None:
    check(ops.Resize(mode="bilinear", size=size, coordinates=coordinates), (2, 4, 5, 3))
    for rounding in ("floor", "ceil", "prefer_floor", "prefer_ceil"):
        check(ops.Resize(mode="nearest", size=size, coordinates=coordinates, rounding=rounding), (2, 4, 5, 3))


@pytest.mark.parametrize("scale", [(1.3, 2.7), (0.6, 1.5), (2.0, 0.3)])  # of (4, 5): no whole sizes
@pytest.mark.parametrize("coordinates", get_args(ops.Coordinates))
def test_resize_by_factors(scale: tuple[float, float], coordinates: Any) -> None:
    size = (math.floor(4 * scale[0]), math.floor(5 * scale[1]))
    for mode in ("bilinear", "nearest"):
        op = ops.Resize(mode=mode, size=size, coordinates=coordinates, rounding="prefer_floor", scale=scale)
        check(op, (2, 4, 5, 3))


@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_softmax(axis: int) -> None:
    check(ops.Softmax(axis=axis), (3, 4, 5))
    check(ops.Softmax(axis=axis, log=True), (3, 4, 5))
    check(ops.Softmax(axis=axis, beta=2.5), (3, 4, 5))


@pytest.mark.parametrize("shape", [(2, 8), (2, 3, 8), (2, 3, 4, 8)])
def test_norms(shape: tuple[int, ...]) -> None:
    for constants in ((), ((8,),), ((8,), (8,))):
        check(ops.LayerNorm(epsilon=1e-3), shape, constants=constants)
    check(ops.RmsNorm(epsilon=1e-3), shape)
    check(ops.RmsNorm(epsilon=1e-3), shape, constants=((8,),))
    check(ops.BatchNorm(epsilon=1e-3), shape, constants=((8,),) * 4)


@pytest.mark.parametrize("axis", [-1, 1])
def test_l2_norm(axis: int) -> None:
    check(ops.L2Norm(axis=axis), (2, 3, 4, 7))
    zeros = forward(one_layer(ops.L2Norm(axis=axis), (2, 3)), {"x0": np.zeros((2, 3), np.float32)})
    assert all(np.all(values == 0) for values in zeros.values())


@pytest.mark.parametrize("size", [1, 3, 5])  # onnxruntime takes odd sizes only; an even one is worked out by hand
def test_lrn(size: int) -> None:
    check(ops.Lrn(size=size, alpha=0.5, beta=0.75, bias=2.0), (2, 3, 4, 7))


@pytest.mark.parametrize("axis", [0, 1])
def test_gather(axis: int) -> None:
    b = GraphBuilder("gather")
    table, indices = b.constant("table", (4, 5, 3)), b.input("indices", (2, 3), "int64")
    graph = with_random_weights(b.build(b.add(ops.Gather(axis=axis), [table, indices])), 0)
    assert_equals_onnx(graph, {"indices": np.array([[0, 3, -1], [2, 2, 1]])})


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [None, 1])
def test_quantize_and_back(dtype: Any, axis: int | None) -> None:
    quant = Quantization((0.1, 0.03, 0.5), (3, 0, 7), 1) if axis is not None else Quantization((0.1,), (3,))
    b = GraphBuilder("quantize")
    (stored,) = b.add(ops.Quantize(dtype=dtype), [b.input("x", (4, 3))], quants=[quant])
    (real,) = b.add(ops.Dequantize(), [stored])
    graph = b.build([stored, real])
    rng = np.random.default_rng(0)
    assert_equals_onnx(graph, {"x": (rng.standard_normal((4, 3)) * 10).astype(np.float32)})


def test_cast() -> None:
    graph = one_layer(ops.Cast(dtype="int32"), (2, 3))
    assert_equals_onnx(graph, {"x0": np.float32([[1.7, -1.7, 0.2], [3.0, -4.0, 1e6]])})


def test_every_layer_type_has_a_float_kernel() -> None:
    from hwsim.reference.float_dispatch import FLOAT_BINDERS

    known = set(ops.OPS.values()) - {ops.Unknown}
    assert known == set(FLOAT_BINDERS) == set(EXPORTS)
