"""Sweeps as files: which reader a path asks for, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.errors import UsageError
from hwsim.explore.names import Column, find
from hwsim.explore.parquet import duckdb, read_parquet
from hwsim.explore.store import Store
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.files import check_writable, need_regular

PARQUET, CSV = ".parquet", ".csv"
FIRST_RESULT = "latency_s"
KEYS = ("point", "net", "batch", "dtype", "runtime")
WORDS = ("net", "dtype", "runtime", "reason")
_TRUTH = {"true": True, "false": False}


def check_out(out: Path | None) -> None:
    """Check that a table's file can be written where asked, before the work is done; a folder is another's matter."""
    if out is not None and out.suffix.lower() in (CSV, PARQUET):
        check_writable(out)
        if out.suffix.lower() == PARQUET:
            duckdb("Parquet")


def read(path: Path, columns: Sequence[str] | None = None) -> SweepTable:
    """Return what a sweep wrote; see ``SweepTable.read``."""
    if path.is_dir():
        return Store.open(path).table(columns)
    need_regular(path, UsageError)
    match path.suffix.lower():
        case ".parquet":
            return read_parquet(path, columns)
        case ".csv":
            return _read_csv(path, columns)
    raise UsageError(f"{path}: hwsim reads a sweep from a folder of chunks, a .parquet or a .csv")


def csv_text(table: SweepTable, *, header: bool = True) -> str:
    """Return a table as CSV; a number without a meaning is left empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(table.names)
    writer.writerows(zip(*(_cells(table.stored(name)) for name in table.names), strict=True))
    return out.getvalue()


def _cells(values: Any) -> list[Any]:
    if isinstance(values, Words):
        cells: list[Any] = values.decoded().tolist()
        return cells
    if values.dtype.kind == "b":
        return ["true" if value else "false" for value in values.tolist()]
    if values.dtype.kind == "f":
        return ["" if value != value else value for value in values.tolist()]  # nan alone differs from itself
    return list(values.tolist())


def _read_csv(path: Path, columns: Sequence[str] | None) -> SweepTable:
    """Return a CSV file as a table. It does not tell what was varied: that is what stands before the results."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, None)
            lines = list(reader)
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path}: cannot be read as CSV: {error}") from None
    if not names or len(set(names)) < len(names) or not all(names):
        raise UsageError(f"{path}: its first line must name each column once")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(names):
            raise UsageError(f"{path}:{number}: has {len(line)} values; its first line names {len(names)} columns")
    results = names.index(FIRST_RESULT) if FIRST_RESULT in names else 0
    info = [_column(name, varied=index < results) for index, name in enumerate(names)]
    wanted = names if columns is None else list(dict.fromkeys(find(info, name).column.name for name in columns))
    data = {name: _values(name, [line[names.index(name)] for line in lines]) for name in wanted}
    return SweepTable(data, info)


def _column(name: str, *, varied: bool) -> Column:
    return Column.of(name, "key" if name in KEYS else "axis" if varied else "result")


def _values(name: str, cells: list[str]) -> Any:
    if name in WORDS:
        return Words.of(np.array(cells, dtype=object))
    if cells and all(cell in _TRUTH for cell in cells):
        return np.array([_TRUTH[cell] for cell in cells])
    try:
        return np.array(cells, dtype=object).astype(np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        return np.array([cell or "nan" for cell in cells], dtype=object).astype(np.float64)
    except ValueError:
        return Words.of(np.array(cells, dtype=object))
