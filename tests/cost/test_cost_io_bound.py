"""The I/O lower bound: by hand, and never above what any mapping or any order of a layer's work moves."""

from heapq import heappop, heappush
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nests import axis, conv_nest
from test_cost_counted import dataflows

from hwsim.chip import DATAFLOWS, Sparsity
from hwsim.cost import held_in_array_bytes, io_lower_bound_bytes
from hwsim.cost.candidates import ORDERS, ArraySetup
from hwsim.cost.counted import execute
from hwsim.cost.hooks import coded
from hwsim.cost.io_bound import array_io_lower_bound_bytes
from hwsim.cost.nest import Axis, Nest
from hwsim.cost.spatial import CUT
from hwsim.cost.tiling import mapspace


def product_of(size, *, bits=8):
    """A square matrix product as a nest: 1x1 filters over a column of pixels."""
    return Nest(
        n=1, g=1, k=size, c=size, rows=axis(size, 1), cols=axis(1, 1),
        ifmap_bits=bits, filter_bits=bits, ofmap_bits=bits, bias_bytes=0,
    )  # fmt: skip


def test_a_large_matrix_product_reads_what_smith_et_al_say():
    # 512^3 products of single bytes, psums as well, and a chip of 1,024 B: 2 n^3 / sqrt(S) = 2^28 / 32 = 8,388,608 B,
    # less at most a segment of 2 S = 2,048 B; the ofmap that is written stands for psums that are read once.
    # A segment reads 2,048 B, or fewer than that by one element of a byte: 1 part in 2,048.
    bound = io_lower_bound_bytes(product_of(512), 1024, psum_bytes=1)
    ideal = 2 * 512**3 / 32
    assert ideal * (1 - 1 / 2048) - 2048 <= bound <= ideal


def test_wider_psums_need_the_room_of_more():
    # Psums of 4 B in the same room: as if each was 4 elements, sqrt(4) = 2 times as much is read, where the window is
    # too long for psums to be finished in a segment: lambda* = window^2 / S = 256 is above 4 B. The psums that start
    # were taken to cost 4 B and cost 1 B, when they leave as elements: 3 B less each, 512^2 * 3 = 786,432.
    bound = io_lower_bound_bytes(product_of(512), 1024, psum_bytes=4)
    ideal = 4 * 512**3 / 32 - 3 * 512**2
    assert ideal * (1 - 5 / 2048) - 2048 <= bound <= ideal


def test_short_windows_make_psums_cheap():
    # 1,024 pixels of 4 channels and 1,024 filters in 16 KiB: a window of 4 is finished where it begins, and lambda* is
    # 4^2 / 16,384 of a byte. 1 B per element of the ofmap, 1 MiB, is far above what is read: 4 + 4 KiB compulsory.
    nest = Nest(
        n=1, g=1, k=1024, c=4, rows=axis(1024, 1), cols=axis(1, 1),
        ifmap_bits=8, filter_bits=8, ofmap_bits=8, bias_bytes=0,
    )  # fmt: skip
    assert io_lower_bound_bytes(nest, 16384) == 1024 * 1024 + 2 * 4096


def test_an_ifmap_element_serves_all_taps_of_a_window():
    # 3x3 taps: 9 pairs of a position and a tap meet an ifmap element, so that sqrt(9) = 3 times fewer bytes are read
    # for as many MACs. 64 x 64 pixels, 64 channels and filters: 64^4 * 9 MACs less those that meet padding, psums 1 B.
    nest = conv_nest(k=64, c=64, h=64, w=64, bias=False)
    macs = 64 * 64 * (3 * 64 - 2) ** 2
    ideal = 2 * macs / (3 * np.sqrt(256))
    assert ideal * (1 - 1 / 256) - 2 * 512 <= io_lower_bound_bytes(nest, 256, psum_bytes=1) <= ideal
    # With stride 2 a row meets 2 taps at most: 4 pairs.
    nest = conv_nest(k=64, c=64, h=65, w=65, stride=2, pad=0, bias=False)
    ideal = 2 * 64 * 64 * 32**2 * 9 / (2 * np.sqrt(256))
    assert ideal * (1 - 1 / 256) - 2 * 512 <= io_lower_bound_bytes(nest, 256, psum_bytes=1) <= ideal


def test_never_below_each_touched_element_once():
    nest = conv_nest(k=8, c=4, h=10, w=10)
    once = nest.ifmap_bytes + nest.filter_bytes + nest.ofmap_bytes
    assert io_lower_bound_bytes(nest, [2**20, 2**30]).tolist() == [once, once]
    # Coded operands cross as coded: half the ifmap, twice the ofmap.
    half = nest.ifmap_bytes / 2 + nest.filter_bytes + 2 * nest.ofmap_bytes
    assert io_lower_bound_bytes(nest, 2**20, coded=(0.5, 1.0, 2.0)) == half


@pytest.mark.filterwarnings("error")
def test_a_layer_that_meets_nothing_but_padding():
    # One pixel whose only tap is on padding: no MAC meets the ifmap; 2 * 2 filters and 2 results cross all the same.
    nothing = Axis(positions=1, taps=1, stride=1, dilation=1, pad=3, size=1)
    nest = Nest(n=1, g=1, k=2, c=2, rows=nothing, cols=nothing, ifmap_bits=8, filter_bits=8, ofmap_bits=8, bias_bytes=0)
    assert io_lower_bound_bytes(nest, [0, 100]).tolist() == [6, 6]


@settings(max_examples=60, deadline=None)
@given(psum_bytes=st.integers(1, 8), size=st.integers(1, 100), capacity=st.integers(1, 5000))
def test_never_grows_with_capacity(psum_bytes, size, capacity):
    capacities = np.arange(1, 40) * capacity
    bounds = io_lower_bound_bytes(conv_nest(k=size, c=40, h=20, w=20), capacities, psum_bytes=psum_bytes)
    assert bounds.shape == (39,)
    assert (np.diff(bounds) <= 0).all()


@st.composite
def wide_axes(draw):
    taps, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    pad = draw(st.integers(0, taps - 1))
    size = draw(st.integers(max(1, (taps - 1) * dilation + 1 - 2 * pad), 40))
    return axis(size, taps, stride=draw(st.integers(1, 3)), pad=pad, dilation=dilation)


@st.composite
def wide_nests(draw):
    """Layers large beside their buffers, which the mapspace's formulas cost without running them."""
    channels = st.integers(1, 64)
    width = st.sampled_from([4, 8, 16])
    return Nest(
        n=draw(st.integers(1, 3)), g=draw(st.sampled_from([1, 1, 2, 8])), k=draw(channels), c=draw(channels),
        rows=draw(wide_axes()), cols=draw(wide_axes()), ifmap_bits=draw(width), filter_bits=draw(width),
        ofmap_bits=draw(width), bias_bytes=draw(st.sampled_from([0, 12])),
    )  # fmt: skip


def home_bytes(space, nest):
    """Return what each mapping moves between home and chip."""
    return (
        coded(space.ifmap_bytes, space.ifmap_coded)
        + coded(space.filter_bytes, space.filter_coded)
        + space.psum_in_bytes
        + space.psum_out_bytes
        + coded(np.full_like(space.ifmap_bytes, nest.ofmap_bytes), space.ofmap_coded)
    )


SPARSE = Sparsity(zeros=(0.5, 0.3, 0.2), coded=("run_length", 0.6, 1.3))
BUFFERS = [(0, 0, 0), (0, 1, 1), (0, -1, 0), (-1, 0, 0), (0, 0, -1), (-1, -1, -1)]


@settings(max_examples=300, deadline=None)
@given(
    nest=wide_nests(),
    dataflow=dataflows(),
    rows=st.integers(1, 6),
    cols=st.integers(1, 6),
    psum_bytes=st.integers(1, 4),
    buffers=st.sampled_from(BUFFERS),
    sparsity=st.sampled_from([Sparsity(), SPARSE]),
)
def test_no_mapping_moves_less(nest, dataflow, rows, cols, psum_bytes, buffers, sparsity):
    setup = ArraySetup(
        rows=rows, cols=cols, dataflows=(dataflow,), psum_bytes=psum_bytes, copies=1, buffers=buffers, sparsity=sparsity
    )
    space = mapspace(nest, setup)
    moved = home_bytes(space, nest)
    held = sum(space.buffer_bytes(setup), np.zeros_like(moved))
    # Of each size only the mapping that moves least can be below.
    order = np.lexsort((moved, held))
    sizes, first = np.unique(held[order], return_index=True)
    bounds = [array_io_lower_bound_bytes(nest, setup, int(size)) for size in sizes[:: max(1, len(sizes) // 40)]]
    assert (np.array(bounds) <= moved[order][first][:: max(1, len(sizes) // 40)]).all()


def test_the_bound_is_near_what_the_best_mapping_moves():
    # Else the test above would hold for nothing. ResNet-50's 3x3 convolution of 128 channels, psums of 4 B.
    nest = conv_nest(k=128, c=128, h=28, w=28, bias=False)
    setup = ArraySetup(rows=16, cols=16, dataflows=(DATAFLOWS["weight_stationary"],), psum_bytes=4, copies=1)
    space = mapspace(nest, setup)
    moved, held = home_bytes(space, nest), space.ifmap_tile_bytes + space.filter_tile_bytes + space.ofmap_tile_bytes
    for size, within in ((4096, 2.1), (8192, 2.0), (32768, 2.2)):
        bound = array_io_lower_bound_bytes(nest, setup, size)
        assert bound > nest.ifmap_bytes + nest.filter_bytes + nest.ofmap_bytes
        assert 1 <= moved[held <= size].min() / bound <= within


@settings(max_examples=40, deadline=None)
@given(dataflow=dataflows(), psum_bytes=st.integers(1, 4), data=st.data())
def test_no_counted_execution_moves_less(dataflow, psum_bytes, data):
    # A matrix product of 8 x 8 x 8 and a 3x3 convolution, run element by element.
    nest = data.draw(st.sampled_from([product_of(8), conv_nest(k=3, c=4, h=6, w=6, bias=False)]))
    setup = ArraySetup(rows=2, cols=2, dataflows=(dataflow,), psum_bytes=psum_bytes, copies=1)
    space = mapspace(nest, setup)
    i = data.draw(st.integers(0, len(space) - 1))
    tiles = {dim: int(getattr(space, dim.lower())[i]) for dim in CUT}
    ifmap = np.ones((nest.n, nest.g, nest.c, nest.rows.size, nest.cols.size), dtype=np.int64)
    weights = np.ones((nest.g, nest.k, nest.c, nest.rows.taps, nest.cols.taps), dtype=np.int64)
    counts = execute(nest, dataflow, 2, 2, ORDERS[space.order[i]], tiles, ifmap, weights)
    moved = counts.ifmap + counts.filter + counts.ofmap_out + (counts.psum_in + counts.psum_out) * psum_bytes
    held = counts.largest["ifmap"] + counts.largest["filter"] + counts.largest["ofmap"] * psum_bytes
    assert io_lower_bound_bytes(nest, held + held_in_array_bytes(nest, setup), psum_bytes=psum_bytes) <= moved


def least_moved(nest, capacity, psum_bytes):
    """Return the least bytes of any order of a tiny layer's MACs on a chip, by Dijkstra's algorithm over its states.

    A state is which MACs are done and which elements are on chip. An element may be fetched or dropped at any time; a
    psum that leaves unfinished goes home, and comes back before the next MAC of it; a finished one goes home for good.
    """
    triples = [
        (("i", n, g, c, y, x), ("f", g, k, c, r, s), ("o", n, g, k, p, q))
        for n, g, k, c, p, q, r, s in product(*(range(extent) for extent in nest.extents.values()))
        for y in [p * nest.rows.stride + r * nest.rows.dilation - nest.rows.pad]
        for x in [q * nest.cols.stride + s * nest.cols.dilation - nest.cols.pad]
        if 0 <= y < nest.rows.size and 0 <= x < nest.cols.size
    ]
    parts = {}
    for number, (*_, psum) in enumerate(triples):
        parts.setdefault(psum, 0)
        parts[psum] |= 1 << number
    every = (1 << len(triples)) - 1

    def size(held):
        return sum(psum_bytes if element[0] == "o" else 1 for element in held)

    seen, queue, ticket = {}, [(0, 0, 0, frozenset())], 0
    while queue:
        moved, _, done, held = heappop(queue)
        if seen.get((done, held), moved + 1) <= moved:
            continue
        seen[done, held] = moved
        if done == every and not any(element[0] == "o" for element in held):
            return moved
        steps = []
        for number, triple in enumerate(triples):
            if not done >> number & 1:
                # Fetch what is missing for this MAC and do it, if there is room.
                missing = [element for element in triple if element not in held]
                started = [element for element in missing if element[0] == "o" and done & parts[element]]
                cost = sum(1 for element in missing if element[0] != "o") + psum_bytes * len(started)
                steps.append((cost, done | 1 << number, held | set(triple)))
        for element in held:
            cost = 0
            if element[0] == "o":
                cost = 1 if done & parts[element] == parts[element] else psum_bytes
            steps.append((cost, done, held - {element}))
        for cost, then, holding in steps:
            if size(holding) <= capacity:
                ticket += 1
                heappush(queue, (moved + cost, ticket, then, holding))
    raise AssertionError("no order fits")


@pytest.mark.parametrize(
    ("nest", "capacity", "psum_bytes"),
    [
        (product_of(2), 3, 1),
        (product_of(2), 4, 1),
        (product_of(2), 4, 2),
        (conv_nest(k=2, c=1, h=3, w=1, r=2, s=1, pad=0, bias=False), 3, 1),
        (conv_nest(k=2, c=1, g=2, h=2, w=1, r=1, s=1, pad=0, bias=False), 3, 1),
        (conv_nest(k=2, c=1, h=5, w=1, r=2, s=1, pad=0, stride=2, bias=False), 4, 2),
    ],
)
def test_no_order_at_all_moves_less(nest, capacity, psum_bytes):
    least = least_moved(nest, capacity, psum_bytes)
    assert nest.ifmap_bytes + nest.filter_bytes + nest.ofmap_bytes <= least
    assert io_lower_bound_bytes(nest, capacity, psum_bytes=psum_bytes) <= least
