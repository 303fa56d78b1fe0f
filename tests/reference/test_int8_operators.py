"""Every int8 operator, bit for bit against LiteRT's reference kernels, on small files of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.importers.tflite_maker import O, T, constant
from tests.reference.litert_case import IMAGE, X, bias, check, one, quantised, spread, stored

NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)  # TFLite's ActivationFunctionType
SAME, VALID = 0, 1
CONV = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize("activation", [NONE, RELU, RELU6, RELU_N1_TO_1])
def test_conv_with_odd_padding(tmp_path: Path, padding: int, activation: int) -> None:
    values = {**CONV, "StrideH": 2, "StrideW": 3, "Padding": padding, "FusedActivationFunction": activation}
    constants = [stored("w", (5, 3, 2, 8), spread(5)), bias(5)]
    one(tmp_path, "CONV_2D", "Conv2DOptions", values, constants=constants, out=(0.11, 11))


def test_conv_dilated_with_one_scale(tmp_path: Path) -> None:
    values = {**CONV, "DilationHFactor": 2, "DilationWFactor": 2}
    one(tmp_path, "CONV_2D", "Conv2DOptions", values, constants=[stored("w", (5, 3, 2, 8), [0.004]), bias(5)])


def test_conv_in_groups(tmp_path: Path) -> None:
    constants = [stored("w", (6, 3, 3, 4), spread(6)), bias(6)]
    one(tmp_path, "CONV_2D", "Conv2DOptions", CONV, constants=constants)


def test_conv_too_deep_for_one_float32_sum(tmp_path: Path) -> None:
    # 3·3·640 taps of |w| ~ 64 on average: Σ|w|·128 ~ 47e6, above 2^24 = 16.8e6, so the reduction is cut.
    constants = [stored("w", (4, 3, 3, 640), spread(4)), bias(4)]
    one(tmp_path, "CONV_2D", "Conv2DOptions", CONV, constants=constants, shape=(1, 4, 4, 640), out=(1.3, 3))


def test_conv_with_multiplier_above_one(tmp_path: Path) -> None:
    constants = [stored("w", (5, 1, 1, 8), [0.5, 1.1, 2.2, 3.3, 40.0]), bias(5)]
    one(tmp_path, "CONV_2D", "Conv2DOptions", CONV, constants=constants, x=(0.9, 3), out=(0.7, -3))


def test_conv_with_dead_channels(tmp_path: Path) -> None:
    filters = stored("w", (4, 1, 1, 8), [0.004, 1e-12, 0.004, 0.01])
    assert filters.data is not None
    filters.data[2] = 0
    one(tmp_path, "CONV_2D", "Conv2DOptions", CONV, constants=[filters, bias(4)])


@pytest.mark.parametrize("scale", [1 / 64, 1 / 128, 1 / 4096])
def test_conv_whose_results_are_ties(tmp_path: Path, scale: float) -> None:
    # Scales that are powers of two: products are exact multiples of 1/2, 1/4, … of the ofmap's step.
    constants = [stored("w", (3, 1, 1, 8), [scale]), constant("b", [0, 1, -1])]
    one(tmp_path, "CONV_2D", "Conv2DOptions", CONV, constants=constants, x=(0.5, 0), out=(0.25, -5))


@pytest.mark.parametrize("channels", [8, 96])  # on either side of the choice between the two depthwise loops
@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise(tmp_path: Path, channels: int, multiplier: int, stride: int) -> None:
    K = channels * multiplier
    values = {**CONV, "StrideH": stride, "StrideW": stride, "DepthMultiplier": multiplier, "Padding": SAME}
    constants = [stored("w", (1, 3, 5, K), spread(K), axis=3), bias(K)]
    one(
        tmp_path,
        "DEPTHWISE_CONV_2D",
        "DepthwiseConv2DOptions",
        {**values, "FusedActivationFunction": RELU6 if stride == 2 else NONE},
        constants=constants,
        shape=(2, 30, 20, channels),
    )


def test_depthwise_dilated(tmp_path: Path) -> None:
    values = {**CONV, "DilationHFactor": 2, "DilationWFactor": 3, "DepthMultiplier": 1, "Padding": SAME}
    constants = [stored("w", (1, 3, 3, 8), spread(8), axis=3), bias(8)]
    one(tmp_path, "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", values, constants=constants, shape=(1, 11, 12, 8))


@pytest.mark.parametrize(("padding", "size"), [(SAME, (14, 12)), (VALID, (15, 13)), (SAME, (13, 11))])
def test_transpose_conv(tmp_path: Path, padding: int, size: tuple[int, int]) -> None:
    values = {"Padding": padding, "StrideH": 2, "StrideW": 2}
    constants = [constant("size", [2, *size, 3]), stored("w", (3, 3, 3, 8), spread(3))]
    order = ["size", "w", "x"]
    one(tmp_path, "TRANSPOSE_CONV", "TransposeConvOptions", values, constants=constants, order=order, out=(0.2, 4))


@pytest.mark.parametrize("scales", [[0.004], spread(9)])
@pytest.mark.parametrize("activation", [NONE, RELU])
def test_fully_connected(tmp_path: Path, scales: list[float], activation: int) -> None:
    constants = [stored("w", (9, 33), scales), bias(9)]
    values = {"FusedActivationFunction": activation}
    one(tmp_path, "FULLY_CONNECTED", "FullyConnectedOptions", values, constants=constants, shape=(5, 33), out=(0.1, 9))


def test_fully_connected_with_weights_zero_point(tmp_path: Path) -> None:
    weights = stored("w", (9, 33), [0.004])
    weights.zero_point = [5]
    constants = [weights, bias(9)]
    one(tmp_path, "FULLY_CONNECTED", "FullyConnectedOptions", {}, constants=constants, shape=(5, 33), out=(0.1, 9))


def test_fully_connected_whose_results_are_ties(tmp_path: Path) -> None:
    # x · w / 2 with both scales 1: odd sums end on a half, rounded away from zero.
    constants = [stored("w", (9, 3), [1.0])]
    one(
        tmp_path,
        "FULLY_CONNECTED",
        "FullyConnectedOptions",
        {},
        constants=constants,
        shape=(64, 3),
        x=(1.0, 0),
        out=(256.0, 0),
    )


@pytest.mark.parametrize(("adj_x", "adj_y"), [(False, False), (True, False), (False, True)])
def test_batch_matmul(tmp_path: Path, adj_x: bool, adj_y: bool) -> None:
    a = quantised("a", (2, 5, 40) if not adj_x else (2, 40, 5), (0.02, -9))
    b = quantised("b", (2, 40, 6) if not adj_y else (2, 6, 40), (0.03, 4))
    operator = O("BATCH_MATMUL", ["a", "b"], ["y"], "BatchMatMulOptions", {"AdjX": adj_x, "AdjY": adj_y})
    check(tmp_path, [quantised("y", (), (0.05, 3))], [operator], [a, b])


BINARY = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}


@pytest.mark.parametrize("code", BINARY)
@pytest.mark.parametrize("shapes", [(IMAGE, IMAGE), (IMAGE, (2, 1, 1, 8)), ((1, 1, 6, 1), IMAGE), (IMAGE, (8,))])
@pytest.mark.parametrize(("activation", "out"), [(NONE, (0.05, 3)), (RELU, (0.0012, -128)), (RELU6, (0.03, -20))])
def test_arithmetic(tmp_path: Path, code: str, shapes: Any, activation: int, out: tuple[float, int]) -> None:
    operator = O(code, ["a", "b"], ["y"], BINARY[code], {"FusedActivationFunction": activation})
    inputs = [quantised("a", shapes[0], (0.031, -7)), quantised("b", shapes[1], (0.0123, 100))]
    check(tmp_path, [quantised("y", (), out)], [operator], inputs)


@pytest.mark.parametrize("code", ["MUL", "BATCH_MATMUL"])
def test_product_of_scales_is_taken_in_float32(tmp_path: Path, code: str) -> None:
    # In float32 these two multiply to 2^-12 exactly, in double to 2e-8 less: with an ofmap scale of 2^-6 every product
    # that is an odd multiple of 32 is a tie in the one and below a tie in the other.
    one, other = 0.018132701516151428, 0.013464106246829033
    assert np.float32(one) * np.float32(other) == 2.0**-12 > one * other
    options = "MulOptions" if code == "MUL" else "BatchMatMulOptions"
    inputs = [quantised("a", (16, 16), (one, 0)), quantised("b", (16, 16), (other, 0))]
    check(tmp_path, [quantised("y", (), (2.0**-6, 0))], [O(code, ["a", "b"], ["y"], options)], inputs)


@pytest.mark.parametrize(
    ("divisor", "out"),
    [
        ((0.0123, 100), (0.0031, 0)),
        ((0.0021, -128), (0.05, 3)),
        ((0.0021, -128), (0.0031, 0)),
        ((0.09, 0), (0.0031, 0)),
    ],
)
def test_division(tmp_path: Path, divisor: tuple[float, int], out: tuple[float, int]) -> None:
    inputs = [quantised("a", IMAGE, (0.031, -7)), quantised("b", IMAGE, divisor)]
    operator = O("DIV", ["a", "b"], ["y"], "DivOptions", {"FusedActivationFunction": NONE})
    check(tmp_path, [quantised("y", (), out)], [operator], inputs, avoid={"b": divisor[1]})  # LiteRT refuses zero


@pytest.mark.parametrize("code", ["MAXIMUM", "MINIMUM"])
def test_maximum_and_minimum(tmp_path: Path, code: str) -> None:
    inputs = [quantised("a", IMAGE, X), quantised("b", (8,), X)]
    check(tmp_path, [quantised("y", (), X)], [O(code, ["a", "b"], ["y"], "MaximumMinimumOptions")], inputs)


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize("activation", [NONE, RELU, RELU6])
@pytest.mark.parametrize("code", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("window", [(3, 2, 2, 1), (2, 4, 1, 3), (7, 6, 1, 1)])  # height, width, strides
def test_pooling(tmp_path: Path, code: str, padding: int, activation: int, window: tuple[int, ...]) -> None:
    keys = ("FilterHeight", "FilterWidth", "StrideH", "StrideW")
    values = {**dict(zip(keys, window, strict=True)), "Padding": padding, "FusedActivationFunction": activation}
    one(tmp_path, code, "Pool2DOptions", values, out=X)


@pytest.mark.parametrize("code", ["MEAN", "REDUCE_MAX", "REDUCE_MIN"])
@pytest.mark.parametrize("axes", [(1, 2), (3,), (-1, 1), (0,)])
@pytest.mark.parametrize("keep", [True, False])
def test_reductions(tmp_path: Path, code: str, axes: tuple[int, ...], keep: bool) -> None:
    out = X if code.startswith("REDUCE") else (0.012, 30)
    one(tmp_path, code, "ReducerOptions", {"KeepDims": keep}, constants=[constant("axes", axes)], out=out)


@pytest.mark.parametrize("axes", [(1, 2), (3,), (-1, 1), (0,)])
def test_sum_is_within_one_step(tmp_path: Path, axes: tuple[int, ...]) -> None:
    # LiteRT 2.3's reference kernel reads the codes of a sum as unsigned; its default kernel computes in float32.
    how = {"resolver": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "tolerance": 1}
    one(tmp_path, "SUM", "ReducerOptions", {}, constants=[constant("axes", axes)], out=(0.3, -9), **how)


def test_mean_of_large_image(tmp_path: Path) -> None:
    constants = [constant("axes", [1, 2])]
    one(
        tmp_path,
        "MEAN",
        "ReducerOptions",
        {"KeepDims": True},
        constants=constants,
        shape=(1, 49, 51, 5),
        out=(0.004, 5),
    )


def test_concat_split_and_moves(tmp_path: Path) -> None:
    tensors = [
        constant("axis", 3),
        constant("perm", [0, 2, 1, 3]),
        constant("begin", [0, 1, 2, 0]),
        constant("size", [2, 3, -1, 6]),
        constant("pads", [[0, 0], [1, 2], [0, 3], [0, 0]]),
        constant("value", 17, "int8", scale=[X[0]], zero_point=[X[1]]),
        constant("mirror", [[0, 0], [2, 1], [1, 2], [0, 0]]),
        constant("indices", [3, 0, 0]),
        *(
            quantised(name, (), X)
            for name in ("low", "high", "joined", "turned", "cut", "wide", "set", "mirrored", "rows")
        ),
    ]
    operators = [
        O("SPLIT", ["axis", "x"], ["low", "high"], "SplitOptions", {"NumSplits": 2}),
        O("CONCATENATION", ["high", "x", "low"], ["joined"], "ConcatenationOptions", {"Axis": 3}),
        O("TRANSPOSE", ["joined", "perm"], ["turned"], "TransposeOptions"),
        O("SLICE", ["turned", "begin", "size"], ["cut"], "SliceOptions"),
        O("PAD", ["cut", "pads"], ["wide"], "PadOptions"),
        O("PADV2", ["cut", "pads", "value"], ["set"], "PadV2Options"),
        O("MIRROR_PAD", ["wide", "mirror"], ["mirrored"], "MirrorPadOptions", {"Mode": 0}),
        O("GATHER", ["mirrored", "indices"], ["rows"], "GatherOptions", {"Axis": 2}),
    ]
    check(tmp_path, tensors, operators, [quantised("x", IMAGE, X)])


@pytest.mark.parametrize("code", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("size", [(14, 12), (3, 4), (17, 5), (1, 1), (70, 60)])
@pytest.mark.parametrize("mode", ["", "AlignCorners", "HalfPixelCenters"])
def test_resize(tmp_path: Path, code: str, size: tuple[int, int], mode: str) -> None:
    options = "ResizeBilinearOptions" if code == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    one(tmp_path, code, options, {mode: True} if mode else {}, constants=[constant("size", size)], out=X)


@pytest.mark.parametrize("beta", [1.0, 0.37])
@pytest.mark.parametrize("scale", [0.003, 0.11, 0.9, 8.0])
@pytest.mark.parametrize("shape", [(1, 10), (6, 2), (2, 3, 300)])  # LiteRT aborts where exponentials add up to 512
def test_softmax(tmp_path: Path, beta: float, scale: float, shape: tuple[int, ...]) -> None:
    one(tmp_path, "SOFTMAX", "SoftmaxOptions", {"Beta": beta}, shape=shape, x=(scale, 5), out=(1 / 256, -128))


ALL_CODES = (1, 4096)  # random, so that each of the 256 codes almost surely occurs (256 · (255/256)^20480 < 1e-30)


@pytest.mark.parametrize("x", [(0.0021, 0), (0.023, -128), (0.05, 19), (0.21, 127)])
@pytest.mark.parametrize(
    ("code", "options", "out"),
    [
        ("LOGISTIC", "", (1 / 256, -128)),
        ("TANH", "", (1 / 128, 0)),
        ("HARD_SWISH", "", (0.031, -5)),
        ("HARD_SWISH", "", (0.0037, -128)),
        ("RELU", "", (0.031, -5)),
        ("RELU6", "", (6 / 255, -128)),
        ("RELU_N1_TO_1", "", (0.031, -5)),
        ("GELU", "GeluOptions", (0.031, -90)),
        ("EXP", "", (0.5, -128)),
    ],
)
def test_functions_of_one_element(
    tmp_path: Path, code: str, options: str, out: tuple[float, int], x: tuple[float, int]
) -> None:
    if code == "HARD_SWISH" and x[0] / 128 >= out[0]:
        pytest.skip("LiteRT refuses this gain")
    one(tmp_path, code, options, {}, shape=ALL_CODES, x=x, out=out)


@pytest.mark.parametrize("alpha", [0.1, 0.3, 1.7])
@pytest.mark.parametrize("out", [(0.031, -5), (0.0123, 40), (0.31, -128)])
def test_leaky_relu(tmp_path: Path, alpha: float, out: tuple[float, int]) -> None:
    one(tmp_path, "LEAKY_RELU", "LeakyReluOptions", {"Alpha": alpha}, shape=ALL_CODES, out=out)


def test_prelu(tmp_path: Path) -> None:
    slope = stored("slope", (1, 1, 8), [0.011])
    slope.zero_point = [-20]
    one(tmp_path, "PRELU", constants=[slope], out=(0.05, -30))


@pytest.mark.parametrize(
    ("source", "target", "x", "out"),
    [
        ("FLOAT32", "INT8", None, (0.031, -7)),
        ("FLOAT32", "UINT8", None, (0.031, 121)),
        ("INT8", "INT8", (0.031, -7), (0.05, 20)),
        ("INT8", "INT8", (0.031, -7), (0.0031, -128)),
        ("UINT8", "INT8", (0.031, 121), (0.031, -7)),
        ("INT8", "UINT8", (0.031, -7), (0.02, 130)),
    ],
)
def test_quantize(
    tmp_path: Path, source: str, target: str, x: tuple[float, int] | None, out: tuple[float, int]
) -> None:
    given = T("x", ALL_CODES) if x is None else quantised("x", ALL_CODES, x, source)
    check(tmp_path, [quantised("y", (), out, target)], [O("QUANTIZE", ["x"], ["y"], "QuantizeOptions")], [given])


def test_dequantize(tmp_path: Path) -> None:
    check(
        tmp_path,
        [T("y", ())],
        [O("DEQUANTIZE", ["x"], ["y"], "DequantizeOptions")],
        [quantised("x", ALL_CODES, X)],
    )
