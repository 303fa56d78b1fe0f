"""Predicted against published memory: activation arena, weights, and what the runtime takes, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwsim.chip import Runtime, runtime_facts
from hwsim.cost import lower, own_footprint, plan_arena
from hwsim.silicon.measurements import Measurement, measurements
from hwsim.units import BYTES_PER_KIB

# Quantities of a row, by the column of the measurements that holds the published one.
QUANTITIES = ("activation_ram_kib", "weights_flash_kib", "runtime_ram_kib", "code_flash_kib")


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """A measured row and what is predicted for it.

    Attributes:
        measurement: The row.
        predicted_kib: By quantity; those that the row does not state, or nothing predicts, are absent [KiB].
    """

    measurement: Measurement
    predicted_kib: dict[str, float]

    def error(self, quantity: str) -> float:
        """Return predicted over published, less one."""
        return self.predicted_kib[quantity] / float(getattr(self.measurement, quantity)) - 1


def memory_rows(rows: Sequence[Measurement] | None = None) -> list[MemoryRow]:
    """Return predictions for the model zoo's rows of cores whose net can be built and whose runtime is known.

    Rows that repeat another one (the same net and release with the same arena) stand once.

    Args:
        rows: Which rows to take them from; None takes all.
    """
    found: dict[object, MemoryRow] = {}
    for row in measurements() if rows is None else rows:
        facts = runtime_facts(row.runtime)
        if facts is None or row.set != "stm32_zoo" or not row.net or row.engine != "core":
            continue
        question = (row.net, row.parameters, row.library, row.dtype, row.activation_ram_kib)
        if question not in found and row.dtype in facts.kinds:
            found[question] = MemoryRow(row, predict(row, facts))
    return list(found.values())


def predict(row: Measurement, facts: Runtime) -> dict[str, float]:
    """Return what a row's quantities should be under a runtime's rules, as far as the row states them [KiB]."""
    workload = lower(row.graph(), dtype=row.dtype)  # type: ignore[arg-type]
    taken = own_footprint(facts, workload.rows)
    predicted = {
        "activation_ram_kib": plan_arena(workload, [facts] * len(workload.rows)).peak_bytes,
        "weights_flash_kib": workload.weight_bytes,
        "runtime_ram_kib": taken.ram_bytes,
        "code_flash_kib": taken.code_bytes,
    }
    return {name: count / BYTES_PER_KIB for name, count in predicted.items() if getattr(row, name)}
