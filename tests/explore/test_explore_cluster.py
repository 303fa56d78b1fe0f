"""A Dask cluster gives the same table, also when one of its workers dies half-way."""

import json
import os
import subprocess
import sys
import time

import pytest

from hwsim.errors import MissingExtraError, UsageError
from hwsim.explore import SweepTable, sweep
from hwsim.explore.cluster import dask_executor

VARY = {"sram.size_kib": "1:64:x2", "npu.rows": "1:12:1", "clock_mhz": [100, 200]}


def started(arguments, folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed")
    address_file = tmp_path / "scheduler.json"
    scheduler = started(
        [
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            address_file,
        ],
        tmp_path,
    )
    processes = [scheduler]
    try:
        until(address_file.exists)
        for name in ("one", "two"):
            options = [
                "--scheduler-file",
                address_file,
                "--nthreads",
                "1",
                "--no-nanny",
                "--no-dashboard",
                "--name",
                name,
            ]
            processes.append(started(["distributed.cli.dask_worker", *options], tmp_path))
        yield json.loads(address_file.read_text())["address"], processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_the_same_file_though_a_worker_dies(npu, small_net, cluster, tmp_path, monkeypatch):
    address, processes = cluster
    monkeypatch.setattr("hwsim.explore.prepared.LEAST_CHUNK_ROWS", 4)
    alone = sweep(small_net, npu, VARY, out=tmp_path / "alone", workers=1)
    killed = []

    def kill_one(done, whole):
        if done >= whole / 2 and not killed:
            killed.append(processes[2].pid)
            processes[2].kill()

    with dask_executor(address) as executor:
        until(lambda: len(executor._client.scheduler_info()["workers"]) == 2)
        sweep(small_net, npu, VARY, out=tmp_path / "there", executor=executor, progress=kill_one)
    assert killed
    there = SweepTable.read(tmp_path / "there")
    assert there.names == alone.names
    for name in alone.names:
        one, other = alone.stored(name), there.stored(name)
        if hasattr(one, "codes"):
            assert alone[name].tolist() == there[name].tolist()
        else:
            assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes()), name
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "there").iterdir())
    for name in names:
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


def test_nobody_answers(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("hwsim.explore.cluster.CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://x", "300.1.2.3:x"):
        with pytest.raises(UsageError, match="no Dask scheduler answers at"), dask_executor(address):
            pass


def test_without_dask_it_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"hwsim\[cluster\]"), dask_executor("tcp://127.0.0.1:1"):
        pass
