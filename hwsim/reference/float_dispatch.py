"""Which kernel runs which layer type: adapters from a layer's attributes to the kernels' arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwsim.graph import Layer, Tensor, ops
from hwsim.graph.ops import Op
from hwsim.reference import float_kernels as kernels
from hwsim.reference import layout_kernels as layout
from hwsim.reference.float_functions import binary, prelu, unary
from hwsim.reference.step import Array, Binder, Step, numpy_dtype

Adapter = Callable[..., Array]  # adapter(op, *inputs) -> the one output


def _bind_conv2d(layer: Layer, inputs: Sequence[Tensor], _: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Conv2d)
    filters, bias = inputs[1].data, inputs[2].data if len(inputs) > 2 else None
    geometry = (op.strides, op.padding, op.dilations, op.groups, op.activation)
    if filters is None or (len(inputs) > 2 and bias is None):  # they are activations: nothing to prepare

        def unprepared(arrays: Sequence[Array]) -> Sequence[Array]:
            return (kernels.conv2d(arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None, *geometry),)

        return unprepared
    run = kernels.prepare_conv2d(inputs[0].shape, filters, bias, *geometry)
    return lambda arrays: (run(arrays[0]),)


def _bind_conv_transpose2d(layer: Layer, _: Sequence[Tensor], __: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.ConvTranspose2d)
    geometry = (op.strides, op.padding, op.dilations, op.output_padding, op.groups)

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        bias = arrays[2] if len(arrays) > 2 else None
        return (kernels.conv_transpose2d(arrays[0], arrays[1], bias, *geometry, op.activation),)

    return step


def _bind_pool2d(layer: Layer, _: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Pool2d)
    out_size = (outputs[0].shape[1], outputs[0].shape[2])  # ceil mode has been resolved by the shape rule

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        pooled = kernels.pool2d(
            arrays[0],
            op.function,
            op.kernel,
            op.strides,
            op.padding,
            op.dilations,
            out_size=out_size,
            count_include_pad=op.count_include_pad,
        )
        return (kernels.activate(pooled, op.activation),)

    return step


def _bind_reshape(_: Layer, __: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    return lambda arrays: (arrays[0].reshape(outputs[0].shape),)


def _bind_split(layer: Layer, _: Sequence[Tensor], __: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Split)
    return lambda arrays: layout.split(arrays[0], op.sizes, op.axis)


def _bind_quantize(_: Layer, __: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    scale, zero_point = quantization_of(outputs[0])
    dtype = numpy_dtype(outputs[0].dtype)
    return lambda arrays: (kernels.quantize(arrays[0], scale, zero_point, dtype),)


def _bind_dequantize(_: Layer, inputs: Sequence[Tensor], __: Sequence[Tensor]) -> Step:
    scale, zero_point = quantization_of(inputs[0])
    return lambda arrays: (kernels.dequantize(arrays[0], scale, zero_point),)


def quantization_of(tensor: Tensor) -> tuple[Array, Array]:
    """Return scale and zero point shaped to broadcast against the tensor; (1, 0) where there are none (float16)."""
    if tensor.quant is None:
        return np.ones((), np.float32), np.zeros((), np.int64)
    shape = [1] * len(tensor.shape)
    if tensor.quant.axis is not None:
        shape[tensor.quant.axis] = -1
    scale, zero_point = np.array(tensor.quant.scale, np.float32), np.array(tensor.quant.zero_point, np.int64)
    return scale.reshape(shape), zero_point.reshape(shape)


def dequantized(tensor: Tensor) -> Array:
    """Return a constant's real values in float32.

    Raises:
        ValueError: The constant has no data.
    """
    if tensor.data is None:
        raise ValueError(f"constant {tensor.name!r} has no data")
    return kernels.dequantize(tensor.data, *quantization_of(tensor))


def _adapted(adapter: Adapter) -> Binder:
    """Return the binder of a layer type with one output that needs no preparation."""

    def bind(layer: Layer, _: Sequence[Tensor], __: Sequence[Tensor]) -> Step:
        return lambda arrays: (adapter(layer.op, *arrays),)

    return bind


def _resize(op: ops.Resize, x: Array) -> Array:
    if op.mode == "bilinear":
        return kernels.resize_bilinear(x, op.size, op.coordinates, op.scale)
    return layout.resize_nearest(x, op.size, op.coordinates, op.rounding, op.scale)


def _arg_extreme(op: ops.ArgExtreme, x: Array) -> Array:
    greatest = op.function == "max"
    return layout.arg_extreme(x, op.axis, greatest=greatest, keepdims=op.keepdims, dtype=numpy_dtype(op.dtype))


def _unary(op: ops.Unary, x: Array) -> Array:
    return unary(x, op.function, alpha=op.alpha, beta=op.beta, low=op.low, high=op.high)


_FLOAT_ADAPTERS: dict[type[Op], Adapter] = {
    ops.Dense: lambda op, x, filters, bias=None: kernels.dense(x, filters, bias, op.activation),
    ops.MatMul: lambda op, a, b: kernels.matmul(a, b, transpose_a=op.transpose_a, transpose_b=op.transpose_b),
    ops.Binary: lambda op, a, b: kernels.activate(binary(a, b, op.function), op.activation),
    ops.Unary: _unary,
    ops.PRelu: lambda _, x, slope: prelu(x, slope),
    ops.GlobalPool: lambda op, x: kernels.global_pool(x, op.function),
    ops.Reduce: lambda op, x: kernels.reduce_axes(x, op.function, op.axes, keepdims=op.keepdims),
    ops.BatchNorm: lambda op, x, g, b, m, v: kernels.batch_norm(x, g, b, m, v, op.epsilon),
    ops.LayerNorm: lambda op, x, scale=None, shift=None: kernels.layer_norm(x, scale, shift, op.epsilon),
    ops.RmsNorm: lambda op, x, scale=None: kernels.rms_norm(x, scale, op.epsilon),
    ops.L2Norm: lambda op, x: kernels.l2_norm(x, op.axis, op.epsilon),
    ops.Lrn: lambda op, x: kernels.lrn(x, op.size, op.alpha, op.beta, op.bias),
    ops.Softmax: lambda op, x: kernels.softmax(x, op.axis, op.beta, log=op.log),
    ops.Concat: lambda op, *inputs: kernels.activate(layout.concat(inputs, op.axis), op.activation),
    ops.Pad: lambda op, x: layout.pad(x, op.pads, op.mode, op.value),
    ops.Resize: _resize,
    ops.Cast: lambda op, x: x.astype(numpy_dtype(op.dtype)),
}
_LAYOUT_ADAPTERS: dict[type[Op], Adapter] = {
    ops.ArgExtreme: _arg_extreme,
    ops.Slice: lambda op, x: layout.slice_(x, op.begin, op.end, op.strides),
    ops.Transpose: lambda op, x: x.transpose(op.perm),
    ops.ChannelShuffle: lambda op, x: layout.channel_shuffle(x, op.groups),
    ops.Gather: lambda op, table, indices: layout.gather(table, indices, op.axis),
    ops.DepthToSpace: lambda op, x: layout.depth_to_space(x, op.block, channel_major=op.channel_major),
    ops.SpaceToDepth: lambda op, x: layout.space_to_depth(x, op.block),
}

LAYOUT_BINDERS: dict[type[Op], Binder] = {
    ops.Reshape: _bind_reshape,
    ops.Split: _bind_split,
    **{kind: _adapted(adapter) for kind, adapter in _LAYOUT_ADAPTERS.items()},
}
"""Layer types that move or compare elements and are the same for every dtype, quantised ones included."""

FLOAT_BINDERS: dict[type[Op], Binder] = {
    ops.Conv2d: _bind_conv2d,
    ops.ConvTranspose2d: _bind_conv_transpose2d,
    ops.Pool2d: _bind_pool2d,
    ops.Quantize: _bind_quantize,
    ops.Dequantize: _bind_dequantize,
    **{kind: _adapted(adapter) for kind, adapter in _FLOAT_ADAPTERS.items()},
    **LAYOUT_BINDERS,
}
"""The binder of every layer type for float activations."""
