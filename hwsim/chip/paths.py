"""Paths to a chip's fields: ``memories.sram.size_kib``, or ``sram.size_kib`` where only one field answers to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from hwsim.chip.buffers import OPERANDS
from hwsim.chip.dataflows import Spad
from hwsim.chip.kernels import ENGINE_DTYPES
from hwsim.chip.schema import BlockDim, BlockOperand, ChipFields, StageKind, plain
from hwsim.chip.unit_words import meant
from hwsim.errors import UsageError, did_you_mean

# Fields that state one quantity in different units; giving one takes the others away.
ALTERNATIVES = (("size_bytes", "size_kib", "size_mib"), ("bytes_per_cycle", "gb_per_s"))
LISTS = ("engines", "memories")
NOT_GIVEN = "not given"
# What an item of a list is; changing it would make another item.
IDENTITY = {"engines": ("name", "kind"), "memories": ("name",)}
# Tables whose keys are fields of their own.
TABLES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("mac_pj", "macs_per_pe", "peak_macs_per_cycle"), ENGINE_DTYPES),
    "bus_bytes_per_cycle": get_args(Spad),
    "zeros": OPERANDS,
    "coded": OPERANDS,
    "stage_per_cycle": get_args(StageKind),
    "block_most": get_args(BlockDim),
    "block_banks_kib": get_args(BlockOperand),
}


def field_paths(chip: ChipFields) -> list[str]:
    """Return the path of every field of a chip that holds a value, in the file's units and order."""
    paths: list[str] = []
    for name, value in plain(chip).items():
        if name in LISTS:
            for item in value:
                fields = [field for field in item if field not in IDENTITY[name]]
                paths += [path for field in fields for path in _inner(f"{name}.{item['name']}", field, item)]
        elif name != "sources":
            paths += _inner("", name, {name: value})
    return paths


def _inner(prefix: str, field: str, owner: Mapping[str, Any]) -> list[str]:
    path = f"{prefix}.{field}" if prefix else field
    return [f"{path}.{key}" for key in owner[field]] if field in TABLES else [path]


def settable_paths(owners: Mapping[str, type[BaseModel]]) -> list[str]:
    """Return the path of every field that ``replace`` takes, whether it holds a value or not.

    Args:
        owners: Path of each engine and memory -> the model of its fields.
    """
    paths = _field_paths(ChipFields, without=(*LISTS, "sources"))
    for owner, model in owners.items():
        without = IDENTITY[owner.partition(".")[0]]
        paths += [f"{owner}.{name}" for name in _field_paths(model, without=without)]
    return paths


def fields_of(chip: ChipFields) -> list[str]:
    """Return the path of every field of a chip that ``replace`` takes."""
    return settable_paths({owner: type(model) for owner, model in _owners(chip).items()})


def full_path(chip: ChipFields, path: str) -> str:
    """Return a path with its list named: ``sram.size_kib`` becomes ``memories.sram.size_kib``.

    Raises:
        UsageError: It names no field, or two.
    """
    known = fields_of(chip)
    if path in known:
        return path
    short = [(short_path(name), name) for name in known]
    found = [name for form, name in short if form == path]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"field {path!r} of {chip.name}: engine or memory? Write {' or '.join(found)}")
    hint = _path_meant(path, known) or did_you_mean(path, [*known, *(form for form, _ in short)])
    raise UsageError(f"{chip.name} has no field {path!r}{hint or '; see `hwsim chips show ' + chip.name + '`'}")


def _path_meant(path: str, known: Sequence[str]) -> str:
    """Return the hint for a path whose owner exists and whose field is mistyped or in another unit."""
    owner, _, field = path.rpartition(".")
    for form in (str, short_path):
        beside = [name.rpartition(".")[2] for name in map(form, known) if name.rpartition(".")[0] == owner]
        hint = meant(field, beside)
        if hint and owner:
            return hint.replace("'", f"'{owner}.", 1)
    return meant(path, [name for name in known if "." not in name])


def short_path(path: str) -> str:
    """Return a path without its list: ``memories.sram.size_kib`` becomes ``sram.size_kib``."""
    head, _, rest = path.partition(".")
    return rest if head in LISTS else path


def _owners(chip: ChipFields) -> dict[str, BaseModel]:
    """Return engines and memories by path."""
    owners: dict[str, BaseModel] = {f"engines.{engine.name}": engine for engine in chip.engines}
    return owners | {f"memories.{memory.name}": memory for memory in chip.memories}


def _field_paths(model: type[BaseModel], *, without: Sequence[str]) -> list[str]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    plain_names = [name for name in names if name not in without]
    return plain_names + [f"{name}.{key}" for name in plain_names for key in TABLES.get(name, ())]


def value_at(chip: ChipFields, path: str) -> Any:
    """Return the value of a field, its default where the file leaves it out; see ``Chip.get``."""
    owner, field, key = _split(chip, full_path(chip, path))
    value = _value(owner, field)
    return value.get(key) if key is not None else value


def _split(chip: ChipFields, whole: str) -> tuple[BaseModel, str, str | None]:
    """Return who has the field of a full path, the field, and the key if the field is a table."""
    parts = whole.split(".")
    owner: BaseModel = chip
    if parts[0] in LISTS:
        owner, parts = _owners(chip)[".".join(parts[:2])], parts[2:]
    return owner, parts[0], parts[1] if len(parts) > 1 else None


def _value(owner: BaseModel, field: str) -> Any:
    names = {info.alias or name: name for name, info in type(owner).model_fields.items()}
    return getattr(owner, names[field])


def changed_fields(chip: ChipFields, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chip's given fields with some changed, as plain values that are yet to be validated.

    A field given in one unit takes away what the file says in another.

    Raises:
        UsageError: A path names no field, or two.
    """
    data = plain(chip)
    for path, value in changes.items():
        whole = full_path(chip, path)
        model, field, key = _split(chip, whole)
        fields = data
        if model is not chip:
            listed, name = whole.split(".")[:2]
            fields = next(item for item in data[listed] if item["name"] == name)
        if key is not None:
            fields[field] = {**fields.get(field, _value(model, field)), key: value}
            continue
        for group in ALTERNATIVES:
            if field in group:
                for other in group:
                    fields.pop(other, None)
        fields[field] = _tuples(value)
    return data


def _tuples(value: Any) -> Any:
    """Return a value with its lists as the tuples that the schema holds."""
    if isinstance(value, list | tuple):
        return tuple(map(_tuples, value))
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


def source_of(chip: ChipFields, path: str) -> str:
    """Return the source of the longest key that covers a path; see ``Chip.source_of``."""
    return sources_of(chip, [full_path(chip, path)])[0]


def sources_of(chip: ChipFields, paths: Sequence[str]) -> list[str]:
    """Return the source of each full path: that of the longest key that covers it."""
    return [_source(chip.sources, path) for path in paths]


def _source(sources: Mapping[str, str], path: str) -> str:
    # A key says more the more fields of a path it names, whether it names the list or leaves it out.
    covering = []
    for form in {path, short_path(path)}:
        words = form.split(".")
        keys = (".".join(words[:length]) for length in range(1, len(words) + 1))
        covering += [(key.count(".") + (form != path), key) for key in keys if key in sources]
    return sources[max(covering)[1]] if covering else sources.get("*", NOT_GIVEN)
