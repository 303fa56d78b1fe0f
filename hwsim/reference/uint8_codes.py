"""uint8 layers on the int8 kernels: a uint8 code and its zero point are those of int8, 128 higher.

Nets quantised before TFLite moved to int8 (MobileNetV1 of 2018, say) hold activations and weights as uint8, one scale
per tensor. Sums of products see differences to the zero point alone, so the arithmetic is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwsim.graph import Layer, Tensor
from hwsim.reference.step import Array, Binder, Step

FLIP = np.uint8(128)


def is_uint8(tensor: Tensor) -> bool:
    """Return whether a tensor holds uint8 codes."""
    return tensor.dtype == "uint8" and tensor.quant is not None


def bind_as_int8(binder: Binder, layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    """Return the step of a layer of which some tensors are uint8."""
    inner = binder(layer, [_as_int8(tensor) for tensor in inputs], [_as_int8(tensor) for tensor in outputs])
    read, written = [is_uint8(tensor) for tensor in inputs], [is_uint8(tensor) for tensor in outputs]

    def step(arrays: Sequence[Array]) -> Sequence[Array]:
        moved = [_flipped(array, np.int8) if flip else array for array, flip in zip(arrays, read, strict=True)]
        results = inner(moved)
        return [_flipped(array, np.uint8) if flip else array for array, flip in zip(results, written, strict=True)]

    return step


def _as_int8(tensor: Tensor) -> Tensor:
    if not is_uint8(tensor) or tensor.quant is None:
        return tensor
    quant = replace(tensor.quant, zero_point=tuple(point - int(FLIP) for point in tensor.quant.zero_point))
    data = None if tensor.data is None else _flipped(tensor.data, np.int8)
    return replace(tensor, dtype="int8", quant=quant, data=data)


def _flipped(codes: Array, dtype: type[np.int8 | np.uint8]) -> Array:
    """Return codes moved by 128: the highest bit turned."""
    flipped: Array = (codes.view(np.uint8) ^ FLIP).view(dtype)
    return flipped
