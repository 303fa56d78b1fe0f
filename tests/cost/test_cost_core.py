"""A processor with a kernel library: its arithmetic by hand, and the laws that any of them obeys."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.chip import HardwarePoints, KernelTable, load_chip
from hwsim.cost import DIRECTIONS, TENSOR_KINDS, cost, lower
from hwsim.graph import GraphBuilder
from hwsim.nets import build
from hwsim.report import evaluate

READ, WRITE = (DIRECTIONS.index(word) for word in ("read", "write"))
CORES = ("stm32h747", "stm32l4r5", "stm32u575", "raspberry_pi_4")
SEEDS = range(6)


def random_net(rng):
    """A chain of random layers with a skip here and there, of every kind the toy library has."""
    b = GraphBuilder("random")
    size, channels = int(rng.integers(6, 20)), int(rng.integers(1, 9))
    x = b.input("x", (1, size, size, channels), "int8")
    for _ in range(int(rng.integers(3, 9))):
        kind = rng.choice(["conv", "pointwise", "depthwise", "add", "pool", "activation", "concat"])
        if kind == "conv":
            x = b.conv2d(x, int(rng.integers(1, 17)), 3, stride=int(rng.integers(1, 3)), padding="same")
        elif kind == "pointwise":
            x = b.conv2d(x, int(rng.integers(1, 17)), 1)
        elif kind == "depthwise":
            x = b.depthwise(x, 3, padding="same")
        elif kind == "add":
            x = b.binary("add", x, b.unary("relu", x))
        elif kind == "pool":
            x = b.pool("max", x, 2, ceil_mode=True)
        elif kind == "activation":
            x = b.unary("tanh", x)
        else:
            x = b.concat([x, b.conv2d(x, 3, 1)])
    return b.build([b.dense(b.flatten(x), 5)])


@pytest.fixture(params=SEEDS)
def rng(request):
    return np.random.default_rng(request.param)


def roomy(mcu):
    return mcu.replace("ram.size_kib", 4096).replace("flash.size_kib", 4096)


def test_totals_are_sums_and_the_slowest_term_decides(rng, mcu):
    slow_ram, slow_flash = 2.0 ** rng.integers(-6, 1, 2)
    chip = roomy(mcu).replace("ram.bytes_per_cycle", slow_ram).replace("flash.bytes_per_cycle", slow_flash)
    net = random_net(rng)
    report = evaluate(net, chip, dtype="int8")
    assert report.runs
    assert {"ram", "flash"} & {layer.bound for layer in report.layers}
    assert report.latency_s == sum(layer.latency_s for layer in report.layers)
    assert report.energy_j == pytest.approx(sum(report.energy_parts_j.values()))
    assert report.macs == net.macs
    clock, peak = chip.clock_hz, 2
    for layer in report.layers:
        ram = layer.traffic_bytes["ram"] / (slow_ram * clock)
        flash = layer.traffic_bytes["flash"] / (slow_flash * clock)
        assert layer.latency_s == pytest.approx(max(layer.cycles / clock, ram, flash))
        # 50 mW of the core and 10 mW of the chip for as long as the layer takes, and nothing else.
        assert layer.energy_j == pytest.approx(0.060 * layer.latency_s)
        if layer.macs:
            assert layer.utilization == pytest.approx(layer.macs / (peak * layer.cycles))
    assert report.compulsory_ratio == pytest.approx(1)


def test_cycles_are_the_table_times_the_layer(mcu):
    b = GraphBuilder("kinds")
    x = b.input("x", (1, 6, 6, 4), "int8")
    y = b.depthwise(x, 3, padding="same", bias=False, name="depthwise")  # 6*6*4 outputs * 9 taps = 1,296 MACs
    y = b.conv2d(y, 8, 1, bias=False, name="pointwise")  # 6*6*8 outputs = 288, * 4 channels = 1,152 MACs
    y = b.pool("max", y, 2, name="pool")  # 3*3*8 outputs, 3 comparisons each = 216 ops
    y = b.unary("tanh", y, name="tanh")  # 72 ops
    y = b.flatten(y, name="flatten")
    y = b.dense(y, 10, bias=False, name="dense")  # 720 MACs, 720 weight bytes
    report = evaluate(b.build([b.softmax(y, name="softmax")]), mcu, dtype="int8")
    cycles = {layer.name: layer.cycles for layer in report.layers}
    ops = {layer.name: layer.ops for layer in report.layers}
    assert cycles["depthwise"] == 1_296 * 3.0
    assert cycles["pointwise"] == 1_152 * 0.75 + 288 * 4.0
    assert cycles["pool"] == ops["pool"] * 2.0
    assert cycles["tanh"] == 72 * 2.0
    assert cycles["flatten"] == 0
    assert cycles["dense"] == 720 * 1.0 + 720 * 1.0
    assert cycles["softmax"] == ops["softmax"] * 10.0


def test_a_core_priced_by_macs_and_bytes(mcu):
    # No run power: 0.5 pJ a MAC, 2 pJ a byte of RAM, 5 of flash, and 10 mW static.
    data = mcu.model_dump(by_alias=True, exclude_unset=True)
    del data["engines"][0]["run_mw"]
    for memory, price in zip(data["memories"], (2, 5), strict=True):
        memory["pj_per_byte"] = price
    data["mac_pj"] = {"int8": 0.5}
    chip = type(mcu).model_validate(data)
    engine = chip.engines[0].with_table(mcu.engines[0].kernel_table)
    chip = chip.model_copy(update={"engines": (engine,)})
    b = GraphBuilder("one")
    x = b.input("x", (1, 8, 8, 4), "int8")
    net = b.build([b.conv2d(x, 8, 1, bias=False)])
    layer = evaluate(net, chip, dtype="int8").layers[0]
    # MACs 8*8*8*4 = 2,048; ifmap 256 B, ofmap 512 B, filter 32 B.
    assert layer.energy_parts_j == {
        "mac": pytest.approx(2_048 * 0.5e-12),
        "ram": pytest.approx((256 + 512) * 2e-12),
        "flash": pytest.approx(32 * 5e-12),
        "static": pytest.approx(0.010 * layer.latency_s),
    }


@pytest.mark.parametrize("path", ["clock_mhz", "ram.bytes_per_cycle", "flash.bytes_per_cycle", "ram.write_share"])
def test_faster_is_never_slower(path, rng, mcu):
    net, chip = random_net(rng), roomy(mcu)
    values = [0.01, 0.05, 0.2, 0.5, 1] if path == "ram.write_share" else [0.01, 0.1, 1, 4, 64, 1000]
    costs = cost(lower(net, dtype="int8"), HardwarePoints.of(chip, {path: values}))
    assert (np.diff(costs.latency_s, axis=1) <= 1e-12 * costs.latency_s[:, :-1]).all()
    # Some point is bound by what is varied, or the law would hold of nothing.
    assert (np.diff(costs.total_latency_s) < 0).any()
    # Bytes and cycles do not depend on it.
    assert (costs.traffic_bytes == costs.traffic_bytes[..., :1]).all()
    assert (costs.cycles == costs.cycles[:, :1]).all()


def test_latency_is_bounded_by_every_port_and_by_the_peak(rng, mcu):
    vary = {
        "ram.bytes_per_cycle": 2.0 ** rng.integers(-6, 4, 8),
        "flash.bytes_per_cycle": 2.0 ** rng.integers(-6, 4, 8),
    }
    points = HardwarePoints.of(roomy(mcu), vary)
    costs = cost(lower(random_net(rng), dtype="int8"), points)
    for index, name in enumerate(("ram", "flash")):
        memory = points.memory(name)
        read, written = costs.traffic_bytes[index, READ].sum(axis=0), costs.traffic_bytes[index, WRITE].sum(axis=0)
        seconds = read / memory.read_bytes_per_s + written / memory.write_bytes_per_s
        assert costs.memory_s[index] == pytest.approx(seconds)
        assert (costs.latency_s >= seconds * (1 - 1e-12)).all()
    macs = costs.workload.column("macs")[:, None]
    assert (costs.latency_s >= macs / (2 * 100e6) * (1 - 1e-12)).all()


def test_smaller_memories_never_fit_more(rng, mcu):
    net = random_net(rng)
    sizes = np.linspace(2.5, 12, 40)
    for path in ("ram.size_kib", "flash.size_kib"):
        values = sizes if path.startswith("ram") else sizes + 16
        costs = cost(lower(net, dtype="int8"), HardwarePoints.of(roomy(mcu), {path: values}))
        assert (np.diff(costs.fits.astype(int)) >= 0).all()
        # What has to be held does not depend on how much there is.
        assert (costs.need_bytes == costs.need_bytes[:, :1]).all()
        index = 0 if path.startswith("ram") else 1
        need = costs.need_bytes[index, 0]
        assert (costs.fits == (np.rint(values * 1024) >= need)).all()


def test_contents_move_on_when_a_nearer_memory_is_too_small():
    net, chip = build("ds_cnn"), load_chip("stm32h747")
    sizes = [256, 64, 32, 16, 8]
    costs = cost(lower(net, dtype="int8"), HardwarePoints.of(chip, {"dtcm.size_kib": sizes}))
    homes = [chip.memories[i].name for i in costs.residency.activations.index]
    # The arena takes 21.0 KiB; beside it the library keeps 1,017 B, 542 B for each of 10 layers with MACs and 176 B for
    # each of two others: 6.63 KiB. Together 27.7 KiB.
    assert homes == ["dtcm", "dtcm", "dtcm", "axi_sram", "axi_sram"]
    assert costs.feasible.all()
    assert (np.diff(costs.total_latency_s) >= 0).all()


def test_a_net_that_runs_still_runs_when_any_memory_grows():
    # What is near is preferred, and must not be chosen where the net then does not fit.
    chip, net = load_chip("stm32h747"), build("mobilenet_v1_0_25", resolution=96)
    for path in ("dtcm.size_kib", "axi_sram.size_kib", "d2_sram.size_kib", "flash.size_kib"):
        reserved_kib = 1024 if path == "flash.size_kib" else 0
        sizes = reserved_kib + np.arange(4.0, 800, 4)
        costs = cost(lower(net, dtype="int8"), HardwarePoints.of(chip, {path: sizes}))
        assert costs.feasible.all()


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("net", ["ds_cnn", "resnet8", "mobilenet_v1_0_25"])
def test_narrower_is_smaller(name, net):
    chip, graph = load_chip(name), build(net)
    narrow, wide = (evaluate(graph, chip, dtype=dtype) for dtype in ("int8", "float32"))
    assert narrow.macs == wide.macs
    assert narrow.param_bytes < wide.param_bytes == 4 * graph.params
    assert narrow.compulsory_bytes < wide.compulsory_bytes
    # What holds activations is a quarter, up to alignment; scratch is not.
    held = [sum(place.size_bytes for place in report.arena if place.role != "scratch") for report in (narrow, wide)]
    assert held[1] == pytest.approx(4 * held[0], abs=64)
    assert narrow.arena_bytes < wide.arena_bytes <= 4 * narrow.arena_bytes
    # On the Raspberry Pi the measured library is no faster at int8 where layers are thin.
    if narrow.runs and wide.runs and name != "raspberry_pi_4":
        assert narrow.latency_s < wide.latency_s


@pytest.mark.parametrize("name", CORES)
def test_a_batch_takes_as_much_as_its_images_but_for_weights(name):
    chip, graph = load_chip(name), build("resnet8")
    one, two = (evaluate(graph, chip, dtype="int8", batch=n) for n in (1, 2))
    assert two.macs == 2 * one.macs
    assert two.param_bytes == one.param_bytes
    assert one.latency_s < two.latency_s <= 2 * one.latency_s
    assert one.energy_j < two.energy_j <= 2 * one.energy_j
    stored, activations = "weights", "activations"
    for before, after in zip(one.memories, two.memories, strict=True):
        assert after.items.get(stored, 0) == before.items.get(stored, 0)
        assert after.items.get(activations, 0) in (0, 2 * before.items.get(activations, 0)) or before.items
    for layer, pair in zip(one.layers, two.layers, strict=True):
        assert pair.weight_bytes == layer.weight_bytes
        assert layer.live_bytes <= pair.live_bytes <= 2 * layer.live_bytes
    held = [sum(place.size_bytes for place in report.arena if place.role != "scratch") for report in (one, two)]
    assert held[1] == pytest.approx(2 * held[0], abs=64)


@pytest.mark.parametrize("name", CORES)
def test_many_points_are_the_single_ones(name):
    chip, net = load_chip(name), build("ds_cnn")
    last = chip.memories[-1].name
    vary = {"clock_mhz": [80.0, 200.0, 400.0], f"{last}.latency_cycles": [0.0, 5.0, 50.0]}
    together = cost(lower(net, dtype="int8"), HardwarePoints.of(chip, vary))
    for index in range(3):
        one = chip
        for path, values in vary.items():
            one = one.replace(path, values[index])
        report = evaluate(net, one, dtype="int8")
        assert report.latency_s == pytest.approx(together.total_latency_s[index], rel=1e-12)
        assert report.energy_j == pytest.approx(together.total_energy_j[index], rel=1e-12)


def test_the_kernel_library_is_part_of_the_target(tmp_path, mcu):
    slow = KernelTable.model_validate(
        mcu.engines[0].kernel_table.model_dump(by_alias=True)
        | {"dtypes": {"int8": {"conv": {"cycles_per_mac": 9.0}}}, "name": "slow"}
    )
    engine = mcu.engines[0].with_table(slow)
    chip = mcu.model_copy(update={"engines": (engine,)})
    b = GraphBuilder("one")
    net = b.build([b.conv2d(b.input("x", (1, 8, 8, 4), "int8"), 8, 3)])
    assert evaluate(net, chip, dtype="int8").layers[0].cycles == 9.0 * net.macs


def test_every_byte_is_read_or_written_once(rng, mcu):
    report = evaluate(random_net(rng), roomy(mcu), dtype="int8")
    for layer in report.layers:
        parts = {f"{d}_{t}": 0 for d in DIRECTIONS for t in TENSOR_KINDS}
        for memory in layer.traffic_parts_bytes.values():
            for name, count in memory.items():
                parts[name] += count
        assert sum(parts.values()) == layer.compulsory_bytes
        assert parts["write_ifmap"] == parts["write_filter"] == parts["read_ofmap"] == 0
