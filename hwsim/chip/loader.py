"""Loading profiles and kernel tables: all problems of a file at once, each with its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hwsim.chip.catalogue import chip_names, chip_path, kernel_folder, kernel_table_names
from hwsim.chip.chip import Chip
from hwsim.chip.kernels import KernelTable
from hwsim.chip.problems import told
from hwsim.chip.schema import CoreEngine
from hwsim.errors import ChipError, UsageError, did_you_mean
from hwsim.yaml_file import read_yaml

Model = TypeVar("Model", bound=BaseModel)


def load_chip(source: str | Path, *, runtime: str | None = None) -> Chip:
    """Return a chip, validated, with its kernel tables.

    Args:
        source: A name from ``chip_names()``, or the path of a YAML file.
        runtime: The kernel library its cores run; None takes the profile's default.

    Raises:
        UsageError: There is neither such a chip nor such a file, or the chip has no such runtime.
        ChipError: The file is wrong; a line per problem.
    """
    path = _chip_file(source)
    chip = _load(path, Chip)
    return _with_tables(_with_runtime(chip, runtime), path)


def load_kernel_table(path: str | Path) -> KernelTable:
    """Return a kernel table, validated.

    Raises:
        ChipError: The file is wrong; a line per problem.
    """
    return _load(Path(path), KernelTable)


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
    data, where = read_yaml(path, error=ChipError)
    if not isinstance(data, dict):
        raise ChipError(f"{path}: must be a mapping of fields, is a {type(data).__name__}")
    if isinstance(data.get("schema"), int) and data["schema"] != 1:
        raise ChipError(f"{path}: schema = {data['schema']}: this hwsim reads schema 1; update hwsim or the file")
    try:
        return model.model_validate(_tuples(data))
    except ValidationError as error:
        lines = []
        for key, sentence in told(error, data):
            known = next((key[:length] for length in range(len(key), -1, -1) if key[:length] in where), ())
            line, column = where.get(known, (1, 1))
            lines.append((line, f"{path}:{line}:{column}: {sentence}"))
        raise ChipError("\n".join(text for _, text in sorted(lines, key=lambda item: item[0]))) from None


def _tuples(data: Any) -> Any:
    """Return plain data with lists as tuples, which is what frozen models hold."""
    if isinstance(data, dict):
        return {key: _tuples(value) for key, value in data.items()}
    return tuple(map(_tuples, data)) if isinstance(data, list) else data


def _with_runtime(chip: Chip, runtime: str | None) -> Chip:
    """Return the chip with a runtime chosen on every core that has it."""
    if runtime is None:
        return chip
    cores = [engine for engine in chip.engines if isinstance(engine, CoreEngine)]
    known = list(dict.fromkeys(name for core in cores for name in core.kernels))
    if runtime not in known:
        hint = did_you_mean(runtime, known) or f"; known: {', '.join(known)}" if known else "; it has no core"
        raise UsageError(f"{chip.name} has no runtime {runtime!r}{hint}")
    engines = tuple(
        engine.model_copy(update={"default_runtime": runtime})
        if isinstance(engine, CoreEngine) and runtime in engine.kernels
        else engine
        for engine in chip.engines
    )
    return chip.model_copy(update={"engines": engines})


def _with_tables(chip: Chip, path: Path) -> Chip:
    engines = tuple(
        engine.with_table(_table(engine, path)) if isinstance(engine, CoreEngine) else engine for engine in chip.engines
    )
    return chip.model_copy(update={"engines": engines})


def _table(engine: CoreEngine, chip_file: Path) -> KernelTable:
    """Return the table of a core's runtime: beside the chip's file, or one that comes with hwsim."""
    name = engine.kernels[engine.runtime]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ChipError(f"{chip_file}: engines.{engine.name}.kernels: {name!r}: must be a file name without folders")
    for folder in (chip_file.parent, chip_file.parent / "kernels", kernel_folder()):
        candidate = folder / f"{name}.yaml"
        if candidate.is_file() and candidate.resolve().parent == folder.resolve():
            return load_kernel_table(candidate)
    hint = did_you_mean(name, kernel_table_names()) or f"; known: {', '.join(kernel_table_names())}"
    raise ChipError(f"{chip_file}: engines.{engine.name}.kernels.{engine.runtime}: no kernel table {name!r}{hint}")
