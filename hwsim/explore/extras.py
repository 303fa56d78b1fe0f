"""Packages that come with an extra: imported when asked for, missed in one sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hwsim.errors import MissingExtraError


def need(module: str, what: str, *, extra: str | None, package: str | None = None) -> Any:
    """Return a module that may not be installed.

    Args:
        module: Its name.
        what: What needs it, for the sentence.
        extra: The extra of hwsim that brings it; None where it is the user's own.
        package: What it is called by where it is fetched; default: the module's name.

    Raises:
        MissingExtraError: It is not installed.
    """
    name = package or module
    try:
        return import_module(module)
    except ImportError:
        install = f"hwsim[{extra}]" if extra else name
        raise MissingExtraError(f"{what} needs {name}: pip install '{install}'") from None
