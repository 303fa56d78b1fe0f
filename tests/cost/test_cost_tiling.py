"""The mapspace: traffic and cycles equal a counted execution, and pruning loses no optimum."""

from itertools import product

import numpy as np
import pytest

from hwsim.chip import Dataflow
from hwsim.cost.nest import Axis, Nest
from hwsim.cost.spatial import buffer_traffic
from hwsim.cost.tiling import CHANNEL_INNER, FILTER_OUTER, IFMAP_OUTER, candidates, ladder, mapspace, non_dominated

WS = Dataflow(name="ws", rows=("C",), cols=("K",), stationary="filter", systolic=False)
OS = Dataflow(name="os", rows=("P", "Q"), cols=("K",), stationary="ofmap", systolic=False)
SYSTOLIC = Dataflow(name="sys", rows=("C", "R", "S"), cols=("K",), stationary="filter", systolic=True)


def conv_nest(*, n=1, g=1, k=4, c=3, h=6, w=5, r=3, s=3, stride=1, pad=1, dilation=1, bias=True):
    def axis(size, taps):
        positions = (size + 2 * pad - (taps - 1) * dilation - 1) // stride + 1
        return Axis(positions=positions, taps=taps, stride=stride, dilation=dilation, pad=pad, size=size)

    return Nest(
        n=n, g=g, k=k, c=c, rows=axis(h, r), cols=axis(w, s), ifmap_bits=8, filter_bits=8, ofmap_bits=8,
        bias_bytes=4 * g * k if bias else 0,
    )  # fmt: skip


def random_nest(rng):
    taps = int(rng.integers(1, 4))
    return conv_nest(
        n=int(rng.integers(1, 3)),
        g=int(rng.integers(1, 4)),
        k=int(rng.integers(1, 6)),
        c=int(rng.integers(1, 5)),
        h=int(rng.integers(3, 8)),
        w=int(rng.integers(3, 8)),
        r=taps,
        s=int(rng.integers(1, 4)),
        stride=int(rng.integers(1, 4)),
        pad=int(rng.integers(0, 2)),
        bias=bool(rng.integers(2)),
    )


def chunks(extent, tile):
    return [range(start, min(start + tile, extent)) for start in range(0, extent, tile)]


def read_indices(axis, positions):
    return {
        p * axis.stride + t * axis.dilation - axis.pad
        for p in positions
        for t in range(axis.taps)
        if 0 <= p * axis.stride + t * axis.dilation - axis.pad < axis.size
    }


def counted(nest, space, i):
    """Walk the loops of mapping ``i``; fetch a tile whenever it is not the one at hand. Bytes are elements (8 bits)."""
    tiles = {d: chunks(e, int(getattr(space, d.lower())[i])) for d, e in nest.extents.items() if d in "GKCPQ"}
    n = [range(x, x + 1) for x in range(nest.n)]
    loops = {
        FILTER_OUTER: ("g", "k", "n", "p", "q", "c"),
        IFMAP_OUTER: ("g", "n", "p", "q", "k", "c"),
        CHANNEL_INNER: ("g", "n", "k", "p", "q", "c"),
    }[int(space.order[i])]
    ranges = {"n": n, **{d.lower(): tiles[d] for d in tiles}}
    at_hand = {"ifmap": None, "filter": None, "ofmap": None}
    bytes_, moves, largest = dict.fromkeys(at_hand, 0), dict.fromkeys(at_hand, 0), dict.fromkeys(at_hand, 0)
    for combination in product(*(range(len(ranges[d])) for d in loops)):
        at = dict(zip(loops, combination, strict=True))
        size = {d: len(ranges[d][at[d]]) for d in loops}
        rows = len(read_indices(nest.rows, ranges["p"][at["p"]]))
        cols = len(read_indices(nest.cols, ranges["q"][at["q"]]))
        keys = {
            "ifmap": (at["n"], at["g"], at["c"], at["p"], at["q"]),
            "filter": (at["g"], at["k"], at["c"]),
            "ofmap": (at["n"], at["g"], at["k"], at["p"], at["q"]),
        }
        sizes = {
            "ifmap": size["g"] * size["c"] * rows * cols,
            "filter": size["g"] * size["k"] * size["c"] * nest.rows.taps * nest.cols.taps,
            "ofmap": size["g"] * size["k"] * size["p"] * size["q"],
        }
        for name, key in keys.items():
            largest[name] = max(largest[name], sizes[name])
            if at_hand[name] != key:
                at_hand[name] = key
                bytes_[name] += sizes[name]
                moves[name] += 1
    return bytes_, moves, largest


@pytest.mark.parametrize("seed", range(12))
def test_formulas_equal_counted_execution(seed):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    space = mapspace(nest, 4, 4, (WS,), 4, True)
    for i in rng.choice(len(space), size=min(len(space), 60), replace=False):
        bytes_, moves, largest = counted(nest, space, i)
        told = (space.order[i], nest, {d: int(getattr(space, d)[i]) for d in "gkcpq"})
        assert space.ifmap_bytes[i] == bytes_["ifmap"], told
        assert space.filter_bytes[i] == bytes_["filter"] + nest.bias_bytes, told
        assert bytes_["ofmap"] == nest.ofmap_bytes, told
        assert space.transfers[i] == sum(moves.values()), told
        assert space.ifmap_fill_bytes[i] == largest["ifmap"], told
        assert space.filter_fill_bytes[i] == largest["filter"], told
        held = sum(largest[name] * (2 if moves[name] > 1 else 1) for name in ("ifmap", "filter"))
        assert space.footprint_bytes[i] == held + 4 * largest["ofmap"], told


def test_hand_derived_tiles():
    # 3x3 conv, pad 1, 4 rows of 4, 2 channels -> 4 filters; tiles of 2 ofmap rows and 2 filters.
    nest = conv_nest(k=4, c=2, h=4, w=4, bias=False)
    space = mapspace(nest, 4, 4, (WS,), 4, False)
    at = np.flatnonzero((space.k == 2) & (space.p == 2) & (space.q == 4) & (space.c == 2))
    filter_outer, ifmap_outer = (int(i) for i in sorted(at, key=lambda i: space.order[i]))
    # Each tile of 2 rows reads 3 ifmap rows (one is padding): 3 * 4 * 2 = 24 B; both tiles 48 B.
    assert space.ifmap_fill_bytes[filter_outer] == 24
    # Filter outer: both K tiles read all the ifmap: 96 B. Filters once: 4 * 2 * 9 = 72 B.
    assert (space.ifmap_bytes[filter_outer], space.filter_bytes[filter_outer]) == (96, 72)
    # Ifmap outer: the ifmap once, filters for each of two pixel tiles: 144 B.
    assert (space.ifmap_bytes[ifmap_outer], space.filter_bytes[ifmap_outer]) == (48, 144)
    # Footprint, single-buffered: 24 + 2*2*9 = 36, psums 2 * 2 * 4 pixels * 4 B = 64.
    assert space.footprint_bytes[filter_outer] == 24 + 36 + 64
    # Transfers, filter outer: 2 filter tiles, 4 ifmap tiles, 4 ofmap tiles.
    assert space.transfers[filter_outer] == 10


def test_cycles_of_a_ragged_layer_by_hand():
    # 1x1 conv, 5 channels on 4 rows, 6 filters on 4 columns, 3 x 3 pixels: 2 folds * 2 folds * 9 pixels = 36 cycles.
    nest = conv_nest(k=6, c=5, h=3, w=3, r=1, s=1, pad=0, bias=False)
    space = mapspace(nest, 4, 4, (WS, OS), 4, True)
    whole = (space.k == 6) & (space.c == 5) & (space.p == 3) & (space.q == 3)
    assert space.cycles[whole & (space.dataflow == 0)].tolist() == [36, 36]
    # Output stationary: 9 pixels on 4 rows -> 3 folds, 6 filters on 4 columns -> 2, 5 channels in time: 30 cycles.
    assert space.cycles[whole & (space.dataflow == 1)].tolist() == [30, 30]
    # Cut into 3 filters each, the second fold disappears but there are two tiles: the same 36.
    cut = (space.k == 3) & (space.c == 5) & (space.p == 3) & (space.q == 3) & (space.dataflow == 0)
    assert space.cycles[cut].tolist() == [36, 36]


def test_systolic_arrays_fill_and_drain():
    # 1x1 conv, 4 channels, 4 filters, 3 x 3 pixels on 4 x 4: one fold of 9 steps, plus 4 + 4 - 2 to fill and drain.
    nest = conv_nest(k=4, c=4, h=3, w=3, r=1, s=1, pad=0, bias=False)
    space = mapspace(nest, 4, 4, (SYSTOLIC,), 4, True)
    whole = (space.k == 4) & (space.c == 4) & (space.p == 3) & (space.q == 3)
    assert set(space.cycles[whole].tolist()) == {15}


def test_cycles_are_never_below_macs_over_array():
    rng = np.random.default_rng(5)
    for _ in range(20):
        nest, rows, cols = random_nest(rng), int(rng.integers(1, 9)), int(rng.integers(1, 9))
        space = mapspace(nest, rows, cols, (WS, OS, SYSTOLIC), 4, True)
        assert (space.cycles * rows * cols >= nest.macs).all()


def test_traffic_is_never_below_compulsory():
    rng = np.random.default_rng(6)
    for _ in range(20):
        nest = random_nest(rng)
        space = mapspace(nest, 4, 4, (WS,), 4, True)
        assert (space.ifmap_bytes >= nest.ifmap_bytes).all()
        assert (space.filter_bytes >= nest.filter_bytes).all()
        # With everything in one tile nothing crosses twice.
        assert space.ifmap_bytes.min() == nest.ifmap_bytes
        assert space.filter_bytes.min() == nest.filter_bytes


@pytest.mark.parametrize("seed", range(6))
def test_pruning_keeps_an_optimum_for_every_objective(seed):
    # Any nondecreasing function of the columns an objective reads must reach its minimum on the front.
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    space = mapspace(nest, 4, 6, (WS, OS), 4, True)
    front = candidates(nest, 4, 6, (WS, OS), 4, True)
    assert len(front) < len(space)
    traffic = [buffer_traffic(nest, dataflow, 4, 6) for dataflow in (WS, OS)]
    reads = np.array([t.ifmap_bytes + t.filter_bytes for t in traffic])
    for _ in range(30):
        weights = rng.exponential(size=5) * (rng.random(5) < 0.7)
        capacity = rng.choice(space.footprint_bytes)

        def value(c, weights=weights, capacity=capacity):
            moved = weights[1] * c.ifmap_bytes + weights[2] * c.filter_bytes
            fill = weights[1] * c.ifmap_fill_bytes + weights[2] * c.filter_fill_bytes + c.drain_bytes
            total = np.maximum(weights[0] * c.cycles, moved) + fill + weights[3] * c.transfers
            total = total + weights[4] * reads[c.dataflow]
            return np.where(c.footprint_bytes <= capacity, total, np.inf).min()

        assert value(front) == value(space)


def test_non_dominated_against_all_pairs():
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 5, (200, 3))
    kept = set(non_dominated(rows).tolist())
    for i, row in enumerate(rows):
        beaten = any((other <= row).all() and (other < row).any() for other in rows)
        first = not any((rows[j] == row).all() for j in range(i))
        assert (i in kept) == (not beaten and first)


def test_ladder():
    assert ladder(13) == [13, 7, 4, 2, 1]
    assert ladder(1) == [1]


def test_buffer_traffic_by_hand():
    # 1x1 conv, C = 8, K = 8, 16 pixels on 4 x 4 PEs: 1024 MACs.
    nest = conv_nest(k=8, c=8, h=4, w=4, r=1, s=1, pad=0, bias=False)
    # Weight stationary, C on rows, K on columns: one ifmap read serves 4 columns -> 256 reads;
    # a weight stays for the 16 pixels -> 64 reads, each weight once.
    assert buffer_traffic(nest, WS, 4, 4) == type(buffer_traffic(nest, WS, 4, 4))(256, 64, 128)
    # Output stationary, pixels on rows, K on columns: ifmap read serves 4 columns, weight read serves 4 rows.
    assert buffer_traffic(nest, OS, 4, 4).ifmap_bytes == 256
    assert buffer_traffic(nest, OS, 4, 4).filter_bytes == 256


def test_touched_reads_no_padding_and_no_skipped_rows():
    # 7 rows, 1-tap window, stride 2, no padding: rows 0 2 4 6 are read, 4 in all.
    axis = Axis(positions=4, taps=1, stride=2, dilation=1, pad=0, size=7)
    assert axis.touched(4) == (4, 4)
    # 3 taps, stride 1, pad 1 over 4 rows: tile of one position reads 2, 3, 3, 2 rows.
    axis = Axis(positions=4, taps=3, stride=1, dilation=1, pad=1, size=4)
    assert axis.touched(1) == (3, 10)
    assert axis.touched(4) == (4, 4)


def test_a_row_stationary_pe_reuses_an_ifmap_row_for_the_filters_it_keeps():
    # 3x3 conv, C = 4, K = 8, 4 x 4 pixels: 4,608 MACs; one PE: an ifmap element meets 3 taps of each kept filter,
    # a weight the 4 columns of its row.
    nest = conv_nest(k=8, c=4, h=4, w=4, bias=False)
    for kept, reads in ((1, 4608 // 3), (4, 4608 // 12), (100, 4608 // 24)):
        flow = Dataflow(name="rs", rows=("R",), cols=("P",), stationary="row", kept_filters=kept)
        traffic = buffer_traffic(nest, flow, 1, 1)
        assert traffic.ifmap_bytes == reads
        assert traffic.filter_bytes == 4608 // 4
