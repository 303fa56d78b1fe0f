"""Fields that follow from others, outputs that are computed beside the costs, and constraints on design points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.chip import Chip
from hwsim.chip.paths import ALTERNATIVES, full_path
from hwsim.chip.points import is_column
from hwsim.errors import UsageError
from hwsim.explore.axes import KEYS, Axis, is_number
from hwsim.explore.expression import Expression, parse
from hwsim.explore.names import Column, column_names, find
from hwsim.units import BYTES_PER_KIB, BYTES_PER_MIB

Array = npt.NDArray[Any]
_BYTES_PER = {"size_bytes": 1, "size_kib": BYTES_PER_KIB, "size_mib": BYTES_PER_MIB}


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that follows from others; a field of the profile where its column has a path."""

    column: Column
    expression: Expression


@dataclass(frozen=True, slots=True)
class Rules:
    """What follows from the axes at every point.

    Attributes:
        derived: In an order in which each needs only those before it.
        constraints: What a point must keep to be costed at all.
    """

    derived: tuple[Derived, ...] = ()
    constraints: tuple[Expression, ...] = ()

    def follow(self, chip: Chip, columns: Mapping[Column, Array], rows: int) -> tuple[dict[Column, Array], Array]:
        """Return the derived columns, and where the constraints hold.

        Args:
            chip: The structure; what is neither varied nor derived is read from it.
            columns: The axes' values, shape [row] each.
            rows: How many rows there are.

        Raises:
            UsageError: A name stands for nothing, or a function is asked for what it does not know.
        """
        known = dict(columns)
        value_of = _lookup(chip, known)
        node_nm = _node(chip, known)
        made: dict[Column, Array] = {}
        for derived in self.derived:
            value = np.asarray(derived.expression(value_of, node_nm=node_nm))
            if value.dtype.kind not in "biuf":
                raise UsageError(
                    f"derived {derived.column.name} = {derived.expression.text!r}: is a word, not a number"
                )
            made[derived.column] = np.broadcast_to(value.astype(np.float64), (rows,))
            known[derived.column] = made[derived.column]
        kept = np.ones(rows, dtype=np.bool_)
        for constraint in self.constraints:
            kept &= constraint.where(value_of, node_nm=node_nm)
        return made, kept


def rules_of(chip: Chip, axes: Sequence[Axis], derived: Mapping[str, str], constraints: Sequence[str]) -> Rules:
    """Return derived fields and constraints, checked against a chip and the axes.

    Raises:
        UsageError: A text is not arithmetic or reads what there is not, a derived field is an axis, or some need each
            other.
    """
    paths = {name: path for name in derived if (path := _field(chip, name)) is not None}
    varied = {axis.path: axis.name for axis in axes}
    for name, path in paths.items():
        if path in varied:
            raise UsageError(f"derived {name}: is an axis as well; leave it out of one of them")
        if not is_column(path):
            raise UsageError(f"derived {name}: only a numeric field can follow from others; vary it")
    taken = [*KEYS, *(axis.name for axis in axes)]
    names = column_names(list(paths.values()), [*taken, *derived])
    columns = {
        name: Column.of(names[paths[name]], "derived", paths[name]) if name in paths else _output(name, taken, chip)
        for name in derived
    }
    parsed = {name: _parsed(f"derived {name}", text) for name, text in derived.items()}
    of_column = {column.name: name for name, column in columns.items()}
    needs = {name: _needs(expression, columns, of_column) for name, expression in parsed.items()}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise UsageError(
            f"derived fields need each other: {' -> '.join(reversed(error.args[1]))}; give one a value"
        ) from None
    rules = Rules(
        tuple(Derived(columns[name], parsed[name]) for name in order),
        tuple(_parsed("constraint", text) for text in constraints),
    )
    # What they read is looked up once here, so that a sweep does not begin with what cannot be computed.
    _check_names(chip, axes, rules)
    return rules


def _check_names(chip: Chip, axes: Sequence[Axis], rules: Rules) -> None:
    known = {axis.column: np.zeros(0) for axis in axes} | {derived.column: np.zeros(0) for derived in rules.derived}
    value_of = _lookup(chip, known)
    for expression in (*(derived.expression for derived in rules.derived), *rules.constraints):
        for name in expression.names:
            try:
                value_of(name)
            except UsageError as error:
                raise UsageError(f"{expression.text!r}: {error}") from None


def _parsed(what: str, text: Any) -> Expression:
    try:
        return parse(text if isinstance(text, str) else str(text))
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from None


def _field(chip: Chip, name: str) -> str | None:
    """Return the full path of a field, or None for a name that is to be an output."""
    try:
        return full_path(chip, name)
    except UsageError:
        if "." in name:
            raise
        return None


def _output(name: str, taken: Sequence[str], chip: Chip) -> Column:
    if not (name.isidentifier() and name.isascii()) or name.lower() in taken:
        raise UsageError(f"derived {name}: is no field of {chip.name}, and cannot be a column of that name")
    return Column.of(name, "derived")


def _needs(expression: Expression, columns: Mapping[str, Column], of_column: Mapping[str, str]) -> set[str]:
    """Return the derived names that an expression reads."""
    found = set()
    for name in expression.names:
        try:
            found.add(of_column[find(list(columns.values()), name).column.name])
        except UsageError:
            continue
    return found


def _lookup(chip: Chip, known: Mapping[Column, Array]) -> Callable[[str], Any]:
    """Return what gives the value of a name: a column in the unit asked for, else the chip's field."""

    def value_of(name: str) -> Any:
        try:
            found = find(list(known), name)
        except UsageError as missing:
            return _of_chip(chip, name, known, missing)
        values = known[found.column]
        return values if found.factor == 1.0 else values * found.factor

    return value_of


def _of_chip(chip: Chip, name: str, known: Iterable[Column], missing: UsageError) -> float:
    """Return a field's number; one that the profile states in another unit is converted."""
    try:
        path = full_path(chip, name)
    except UsageError as unknown:
        raise (unknown if "." in name else missing) from None
    value = chip.get(path)
    owner, _, field = path.rpartition(".")
    if value is None and field in _BYTES_PER and owner.startswith("memories."):
        value = chip.memory(owner.removeprefix("memories.")).size_bytes / _BYTES_PER[field]
    beside = [f"{owner}.{other}" for group in ALTERNATIVES if field in group for other in group]
    if not is_number(value) or any(column.path in beside for column in known):
        raise UsageError(f"{name}: {chip.name} gives no number for it in that unit; vary it, or write the number")
    return float(value)


def _node(chip: Chip, known: Mapping[Column, Array]) -> Any:
    for column, values in known.items():
        if column.path == "process_nm":
            return values
    return chip.process_nm
