"""``hwsim evaluate --period … --battery …``: what it prints and writes, and one sentence for what is wrong."""

import json

import pytest

import hwsim as api


def test_it_says_the_same_in_python(hwsim, tmp_path):
    words = ("resnet8", "stm32l4r5", "--dtype", "int8", "--period", "1s", "--battery", "220mAh@3V")
    code, out, _ = hwsim("evaluate", *words, "--json", tmp_path / "r.json")
    assert code == 0
    assert "\nduty      every 1.00 s: " in out
    assert "\nbattery   220mAh@3V (2.38 kJ) gives " in out
    report = api.evaluate(
        api.load_net("resnet8"), api.load_chip("stm32l4r5"), dtype="int8", period_s=1, battery="220mAh@3V"
    )
    assert json.loads((tmp_path / "r.json").read_text())["duty"]["life_s"] == report.duty.life_s


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--period", "1"), "--period 1: must be a time"),
        (("--period", "0ms"), "--period 0ms: must be a time"),
        (("--battery", "220mAh"), "battery 220mAh: write charge and voltage"),
        (("--period", "1s", "--set", "idle_mw=-1"), "idle_mw"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(hwsim, tmp_path, words, told):
    code, out, err = hwsim("evaluate", "ds_cnn", "stm32l4r5", *words, "--json", tmp_path / "r.json")
    assert code == 2
    assert out == ""
    assert told in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_chip_without_such_powers_is_asked_for_one(hwsim):
    code, _, err = hwsim("evaluate", "ds_cnn", "squeezelerator", "--dtype", "int16", "--period", "1s")
    assert code == 2
    assert "squeezelerator: its profile has no power of waiting: give idle_mw or sleep_uw (--set idle_mw=…)" in err
    asked = ("--dtype", "int16", "--period", "1s", "--set", "idle_mw=3")
    assert hwsim("evaluate", "ds_cnn", "squeezelerator", *asked)[0] == 0
