"""What is wrong with a profile, a line per field: place, value, rule, and the word that was perhaps meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from hwsim.chip.dataflows import Dataflow
from hwsim.chip.kernels import FitError, KernelCost, KernelTable
from hwsim.chip.schema import ArrayEngine, ChipFields, CoreEngine, Memory
from hwsim.errors import did_you_mean

Key = tuple[str | int, ...]
MODELS = (ChipFields, ArrayEngine, CoreEngine, Memory, Dataflow, KernelTable, KernelCost, FitError)
NEAR_UNITS = {"size_kb": "size_kib", "size_mb": "size_mib", "clock_hz": "clock_mhz", "bandwidth": "gb_per_s"}


def told(error: ValidationError, data: Any) -> list[tuple[Key, str]]:
    """Return (path in the file, sentence) for every problem of a validation.

    Args:
        error: What pydantic found.
        data: The value it looked at, to name list items by their ``name``.
    """
    found: list[tuple[Key, str]] = []
    for problem in error.errors(include_url=False):
        if problem["type"] == "string_type" and problem["loc"][-1] == "str":
            continue  # one branch of "a name or a definition"; the other branch says what is wrong
        key = _in_file(problem["loc"])
        place = dotted(key, data)
        lines = _sentence(problem, key, data).splitlines()
        found += [(key, f"{place}: {line}") if place else (_named(line, data), line) for line in lines]
    return list(dict.fromkeys(found))


def _in_file(loc: Key) -> Key:
    """Return a location without what pydantic adds to the file's own names: union branches and key marks."""
    parts = list(loc)
    if parts[:1] == ["engines"] and len(parts) > 2:
        del parts[2]
        if parts[2:3] == ["dataflows"] and len(parts) > 4:
            del parts[4]
    return tuple(part for part in parts if part != "[key]")


def _named(line: str, data: Any) -> Key:
    """Return where the field stands whose path begins a line, as far as the file has it."""
    key: list[str | int] = []
    for word in line.partition(":")[0].split("."):
        if isinstance(data, list | tuple):
            indices = [i for i, item in enumerate(data) if isinstance(item, dict) and item.get("name") == word]
            part: str | int = indices[-1] if indices else word
        else:
            part = word
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            break
        key.append(part)
    return tuple(key)


def dotted(key: Sequence[str | int], data: Any) -> str:
    """Return a path as people write it, list items by name where they have one."""
    words: list[str] = []
    for part in key:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
        name = data.get("name") if isinstance(data, dict) and isinstance(part, int) else None
        words.append(name if isinstance(name, str) else str(part))
    return ".".join(words)


def _sentence(problem: Any, key: Key, data: Any) -> str:
    value = problem["input"]
    match problem["type"]:
        case "missing":
            return f"missing: {_description(str(key[-1]))}"
        case "extra_forbidden":
            known = _known_fields(key, data)
            near = NEAR_UNITS.get(str(key[-1]), "")
            hint = f"; did you mean {near!r}?" if near in known else did_you_mean(str(key[-1]), known)
            return f"unknown field{hint or '; known: ' + ', '.join(known)}"
        case "value_error":
            return str(problem["ctx"]["error"])
        case "union_tag_invalid" | "union_tag_not_found":
            return "kind must be array or core"
        case "string_pattern_mismatch":
            return f"= {value!r}: must be a word of letters, digits, _ and - that starts with a letter"
    shown = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    message = problem["msg"].replace("Input should be", "must be").replace("valid ", "")
    return f"= {shown}: {message}"


def _description(field: str) -> str:
    for model in MODELS:
        for name, info in model.model_fields.items():
            if field == (info.alias or name) and info.description:
                return info.description.rstrip(".")
    return "it must be given"


def _known_fields(key: Key, data: Any) -> list[str]:
    """Return the fields known where an unknown one stands."""
    owner: Any = ChipFields if isinstance(data, dict) and ("engines" in data or "memories" in data) else KernelTable
    item: Any = data
    for part in key[:-1]:
        item = item[part]
    if key[0] == "memories":
        owner = Memory
    elif key[0] == "engines" and len(key) == 3:
        owner = ArrayEngine if isinstance(item, dict) and item.get("kind") == "array" else CoreEngine
    elif "dataflows" in key:
        owner = Dataflow
    elif "dtypes" in key:
        owner = KernelCost
    elif "fit_error" in key:
        owner = FitError
    return [info.alias or name for name, info in owner.model_fields.items()]
