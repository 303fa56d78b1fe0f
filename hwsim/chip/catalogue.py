"""The chips and kernel tables that come with hwsim."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from hwsim.data_folder import data_folder

FOLDER = "hw_profiles"
KERNELS = "kernels"
RUNTIMES = "runtimes"


@lru_cache
def chip_names() -> tuple[str, ...]:
    """Return the names of the chips that come with hwsim."""
    return tuple(sorted(path.stem for path in data_folder(FOLDER).glob("*.yaml")))


def chip_path(name: str) -> Path:
    """Return the profile of a chip that comes with hwsim."""
    return data_folder(FOLDER) / f"{name}.yaml"


def kernel_folder() -> Path:
    """Return the folder of the kernel tables that come with hwsim."""
    return data_folder(FOLDER) / KERNELS


@lru_cache
def kernel_table_names() -> tuple[str, ...]:
    """Return the names of the kernel tables that come with hwsim."""
    return tuple(sorted(path.stem for path in kernel_folder().glob("*.yaml")))


def runtime_folder() -> Path:
    """Return the folder of the runtimes' memory facts that come with hwsim."""
    return data_folder(FOLDER) / RUNTIMES
