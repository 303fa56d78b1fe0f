"""The nets that come with hwsim, by name. Their builders are files for users, so they are looked up, not imported."""

from __future__ import annotations

from importlib import import_module
from itertools import combinations, product
from typing import Any

from hwsim.errors import HwsimError
from hwsim.graph import Graph

# Parameters that make a net smaller without changing what it is made of. Factors are tried in quarters, whole numbers
# in eighths, rounded down to a multiple that divides well: of 32 for those of 128 and more, else of 8.
_SIZES = ("resolution", "alpha", "width")
_QUARTERS, _EIGHTHS = (0.75, 0.5, 0.25), (0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)
_COARSE_FROM, _COARSE, _FINE = 128, 32, 8


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


def smaller_nets(name: str, **parameters: Any) -> list[tuple[dict[str, float], Graph]]:
    """Return smaller versions of a net built by name: the parameters that make each, and the net.

    First those that differ in one parameter, that of most MACs first, then those that differ in two.

    Args:
        name: A name of the catalogue.
        parameters: Parameters that are given already.

    Raises:
        UsageError: There is no such net, or it has no such parameter.
        NetError: The parameters make no net.
    """
    base = build_net(name, **parameters)
    settings = {**import_module("hwsim.nets").NETS[name].parameters, **parameters}
    choices = {key: _smaller(settings.get(key)) for key in _SIZES}
    changes: list[dict[str, float]] = [{key: value} for key, values in choices.items() for value in values]
    changes += [
        {first: one, second: other}
        for first, second in combinations(choices, 2)
        for one, other in product(choices[first], choices[second])
    ]
    found: list[tuple[dict[str, float], Graph]] = []
    for change in changes:
        try:
            found.append((change, build_net(name, **{**parameters, **change})))
        except HwsimError:
            continue
    smaller = [(change, net) for change, net in found if net.macs < base.macs]
    return sorted(smaller, key=lambda one: (len(one[0]), -one[1].macs))


def _smaller(value: object) -> list[float]:
    """Return smaller values of a parameter, the greatest first; none of what is no number."""
    if isinstance(value, float):
        return [value * share for share in _QUARTERS]
    if isinstance(value, bool) or not isinstance(value, int):
        return []
    step = _COARSE if value >= _COARSE_FROM else _FINE
    return list(dict.fromkeys(max(int(value * share) // step, 1) * step for share in _EIGHTHS))


def net_cells() -> list[list[str]]:
    """Return a row per net: name, what it is, its parameters with their defaults."""
    nets = import_module("hwsim.nets").NETS
    return [
        [name, nets[name].title, " ".join(f"{key}={value}" for key, value in nets[name].parameters.items())]
        for name in net_names()
    ]
