"""Graphs made from graphs: batch norm folded, activations fused, weights drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hwsim.graph.graph import Graph, Layer
from hwsim.graph.ops import BatchNorm, Binary, Concat, Conv2d, ConvTranspose2d, Dense, FusedActivation, Pool2d, Unary
from hwsim.graph.tensor import Tensor

Fusable = Conv2d | ConvTranspose2d | Dense | Binary | Pool2d | Concat


def with_random_weights(graph: Graph, seed: int = 0) -> Graph:
    """Return the graph with values for every constant that has none.

    Floats are normal with a standard deviation of 1/sqrt(fan-in), so that activations keep their scale; a batch-norm
    variance is positive. Integers cover their type's range.
    """
    rng = np.random.default_rng(seed)
    variances = {
        layer.inputs[layer.op.roles.index("variance")] for layer in graph.layers if isinstance(layer.op, BatchNorm)
    }

    def filled(tensor: Tensor) -> Tensor:
        if not tensor.constant or tensor.data is not None:
            return tensor
        data: np.ndarray[Any, Any]
        if tensor.dtype.startswith("float"):
            fan_in = max(int(np.prod(tensor.shape[1:])), 1) if len(tensor.shape) > 1 else 1
            data = (rng.standard_normal(tensor.shape) / np.sqrt(fan_in)).astype(tensor.dtype)
            if tensor.name in variances:
                data = np.abs(data) + np.asarray(0.5, data.dtype)
        else:
            info = np.iinfo("int8" if tensor.dtype == "int4" else tensor.dtype)
            low, high = (-8, 7) if tensor.dtype == "int4" else (int(info.min), int(info.max))
            data = rng.integers(low, high, tensor.shape, dtype=info.dtype, endpoint=True)
        return replace(tensor, data=data)

    return replace(graph, tensors={name: filled(tensor) for name, tensor in graph.tensors.items()})


def fold_batch_norm(graph: Graph) -> Graph:
    """Return the graph with every batch norm that alone reads a convolution or dense layer folded into its weights.

    filter' = filter × g and bias' = (bias − mean) × g + shift with g = scale / sqrt(variance + epsilon), per output
    channel. Where the values are not known, only the shapes change. A batch norm elsewhere stays.
    """
    tensors = dict(graph.tensors)
    layers: dict[str, Layer] = {layer.name: layer for layer in graph.layers}
    producer = dict(graph.producer)
    for layer in graph.layers:
        source = producer.get(layer.inputs[0]) if layer.inputs else None
        if (
            not isinstance(layer.op, BatchNorm)
            or source is None
            or not isinstance(source.op, Conv2d | ConvTranspose2d | Dense)
        ):
            continue
        if source.op.activation is not None or not _is_private(graph, source.outputs[0]):
            continue
        if not tensors[source.inputs[1]].dtype.startswith("float"):
            continue  # integer weights cannot take a gain without being quantised anew
        folded = _fold(source, layer, layer.op, tensors)
        del layers[layer.name]
        layers[source.name] = folded
        producer[layer.outputs[0]] = folded
    return _rebuilt(graph, tensors, layers)


def _fold(source: Layer, norm: Layer, op: BatchNorm, tensors: dict[str, Tensor]) -> Layer:
    """Add folded constants to ``tensors`` and return the layer that reads them and writes the norm's output."""
    filter_ = tensors[source.inputs[1]]
    bias = tensors[source.inputs[2]] if len(source.inputs) > 2 else None
    scale, shift, mean, variance = (tensors[name].data for name in norm.inputs[1:])
    known = filter_.data is not None and (bias is None or bias.data is not None)
    folded_filter = folded_bias = None
    if known and scale is not None and shift is not None and mean is not None and variance is not None:
        with np.errstate(all="ignore"):
            gain = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + op.epsilon)
        stored = filter_.data
        old_bias = bias.data if bias is not None and bias.data is not None else np.zeros(filter_.shape[0])
        if stored is not None:
            with np.errstate(all="ignore"):  # weights that are no numbers stay so
                folded_filter = (stored * gain.reshape(-1, *(1,) * (stored.ndim - 1))).astype(stored.dtype)
                folded_bias = ((old_bias - mean) * gain + shift).astype(stored.dtype)
    filter_name, bias_name = f"{source.name}.folded_filter", f"{source.name}.folded_bias"
    tensors[filter_name] = replace(filter_, name=filter_name, data=folded_filter)
    tensors[bias_name] = Tensor(
        name=bias_name, shape=filter_.shape[:1], dtype=filter_.dtype, constant=True, data=folded_bias
    )
    return replace(source, inputs=(source.inputs[0], filter_name, bias_name), outputs=norm.outputs)


def fuse_activations(graph: Graph) -> Graph:
    """Return the graph with ReLU, ReLU6 and equal clips taken into the layer before, where they alone read it."""
    layers: dict[str, Layer] = {layer.name: layer for layer in graph.layers}
    producer = dict(graph.producer)
    for layer in graph.layers:
        activation = _fusable(layer)
        source = producer.get(layer.inputs[0]) if activation else None
        if source is None or not isinstance(source.op, Fusable) or source.op.activation is not None:
            continue
        before, after = graph.tensors[source.outputs[0]], graph.tensors[layer.outputs[0]]
        if not _is_private(graph, source.outputs[0]) or before.dtype != after.dtype or before.quant != after.quant:
            continue
        fused = replace(source, op=replace(source.op, activation=activation), outputs=layer.outputs)
        del layers[layer.name]
        layers[source.name] = fused
        producer[layer.outputs[0]] = fused
    return _rebuilt(graph, dict(graph.tensors), layers)


def _fusable(layer: Layer) -> FusedActivation | None:
    if not isinstance(layer.op, Unary):
        return None
    match layer.op:
        case Unary(function="relu") | Unary(function="clip", low=0.0, high=None):
            return "relu"
        case Unary(function="relu6") | Unary(function="clip", low=0.0, high=6.0):
            return "relu6"
        case Unary(function="clip", low=-1.0, high=1.0):
            return "relu_n1_to_1"
    return None


def _is_private(graph: Graph, tensor: str) -> bool:
    """Return whether one layer alone reads a tensor and it is no graph output."""
    return tensor not in graph.outputs and len(graph.consumers.get(tensor, ())) == 1


def _rebuilt(graph: Graph, tensors: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> Graph:
    """Return a graph of these layers, without tensors that nobody names any more."""
    named = {*graph.inputs, *graph.outputs}
    for layer in layers.values():
        named.update(layer.inputs, layer.outputs)
    return replace(
        graph, tensors={name: t for name, t in tensors.items() if name in named}, layers=tuple(layers.values())
    )
