"""Validation: errors by hand, the shipped tables and the page against the fit, and how well predictions do."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from hwsim.chip import load_chip
from hwsim.data_folder import data_folder
from hwsim.errors import UsageError
from hwsim.report import evaluate
from hwsim.silicon import measurements
from hwsim.silicon.groups import aimed_sets, by_chip_and_release, error_bars_csv, errors_of
from hwsim.silicon.memory import memory_rows
from hwsim.silicon.npu_tables import write_npu_tables
from hwsim.silicon.page import filled, read_page
from hwsim.silicon.refit import write_tables
from hwsim.silicon.tables import groups_table, memory_errors, sets_table, worst_table
from hwsim.silicon.validation import Validated, without

PAGE = Path(__file__).parents[2] / "docs" / "validation.md"


def rows_with(*errors):
    """Measured rows with made-up errors: fitted, family left out."""
    known = [row for row in measurements() if row.chip == "stm32h747" and row.net]
    return [
        Validated(row, 0.1, fitted, {"family": left_out, "chip": float("nan"), "release": left_out})
        for row, (fitted, left_out) in zip(known, errors, strict=False)
    ]


def test_errors_by_hand():
    rows = rows_with((0.01, 0.1), (-0.03, -0.2), (0.02, 0.3), (0.0, float("nan")))
    errors = errors_of(rows)
    assert errors.n == 3
    assert errors.mape == pytest.approx((0.1 + 0.2 + 0.3) / 3)
    assert errors.bias == pytest.approx((0.1 - 0.2 + 0.3) / 3)
    # Ninth tenth of 0.1, 0.2, 0.3: at 0.9 * 2 = 1.8 steps.
    assert errors.p90 == pytest.approx(0.28)
    assert errors.shipped_mape == pytest.approx((0.01 + 0.03 + 0.02) / 3)
    assert errors.worst is rows[2]
    assert errors.worst_error == 0.3
    assert errors_of(rows, "chip") is None


def test_every_row_that_can_be_predicted_is(found):
    assert len(found.rows) >= 380
    assert sum(np.isnan(row.left_out_error) for row in found.rows) <= 1
    chips = {row.measurement.chip for row in found.rows}
    assert {"stm32h747", "stm32h7a3", "stm32l4r5", "stm32u575", "psoc62", "stm32mp157", "stm32g0b1"} <= chips


def test_the_engine_says_what_the_fit_says(found):
    # Tables have three or four digits, and two kinds that no row isolates are in them but not in the fit.
    for sample, row in zip(found.samples, found.rows, strict=True):
        assert 1 + row.shipped_error == pytest.approx(1 + found.fit.relative_error(sample), rel=0.03), row.measurement


def test_the_shipped_error_is_that_of_evaluate(found):
    for row in found.rows[::40]:
        m = row.measurement
        chip = load_chip(m.chip, runtime=m.runtime).replace("clock_mhz", m.clock_mhz)
        place = dict([m.placement.split("=")]) if m.placement else {}
        latency_s = evaluate(m.graph(), chip, dtype=m.dtype, place=place).latency_s
        assert latency_s == pytest.approx(m.latency_ms / 1e3 * (1 + row.shipped_error))


def test_shipped_tables_are_those_of_the_fit(found, npus, tmp_path):
    write_tables(found, tmp_path)
    write_npu_tables(npus, tmp_path)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    shipped = data_folder("hw_profiles") / "kernels"
    assert len(written) > 50
    for name, text in written.items():
        assert (shipped / name).read_text(encoding="utf-8") == text, "run python -m hwsim.silicon.refit hw_profiles"
    assert (data_folder("hw_profiles") / "validation.csv").read_text(encoding="utf-8") == error_bars_csv(
        [*found.rows, *npus.rows]
    )


def test_the_page_shows_what_is_validated(found, npus):
    text = read_page(PAGE)
    assert filled(text, found.joined(npus.rows)) == text, "hwsim validate --page docs/validation.md"


def test_a_page_needs_marks():
    for text, said in [("# Nothing\n", "no mark"), ("<!-- validate: sats -->\n<!-- end -->\n", "a mark 'sats'")]:
        with pytest.raises(UsageError, match=said):
            filled(text, None)


def test_error_bars_of_reports_are_of_nets_left_out(found):
    records = list(csv.DictReader(io.StringIO(error_bars_csv(found.rows))))
    (record,) = [r for r in records if (r["chip"], r["runtime"], r["dtype"]) == ("stm32h747", "st-edge-ai-4.0", "int8")]
    errors = [
        abs(row.left_out_error)
        for row in found.rows
        if (row.measurement.chip, row.measurement.runtime, row.measurement.dtype)
        == ("stm32h747", "st-edge-ai-4.0", "int8")
    ]
    assert int(record["n"]) == len(errors)
    assert float(record["p90"]) == pytest.approx(np.quantile(errors, 0.9), abs=5e-5)
    report = evaluate(measurements()[0].graph(), load_chip("stm32h747"), dtype="int8")
    assert report.error_p90 == float(record["p90"])


def test_left_out_chips_and_releases_leave_something_to_go_by(found):
    # Nobody else runs ONNC than the L4R5 and the M467, both Cortex-M4; nobody else TFLM without CMSIS-NN than the L4R5.
    by = {}
    for row in found.rows:
        by.setdefault((row.measurement.core, row.measurement.runtime), []).append(row)
    assert all(np.isnan(row.left_out_errors["release"]) for row in by["cortex-m4", "onnc"])
    assert not any(np.isnan(row.left_out_errors["chip"]) for row in by["cortex-m4", "onnc"])
    assert all(np.isnan(row.left_out_errors["chip"]) for row in by["cortex-m4", "tflm"])


def test_without_every_row_of_a_core_there_is_no_error(found):
    chosen = [i for i, sample in enumerate(found.samples) if sample.measurement.core == "cortex-m0plus"]
    assert np.isnan(without(found.samples, chosen)).all()


# What is reached, a little above it: a change of the model that does worse is seen.
REACHED = {
    ("Cortex-M7 int8, st-edge-ai-4.0", "family"): (0.05, 0.13),
    ("Cortex-M7 int8, x-cube-ai-10.0", "family"): (0.06, 0.15),
    ("Cortex-M7 int8, st-edge-ai-3.0", "family"): (0.085, 0.155),
    ("Cortex-M7 int8, x-cube-ai-7.3", "family"): (0.085, 0.14),
    ("Cortex-M7 int8, x-cube-ai-8.1", "family"): (0.085, 0.165),
    ("Cortex-M7 int8, hale", "family"): (0.075, 0.12),
    ("Cortex-M33 int8", "chip"): (0.10, 0.20),
    ("Cortex-M33 int8", "release"): (0.10, 0.20),
    ("Cortex-M4 int8", "chip"): (0.125, 0.235),
    ("Cortex-M4 int8", "release"): (0.12, 0.22),
    ("all rows of cores", "family"): (0.125, 0.285),
}


def test_predictions_are_as_good_as_they_were(found):
    sets = {(one.name, one.way): one.errors for one in aimed_sets(found.rows)}
    assert set(sets) == set(REACHED)
    for key, (mape, p90) in REACHED.items():
        assert sets[key].mape <= mape, key
        assert sets[key].p90 <= p90, key


def test_tables_show_the_errors(found):
    groups = by_chip_and_release(found.rows)
    table = groups_table(groups)
    assert len(table.rows) == len(groups)
    assert table.rows[0][0] == f"{groups[0].chip} {groups[0].dtype}"
    assert table.rows[0][1] == "any"
    assert table.rows[1][0] == ""
    sets = aimed_sets(found.rows)
    assert [row[-2] == "met" for row in sets_table(sets).rows] == [one.met for one in sets]
    worst = worst_table(found.rows, 3).rows
    assert len(worst) == 3
    largest = max(abs(row.left_out_error) for row in found.rows if not np.isnan(row.left_out_error))
    assert worst[0][-1][1:] == f"{100 * largest:.1f} %"


def test_weights_in_flash_are_exact_and_arenas_near():
    errors = {one.quantity: one for one in memory_errors(memory_rows())}
    assert errors["weights_flash_kib"].mape < 0.01
    assert errors["activation_ram_kib"].mape < 0.13
