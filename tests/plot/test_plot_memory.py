"""The arena's rectangles are its placements, its lines are its peak and what the memory has left."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from hwsim.plot import memory_rows, plot_memory
from hwsim.plot.palette import PALE
from hwsim.plot.sheet import whole_figure
from hwsim.report import evaluate
from tests.plot.conftest import chain, unit_of


def rectangles(axes):
    """Return (first layer, last layer, offset, size) of every rectangle, layers by index and sizes in bytes."""
    unit = unit_of(axes.get_ylabel())
    found = []
    for collection in axes.collections:
        if isinstance(collection, PolyCollection):
            for path in collection.get_paths():
                box = path.get_extents()
                found.append((box.x0 + 0.5, box.x1 - 0.5, box.y0 * unit, box.height * unit))
    return sorted(found)


def lines(axes):
    unit = unit_of(axes.get_ylabel())
    return {line.get_label(): line.get_ydata()[0] * unit for line in axes.lines}


def test_rectangles_are_the_placements(small_net, npu):
    report = evaluate(small_net, npu)
    placed = sorted((b.first_layer, b.last_layer, b.offset_bytes, b.size_bytes) for b in report.arena)
    axes = plot_memory(report)
    assert rectangles(axes) == [pytest.approx(place) for place in placed]
    peak = max(b.offset_bytes + b.size_bytes for b in report.arena)
    assert lines(axes)["peak"] == pytest.approx(peak)


def test_by_hand(one_conv, mcu):
    # Input 8*8*16 = 1,024 B and output 8*8*32 = 2,048 B live together: the larger at 0, the other above it. The input
    # lives from before layer 0, the output until after it. RAM: 64 KiB, of which the runtime takes 2 KiB.
    axes = plot_memory(evaluate(one_conv, mcu, dtype="int8"))
    assert rectangles(axes) == [pytest.approx((-1, 0, 2_048, 1_024)), pytest.approx((0, 1, 0, 2_048))]
    assert lines(axes) == {"peak": pytest.approx(3_072)}
    (said,) = (text.get_text() for text in axes.texts)
    assert said == "peak 3.00 KiB; ram has room for 62.0 KiB (64.0 KiB less 2.00 KiB)"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["2.00 KiB conv", "1.00 KiB x"]


def test_capacity_is_drawn_where_it_is_near(one_conv, mcu):
    # 6 KiB less 2 KiB of runtime: 4,096 B for an arena of 3,072 B.
    axes = plot_memory(evaluate(one_conv, mcu.replace("ram.size_kib", 6), dtype="int8"))
    assert lines(axes) == {"peak": pytest.approx(3_072), "capacity": pytest.approx(4_096)}
    assert axes.get_ylim()[1] * 1024 > 4_096


def test_an_arena_that_does_not_fit_stands_above_the_capacity(one_conv, mcu):
    report = evaluate(one_conv, mcu.replace("ram.size_kib", 4), dtype="int8")
    axes = plot_memory(report)
    assert not report.fits
    assert lines(axes) == {"peak": pytest.approx(3_072), "capacity": pytest.approx(2_048)}
    assert "does not fit ram" in whole_figure(axes).get_suptitle()


def test_no_room_at_all(one_conv, mcu):
    # The runtime alone takes 2 KiB of 1.
    axes = plot_memory(evaluate(one_conv, mcu.replace("ram.size_kib", 1), dtype="int8"))
    assert lines(axes)["capacity"] == 0


def test_what_is_alive_at_the_peak_has_colours(small_net, npu):
    report = evaluate(small_net, npu)
    index = [layer.name for layer in report.layers].index(report.peak_layer)
    alive = [b for b in report.arena if b.first_layer <= index <= b.last_layer]
    axes = plot_memory(report)
    from matplotlib.colors import to_rgba

    pale = [c for c in axes.collections if isinstance(c, PolyCollection) and (c.get_facecolor() == to_rgba(PALE)).all()]
    assert sum(len(c.get_paths()) for c in pale) == len(report.arena) - len(alive)
    assert len(axes.get_legend().get_texts()) == len(alive)
    assert report.peak_layer in axes.get_legend().get_title().get_text()
    rows = memory_rows(report)
    assert sum(row["size_bytes"] for row in rows if row["alive_at_peak"]) == report.arena_lower_bound_bytes


def test_many_alive_at_once_are_summed_up(npu):
    from hwsim.graph import GraphBuilder

    b = GraphBuilder("wide")
    x = b.input("x", (1, 8, 8, 8), "int8")
    b_out = b.concat([b.conv2d(x, 8, 1, name=f"branch{i}") for i in range(12)], name="concat")
    axes = plot_memory(evaluate(b.build([b_out]), npu))
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    # Twelve branches of 512 B and their concatenation: seven things are named or summed up, whatever shares bytes.
    assert len(legend) == 7
    assert legend[-1].endswith(" more")


def test_names_below_few_layers_and_indices_below_many(npu):
    few, many = plot_memory(evaluate(chain(3), npu, dtype="int8")), plot_memory(evaluate(chain(100), npu, dtype="int8"))
    assert [label.get_text() for label in few.get_xticklabels()] == ["layer0", "layer1", "layer2"]
    assert many.get_xlabel() == "layer index"
    assert np.all(np.diff(many.get_xticks()) >= 1)
