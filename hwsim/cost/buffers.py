"""From a workload to buffers: what lives when, how large, and what may lie over what, by the runtime's habits.

Each layer has two steps: at the first a padded copy of its input is made, where its kernel wants one; at the second it
runs. A graph's inputs live from the start, its outputs to the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwsim.chip.runtimes import PLAIN, KindMemory, Runtime
from hwsim.cost.planners import Buffer, Problem
from hwsim.cost.workload import FREE, UNKNOWN, Row, Workload
from hwsim.graph import Graph, ops

# Layers whose result at a place depends on their inputs at that place alone.
ELEMENTWISE = ("elementwise", "activation", "norm")


@dataclass(frozen=True, slots=True)
class Need:
    """A buffer of the arena, before it has a place.

    Attributes:
        tensors: The tensors that share it; none for scratch and for padded copies.
        role: ``tensor``, ``padded`` (a padded copy of an input), ``rows`` (some rows of a tensor that is never
            whole) or ``scratch``.
        owner: Index of the layer that writes it (−1 for a graph input).
    """

    tensors: tuple[str, ...]
    role: str
    owner: int


def arena_problem(workload: Workload, runtimes: Sequence[Runtime | None]) -> tuple[tuple[Need, ...], Problem]:
    """Return the buffers of a workload: what they are, and their sizes, lives and permitted overlaps.

    Args:
        workload: The lowered net.
        runtimes: By layer: the runtime that runs it, or None where nothing is known of one.
    """
    builder = _Builder(workload, runtimes)
    for index, row in enumerate(workload.rows):
        builder.layer(index, row)
    return builder.finished()


def scratch_bytes(row: Row, habits: KindMemory) -> int:
    """Return the scratch that a kernel call takes [B]."""
    if row.nest is None:
        return round(habits.scratch_bytes)
    nest = row.nest
    taps, filters = nest.c * nest.rows.taps * nest.cols.taps, nest.g * nest.k
    unpacked = habits.scratch_bytes_per_weight * taps * filters
    if habits.scratch_weight_bytes_max is not None:
        unpacked = min(unpacked, habits.scratch_weight_bytes_max)
    columns = habits.scratch_bytes_per_tap * taps
    return round(habits.scratch_bytes + columns + habits.scratch_bytes_per_filter * filters + unpacked)


@dataclass(slots=True)
class _Draft:
    """A buffer whose life is not over yet."""

    need: Need
    size: int
    first: int
    last: int


class _Builder:
    """Buffers so far, by the name of their first tensor; a layer's steps are 2·index and 2·index + 1."""

    def __init__(self, workload: Workload, runtimes: Sequence[Runtime | None]) -> None:
        self._graph, self._sizes, self._rows = workload.graph, workload.sizes, workload.rows
        self._batch, self._runtimes = workload.batch, runtimes
        self._main = next((runtime for runtime in runtimes if runtime is not None), None)
        self._kept = {name for name in self._graph.outputs if not self._graph.tensors[name].constant}
        self._last_reader = {name: index for index, row in enumerate(workload.rows) for name in row.layer.inputs}
        self._pool_of = _fused_pools(workload, runtimes, self._kept)
        self._reads: dict[int, tuple[Row, Sequence[str]]] = {}
        self._root: dict[str, str] = {}
        self._drafts: dict[str, _Draft] = {}
        self._gaps: list[tuple[str, str, int]] = []
        if self._main is None or self._main.input_in_arena:
            for name in self._graph.inputs:
                self._enter(name, Need((name,), "tensor", -1), self._sizes[name], 0)

    def layer(self, index: int, row: Row) -> None:
        """Enter what a layer reads, writes and needs besides."""
        pool = self._pool_of.get(index, index)
        step = 2 * pool + 1
        names = (self._root.get(name, name) for name in row.layer.inputs)
        sources = list(dict.fromkeys(name for name in names if name in self._drafts))
        for name in sources:
            self._drafts[name].last = max(self._drafts[name].last, step)
        fused_through = pool > index and row.nest is None
        if sources and (row.kind == FREE or fused_through):
            for name in row.layer.outputs:
                self._share(name, sources[0])
            return
        runtime = self._runtimes[index]
        habits = PLAIN if runtime is None or row.kind == UNKNOWN else runtime.habits(row.dtype, row.kind)
        read: Sequence[str] = self._padded(index, step, row, habits, sources)
        for name in row.layer.outputs:
            if self._main is None or self._main.output_in_arena or name not in self._kept:
                self._enter(name, Need((name,), "tensor", index), self._sizes[name], step)
        scratch = scratch_bytes(row, habits)
        if scratch:
            self._enter(f"scratch {index}", Need((), "scratch", index), scratch, step)
        if pool > index:
            self._keep_rows(row, self._rows[pool])
            self._reads[pool] = row, read
        elif pool in self._reads:
            first, read = self._reads[pool]
            self._overlay(index, [first, row], habits, read)
        elif habits.overlay:
            self._overlay(index, [row], habits, read)
        if isinstance(row.layer.op, ops.Concat) and runtime is not None and runtime.concat_in_place:
            self._concat_in_place(index, row, sources)

    def finished(self) -> tuple[tuple[Need, ...], Problem]:
        """Return the buffers, aligned as the runtime aligns them."""
        align = 1 if self._main is None else self._main.alignment_bytes
        for name in self._kept:
            root = self._root.get(name, name)
            if root in self._drafts:
                self._drafts[root].last = 2 * len(self._rows)
        number = {name: index for index, name in enumerate(self._drafts)}
        drafts = list(self._drafts.values())
        buffers = tuple(Buffer(_up(draft.size, align), draft.first, draft.last) for draft in drafts)
        gaps = {
            (number[dying], number[born]): _up(gap, align)
            for dying, born, gap in self._gaps
            if dying in number and born in number and self._drafts[dying].last == self._drafts[born].first
        }
        return tuple(draft.need for draft in drafts), Problem(buffers, gaps)

    def _enter(self, name: str, need: Need, size: int, first: int) -> None:
        self._drafts[name] = _Draft(need, size, first, first)

    def _share(self, name: str, root: str) -> None:
        """Let a tensor be the bytes of another."""
        self._root[name] = root
        need = self._drafts[root].need
        self._drafts[root].need = Need((*need.tensors, name), need.role, need.owner)

    def _dies(self, root: str, index: int) -> bool:
        """Return whether nobody reads a buffer after a layer."""
        tensors = self._drafts[root].need.tensors
        return all(name not in self._kept and self._last_reader.get(name, -1) <= index for name in tensors)

    # -- what a runtime does besides -----------------------------------------------------------------------------------

    def _keep_rows(self, conv: Row, pool: Row) -> None:
        """Of a convolution that runs with its pooling, keep only as many rows as a window has."""
        name = conv.layer.outputs[0]
        assert isinstance(pool.layer.op, ops.Pool2d)
        height = self._graph.tensors[name].shape[1]
        draft = self._drafts[name]
        draft.size = -(-draft.size * min(pool.layer.op.kernel[0], height) // (height * self._batch))
        draft.need = Need(draft.need.tensors, "rows", draft.need.owner)

    def _concat_in_place(self, index: int, row: Row, sources: Sequence[str]) -> None:
        """Let the inputs of a concat that nobody else reads be parts of its result from the start."""
        result = self._drafts[row.layer.outputs[0]]
        for name in sources:
            part = self._drafts[name]
            if part.need.role != "tensor" or part.need.owner < 0 or not self._dies(name, index):
                continue
            del self._drafts[name]
            for tensor in part.need.tensors:
                self._share(tensor, row.layer.outputs[0])
            result.first = min(result.first, part.first)

    def _padded(self, index: int, step: int, row: Row, habits: KindMemory, sources: list[str]) -> list[str]:
        """Make the padded copy that a kernel wants; return the buffers it reads. Graph inputs are never copied."""
        op = row.layer.op
        if habits.padding == "inside" or not isinstance(op, ops.Conv2d) or len(sources) != 1:
            return sources
        source = sources[0]
        draft = self._drafts[source]
        if op.padding == ((0, 0), (0, 0)) or draft.need.owner < 0:
            return sources
        size, lead = self._padding(row, op)
        dies = self._dies(source, index)
        if dies and habits.padding == "written":
            draft.size = max(draft.size, size)
            return sources
        copy = f"padded {index}"
        self._enter(copy, Need((), "padded", index), size, step - 1)
        self._drafts[copy].last = step
        if dies:
            draft.last = step - 1
            self._gaps.append((source, copy, lead))
        return [copy]

    def _padding(self, row: Row, op: ops.Conv2d) -> tuple[int, int]:
        """Return the bytes of a padded input, and how far below the input it must start when made from its first row.

        A window less one row and column is added, also where the stride would need less. Row r moves up by as many
        padding bytes as come before it, the last row by the most.
        """
        name = row.layer.inputs[0]
        n, h, w, _ = self._graph.tensors[name].shape
        n *= self._batch
        pixel = self._sizes[name] / (n * h * w)
        tall, wide = _window_less_one(row)
        (top, _), (left, _) = op.padding
        image = (h + tall) * (w + wide) - h * w
        before = (n - 1) * image + top * (w + wide) + (h - 1) * wide + left
        return self._sizes[name] + round(n * image * pixel), round(before * pixel)

    def _overlay(self, index: int, rows: Sequence[Row], habits: KindMemory, read: Sequence[str]) -> None:
        """Allow the result of a layer, or of two that run as one, to lie over an input that nobody reads any more."""
        born = rows[-1].layer.outputs[0]
        if born not in self._drafts or len(rows[-1].layer.outputs) > 1:
            return
        most = habits.overlay_growth_max
        if most is not None and self._sizes[born] > most * self._sizes[rows[0].layer.inputs[0]]:
            return
        for name in read:
            padded = self._drafts[name].need.role == "padded"
            if not padded and not self._dies(name, index):
                continue
            gap = self._gap(rows, name, padded or self._drafts[name].size > self._sizes.get(name, 0))
            if gap is not None and gap < self._drafts[born].size:
                self._gaps.append((name, born, gap))

    def _gap(self, rows: Sequence[Row], read: str, padded: bool) -> int | None:
        """Return how far below its input a result must start, so that no byte is overwritten before its last use.

        A convolution or pool, or the two of them as one, works row by row: while row p of the result is written, rows
        of the input from p·stride − pad on are still to be read, so offset + (p + 1)·row ≤ input offset +
        max(0, p·stride − pad)·input row for every p; the worst p is the first, the last, or the one at which the
        padding ends. Elementwise layers work byte by byte, a border is laid from the first row on; None: neither.
        """
        source, result = rows[0].layer.inputs[0], rows[-1].layer.outputs[0]
        first = rows[0]
        if isinstance(first.layer.op, ops.Pad):
            return _border_lead(self._graph, first.layer.op, source, self._sizes[source] // self._batch)
        if first.kind in ELEMENTWISE:
            return max(0, self._sizes[result] - self._drafts[read].size)
        stride, pad = 1, 0
        for row in rows:
            op = row.layer.op
            if not isinstance(op, ops.Conv2d | ops.Pool2d):
                return None
            if not (padded and row is first):
                pad += stride * op.padding[0][0]
            stride *= op.strides[0]
        tall, wide = _window_less_one(first) if padded else (0, 0)
        n, h, w, _ = self._graph.tensors[source].shape
        n, height = n * self._batch, self._graph.tensors[result].shape[1]
        in_row = self._sizes[source] / (n * h) * (w + wide) / w
        out_row = self._sizes[result] / (n * height)
        worst = 0.0
        for image in {0, n - 1}:
            for p in {0, min(-(-pad // stride), height - 1), height - 1}:
                done = image * (h + tall) + max(0, p * stride - pad)
                worst = max(worst, (image * height + p + 1) * out_row - done * in_row)
        return round(worst)


def _window_less_one(row: Row) -> tuple[int, int]:
    """Return how many rows and columns a window spans beyond its first."""
    if row.nest is None:
        return 0, 0
    return row.nest.rows.dilation * (row.nest.rows.taps - 1), row.nest.cols.dilation * (row.nest.cols.taps - 1)


def _border_lead(graph: Graph, op: ops.Pad, source: str, size: int) -> int:
    """Return how far below its input a bordered copy must start: the border's bytes before the last element."""
    shape = graph.tensors[source].shape
    place, inner, plain = 0, 1, 1
    for extent, (before, after) in zip(reversed(shape), reversed(op.pads), strict=True):
        place += (before + extent - 1) * inner
        inner *= before + extent + after
        plain *= extent
    return round((place - (plain - 1)) * size / plain)


def _fused_pools(workload: Workload, runtimes: Sequence[Runtime | None], kept: set[str]) -> Mapping[int, int]:
    """Return, for each layer of a chain of convolution, activations and maximum pooling that runs as one, the pool."""
    position = {row.layer.name: index for index, row in enumerate(workload.rows)}
    found: dict[int, int] = {}
    for index, row in enumerate(workload.rows):
        runtime = runtimes[index]
        if runtime is None or not runtime.fuses_pooling or not isinstance(row.layer.op, ops.Conv2d):
            continue
        chain = [index]
        while True:
            name = workload.rows[chain[-1]].layer.outputs[0]
            readers = workload.graph.consumers.get(name, ())
            if len(readers) != 1 or name in kept:
                break
            op = readers[0].op
            chain.append(position[readers[0].name])
            if isinstance(op, ops.Pool2d) and op.function == "max" and op.padding == ((0, 0), (0, 0)):
                found |= dict.fromkeys(chain, chain[-1])
            if not isinstance(op, ops.Unary):
                break
    return found


def _up(size: int, align: int) -> int:
    return -(-size // align) * align
