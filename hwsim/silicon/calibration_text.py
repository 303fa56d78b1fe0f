"""What ``calibrate`` writes and shows: the kernel table as YAML, tables of factors and rows, and what to do next."""

from __future__ import annotations

from hwsim.chip import MIN_ROWS, KernelTable
from hwsim.report.table import Column, Table
from hwsim.report.words import MISSING, percent, rounded, scaled
from hwsim.silicon.calibrate import ROWS_PER_COEFFICIENT, Calibration
from hwsim.silicon.coefficients import LADDER, PARTS, UNCHANGED
from hwsim.silicon.robust_fit import likes
from hwsim.silicon.table_text import folded, inline

# Rows whose weight is lower were told apart from the others.
DOUBTED = 0.25
DIGITS = 6


def table_yaml(table: KernelTable) -> str:
    """Return a kernel table, one without a base, as the YAML that ``load_kernel_table`` reads."""
    lines = ["schema: 1"]
    lines += [f"{field}: {_quoted(getattr(table, field))}" for field in ("name", "core", "library", "runtime")]
    for field in ("inner_lanes", "filter_lanes", "weight_reuse", "stall_factor", "parallel_efficiency"):
        value = getattr(table, field)
        if value is not None:
            lines.append(f"{field}: {value:.{DIGITS}g}")
    lines += [f"{field}: {getattr(table, field):g}" for field in ("runtime_ram_kib", "code_flash_kib")]
    lines += folded("fitted_to", table.fitted_to)
    for field in ("fit_error", "left_out_error"):
        error = getattr(table, field)
        if error is not None:
            lines.append(f"{field}: {{mape: {error.mape:g}, p90: {error.p90:g}, n: {error.n}}}")
    lines.append("dtypes:")
    for dtype, costs in table.dtypes.items():
        lines.append(f"  {dtype}:")
        lines += [f"    {entry}: {inline(cost, DIGITS)}" for entry, cost in costs.items()]
    lines.append("sources:")
    for key, source in table.sources.items():
        lines += folded(f'"{key}"', source, indent=2)
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def factors_table(found: Calibration) -> Table:
    """Return a row per part of the kernel table: its factor, who shares it, and how much of the rows it is."""
    columns = (
        Column("part of the kernel table"),
        Column("factor", numeric=True),
        Column("coefficient"),
        Column("share of the rows' time", numeric=True),
    )
    rung = LADDER[found.coefficients]
    rows = [
        [
            part,
            rounded(float(factor)),
            "kept" if group == UNCHANGED else f"#{group + 1}",
            percent(float(share)),
        ]
        for part, factor, group, share in zip(PARTS, found.factors, rung, found.shares, strict=True)
    ]
    return Table(columns, rows)


def rows_table(found: Calibration) -> Table:
    """Return a row per measurement: measured, and how far off the start, the fit, and the fit without it are."""
    columns = (
        Column("line", numeric=True),
        Column("measured", overflow="middle"),
        Column("value", numeric=True),
        *(Column(name, numeric=True) for name in ("before", "fitted", "left out", "weight")),
    )
    rows = []
    for one in found.rows:
        row = one.observation.row
        value = scaled(row.latency_s, "s") if row.latency_s is not None else scaled(row.cycles or 0.0, "cycle")
        errors = [_signed(error) for error in (one.before, one.fitted, one.left_out)]
        rows.append([str(row.line), row.name, value, *errors, rounded(one.weight, 2)])
    return Table(columns, rows)


def told(found: Calibration, file: str) -> list[tuple[str, str]]:
    """Return labelled lines: rows that stand apart, the error bar, the power, and how to use the table."""
    engine, chip = found.engine, found.chip
    lines = [
        ("start", f"kernel table {found.start} ({engine.runtime})"),
        ("left out", f"a fit without {likes([row.observation for row in found.rows])[0]}"),
    ]
    doubted = [row.observation.row for row in found.rows if row.weight < DOUBTED]
    if doubted:
        names = ", ".join(f"line {row.line} ({row.name})" for row in doubted[:4])
        more = f" and {len(doubted) - 4} more" if len(doubted) > 4 else ""
        lines.append(("outliers", f"{names}{more}: far from what the other rows say, and counted little; measure anew"))
    if found.mean_error("before") <= found.mean_error("left_out"):
        lines.append(("no gain", f"{found.start} as it is predicts these rows as well: keep it, or measure more nets"))
    error = found.table.left_out_error
    if error is not None and error.p90 is not None:
        enough = "" if error.n >= MIN_ROWS else f"; reports show it from {MIN_ROWS} rows on"
        lines.append(("error bar", f"± {_share(error.p90)}: 90th percentile of the left-out errors{enough}"))
    lines.append(("energy", _power(found)))
    name = found.table.name
    lines.append(("use it", f"{file} beside the profile of {chip.name}; there, under engines, {engine.name}:"))
    lines.append(("", f"kernels: {{{engine.runtime}: {name}}}"))
    return lines


def _power(found: Calibration) -> str:
    field = f"engines.{found.engine.name}.run_mw"
    if found.power is None:
        few = f"{found.energies} row{'s' * (found.energies != 1)} with energy_mj, {ROWS_PER_COEFFICIENT} are needed"
        return f"{few} to tell {field}" if found.energies else "no row has energy_mj"
    now = MISSING if found.engine.run_mw is None else f"{found.engine.run_mw:g} mW"
    return (
        f"{field} = {rounded(found.power.run_mw)} mW from {found.power.n} rows (the profile says {now}); energies left "
        f"out are {_share(found.power.left_out)} off"
    )


def quote(found: Calibration) -> str:
    """Return the line a person would quote."""
    before, fitted, left_out = (_share(found.mean_error(which)) for which in ("before", "fitted", "left_out"))
    factors = "one factor rests" if found.coefficients == 1 else f"{found.coefficients} factors rest"
    return (
        f"{found.table.name} on {found.chip.name}: {left_out} off on what it has not seen, {fitted} on the "
        f"{len(found.rows)} rows that its {factors} on; {before} before"
    )


def _share(error: float) -> str:
    return f"{100 * error:.1f} %"


def _signed(error: float) -> str:
    return f"{100 * error:+.1f} %".replace("-", "−")


def record(found: Calibration) -> dict[str, object]:
    """Return the calibration for JSON: SI units, errors as fractions."""
    power = found.power
    return {
        "table": found.table.name,
        "start": found.start,
        "chip": found.chip.name,
        "engine": found.engine.name,
        "coefficients": found.coefficients,
        "factors": dict(zip(PARTS, found.factors.tolist(), strict=True)),
        "mape": {which: found.mean_error(which) for which in ("before", "fitted", "left_out")},
        "run_mw": None if power is None else {"value": power.run_mw, "left_out_mape": power.left_out, "n": power.n},
        "rows": rows_record(found),
    }


def rows_record(found: Calibration) -> list[dict[str, object]]:
    """Return the rows for JSON and CSV."""
    return [
        {
            "line": one.observation.row.line,
            "net": one.observation.row.net,
            "parameters": one.observation.row.parameters,
            "layer": one.observation.row.layer,
            "cycles": one.observation.cycles,
            "before": one.before,
            "fitted": one.fitted,
            "left_out": one.left_out,
            "weight": one.weight,
        }
        for one in found.rows
    ]
