"""Sweeps: equal to evaluate at every point, however they are cut and whoever does the work."""

import concurrent.futures
import multiprocessing
import random
from dataclasses import replace

import numpy as np
import pytest

import hwsim
from hwsim.chip.paths import field_paths
from hwsim.chip.points import is_column
from hwsim.errors import ChipError, CostError, UsageError
from hwsim.explore import prepare, sweep, sweep_chunks
from hwsim.explore.axes import OF_NET, is_number
from hwsim.explore.grid import Grid, plan
from hwsim.graph import GraphBuilder


def same(left, right):
    assert left.names == right.names
    for name in left.names:
        one, other = left[name], right[name]
        assert one.dtype == other.dtype, name
        if one.dtype.kind == "f":
            np.testing.assert_array_equal(one, other)
        else:
            assert one.tolist() == other.tolist(), name


def random_net(rng, name):
    b = GraphBuilder(name)
    size, channels = rng.choice([7, 12, 16]), rng.choice([1, 3, 8])
    x = b.input("image", (1, size, size, channels), "int8")
    for index in range(rng.randint(1, 3)):
        kind = rng.choice(["conv", "depthwise", "pointwise"])
        if kind == "depthwise":
            x = b.depthwise(x, 3, name=f"layer{index}")
        else:
            x = b.conv2d(x, rng.choice([4, 10, 16]), 3 if kind == "conv" else 1, padding="same", name=f"layer{index}")
    x = b.global_pool("avg", x, name="pool")
    return b.build([b.dense(b.flatten(x, name="flat"), 10, name="dense")])


def report_of(net, chip, row, axes, objective):
    """Evaluate the one design point of a row."""
    how = {"batch": row["batch"], "dtype": "int8", "objective": objective}
    for axis in axes:
        if axis.path in OF_NET:
            how[axis.path] = row[axis.name]
        else:
            value = row[axis.name]
            listed = isinstance(chip.get(axis.path), tuple) and isinstance(value, str)
            chip = chip.replace(axis.path, value.split("+") if listed else value)
    how.pop("runtime", None)
    return hwsim.evaluate(net, chip, **how)


def check_row(row, report):
    assert row["fits"] == report.fits
    assert row["reason"] == report.reason
    assert row["macs"] == report.macs
    for name, expected in (("latency_s", report.latency_s), ("energy_j", report.energy_j)):
        assert row[name] == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert row["edp_js"] == pytest.approx(report.latency_s * report.energy_j, rel=1e-12, nan_ok=True)
    for memory, count in report.traffic_bytes.items():
        assert row[f"{memory}_bytes"] == count
    for memory, count in report.peak_bytes.items():
        assert row[f"{memory}_need_bytes"] == count


ARRAY = {
    "sram.size_kib": [0.5, 1, 2, 4, 8, 32],
    "npu.rows": [1, 3, 8, 16],
    "npu.cols": [2, 8, 16],
    "dram.bytes_per_cycle": [0.5, 4, 16],
    "clock_mhz": [50, 100, 333],
    "mac_pj.int8": [0.1, 0.5],
    "dram.latency_cycles": [0, 20],
    "dram.pj_per_byte": [5, 50.5],
    "dram.size_kib": [1, 2, 1024],
    "sram.write_pj_per_byte": [1, 2.5],
    "npu.dataflows": ["weight_stationary", "output_stationary", "weight_stationary+output_stationary"],
    "sram.transfers": ["serial", "double_buffered", "ideal"],
    "npu.zeros.filter": [0.0, 0.4],
    "npu.coded.filter": [0.5, 1.0],
    "npu.psum_bytes": [2, 4],
    "batch": [1, 3],
}
CORE = {
    "ram.size_kib": [1, 4, 64],
    "flash.size_kib": [1, 8, 512],
    "clock_mhz": [10, 80.5],
    "cpu.run_mw": [1, 30],
    "batch": [1, 2],
}


@pytest.mark.parametrize("seed", range(6))
def test_random_points_of_random_chips_and_nets_equal_evaluate(npu, mcu, seed):
    rng = random.Random(seed)
    chip, choices = (npu, ARRAY) if seed % 3 else (mcu, CORE)
    if seed == 4:
        chip, choices = npu.replace("npu.dataflows", ["input_stationary"]), ARRAY
    chosen = rng.sample(sorted(choices), min(5, len(choices)))
    vary = {path: rng.sample(choices[path], min(3, len(choices[path]))) for path in chosen}
    nets = {name: random_net(rng, name) for name in ("a", "b")}
    objective = rng.choice(["latency", "energy", "edp", "traffic"])
    table = sweep(nets, chip, vary, objective=objective, dtype="int8")
    ready = prepare(nets, chip, vary)
    assert len(table) == 2 * ready.plan.points
    for index in rng.sample(range(len(table)), min(25, len(table))):
        row = table.row(index)
        check_row(row, report_of(nets[row["net"]], chip, row, ready.question.axes, objective))


SHIPPED = ("squeezelerator_8x8", "eyeriss", "ethos_u55_128", "nvdla_small", "stm32h747", "stm32u575", "gap9")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_numeric_field_of_a_shipped_chip_can_be_an_axis(name):
    chip, rng = hwsim.load_chip(name), random.Random(name)
    net = random_net(rng, "a")
    # write_share is at most 1, and the table of SRAMs ends at 90 nm.
    paths = [path for path in field_paths(chip) if is_column(path) and path.rpartition(".")[2] not in BOUNDED]
    paths = [path for path in paths if is_number(chip.get(path)) and chip.get(path) > 0]
    for _ in range(2):
        vary = {path: [chip.get(path), 2 * chip.get(path)] for path in rng.sample(paths, min(4, len(paths)))}
        table = sweep(net, chip, vary)
        for index in rng.sample(range(len(table)), 4):
            row, other = table.row(index), chip
            for axis in table.axes:
                kind = type(chip.get(axis.path))
                other = other.replace(axis.path, kind(row[axis.name]))
            check_row(row, hwsim.evaluate(net, other))


BOUNDED = ("write_share", "process_nm")


def test_points_that_do_not_run_stay_with_their_reason(npu, small_net):
    table = sweep(small_net, npu, {"sram.size_bytes": [16, 64, 4096], "dram.size_kib": [1, 64]})
    assert len(table) == 6
    for row in table.rows():
        report = hwsim.evaluate(
            small_net,
            npu.replace("sram.size_bytes", row["sram_size_bytes"]).replace("dram.size_kib", row["dram_size_kib"]),
        )
        check_row(row, report)
        assert (row["reason"] == "") == (row["latency_s"] > 0)
    reasons = set(table["reason"])
    assert any("does not fit dram" in reason for reason in reasons)
    assert any("smallest tile" in reason for reason in reasons)
    assert "" in reasons


def test_points_are_numbered_in_the_order_given(npu, small_net):
    # clock 2 values, rows 3: point = clock index × 3 + rows index, whatever is visited first.
    table = sweep(small_net, npu, {"clock_mhz": [100, 200], "npu.rows": [4, 8, 16]})
    assert table["point"].tolist() == list(range(6))
    assert table["clock_mhz"].tolist() == [100] * 3 + [200] * 3
    assert table["npu_rows"].tolist() == [4, 8, 16] * 2
    assert [axis.path for axis in table.axes] == ["clock_mhz", "engines.npu.rows"]


def test_a_grid_visits_every_point_once_however_it_is_cut(npu):
    vary = {"clock_mhz": [1, 2, 3], "npu.dataflows": ["weight_stationary", "output_stationary"], "npu.rows": [1, 2]}
    grid = prepare({"a": GraphBuilderNet(), "b": GraphBuilderNet()}, npu, vary).plan
    assert isinstance(grid, Grid)
    whole = grid.block(0, grid.rows)
    assert sorted(zip(whole.nets.tolist(), whole.points.tolist(), strict=True)) == [
        (net, point) for net in range(2) for point in range(12)
    ]
    # Nets change least often, then dataflows, then rows.
    kinds = np.stack([whole.nets, whole.at[1], whole.at[2]], axis=1).tolist()
    assert kinds == sorted(kinds)
    for start in range(0, grid.rows, 5):
        part = grid.block(start, min(start + 5, grid.rows))
        assert part.points.tolist() == whole.points[start : start + 5].tolist()


def GraphBuilderNet():
    b = GraphBuilder("tiny")
    return b.build([b.dense(b.input("x", (1, 4), "int8"), 2, name="dense")])


def test_chunks_and_executors_change_nothing(npu, small_net, monkeypatch):
    vary = {"sram.size_kib": "1:64:x2", "npu.rows": [4, 8, 16], "clock_mhz": [100, 200]}
    whole = sweep([small_net, small_net], npu, vary)
    assert set(whole["net"]) == {"small", "small#2"}
    monkeypatch.setattr("hwsim.explore.prepared.LEAST_CHUNK_ROWS", 5)
    same(sweep([small_net, small_net], npu, vary), whole)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        same(sweep([small_net, small_net], npu, vary, executor=pool), whole)
    parts = list(sweep_chunks([small_net, small_net], npu, vary))
    assert sum(map(len, parts)) == len(whole)
    assert len(parts) > 10


def test_processes_give_the_same(npu, small_net, monkeypatch):
    vary = {"sram.size_kib": "1:64:x2", "npu.rows": [4, 8, 16], "clock_mhz": [100, 200]}
    whole = sweep(small_net, npu, vary)
    monkeypatch.setattr("hwsim.explore.prepared.LEAST_CHUNK_ROWS", 5)
    same(sweep(small_net, npu, vary, workers=2), whole)


def test_a_worker_that_dies_is_one_sentence(npu, small_net, monkeypatch):
    monkeypatch.setattr("hwsim.explore.prepared.LEAST_CHUNK_ROWS", 5)

    def kill(done, whole):
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(hwsim.HwsimError, match="a worker process ended before its work was done"):
        sweep(small_net, npu, {"npu.rows": "1:16:1", "clock_mhz": "1:20:1"}, workers=2, progress=kill)
    assert not multiprocessing.active_children()


def test_what_is_wrong_in_a_worker_is_the_same_sentence(npu, small_net, monkeypatch):
    monkeypatch.setattr("hwsim.explore.prepared.LEAST_CHUNK_ROWS", 1)
    vary = {"dtype": ["int8", "float32"]}
    with pytest.raises(CostError) as alone:
        sweep(small_net, npu, vary, workers=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, pytest.raises(hwsim.HwsimError) as there:
        sweep(small_net, npu, vary, executor=pool)
    assert str(there.value) == str(alone.value)


def test_progress_is_told(npu, small_net, monkeypatch):
    monkeypatch.setattr("hwsim.explore.prepared.LEAST_CHUNK_ROWS", 4)
    told = []
    sweep(small_net, npu, {"npu.rows": "1:10:1"}, progress=lambda done, whole: told.append((done, whole)))
    assert told == [(0, 10), (4, 10), (8, 10), (10, 10)]


def test_derived_fields_outputs_and_constraints(npu, small_net):
    design = {
        "axes": {"npu.rows": [4, 8, 16], "sram.size_kib": "16:64:x2"},
        "derived": {
            "npu.cols": "npu.rows * 2",
            "sram.pj_per_byte": "sram_energy(sram.size_kib, 45)",
            "array_mm2": "npu.rows * npu.cols * mac_area('int8', 45)",
            "area_mm2": "array_mm2 + sram_area(sram_kib, 45)",
        },
        "constraints": ["area_mm2 <= 0.25", "npu.rows * sram.size_mib >= 0.1"],
    }
    table = sweep(small_net, npu, design=design)
    # MACs 2·rows² × 419 µm²: 0.0134, 0.0536, 0.2145 mm²; SRAM 0.05, 0.11, 0.21: with 16 rows only 16 KiB may be left.
    assert (table["area_mm2"] <= 0.25).all()
    assert (table["npu_rows"] * table["sram_size_mib"] >= 0.1).all()
    assert len(table) < 9
    assert table["npu_cols"].tolist() == (2 * table["npu_rows"]).tolist()
    roles = {column.name: column.role for column in table.columns}
    assert (roles["npu_cols"], roles["area_mm2"], roles["npu_rows"]) == ("derived", "derived", "axis")
    for row in table.rows():
        chip = npu.replace("npu.rows", row["npu_rows"]).replace("npu.cols", int(row["npu_cols"]))
        chip = chip.replace("sram.size_kib", row["sram_size_kib"]).replace("sram.pj_per_byte", row["sram_pj_per_byte"])
        check_row(row, hwsim.evaluate(small_net, chip))


def test_words_can_be_compared_in_a_design(npu, small_net):
    # psums of 4 bytes for one dataflow, and the price of a MAC at the dtype of the row.
    design = {
        "axes": {"npu.dataflows": ["weight_stationary", "output_stationary"], "dtype": ["int8"], "npu.rows": [4, 8]},
        "derived": {
            "clock_mhz": "200 if npu.dataflows == 'weight_stationary' else 100",
            "mac_pj.int8": "mac_energy(dtype, 45)",
        },
        "constraints": ["npu.rows > 4 or npu.dataflows != 'weight_stationary'"],
    }
    table = sweep(small_net, npu, design=design)
    kinds = list(zip(table["npu_dataflows"], table["npu_rows"], table["clock_mhz"], strict=True))
    assert kinds == [("weight_stationary", 8, 200), ("output_stationary", 4, 100), ("output_stationary", 8, 100)]
    assert table["mac_pj_int8"].tolist() == pytest.approx([0.3] * 3)


def test_constraints_may_leave_nothing(npu, small_net):
    table = sweep(small_net, npu, design={"axes": {"npu.rows": [1, 2]}, "constraints": ["npu.rows > 2"]})
    assert len(table) == 0
    assert "latency_s" in table.names


@pytest.mark.parametrize("method", ["sobol", "latin_hypercube"])
def test_samples(npu, small_net, method):
    pytest.importorskip("scipy")
    vary = {
        "sram.size_kib": "4:64:log",
        "npu.rows": "2:16",
        "npu.dataflows": ["weight_stationary", "output_stationary"],
    }
    table = sweep(small_net, npu, vary, sample=f"{method}:100", seed=3)
    assert table["point"].tolist() == list(range(100))
    assert ((table["sram_size_kib"] >= 4) & (table["sram_size_kib"] <= 64)).all()
    assert set(table["npu_rows"]) == set(range(2, 17))
    # Balanced: half the points below the geometric mean, and with each dataflow.
    assert (table["sram_size_kib"] < 16).sum() == pytest.approx(50, abs=5)
    assert (table["npu_dataflows"] == "weight_stationary").sum() == pytest.approx(50, abs=5)
    same(sweep(small_net, npu, vary, sample=f"{method}:100", seed=3), table)
    other = sweep(small_net, npu, vary, sample=f"{method}:100", seed=4)
    assert other["sram_size_kib"].tolist() != table["sram_size_kib"].tolist()
    for row in table.take(slice(0, 100, 17)).rows():
        chip = npu.replace("sram.size_kib", row["sram_size_kib"]).replace("npu.rows", int(row["npu_rows"]))
        check_row(row, hwsim.evaluate(small_net, chip.replace("npu.dataflows", [row["npu_dataflows"]])))


def test_runtimes_are_an_axis():
    chip, net = hwsim.load_chip("stm32h747"), hwsim.load_net("lenet5")
    names = chip.runtimes[:2]
    table = sweep(net, chip, {"runtime": list(names), "clock_mhz": [200, 400]}, dtype="int8")
    for row in table.rows():
        other = hwsim.load_chip("stm32h747", runtime=row["runtime"]).replace("clock_mhz", row["clock_mhz"])
        check_row(row, hwsim.evaluate(net, other, dtype="int8"))


def test_a_net_without_weights_takes_the_engines_dtype_and_one_with_weights_keeps_its_own(npu):
    plain = hwsim.load_net("lenet5")
    report = hwsim.evaluate(plain, npu.replace("npu.rows", 4))
    row = sweep(plain, npu, {"npu.rows": [4, 8]}).row(0)
    assert row["dtype"] == report.dtype == "int8"
    check_row(row, report)
    tensors = {
        name: replace(tensor, data=np.zeros(tensor.shape, np.float32)) if tensor.constant else tensor
        for name, tensor in plain.tensors.items()
    }
    trained = replace(plain, tensors=tensors)
    both = npu.replace("npu.macs_per_pe", {"int8": 2.0, "float32": 0.5}).replace("mac_pj.float32", 4.0)
    row = sweep(trained, both, {"npu.rows": [4]}).row(0)
    assert row["dtype"] == "as stored (float32)"
    check_row(row, hwsim.evaluate(trained, both.replace("npu.rows", 4)))
    with pytest.raises(CostError) as alone:
        hwsim.evaluate(trained, npu)
    with pytest.raises(CostError) as swept:
        sweep(trained, npu, {"npu.rows": [4]})
    assert str(swept.value) == str(alone.value)


def test_placing_is_heeded():
    chip, net = hwsim.load_chip("stm32h747"), hwsim.load_net("lenet5")
    plain = sweep(net, chip, {"clock_mhz": [200]}, dtype="int8").row(0)
    row = sweep(net, chip, {"clock_mhz": [200]}, dtype="int8", place={"weights": "axi_sram"}).row(0)
    assert row["axi_sram_bytes"] > plain["axi_sram_bytes"]
    other = chip.replace("clock_mhz", 200)
    check_row(row, hwsim.evaluate(net, other, dtype="int8", place={"weights": "axi_sram"}))


AXES = [
    ({"npu.rwos": [1]}, "did you mean 'npu.rows'"),
    ({"sram.size_kb": [1]}, r"did you mean 'sram.size_kib' \[KiB\]"),
    ({"bach": [1]}, "did you mean 'batch'"),
    ({"npu.rows": "8:4:1"}, "is empty"),
    ({"npu.rows": "8:4:x2"}, "is empty"),
    ({"npu.rows": "4:8:x1"}, "is empty"),
    ({"npu.rows": "4:8:0"}, "is empty"),
    ({"npu.rows": []}, "has no value"),
    ({"npu.rows": ""}, "has no value"),
    ({"npu.rows": "4:x:1"}, "is no range of numbers"),
    ({"npu.rows": "1:2:3:4"}, "is no range"),
    ({"npu.rows": [0]}, "rows"),
    ({"npu.rows": [2.5]}, "rows"),
    ({"npu.rows": "4:8"}, "a span is to be sampled"),
    ({"npu.rows": "8:4"}, "is empty"),
    ({"npu.dataflows": ["wait_stationary"]}, "did you mean"),
    ({"sram.size_kib": [1], "sram.size_mib": [1]}, "set the same quantity"),
    ({"dtype": ["int9"]}, "did you mean 'int8'"),
    ({"runtime": ["x"]}, "has none"),
    ({"batch": [0]}, "batch = 0"),
    ({"npu.rows": "1:1e15:1"}, r"has 1e\+15 values.*sample"),
    ({"npu.rows": "1:60000:1", "npu.cols": "1:60000:1", "clock_mhz": "1:100000:1"}, r"= 3.6e\+14 points.*sample"),
]


@pytest.mark.parametrize(("vary", "told"), AXES, ids=[str(next(iter(case[0].items()))) for case in AXES])
def test_bad_axes_are_one_sentence(npu, small_net, vary, told):
    with pytest.raises((UsageError, ChipError), match=told) as error:
        sweep(small_net, npu, vary)
    assert "\n" not in str(error.value)


DESIGNS = [
    ({"axis": {}}, "did you mean 'axes'"),
    ({"derived": {"npu.rows": "npu.cols", "npu.cols": "npu.rows"}}, "need each other: npu"),
    ({"derived": {"npu.rows": "npu.rows * 2"}}, "need each other: npu.rows -> npu.rows"),
    ({"derived": {"a": "b + 1", "b": "c", "c": "a_mm2", "a_mm2": "b"}}, "need each other"),
    ({"derived": {"npu.rows": "__import__('os')"}}, "derived npu.rows: expression .* is not arithmetic|no function"),
    ({"derived": {"npu.rows": "npu.clos"}}, "did you mean 'npu.cols'"),
    ({"derived": {"npu.dataflows": "1"}}, "only a numeric field"),
    ({"derived": {"sram.foo": "1"}}, "has no field"),
    ({"derived": {"point": "1"}}, "cannot be a column"),
    ({"axes": {"npu.rows": [1]}, "derived": {"npu.rows": "1"}}, "is an axis as well"),
    ({"constraints": ["npu.rows"]}, "is a number"),
    ({"constraints": ["latency_s < 1"]}, "latency_s"),
    ({"constraints": 3}, "must be a list of conditions"),
    ({"sample": "sobl:10"}, "did you mean 'sobol'"),
    ({"sample": {"method": "sobol"}}, "count"),
    ({"sample": "sobol:0"}, "sample count = 0"),
    ({"sample": "sobol:999999999999"}, "must be from 1 to"),
]


@pytest.mark.parametrize(("design", "told"), DESIGNS, ids=[str(case[0])[:60] for case in DESIGNS])
def test_bad_designs_are_one_sentence(npu, small_net, design, told):
    with pytest.raises(UsageError, match=told) as error:
        sweep(small_net, npu, design=design)
    assert "\n" not in str(error.value)


def test_other_bad_arguments(npu, small_net):
    for arguments, told in [
        ({"objective": "latecy"}, "did you mean 'latency'"),
        ({"dtype": "int9"}, "did you mean 'int8'"),
        ({"workers": 0}, "workers = 0"),
        ({"shard": "1/2"}, "need a folder"),
        ({"resume": True}, "need a folder"),
        ({"seed": 3}, "is of a sample"),
    ]:
        with pytest.raises(UsageError, match=told):
            sweep(small_net, npu, {"npu.rows": [1]}, **arguments)
    with pytest.raises(UsageError, match="more than 5,000,000 need a folder"):
        sweep(small_net, npu, {"npu.rows": "1:6000:1", "npu.cols": "1:6000:1"})
    with pytest.raises(UsageError, match="takes Graphs"):
        sweep("lenet5", npu)
    with pytest.raises(UsageError, match="takes a Chip"):
        sweep(small_net, "npu")
    with pytest.raises(UsageError, match="needs a net"):
        sweep([], npu)
    assert plan((), 1, None).rows == 1
