"""Write the shipped kernel tables anew from the shipped measurements, and the errors of what they predict.

    python -m hwsim.silicon.refit hw_profiles

A physical table per core and NPU (``kernels/CORE.yaml``), a table of factors for each of its library releases, and
``validation.csv``, from which reports take their error bars.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from hwsim.chip.kernels import EngineDType
from hwsim.files import write_whole
from hwsim.silicon.fit import FULL, PARENTS, REFERENCE, Bench, Fit, bench
from hwsim.silicon.groups import error_bars_csv, errors_of
from hwsim.silicon.measurements import measurements
from hwsim.silicon.npu_fit import check_npus
from hwsim.silicon.npu_tables import write_npu_tables
from hwsim.silicon.parameters import FILTER_LANES, GROUPS, INNER_LANES, NAMES, STALL, kernel_costs
from hwsim.silicon.samples import PARALLEL_EFFICIENCY, WEIGHT_REUSE, Sample, samples
from hwsim.silicon.table_text import folded, inline, table_name
from hwsim.silicon.validation import Checked, check, measured_rows

# Release -> library as its makers write it, and which cores' tables are written for it.
ARM = ("cortex-m4", "cortex-m33", "cortex-m7")
LINUX = ("cortex-a7", "cortex-a35")
RELEASES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **{f"x-cube-ai-{r}": (f"X-CUBE-AI {r}", ARM) for r in ("7.1", "7.3", "8.0", "8.1", "9.0", "9.1", "10.0")},
    "st-edge-ai-2.0": ("ST Edge AI Core 2.0", ("cortex-m55",)),
    "st-edge-ai-3.0": ("ST Edge AI Core 3.0", (*ARM, "cortex-m55")),
    "st-edge-ai-4.0": ("ST Edge AI Core 4.0", (*ARM, "cortex-m55")),
    "tflm-cmsis-nn": ("TensorFlow Lite for Microcontrollers with CMSIS-NN", (*ARM, "cortex-m55", "cortex-m85")),
    "tflm": ("TensorFlow Lite for Microcontrollers 2.3.1, CMSIS-NN not stated", ("cortex-m4",)),
    "plumerai-2022.09": ("Plumerai Inference Engine 2022.09", ARM),
    "plumerai": ("Plumerai Inference Engine 2023.05", ARM),
    "hale": ("Bosch HALE 1.0.175", (*ARM, "cortex-m0plus")),
    "microtvm": ("microTVM with CMSIS-NN, Zephyr 2.7.3", ARM),
    "microtvm-native": ("microTVM with its own schedules, Zephyr 2.7.3", ("cortex-m4",)),
    "x-cube-ai-10.2": ("X-CUBE-AI 10.2", ARM),
    "onnc": ("ONNC with legacy CMSIS-NN kernels", ("cortex-m4",)),
    "x-linux-ai-5.1": ("TensorFlow Lite 2.11 of X-LINUX-AI 5.1", LINUX),
    "x-linux-ai-6.1": ("TensorFlow Lite 2.18 of X-LINUX-AI 6.1", LINUX),
    "tflite": ("TensorFlow Lite, as X-LINUX-AI 6.1 ships it", LINUX),
}
# A release without a row: the geometric mean of others, and why of those.
BETWEEN: Mapping[str, tuple[tuple[str, ...], str]] = {
    "x-cube-ai-8.0": (("x-cube-ai-7.3", "x-cube-ai-8.1"), "the releases before and after"),
    "x-cube-ai-10.2": (
        ("x-cube-ai-9.0",),
        "used in MLPerf Tiny by the same submitter with the same settings, which differ from the model zoo's",
    ),
    "st-edge-ai-2.0": (("st-edge-ai-3.0",), "the release after it"),
    "tflite": (("x-linux-ai-6.1",), "the TensorFlow Lite that it ships"),
}
# Cores without a row, or with one: as another core's table times a factor.
ASSUMED: Mapping[str, tuple[str, float, str]] = {
    "cortex-m55": ("cortex-m4", 0.25, "the ratio of peak int8 rates, eight MACs per cycle over two"),
    "cortex-m85": ("cortex-m7", 0.29, "the ratio of peak int8 rates over a core that also issues two instructions"),
    "cortex-a35": ("cortex-a7", 0.75, "one row of STM32MP257 (st_mnist), and wider caches"),
}
# A float table where no row is of floats: the integer one times this, with four times the weight bytes.
FLOAT_OVER_INT8 = 2.0


def main(folder: Path) -> None:
    """Fit, and write tables and errors into a folder of profiles."""
    rows = measured_rows()
    _say(f"{len(rows)} rows of cores")
    found = check(samples(rows), ["family"], progress=_say)
    write_tables(found, folder / "kernels")
    npus = check_npus(progress=_say)
    write_npu_tables(npus, folder / "kernels")
    write_whole(folder / "validation.csv", error_bars_csv([*found.rows, *npus.rows]))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def write_tables(found: Checked, folder: Path) -> None:
    """Write a physical table per core and the factors of every release on it."""
    cores = list(dict.fromkeys([*(core for core, _ in found.fit.values), *ASSUMED]))
    for core in cores:
        write_whole(folder / f"{core}.yaml", _base_text(core, found))
    for runtime, (library, on) in RELEASES.items():
        for core in on:
            name = table_name(core, runtime)
            write_whole(folder / f"{name}.yaml", _release_text(name, core, runtime, library, found))


def _base_text(core: str, found: Checked) -> str:
    lines = [
        "schema: 1",
        f"name: {core}",
        f"core: {core}",
        "library: the core's physical table, which tables of releases refer to",
        "runtime: none",
        f"inner_lanes: {INNER_LANES}",
        f"filter_lanes: {FILTER_LANES}",
        f"weight_reuse: {WEIGHT_REUSE:g}",
        f"stall_factor: {_values(core, 'int8', found.fit)[STALL]:.3g}",
    ]
    if core in LINUX:
        lines.append(f"parallel_efficiency: {PARALLEL_EFFICIENCY:g}")
    lines += folded("fitted_to", _fitted_to(core, found))
    lines.append("dtypes:")
    for dtype in ("int8", "float32"):
        lines.append(f"  {dtype}:")
        costs = kernel_costs(_values(core, dtype, found.fit), _scale(core, dtype, found.fit))
        lines += [f"    {entry}: {inline(cost)}" for entry, cost in costs.items()]
    lines.append("sources:")
    lines += folded('"*"', _source(core), indent=2)
    return "\n".join(lines) + "\n"


def _values(core: str, dtype: EngineDType, fit: Fit) -> dict[str, float]:
    """Return the value of each parameter, computing at this dtype."""
    if (core, dtype) in fit.values:
        return dict(zip(NAMES, fit.values[core, dtype].tolist(), strict=True))
    if core in ASSUMED:
        parent, factor, _ = ASSUMED[core]
        return _computing_scaled(_values(parent, dtype, fit), factor)
    values = _values(core, "int8", fit)
    return _computing_scaled(values, FLOAT_OVER_INT8)


def _computing_scaled(values: Mapping[str, float], factor: float) -> dict[str, float]:
    """Return values with all but the waiting for memories times a factor."""
    return {name: value if name in (STALL, "weight byte") else value * factor for name, value in values.items()}


def _scale(core: str, dtype: EngineDType, fit: Fit) -> float:
    """Return how much slower than the Cortex-M7's the kinds are that no row isolates."""
    return _values(core, dtype, fit)["add"] / _values("cortex-m7", "int8", fit)["add"]


def _fitted_to(core: str, found: Checked) -> str:
    if core in ASSUMED:
        parent, factor, why = ASSUMED[core]
        return f"assumed: the table of {parent} times {factor:g}, {why}; no row of this core was fitted to."
    parts = []
    for dtype in ("int8", "float32"):
        one: Bench = (core, dtype)
        rows = [sample for sample in found.samples if bench(sample) == one]
        if not rows:
            parts.append(f"{dtype}: assumed, int8 times {FLOAT_OVER_INT8:g}; no row of it.")
            continue
        chips = ", ".join(sorted({row.measurement.chip for row in rows}))
        families = len({row.measurement.family for row in rows})
        count = found.fit.coefficients["/".join(one)]
        fitted = f"{count} coefficient{'s' if count > 1 else ''}"
        parent = "/".join(PARENTS.get(one, ()))
        how = "a value per parameter, near its prior" if one in FULL else f"{parent} times a scale per group"
        parts.append(f"{dtype}: {len(rows)} rows of {families} families on {chips}; {fitted} ({how}).")
    return " ".join([*parts, "Nonnegative least squares of relative error; norm and copy are assumed."])


def _source(core: str) -> str:
    if core in ASSUMED:
        return f"assumed: scaled from {ASSUMED[core][0]}"
    return (
        "measured: fitted to STMicroelectronics/stm32ai-modelzoo and MLPerf Tiny v0.5 to v1.2; "
        "hwsim/silicon/measurements.csv"
    )


def _release_text(name: str, core: str, runtime: str, library: str, found: Checked) -> str:
    fitted = [sample for sample in found.samples if sample.measurement.runtime == runtime]
    here = [sample for sample in fitted if sample.measurement.core == core]
    factors = _factors(runtime, found.fit)
    lines = [
        "schema: 1",
        f"name: {name}",
        f"core: {core}",
        f"library: {library}",
        f"runtime: {runtime}",
        f"base: {core}",
        "factors: {" + ", ".join(f"{group}: {value:.3g}" for group, value in zip(GROUPS, factors, strict=True)) + "}",
    ]
    sizes = _sizes(runtime, core)
    lines += [f"{field}: {value:.1f}" for field, (value, _) in sizes.items()]
    lines += folded("fitted_to", _release_fitted_to(runtime, fitted, here, found.fit))
    if here:
        fitted_error = np.abs([found.fit.relative_error(sample) for sample in here])
        lines.append(f"fit_error: {{mape: {fitted_error.mean():.3f}, n: {len(here)}}}")
        left_out = errors_of(row for row in found.rows if row.measurement in {sample.measurement for sample in here})
        if left_out is not None:
            lines.append(f"left_out_error: {{mape: {left_out.mape:.3f}, p90: {left_out.p90:.3f}, n: {left_out.n}}}")
    lines.append("sources:")
    source = "measured: hwsim/silicon/measurements.csv" if fitted else "assumed: no row of this release"
    lines.append(f'  "*": "{source}"')
    lines += [line for field, (_, source) in sizes.items() for line in folded(field, source, indent=2)]
    return "\n".join(lines) + "\n"


def _factors(runtime: str, fit: Fit) -> np.ndarray:
    if runtime in BETWEEN and runtime not in fit.factors:
        others = np.array([fit.factor(other) for other in BETWEEN[runtime][0]])
        return np.asarray(np.exp(np.log(others).mean(axis=0)))
    return fit.factor(runtime)


def _release_fitted_to(runtime: str, fitted: Sequence[Sample], here: Sequence[Sample], fit: Fit) -> str:
    if runtime in REFERENCE:
        return f"{len(here)} rows of this core and release; its factors are one by definition."
    if not fitted:
        others, why = BETWEEN[runtime]
        what = f"as {others[0]}" if len(others) == 1 else f"the geometric mean of {' and '.join(others)}"
        return f"assumed: {what}, {why}; no row of this release."
    cores = ", ".join(sorted({sample.measurement.core for sample in fitted}))
    return (
        f"{len(fitted)} rows of this release on {cores} ({len(here)} on this core), which share "
        f"{fit.coefficients.get(runtime, 0)} fitted factors."
    )


def _sizes(runtime: str, core: str) -> dict[str, tuple[float, str]]:
    """Return RAM and flash that the runtime takes for itself: the median of what the zoo's int8 rows state."""
    stated = [row for row in measurements() if row.runtime == runtime and row.dtype == "int8" and row.engine == "core"]
    sizes = {}
    for field in ("runtime_ram_kib", "code_flash_kib"):
        here = [getattr(row, field) for row in stated if row.core == core and getattr(row, field) is not None]
        anywhere = [getattr(row, field) for row in stated if getattr(row, field) is not None]
        values = here or anywhere
        if values:
            word = "measured" if here else "assumed, as on other cores"
            source = f"{word}: median of {len(values)} int8 rows of stm32ai-modelzoo that state it"
            sizes[field] = (median(values), source)
    return sizes


def _arguments(words: Iterable[str]) -> Path:
    (folder,) = words
    return Path(folder)


if __name__ == "__main__":
    main(_arguments(sys.argv[1:]))
