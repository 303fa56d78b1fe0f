"""A net that runs again and again: mean power and battery life, by arithmetic that fits a comment."""

import json
from math import isnan

import pytest

from hwsim.chip import load_chip
from hwsim.errors import UsageError
from hwsim.report import evaluate
from hwsim.report.duty import battery_of, seconds
from hwsim.report.facts import facts
from hwsim.report.record import Report
from hwsim.report.words import lasting


@pytest.fixture
def chip(mcu):
    """The toy at 2 V behind a linear regulator: running 50 + 10 mW, idle 4 mW, asleep 6 µW, 1 ms to wake up."""
    for path, value in {"supply_v": 2, "regulator": "linear", "idle_mw": 4, "sleep_uw": 6, "wake_us": 1000}.items():
        mcu = mcu.replace(path, value)
    return mcu


def run(net, chip, **options):
    return evaluate(net, chip, dtype="int8", **options)


def told(report, label):
    return [fact.text for fact in facts(report) if fact.label == label]


def test_mean_power_is_running_waking_and_sleeping(small_net, chip):
    report = run(small_net, chip, period_s=1)
    duty, t = report.duty, report.latency_s
    assert duty.waits == "sleep"
    assert duty.run_w == pytest.approx(0.060)
    # 60 mW while it runs and for 1 ms of waking up, 6 µW for the rest of the second.
    assert duty.average_w == pytest.approx(0.060 * (t + 0.001) + 6e-6 * (1 - t - 0.001))
    assert duty.battery == ""
    assert isnan(duty.life_s)
    assert run(small_net, chip).duty is None


def test_it_waits_in_the_way_that_costs_least(small_net, chip):
    t = run(small_net, chip).latency_s
    # 1.05 ms: sleep costs 60 mW · 1 ms + 6 µW · 0.05 ms = 60.0003 µJ, idling 4 mW · 1.05 ms = 4.2 µJ.
    assert run(small_net, chip, period_s=t + 1.05e-3).duty.waits == "idle"
    # Idling breaks even where 4 mW · gap = 60 µJ + 6 µW · (gap − 1 ms): at 15.02 ms.
    assert run(small_net, chip, period_s=t + 15.0e-3).duty.waits == "idle"
    assert run(small_net, chip, period_s=t + 15.1e-3).duty.waits == "sleep"
    lone = chip.replace("idle_mw", None).replace("static_mw", None)
    short = run(small_net, lone, period_s=t + 0.5e-3).duty
    assert short.waits == "busy"
    assert short.average_w == pytest.approx(short.run_w)


def test_a_battery_behind_a_linear_regulator_gives_its_charge(small_net, chip):
    # 60 mW at 2 V are 30 mA: 220 mAh last 220/30 h at any voltage. Without a break that is.
    duty = run(small_net, chip, battery="220mAh@3V").duty
    assert duty.battery_j == pytest.approx(0.220 * 3600 * 3)
    assert duty.average_w == pytest.approx(0.060)
    assert duty.battery_w == pytest.approx(0.090)
    assert duty.life_s == pytest.approx(220 / 30 * 3600)
    assert run(small_net, chip, battery="220mAh@3.6V").duty.life_s == pytest.approx(duty.life_s)


def test_a_battery_behind_a_switching_one_gives_its_energy(small_net, chip):
    switching = chip.replace("regulator", "smps")
    # 2376 J at 60 mW: 11 h.
    duty = run(small_net, switching, battery="220mAh@3V").duty
    assert duty.life_s == pytest.approx(0.220 * 3600 * 3 / 0.060)
    assert duty.life_s == pytest.approx(11 * 3600)
    assert run(small_net, switching, battery="2.2Wh").duty.life_s == pytest.approx(2.2 / 0.060 * 3600)
    # An energy has no voltage: the chip's own is taken.
    assert run(small_net, chip, battery="2.2Wh").duty.life_s == pytest.approx(2.2 / 0.060 * 3600)


def test_longer_periods_never_shorten_a_life(small_net, chip):
    lives = [run(small_net, chip, period_s=10.0**power, battery="1Wh").duty.life_s for power in range(-2, 5)]
    assert lives == sorted(lives)
    # In the end it sleeps all the time: 1 Wh at 6 µW.
    assert lives[-1] == pytest.approx(3600 / 6e-6, rel=0.01)


def test_a_period_that_is_too_short_is_said(small_net, chip):
    report = run(small_net, chip, period_s=1e-6, battery="1Wh")
    assert report.runs
    assert isnan(report.duty.average_w)
    assert isnan(report.duty.life_s)
    (line,) = told(report, "duty")
    assert line == f"not possible: a run takes {lasting(report.latency_s)}, longer than the period of 1.00 µs"
    assert told(report, "battery") == []


def test_a_net_that_does_not_run_has_no_life(small_net, chip):
    report = run(small_net, chip.replace("ram.size_kib", 1), period_s=1, battery="1Wh")
    assert report.duty.reason == report.reason != ""
    assert told(report, "duty") == []


def test_it_stands_in_the_table_and_in_json(small_net, chip):
    report = run(small_net, chip, period_s=60, battery="220mAh@3V")
    (duty,), (battery,) = told(report, "duty"), told(report, "battery")
    assert duty.startswith("every 60.0 s: ")
    assert ", then sleep at 6.00 µW, 1.00 ms to wake up: " in duty
    assert battery.startswith("220mAh@3V (2.38 kJ) gives ")
    data = json.loads(report.to_json())
    assert data["duty"]["life_s"] == report.duty.life_s
    assert Report.from_dict(data).duty == report.duty
    broken = run(small_net, chip, period_s=1e-6)
    again = Report.from_dict(json.loads(broken.to_json()))
    assert isnan(again.duty.average_w)
    assert again.duty.reason == broken.duty.reason


def test_assumed_powers_of_waiting_are_named_where_it_waits(small_net):
    chip = load_chip("stm32l4r5")
    assert not any("idle_mw" in line for line in run(small_net, chip).assumptions)
    assert any("idle_mw" in line for line in run(small_net, chip, period_s=1).assumptions)


@pytest.mark.parametrize(
    ("text", "value"), [("1s", 1), ("100ms", 0.1), ("2.5 us", 2.5e-6), ("5min", 300), ("1h", 3600), ("1e1d", 864_000)]
)
def test_times(text, value):
    assert seconds(text, "--period") == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "1", "s", "0s", "-1s", "1e999s", "nans", "1x", "1s@3V", "١s"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(UsageError, match="must be a time above zero with its unit, such as 1s"):
        seconds(text, "--period")


@pytest.mark.parametrize(
    ("text", "joules"), [("220mAh@3V", 2376), ("1.2Ah@1.5V", 6480), ("2.4Wh", 8640), ("10J", 10), ("100mWh@3V", 360)]
)
def test_batteries(text, joules):
    assert battery_of(text).energy_j == pytest.approx(joules)


@pytest.mark.parametrize("text", ["", "220mAh", "220@3V", "0mAh@3V", "220mAh@0V", "1e999Wh", "220mAh@", "5V", "-1Wh"])
def test_what_is_no_battery_is_told(text):
    with pytest.raises(UsageError, match="battery"):
        battery_of(text)


def test_bad_arguments_are_told(small_net, mcu):
    for period in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=r"period_s = .*: must be a time above zero"):
            run(small_net, mcu, period_s=period)
    with pytest.raises(UsageError, match="its profile has no power of waiting: give idle_mw or sleep_uw"):
        run(small_net, mcu.replace("static_mw", None), period_s=1)
