"""Which int8 kernel runs which layer type: binders from a layer's attributes and quantisation to prepared kernels.

Layers that only move codes are not here: they are the same for every dtype (``float_dispatch.LAYOUT_BINDERS``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ForwardError
from hwsim.graph import Layer, Tensor, ops
from hwsim.graph.ops import Op
from hwsim.reference import float_kernels, int8_kernels, int8_pooling, int8_tables, layout_kernels
from hwsim.reference.float_dispatch import FLOAT_BINDERS
from hwsim.reference.int8_fixed_point import l2_norm, prepare_softmax
from hwsim.reference.int8_kernels import Kernel
from hwsim.reference.int8_tables import Affine, look_up, look_up_pair, saturated
from hwsim.reference.requantize import round_half_away
from hwsim.reference.step import Array, Binder, Step, numpy_dtype

Weighted = Callable[[Array, NDArray[np.int64], NDArray[np.float64]], Kernel]

SOFTMAX_OUT = Affine(1 / 256, -128)  # what TFLite's softmax demands of its ofmap
SOFTMAX_SCALE_TOLERANCE = 1e-3
L2_NORM_OUT = Affine(1 / 128, 0)
LITERT_COORDINATES = ("asymmetric", "half_pixel", "align_corners")

_binary_table = lru_cache(maxsize=256)(int8_tables.binary_table)  # layers of a net repeat, and so do their tables
_unary_table = lru_cache(maxsize=256)(int8_tables.unary_table)


def _bind_conv2d(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Conv2d)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])

    def prepare(filters: Array, bias: NDArray[np.int64], scale: NDArray[np.float64]) -> Kernel:
        return int8_kernels.prepare_conv2d(op, filters, bias, scale, x, out)

    return bind_weighted(layer, inputs, prepare)


def _bind_conv_transpose2d(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.ConvTranspose2d)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])

    def prepare(filters: Array, bias: NDArray[np.int64], scale: NDArray[np.float64]) -> Kernel:
        return int8_kernels.prepare_conv_transpose2d(op, filters, bias, scale, x, out)

    return bind_weighted(layer, inputs, prepare)


def _bind_dense(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Dense)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])

    def prepare(weights: Array, bias: NDArray[np.int64], scale: NDArray[np.float64]) -> Kernel:
        return int8_kernels.prepare_dense(weights, bias, scale, x, out, op.activation)

    return bind_weighted(layer, inputs, prepare)


def bind_weighted(layer: Layer, inputs: Sequence[Tensor], prepare: Weighted) -> Step:
    """Return the step of a layer with a filter and perhaps a bias; prepared now where both are stored."""
    filter_ = inputs[1]
    quant = filter_.quant
    if quant is None:
        raise ForwardError(
            f"layer {layer.name!r}: filter {filter_.name!r} has no quantisation, but the activations have"
        )
    if quant.axis not in (None, 0):
        raise ForwardError(
            f"layer {layer.name!r}: filter {filter_.name!r} is quantised along axis {quant.axis}, needs axis 0"
        )
    scale, zero_point = np.array(quant.scale, np.float64), np.array(quant.zero_point, np.int64)

    def kernel(filters: Array, bias: Array | None) -> Kernel:
        if np.any(zero_point):
            filters = filters.astype(np.int16) - zero_point.reshape(-1, *(1,) * (filters.ndim - 1)).astype(np.int16)
        return prepare(filters, np.zeros(len(filters), np.int64) if bias is None else bias.astype(np.int64), scale)

    bias = inputs[2] if len(inputs) > 2 else None
    if filter_.data is not None and (bias is None or bias.data is not None):
        run = kernel(filter_.data, None if bias is None else bias.data)
        return lambda arrays: (run(arrays[0]),)
    return lambda arrays: (kernel(arrays[1], arrays[2] if len(arrays) > 2 else None)(arrays[0]),)


def _bind_matmul(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.MatMul)
    quants = [affine(layer, tensor) for tensor in (*inputs, outputs[0])]
    run = int8_kernels.prepare_matmul(*quants, transpose_a=op.transpose_a, transpose_b=op.transpose_b)
    return lambda arrays: (run(arrays[0], arrays[1]),)


def _bind_binary(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    assert isinstance(layer.op, ops.Binary)
    table = _binary_table(layer.op, *(affine(layer, tensor) for tensor in (*inputs, outputs[0])))
    return lambda arrays: (look_up_pair(table, arrays[0], arrays[1]),)


def _bind_prelu(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    table = int8_tables.prelu_table(*(affine(layer, tensor) for tensor in (*inputs, outputs[0])))
    return lambda arrays: (look_up_pair(table, arrays[0], arrays[1]),)


def _bind_concat(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Concat)
    out = affine(layer, outputs[0])
    quants = [affine(layer, tensor) for tensor in inputs]
    tables = [
        None if x == out and op.activation is None else int8_tables.concat_table(x, out, op.activation) for x in quants
    ]

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        parts = [x if table is None else look_up(table, x) for x, table in zip(arrays, tables, strict=True)]
        return (layout_kernels.concat(parts, op.axis),)

    return step


def _bind_softmax(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    """Bind softmax over any axis; a logarithm or an unusual ofmap is taken in float and quantised."""
    op = layer.op
    assert isinstance(op, ops.Softmax)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])
    usual = abs(out.scale / SOFTMAX_OUT.scale - 1) <= SOFTMAX_SCALE_TOLERANCE and out.zero_point == -128
    if usual and not op.log:
        softmax = prepare_softmax(x.scale, op.beta)
        if op.axis % len(inputs[0].shape) == len(inputs[0].shape) - 1:
            return lambda arrays: (softmax(arrays[0]),)
        return lambda arrays: (np.moveaxis(softmax(np.moveaxis(arrays[0], op.axis, -1)), -1, op.axis),)
    return _in_float(x, out, lambda real: float_kernels.softmax(real, op.axis, op.beta, log=op.log))


def _bind_pad(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Pad)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])
    code = min(127, max(-128, int8_tables.nearest_code(op.value, out)))
    table = None if x == out else int8_tables.requantize_table(x, out)

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        codes = arrays[0] if table is None else look_up(table, arrays[0])
        return (layout_kernels.pad(codes, op.pads, op.mode, code),)

    return step


def _bind_resize(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, unsigned: bool = False) -> Step:
    op = layer.op
    assert isinstance(op, ops.Resize)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])
    if op.scale is not None or op.coordinates not in LITERT_COORDINATES:
        run_float = FLOAT_BINDERS[ops.Resize](layer, inputs, outputs)
        return _in_float(x, out, lambda real: run_float([real])[0])
    if op.mode == "bilinear":
        prepare = int8_pooling.prepare_resize_bilinear_unsigned if unsigned else int8_pooling.prepare_resize_bilinear
        run = prepare(op, x, out)
        return lambda arrays: (run(arrays[0]),)
    table = None if x == out else int8_tables.requantize_table(x, out)
    # The three cases that TFLite files have; ONNX knows more.
    as_litert = (op.coordinates, op.rounding) in (
        ("asymmetric", "floor"),
        ("half_pixel", "prefer_ceil"),
        ("align_corners", "prefer_ceil"),
    )

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        image = arrays[0]
        if as_litert:
            rows, columns = (
                int8_pooling.nearest_rows(size_in, size_out, op.coordinates)
                for size_in, size_out in zip(image.shape[1:3], op.size, strict=True)
            )
            codes = image[:, rows[:, None], columns]
        else:
            codes = layout_kernels.resize_nearest(image, op.size, op.coordinates, op.rounding)
        return (codes if table is None else look_up(table, codes),)

    return step


def _bind_quantize(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    """Bind real → int8 or uint8, ties away from zero as LiteRT does, or codes → codes."""
    dtype = numpy_dtype(outputs[0].dtype)
    if outputs[0].dtype not in ("int8", "uint8"):
        raise _unsupported(layer, outputs[0])
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    if inputs[0].quant is None:
        assert outputs[0].quant is not None
        shape = [1] * len(outputs[0].shape)
        if outputs[0].quant.axis is not None:
            shape[outputs[0].quant.axis] = -1
        scale = np.array(outputs[0].quant.scale, np.float32).reshape(shape)
        zero_point = np.array(outputs[0].quant.zero_point, np.float64).reshape(shape)

        def quantize(arrays: Sequence[Array]) -> Sequence[Array]:
            codes = round_half_away((arrays[0] / scale).astype(np.float64)) + zero_point
            return (np.nan_to_num(codes, copy=False).clip(least, most).astype(dtype),)

        return quantize
    # uint8 codes are int8 codes 128 lower, on both sides.
    x, out = affine(layer, inputs[0], unsigned=True), affine(layer, outputs[0], unsigned=True)
    table = int8_tables.requantize_table(x, out)
    flip_in, flip_out = (np.uint8(0 if tensor.dtype == "int8" else 128) for tensor in (inputs[0], outputs[0]))

    def requantize(arrays: Sequence[Array]) -> Sequence[Array]:
        codes = look_up(table, (arrays[0].view(np.uint8) ^ flip_in).view(np.int8))
        return ((codes.view(np.uint8) ^ flip_out).view(dtype),)

    return requantize


def _bind_dequantize(layer: Layer, inputs: Sequence[Tensor], _: Sequence[Tensor]) -> Step:
    """Bind codes → real, scale × (code − zero point) in float32."""
    quant = inputs[0].quant
    if quant is None:
        raise _unsupported(layer, inputs[0])
    shape = [1] * len(inputs[0].shape)
    if quant.axis is not None:
        shape[quant.axis] = -1
    scale = np.array(quant.scale, np.float32).reshape(shape)
    zero_point = np.array(quant.zero_point, np.int32).reshape(shape)
    return lambda arrays: ((arrays[0].astype(np.int32) - zero_point).astype(np.float32) * scale,)


def _bind_cast(layer: Layer, _: Sequence[Tensor], __: Sequence[Tensor]) -> Step:
    """Bind a cast of codes as they are, whatever they stand for."""
    op = layer.op
    assert isinstance(op, ops.Cast)
    dtype = numpy_dtype(op.dtype)
    return lambda arrays: (arrays[0].astype(dtype),)


def _bind_l2_norm(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, unsigned: bool = False) -> Step:
    """Bind length one along the last axis, on the one scale that LiteRT knows; others are taken in float."""
    op = layer.op
    assert isinstance(op, ops.L2Norm)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])
    if out == L2_NORM_OUT and op.axis % len(inputs[0].shape) == len(inputs[0].shape) - 1:
        return lambda arrays: (l2_norm(arrays[0], x.zero_point, unsigned=unsigned),)
    return _in_float(x, out, lambda real: float_kernels.l2_norm(real, op.axis, op.epsilon))


def _in_float(x: Affine, out: Affine, function: Callable[[Array], Array]) -> Step:
    """Return the step of a layer without an integer kernel: codes made real, and the result made codes."""

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        real = (arrays[0].astype(np.float32) - np.float32(x.zero_point)) * x.scale32
        return (saturated(round_half_away(function(real).astype(np.float64) / out.scale) + out.zero_point),)

    return step


def _one(prepare: Callable[[Any, Affine, Affine], Kernel]) -> Binder:
    """Return the binder of a layer of one input and one output, made by ``prepare(op, x, out)``."""

    def bind(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
        run = prepare(layer.op, affine(layer, inputs[0]), affine(layer, outputs[0]))
        return lambda arrays: (run(arrays[0]),)

    return bind


def _unary(op: ops.Unary, x: Affine, out: Affine) -> Kernel:
    table = _unary_table(op, x, out)
    return lambda codes: look_up(table, codes)


def _reduce(op: ops.Reduce, x: Affine, out: Affine) -> Kernel:
    return int8_pooling.prepare_reduce(op.function, op.axes, x, out, keepdims=op.keepdims)


def _global_pool(op: ops.GlobalPool, x: Affine, out: Affine) -> Kernel:
    return int8_pooling.prepare_reduce("max" if op.function == "max" else "mean", (1, 2), x, out, keepdims=True)


def affine(layer: Layer, tensor: Tensor, *, unsigned: bool = False) -> Affine:
    """Return a tensor's one scale and zero point, that of a uint8 tensor (where allowed) moved to int8.

    Raises:
        ForwardError: It is not int8, or is quantised per channel.
    """
    quant = tensor.quant
    if quant is None or len(quant.scale) != 1 or tensor.dtype not in (("int8", "uint8") if unsigned else ("int8",)):
        raise _unsupported(layer, tensor)
    return Affine(quant.scale[0], quant.zero_point[0] - (128 if tensor.dtype == "uint8" else 0))


def _unsupported(layer: Layer, tensor: Tensor) -> ForwardError:
    if tensor.quant is None:
        has = f"is {tensor.dtype} without quantisation"
    else:
        has = f"is {tensor.dtype} with {len(tensor.quant.scale)} scales"
    return ForwardError(
        f"layer {layer.name!r} ({type(layer.op).__name__}): tensor {tensor.name!r} {has}: "
        "hwsim runs quantised layers on int8 or uint8 activations with one scale (costs need no run)"
    )


INT8_BINDERS: dict[type[Op], Binder] = {
    ops.Conv2d: _bind_conv2d,
    ops.ConvTranspose2d: _bind_conv_transpose2d,
    ops.Dense: _bind_dense,
    ops.MatMul: _bind_matmul,
    ops.Binary: _bind_binary,
    ops.Unary: _one(_unary),
    ops.PRelu: _bind_prelu,
    ops.Pool2d: _one(int8_pooling.prepare_pool2d),
    ops.GlobalPool: _one(_global_pool),
    ops.Reduce: _one(_reduce),
    ops.Softmax: _bind_softmax,
    ops.L2Norm: _bind_l2_norm,
    ops.Concat: _bind_concat,
    ops.Pad: _bind_pad,
    ops.Resize: _bind_resize,
    ops.Quantize: _bind_quantize,
    ops.Dequantize: _bind_dequantize,
    ops.Cast: _bind_cast,
}
"""The binder of every layer type that does arithmetic on int8 activations."""

UINT8_BINDERS: dict[type[Op], Binder] = {
    **INT8_BINDERS,
    ops.Pool2d: _one(partial(int8_pooling.prepare_pool2d, moved=128)),
    ops.Resize: partial(_bind_resize, unsigned=True),
    ops.L2Norm: partial(_bind_l2_norm, unsigned=True),
}
"""The same for int8 codes that stand for uint8 ones: what rounds codes themselves does so on those."""
