"""Pictures of fronts: which points are on them, what is faint, and that millions of points stay small."""

import numpy as np
import pytest

from hwsim.errors import UsageError
from hwsim.explore import Column, SweepTable
from hwsim.plot import plot_pareto, save
from hwsim.plot.pareto import MOST_DOTS
from hwsim.plot.sheet import whole_figure
from tests.plot.sweeps import halves, made

KIB = [0.5, 1.0, 2.0, 4.0, 8.0]


def scattered(n, seed=0, nets=1):
    random = np.random.default_rng(seed)
    net = np.array([f"net{index % nets}" for index in range(n)])
    columns = {
        "point": np.arange(n),
        "net": net,
        "sram_size_kib": random.uniform(1, 9, n),
        "latency_s": random.uniform(1, 2, n),
        "energy_j": random.uniform(1, 2, n),
    }
    info = [Column("point", "key"), Column("net", "key")]
    return SweepTable(
        columns, [*info, Column("sram_size_kib", "axis", "memories.sram.size_kib", "KiB")], {"chip": "toy"}
    )


def front_of(axes, name):
    (line,) = (line for line in axes.lines if line.get_label() == name)
    return np.stack([line.get_xdata(), line.get_ydata()], axis=1)


def test_more_memory_buys_less_time():
    # Latency 1/KiB ms, energy KiB mJ: none is better in both, and the product is 1e-6 J·s everywhere.
    axes = plot_pareto(made({"sram_size_kib": KIB}, latency=halves))
    np.testing.assert_allclose(front_of(axes, "front"), [[0.125, 8], [0.25, 4], [0.5, 2], [1, 1]])
    assert whole_figure(axes).get_suptitle() == "net_a on toy: front of latency and energy, 4 of 4 points"
    assert "1 that do not run left out" in whole_figure(axes).get_supxlabel()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("latency [ms]", "energy [mJ]")


def test_fronts_are_those_of_brute_force():
    table = scattered(400, nets=2)
    axes = plot_pareto(table)
    for net in ("net0", "net1"):
        mine = np.flatnonzero(table["net"] == net)
        points = np.stack([table["latency_s"], table["energy_j"]], axis=1)[mine]
        beaten = [((points <= point).all(axis=1) & (points < point).any(axis=1)).any() for point in points]
        expected = points[~np.array(beaten)]
        np.testing.assert_allclose(front_of(axes, net), expected[np.argsort(expected[:, 0])])


def test_an_axis_against_a_result():
    axes = plot_pareto(made({"sram_size_kib": KIB}, latency=halves), "sram_kib", "latency_ms")
    assert axes.get_xlabel() == "sram size [KiB]"
    np.testing.assert_allclose(front_of(axes, "front")[:, 0], KIB[1:])


def test_a_point_is_annotated():
    table = made({"sram_size_kib": KIB}, latency=halves)
    axes = plot_pareto(table, point=3)
    (ring,) = (line for line in axes.lines if line.get_label() == "chosen")
    assert ring.get_xdata().item() == pytest.approx(0.25)
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["sram size 4 KiB"]
    assert whole_figure(axes).get_supxlabel().startswith("a ring: point 3;")
    with pytest.raises(UsageError, match=r"--point 0: does not run \(sram: needs 4 KiB, has less\)"):
        plot_pareto(table, point=0)
    with pytest.raises(UsageError, match="--point 99: the sweep has no such point"):
        plot_pareto(table, point=99)


def test_unasked_the_least_product_is_annotated():
    table = scattered(300)
    axes = plot_pareto(table)
    (ring,) = (line for line in axes.lines if line.get_label() == "chosen")
    product = table["latency_s"] * table["energy_j"]
    assert ring.get_xdata().item() == table["latency_s"][product.argmin()]


def test_rings_are_told_by_what_they_differ_in():
    # Latency (rows + KiB) / net, energy KiB: the least product is at 1 KiB and 1 row for every net.
    axes = {"sram_size_kib": [1.0, 2.0], "npu_rows": [1, 2]}
    slow = {"net_a": 1.0, "net_b": 2.0}

    def latency(row):
        return (row["npu_rows"] + row["sram_size_kib"]) * slow[row["net"]]

    alike = plot_pareto(made(axes, tuple(slow), latency))
    assert [text.get_text() for text in alike.texts if text.get_text()] == []
    note = whole_figure(alike).get_supxlabel()
    assert note == "a ring: the least product of both, at sram size 1 KiB, npu rows 1"
    # A net that is faster on 2 rows.
    apart = plot_pareto(
        made(axes, tuple(slow), lambda row: latency(row) / (row["npu_rows"] ** 3) ** (row["net"] > "net_a"))
    )
    assert {text.get_text() for text in apart.texts if text.get_text()} == {"npu rows 1", "npu rows 2"}
    assert whole_figure(apart).get_supxlabel() == "a ring: the least product of both, at sram size 1 KiB"


def test_many_points_are_bins(tmp_path):
    few, many = tmp_path / "few.svg", tmp_path / "many.svg"
    save(plot_pareto(scattered(MOST_DOTS)), few)
    axes = plot_pareto(scattered(200_000))
    (mesh,) = (mesh for mesh in axes.collections if mesh.get_label() == "dominated")
    assert mesh.get_rasterized()
    save(axes, many)
    assert many.stat().st_size < 2**19
    # Limits leave 6 % at each side: points lie in (1/1.12)² = 0.797 of the 240 × 160 bins, 6.54 in each;
    # one without any is clear: 0.797 · (1 − e^−6.54) = 0.796 are not.
    shades = mesh.get_array().reshape(160, 240, 4)[..., 3]
    assert (shades > 0).mean() == pytest.approx(0.796, abs=0.01)


def test_one_point_and_equal_ones():
    for rows in ([0], [0, 0, 0]):
        axes = plot_pareto(scattered(5).take(rows))
        whole_figure(axes).draw_without_rendering()
        assert len(front_of(axes, "front")) == len(rows)


@pytest.mark.parametrize(
    ("rows", "call", "sentence"),
    [
        ([], {}, "the sweep has no rows"),
        ([0], {}, r"none of the sweep's 1 rows has a latency and energy \(sram: needs 4 KiB, has less\)"),
        ([1], {"x": "aera_mm2"}, "no column 'aera_mm2'"),
        ([1], {"by": "fow"}, "no column 'fow'"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(rows, call, sentence):
    table = made({"sram_size_kib": KIB}, latency=halves).take(np.array(rows, dtype=np.intp))
    with pytest.raises(UsageError, match=sentence):
        plot_pareto(table, **call)


def test_too_many_fronts():
    with pytest.raises(UsageError, match="net has 15 values; a picture shows 14 fronts at most"):
        plot_pareto(scattered(60, nets=15), by="net")
