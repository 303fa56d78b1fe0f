"""The result of a sweep: ordered columns as numpy arrays, one row per design point and net."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hwsim.errors import UsageError
from hwsim.explore.expression import Expression, parse
from hwsim.explore.names import Column, Found, find
from hwsim.explore.words import Words

if TYPE_CHECKING:
    import pandas

Array = npt.NDArray[Any]


class SweepTable:
    """Columns of equal length.

    ``table["latency_ms"]`` is a column in the unit asked for (see ``hwsim.explore.names``). Numbers are float64 or
    int64, ``fits`` is bool, words are arrays of Python strings; a number without a meaning is nan, and ``reason``
    says why.

    Attributes:
        columns: What each column is, in order.
        metadata: What was asked: nets, profile, axes, objective, versions; JSON values.
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        info: Sequence[Column] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Take columns.

        Args:
            columns: Name -> array, list or ``Words``, in order, all of one length.
            info: What columns are; those left out are results.
            metadata: What was asked.

        Raises:
            UsageError: Lengths differ.
        """
        told = {column.name: column for column in info}
        self.columns = tuple(told.get(name, Column.of(name, "result")) for name in columns)
        self.metadata = dict(metadata or {})
        self._data: dict[str, Array | Words] = {name: _stored(values) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in self._data.items()}
        if len(set(lengths.values())) > 1:
            raise UsageError(f"columns of a table differ in length: {lengths}")
        self._length = next(iter(lengths.values()), 0)

    @classmethod
    def lazy(
        cls, load: Callable[[str], Array | Words], info: Sequence[Column], length: int, metadata: Mapping[str, Any]
    ) -> SweepTable:
        """Return a table whose columns are loaded when they are first asked for."""
        table = cls({}, metadata=metadata)
        table.columns, table._data, table._length = tuple(info), _Loaded(load), length
        return table

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def axes(self) -> tuple[Column, ...]:
        """The columns that were varied, in the order they were given in."""
        return tuple(column for column in self.columns if column.role == "axis")

    def find(self, name: str) -> Found:
        """Return the column and the unit that a name stands for.

        Raises:
            UsageError: It stands for none; the nearest is told.
        """
        return find(self.columns, name)

    def __contains__(self, name: object) -> bool:
        """Return whether a name stands for a column."""
        try:
            return isinstance(name, str) and bool(self.find(name))
        except UsageError:
            return False

    def __getitem__(self, name: str) -> Array:
        """Return a column in the unit asked for."""
        found = self.find(name)
        data = self._data[found.column.name]
        if isinstance(data, Words):
            return data.decoded()
        return data if found.factor == 1.0 else data * found.factor

    def stored(self, name: str) -> Array | Words:
        """Return a column as it is kept: words as numbers and a vocabulary."""
        return self._data[self.find(name).column.name]

    def take(self, rows: npt.ArrayLike | slice) -> SweepTable:
        """Return some of the rows, by index, mask or slice."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        return SweepTable({name: self._data[name][chosen] for name in self.names}, self.columns, self.metadata)

    def where(self, condition: str | Expression) -> SweepTable:
        """Return the rows at which a condition holds, such as ``latency_ms < 20 and sram_kib <= 256``.

        Raises:
            UsageError: It is no condition, or names what the table does not have.
        """
        expression = parse(condition) if isinstance(condition, str) else condition
        return self.take(np.broadcast_to(expression.where(self.__getitem__), (len(self),)))

    def row(self, index: int) -> dict[str, Any]:
        """Return a row as plain values by column."""
        return {name: _plain(self._data[name][index]) for name in self.names}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        return (self.row(index) for index in range(len(self)))

    @classmethod
    def joined(cls, tables: Sequence[SweepTable]) -> SweepTable:
        """Return tables of the same columns below each other; columns that one lacks are nan or empty there."""
        columns = {column.name: column for table in reversed(tables) for column in table.columns}
        first = tables[0].names
        names = [*first, *(name for name in columns if name not in first)]
        data = {
            name: _below([table._data[name] if name in table.names else len(table) for table in tables])
            for name in names
        }
        return cls(data, list(columns.values()), tables[0].metadata)

    @classmethod
    def read(cls, path: str | Path, columns: Sequence[str] | None = None) -> SweepTable:
        """Return what a sweep wrote: a folder of chunks, a Parquet or a CSV file.

        Args:
            path: Where.
            columns: Names of those wanted, as ``find`` takes them; None is all.

        Raises:
            UsageError: It is none of these, or lacks a column.
            MissingExtraError: It is Parquet, and DuckDB is not installed.
        """
        from hwsim.explore.files import read

        return read(Path(path), columns)

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the table as CSV text, and write it if a path is given; a number without a meaning is left empty."""
        from hwsim.explore.files import csv_text
        from hwsim.files import write_whole

        text = csv_text(self)
        if path is not None:
            write_whole(path, text)
        return text

    def to_parquet(self, path: str | Path) -> None:
        """Write the table as Parquet, with ``metadata`` in its own, through DuckDB.

        Raises:
            MissingExtraError: DuckDB is not installed.
            UsageError: The file cannot be written.
        """
        from hwsim.explore.parquet import write_parquet

        write_parquet([self], Path(path))

    def write(self, path: str | Path) -> None:
        """Write the table as the Parquet or CSV file that the path's ending names.

        Raises:
            MissingExtraError: It is Parquet, and DuckDB is not installed.
            UsageError: It is neither, or cannot be written.
        """
        match Path(path).suffix.lower():
            case ".parquet":
                self.to_parquet(path)
            case ".csv":
                self.to_csv(path)
            case _:
                raise UsageError(f"cannot write {path}: a table is a .parquet or a .csv")

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a DataFrame of the pandas that is installed.

        Raises:
            MissingExtraError: There is none.
        """
        from hwsim.explore.extras import need

        return need("pandas", "to_pandas", extra=None).DataFrame({name: self[name] for name in self.names})

    def __repr__(self) -> str:
        """Return what the table holds, in a line."""
        axes = ", ".join(column.name for column in self.axes)
        return f"SweepTable({len(self):,} rows × {len(self.columns)} columns; axes: {axes or 'none'})"


class _Loaded(dict[str, Array | Words]):
    """Columns that are loaded when they are first asked for."""

    def __init__(self, load: Callable[[str], Array | Words]) -> None:
        super().__init__()
        self._load = load

    def __missing__(self, name: str) -> Array | Words:
        self[name] = _stored(self._load(name))
        return self[name]


def _stored(values: Any) -> Array | Words:
    """Return a column as it is kept."""
    if isinstance(values, Words):
        return values
    array = np.asarray(values)
    if array.ndim != 1:
        raise UsageError(f"a column of a table is a list of values, not of shape {array.shape}")
    if array.dtype.kind in "OUT":
        return Words.of(array)
    kind = {"i": np.int64, "u": np.int64, "f": np.float64, "b": np.bool_}.get(array.dtype.kind)
    if kind is None:
        raise UsageError(f"a column of a table holds numbers, truth values or words, not {array.dtype}")
    return array.astype(kind, copy=False)


def _below(parts: Sequence[Array | Words | int]) -> Array | Words:
    """Return the parts of a column below each other; a number stands for so many rows without it."""
    there = [part for part in parts if not isinstance(part, int)]
    if isinstance(there[0], Words):
        return Words.joined([Words.empty(part) if isinstance(part, int) else part for part in parts])  # type: ignore[misc]
    return np.concatenate([np.full(part, np.nan) if isinstance(part, int) else part for part in parts])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
