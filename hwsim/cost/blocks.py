"""What the blocks of an engine can be that works its ofmap block by block, each fetched, summed up and written alone.

Of such an engine a mapping's tiles are the blocks. Each fetches its ifmap anew, whatever the one before held, and the
buffers are halved for good: while the MACs work on one block, the next one's ifmap arrives and the psums of the one
before leave. Psums have room for whole micro-blocks (what the array works on at once), and everything lies in whole
banks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine
from hwsim.units import BYTES_PER_KIB

Ints = npt.NDArray[np.int64]
ANY = 2**62


@dataclass(frozen=True, slots=True)
class Blocks:
    """How many blocks are on their way at once, and what they can be.

    Attributes:
        in_flight: Blocks on their way through the engine at once; None where tiles are not such blocks.
        least_channels: Least output channels of one, where a layer has so many.
        most: Most output channels, rows and columns of one.
        banks: Bytes of the banks that ifmap and psums lie in.
    """

    in_flight: int | None = None
    least_channels: int = 1
    most: tuple[int, int, int] = (ANY, ANY, ANY)
    banks: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, engine: ArrayEngine) -> Blocks:
        """Return what an engine's blocks can be."""
        most, banks = engine.block_most, engine.block_banks_kib
        return cls(
            engine.blocks_in_flight,
            engine.block_least_channels,
            (most.get("K", ANY), most.get("P", ANY), most.get("Q", ANY)),
            (_bank(banks.get("ifmap")), _bank(banks.get("ofmap"))),
        )

    def in_banks(self, tile_bytes: Ints, operand: Literal["ifmap", "ofmap"]) -> Ints:
        """Return the bytes of the banks that tiles take."""
        bank = self.banks[operand == "ofmap"]
        banks: Ints = -(-tile_bytes // bank) * bank
        return banks


def _bank(kib: float | None) -> int:
    return 1 if kib is None else round(kib * BYTES_PER_KIB)


ANY_BLOCKS = Blocks()
