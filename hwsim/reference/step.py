"""What the interpreter asks of a kernel adapter, float or int8.

A *binder* looks at one layer once, prepares what it needs (filter matrices, requantisation multipliers, tables), and
returns the *step* that runs the layer. The interpreter keeps the steps of a graph: a second pass prepares nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.graph import DType, Layer, Tensor

Array = NDArray[Any]

Step = Callable[[Sequence[Array]], Sequence[Array]]
"""``step(inputs)``: takes all inputs in the order of ``op.roles``, constants as stored; returns the outputs."""

Binder = Callable[[Layer, Sequence[Tensor], Sequence[Tensor]], Step]
"""``binder(layer, input_tensors, output_tensors)``: they tell shapes, dtypes, quantisation and constants' values."""


def numpy_dtype(dtype: DType) -> np.dtype[Any]:
    """Return how a tensor's dtype is held in an array; int4 takes an int8 for each element."""
    return np.dtype("int8" if dtype == "int4" else dtype)
