"""Every TFLite operator that hwsim maps, against LiteRT, on small random files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_maker import O, T, constant, tflite_bytes

from hwsim.importers.tflite_file import load_tflite
from hwsim.importers.tflite_layout import resolve_strided_slice
from hwsim.reference import forward

IMAGE = (1, 6, 7, 4)
TOLERANCE = 1e-5  # of the output's largest magnitude
# The set of reference kernels lacks three functions, and its LRN sums the channels c − r … c + r − 1 where TensorFlow's
# definition and the default kernel go to c + r: for these, the default kernels.
NOT_REFERENCE = ("ELU", "CEIL", "ROUND", "LOCAL_RESPONSE_NORMALIZATION")


def values(*shape: int, seed: int = 0, positive: bool = False) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return np.abs(drawn) + np.float32(0.5) if positive else drawn


def weights(name: str, *shape: int, seed: int = 1) -> T:
    return constant(name, values(*shape, seed=seed), "float32")


def litert(content: bytes, feeds: dict[str, np.ndarray], *, reference: bool) -> list[np.ndarray]:
    """Run a file on LiteRT and return its outputs in the file's order."""
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    kinds = runtime.OpResolverType
    kind = kinds.BUILTIN_REF if reference else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = runtime.Interpreter(model_content=content, experimental_op_resolver_type=kind)
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], feeds[detail["name"]].shape)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], feeds[detail["name"]])
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def check(
    folder: Path, tensors: list[T], operators: list[O], feeds: dict[str, np.ndarray], outputs: tuple[str, ...] = ("y",)
) -> Any:
    """Import a file, run it in hwsim and in LiteRT, and compare all outputs; return the graph."""
    inputs = [T(name, array.shape, array.dtype.name.upper()) for name, array in feeds.items()]
    content = tflite_bytes([*inputs, *tensors], operators, list(feeds), outputs)
    wanted = litert(content, feeds, reference=operators[0].code not in NOT_REFERENCE)
    path = folder / "case.tflite"
    path.write_bytes(content)
    graph = load_tflite(path)
    found = forward(graph, feeds)
    for name, expected in zip(outputs, wanted, strict=True):
        assert graph.tensors[name].shape == expected.shape, name
        scale = max(float(np.abs(expected).max()), 1e-6) if expected.size else 1.0
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=TOLERANCE * scale)
    return graph


CONV = {"StrideH": 2, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "FusedActivationFunction": 1}


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_conv(tmp_path: Path, padding: int, dilation: int) -> None:
    options = {**CONV, "Padding": padding, "StrideH": 1, "DilationHFactor": dilation, "DilationWFactor": dilation}
    graph = check(
        tmp_path,
        [weights("w", 5, 3, 2, 4), weights("b", 5, seed=2), T("y", ())],
        [O("CONV_2D", ["x", "w", "b"], ["y"], "Conv2DOptions", options)],
        {"x": values(*IMAGE)},
    )
    # One MAC per ofmap element and tap: positions × 5 filters × 3·2·4 taps.
    assert graph.macs == graph.tensors["y"].elements * 3 * 2 * 4


def test_grouped_conv(tmp_path: Path) -> None:
    graph = check(
        tmp_path,
        [weights("w", 6, 3, 3, 2), weights("b", 6, seed=2), T("y", ())],
        [O("CONV_2D", ["x", "w", "b"], ["y"], "Conv2DOptions", {**CONV, "Padding": 0})],
        {"x": values(*IMAGE)},
    )
    assert graph.layers[0].op.groups == 2  # 4 channels, filters of 2


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise(tmp_path: Path, multiplier: int) -> None:
    options = {**CONV, "StrideW": 2, "Padding": 0, "DepthMultiplier": multiplier}
    graph = check(
        tmp_path,
        [weights("w", 1, 3, 3, 4 * multiplier), weights("b", 4 * multiplier, seed=2), T("y", ())],
        [O("DEPTHWISE_CONV_2D", ["x", "w", "b"], ["y"], "DepthwiseConv2DOptions", options)],
        {"x": values(*IMAGE)},
    )
    assert graph.tensors["w"].shape == (4 * multiplier, 3, 3, 1)  # (K, R, S, 1)


@pytest.mark.parametrize(("padding", "size"), [(0, (12, 14)), (1, (13, 15)), (0, (11, 13)), (1, (14, 16))])
def test_transpose_conv(tmp_path: Path, padding: int, size: tuple[int, int]) -> None:
    options = {"Padding": padding, "StrideH": 2, "StrideW": 2}
    check(
        tmp_path,
        [constant("size", [1, *size, 3]), weights("w", 3, 3, 3, 4), T("y", ())],
        [O("TRANSPOSE_CONV", ["size", "w", "x"], ["y"], "TransposeConvOptions", options)],
        {"x": values(*IMAGE)},
    )


@pytest.mark.parametrize(
    ("shape", "keep"), [((3, 8), False), ((2, 4, 8), False), ((2, 4, 8), True), ((2, 2, 4), False)]
)
def test_fully_connected(tmp_path: Path, shape: tuple[int, ...], keep: bool) -> None:
    graph = check(
        tmp_path,
        [weights("w", 5, 8), weights("b", 5, seed=2), T("y", ())],
        [O("FULLY_CONNECTED", ["x", "w", "b"], ["y"], "FullyConnectedOptions", {"KeepNumDims": keep})],
        {"x": values(*shape)},
    )
    reshaped = len(shape) == 3 and not keep
    assert [layer.name for layer in graph.layers] == (["y/reshape", "y"] if reshaped else ["y"])


@pytest.mark.parametrize(("adj_x", "adj_y"), [(False, False), (True, False), (False, True)])
def test_batch_matmul(tmp_path: Path, adj_x: bool, adj_y: bool) -> None:
    a = values(2, 5, 3) if adj_x else values(2, 3, 5)
    b = values(2, 4, 5, seed=1) if adj_y else values(2, 5, 4, seed=1)
    operator = O("BATCH_MATMUL", ["a", "b"], ["y"], "BatchMatMulOptions", {"AdjX": adj_x, "AdjY": adj_y})
    check(tmp_path, [T("y", ())], [operator], {"a": a, "b": b})


@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "SQUARED_DIFFERENCE"])
def test_arithmetic(tmp_path: Path, code: str) -> None:
    own = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}.get(code, "")
    check(
        tmp_path,
        [weights("c", 4) if code != "POW" else constant("c", values(4, positive=True), "float32"), T("y", ())],
        [O(code, ["x", "c"], ["y"], own, {"FusedActivationFunction": 3} if own else {})],
        {"x": values(*IMAGE, positive=code in ("POW", "DIV"))},
    )


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("code", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_pools(tmp_path: Path, code: str, padding: int) -> None:
    options = {"Padding": padding, "StrideH": 2, "StrideW": 2, "FilterHeight": 3, "FilterWidth": 2}
    check(tmp_path, [T("y", ())], [O(code, ["x"], ["y"], "Pool2DOptions", options)], {"x": values(*IMAGE)})


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("code", ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"])
def test_reductions(tmp_path: Path, code: str, keep: bool) -> None:
    check(
        tmp_path,
        [constant("axes", [1, -2]), T("y", ())],
        [O(code, ["x", "axes"], ["y"], "ReducerOptions", {"KeepDims": keep})],
        {"x": values(*IMAGE)},
    )


UNARY = (
    "RELU RELU6 RELU_N1_TO_1 LOGISTIC TANH HARD_SWISH ELU EXP LOG SQRT RSQRT SQUARE ABS NEG FLOOR CEIL ROUND SIN COS"
)


@pytest.mark.parametrize("code", UNARY.split())
def test_functions(tmp_path: Path, code: str) -> None:
    x = values(*IMAGE, positive=code in ("LOG", "SQRT", "RSQRT"))
    check(tmp_path, [T("y", ())], [O(code, ["x"], ["y"])], {"x": x * 3})


@pytest.mark.parametrize(
    ("code", "options", "given"),
    [
        ("LEAKY_RELU", "LeakyReluOptions", {"Alpha": 0.2}),
        ("GELU", "GeluOptions", {"Approximate": False}),
        ("GELU", "GeluOptions", {"Approximate": True}),
        ("SOFTMAX", "SoftmaxOptions", {"Beta": 0.5}),
        ("LOG_SOFTMAX", "LogSoftmaxOptions", {}),
        ("DEPTH_TO_SPACE", "DepthToSpaceOptions", {"BlockSize": 2}),
        (
            "LOCAL_RESPONSE_NORMALIZATION",
            "LocalResponseNormalizationOptions",
            {"Radius": 1, "Bias": 2.0, "Alpha": 0.3, "Beta": 0.75},
        ),
    ],
)
def test_functions_with_options(tmp_path: Path, code: str, options: str, given: dict[str, Any]) -> None:
    check(tmp_path, [T("y", ())], [O(code, ["x"], ["y"], options, given)], {"x": values(*IMAGE)})


def test_space_to_depth(tmp_path: Path) -> None:
    operator = O("SPACE_TO_DEPTH", ["x"], ["y"], "SpaceToDepthOptions", {"BlockSize": 2})
    check(tmp_path, [T("y", ())], [operator], {"x": values(1, 4, 6, 3)})


def test_prelu(tmp_path: Path) -> None:
    operator = O("PRELU", ["x", "slope"], ["y"])
    check(tmp_path, [weights("slope", 1, 1, 4), T("y", ())], [operator], {"x": values(*IMAGE)})


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("size", [(12, 14), (4, 5)])
@pytest.mark.parametrize("code", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_resizes(tmp_path: Path, code: str, size: tuple[int, int], half: bool, align: bool) -> None:
    if align and half:
        pytest.skip("LiteRT refuses both together")
    options = "ResizeBilinearOptions" if code == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    check(
        tmp_path,
        [constant("size", size), T("y", ())],
        [O(code, ["x", "size"], ["y"], options, {"AlignCorners": align, "HalfPixelCenters": half})],
        {"x": values(*IMAGE)},
    )


LAYOUT: dict[str, tuple[list[T], O]] = {
    "pad": ([constant("p", [[0, 0], [1, 2], [0, 1], [0, 0]])], O("PAD", ["x", "p"], ["y"])),
    "padv2": (
        [constant("p", [[0, 0], [1, 2], [0, 1], [0, 0]]), constant("v", 1.5, "float32")],
        O("PADV2", ["x", "p", "v"], ["y"]),
    ),
    "reflect": (
        [constant("p", [[0, 0], [2, 2], [0, 1], [0, 0]])],
        O("MIRROR_PAD", ["x", "p"], ["y"], "MirrorPadOptions", {"Mode": 0}),
    ),
    "symmetric by one": (
        [constant("p", [[0, 0], [1, 1], [0, 1], [0, 0]])],
        O("MIRROR_PAD", ["x", "p"], ["y"], "MirrorPadOptions", {"Mode": 1}),
    ),
    "reshape": ([constant("s", [7, -1, 4])], O("RESHAPE", ["x", "s"], ["y"])),
    "reshape by option": ([], O("RESHAPE", ["x"], ["y"], "ReshapeOptions", {"NewShape": [3, 56]})),
    "squeeze": ([], O("SQUEEZE", ["x"], ["y"], "SqueezeOptions", {"SqueezeDims": [0]})),
    "expand": ([constant("a", -2)], O("EXPAND_DIMS", ["x", "a"], ["y"])),
    "transpose": ([constant("p", [0, 3, 1, 2])], O("TRANSPOSE", ["x", "p"], ["y"])),
    "slice": ([constant("b", [0, 1, 2, 0]), constant("n", [1, 3, -1, 2])], O("SLICE", ["x", "b", "n"], ["y"])),
    "gather": ([constant("i", [[2, 0], [3, 3]])], O("GATHER", ["x", "i"], ["y"], "GatherOptions", {"Axis": 3})),
    "concat": (
        [weights("c", 1, 6, 7, 2)],
        O("CONCATENATION", ["x", "c", "x"], ["y"], "ConcatenationOptions", {"Axis": -1}),
    ),
    "pack": ([], O("PACK", ["x", "x"], ["y"], "PackOptions", {"ValuesCount": 2, "Axis": 1})),
}


@pytest.mark.parametrize("case", LAYOUT)
def test_layout(tmp_path: Path, case: str) -> None:
    tensors, operator = LAYOUT[case]
    check(tmp_path, [*tensors, T("y", ())], [operator], {"x": values(*IMAGE)})


def test_embedding(tmp_path: Path) -> None:
    ids = np.asarray([3, 1, 1], np.int32)
    check(
        tmp_path, [weights("table", 5, 4), T("y", ())], [O("EMBEDDING_LOOKUP", ["ids", "table"], ["y"])], {"ids": ids}
    )


SPLITS: dict[str, tuple[list[T], O]] = {
    "split": ([constant("a", 2)], O("SPLIT", ["a", "x"], ["y", "z"], "SplitOptions", {"NumSplits": 2})),
    "split_v": (
        [constant("s", [1, -1]), constant("a", 3)],
        O("SPLIT_V", ["x", "s", "a"], ["y", "z"], "SplitVOptions", {"NumSplits": 2}),
    ),
    "unpack": ([], O("UNPACK", ["x"], ["y", "z"], "UnpackOptions", {"Num": 2, "Axis": 1})),
}


@pytest.mark.parametrize("case", SPLITS)
def test_splits(tmp_path: Path, case: str) -> None:
    tensors, operator = SPLITS[case]
    check(tmp_path, [*tensors, T("y", ()), T("z", ())], [operator], {"x": values(1, 2, 6, 4)}, ("y", "z"))


MASKS = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")


@pytest.mark.parametrize(
    ("begin", "end", "strides", "masks"),
    [
        ([0, 1, 0, 1], [1, 5, 7, 3], [1, 2, 3, 1], {}),
        ([0, 1, 0, 1], [1, 5, 7, 3], [1, 2, 3, 1], {"BeginMask": 0b0101, "EndMask": 0b1010}),
        ([0, -1, 2, 0], [1, 0, 5, 4], [1, -2, 1, 1], {}),
        ([0, 5, 6, 3], [1, -9, -9, -9], [1, -1, -2, -1], {"EndMask": 0b1110}),
        ([0, 2, 0, -1], [1, 3, 7, 4], [1, 1, 1, 1], {"ShrinkAxisMask": 0b1010}),
        ([0, 0, 1], [0, 0, 3], [1, 1, 1], {"EllipsisMask": 0b001, "NewAxisMask": 0b010}),
        ([0, 1], [1, 4], [1, 1], {}),
    ],
)
def test_strided_slice(
    tmp_path: Path, begin: list[int], end: list[int], strides: list[int], masks: dict[str, int]
) -> None:
    # LiteRT, and numpy as a second oracle: a mask's bit turns an entry into None, an index, an ellipsis or a new axis.
    x = values(*IMAGE)
    entries: list[Any] = []
    for i, (b, e, s) in enumerate(zip(begin, end, strides, strict=True)):
        bit = {name: masks.get(name, 0) >> i & 1 for name in MASKS}
        if bit["EllipsisMask"]:
            entries.append(Ellipsis)
        elif bit["NewAxisMask"]:
            entries.append(None)
        elif bit["ShrinkAxisMask"]:
            entries.append(b)
        else:
            entries.append(slice(None if bit["BeginMask"] else b, None if bit["EndMask"] else e, s))
    layer, shape = resolve_strided_slice(IMAGE, begin, end, strides, {name: masks.get(name, 0) for name in MASKS})
    assert x[tuple(entries)].shape == shape
    assert layer.begin[0] == 0
    check(
        tmp_path,
        [constant("b", begin), constant("e", end), constant("s", strides), T("y", ())],
        [O("STRIDED_SLICE", ["x", "b", "e", "s"], ["y"], "StridedSliceOptions", masks)],
        {"x": x},
    )


def test_shape_arithmetic_is_folded_away(tmp_path: Path) -> None:
    # batch = shape(x)[0]; y = reshape(x, [batch, 168]): one layer is left.
    graph = check(
        tmp_path,
        [
            constant("zero", [0]),
            constant("one", [1]),
            constant("rest", 168),
            T("shape", (4,), "INT32"),
            T("batch", (), "INT32"),
            T("target", (2,), "INT32"),
            T("y", (1, 168), signature=(-1, 168)),
        ],
        [
            O("SHAPE", ["x"], ["shape"], "ShapeOptions", {"OutType": 2}),
            O(
                "STRIDED_SLICE",
                ["shape", "zero", "one", "one"],
                ["batch"],
                "StridedSliceOptions",
                {"ShrinkAxisMask": 1},
            ),
            O("PACK", ["batch", "rest"], ["target"], "PackOptions", {"ValuesCount": 2}),
            O("RESHAPE", ["x", "target"], ["y"]),
        ],
        {"x": values(*IMAGE)},
    )
    assert [(layer.name, layer.op.kind) for layer in graph.layers] == [("y", "reshape")]
    assert graph.constants == ()


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    stored = values(5, 8).astype(np.float16)
    graph = check(
        tmp_path,
        [constant("h", stored, "float16"), T("w", (5, 8)), weights("b", 5), T("y", (3, 5))],
        [
            O("DEQUANTIZE", ["h"], ["w"]),
            O("FULLY_CONNECTED", ["x", "w", "b"], ["y"], "FullyConnectedOptions", {}),
        ],
        {"x": values(3, 8)},
    )
    assert len(graph.layers) == 1
    assert graph.tensors["w"].dtype == "float32"
    assert graph.warnings == ("1 constants stored as float16 are made float32 on loading, and counted as float32",)
