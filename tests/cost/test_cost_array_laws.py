"""Laws of every array: no layer is faster than a port or the PEs allow, whatever else the profile says."""

import numpy as np
import pytest

from hwsim.chip import ArrayEngine, HardwarePoints, chip_names, load_chip
from hwsim.cost import OBJECTIVES, cost, engine_rate, lower, natural_dtype
from hwsim.cost.costs import READ, WRITE


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
