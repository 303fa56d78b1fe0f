"""The command line: what it prints, its exit codes, and one sentence for everything that is wrong."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hwsim.cli import main

DATA = Path(__file__).parents[1] / "data"
NPU, MCU = str(DATA / "toy_npu.yaml"), str(DATA / "toy_mcu.yaml")


@pytest.fixture
def hwsim(capsys, monkeypatch):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hwsim", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_version_and_lists(hwsim):
    assert hwsim("--version")[1].startswith("hwsim 0.")
    assert "squeezenet_v1_1" in hwsim("nets")[1]
    assert "conv2d" in hwsim("ops")[1]
    assert "strides" in hwsim("ops", "show", "conv2d")[1]
    assert "stm32h747" in hwsim("chips")[1]
    assert "engines.npu.rows" in hwsim("chips", "show", NPU)[1]
    assert "fire9.expand3x3" in hwsim("nets", "show", "squeezenet_v1_1")[1]


def test_evaluate_says_the_same_everywhere(hwsim, tmp_path):
    import hwsim as api

    code, out, _ = hwsim(
        "evaluate", "ds_cnn", NPU, "--dtype", "int8", "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv"
    )
    report = api.evaluate(api.load_net("ds_cnn"), api.load_chip(NPU), dtype="int8")
    data = json.loads((tmp_path / "r.json").read_text())
    assert code == 0
    assert data["totals"]["latency_s"] == report.latency_s
    assert str(report).split(":")[0] in out
    assert (tmp_path / "r.csv").read_text() == report.to_csv()
    assert json.loads(hwsim("evaluate", "ds_cnn", NPU, "--dtype", "int8", "--format", "json")[1]) == data
    assert hwsim("evaluate", "ds_cnn", NPU, "--dtype", "int8", "--format", "csv")[1] == report.to_csv()
    assert max(map(len, out.splitlines())) <= 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.json"]


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_other_formats(hwsim, form):
    code, out, _ = hwsim("evaluate", "ds_cnn", NPU, "--dtype", "int8", "--format", form)
    assert code == 0
    assert "conv1" in out


def test_parameters_overrides_and_placement(hwsim):
    wide = hwsim("evaluate", "mobilenet_v1", NPU, "--dtype", "int8", "--with", "alpha=0.25", "--with", "resolution=96")
    assert "mobilenet_v1(alpha=0.25,resolution=96)" in wide[1].replace("\n", "")
    a = json.loads(hwsim("evaluate", "ds_cnn", NPU, "--dtype", "int8", "--format", "json")[1])
    b = json.loads(
        hwsim("evaluate", "ds_cnn", NPU, "--dtype", "int8", "--format", "json", "--set", "dram.bytes_per_cycle=1")[1]
    )
    assert b["totals"]["latency_s"] > a["totals"]["latency_s"]


def test_exit_codes(hwsim):
    assert hwsim("evaluate", "vgg16", MCU, "--dtype", "int8")[0] == 0
    assert hwsim("evaluate", "vgg16", MCU, "--dtype", "int8", "--require-fit")[0] == 1
    assert hwsim("evaluate", "ds_cnn", NPU, "--dtype", "int8", "--require-fit")[0] == 0
    code, _, err = hwsim(
        "compare", "ds_cnn", "resnet8", "--chips", NPU, "--dtype", "int8", "--fail-if", "latency_ms>+5%"
    )
    assert code == 1
    assert "resnet8 on toy-npu: latency_ms is" in err
    assert hwsim("compare", "ds_cnn", "resnet8", "--chips", NPU, "--dtype", "int8")[0] == 0


def test_names_stay_whole_in_tables(hwsim):
    nets, chips = ("squeezenet_v1_0", "squeezenet_v1_1"), ("eyeriss", "squeezelerator")
    _, out, _ = hwsim("compare", *nets, "--chips", ",".join(chips), "--dtype", "int16", "--top", 0)
    rows = [line.split()[:2] for line in out.splitlines() if line.split()[:1][0] in nets]
    assert rows == [[net, chip] for chip in chips for net in nets]
    assert max(map(len, out.splitlines())) <= 100
    shown = hwsim("chips", "show", "stm32h747")[1]
    assert "engines.m7.peak_macs_per_cycle.float32  1 " in shown
    assert "engines.m7.kernels                      x-cube-ai-10.0: " in shown


BAD = [
    (["evaluate", "squeezenet_v11", NPU], "did you mean 'squeezenet_v1_1'"),
    (["evaluate", "ds_cnn", "stm32h74"], "did you mean 'stm32h747'"),
    (["evaluate", "nowhere.tflite", NPU], "there is no file nowhere.tflite"),
    (["evaluate", "ds_cnn", "nowhere.yaml"], "no such file"),
    (["evaluate", "ds_cnn", NPU], "does no float32 MACs"),
    (["evaluate", "ds_cnn", NPU, "--dtype", "int9"], "must be one of float32"),
    (["evaluate", "ds_cnn", NPU, "--objective", "speed"], "must be one of latency"),
    (["evaluate", "ds_cnn", MCU, "--runtime", "tos"], "did you mean 'toy'"),
    (["evaluate", "ds_cnn", NPU, "--with", "classes"], "write it as --with NAME=VALUE"),
    (["evaluate", "ds_cnn", NPU, "--with", "clases=3"], "did you mean 'classes'"),
    (["evaluate", "ds_cnn", NPU, "--set", "sram.size_kb=3"], "did you mean 'sram.size_kib' [KiB]?"),
    (["evaluate", "ds_cnn", NPU, "--set", "sram.size_kib=-3"], "memories.sram.size_kib = -3: must be > 0 [KiB]"),
    (["evaluate", "ds_cnn", NPU, "--place", "weights=rom", "--dtype", "int8"], "can live in"),
    (["evaluate", "ds_cnn", NPU, "--dtype", "int8", "--json", "/no/such/folder/r.json"], "cannot write"),
    (["evaluate", "ds_cnn", NPU, "--dtype", "int8", "--plot", "picture.gif"], "png"),
    (["compare", "ds_cnn", "--chips", NPU, "--dtype", "int8"], "two results or more"),
    (["nets", "show", "a", "b"], "one name at a time"),
    (["ops", "conv2"], "did you mean 'conv2d'"),
    (["run", "ds_cnn"], "no weights"),
    (["export", "ds_cnn", "-o", "/no/such/folder/x.yaml"], "cannot"),
]


@pytest.mark.parametrize(
    ("words", "sentence"), BAD, ids=[" ".join(words[:2]) + str(i) for i, (words, _) in enumerate(BAD)]
)
def test_bad_input_is_one_sentence(hwsim, words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = hwsim(*words)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".yaml"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, bytes(range(256)) * 40, b"{{{{", b"TFL3" * 30])
def test_garbage_files(hwsim, tmp_path, suffix, content):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    for words in (
        ["evaluate", path, NPU],
        ["check", path],
        ["export", path, "-o", tmp_path / "out.yaml"],
        ["run", path],
    ):
        code, _, err = hwsim(*words)
        assert code == 2
        assert str(path) in err
        assert "Traceback" not in err
    chip = tmp_path / "chip.yaml"
    chip.write_bytes(content)
    code, _, err = hwsim("evaluate", "ds_cnn", chip)
    assert code == 2
    assert "chip.yaml" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({path.name, "chip.yaml"})


def test_run_export_and_check(hwsim, tmp_path):
    net = tmp_path / "net.yaml"
    assert hwsim("export", "resnet8", "-o", net)[0] == 0
    assert "conv2d" in hwsim("check", net, NPU)[1]
    one, two = (hwsim("evaluate", source, MCU, "--dtype", "int8", "--format", "csv")[1] for source in (net, "resnet8"))
    assert one == two
    np.save(tmp_path / "x.npy", np.zeros((1, 32, 32, 3), np.float32))
    code, out, _ = hwsim(
        "run", net, "--random-weights", "1", "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npz", "--every"
    )
    assert code == 0
    assert "softmax" in out
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["softmax"].shape == (1, 10)
        assert arrays["softmax"].sum() == pytest.approx(1)
    measured = hwsim("run", net, "--random-weights", "1", "--measure")[1]
    # conv1: 32*32 pixels * 16 filters * 27 taps.
    assert "442,368" in measured
    np.save(tmp_path / "bad.npy", np.zeros((1, 3, 32, 32), np.float32))
    code, _, err = hwsim("run", net, "--random-weights", "1", "--input", tmp_path / "bad.npy")
    assert code == 2
    assert "has shape (1, 3, 32, 32), needs (1, 32, 32, 3)" in err
    (tmp_path / "not.npy").write_bytes(b"hello")
    assert hwsim("run", net, "--random-weights", "1", "--input", tmp_path / "not.npy")[0] == 2


@pytest.mark.parametrize("kind", ["layers", "roofline", "memory", "energy", "traffic"])
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_plots_are_written(hwsim, tmp_path, kind, suffix):
    path = tmp_path / f"{kind}{suffix}"
    assert hwsim("plot", kind, "ds_cnn", NPU, "--dtype", "int8", "-o", path)[0] == 0
    assert path.stat().st_size > 2000
