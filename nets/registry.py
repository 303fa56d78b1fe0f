"""The names people type, and what each of them builds."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hwsim.errors import NetError, UsageError, did_you_mean
from hwsim.graph import Graph

Builder = Callable[..., Graph]
NETS: dict[str, Net] = {}
# No parameter of a published net comes near these; beyond, shapes only fill memory and layers only take time.
MAX_PARAMETER = 2**20
MAX_REPEATS = 1000
REPEATS = frozenset(("blocks", "depth", "stacks"))
# Parameters whose zero means something: no classifier, no padding, a square image, filters of one kind only, …
MAY_BE_ZERO = frozenset(("classes", "conv10_padding", "extra", "image_width", "incr_e", "pct_3x3"))


@dataclass(frozen=True, slots=True)
class Net:
    """A named net: its builder, the parameters that make it this net, and a line about it."""

    builder: Builder
    fixed: dict[str, Any]
    title: str

    @property
    def parameters(self) -> dict[str, Any]:
        """What can be given by keyword, and its value when it is not."""
        signature = inspect.signature(self.builder).parameters
        return {name: self.fixed.get(name, p.default) for name, p in signature.items()}


def net(name: str, title: str, **fixed: Any) -> Callable[[Builder], Builder]:
    """Register a builder under a name; it may stand under several, with other parameters fixed."""

    def register(builder: Builder) -> Builder:
        NETS[name] = Net(builder, fixed, title)
        return builder

    return register


def build(name: str, **parameters: Any) -> Graph:
    """Return a named net.

    Args:
        name: A key of ``NETS``.
        parameters: Values for the builder's parameters, checked against the kind of its defaults.

    Raises:
        UsageError: There is no such net or parameter, or a value is of the wrong kind.
        NetError: The parameters make no net.
    """
    if name not in NETS:
        raise UsageError(f"no net {name!r}{did_you_mean(name, NETS) or '; see `hwsim nets`'}")
    entry = NETS[name]
    known = entry.parameters
    for key, value in parameters.items():
        if key not in known:
            hint = did_you_mean(key, known) or f"; it has {', '.join(known)}"
            raise UsageError(f"net {name!r} has no parameter {key!r}{hint}")
        _check(name, key, value, known[key])
    try:
        graph = entry.builder(**{**entry.fixed, **parameters})
    except NetError as error:
        given = ", ".join(f"{key} = {value}" for key, value in parameters.items())
        usual = ", ".join(f"{key} = {known[key]}" for key in parameters)
        raise NetError(f"net {name!r} with {given}: {error}; usual is {usual}") from None
    return _named(graph, name, parameters)


def _check(net_name: str, key: str, value: Any, default: Any) -> None:
    """Check that a value is of its default's kind and not out of all reason."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool | str):
        good = type(value) is type(default)
    elif isinstance(default, int):
        good = number and isinstance(value, int)
    else:
        good = number
    if not good:
        raise UsageError(f"net {net_name!r}: {key} = {value!r}: must be a {_kind(default)}, such as {default!r}")
    most = MAX_REPEATS if key in REPEATS else MAX_PARAMETER
    enough = value > 0 or (value == 0 and key in MAY_BE_ZERO) if number else True
    if number and not (math.isfinite(value) and enough and value <= most):
        least = "from 0 to" if key in MAY_BE_ZERO else "greater than 0 and at most"
        raise NetError(f"net {net_name!r}: {key} = {value!r}: must be {least} {most:,}, such as {default!r}")


def _kind(default: Any) -> str:
    names = {bool: "truth value (true or false)", str: "word", int: "whole number", float: "number"}
    return names.get(type(default), "value")


def _named(graph: Graph, name: str, parameters: dict[str, Any]) -> Graph:
    told = ",".join(f"{key}={value}" for key, value in parameters.items())
    return replace(graph, name=f"{name}({told})" if told else name)
