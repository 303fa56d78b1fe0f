"""``hwsim plot sweep|pareto|sensitivity|compare``: pictures from files, and one sentence for what cannot be drawn."""

import re

import pytest

from hwsim.cli import main
from hwsim.report import evaluate
from tests.plot.conftest import chain
from tests.plot.sweeps import halves, made

KIB = [0.5, 1.0, 2.0, 4.0]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["hwsim", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return run


@pytest.fixture
def files(tmp_path):
    """A sweep of one axis and one of three, and what is none."""
    made({"sram_size_kib": KIB}, latency=halves).to_csv(tmp_path / "one.csv")
    made({"sram_size_kib": [0.5]}, latency=halves).to_csv(tmp_path / "none.csv")
    three = {"sram_size_kib": KIB, "npu_rows": [8, 16, 32], "dram_gb_per_s": [1.5, 2.5]}
    made(three, latency=halves).to_csv(tmp_path / "three.csv")
    (tmp_path / "text.csv").write_text("no, sweep\n1,2\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["sweep", "one.csv"],
        ["sweep", "three.csv", "--y", "energy_mj", "--x", "sram_kib,npu.rows", "--at", "dram_gb_per_s=1.5"],
        ["sweep", "three.csv", "--x", "sram_kib", "--by", "npu_rows", "--best"],
        ["sweep", "three.csv", "--where", "dram_gb_per_s > 2 and npu_rows < 32"],
        ["pareto", "three.csv", "--min", "sram_kib,latency_us", "--by", "npu_rows", "--point", "9"],
        ["pareto", "one.csv", "three.csv"],
        ["sensitivity", "three.csv", "--of", "latency_ms", "--at", "npu_rows=8"],
    ],
)
def test_a_picture_is_written(files, run, words):
    code, out, err = run("plot", *words, "-o", "a.png")
    assert (code, out) == (0, "a.png\n"), err
    assert (files / "a.png").read_bytes().startswith(b"\x89PNG")


def test_two_sweeps_of_different_chips_have_a_line_each(files, run):
    made({"sram_size_kib": KIB}, latency=halves).to_csv(files / "two.csv")
    code, _, err = run("plot", "sweep", "one.csv", "two.csv", "-o", "a.svg")
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sweep", "absent.csv"], r"absent\.csv.*"),
        (["sweep", "folder"], r"folder.*"),
        (["sweep", "text.csv"], r".*no column 'latency_s'; it has no,  sweep"),
        (["pareto", "text.csv"], r".*no column 'latency_s'.*"),
        (["sweep", "one.csv", "--y", "latncy_ms"], r"the sweep has no column 'latncy_ms'; did you mean .*"),
        (["sweep", "none.csv"], r"none of the sweep's 1 rows has a latency \(sram: needs .*\): nothing to draw"),
        (["pareto", "none.csv"], r"none of the sweep's 1 rows has a latency and energy \(.*\): nothing to draw"),
        (["sweep", "three.csv"], r"the sweep varies in .*: choose one or two of them with --x.*--at.*--where.*"),
        (
            ["sweep", "three.csv", "--x", "npu_rows"],
            r"the sweep varies in .* besides npu_rows: fix what is too much with --at .*",
        ),
        (
            ["sweep", "one.csv", "--at", "sram_kib=3"],
            r"--at sram_kib=3: the sweep has no such row; it has 0.5, 1, 2, 4",
        ),
        (["sweep", "one.csv", "--at", "sram_kib=x"], r"--at sram_kib=x: sram_kib is a number, 'x' is none"),
        (["sweep", "one.csv", "--at", "net=net_b"], r"--at net=net_b: the sweep has no such row; it has net_a"),
        (["sweep", "one.csv", "--where", "sram_kib > 9"], r"--where 'sram_kib > 9': holds at no row of the sweep"),
        (["sweep", "one.csv", "--where", "sram_kib"], r".*is a number; a condition compares two.*"),
        (["pareto", "one.csv", "--min", "latency_ms"], r"--min latency_ms: a picture of a front has two quantities.*"),
        (
            ["pareto", "one.csv", "--min", "latency_ms,latency"],
            r"latency_ms against latency: a front has two quantit.*",
        ),
        (["sweep", "one.csv", "--y", "fits"], r"column 'fits': holds truth values, where a picture needs numbers"),
        (
            ["sweep", "three.csv", "--x", "sram_kib,npu_rows,dram_gb_per_s"],
            r"asked for sram_kib, .*: .* --at .* --best",
        ),
        (["pareto", "one.csv", "--point", "77"], r"--point 77: the sweep has no such point"),
        (["sensitivity", "text.csv"], r".*no column 'latency_s'.*"),
        (["sensitivity", "one.csv", "--of", ","], r"--of ,: name a result, such as latency_ms"),
        (["sensitivity", "one.csv", "--of", "dram_mib"], r".*nothing follows any of sram_size_kib; there is no .*"),
        (["sensitivity", "none.csv"], r"no two rows of the sweep that run differ in one axis alone.*"),
        (["compare", "one.csv"], r"one\.csv: is not JSON.*"),
        (["compare", "absent.json"], r"absent\.json: cannot be read: .*"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(files, run, words, sentence):
    code, out, err = run("plot", *words, "-o", "a.svg")
    assert (code, out) == (2, "")
    assert re.fullmatch(f"hwsim: {sentence}\n", err), err
    assert not (files / "a.svg").exists()


def test_reports_side_by_side(run, tmp_path, npu, mcu):
    for name, chip in (("a", npu), ("b", mcu)):
        (tmp_path / f"{name}.json").write_text(evaluate(chain(2), chip, dtype="int8").to_json(), encoding="utf-8")
    assert run("plot", "compare", "a.json", "b.json", "-o", "a.svg")[:2] == (0, "a.svg\n")
    code, _, err = run("plot", "compare", "a.json", "b.json", "--show", "speed", "-o", "b.svg")
    assert (code, err) == (2, "hwsim: show 'speed': must be one of latency, energy, traffic, memory\n")
    assert not (tmp_path / "b.svg").exists()


def test_a_net_on_a_chip_as_a_tornado(run, tmp_path, data_folder):
    words = ["sensitivity", "lenet5", str(data_folder / "toy_npu.yaml"), "--dtype", "int8", "--vary", "clock_mhz"]
    assert run(*words, "--plot", "a.svg")[0] == 0
    assert (tmp_path / "a.svg").exists()
    code, out, err = run(*words, "--plot", "a.gif")
    assert (code, out) == (2, "")
    assert "cannot draw a.gif" in err
