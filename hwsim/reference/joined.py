"""Convolutions whose outputs are only concatenated: they write into the concatenation, which then need not copy.

A fire module's two expand layers, say: every product goes to its channels of the joint ofmap, and bias and activation
are done once over the joint rows, which are longer and stay in cache from one pass to the next. In SqueezeNet that
saves a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwsim.graph import Graph, Layer, Shape, ops
from hwsim.graph.ops import FusedActivation
from hwsim.reference.conv_gemm import BLOCK_BYTES, GemmConvolution, filter_matrix
from hwsim.reference.counting import take_macs
from hwsim.reference.float_kernels import bias_activation
from hwsim.reference.step import Array

Ran = tuple[Array, int]  # a layer's output, and the MACs it took


def joinable(graph: Graph, position: int) -> int:
    """Return how many layers, from ``position`` on, can run as one: convolutions and the concatenation of them.

    They must follow each other, be float, use one activation and stored weights, and be read by nothing else; 0 where
    that is not so.
    """
    end = position
    while end < len(graph.layers) and _is_plain_convolution(graph, graph.layers[end]):
        end += 1
    convolutions = graph.layers[position:end]
    if len(convolutions) < 2 or end == len(graph.layers):
        return 0
    last = graph.layers[end]
    # The layers before the concatenation may include others that it does not read: they run on their own.
    outputs = tuple(layer.outputs[0] for layer in convolutions)
    if not isinstance(last.op, ops.Concat) or last.op.activation is not None or set(last.inputs) != set(outputs):
        return 0
    rank = len(graph.tensors[last.outputs[0]].shape)
    activations = {layer.op.activation for layer in convolutions if isinstance(layer.op, ops.Conv2d)}
    alone = all(graph.consumers[name] == (last,) and name not in graph.outputs for name in outputs)
    if last.op.axis % rank != rank - 1 or len(last.inputs) != len(outputs) or len(activations) != 1 or not alone:
        return 0
    return len(convolutions) + 1


def _is_plain_convolution(graph: Graph, layer: Layer) -> bool:
    if not isinstance(layer.op, ops.Conv2d):
        return False
    x, filters = (graph.tensors[name] for name in layer.inputs[:2])
    stored = all(graph.tensors[name].data is not None for name in layer.inputs[1:])
    depthwise = layer.op.groups > 1 and filters.shape[3] == 1
    return stored and not depthwise and all(t.dtype == "float32" for t in (x, graph.tensors[layer.outputs[0]]))


def bind_joined(
    graph: Graph, layers: Sequence[Layer], constants: Sequence[Sequence[Array]]
) -> Callable[[Sequence[Array]], list[Ran]]:
    """Return the function that runs the layers: takes each convolution's ifmap, returns each layer's output.

    Args:
        graph: The net.
        layers: Convolutions and then the concatenation of their outputs, as ``joinable`` found them.
        constants: Filter (K, R, S, C/groups) and, where there is one, bias (K,) of each convolution, float32.
    """
    *convolutions, concat = layers
    shape: Shape = graph.tensors[concat.outputs[0]].shape
    widths = [graph.tensors[name].shape[-1] for name in concat.inputs]
    ends = dict(zip(concat.inputs, np.cumsum(widths).tolist(), strict=True))
    members = []
    bias = np.zeros(shape[-1], np.float32)
    activation: FusedActivation | None = None
    for layer, (filters, *own_bias) in zip(convolutions, constants, strict=True):
        op = layer.op
        assert isinstance(op, ops.Conv2d)
        activation = op.activation
        channels = slice(ends[layer.outputs[0]] - len(filters), ends[layer.outputs[0]])
        if own_bias:
            bias[channels] = own_bias[0]
        convolution = GemmConvolution(
            graph.tensors[layer.inputs[0]].shape,
            filter_matrix(filters, op.groups),
            kernel=(filters.shape[1], filters.shape[2]),
            strides=op.strides,
            padding=op.padding,
            dilations=op.dilations,
        )
        members.append((convolution, channels))
    has_bias = any(len(stored) > 1 for stored in constants)
    epilogue = bias_activation(bias if has_bias else None, activation, shape[2])
    step = max(1, BLOCK_BYTES // (4 * shape[2] * shape[3]))

    def run(ifmaps: Sequence[Array]) -> list[Ran]:
        joint = np.empty(shape, np.float32)
        macs = []
        outputs = []
        for x, (convolution, channels) in zip(ifmaps, members, strict=True):
            outputs.append(convolution(x, joint[..., channels]))
            macs.append(take_macs())
        if epilogue is not None:
            rows = joint.reshape(-1, *shape[2:])
            for start in range(0, len(rows), step):
                block = rows[start : start + step]
                epilogue(block, block)
        return [*zip(outputs, macs, strict=True), (joint, 0)]

    return run
