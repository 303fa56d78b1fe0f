"""A net at another batch size: the same layers, their shapes inferred anew."""

from __future__ import annotations

from dataclasses import replace

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder, Shape, ops
from hwsim.graph.ops import Op


def with_batch(graph: Graph, batch: int) -> Graph:
    """Return the graph with ``batch`` as the size of axis 0 of every input of two axes or more.

    Raises:
        NetError: A layer's shapes are fixed for the batch the net was written with.
    """
    old = next((graph.tensors[name].shape[0] for name in graph.inputs if len(graph.tensors[name].shape) > 1), batch)
    if old == batch:
        return graph
    builder = GraphBuilder(graph.name)
    for name in graph.inputs:
        tensor = graph.tensors[name]
        shape = (batch, *tensor.shape[1:]) if len(tensor.shape) > 1 else tensor.shape
        builder.input(name, shape, tensor.dtype, quant=tensor.quant, file_axes=tensor.file_axes)
    for tensor in graph.constants:
        builder.constant(tensor.name, tensor.shape, tensor.dtype, data=tensor.data, quant=tensor.quant)
    try:
        for layer in graph.layers:
            outputs = [graph.tensors[name] for name in layer.outputs]
            builder.add(
                _for_batch(layer.op, old, batch),
                layer.inputs,
                name=layer.name,
                outputs=layer.outputs,
                dtypes=[tensor.dtype for tensor in outputs],
                quants=[tensor.quant for tensor in outputs],
            )
    except NetError as error:
        raise NetError(f"net {graph.name!r} cannot run {batch} inputs at once: {error}") from None
    other = builder.build(graph.outputs, warnings=graph.warnings)
    laid_out = {
        name: replace(tensor, file_axes=graph.tensors[name].file_axes) for name, tensor in other.tensors.items()
    }
    return replace(other, tensors=laid_out, rounding=graph.rounding)


def _for_batch(op: Op, old: int, batch: int) -> Op:
    """Return a layer type whose own attributes name the batch, for another one."""
    match op:
        case ops.Reshape():
            return replace(op, shape=_follow(op.shape, old, batch))
        case ops.Unknown():
            return replace(op, shapes=tuple(_follow(shape, old, batch) for shape in op.shapes))
        case ops.Slice() if op.begin[:1] == (0,) and op.end[:1] == (old,) and op.strides[0] == 1:
            return replace(op, end=(batch, *op.end[1:]))
    return op


def _follow(shape: Shape, old: int, batch: int) -> Shape:
    return (batch, *shape[1:]) if shape[:1] == (old,) else shape
