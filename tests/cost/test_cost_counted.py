"""Formulas of the mapspace against counted execution: every byte by memory, direction and tensor, and every cycle."""

from math import ceil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from nests import nests

from hwsim.chip import DATAFLOWS, Dataflow
from hwsim.cost.blocks import Blocks
from hwsim.cost.candidates import ORDERS, ArraySetup
from hwsim.cost.counted import execute
from hwsim.cost.nest import DIMS
from hwsim.cost.spatial import CUT
from hwsim.cost.tiling import mapspace

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
    kind = draw(st.sampled_from(["named", "row", "own", "shifts", "blocks"]))
    if kind == "blocks":
        # Channels and taps in one sum, pixels and filters (or groups) beside each other; weights take their time.
        choices = [(("C", "R", "S"), ("K", "Q", "P")), (("R", "S"), ("G", "Q")), (("S", "R"), ("K",))]
        axes = draw(st.sampled_from(choices))
        joined = tuple(dim for dim in axes[0] if dim != "C")
        caps = {dim: draw(st.integers(1, 3)) for dim in {"C", "K", "G", "Q", joined[0]} & {*axes[0], *axes[1]}}
        least = draw(st.integers(1, 5))
        return Dataflow(
            name="blocks",
            rows=axes[0],
            cols=axes[1],
            at_most=caps,
            joined=joined,
            least_passes=least,
            stationary="filter",
        )
    if kind == "shifts":
        axes = draw(st.sampled_from([(("P",), ("Q",)), (("P", "K"), ("Q",)), (("C",), ("Q", "P")), (("P",), ("G",))]))
        return Dataflow(
            name="os", rows=axes[0], cols=axes[1], stationary="ofmap", shifts=True, kept_filters=draw(st.integers(1, 3))
        )
    if kind == "named":
        return draw(st.sampled_from(list(DATAFLOWS.values())))
    dims = draw(st.permutations(DIMS))
    first, second = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    axes = {"rows": tuple(dims[:first]), "cols": tuple(dims[first : first + second])}
    if draw(st.booleans()) and first:
        # A dimension on both axes, which the rows take what is left of.
        axes["cols"] = (dims[0], *axes["cols"])
    caps = {dim: 2 for dim in {*axes["rows"], *axes["cols"]} if draw(st.booleans())}
    if kind == "own":
        stationary = draw(st.sampled_from(["filter", "ifmap", "ofmap"]))
        return Dataflow(name="own", **axes, at_most=caps, stationary=stationary)
    if draw(st.booleans()):
        axes, caps = {"rows": ("R", "P", "C", "K"), "cols": ("P",)}, {"C": 2}
    # Filter rows and windows are read whole by a row-stationary PE.
    axes = {axis: tuple(dim for dim in on if dim not in "NQS") for axis, on in axes.items()}
    spads = {"ifmap": 4, "filter": 6, "psum": 2} if draw(st.booleans()) else {}
    return Dataflow(
        name="rs",
        **axes,
        at_most={dim: most for dim, most in caps.items() if dim in {*axes["rows"], *axes["cols"]}},
        stationary="row",
        kept_filters=draw(st.integers(1, 3)),
        kept_channels=draw(st.integers(1, 3)),
        spad_words=spads,
        load_exposed=draw(st.booleans()),
        padding_read=draw(st.booleans()),
    )


@settings(max_examples=400, deadline=None)
@given(nest=nests(), dataflow=dataflows(), rows=st.integers(1, 6), cols=st.integers(1, 6), data=st.data())
def test_formulas_equal_counted_execution(nest, dataflow, rows, cols, data):
    # An engine that works block by block fetches each block's ifmap anew; blocks need not be whole micro-blocks here.
    anew = data.draw(st.booleans())
    setup = ArraySetup(
        rows=rows,
        cols=cols,
        dataflows=(dataflow,),
        psum_bytes=PSUM_BYTES,
        copies=1,
        bus=(2, 3, 5),
        blocks=Blocks(in_flight=1 if anew else None),
    )
    space = mapspace(nest, setup)
    i = data.draw(st.integers(0, len(space) - 1))
    tiles = {dim: int(getattr(space, dim.lower())[i]) for dim in CUT}
    rng = np.random.default_rng(i)
    ifmap = rng.integers(-9, 9, (nest.n, nest.g, nest.c, nest.rows.size, nest.cols.size))
    weights = rng.integers(-9, 9, (nest.g, nest.k, nest.c, nest.rows.taps, nest.cols.taps))
    counts = execute(nest, dataflow, rows, cols, ORDERS[space.order[i]], tiles, ifmap, weights, anew)

    assert (counts.ofmap == convolution(nest, ifmap, weights)).all()
    # Elements are bytes, but for psums.
    assert space.ifmap_bytes[i] == counts.ifmap
    assert space.filter_bytes[i] == counts.filter + nest.bias_bytes
    assert space.psum_in_bytes[i] == counts.psum_in * PSUM_BYTES
    assert space.psum_out_bytes[i] == counts.psum_out * PSUM_BYTES
    assert counts.ofmap_out == nest.ofmap_elements
    assert space.blocks[i] == counts.blocks
    assert space.transfers[i] == sum(counts.moves.values())
    assert space.ifmap_fill_bytes[i] == counts.first["ifmap"]
    assert space.filter_fill_bytes[i] == counts.first["filter"]
    assert space.drain_bytes[i] == counts.first["ofmap"]
    # With one copy of a tile the buffer is as full as the largest tile.
    assert space.ifmap_tile_bytes[i] == counts.largest["ifmap"]
    assert space.filter_tile_bytes[i] == counts.largest["filter"]
    keeps_psums = dataflow.stationary == "ofmap"
    finished_only = keeps_psums and tiles["C"] == nest.c
    if not anew:
        assert space.ofmap_tile_bytes[i] == counts.largest["ofmap"] * (1 if finished_only else PSUM_BYTES)

    per_reload = 0
    if dataflow.systolic:
        per_reload = rows + cols - 2 + (rows if dataflow.load_exposed else 0)
    assert space.cycles[i] == counts.cycles + per_reload * counts.reloads
    # Networks of 2, 3 and 5 B per cycle: psums come and go beside filters and the ifmap.
    array, waits = counts.array, dataflow.load_exposed and dataflow.stationary == "row"
    filters, window = ceil(array["filter"] / 3), ceil(counts.window_loads / 2)
    back = space.psum_write_bytes[i]
    psums = max(ceil(array["psum_in"] * PSUM_BYTES / 5), ceil(back / 5))
    assert space.bus_cycles[i] == max(ceil(array["ifmap"] / 2), psums, 0 if waits else filters)
    assert space.load_cycles[i] == (filters + window if waits else 0)
    assert space.array_ifmap_bytes[i] == counts.array["ifmap"]
    assert space.array_filter_bytes[i] == counts.array["filter"]
    assert space.psum_read_bytes[i] == counts.array["psum_in"] * PSUM_BYTES
    finished = nest.ofmap_elements if keeps_psums else 0
    assert space.psum_write_bytes[i] == (counts.array["psum_out"] - finished) * PSUM_BYTES + finished
