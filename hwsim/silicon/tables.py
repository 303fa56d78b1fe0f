"""What ``validate`` shows: errors by chip and release, of the sets aimed at, of memory, and the worst rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hwsim.report.table import Column, Table
from hwsim.report.words import MISSING, scaled
from hwsim.silicon.energy import MAPE_AIM, P90_AIM, EnergyErrors
from hwsim.silicon.groups import ANY, AimedSet, Group
from hwsim.silicon.memory import MemoryRow
from hwsim.silicon.validation import Validated

QUANTITIES_IN_WORDS = {
    "weights_flash_kib": "weights in flash",
    "activation_ram_kib": "activation arena",
    "runtime_ram_kib": "RAM of the runtime",
    "code_flash_kib": "code in flash",
}


def groups_table(groups: Sequence[Group]) -> Table:
    """Return a row per chip, dtype and release: errors of the shipped tables, and with the net's family left out."""
    columns = (
        Column("chip"),
        Column("runtime"),
        *(Column(name, numeric=True) for name in ("n", "families", "fitted", "left out", "bias", "p90")),
        Column("worst row", overflow="middle"),
    )
    rows = []
    before = ""
    for group in groups:
        errors, here = group.errors, f"{group.chip} {group.dtype}"
        numbers = (errors.shipped_mape, errors.mape, errors.bias, errors.p90)
        rows.append(
            [
                here if here != before else "",
                "any" if group.runtime == ANY else group.runtime,
                str(errors.n),
                str(errors.families),
                *(_share(number, signed=index == 2) for index, number in enumerate(numbers)),
                _named(errors.worst, errors.worst_error),
            ]
        )
        before = here
    return Table(columns, rows)


def sets_table(sets: Sequence[AimedSet]) -> Table:
    """Return a row per set that hwsim aims at, and whether it gets there."""
    columns = (
        Column("set"),
        Column("left out"),
        *(Column(name, numeric=True) for name in ("n", "families", "MAPE", "aim", "p90", "aim", "bias")),
        Column("aims"),
        Column("worst row", overflow="middle", drop=1),
    )
    rows = []
    for one in sets:
        errors = one.errors
        rows.append(
            [
                one.name,
                one.way,
                str(errors.n),
                str(errors.families),
                _share(errors.mape),
                f"{100 * one.mape_aim:g} %",
                _share(errors.p90),
                f"{100 * one.p90_aim:g} %",
                _share(errors.bias, signed=True),
                "met" if one.met else "MISSED",
                _named(errors.worst, errors.worst_error),
            ]
        )
    return Table(columns, rows)


@dataclass(frozen=True, slots=True)
class MemoryErrors:
    """How far predictions of a quantity of memory are off; fractions."""

    quantity: str
    n: int
    mape: float
    bias: float
    p90: float


def memory_errors(rows: Iterable[MemoryRow]) -> list[MemoryErrors]:
    """Return the errors of each quantity of memory."""
    found = []
    by_quantity: dict[str, list[float]] = {name: [] for name in QUANTITIES_IN_WORDS}
    for row in rows:
        for name in row.predicted_kib:
            by_quantity[name].append(row.error(name))
    for name, errors in by_quantity.items():
        if errors:
            size = np.abs(errors)
            p90 = float(np.quantile(size, 0.9))
            found.append(MemoryErrors(name, len(errors), float(size.mean()), float(np.mean(errors)), p90))
    return found


def memory_table(errors: Iterable[MemoryErrors]) -> Table:
    """Return a row per quantity of memory."""
    columns = (
        Column("memory"),
        *(Column(name, numeric=True) for name in ("n", "MAPE", "bias", "p90")),
    )
    rows = [
        [
            QUANTITIES_IN_WORDS[one.quantity],
            str(one.n),
            _share(one.mape),
            _share(one.bias, signed=True),
            _share(one.p90),
        ]
        for one in errors
    ]
    return Table(columns, rows)


def energy_table(errors: Iterable[EnergyErrors]) -> Table:
    """Return a row per chip whose energy is aimed at, and one of them all."""
    names = ("n", "rounds", "as shipped", "power alone", "left out", "bias", "p90")
    columns = (
        Column("energy"),
        *(Column(name, numeric=True) for name in names),
        Column("worst row", overflow="middle", drop=1),
    )
    rows = []
    for one in errors:
        worst = one.worst.measurement
        shares = (one.shipped_mape, one.power_mape, one.mape, one.bias, one.p90)
        rows.append(
            [
                f"all (aims: {100 * MAPE_AIM:g} %, p90 {100 * P90_AIM:g} %)" if one.chip == "*" else one.chip,
                str(one.n),
                str(one.rounds),
                *(_share(share, signed=index == 3) for index, share in enumerate(shares)),
                f"{worst.net_name.removesuffix('()')}, {worst.round} {_share(one.worst.left_out_error, signed=True)}",
            ]
        )
    return Table(columns, rows)


def worst_table(rows: Iterable[Validated], count: int) -> Table:
    """Return the rows that are furthest off when their family is left out."""
    columns = (
        Column("net", overflow="middle"),
        Column("chip"),
        Column("dtype"),
        Column("runtime"),
        *(Column(name, numeric=True) for name in ("measured", "fitted", "left out")),
    )
    known = [row for row in rows if not np.isnan(row.left_out_error)]
    worst = sorted(known, key=lambda row: -abs(row.left_out_error))[:count]
    return Table(
        columns,
        [
            [
                row.measurement.net_name.removesuffix("()"),
                row.measurement.chip,
                row.measurement.dtype,
                row.measurement.runtime,
                scaled(row.measured_s, "s"),
                _share(row.shipped_error, signed=True),
                _share(row.left_out_error, signed=True),
            ]
            for row in worst
        ],
    )


def _named(row: Validated, error: float) -> str:
    return f"{row.measurement.net_name.removesuffix('()')} {_share(error, signed=True)}"


def _share(value: float, *, signed: bool = False) -> str:
    return MISSING if np.isnan(value) else f"{100 * value:{'+' if signed else ''}.1f} %".replace("-", "−")
