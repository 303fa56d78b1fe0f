"""The examples run, in a small form, and what they say is true of the numbers that ``evaluate`` gives."""

import importlib.util
import re
from pathlib import Path

import pytest

import hwsim

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(sentence):
    """Numbers of a sentence that stand alone: none of those inside names."""
    return [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])", sentence)]


SMALL = {
    "sram_traffic": {"nets": ("lenet5", "ds_cnn"), "kib": (1, 64)},
    "array_dataflow": {"net": "lenet5", "rows": (16, 32)},
    "choose_chip": {"nets": ("lenet5", "ds_cnn"), "chips": ("stm32g0b1", "stm32h747", "max78000")},
}


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_it_draws_and_says(name, tmp_path, monkeypatch, capsys):
    module = example(name)
    study = module.study
    monkeypatch.setattr(module, "study", lambda: study(**SMALL[name]))
    monkeypatch.setattr("sys.argv", [f"{name}.py", str(tmp_path)])
    module.main()
    sentence = capsys.readouterr().out
    assert sentence.endswith(".\n")
    assert sentence.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.svg"]


def test_sram_and_traffic():
    module = example("sram_traffic")
    chip = hwsim.load_chip(module.CHIP)
    mib = {
        (name, kib): hwsim.evaluate(
            hwsim.load_net(name), chip.replace("sram.size_kib", kib), objective="traffic"
        ).traffic_bytes["dram"]
        / 2**20
        for name in ("lenet5", "ds_cnn")
        for kib in (1, 64)
    }
    saved = {name: mib[name, 1] / mib[name, 64] for name in ("lenet5", "ds_cnn")}
    least, most = sorted(saved, key=saved.get)
    first, last = (max(mib[n, k] for n in saved) / min(mib[n, k] for n in saved) for k in (1, 64))
    low, high = sorted(saved, key=lambda name: mib[name, 64])
    told = module.learnt(module.study(**SMALL["sram_traffic"]))
    expected = [1, 64, saved[least], saved[most], first, last, 1, mib[low, 1], mib[high, 64]]
    assert numbers(told) == pytest.approx(expected, abs=0.051)
    assert f"of {least} by" in told
    assert f"that of {most} by" in told
    assert f"{low} in 1 KiB" in told
    assert f"where {high} never" in told


def test_arrays_and_dataflows():
    module = example("array_dataflow")
    chip, net = hwsim.load_chip(module.CHIP), hwsim.load_net("lenet5")
    flows = chip.get("npu.dataflows")
    took = {
        (kind, rows): hwsim.evaluate(
            net, chip.replace("npu.rows", rows).replace("npu.cols", 1024 // rows).replace("npu.dataflows", given)
        ).latency_s
        for kind, given in (("weights", flows[:1]), ("outputs", flows[1:]), ("both", flows))
        for rows in (16, 32)
    }
    both = min((value, rows) for (kind, rows), value in took.items() if kind == "both")
    alone = min((value, rows) for (kind, rows), value in took.items() if kind != "both")
    told = module.learnt(module.study(**SMALL["array_dataflow"]))
    expected = [both[0] * 1e3, both[1], 1024 / both[1], alone[0] * 1e3, alone[1], 1024 / alone[1], alone[0] / both[0]]
    assert numbers(told) == pytest.approx(expected, abs=0.0051)


def test_chips():
    module = example("choose_chip")
    nets, chips = SMALL["choose_chip"]["nets"], SMALL["choose_chip"]["chips"]
    reports = {
        chip: [hwsim.evaluate(hwsim.load_net(net), hwsim.load_chip(chip), dtype="int8") for net in nets]
        for chip in chips
    }
    energy = {chip: sum(report.energy_j for report in own) for chip, own in reports.items()}
    # DS-CNN takes a Cortex-M0+ about half a second.
    assert max(report.latency_s for report in reports["stm32g0b1"]) > 0.1
    told = module.learnt(module.study(**SMALL["choose_chip"]))
    assert told.startswith("2 of 3 chips run each of the nets within 100 ms; max78000 takes the least energy")
    assert f"{energy['max78000'] * 1e3:.3g} mJ; of those whose latency is validated against silicon stm32h747" in told
    assert energy["max78000"] < energy["stm32h747"]
    assert f"{energy['stm32h747'] * 1e3:.3g} mJ (± {reports['stm32h747'][0].error_p90:.0%})" in told
    assert module.learnt(reports["stm32g0b1"]) == "None of 1 chips runs every net within 100 ms."
