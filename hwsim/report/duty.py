"""A net that runs again and again: what the chip draws on average, and how long a battery lasts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, NamedTuple

from hwsim.chip import Chip, HardwarePoints
from hwsim.errors import UsageError
from hwsim.report.words import lasting
from hwsim.units import S_PER_DAY, S_PER_HOUR, S_PER_MINUTE, S_PER_MS, S_PER_US

if TYPE_CHECKING:
    from hwsim.report.record import Report

_TIMES = {"us": S_PER_US, "µs": S_PER_US, "ms": S_PER_MS, "s": 1, "min": S_PER_MINUTE, "h": S_PER_HOUR, "d": S_PER_DAY}
_ENERGIES = {"mWh": 1e-3 * S_PER_HOUR, "Wh": S_PER_HOUR, "J": 1.0, "kJ": 1e3}
_CHARGES = {"uAh": 1e-6 * S_PER_HOUR, "µAh": 1e-6 * S_PER_HOUR, "mAh": 1e-3 * S_PER_HOUR, "Ah": S_PER_HOUR}
_NUMBER = r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
_TIME = re.compile(rf"\s*{_NUMBER}\s*({'|'.join(_TIMES)})\s*")
_BATTERY = re.compile(rf"\s*{_NUMBER}\s*({'|'.join([*_CHARGES, *_ENERGIES])})\s*(?:@\s*{_NUMBER}\s*V\s*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCycle:
    """A chip that runs a net once in every period and waits in between.

    Attributes:
        period_s: From one start to the next [s]; the latency where it runs without a break.
        run_s: Of it, running [s].
        run_w: Power meanwhile [W].
        waits: How it waits: sleep, idle, on (what it draws with all engines at rest), busy (there is no time to wake up
            from sleep, and nothing is known of idling), or empty: it does not.
        wait_w: Power meanwhile [W].
        wake_s: Time to wake up, at the power of running [s].
        average_w: Mean power at the chip's supply [W]; nan where the net does not run, or not within the period.
        battery: The battery as it was given, or empty.
        battery_j: What it holds [J].
        battery_w: Mean power drawn from it [W]; a linear regulator draws the same current whatever its voltage.
        life_s: How long it lasts [s].
        reason: Why there is no average, or empty.
    """

    period_s: float
    run_s: float
    run_w: float
    waits: str
    wait_w: float
    wake_s: float
    average_w: float
    battery: str = ""
    battery_j: float = nan
    battery_w: float = nan
    life_s: float = nan
    reason: str = ""


class Battery(NamedTuple):
    """What a battery holds [J], and its voltage [V], nan where it was given as an energy alone."""

    energy_j: float
    voltage_v: float


class _Wait(NamedTuple):
    """A way to wait: energy until the next run [J], its name, its power [W], the time to wake up from it [s]."""

    energy_j: float
    state: str
    power_w: float
    wake_s: float


def seconds(text: str, what: str) -> float:
    """Return a time of the command line in seconds.

    Raises:
        UsageError: It is none.
    """
    match = _TIME.fullmatch(text)
    value = float(match[1]) * _TIMES[match[2]] if match else 0.0
    if not (isfinite(value) and value > 0):
        raise UsageError(f"{what} {text}: must be a time above zero with its unit, such as 1s, 100ms or 5min")
    return value


def battery_of(text: str) -> Battery:
    """Return the battery that a text describes: charge and voltage, or energy.

    Raises:
        UsageError: It describes none.
    """
    match = _BATTERY.fullmatch(text)
    charge = match is not None and match[2] in _CHARGES
    if match is None or (charge and match[3] is None):
        raise UsageError(f"battery {text}: write charge and voltage, such as 220mAh@3V, or energy, such as 2.4Wh")
    amount, voltage = float(match[1]), float(match[3]) if match[3] else nan
    energy = amount * (_CHARGES[match[2]] * voltage if charge else _ENERGIES[match[2]])
    if not (isfinite(energy) and energy > 0) or voltage == 0:
        raise UsageError(f"battery {text}: charge and voltage must be above zero")
    return Battery(energy, voltage)


def duty_cycle(report: Report, chip: Chip, period_s: float | None, battery: str | None) -> DutyCycle:
    """Return what a chip draws that runs a net once in every period.

    It waits in the way that costs least, of those its profile gives a power for; waking up takes its time at the power
    of running.

    Args:
        report: The net on the chip.
        chip: The chip.
        period_s: From one start to the next [s]; None: without a break.
        battery: What feeds it; None: something that lasts.

    Raises:
        UsageError: The period is none, the battery is none, or the profile has no power of a chip that waits.
    """
    if period_s is not None and not (isfinite(period_s) and period_s > 0):
        raise UsageError(f"period_s = {period_s:g}: must be a time above zero [s]")
    cell = battery_of(battery) if battery is not None else None
    points, run_s, run_w = HardwarePoints.of(chip), report.latency_s, report.power_w
    if period_s is not None and not points.waits_w:
        raise UsageError(
            f"{chip.name}: its profile has no power of waiting: give idle_mw or sleep_uw (--set idle_mw=…)"
        )
    reason = report.reason
    if not reason and period_s is not None and run_s > period_s:
        reason = f"a run takes {lasting(run_s)}, longer than the period of {lasting(period_s)}"
    least = _Wait(0.0, "", nan, 0.0)
    if period_s is not None and not reason:
        least = min(_waits(points, run_w, period_s - run_s))
    span = run_s if period_s is None else period_s
    average = nan if reason else (run_w * run_s + least.energy_j) / span
    drawn = average * _battery_factor(points, cell) if cell else nan
    return DutyCycle(
        period_s=span,
        run_s=run_s,
        run_w=run_w,
        waits=least.state,
        wait_w=least.power_w,
        wake_s=least.wake_s,
        average_w=average,
        battery=battery or "",
        battery_j=cell.energy_j if cell else nan,
        battery_w=drawn,
        life_s=cell.energy_j / drawn if cell and drawn else nan,
        reason=reason,
    )


def _waits(points: HardwarePoints, run_w: float, gap_s: float) -> list[_Wait]:
    """Return the ways to wait for a time; where it is too short to wake up, sleep costs more than staying busy."""
    found = [_Wait(gap_s * run_w, "busy", run_w, 0.0)]
    for state, power in points.waits_w.items():
        power_w = float(power[0])
        wake_s = float(points.wake_s[0]) if state == "sleep" else 0.0
        found.append(_Wait(wake_s * run_w + (gap_s - wake_s) * power_w, state, power_w, wake_s))
    return found


def _battery_factor(points: HardwarePoints, battery: Battery) -> float:
    """Return the power drawn from a battery over that at the chip's supply."""
    supply_v = points.chip.supply_v
    if points.chip.regulator != "linear" or supply_v is None or not isfinite(battery.voltage_v):
        return 1.0
    return battery.voltage_v / supply_v
