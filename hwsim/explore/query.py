"""SQL over a sweep, by DuckDB: one SELECT over the table ``sweep``, and nothing else within reach."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwsim.errors import UsageError
from hwsim.explore.names import Column, find
from hwsim.explore.parquet import MEMORY, duckdb, kept_columns, literal, quoted
from hwsim.explore.store import Store
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.files import need_regular

TABLE = "sweep"
MAX_SQL = 100_000
_STAR = re.compile(r"(?:\b(?:select|distinct|all)|[,.])\s*\*|\bcolumns\s*\(", re.IGNORECASE)


def query(path: str | Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the column names and the rows that a SELECT gives.

    No file but the sweep's is read, none is written, no extension is loaded.

    Args:
        path: A folder of chunks, a Parquet or a CSV file.
        sql: One SELECT over the table ``sweep``.

    Raises:
        MissingExtraError: DuckDB is not installed.
        UsageError: The SQL is wrong or is no SELECT, or the sweep cannot be read.
    """
    database = duckdb("query")
    if len(sql) > MAX_SQL:
        raise UsageError(f"the SQL has {len(sql):,} characters; {MAX_SQL:,} is the most")
    with tempfile.TemporaryDirectory(prefix="hwsim-") as folder:
        connection = database.connect(str(Path(folder) / "sweep.duckdb"))
        try:
            _select_only(connection, database, sql)
            connection.execute(f"SET memory_limit = '{MEMORY}'; SET python_enable_replacements = false")
            columns = _fill(connection, Path(path), sql)
            connection.execute("SET enable_external_access = false; SET lock_configuration = true")
            return _answer(connection, database, sql, columns)
        finally:
            connection.close()


def _select_only(connection: Any, database: Any, sql: str) -> None:
    try:
        statements = connection.extract_statements(sql)
    except database.Error as error:
        raise UsageError(f"SQL: {_first_line(error)}") from None
    kinds = [str(statement.type).rpartition(".")[2] for statement in statements]
    if kinds != ["SELECT"]:
        told = " and ".join(kinds) or "nothing"
        raise UsageError(f"SQL: one SELECT over the table {TABLE} is run, not {told}")


def _fill(connection: Any, path: Path, sql: str) -> Sequence[Column]:
    """Make the table; of a folder or a CSV only the columns that the SQL could mean are read."""
    if not path.is_dir():
        need_regular(path, UsageError)
        if path.suffix.lower() == ".parquet":
            kept = kept_columns(path)
            connection.execute(f"SET allowed_paths = [{literal(str(path))}]")
            connection.execute(f"CREATE VIEW {TABLE} AS SELECT * FROM read_parquet({literal(str(path))})")  # noqa: S608  # a quoted path
            return kept
    store = Store.open(path) if path.is_dir() else None
    whole = None if store is not None else SweepTable.read(path)
    columns = store.columns if store is not None else whole.columns if whole is not None else ()
    words = [word.lower() for word in re.findall(r"\w+", sql)]
    # SELECT *, t.*, COLUMNS(…), and a FROM that no SELECT goes with, mean every column.
    every = bool(_STAR.search(sql)) or words.count("from") > words.count("select")
    named = [column.name for column in columns if every or column.name.lower() in words]
    # A table needs a column; a SELECT may do without.
    named = named or [columns[0].name]
    for index, table in enumerate(store.tables(named) if store is not None else [whole]):
        assert table is not None
        arrays = {name: _plain(table.stored(name)) for name in named}
        connection.register("part", arrays)
        connection.execute(
            f"CREATE TABLE {TABLE} AS SELECT * FROM part" if index == 0 else f"INSERT INTO {TABLE} SELECT * FROM part"  # noqa: S608  # constant names
        )
        connection.unregister("part")
    return columns


def _plain(values: Any) -> Any:
    return values.decoded() if isinstance(values, Words) else values


def _answer(
    connection: Any, database: Any, sql: str, columns: Sequence[Column]
) -> tuple[list[str], list[tuple[Any, ...]]]:
    try:
        result = connection.execute(sql)
        return [entry[0] for entry in result.description], result.fetchall()
    except database.Error as error:
        raise UsageError(f"SQL: {_first_line(error)}{_hint(str(error), columns)}") from None


def _first_line(error: Exception) -> str:
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return line if len(line) <= 300 else f"{line[:299]}…"


def _hint(told: str, columns: Sequence[Column]) -> str:
    """Return which column a name stands for that SQL does not know."""
    missing = re.search(r'column "?([\w.]+)"? not found', told)
    if missing is None:
        return ""
    try:
        found = find(columns, missing[1])
    except UsageError as error:
        return f"; {error}"
    times = "" if found.factor == 1.0 else f" * {found.factor:g}"
    return f"; write {quoted(found.column.name) if not found.column.name.isidentifier() else found.column.name}{times}"
