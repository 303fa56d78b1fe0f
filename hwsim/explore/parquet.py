"""Sweeps as Parquet, written and read by DuckDB."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.errors import UsageError
from hwsim.explore.extras import need
from hwsim.explore.names import Column, find
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.files import check_writable

# The key of the file's metadata under which hwsim keeps what was asked, as JSON.
KEY = "hwsim"
# What DuckDB may hold while it puts chunks in order; the rest it keeps beside the file.
MEMORY = "800MB"


def duckdb(what: str) -> Any:
    """Return DuckDB.

    Raises:
        MissingExtraError: It is not installed.
    """
    return need("duckdb", what, extra="store")


def quoted(name: str) -> str:
    """Return a name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def write_parquet(tables: Iterable[SweepTable], path: Path) -> int:
    """Write tables of the same columns below each other, one in memory at a time, and return the number of rows.

    The file appears whole or not at all. Its metadata holds that of the first table, and what its columns are.

    Raises:
        MissingExtraError: DuckDB is not installed.
        UsageError: The file cannot be written.
    """
    database = duckdb("Parquet")
    check_writable(path)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        rows, first = 0, None
        connection = database.connect()
        for number, table in enumerate(tables):
            first = first or table
            rows += len(table)
            _copy(connection, table, folder / f"{number:09d}.parquet", {})
        if first is None:
            raise UsageError(f"cannot write {path}: the sweep has no finished chunk")
        whole = folder / "whole.parquet"
        parts = literal(str(folder / "0*.parquet"))
        columns = ", ".join(map(quoted, first.names))
        connection.execute(f"SET memory_limit = '{MEMORY}'; SET temp_directory = {literal(str(folder / 'spill'))}")
        connection.execute(
            f"COPY (SELECT {columns} FROM read_parquet({parts}) {_order(first)}) TO {literal(str(whole))} "  # noqa: S608  # names are quoted
            f"({_options(_metadata(first))})"
        )
        connection.close()
        os.replace(whole, path)
        return rows
    except (OSError, database.Error) as error:
        told = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UsageError(f"cannot write {path}: {told}; what was there is unchanged") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _order(table: SweepTable) -> str:
    """Return the clause that puts rows net by net, as they were given, and by point."""
    nets = table.metadata.get("nets")
    if not nets or not {"net", "point"} <= set(table.names):
        return ""
    return f"ORDER BY list_position([{', '.join(map(literal, nets))}], net), point"


def _copy(connection: Any, table: SweepTable, path: Path, metadata: dict[str, str]) -> None:
    connection.register("part", {name: _plain_column(table, name) for name in table.names})
    connection.execute(f"COPY part TO {literal(str(path))} ({_options(metadata)})")
    connection.unregister("part")


def _plain_column(table: SweepTable, name: str) -> Any:
    stored = table.stored(name)
    return stored.decoded() if isinstance(stored, Words) else stored


def _options(metadata: dict[str, str]) -> str:
    options = "FORMAT parquet, COMPRESSION zstd"
    if metadata:
        options += ", KV_METADATA {" + ", ".join(f"{key}: {literal(value)}" for key, value in metadata.items()) + "}"
    return options


def _metadata(table: SweepTable) -> dict[str, str]:
    columns = [[column.name, column.role, column.path, column.unit] for column in table.columns]
    return {KEY: json.dumps({"columns": columns, **table.metadata})}


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> SweepTable:
    """Return a Parquet file as a table, whose columns are read when they are asked for.

    Raises:
        MissingExtraError: DuckDB is not installed.
        UsageError: It is no Parquet file, or lacks a column.
    """
    info, metadata, rows = _told(path)
    if columns is not None:
        wanted = {find(info, name).column for name in columns}
        info = [column for column in info if column in wanted]

    def load(name: str) -> Any:
        sql = f"SELECT {quoted(name)} FROM read_parquet({literal(str(path))})"  # noqa: S608  # both are quoted
        return _asked(path, lambda connection: _array(connection.execute(sql).fetchnumpy()[name]))

    return SweepTable.lazy(load, info, rows, metadata)


def kept_columns(path: Path) -> list[Column]:
    """Return what the columns of a Parquet file are; those of one that hwsim did not write are results.

    Raises:
        MissingExtraError: DuckDB is not installed.
        UsageError: It is no Parquet file.
    """
    return _told(path)[0]


def _asked(path: Path, question: Callable[[Any], Any]) -> Any:
    """Return what a new connection is asked; what DuckDB says against it is a sentence."""
    database = duckdb("reading Parquet")
    connection = database.connect()
    try:
        return question(connection)
    except database.Error as error:
        raise UsageError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    finally:
        connection.close()


def _told(path: Path) -> tuple[list[Column], dict[str, Any], int]:
    """Return a file's columns, what its metadata tells of the question, and its rows."""
    source = f"read_parquet({literal(str(path))})"

    def ask(connection: Any) -> tuple[list[str], int, list[Any]]:
        names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]  # noqa: S608  # quoted
        rows = connection.execute(f"SELECT count(*) FROM {source}").fetchone()[0]  # noqa: S608  # quoted
        return names, rows, connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]).fetchall()

    names, rows, pairs = _asked(path, ask)
    metadata: dict[str, Any] = {}
    known: dict[str, Column] = {}
    for key, value in pairs:
        if bytes(key) == KEY.encode():
            try:
                metadata = json.loads(bytes(value))
                known = {column[0]: Column(*column) for column in metadata.pop("columns")}
            except (ValueError, KeyError, TypeError, AttributeError):
                raise UsageError(f"{path}: its metadata is not what hwsim writes") from None
    return [known.get(name, Column.of(name, "result")) for name in names], metadata, int(rows)


def _array(values: Any) -> Any:
    """Return a column that DuckDB read: a missing number is nan, a missing word is empty."""
    if not np.ma.isMaskedArray(values):
        return values
    if values.dtype.kind == "O":
        return values.filled("")
    missing = np.ma.getmaskarray(values)
    return np.where(missing, np.nan, values.data) if missing.any() else values.data
