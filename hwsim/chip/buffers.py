"""Which of the memories that an array reaches are tile buffers, and for which operands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, get_args

Operand = Literal["ifmap", "filter", "ofmap"]
OPERANDS: tuple[Operand, ...] = get_args(Operand)
Transfers = Literal["double_buffered", "serial", "ideal"]
DOUBLE_BUFFERED: Transfers = "double_buffered"


def tile_buffers(memories: Sequence[tuple[str, Collection[Operand] | None]]) -> dict[Operand, str]:
    """Return the tile buffer of each operand that has one.

    The nearest memory is one, unless it is the only one. Memories after it stand beside it while they say which
    operands they hold and none of these has a buffer yet. An operand left without streams from its home.

    Args:
        memories: Name of each memory, nearest first, and the operands it says it holds.
    """
    found: dict[Operand, str] = {}
    for name, operands in memories[:-1]:
        held = operands or OPERANDS
        if found and (operands is None or any(operand in found for operand in held)):
            break
        found.update(dict.fromkeys(held, name))
    return found
