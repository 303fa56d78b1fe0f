"""TFLite operators that compute without weights of their own: arithmetic, activations, pooling, number formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from hwsim.graph import Shape, ops
from hwsim.graph.ops import BinaryFunction, Coordinates, Padding2d, UnaryFunction, same_padding
from hwsim.graph.ops.pooling import ReduceFunction
from hwsim.importers.tflite_import import TfliteImport, Translation, UnsupportedError, real_values
from hwsim.importers.tflite_reader import FileOperator
from hwsim.importers.tflite_schema import SAME_PADDING


def window_padding(
    op: FileOperator, image: Shape, kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Padding2d:
    """Return the explicit padding of an operator's SAME or VALID."""
    if op.options["Padding"] != SAME_PADDING:
        return ((0, 0), (0, 0))
    strides = (op.options["StrideH"], op.options["StrideW"])
    if len(image) != 4 or min(*strides, *dilation) < 1:
        raise UnsupportedError(f"its input has shape {image}, strides are {strides} and dilations {dilation}")
    return (
        same_padding(image[1], kernel[0], strides[0], dilation[0]),
        same_padding(image[2], kernel[1], strides[1], dilation[1]),
    )


def unary(function: UnaryFunction, **attributes: float) -> Translation:
    """Return the translation of a function of each element."""

    def translate(net: TfliteImport, op: FileOperator) -> None:
        net.add(op, ops.Unary(function=function, **attributes), [net.name(op, 0)])

    return translate


def _leaky_relu(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Unary(function="leaky_relu", alpha=float(op.options["Alpha"])), [net.name(op, 0)])


def _gelu(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Unary(function="gelu_tanh" if op.options["Approximate"] else "gelu"), [net.name(op, 0)])


def _prelu(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.PRelu(), [net.name(op, 0), net.name(op, 1)])


def binary(function: BinaryFunction) -> Translation:
    """Return the translation of arithmetic of two tensors."""

    def translate(net: TfliteImport, op: FileOperator) -> None:
        activation = net.activation(op) if op.options else None
        net.add(op, ops.Binary(function=function, activation=activation), [net.name(op, 0), net.name(op, 1)])

    return translate


def pool(function: str) -> Translation:
    """Return the translation of pooling; the average is over the taps inside the image."""

    def translate(net: TfliteImport, op: FileOperator) -> None:
        x = net.name(op, 0)
        kernel = (op.options["FilterHeight"], op.options["FilterWidth"])
        layer = ops.Pool2d(
            function="max" if function == "max" else "average",
            kernel=kernel,
            strides=(op.options["StrideH"], op.options["StrideW"]),
            padding=window_padding(op, net.shape(x), kernel),
            activation=net.activation(op),
        )
        net.add(op, layer, [x])

    return translate


def reduce(function: ReduceFunction) -> Translation:
    """Return the translation of a reduction."""

    def translate(net: TfliteImport, op: FileOperator) -> None:
        axes = net.ints(op, 1, "axes")
        net.add(op, ops.Reduce(function=function, axes=axes, keepdims=bool(op.options["KeepDims"])), [net.name(op, 0)])

    return translate


def arg_extreme(function: Literal["max", "min"]) -> Translation:
    """Return the translation of the index of an extreme."""

    def translate(net: TfliteImport, op: FileOperator) -> None:
        (axis,) = net.ints(op, 1, "axis")
        net.add(
            op, ops.ArgExtreme(function=function, axis=axis, dtype=net.format_of(net.output(op))), [net.name(op, 0)]
        )

    return translate


def _add_n(net: TfliteImport, op: FileOperator) -> None:
    """Translate a sum of many: one addition after the other."""
    total, *others = (net.name(op, i) for i in range(len(op.inputs)))
    if not others:
        raise UnsupportedError("it adds one tensor")
    for i, name in enumerate(others[:-1]):
        (total,) = net.step(op, ops.Binary(function="add"), [total, name], f"add_{i}")
    net.add(op, ops.Binary(function="add"), [total, others[-1]])


def _l2_norm(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.L2Norm(), [net.name(op, 0)])


def _resize_bilinear(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Resize(mode="bilinear", size=_size(net, op), coordinates=_coordinates(op)), [net.name(op, 0)])


def _resize_nearest(net: TfliteImport, op: FileOperator) -> None:
    # LiteRT floors x·in/out, floors (x + ½)·in/out, and rounds x·(in − 1)/(out − 1) half up; in the coordinates of
    # ``Resize`` the second is (x + ½)·in/out − ½ with ½ going up.
    coordinates = _coordinates(op)
    layer = ops.Resize(
        mode="nearest",
        size=_size(net, op),
        coordinates=coordinates,
        rounding="floor" if coordinates == "asymmetric" else "prefer_ceil",
    )
    net.add(op, layer, [net.name(op, 0)])


def _size(net: TfliteImport, op: FileOperator) -> tuple[int, int]:
    size = net.ints(op, 1, "size")
    if len(size) != 2:
        raise UnsupportedError(f"its size {size} is not (height, width)")
    return size[0], size[1]


def _coordinates(op: FileOperator) -> Coordinates:
    if op.options["AlignCorners"]:
        return "align_corners"
    return "half_pixel" if op.options["HalfPixelCenters"] else "asymmetric"


def _softmax(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Softmax(beta=float(op.options["Beta"])), [net.name(op, 0)])


def _log_softmax(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Softmax(log=True), [net.name(op, 0)])


def _lrn(net: TfliteImport, op: FileOperator) -> None:
    size = 2 * op.options["Radius"] + 1  # TFLite's alpha is not divided by the size, that of ``Lrn`` is
    layer = ops.Lrn(
        size=size,
        alpha=float(op.options["Alpha"]) * size,
        beta=float(op.options["Beta"]),
        bias=float(op.options["Bias"]),
    )
    net.add(op, layer, [net.name(op, 0)])


def _quantize(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Quantize(dtype=net.format_of(net.output(op))), [net.name(op, 0)])


def _dequantize(net: TfliteImport, op: FileOperator) -> None:
    """Translate a dequantise; stored values (weights kept small in the file) are made real at once."""
    x = net.name(op, 0)
    values, quant = net.value(x), net.quant(x)
    if values is None:
        net.add(op, ops.Dequantize(), [x])
        return
    stored = net.dtype(x)
    net.dequantised[stored] = net.dequantised.get(stored, 0) + 1
    real = real_values(values, quant) if quant else values.astype(np.float32)
    net.know(net.names[op.outputs[0]], real, "float32")


def _cast(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Cast(dtype=net.format_of(net.output(op))), [net.name(op, 0)])


_UNARY: Mapping[str, UnaryFunction] = {
    "RELU": "relu",
    "RELU6": "relu6",
    "LOGISTIC": "sigmoid",
    "TANH": "tanh",
    "HARD_SWISH": "hard_swish",
    "EXP": "exp",
    "LOG": "log",
    "SQRT": "sqrt",
    "RSQRT": "rsqrt",
    "SQUARE": "square",
    "ABS": "abs",
    "NEG": "neg",
    "FLOOR": "floor",
    "CEIL": "ceil",
    "ROUND": "round",
    "SIN": "sin",
    "COS": "cos",
}
_BINARY: Mapping[str, BinaryFunction] = {
    "ADD": "add",
    "SUB": "sub",
    "MUL": "mul",
    "DIV": "div",
    "MAXIMUM": "maximum",
    "MINIMUM": "minimum",
    "POW": "pow",
    "SQUARED_DIFFERENCE": "squared_difference",
}
_REDUCE: Mapping[str, ReduceFunction] = {
    "MEAN": "mean",
    "SUM": "sum",
    "REDUCE_MAX": "max",
    "REDUCE_MIN": "min",
    "REDUCE_PROD": "prod",
}
TRANSLATIONS: Mapping[str, Translation] = {
    **{operator: unary(function) for operator, function in _UNARY.items()},
    **{operator: binary(function) for operator, function in _BINARY.items()},
    **{operator: reduce(function) for operator, function in _REDUCE.items()},
    "ARG_MAX": arg_extreme("max"),
    "ARG_MIN": arg_extreme("min"),
    "ADD_N": _add_n,
    "L2_NORMALIZATION": _l2_norm,
    "RELU_N1_TO_1": unary("clip", low=-1.0, high=1.0),
    "RELU_0_TO_1": unary("clip", low=0.0, high=1.0),
    "ELU": unary("elu", alpha=1.0),
    "LEAKY_RELU": _leaky_relu,
    "GELU": _gelu,
    "PRELU": _prelu,
    "MAX_POOL_2D": pool("max"),
    "AVERAGE_POOL_2D": pool("average"),
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SOFTMAX": _softmax,
    "LOG_SOFTMAX": _log_softmax,
    "LOCAL_RESPONSE_NORMALIZATION": _lrn,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "CAST": _cast,
}
