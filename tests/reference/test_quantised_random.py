"""Quantised operators with random shapes, attributes, scales and zero points, bit for bit against LiteRT.

int8 with weights per channel or per tensor, and uint8 as nets before 2019 have it. Seeds as in the test's name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.importers.tflite_maker import O, T, constant
from tests.reference.litert_case import check, quantised

Rng = np.random.Generator
Case = tuple[list[T], list[O], list[T]]  # constants and outputs, operators, inputs


def affine(rng: Rng, dtype: str) -> tuple[float, int]:
    """Return a scale between 2^-9 and 2^0.5 and any zero point."""
    least = np.iinfo(dtype.lower()).min
    return float(np.float32(2.0 ** rng.uniform(-9, 0.5))), int(rng.integers(least, least + 256))


def size(rng: Rng, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def pair(rng: Rng, low: int, high: int) -> tuple[int, int]:
    return size(rng, low, high), size(rng, low, high)


def weights(rng: Rng, shape: tuple[int, ...], dtype: str, axis: int = 0) -> T:
    channels = shape[axis] if dtype == "INT8" and rng.integers(0, 2) else 1
    scale = [float(np.float32(value)) for value in 2.0 ** rng.uniform(-10, -4, channels)]
    if dtype == "INT8":
        codes, zero_points = rng.integers(-127, 128, shape), [0] * channels
    else:
        codes, zero_points = rng.integers(0, 256, shape), [int(rng.integers(0, 256))]
    return constant("w", codes, dtype.lower(), scale=scale, zero_point=zero_points, axis=axis)


def bias(rng: Rng, x: tuple[float, int], filter_: T, channels: int) -> T:
    scale = [x[0] * value for value in filter_.scale]
    return constant("b", rng.integers(-20000, 20000, channels), scale=scale, zero_point=[0] * len(scale))


def fitting(rng: Rng, dtype: str, step: float, terms: float) -> tuple[float, int]:
    """Return a quantisation that sums of ``terms`` products of codes use well, or two octaves worse."""
    return float(np.float32(step * 70 * 70 * np.sqrt(terms) / 60 * 2.0 ** rng.uniform(-2, 2))), affine(rng, dtype)[1]


def conv(rng: Rng, dtype: str) -> Case:
    shape = (size(rng, 1, 2), *pair(rng, 3, 12), size(rng, 1, 20))
    kernel, filters, x = pair(rng, 1, 3), size(rng, 1, 20), affine(rng, dtype)
    w = weights(rng, (filters, *kernel, shape[3]), dtype)
    out = fitting(rng, dtype, x[0] * float(np.mean(w.scale)), shape[3] * kernel[0] * kernel[1])
    values = {
        "Padding": size(rng, 0, 1), "StrideH": size(rng, 1, 3), "StrideW": size(rng, 1, 3),
        "DilationHFactor": 1, "DilationWFactor": 1, "FusedActivationFunction": size(rng, 0, 3),
    }  # fmt: skip
    operator = O("CONV_2D", ["x", "w", "b"], ["y"], "Conv2DOptions", values)
    return (
        [w, bias(rng, x, w, filters), quantised("y", (), out, dtype)],
        [operator],
        [quantised("x", shape, x, dtype)],
    )


def depthwise(rng: Rng, dtype: str) -> Case:
    multiplier = size(rng, 1, 3)
    shape = (size(rng, 1, 2), *pair(rng, 3, 24), size(rng, 1, 40))
    kernel, channels, x = pair(rng, 1, 3), shape[3] * multiplier, affine(rng, dtype)
    w = weights(rng, (1, *kernel, channels), dtype, axis=3)
    out = fitting(rng, dtype, x[0] * float(np.mean(w.scale)), kernel[0] * kernel[1])
    stride = size(rng, 1, 3)
    dilation = 1 if stride > 1 else size(rng, 1, 2)
    values = {
        "Padding": 0, "StrideH": stride, "StrideW": stride, "DepthMultiplier": multiplier,
        "DilationHFactor": dilation, "DilationWFactor": dilation, "FusedActivationFunction": size(rng, 0, 3),
    }  # fmt: skip
    operator = O("DEPTHWISE_CONV_2D", ["x", "w", "b"], ["y"], "DepthwiseConv2DOptions", values)
    return (
        [w, bias(rng, x, w, channels), quantised("y", (), out, dtype)],
        [operator],
        [quantised("x", shape, x, dtype)],
    )


def fully_connected(rng: Rng, dtype: str) -> Case:
    batch, inner, outer = size(rng, 1, 9), size(rng, 1, 80), size(rng, 1, 40)
    x = affine(rng, dtype)
    w = weights(rng, (outer, inner), dtype)
    out = fitting(rng, dtype, x[0] * float(np.mean(w.scale)), inner)
    shape = [(batch, inner), (2, batch, inner), (batch, 1, 1, inner)][size(rng, 0, 2)]
    values = {"FusedActivationFunction": size(rng, 0, 3), "KeepNumDims": bool(rng.integers(0, 2))}
    inputs = ["x", "w", "b"][: size(rng, 2, 3)]
    operator = O("FULLY_CONNECTED", inputs, ["y"], "FullyConnectedOptions", values)
    return (
        [w, bias(rng, x, w, outer), quantised("y", (), out, dtype)],
        [operator],
        [quantised("x", shape, x, dtype)],
    )


def transpose_conv(rng: Rng, dtype: str) -> Case:
    (height, width), kernel, strides = pair(rng, 2, 6), pair(rng, 1, 4), pair(rng, 1, 3)
    batch, inner, filters = size(rng, 1, 2), size(rng, 1, 8), size(rng, 1, 8)
    x, padding = affine(rng, dtype), size(rng, 0, 1)
    w = weights(rng, (filters, *kernel, inner), dtype)
    image = [
        n * s if padding == 0 else (n - 1) * s + max(k, s)
        for n, s, k in zip((height, width), strides, kernel, strict=True)
    ]
    out = fitting(rng, dtype, x[0] * float(np.mean(w.scale)), inner * kernel[0] * kernel[1])
    values = {"Padding": padding, "StrideH": strides[0], "StrideW": strides[1]}
    inputs = ["size", "w", "x", "b"][: size(rng, 3, 4)]
    operator = O("TRANSPOSE_CONV", inputs, ["y"], "TransposeConvOptions", values)
    size_ = constant("size", [batch, *image, filters])
    tensors = [w, bias(rng, x, w, filters), size_, quantised("y", (), out, dtype)]
    return tensors, [operator], [quantised("x", (batch, height, width, inner), x, dtype)]


def batch_matmul(rng: Rng, dtype: str) -> Case:
    rows, inner, columns = size(rng, 1, 40), size(rng, 1, 40), size(rng, 1, 40)
    a, b = affine(rng, dtype), affine(rng, dtype)
    leading = [((), ()), ((3,), (3,)), ((2, 1), (2, 3)), ((1, 3), (2, 1))][size(rng, 0, 3)]
    adjoint = bool(rng.integers(0, 2)), bool(rng.integers(0, 2))
    left = (*leading[0], *((inner, rows) if adjoint[0] else (rows, inner)))
    right = (*leading[1], *((columns, inner) if adjoint[1] else (inner, columns)))
    values = {"AdjX": adjoint[0], "AdjY": adjoint[1]}
    operator = O("BATCH_MATMUL", ["a", "b"], ["y"], "BatchMatMulOptions", values)
    return (
        [quantised("y", (), fitting(rng, dtype, a[0] * b[0], inner), dtype)],
        [operator],
        [quantised("a", left, a, dtype), quantised("b", right, b, dtype)],
    )


def arithmetic(code: str, options: str) -> Callable[[Rng, str], Case]:
    def case(rng: Rng, dtype: str) -> Case:
        shapes = [
            ((2, 3, 4, 5), (2, 3, 4, 5)), ((2, 3, 4, 5), (5,)), ((2, 3, 4, 5), (1, 1, 1, 1)), ((1, 4, 1), (2, 3, 4, 5)),
            ((2, 3, 4, 5), ()), ((3, 1), (1, 4)),
        ][size(rng, 0, 5)]  # fmt: skip
        values = {} if code == "SQUARED_DIFFERENCE" else {"FusedActivationFunction": size(rng, 0, 3)}
        inputs = [quantised(name, shape, affine(rng, dtype), dtype) for name, shape in zip("ab", shapes, strict=True)]
        return [quantised("y", (), affine(rng, dtype), dtype)], [O(code, ["a", "b"], ["y"], options, values)], inputs

    return case


def pool(code: str) -> Callable[[Rng, str], Case]:
    def case(rng: Rng, dtype: str) -> Case:
        shape, x = (2, *pair(rng, 3, 14), size(rng, 1, 20)), affine(rng, dtype)
        values = {
            "Padding": size(rng, 0, 1), "StrideH": size(rng, 1, 3), "StrideW": size(rng, 1, 3),
            "FilterHeight": size(rng, 1, min(shape[1], 4)), "FilterWidth": size(rng, 1, min(shape[2], 4)),
            "FusedActivationFunction": size(rng, 0, 3),
        }  # fmt: skip
        operator = O(code, ["x"], ["y"], "Pool2DOptions", values)
        return [quantised("y", (), x, dtype)], [operator], [quantised("x", shape, x, dtype)]

    return case


def mean(rng: Rng, dtype: str) -> Case:
    shape, x = (2, *pair(rng, 1, 40), 9), affine(rng, dtype)
    axes = [(1, 2), (3,), (0,), (-1, 1), (0, 1, 2, 3)][size(rng, 0, 4)]
    out = float(np.float32(x[0] * 2.0 ** rng.uniform(-3, 1))), affine(rng, dtype)[1]
    operator = O("MEAN", ["x", "axes"], ["y"], "ReducerOptions", {"KeepDims": bool(rng.integers(0, 2))})
    tensors = [constant("axes", axes), quantised("y", (), out, dtype)]
    return tensors, [operator], [quantised("x", shape, x, dtype)]


def resize(code: str, options: str) -> Callable[[Rng, str], Case]:
    def case(rng: Rng, dtype: str) -> Case:
        x, mode = affine(rng, dtype), [{}, {"AlignCorners": True}, {"HalfPixelCenters": True}][size(rng, 0, 2)]
        tensors = [constant("size", pair(rng, 1, 20)), quantised("y", (), x, dtype)]
        image = quantised("x", (2, *pair(rng, 1, 12), 5), x, dtype)
        return tensors, [O(code, ["x", "size"], ["y"], options, mode)], [image]

    return case


def softmax(rng: Rng, dtype: str) -> Case:
    depth = size(rng, 2, 60)
    shape = [(3, depth), (2, 3, depth), (1, 2, 2, depth), (depth,)][size(rng, 0, 3)]
    x = float(np.float32(2.0 ** rng.uniform(-8, 1))), affine(rng, dtype)[1]
    operator = O("SOFTMAX", ["x"], ["y"], "SoftmaxOptions", {"Beta": float(rng.choice([1.0, 0.5, 2.0]))})
    return (
        [quantised("y", (), (1 / 256, -128 if dtype == "INT8" else 0), dtype)],
        [operator],
        [quantised("x", shape, x, dtype)],
    )


def l2_norm(rng: Rng, dtype: str) -> Case:
    operator = O("L2_NORMALIZATION", ["x"], ["y"], "L2NormOptions")
    shape = [(3, size(rng, 1, 200)), (2, 5, 5, size(rng, 1, 40)), (1, 1)][size(rng, 0, 2)]
    return (
        [quantised("y", (), (1 / 128, 0 if dtype == "INT8" else 128), dtype)],
        [operator],
        [quantised("x", shape, affine(rng, dtype), dtype)],
    )


def requantise(rng: Rng, dtype: str) -> Case:
    source = ["INT8", "UINT8"][size(rng, 0, 1)]
    return (
        [quantised("y", (), affine(rng, dtype), dtype)],
        [O("QUANTIZE", ["x"], ["y"], "QuantizeOptions")],
        [quantised("x", (40, 50), affine(rng, source), source)],
    )


def concat(rng: Rng, dtype: str) -> Case:
    axis, x = size(rng, 0, 3), affine(rng, dtype)
    inputs = [
        # LiteRT rescales uint8 inputs only
        quantised(name, shape, x if dtype == "INT8" else affine(rng, dtype), dtype)
        for name in "abc"
        for shape in [tuple(size(rng, 1, 4) if i == axis else n for i, n in enumerate((2, 3, 4, 5)))]
    ]
    operator = O("CONCATENATION", ["a", "b", "c"], ["y"], "ConcatenationOptions", {"Axis": axis})
    return [quantised("y", (), x, dtype)], [operator], inputs


CASES: dict[str, Callable[[Rng, str], Case]] = {
    "conv": conv,
    "depthwise": depthwise,
    "fully_connected": fully_connected,
    "transpose_conv": transpose_conv,
    "batch_matmul": batch_matmul,
    "add": arithmetic("ADD", "AddOptions"),
    "sub": arithmetic("SUB", "SubOptions"),
    "mul": arithmetic("MUL", "MulOptions"),
    "squared_difference": arithmetic("SQUARED_DIFFERENCE", "SquaredDifferenceOptions"),
    "average_pool": pool("AVERAGE_POOL_2D"),
    "max_pool": pool("MAX_POOL_2D"),
    "mean": mean,
    "bilinear": resize("RESIZE_BILINEAR", "ResizeBilinearOptions"),
    "nearest": resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    "softmax": softmax,
    "l2_norm": l2_norm,
    "requantise": requantise,
    "concat": concat,
}
INT8_ONLY = ("batch_matmul", "squared_difference")  # LiteRT has no uint8 kernel for them
WITH_BOTH = [(name, dtype) for name in CASES for dtype in ("INT8", "UINT8") if dtype == "INT8" or name not in INT8_ONLY]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("name", "dtype"), WITH_BOTH)
def test_random_case(tmp_path: Path, name: str, dtype: str, seed: int) -> None:
    check(tmp_path, *CASES[name](np.random.default_rng(seed), dtype))
