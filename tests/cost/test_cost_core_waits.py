"""What a kernel's loops cost and what memories make a core wait, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.chip import Chip, Factors, HardwarePoints, KernelCost, KernelTable, Runtime, load_chip
from hwsim.cost import cost, lower
from hwsim.cost.core import TERMS, missed, quantities
from hwsim.graph import GraphBuilder
from hwsim.nets import build
from hwsim.report import evaluate

CLOCK_HZ = 100e6


def table(**fields):
    said = {"schema": 1, "name": "t", "core": "c", "library": "l", "runtime": "r", "fitted_to": "nothing"}
    costs = {"dtypes": {"int8": {"conv": KernelCost(cycles_per_call=0.0)}}} | fields
    return KernelTable(**said, sources={"*": "assumed"}, **costs)


def one_layer(channels, size, filters, kernel, **options):
    b = GraphBuilder("one")
    x = b.input("x", (1, size, size, channels), "int8")
    return b.build([b.conv2d(x, filters, kernel, bias=False, **options)])


def of_one_layer(net, **fields):
    (row,) = lower(net, dtype="int8").rows
    return dict(zip(TERMS, quantities([row], table(**fields))[0].tolist(), strict=True))


def test_a_convolution_counts_its_loops():
    # 5 channels, 6 x 6, 3 filters of 3 x 3 with padding: 36 positions of 5*9 = 45 products.
    counts = of_one_layer(one_layer(5, 6, 3, 3, padding="same"))
    assert counts == {
        "cycles_per_mac": 36 * 45 * 3,
        "cycles_per_output": 36 * 3,
        "cycles_per_input": 36 * 5,
        "cycles_per_pixel": 36,
        "cycles_per_column": 36 * 45,
        "cycles_per_ragged_mac": 0,
        "cycles_per_thin_output": 0,
        "cycles_per_weight_byte": 45 * 3,
        "cycles_per_call": 1,
    }


def test_lanes_are_filled_up():
    # 45 products take twelve steps of four lanes, 3 filters two steps of two; 5 channels do not fill four lanes.
    counts = of_one_layer(one_layer(5, 6, 3, 3, padding="same"), inner_lanes=4, filter_lanes=2)
    assert counts["cycles_per_column"] == 36 * 48
    assert counts["cycles_per_mac"] == counts["cycles_per_ragged_mac"] == 36 * 48 * 4
    # 8 channels do, and a pointwise layer of 5 is not gathered tap by tap.
    assert of_one_layer(one_layer(8, 6, 4, 3), inner_lanes=4)["cycles_per_ragged_mac"] == 0
    assert of_one_layer(one_layer(5, 6, 4, 1), inner_lanes=4)["cycles_per_ragged_mac"] == 0
    assert of_one_layer(one_layer(5, 6, 4, 1), inner_lanes=4)["cycles_per_mac"] == 36 * 8 * 4


def test_only_kernels_one_wide_are_thin():
    assert of_one_layer(one_layer(4, 6, 2, (3, 1)))["cycles_per_thin_output"] == 4 * 6 * 2
    assert of_one_layer(one_layer(4, 6, 2, (1, 3)))["cycles_per_thin_output"] == 0
    assert of_one_layer(one_layer(4, 6, 2, 1))["cycles_per_thin_output"] == 0


def test_a_depthwise_layer_fills_no_lanes_and_gathers_nothing():
    b = GraphBuilder("one")
    net = b.build([b.depthwise(b.input("x", (1, 6, 6, 5), "int8"), 3, padding="same", bias=False)])
    counts = of_one_layer(net, inner_lanes=4, filter_lanes=2)
    assert counts["cycles_per_mac"] == 36 * 5 * 9
    assert counts["cycles_per_pixel"] == 36
    assert counts["cycles_per_column"] == counts["cycles_per_ragged_mac"] == 0


def chip(ram=(), flash=(), cores=1, **fields):
    """Return a core at 100 MHz with wide ports, so that only computing and waiting count."""
    data = {
        "schema": 1,
        "name": "toy",
        "clock_mhz": 100,
        "engines": (
            {
                "name": "cpu",
                "kind": "core",
                "core": "c",
                "cores": cores,
                "peak_macs_per_cycle": {"int8": 1},
                "kernels": {"r": "t"},
                "run_mw": 50,
            },
        ),
        "memories": (
            {"name": "ram", "size_kib": 64, "bytes_per_cycle": 1000, "holds": ("activations", "weights"), **dict(ram)},
            {"name": "flash", "size_mib": 4, "bytes_per_cycle": 1000, "kind": "flash", "holds": ("weights",)}
            | dict(flash),
        ),
        "sources": {"*": "assumed"},
    }
    made = Chip.model_validate(data)
    costs = {"dtypes": {"int8": {"conv": KernelCost(cycles_per_mac=1.0)}}}
    engine = made.engines[0].with_table(table(**costs | fields))
    return made.model_copy(update={"engines": (engine,)})


def cycles(net, target, **options):
    return evaluate(net, target, dtype="int8", **options).layers[0].cycles


# 36 positions, 8 channels, 4 filters of 3 x 3: 288 weights, 36*288 = 10,368 MACs, ifmap 288 B, ofmap 144 B.
NET = one_layer(8, 6, 4, 3, padding="same")
MACS, WEIGHTS, POSITIONS = 10_368, 288, 36


def test_without_a_cache_weights_wait_at_every_pass():
    # 10 ns/B at 100 MHz is one cycle per byte. Two positions share a weight: 18 passes.
    target = chip(flash={"stall_ns_per_byte": 10}, weight_reuse=2)
    assert cycles(NET, target, place={"weights": "flash"}) == pytest.approx(MACS + WEIGHTS * 18)
    # Reading again may cost something else.
    target = chip(flash={"stall_ns_per_byte": 10, "reread_ns_per_byte": 5}, weight_reuse=2)
    assert cycles(NET, target, place={"weights": "flash"}) == pytest.approx(MACS + WEIGHTS * (1 + 17 * 0.5))
    # In RAM without wait states nothing waits.
    assert cycles(NET, target, place={"weights": "ram"}) == pytest.approx(MACS)


def test_a_cache_reads_once_what_fits():
    target = chip(flash={"stall_ns_per_byte": 10, "cache_kib": 1}, weight_reuse=2)
    assert cycles(NET, target, place={"weights": "flash"}) == pytest.approx(MACS + WEIGHTS)
    # 288 B are 1.125 times a cache of 256 B; what is missed solves m = 1 - exp(-1.125 m).
    target = chip(flash={"stall_ns_per_byte": 10, "cache_kib": 0.25}, weight_reuse=2)
    m = 0.2136
    assert m == pytest.approx(1 - np.exp(-1.125 * m), abs=1e-4)
    assert cycles(NET, target, place={"weights": "flash"}) == pytest.approx(MACS + WEIGHTS * (1 + 17 * m), rel=1e-4)


def test_rows_of_ifmap_share_the_cache_where_both_are_behind_it():
    # Three of six rows of 48 B: 144 B. Beside 288 B of weights they fill 432 B of 384: load 1.125 again.
    ram, flash = {"stall_ns_per_byte": 0, "cache_kib": 0.375}, {"stall_ns_per_byte": 10, "cache_kib": 0.375}
    got = cycles(NET, chip(ram, flash, weight_reuse=2), place={"weights": "flash"})
    assert got == pytest.approx(MACS + WEIGHTS * (1 + 17 * 0.2136), rel=1e-4)
    alone = cycles(NET, chip({}, flash, weight_reuse=2), place={"weights": "flash"})
    assert alone == pytest.approx(MACS + WEIGHTS)


def test_activations_wait_once_behind_a_cache_and_at_every_operand_without():
    place = {"weights": "flash"}
    cached = chip({"stall_ns_per_byte": 10, "cache_kib": 16})
    assert cycles(NET, cached, place=place) == pytest.approx(MACS + 288 + 144)
    # Two operand bytes per MAC, shared by two positions.
    bare = chip({"stall_ns_per_byte": 10}, weight_reuse=2)
    assert cycles(NET, bare, place=place) == pytest.approx(MACS + MACS * 2 / 2)


def test_the_stall_factor_and_the_factor_of_streams_scale_all_waiting():
    slow = {"stall_ns_per_byte": 10, "cache_kib": 16}
    place = {"weights": "flash"}
    assert cycles(NET, chip(slow, slow, stall_factor=3), place=place) == pytest.approx(MACS + 3 * (288 + 144 + 288))
    base = table(dtypes={"int8": {"conv": KernelCost(cycles_per_mac=1.0)}}, stall_factor=3)
    release = table(base="t", factors=Factors(conv=2, stream=0.5), dtypes={}).over(base)
    target = chip(slow, slow)
    engine = target.engines[0].with_table(release)
    target = target.model_copy(update={"engines": (engine,)})
    assert cycles(NET, target, place=place) == pytest.approx(2 * MACS + 1.5 * (288 + 144 + 288))


def test_further_cores_add_their_share_but_not_to_calls():
    costs = {"dtypes": {"int8": {"conv": KernelCost(cycles_per_mac=1.0, cycles_per_call=1000.0)}}}
    target = chip(cores=4, parallel_efficiency=0.5, **costs)
    assert cycles(NET, target) == pytest.approx(MACS / (1 + 3 * 0.5) + 1000)
    # Measured as they are, all together, they are not divided.
    assert cycles(NET, chip(cores=4, **costs)) == pytest.approx(MACS + 1000)


@pytest.mark.parametrize(("splits", "outside_bytes"), [(True, 4608 + 2304 - 4096), (False, 4608 + 2304)])
def test_what_the_chip_cannot_hold_waits_for_the_memory_outside(splits, outside_bytes):
    # 24 x 24 x 8 = 4,608 B of ifmap and 24*24*4 = 2,304 B of ofmap; 4 KiB of RAM do not hold them.
    net = one_layer(8, 24, 4, 3, padding="same")
    target = chip({"size_kib": 4, "stall_ns_per_byte": 10, "cache_kib": 16})
    data = target.model_dump(by_alias=True, exclude_unset=True)
    dram = {"name": "dram", "size_mib": 1, "bytes_per_cycle": 1000, "kind": "dram", "holds": ("activations",)}
    data["memories"] = (*data["memories"], dram | {"stall_ns_per_byte": 100, "cache_kib": 16})
    made = Chip.model_validate(data)
    facts = Runtime(schema=1, name="r", runtimes=("r",), splits_arena=splits, sources={"*": "assumed"})
    engine = made.engines[0].with_table(target.engines[0].kernel_table, facts)
    made = made.model_copy(update={"engines": (engine,)})
    inside_bytes = 4608 + 2304 - outside_bytes
    got = cycles(net, made, place={"weights": "flash"})
    assert got == pytest.approx(net.macs + inside_bytes * 1 + outside_bytes * 10)


def test_waiting_grows_with_load_and_never_misses_more_than_all():
    load = np.linspace(0, 50, 400)
    share = missed(load)
    assert (share[load <= 1] == 0).all()
    assert (np.diff(share) >= 0).all()
    assert share.max() <= 1
    above = load > 1.05
    assert share[above] == pytest.approx(1 - np.exp(-share[above] * load[above]), abs=2e-3)


@pytest.mark.parametrize("name", ["stm32l4r5", "stm32h7a3", "psoc62"])
def test_weights_in_ram_speed_the_dense_net_as_measured(name):
    # Bosch HALE, MLPerf Tiny v1.2: 1.23 times on the L4R5, 1.25 on the H7A3, 1.21 on the PSoC 62.
    target, net = load_chip(name, runtime="hale"), build("ad_autoencoder")
    flash, ram = (evaluate(net, target, dtype="int8", place=place).latency_s for place in ({}, {"weights": "ram"}))
    assert 1.1 < flash / ram < 1.45


def test_nets_that_reuse_their_weights_gain_little_from_ram():
    target, net = load_chip("stm32h7a3"), build("ds_cnn")
    flash, ram = (evaluate(net, target, dtype="int8", place=place).latency_s for place in ({}, {"weights": "ram"}))
    assert ram <= flash < 1.05 * ram


def test_a_slower_cache_less_flash_is_never_faster():
    target, net = load_chip("stm32u575"), build("resnet8")
    workload = lower(net, dtype="int8")
    for path, values in (("flash.stall_ns_per_byte", [0.0, 1, 4, 20]), ("flash.cache_kib", [64.0, 16, 8, 1, 0])):
        costs = cost(workload, HardwarePoints.of(target, {path: values}))
        assert (np.diff(costs.total_latency_s) >= 0).all()
        assert costs.total_latency_s[-1] > costs.total_latency_s[0]
