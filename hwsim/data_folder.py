"""Where the files that come with hwsim lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path


def data_folder(name: str) -> Path:
    """Return the folder ``hw_profiles`` or ``nets``, in a wheel or a checkout."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
