"""Loading profiles and kernel tables: all problems of a file at once, each with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hwsim.chip.catalogue import (
    RUNTIMES,
    chip_names,
    chip_path,
    kernel_folder,
    kernel_table_names,
    runtime_folder,
)
from hwsim.chip.chip import Chip
from hwsim.chip.kernels import KernelTable
from hwsim.chip.problems import told
from hwsim.chip.rules import broken_rules, unrolled_beyond
from hwsim.chip.runtimes import Runtime
from hwsim.chip.schema import ArrayEngine, CoreEngine
from hwsim.errors import ChipError, UsageError, did_you_mean
from hwsim.yaml_file import Key, Position, read_yaml

Model = TypeVar("Model", bound=BaseModel)

# Many times the largest profile; what is larger is none, and would take long to read.
MAX_BYTES = 2**18
MAX_VALUES = 3_000
# Of a file that is wrong throughout, the first problems tell enough; and no word of it is shown at length.
MAX_PROBLEMS, MAX_SENTENCE = 50, 400


def load_chip(source: str | Path, *, runtime: str | None = None) -> Chip:
    """Return a chip, validated, with its kernel tables.

    Args:
        source: A name from ``chip_names()``, or the path of a YAML file.
        runtime: The kernel library its engines run; None takes the profile's default.

    Raises:
        UsageError: There is neither such a chip nor such a file, or the chip has no such runtime.
        ChipError: The file is wrong; a line per problem.
    """
    path = _chip_file(source)
    chip = _load(path, Chip)
    return _with_tables(_with_runtime(chip, runtime), path)


def with_runtime(chip: Chip, runtime: str) -> Chip:
    """Return a chip whose cores run another of their kernel libraries, with the tables that come with hwsim.

    Raises:
        UsageError: The chip has no such runtime.
        ChipError: Its kernel table does not come with hwsim.
    """
    return _with_tables(_with_runtime(chip, runtime), chip_path(chip.name))


def load_kernel_table(path: str | Path) -> KernelTable:
    """Return a kernel table, validated; one with a base has the base's costs times its factors.

    Raises:
        ChipError: The file or its base is wrong or not there; a line per problem.
    """
    path = Path(path)
    table = _load(path, KernelTable)
    if table.base is None:
        return table
    found = _beside(table.base, (path.parent, kernel_folder()), f"{path}: base")
    if found is None:
        hint = did_you_mean(table.base, kernel_table_names()) or f"; known: {', '.join(kernel_table_names())}"
        raise ChipError(f"{path}: base = {table.base!r}: there is no such kernel table{hint}")
    base = _load(found, KernelTable)
    if base.base is not None:
        raise ChipError(f"{path}: base = {table.base!r}: has a base itself ({base.base}); name that one")
    return table.over(base)


def load_runtime(path: str | Path) -> Runtime:
    """Return what a runtime does with memory, validated.

    Raises:
        ChipError: The file is wrong; a line per problem.
    """
    return _load(Path(path), Runtime)


def runtime_facts(runtime: str) -> Runtime | None:
    """Return what comes with hwsim on how a runtime uses memory, by the word users pick it by; None: nothing does."""
    return _runtimes_in(runtime_folder().resolve()).get(runtime)


def _chip_file(source: str | Path) -> Path:
    text = str(source)
    if text in chip_names():
        return chip_path(text)
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or path.exists():
        if not path.exists():
            raise UsageError(f"{text}: there is no such file; chips that come with hwsim: {', '.join(chip_names())}")
        return path
    hint = did_you_mean(text, chip_names()) or f"; known: {', '.join(chip_names())}"
    raise UsageError(f"no chip {text!r}{hint} (or give the path of a profile, .yaml)")


def _load(path: Path, model: type[Model]) -> Model:
    data, where = read_yaml(path, error=ChipError, max_bytes=MAX_BYTES, max_values=MAX_VALUES)
    if not isinstance(data, dict):
        raise ChipError(f"{path}: must be a mapping of fields, is {'a list' if isinstance(data, list) else repr(data)}")
    schema = data.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema != 1:
        raise ChipError(f"{path}: schema = {schema}: this hwsim reads schema 1; update hwsim or the file")
    data = _tuples(data)
    try:
        loaded = model.model_validate(data)
    except ValidationError as error:
        rules = broken_rules(data) if issubclass(model, Chip) else None
        raise _said(path, where, told(error, data, model, rules)) from None
    if issubclass(model, Chip) and (beyond := unrolled_beyond(data)):
        raise _said(path, where, beyond)
    return loaded


def _said(path: Path, where: Mapping[Key, tuple[int, int]], found: Sequence[tuple[Key, str]]) -> ChipError:
    """Return what is wrong with a file, a line per problem in the file's order."""
    problems = sorted(((_position(key, where), sentence) for key, sentence in found), key=lambda problem: problem[0])
    lines = [f"{path}:{line}:{column}: {_cut(text)}" for (line, column), text in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"{path}: … and {len(problems) - MAX_PROBLEMS} more problems")
    return ChipError("\n".join(lines))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SENTENCE else f"{text[: MAX_SENTENCE - 1]}…"


def _position(key: Key, where: Mapping[Key, Position]) -> Position:
    """Return line and column of the longest beginning of a path that the file has."""
    return next((where[key[:length]] for length in range(len(key), -1, -1) if key[:length] in where), (1, 1))


def _tuples(data: Any) -> Any:
    """Return plain data with lists as tuples, which is what frozen models hold."""
    if isinstance(data, dict):
        return {key: _tuples(value) for key, value in data.items()}
    return tuple(map(_tuples, data)) if isinstance(data, list) else data


def _with_runtime(chip: Chip, runtime: str | None) -> Chip:
    """Return the chip with a runtime chosen on every engine that has it, and without the arrays it does not use."""
    if runtime is None:
        return chip
    known = list(chip.runtimes)
    if runtime not in known:
        hint = did_you_mean(runtime, known) or f"; known: {', '.join(known)}" if known else "; it has no core"
        raise UsageError(f"{chip.name} has no runtime {runtime!r}{hint}")
    engines = tuple(
        engine.model_copy(update={"default_runtime": runtime}) if runtime in engine.kernels else engine
        for engine in chip.engines
        if runtime in engine.kernels or isinstance(engine, CoreEngine) or not engine.kernels
    )
    return chip.model_copy(update={"engines": engines})


def _with_tables(chip: Chip, path: Path) -> Chip:
    engines = tuple(
        engine.with_table(_table(engine, path), _memory_facts(engine.runtime, path)) if engine.kernels else engine
        for engine in chip.engines
    )
    return chip.model_copy(update={"engines": engines})


def _table(engine: ArrayEngine | CoreEngine, chip_file: Path) -> KernelTable:
    """Return the table of an engine's runtime: beside the chip's file, or one that comes with hwsim."""
    name = engine.kernels[engine.runtime]
    folders = (chip_file.parent, chip_file.parent / "kernels", kernel_folder())
    found = _beside(name, folders, f"{chip_file}: engines.{engine.name}.kernels")
    if found is not None:
        return load_kernel_table(found)
    hint = did_you_mean(name, kernel_table_names()) or f"; known: {', '.join(kernel_table_names())}"
    raise ChipError(f"{chip_file}: engines.{engine.name}.kernels.{engine.runtime}: no kernel table {name!r}{hint}")


def _memory_facts(runtime: str, chip_file: Path) -> Runtime | None:
    """Return what a runtime does with memory: told beside the chip's file, or by a file that comes with hwsim."""
    for folder in (chip_file.parent / RUNTIMES, runtime_folder()):
        told_by = _runtimes_in(folder.resolve()).get(runtime)
        if told_by is not None:
            return told_by
    return None


@lru_cache(maxsize=64)
def _runtimes_in(folder: Path) -> dict[str, Runtime]:
    """Return the runtimes that a folder's files tell of, by the words users pick them by."""
    found: dict[str, Runtime] = {}
    for path in sorted(folder.glob("*.yaml")):
        facts = load_runtime(path)
        for word in facts.runtimes:
            if word in found:
                raise ChipError(f"{path}: runtimes: {word!r} is told of by {found[word].name}.yaml as well")
            found[word] = facts
    return found


def _beside(name: str, folders: Sequence[Path], where: str) -> Path | None:
    """Return the kernel table of that name in the first of the folders that has it.

    Raises:
        ChipError: The name holds a folder.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ChipError(f"{where}: {name!r}: must be a file name without folders")
    for folder in folders:
        candidate = folder / f"{name}.yaml"
        if candidate.is_file() and candidate.resolve().parent == folder.resolve():
            return candidate
    return None
