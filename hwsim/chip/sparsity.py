"""What of an array's data is zero, who saves what by it, and how operands are coded on their way to and from home."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from hwsim.chip.buffers import OPERANDS, Operand
from hwsim.chip.dataflows import Dataflow

RUN_LENGTH: Literal["run_length"] = "run_length"
GOLOMB_RICE: Literal["golomb_rice"] = "golomb_rice"
Coding = float | Literal["run_length", "golomb_rice"]
# Eyeriss packs pairs of a 5-bit run of zeros and the word after it into 64 bits, three pairs of 16-bit words.
RUN_BITS, PACK_BITS = 5, 64


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Zeros and codes of an array's operands; the default has none.

    Attributes:
        zeros: Share of zeros of ifmap, filter and ofmap.
        gated: Operands whose zeros save the energy of a MAC.
        coded: How ifmap, filter and ofmap are coded: bytes over plain bytes, ``run_length``, or ``golomb_rice`` where
            the values decide.
    """

    zeros: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gated: tuple[Operand, ...] = ()
    coded: tuple[Coding, Coding, Coding] = (1.0, 1.0, 1.0)

    def worked_share(self, dataflow: Dataflow) -> float:
        """Return the share of MACs that take a cycle: those with no zero that the dataflow skips."""
        return self._nonzero(dataflow.skips)

    def priced_share(self, dataflow: Dataflow) -> float:
        """Return the share of MACs that take energy: those with no zero that is skipped or gated."""
        return self._nonzero({*dataflow.skips, *self.gated})

    def coded_share(self, operand: Operand, bits: int) -> float:
        """Return the bytes of an operand at home over its plain bytes, at so many bits each; 1 if values decide."""
        at = OPERANDS.index(operand)
        coding = self.coded[at]
        if coding == GOLOMB_RICE:
            return 1.0
        return run_length_share(self.zeros[at], bits) if coding == RUN_LENGTH else float(coding)

    def with_filters(self, share: float) -> Sparsity:
        """Return the same with filters coded to a share of their plain bytes."""
        ifmap, _, ofmap = self.coded
        return replace(self, coded=(ifmap, share, ofmap))

    def _nonzero(self, operands: tuple[str, ...] | set[str]) -> float:
        share = 1.0
        for operand, zeros in zip(OPERANDS, self.zeros, strict=True):
            if operand in operands:
                share *= 1.0 - zeros
        return share


def run_length_share(zeros: float, bits: int) -> float:
    """Return bytes after run-length coding over bytes before it, when zeros fall anywhere alike.

    Each pair codes a run of up to 31 zeros and the word after it, which is zero only where the run is full: with
    d = 1 - zeros nonzero words per word, there are d / (1 - zeros^32) pairs per word. A pack holds as many pairs as it
    has room for.

    Args:
        zeros: Share of zeros.
        bits: Bits of a word.
    """
    run_and_word = 1 << RUN_BITS
    pairs = (1.0 - zeros) / (1.0 - zeros**run_and_word)
    return pairs * PACK_BITS / (PACK_BITS // (RUN_BITS + bits)) / bits
