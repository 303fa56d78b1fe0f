"""Laws of every array: no layer is faster than a port or the PEs allow, whatever else the profile says."""

import numpy as np
import pytest

from hwsim.chip import ArrayEngine, HardwarePoints, chip_names, load_chip
from hwsim.cost import OBJECTIVES, cost, engine_rate, lower, natural_dtype
from hwsim.cost.array import array_setup
from hwsim.cost.costs import READ, WRITE
from hwsim.cost.replay import chosen_mappings, replay
from hwsim.cost.tiling import mapspace
from hwsim.graph import GraphBuilder


def takes_convolutions(name):
    engine = load_chip(name).engines[0]
    return isinstance(engine, ArrayEngine) and "conv" in engine.takes


ARRAYS = [name for name in chip_names() if takes_convolutions(name)]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", ARRAYS)
def test_no_layer_is_faster_than_a_port_or_the_pes(name, objective, small_net):
    chip = load_chip(name)
    points = HardwarePoints.of(chip)
    costs = cost(lower(small_net, dtype=natural_dtype(small_net, chip)), points, objective=objective)
    assert costs.mapped is not None
    engine, latency_s = costs.mapped_engine, costs.latency_s[:, 0]
    on_array = costs.engine == chip.engines.index(engine)
    runs = on_array & np.isfinite(latency_s)
    assert runs.sum() >= 4
    for index, memory in enumerate(chip.memories):
        columns = points.memory(memory.name)
        read, written = (costs.traffic_bytes[index, way].sum(axis=0)[:, 0] for way in (READ, WRITE))
        port_s = read / columns.read_bytes_per_s[0] + written / columns.write_bytes_per_s[0]
        assert (latency_s[runs] >= port_s[runs] * (1 - 1e-12)).all(), memory.name
    hardware = points.engine(engine.name)
    for index in costs.mapped_layers.tolist():
        if runs[index]:
            rate = engine_rate(engine, costs.workload.rows[index].dtype) * hardware.rows[0] * hardware.cols[0]
            assert latency_s[index] >= costs.macs_done[index, 0] / rate / hardware.clock_hz[0] * (1 - 1e-12)


def values_of(costs, objective):
    """Return a layer's objective at each point, [layer, point]."""
    layers = costs.mapped_layers
    latency_s, energy_j = costs.latency_s[layers], costs.energy_j.sum(axis=0)[layers]
    traffic = costs.traffic_bytes[-1].sum(axis=(0, 1))[layers]
    return {"latency": latency_s, "energy": energy_j, "edp": latency_s * energy_j, "traffic": traffic}[objective]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("axis", ["rows", "cols"])
@pytest.mark.parametrize(
    "flows", [("systolic_output_stationary",), ("row_stationary",), ("input_stationary", "dot_product")]
)
def test_more_rows_or_columns_are_never_worse_where_a_part_may_be_used(flows, axis, objective, npu, small_net):
    # Fill and drain of a systolic array grow with it, and tiles divide into it: a part of it is as good as the smaller.
    chip = npu.replace("npu.dataflows", flows).replace("npu.sub_array", True)
    chip = chip.replace("sram.size_kib", 4).replace("dram.bytes_per_cycle", 64)
    points = HardwarePoints.of(chip, {f"npu.{axis}": [2, 4, 8, 16, 32]})
    values = values_of(cost(lower(small_net, dtype="int8"), points, objective=objective), objective)
    assert (np.diff(values, axis=1) <= 1e-9 * values[:, :-1]).all()


def tiny_net():
    b = GraphBuilder("tiny")
    x = b.input("x", (1, 3, 3, 4), "int8")
    return b.build([b.conv2d(x, 4, 1, name="conv")])


def test_a_systolic_array_that_is_too_large_uses_a_part(npu):
    # 9 pixels, 4 channels, 4 filters on 16 x 16 with outputs staying: 4 steps and 16 + 16 - 2 to fill and drain, 34
    # cycles. On 16 x 4: 4 + 16 + 4 - 2 = 22. On 8 x 4 two passes of 4 + 8 + 4 - 2 = 14 each, 28.
    chip = npu.replace("npu.dataflows", ("systolic_output_stationary",)).replace("sram.transfers", "ideal")
    chip = chip.replace("dram.bytes_per_cycle", 1000)
    whole = cost(lower(tiny_net(), dtype="int8"), HardwarePoints.of(chip))
    assert whole.cycles[0, 0] == 34
    chip = chip.replace("npu.sub_array", True)
    part = cost(lower(tiny_net(), dtype="int8"), HardwarePoints.of(chip))
    assert part.cycles[0, 0] == 22
    (chosen,) = chosen_mappings(part, 0).values()
    assert chosen.array == (16, 4)
    assert replay(part.workload.rows[0], part.mapped_engine, chip, chosen).cycles == 22
    # 144 MACs on 256 PEs, used or not.
    assert part.utilization[0, 0] == pytest.approx(144 / (256 * 22))


def test_the_search_over_parts_equals_brute_force(npu):
    chip = npu.replace("npu.rows", 5).replace("npu.cols", 3).replace("npu.sub_array", True)
    chip = chip.replace("sram.size_bytes", 60).replace(
        "npu.dataflows", ("systolic_output_stationary", "row_stationary")
    )
    (engine,) = chip.engines
    workload = lower(tiny_net(), dtype="int8")
    costs = cost(workload, HardwarePoints.of(chip), objective="traffic")
    setup = array_setup(engine, chip, 5, 3)
    # 5, 3, 2, 1 rows and 3, 2, 1 columns.
    assert len(setup.parts) == 12
    every = [mapspace(workload.rows[0].nest, part) for part in setup.parts]
    least = min(
        int((space.ifmap_bytes + space.filter_bytes + space.psum_in_bytes + space.psum_out_bytes)[fits].min())
        for space, setup_ in zip(every, setup.parts, strict=True)
        if (fits := space.buffer_bytes(setup_)[0] <= 60).any()
    )
    assert costs.traffic_bytes[-1, ..., 0, 0].sum() == least + workload.rows[0].nest.ofmap_bytes
