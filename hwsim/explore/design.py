"""Design files: the axes of a sweep, what follows from them, what must hold, and how points are drawn; in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwsim.errors import UsageError, did_you_mean
from hwsim.explore.grid import Sampling
from hwsim.yaml_file import read_yaml

MAX_BYTES, MAX_VALUES = 2**18, 20_000
FIELDS = ("axes", "derived", "constraints", "sample")
OF_SAMPLE = ("method", "count", "seed")


@dataclass(frozen=True, slots=True)
class Design:
    """What a design file says.

    Attributes:
        axes: Path -> values, as ``ranges.values_of`` takes them.
        derived: Path of a field, or name of an output -> expression.
        constraints: Expressions that hold at every point that is costed.
        sampling: How points are drawn; None is the full grid.
    """

    axes: Mapping[str, Any] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    sampling: Sampling | None = None


def load_design(path: str | Path) -> Design:
    """Return the design that a file holds.

    Raises:
        UsageError: It cannot be read, or holds what no design has.
    """
    data, _ = read_yaml(path, error=UsageError, max_bytes=MAX_BYTES, max_values=MAX_VALUES)
    try:
        return design_of(data)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def design_of(data: Any) -> Design:
    """Return the design that a mapping holds, as a file would.

    Raises:
        UsageError: It holds what no design has.
    """
    fields = _mapping(data, "a design", FIELDS)
    constraints = fields.get("constraints", [])
    if isinstance(constraints, str):
        constraints = [constraints]
    if not isinstance(constraints, list | tuple) or not all(isinstance(text, str) for text in constraints):
        raise UsageError(f"constraints = {constraints!r}: must be a list of conditions, such as area_mm2 <= 2")
    axes = _mapping(fields.get("axes", {}), "axes")
    for name, values in axes.items():
        if values is None or isinstance(values, dict):
            raise UsageError(f"axes: {name} = {values!r}: must be a range, a list or a value")
    derived = _mapping(fields.get("derived", {}), "derived")
    for name, text in derived.items():
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise UsageError(f"derived: {name} = {text!r}: must be arithmetic, such as npu.rows * 2")
    sample = fields.get("sample")
    return Design(
        axes=axes,
        derived={name: str(text) for name, text in derived.items()},
        constraints=tuple(constraints),
        sampling=None if sample is None else _sampling(sample),
    )


def _mapping(data: Any, what: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise UsageError(f"{what}: must be a mapping, is {data!r}")
    for name in data:
        if not isinstance(name, str):
            raise UsageError(f"{what}: {name!r} is not a name")
        if known is not None and name not in known:
            raise UsageError(f"{what} has no field {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}")
    return dict(data)


def _sampling(data: Any) -> Sampling | None:
    if data == "grid":
        return None
    if isinstance(data, str):
        return Sampling.of(data)
    fields = _mapping(data, "sample", OF_SAMPLE)
    seed, count = fields.get("seed", 0), fields.get("count")
    for name, value in (("seed", seed), ("count", count)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise UsageError(f"sample: {name} = {value!r}: must be a whole number >= 0")
    return Sampling.of(f"{fields.get('method', 'sobol')}:{count}", seed)
