"""TFLite operators with weights: convolutions, fully connected and batched products."""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.graph import Shape, ops
from hwsim.importers.tflite_import import TfliteImport, Translation, UnsupportedError, transposed
from hwsim.importers.tflite_operators import window_padding
from hwsim.importers.tflite_reader import FileOperator
from hwsim.importers.tflite_schema import SAME_PADDING

DEPTHWISE_PERM = (3, 1, 2, 0)  # (1, R, S, K) → (K, R, S, 1)


def _conv2d(net: TfliteImport, op: FileOperator) -> None:
    x, filter_ = net.name(op, 0), net.name(op, 1)
    image, taps = _image(net.shape(x), "input"), _image(net.shape(filter_), "filter")
    if image[3] % taps[3]:
        raise UnsupportedError(f"its filter has {taps[3]} channels, its input {image[3]}")
    _add_conv(net, op, x, filter_, image, taps, groups=image[3] // taps[3])


def _depthwise(net: TfliteImport, op: FileOperator) -> None:
    x, stored = net.name(op, 0), net.name(op, 1)
    values = net.value(stored)
    if values is None:
        raise UnsupportedError("its filter is computed by the net")
    image, taps = _image(net.shape(x), "input"), _image(values.shape, "filter")
    if taps[0] != 1:
        raise UnsupportedError(f"its filter has shape {taps}, needs (1, R, S, K)")
    quant = transposed(net.quant(stored), DEPTHWISE_PERM)
    filter_ = net.relaid(stored, values.transpose(DEPTHWISE_PERM), quant)
    _add_conv(net, op, x, filter_, image, (taps[3], taps[1], taps[2], 1), groups=image[3])


def _add_conv(
    net: TfliteImport, op: FileOperator, x: str, filter_: str, image: Shape, taps: Shape, *, groups: int
) -> None:
    dilations = (op.options["DilationHFactor"], op.options["DilationWFactor"])
    layer = ops.Conv2d(
        strides=(op.options["StrideH"], op.options["StrideW"]),
        padding=window_padding(op, image, (taps[1], taps[2]), dilations),
        dilations=dilations,
        groups=groups,
        activation=net.activation(op),
    )
    _note_hybrid(net, op, x, filter_)
    net.add(op, layer, [x, filter_, *_bias(net, op, 2)])


def _transpose_conv(net: TfliteImport, op: FileOperator) -> None:
    """Translate a transposed convolution, whose ofmap size is an input: (size, filter, ifmap, bias)."""
    size = net.ints(op, 0, "output shape")
    filter_, x = net.name(op, 1), net.name(op, 2)
    image, taps = _image(net.shape(x), "input"), _image(net.shape(filter_), "filter")
    strides = (op.options["StrideH"], op.options["StrideW"])
    if len(size) != 4:
        raise UnsupportedError(f"its output shape {size} has not 4 axes")
    crops, extra = [], []
    for axis in (1, 2):
        spare = (image[axis] - 1) * strides[axis - 1] + taps[axis] - size[axis]
        before = max(spare, 0) // 2 if op.options["Padding"] == SAME_PADDING else 0
        crops.append((before, max(spare, 0) - before))
        extra.append(max(-spare, 0))
    layer = ops.ConvTranspose2d(
        strides=strides,
        padding=(crops[0], crops[1]),
        output_padding=(extra[0], extra[1]),
        activation=net.activation(op),
    )
    _note_hybrid(net, op, x, filter_)
    net.add(op, layer, [x, filter_, *_bias(net, op, 3)])


def _fully_connected(net: TfliteImport, op: FileOperator) -> None:
    """Translate a fully connected layer; an input of other than (batch, C) is reshaped to it first, as LiteRT does."""
    if op.options["WeightsFormat"]:
        raise UnsupportedError("its weights are shuffled")
    x, filter_ = net.name(op, 0), net.name(op, 1)
    shape, weights = net.shape(x), net.shape(filter_)
    if len(weights) != 2:
        raise UnsupportedError(f"its weights have shape {weights}, need (K, C)")
    _note_hybrid(net, op, x, filter_)
    if shape[-1:] != weights[1:] or (len(shape) != 2 and not op.options["KeepNumDims"]):
        x = net.step(op, ops.Reshape(shape=(-1, weights[1])), [x], "reshape")[0]
    net.add(op, ops.Dense(activation=net.activation(op)), [x, filter_, *_bias(net, op, 2)])


def _batch_matmul(net: TfliteImport, op: FileOperator) -> None:
    layer = ops.MatMul(transpose_a=bool(op.options["AdjX"]), transpose_b=bool(op.options["AdjY"]))
    net.add(op, layer, [net.name(op, 0), net.name(op, 1)])


def _image(shape: Shape, what: str) -> Shape:
    if len(shape) != 4 or min(shape) < 1:
        raise UnsupportedError(f"its {what} has shape {shape}, needs 4 axes")
    return shape


def _bias(net: TfliteImport, op: FileOperator, position: int) -> list[str]:
    return [net.name(op, position)] if net.has(op, position) else []


def _note_hybrid(net: TfliteImport, op: FileOperator, x: str, filter_: str) -> None:
    """Remember a layer of real activations and integer weights, which LiteRT quantises as it runs."""
    if net.dtype(x).startswith("float") and not net.dtype(filter_).startswith("float"):
        net.hybrid[net.layer_name(op)] = (
            f"{net.dtype(x).rstrip('0123456789')} activations, {net.dtype(filter_)} weights"
        )


TRANSLATIONS: Mapping[str, Translation] = {
    "CONV_2D": _conv2d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
}
