"""Axes of a sweep: which field of which chip they vary, over which values, and in which way.

A numeric field that the engine takes as a column varies from point to point within one chip structure; every other
field (dataflows, transfers, operands, zeros, codes) makes a chip of its own for each value, as ``batch``, ``dtype`` and
``runtime`` make a workload or a kernel table of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hwsim.chip import Chip
from hwsim.chip.paths import ALTERNATIVES, full_path
from hwsim.chip.points import is_column
from hwsim.errors import UsageError, did_you_mean
from hwsim.explore.names import Column, column_names
from hwsim.explore.ranges import Span, Values, values_of
from hwsim.graph import DTYPES

# Axes that are no field of the profile.
OF_NET = ("batch", "dtype", "runtime")
KEYS = ("point", "net", "batch", "dtype", "runtime")
# What changes the shape of an array or a core, and so the mappings there are: these vary slowly.
SHAPES = ("rows", "cols", "cores", "vector_lanes")
SIZES = ("size_bytes", "size_kib", "size_mib", "reserved_kib")


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        column: Its column; the path is the full path of a field, or empty for what is of the net.
        values: Its values in the order given, or a span to be sampled.
        structural: Whether each value makes a chip structure or a workload of its own.
    """

    column: Column
    values: Values
    structural: bool

    @property
    def name(self) -> str:
        """The name of its column."""
        return self.column.name

    @property
    def path(self) -> str:
        """The field's full path, or its name for what is of the net."""
        return self.column.path or self.column.name

    @property
    def count(self) -> int:
        """How many values it has; zero for a span."""
        return 0 if isinstance(self.values, Span) else len(self.values)

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return isinstance(self.values, Span) or all(map(is_number, self.values))

    @cached_property
    def numbers(self) -> npt.NDArray[Any]:
        """Its values as numbers: int64 where all are whole, else float64."""
        assert not isinstance(self.values, Span)
        whole = all(isinstance(value, int) or float(value).is_integer() for value in self.values)
        return np.array(self.values, dtype=np.int64 if whole else np.float64)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its values as words of a column."""
        assert not isinstance(self.values, Span)
        return tuple(map(word_of, self.values))

    @property
    def slowness(self) -> int:
        """Rank among the axes in the order of evaluation: what makes more work when it changes ranks lower."""
        field = self.path.rpartition(".")[2]
        return 0 if self.structural else 1 if field in SHAPES else 2 if field in SIZES else 3


def is_number(value: Any) -> bool:
    """Return whether a value is a number and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def word_of(value: Any) -> str:
    """Return a value of a structural axis as a word: entries of a list are joined by +."""
    if isinstance(value, tuple):
        return "+".join(map(word_of, value))
    if isinstance(value, dict):
        return str(value.get("name", value))
    return str(getattr(value, "name", value))


def axes_of(chip: Chip, vary: Mapping[str, Any], taken: Sequence[str] = ()) -> tuple[Axis, ...]:
    """Return the axes of a chip.

    Args:
        chip: Whose fields they are.
        vary: Path, ``batch``, ``dtype`` or ``runtime`` -> values as ``values_of`` takes them.
        taken: Names that other columns have.

    Raises:
        UsageError: A path names no field, two name one, or there are no values.
        ChipError: A value breaks a rule of the profile.
    """
    paths = {name: name if name in OF_NET else _path(chip, name) for name in vary}
    _check_apart(paths)
    names = column_names([path for path in paths.values() if path not in OF_NET], [*KEYS, *taken])
    axes = []
    for name, path in paths.items():
        values = values_of(vary[name], name)
        if path in OF_NET:
            axes.append(Axis(Column(path, "axis"), _of_net(path, values, chip), structural=True))
            continue
        column = Column.of(names[path], "axis", path)
        numeric = isinstance(values, Span) or all(map(is_number, values))
        if isinstance(values, Span) and not is_column(path):
            raise UsageError(f"axis {name}: a span can be drawn from for a numeric field only; list its values")
        if not numeric or not is_column(path):
            values = tuple(_listed(chip, path, value) for value in cast("tuple[Any, ...]", values))
            axes.append(Axis(column, values, structural=True))
        else:
            axes.append(Axis(column, values, structural=False))
        _check_values(chip, axes[-1])
    return tuple(axes)


def _path(chip: Chip, name: str) -> str:
    try:
        return full_path(chip, name)
    except UsageError as error:
        hint = did_you_mean(name, [*OF_NET, "net"])
        raise UsageError(
            f"axis {name}: {error}" if not hint else f"axis {name}: there is none of that name{hint}"
        ) from None


def _check_apart(paths: Mapping[str, str]) -> None:
    """Check that no two axes set the same quantity."""
    seen: dict[str, str] = {}
    for name, path in paths.items():
        owner, _, field = path.rpartition(".")
        group = next((group for group in ALTERNATIVES if field in group), (field,))
        quantity = f"{owner}.{group[0]}"
        if quantity in seen:
            raise UsageError(f"axes {seen[quantity]} and {name}: set the same quantity; keep one of them")
        seen[quantity] = name


def _of_net(name: str, values: Values, chip: Chip) -> tuple[Any, ...]:
    if isinstance(values, Span):
        raise UsageError(f"axis {name}: list its values")
    for value in values:
        if name == "batch" and not (isinstance(value, int) and 1 <= value <= 2**20):
            raise UsageError(f"axis batch = {value}: must be a whole number from 1 to 2^20")
        if name == "dtype" and value not in DTYPES:
            raise UsageError(
                f"axis dtype = {value}: must be one of {', '.join(DTYPES)}{did_you_mean(str(value), DTYPES)}"
            )
        if name == "runtime" and value not in chip.runtimes:
            known = ", ".join(chip.runtimes) or "none"
            raise UsageError(
                f"axis runtime = {value}: {chip.name} has {known}{did_you_mean(str(value), chip.runtimes)}"
            )
    return values


def _listed(chip: Chip, path: str, value: Any) -> Any:
    """Return a value as the field takes it: words joined by + make the list that a field of lists holds."""
    holds_list = isinstance(chip.get(path), tuple) or path.rpartition(".")[2] in _OF_LISTS
    return tuple(value.split("+")) if isinstance(value, str) and holds_list else value


# Fields that hold a list, or nothing where the profile leaves them out.
_OF_LISTS = ("dataflows", "operands", "holds", "gates", "takes", "memories")


def _check_values(chip: Chip, axis: Axis) -> None:
    """Check values against the profile's rules: each that makes a structure, the ends of what are columns."""
    if isinstance(axis.values, Span):
        ends: Sequence[Any] = (axis.values.low, axis.values.high)
        field = axis.path.rpartition(".")[2]
        ends = (
            [round(end) for end in ends] if field in ("rows", "cols", "cores", "vector_lanes", "size_bytes") else ends
        )
    else:
        ends = axis.values if axis.structural else (min(axis.values), max(axis.values))
    for value in ends:
        whole = isinstance(value, float) and value.is_integer()
        chip.replace(axis.path, int(value) if whole else value)
