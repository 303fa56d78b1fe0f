"""What no order of a layer's work can go below: bytes between its home and a chip that holds so many bytes.

A Hong-Kung argument for convolutions (``docs/models/io_bound.md`` has the derivation). Cut any execution into segments
that read at most T bytes each. A segment's MACs touch only elements that were on chip at its start (S bytes) or came
in it (T bytes), and of I ifmap elements, F filter elements and O psums no more than √(ρ·I·F·O) MACs can be made, where
ρ is how many (position, tap) pairs an ifmap element serves at most. So there are many segments, and they read much:

    bytes ≥ (⌈V / V_max(S + T)⌉ − 1)·(T − w) − λ·|ofmap| + ofmap bytes + biases      for every T > 0, 0 < λ ≤ psum width

V are the MACs that meet the ifmap and w is the widest element. λ is what a psum that starts is taken to cost: as in the
argument by Smith et al. every psum is read once, and what they did not cost is given back at the end. The bound is the
best over T and λ, and never less than each touched element once.

Sources: Hong, Kung, STOC 1981, doi:10.1145/800076.802486 (the segments); Irony, Toledo, Tiskin, JPDC 64(9), 2004,
doi:10.1016/j.jpdc.2004.03.021 (Loomis-Whitney); Smith, Lowery, Langou, van de Geijn, arXiv:1702.02017 (reads alone, and
T apart from S); Chen, Han, Wang, HPCA 2020, arXiv:1911.05662 (a convolution as a product of matrices in which an ifmap
element stands ρ times); Demmel, Dinh, arXiv:1802.06905. Widths per operand and λ are hwsim's own.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np
import numpy.typing as npt

from hwsim.chip import OPERANDS, Dataflow
from hwsim.cost.candidates import ArraySetup
from hwsim.cost.nest import Nest
from hwsim.cost.spatial import spad_keeps, unrolling
from hwsim.units import BITS_PER_BYTE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Steps per octave of the bytes of a segment, which are 2 S at the best where the layer is large beside the chip. They
# are the same for every capacity, so that the bound never grows with it.
STEPS = 6
# What a psum that starts costs, over the width of a psum.
STARTS = 2.0 ** -np.arange(0, 12, 0.5)
# A whole number of segments, but for what floating point added to it.
ROUNDING = 1e-9


def io_lower_bound_bytes(
    nest: Nest,
    capacity_bytes: npt.ArrayLike,
    *,
    psum_bytes: int = 4,
    coded: tuple[float, float, float] = (1.0, 1.0, 1.0),
    work_share: float = 1.0,
) -> Ints:
    """Return the bytes that cross between a layer's home and a chip at least, in whatever order its MACs are done.

    Args:
        nest: The layer, run by itself: its ifmap and filters come from home, its ofmap goes there.
        capacity_bytes: What the chip holds of ifmap, filter and psums together, PEs' registers included; any shape [B].
        psum_bytes: Width of an unfinished sum, on chip and on its way out and back [B].
        coded: Of ifmap, filter and ofmap, bytes at home over plain bytes.
        work_share: Share of the MACs that are done, where zeros are skipped.

    Returns:
        Bytes of the capacities' shape: the larger of the bound and each touched element once. It holds for the direct
        algorithm, not for Winograd's, whose MACs are others.
    """
    capacity = np.asarray(capacity_bytes, dtype=np.float64)
    shares = dict(zip(OPERANDS, coded, strict=True))
    filters = nest.g * nest.k * nest.c * nest.rows.taps * nest.cols.taps
    finished = nest.ofmap_bytes * shares["ofmap"]
    compulsory = nest.ifmap_bytes * shares["ifmap"] + nest.filter_bytes * shares["filter"] + finished
    # An element takes as much on chip as plain and on its way as coded: the lesser holds for both.
    ifmap = nest.ifmap_bits / BITS_PER_BYTE * min(shares["ifmap"], 1.0)
    filter_ = nest.filter_bits / BITS_PER_BYTE * min(shares["filter"], 1.0)
    start = psum_bytes * STARTS

    macs = nest.n * nest.g * nest.k * nest.c * nest.rows.pairs * nest.cols.pairs * work_share
    # One at least: where every tap is on padding, no MAC is counted anyway.
    met = max(nest.rows.most_pairs * nest.cols.most_pairs, 1)
    segment = 2.0 ** (np.arange(STEPS * (1 + np.ceil(np.log2(compulsory + 1)))) / STEPS)[:, None]
    room = capacity[..., None, None] + segment
    all_ifmap = nest.ifmap_bytes * min(shares["ifmap"], 1.0)
    caps = np.stack(np.broadcast_arrays(all_ifmap, filters * filter_, nest.ofmap_elements * start))
    volume = np.sqrt(met / (ifmap * filter_ * start) * _largest_product(room, caps))
    # An ifmap element serves no more than ρ·K MACs, a filter element those of all pixels, a psum those of its window.
    pixels, window = nest.n * nest.rows.positions * nest.cols.positions, nest.c * nest.rows.taps * nest.cols.taps
    volume = np.minimum(volume, room / (ifmap / (met * nest.k) + filter_ / pixels + start / window))
    segments = np.ceil(macs / np.maximum(volume, ROUNDING) * (1 - ROUNDING))
    widest = max(ifmap, filter_, psum_bytes)
    read = (segments - 1) * np.maximum(segment - widest, 0.0) - nest.ofmap_elements * start
    bound = read.max(axis=(-1, -2)) + finished + nest.bias_bytes * shares["filter"]
    least: Ints = np.floor(np.maximum(bound, compulsory) + ROUNDING).astype(np.int64)
    return least


def _largest_product(total: Floats, caps: Floats) -> Floats:
    """Return the largest product of three amounts that add up to a total, none above its cap.

    Args:
        total: Any shape.
        caps: Shape [3, ...], to be broadcast with it.
    """
    product, left = np.ones_like(total), total
    for cap, among in zip(np.sort(caps, axis=0), (3, 2, 1), strict=True):
        share = np.minimum(cap, left / among)
        product, left = product * share, left - share
    return product


@lru_cache(maxsize=65536)
def array_io_lower_bound_bytes(nest: Nest, setup: ArraySetup, buffer_bytes: int) -> int:
    """Return the lower bound for a layer on an array whose tile buffers hold so many bytes together.

    What the PEs hold counts as capacity, too: no mapping of the array's mapspace moves less.
    """
    found = io_lower_bound_bytes(
        nest,
        buffer_bytes + held_in_array_bytes(nest, setup),
        psum_bytes=setup.psum_bytes,
        coded=coded_shares(nest, setup),
        work_share=min(setup.sparsity.worked_share(flow) for flow in setup.dataflows),
    )
    return int(found)


def coded_shares(nest: Nest, setup: ArraySetup) -> tuple[float, float, float]:
    """Return, of ifmap, filter and ofmap, bytes at home over plain bytes."""
    bits = (nest.ifmap_bits, nest.filter_bits, nest.ofmap_bits)
    ifmap, filter_, ofmap = (
        setup.sparsity.coded_share(operand, width) for operand, width in zip(OPERANDS, bits, strict=True)
    )
    return ifmap, filter_, ofmap


def held_in_array_bytes(nest: Nest, setup: ArraySetup) -> int:
    """Return what the PEs hold of ifmap, filter and psums at most while they work, by the dataflow that holds most."""
    return max(_held(nest, setup, dataflow) for dataflow in setup.dataflows)


def _held(nest: Nest, setup: ArraySetup, dataflow: Dataflow) -> int:
    """Return a word of each operand for each PE, and what PEs keep beside it: filter rows, psums, a block of pixels."""
    pes = setup.rows * setup.cols
    ifmap, filter_, psums = pes, pes, pes
    if dataflow.stationary == "row":
        filters, channels = spad_keeps(nest, dataflow)
        ifmap, filter_, psums = (pes * words for words in (channels * nest.cols.taps, filters * channels, filters))
        filter_ *= nest.cols.taps
    if dataflow.shifts:
        factors = unrolling(nest, dataflow, setup.rows, setup.cols).factors
        block = prod(
            (factors[dim] - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1
            for axis, dim in ((nest.rows, "P"), (nest.cols, "Q"))
        )
        ifmap, psums = block * factors["N"] * factors["G"] * factors["C"], pes * dataflow.kept_filters
    bits = ifmap * nest.ifmap_bits + filter_ * nest.filter_bits
    return -(-bits // BITS_PER_BYTE) + psums * setup.psum_bytes
