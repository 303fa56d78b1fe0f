"""Quantised layers by the rules of ONNX: dequantise, compute in float32, quantise, halves to even.

Convolutions, dense layers and products sum integers, as onnxruntime's fused kernels do, and round once: the exact sum,
made a float32, times a float32 scale, to the nearest integer. Every other layer runs on the float kernels between a
dequantise and a quantise step, which is what a QDQ net says; functions of one or two codes are tables of that.

Source: ONNX operators ``QuantizeLinear``, ``DequantizeLinear``, ``QLinearConv``, ``QLinearMatMul``; the order of the
float32 products is that of onnxruntime's QLinearConv and MlasRequantizeOutput.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsim.graph import Layer, Tensor, ops
from hwsim.graph.ops import FusedActivation, Op
from hwsim.reference import float_kernels, int8_kernels
from hwsim.reference.counting import multiply
from hwsim.reference.float_dispatch import FLOAT_BINDERS, LAYOUT_BINDERS, dequantized, quantization_of
from hwsim.reference.int8_dispatch import INT8_BINDERS, affine, bind_weighted
from hwsim.reference.int8_kernels import EXACT_FLOAT32, Integers, Kernel, Reals
from hwsim.reference.int8_tables import CODES, Affine, look_up, look_up_pair
from hwsim.reference.step import Array, Binder, Step, numpy_dtype

BOUNDS: dict[FusedActivation, tuple[float, float | None]] = float_kernels.ACTIVATION_BOUNDS


class NearestRequantizer:
    """Sums of products to int8 codes: clip(rint(float32(acc + bias) · scale) + zero_point, low, high), per channel.

    Args:
        weights: (K, depth) integers, zero point subtracted.
        bias: (K,), on the scale of ifmap × filter.
        filter_scale: (K,) or (1,).
        x: Quantisation of the ifmap.
        out: Quantisation of the ofmap.
        activation: Fused activation.
        corrected: Whether the sums are of plain codes, so that the ifmap's zero point is still to be taken off.
    """

    def __init__(
        self,
        weights: Integers,
        bias: Integers,
        filter_scale: Reals,
        x: Affine,
        out: Affine,
        activation: FusedActivation | None,
        *,
        corrected: bool = True,
    ) -> None:
        self.bias = (bias - x.zero_point * weights.sum(axis=1) if corrected else bias).astype(np.float64)
        self.scale = (x.scale32 * filter_scale.astype(np.float32)) / out.scale32
        self.zero_point = np.float32(out.zero_point)
        self.low, self.high = code_range(activation, out)

    def __call__(self, acc: Array, out: Array) -> None:
        """Write the codes of ``acc`` (…, K), float32 or float64 integers, to ``out`` of the same shape, int8."""
        codes = np.add(acc, self.bias, dtype=np.float64).astype(np.float32)
        codes *= self.scale
        np.rint(codes, out=codes)
        codes += self.zero_point
        out[...] = codes.clip(self.low, self.high).reshape(out.shape)


def code_range(activation: FusedActivation | None, out: Affine) -> tuple[int, int]:
    """Return the least and greatest code that a fused activation lets through."""
    low, high = (None, None) if activation is None else BOUNDS[activation]
    least, most = (
        limit if bound is None else int(np.rint(np.float32(bound) / out.scale32)) + out.zero_point
        for bound, limit in ((low, -128), (high, 127))
    )
    return max(-128, least), min(127, most)


def _bind_conv2d(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Conv2d)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])

    def prepare(filters: Array, bias: Integers, scale: Reals) -> Kernel:
        return int8_kernels.prepare_conv2d(op, filters, bias, scale, x, out, NearestRequantizer)

    return bind_weighted(layer, inputs, prepare)


def _bind_conv_transpose2d(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.ConvTranspose2d)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])

    def prepare(filters: Array, bias: Integers, scale: Reals) -> Kernel:
        return int8_kernels.prepare_conv_transpose2d(op, filters, bias, scale, x, out, NearestRequantizer)

    return bind_weighted(layer, inputs, prepare)


def _bind_dense(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.Dense)
    x, out = affine(layer, inputs[0]), affine(layer, outputs[0])

    def prepare(weights: Array, bias: Integers, scale: Reals) -> Kernel:
        wide = weights.astype(np.int64)
        requantize = NearestRequantizer(wide, bias, scale, x, out, op.activation)
        small = int8_kernels.most_sum(wide) <= EXACT_FLOAT32
        matrix = np.ascontiguousarray(weights.T, np.float32 if small else np.float64)

        def dense(ifmap: Array) -> NDArray[np.int8]:
            codes = np.empty((*ifmap.shape[:-1], len(weights)), np.int8)
            requantize(multiply(ifmap.astype(matrix.dtype), matrix), codes)
            return codes

        return dense

    return bind_weighted(layer, inputs, prepare)


def _bind_matmul(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    op = layer.op
    assert isinstance(op, ops.MatMul)
    a, b, out = (affine(layer, tensor) for tensor in (*inputs, outputs[0]))
    scale = a.scale32 * b.scale32 / out.scale32

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        centred = [array.astype(np.float64) - quant.zero_point for array, quant in zip(arrays, (a, b), strict=True)]
        sums = float_kernels.matmul(*centred, transpose_a=op.transpose_a, transpose_b=op.transpose_b)
        codes = np.rint(sums.astype(np.float32) * scale) + np.float32(out.zero_point)
        return (codes.clip(-128, 127).astype(np.int8),)

    return step


def _bind_quantize(_: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    before, after, dtype = _parameters(inputs[0]), quantization_of(outputs[0]), numpy_dtype(outputs[0].dtype)

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        real = arrays[0] if before is None else float_kernels.dequantize(arrays[0], *before)
        return (float_kernels.quantize(real, *after, dtype),)

    return step


def _in_float(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    """Bind the float kernel between dequantise and quantise steps."""
    inner = FLOAT_BINDERS[type(layer.op)](layer, [_real(t) for t in inputs], [_real(t) for t in outputs])
    read = [_parameters(tensor) for tensor in inputs]
    written = [_parameters(tensor) for tensor in outputs]
    dtypes = [numpy_dtype(tensor.dtype) for tensor in outputs]

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        reals = [
            array if quant is None else float_kernels.dequantize(array, *quant)
            for array, quant in zip(arrays, read, strict=True)
        ]
        return [
            result if quant is None else float_kernels.quantize(result, *quant, dtype)
            for result, quant, dtype in zip(inner(reals), written, dtypes, strict=True)
        ]

    return step


def _bind_unary(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    (table,) = _in_float(layer, inputs, outputs)([CODES.astype(np.int8)])
    return lambda arrays: (look_up(table, arrays[0]),)


def _bind_binary(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    codes = CODES.astype(np.int8)
    (table,) = _in_float(layer, inputs, outputs)([codes[:, None], codes])
    flat = table.reshape(-1)
    return lambda arrays: (look_up_pair(flat, arrays[0], arrays[1]),)


def _moved(binder: Binder) -> Binder:
    """Return the binder of a layer that only moves codes, where both sides have one quantisation."""

    def bind(layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
        same = all(tensor.quant in (None, inputs[0].quant) for tensor in outputs)
        return (binder if same else _in_float)(layer, inputs, outputs)

    return bind


def _real(tensor: Tensor) -> Tensor:
    if tensor.quant is None:
        return tensor
    data = dequantized(tensor) if tensor.data is not None else None
    return replace(tensor, dtype="float32", quant=None, data=data)


def _parameters(tensor: Tensor) -> tuple[Array, Array] | None:
    return None if tensor.quant is None else quantization_of(tensor)


ONNX_BINDERS: dict[type[Op], Binder] = {
    **dict.fromkeys(FLOAT_BINDERS, _in_float),
    **{kind: _moved(binder) for kind, binder in LAYOUT_BINDERS.items()},
    ops.Unary: _bind_unary,
    ops.Binary: _bind_binary,
    ops.PRelu: _bind_binary,
    ops.Conv2d: _bind_conv2d,
    ops.ConvTranspose2d: _bind_conv_transpose2d,
    ops.Dense: _bind_dense,
    ops.MatMul: _bind_matmul,
    ops.Quantize: _bind_quantize,
    ops.Dequantize: INT8_BINDERS[ops.Dequantize],
    ops.Cast: INT8_BINDERS[ops.Cast],
}
"""The binder of every layer type for quantised activations of a net that came from ONNX."""
