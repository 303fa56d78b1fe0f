"""MACs counted where they are done: every product of the kernels reports the shapes it multiplies.

This is the independent check of the graph's own counts, which come from formulas over declared shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class MacCounter:
    """Holds the MACs done since it was made or last taken."""

    def __init__(self) -> None:
        self.macs = 0

    def take(self) -> int:
        """Return the count and start again at zero."""
        macs, self.macs = self.macs, 0
        return macs


_counter: ContextVar[MacCounter | None] = ContextVar("mac_counter", default=None)


@contextmanager
def counting() -> Iterator[MacCounter]:
    """Count the MACs of every kernel that runs inside the ``with`` block."""
    counter = MacCounter()
    token = _counter.set(counter)
    try:
        yield counter
    finally:
        _counter.reset(token)


def take_macs() -> int:
    """Return the MACs done since they were last taken; 0 outside ``counting``."""
    counter = _counter.get()
    return 0 if counter is None else counter.take()


def count_macs(macs: int) -> None:
    """Report multiply-accumulates that a kernel does without ``multiply``."""
    counter = _counter.get()
    if counter is not None:
        counter.macs += macs


def multiply(a: Array, b: Array, out: Array | None = None) -> Array:  # (…, M, C) · (…, C, K) -> (…, M, K)
    """Matrix product by BLAS, counted; leading axes broadcast."""
    product = np.matmul(a, b, out=out)
    count_macs(prod(product.shape) * a.shape[-1])
    return product
