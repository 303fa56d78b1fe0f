"""Bars of several reports: lengths, what does not fit, errors against silicon."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from hwsim.errors import UsageError
from hwsim.plot import plot_compare
from hwsim.plot.palette import PALE
from hwsim.plot.sheet import whole_figure
from hwsim.report import evaluate
from tests.plot.conftest import chain, unit_of


def drawn(axes):
    """Return the length of each bar with a number, in SI units, from the top down."""
    from matplotlib.colors import to_rgba

    unit = unit_of(axes.get_xlabel())
    bars = [bar for bar in axes.patches if bar.get_facecolor() != to_rgba(PALE)]
    return [bar.get_width() * unit for bar in bars]


def panels(axes):
    times, energies, traffic, memory = whole_figure(axes).axes
    assert times is axes
    return times, energies, traffic, memory


def test_lengths_are_latencies_and_energies(npu, mcu):
    nets = [chain(2, "two"), chain(4, "four")]
    reports = [evaluate(net, chip, dtype="int8") for chip in (npu, mcu) for net in nets]
    # Bars stand by net: both chips of the first, then both of the second.
    order = [reports[i] for i in (0, 2, 1, 3)]
    times, energies, traffic, memory = panels(plot_compare(reports))
    assert drawn(times) == pytest.approx([report.latency_s for report in order])
    assert drawn(energies) == pytest.approx([report.energy_j for report in order])
    # All ports together, as the table of `hwsim compare` has it; the end of the arena.
    assert drawn(traffic) == pytest.approx([sum(report.traffic_bytes.values()) for report in order])
    ends = [max(place.offset_bytes + place.size_bytes for place in report.arena) for report in order]
    assert drawn(memory) == pytest.approx(ends)
    assert [label.get_text() for label in times.get_yticklabels()] == ["toy-npu", "toy-mcu (toy)"] * 2
    assert {"two", "four"} <= {text.get_text() for text in times.texts}
    assert whole_figure(times).get_suptitle().startswith("2 nets on 2 chips")
    assert "not validated: toy-npu, toy-mcu (toy)" in whole_figure(times).get_supxlabel()


def test_what_does_not_fit_is_said_and_has_no_number(npu, mcu):
    net = chain(2)
    reports = [evaluate(net, chip, dtype="int8") for chip in (npu, mcu.replace("ram.size_kib", 3))]
    assert not reports[1].fits
    times, energies, traffic, memory = panels(plot_compare(reports))
    moved = sum(reports[0].traffic_bytes.values())
    for axes, value in ((times, reports[0].latency_s), (energies, reports[0].energy_j), (traffic, moved)):
        assert drawn(axes) == pytest.approx([value])
        assert "does not fit" in [text.get_text() for text in axes.texts]
        strips = [bar for bar in axes.patches if bar.get_hatch() == "////"]
        assert len(strips) == 1
    # What a net would need is known of one that does not fit, too.
    assert len(drawn(memory)) == 2
    cannot = replace(reports[0], reason="for some reason")
    assert "does not run" in [text.get_text() for text in plot_compare([cannot, cannot]).texts]


def test_all_of_them_may_fail(npu):
    report = evaluate(chain(2), npu.replace("sram.size_kib", 0.03125), dtype="int8")
    axes = plot_compare([report, report])
    whole_figure(axes).draw_without_rendering()
    assert drawn(axes) == []


def test_values_far_apart_share_a_logarithmic_axis(npu, one_conv):
    near = [evaluate(one_conv, npu, dtype="int8"), evaluate(chain(3), npu, dtype="int8")]
    far = [evaluate(one_conv, npu, dtype="int8"), evaluate(chain(300), npu, dtype="int8")]
    assert far[1].latency_s > 50 * far[0].latency_s
    assert plot_compare(near).get_xscale() == "linear"
    axes = plot_compare(far)
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] * unit_of(axes.get_xlabel()) < far[0].latency_s


def test_a_whisker_shows_the_error(npu, one_conv):
    report = replace(evaluate(one_conv, npu, dtype="int8"), error_p90=0.2)
    axes = plot_compare([report, evaluate(chain(3), npu, dtype="int8")])
    whiskers = [box for panel in panels(axes) for box in panel.containers if hasattr(box, "has_xerr")]
    (whisker,) = (box for box in axes.containers if hasattr(box, "has_xerr"))
    assert whiskers == [whisker]
    ends = whisker.lines[2][0].get_segments()[0][:, 0] * unit_of(axes.get_xlabel())
    assert ends == pytest.approx([0.8 * report.latency_s, 1.2 * report.latency_s])
    note = " ".join(whole_figure(axes).get_supxlabel().split())
    assert "± 20.0 %: toy-npu" in note


def test_bars_do_not_overlap(npu, mcu):
    reports = [evaluate(chain(n, f"net{n}"), chip, dtype="int8") for n in (1, 2, 3) for chip in (npu, mcu)]
    axes = plot_compare(reports)
    # From the top down, and inside the axes.
    rows = [bar.get_y() for bar in axes.patches]
    assert np.all(np.diff(rows) >= 0.99)
    bottom, top = axes.get_ylim()
    assert top <= rows[0]
    assert rows[-1] + 0.78 <= bottom


def test_quantities_to_choose(npu):
    report = evaluate(chain(2), npu, dtype="int8")
    axes = plot_compare([report, report], show=["memory"])
    assert whole_figure(axes).axes == [axes]
    assert axes.get_xlabel() == "peak memory [KiB]"
    assert whole_figure(axes).get_suptitle() == "chain on toy-npu: peak memory of an inference"
    with pytest.raises(UsageError, match=r"show .latncy.: must be one of .*; did you mean .latency."):
        plot_compare([report], show=["latncy"])
    with pytest.raises(UsageError, match="show: name a quantity or more"):
        plot_compare([report], show=[])


def test_axes_of_ones_own_hold_the_first_quantity(npu):
    ax = Figure().subplots()
    assert plot_compare([evaluate(chain(2), npu, dtype="int8")], ax, show=["energy", "latency"]) is ax
    assert ax.get_xlabel() == "energy [nJ]"
    assert ax.get_title(loc="left").startswith("chain on toy-npu: energy of an inference")


def test_many_are_dots(npu, mcu):
    chips = [npu, mcu, *(npu.replace("clock_mhz", 100 * k).replace("name", f"npu{k}") for k in range(1, 12))]
    small = npu.replace("sram.size_bytes", 8).replace("name", "small")
    reports = [evaluate(chain(n, f"net{n}"), chip, dtype="int8") for chip in (*chips, small) for n in (1, 2)]
    reports[0] = replace(reports[0], error_p90=0.2)
    times, *_, memory = panels(plot_compare(reports))
    dots = [line.get_xdata()[0] for line in times.lines if str(line.get_label()).startswith("net")]
    assert dots == pytest.approx([report.latency_s for report in reports if report.runs])
    assert sum(line.get_label() == "does not run" for line in times.lines) == 2
    (whisker,) = (line for line in times.lines if line.get_label() == "error")
    expected = [0.8 * reports[0].latency_s, 1.2 * reports[0].latency_s]
    assert whisker.get_xdata() == pytest.approx(expected)
    assert [label.get_text() for label in times.get_yticklabels()] == [chip.name for chip in (*chips, small)]
    assert sum(str(line.get_label()).startswith("net") for line in memory.lines) == len(reports)
    names = [text.get_text() for text in times.get_legend().get_texts()]
    assert names == ["net1", "net2", "does not run"]
    with pytest.raises(UsageError, match="8 nets on 4 chips: a picture of so many shows 7 nets at most"):
        plot_compare([replace(reports[2 * k], net=f"n{n}") for k in range(4) for n in range(8)])


def test_nothing_to_compare():
    with pytest.raises(UsageError, match="needs a report or more"):
        plot_compare([])
