"""Values of an axis as people write them: ``32:1024:x2``, ``8:64:8``, ``8,16,32``, and spans to be sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log
from typing import Any

import numpy as np
import numpy.typing as npt

from hwsim.errors import UsageError

MAX_VALUES = 1_000_000
FORMS = "a:b:step, a:b:xN (times N), a list a,b,c, or, to be sampled, a span a:b or a:b:log"
# How far a range may miss its end and still reach it, a share of a step.
SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Span:
    """All numbers between two, of which samples are drawn; on a logarithmic scale where ``log``."""

    low: float
    high: float
    log: bool = False

    def at(self, share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the values that lie so far along, 0..1."""
        if self.log:
            return np.asarray(self.low * (self.high / self.low) ** share)
        return np.asarray(self.low + (self.high - self.low) * share)


Values = Span | tuple[Any, ...]


def values_of(given: Any, name: str) -> Values:
    """Return the values of an axis: those of a text, or of a list whose entries may be texts.

    Args:
        given: A text, a number, a list of values, or a ``Span``.
        name: The axis, for sentences.

    Raises:
        UsageError: There is no value, an entry is no range, or there are too many.
    """
    if isinstance(given, Span):
        return given
    if isinstance(given, str):
        parts = [part.strip() for part in given.split(",") if part.strip()]
        if len(parts) == 1 and (span := _span(parts[0], name)) is not None:
            return span
        found = [value for part in parts for value in _part(part, name)]
    elif isinstance(given, np.ndarray | range):
        found = np.asarray(given).tolist()
    elif isinstance(given, Sequence):
        found = [value for part in given for value in (_part(part, name) if isinstance(part, str) else [part])]
    else:
        found = [given]
    if not found:
        raise UsageError(f"axis {name} = {given!r}: has no value; write {FORMS}")
    if len(found) > MAX_VALUES:
        raise UsageError(f"axis {name}: has {len(found):,} values; {MAX_VALUES:,} is the most")
    return tuple(dict.fromkeys(value.item() if isinstance(value, np.generic) else _hashable(value) for value in found))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _number(text: str) -> float | int | None:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if isfinite(value) else None
    return None


def _span(text: str, name: str) -> Span | None:
    """Return ``a:b`` and ``a:b:log`` as a span; None for other texts."""
    parts = text.split(":")
    if not (len(parts) == 2 or (len(parts) == 3 and parts[2] == "log")):
        return None
    low, high = _number(parts[0]), _number(parts[1])
    if low is None or high is None:
        return None
    if low >= high or (len(parts) == 3 and low <= 0):
        rule = "a logarithmic span must start above 0" if low < high else f"{high:g} is not above {low:g}"
        raise UsageError(f"axis {name} = {text}: is empty: {rule}")
    return Span(float(low), float(high), len(parts) == 3)


def _part(text: str, name: str) -> list[Any]:
    """Return the values of a range, a number or a word."""
    parts = text.split(":")
    if len(parts) == 1:
        number = _number(text)
        return [text if number is None else number]
    if len(parts) != 3:
        raise UsageError(f"axis {name} = {text}: is no range; write {FORMS}")
    times = parts[2].startswith("x")
    low, high, step = _number(parts[0]), _number(parts[1]), _number(parts[2].removeprefix("x"))
    if low is None or high is None or step is None:
        raise UsageError(f"axis {name} = {text}: is no range of numbers; write {FORMS}")
    return _geometric(text, name, low, high, step) if times else _arithmetic(text, name, low, high, step)


def _arithmetic(text: str, name: str, low: float, high: float, step: float) -> list[Any]:
    if step == 0 or (high - low) / step < 0:
        raise UsageError(f"axis {name} = {text}: is empty: steps of {step:g} do not lead from {low:g} to {high:g}")
    count = _counted(text, name, (high - low) / step)
    return [low + index * step for index in range(count)]


def _geometric(text: str, name: str, low: float, high: float, factor: float) -> list[Any]:
    if low <= 0 or factor <= 0 or factor == 1 or (high - low) * (factor - 1) < 0 or high <= 0:
        raise UsageError(f"axis {name} = {text}: is empty: factors of {factor:g} do not lead from {low:g} to {high:g}")
    count = _counted(text, name, log(high / low) / log(factor))
    return [low * factor**index for index in range(count)]


def _counted(text: str, name: str, steps: float) -> int:
    if steps >= MAX_VALUES:
        raise UsageError(
            f"axis {name} = {text}: has {steps:.3g} values; {MAX_VALUES:,} is the most: "
            f"take larger steps, or sample a span ({text.rpartition(':')[0]} with --sample sobol:1000)"
        )
    return floor(steps * (1 + SLACK) + SLACK) + 1
