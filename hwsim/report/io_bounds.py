"""What each layer's homes move at least, in whatever order an array does its MACs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwsim.cost import Costs, array_io_lower_bound_bytes, home_bytes
from hwsim.cost.array import array_setup
from hwsim.cost.workload import filter_share
from hwsim.report.holding import value_at


def io_bounds(costs: Costs, point: int, compulsory_bytes: Sequence[int]) -> list[int]:
    """Return the I/O lower bound of each layer at a point [B].

    That of a layer mapped onto an array counts what its tile buffers and PEs hold; of any other it is the compulsory
    traffic. So it is where a layer's compulsory traffic is less than of the layer alone: the bound's argument takes
    every operand from home.

    Args:
        costs: The cost record.
        point: Index of the hardware point.
        compulsory_bytes: Of each layer.
    """
    found = list(compulsory_bytes)
    if costs.mapped is None:
        return found
    engine, points = costs.mapped_engine, costs.points
    hardware = points.engine(engine.name)
    setup = array_setup(engine, points.chip, int(value_at(hardware.rows, point)), int(value_at(hardware.cols, point)))
    buffers = dict.fromkeys(engine.buffers(points.chip).values())
    held = sum(int(value_at(points.memory(name).size_bytes, point)) for name in buffers)
    for index in costs.mapped_layers.tolist():
        row = costs.workload.rows[index]
        if row.nest is not None and compulsory_bytes[index] >= sum(home_bytes(row, engine)):
            share = filter_share(row, engine)
            coding = setup if share is None else replace(setup, sparsity=setup.sparsity.with_filters(share))
            found[index] = max(compulsory_bytes[index], array_io_lower_bound_bytes(row.nest, coding, held))
    return found
