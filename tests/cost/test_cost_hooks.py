"""Zeros, codes, Winograd and networks to the PEs: arithmetic by hand, and laws."""

from itertools import pairwise

import numpy as np
import pytest

import hwsim
from hwsim.chip import Sparsity
from hwsim.chip.sparsity import run_length_share
from hwsim.errors import ChipError
from hwsim.graph import GraphBuilder


def conv(taps=3, channels=8, filters=8, size=8, **more):
    b = GraphBuilder("one")
    x = b.input("x", (1, size, size, channels))
    return b.build([b.conv2d(x, filters, taps, padding="same", bias=False, name="conv", **more)])


def run(net, npu, **changes):
    fields = {path.replace("__", "."): value for path, value in changes.items()}
    chip = npu.replace("npu.rows", 4, **{"npu.cols": 4, "sram.transfers": "ideal", **fields})
    return hwsim.evaluate(net, chip, dtype="int8").layers[0]


def flow(**more):
    return [{"name": "own", "rows": ["C"], "cols": ["K"], "stationary": "filter", **more}]


def test_hooks_are_off_by_default(npu):
    assert npu.engine("npu").sparsity == Sparsity()
    plain, zeros = run(conv(), npu), run(conv(), npu, npu__zeros={"ifmap": 0.5, "filter": 0.5, "ofmap": 0.5})
    assert plain == zeros  # nobody skips, gates or codes


def test_zeros_gated_save_energy_and_no_cycles(npu):
    plain = run(conv(), npu)
    gated = run(conv(), npu, npu__zeros={"ifmap": 0.5, "filter": 0.25}, npu__gates=["ifmap", "filter"])
    # Half of the ifmap and three quarters of the filter are not zero: 3/8 of the MACs cost energy.
    assert gated.energy_parts_j["mac"] == pytest.approx(plain.energy_parts_j["mac"] * 0.375)
    assert (gated.cycles, gated.traffic_bytes) == (plain.cycles, plain.traffic_bytes)


def test_zeros_skipped_save_cycles_and_energy(npu):
    plain = run(conv(), npu, npu__dataflows=flow())
    skipped = run(conv(), npu, npu__dataflows=flow(skips=["filter"]), npu__zeros={"filter": 0.4})
    # 8*8*3*3*2*2 = 2,304 steps of 4 x 4 PEs, of which six tenths are left.
    assert (plain.cycles, skipped.cycles) == (2304, 1383)
    assert skipped.energy_parts_j["mac"] == pytest.approx(plain.energy_parts_j["mac"] * 0.6, rel=1e-3)
    assert 0.99 < skipped.utilization <= 1


def test_winograd_needs_fewer_macs_and_more_filter_bytes(npu):
    plain = run(conv(), npu, npu__dataflows=flow())
    quick = run(conv(), npu, npu__dataflows=flow(winograd=2))
    # F(2x2, 3x3): 16 of 36 MACs, 16 filter elements for 9.
    assert quick.cycles == 2304 * 16 // 36
    assert quick.traffic_parts_bytes["dram"]["read_filter"] == 8 * 8 * 16
    assert plain.traffic_parts_bytes["dram"]["read_filter"] == 8 * 8 * 9
    assert quick.utilization == 1
    assert quick.energy_parts_j["mac"] == pytest.approx(plain.energy_parts_j["mac"] * 16 / 36)


@pytest.mark.parametrize("more", [{"taps": 1}, {"taps": 5}, {"stride": 2}])
def test_winograd_leaves_other_layers_as_they_are(npu, more):
    plain, quick = (run(conv(**more), npu, npu__dataflows=flow(**winograd)) for winograd in ({}, {"winograd": 2}))
    assert plain == quick


@pytest.mark.parametrize(("size", "faster"), [(8, "f2"), (1, "own")])
def test_the_search_takes_winograd_only_where_it_pays(npu, size, faster):
    # Of a plane of one pixel filters cross for one use: there the DRAM decides, and grown filters make it slower.
    both = [*flow(), {**flow(winograd=2)[0], "name": "f2"}]
    layer = run(conv(channels=64, filters=64, size=size), npu, npu__dataflows=both, sram__bytes_per_cycle=1e6)
    assert layer.mapping.dataflow == faster


def test_a_coding_ratio_shrinks_what_crosses_at_home(npu):
    plain = run(conv(), npu)
    coded = run(conv(), npu, npu__coded={"filter": 0.75})
    parts = coded.traffic_parts_bytes["dram"]
    assert parts["read_filter"] == 0.75 * plain.traffic_parts_bytes["dram"]["read_filter"] == 432
    assert parts["read_ifmap"] == 512
    # The buffer holds it plain.
    assert coded.traffic_bytes["sram"] == plain.traffic_bytes["sram"]
    assert coded.compulsory_bytes == 432 + 512 + 512


def test_run_length_coding():
    # 16-bit words: three pairs of 5 + 16 bits in 64. Without zeros 64 bits for 48; of nothing but zeros, runs of 31 and
    # one more: a pair for 32 words.
    assert run_length_share(0.0, 16) == pytest.approx(64 / 48)
    assert run_length_share(1 - 1e-9, 16) == pytest.approx(64 / 48 / 32, rel=1e-6)
    # Half zeros: half as many pairs as words.
    assert run_length_share(0.5, 16) == pytest.approx(64 / 48 / 2, rel=1e-6)
    # 8-bit words: four pairs of 13 bits in 64.
    assert run_length_share(0.0, 8) == pytest.approx(64 / 32)


def test_run_length_coding_counted():
    words = np.random.default_rng(7).random(20_000) > 0.8
    pairs = run = 0
    for word in words:
        if word or run == 31:
            pairs, run = pairs + 1, 0
        else:
            run += 1
    assert pairs / 3 * 64 / (16 * len(words)) == pytest.approx(run_length_share(1 - words.mean(), 16), rel=0.01)


def test_activations_coded_stream_through_vector_layers_as_well(npu):
    b = GraphBuilder("two")
    x = b.input("x", (1, 8, 8, 8))
    net = b.build([b.pool("max", x, 2, name="pool")])
    plain, coded = run(net, npu), run(net, npu, npu__coded={"ifmap": 0.5, "ofmap": 0.5})
    assert coded.traffic_bytes["dram"] == plain.traffic_bytes["dram"] / 2 == (512 + 128) / 2


def test_a_narrow_bus_binds(npu):
    # Each pass of K reads an ifmap element for each tap that meets it: 22 * 22 * 8 channels, twice; a byte per cycle.
    narrow = run(conv(), npu, npu__dataflows=flow(), npu__bus_bytes_per_cycle={"ifmap": 1.0})
    assert narrow.cycles == 22 * 22 * 8 * 2
    assert narrow.cycles > run(conv(), npu, npu__dataflows=flow()).cycles


@pytest.mark.parametrize("operand", ["ifmap", "filter"])
def test_laws(npu, operand):
    # More zeros never cost more; a wider bus is never slower; nothing goes below each element once as it is coded.
    layers = [
        run(
            conv(channels=16),
            npu,
            npu__dataflows=flow(skips=[operand]),
            npu__zeros={operand: zeros, "ofmap": zeros},
            npu__coded=dict.fromkeys((operand, "ofmap"), "run_length"),
        )
        for zeros in (0.0, 0.2, 0.5, 0.9)
    ]
    for less, more in pairwise(layers):
        assert more.cycles <= less.cycles
        assert more.energy_j <= less.energy_j
    assert all(layer.traffic_bytes["dram"] >= layer.compulsory_bytes for layer in layers)
    widths = [
        run(conv(), npu, npu__bus_bytes_per_cycle={operand: width, "psum": width}).latency_s
        for width in (1.0, 2.0, 8.0)
    ]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"npu__zeros": {"ifmap": 1.0}}, "npu.zeros.ifmap = 1"),
        ({"npu__zeros": {"psum": 0.5}}, "psum"),
        ({"npu__coded": {"ifmap": "huffman"}}, "coded"),
        ({"npu__bus_bytes_per_cycle": {"ifmap": 0.0}}, "bus_bytes_per_cycle.ifmap = 0"),
        ({"npu__dataflows": flow(winograd=1)}, "winograd"),
        ({"npu__dataflows": flow(at_most={"P": 2})}, "at_most.P: P is on neither axis"),
        ({"npu__dataflows": flow(spad_words={"ifmap": 3})}, "spad_words: only with stationary: row"),
        ({"npu__dataflows": flow(padding_read=True)}, "padding_read: only with stationary: row"),
    ],
)
def test_bad_facts_are_refused(npu, changes, said):
    with pytest.raises(ChipError, match=said):
        run(conv(), npu, **changes)
