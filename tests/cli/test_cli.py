"""The command line: what it prints, its exit codes, and one sentence for everything that is wrong."""

import errno
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwsim.cli import main

DATA = Path(__file__).parents[1] / "data"
NPU, MCU = str(DATA / "toy_npu.yaml"), str(DATA / "toy_mcu.yaml")


def test_version_and_lists(hwsim):
    assert hwsim("--version")[1].startswith("hwsim 0.")
    assert "squeezenet_v1_1" in hwsim("nets")[1]
    assert "conv2d" in hwsim("ops")[1]
    assert "strides" in hwsim("ops", "show", "conv2d")[1]
    assert "stm32h747" in hwsim("chips")[1]
    shown = hwsim("chips", "show", NPU)[1]
    assert "\nengines.npu\n  rows             16  " in shown
    assert hwsim("chips", NPU)[1] == shown
    for command in ("nets", "chips", "ops"):
        lines = hwsim(command)[1].splitlines()
        # A line for each, and a line on where to find the rest.
        assert max(map(len, lines)) <= 100
        assert lines[-1].startswith(f"`hwsim {command} NAME` shows")
        assert all(line.split()[0] not in ("", "…") for line in lines if line)
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
    rows = [line.split()[:2] for line in out.splitlines() if line.split()[:1] and line.split()[0] in nets]
    assert rows == [[net, chip] for chip in chips for net in nets]
    assert max(map(len, out.splitlines())) <= 100
    shown = hwsim("chips", "show", "stm32h747")[1]
    assert re.search(r"^  peak_macs_per_cycle\.float32  1 ", shown, re.MULTILINE)
    assert "x-cube-ai-10.0:" in shown


BAD = [
    (["evaluate", "squeezenet_v11", NPU], "did you mean 'squeezenet_v1_1'"),
    (["evaluate", "ds_cnn", "stm32h74"], "did you mean 'stm32h747'"),
    (["evaluate", "nowhere.tflite", NPU], "there is no file nowhere.tflite"),
    (["evaluate", "ds_cnn", "nowhere.yaml"], "no such file"),
    (["evaluate", "ds_cnn", NPU, "--dtype", "float32"], "does no float32 MACs"),
    (["evalute", "ds_cnn", NPU], "no such command 'evalute'; did you mean 'evaluate', 'validate'?"),
    (["evaluate", "ds_cnn"], "missing argument 'CHIP'"),
    (["evaluate", "ds_cnn", NPU, "--dtyp", "int8"], "no such option: --dtyp; did you mean --dtype?"),
    (["evaluate", "ds_cnn", NPU, "--batch", "x"], "invalid value for '--batch'"),
    (["evaluate", "ds_cnn", NPU, "--batch", "0"], "batch = 0: must be a whole number from 1"),
    (["evaluate", "ds_cnn", NPU, "--format", "tabel"], "--format tabel: must be one of table, markdown"),
    (["evaluate", "ds_cnn", NPU, "--dtype", "int"], "did you mean 'int8'?"),
    (["evaluate", "ds_cnn", NPU, "--place", "weight=dram"], "did you mean 'weights'?"),
    (["evaluate", "ds_cnn", NPU, "--dim", "n=x"], "--dim n = x: must be a whole number >= 1"),
    (["evaluate", "ds_cnn", NPU, "--set", "npu.dataflows=weight_stationary,b"], "no dataflow 'b'"),
    (["check", "ds_cnn", NPU, "--dtype", "int9"], "must be one of float32"),
    (["compare", "ds_cnn", "resnet8"], "compare needs --chips A,B"),
    (["compare", "nowhere.json", "also.json"], "nowhere.json: cannot be read: No such file or directory"),
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
    (["evaluate", "ds_cnn", NPU, "--json", "r.json", "--csv", "/no/such/folder/r.csv"], "there is no folder /no/such"),
    (["run", "ds_cnn", "--random-weights", "1", "--output", "no/y.npz"], "there is no folder no"),
    (["plot", "layers", "ds_cnn", NPU, "-o", "l.png", "--data", "no/l.csv"], "there is no folder no"),
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


def test_compare_takes_reports_written_before(hwsim, tmp_path):
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    hwsim("evaluate", "ds_cnn", NPU, "--json", before)
    hwsim("evaluate", "ds_cnn", NPU, "--set", "dram.bytes_per_cycle=4", "--json", after)
    code, out, err = hwsim("compare", before, after, "--fail-if", "latency_ms>+5%", "--fail-if", "macs>+0%")
    assert code == 1
    assert "ds_cnn on toy-npu against ds_cnn on toy-npu: +" in out
    assert err.startswith("hwsim: ds_cnn on toy-npu: latency_ms is ")
    assert len(err.splitlines()) == 1
    assert hwsim("compare", after, before, "--fail-if", "latency_ms>+5%")[0] == 0
    # A report of before against the net on the chip as it is now: nothing has changed.
    code, out, _ = hwsim("compare", before, "ds_cnn", "--chips", NPU, "--format", "json", "--fail-if", "latency_ms>+0%")
    data = json.loads(out)
    assert code == 0
    assert data["totals"][0]["latency_ms"] == data["totals"][1]["latency_ms"]
    assert all(layer["before_s"] == layer["after_s"] for layer in data["deltas"][0]["layers"])
    assert hwsim("compare", before, after, "--format", "csv")[1].startswith("net,chip,latency_ms,")
    assert "| ds\\_cnn |" not in hwsim("compare", before, after, "--format", "markdown")[1]
    assert r"ds\_cnn" in hwsim("compare", before, after, "--format", "latex")[1]
    (tmp_path / "bad.json").write_text("{")
    assert "bad.json: is not JSON" in hwsim("compare", tmp_path / "bad.json", after)[2]
    (tmp_path / "other.json").write_text('{"schema": 1}')
    assert "other.json: is no report of hwsim" in hwsim("compare", tmp_path / "other.json", after)[2]


def test_a_net_without_weights_is_costed_at_what_the_chip_does(hwsim):
    out = hwsim("evaluate", "ds_cnn", NPU)[1]
    assert "assumed   dtype int8, for the net has no weights and npu does no float32 MACs" in out
    asked = hwsim("evaluate", "ds_cnn", NPU, "--dtype", "int8")[1]
    assert "for the net has no weights" not in asked
    assert out.splitlines()[-1] == asked.splitlines()[-1]
    assert hwsim("check", "ds_cnn", NPU)[0] == 0


def test_check_says_who_takes_what(hwsim):
    code, out, _ = hwsim("check", "ds_cnn", NPU, "--dtype", "float32")
    assert code == 1
    assert "NONE: npu does no float32 MACs" in out
    assert out.splitlines()[-1] == "ds_cnn: 10 of 13 layers, 100 % of the MACs, have no engine on toy-npu; see --dtype"
    code, out, _ = hwsim("check", "ds_cnn", MCU)
    assert "NONE: toy_kernels has no float32 conv" in out
    code, out, _ = hwsim("check", "ds_cnn", MCU, "--dtype", "int8")
    assert (code, out.splitlines()[-1]) == (0, "ds_cnn: every layer has an engine on toy-mcu (cpu)")


def test_what_a_file_calls_itself_does_not_reach_the_terminal(hwsim, tmp_path):
    net = tmp_path / "net.yaml"
    assert hwsim("export", "resnet8", "-o", net)[0] == 0
    text = net.read_text(encoding="utf-8")
    net.write_text(text.replace("name: resnet8", 'name: "evil\\e]0;pwned\\a\\u202e"'), encoding="utf-8")
    for words in (["evaluate", net, NPU, "--dtype", "int8"], ["check", net, NPU], ["evaluate", net, NPU]):
        _, out, err = hwsim(*words)
        assert "\x1b" not in out + err
        assert "\u202e" not in out + err


def test_completion_knows_nets_chips_and_fields(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from hwsim.cli import arguments

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.onnx").touch()
    (tmp_path / "mine.txt").touch()
    (tmp_path / "models").mkdir()
    assert arguments.complete_net("squeezenet_v1_0") == [
        "squeezenet_v1_0",
        "squeezenet_v1_0_bypass",
        "squeezenet_v1_0_paper",
    ]
    assert arguments.complete_net("m")[-2:] == ["mine.onnx", "models/"]
    assert arguments.complete_chips("eyeriss,stm32h74") == ["eyeriss,stm32h747"]
    on_npu = SimpleNamespace(params={"chip": NPU}, args=[])
    assert arguments.complete_field(on_npu, "memories.sram.size") == [
        "memories.sram.size_bytes=",
        "memories.sram.size_kib=",
        "memories.sram.size_mib=",
    ]
    assert arguments.complete_placement(on_npu, "weights") == ["weights=sram", "weights=dram"]
    assert arguments.complete_runtime(SimpleNamespace(params={"chip": MCU}, args=[]), "") == ["toy"]
    assert arguments.complete_field(SimpleNamespace(params={"chip": "nobody"}, args=[]), "") == []


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["hwsim", "ev"], ["evaluate"]),
        (["hwsim", "evaluate", "squeezenet_v1_0_"], ["squeezenet_v1_0_bypass", "squeezenet_v1_0_paper"]),
        (["hwsim", "evaluate", "ds_cnn", "stm32l"], ["stm32l4r5", "stm32l4r9"]),
        (
            ["hwsim", "evaluate", "ds_cnn", "eyeriss", "--set", "glb.size_"],
            ["glb.size_bytes=", "glb.size_kib=", "glb.size_mib="],
        ),
        (
            ["hwsim", "evaluate", "ds_cnn", "eyeriss", "--set", "memories.glb.size_k"],
            ["memories.glb.size_kib="],
        ),
        (
            ["hwsim", "evaluate", "ds_cnn", "stm32u575", "--dtype", "int8", "--runtime", "x-cube-ai-9"],
            ["x-cube-ai-9.0", "x-cube-ai-9.1"],
        ),
        (["hwsim", "evaluate", "ds_cnn", "eyeriss", "--place", "w"], ["weights=glb", "weights=dram"]),
        (["hwsim", "evaluate", "ds_cnn", "eyeriss", "--objective", "e"], ["energy", "edp"]),
        (["hwsim", "chips", "gap"], ["gap8", "gap9"]),
        (["hwsim", "compare", "ds_cnn", "--chips", "gap9,nvdla_s"], ["gap9,nvdla_small"]),
    ],
)
def test_the_shell_completes(words, completed, monkeypatch, capsys):
    monkeypatch.setenv("_HWSIM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setattr(sys, "argv", ["hwsim"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.split() == completed


class Stream(io.StringIO):
    """A stand-in for a stream that cannot take what is written to it."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize(
    "words", [["evaluate", "ds_cnn", NPU], ["nets"], ["--version"], ["evaluate", "ds_cnn", NPU, "--format", "json"]]
)
def test_a_full_disk_is_one_sentence(hwsim, monkeypatch, words):
    monkeypatch.setattr(sys, "stdout", Stream(OSError(errno.ENOSPC, "No space left on device")))
    code, _, err = hwsim(*words)
    assert code == 2
    assert err == "hwsim: cannot write to stdout: No space left on device\n"


def test_an_interrupt_is_quiet(hwsim, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("hwsim.report.evaluate", interrupted)
    assert hwsim("evaluate", "ds_cnn", NPU) == (130, "", "")


def test_a_run_longer_than_a_second_says_what_it_is_at(hwsim, monkeypatch, tmp_path):
    import time

    from hwsim.cli import terminal
    from hwsim.report import evaluate

    def slowly(*args, **options):
        time.sleep(0.3)
        return evaluate(*args, **options)

    monkeypatch.setattr(terminal, "PATIENCE_S", 0.05)
    monkeypatch.setattr(terminal, "REMINDER_S", 0.05)
    monkeypatch.setattr("hwsim.report.evaluate", slowly)
    code, out, err = hwsim("evaluate", "ds_cnn", NPU)
    assert code == 0
    assert "hwsim: costing 13 layers on toy-npu … " in err
    assert all(line.startswith("hwsim: ") for line in err.splitlines())
    assert "hwsim: costing" not in out


def run(command):
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_program_in_a_shell():
    hwsim = f"{sys.executable} -m hwsim"
    first = run(f"{hwsim} evaluate ds_cnn {NPU} | head -1")
    assert (first.stdout.split()[0], first.stderr) == ("layer", "")
    plain = run(f"PYTHONIOENCODING=ascii {hwsim} evaluate ds_cnn {NPU}")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert "25?5?64" in plain.stdout
    if Path("/dev/full").exists():
        full = run(f"{hwsim} ops > /dev/full")
        assert (full.returncode, full.stderr) == (2, "hwsim: cannot write to stdout: No space left on device\n")
