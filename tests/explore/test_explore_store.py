"""Folders of chunks: what is finished outlives everything, and what is resumed ends the same."""

import contextlib
import errno
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import UsageError
from hwsim.explore import Store, SweepTable, prepare, sweep
from hwsim.explore.sweeping import join, written

VARY = {"sram.size_kib": "1:64:x2", "npu.rows": [4, 8, 16], "clock_mhz": [100, 200]}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("hwsim.explore.prepared.LEAST_CHUNK_ROWS", 5)


def same(left, right):
    assert left.names == right.names
    for name in left.names:
        one, other = left[name], right[name]
        assert one.dtype == other.dtype, name
        assert one.tobytes() == other.tobytes() if one.dtype.kind == "f" else one.tolist() == other.tolist(), name


def files(folder):
    return sorted(path.name for path in folder.iterdir())


class StoppedError(Exception):
    pass


def stop_after(rows):
    def progress(done, _):
        if done >= rows:
            raise StoppedError

    return progress


def test_a_folder_holds_the_same_as_memory(npu, small_net, tmp_path):
    whole = sweep(small_net, npu, VARY)
    table = sweep(small_net, npu, VARY, out=tmp_path / "s")
    same(table, whole)
    same(SweepTable.read(tmp_path / "s"), whole)
    # 7 sizes × 3 × 2 = 42 points in chunks of 5: 9 of them.
    assert files(tmp_path / "s") == [*(f"chunk-{number:09d}.npz" for number in range(9)), "manifest.json"]
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text())
    assert (manifest["rows"], manifest["chunk_rows"], manifest["chip"]) == (42, 5, "toy-npu")
    assert SweepTable.read(tmp_path / "s", ["latency_ms", "sram_kib"]).names == ("sram_size_kib", "latency_s")
    assert table.take([3, 5]).row(1) == table.row(5)


def test_chunks_hold_nothing_that_runs(npu, small_net, tmp_path):
    sweep(small_net, npu, VARY, out=tmp_path / "s")
    with np.load(tmp_path / "s" / "chunk-000000000.npz", allow_pickle=False) as chunk:
        assert all(chunk[name].dtype.kind in "ifbU" for name in chunk)


def test_resume_ends_the_same(npu, small_net, tmp_path):
    whole = sweep(small_net, npu, VARY)
    out = tmp_path / "s"
    with pytest.raises(StoppedError):
        sweep(small_net, npu, VARY, out=out, progress=stop_after(15))
    begun = files(out)
    assert 2 < len(begun) < 10
    stamps = {name: (out / name).stat().st_mtime_ns for name in begun}
    with pytest.raises(UsageError, match="holds this sweep already; go on with --resume"):
        sweep(small_net, npu, VARY, out=out)
    same(sweep(small_net, npu, VARY, out=out, resume=True), whole)
    assert {name: (out / name).stat().st_mtime_ns for name in begun} == stamps
    # Once more does nothing, and by force all anew.
    same(sweep(small_net, npu, VARY, out=out, resume=True), whole)
    same(sweep(small_net, npu, VARY, out=out, force=True), whole)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"vary": {**VARY, "npu.rows": [4, 8]}}, r"axes.engines.npu.rows = \[4, 8, 16\], here \[4, 8\]"),
        ({"vary": {"npu.cols": [4]}}, "axes.engines.npu.cols = null, here"),
        ({"objective": "energy"}, 'objective = "latency", here "energy"'),
        ({"batch": 2}, "batch = 1, here 2"),
        ({"chip": True}, "profile.mac_pj.int8 = 0.25, here 0.5"),
        ({"net": True}, "nets.small"),
    ],
)
def test_another_sweeps_folder_is_refused(npu, small_net, tmp_path, other, told):
    sweep(small_net, npu, VARY, out=tmp_path / "s")
    chip = npu.replace("mac_pj.int8", 0.5) if other.pop("chip", False) else npu
    net = small_net
    if other.pop("net", False):
        from hwsim.graph import GraphBuilder

        b = GraphBuilder("small")
        net = b.build([b.dense(b.input("x", (1, 4), "int8"), 2, name="dense")])
    with pytest.raises(UsageError, match=told) as error:
        sweep(net, chip, other.pop("vary", VARY), out=tmp_path / "s", resume=True, **other)
    assert "holds another sweep" in str(error.value)
    sweep(small_net, npu, VARY, out=tmp_path / "s", resume=True)


def test_other_folders_are_refused(npu, small_net, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="holds other files"):
        sweep(small_net, npu, VARY, out=tmp_path / "s")
    with pytest.raises(UsageError, match="holds other files"):
        sweep(small_net, npu, VARY, out=tmp_path / "s", force=True)
    with pytest.raises(UsageError, match=r"cannot write .*: No such file"):
        sweep(small_net, npu, VARY, out=tmp_path / "none" / "s")
    with pytest.raises(UsageError, match="holds no sweep"):
        SweepTable.read(tmp_path)
    for text in ("{", "[]", "{}", '{"schema": 1}', '{"schema": 9}', "[" * 100_000):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(UsageError, match=r"manifest|schema"):
            SweepTable.read(tmp_path)


def test_shards_meet_in_a_folder(npu, small_net, tmp_path):
    whole = sweep(small_net, npu, VARY)
    out = tmp_path / "s"
    part = sweep(small_net, npu, VARY, out=out, shard="2/3")
    assert 0 < len(part) < len(whole)
    sweep(small_net, npu, VARY, out=out, shard=(1, 3))
    same(sweep(small_net, npu, VARY, out=out, shard="3/3"), whole)
    with pytest.raises(UsageError, match="holds another sweep"):
        sweep(small_net, npu, {"npu.rows": [1]}, out=out, shard="1/3")
    for wrong in ("0/3", "4/3", "a/b", "1", "1/2/3", "-1/3"):
        with pytest.raises(UsageError, match="must be i/n"):
            sweep(small_net, npu, VARY, out=out, shard=wrong)
    with pytest.raises(UsageError, match="meet in a folder"):
        sweep(small_net, npu, VARY, out=tmp_path / "s.csv", shard="1/2")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_files_hold_the_same(npu, small_net, tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("duckdb")
    whole = sweep(small_net, npu, VARY)
    out = tmp_path / f"s.{suffix}"
    with pytest.raises(StoppedError):
        sweep(small_net, npu, VARY, out=out, progress=stop_after(15))
    assert files(tmp_path) == [f"s.{suffix}.chunks"]
    table = sweep(small_net, npu, VARY, out=out, resume=True)
    assert files(tmp_path) == [f"s.{suffix}"]
    same(table, whole)
    assert [axis.name for axis in table.axes] == [axis.name for axis in whole.axes]
    if suffix == "parquet":
        assert table.metadata["profile"]["name"] == "toy-npu"
        assert table.metadata["nets"].keys() == {"small"}
        assert table.metadata["hwsim"]


def test_a_full_disk_leaves_what_is_finished(npu, small_net, tmp_path, monkeypatch):
    out = tmp_path / "s"
    replace, calls = os.replace, []

    def full(source, target):
        calls.extend([target] if str(target).endswith(".npz") else [])
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("hwsim.explore.store.os.replace", full)
        with pytest.raises(UsageError, match="No space left on device; finished chunks stay"):
            sweep(small_net, npu, VARY, out=out)
    assert files(out) == [*(f"chunk-{number:09d}.npz" for number in range(3)), "manifest.json"]
    assert len(SweepTable.read(out)) == 15
    same(sweep(small_net, npu, VARY, out=out, resume=True), sweep(small_net, npu, VARY))


def test_a_damaged_chunk_is_told(npu, small_net, tmp_path):
    sweep(small_net, npu, VARY, out=tmp_path / "s")
    chunk = tmp_path / "s" / "chunk-000000002.npz"
    content = chunk.read_bytes()
    for damaged in (b"", content[:300], b"PK" + bytes(500), content[:-200]):
        chunk.write_bytes(damaged)
        with pytest.raises(UsageError, match=r"chunk-000000002.npz: cannot be read: .*; delete it and --resume"):
            SweepTable.read(tmp_path / "s")["latency_s"]
    chunk.unlink()
    assert len(SweepTable.read(tmp_path / "s")) == 37
    same(sweep(small_net, npu, VARY, out=tmp_path / "s", resume=True), sweep(small_net, npu, VARY))


def test_killed_at_any_moment(tmp_path):
    """A process that is killed leaves whole chunks only, and is resumed to the same result."""
    code = """
import sys, hwsim
import hwsim.explore.prepared as prepared
prepared.LEAST_CHUNK_ROWS = 5
table = hwsim.sweep(hwsim.load_net("lenet5"), hwsim.load_chip("squeezelerator_8x8"),
    {"sram.size_kib": "8:128:x2", "npu.rows": "1:24:1"}, out="s", resume=len(sys.argv) > 1, workers=1)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    out = tmp_path / "s"
    for attempt in range(2):
        process = subprocess.Popen([*command, *["-"] * attempt], cwd=tmp_path, env=environment)
        before = len(list(out.glob("chunk-*"))) if out.exists() else 0
        while process.poll() is None and not (out.exists() and len(list(out.glob("chunk-*"))) > before + 2):
            time.sleep(0.01)
        process.kill()
        process.wait()
    store = Store.open(out)
    assert 0 < len(store.finished()) < len(store.chunks)
    assert sum(map(len, store.tables())) == 8 * len(store.finished())
    subprocess.run([*command, "-"], cwd=tmp_path, env=environment, check=True)
    assert len(Store.open(out).table()) == 5 * 24
    assert sorted(Store.open(out).table()["point"].tolist()) == list(range(120))


def test_joining_streams(npu, small_net, tmp_path, monkeypatch):
    pytest.importorskip("duckdb")
    ready = prepare(small_net, npu, VARY)
    written(ready, tmp_path / "s")
    store = Store.open(tmp_path / "s")
    join(store, tmp_path / "s.parquet")
    same(SweepTable.read(tmp_path / "s.parquet"), ready.table())
    monkeypatch.setattr("hwsim.explore.sweeping.MAX_SORTED", 10)
    join(store, tmp_path / "s.csv")
    assert sorted(SweepTable.read(tmp_path / "s.csv")["point"].tolist()) == list(range(42))
    assert Path(tmp_path / "s.csv").read_text().count("latency_s") == 1
    with pytest.raises(UsageError, match="is joined into"):
        join(store, tmp_path / "s.json")


def test_no_damage_to_a_folder_ends_in_a_traceback(npu, small_net, tmp_path):
    sweep(small_net, npu, {"npu.rows": [4, 8], "npu.dataflows": ["weight_stationary"]}, out=tmp_path / "s")
    rng = random.Random(0)
    for name in ("manifest.json", "chunk-000000000.npz"):
        path = tmp_path / "s" / name
        content = path.read_bytes()
        for _ in range(150):
            damaged = bytearray(content)
            for _ in range(rng.randint(1, 4)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path.write_bytes(damaged[: rng.choice([None, rng.randrange(len(damaged))])])
            with contextlib.suppress(UsageError):
                list(SweepTable.read(tmp_path / "s").rows())
        path.write_bytes(content)
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text())
    for change in ({"rows": 10**18}, {"rows": "x"}, {"chunk_rows": 0}, {"rows": float("inf")}, {"columns": [[1]]}):
        (tmp_path / "s" / "manifest.json").write_text(json.dumps(manifest | change))
        with pytest.raises(UsageError, match="is not a manifest"):
            SweepTable.read(tmp_path / "s")


def test_chunks_grow_with_what_a_folder_can_hold(npu, small_net):
    # 10^11 points in at most a million files: 100 000 rows in each.
    vary = {"npu.rows": "1:10000:1", "npu.cols": "1:10000:1", "clock_mhz": "1:1000:1"}
    ready = prepare(small_net, npu, vary)
    assert (ready.rows, ready.chunk_rows) == (10**11, 10**5)
