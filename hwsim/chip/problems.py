"""What is wrong with a profile, a line per field: place, value, rule, and the word that was perhaps meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hwsim.chip.unit_words import meant
from hwsim.errors import did_you_mean

Key = tuple[str | int, ...]
Problem = tuple[Key, str]
MUST_BE = ": must be "
# Looking for the word that was meant takes a while; of a file that is wrong throughout few are looked for.
HINTED = 50
# A sentence of a model's own rule that begins with the field it is about.
_FIELD = re.compile(r"[a-z][a-z0-9_]*(?=:| = )")


def told(
    error: ValidationError, data: Any, model: type[BaseModel], rules: Iterable[Problem] | None = None
) -> list[Problem]:
    """Return (path in the file, sentence) for every problem of a validation.

    Args:
        error: What pydantic found.
        data: The value it looked at.
        model: What it was validated as.
        rules: What is wrong across fields, with their places; None where the model's own sentence is all there is. What
            is wrong by itself is not complained of twice: neither a field, nor an engine or memory as a whole.
    """
    found: list[Problem] = []
    for problem in error.errors(include_url=False):
        location = problem["loc"]
        if not location and problem["type"] == "value_error" and rules is not None:
            continue  # they come as `rules` with their places
        if location[-1:] == ("str",) and problem["type"] == "string_type":
            continue  # one branch of "a name or a definition"; the other branch says what is wrong
        if problem["type"] == "too_short" and problem["input"]:
            continue  # entries that are wrong were not counted; each has its own sentence
        key = _in_file(location, data)
        found += _lines(problem, key, data, model, hinted=len(found) < HINTED)
    wrong, spoilt = {key for key, _ in found}, {key[:2] for key, _ in found}
    found += [rule for rule in rules or () if rule[0] not in (spoilt if len(rule[0]) == 2 else wrong)]
    return _joined(found)


def _joined(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems once each, and as one where a value could have been either of two kinds and is neither."""
    rules: dict[tuple[Key, str], list[str]] = {}
    for key, sentence in problems:
        value, must, rule = sentence.partition(MUST_BE)
        known = rules.setdefault((key, value + must), [])
        if rule not in known:
            known.append(rule)
    return [(key, head + " or ".join(found)) for (key, head), found in rules.items()]


def _in_file(location: Key, data: Any) -> Key:
    """Return a location without what pydantic adds to the file's own names: union branches and key marks."""
    parts = [part for part in location if part != "[key]"]
    if parts[:1] == ["engines"] and len(parts) > 2:
        del parts[2]  # which kind of engine
    key: list[str | int] = []
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        inside = _inside(data, part)
        if inside is None and not (last and isinstance(data, dict) and str(part).islower()):
            continue
        key.append(part)
        data = inside[0] if inside else None
    return tuple(key)


def _inside(data: Any, part: str | int) -> tuple[Any] | None:
    """Return a part of a value, in a tuple; None where it has no such part."""
    if isinstance(data, dict) and part in data:
        return (data[part],)
    if isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
        return (data[part],)
    return None


def dotted(key: Sequence[str | int], data: Any) -> str:
    """Return a path as people write it, list items by name where they have one."""
    words: list[str] = []
    for part in key:
        inside = _inside(data, part)
        data = inside[0] if inside else None
        name = data.get("name") if isinstance(data, dict) and isinstance(part, int) else None
        words.append(name if isinstance(name, str) else str(part))
    return ".".join(words)


def _value(key: Key, data: Any) -> Any:
    for part in key:
        inside = _inside(data, part)
        data = inside[0] if inside else None
    return data


def _lines(problem: Any, key: Key, data: Any, model: type[BaseModel], *, hinted: bool) -> Iterator[Problem]:
    """Yield the sentences of one problem, each with its place."""
    place, value = dotted(key, data), problem["input"]
    match problem["type"]:
        case "missing":
            yield key, f"{place}: missing: {_description(key, data, model)}"
        case "extra_forbidden":
            known = _fields(_owner(key, data, model))
            hint = (meant(str(key[-1]), known, value) if hinted else "") or "; known: " + ", ".join(known)
            yield key, f"{place}: unknown field{hint}"
        case "union_tag_not_found":
            yield key, f"{place}.kind: missing: array or core"
        case "union_tag_invalid":
            yield (*key, "kind"), f"{place}.kind = {_shown(value.get('kind'))}: must be array or core"
        case "value_error":
            for line in str(problem["ctx"]["error"]).splitlines():
                field = _FIELD.match(line)
                inner = (*key, field.group()) if field and _inside(_value(key, data), field.group()) else key
                yield inner, (place + ("." if inner != key else ": ") if place else "") + line
        case _:
            shown = "" if problem["loc"][-1] == "[key]" else f" = {_shown(value)}"
            yield key, f"{place}{shown}: {_rule(problem, key, data, model)}"


def _shown(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case str() | int() | float():
            return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:36]}…"
        case list() | tuple():
            return "a list" if value else "[]"
        case _:
            return "a mapping" if value else "{}"


WHAT = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "string": "a word or text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping of fields",
}


def _rule(problem: Any, key: Key, data: Any, model: type[BaseModel]) -> str:
    """Return the rule that a value breaks."""
    kind, limits = problem["type"], problem.get("ctx", {})
    unit = _unit(key, data, model)
    match kind:
        case "greater_than":
            return f"must be > {limits['gt']:g}{unit}"
        case "greater_than_equal":
            return f"must be >= {limits['ge']:g}{unit}"
        case "less_than_equal":
            return f"must be <= {limits['le']:g}{unit}"
        case "finite_number":
            return f"must be a finite number{unit}"
        case "int_from_float":
            return f"must be a whole number{unit}"
        case "string_pattern_mismatch":
            return "must be a word of letters, digits, _ and - that starts with a letter"
        case "string_too_long":
            return f"must have {limits['max_length']} characters at most"
        case "too_short":
            return f"must have {limits['min_length']} at least"
        case "too_long":
            return f"must have {limits['max_length']} at most"
        case "literal_error":
            words = re.findall(r"'([^']*)'", limits["expected"])
            return f"must be {'' if len(words) == 1 else 'one of '}{', '.join(words)}" + did_you_mean(
                str(problem["input"]), words
            )
    if "Dataflow" in str(problem["loc"][-1]):
        return "must be the name of a dataflow or a definition of one"
    expected = WHAT.get(kind.partition("_")[0])
    return f"must be {expected}{unit}" if expected else problem["msg"]


def _unit(key: Key, data: Any, model: type[BaseModel]) -> str:
    """Return the unit at the end of a field's description, such as `` [KiB]``."""
    return "".join(re.findall(r" \[[^]]+\]$", _description(key, data, model)))


def _description(key: Key, data: Any, model: type[BaseModel]) -> str:
    """Return what a field is, as its model says; of a table's entry, what the table is."""
    for length in range(len(key), 0, -1):
        owner = _owner(key[:length], data, model)
        for name, info in owner.model_fields.items():
            if key[length - 1] == (info.alias or name):
                return (info.description or "").rstrip(".")
    return "it must be given"


def _fields(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _owner(key: Key, data: Any, model: type[BaseModel]) -> type[BaseModel]:
    """Return the model of the mapping in which the last field of a path stands."""
    found = [model]
    for part in key[:-1]:
        fields = {info.alias or name: info for name, info in _of_kind(found, data).model_fields.items()}
        if part in fields and isinstance(data, dict):
            found = _models(fields[str(part)].annotation) or found
        inside = _inside(data, part)
        data = inside[0] if inside else None
    return _of_kind(found, data)


def _of_kind(models: Sequence[type[BaseModel]], data: Any) -> type[BaseModel]:
    """Return the one of several models that the value's ``kind`` asks for."""
    kind = data.get("kind") if isinstance(data, dict) else None
    for model in models:
        if "kind" in model.model_fields and kind in get_args(model.model_fields["kind"].annotation):
            return model
    return models[-1]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a field's type speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
