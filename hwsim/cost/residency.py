"""Where a net's weights and activations live on each hardware point, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwsim.chip import Chip, HardwarePoints
from hwsim.errors import UsageError, did_you_mean

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
CONTENTS = ("weights", "activations")
RAM = "ram"  # for a memory's name: the nearest on-chip one that can be written to and has room


@dataclass(frozen=True)
class Home:
    """The memory that holds one kind of contents, by point.

    Attributes:
        points: The hardware points.
        index: Position of the memory among the chip's, shape [point].
        fits: Whether the contents fit it, shape [point].
    """

    points: HardwarePoints
    index: Ints
    fits: Bools

    def at(self, points: HardwarePoints, index: slice) -> Home:
        """Return the home at some of the points.

        Args:
            points: These points.
            index: Where they stand among all.
        """
        return Home(points, self.index[index], self.fits[index])

    def _select(self, quantity: str) -> Floats:
        columns = [getattr(self.points.memory(memory.name), quantity) for memory in self.points.chip.memories]
        count = self.points.count
        return np.choose(self.index, [np.broadcast_to(column, (count,)) for column in columns]).astype(np.float64)

    @cached_property
    def read_s_per_byte(self) -> Floats:
        """Time of a byte read, shape [point]."""
        return 1.0 / self._select("read_bytes_per_s")

    @cached_property
    def write_s_per_byte(self) -> Floats:
        """Time of a byte written, shape [point]."""
        return 1.0 / self._select("write_bytes_per_s")

    @cached_property
    def size_bytes(self) -> Floats:
        """What the net may use of it, shape [point]."""
        return self._select("size_bytes")

    @cached_property
    def latency_s(self) -> Floats:
        """Time before a transfer's first byte, shape [point]."""
        return self._select("latency_s")

    @cached_property
    def stall_s_per_byte(self) -> Floats:
        """What a core waits per byte it reads, shape [point]."""
        return self._select("stall_s_per_byte")

    @cached_property
    def reread_s_per_byte(self) -> Floats:
        """What a core waits per byte it reads again, shape [point]."""
        return self._select("reread_s_per_byte")

    @cached_property
    def cache_bytes(self) -> Floats:
        """Size of the cache in front of the memory, shape [point]."""
        return self._select("cache_bytes")

    @cached_property
    def read_pj_per_byte(self) -> Floats:
        """Energy of a byte read, shape [point]."""
        return self._select("read_pj_per_byte")

    @cached_property
    def write_pj_per_byte(self) -> Floats:
        """Energy of a byte written, shape [point]."""
        return self._select("write_pj_per_byte")


@dataclass(frozen=True)
class Residency:
    """Homes of activations and weights."""

    activations: Home
    weights: Home

    def at(self, points: HardwarePoints, index: slice) -> Residency:
        """Return the homes at some of the points, as ``Home.at`` does."""
        return Residency(self.activations.at(points, index), self.weights.at(points, index))


def place(
    points: HardwarePoints,
    reachable: Sequence[str],
    *,
    arena_bytes: int,
    weight_bytes: int,
    wanted: Mapping[str, str] | None = None,
) -> Residency:
    """Put activations, then weights, into the nearest memory that may hold them and has room.

    What fits nowhere is put into the last memory that may hold it, and its ``fits`` is false there.

    Args:
        points: Hardware points; sizes may differ from point to point.
        reachable: Names of the memories that may be homes, nearest first.
        arena_bytes: Need of the activation arena.
        weight_bytes: Need of the weights; they share with the arena where both land in one memory.
        wanted: Contents -> memory, to overrule "nearest"; ``ram`` is the nearest on-chip one that is not flash.

    Raises:
        UsageError: ``wanted`` names no contents, no memory, or one that may not hold them.
    """
    wanted = wanted or {}
    for contents, memory in wanted.items():
        _check_wanted(points.chip, reachable, contents, memory)
    count = points.count
    arena = _nearest(points, _allowed(points.chip, reachable, "activations", wanted), np.full(count, arena_bytes))
    allowed = _allowed(points.chip, reachable, "weights", wanted)
    names = [memory.name for memory in points.chip.memories]
    needs = {name: weight_bytes + np.where(arena.index == names.index(name), arena_bytes, 0) for name in allowed}
    return Residency(arena, _nearest_by_memory(points, needs))


def _nearest(points: HardwarePoints, allowed: Sequence[str], need: Ints) -> Home:
    return _nearest_by_memory(points, dict.fromkeys(allowed, need))


def _nearest_by_memory(points: HardwarePoints, needs: Mapping[str, Ints]) -> Home:
    """Return the first memory whose usable size covers its need, or the last where none does."""
    names = [memory.name for memory in points.chip.memories]
    roomy = np.stack(
        [np.broadcast_to(points.memory(name).size_bytes >= need, (points.count,)) for name, need in needs.items()]
    )
    fits = np.asarray(roomy.any(axis=0))
    position = np.where(fits, roomy.argmax(axis=0), len(needs) - 1)
    return Home(points, np.array([names.index(name) for name in needs], dtype=np.int64)[position], fits)


def _allowed(chip: Chip, reachable: Sequence[str], contents: str, wanted: Mapping[str, str]) -> list[str]:
    if wanted.get(contents) == RAM:
        return _on_chip_ram(chip, reachable)
    if contents in wanted:
        return [wanted[contents]]
    return [memory.name for memory in chip.memories if memory.name in reachable and contents in memory.holds]


def _on_chip_ram(chip: Chip, reachable: Sequence[str]) -> list[str]:
    memories = [memory for memory in chip.memories if memory.name in reachable]
    return [memory.name for memory in memories if chip.memory_kind(memory) not in ("flash", "dram")]


def _check_wanted(chip: Chip, reachable: Sequence[str], contents: str, memory: str) -> None:
    if memory == RAM and contents in CONTENTS and _on_chip_ram(chip, reachable):
        return
    if contents not in CONTENTS:
        raise UsageError(
            f"place {contents}={memory}: can place weights or activations{did_you_mean(contents, CONTENTS)}"
        )
    holders = [m.name for m in chip.memories if m.name in reachable and (contents in m.holds or m.kind != "flash")]
    if memory not in holders:
        raise UsageError(
            f"place {contents}={memory}: on {chip.name} they can live in {', '.join(holders)}"
            f"{did_you_mean(memory, holders)}"
        )
