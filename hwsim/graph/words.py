"""What there is to say of layer types, read off their definitions: names, attributes, defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields

from hwsim.errors import UsageError, did_you_mean
from hwsim.graph.ops import Op


def op_cells(ops: Mapping[str, type[Op]]) -> list[list[str]]:
    """Return a row per layer type: its kind, its inputs, the first sentence of its docstring."""
    return [[kind, _inputs(op), (op.__doc__ or "").strip().splitlines()[0]] for kind, op in sorted(ops.items())]


def op_field_cells(ops: Mapping[str, type[Op]], kind: str) -> list[list[str]]:
    """Return a row per attribute of a layer type: name, type, default.

    Raises:
        UsageError: There is no such layer type.
    """
    if kind not in ops:
        raise UsageError(f"no layer type {kind!r}{did_you_mean(kind, ops) or '; see `hwsim ops`'}")
    rows = []
    for field in fields(ops[kind]):
        default = "required" if field.default is MISSING else repr(field.default)
        rows.append([field.name, str(field.type), default])
    return rows


def _inputs(op: type[Op]) -> str:
    names = [role if index < op.required else f"[{role}]" for index, role in enumerate(op.roles)]
    return ", ".join(names) + (" …" if op.variadic else "")
