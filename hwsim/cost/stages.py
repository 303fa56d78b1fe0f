"""Two stages of an engine that works block by block: its MACs, and behind them what finishes outputs.

While the MACs work on a block, the stage behind them scales, clips and writes the one before. So the slower stage sets
the pace, and the other one's time for a block is added once. A block is on its way through both, and an engine that has
only so many of them on their way at once spends at least that share of it per block.

    cycles = max(M, O) + max(min(M, O), (M + O) / in flight) / blocks

with M of all MACs and O of all outputs, or of the biases and scales that they wait for where that takes longer.
"""

from __future__ import annotations

from math import isinf

import numpy as np
import numpy.typing as npt

from hwsim.cost.hooks import whole

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def pipelined_cycles(
    mac_cycles: Floats,
    outputs: Ints,
    blocks: Ints,
    per_cycle: float,
    in_flight: int | None,
    waits: Floats | float = 0.0,
) -> Floats:
    """Return the cycles of layers through both stages; arrays of one shape.

    Args:
        mac_cycles: Of the MACs of a whole layer [cycle].
        outputs: Elements of its ofmap.
        blocks: Blocks in which the ofmap is worked on.
        per_cycle: Outputs that the stage behind the MACs finishes in a cycle; infinite for a stage that never limits.
        in_flight: Blocks on their way at once; None for any number.
        waits: What that stage waits for biases and scales, in all blocks together [cycle].
    """
    if isinf(per_cycle):
        return mac_cycles
    behind = np.maximum(whole(outputs / per_cycle).astype(np.float64), waits)
    once = np.minimum(mac_cycles, behind)
    if in_flight is not None:
        once = np.maximum(once, (mac_cycles + behind) / in_flight)
    return np.maximum(mac_cycles, behind) + whole(once / blocks)
