"""Engines that work block by block: steps, stages, coded weights, compilers' preferences; by hand and brute force."""

from dataclasses import replace
from math import ceil, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwsim
from hwsim.chip import Dataflow, HardwarePoints
from hwsim.cost import cost, lower
from hwsim.cost.array import array_setup
from hwsim.cost.blocks import Blocks
from hwsim.cost.candidates import ArraySetup
from hwsim.cost.nest import Axis, Nest
from hwsim.cost.spatial import array_work, unrolling
from hwsim.cost.stages import pipelined_cycles
from hwsim.cost.tiling import mapspace
from hwsim.cost.weight_code import WeightCode, coded_bits, rice_bits
from hwsim.errors import ChipError
from hwsim.graph import GraphBuilder, Tensor
from hwsim.graph.ops import Conv2d

# Eight filters and two pixels beside each other; eight channels of four taps in one sum.
PART_KERNEL = Dataflow(
    name="part_kernel",
    rows=("C", "R", "S"),
    cols=("K", "Q"),
    at_most={"C": 8, "R": 4, "K": 8, "Q": 2},
    joined=("R", "S"),
    least_passes=8,
    stationary="filter",
)


def axis(size, taps):
    return Axis(positions=size, taps=taps, stride=1, dilation=1, pad=taps // 2, size=size)


def nest(size, channels, filters, taps):
    shape = {"n": 1, "g": 1, "k": filters, "c": channels, "rows": axis(size, taps), "cols": axis(size, taps)}
    return Nest(**shape, ifmap_bits=8, filter_bits=8, ofmap_bits=8, bias_bytes=0)


def steps(layer, **tiles):
    extents = layer.extents
    sizes = {dim: np.array([tiles.get(dim, extents[dim])]) for dim in "NGKCPQ"}
    return int(array_work(layer, PART_KERNEL, 32, 16, sizes).cycles[0])


def test_taps_lie_end_to_end_beside_channels():
    layer = nest(16, 16, 16, 3)
    laid = unrolling(layer, PART_KERNEL, 32, 16)
    assert {dim: laid.factors[dim] for dim in "CRKQ"} == {"C": 8, "R": 4, "K": 8, "Q": 2}
    # 16*16/2 pixel pairs * ceil(9/4) quarters of the taps * 16/8 channels * 16/8 filters
    assert steps(layer) == 128 * 3 * 2 * 2
    # Three channels take the place of eight: still four taps at once, not ten.
    assert steps(nest(16, 3, 16, 3)) == 128 * 3 * 1 * 2


def test_weights_take_their_least_passes_in_every_block():
    # Rows of 16 pixels are 8 passes, as many as there must be; half a row is four, for which the engine waits.
    layer = nest(16, 16, 16, 3)
    assert steps(layer, P=1) == steps(layer)
    assert steps(layer, P=1, Q=8) == 2 * steps(layer)


def test_stages_by_hand():
    def cycles(macs, outputs, blocks, per_cycle, in_flight):
        return float(pipelined_cycles(np.array(float(macs)), np.array(outputs), np.array(blocks), per_cycle, in_flight))

    assert cycles(1000, 400, 4, inf, None) == 1000
    # 400 outputs at 2 per cycle take 200; the MACs set the pace, and the last of 4 blocks is finished after them.
    assert cycles(1000, 400, 4, 2, None) == 1000 + 50
    # At one in 4 cycles they take 1,600, and the first block's MACs come before.
    assert cycles(1000, 400, 4, 0.25, None) == 1600 + 250
    # One block of four on their way: it takes at least a quarter of 1,200 besides.
    assert cycles(1000, 400, 1, 2, 4) == 1000 + 300


def test_biases_that_come_slowly_are_waited_for():
    waits = pipelined_cycles(np.array(1000.0), np.array(400), np.array(2), 2, 4, np.array(64 * 2 * 10.0))
    # 64 channels in each of two blocks at 10 cycles are 1,280, and the first block's MACs come before.
    assert waits == 1280 + max(500, (1000 + 1280) / 4 / 2)


def test_an_image_comes_in_short_runs(npu):
    b = GraphBuilder("two")
    x = b.input("x", (1, 16, 16, 3), dtype="int8")
    net = b.build([b.conv2d(b.conv2d(x, 3, 1, bias=False), 3, 1, bias=False)])
    first, second = hwsim.evaluate(net, npu.replace("npu.image_bytes_per_cycle", 0.5)).layers
    # 768 bytes at half a byte a cycle; the second layer's ifmap is no input of the net.
    assert first.cycles == 1536
    assert (
        second.cycles == hwsim.evaluate(net, npu).layers[1].cycles == hwsim.evaluate(net, npu).layers[0].cycles < 1536
    )


def test_dataflows_are_for_layers_of_some_sizes_where_others_run_the_rest():
    deep = Dataflow(name="deep", rows=("C",), cols=("K",), stationary="filter", least_extent={"C": 16})
    small = Dataflow(name="small", rows=("P",), cols=("K",), stationary="filter", most_extent={"R": 1})
    setup = ArraySetup(rows=4, cols=4, dataflows=(deep, small), psum_bytes=4, blocks=Blocks(in_flight=1))
    which = [set(mapspace(nest(4, *shape), setup).dataflow.tolist()) for shape in [(16, 8, 3), (8, 8, 1), (8, 8, 3)]]
    # Of 16 channels and 3x3 taps only the first may run; of 8 and 1x1 the second; of 8 and 3x3 neither, so both.
    assert which == [{0}, {1}, {0, 1}]
    # Every tile of pixels takes the biases of all channels.
    space = mapspace(nest(4, 8, 8, 1), setup)
    assert (space.channel_reads == 8 * -(-4 // space.p) * -(-4 // space.q)).all()


def test_what_blocks_can_be(npu):
    chip = npu.replace(
        "npu.blocks_in_flight",
        4,
        **{"npu.block_least_channels": 16, "npu.block_most": {"K": 32, "P": 4}, "npu.block_banks_kib": {"ofmap": 2}},
    )
    setup = array_setup(chip.engine("npu"), chip, 4, 4)
    assert setup.blocks == Blocks(4, 16, (32, 4, 2**62), (1, 2048))
    space = mapspace(nest(16, 8, 64, 3), setup)
    assert (space.k.min(), space.k.max(), space.p.max()) == (16, 32, 4)
    assert (space.ofmap_tile_bytes % 2048 == 0).all()
    # Psums lie there twice, though a layer has one block only.
    small = mapspace(nest(2, 8, 16, 1), setup)
    assert small.blocks.min() == 1
    assert small.ofmap_tile_bytes[small.blocks == 1].min() == 2048  # 2 copies * 2*2*16 psums of 4 B are 512 B
    assert (mapspace(nest(2, 8, 16, 1), replace(setup, blocks=Blocks())).ofmap_tile_bytes % 2048).any()


def test_psums_have_room_for_whole_micro_blocks():
    setup = ArraySetup(rows=32, cols=16, dataflows=(PART_KERNEL,), psum_bytes=4, blocks=Blocks(in_flight=1), copies=1)
    space = mapspace(nest(5, 8, 8, 1), setup)
    whole = space.ofmap_tile_bytes[(space.p == 5) & (space.q == 5) & (space.k == 8)]
    assert set(whole) == {5 * 6 * 8 * 4}  # rows of 5 pixels are three pairs


PREFERRED = {
    "macs": lambda space, i: space.cycles[i],
    "fetches": lambda space, i: space.ifmap_bytes[i] + space.psum_in_bytes[i] + space.array_filter_bytes[i],
    "small_blocks": lambda space, i: -space.blocks[i],
}


@pytest.mark.parametrize("prefers", [["macs", "fetches", "small_blocks"], ["small_blocks", "macs"], ["fetches"]])
@pytest.mark.parametrize(("size", "filters"), [(9, 24), (4, 40), (1, 64)])
def test_what_a_compiler_prefers_equals_brute_force(npu, prefers, size, filters):
    chip = npu.replace(
        "npu.prefers", prefers, **{"npu.blocks_in_flight": 4, "npu.stage_per_cycle": {"macs": 1}, "sram.size_kib": 4}
    )
    b = GraphBuilder("one")
    x = b.input("x", (1, size, size, 16), dtype="int8")
    net = b.build([b.conv2d(x, filters, 3, padding="same", bias=False, name="conv")])
    work = lower(net, dtype="int8")
    tiles = cost(work, HardwarePoints.of(chip)).mapped.tiles
    setup = array_setup(chip.engine("npu"), chip, chip.engine("npu").rows, chip.engine("npu").cols)
    space = mapspace(work.rows[0].nest, setup)
    fits = np.flatnonzero(space.buffer_bytes(setup)[0] <= 4096)
    best = min(tuple(PREFERRED[name](space, i) for name in prefers) for i in fits)
    assert tuple(int(PREFERRED[name](tiles, (0, 0))) for name in prefers) == best


def test_a_slow_stage_behind_sets_the_pace(npu):
    net = hwsim.load_net("resnet8")
    plain = hwsim.evaluate(net, npu, dtype="int8").layers[0]
    staged = npu.replace("npu.stage_per_cycle", {"macs": 0.5})
    # 32*32*16 outputs at one in two cycles are 32,768 cycles, more than the MACs take.
    layer = hwsim.evaluate(net, staged, dtype="int8").layers[0]
    assert layer.cycles > 32768 > plain.cycles


def test_filters_fetched_ahead_are_there_when_a_layer_begins():
    chip = hwsim.load_chip("ethos_u55_128")
    net = hwsim.load_net("resnet8")
    late = hwsim.evaluate(net, chip.replace("npu.prefetches_filters", False), dtype="int8").layers[1]
    ahead = hwsim.evaluate(net, chip, dtype="int8").layers[1]
    # Else they would take a byte a cycle from flash, 64 cycles later.
    assert late.latency_s * 500e6 - ahead.latency_s * 500e6 > 64


def test_layers_without_macs_go_by_their_kind(npu):
    b = GraphBuilder("two")
    x = b.input("x", (1, 8, 8, 16), dtype="int8")
    net = b.build([b.global_pool("average", b.binary("mul", b.binary("add", x, x), x))])
    rates = {"elementwise": 0.5, "multiply": 2, "global_pool": 4}
    chip = npu.replace("npu.stage_per_cycle", rates)
    cycles = [layer.cycles for layer in hwsim.evaluate(net, chip, dtype="int8").layers]
    # 1,024 elements each
    assert cycles[:2] == [2048, 512]
    assert cycles[2] == ceil(lower(net, dtype="int8").rows[2].ops / 4)


def test_rice_codes_by_hand():
    # k = 0: number + 1 bits; k = 1: half of it, and one more. 0 0 0 5: 1+1+1+6 = 9 or 2+2+2+4 = 10.
    assert rice_bits(np.array([0, 5]), np.array([3, 1])) == 9
    # Ten weights of one value: place 0, a bit each.
    assert coded_bits(np.full(10, -77)) == 10
    # 100 zeros, then a 9: a run of 100 takes 9 bits at k = 5 (3 * 32 + 4: 1110, then 5 bits), the empty one after the 9
    # takes 6, and the 9 itself 1; weight by weight they would take 102.
    assert coded_bits(np.array([0] * 100 + [9])) == 9 + 6 + 1


def decoded(bits, k, count):
    """Read so many numbers from a string of a Golomb-Rice code."""
    numbers, at = [], 0
    for _ in range(count):
        end = bits.index("0", at)
        low = bits[end + 1 : end + 1 + k]
        numbers.append(((end - at) << k) + (int(low, 2) if low else 0))
        at = end + 1 + k
    assert at == len(bits)
    return numbers


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40))
def test_rice_bits_are_those_of_a_code_that_can_be_read(numbers):
    texts = {
        k: "".join("1" * (n >> k) + "0" + (format(n & ((1 << k) - 1), f"0{k}b") if k else "") for n in numbers)
        for k in range(8)
    }
    for k, text in texts.items():
        assert decoded(text, k, len(numbers)) == numbers
    values, counts = np.unique(numbers, return_counts=True)
    assert rice_bits(values, counts) == min(map(len, texts.values()))


def test_shares_of_weights():
    def share(values, dtype="int8"):
        data = np.array(values, dtype=dtype)
        return WeightCode(Tensor(name="w", shape=data.shape, dtype=dtype, constant=True, data=data)).share

    rng = np.random.default_rng(1)
    assert share(rng.integers(-128, 128, 20_000)) == pytest.approx(1, abs=0.01)
    assert share(np.zeros(1000)) < 0.02
    sparse = np.where(rng.random(20_000) < 0.8, 0, rng.integers(-128, 128, 20_000))
    # 0.72 bits say which are zero, and 8 bits what a fifth of them are: 0.29 of a byte, a little less for zeros drawn.
    assert 0.285 < share(sparse) < 0.31
    assert share(rng.random(10), "float32") == 1
    assert WeightCode(Tensor(name="w", shape=(4, 4), dtype="int8", constant=True)).share == 1


def test_coded_weights_and_bytes_of_channels_at_home(npu):
    b = GraphBuilder("one")
    x = b.input("x", (1, 4, 4, 8), dtype="int8")
    weights = b.constant("w", (16, 1, 1, 8), dtype="int8", data=np.zeros((16, 1, 1, 8), dtype=np.int8))
    net = b.build(b.add(Conv2d(strides=(1, 1), padding=((0, 0), (0, 0)), dilations=(1, 1), groups=1), [x, weights]))
    chip = npu.replace("npu.coded", {"filter": "golomb_rice"}, **{"npu.channel_bytes": 10})
    layer = hwsim.evaluate(net, chip).layers[0]
    # 128 zeros: one run of 128 takes 9 bits at k = 6 (110, then 6 bits), and 16 channels 10 bytes each.
    assert layer.traffic_parts_bytes["dram"]["read_filter"] == 162
    # No lower bound is told that coded weights would undercut.
    report = hwsim.evaluate(net, chip)
    assert report.layers[0].io_bound_bytes <= sum(layer.traffic_bytes["dram"] for layer in report.layers)
    with pytest.raises(ChipError, match="only filters have values"):
        npu.replace("npu.coded", {"ifmap": "golomb_rice"})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"joined": ("R", "C")}, "side by side"),
        ({"rows": ("C", "K"), "cols": ("N",), "joined": ("C", "K")}, "only taps"),
        ({"least_passes": 3, "stationary": "ofmap"}, "least_passes: only with stationary: filter"),
        ({"joined": ("R", "S"), "at_most": {"S": 2}}, "at_most with the first"),
    ],
)
def test_dataflows_that_make_no_sense(more, said):
    fields = {"name": "own", "rows": ("C", "R", "S"), "cols": ("K",), "stationary": "filter"}
    with pytest.raises(ValueError, match=said):
        Dataflow(**(fields | more))
