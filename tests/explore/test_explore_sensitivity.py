"""Sensitivities: elasticities by hand, along the axes of a made-up grid, and Sobol indices that are known."""

from __future__ import annotations

import csv
import io
import json
from math import log
from pathlib import Path

import numpy as np
import pytest

from hwsim.chip import Chip, load_chip
from hwsim.cli import main
from hwsim.errors import MissingExtraError, UsageError
from hwsim.explore import Column, SweepTable, sweep
from hwsim.explore.sensing import Sensitivity, grid_sensitivity, sensitivity
from hwsim.graph import Graph
from hwsim.importers import load_net
from hwsim.report import evaluate

TOY = Path(__file__).parents[1] / "data" / "toy_mcu.yaml"


@pytest.fixture(scope="module")
def net() -> Graph:
    return load_net("ds_cnn")


@pytest.fixture(scope="module")
def toy() -> Chip:
    return load_chip(TOY)


def of(found: Sensitivity, axis: str, objective: str) -> float:
    return float(found.values[found.axes.index(axis), found.objectives.index(objective)])


def test_elasticities_by_hand(net: Graph, toy: Chip) -> None:
    found = sensitivity(net, toy, dtype="int8")
    # All of the toy's times are cycles: latency goes with one over the clock. Its core takes 50 mW at any clock, for
    # the profile does not say at which they were measured, and 10 mW are static: energy goes with the time.
    assert of(found, "clock_mhz", "latency_s") == pytest.approx(-1)
    assert of(found, "clock_mhz", "energy_j") == pytest.approx(-1)
    # Run power 45 to 55 mW beside 10 mW: ln(65/55) / ln(55/45) = 0.83250
    assert of(found, "cpu_run_mw", "energy_j") == pytest.approx(0.83250, rel=1e-4)
    assert of(found, "cpu_run_mw", "latency_s") == 0
    assert of(found, "static_mw", "energy_j") == pytest.approx(log(61 / 59) / log(11 / 9))
    assert of(found, "ram_size_kib", "latency_s") == 0


def test_they_are_those_of_evaluate(net: Graph) -> None:
    chip = load_chip("squeezelerator")
    found = sensitivity(net, chip, ["sram.size_kib", "npu.rows", "dram.gb_per_s"], objectives=["latency_ms"], step=0.3)
    for path, axis, low, high in (
        ("sram.size_kib", "sram_size_kib", 0.7, 1.3),
        ("npu.rows", "npu_rows", 22 / 32, 42 / 32),  # 22.4 and 41.6 to the next whole number
        ("dram.gb_per_s", "dram_gb_per_s", 0.7, 1.3),
    ):
        value = chip.get(path)
        times = [evaluate(net, chip.replace(path, _whole(value * factor))).latency_s for factor in (low, high)]
        assert of(found, axis, "latency_ms") == pytest.approx(log(times[1] / times[0]) / log(high / low), abs=1e-9)


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value


def test_one_side_that_does_not_run_is_left_out(net: Graph, toy: Chip) -> None:
    # With a twentieth to spare, a tenth less no longer holds the net: only the step up is left.
    need = evaluate(net, toy, dtype="int8").memories[0].need_bytes / 1024
    tight = toy.replace("ram.size_kib", need * 1.05)
    found = sensitivity(net, tight, ["ram.size_kib"], dtype="int8")
    assert of(found, "ram_size_kib", "latency_s") == 0
    with pytest.raises(
        UsageError, match=r"ds_cnn on toy-mcu: does not run as it is, so there is nothing to vary around: .*ram"
    ):
        sensitivity(net, toy.replace("ram.size_kib", need / 2), ["ram.size_kib"], dtype="int8")


def made_up() -> SweepTable:
    """latency = 2 / clock · size^−0.5 below 100 KiB and flat above; energy = clock · volts²."""
    points = [(c, s, v) for c in (100, 200, 400) for s in (25, 50, 100, 400) for v in (1.0, 2.0)]
    clock, size, volts = np.array(points, dtype=float).T
    latency = 2 / clock * np.minimum(size, 100) ** -0.5
    latency[3] = np.nan
    return SweepTable(
        {
            "point": np.arange(len(points)),
            "clock_mhz": clock,
            "sram_size_kib": size,
            "supply_v": volts,
            "latency_s": latency,
            "energy_j": clock * volts**2,
            "reason": np.where(np.isnan(latency), "no", ""),
        },
        [Column.of(name, "axis") for name in ("clock_mhz", "sram_size_kib", "supply_v")],
        {"chip": "made-up"},
    )


def test_elasticities_along_a_grid() -> None:
    table = made_up()
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    found = grid_sensitivity(shuffled)
    assert found.values[:, 1].tolist() == pytest.approx([1, 0, 2])
    assert of(found, "clock_mhz", "latency_s") == pytest.approx(-1)
    assert of(found, "supply_v", "latency_s") == 0
    # Pairs along size: 25-50, 50-100, 100-400 for each of 3 clocks × 2 voltages; two slopes of −0.5 in three, the last
    # is 0. The row at 100 MHz, 50 KiB, 2 V does not run, which takes away two pairs of −0.5.
    low, high = (float(part[1, 0]) for part in (found.low, found.high))
    assert (low, high) == pytest.approx((-0.5, 0))
    assert of(found, "sram_size_kib", "latency_s") == pytest.approx(-0.5 * 10 / 16)


def test_a_sweep_of_the_engine(net: Graph, toy: Chip) -> None:
    table = sweep(net, toy, {"clock_mhz": [50, 100, 200], "ram.size_kib": [32, 64]}, dtype="int8")
    found = grid_sensitivity(table)
    assert of(found, "clock_mhz", "latency_s") == pytest.approx(-1)
    assert of(found, "ram_size_kib", "energy_j") == 0
    assert found.count == 2 * 2 + 3


def test_sobol_indices_that_are_known(net: Graph, toy: Chip) -> None:
    pytest.importorskip("SALib")
    vary = {"clock_mhz": None, "ram.size_kib": "32:64", "cpu.run_mw": "40:60"}
    found = sensitivity(net, toy, vary, sobol=64, dtype="int8", seed=1)
    # Latency depends on the clock alone: its share of the variance is all of it.
    assert of(found, "clock_mhz", "latency_s") == pytest.approx(1, abs=0.05)
    assert of(found, "ram_size_kib", "latency_s") == 0
    assert of(found, "cpu_run_mw", "latency_s") == pytest.approx(0, abs=1e-9)
    # Energy = (run + 10 mW) · t, t from 1 to 4 of its least: the clock's share is most of it, the power's the rest.
    assert 0.03 < of(found, "cpu_run_mw", "energy_j") < 0.1
    assert found.count == 64 * 5
    again = sensitivity(net, toy, vary, sobol=64, dtype="int8", seed=1)
    assert np.array_equal(again.values, found.values)
    with pytest.raises(UsageError, match=r"of 320 samples do not run \(.*ram.*narrow the ranges"):
        sensitivity(net, toy, {**vary, "ram.size_kib": "1:64"}, sobol=64, dtype="int8")


def test_a_missing_extra_is_one_sentence(net: Graph, toy: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "SALib.sample.sobol", None)
    with pytest.raises(MissingExtraError, match=r"Sobol indices needs SALib: pip install 'hwsim\[sensitivity\]'"):
        sensitivity(net, toy, ["clock_mhz"], sobol=64, dtype="int8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vary": ["ram.size_kb"]}, "ram.size_kb"),
        ({"vary": ["name"]}, "is toy-mcu, no number above zero"),
        ({"vary": ["ram.latency_cycles"]}, "is 0, no number above zero"),
        ({"objectives": ["latencies"]}, "no column 'latencies'; did you mean 'latency_s'"),
        ({"objectives": ["net"]}, "net is a word"),
        ({"step": 1.5}, "step = 1.5: must be a share"),
        ({"sobol": 100, "vary": ["clock_mhz"]}, "--sobol 100: must be a power of two"),
    ],
)
def test_bad_questions(net: Graph, toy: Chip, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        sensitivity(net, toy, dtype="int8", **options)  # type: ignore[arg-type]


def test_grids_that_say_nothing() -> None:
    rng = np.random.default_rng(2)
    sample = SweepTable({"a": rng.random(9), "b": rng.random(9), "latency_s": rng.random(9), "energy_j": rng.random(9)},
                        [Column.of("a", "axis"), Column.of("b", "axis")])  # fmt: skip
    with pytest.raises(UsageError, match="no two rows of the sweep that run differ in one axis alone: it is a sample"):
        grid_sensitivity(sample)
    with pytest.raises(UsageError, match="has no axis that was varied"):
        grid_sensitivity(SweepTable({"latency_s": [1.0], "energy_j": [1.0]}))


@pytest.fixture
def hwsim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hwsim", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


def test_the_command(hwsim, tmp_path: Path) -> None:
    code, text, _ = hwsim("sensitivity", "ds_cnn", TOY, "--dtype", "int8")
    lines = text.splitlines()
    assert code == 0
    assert lines[0].split() == ["field", "today", "latency", "energy"]
    assert lines[1].split() == ["clock_mhz", "100", "−1.00", "−1.00"]
    assert any(line.startswith("no effect") and "ram_size_kib" in line for line in lines)
    assert lines[-1].startswith("ds_cnn on toy-mcu: latency follows clock_mhz (−1.00) and hardly sees ")
    made_up().to_csv(tmp_path / "s.csv")
    code, text, _ = hwsim("sensitivity", tmp_path / "s.csv", "--of", "latency_ms", "--format", "csv")
    rows = {row["field"]: float(row["value"]) for row in csv.DictReader(io.StringIO(text))}
    assert rows["clock_mhz"] == pytest.approx(-1)
    code, text, _ = hwsim("sensitivity", "ds_cnn", TOY, "--dtype", "int8", "--vary", "clock_mhz", "--format", "json")
    assert json.loads(text)["rows"][0]["value"] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none"], "none: is no sweep; of a net, name the chip as well: hwsim sensitivity none CHIP"),
        (["ds_cnn", TOY, "--vary", "clock_mhz=1:2"], "--vary PATH=a:b: a range is of --sobol"),
        (["ds_cnn", TOY, "--where", "latency_ms < 1"], "--where is of a sweep"),
        (["s.csv", "--sobol", 8], "--vary and --sobol are of a net on a chip"),
        (["ds_cnn", TOY, "--of", ","], "--of ,: name a result"),
    ],
)
def test_bad_command_lines(hwsim, words: list[object], said: str) -> None:
    code, text, err = hwsim("sensitivity", *words)
    assert (code, text) == (2, "")
    assert said in err
