"""Pieces of a kernel table's YAML."""

from __future__ import annotations

from textwrap import wrap

from hwsim.chip import KernelCost

WIDTH = 116


def inline(cost: KernelCost, digits: int = 4) -> str:
    """Return a kernel's costs as a mapping on one line."""
    return "{" + ", ".join(f"{name}: {value:.{digits}g}" for name, value in _given(cost)) + "}"


def _given(cost: KernelCost) -> list[tuple[str, float]]:
    return list(cost.model_dump(exclude_unset=True).items())


def folded(key: str, text: str, indent: int = 0) -> list[str]:
    """Return a key and its text as a folded block, line by line."""
    space = " " * indent
    lines = wrap(text, WIDTH - indent, initial_indent=space + "  ", subsequent_indent=space + "  ")
    return [f"{space}{key}: >-", *lines]


def table_name(core: str, runtime: str) -> str:
    """Return the name of a release's table on a core: core_library_release."""
    library, _, release = runtime.rpartition("-")
    return f"{core}_{library}_{release}" if release[:1].isdigit() else f"{core}_{runtime}"
