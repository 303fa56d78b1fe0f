"""The nets that come with hwsim, by name. Their builders are files for users, so they are looked up, not imported."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hwsim.graph import Graph


def net_names() -> tuple[str, ...]:
    """Return the names that ``load_net`` builds."""
    return tuple(sorted(import_module("hwsim.nets").NETS))


def build_net(name: str, **parameters: Any) -> Graph:
    """Return a net built by name.

    Raises:
        UsageError: There is no such net, or it has no such parameter.
        NetError: The parameters make no net.
    """
    graph: Graph = import_module("hwsim.nets").build(name, **parameters)
    return graph


def net_cells() -> list[list[str]]:
    """Return a row per net: name, what it is, its parameters with their defaults."""
    nets = import_module("hwsim.nets").NETS
    return [
        [name, nets[name].title, " ".join(f"{key}={value}" for key, value in nets[name].parameters.items())]
        for name in net_names()
    ]
