"""int8 operators that move, choose or look up codes, bit for bit against LiteRT's reference kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.importers.tflite_file import load_tflite
from tests.importers.tflite_maker import O, T, constant, tflite_bytes
from tests.reference.litert_case import X, check, one, quantised

ALL_CODES = (1, 4096)  # random, so that each of the 256 codes almost surely occurs (256 · (255/256)^20480 < 1e-30)
POSITIVE = (0.013, -128)  # no code stands for a negative number


def move(
    code: str,
    options: str = "",
    values: Mapping[str, Any] | None = None,
    *,
    constants: Mapping[str, Any] | None = None,
    order: Sequence[str] | None = None,
    outputs: int = 1,
) -> tuple[list[T], O]:
    """Return the constants and outputs of an operator on ``x``, and the operator."""
    stored = [constant(name, value) for name, value in (constants or {}).items()]
    names = [f"y{i}" for i in range(outputs)]
    inputs = order or ["x", *(tensor.name for tensor in stored)]
    tensors = [*stored, *(quantised(name, (), X) for name in names)]
    return tensors, O(code, inputs, names, options, values or {})


@pytest.mark.parametrize(
    ("shape", "case"),
    [
        ((2, 3, 4), move("RESHAPE", "ReshapeOptions", constants={"shape": [-1, 4]})),
        ((2, 1, 4), move("SQUEEZE", "SqueezeOptions", {"SqueezeDims": [1]})),
        ((2, 4), move("EXPAND_DIMS", "ExpandDimsOptions", constants={"axis": 1})),
        (
            (2, 3, 9),
            move("SPLIT_V", "SplitVOptions", {"NumSplits": 3}, constants={"s": [2, -1, 3], "a": -1}, outputs=3),
        ),
        ((3, 4), move("PACK", "PackOptions", {"Axis": -2, "ValuesCount": 2}, order=["x", "x"])),
        ((2, 3, 4), move("UNPACK", "UnpackOptions", {"Axis": 1, "Num": 3}, outputs=3)),
        ((2, 3, 4, 8), move("DEPTH_TO_SPACE", "DepthToSpaceOptions", {"BlockSize": 2})),
        ((2, 4, 6, 3), move("SPACE_TO_DEPTH", "SpaceToDepthOptions", {"BlockSize": 2})),
        ((2, 3, 4, 5), move("TILE", "TileOptions", constants={"m": [1, 2, 1, 3]})),
        ((2, 3, 4), move("TILE", "TileOptions", constants={"m": [1, 1, 1]})),
        ((2, 3, 4), move("REVERSE_V2", "ReverseV2Options", constants={"axes": [1]})),
        (
            (2, 3, 4, 5),
            move("SPACE_TO_BATCH_ND", "SpaceToBatchNDOptions", constants={"b": [2, 3], "p": [[0, 1], [2, 0]]}),
        ),
        ((2, 5, 4), move("SPACE_TO_BATCH_ND", "SpaceToBatchNDOptions", constants={"b": [2], "p": [[1, 2]]})),
        (
            (12, 3, 4, 5),
            move("BATCH_TO_SPACE_ND", "BatchToSpaceNDOptions", constants={"b": [2, 3], "c": [[0, 1], [2, 0]]}),
        ),
        ((4, 3, 4), move("BATCH_TO_SPACE_ND", "BatchToSpaceNDOptions", constants={"b": [2], "c": [[0, 0]]})),
    ],
    ids=lambda value: value[1].code if isinstance(value[0], list) else "",
)
def test_move(tmp_path: Path, shape: tuple[int, ...], case: tuple[list[T], O]) -> None:
    tensors, operator = case
    check(tmp_path, tensors, [operator], [quantised("x", shape, X)])


@pytest.mark.parametrize("begin_mask", [0, 3, 5])
@pytest.mark.parametrize("end_mask", [0, 2, 7])
def test_strided_slice(tmp_path: Path, begin_mask: int, end_mask: int) -> None:
    bounds = [constant("b", [0, -1, 1]), constant("e", [2, 0, -1]), constant("s", [1, -2, 2])]
    values = {"BeginMask": begin_mask, "EndMask": end_mask}
    one(tmp_path, "STRIDED_SLICE", "StridedSliceOptions", values, constants=bounds, shape=(3, 7, 9), out=X)


def test_strided_slice_that_drops_an_axis(tmp_path: Path) -> None:
    bounds = [constant("b", [0, -1, 1]), constant("e", [2, 0, -1]), constant("s", [1, 1, 2])]
    values = {"ShrinkAxisMask": 2}
    one(tmp_path, "STRIDED_SLICE", "StridedSliceOptions", values, constants=bounds, shape=(3, 7, 9), out=X)


def test_a_dilated_convolution_of_old_converters(tmp_path: Path) -> None:
    """SPACE_TO_BATCH_ND → 3x3 convolution → BATCH_TO_SPACE_ND is one with dilation 2; its MACs count once."""
    w = constant("w", np.random.default_rng(1).integers(-127, 128, (4, 3, 3, 5)), "int8", scale=[0.004], zero_point=[0])
    b = constant("b", [100, -200, 300, 0], scale=[0.004 * X[0]], zero_point=[0])
    tensors = [
        w, b, constant("block", [2, 2]), constant("pads", [[2, 2], [2, 3]]), constant("crops", [[0, 0], [0, 1]]),
        quantised("p", (), X), quantised("c", (), (0.05, 4)), quantised("y", (), (0.05, 4)),
    ]  # fmt: skip
    values = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    operators = [
        O("SPACE_TO_BATCH_ND", ["x", "block", "pads"], ["p"], "SpaceToBatchNDOptions"),
        O("CONV_2D", ["p", "w", "b"], ["c"], "Conv2DOptions", values),
        O("BATCH_TO_SPACE_ND", ["c", "block", "crops"], ["y"], "BatchToSpaceNDOptions"),
    ]
    image = quantised("x", (1, 8, 7, 5), X)
    check(tmp_path, tensors, operators, [image])
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_bytes([image, *tensors], operators, ["x"], ["y"]))
    # 12x12 padded: four images of 6x6, so 4x4 ofmap pixels each; 4 filters of 3·3·5 taps
    assert load_tflite(path).macs == 4 * 16 * 4 * 45


@pytest.mark.parametrize("out", [(0.031, -7), (0.013, 40), (0.21, -128)])
@pytest.mark.parametrize("code", ["ABS", "LOG", "RELU_0_TO_1"])
def test_function(tmp_path: Path, code: str, out: tuple[float, int]) -> None:
    one(tmp_path, code, "AbsOptions" if code == "ABS" else "", {}, shape=ALL_CODES, out=out)


@pytest.mark.parametrize("out", [(0.031, -7), (0.0107, -128), (0.21, 30)])
@pytest.mark.parametrize("code", ["SQRT", "RSQRT"])
def test_roots_of_positive_numbers(tmp_path: Path, code: str, out: tuple[float, int]) -> None:
    one(tmp_path, code, shape=ALL_CODES, x=POSITIVE, out=out)


def test_negation_turns_codes(tmp_path: Path) -> None:
    one(tmp_path, "NEG", "NegOptions", shape=ALL_CODES, x=(0.05, 0), out=(0.05, 0))


def test_log_softmax(tmp_path: Path) -> None:
    one(tmp_path, "LOG_SOFTMAX", "LogSoftmaxOptions", shape=(7, 33), out=(16 / 256, 127))


@pytest.mark.parametrize("axes", [(1, 2), (3,), (-1, 1), (0,)])
@pytest.mark.parametrize("keep", [True, False])
def test_product_along_axes(tmp_path: Path, axes: tuple[int, ...], keep: bool) -> None:
    constants = [constant("axes", axes)]
    values = {"KeepDims": keep}
    one(tmp_path, "REDUCE_PROD", "ReducerOptions", values, constants=constants, x=(0.021, -3), out=(0.05, 4))


@pytest.mark.parametrize(("code", "dtype"), [("ARG_MAX", "INT32"), ("ARG_MIN", "INT64")])
@pytest.mark.parametrize("axis", [0, 2, -1])
def test_index_of_an_extreme(tmp_path: Path, code: str, dtype: str, axis: int) -> None:
    options = "ArgMaxOptions" if code == "ARG_MAX" else "ArgMinOptions"
    values = {"OutputType": 2 if dtype == "INT32" else 4}
    operator = O(code, ["x", "axis"], ["y"], options, values)
    check(tmp_path, [constant("axis", axis), T("y", (), dtype)], [operator], [quantised("x", (3, 4, 300), X)])


def four_bits(codes: np.ndarray) -> np.ndarray:
    """Return 4-bit codes as TFLite stores them: two to a byte, the first in the low half."""
    flat = np.append(codes.ravel(), np.zeros(codes.size % 2, codes.dtype)) & 15
    return (flat[::2] | flat[1::2] << 4).astype(np.uint8)


@pytest.mark.parametrize(
    ("code", "shape", "axis"),
    [("CONV_2D", (5, 3, 3, 7), 0), ("DEPTHWISE_CONV_2D", (1, 3, 3, 7), 3), ("FULLY_CONNECTED", (5, 7), 0)],
)
def test_weights_of_four_bits(tmp_path: Path, code: str, shape: tuple[int, ...], axis: int) -> None:
    channels = shape[axis]
    codes = np.random.default_rng(0).integers(-8, 8, shape)
    scale = [float(np.float32(0.01 + 0.003 * i)) for i in range(channels)]
    w = T("w", shape, "INT4", four_bits(codes), scale=scale, zero_point=[0] * channels, axis=axis)
    b = constant("b", np.arange(channels) * 90, scale=[X[0] * s for s in scale], zero_point=[0] * channels)
    window = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    options, values = {
        "CONV_2D": ("Conv2DOptions", window),
        "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", window | {"DepthMultiplier": 1}),
        "FULLY_CONNECTED": ("FullyConnectedOptions", {}),
    }[code]
    image = (3, 7) if code == "FULLY_CONNECTED" else (1, 6, 5, 7)
    one(tmp_path, code, options, values, constants=[w, b], shape=image, out=(0.12, 4))


def test_cast_takes_codes_as_they_are(tmp_path: Path) -> None:
    check(tmp_path, [T("y", ())], [O("CAST", ["x"], ["y"], "CastOptions")], [quantised("x", (3, 40), X)])
