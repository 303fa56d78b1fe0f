"""What binds and what would help: every change is what evaluate says of a chip so changed."""

import json
from math import isnan

import pytest

from hwsim.report import evaluate, explain
from hwsim.report.explain_table import explanation_table, unchanged


def test_each_change_is_what_evaluate_says_of_that_chip(small_net, npu):
    chip = npu.replace("sram.size_kib", 2).replace("dram.bytes_per_cycle", 1)
    told = explain(small_net, chip, dtype="int8")
    now = evaluate(small_net, chip, dtype="int8")
    assert {change.resource for change in told.doublings} == {
        "clock", "npu rows", "npu cols", "sram bandwidth", "sram size", "dram bandwidth", "dram size", "dram latency",
    }  # fmt: skip
    for change in told.doublings:
        factor = 0.5 if change.resource == "dram latency" else 2
        assert change.changed == factor * change.value == factor * chip.get(change.path)
        alone = evaluate(
            small_net, chip.replace(change.path, type(chip.get(change.path))(change.changed)), dtype="int8"
        )
        assert change.latency_s == pytest.approx(alone.latency_s, rel=1e-12), change.resource
        assert change.energy_j == pytest.approx(alone.energy_j, rel=1e-12)
        assert change.speedup == pytest.approx(now.latency_s / alone.latency_s)
        assert change.energy_ratio == pytest.approx(alone.energy_j / now.energy_j)
    speedups = [change.speedup for change in told.doublings]
    assert speedups == sorted(speedups, reverse=True)


def test_binds_are_shares_of_the_latency(small_net, npu):
    told = explain(small_net, npu.replace("dram.bytes_per_cycle", 1), dtype="int8")
    assert sum(told.binds.values()) == pytest.approx(1)
    by_dram = sum(layer.latency_s for layer in told.report.layers if layer.bound == "dram")
    assert told.binds["dram"] == pytest.approx(by_dram / told.report.latency_s)
    assert str(told).startswith("small on toy-npu: dram binds ")
    # All memories follow the chip's clock: twice of it is twice as fast.
    assert str(told).endswith("twice the clock would be 2.00 times as fast")


def test_a_net_that_does_not_run_is_told_what_would_make_it(small_net, npu):
    needed = evaluate(small_net, npu, dtype="int8").peak_bytes["dram"]
    told = explain(small_net, npu.replace("dram.size_bytes", needed - 100), dtype="int8")
    assert not told.report.runs
    assert told.binds == {}
    runs = [change for change in told.doublings if not change.reason]
    assert [change.resource for change in runs] == ["dram size"]
    assert isnan(runs[0].speedup)
    assert str(told).endswith("; it would with twice the dram size")
    assert json.loads(told.to_json())["latency_s"] is None


def test_what_cannot_be_doubled_says_why(small_net, npu):
    # CACTI's table ends at 4 MiB; the rest is costed all the same.
    chip = npu.replace("process_nm", 45.0).replace("sram.pj_per_byte", "cacti").replace("sram.size_mib", 4.0)
    told = explain(small_net, chip, dtype="int8")
    (size,) = [change for change in told.doublings if change.resource == "sram size"]
    assert "is outside of its table" in size.reason
    assert isnan(size.latency_s)
    assert any(row[0] == "sram size" and row[-1] == size.reason for row in explanation_table(told).rows)
    assert all(not change.reason for change in told.doublings if change is not size)


def test_the_table_leaves_out_what_buys_nothing(small_net, npu):
    told = explain(small_net, npu, dtype="int8")
    shown = [row[0] for row in explanation_table(told).rows]
    (line,) = unchanged(told)
    assert shown[0] == "as it is"
    for change in told.doublings:
        assert (change.resource in shown) != (change.resource in line[1])
    assert "dram size" in line[1]
