"""Predicted against measured energy: rows of MLPerf Tiny, the run power of each fitted to the rounds that it is not of.

    energy = run power · latency
    run power = power(chip) · (supply_v / 1 V behind a linear regulator) · (factor of Zephyr, for builds under it)

The latency is the shipped tables'. The power is the geometric mean over builds of the other rounds (over the other nets
where a chip has one round only); the factor of Zephyr, which leaves more of a chip switched on than builds without an
operating system do, is that of the STM32L4R5, the one chip with both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hwsim.chip import Chip, HardwarePoints, load_chip
from hwsim.cost import cost, lower
from hwsim.silicon.measurements import Measurement, measurements
from hwsim.units import J_PER_UJ, S_PER_MS

CHIPS = ("stm32l4r5", "stm32u575", "stm32h7a3", "ra6m4", "efr32mg24", "gap9", "ndp120")
"""Whose energy hwsim aims at."""
BOTH = "stm32l4r5"
"""The chip that was measured with Zephyr and without."""
MAPE_AIM, P90_AIM = 0.12, 0.25


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """A measured row and what is predicted for it.

    Attributes:
        measurement: The row.
        measured_j: Its energy.
        shipped_j: By the shipped profile and tables.
        power_error: Of the run power fitted to other rounds, over what was measured, less one.
        left_out_j: That power times the shipped latency.
    """

    measurement: Measurement
    measured_j: float
    shipped_j: float
    power_error: float
    left_out_j: float

    @property
    def shipped_error(self) -> float:
        """Predicted by the shipped profile over measured, less one."""
        return self.shipped_j / self.measured_j - 1

    @property
    def left_out_error(self) -> float:
        """Predicted with the power of other rounds over measured, less one."""
        return self.left_out_j / self.measured_j - 1

    def record(self) -> dict[str, Any]:
        """Return the row for JSON: SI units."""
        row = self.measurement
        return {
            "net": row.net,
            "chip": row.chip,
            "runtime": row.runtime,
            "round": row.round,
            "submitter": row.submitter,
            "supply_v": row.supply_v,
            "measured_j": self.measured_j,
            "predicted_j": self.shipped_j,
            "error": self.shipped_error,
            "power_error_without_round": self.power_error,
            "error_without_round": self.left_out_error,
            "source": row.source,
        }


@dataclass(frozen=True, slots=True)
class EnergyErrors:
    """Errors of a chip's rows, or of all; fractions.

    Attributes:
        chip: Which; ``*`` for all.
        n: Rows.
        rounds: Rounds among them.
        shipped_mape: Mean absolute error of the shipped profile.
        power_mape: Mean absolute error of the left-out power by itself.
        mape: Mean absolute error of the energy, its round left out.
        bias: Mean error, likewise.
        p90: 90th percentile of the absolute error, likewise.
        worst: The row furthest off.
    """

    chip: str
    n: int
    rounds: int
    shipped_mape: float
    power_mape: float
    mape: float
    bias: float
    p90: float
    worst: EnergyRow


def energy_measurements() -> list[Measurement]:
    """Return the rows whose energy is known and can be predicted, even where a runtime may drop dead channels."""
    return [
        row
        for row in measurements()
        if row.chip in CHIPS and row.net and row.energy_uj and row.supply_v and "outlier" not in row.flags
    ]


def energy_rows(*, progress: Callable[[str], None] = lambda _: None) -> list[EnergyRow]:
    """Return every such row with its predictions."""
    progress("costing the energy of nets")
    rows = energy_measurements()
    found = []
    for row in rows:
        latency_s, shipped_j = _shipped(row)
        power_w = power_left_out(row, rows)
        measured_j = (row.energy_uj or 0.0) * J_PER_UJ
        found.append(EnergyRow(row, measured_j, shipped_j, power_w / power_of(row) - 1, power_w * latency_s))
    return found


def power_of(row: Measurement) -> float:
    """Return the measured mean power of a row's energy run [W]."""
    latency_ms = row.energy_mode_latency_ms or row.latency_ms
    assert row.energy_uj is not None
    assert latency_ms is not None
    return row.energy_uj * J_PER_UJ / (latency_ms * S_PER_MS)


def power_left_out(row: Measurement, rows: Sequence[Measurement]) -> float:
    """Return the run power of a row as rows of other rounds say it [W]."""
    others = [other for other in rows if other.round != row.round]
    here = [other for other in others if other.chip == row.chip]
    if not here:
        here = [other for other in rows if other.chip == row.chip and other.net != row.net]
    zephyr = _zephyr_factor([other for other in others if other.chip == BOTH])
    plain = _mean({other: power_of(other) / _scale(other, zephyr) for other in here})
    return plain * _scale(row, zephyr)


def under_zephyr(row: Measurement) -> bool:
    """Return whether the runtime was built under Zephyr, as its source says."""
    return "zephyr" in f"{row.library} {row.source}".lower()


def _scale(row: Measurement, zephyr: float) -> float:
    """Return what a row's power is over that of its chip at 1 V, without an operating system."""
    return (float(row.supply_v or 1.0) if _linear(row.chip) else 1.0) * (zephyr if under_zephyr(row) else 1.0)


@cache
def _linear(chip: str) -> bool:
    return load_chip(chip).regulator == "linear"


@cache
def _chip(name: str, runtime: str) -> Chip:
    return load_chip(name, runtime=runtime)


def _zephyr_factor(rows: Iterable[Measurement]) -> float:
    powers = {row: power_of(row) / _scale(row, 1.0) for row in rows}
    sides = [{row: power for row, power in powers.items() if under_zephyr(row) is told} for told in (True, False)]
    return _mean(sides[0]) / _mean(sides[1]) if all(sides) else 1.0


def _mean(powers: Mapping[Measurement, float]) -> float:
    """Return the geometric mean over builds: of a round, by a submitter, with a runtime, each counting once."""
    builds: dict[tuple[str, str, str, bool], list[float]] = {}
    for row, power in powers.items():
        builds.setdefault((row.round, row.submitter, row.runtime, under_zephyr(row)), []).append(np.log(power))
    return float(np.exp(np.mean([np.mean(logs) for logs in builds.values()])))


def _shipped(row: Measurement) -> tuple[float, float]:
    """Return latency [s] and energy [J] by the shipped profile at the row's clock and supply."""
    chip = _chip(row.chip, row.runtime)
    if row.clock_mhz is not None and row.clock_mhz != chip.clock_mhz:
        chip = chip.replace("clock_mhz", row.clock_mhz)
    if row.supply_v != chip.supply_v:
        chip = chip.replace("supply_v", row.supply_v)
    placed = dict([row.placement.split("=")]) if row.placement else None
    workload = lower(row.graph(), dtype="float32" if row.dtype == "float32" else "int8")
    costs = cost(workload, HardwarePoints.of(chip), placed=placed)
    return float(costs.total_latency_s[0]), float(costs.total_energy_j[0])


def energy_errors(rows: Sequence[EnergyRow]) -> list[EnergyErrors]:
    """Return the errors of each chip, and of all rows last."""
    found = [_errors(chip, [row for row in rows if row.measurement.chip == chip]) for chip in CHIPS]
    return [one for one in (*found, _errors("*", rows)) if one is not None]


def _errors(chip: str, rows: Sequence[EnergyRow]) -> EnergyErrors | None:
    if not rows:
        return None
    left_out = np.array([row.left_out_error for row in rows])
    return EnergyErrors(
        chip=chip,
        n=len(rows),
        rounds=len({row.measurement.round for row in rows}),
        shipped_mape=float(np.mean([abs(row.shipped_error) for row in rows])),
        power_mape=float(np.mean([abs(row.power_error) for row in rows])),
        mape=float(np.abs(left_out).mean()),
        bias=float(left_out.mean()),
        p90=float(np.quantile(np.abs(left_out), 0.9)),
        worst=rows[int(np.abs(left_out).argmax())],
    )
