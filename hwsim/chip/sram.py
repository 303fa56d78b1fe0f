"""SRAM by size and node: what an access costs, what leaks and how large it is, interpolated in a sweep of CACTI 7.

The sweep (``hw_profiles/sram/cacti7.csv``) has 1 KiB to 4 MiB at 22, 32, 45, 65 and 90 nm. Between its points every
quantity is a power of size and of node (straight lines on logarithmic axes); outside it nothing is told.

Source: CACTI 7 as HewlettPackard/cacti 1ffd8df; one bank, one read-write port, 320 K.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hwsim.data_folder import data_folder
from hwsim.units import BITS_PER_BYTE

Floats = npt.NDArray[np.float64]
Cell = Literal["itrs-lstp", "itrs-hp"]
LOW_STANDBY_POWER: Cell = "itrs-lstp"
ACCESS_BITS = 64
SMALLEST_BYTES, LARGEST_BYTES = 2**10, 2**22
FINEST_NM, COARSEST_NM = 22.0, 90.0
CACTI_RANGE = "1 KiB to 4 MiB at 22 to 90 nm"
# The word that stands in a profile for a price by size.
BY_CACTI = "cacti"


@dataclass(frozen=True, slots=True)
class Sram:
    """An SRAM's figures; arrays of the shape asked for.

    Attributes:
        read_pj: Energy of a read access [pJ].
        write_pj: Energy of a write access [pJ].
        leak_mw: Leakage [mW].
        area_mm2: Area [mm²].
    """

    read_pj: Floats
    write_pj: Floats
    leak_mw: Floats
    area_mm2: Floats


def covers(size_bytes: Any, node_nm: Any) -> npt.NDArray[np.bool_]:
    """Return whether the sweep reaches these sizes and nodes."""
    size, node = np.asarray(size_bytes), np.asarray(node_nm)
    inside = (size >= SMALLEST_BYTES) & (size <= LARGEST_BYTES) & (node >= FINEST_NM) & (node <= COARSEST_NM)
    return np.asarray(inside)


def sram(size_bytes: Any, node_nm: Any, *, access_bits: int = ACCESS_BITS, cell: Cell = LOW_STANDBY_POWER) -> Sram:
    """Return an SRAM's figures.

    Args:
        size_bytes: Size [B], a number or an array.
        node_nm: Process node [nm], likewise.
        access_bits: Width of an access: 32, 64 or 128.
        cell: Low standby power or high performance cells.
    """
    assert covers(size_bytes, node_nm).all()
    sizes, nodes, tables = _tables(access_bits, cell)
    size, node = np.broadcast_arrays(
        np.log(np.asarray(size_bytes, dtype=np.float64)), np.log(np.asarray(node_nm, dtype=np.float64))
    )
    row, size_share = _between(sizes, size)
    column, node_share = _between(nodes, node)
    found = []
    for table in tables:
        low = table[row, column] * (1 - size_share) + table[row + 1, column] * size_share
        high = table[row, column + 1] * (1 - size_share) + table[row + 1, column + 1] * size_share
        found.append(np.exp(low * (1 - node_share) + high * node_share))
    return Sram(*found)


def sram_pj_per_byte(size_bytes: Any, node_nm: Any) -> tuple[Floats, Floats]:
    """Return the energy of a byte read and of a byte written [pJ/B], at 64-bit accesses of low standby power cells."""
    figures = sram(size_bytes, node_nm)
    bytes_per_access = ACCESS_BITS // BITS_PER_BYTE
    return figures.read_pj / bytes_per_access, figures.write_pj / bytes_per_access


def _between(grid: Floats, at: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the grid interval each value falls into, and how far along it."""
    index = np.clip(np.searchsorted(grid, at, side="right") - 1, 0, len(grid) - 2)
    return index, (at - grid[index]) / (grid[index + 1] - grid[index])


@lru_cache
def _tables(access_bits: int, cell: Cell) -> tuple[Floats, Floats, tuple[Floats, ...]]:
    """Return the logarithms of sizes, nodes, and of each figure by size and node."""
    with (data_folder("hw_profiles") / "sram" / "cacti7.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(line for line in file if not line.startswith("#")))
    chosen = [line for line in lines if int(line["access_bits"]) == access_bits and line["cell"] == cell]
    sizes, nodes = (np.array(sorted({float(line[name]) for line in chosen})) for name in ("size_bytes", "tech_nm"))
    tables = []
    for name in ("read_pJ", "write_pJ", "leak_mW", "area_mm2"):
        by_place = {(float(line["size_bytes"]), float(line["tech_nm"])): float(line[name]) for line in chosen}
        tables.append(np.log([[by_place[size, node] for node in nodes] for size in sizes]))
    assert len(tables) == len(fields(Sram))
    return np.log(sizes), np.log(nodes), tuple(tables)
