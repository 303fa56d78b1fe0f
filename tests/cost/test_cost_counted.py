"""Formulas of the mapspace against counted execution: every byte by memory, direction and tensor, and every cycle."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from nests import nests

from hwsim.chip import DATAFLOWS, Dataflow
from hwsim.cost.counted import execute
from hwsim.cost.nest import DIMS
from hwsim.cost.spatial import CUT
from hwsim.cost.tiling import ORDERS, ArraySetup, mapspace

ROW = Dataflow(name="rs", rows=("R", "C"), cols=("P", "K"), stationary="row", kept_filters=2, kept_channels=2)
PSUM_BYTES = 3  # a width of its own, so that psums and ofmap elements cannot be mistaken for each other


def convolution(nest, ifmap, weights):
    """The same by plain loops over the ofmap, with a padded copy of the ifmap."""
    rows, cols = nest.rows, nest.cols
    reach = [(a.positions - 1) * a.stride + (a.taps - 1) * a.dilation + 1 for a in (rows, cols)]
    padded = np.zeros(
        (*ifmap.shape[:3], *(max(a.size + a.pad, r) for a, r in zip((rows, cols), reach, strict=True))), int
    )
    padded[..., rows.pad : rows.pad + rows.size, cols.pad : cols.pad + cols.size] = ifmap
    ofmap = np.zeros((nest.n, nest.g, nest.k, rows.positions, cols.positions), dtype=np.int64)
    for p in range(rows.positions):
        for q in range(cols.positions):
            y, x = p * rows.stride, q * cols.stride
            window = padded[..., y : y + rows.taps * rows.dilation : rows.dilation, x:]
            window = window[..., : cols.taps * cols.dilation : cols.dilation]
            ofmap[..., p, q] = np.einsum("ngcrs,gkcrs->ngk", window, weights)
    return ofmap


@st.composite
def dataflows(draw):
    kind = draw(st.sampled_from(["named", "row", "own"]))
    if kind == "named":
        return draw(st.sampled_from(list(DATAFLOWS.values())))
    if kind == "row":
        return ROW
    dims = draw(st.permutations(DIMS))
    first, second = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    stationary = draw(st.sampled_from(["filter", "ifmap", "ofmap"]))
    return Dataflow(
        name="own", rows=tuple(dims[:first]), cols=tuple(dims[first : first + second]), stationary=stationary
    )


@settings(max_examples=400, deadline=None)
@given(nest=nests(), dataflow=dataflows(), rows=st.integers(1, 6), cols=st.integers(1, 6), data=st.data())
def test_formulas_equal_counted_execution(nest, dataflow, rows, cols, data):
    setup = ArraySetup(rows=rows, cols=cols, dataflows=(dataflow,), psum_bytes=PSUM_BYTES, copies=1)
    space = mapspace(nest, setup)
    i = data.draw(st.integers(0, len(space) - 1))
    tiles = {dim: int(getattr(space, dim.lower())[i]) for dim in CUT}
    rng = np.random.default_rng(i)
    ifmap = rng.integers(-9, 9, (nest.n, nest.g, nest.c, nest.rows.size, nest.cols.size))
    weights = rng.integers(-9, 9, (nest.g, nest.k, nest.c, nest.rows.taps, nest.cols.taps))
    counts = execute(nest, dataflow, rows, cols, ORDERS[space.order[i]], tiles, ifmap, weights)

    assert (counts.ofmap == convolution(nest, ifmap, weights)).all()
    # Elements are bytes, but for psums.
    assert space.ifmap_bytes[i] == counts.ifmap
    assert space.filter_bytes[i] == counts.filter + nest.bias_bytes
    assert space.psum_in_bytes[i] == counts.psum_in * PSUM_BYTES
    assert space.psum_out_bytes[i] == counts.psum_out * PSUM_BYTES
    assert counts.ofmap_out == nest.ofmap_elements
    assert space.transfers[i] == sum(counts.moves.values())
    assert space.ifmap_fill_bytes[i] == counts.first["ifmap"]
    assert space.filter_fill_bytes[i] == counts.first["filter"]
    assert space.drain_bytes[i] == counts.first["ofmap"]
    # With one copy of a tile the buffer is as full as the largest tile.
    assert space.ifmap_tile_bytes[i] == counts.largest["ifmap"]
    assert space.filter_tile_bytes[i] == counts.largest["filter"]
    keeps_psums = dataflow.stationary == "ofmap"
    finished_only = keeps_psums and tiles["C"] == nest.c
    assert space.ofmap_tile_bytes[i] == counts.largest["ofmap"] * (1 if finished_only else PSUM_BYTES)

    per_reload = 0
    if dataflow.systolic:
        per_reload = rows + cols - 2 + (rows if dataflow.load_exposed else 0)
    assert space.cycles[i] == counts.cycles + per_reload * counts.reloads
    assert space.array_ifmap_bytes[i] == counts.array["ifmap"]
    assert space.array_filter_bytes[i] == counts.array["filter"]
    assert space.psum_read_bytes[i] == counts.array["psum_in"] * PSUM_BYTES
    finished = nest.ofmap_elements if keeps_psums else 0
    assert space.psum_write_bytes[i] == (counts.array["psum_out"] - finished) * PSUM_BYTES + finished
