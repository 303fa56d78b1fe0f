"""Search: the optimum and the front of grids that are known, conditions, and studies that go on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hwsim.chip import Chip, load_chip
from hwsim.cli import main
from hwsim.errors import MissingExtraError, UsageError
from hwsim.explore import Column, Store, SweepTable, best, pareto, parse, search, searching, sweep
from hwsim.explore.axes import axes_of
from hwsim.explore.choosing import Goals
from hwsim.explore.searching import Searched
from hwsim.explore.trials import Parameter, missed, worst_of
from hwsim.graph import Graph
from hwsim.importers import load_net

optuna = pytest.importorskip("optuna")

GRID = {"sram.size_kib": [16, 4, 8, 64, 32], "npu.rows": "4:16:4", "dram.gb_per_s": [1, 2, 4]}


@pytest.fixture(scope="module")
def net() -> Graph:
    return load_net("lenet5")


@pytest.fixture(scope="module")
def chip() -> Chip:
    return load_chip("squeezelerator_8x8")


@pytest.fixture(scope="module")
def grid(net: Graph, chip: Chip) -> SweepTable:
    return sweep(net, chip, GRID)


def test_it_finds_the_optimum_of_a_grid(net: Graph, chip: Chip, grid: SweepTable) -> None:
    found = search(net, chip, GRID, minimize="edp_js", trials=60, generation=10, seed=1)
    assert len(found) == 60
    assert best(found, "edp_js")["edp_js"][0] == best(grid, "edp_js")["edp_js"][0]
    # Every row is what the sweep says of the same design.
    known = {tuple(row[axis.name] for axis in grid.axes): row for row in grid.rows()}
    for row in found.rows():
        same = known[tuple(row[axis.name] for axis in grid.axes)]
        assert {**row, "point": 0} == {**same, "point": 0}


def test_it_finds_the_optimum_under_a_condition(net: Graph, chip: Chip, grid: SweepTable) -> None:
    where = "dram_gb_per_s * npu_rows <= 16 and sram_kib < 64"
    found = search(net, chip, GRID, minimize="latency_ms", where=where, trials=60, generation=10, seed=2)
    exact = best(grid, "latency_s", where=where)["latency_s"][0]
    assert best(found, "latency_s", where=where)["latency_s"][0] == exact
    assert exact > best(grid, "latency_s")["latency_s"][0]


def dominated_area(table: SweepTable, reference: tuple[float, float]) -> float:
    """Return the area between a front of two objectives and a point that is worse than all of it."""
    front = pareto(table, ["latency_s", "energy_j"])
    area, before = 0.0, reference[1]
    for x, y in sorted(set(zip(front["latency_s"].tolist(), front["energy_j"].tolist(), strict=True))):
        area += (reference[0] - x) * max(before - y, 0.0)
        before = min(before, y)
    return area


def test_its_front_is_close_to_the_exact_one(net: Graph, chip: Chip, grid: SweepTable) -> None:
    reference = (float(np.nanmax(grid["latency_s"])), float(np.nanmax(grid["energy_j"])))
    exact = dominated_area(grid, reference)
    for sampler in ("nsga2", "tpe"):
        found = search(net, chip, GRID, minimize=["latency_s", "energy_j"], trials=60, generation=20, sampler=sampler)
        assert 0.97 * exact <= dominated_area(found, reference) <= exact * (1 + 1e-12)


def test_a_generation_is_one_call_of_the_engine(
    net: Graph, chip: Chip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes = []
    ask = searching.answer_at

    def counted(question, at, **more):
        sizes.append(len(at[0]))
        return ask(question, at, **more)

    monkeypatch.setattr(searching, "answer_at", counted)
    told: list[tuple[int, int]] = []
    table = search(net, chip, GRID, trials=50, generation=20, out=tmp_path / "s",
                   progress=lambda done, of: told.append((done, of)))  # fmt: skip
    assert sizes == [20, 20, 10]
    assert told == [(0, 50), (20, 50), (40, 50), (50, 50)]
    kept = Store.open(tmp_path / "s").table()
    assert kept["latency_s"].tolist() == table["latency_s"].tolist()
    assert kept["point"].tolist() == list(range(50))


@pytest.mark.parametrize("file", ["study.db", "study.log"])
@pytest.mark.parametrize("goals", [["latency_ms"], ["latency_ms", "energy_mj"]])
def test_a_stopped_search_goes_on_as_it_would_have(
    net: Graph, chip: Chip, tmp_path: Path, file: str, goals: list[str]
) -> None:
    how = {"minimize": goals, "generation": 10, "seed": 5, "where": "sram_kib <= 32"}
    whole = search(net, chip, GRID, trials=30, **how)
    study = tmp_path / file
    search(net, chip, GRID, trials=10, study=study, out=tmp_path / "s", **how)
    # A trial that somebody else has begun is none of ours.
    storage = f"sqlite:///{study}" if file.endswith(".db") else optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(study))
    )  # fmt: skip
    begun = optuna.load_study(study_name="lenet5 on squeezelerator_8x8", storage=storage)
    first = begun.trials[0]
    assert first.constraints["the net runs"] == 0
    assert (first.constraints["sram_kib <= 32"] <= 0) == (first.user_attrs["sram_size_kib"] <= 32)
    assert begun.metric_names == goals
    begun.ask(first.distributions)
    table = search(net, chip, GRID, trials=30, study=study, out=tmp_path / "s", resume=True, **how)
    assert list(table.rows()) == list(whole.rows())
    assert Store.open(tmp_path / "s").table()["edp_js"].tolist() == whole["edp_js"].tolist()
    with pytest.raises(UsageError, match=r"--out .*: holds files already; name a new folder, or go on with --resume"):
        search(net, chip, GRID, trials=30, study=tmp_path / "new.db", out=tmp_path / "s", **how)
    assert not (tmp_path / "new.db").exists()
    with pytest.raises(UsageError, match="is there already; go on with --resume"):
        search(net, chip, GRID, trials=30, study=study, **how)
    with pytest.raises(UsageError, match=r"holds another search \(its search differs\)"):
        search(net, chip, GRID, trials=30, study=study, resume=True, **{**how, "seed": 6})


def test_designs_that_break_a_constraint_are_not_costed(net: Graph, chip: Chip) -> None:
    design = {
        "axes": {"npu.rows": "4:16:4", "sram.size_kib": "8:64:log"},
        "derived": {"npu.cols": "npu.rows", "area_mm2": "npu.rows * npu.cols / 100"},
        "constraints": ["area_mm2 <= 1"],
    }
    table = search(net, chip, design=design, minimize="latency_ms", trials=40, generation=10)
    assert 0 < len(table) < 40
    assert set(table["npu_rows"]) == {4, 8}
    assert table["npu_cols"].tolist() == table["npu_rows"].tolist()
    assert (np.diff(table["point"]) > 0).all()


def test_designs_that_do_not_run_stay_with_their_reason(net: Graph) -> None:
    mcu = load_chip(Path(__file__).parents[1] / "data" / "toy_mcu.yaml")
    vary = {"ram.size_kib": "1:32:1", "clock_mhz": "50:200"}
    table = search(net, mcu, vary, minimize="latency_ms", trials=40, generation=10, seed=3, dtype="int8")
    dead = table.where("latency_ms != latency_ms")
    assert len(table) == 40
    assert len(dead) > 0
    assert all("ram" in reason for reason in dead["reason"])
    # It learns where nothing runs: the last designs do.
    assert table.take(slice(20, 40))["fits"].mean() > table.take(slice(0, 10))["fits"].mean()


def test_parameters_reach_every_value(chip: Chip) -> None:
    vary = {
        "sram.size_kib": [64, 8, 16], "npu.rows": [12, 4, 8], "npu.cols": "4:16", "dram.gb_per_s": "1:8:log",
        "npu.dataflows": ["weight_stationary", "output_stationary"], "clock_mhz": 500,
    }  # fmt: skip
    parameters = [Parameter.of(axis, optuna.distributions) for axis in axes_of(chip, vary)]
    size, rows, cols, rate, flows, clock = parameters
    # 8, 16, 64 are no equal steps: places; 4, 8, 12 are, and stand for themselves.
    assert [size.told(place) for place in (0, 1, 2)] == [8, 16, 64]
    assert (size.name, size.distribution.high) == ("sram_size_kib (place)", 2)
    assert [rows.told(value) for value in (4, 8, 12)] == [4, 8, 12]
    assert (rows.distribution.low, rows.distribution.high, rows.distribution.step) == (4, 12, 4)
    assert rows.at([4, 12]).tolist() == [1, 0]
    assert isinstance(cols.distribution, optuna.distributions.IntDistribution)
    assert (rate.distribution.log, rate.told(2.5)) == (True, 2.5)
    assert flows.distribution.choices == ("weight_stationary", "output_stationary")
    assert flows.at(["output_stationary"]).tolist() == [1]
    assert clock.told(500) == 500


def test_how_far_a_condition_is_missed() -> None:
    table = SweepTable(
        {
            "a": [5.0, 10.0, 20.0, 5.0],
            "b": [1.0, 2.0, 3.0, 1.0],
            "net": ["x", "y", "x", "x"],
            "reason": ["", "", "", "no"],
        }
    )
    clauses = parse("a < 10 and b >= 2 and net == 'x' and a / b > 4").clauses
    found = missed(table, clauses)
    # 5 and 20 of 10: half below, once above; 10 itself is missed by a hair.
    assert found["a < 10"].tolist() == pytest.approx([-0.5, 0, 1, 1])
    assert found["a < 10"][1] > 0
    assert found["b >= 2"].tolist() == pytest.approx([0.5, 0, -0.5, 1])
    assert found["net == 'x'"].tolist() == [0, 1, 0, 1]
    assert found["a / b > 4"].tolist() == pytest.approx([-0.25, -0.25, 1 - 20 / 12, 1])
    assert found["the net runs"].tolist() == [0, 0, 0, 1]


def test_the_worst_so_far() -> None:
    goals = Goals.of(["a"], ["b"])
    values = np.array([[1.0, 5.0], [np.nan, np.nan], [3.0, 4.0]])
    assert worst_of(values, np.array([np.nan, np.nan]), goals).tolist() == [3, 4]
    assert worst_of(values, np.array([7.0, 1.0]), goals).tolist() == [7, 1]


def test_designs_tried_again_count_once() -> None:
    table = SweepTable({"point": [0, 1, 2], "a": [1, 2, 1], "w": ["x", "y", "x"], "latency_s": [1.0, 2.0, 1.0]},
                       [Column.of("a", "axis"), Column.of("w", "axis")])  # fmt: skip
    assert Searched(table, Goals.of("latency_s", ()), None, 3, 4).distinct["point"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vary": {}}, "a search needs something to vary"),
        ({"vary": {"sram.size_kb": "1:2"}}, "sram.size_kb"),
        ({"minimize": "latencies"}, "no column 'latencies'; did you mean 'latency_s'"),
        ({"minimize": "net"}, "net is a word"),
        ({"where": "area <= 2"}, "no column 'area'"),
        ({"where": "eval('1')"}, "there is no function 'eval'"),
        ({"sampler": "nsga3"}, "sampler = 'nsga3': must be one of auto, tpe, nsga2, random; did you mean 'nsga2'"),
        ({"trials": 0}, "trials = 0: must be from 1"),
        ({"generation": 0}, "generation = 0: must be from 1"),
        ({"seed": -1}, "seed = -1: must be >= 0"),
        ({"resume": True}, "--resume goes on with a study"),
        ({"study": "s.txt"}, r"--study s.txt: must be a .db \(SQLite\) or a .log"),
        ({"study": "no/s.db"}, "cannot write no/s.db"),
        ({"study": "s.db", "resume": True}, "there is no such study to go on with"),
        ({"out": "no/x.csv"}, "cannot write no/x.csv"),
    ],
)
def test_bad_questions(
    net: Graph, chip: Chip, options: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        search(net, chip, **{"vary": GRID, "trials": 10, **options})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_study(net: Graph, chip: Chip, tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("this is no database, and long enough to be told from an empty one" * 20)
    with pytest.raises(UsageError, match=r"s.db: cannot be used as a study: "):
        search(net, chip, GRID, trials=5, study=tmp_path / "s.db", resume=True)


def test_without_optuna(net: Graph, chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"search needs optuna: pip install 'hwsim\[opt\]'"):
        search(net, chip, GRID, trials=5)


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
    vary = ["--vary", "sram.size_kib=4:64:x2", "--vary", "npu.rows=4:16:4", "--trials", "20", "--generation", "10"]
    code, text, _ = hwsim("search", "lenet5", "squeezelerator_8x8", *vary, "--out", tmp_path / "x.csv")
    assert code == 0
    lines = text.splitlines()
    assert lines[0].split()[:4] == ["point", "npu_rows", "sram_size_kib", "latency_ms"] or "latency_ms" in lines[0]
    assert " designs of 20 tried in 20 trials: the least latency is " in lines[-1]
    assert len(SweepTable.read(tmp_path / "x.csv")) == 20
    code, text, _ = hwsim("search", "lenet5", "squeezelerator_8x8", *vary, "--min", "latency_us,energy_uj")
    assert " on the front: latency " in text.splitlines()[-1]
    code, text, err = hwsim("search", "lenet5", "squeezelerator_8x8", *vary, "--where", "latency_us < 1")
    assert (code, text) == (1, "")
    assert "no row satisfies 'latency_us < 1': " in err
    code, text, err = hwsim("search", "lenet5", "squeezelerator_8x8", "--trials", "5")
    assert (code, text) == (2, "")
    assert "a search needs something to vary" in err
