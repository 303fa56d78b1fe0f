"""Energy: run powers by hand, what is left out, and how far off measured rows predictions are."""

from dataclasses import replace

import pytest

from hwsim.silicon.energy import (
    MAPE_AIM,
    P90_AIM,
    energy_errors,
    energy_measurements,
    energy_rows,
    power_left_out,
    power_of,
    under_zephyr,
)


@pytest.fixture(scope="module")
def rows():
    return energy_rows()


def row_of(chip, round_, net="resnet8", **changes):
    found = next(row for row in energy_measurements() if (row.chip, row.round, row.net) == (chip, round_, net))
    return replace(found, **changes)


def test_power_is_energy_over_the_latency_of_its_own_run():
    # 6919.375 uJ in 164.962 ms are 41.95 mW.
    assert power_of(row_of("stm32l4r5", "v1.2")) == pytest.approx(6919.375e-6 / 164.962e-3, rel=1e-4)


def test_power_of_other_rounds_is_their_geometric_mean_each_build_once():
    base = {"energy_mode_latency_ms": 1.0, "runtime": "a"}
    one = row_of("stm32u575", "v1.0", **base, energy_uj=20.0)
    again = replace(one, net="ds_cnn", energy_uj=20.0)
    other = replace(one, round="v1.1", energy_uj=45.0)
    asked = replace(one, round="v1.2", energy_uj=99.0)
    # 20 mW twice in one build and 45 mW: sqrt(20 * 45) = 30.
    assert power_left_out(asked, [one, again, other, asked]) == pytest.approx(30e-3)


def test_behind_a_linear_regulator_power_follows_the_supply_and_behind_another_not():
    one = row_of("stm32l4r5", "v1.2", supply_v=1.8, energy_uj=40.0, energy_mode_latency_ms=1.0)
    asked = replace(one, round="v1.3", supply_v=3.0)
    assert power_left_out(asked, [one]) == pytest.approx(40e-3 * 3.0 / 1.8)
    one = row_of("stm32h7a3", "v1.2", supply_v=3.0, energy_uj=120.0, energy_mode_latency_ms=1.0)
    assert power_left_out(replace(one, round="v1.3", supply_v=3.3), [one]) == pytest.approx(120e-3)


def test_zephyr_costs_a_factor_that_other_rounds_tell():
    plain = row_of("stm32l4r5", "v1.2", energy_uj=40.0, energy_mode_latency_ms=1.0, library="bare")
    zephyr = replace(plain, round="v1.1", library="Zephyr", energy_uj=48.0)
    asked = replace(zephyr, round="v1.0", energy_uj=1.0)
    assert under_zephyr(zephyr)
    assert not under_zephyr(plain)
    assert power_left_out(asked, [plain, zephyr]) == pytest.approx(48e-3)
    assert power_left_out(replace(plain, round="v1.0"), [plain, zephyr]) == pytest.approx(40e-3)


def test_energies_are_as_near_as_aimed_at(rows):
    found = energy_errors(rows)
    assert {one.chip for one in found} == {row.chip for row in energy_measurements()} | {"*"}
    everything = found[-1]
    assert everything.n == len(rows) > 80
    assert everything.mape <= MAPE_AIM
    assert everything.p90 <= P90_AIM
    worst = max(rows, key=lambda row: abs(row.left_out_error))
    assert everything.worst is worst


def test_as_shipped_a_row_is_what_evaluate_says(rows):
    from hwsim import evaluate, load_chip

    row = next(row for row in rows if (row.measurement.chip, row.measurement.net) == ("gap9", "ds_cnn"))
    report = evaluate(row.measurement.graph(), load_chip("gap9"), dtype="int8")
    assert row.shipped_j == pytest.approx(report.energy_j)
