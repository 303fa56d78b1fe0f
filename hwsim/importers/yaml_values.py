"""Values of a net YAML: layer attributes to plain values and back, and one layer as one line of YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hwsim.errors import did_you_mean
from hwsim.graph import DTYPES, Shape, ops
from hwsim.graph.ops import Op, Padding2d, Pair, same_padding

FUNCTION_KINDS: Mapping[str, tuple[str, ...]] = {
    "binary": get_args(ops.BinaryFunction),
    "unary": get_args(ops.UnaryFunction),
}
"""Kinds whose function is written in their place: ``op: add`` is short for ``op: binary, function: add``."""

KINDS: Mapping[str, tuple[str, str | None]] = {
    **{kind: (kind, None) for kind in ops.OPS},
    **{function: (kind, function) for kind, functions in FUNCTION_KINDS.items() for function in functions},
}
"""What may stand after ``op:`` → the layer type's kind and its function."""


class ValueProblemError(Exception):
    """A value in a net YAML is wrong; the caller knows the line and the layer."""


# -- attributes --------------------------------------------------------------------------------------------------------


def encode(op: Op, same: Padding2d | None) -> dict[str, Any]:
    """Return a layer type's attributes that differ from their defaults, as plain values.

    ``same`` is what ``padding: same`` would mean here, or None where it means nothing.
    """
    found: dict[str, Any] = {}
    for field in fields(op):
        value = getattr(op, field.name)
        if (field.default is not MISSING and value == field.default) or _is_named_by_kind(op, field.name):
            continue
        hint = _hints(type(op))[field.name]
        if hint == Padding2d:
            found[field.name] = _short_padding(value, same)
        elif hint == Pair and value[0] == value[1]:
            found[field.name] = value[0]
        else:
            found[field.name] = _plain(value)
    return found


def decode(kind: str, given: Mapping[str, Any], same: Padding2d | None) -> Op:
    """Return a layer type made of attributes as written.

    Raises:
        ValueProblemError: An attribute is unknown, missing, or of the wrong type.
    """
    op, hints = ops.OPS[kind], _hints(ops.OPS[kind])
    for name in given:
        if name not in hints:
            raise ValueProblemError(f"unknown attribute {name!r}{did_you_mean(name, hints)}")
    for field in fields(op):
        if field.default is MISSING and field.name not in given:
            raise ValueProblemError(f"attribute {field.name!r} is missing")
    values = {
        name: _padding(value, same) if hints[name] == Padding2d else typed(hints[name], value, name)
        for name, value in given.items()
    }
    return op(**values)


def typed(hint: Any, value: Any, name: str) -> Any:
    """Return ``value`` as the annotated type: lists become tuples, one number becomes a pair of it.

    Raises:
        ValueProblemError: It is of another type.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType or NoneType in inner:
        if value is None:
            return None
        return typed(next(option for option in inner if option is not NoneType), value, name)
    if origin is Literal:
        if value not in inner or isinstance(value, bool):
            hint = did_you_mean(str(value), map(str, inner))
            raise ValueProblemError(f"{name} = {value!r}: must be one of {', '.join(map(str, inner))}{hint}")
        return value
    if origin is tuple:
        return _tuple(inner, value, name)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ValueProblemError(f"{name} = {value!r}: must be {_WORDS[hint]}")
    if value != value:
        raise ValueProblemError(f"{name} = .nan: must be a number")
    return value


def _tuple(inner: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if inner == (int, int) and type(value) is int:
        return (value, value)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueProblemError(f"{name} = {value!r}: must be a list")
    if inner[-1] is Ellipsis:
        return tuple(typed(inner[0], item, name) for item in value)
    if len(value) != len(inner):
        raise ValueProblemError(f"{name} = {_plain(value)}: must be a list of {len(inner)}")
    return tuple(typed(hint, item, name) for hint, item in zip(inner, value, strict=True))


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def _padding(value: Any, same: Padding2d | None) -> Padding2d:
    """Return explicit padding from a word, a number, (height, width) or ((top, bottom), (left, right))."""
    if value == "same":
        if same is None:
            raise ValueProblemError("padding = same: must be numbers for this layer")
        return same
    if value == "valid":
        return ((0, 0), (0, 0))
    sides = [value, value] if type(value) is int else value
    if not isinstance(sides, list) or len(sides) != 2:
        raise ValueProblemError(f"padding = {value!r}: must be same, valid, a number or pairs")
    return (typed(Pair, sides[0], "padding"), typed(Pair, sides[1], "padding"))


def _short_padding(padding: Padding2d, same: Padding2d | None) -> Any:
    (top, bottom), (left, right) = padding
    if top == bottom == left == right:
        return top
    if padding == same:
        return "same"
    return [top, left] if top == bottom and left == right else _plain(padding)


def same_for(image: Shape, kernel: Pair, strides: Pair, dilations: Pair) -> Padding2d | None:
    """Return the padding that ``same`` stands for, or None where the input is no image or a number is below one."""
    if len(image) != 4 or min(*kernel, *strides, *dilations) < 1:
        return None
    vertical, horizontal = (
        same_padding(size, k, s, d) for size, k, s, d in zip(image[1:3], kernel, strides, dilations, strict=True)
    )
    return (vertical, horizontal)


def _is_named_by_kind(op: Op, field: str) -> bool:
    return field == "function" and op.kind in FUNCTION_KINDS


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _hints(op: type[Op]) -> dict[str, Any]:
    if op not in _HINTS:
        found = get_type_hints(op)
        _HINTS[op] = {field.name: found[field.name] for field in fields(op)}
    return _HINTS[op]


_HINTS: dict[type[Op], dict[str, Any]] = {}


def shape_of(value: Any, name: str) -> Shape:
    """Return a shape as written.

    Raises:
        ValueProblemError: It is no list of whole numbers >= 1.
    """
    shape: Shape = typed(tuple[int, ...], value, name)
    if min(shape, default=1) < 1:
        raise ValueProblemError(f"{name} = {list(shape)}: every size must be >= 1")
    return shape


def dtype_of(value: Any) -> Any:
    """Return a dtype as written.

    Raises:
        ValueProblemError: There is none of that name.
    """
    if value not in DTYPES:
        raise ValueProblemError(f"dtype = {value!r}: must be one of {', '.join(DTYPES)}")
    return value


# -- one value as YAML text --------------------------------------------------------------------------------------------

_PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./\-]*")
_RESERVED = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"])


def flow(value: Any) -> str:
    """Return a value in YAML's flow style, on one line; strings are quoted where YAML would read them otherwise."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return value if _PLAIN_WORD.fullmatch(value) and value.lower() not in _RESERVED else _quoted(value)
        case float():
            return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
    return str(value)


def _quoted(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


# -- constants a layer has without saying so -------------------------------------------------------------------------

WEIGHTED = ("conv2d", "conv_transpose2d", "dense")
"""Kinds whose filter is told by ``out_channels`` and, but for dense, ``kernel``."""

PARAMETER_ROLES = ("filter", "bias", "scale", "shift", "mean", "variance", "slope")
"""Inputs that are constants of the layer's own unless it says otherwise: ``bias: false`` leaves one out, a name refers
to another tensor, and a mapping gives it a name, shape, dtype or quantisation."""


def parameter_name(layer: str, role: str) -> str:
    """Return the name a layer's own constant has by default."""
    return f"{layer}.{role}"


def parameter_shape(role: str, shapes: Sequence[Shape]) -> Shape:
    """Return the shape a layer's own constant has by default, for the shapes of its inputs."""
    if role in ("filter", "bias"):
        return shapes[1] if role == "filter" else shapes[1][:1]
    return shapes[0][-1:]
