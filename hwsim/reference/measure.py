"""What a forward pass can tell beside its result: MACs as done, zeros, ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.graph import Graph, Tensor
from hwsim.reference.counting import counting
from hwsim.reference.interpreter import bound, checked_inputs, quiet, run
from hwsim.reference.step import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMeasurement:
    """One layer of one forward pass.

    Attributes:
        layer: The layer's name.
        kind: Its layer type.
        macs: Multiply-accumulates that its kernel did. [MAC]
        weight_zero_fraction: Zeros among its constants' elements, 0..1; nan without constants.
        ifmap_zero_fraction: Zeros among the elements of the activations it reads, 0..1; nan where it reads none.
        ofmap_zero_fraction: Zeros among the elements it writes, 0..1.
        ofmap_min: Least real value written (scale and zero point applied).
        ofmap_max: Largest real value written.
    """

    layer: str
    kind: str
    macs: int
    weight_zero_fraction: float
    ifmap_zero_fraction: float
    ofmap_zero_fraction: float
    ofmap_min: float
    ofmap_max: float


def measure(graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> list[LayerMeasurement]:
    """Run one inference and return a row for each layer, in order.

    A zero is the real value zero: in a quantised tensor, its zero point. MACs are counted by the kernels from the
    shapes of the arrays that they multiply, not from the graph.

    Args:
        graph: A net with weights.
        inputs: As for ``forward``.

    Raises:
        ForwardError: As ``forward``.
    """
    values = checked_inputs(graph, inputs)
    rows = []
    with counting(), quiet():
        for ran in run(bound(graph), values):
            layer, arrays, outputs = ran.layer, ran.inputs, ran.outputs
            read = [graph.tensors[name] for name in layer.inputs]
            written = [graph.tensors[name] for name in layer.outputs]
            weights = [(t, t.data) for t in read if t.constant and t.data is not None]
            ifmaps = [(t, array) for t, array in zip(read, arrays, strict=True) if not t.constant]
            ofmaps = list(zip(written, outputs, strict=True))
            ranges = [_range(t, array) for t, array in ofmaps]
            rows.append(
                LayerMeasurement(
                    layer=layer.name,
                    kind=layer.op.kind,
                    macs=ran.macs,
                    weight_zero_fraction=_zero_fraction(weights),
                    ifmap_zero_fraction=_zero_fraction(ifmaps),
                    ofmap_zero_fraction=_zero_fraction(ofmaps),
                    ofmap_min=min(low for low, _ in ranges),
                    ofmap_max=max(high for _, high in ranges),
                )
            )
    return rows


def _zero_points(tensor: Tensor) -> Array:
    """Return the stored value of zero, shaped to broadcast against the tensor."""
    if tensor.quant is None:
        return np.zeros((), np.int64)
    shape = [1] * len(tensor.shape)
    if tensor.quant.axis is not None:
        shape[tensor.quant.axis] = -1
    return np.array(tensor.quant.zero_point, np.int64).reshape(shape)


def _zero_fraction(tensors: Sequence[tuple[Tensor, Array]]) -> float:
    count = sum(array.size for _, array in tensors)
    zeros = sum(int(np.count_nonzero(array == _zero_points(tensor))) for tensor, array in tensors)
    return zeros / count if count else nan


def _range(tensor: Tensor, array: Array) -> tuple[float, float]:
    """Return the least and the largest real value of a tensor."""
    if tensor.quant is None:
        return float(array.min()), float(array.max())
    axis = tensor.quant.axis
    others = None if axis is None else tuple(i for i in range(array.ndim) if i != axis)
    zero_point, scale = np.array(tensor.quant.zero_point), np.array(tensor.quant.scale)
    low, high = ((stored.astype(np.int64) - zero_point) * scale for stored in (array.min(others), array.max(others)))
    return float(low.min()), float(high.max())
