"""Counted execution of a net on an array: layer after layer, tensors at home or in the buffer, every byte counted.

The oracle of plans over a net, as ``counted`` is of one layer's mapping. It is told which tensors are left in the
buffer and by which mapping each layer runs. It looks for what a layer reads where that was left, counts what crosses
each port, forgets a tensor when its last reader has run, and watches how full the buffer is. Elements are of one byte.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwsim.chip import Dataflow
from hwsim.cost.counted import Counts, execute
from hwsim.cost.kept import Kept
from hwsim.cost.nest import Nest
from hwsim.cost.workload import FREE, Row, Workload
from hwsim.graph import ops

Values = npt.NDArray[np.int64]
Finish = Callable[[Row, list[Values]], Values]
AT_HOME = ("ifmap", "filter", "psum", "ofmap", "spill")


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a layer with MACs runs: dataflow, order of loops, tile sizes."""

    dataflow: Dataflow
    order: tuple[str, str, str]
    tiles: Mapping[str, int]


@dataclass
class Passage:
    """What crossed the ports while a layer ran, in bytes.

    Attributes:
        home: Read from home of ifmap, filter and psums, written there of ofmap and spilled psums.
        buffer_read: Read from the buffer.
        buffer_written: Written to it.
        held: What whole tensors take of it while the layer runs.
        tiles: What tiles take of it at most.
    """

    home: dict[str, int] = field(default_factory=lambda: dict.fromkeys(AT_HOME, 0))
    buffer_read: int = 0
    buffer_written: int = 0
    held: int = 0
    tiles: int = 0


class _Passes:
    """Elementwise layers done on tiles of an ofmap as they leave, what they read besides counted tile by tile."""

    def __init__(self, nest: Nest, fused: Sequence[Row], machine: ArrayMachine, passage: Passage) -> None:
        self._nest, self._fused, self._machine, self._passage = nest, fused, machine, passage
        self._shape = (nest.n, nest.rows.positions, nest.cols.positions, nest.g, nest.k)
        self.seen = np.zeros(self._shape, dtype=np.int64)

    def leave(self, block: Mapping[str, range]) -> None:
        """Take a tile: of every operand besides, the elements at its places are read."""
        if not self._fused:
            return
        where = np.ix_(*(block[dim] for dim in "NPQGK"))
        self.seen[where] += 1
        for name, value in self._besides().items():
            elements = value.reshape(self._shape)[where].size
            if name in self._machine.buffer:
                self._passage.buffer_read += elements
            else:
                self._passage.home["ifmap"] += elements

    def after(self, result: Values, finish: Finish) -> Values:
        """Return what the layers make of the ofmap of the one before."""
        values: dict[str, Values] = {}
        for row in self._fused:
            inputs = [self._operand(name, values, result) for name in row.layer.inputs]
            result = values[row.layer.outputs[0]] = finish(row, inputs)
        return result

    def _operand(self, name: str, values: Mapping[str, Values], result: Values) -> Values:
        besides = self._besides()
        return besides[name] if name in besides else values.get(name, result)

    def _besides(self) -> dict[str, Values]:
        machine = self._machine
        names = [name for row in self._fused for name in row.layer.inputs]
        return {
            name: machine.buffer[name] if name in machine.buffer else machine.home[name]
            for name in names
            if name in machine.buffer or name in machine.home
        }


class ArrayMachine:
    """An array, its buffer and a home, with a net's tensors in them."""

    def __init__(
        self, workload: Workload, rows: int, cols: int, psum_bytes: int, values: Mapping[str, Values], finish: Finish
    ) -> None:
        """Lay a net's inputs and constants into its home.

        Args:
            workload: The lowered net, every element of one byte; batch 1.
            rows: Rows of the array.
            cols: Columns.
            psum_bytes: Bytes of a psum.
            values: Inputs and constants of the net, channel last.
            finish: Computes a layer without MACs from its inputs, and what comes after the sums of one with MACs
                (bias, activation) from those.
        """
        self._workload, self._shape, self._psum_bytes, self._finish = workload, (rows, cols), psum_bytes, finish
        self.home = dict(values)
        self.buffer: dict[str, Values] = {}
        self._readers = {name: {layer.name for layer in users} for name, users in workload.graph.consumers.items()}

    def run(self, row: Row, chosen: Chosen | None, left: Collection[str], fused: Sequence[Row] = ()) -> Passage:
        """Run a layer.

        Args:
            row: The layer.
            chosen: Its mapping; None without MACs.
            left: Tensors that stay in the buffer when they are written.
            fused: Elementwise layers after it that are done on each tile of its ofmap as it leaves.

        Raises:
            KeyError: The layer reads what is neither at home nor in the buffer.
        """
        passage = Passage()
        layer = row.layer
        output = fused[-1].layer.outputs[0] if fused else layer.outputs[0]
        inputs = [self.buffer[name] if name in self.buffer else self.home[name] for name in layer.inputs]
        if row.nest is not None:
            assert chosen is not None
            kept = Kept(ifmap=layer.inputs[0] in self.buffer, ofmap=output in left)
            passes = _Passes(row.nest, fused, self, passage)
            sums = self._multiply(row.nest, chosen, kept, inputs, passage, passes)
            result = self._finish(row, [sums, *inputs[2:]])
            assert (passes.seen == (1 if fused else 0)).all(), "an element left twice, or never"
            result = passes.after(result, self._finish)
        else:
            result = self._finish(row, inputs)
            if row.kind != FREE and not row.view:
                self._count_pass(row, inputs, result, output in left, passage)
        (self.buffer if output in left else self.home)[output] = result
        if isinstance(layer.op, ops.Concat) and output in self.buffer:
            self._lay_into(result, layer.inputs)
        # A view has no bytes of its own.
        places = {id(v if v.base is None else v.base): v if v.base is None else v.base for v in self.buffer.values()}
        passage.held = sum(place.size for place in places.values())
        for one in (row, *fused):
            self._forget(one.layer.inputs, one.layer.name)
        return passage

    def _lay_into(self, whole: Values, parts: Collection[str]) -> None:
        """Let the parts of a concatenation be what it has of them."""
        start = 0
        for name in parts:
            stop = start + self.buffer[name].shape[-1]
            self.buffer[name] = whole[..., start:stop]
            start = stop

    def _forget(self, names: Collection[str], layer: str) -> None:
        for name in set(names):
            self._readers[name].discard(layer)
            if not self._readers[name]:
                self.buffer.pop(name, None)

    def _count_pass(self, row: Row, inputs: list[Values], result: Values, stays: bool, passage: Passage) -> None:
        read = dict(zip(row.layer.inputs, inputs, strict=True))
        for name, value in read.items():
            if name in self.buffer:
                passage.buffer_read += value.size
            elif self._workload.graph.tensors[name].constant:
                passage.home["filter"] += value.size
            else:
                passage.home["ifmap"] += value.size
        if stays:
            passage.buffer_written += result.size
        else:
            passage.home["ofmap"] += result.size

    def _multiply(
        self, nest: Nest, chosen: Chosen, kept: Kept, inputs: list[Values], passage: Passage, passes: _Passes
    ) -> Values:
        """Run a mapping; return the sums, channel last."""
        ifmap, filters = inputs[0], inputs[1]
        pixels = ifmap.reshape(nest.n, nest.rows.size, nest.cols.size, nest.g, nest.c).transpose(0, 3, 4, 1, 2)
        taps = filters.reshape(nest.g, nest.k, nest.rows.taps, nest.cols.taps, nest.c).transpose(0, 1, 4, 2, 3)
        counts = execute(
            nest,
            chosen.dataflow,
            *self._shape,
            chosen.order,
            chosen.tiles,
            pixels,
            taps,
            kept=kept,
            leaves=passes.leave,
        )
        finished_by_array = chosen.dataflow.stationary == "ofmap"
        self._count_mapping(counts, finished_by_array, nest.bias_bytes, passage)
        whole_only = finished_by_array and chosen.tiles["C"] == nest.c
        # Finished elements that the array leaves where they stay need no tile.
        ofmap_tile = 0 if whole_only and kept.ofmap else counts.largest["ofmap"]
        ofmap_tile *= 1 if whole_only else self._psum_bytes
        passage.tiles = counts.largest["ifmap"] + counts.largest["filter"] + ofmap_tile
        return counts.ofmap.transpose(0, 3, 4, 1, 2).reshape(
            nest.n, nest.rows.positions, nest.cols.positions, nest.g * nest.k
        )

    def _count_mapping(self, counts: Counts, finished_by_array: bool, bias_bytes: int, passage: Passage) -> None:
        array, psum = counts.array, self._psum_bytes
        finished = counts.ofmap_out + counts.ofmap_left
        filters = counts.filter + (bias_bytes if counts.filter else 0)
        passage.home = {
            name: passage.home[name] + count
            for name, count in {
                "ifmap": counts.ifmap,
                "filter": filters,
                "psum": counts.psum_in * psum,
                "ofmap": counts.ofmap_out,
                "spill": counts.psum_out * psum,
            }.items()
        }
        passage.buffer_read += array["ifmap"] + array["filter"] + (array["psum_in"] + counts.psum_out) * psum
        passage.buffer_written += counts.ifmap + filters + (array["psum_out"] + counts.psum_in) * psum
        if finished_by_array:
            # The last time the array gives elements, and only what goes home is read once more.
            passage.buffer_written += finished - finished * psum
            passage.buffer_read += counts.ofmap_out
        else:
            # The last psums are read from their tile; what stays is written back as elements.
            passage.buffer_read += finished * psum
            passage.buffer_written += counts.ofmap_left
