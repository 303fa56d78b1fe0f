"""The chip as the rest of hwsim sees it: its fields, and questions about them by path."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self

from pydantic import ValidationError, model_validator

from hwsim.chip.assumptions import assumptions
from hwsim.chip.paths import changed_fields, fields_of, source_of, value_at
from hwsim.chip.problems import told
from hwsim.chip.rules import broken_rules
from hwsim.chip.schema import ChipFields, plain
from hwsim.errors import ChipError


class Chip(ChipFields):
    """A chip: engines, memories nearest first, prices, and where every number is from."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = broken_rules(plain(self))
        if problems:
            raise ValueError("\n".join(sentence for _, sentence in problems))
        return self

    def replace(self, path: str, value: Any, **more: Any) -> Chip:
        """Return a chip with fields changed and everything validated anew.

        Args:
            path: ``memories.sram.size_kib``, ``sram.size_kib`` where that is unambiguous, ``clock_mhz``, or
                ``mac_pj.int8``.
            value: The new value, in the path's unit.
            more: Further fields of the chip itself, by keyword.

        Raises:
            UsageError: The path names no field.
            ChipError: The value breaks a rule.
        """
        return _changed(self, {path: value, **more})

    def get(self, path: str) -> Any:
        """Return the field at a path, in its unit.

        Raises:
            UsageError: The path names no field.
        """
        return value_at(self, path)

    def fields(self) -> list[str]:
        """Return the path of every field that ``replace`` takes."""
        return fields_of(self)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names of the kernel libraries that its engines can run, each once."""
        names = (name for engine in self.engines for name in engine.kernels)
        return tuple(dict.fromkeys(names))

    def source_of(self, path: str) -> str:
        """Return where a field's number is from: the source of the longest key that covers the path."""
        return source_of(self, path)

    def assumptions(self, used: Collection[str] | None = None) -> tuple[str, ...]:
        """Return what stands in for what the profile leaves open, and which of its numbers are assumed.

        Args:
            used: Names of the engines and memories that matter; None is all of them.
        """
        return assumptions(self, used)


def _changed(chip: Chip, changes: Mapping[str, Any]) -> Chip:
    data = changed_fields(chip, changes)
    try:
        changed = Chip.model_validate(data)
    except ValidationError as error:
        problems = told(error, data, Chip, broken_rules(data))
        raise ChipError("\n".join(f"{chip.name}: {line}" for _, line in problems)) from None
    return _with_tables_of(changed, chip)


def _with_tables_of(chip: Chip, old: Chip) -> Chip:
    """Return a chip whose engines have the kernel tables and runtimes that their namesakes have in another."""
    tables = {engine.name: (engine.kernel_table, engine.memory_facts) for engine in old.engines if engine.kernels}
    engines = tuple(engine.with_table(*tables[engine.name]) if engine.kernels else engine for engine in chip.engines)
    return chip.model_copy(update={"engines": engines})
