"""``hwsim fit``: the changes that it tells work, and its exit codes."""

import json
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"
MCU = str(DATA / "toy_mcu.yaml")


def records(hwsim, *words):
    code, out, _ = hwsim("fit", *words, "--format", "json")
    assert code == 0
    return json.loads(out)["fits"]


@pytest.mark.parametrize(
    ("net", "chip"), [("mobilenet_v2", "stm32l4r5"), ("squeezenext_2_0", "stm32u575"), ("resnet8", MCU)]
)
def test_the_change_that_is_told_works(hwsim, net, chip):
    (before,) = records(hwsim, net, "--chips", chip)
    assert not before["fits"]
    (after,) = records(hwsim, net, "--chips", chip, *before["change"].split())
    assert after["fits"]


def test_all_chips_in_every_form(hwsim, tmp_path):
    import hwsim as api

    code, out, _ = hwsim("fit", "resnet8", "ds_cnn", "--dtype", "int8", "--json", tmp_path / "f.json")
    assert code == 0
    chips = api.chip_names()
    assert all(chip in out for chip in chips)
    assert max(map(len, out.splitlines())) <= 100
    data = json.loads((tmp_path / "f.json").read_text())
    assert [(one["net"], one["chip"]) for one in data["fits"]] == [
        (net, chip) for net in ("resnet8", "ds_cnn") for chip in chips
    ]
    assert f"resnet8 fits {sum(one['fits'] for one in data['fits'][: len(chips)])} of {len(chips)} chips" in out
    for form, mark in (("csv", "net,chip,runtime"), ("markdown", "| --- |"), ("latex", "tabular")):
        code, out, _ = hwsim("fit", "ds_cnn", "--chips", MCU, "--dtype", "int8", "--format", form)
        assert code == 0
        assert mark in out


def test_exit_codes(hwsim):
    assert hwsim("fit", "ds_cnn", "--chips", MCU, "--dtype", "int8", "--require-fit")[0] == 0
    assert hwsim("fit", "vgg16", "--chips", MCU, "--dtype", "int8")[0] == 0
    code, out, _ = hwsim("fit", "vgg16", "--chips", MCU, "--dtype", "int8", "--require-fit")
    assert code == 1
    assert "DOES NOT FIT" in out
    for words, told in (
        (("--chips", ","), "--chips ,: name chips"),
        (("--chips", "nope"), "no chip 'nope'"),
        (("--chips", MCU, "--batch", "0"), "batch = 0"),
    ):
        code, out, err = hwsim("fit", "ds_cnn", *words)
        assert code == 2
        assert out == ""
        assert told in err
        assert len(err.splitlines()) == 1
