"""Sweeps as lines and as heatmaps: what is drawn where, what does not run, and what cannot be drawn."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from hwsim.errors import UsageError
from hwsim.plot import plot_sweep, save
from hwsim.plot.sheet import whole_figure
from tests.plot.conftest import unit_of
from tests.plot.sweeps import halves, made

KIB = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]


def lines(axes):
    unit = unit_of(axes.get_ylabel())
    return {
        line.get_label(): (line.get_xdata().tolist(), (np.asarray(line.get_ydata()) * unit).tolist())
        for line in axes.lines
        if line.get_label() != "does not run"
    }


def test_one_axis_is_a_line():
    axes = plot_sweep(made({"sram_size_kib": KIB}, latency=halves))
    ((x, y),) = lines(axes).values()
    assert x == KIB
    assert y[1:] == pytest.approx([1e-3, 0.5e-3, 0.25e-3, 0.125e-3, 0.0625e-3])
    assert np.isnan(y[0])
    assert axes.get_xlabel() == "sram size [KiB]"
    assert axes.get_ylabel() == "latency [ms]"
    # Spaced by factors of two, from 1 ms to 62.5 µs: both axes are logarithmic.
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert whole_figure(axes).get_suptitle() == "net_a on toy: least latency 0.0625 ms at sram size 16 KiB"
    (cross,) = (line for line in axes.lines if line.get_label() == "does not run")
    assert cross.get_xdata().tolist() == [0.5]


def test_steps_stay_linear():
    axes = plot_sweep(made({"npu_rows": [8, 16, 24, 32]}, latency=lambda row: 1e-3 + row["npu_rows"] * 1e-5))
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    assert axes.get_ylim()[0] == 0


def test_a_line_for_each_net():
    table = made(
        {"sram_size_kib": KIB}, nets=("net_a", "net_b"), latency=lambda row: halves(row) * (1 + (row["net"] == "net_b"))
    )
    found = lines(plot_sweep(table))
    assert list(found) == ["net_a", "net_b"]
    assert found["net_b"][1][1] == pytest.approx(2e-3)


def test_units_are_those_asked_for():
    table = made({"sram_size_kib": KIB}, latency=halves)
    assert plot_sweep(table, "dram_mib").get_ylabel() == "dram traffic [MiB]"
    assert plot_sweep(table, "latency_us").get_ylabel() == "latency [µs]"
    np.testing.assert_allclose(lines(plot_sweep(table, "dram_mib"))["dram traffic"][1], 2 * 2**20)


def test_two_axes_are_a_heatmap():
    rows = [4, 8, 16, 32, 64, 128]
    table = made({"sram_size_kib": KIB, "npu_rows": rows}, latency=lambda row: halves(row) / row["npu_rows"])
    axes = plot_sweep(table)
    mesh = next(
        mesh for mesh in axes.collections if mesh.get_array() is not None and mesh.get_label() != "does not run"
    )
    values = np.ma.filled(mesh.get_array().reshape(6, 6), np.nan)
    # Rows of the mesh go up npu_rows, columns across sram sizes; 1 ms / 1 KiB / 4 rows = 0.25 ms = 250 µs.
    assert values[0, 1] == pytest.approx(250)
    assert values[5, 5] == pytest.approx(1000 / 16 / 128)
    assert np.isnan(values[:, 0]).all()
    hatched = [shape for shape in axes.collections if shape.get_hatch() == "////"]
    assert len(hatched) == 6
    (least,) = (line for line in axes.lines if line.get_label() == "least")
    assert (least.get_xdata().item(), least.get_ydata().item()) == (16, 128)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("sram size [KiB]", "npu rows")
    assert whole_figure(axes).axes[1].get_ylabel() == "latency [µs]"


def test_a_small_heatmap_has_its_numbers_written():
    table = made({"sram_size_kib": [1.0, 2.0], "npu_rows": [8, 16]}, latency=halves)
    texts = [text.get_text() for text in plot_sweep(table).texts]
    assert texts == ["1.00", "0.500", "1.00", "0.500"]


def test_words_are_an_axis_too():
    table = made({"npu_rows": [8, 16, 32], "npu_dataflows": ["ws", "os"]}, latency=lambda row: 1 / row["npu_rows"])
    assert list(lines(plot_sweep(table))) == ["ws", "os"]
    axes = plot_sweep(table, x=["npu.dataflows"], by="npu.rows")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ws", "os"]
    assert list(lines(axes)) == ["8", "16", "32"]
    assert axes.get_legend().get_title().get_text() == "npu rows"


def test_the_best_over_the_rest():
    axes = {"sram_size_kib": [1.0, 2.0], "npu_rows": [8, 16], "dram_gb_per_s": [1.0, 2.0]}
    table = made(axes, latency=lambda row: 1e-3 / row["npu_rows"] / row["dram_gb_per_s"])
    found = lines(plot_sweep(table, x=["sram.size_kib"], best=True))
    # 1 ms / 16 rows / 2 GB/s
    assert found["latency"][1] == pytest.approx([1e-3 / 32] * 2)


def test_one_point_and_odd_names(tmp_path):
    axes = plot_sweep(made({"sram_size_kib": [4.0]}, nets=("$x^" + "n" * 300,), latency=halves))
    save(axes, tmp_path / "a.svg")
    ET.parse(tmp_path / "a.svg")  # noqa: S314  # our own file
    assert whole_figure(axes).get_suptitle().split(": ")[1].split() == ["least", "latency", "250", "µs"]
    box = whole_figure(axes).get_tightbbox()
    assert box.x0 >= -0.01
    assert box.x1 <= whole_figure(axes).get_figwidth() + 0.01


def test_the_same_sweep_is_the_same_bytes(tmp_path):
    table = made({"sram_size_kib": KIB, "npu_rows": [4, 8, 16]}, latency=halves)
    for name in ("a.svg", "b.svg"):
        save(plot_sweep(table), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_axes_of_ones_own():
    from matplotlib.figure import Figure

    (left, right) = Figure(figsize=(7, 3)).subplots(1, 2)
    assert plot_sweep(made({"sram_size_kib": KIB}, latency=halves), ax=left) is left
    assert plot_sweep(made({"sram_size_kib": KIB, "npu_rows": [8, 16]}, latency=halves), ax=right) is right


THREE = {"sram_size_kib": [1.0, 2.0], "npu_rows": [8, 16], "dram_gb_per_s": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("axes", "call", "sentence"),
    [
        ({"sram_size_kib": []}, {}, "the sweep has no rows"),
        ({"sram_size_kib": [0.5]}, {}, r"none of the sweep's 1 rows has a latency \(sram: needs 4 KiB, has less\)"),
        ({"sram_size_kib": KIB}, {"y": "latncy_ms"}, "no column 'latncy_ms'; did you mean 'latency_s'"),
        ({"sram_size_kib": KIB}, {"y": "reason"}, "column 'reason': holds words, where a picture needs numbers"),
        (THREE, {}, r"varies in sram_size_kib \(1, 2\), npu_rows \(8, 16\), dram_gb_per_s \(1, 2\): choose one or two"),
        (THREE, {"x": ["sram_size_kib", "npu_rows"]}, r"varies in dram_gb_per_s \(1, 2\) besides .*--at NAME=VALUE"),
        (THREE, {"x": ["sram_size_kib"], "by": "sram_kib"}, "one axis or two, and a series for something else"),
        ({"npu_rows": range(1, 20), "sram_size_kib": [1.0]}, {"x": ["sram_kib"], "by": "npu.rows"}, "19 series; 14 is"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(axes, call, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        plot_sweep(made(axes, latency=lambda row: halves(row) if "sram_size_kib" in row else 1.0), **call)
    assert "\n" not in str(caught.value)


def test_samples_are_no_grid():
    n = 3000
    table = made({"sram_size_kib": np.linspace(1, 2, n)}, latency=halves, npu_rows=np.linspace(3, 4, n))
    with pytest.raises(UsageError, match=r"3 000 rows with 3 000 of sram_size_kib × 3 000 of npu_rows make no grid"):
        plot_sweep(table, x=["sram_size_kib", "npu_rows"])
