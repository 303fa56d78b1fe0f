"""Paths to a chip's fields: ``memories.sram.size_kib``, or ``sram.size_kib`` where one engine or memory has that name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from hwsim.chip.problems import told
from hwsim.chip.schema import Chip, CoreEngine, Memory, plain
from hwsim.errors import ChipError, UsageError, did_you_mean

# Fields that state one quantity in different units; giving one takes the others away.
ALTERNATIVES = (("size_bytes", "size_kib", "size_mib"), ("bytes_per_cycle", "gb_per_s"))
LISTS = ("engines", "memories")
# Tables whose keys are fields of their own.
TABLES = ("mac_pj", "macs_per_pe", "peak_macs_per_cycle")


def field_paths(chip: Chip) -> list[str]:
    """Return the path of every field of a chip that holds a value, in the file's units and order."""
    paths: list[str] = []
    for name, value in plain(chip).items():
        if name in LISTS:
            for item in value:
                paths += [
                    path for field in item if field != "name" for path in _inner(f"{name}.{item['name']}", field, item)
                ]
        elif name != "sources":
            paths += _inner("", name, {name: value})
    return paths


def _inner(prefix: str, field: str, owner: Mapping[str, Any]) -> list[str]:
    path = f"{prefix}.{field}" if prefix else field
    return [f"{path}.{key}" for key in owner[field]] if field in TABLES else [path]


def settable_paths(chip: Chip) -> list[str]:
    """Return the path of every field that ``replace`` takes, whether it holds a value or not."""
    paths = [name for name in _field_names(Chip) if name not in (*LISTS, "sources", "mac_pj")]
    for engine in chip.engines:
        paths += [f"engines.{engine.name}.{name}" for name in _field_names(type(engine)) if name != "name"]
    for memory in chip.memories:
        paths += [f"memories.{memory.name}.{name}" for name in _field_names(Memory) if name != "name"]
    return list(dict.fromkeys([*paths, *field_paths(chip)]))


def full_path(chip: Chip, path: str) -> str:
    """Return a path with its list named: ``sram.size_kib`` becomes ``memories.sram.size_kib``.

    Raises:
        UsageError: It names no field, or two.
    """
    parts = path.split(".")
    owners = [f"engines.{engine.name}" for engine in chip.engines] + [
        f"memories.{memory.name}" for memory in chip.memories
    ]
    found = [
        owner for owner in owners if path.startswith(f"{owner}.") or path.startswith(f"{owner.partition('.')[2]}.")
    ]
    if len(found) > 1:
        raise UsageError(f"field {path!r} of {chip.name}: engine or memory? Write {found[0]}.… or {found[1]}.…")
    if found:
        short = found[0].partition(".")[2]
        rest = path[len(found[0]) + 1 :] if path.startswith(f"{found[0]}.") else path[len(short) + 1 :]
        whole = f"{found[0]}.{rest}"
    else:
        whole = path
    known = settable_paths(chip)
    if whole not in known and not _in_table(whole):
        nearest = did_you_mean(whole, known) or did_you_mean(parts[-1], sorted({name.split(".")[-1] for name in known}))
        raise UsageError(f"{chip.name} has no field {path!r}{nearest or '; see `hwsim chips show ' + chip.name + '`'}")
    return whole


def _in_table(path: str) -> bool:
    *owner, table, _ = ["", *path.split(".")]
    return table in TABLES and (table == "mac_pj" or owner[-2:-1] == ["engines"])


def value_at(chip: Chip, path: str) -> Any:
    """Return the value of a field, its default where the file leaves it out; see ``Chip.get``."""
    parts = full_path(chip, path).split(".")
    owner: Any = chip
    if parts[0] in LISTS:
        owner = chip.engine(parts[1]) if parts[0] == "engines" else chip.memory(".".join(parts[1:-1]))
        parts = parts[2:]
    names = {field.alias or name: name for name, field in type(owner).model_fields.items()}
    value = getattr(owner, names[parts[0]])
    return value.get(parts[1]) if len(parts) > 1 else value


def changed_fields(chip: ChipFields, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chip's given fields with some changed, as plain values that are yet to be validated.

    A field given in one unit takes away what the file says in another.

    Raises:
        UsageError: A path names no field, or two.
    """
    data = plain(chip)
    for path, value in changes.items():
        parts = full_path(chip, path).split(".")
        owner: dict[str, Any] = data
        if parts[0] in LISTS:
            owner, parts = _item(data[parts[0]], parts)
        if len(parts) > 1:
            owner[parts[0]] = {**owner.get(parts[0], {}), parts[1]: value}
        else:
            for group in ALTERNATIVES:
                if parts[0] in group:
                    for name in group:
                        owner.pop(name, None)
            owner[parts[0]] = tuple(value) if isinstance(value, list) else value
    return data


def source_of(chip: Chip, path: str) -> str:
    """Return the source of the longest key that covers a path; see ``Chip.source_of``."""
    whole = full_path(chip, path)
    short = whole.partition(".")[2] if whole.split(".")[0] in LISTS else whole
    best = ""
    for key in chip.sources:
        covers = any(name == key or name.startswith(f"{key}.") for name in (whole, short))
        if covers and len(key) > len(best):
            best = key
    return chip.sources.get(best or "*", "not given")


def _field_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
