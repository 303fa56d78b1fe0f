"""Array model: the layers a MAC array runs, each with the best of its mappings at every hardware point.

The choice is made among candidates that pruning has left (``tiling``), at all points of an array's shape at once
(``choosing``). What a mapping costs is in ``array_time``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import inf

import numpy as np
import numpy.typing as npt

from hwsim.chip import OPERANDS, ArrayEngine, Chip, HardwarePoints, Transfers, rate_dtype
from hwsim.cost.array_kernels import pace
from hwsim.cost.array_time import OBJECTIVES, Moves, Rates, Times, buffer_names, objective_of, prices_of, times_of
from hwsim.cost.blocks import Blocks
from hwsim.cost.candidates import ArraySetup, Candidates, buffer_traffic, operand_traffic
from hwsim.cost.choosing import choose
from hwsim.cost.differences import absorbed
from hwsim.cost.hooks import coded
from hwsim.cost.kept import AS_ALONE, Variant
from hwsim.cost.nest import Nest
from hwsim.cost.preferences import preferred
from hwsim.cost.residency import Residency
from hwsim.cost.stages import pipelined_cycles
from hwsim.cost.tiling import Prices, candidates
from hwsim.cost.workload import Row, filter_share, image_rate
from hwsim.errors import CostError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flows:
    """What mappings move through each port, of each tensor, and the MACs they do; integers, of any shape.

    Attributes:
        ifmap: Bytes of the ifmap read from its home.
        filter: Of filters and biases.
        ofmap: Of the ofmap, written home.
        psum_in: Psums read from the activations' home; ``psum_out`` likewise written.
        ifmap_read: Bytes of the ifmap read from its buffer; ``ifmap_written`` likewise written.
        filter_read: Of the filter; ``filter_written`` likewise.
        ofmap_read: What leaves the ofmap's buffer for good; ``ofmap_written`` what was written there of it, and what
            stays there as finished elements.
        psum_read: All that comes and goes before; ``psum_written`` likewise.
        macs_done: MACs that take their cycle.
        macs_priced: MACs that take energy.
        ifmap_tile: What the ifmap takes of its buffer; ``filter_tile`` and ``ofmap_tile`` likewise.
    """

    ifmap: Ints
    filter: Ints
    ofmap: Ints
    psum_in: Ints
    psum_out: Ints
    ifmap_read: Ints
    ifmap_written: Ints
    filter_read: Ints
    filter_written: Ints
    ofmap_read: Ints
    ofmap_written: Ints
    psum_read: Ints
    psum_written: Ints
    macs_done: Ints
    macs_priced: Ints
    ifmap_tile: Ints
    filter_tile: Ints
    ofmap_tile: Ints

    @classmethod
    def of(cls, table: Candidates, home_reads: Ints, buffer_reads: Ints) -> Flows:
        """Return the flows of candidates.

        Args:
            table: The candidates.
            home_reads: What layers fused to each read besides from the activations' home.
            buffer_reads: Likewise from the buffer.
        """
        traffic = {operand: operand_traffic(table, operand) for operand in OPERANDS}
        read, written = traffic["ofmap"]
        finished = table.ofmap_read_bytes + table.kept_ofmap_bytes
        return cls(
            ifmap=coded(table.ifmap_bytes, table.ifmap_coded) + coded(home_reads, table.ifmap_coded),
            filter=coded(table.filter_bytes, table.filter_coded),
            ofmap=coded(table.ofmap_bytes, table.ofmap_coded),
            psum_in=table.psum_in_bytes,
            psum_out=table.psum_out_bytes,
            ifmap_read=traffic["ifmap"][0] + buffer_reads,
            ifmap_written=traffic["ifmap"][1],
            filter_read=traffic["filter"][0],
            filter_written=traffic["filter"][1],
            ofmap_read=table.ofmap_read_bytes,
            ofmap_written=finished,
            psum_read=read - table.ofmap_read_bytes,
            psum_written=written - finished,
            macs_done=table.macs_done,
            macs_priced=table.macs_priced,
            ifmap_tile=table.ifmap_tile_bytes,
            filter_tile=table.filter_tile_bytes,
            ofmap_tile=table.ofmap_tile_bytes,
        )

    def take(self, index: np.ndarray) -> Flows:
        """Return the flows at these positions."""
        return Flows(*(getattr(self, name)[index] for name in self.__slots__))


@dataclass(frozen=True)
class Space:
    """Candidates of several layers and what is known of each, columns of one length.

    Attributes:
        table: The mappings.
        moves: What times and energies read of them.
        flows: What they move through each port.
        owner: The layer of each.
    """

    table: Candidates
    moves: Moves
    flows: Flows
    owner: npt.NDArray[np.intp]

    def take(self, index: np.ndarray) -> Space:
        """Return some of the candidates."""
        return Space(self.table.take(index), self.moves.take(index), self.flows.take(index), self.owner[index])

    @classmethod
    def joined(cls, parts: Sequence[Space]) -> Space:
        """Return the candidates of all parts, one after the other."""

        def columns(name: str, names: Iterable[str]) -> list[np.ndarray]:
            every = [[getattr(getattr(part, name), column) for part in parts] for column in names]
            return [np.concatenate(some, axis=-1) for some in every]

        return cls(
            Candidates.joined([part.table for part in parts]),
            Moves(*columns("moves", Moves.__slots__)),
            Flows(*columns("flows", Flows.__slots__)),
            np.concatenate([part.owner for part in parts]),
        )


@dataclass(frozen=True)
class Mapped:
    """The chosen mapping of layers with MACs and what it costs, arrays of shape [layer, point].

    Attributes:
        space: Candidates among which the mappings were chosen.
        choice: Index of the chosen one; of the smallest footprint where none fits.
        rates: Of the points.
        transfers: How transfers and computing share the time.
    """

    space: Space
    choice: npt.NDArray[np.intp]
    rates: Rates
    transfers: Transfers

    @cached_property
    def moves(self) -> Moves:
        """What the chosen mappings move."""
        return self.space.moves.take(self.choice)

    @cached_property
    def times(self) -> Times:
        """Times in cycles."""
        return times_of(self.moves, self.rates, self.transfers)

    @cached_property
    def feasible(self) -> npt.NDArray[np.bool_]:
        """Whether any tile fits the buffers; where not, times are nan."""
        return self._wide(np.isfinite(self.times.latency))

    @cached_property
    def cycles(self) -> Floats:
        """Array cycles."""
        return self._wide(self.moves.cycles)

    @property
    def compute_s(self) -> Floats:
        """Array time."""
        return self.cycles * self.rates.cycle_s

    @property
    def buffer_s(self) -> list[Floats]:
        """Busy time of each tile buffer's port, in the order of ``buffer_names``."""
        return [self._seconds(port) for port in self.times.ports]

    @property
    def activation_s(self) -> Floats:
        """Busy time of the activations' home."""
        return self._seconds(self.times.activation)

    @property
    def weight_s(self) -> Floats:
        """Busy time of the weights' home, zero where it is the activations'."""
        return self._seconds(self.times.weight)

    @property
    def overhead_s(self) -> Floats:
        """First fill and last drain, or the latency of all transfers."""
        return self._seconds(np.where(self.feasible, self.times.overhead, np.nan))

    @property
    def latency_s(self) -> Floats:
        """All of it."""
        return self._seconds(np.where(self.feasible, self.times.latency, np.nan))

    @cached_property
    def flows(self) -> Flows:
        """What the chosen mappings move through each port."""
        return self.space.flows.take(self.choice)

    @cached_property
    def tiles(self) -> Candidates:
        """The chosen mappings, each column of shape [layer, point]."""
        return self.space.table.take(self.choice)

    @property
    def values(self) -> Floats:
        """Every objective, in the order of ``OBJECTIVES`` and in units of a point's own, [objective, layer, point].

        Cycles, pJ, their product and bytes; infinite where nothing fits.
        """
        latency = self.times.latency
        return np.stack([self._wide(objective_of(name, self.moves, self.rates, latency)) for name in OBJECTIVES])

    def pick(self, which: npt.NDArray[np.intp]) -> Mapped:
        """Return other rows of the same columns: at [layer, point] that of index ``which[layer, point]``."""
        return replace(self, choice=np.take_along_axis(self.choice, which, axis=0))

    def at(self, points: slice) -> Mapped:
        """Return the mappings of some of the points."""
        return replace(self, choice=self.choice[:, points], rates=self.rates.at(points))

    def absorbed(self) -> Mapped:
        """Return the same choice with what all points share worked out: of its times the latency alone has meaning."""
        moves, rates = absorbed(self.space.moves, self.rates)
        return replace(self, space=replace(self.space, moves=moves), rates=rates)

    def _wide(self, column: np.ndarray) -> np.ndarray:
        return np.broadcast_to(column, self.choice.shape)

    def _seconds(self, cycles: Floats) -> Floats:
        return self._wide(cycles * self.rates.cycle_s)


def array_setup(engine: ArrayEngine, chip: Chip, rows: int, cols: int) -> ArraySetup:
    """Return what the mapspaces of an array of this size depend on."""
    held = engine.buffers(chip)
    names = buffer_names(engine, chip)
    mode = chip.memory(names[0]).transfers if names else "ideal"
    ifmap, filter_, ofmap = (names.index(held[operand]) if operand in held else -1 for operand in OPERANDS)
    bus = engine.bus_bytes_per_cycle
    return ArraySetup(
        rows=rows,
        cols=cols,
        dataflows=engine.dataflow_table,
        psum_bytes=engine.psum_bytes,
        buffers=(ifmap, filter_, ofmap),
        copies=2 if mode == "double_buffered" else 1,
        filled=mode == "double_buffered",
        bus=(bus.get("ifmap", inf), bus.get("filter", inf), bus.get("psum", inf)),
        sparsity=engine.sparsity,
        stage_per_cycle=engine.stage_per_cycle.get("macs", inf),
        blocks=Blocks.of(engine),
        channel_cycles=engine.channel_cycles,
        prefetched=engine.prefetches_filters,
        counts_blocks="macs" in engine.stage_per_cycle or bool(engine.prefers),
        sub_array=engine.sub_array,
    )


def layer_setup(setup: ArraySetup, share: float | None, image: float) -> ArraySetup:
    """Return what one layer's mapspace depends on: an array's setup with what is the layer's own.

    Args:
        setup: The array's.
        share: ``filter_share`` of the layer.
        image: ``image_rate`` of the layer.
    """
    sparsity = setup.sparsity if share is None else setup.sparsity.with_filters(share)
    return replace(setup, sparsity=sparsity, image_rate=image)


# Nest, dtype, whether the filter is an activation, its share of bytes in code where its values decide that, the bytes
# of the ifmap that come in a cycle where it is an image, cycles per cycle of a mapping, and what of the layer is not as
# if it ran alone.
Layer = tuple[Nest, str, bool, float | None, float, float, Variant]


def map_layers(
    layers: Sequence[Row],
    engine: ArrayEngine,
    points: HardwarePoints,
    residency: Residency,
    objective: str,
    variants: Sequence[Variant] | None = None,
) -> Mapped:
    """Map every layer with MACs at every point.

    Args:
        layers: Rows with a nest.
        engine: The array.
        points: Hardware points.
        residency: Homes of weights and activations.
        objective: One of ``OBJECTIVES``; ties are broken by the next in that order.
        variants: What of each layer is kept, and what is in the buffers beside it; default: nothing.

    Returns:
        Arrays of shape [layer, point].
    """
    beside = [AS_ALONE] * len(layers) if variants is None else variants
    keys = [
        (
            row.nest,
            row.dtype,
            row.activation_filter,
            filter_share(row, engine),
            image_rate(row, engine),
            pace(row, engine),
            variant,
        )
        for row, variant in zip(layers, beside, strict=True)
        if row.nest is not None
    ]
    distinct = list(dict.fromkeys(keys))
    position = {key: index for index, key in enumerate(distinct)}
    where = np.array([position[key] for key in keys])
    dtypes = list(dict.fromkeys(dtype for _, dtype, *_ in distinct))
    rates = Rates.of(engine, points, residency, dtypes)
    names = buffer_names(engine, points.chip)
    transfers = points.chip.memory(names[0]).transfers if names else "ideal"
    choice = np.zeros((len(distinct), points.count), dtype=np.intp)
    spaces, length = [], 0
    fused = any(variant.lane_ops for *_, variant in distinct)
    for group in _groups(engine, points, residency, by_lanes=fused):
        setup = array_setup(engine, points.chip, group.rows, group.cols)
        here = rates.at(group.points)
        space = _space(
            tuple(distinct),
            tuple(dtypes),
            setup,
            prices_of(here, together=group.together),
            tuple(macs_per_pe(engine, dtype) for dtype in dtypes),
            Lanes(group.lanes, takes_turns=transfers == "serial"),
        )
        best = _choose(engine, space, here, transfers, objective)
        # Of thousands of candidates few are chosen anywhere; these stay near at hand.
        chosen = np.zeros(len(space.owner), dtype=bool)
        chosen[best] = True
        place = np.cumsum(chosen) + (length - 1)
        choice[:, group.points] = place[best]
        spaces.append(space.take(np.flatnonzero(chosen)))
        length = int(place[-1]) + 1
    return Mapped(Space.joined(spaces), choice[where], rates, transfers)


def _choose(
    engine: ArrayEngine, space: Space, rates: Rates, transfers: Transfers, objective: str
) -> npt.NDArray[np.integer]:
    """Return the index of each layer's mapping at each point of a group, shape [layer, point]."""
    moves, owner = space.moves, space.owner
    if not engine.prefers:
        return choose(moves, owner, rates, transfers, objective)
    best = np.empty((int(owner[-1]) + 1, rates.read.shape[-1]), dtype=np.intp)
    capacities, of = np.unique(rates.sizes, axis=1, return_inverse=True)
    for number, capacity in enumerate(capacities.T.tolist()):
        at = np.flatnonzero(of.reshape(-1) == number)
        first = preferred(space.table, owner, list(moves.tiles.astype(np.int64)), capacity, engine.prefers)
        best[:, at] = first[choose(moves.take(first), owner[first], rates.at(at), transfers, objective)]
    return best


@dataclass(frozen=True, slots=True)
class _Group:
    """Points that share an array's shape, and whether both homes are one memory.

    Attributes:
        points: Their indices.
        rows: Rows of the array.
        cols: Columns of the array.
        together: Whether weights and activations have the same home.
        lanes: Vector lanes; 0 where nothing is fused.
    """

    points: npt.NDArray[np.intp]
    rows: int
    cols: int
    together: bool
    lanes: int


@dataclass(frozen=True, slots=True)
class Lanes:
    """Vector lanes that work on an ofmap as it leaves.

    Attributes:
        count: How many there are.
        takes_turns: Whether the array waits for them, as it does for transfers.
    """

    count: int
    takes_turns: bool

    def beside(self, cycles: Floats, ops: Ints) -> Floats:
        """Return the cycles of array and lanes together."""
        if not ops.any():
            return cycles
        lanes = np.ceil(ops / self.count)
        return cycles + lanes if self.takes_turns else np.maximum(cycles, lanes)


def _groups(engine: ArrayEngine, points: HardwarePoints, residency: Residency, *, by_lanes: bool) -> Iterator[_Group]:
    """Yield points group by group, those of other vector lanes apart where asked for."""
    hardware = points.engine(engine.name)
    together = residency.activations.index == residency.weights.index
    lanes = hardware.vector_lanes if by_lanes else np.zeros(1)
    shared = np.stack(np.broadcast_arrays(hardware.rows, hardware.cols, together, lanes)).astype(np.int64)
    shapes, owner = np.unique(shared, axis=1, return_inverse=True)
    for index, (rows, cols, one_home, width) in enumerate(shapes.T.tolist()):
        yield _Group(np.flatnonzero(owner.reshape(-1) == index), rows, cols, bool(one_home), width)


# A space is some megabytes.
@lru_cache(maxsize=128)
def _space(
    layers: tuple[Layer, ...],
    dtypes: tuple[str, ...],
    setup: ArraySetup,
    prices: Prices,
    macs_per_cycle: tuple[float, ...],
    lanes: Lanes,
) -> Space:
    """Return the candidates of layers end to end."""
    sets = []
    for nest, _, from_activations, share, image, _, variant in layers:
        mine = replace(prices, together=prices.together or from_activations)
        sets.append(candidates(nest, layer_setup(setup, share, image), mine, variant.kept))
    lengths = np.array([len(found) for found in sets])
    owner = np.repeat(np.arange(len(sets)), lengths)
    table = Candidates.joined(sets)
    together = np.array([prices.together or from_activations for _, _, from_activations, *_ in layers])[owner]
    dtype = np.array([dtypes.index(dtype) for _, dtype, *_ in layers])[owner]
    traffic = [buffer_traffic(table, setup, index) for index in range(setup.buffer_count)]
    beside = np.array([variant.in_buffers(setup.buffer_count) for *_, variant in layers]).T[:, owner]
    waits = np.array([_waits(layer, prices) for layer in layers], dtype=np.float64)[owner].T
    empty = np.zeros((0, len(table)))
    lane_ops, home_reads, buffer_reads = (
        np.array([getattr(variant, name) for *_, variant in layers], dtype=np.int64)[owner]
        for name in ("lane_ops", "home_reads", "buffer_reads")
    )
    flows = Flows.of(table, home_reads, buffer_reads)
    ifmap, filter_, ofmap = flows.ifmap, flows.filter, flows.ofmap
    filter_fill = coded(table.filter_fill_bytes, table.filter_coded)
    outputs = np.array([nest.ofmap_elements for nest, *_ in layers])[owner]
    paces = np.array([paced for *_, paced, _ in layers])[owner]
    moves = Moves(
        cycles=lanes.beside(array_cycles(table, outputs, np.array(macs_per_cycle)[dtype], setup) * paces, lane_ops),
        reads=(ifmap + table.psum_in_bytes + np.where(together, filter_, 0)).astype(np.float64),
        writes=(ofmap + table.psum_out_bytes).astype(np.float64),
        stored=np.where(together, 0.0, filter_),
        fill=(coded(table.ifmap_fill_bytes, table.ifmap_coded) + np.where(together, filter_fill, 0)).astype(np.float64),
        stored_fill=np.where(together, 0.0, filter_fill),
        drain=coded(table.drain_bytes, table.ofmap_coded).astype(np.float64),
        transfers=table.transfers.astype(np.float64),
        moved=(ifmap + filter_ + ofmap + table.psum_in_bytes + table.psum_out_bytes).astype(np.float64),
        macs=table.macs_priced.astype(np.float64),
        dtype=dtype,
        tiles=np.array(table.buffer_bytes(setup), dtype=np.float64) + beside if traffic else empty,
        buffer_reads=np.array(
            [reads + (buffer_reads if at == setup.buffers[2] else 0) for at, (reads, _) in enumerate(traffic)],
            dtype=np.float64,
        )
        if traffic
        else empty,
        buffer_writes=np.array([writes for _, writes in traffic], dtype=np.float64) if traffic else empty,
        pj=np.zeros(len(table)),
        first_waits=waits[0],
        home_waits=waits[1],
    )
    return Space(table, moves, flows, owner)


def array_cycles(table: Candidates, outputs: Ints, macs_per_cycle: Floats, setup: ArraySetup) -> Floats:
    """Return the cycles of mappings at so many MACs per PE and cycle, shape [candidate].

    Args:
        table: The mappings.
        outputs: Elements of the ofmap of each one's layer.
        macs_per_cycle: MACs of a PE per cycle at the layer's dtype.
        setup: The array.
    """
    macs: Floats = np.maximum(np.ceil(table.cycles / macs_per_cycle), table.bus_cycles) + table.load_cycles
    waits = table.channel_reads.astype(np.float64) * setup.channel_cycles
    return pipelined_cycles(macs, outputs, table.blocks, setup.stage_per_cycle, setup.blocks.in_flight, waits)


def _waits(layer: Layer, prices: Prices) -> tuple[bool, bool]:
    """Return whether a layer's first tiles wait for the activations' home, and whether anything crosses its port."""
    _, _, from_activations, *_, variant = layer
    filters = (prices.together or from_activations) and not variant.kept.filter
    first = filters or not variant.kept.ifmap
    return first, first or variant.home_reads > 0 or not variant.kept.ofmap


def macs_per_pe(engine: ArrayEngine, dtype: str) -> float:
    """Return the MACs one PE does in a cycle at a dtype.

    Raises:
        CostError: The engine's profile has no rate for it.
    """
    rate = engine.macs_per_pe.get(rate_dtype(dtype))
    if rate is None:
        known = ", ".join(engine.macs_per_pe)
        raise CostError(f"engine {engine.name!r} does no {dtype} MACs; it does {known}: cost the net with --dtype")
    return rate
