"""Times and energies of array mappings: what they move, what a byte and a cycle cost at each point, and the objectives.

Time of a mapping whose buffers are double-buffered: the first tiles fill them, then computing, every buffer's port and
every home memory's port run side by side and the slowest decides, then the last ofmap tile drains:

    latency = max(fill + max(compute, buffer ports) + drain, each home's transfers, fill and drain among them)

With ``serial`` transfers computing and transfers take turns, and every transfer waits for its memory's latency; with
``ideal`` ones everything overlaps and neither fill nor drain counts, as several other tools assume. Traffic of a
mapping never depends on the clock or the bandwidth, but the choice among mappings does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwsim.chip import ArrayEngine, Chip, HardwarePoints, Transfers
from hwsim.cost.residency import Residency
from hwsim.cost.tiling import Prices
from hwsim.units import J_PER_PJ

Floats = npt.NDArray[np.float64]

OBJECTIVES = ("latency", "energy", "edp", "traffic")
# Rates that are equal but for rounding: a clock that cancels out of them leaves some.
ROUNDING = 1e-14


def buffer_names(engine: ArrayEngine, chip: Chip) -> list[str]:
    """Return an array's tile buffers, nearest first."""
    return list(dict.fromkeys(engine.buffers(chip).values()))


@dataclass(frozen=True, slots=True)
class Rates:
    """What a byte, a cycle and an access cost at each point; times in cycles of the array, arrays of shape [point].

    Attributes:
        cycle_s: Time of a cycle [s].
        read: Of a byte read from the activations' home [cycle/B]; ``write`` likewise of one written.
        latency: Before a transfer there [cycle].
        store_read: Of a byte read from the weights' home [cycle/B].
        store_latency: Before a transfer there [cycle]; none where filters are fetched ahead.
        read_pj: Energy of a byte read from the activations' home [pJ/B]; ``write_pj`` likewise of one written.
        store_pj: Of a byte read from the weights' home [pJ/B].
        static_pj: Static energy of a cycle [pJ].
        mac_pj: Energy of a MAC by dtype [pJ], shape [dtype, point].
        sizes: Usable bytes of each buffer, [buffer, point].
        buffer_read: Of a byte read from it [cycle/B]; ``buffer_write`` likewise of one written.
        buffer_read_pj: Energy of a byte read from it [pJ/B]; ``buffer_write_pj`` likewise of one written.
    """

    cycle_s: Floats
    read: Floats
    write: Floats
    latency: Floats
    store_read: Floats
    store_latency: Floats
    read_pj: Floats
    write_pj: Floats
    store_pj: Floats
    static_pj: Floats
    mac_pj: Floats
    sizes: Floats
    buffer_read: Floats
    buffer_write: Floats
    buffer_read_pj: Floats
    buffer_write_pj: Floats

    @classmethod
    def of(cls, engine: ArrayEngine, points: HardwarePoints, residency: Residency, dtypes: Sequence[str]) -> Rates:
        """Return the rates of all points."""
        home, store = residency.activations, residency.weights
        clock = points.engine(engine.name).clock_hz
        buffers = [points.memory(name) for name in buffer_names(engine, points.chip)]

        def wide(*columns: np.ndarray) -> Floats:
            return np.array([np.broadcast_to(column, points.count) for column in columns]).reshape(-1, points.count)

        return cls(
            cycle_s=wide(1.0 / clock)[0],
            read=home.read_s_per_byte * clock,
            write=home.write_s_per_byte * clock,
            latency=home.latency_s * clock,
            store_read=store.read_s_per_byte * clock,
            # What is fetched during the layer before waits there.
            store_latency=store.latency_s * clock * (not engine.prefetches_filters),
            read_pj=home.read_pj_per_byte,
            write_pj=home.write_pj_per_byte,
            store_pj=store.read_pj_per_byte,
            static_pj=wide(points.static_w / clock / J_PER_PJ)[0],
            # A chip whose power is given as a whole has no price for its MACs.
            mac_pj=wide(*(points.mac_pj(dtype) if engine.run_mw is None else np.zeros(1) for dtype in dtypes)),
            sizes=wide(*(buffer.size_bytes for buffer in buffers)),
            buffer_read=wide(*(clock / buffer.read_bytes_per_s for buffer in buffers)),
            buffer_write=wide(*(clock / buffer.write_bytes_per_s for buffer in buffers)),
            buffer_read_pj=wide(*(buffer.read_pj_per_byte for buffer in buffers)),
            buffer_write_pj=wide(*(buffer.write_pj_per_byte for buffer in buffers)),
        )

    def at(self, index: npt.NDArray[np.intp] | slice) -> Rates:
        """Return the rates of some points; what all points share stays one column."""
        return Rates(*(_some(getattr(self, name), index) for name in self.__slots__))

    def narrowed(self) -> Rates:
        """Return the rates with one column, shape [..., 1], of what all points share but for rounding."""
        return Rates(*(_narrow(getattr(self, name), ROUNDING) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Moves:
    """What mappings move and do: the quantities of ``Candidates`` that times and energies read, any shape.

    Attributes:
        cycles: Array cycles.
        reads: Bytes read from the activations' home.
        writes: Bytes written to it.
        stored: Bytes read from the weights' home, 0 where it is the activations'.
        fill: Bytes of the first tiles from the activations' home.
        stored_fill: Of the first tiles from the weights' home.
        drain: Bytes of the last ofmap tile.
        transfers: Tiles moved.
        moved: Bytes at both homes.
        macs: Multiply-accumulates that take energy.
        dtype: Index of the layer's dtype.
        tiles: Bytes in each buffer, [buffer, ...].
        buffer_reads: Bytes read from each buffer, [buffer, ...].
        buffer_writes: Bytes written to it, likewise.
        pj: Energy that is the same at every point, besides what the rates price [pJ].
        first_waits: 1 where the first tiles wait for the activations' home, 0 where none comes from there; the same for
            all mappings of a layer.
        home_waits: Likewise where ifmap, filter or ofmap cross its port at all.
    """

    cycles: Floats
    reads: Floats
    writes: Floats
    stored: Floats
    fill: Floats
    stored_fill: Floats
    drain: Floats
    transfers: Floats
    moved: Floats
    macs: Floats
    dtype: npt.NDArray[np.intp]
    tiles: Floats
    buffer_reads: Floats
    buffer_writes: Floats
    pj: Floats
    first_waits: Floats
    home_waits: Floats

    def take(self, index: np.ndarray) -> Moves:
        """Return the moves at these positions of the last axis; what all mappings share stays one column."""
        return Moves(*(_some(getattr(self, name), index) for name in self.__slots__))

    def narrowed(self) -> Moves:
        """Return the moves with one column, shape [..., 1], of what all mappings share."""
        return Moves(*(_narrow(getattr(self, name)) for name in self.__slots__))

    def upright(self) -> Moves:
        """Return the moves with a last axis to be broadcast over points."""
        return Moves(*(getattr(self, name)[..., None] for name in self.__slots__))


def _some(column: np.ndarray, index: np.ndarray | slice) -> np.ndarray:
    return column if column.shape[-1] == 1 else column[..., index]


def _narrow(column: np.ndarray, rounding: float = 0.0) -> np.ndarray:
    first = column[..., :1]
    return first if (np.abs(column - first) <= rounding * np.abs(first)).all() else column


@dataclass(frozen=True, slots=True)
class Times:
    """Times of mappings in cycles, arrays of the moves' and the rates' broadcast shape.

    Attributes:
        activation: Busy time of the activations' home.
        weight: Busy time of the weights' home, zero where it is the activations'.
        overhead: First fill and last drain, or the latency of all transfers.
        ports: Busy time of each buffer's port, [buffer, ...].
        work: The longest of computing and the buffers' ports.
        inside: Work with all that takes turns with it.
        beside: What runs beside all that.
        latency: The longer of the two; infinite where a mapping does not fit.
    """

    activation: Floats
    weight: Floats
    overhead: Floats
    ports: Floats
    work: Floats
    inside: Floats
    beside: Floats
    latency: Floats


def times_of(moves: Moves, rates: Rates, transfers: Transfers) -> Times:
    """Return the times of mappings at points; the latency is infinite where a mapping does not fit."""
    store_latency = np.where(moves.stored > 0, rates.store_latency, 0.0)
    weight = moves.stored * rates.store_read
    activation = moves.reads * rates.read + moves.writes * rates.write
    ports = np.zeros((0, *np.broadcast_shapes(moves.cycles.shape, rates.read.shape)))
    if len(rates.sizes):
        ports = np.stack(
            [
                reads * read + writes * write
                for reads, writes, read, write in zip(
                    moves.buffer_reads, moves.buffer_writes, rates.buffer_read, rates.buffer_write, strict=True
                )
            ]
        )
    work = moves.cycles
    for port in ports:
        work = np.maximum(work, port)
    overhead: Floats = np.zeros_like(activation)
    beside = np.maximum(activation, weight)
    inside = work
    if transfers == "serial":
        overhead = moves.transfers * np.maximum(rates.latency, store_latency)
        inside, beside = overhead + work + activation + weight, overhead
    elif transfers == "double_buffered":
        first = moves.fill * rates.read + moves.first_waits * rates.latency
        fill = np.maximum(first, moves.stored_fill * rates.store_read + store_latency)
        overhead = fill + moves.drain * rates.write
        inside = overhead + work
        beside = np.maximum(activation + moves.home_waits * rates.latency, weight + store_latency)
    latency = np.maximum(inside, beside)
    for tile, size in zip(moves.tiles, rates.sizes, strict=True):
        latency = np.where(tile <= size, latency, np.inf)
    return Times(activation, weight, overhead, ports, work, inside, beside, latency)


def objective_of(name: str, moves: Moves, rates: Rates, latency: Floats) -> Floats:
    """Return an objective of mappings at points, in units of one point's own (cycles, pJ); infinite where none fits."""
    if name == "latency":
        return latency
    fits = np.isfinite(latency)
    if name == "traffic":
        return np.where(fits, moves.moved, np.inf)
    picojoules = moves.reads * rates.read_pj + moves.writes * rates.write_pj + moves.stored * rates.store_pj
    for reads, writes, read_pj, write_pj in zip(
        moves.buffer_reads, moves.buffer_writes, rates.buffer_read_pj, rates.buffer_write_pj, strict=True
    ):
        picojoules = picojoules + reads * read_pj + writes * write_pj
    prices = rates.mac_pj[0] if len(rates.mac_pj) == 1 else np.choose(moves.dtype, list(rates.mac_pj))
    picojoules = picojoules + moves.macs * prices + moves.pj
    # An infinite time (it does not fit) at no static power costs nothing; it must not become nan.
    energy = np.where(fits, picojoules + rates.static_pj * np.where(fits, latency, 0.0), np.inf)
    return energy if name == "energy" else energy * latency


def prices_of(rates: Rates, *, together: bool) -> Prices:
    """Return what points share of time and energy per byte."""
    return Prices(
        together=together,
        home=(shared_ratio(rates.write, rates.read), shared_ratio(rates.write_pj, rates.read_pj)),
        buffers=tuple(
            (shared_ratio(write, read), shared_ratio(write_pj, read_pj))
            for write, read, write_pj, read_pj in zip(
                rates.buffer_write, rates.buffer_read, rates.buffer_write_pj, rates.buffer_read_pj, strict=True
            )
        ),
    )


def shared_ratio(over: Floats, under: Floats) -> float | None:
    """Return the ratio of two columns if it is the same at all points; 1 where both are zero."""
    if (over == under).all():
        return 1.0
    ratio = over / np.where(under == 0, np.nan, under)
    return float(ratio[0]) if (ratio == ratio[0]).all() else None
