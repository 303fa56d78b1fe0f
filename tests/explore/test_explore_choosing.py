"""Fronts and best rows of sweeps: by hand, by brute force, in parts, and when there is nothing to choose."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from hwsim.cli import main
from hwsim.errors import UsageError
from hwsim.explore import Column, SweepTable, best, pareto
from hwsim.explore.choosing import Goals, NothingFoundError, front_of

TEXT = """point,net,npu_rows,sram_size_kib,latency_s,energy_j,fits,reason
0,a,8,32,0.040,0.0010,true,
1,a,8,64,0.030,0.0011,true,
2,a,8,128,0.025,0.0014,true,
3,a,16,32,,,false,sram: needs 40 KiB
4,a,16,64,0.020,0.0013,true,
5,a,16,128,0.012,0.0016,true,
0,b,8,32,0.140,0.0110,true,
1,b,8,64,0.130,0.0111,true,
2,b,8,128,0.125,0.0114,true,
3,b,16,32,,,false,sram: needs 80 KiB
4,b,16,64,0.120,0.0113,true,
5,b,16,128,0.112,0.0116,true,
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "s.csv"
    path.write_text(TEXT)
    return path


@pytest.fixture
def table(file: Path) -> SweepTable:
    return SweepTable.read(file)


def random_table(seed: int, rows: int = 3000) -> SweepTable:
    rng = np.random.default_rng(seed)
    latency, energy, area = np.floor(rng.random((3, rows)) * 60)
    latency[rng.random(rows) < 0.1] = np.nan
    return SweepTable(
        {
            "point": np.arange(rows),
            "net": np.array(["a", "b", "c"])[rng.integers(0, 3, rows)],
            "sram_size_kib": rng.integers(1, 9, rows) * 32,
            "latency_s": latency,
            "energy_j": energy,
            "area_mm2": area,
        },
        [Column.of("point", "key"), Column.of("net", "key"), Column.of("sram_size_kib", "axis")],
    )


def test_a_front_on_paper(table: SweepTable) -> None:
    # Of net a: (25 ms, 1.4 mJ) is beaten by (20 ms, 1.3 mJ); point 3 does not run. One of a beats every row of b.
    front = pareto(table, ["latency_ms", "energy_mj"])
    assert front["point"].tolist() == [5, 4, 1, 0]
    assert set(front["net"]) == {"a"}
    assert front["latency_ms"].tolist() == pytest.approx([12, 20, 30, 40])
    apart = pareto(table, ["latency_ms", "energy_mj"], by="net")
    assert list(zip(apart["net"], apart["point"], strict=True)) == [(n, p) for n in "ab" for p in (5, 4, 1, 0)]
    # The most rows for the least memory: (16, 64) and (8, 32) of those with less than 100 KiB that run.
    few = pareto(table, "sram_kib", "npu_rows", where="sram_kib < 100 and net == 'a'")
    assert few["point"].tolist() == [0, 4]


@pytest.mark.parametrize("seed", range(4))
def test_a_front_in_parts_is_the_front(seed: int) -> None:
    table = random_table(seed)
    goals = Goals.of(["latency_s", "energy_j"], ["area_mm2"], ["net"])
    whole = front_of([table], goals, "sram_kib >= 64")
    parts = front_of([table.take(slice(i, i + 170)) for i in range(0, 3000, 170)], goals, "sram_kib >= 64")
    columns = ["net", "point", "latency_s"]
    one, other = (sorted(zip(*(found.table[c] for c in columns), strict=True)) for found in (whole, parts))
    assert one == other
    assert (whole.rows, whole.candidates) == (parts.rows, parts.candidates) == (3000, whole.candidates)
    # Brute force: no row of its net that runs is better in all.
    allowed = table.where("sram_kib >= 64")
    values = np.stack([allowed["latency_s"], allowed["energy_j"], -allowed["area_mm2"]], axis=1)
    expected = set()
    for row in np.flatnonzero(~np.isnan(values[:, 0])):
        rivals = values[(allowed["net"] == allowed["net"][row]) & ~np.isnan(values[:, 0])]
        if not ((rivals <= values[row]).all(axis=1) & (rivals < values[row]).any(axis=1)).any():
            expected.add(int(allowed["point"][row]))
    assert set(whole.table["point"].tolist()) == expected


@pytest.mark.parametrize("top", [1, 3, 40, 5000])
def test_the_best_are_the_first_of_all_in_order(top: int) -> None:
    table = random_table(9)
    found = best(table, minimize="energy_j", where="latency_s < 30", top=top, by="net")
    for net in "abc":
        rows = [r for r in table.rows() if r["net"] == net and r["latency_s"] < 30]
        expected = sorted(rows, key=lambda r: (r["energy_j"], r["point"]))[:top]
        assert found.take(found["net"] == net)["point"].tolist() == [r["point"] for r in expected]
    most = best(table, maximize="area_mm2", where="latency_s >= 0")
    assert most["area_mm2"].tolist() == [np.nanmax(table.where("latency_s >= 0")["area_mm2"])]


def test_what_is_in_the_way(table: SweepTable) -> None:
    # 10 rows run. latency < 15: one (12 ms, at 128 KiB). sram <= 64: six. Both: none. Without the first, six would do,
    # of which the fastest takes 20 ms.
    with pytest.raises(NothingFoundError) as told:
        best(table, minimize="energy_mj", where="latency_ms < 15 and sram_kib <= 64")
    assert str(told.value) == (
        "no row satisfies 'latency_ms < 15 and sram_kib <= 64': latency_ms < 15 holds at 1 of the 10 that run; "
        "without it 6 would do; the nearest has latency_ms = 20, at npu_rows 16, sram_size_kib 64 (asked: < 15)"
    )
    with pytest.raises(NothingFoundError, match=r"holds at 0 of the 10 that run; the nearest has energy_mj \* 2 = 2,"):
        best(table, minimize="latency_ms", where="energy_mj * 2 < 1")
    with pytest.raises(NothingFoundError, match=r"latency_ms < 1 holds at 0 .*, and without it there is none either"):
        best(table, minimize="latency_ms", where="latency_ms < 1 and energy_mj < 1")


def test_nothing_runs(table: SweepTable) -> None:
    dead = table.where("point == 3")
    said = "no row of the sweep can run: 1 of 2 because sram: needs 40 KiB"
    with pytest.raises(NothingFoundError, match=said):
        pareto(dead, "latency_ms")
    with pytest.raises(NothingFoundError, match=said):
        best(dead, minimize="latency_ms", where="sram_kib < 1")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda t: pareto(t), "say what to minimise or to maximise"),
        (lambda t: pareto(t, ["latency_ms"], ["latency_ms"]), "latency_ms is asked for twice"),
        (lambda t: pareto(t, "latencyms"), "no column 'latencyms'; did you mean 'latency_s'"),
        (lambda t: pareto(t, "net"), "net is a word, and has no less and no more"),
        (lambda t: pareto(t, "latency_ms", by="nets"), "no column 'nets'; did you mean 'net'"),
        (lambda t: pareto(t, "latency_ms", where="latency_ms"), "is a number; a condition compares two"),
        (lambda t: pareto(t, "latency_ms", where="open('x')"), "there is no function 'open'"),
        (lambda t: pareto(t.take(slice(0, 0)), "latency_ms"), "the sweep has no row"),
        (lambda t: best(t.take(slice(0, 0)), "latency_ms"), "the sweep has no row"),
        (lambda t: best(t, ["latency_ms", "energy_mj"]), "best in one objective, not in latency_ms, energy_mj"),
        (lambda t: best(t, "latency_ms", top=0), "top = 0: must be from 1 to"),
    ],
)
def test_bad_questions(table: SweepTable, ask: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ask(table)  # type: ignore[operator]


@pytest.fixture
def hwsim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hwsim", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


def test_pareto_as_a_command(hwsim, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "front.csv"
    code, text, err = hwsim("pareto", file, "--min", "latency_ms,energy_uj", "--by", "net", "--out", out)
    assert (code, err) == (0, "")
    lines = text.splitlines()
    assert lines[0].split() == ["net", "point", "npu_rows", "sram_size_kib", "latency_ms", "energy_uj"]
    assert lines[1].split() == ["a", "5", "16", "128", "12.0", "1", "600"]
    assert lines[-1] == "8 of 10 rows (12 in all) are on the front: latency 12.0 to 140 ms, energy 1 000 to 11 600 µJ"
    assert len(SweepTable.read(out)) == 8
    code, text, err = hwsim("pareto", file)
    assert text.splitlines()[-1].endswith("the best compromise is 20.0 ms, 1.30 mJ at point 4 (npu_rows 16, "
                                          "sram_size_kib 64)")  # fmt: skip
    assert "rows of 2 nets compete here; --by net" in err
    code, text, _ = hwsim("pareto", file, "--format", "csv")
    assert [row["point"] for row in csv.DictReader(io.StringIO(text))] == ["5", "4", "1", "0"]
    code, text, _ = hwsim("pareto", file, "--format", "json")
    assert json.loads(text)[0]["latency_s"] == 0.012


def test_long_fronts_are_cut_on_the_screen_only(hwsim, tmp_path: Path) -> None:
    rows = "\n".join(f"{i},{i},{200 - i},{i}" for i in range(100))
    (tmp_path / "long.csv").write_text(f"point,rows,latency_s,energy_j\n{rows}\n")
    _, text, _ = hwsim("pareto", tmp_path / "long.csv")
    assert "… and 60 more: --all-rows shows them, --out writes them" in text
    assert hwsim("pareto", tmp_path / "long.csv", "--all-rows")[1].count("\n") > 100


def test_best_as_a_command(hwsim, file: Path) -> None:
    code, text, err = hwsim("best", file, "--where", "latency_ms < 35 and sram_kib <= 64", "--min", "energy_mj")
    assert (code, err) == (0, "")
    assert text.splitlines()[-1] == (
        "the least energy with latency_ms < 35 and sram_kib <= 64 is 1.10 mJ at point 1 (npu_rows 8, sram_size_kib 64)"
    )
    code, text, err = hwsim("best", file, "--where", "latency_ms < 1")
    assert (code, text) == (1, "")
    assert err.startswith("hwsim: no row satisfies 'latency_ms < 1': ")
    code, text, err = hwsim("best", file, "--where", "latency_ms < 100", "--by", "net")
    assert code == 0
    assert text.splitlines()[-1].startswith("net a: the least latency with latency_ms < 100 is 12.0 ms")
    assert err.startswith("hwsim: net b: no row satisfies 'latency_ms < 100'")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--min", "latencyms"], "no column 'latencyms'"),
        (["--out", "x.xlsx"], "--out x.xlsx: must be a .csv or a .parquet"),
        (["--out", "no/x.csv"], "cannot write no/x.csv"),
        (["--where", "latency_ms <"], "is not arithmetic"),
        (["--format", "xml"], "--format xml"),
    ],
)
def test_bad_command_lines(hwsim, file: Path, words: list[str], said: str) -> None:
    code, text, err = hwsim("pareto", file, *words)
    assert (code, text) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert hwsim("pareto", file.parent / "none.csv")[0] == 2
