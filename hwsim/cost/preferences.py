"""What an engine's compiler ranks mappings by, before any objective: nothing in it is a rate or a price.

A compiler's choice is a fact of its target, like a kernel library is of a core. Among the mappings that fit the buffers
those are left that come first by its preferences; among these the objective chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hwsim.chip import Preference
from hwsim.cost.candidates import Candidates
from hwsim.cost.hooks import coded

Ints = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]

RANKS: dict[Preference, Callable[[Candidates], Ints]] = {
    "macs": lambda table: table.cycles,
    "fetches": lambda table: (
        coded(table.ifmap_bytes, table.ifmap_coded) + table.psum_in_bytes + table.array_filter_bytes
    ),
    "small_blocks": lambda table: -table.blocks,
}


def preferred(
    table: Candidates, owner: Index, held: Sequence[Ints], capacity_bytes: Sequence[int], prefers: Sequence[Preference]
) -> Index:
    """Return which candidates come first in their layer by a compiler's preferences, among those that fit.

    Args:
        table: Candidates, layer by layer.
        owner: The layer of each, ascending.
        held: What each takes of every buffer [B].
        capacity_bytes: Usable bytes of every buffer.
        prefers: What counts, most important first.

    Returns:
        Ascending indices; all candidates of a layer of which none fits.
    """
    starts = np.searchsorted(owner, np.arange(int(owner[-1]) + 1))
    open_ = np.ones(len(owner), dtype=bool)
    for need, capacity in zip(held, capacity_bytes, strict=True):
        open_ &= need <= capacity
    none = ~np.logical_or.reduceat(open_, starts)[owner]
    for name in prefers:
        ranks = np.where(open_, RANKS[name](table), np.iinfo(np.int64).max)
        open_ &= ranks == np.minimum.reduceat(ranks, starts)[owner]
    return np.flatnonzero(open_ | none)
