"""Convolutions whose outputs are only concatenated: they write into the concatenation, which then need not copy.

A fire module's two expand layers, say: every product goes to its channels of the joint ofmap, and bias and activation
are done once over the joint rows, which are longer and stay in cache from one pass to the next. In SqueezeNet that
saves a twentieth of the time.
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


def joinable(graph: Graph, end: int) -> int:
    """Return how many layers, the one at ``end`` the last, can run as one: convolutions and the concatenation of them.

    They must follow each other, be float, use one activation and stored weights, and be read by nothing else; 0 where
    that is not so.
    """
    last = graph.layers[end]
    count = len(last.inputs)
    if not isinstance(last.op, ops.Concat) or last.op.activation is not None or not 2 <= count <= end:
        return 0
    convolutions = graph.layers[end - count : end]
    if not all(_is_plain_convolution(graph, layer) for layer in convolutions):
        return 0
    outputs = [layer.outputs[0] for layer in convolutions]
    rank = len(graph.tensors[last.outputs[0]].shape)
    activations = {layer.op.activation for layer in convolutions if isinstance(layer.op, ops.Conv2d)}
    alone = all(graph.consumers.get(name) == (last,) and name not in graph.outputs for name in outputs)
    along_channels = last.op.axis % rank == rank - 1
    fits = set(last.inputs) == set(outputs) and along_channels and len(activations) == 1 and alone
    return count + 1 if fits else 0


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
