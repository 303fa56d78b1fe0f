"""ZigZag and AccelForge on one machine: what they found, and bounds that hold for every schedule."""

import pytest

from hwsim.silicon.published import common_machine, comparison_table
from hwsim.silicon.published.comparison import rows_of

LAYERS, NETS = comparison_table("common_machine"), comparison_table("common_machine_nets")


@pytest.mark.parametrize("row", [*LAYERS.rows, *NETS.rows], ids=lambda row: f"{row.case}, {row.quantity}")
def test_never_above_the_best_peer_that_respects_the_bounds(row):
    assert row.met, (row.ours, row.published, row.of)


def test_tight_sram_needs_two_sweeps_of_the_ifmap_and_no_more():
    # (a) at 32 KiB: 64*64*9 = 36,864 B of filters do not fit, so that half of them stay at a time: the ifmap of
    # 56*56*64 = 200,704 B crosses twice, filters and ofmap once.            36,864 + 3 * 200,704 = 638,976 B
    _, net = common_machine.LAYERS["a"]
    assert common_machine.figure(net, 32, 1, "traffic") == 638_976


def test_filters_kept_whole_save_reads_of_the_sram():
    # (b) at 32 KiB: with 128*128 = 16,384 B of filters kept, 16,384 B are left for ifmap and ofmap. Four rows of the
    # ifmap (4*28*128 = 14,336 B) and their psums of 16 filters (4*28*16 = 1,792 B) fit: 7 tiles of rows.
    #   SRAM reads:  filters 7 * 16,384, ifmap once per 16 filters 8 * 100,352, psums 7 * 100,352, ofmap 100,352
    #   SRAM writes: filters 16,384, ifmap 100,352, psums 8 * 100,352
    reads = 7 * 16_384 + 8 * 100_352 + 7 * 100_352 + 100_352
    writes = 16_384 + 100_352 + 8 * 100_352
    picojoules = 12_845_056 * 0.2 + (reads + writes) * 5 + 217_088 * 100
    _, net = common_machine.LAYERS["b"]
    assert common_machine.figure(net, 32, 1, "energy") == pytest.approx(picojoules * 1e-6)


@pytest.mark.parametrize(("layer", "cycles"), [("a", 451_584), ("b", 50_176), ("c", 25_232), ("d", 512_637)])
def test_bounds_are_those_of_the_machine(layer, cycles):
    # (a) 56*56*64*64*9 / 256, (b) 28*28*128*128 / 256; (c) 2*28*28*128 + 128*9 = 201,856 B / 8;
    # (d) 4096 + 4096*1000 + 1000 = 4,101,096 B / 8
    assert common_machine.bound_cycles(common_machine.LAYERS[layer][1]) == cycles


def test_what_breaks_the_bounds_is_left_out():
    zigzag_d = [row for row in rows_of("common_machine") if row["tool"].startswith("ZigZag") and row["layer"] == "d"]
    assert zigzag_d
    assert all(int(row["latency_cycles"]) < 512_637 for row in zigzag_d)
    assert not [row for row in LAYERS.rows if row.case.startswith("(d)") and row.of.startswith("ZigZag")]
