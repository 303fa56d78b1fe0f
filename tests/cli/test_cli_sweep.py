"""``hwsim sweep`` and ``hwsim query``: what they print, what they leave, and what they say to nonsense."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from hwsim.explore import Store, SweepTable

NPU = ("--vary", "sram.size_kib=16:64:x2", "--vary", "npu.rows=8,16")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Keep progress of a busy machine out of what is compared."""
    monkeypatch.setattr("hwsim.cli.terminal.PATIENCE_S", 600.0)


@pytest.fixture
def chip(data_folder):
    return str(data_folder / "toy_npu.yaml")


@pytest.fixture
def swept(hwsim, chip, tmp_path):
    code, _, err = hwsim("sweep", "lenet5", chip, *NPU, "--out", tmp_path / "s")
    assert (code, err) == (0, "")
    return tmp_path / "s"


def sentence(err):
    """Return the sentence, when it is one."""
    assert err.startswith("hwsim: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_the_best_and_a_line_to_quote(hwsim, chip):
    code, out, err = hwsim("sweep", "lenet5,ds_cnn", chip, *NPU)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["net", "least", "latency", "energy", "EDP", "sram_size_kib", "npu_rows"]
    assert [line.split()[:2] for line in lines[1:7]] == [
        [net, what] for net in ("lenet5", "ds_cnn") for what in ("latency", "energy", "EDP")
    ]
    assert "12 net evaluations, 100 % of them run" in out
    assert lines[-1].startswith("lenet5 on toy-npu: ")
    assert lines[-1].endswith("of 6 points, for 2 nets")


def test_the_same_numbers_as_evaluate(hwsim, chip, swept):
    row = SweepTable.read(swept).row(0)
    _, out, _ = hwsim(
        "evaluate", "lenet5", chip, "--set", "sram.size_kib=16", "--set", "npu.rows=8", "--format", "json"
    )
    assert row["latency_s"] == json.loads(out)["totals"]["latency_s"]


def test_files_by_their_name(hwsim, chip, tmp_path):
    for name in ("s.csv", "s.parquet"):
        if name.endswith("parquet"):
            pytest.importorskip("duckdb")
        code, out, _ = hwsim("sweep", "lenet5", chip, *NPU, "--out", tmp_path / name)
        assert code == 0
        assert "6 net evaluations" in out
        assert SweepTable.read(tmp_path / name)["npu_rows"].tolist() == [8, 16] * 3
    assert all(path.suffix in (".csv", ".parquet") for path in tmp_path.iterdir())


def test_a_design_file(hwsim, chip, tmp_path):
    design = tmp_path / "design.yaml"
    design.write_text(
        "axes:\n  npu.rows: [8, 16, 32]\n  sram.size_kib: 16:64:x2\n"
        "derived:\n  npu.cols: npu.rows\n"
        "  area_mm2: npu.rows * npu.cols * mac_area('int8', 45) + sram_area(sram_kib, 45)\n"
        "constraints: [area_mm2 <= 0.3]\n"
    )
    code, out, err = hwsim("sweep", "lenet5", chip, "--design", design, "--out", tmp_path / "s.csv")
    assert (code, err) == (0, "")
    table = SweepTable.read(tmp_path / "s.csv")
    assert (table["area_mm2"] <= 0.3).all()
    assert f"left out {9 - len(table)} more" in out


def test_what_does_not_run_is_counted(hwsim, chip):
    code, out, _ = hwsim("sweep", "lenet5", chip, "--vary", "dram.size_kib=1,1024")
    assert code == 0
    assert "2 net evaluations, 50.0 % of them run" in out
    assert "1 × does not fit dram" in out
    code, out, _ = hwsim("sweep", "lenet5", chip, "--vary", "dram.size_kib=1,2")
    assert code == 0
    assert out.splitlines()[-1] == "lenet5 on toy-npu: none of 2 points runs"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--vary", "sram.sise_kib=1"], "did you mean 'sram.size_kib'"),
        (["--vary", "sram.size_kb=1"], "did you mean 'sram.size_kib' [KiB]"),
        (["--vary", "npu.rows=16:8:1"], "is empty"),
        (["--vary", "npu.rows=1:2:x0"], "is empty"),
        (["--vary", "npu.rows"], "write it as --vary NAME=VALUE"),
        (["--vary", "npu.rows=1", "--vary", "npu.rows=2"], "stands here twice"),
        (["--vary", "npu.rows=1:1e15:1"], "or sample a span"),
        (
            ["--vary", "npu.rows=1:50000:1", "--vary", "npu.cols=1:50000:1", "--vary", "clock_mhz=1:400000:1"],
            "the grid has 50000 × 50000 × 400000 = 1e+15 points; 1e+12 is the most: take larger steps, or sample it",
        ),
        (["--vary", "npu.rows=8:16"], "a span is to be sampled"),
        (["--vary", "npu.dataflows=weight_stationry"], "did you mean"),
        (["--sample", "sobl:10"], "did you mean 'sobol'"),
        (["--sample", "sobol"], "must tell how many points"),
        (["--seed", "3"], "is of a sample"),
        (["--objective", "speed"], "objective = 'speed'"),
        (["--workers", "0"], "workers = 0"),
        (["--shard", "3/2", "--out", "x"], "must be i/n"),
        (["--resume"], "need --out DIR"),
        (["--out", "none/s"], "cannot write none/s"),
        (["--out", "none/s.csv"], "cannot write none/s.csv"),
        (["--design", "none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_nonsense_is_one_sentence(hwsim, chip, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    code, out, err = hwsim("sweep", "lenet5", chip, *words)
    assert (code, out) == (2, "")
    assert told in sentence(err)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("derived:\n  npu.rows: npu.cols\n  npu.cols: npu.rows\n", "derived fields need each other: npu."),
        ("derived:\n  npu.rows: open('x')\n", "there is no function 'open'"),
        ("derived:\n  npu.rows: '(lambda: 1)()'\n", "is not arithmetic"),
        ("derived:\n  area: sram_energi(3)\n", "did you mean 'sram_energy'"),
        ("constraints: [npu.rwos < 3]\n", "did you mean 'npu.rows'"),
        ("axes: [1]\n", "design.yaml: axes: must be a mapping"),
        ("axis:\n  npu.rows: 1\n", "did you mean 'axes'"),
        ("axes: &a\n  npu.rows: 1\n", "anchors are refused"),
        ("sample: {method: sobol, count: -1}\n", "count = -1"),
        ("", "is empty"),
    ],
)
def test_bad_designs_are_one_sentence(hwsim, chip, tmp_path, text, told):
    design = tmp_path / "design.yaml"
    design.write_text(text)
    code, out, err = hwsim("sweep", "lenet5", chip, "--design", design)
    assert (code, out) == (2, "")
    assert told in sentence(err)


def test_another_sweeps_folder(hwsim, chip, swept):
    code, _, err = hwsim("sweep", "lenet5", chip, *NPU, "--out", swept)
    assert code == 2
    assert "holds this sweep already; go on with --resume" in sentence(err)
    code, _, err = hwsim("sweep", "lenet5", chip, "--vary", "npu.rows=8", "--out", swept, "--resume")
    assert code == 2
    assert "holds another sweep: axes." in sentence(err)
    assert hwsim("sweep", "lenet5", chip, *NPU, "--out", swept, "--resume")[0] == 0
    assert hwsim("sweep", "lenet5", chip, "--vary", "npu.rows=8", "--out", swept, "--force")[0] == 0
    assert len(SweepTable.read(swept)) == 1


def command(data_folder, workers):
    """A sweep of four million points in chunks of 16384, on a core, whose model is fast."""
    return [
        sys.executable, "-m", "hwsim", "sweep", "lenet5", data_folder / "toy_mcu.yaml", "--dtype", "int8", "--vary",
        "clock_mhz=1:2000:1", "--vary", "flash.bytes_per_cycle=1:2000:1", "--out", "s", "--workers", workers,
    ]  # fmt: skip


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_leaves_what_is_finished(data_folder, tmp_path, workers):
    words = command(data_folder, workers)
    process = subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list(tmp_path.glob("s/chunk-*"))) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "chunks are finished in s; go on with --resume" in err.splitlines()[-1]
    store = Store.open(tmp_path / "s")
    assert len(store.finished()) >= 2
    assert sum(map(len, store.tables(["point"]))) == store.chunk_rows * len(store.finished())


def test_a_full_disk_is_one_sentence(data_folder, tmp_path):
    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as it is in Python: writing fails instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    words = command(data_folder, "1")
    run = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, preexec_fn=little_room)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "chunk-000000000.npz: File too large; finished chunks stay" in run.stderr.splitlines()[-1]
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["manifest.json"]


def test_questions_in_sql(hwsim, swept):
    pytest.importorskip("duckdb")
    code, out, err = hwsim("query", swept, "SELECT npu_rows, count(*) AS n FROM sweep GROUP BY 1 ORDER BY 1")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [["npu_rows", "n"], ["8", "3"], ["16", "3"]]
    code, out, _ = hwsim("query", swept, "SELECT * FROM sweep", "--format", "csv")
    assert out.splitlines()[0] == ",".join(SweepTable.read(swept).names)
    assert len(out.splitlines()) == 7
    for sql in ("FROM sweep", "SELECT s.* FROM sweep s", "SELECT DISTINCT * FROM sweep", "SELECT 1, * FROM sweep"):
        assert len(hwsim("query", swept, sql, "--format", "csv")[1].splitlines()[1].split(",")) >= 15
    assert hwsim("query", swept, "SELECT count(*) AS n FROM sweep", "--format", "csv")[1] == "n\n6\n"
    code, out, _ = hwsim("query", swept, "SELECT max(npu_rows) AS most FROM sweep", "--format", "json")
    assert json.loads(out) == [{"most": 16}]
    code, out, _ = hwsim("query", swept)
    assert "memories.sram.size_kib" in out


def test_joined_into_a_file_and_asked_again(hwsim, swept, tmp_path):
    pytest.importorskip("duckdb")
    for name in ("j.parquet", "j.csv"):
        assert hwsim("query", swept, f"--{name[2:]}", tmp_path / name)[:2] == (0, "")
        code, out, _ = hwsim("query", tmp_path / name, "SELECT sum(point) AS points FROM sweep")
        assert (code, out.split()) == (0, ["points", "15"])


@pytest.mark.parametrize("kind", ["folder", "parquet", "csv"])
@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM '/etc/passwd.csv'", "disabled by configuration"),
        ("SELECT * FROM glob('/*')", "disabled by configuration"),
        ("COPY sweep TO 'x.csv'", "not COPY"),
        ("SELECT 1; SELECT 2", "not SELECT and SELECT"),
        ("DROP TABLE sweep", "not DROP"),
        ("INSTALL httpfs", "not"),
        ("SET enable_external_access = true", "not SET"),
        ("SELEC 1", "yntax"),
        ("", "not nothing"),
        ("SELECT latency_ms FROM sweep", "write latency_s * 1000"),
        ("SELECT npu_rwos FROM sweep", "did you mean 'npu_rows'"),
    ],
)
def test_sql_reaches_the_sweep_alone(hwsim, swept, tmp_path, kind, sql, told):
    pytest.importorskip("duckdb")
    source = swept
    if kind != "folder":
        source = tmp_path / f"j.{kind}"
        hwsim("query", swept, f"--{kind}", source)
    before = sorted(tmp_path.iterdir())
    code, out, err = hwsim("query", source, sql)
    assert (code, out) == (2, "")
    assert told in sentence(err)
    assert sorted(tmp_path.iterdir()) == before


def test_query_without_duckdb(hwsim, swept, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    code, out, err = hwsim("query", swept, "SELECT 1")
    assert (code, out, err) == (2, "", "hwsim: query needs duckdb: pip install 'hwsim[store]'\n")


def test_query_of_nothing(hwsim, tmp_path):
    pytest.importorskip("duckdb")
    code, _, err = hwsim("query", tmp_path / "none", "SELECT 1")
    assert code == 2
    assert "cannot be read" in sentence(err)
    code, _, err = hwsim("query", tmp_path, "SELECT 1")
    assert code == 2
    assert "holds no sweep" in sentence(err)


def test_dask_that_does_not_answer(hwsim, chip, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("hwsim.explore.cluster.CONNECT_S", 0.5)
    code, _, err = hwsim("sweep", "lenet5", chip, "--vary", "npu.rows=8", "--dask", "tcp://127.0.0.1:1")
    assert code == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in sentence(err)
