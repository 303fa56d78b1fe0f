"""What runtimes take of the memories for themselves, beside activations and weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwsim.chip import Chip, CoreEngine, Runtime
from hwsim.cost.workload import FREE, UNKNOWN, Row
from hwsim.units import BYTES_PER_KIB

Ints = npt.NDArray[np.int64]


class Footprint(NamedTuple):
    """Bytes of RAM and of code in flash."""

    ram_bytes: float
    code_bytes: float


def memory_facts(chip: Chip, engine: Ints) -> tuple[Runtime | None, ...]:
    """Return, for each layer, what is known of how its runtime uses memory.

    Args:
        chip: The chip.
        engine: Index of each layer's engine among the chip's, negative where none is needed.
    """
    known = [unit.memory_facts if isinstance(unit, CoreEngine) else None for unit in chip.engines]
    return tuple(known[index] if index >= 0 else None for index in engine.tolist())


def own_footprint(
    facts: Runtime | None, rows: Sequence[Row], *, ram_kib: float = 0.0, code_kib: float = 0.0
) -> Footprint:
    """Return what a runtime takes for itself to run some layers.

    Args:
        facts: What is known of the runtime.
        rows: The layers.
        ram_kib: What to take where the facts do not say.
        code_kib: Likewise.
    """
    run = [row for row in rows if row.kind not in (FREE, UNKNOWN)]
    macs = Counter({row.dtype: 0 for row in run})
    for row in run:
        macs[row.dtype] += row.macs
    own = facts.takes(macs.most_common(1)[0][0]) if facts and run else None
    if own is None:
        return Footprint(ram_kib * BYTES_PER_KIB, code_kib * BYTES_PER_KIB)
    with_macs = sum(row.nest is not None for row in run)
    filters = sum(row.nest.g * row.nest.k for row in run if row.nest is not None)
    others = len(run) - with_macs
    return Footprint(
        own.ram_bytes + own.ram_bytes_per_layer * with_macs + own.ram_bytes_per_other_layer * others,
        own.code_bytes + own.code_bytes_per_layer * len(run) + own.code_bytes_per_filter * filters,
    )


def footprint(chip: Chip, rows: Sequence[Row], engine: Ints) -> Footprint:
    """Return what the runtimes of all cores in use take for themselves.

    A runtime's file says it by layers and filters; where there is none, the kernel table says it as one number.
    """
    taken = []
    for index, unit in enumerate(chip.engines):
        own = [row for row, by in zip(rows, engine.tolist(), strict=True) if by == index]
        if isinstance(unit, CoreEngine) and own:
            table = unit.kernel_table
            taken.append(
                own_footprint(unit.memory_facts, own, ram_kib=table.runtime_ram_kib, code_kib=table.code_flash_kib)
            )
    return Footprint(round(sum(one.ram_bytes for one in taken)), round(sum(one.code_bytes for one in taken)))
