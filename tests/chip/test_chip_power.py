"""Powers by clock and supply: what a regulator makes of them, and rules that say which figure is missing."""

import csv
from pathlib import Path
from statistics import mean, median

import pytest
from ruamel.yaml import YAML

from hwsim.chip import HardwarePoints, load_chip
from hwsim.errors import HwsimError
from hwsim.report import evaluate

MEASURED = Path(__file__).parents[3] / "shared" / "data" / "mlperf_tiny.csv"


def powers(chip, **vary):
    """Return run power, idle and sleep power [W] at hardware points."""
    points = HardwarePoints.of(chip, {path.replace("__", "."): values for path, values in vary.items()} or None)
    waits = {state: power.tolist() for state, power in points.waits_w.items()}
    return points.engine(chip.engines[0].name).run_w.tolist(), waits


@pytest.fixture
def rated(mcu):
    """Run power 50 mW at 100 MHz and 2 V, 10 mW of it fixed; idle 4 mW, sleep 6 µW."""
    settings = {"supply_v": 2, "regulator": "linear", "rated_v": 2, "idle_mw": 4, "sleep_uw": 6}
    for path, value in {**settings, "cpu.rated_mhz": 100, "cpu.run_fixed_mw": 10}.items():
        mcu = mcu.replace(path, value)
    return mcu


def test_run_power_is_a_line_in_the_clock(rated):
    # 10 + 40 · 50/100 = 30 mW, 10 + 40 = 50 mW, 10 + 40 · 2 = 90 mW.
    assert powers(rated, clock_mhz=[50, 100, 200])[0] == pytest.approx([0.030, 0.050, 0.090])
    assert powers(rated.replace("clock_mhz", 50))[0] == pytest.approx([0.030])


def test_behind_a_linear_regulator_power_follows_the_supply(rated):
    run, waits = powers(rated, supply_v=[2.0, 3.0])
    assert run == pytest.approx([0.050, 0.075])
    assert waits["idle"] == pytest.approx([0.004, 0.006])
    assert waits["sleep"] == pytest.approx([6e-6, 9e-6])
    assert waits["on"] == pytest.approx([0.010, 0.015])  # static_mw of the toy


def test_behind_a_switching_regulator_it_does_not(rated):
    run, waits = powers(rated.replace("regulator", "smps").replace("supply_v", 3))
    assert run == pytest.approx([0.050])
    assert waits["sleep"] == pytest.approx([6e-6])


def test_figures_without_a_rating_hold_everywhere(mcu):
    assert powers(mcu, clock_mhz=[50, 200])[0] == pytest.approx([0.050])
    assert powers(mcu.replace("supply_v", 3))[0] == pytest.approx([0.050])
    assert set(powers(mcu)[1]) == {"on"}


def test_energy_at_another_clock(small_net, rated):
    # Half the clock takes twice the time at 30 instead of 50 mW, and static power, 10 mW, stays.
    fast, slow = (evaluate(small_net, rated.replace("clock_mhz", mhz), dtype="int8") for mhz in (100, 50))
    assert slow.latency_s == pytest.approx(2 * fast.latency_s)
    assert slow.energy_j / fast.energy_j == pytest.approx(2 * (30 + 10) / (50 + 10))


def test_what_is_taken_for_granted_is_said(rated):
    def left_open(chip):
        return [line for line in chip.assumptions() if "follows the clock" in line]

    assert left_open(rated.replace("clock_mhz", 80)) == []
    bare = load_chip("stm32l4r5")
    assert left_open(bare) == []
    assert left_open(bare.replace("clock_mhz", 80)) == ["left open: m4: all of run_mw follows the clock"]


@pytest.mark.parametrize(
    ("top", "core", "sentence"),
    [
        ({"regulator": "linear"}, {}, "regulator = linear: needs supply_v"),
        ({"rated_v": 3.0}, {}, "rated_v: needs regulator"),
        ({}, {"run_fixed_mw": 5}, "engines.cpu.run_fixed_mw: needs rated_mhz"),
        ({}, {"run_fixed_mw": 60, "rated_mhz": 100}, "engines.cpu.run_fixed_mw = 60: must be at most run_mw, 50"),
        ({"idle_mw": -1}, {}, "idle_mw"),
        ({"regulator": "buck"}, {}, "regulator"),
        ({"sleep_mw": 1}, {}, "sleep_uw"),
    ],
)
def test_missing_figures_are_told(tmp_path, data_folder, top, core, sentence):
    yaml = YAML()
    data = yaml.load((data_folder / "toy_mcu.yaml").read_text())
    data.update(top)
    data["engines"][0].update(core)
    for name in ("toy_mcu.yaml", "toy_kernels.yaml"):
        (tmp_path / name).write_text((data_folder / name).read_text())
    with (tmp_path / "toy_mcu.yaml").open("w") as file:
        yaml.dump(data, file)
    with pytest.raises(HwsimError, match="toy_mcu") as error:
        load_chip(tmp_path / "toy_mcu.yaml")
    assert sentence in str(error.value)


@pytest.mark.skipif(not MEASURED.exists(), reason="the measurements are not here")
def test_run_power_against_other_submitters():
    # The profile's figure is from STMicroelectronics' runs; here are everybody else's on the same chip and supply.
    with MEASURED.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "L4R5" in row["chip"] and row["power_mw_energy_mode"]]
    others = [row for row in rows if row["submitter"] != "STMicroelectronics"]
    chip = load_chip("stm32l4r5")
    assert {float(row["supply_voltage_v"]) for row in others} == {chip.supply_v}
    measured = {row["submitter"] + row["software"]: [] for row in others}
    for row in others:
        measured[row["submitter"] + row["software"]].append(float(row["power_mw_energy_mode"]))
    errors = {build: chip.get("m4.run_mw") / median(power) - 1 for build, power in measured.items()}
    assert len(others) == 20
    assert all(abs(error) < 0.05 for build, error in errors.items() if "Zephyr" not in build)
    assert all(-0.24 < error < 0 for build, error in errors.items() if "Zephyr" in build)
    assert mean(abs(chip.get("m4.run_mw") / float(row["power_mw_energy_mode"]) - 1) for row in others) < 0.13
