"""Validation as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwsim import __version__
from hwsim.report.export import json_text
from hwsim.silicon.energy import EnergyRow, energy_errors
from hwsim.silicon.groups import Errors, aimed_sets, by_chip_and_release
from hwsim.silicon.validation import Validated

_ENERGY = ("chip", "n", "rounds", "shipped_mape", "power_mape", "mape", "bias", "p90")


def checked_json(rows: Sequence[Validated], energies: Sequence[EnergyRow] = ()) -> str:
    """Return validated rows, their errors by chip and release, the sets aimed at, and energies, as JSON text."""
    told = {
        "hwsim": __version__,
        "units": {"_s": "second", "_j": "joule", "error": "predicted over measured, less one"},
        "rows": [row.record() for row in rows],
        "groups": [
            {"chip": group.chip, "core": group.core, "dtype": group.dtype, "runtime": group.runtime}
            | _errors(group.errors)
            for group in by_chip_and_release(rows)
        ],
        "sets": [
            {"set": one.name, "left_out": one.way, "mape_aim": one.mape_aim, "p90_aim": one.p90_aim, "met": one.met}
            | _errors(one.errors)
            for one in aimed_sets(rows)
        ],
        "energy_rows": [row.record() for row in energies],
        "energy": [
            {name: getattr(one, name) for name in _ENERGY} | {"worst": one.worst.record()}
            for one in energy_errors(energies)
        ],
    }
    return json_text(told)


def _errors(errors: Errors) -> dict[str, Any]:
    return {
        "n": errors.n,
        "families": errors.families,
        "shipped_mape": errors.shipped_mape,
        "shipped_p90": errors.shipped_p90,
        "mape": errors.mape,
        "bias": errors.bias,
        "p90": errors.p90,
        "worst": errors.worst.record(),
    }
