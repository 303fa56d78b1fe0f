"""What a profile may say of an array beyond loops and tiles: networks to its PEs, zeros, codes, Winograd.

Each is off by default. They act on whole candidates, once the mapspace's own quantities are known: bytes and cycles
are scaled, never reordered.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hwsim.chip import Dataflow, Sparsity
from hwsim.cost.nest import Nest

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def bus_cycles(
    bus: tuple[float, float, float], dataflow: Dataflow, part: Mapping[str, Ints], window_bytes: Ints
) -> dict[str, Ints]:
    """Return what the networks to the PEs take of time, beside the array's work and before it.

    Args:
        bus: Bytes per cycle of ifmap, filter and psums (each way).
        dataflow: Whether filters are loaded before the work on them, or during it.
        part: Candidates' columns of bytes that the array takes and gives.
        window_bytes: Of the ifmap, what passes wait for besides.
    """
    ifmap_bus, filter_bus, psum_bus = bus
    filters = whole(part["array_filter_bytes"] / filter_bus)
    waits = dataflow.load_exposed and dataflow.stationary == "row"
    beside = [
        part["array_ifmap_bytes"] / ifmap_bus,
        part["psum_read_bytes"] / psum_bus,
        part["psum_write_bytes"] / psum_bus,
        np.zeros_like(filters) if waits else filters,
    ]
    return {
        "bus_cycles": whole(np.maximum.reduce(beside)),
        "load_cycles": filters + whole(window_bytes / ifmap_bus) if waits else np.zeros_like(filters),
    }


def less_work(nest: Nest, sparsity: Sparsity, dataflow: Dataflow, cycles: Ints) -> dict[str, Ints]:
    """Return cycles and MACs without those that zeros or Winograd's algorithm save."""
    worked, priced = sparsity.worked_share(dataflow), sparsity.priced_share(dataflow)
    m = winograd_edge(nest, dataflow)
    # Of the 9 m^2 MACs of a tile of m x m outputs, (m + 2)^2 are left.
    left, of = ((m + 2) ** 2, 9 * m**2) if m else (1, 1)
    macs = np.full_like(cycles, nest.macs)
    return {
        "cycles": -(-whole(cycles * worked) * left // of),
        "macs_done": -(-whole(macs * worked) * left // of),
        "macs_priced": -(-whole(macs * priced) * left // of),
    }


def winograd_edge(nest: Nest, dataflow: Dataflow) -> int:
    """Return the edge of the ofmap's tiles that a nest runs by with Winograd's algorithm; 0 where it does not."""
    plain = all((axis.taps, axis.stride, axis.dilation) == (3, 1, 1) for axis in (nest.rows, nest.cols))
    return (dataflow.winograd or 0) if plain else 0


def winograd_filters(nest: Nest, dataflow: Dataflow, filter_bytes: Ints) -> Ints:
    """Return the bytes of filters as Winograd's algorithm multiplies by them, biases apart."""
    m = winograd_edge(nest, dataflow)
    return -(-filter_bytes * (m + 2) ** 2 // 9) if m else filter_bytes


def coded(plain_bytes: Ints, share: Floats) -> Ints:
    """Return the bytes at home of an operand's plain bytes."""
    return whole(plain_bytes * share)


def whole(amount: npt.NDArray[np.floating]) -> Ints:
    """Return amounts rounded up, but for what floating point left of a whole one."""
    return np.ceil(np.round(amount, 6)).astype(np.int64)
