"""How many bytes a layer's weights take in a lossless code, by their own values.

The code is the usual one for weights that pile up around zero: each is the number of its place in a list, written as a
Golomb-Rice code (Rice, Plaunt, "Adaptive variable-length coding for efficient compression of spacecraft television
data", IEEE Trans. Commun. 19(6), 1971): the place's low k bits as they are, what is above them in unary. The list is
the 32 most frequent values, then all others by size. Where zeros are many, runs of them are coded apart, by their
length, and only the other weights by their place. Each layer takes the best k and the better of the two ways.

Arm's Ethos-U reads weights in such a code (its encoder is open source in Vela). What is not modelled: parameters that
change within a layer, headers, and zeros with which taps and channels are filled up to whole steps of its array.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwsim.graph import BITS, Tensor
from hwsim.units import BITS_PER_BYTE

Ints = npt.NDArray[np.int64]
LISTED = 32
MOST_LOW_BITS = 8


@dataclass(frozen=True, slots=True)
class KnownCode:
    """A coded size that is known without the weights.

    Attributes:
        share: Bytes coded over plain bytes.
    """

    share: float


class WeightCode:
    """The coded size of one tensor of weights, found when it is asked for."""

    def __init__(self, weights: Tensor) -> None:
        self._weights = weights

    @cached_property
    def share(self) -> float:
        """Bytes coded over plain bytes; 1 where the values are not known, or are not small integers."""
        weights = self._weights
        if weights.data is None or BITS[weights.dtype] > BITS_PER_BYTE or weights.elements == 0:
            return 1.0
        return coded_bits(np.asarray(weights.data).reshape(-1).astype(np.int64)) / (
            weights.elements * BITS[weights.dtype]
        )


def coded_bits(weights: Ints) -> int:
    """Return the bits of weights in the shorter of the two ways, shape [weight]."""
    values, counts = np.unique(weights, return_counts=True)
    every = _place_bits(values, counts)
    places = np.flatnonzero(weights)
    runs, times = np.unique(np.diff(np.concatenate([[-1], places, [len(weights)]])) - 1, return_counts=True)
    nonzero = values != 0
    apart = rice_bits(runs, times) + (_place_bits(values[nonzero], counts[nonzero]) if nonzero.any() else 0)
    return min(every, apart)


def _place_bits(values: Ints, counts: Ints) -> int:
    frequent = np.argsort(-counts, kind="stable")
    place = LISTED + np.where(values >= 0, 2 * values, -2 * values - 1)
    place[frequent[:LISTED]] = np.arange(min(LISTED, len(values)))
    by_size = np.where(values >= 0, 2 * values, -2 * values - 1)
    return min(rice_bits(place, counts), rice_bits(by_size, counts), BITS_PER_BYTE * int(counts.sum()))


def rice_bits(numbers: Ints, counts: Ints) -> int:
    """Return the bits of so many of each number in a Golomb-Rice code with the best k.

    Args:
        numbers: Numbers from 0, shape [number].
        counts: How often each occurs.
    """
    return min(int(((numbers >> k) + 1 + k) @ counts) for k in range(MOST_LOW_BITS))
