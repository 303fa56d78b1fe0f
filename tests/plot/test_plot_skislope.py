"""The ski slope: the engine's own traffic at each capacity, its bound, and today's chip on it."""

import csv
import io

import numpy as np
import pytest

from hwsim.chip import load_chip
from hwsim.cli import main
from hwsim.errors import UsageError
from hwsim.explore.skislope import ski_slope
from hwsim.graph import GraphBuilder
from hwsim.plot import plot_skislope
from hwsim.plot.sheet import whole_figure
from hwsim.report import evaluate
from tests.plot.conftest import chain, unit_of


def dense(inputs, outputs):
    b = GraphBuilder("dense")
    return b.build([b.dense(b.input("x", (1, inputs), "int8"), outputs, bias=False, name="dense")])


def drawn(axes, name):
    (line,) = (line for line in axes.lines if line.get_label() == name)
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata()) * unit_of(axes.get_ylabel())


def test_each_capacity_moves_what_a_chip_of_that_size_does(npu):
    net = chain(3)
    slope = ski_slope(net, npu, dtype="int8")
    assert slope.homes == ("dram",)
    runs = np.flatnonzero(~np.isnan(slope.of()[0]))
    for at in (runs[0], runs[len(runs) // 2], runs[-1]):
        chip = npu.replace("sram.size_bytes", int(slope.capacity_bytes[at]))
        report = evaluate(net, chip, dtype="int8", objective="traffic")
        assert report.runs
        assert slope.of()[0][at] == report.traffic_bytes["dram"]
        assert slope.of()[1] == report.compulsory_bytes
    below = npu.replace("sram.size_bytes", int(slope.capacity_bytes[runs[0] - 1]))
    assert not evaluate(net, below, dtype="int8", objective="traffic").runs
    assert slope.on_chip() == evaluate(net, npu, dtype="int8", objective="traffic").traffic_bytes["dram"]


def test_a_matrix_by_hand(npu):
    # 64 × 64 weights of a byte, used once each: 64 B in, 4 096 B of weights, 64 B out, whatever is kept
    #   -> 4 224 B, as soon as the input need not come twice.
    slope = ski_slope(dense(64, 64), npu, dtype="int8")
    traffic, compulsory = slope.of()
    assert compulsory == 64 + 4096 + 64
    assert traffic[-1] == compulsory
    runs = traffic[~np.isnan(traffic)]
    assert (np.diff(runs) <= 0).all()
    assert runs[0] > compulsory
    at = int(np.flatnonzero(slope.capacity_bytes == slope.enough_bytes())[0])
    assert traffic[at - 1] > traffic[at] == compulsory


def test_what_is_drawn(npu):
    slope = ski_slope(chain(3), npu, dtype="int8")
    axes = plot_skislope(slope)
    sizes, traffic = drawn(axes, "chain")
    np.testing.assert_array_equal(sizes, slope.capacity_bytes)
    np.testing.assert_allclose(traffic, slope.of()[0])
    np.testing.assert_allclose(drawn(axes, "bound")[1], slope.of()[1])
    (x,), (y,) = drawn(axes, "today")
    assert (x, y) == (256 * 1024, pytest.approx(slope.on_chip()))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    # 256 KiB hold the whole of this net's layers.
    assert whole_figure(axes).get_suptitle() == "chain on toy-npu: 256 KiB leave 1.00 times the compulsory traffic"


def test_layers_add_up_to_the_net_and_have_curves_of_their_own(npu):
    slope = ski_slope(chain(3), npu, dtype="int8")
    total = sum(slope.of(name)[0] for name in slope.layers)
    np.testing.assert_array_equal(total, slope.of()[0])
    axes = plot_skislope(slope, ["layer0", "layer2"])
    np.testing.assert_allclose(drawn(axes, "layer2")[1], slope.of("layer2")[0])
    assert "layer0 1.00×" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_split_buffers_keep_their_proportions(data_folder):
    gemmini = load_chip("gemmini")
    slope = ski_slope(chain(2), gemmini, dtype="int8")
    assert slope.buffers == ("scratchpad", "accumulator")
    assert slope.chip_bytes == (256 + 64) * 1024
    at = int(np.flatnonzero(~np.isnan(slope.of()[0]))[3])
    size = int(slope.capacity_bytes[at])
    half = gemmini.replace("scratchpad.size_bytes", round(size * 0.8)).replace(
        "accumulator.size_bytes", round(size * 0.2)
    )
    assert slope.of()[0][at] == evaluate(chain(2), half, dtype="int8", objective="traffic").traffic_bytes["dram"]


def test_a_chip_too_small_is_told(npu):
    slope = ski_slope(chain(2), npu.replace("sram.size_bytes", 8), dtype="int8")
    assert np.isnan(slope.on_chip())
    axes = plot_skislope(slope)
    assert whole_figure(axes).get_suptitle() == "chain on toy-npu: 8 B hold no tile of it"
    assert "today" not in [line.get_label() for line in axes.lines]


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (["layer9"], r"chain has no layer 'layer9'; did you mean 'layer0'\?"),
        (["flatten"], r"layer 'flatten' of odd moves no bytes: it has no ski slope"),
        ([f"layer{i}" for i in range(8)], r"shows up to 7 layers, asked for 8"),
    ],
)
def test_what_has_no_slope(npu, layers, sentence):
    net = chain(9) if "flatten" not in layers and len(layers) > 1 else chain(1)
    if layers == ["flatten"]:
        b = GraphBuilder("odd")
        x = b.flatten(b.input("x", (1, 2, 2, 16), "int8"), name="flatten")
        net = b.build([b.dense(x, 8, name="dense")])
    slope = ski_slope(net, npu, dtype="int8")
    with pytest.raises(UsageError, match=sentence):
        plot_skislope(slope, layers)


def test_a_core_has_none(mcu):
    with pytest.raises(UsageError, match="toy-mcu has no array with a tile buffer"):
        ski_slope(chain(1), mcu, dtype="int8")


def run(words, monkeypatch):
    monkeypatch.setattr("sys.argv", ["hwsim", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0


def test_the_command_line(data_folder, tmp_path, monkeypatch, capsys):
    picture, data = tmp_path / "a.svg", tmp_path / "a.csv"
    chip = str(data_folder / "toy_npu.yaml")
    words = ["plot", "skislope", "lenet5", chip, "--dtype", "int8", "-o", str(picture)]
    assert run([*words, "--data", str(data)], monkeypatch) == 0
    assert capsys.readouterr().out.split() == [str(picture)]
    rows = list(csv.DictReader(io.StringIO(data.read_text())))
    assert {"capacity_bytes", "traffic_bytes", "c1_bytes"} <= set(rows[0])
    other = tmp_path / "b.svg"
    assert run([*words[:-1], str(other), "--layer", "c33"], monkeypatch) == 2
    assert capsys.readouterr().err == "hwsim: lenet5 has no layer 'c33'; did you mean 'c3'?\n"
    assert not other.exists()
