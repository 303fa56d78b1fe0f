"""Bars and steps of the layer pictures have the lengths that the report says, in the units that the axes say."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from hwsim.plot import PLOTS, plot_energy, plot_layers, plot_traffic
from hwsim.plot.bars import MOST_BARS
from hwsim.plot.sheet import MAX_NAME, whole_figure
from hwsim.report import evaluate
from tests.plot.conftest import chain, unit_of


def bars(axes):
    """Return the length of each part in each row, shape [part][layer], in SI units."""
    unit = unit_of(axes.get_xlabel())
    return {box.get_label(): np.array([bar.get_width() for bar in box]) * unit for box in axes.containers}


def steps(axes):
    """Return the heights of each part's steps in a profile, in SI units."""
    unit = unit_of(axes.get_ylabel())
    patches = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    return {patch.get_label(): (patch.get_data().values - patch.get_data().baseline) * unit for patch in patches}


def marks(axes):
    (lines,) = (artist for artist in axes.collections if isinstance(artist, LineCollection))
    return np.array([segment[0] for segment in lines.get_segments()])


def texts(axes):
    figure = whole_figure(axes)
    return "\n".join([figure.get_suptitle(), figure.get_supxlabel(), *(text.get_text() for text in axes.texts)])


@pytest.fixture
def report(small_net, npu):
    return evaluate(small_net, npu)


def test_times_are_the_bars_lengths(report):
    axes = plot_layers(report)
    parts = bars(axes)
    assert sum(parts.values()) == pytest.approx([layer.latency_s for layer in report.layers])
    # One colour per layer, that of its bound.
    for index, layer in enumerate(report.layers):
        for bound, lengths in parts.items():
            assert (lengths[index] > 0) == (bound == layer.bound and layer.latency_s > 0)
    assert [label.get_text() for label in axes.get_yticklabels()] == [layer.name for layer in report.layers]


def test_first_layer_stands_on_top(report):
    axes = plot_layers(report)
    bottom, top = axes.get_ylim()
    assert bottom > top


def test_long_bars_tell_their_share(one_conv, mcu):
    # The only layer has all of the time, in the bar and in the legend.
    axes = plot_layers(evaluate(one_conv, mcu, dtype="int8"))
    assert [text.get_text() for text in axes.texts] == ["100 %"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["compute 100 %"]


def test_energy_is_stacked_from_its_shares(report):
    axes = plot_energy(report)
    parts = bars(axes)
    assert set(parts) == {"mac", "sram", "dram"}
    for name, lengths in parts.items():
        assert lengths == pytest.approx([layer.energy_parts_j.get(name, 0.0) for layer in report.layers])
    # Each part starts where the one before ends.
    ends = np.zeros(len(report.layers))
    for box in axes.containers:
        assert [bar.get_x() for bar in box] == pytest.approx(ends)
        ends = ends + [bar.get_width() for bar in box]
    assert ends * unit_of(axes.get_xlabel()) == pytest.approx([layer.energy_j for layer in report.layers])


def test_traffic_of_homes_against_compulsory(small_net, npu):
    # Weights and activations live in DRAM; the SRAM holds tiles, whose traffic is only told.
    report = evaluate(small_net, npu)
    axes = plot_traffic(report)
    parts, unit = bars(axes), unit_of(axes.get_xlabel())
    assert list(parts) == ["dram"]
    assert parts["dram"] == pytest.approx([layer.traffic_bytes["dram"] for layer in report.layers])
    assert marks(axes)[:, 0] * unit == pytest.approx([layer.compulsory_bytes for layer in report.layers])
    assert "sram (tiles)" in texts(axes)


def test_traffic_by_hand(one_conv, mcu):
    # 8*8*16 in and 8*8*32 out cross the RAM's port, 32*16*9 weights the flash's; nothing crosses twice.
    axes = plot_traffic(evaluate(one_conv, mcu, dtype="int8"))
    assert bars(axes) == {"ram": pytest.approx([3_072]), "flash": pytest.approx([4_608])}
    assert marks(axes)[0, 0] * unit_of(axes.get_xlabel()) == pytest.approx(7_680)


@pytest.mark.parametrize("layers", [61, MOST_BARS, MOST_BARS + 1, 1000])
def test_a_long_net_is_a_profile(npu, layers):
    report = evaluate(chain(layers), npu, dtype="int8")
    axes = plot_layers(report)
    height = sum(steps(axes).values())
    times = np.array([layer.latency_s for layer in report.layers])
    together = -(-layers // len(height))
    assert len(height) <= MOST_BARS
    assert together == (layers + MOST_BARS - 1) // MOST_BARS
    assert height.sum() == pytest.approx(report.latency_s)
    assert height[0] == pytest.approx(times[:together].sum())
    assert height[-1] == pytest.approx(times[together * (len(height) - 1) :].sum())
    assert axes.get_xlabel() == "layer index"
    assert (f"of {together} layers" in axes.get_ylabel()) == (together > 1)
    longest = int(times.argmax())
    assert f"most in {longest}: layer{longest}" in whole_figure(axes).get_supxlabel()


def test_a_profile_marks_compulsory_bytes_across_its_steps(npu):
    report = evaluate(chain(61), npu, dtype="int8")
    axes = plot_traffic(report)
    assert marks(axes)[:, 1] * unit_of(axes.get_ylabel()) == pytest.approx(
        [layer.compulsory_bytes for layer in report.layers]
    )
    assert sum(steps(axes).values()) == pytest.approx([layer.traffic_bytes["dram"] for layer in report.layers])


def test_long_names_lose_their_middle(npu):
    name = "block/with/a/very/long/path/to/conv2d_17"
    axes = plot_layers(evaluate(_named(name), npu))
    shown = axes.get_yticklabels()[0].get_text()
    assert len(shown) == MAX_NAME
    assert shown.startswith("block/w")
    assert shown.endswith("conv2d_17")
    assert "…" in shown


def _named(name):
    from hwsim.graph import GraphBuilder

    b = GraphBuilder("named")
    x = b.input("x", (1, 4, 4, 8), "int8")
    return b.build([b.conv2d(x, 8, 1, name=name)])


@pytest.mark.parametrize("kind", PLOTS)
def test_every_picture_says_what_it_is_of(report, kind):
    axes = PLOTS[kind](report)
    title = " ".join(whole_figure(axes).get_suptitle().split())
    assert title == str(report)
    assert "small on toy-npu" in title
    assert "not validated" in title
    assert "batch 1" in whole_figure(axes).get_supxlabel()
    for text in (axes.get_xlabel(), axes.get_ylabel()):
        assert "[" in text or text == "" or text.startswith("layer")


@pytest.mark.parametrize("kind", PLOTS)
def test_draws_into_axes_that_are_given(report, kind):
    figure = Figure(figsize=(8, 4))
    left, right = figure.subplots(1, 2)
    assert PLOTS[kind](report, ax=right) is right
    assert not left.has_data()
    assert right.has_data()
    assert "small on toy-npu" in right.get_title(loc="left")
    assert figure.get_suptitle() == ""


@pytest.mark.parametrize("kind", PLOTS)
def test_a_net_that_does_not_run_says_so(small_net, npu, mcu, kind):
    hopeless = evaluate(small_net, npu.replace("sram.size_kib", 0.03125))
    too_big = evaluate(small_net, mcu.replace("ram.size_kib", 2.5))
    for report in (hopeless, too_big):
        assert not report.runs
        axes = PLOTS[kind](report)
        said = " ".join(whole_figure(axes).get_suptitle().split())
        assert said == str(report)
        if kind != "memory":
            assert "does not run" in axes.texts[0].get_text()
            assert not axes.has_data()


@pytest.mark.parametrize("kind", PLOTS)
def test_a_net_that_costs_nothing_is_drawn(npu, kind):
    from hwsim.graph import GraphBuilder

    b = GraphBuilder("free")
    x = b.input("x", (1, 4, 4, 8), "int8")
    report = evaluate(b.build([b.flatten(x, name="flatten")]), npu)
    axes = PLOTS[kind](report)
    whole_figure(axes).draw_without_rendering()
    assert "free on toy-npu" in whole_figure(axes).get_suptitle()
