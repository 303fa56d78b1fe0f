"""The I/O lower bound in reports: never above what homes move, and no less than the compulsory bytes."""

import pytest

from hwsim.chip import ArrayEngine, chip_names, load_chip
from hwsim.cost import io_lower_bound_bytes, lower
from hwsim.graph import GraphBuilder
from hwsim.report import evaluate


def convolves(name):
    engine = load_chip(name).engines[0]
    return isinstance(engine, ArrayEngine) and "conv" in engine.takes


ARRAYS = [name for name in chip_names() if convolves(name)]


def wide_net():
    b = GraphBuilder("wide")
    x = b.input("image", (1, 28, 28, 64), "int8")
    x = b.conv2d(x, 128, 3, padding="same", name="conv")
    x = b.depthwise(x, 3, name="depthwise")
    return b.build([b.conv2d(x, 256, 1, name="pointwise")])


def test_a_layer_beside_the_bound_of_its_buffer_and_its_pes(npu):
    chip = npu.replace("sram.size_kib", 8)
    report = evaluate(wide_net(), chip, dtype="int8")
    conv = report.layers[0]
    # 16 x 16 PEs hold a byte of ifmap, one of filter and a psum of 4 bytes each: 6 * 256 B beside the 8 KiB.
    (nest,) = [row.nest for row in lower(wide_net(), dtype="int8").rows if row.layer.name == "conv"]
    assert conv.io_bound_bytes == io_lower_bound_bytes(nest, 8192 + 6 * 256)
    assert conv.compulsory_bytes < conv.io_bound_bytes < conv.traffic_bytes["dram"]
    assert report.io_bound_bytes == sum(layer.io_bound_bytes for layer in report.layers)
    assert report.io_bound_ratio == report.traffic_bytes["dram"] / report.io_bound_bytes
    assert report.to_dict()["totals"]["io_bound_ratio"] == report.io_bound_ratio
    assert report.rows()[0]["io_bound_bytes"] == conv.io_bound_bytes


@pytest.mark.parametrize("name", ARRAYS)
def test_no_chips_homes_move_less(name):
    report = evaluate(wide_net(), load_chip(name), objective="traffic")
    for layer in report.layers if report.runs else ():
        moved = sum(layer.traffic_bytes[home] for home in report.home_names)
        assert layer.compulsory_bytes <= layer.io_bound_bytes <= moved, layer.name


def test_a_core_has_its_compulsory_bytes_for_a_bound(small_net, mcu):
    report = evaluate(small_net, mcu)
    assert report.io_bound_bytes == report.compulsory_bytes
