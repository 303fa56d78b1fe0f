"""Roofs, ridge points and dots of the roofline by hand on the toy chips; no dot stands above a roof."""

from dataclasses import replace

import numpy as np
import pytest

from hwsim.chip import load_chip
from hwsim.importers import load_net
from hwsim.plot import plot_roofline, roofline_rows
from hwsim.plot.palette import paints
from hwsim.plot.roofline import WHOLE_AREA
from hwsim.plot.sheet import whole_figure
from hwsim.report import evaluate
from tests.plot.conftest import chain, unit_of


def roofs(axes):
    """Return each labelled line's ends in MAC/B and MAC/s."""
    unit = unit_of(axes.get_ylabel())
    lines = {line.get_label(): line.get_xydata() * (1, unit) for line in axes.lines}
    return {name: ends for name, ends in lines.items() if not name.startswith("_")}


def ridges(axes):
    unit = unit_of(axes.get_ylabel())
    points = [line.get_xydata()[0] * (1, unit) for line in axes.lines if line.get_marker() == "D"]
    return sorted(map(tuple, points))


def dots(axes):
    """Return (intensity, speed, area) of every dot, in drawing order, with its colour."""
    unit = unit_of(axes.get_ylabel())
    return [
        (x, y * unit, area, tuple(cloud.get_facecolors()[0][:3]))
        for cloud in axes.collections
        for (x, y), area in zip(cloud.get_offsets(), cloud.get_sizes(), strict=True)
    ]


def test_roofs_of_the_toy_npu(small_net, npu):
    # 16*16 PEs at 400 MHz: 102.4 GMAC/s. SRAM 32 B and DRAM 8 B per cycle: 12.8 and 3.2 GB/s. So the ridges stand at
    # 102.4/12.8 = 8 and 102.4/3.2 = 32 MAC/B.
    axes = plot_roofline(evaluate(small_net, npu))
    lines = roofs(axes)
    assert set(lines) == {"sram", "dram", "npu"}
    assert lines["sram"][:, 1] / lines["sram"][:, 0] == pytest.approx([12.8e9] * 2)
    assert lines["dram"][:, 1] / lines["dram"][:, 0] == pytest.approx([3.2e9] * 2)
    assert lines["sram"][1] == pytest.approx([8, 102.4e9])
    assert lines["dram"][1] == pytest.approx([32, 102.4e9])
    assert lines["npu"][:, 1] == pytest.approx([102.4e9] * 2)
    # The ceiling begins where the steepest slope reaches it.
    assert lines["npu"][0, 0] == pytest.approx(8)
    assert ridges(axes) == [pytest.approx((8, 102.4e9)), pytest.approx((32, 102.4e9))]
    said = [text.get_text() for text in axes.texts]
    assert {"8.00 MAC/B", "32.0 MAC/B", "npu 102 GMAC/s"} <= set(said)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["sram 12.8 GB/s", "dram 3.20 GB/s"]


def test_a_dot_by_hand(one_conv, mcu):
    # 294,912 MACs in 304,868 cycles of 10 ns (see the cost tests): 96.7 MMAC/s, of 200 MMAC/s at most.
    # RAM: 3,072 B at 400 MB/s take 7.68 µs; flash: 4,608 B at 200 MB/s take 23.04 µs, so the dot belongs to the flash,
    # at 294,912 / 4,608 = 64 MAC/B.
    report = evaluate(one_conv, mcu, dtype="int8")
    axes = plot_roofline(report)
    ((intensity, speed, area, color),) = dots(axes)
    assert intensity == pytest.approx(64)
    assert speed == pytest.approx(294_912 / (304_868 * 10e-9))
    assert area == pytest.approx(WHOLE_AREA)
    from matplotlib.colors import to_rgb

    assert color == pytest.approx(to_rgb(paints(report)["flash"].color))
    assert ridges(axes) == [pytest.approx((0.5, 200e6)), pytest.approx((1.0, 200e6))]
    (row,) = roofline_rows(report)
    assert row["roof_macs_per_s"] == pytest.approx(200e6)
    assert row["memory"] == "flash"
    assert "conv" in [text.get_text() for text in axes.texts]


def test_area_is_the_share_of_the_time(npu):
    report = evaluate(chain(3), npu, dtype="int8")
    areas = sorted(area for *_, area, _ in dots(plot_roofline(report)))
    shares = sorted(layer.latency_s / report.latency_s for layer in report.layers)
    assert areas == pytest.approx([WHOLE_AREA * share for share in shares])


def test_layers_without_macs_are_counted_not_drawn(small_net, npu):
    report = evaluate(small_net, npu)
    with_macs = [layer for layer in report.layers if layer.macs]
    axes = plot_roofline(report)
    assert len(dots(axes)) == len(with_macs) < len(report.layers)
    note = " ".join(whole_figure(axes).get_supxlabel().split())
    assert f"{len(report.layers) - len(with_macs)} layers without MACs (" in note


@pytest.mark.parametrize(
    ("net", "chip", "dtype"),
    [
        ("squeezenet_v1_1", "squeezelerator", "int16"),
        ("resnet8", "ethos_u55_128", "int8"),
        ("lenet5", "eyeriss", "int16"),
        ("mobilenet_v2", "stm32h747", "int8"),
        ("ds_cnn", "gap9", "int8"),
    ],
)
def test_no_dot_stands_above_a_roof(net, chip, dtype):
    report = evaluate(load_net(net), load_chip(chip), dtype=dtype)
    rows = roofline_rows(report)
    assert rows
    for row in rows:
        assert row["macs_per_s"] <= row["roof_macs_per_s"] * (1 + 1e-9), row["layer"]
    assert sum(row["time_share"] for row in rows) <= 1 + 1e-9


def test_a_peak_that_is_not_known_has_no_ceiling(one_conv, mcu):
    report = replace(evaluate(one_conv, mcu, dtype="int8"), peak_macs_per_s={"cpu": float("nan")})
    axes = plot_roofline(report)
    assert set(roofs(axes)) == {"ram", "flash"}
    assert ridges(axes) == []
    # What is left is the flash: 64 MAC/B at 200 MB/s.
    assert roofline_rows(report)[0]["roof_macs_per_s"] == pytest.approx(64 * 200e6)


def test_labels_do_not_cover_each_other():
    axes = plot_roofline(evaluate(load_net("squeezenet_v1_1"), load_chip("squeezelerator"), dtype="int16"))
    whole_figure(axes).draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) >= 6
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])
        inside = axes.get_window_extent()
        assert np.all(box.min >= inside.min - 1)
        assert np.all(box.max <= inside.max + 1)
