"""Kernel tables of NPUs as YAML: a physical one each, and the factors of every release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwsim.files import write_whole
from hwsim.silicon.groups import errors_of
from hwsim.silicon.npu_fit import NpuFit, NpusChecked
from hwsim.silicon.npu_parameters import ARRAY_NAMES, BY_CHIP, Npu, array_costs
from hwsim.silicon.parameters import GROUPS
from hwsim.silicon.table_text import folded, inline, table_name
from hwsim.silicon.validation import Validated

MEASURED = (
    "measured: fitted to STMicroelectronics/stm32ai-modelzoo and MLPerf Tiny v0.5 to v1.2; "
    "hwsim/silicon/measurements.csv"
)


def write_npu_tables(found: NpusChecked, folder: Path) -> None:
    """Write a physical table per NPU and the factors of every release of its library."""
    for fit in found.fits.values():
        pairs = zip(found.rows, found.samples, strict=True)
        # Tables are about to be written: the error in sample is the fit's, not that of the tables that still lie there.
        rows = [
            replace(row, shipped_error=fit.relative_error(sample))
            for row, sample in pairs
            if BY_CHIP[row.measurement.chip] is fit.npu
        ]
        write_whole(folder / f"{fit.npu.table}.yaml", _base_text(fit, rows))
        for runtime, library in fit.npu.libraries.items():
            name = table_name(fit.npu.table, runtime.removesuffix("-hsp"))
            write_whole(folder / f"{name}.yaml", _release_text(name, fit, runtime, library, rows))


def _base_text(fit: NpuFit, rows: Sequence[Validated]) -> str:
    values = dict(zip(ARRAY_NAMES, fit.values.tolist(), strict=True))
    fitted = fit.coefficients.get("table", 0) > 0
    lines = [
        "schema: 1",
        f"name: {fit.npu.table}",
        f"core: {fit.npu.table}",
        "library: the array's physical table, which tables of releases refer to",
        "runtime: none",
        *folded("fitted_to", _fitted_to(fit, rows)),
        "dtypes:",
        "  int8:",
        *(f"    {entry}: {inline(cost)}" for entry, cost in array_costs(values).items()),
        "sources:",
        *folded('"*"', MEASURED if fitted else f"assumed: {fit.npu.told}", indent=2),
    ]
    return "\n".join(lines) + "\n"


def _fitted_to(fit: NpuFit, rows: Sequence[Validated]) -> str:
    families = len({row.measurement.family for row in rows})
    count = fit.coefficients.get("table", 0)
    how = {0: "none fitted, they are too few", 1: "one coefficient, which scales the priors"}
    told = how.get(count, f"{count} coefficients, a value per parameter near its prior")
    return f"{len(rows)} int8 rows of {families} families on {fit.npu.chip}; {told}. Priors: {fit.npu.told}."


def _release_text(name: str, fit: NpuFit, runtime: str, library: str, rows: Sequence[Validated]) -> str:
    npu: Npu = fit.npu
    here = [row for row in rows if row.measurement.runtime == runtime]
    factors: Mapping[str, float] = dict(zip(GROUPS, fit.factor(runtime).tolist(), strict=True))
    lines = [
        "schema: 1",
        f"name: {name}",
        f"core: {npu.table}",
        f"library: {library}",
        f"runtime: {runtime}",
        f"base: {npu.table}",
        "factors: {" + ", ".join(f"{group}: {value:.3g}" for group, value in factors.items()) + "}",
    ]
    told = f"{len(here)} rows of this release; " + (
        "its factors are one by definition."
        if runtime == npu.reference
        else f"{fit.coefficients.get(runtime, 0)} fitted factors, held near one."
    )
    lines += folded("fitted_to", told)
    if here:
        shipped = np.abs([row.shipped_error for row in here])
        lines.append(f"fit_error: {{mape: {shipped.mean():.3f}, n: {len(here)}}}")
        left_out = errors_of(here)
        if left_out is not None:
            lines.append(f"left_out_error: {{mape: {left_out.mape:.3f}, p90: {left_out.p90:.3f}, n: {left_out.n}}}")
    lines += ["sources:", '  "*": "measured: hwsim/silicon/measurements.csv"']
    return "\n".join(lines) + "\n"
