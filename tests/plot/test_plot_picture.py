"""Pictures as files: whole, the same bytes every time, and one sentence for what cannot be written."""

import csv
import io
import warnings
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from hwsim.cli import main
from hwsim.errors import UsageError
from hwsim.graph import GraphBuilder
from hwsim.plot import PLOTS, ROWS, check_picture, plot_layers, plot_memory, plot_roofline, save
from hwsim.plot.sheet import wrapped
from hwsim.report import evaluate


@pytest.fixture
def report(small_net, npu):
    return evaluate(small_net, npu)


@pytest.mark.parametrize(
    ("kind", "suffix"), [*((kind, ".svg") for kind in PLOTS), ("layers", ".pdf"), ("layers", ".png")]
)
def test_same_report_same_bytes(report, kind, suffix, tmp_path):
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    save(PLOTS[kind](report), one)
    # A reader's own settings change nothing.
    with mpl.rc_context({"svg.hashsalt": None, "font.size": 20, "axes.facecolor": "red", "svg.fonttype": "none"}):
        save(PLOTS[kind](report), two)
        assert mpl.rcParams["font.size"] == 20
    assert one.read_bytes() == two.read_bytes()
    assert b"Date" not in one.read_bytes()


def test_formats(report, tmp_path):
    axes = plot_layers(report)
    for name, magic in [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("b.PNG", b"\x89PNG")]:
        save(axes, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(magic)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.gif", r"cannot draw .*a\.gif: suffix '\.gif'; it must be one of \.png, \.svg, \.pdf"),
        ("a", r"cannot draw .*a: no suffix"),
        ("no/folder/a.png", r"cannot write .*a\.png: there is no folder .*no/folder"),
        ("file/a.png", r"cannot write .*a\.png: there is no folder"),
        ("folder.png", r"cannot write .*folder\.png: it is a folder"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(report, tmp_path, name, sentence):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for attempt in (lambda: check_picture(tmp_path / name), lambda: save(plot_layers(report), tmp_path / name)):
        with pytest.raises(UsageError, match=sentence) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_what_was_there_stays_when_drawing_fails(report, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    axes = plot_layers(report)

    def broken(*_, **__):
        raise MemoryError

    monkeypatch.setattr(axes, "draw", broken)
    with pytest.raises(MemoryError):
        save(axes, path)
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "name", ["$x^$", r"\frac{", "层/卷积", "a\nb\x00c\x1b[31m", "<b>&amp;--", "_hidden", "x" * 3000]
)
def test_odd_names(npu, name, tmp_path):
    b = GraphBuilder(name)
    x = b.input("x", (1, 4, 4, 8), "int8")
    report = evaluate(b.build([b.conv2d(x, 8, 1, name=name)]), npu, dtype="int8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for draw in (plot_layers, plot_roofline, plot_memory):
            save(draw(report), tmp_path / "a.svg")
            ET.parse(tmp_path / "a.svg")  # noqa: S314  # our own file


def test_text_stays_inside_the_picture(npu):
    b = GraphBuilder("a_net_with_a_name_that_is_rather_long(width=0.25,resolution=224,classes=1000)")
    x = b.input("x", (1, 4, 4, 8), "int8")
    report = evaluate(b.build([b.conv2d(x, 8, 1, name="conv")]), npu)
    for draw in PLOTS.values():
        figure = draw(report).figure
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert box.x0 >= -0.01
        assert box.y0 >= -0.01
        assert box.x1 <= figure.get_figwidth() + 0.01
        assert box.y1 <= figure.get_figheight() + 0.01


def test_rows_are_what_is_drawn(report):
    assert [row["latency_s"] for row in ROWS["layers"](report)] == [layer.latency_s for layer in report.layers]
    assert sum(row["time_share"] for row in ROWS["layers"](report)) == pytest.approx(1)
    for row, layer in zip(ROWS["energy"](report), report.layers, strict=True):
        assert row["mac_j"] + row["sram_j"] + row["dram_j"] == pytest.approx(row["energy_j"] or 0)
        assert row["energy_j"] == layer.energy_j
    for row, layer in zip(ROWS["traffic"](report), report.layers, strict=True):
        assert {name: row[f"{name}_bytes"] for name in layer.traffic_bytes} == layer.traffic_bytes
    assert len(ROWS["memory"](report)) == len(report.arena)


@pytest.mark.parametrize("kind", PLOTS)
def test_the_command_line_writes_the_data_too(kind, report, data_folder, tmp_path, monkeypatch, capsys):
    picture, data = tmp_path / "a.svg", tmp_path / "a.csv"
    words = ["plot", kind, "ds_cnn", str(data_folder / "toy_npu.yaml"), "--dtype", "int8", "-o", str(picture)]
    monkeypatch.setattr("sys.argv", ["hwsim", *words, "--data", str(data)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert capsys.readouterr().out.split() == [str(picture)]
    rows = list(csv.DictReader(io.StringIO(data.read_text())))
    assert rows
    assert list(rows[0]) == list(dict.fromkeys(name for row in ROWS[kind](report) for name in row))


def test_numbers_stay_whole_where_lines_break():
    lines = wrapped("front of 74 727 points at 1 060 KiB", 8.0, 60.0)
    assert lines == ["front of", "74 727 points", "at 1 060 KiB"]
    assert wrapped("rows 16 of 100 000 MiB", 8.0, 55.0) == ["rows 16 of", "100 000 MiB"]
