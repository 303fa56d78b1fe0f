"""The cost engine: arithmetic by hand on toy chips, and the laws any machine obeys."""

import numpy as np
import pytest

from hwsim.chip import HardwarePoints
from hwsim.cost import cost, lower
from hwsim.cost.costs import FILTER, IFMAP, OFMAP, READ, WRITE
from hwsim.errors import CostError, UsageError
from hwsim.graph import GraphBuilder
from hwsim.nets import build
from hwsim.report import evaluate


def one_conv(**more):
    b = GraphBuilder("one")
    x = b.input("x", (1, 8, 8, 16), "int8")
    return b.build([b.conv2d(x, 32, 3, padding=1, bias=False, name="conv", **more)])


def test_conv_on_a_core_by_hand(mcu):
    # MACs 8*8*32 * 16*9 = 294,912; outputs 2,048; inputs 1,024; weights 32*144 = 4,608 float32 -> int8 4,608 B.
    report = evaluate(one_conv(), mcu, dtype="int8")
    cycles = 294_912 * 1.0 + 2_048 * 4.0 + 1_024 * 0.5 + 4_608 * 0.25 + 100
    layer = report.layers[0]
    assert layer.cycles == cycles
    assert report.latency_s == pytest.approx(cycles / 100e6)
    # Energy: 50 mW of the core and 10 mW static for that time.
    assert report.energy_j == pytest.approx(0.060 * cycles / 100e6)
    assert layer.energy_parts_j == {
        "core": pytest.approx(0.050 * cycles / 100e6),
        "static": pytest.approx(1e-2 * cycles / 1e8),
    }
    assert layer.bound == "compute"
    # Peak 2 MAC per cycle.
    assert layer.utilization == pytest.approx(294_912 / (2 * cycles))
    # RAM: arena 1,024 + 2,048, runtime 2 KiB. Flash: weights, code 16 KiB.
    assert report.peak_bytes == {"ram": 3_072 + 2_048, "flash": 4_608 + 16_384}
    assert report.traffic_bytes == {"ram": 1_024 + 2_048, "flash": 4_608}


def test_slow_flash_bounds_a_core(mcu):
    # 1,000 x 100 dense: 100,000 weight bytes at 2 B per cycle take 50,000 cycles; computing takes 200,000.
    b = GraphBuilder("dense")
    x = b.input("x", (1, 1000), "int8")
    net = b.build([b.dense(x, 100, bias=False)])
    fast = evaluate(net, mcu, dtype="int8")
    assert fast.layers[0].bound == "compute"
    slow = evaluate(net, mcu.replace("flash.bytes_per_cycle", 0.25), dtype="int8")
    # At a quarter byte per cycle they take 400,000 cycles of 10 ns.
    assert slow.layers[0].bound == "flash"
    assert slow.latency_s == pytest.approx(4e-3)


def test_conv_on_an_array_by_hand(npu):
    # Everything fits 256 KiB, so each tensor crosses once: 1,024 + 4,608 + 2,048 B of DRAM.
    report = evaluate(one_conv(), npu, dtype="int8", objective="traffic")
    assert report.traffic_bytes["dram"] == 1_024 + 4_608 + 2_048 == report.compulsory_bytes
    layer = report.layers[0]
    # 294,912 MACs on 256 PEs: 1,152 cycles at best; weight stationary has 16 channels and 2 folds of 16 filters, and
    # wastes nothing.
    assert layer.cycles == 1_152
    assert layer.utilization == 1.0
    # Energy: MACs 0.25 pJ, DRAM 120 pJ/B, SRAM 1.5 pJ/B of what crosses its port.
    assert layer.energy_parts_j["mac"] == pytest.approx(294_912 * 0.25e-12)
    assert layer.energy_parts_j["dram"] == pytest.approx(7_680 * 120e-12)
    assert layer.energy_parts_j["sram"] == pytest.approx(layer.traffic_bytes["sram"] * 1.5e-12)


def test_array_latency_by_hand(npu):
    # One tile of everything: fill = 100 cycles latency + (1,024 + 4,608) B / 8 B per cycle = 804 cycles, then
    # 1,152 cycles of computing, then a drain of 2,048 B / 8 = 256. The buffer's port takes less than computing.
    points = HardwarePoints.of(npu.replace("engines.npu.dataflows", ["weight_stationary"]))
    costs = cost(lower(one_conv(), dtype="int8"), points, objective="traffic")
    whole = costs.mapped.tiles
    if (whole.k[0, 0], whole.c[0, 0], whole.p[0, 0]) == (32, 16, 8):
        assert costs.latency_s[0, 0] * 400e6 == pytest.approx(804 + max(1_152, costs.memory_s[0, 0, 0] * 400e6) + 256)
    # The best mapping overlaps more, and is never below any single term.
    best = cost(lower(one_conv(), dtype="int8"), points)
    assert best.latency_s[0, 0] <= costs.latency_s[0, 0]
    assert best.latency_s[0, 0] >= max(best.compute_s[0, 0], best.memory_s[:, 0, 0].max())


def random_chip(rng, npu):
    chip = npu
    for path, low, high in [
        ("sram.size_kib", 3, 9),
        ("dram.bytes_per_cycle", -1, 5),
        ("sram.bytes_per_cycle", 2, 8),
        ("npu.rows", 1, 6),
        ("npu.cols", 1, 6),
    ]:
        value = 2.0 ** rng.integers(low, high)
        chip = chip.replace(path, int(value) if path.startswith("npu") else float(value))
    return chip.replace("sram.transfers", ("double_buffered", "serial", "ideal")[rng.integers(3)])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("objective", ["latency", "energy", "edp", "traffic"])
def test_laws(seed, objective, npu, small_net):
    rng = np.random.default_rng(seed)
    chip = random_chip(rng, npu)
    costs = cost(lower(small_net, dtype="int8"), HardwarePoints.of(chip), objective=objective)
    report = evaluate(small_net, chip, dtype="int8", objective=objective)
    # Totals are sums; time is no less than any port or the array takes.
    assert report.latency_s == pytest.approx(costs.latency_s.sum())
    assert report.energy_j == pytest.approx(sum(sum(layer.energy_parts_j.values()) for layer in report.layers))
    assert (costs.latency_s[:, 0] >= costs.compute_s[:, 0] - 1e-18).all()
    assert (costs.latency_s[:, 0] >= costs.memory_s[..., 0].max(axis=0) * (1 - 1e-12)).all()
    # Homes move at least what is compulsory, but for layers addressed in place.
    for row, traffic in zip(costs.workload.rows, costs.traffic_bytes[1, ..., 0].sum(axis=(0, 1)), strict=True):
        assert traffic >= (0 if row.view else row.compulsory_bytes)
    assert all(layer.traffic_bytes["dram"] >= layer.compulsory_bytes for layer in report.layers)
    utilization = costs.utilization[np.isfinite(costs.utilization)]
    assert ((utilization > 0) & (utilization <= 1)).all()
    # Port bytes are the sum over tensors; port time is those bytes over the bandwidth.
    memory = HardwarePoints.of(chip).memory("dram")
    seconds = costs.traffic_bytes[1, READ].sum(axis=0) / memory.read_bytes_per_s
    seconds = seconds + costs.traffic_bytes[1, WRITE].sum(axis=0) / memory.write_bytes_per_s
    assert costs.memory_s[1] == pytest.approx(seconds)


MORE_IS_BETTER = [
    ("dram.bytes_per_cycle", [1, 2, 4, 8, 16, 64], "latency"),
    ("sram.bytes_per_cycle", [8, 16, 32, 128, 512], "latency"),
    ("sram.size_kib", [4, 8, 12, 32, 64, 256], "latency"),
    ("sram.size_kib", [4, 8, 12, 32, 64, 256], "energy"),
    ("sram.size_kib", [4, 8, 12, 32, 64, 256], "traffic"),
    ("clock_mhz", [100, 200, 400, 1000], "latency"),
]


@pytest.mark.parametrize(("path", "values", "objective"), MORE_IS_BETTER)
@pytest.mark.parametrize("net", ["ds_cnn", "squeezenet_v1_1"])
def test_more_is_never_worse(path, values, objective, net, npu):
    graph = build(net, resolution=64) if net != "ds_cnn" else build(net)
    points = HardwarePoints.of(npu, {path: values})
    costs = cost(lower(graph, dtype="int8"), points, objective=objective)
    value = {
        "latency": costs.latency_s,
        "energy": costs.energy_j.sum(axis=0),
        "traffic": costs.traffic_bytes[1].sum(axis=(0, 1)),
    }[objective]
    per_layer = value[~np.isnan(costs.latency_s).any(axis=1)]
    assert len(per_layer) > 5
    assert (np.diff(per_layer, axis=1) <= 1e-9 * per_layer[:, :-1]).all()


def test_the_chosen_objective_is_the_least(npu, small_net):
    found = {
        objective: evaluate(small_net, npu.replace("sram.size_kib", 8), dtype="int8", objective=objective)
        for objective in ("latency", "energy", "edp", "traffic")
    }
    assert found["latency"].latency_s == min(report.latency_s for report in found.values())
    assert found["energy"].energy_j == min(report.energy_j for report in found.values())
    assert found["traffic"].traffic_bytes["dram"] == min(report.traffic_bytes["dram"] for report in found.values())


def test_points_equal_single_evaluations(npu, small_net):
    vary = {
        "sram.size_kib": [2, 8, 8, 64, 0.03125],
        "npu.rows": [4, 16, 16, 8, 8],
        "npu.cols": [8, 16, 4, 8, 8],
        "dram.bytes_per_cycle": [8, 1, 2, 4, 4],
        "clock_mhz": [100, 200, 400, 50, 50],
        "mac_pj.int8": [0.1, 0.2, 0.3, 0.4, 0.4],
    }
    together = cost(lower(small_net, dtype="int8"), HardwarePoints.of(npu, vary))
    for i in range(5):
        chip = npu
        for path, values in vary.items():
            chip = chip.replace(path, values[i])
        alone = cost(lower(small_net, dtype="int8"), HardwarePoints.of(chip))
        for name in ("cycles", "latency_s", "bound", "utilization", "traffic_bytes", "energy_j", "need_bytes", "fits"):
            one, many = getattr(alone, name)[..., 0], getattr(together, name)[..., i]
            np.testing.assert_allclose(one, many, rtol=1e-12, equal_nan=True, err_msg=name)
    assert not together.feasible[4]
    assert together.feasible[:4].all()


def test_what_does_not_fit_has_no_latency(npu, mcu):
    graph = build("squeezenet_v1_1")
    report = evaluate(graph, mcu, dtype="int8")
    assert not report.fits
    assert np.isnan(report.latency_s)
    assert "does not fit ram: needs" in report.reason
    tiny = evaluate(one_conv(), npu.replace("sram.size_kib", 0.03125), dtype="int8")
    assert np.isnan(tiny.latency_s)
    assert "smallest tile needs" in tiny.reason
    assert "sram, which has 32 B" in tiny.reason


def test_depthwise_is_slow_on_a_channel_array(npu):
    b = GraphBuilder("dw")
    x = b.input("x", (1, 16, 16, 32), "int8")
    net = b.build([b.depthwise(x, 3)])
    weight = evaluate(net, npu.replace("npu.dataflows", ["weight_stationary"]), dtype="int8")
    output = evaluate(net, npu.replace("npu.dataflows", ["output_stationary"]), dtype="int8")
    # One channel and one filter per group: one PE of 256 against 16 pixels in a column of 16 rows.
    assert weight.layers[0].utilization == pytest.approx(1 / 256)
    assert output.layers[0].utilization == pytest.approx(16 / 256)


def test_batch_reuses_weights(npu):
    graph = one_conv()
    one, four = (evaluate(graph, npu, dtype="int8", batch=n) for n in (1, 4))
    assert four.macs == 4 * one.macs
    costs = cost(lower(graph, dtype="int8", batch=4), HardwarePoints.of(npu), objective="traffic")
    assert costs.traffic_bytes[1, READ, FILTER].sum() == 4_608
    assert costs.traffic_bytes[1, READ, IFMAP].sum() == 4 * 1_024
    assert costs.traffic_bytes[1, WRITE, OFMAP].sum() == 4 * 2_048


def test_product_of_activations_reads_no_weights(npu):
    b = GraphBuilder("mm")
    a, c = b.input("a", (2, 8, 16), "int8"), b.input("b", (2, 16, 4), "int8")
    costs = cost(lower(b.build([b.matmul(a, c)])), HardwarePoints.of(npu))
    assert costs.traffic_bytes[1, READ, FILTER].sum() == 0
    assert costs.traffic_bytes[1, READ, IFMAP].sum() == 2 * 8 * 16 + 2 * 16 * 4


def test_embedding_reads_only_its_rows(mcu):
    from hwsim.graph.ops import Gather

    b = GraphBuilder("embed")
    table, index = b.constant("table", (1000, 64), "int8"), b.input("token", (1,), "int32")
    net = b.build([b.add(Gather(), [table, index])[0]])
    assert lower(net).rows[0].filter_bytes == 64


def test_placement(mcu, small_net):
    chip = mcu.replace("ram.holds", ["weights", "activations"])
    report = evaluate(small_net, chip, dtype="int8", place={"weights": "ram"})
    assert report.traffic_bytes["flash"] == 0
    with pytest.raises(UsageError, match="can live in ram"):
        evaluate(small_net, chip, place={"activations": "flash"}, dtype="int8")
    with pytest.raises(UsageError, match="did you mean 'weights'"):
        evaluate(small_net, chip, place={"weight": "ram"}, dtype="int8")


def test_what_an_engine_cannot_do_is_told(npu, mcu, small_net):
    with pytest.raises(CostError, match="does no float32 MACs"):
        evaluate(small_net, npu, dtype="float32")
    with pytest.raises(CostError, match="no float32 kernels; it has int8"):
        evaluate(small_net, mcu, dtype="float32")
    with pytest.raises(UsageError, match="did you mean 'latency'"):
        evaluate(small_net, npu, objective="latncy", dtype="int8")
    with pytest.raises(UsageError, match="batch = 0"):
        evaluate(small_net, npu, batch=0)
    only = npu.replace("npu.takes", ["conv", "pointwise", "depthwise"])
    with pytest.raises(CostError, match="no engine of toy-npu takes elementwise layers"):
        evaluate(small_net, only, dtype="int8")
