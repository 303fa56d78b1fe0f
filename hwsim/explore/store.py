"""Where a sweep is kept: a folder with a manifest, which is the whole question, and a file per finished chunk.

Every file is written under another name and then renamed, so that whatever ends the program, finished chunks stay and
the one under way is done again. Nobody locks anything: who works on which chunks follows from their numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.errors import UsageError
from hwsim.explore.names import Column, find
from hwsim.explore.table import SweepTable
from hwsim.explore.words import Words
from hwsim.files import write_whole

MANIFEST, CHUNK = "manifest.json", "chunk-{:09d}.npz"
SCHEMA = 1
MAX_MANIFEST_BYTES = 2**28
# A folder with more files than this is slow on any disk.
MOST_CHUNKS = 1_000_000
_VOCABULARY = "vocabulary of "


@dataclass(frozen=True)
class Store:
    """A folder of chunks.

    Attributes:
        folder: Where.
        manifest: The question: ``columns``, ``chunk_rows``, ``rows``, and what else tells one sweep from another.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def create(cls, folder: Path, manifest: Mapping[str, Any], *, resume: bool, force: bool, shared: bool) -> Store:
        """Return a store for a question: a new one, or one that was begun.

        Args:
            folder: Where.
            manifest: The question.
            resume: Go on with what is there.
            force: Throw away what is there.
            shared: Others may have begun it just now: what is there must be the same question.

        Raises:
            UsageError: The folder holds another sweep, or something else, or cannot be written.
        """
        whole = {"schema": SCHEMA, **manifest}
        try:
            folder.mkdir(parents=False, exist_ok=True)
            there = {entry.name for entry in folder.iterdir()}
        except OSError as error:
            raise UsageError(f"cannot write {folder}: {error.strerror}; choose another place") from None
        if MANIFEST in there and force and not resume:
            cls(folder, whole).remove()
            there = set()
            folder.mkdir(exist_ok=True)
        if MANIFEST in there:
            begun = cls.open(folder)
            difference = _difference(begun.manifest, json.loads(json.dumps(whole)))
            if difference:
                raise UsageError(f"{folder}: holds another sweep: {difference}; choose another folder, or --force")
            if not (resume or shared):
                raise UsageError(f"{folder}: holds this sweep already; go on with --resume, or begin anew with --force")
            return begun
        if there - {entry for entry in there if entry.startswith(".")}:
            raise UsageError(f"{folder}: holds other files; name a new or an empty folder")
        write_whole(folder / MANIFEST, json.dumps(whole, indent=1))
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Return the store in a folder.

        Raises:
            UsageError: There is none.
        """
        path = folder / MANIFEST
        try:
            if path.stat().st_size > MAX_MANIFEST_BYTES:
                raise UsageError(f"{path}: is too large to be a manifest")
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(f"{folder}: holds no sweep (no {MANIFEST})") from None
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise UsageError(f"{path}: is not a manifest of a sweep") from None
        store = cls(folder, manifest)
        try:
            if manifest["schema"] != SCHEMA:
                raise UsageError(f"{path}: schema = {manifest['schema']}: this hwsim reads {SCHEMA}")
            known = store.columns and 0 < store.rows <= store.chunk_rows * MOST_CHUNKS
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
            known = False
        if not known:
            raise UsageError(f"{path}: is not a manifest of a sweep")
        return store

    @property
    def rows(self) -> int:
        """Rows that are asked for; what breaks a constraint is not among the answers."""
        return int(self.manifest["rows"])

    @property
    def chunk_rows(self) -> int:
        """Rows asked for in a chunk."""
        return int(self.manifest["chunk_rows"])

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of every chunk."""
        return tuple(Column(*column) for column in self.manifest["columns"])

    @property
    def chunks(self) -> list[tuple[int, int, int]]:
        """Number, first row and row after the last of every chunk."""
        return cut(self.rows, self.chunk_rows)

    def path(self, number: int) -> Path:
        """Return the file of a chunk."""
        return self.folder / CHUNK.format(number)

    def missing(self) -> list[tuple[int, int, int]]:
        """Return the chunks that are not finished."""
        there = {entry.name for entry in self.folder.iterdir()}
        return [chunk for chunk in self.chunks if CHUNK.format(chunk[0]) not in there]

    def finished(self) -> list[int]:
        """Return the numbers of the chunks that are finished."""
        missing = {chunk[0] for chunk in self.missing()}
        return [number for number, _, _ in self.chunks if number not in missing]

    def write(self, number: int, table: SweepTable) -> None:
        """Write a chunk.

        Raises:
            UsageError: It cannot be written; other chunks are as they were.
        """
        arrays: dict[str, Any] = {}
        for name in table.names:
            stored = table.stored(name)
            if isinstance(stored, Words):
                arrays[name] = stored.codes
                arrays[f"{_VOCABULARY}{name}"] = np.array([*stored.vocabulary, ""], dtype=np.str_)
            else:
                arrays[name] = stored
        temporary = self.folder / f".{CHUNK.format(number)}.{os.getpid()}"
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)
            os.replace(temporary, self.path(number))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UsageError(
                f"cannot write {self.path(number)}: {error.strerror}; finished chunks stay: make room and --resume"
            ) from None
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def read(self, number: int, columns: Sequence[str] | None = None) -> SweepTable:
        """Return a chunk, or some columns of it by their own names.

        Raises:
            UsageError: It cannot be read.
        """
        path = self.path(number)
        wanted = [column.name for column in self.columns] if columns is None else columns
        try:
            with np.load(path, allow_pickle=False) as file:
                data = {name: _column(file, name) for name in wanted}
            return SweepTable(data, self.columns, self.metadata)
        except (*_UNREADABLE, UsageError) as error:
            told = getattr(error, "strerror", None) or (str(error) or type(error).__name__).splitlines()[0]
            raise UsageError(f"{path}: cannot be read: {told}; delete it and --resume") from None

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[SweepTable]:
        """Yield the finished chunks in order, one at a time, with all columns or those named as ``find`` takes them."""
        names = None
        if columns is not None:
            names = list(dict.fromkeys(find(self.columns, name).column.name for name in columns))
        for number in self.finished():
            yield self.read(number, names)

    def table(self, columns: Sequence[str] | None = None) -> SweepTable:
        """Return the finished chunks as one table by net and point, whose columns are read when they are asked for.

        Raises:
            UsageError: None is finished, or there is no such column.
        """
        if not self.finished():
            raise UsageError(f"{self.folder}: no chunk of the sweep is finished; --resume goes on with it")
        info = self.columns
        if columns is not None:
            wanted = {find(self.columns, name).column for name in columns}
            info = tuple(column for column in self.columns if column in wanted)
        order = by_net_and_point(SweepTable.joined(list(self.tables(["net", "point"]))))

        def load(name: str) -> Any:
            return SweepTable.joined(list(self.tables([name]))).stored(name)[order]

        return SweepTable.lazy(load, info, len(order), self.metadata)

    @property
    def metadata(self) -> dict[str, Any]:
        """What a table of it tells of the question."""
        return {key: value for key, value in self.manifest.items() if key not in ("columns", "schema")}

    def remove(self) -> None:
        """Remove the chunks and the manifest, and the folder if nothing else is in it.

        Raises:
            UsageError: They cannot be removed.
        """
        try:
            for path in self.folder.iterdir():
                if path.name.startswith(("chunk-", ".chunk-")):
                    path.unlink()
            (self.folder / MANIFEST).unlink(missing_ok=True)
            if not any(self.folder.iterdir()):
                shutil.rmtree(self.folder)
        except OSError as error:
            raise UsageError(f"cannot remove {self.folder}: {error.strerror}") from None


def by_net_and_point(table: SweepTable) -> Any:
    """Return the order in which the rows of a table stand net by net, as they first appear, and by point."""
    nets = table.stored("net")
    assert isinstance(nets, Words)
    return np.lexsort((table["point"], nets.codes))


# What numpy and zipfile raise for files that are not what they seem.
_UNREADABLE = (
    OSError, ValueError, KeyError, IndexError, EOFError, MemoryError, NotImplementedError, RuntimeError, TypeError,
    SyntaxError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def cut(rows: int, chunk_rows: int) -> list[tuple[int, int, int]]:
    """Return number, first row and row after the last of the chunks that rows are cut into."""
    return [(number, start, min(start + chunk_rows, rows)) for number, start in enumerate(range(0, rows, chunk_rows))]


def _column(file: Any, name: str) -> Any:
    if f"{_VOCABULARY}{name}" not in file:
        return file[name]
    codes, vocabulary = file[name], file[f"{_VOCABULARY}{name}"]
    if codes.dtype != np.int32 or vocabulary.dtype.kind != "U" or vocabulary.ndim != 1:
        raise ValueError(f"{name} is not a column of words")
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(vocabulary) - 1:
        raise ValueError(f"{name} has a word that its vocabulary lacks")
    return Words(codes, tuple(vocabulary.tolist()[:-1]))


def _difference(there: Any, here: Any, at: str = "") -> str:
    """Return where two manifests differ first, in words, or nothing."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*here, *(key for key in there if key not in here)]:
            inside = _difference(there.get(key), here.get(key), f"{at}.{key}" if at else str(key))
            if inside:
                return inside
        return ""
    return "" if there == here else f"{at} = {_short(there)}, here {_short(here)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
