"""The mapspace: arithmetic by hand, laws, and pruning that loses no optimum."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nests import axes, conv_nest, nests

from hwsim.chip import Dataflow
from hwsim.cost.candidates import ORDERS, ArraySetup, halvings
from hwsim.cost.dominance import non_dominated
from hwsim.cost.nest import Axis
from hwsim.cost.tiling import mapspace, tile_sizes

WS = Dataflow(name="ws", rows=("C",), cols=("K",), stationary="filter")
OS = Dataflow(name="os", rows=("P", "Q"), cols=("K",), stationary="ofmap", flat=True)
SYSTOLIC = Dataflow(name="sys", rows=("C", "R", "S"), cols=("K",), stationary="filter", flat=True, systolic=True)


def setup(*dataflows, rows=4, cols=4, **more):
    return ArraySetup(rows=rows, cols=cols, dataflows=dataflows, psum_bytes=4, **more)


def at(space, *, stays, sweep="P", **tiles):
    """Return the position of the one mapping with these tiles."""
    chosen = space.order == ORDERS.index((stays, sweep, ""))
    for dim, size in tiles.items():
        chosen &= getattr(space, dim) == size
    (found,) = np.flatnonzero(chosen)
    return found


def test_hand_derived_tiles():
    # 3x3 conv, pad 1, 4 rows of 4, 2 channels -> 4 filters; tiles of 2 ofmap rows and 2 filters.
    space = mapspace(conv_nest(k=4, c=2, h=4, w=4, bias=False), setup(WS, copies=1))
    filters_stay = at(space, stays="filter", k=2, c=2, p=2, q=4)
    ifmap_stays = at(space, stays="ifmap", k=2, c=2, p=2, q=4)
    # Each tile of 2 rows reads 3 ifmap rows (one is padding): 3 * 4 * 2 = 24 B; one step down, only one row is new.
    assert space.ifmap_fill_bytes[filters_stay] == 24
    # Filters stay: both K tiles sweep the whole ifmap of 4 * 4 * 2 = 32 B: 64 B. Filters once: 4 * 2 * 9 = 72 B.
    assert (space.ifmap_bytes[filters_stay], space.filter_bytes[filters_stay]) == (64, 72)
    # The ifmap stays: it crosses once, filters for each of two pixel tiles: 144 B.
    assert (space.ifmap_bytes[ifmap_stays], space.filter_bytes[ifmap_stays]) == (32, 144)
    # Tiles, single-buffered: ifmap 24 B, filters 2 * 2 * 9 = 36 B, psums 2 * 2 * 4 pixels * 4 B = 64 B.
    tiles = (space.ifmap_tile_bytes, space.filter_tile_bytes, space.ofmap_tile_bytes)
    assert [column[filters_stay] for column in tiles] == [24, 36, 64]
    # Transfers with filters staying: 2 filter tiles, 4 ifmap tiles, 4 ofmap tiles.
    assert space.transfers[filters_stay] == 10


def test_psums_that_leave_and_come_back_by_hand():
    # 1x1 conv, 4 channels in 2 tiles, 2 filters, 3 x 4 pixels in 3 tiles. Filters stay: each of 24 psums leaves after
    # the first half of the channels and comes back for the second: 24 * 4 B each way.
    space = mapspace(conv_nest(k=2, c=4, h=3, w=4, r=1, s=1, pad=0, bias=False), setup(WS))
    i = at(space, stays="filter", k=2, c=2, p=1, q=4)
    assert (space.psum_in_bytes[i], space.psum_out_bytes[i]) == (96, 96)
    # Channels innermost: none leaves, but filters come for every pixel tile: 8 B * 3.
    i = at(space, stays="ofmap", k=2, c=2, p=1, q=4)
    assert (space.psum_in_bytes[i], space.psum_out_bytes[i], space.filter_bytes[i]) == (0, 0, 24)


def test_two_copies_where_more_than_one_tile_comes():
    nest = conv_nest(k=4, c=2, h=4, w=4, bias=False)
    one, two = (mapspace(nest, setup(WS, copies=copies)) for copies in (1, 2))
    whole = at(one, stays="filter", k=4, c=2, p=4, q=4)
    cut = at(one, stays="filter", k=2, c=2, p=4, q=4)
    assert two.filter_tile_bytes[whole] == one.filter_tile_bytes[whole]
    assert two.filter_tile_bytes[cut] == 2 * one.filter_tile_bytes[cut]
    # The ifmap is in one tile, which stays for both filter tiles.
    assert two.ifmap_tile_bytes[cut] == one.ifmap_tile_bytes[cut]


def test_cycles_of_a_ragged_layer_by_hand():
    # 1x1 conv, 5 channels on 4 rows, 6 filters on 4 columns, 3 x 3 pixels: 2 passes * 2 passes * 9 pixels = 36 cycles.
    space = mapspace(conv_nest(k=6, c=5, h=3, w=3, r=1, s=1, pad=0, bias=False), setup(WS, OS))
    whole = (space.k == 6) & (space.c == 5) & (space.p == 3) & (space.q == 3)
    assert space.cycles[whole & (space.dataflow == 0)].tolist() == [36]
    # Output stationary: 9 pixels on 4 rows -> 3 passes, 6 filters on 4 columns -> 2, 5 channels in time: 30 cycles.
    assert space.cycles[whole & (space.dataflow == 1)].tolist() == [30]


def test_systolic_arrays_fill_and_drain():
    # 1x1 conv, 4 channels, 4 filters, 3 x 3 pixels on 4 x 4: one pass of 9 steps, plus 4 + 4 - 2 to fill and drain.
    nest = conv_nest(k=4, c=4, h=3, w=3, r=1, s=1, pad=0, bias=False)
    space = mapspace(nest, setup(SYSTOLIC))
    whole = at(space, stays="filter", k=4, c=4, p=3, q=3)
    assert space.cycles[whole] == 15
    # Where loading is not hidden, 4 more cycles, one per row.
    exposed = mapspace(nest, setup(SYSTOLIC.model_copy(update={"load_exposed": True})))
    assert exposed.cycles[whole] == 19


def test_array_reads_by_hand():
    # 1x1 conv, C = 8, K = 8, 16 pixels on 4 x 4 PEs: 1024 MACs.
    nest = conv_nest(k=8, c=8, h=4, w=4, r=1, s=1, pad=0, bias=False)
    space = mapspace(nest, setup(WS, OS))
    whole = (space.k == 8) & (space.c == 8) & (space.p == 4) & (space.q == 4)
    (ws,), (os,) = (np.flatnonzero(whole & (space.dataflow == i)) for i in (0, 1))
    # Weight stationary: an ifmap read serves 4 columns -> 256 reads; each weight comes once: 64; a psum sums 4 rows:
    # 256 updates of 128 psums, 4 B each, the first of each reads none.
    assert (space.array_ifmap_bytes[ws], space.array_filter_bytes[ws]) == (256, 64)
    assert (space.psum_write_bytes[ws], space.psum_read_bytes[ws]) == (256 * 4, 128 * 4)
    # Output stationary: an ifmap read serves 4 columns, a weight read 4 rows; psums stay, 128 finished elements leave.
    assert (space.array_ifmap_bytes[os], space.array_filter_bytes[os]) == (256, 256)
    assert (space.psum_write_bytes[os], space.psum_read_bytes[os]) == (128, 0)


def test_a_row_stationary_pe_reuses_an_ifmap_row_for_the_filters_it_keeps():
    # 3x3 conv, C = 4, K = 8, 4 x 4 pixels, pad 1; 3 rows for the taps, 4 columns for the ofmap rows.
    nest = conv_nest(k=8, c=4, h=4, w=4, bias=False)
    for kept, passes in ((1, 8), (4, 2), (100, 1)):
        flow = Dataflow(name="rs", rows=("R",), cols=("P",), stationary="row", kept_filters=kept)
        space = mapspace(nest, setup(flow, rows=3, cols=4))
        whole = at(space, stays="filter", k=8, c=4, p=4, q=4)
        # Each pass takes the ifmap once, all 4 * 4 * 4 elements; each weight comes once: 8 * 4 * 9.
        assert space.array_ifmap_bytes[whole] == 64 * passes
        assert space.array_filter_bytes[whole] == 288
        # 4,608 MACs on 12 PEs.
        assert space.cycles[whole] == 384


@settings(max_examples=60, deadline=None)
@given(nest=nests(), rows=st.integers(1, 8), cols=st.integers(1, 8))
def test_cycles_and_traffic_are_never_below_their_bounds(nest, rows, cols):
    space = mapspace(nest, setup(WS, OS, SYSTOLIC, rows=rows, cols=cols))
    assert (space.cycles * rows * cols >= nest.macs).all()
    assert (space.ifmap_bytes >= nest.ifmap_bytes).all()
    assert (space.filter_bytes >= nest.filter_bytes).all()
    # With everything in one tile nothing crosses twice.
    assert space.ifmap_bytes.min() == nest.ifmap_bytes
    assert space.filter_bytes.min() == nest.filter_bytes


@settings(max_examples=60, deadline=None)
@given(axis=axes(), data=st.data())
def test_touched_against_plain_sets(axis, data):
    tile = data.draw(st.integers(1, axis.positions))
    sets = []
    for start in range(0, axis.positions, tile):
        positions = range(start, min(start + tile, axis.positions))
        reads = {p * axis.stride + t * axis.dilation - axis.pad for p in positions for t in range(axis.taps)}
        sets.append({i for i in reads if 0 <= i < axis.size})
    found = axis.touched(tile)
    assert found.largest == max(map(len, sets))
    assert found.first == len(sets[0])
    assert found.total == sum(map(len, sets))
    assert found.sliding == len(sets[0]) + sum(len(b - a) for a, b in itertools.pairwise(sets))


def test_touched_reads_no_padding_and_no_skipped_rows():
    # 7 rows, 1-tap window, stride 2, no padding: rows 0 2 4 6 are read, 4 in all.
    assert Axis(positions=4, taps=1, stride=2, dilation=1, pad=0, size=7).touched(4).total == 4
    # 3 taps, stride 1, pad 1 over 4 rows: tiles of one position read 2, 3, 3, 2 rows; sliding, 2 and then 1, 1, 0 new.
    axis = Axis(positions=4, taps=3, stride=1, dilation=1, pad=1, size=4)
    touched = axis.touched(1)
    assert (touched.largest, touched.first, touched.total, touched.sliding) == (3, 2, 10, 4)


def test_non_dominated_against_all_pairs():
    rng = np.random.default_rng(1)
    for count, values, quantities in ((200, 5, 3), (500, 1000, 4), (300, 2, 5), (1, 3, 2)):
        rows = rng.integers(0, values, (count, quantities))
        kept = set(non_dominated(rows).tolist())
        for i, row in enumerate(rows):
            beaten = ((rows <= row).all(axis=1) & (rows < row).any(axis=1)).any()
            first = not (rows[:i] == row).all(axis=1).any()
            assert (i in kept) == (not beaten and first)


def test_tile_sizes():
    assert halvings(13) == [13, 7, 4, 2, 1]
    assert halvings(1) == [1]
    # And each rounded up to what 4 rows work on at once.
    assert tile_sizes(13, 4) == [13, 8, 7, 4, 2, 1]


@pytest.mark.parametrize("dims", [("P", "K"), ("C", "P")])
def test_flat_axes_hold_dimensions_of_a_kind(dims):
    with pytest.raises(ValueError, match="lie end to end"):
        Dataflow(name="odd", rows=dims, cols=(), stationary="ofmap", flat=True)
