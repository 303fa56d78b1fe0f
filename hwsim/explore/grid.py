"""The points of a sweep: numbered as the user orders the axes, visited so that neighbours share what is costly.

The number of a point is its row-major index in the grid of the axes as given (the last varies fastest), or its place
among the samples. Points are visited net by net, structure by structure, array shape by array shape; a position in that
order is turned into a point by arithmetic, so no grid is ever held, and how it is cut into chunks changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from hwsim.chip.points import WHOLE
from hwsim.errors import UsageError, did_you_mean
from hwsim.explore.axes import Axis
from hwsim.explore.extras import need
from hwsim.explore.ranges import Span

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_GRID = 10**12
MAX_SAMPLES = 20_000_000
Method = Literal["latin_hypercube", "sobol"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a sweep, in the order they are visited.

    Attributes:
        points: Numbers of the points, shape [row].
        nets: Index of each row's net, shape [row].
        at: For each axis, in its order: index of the value by row, or the value itself where the axis is a span.
    """

    points: Ints
    nets: Ints
    at: tuple[Ints | Floats, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.points)


class Plan(Protocol):
    """Which rows there are, and in which order."""

    @property
    def rows(self) -> int:
        """Design points times nets."""

    def block(self, start: int, stop: int) -> Block:
        """Return the rows from one position in the order of visit to another."""


@dataclass(frozen=True)
class Grid:
    """Every combination of the axes' values, for every net."""

    axes: tuple[Axis, ...]
    nets: int

    @cached_property
    def points(self) -> int:
        """Design points."""
        return prod(axis.count for axis in self.axes)

    @cached_property
    def rows(self) -> int:
        """Design points times nets."""
        return self.points * self.nets

    @cached_property
    def _order(self) -> list[int]:
        """Indices of the axes from the slowest to the fastest in the order of visit."""
        return sorted(range(len(self.axes)), key=lambda index: self.axes[index].slowness)

    def block(self, start: int, stop: int) -> Block:
        """Return the rows from one position in the order of visit to another."""
        left = np.arange(start, stop, dtype=np.int64)
        at: list[Ints] = [np.empty(0, dtype=np.int64)] * len(self.axes)
        for index in reversed(self._order):
            left, at[index] = np.divmod(left, self.axes[index].count)
        points = np.zeros(stop - start, dtype=np.int64)
        for axis, place in zip(self.axes, at, strict=True):
            points = points * axis.count + place
        return Block(points, left, tuple(at))


@dataclass(frozen=True)
class Samples:
    """Points drawn from the axes, each net at the same ones.

    Attributes:
        axes: The axes; a value of a list is drawn by its place in it.
        nets: Number of nets.
        count: Number of points.
        method: How they are drawn.
        seed: From where.
    """

    axes: tuple[Axis, ...]
    nets: int
    count: int
    method: Method
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_SAMPLES:
            raise UsageError(f"sample count = {self.count:,}: must be from 1 to {MAX_SAMPLES:,}")
        if self.seed < 0:
            raise UsageError(f"sample seed = {self.seed}: must be >= 0")

    @property
    def rows(self) -> int:
        """Design points times nets."""
        return self.count * self.nets

    @cached_property
    def _drawn(self) -> tuple[Ints, tuple[Ints | Floats, ...]]:
        """Return the points in the order of visit, and where they are on each axis."""
        qmc = need("scipy.stats.qmc", f"sampling by {self.method}", extra="sample", package="scipy")
        engine = {"latin_hypercube": qmc.LatinHypercube, "sobol": qmc.Sobol}[self.method]
        if not self.axes:
            return np.arange(self.count), ()
        drawn = engine(len(self.axes), rng=self.seed)
        # A Sobol sequence is balanced over powers of two; its first points are those of a longer one.
        power = (self.count - 1).bit_length()
        shares = drawn.random_base2(power)[: self.count] if self.method == "sobol" else drawn.random(self.count)
        at = tuple(drawn_at(axis, shares[:, index]) for index, axis in enumerate(self.axes))
        ranked = sorted(range(len(self.axes)), key=lambda index: self.axes[index].slowness)
        slow = [at[index] for index in ranked if self.axes[index].slowness < 2]
        order = np.lexsort(slow[::-1]) if slow else np.arange(self.count)
        return order.astype(np.int64), tuple(column[order] for column in at)

    def block(self, start: int, stop: int) -> Block:
        """Return the rows from one position in the order of visit to another."""
        nets, sample = np.divmod(np.arange(start, stop, dtype=np.int64), self.count)
        points, at = self._drawn
        return Block(points[sample], nets, tuple(column[sample] for column in at))


def drawn_at(axis: Axis, shares: Floats) -> Ints | Floats:
    """Return where shares 0..1 fall on an axis: the index of a value of a list, or a value of a span."""
    if not isinstance(axis.values, Span):
        return np.minimum((shares * axis.count).astype(np.int64), axis.count - 1)
    values = axis.values.at(shares)
    return np.rint(values) if axis.path.rpartition(".")[2] in WHOLE else values


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many points to draw, and how."""

    method: Method
    count: int
    seed: int = 0

    @classmethod
    def of(cls, text: str, seed: int | None = None) -> Sampling:
        """Return what ``sobol:1000`` says.

        Raises:
            UsageError: It is not of that form.
        """
        method, _, count = text.partition(":")
        return cls(_method(method, text), _count(count, text), 0 if seed is None else seed)


def _method(word: str, text: str) -> Method:
    for method in METHODS:
        if word == method:
            return method
    raise UsageError(
        f"sample {text}: must be {' or '.join(METHODS)} and a count, as in sobol:1000{did_you_mean(word, METHODS)}"
    )


def _count(word: str, text: str) -> int:
    if not word.isdecimal() or len(word) > 12:
        raise UsageError(f"sample {text}: must tell how many points, as in sobol:1000")
    return int(word)


def plan(axes: Sequence[Axis], nets: int, sampling: Sampling | None) -> Plan:
    """Return the rows of a sweep.

    Raises:
        UsageError: The grid is too large, or a span is not sampled.
    """
    if sampling is not None:
        return Samples(tuple(axes), nets, sampling.count, sampling.method, sampling.seed)
    for axis in axes:
        if isinstance(axis.values, Span):
            low, high = axis.values.low, axis.values.high
            raise UsageError(
                f"axis {axis.name} = {low:g}:{high:g}: a span is to be sampled (--sample sobol:1000), "
                f"or give its steps: {low:g}:{high:g}:{(high - low) / 8:g}"
            )
    grid = Grid(tuple(axes), nets)
    if grid.rows > MAX_GRID:
        sizes = " × ".join(str(axis.count) for axis in axes) + (f" × {nets} nets" if nets > 1 else "")
        raise UsageError(
            f"the grid has {sizes} = {grid.rows:.3g} points; {MAX_GRID:.0e} is the most: take larger steps, "
            f"or sample it, as in --sample sobol:100000"
        )
    return grid
