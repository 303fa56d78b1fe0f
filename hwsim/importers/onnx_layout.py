"""Where each ONNX tensor lies in the graph: its internal tensor, the order of its axes, and how to get another order.

ONNX images are channel-first and hwsim's are channel-last, so a tensor of the file is held under some permutation.
Transposes of the file only change that permutation; a layer appears where an operator needs another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwsim.graph import DType, Graph, GraphBuilder, Layer, Quantization, Shape, Tensor
from hwsim.graph import ops as gops
from hwsim.importers.onnx_node import Array

EXTRA = -1  # in ``axes``: a size-1 axis that the file's tensor does not have
_DTYPES: dict[str, DType] = {"bool": "bool", "float64": "float32"}


@dataclass(frozen=True, slots=True)
class Activation:
    """A tensor that the net computes.

    Attributes:
        tensor: Its name in the graph.
        axes: For each internal axis, which axis of the file's tensor it is, or ``EXTRA``.
        shape: The file's shape.
        merged: Set where a reshape of the file is still to be done, as it would need a transpose: its target.
    """

    tensor: str
    axes: tuple[int, ...]
    shape: Shape
    merged: Shape | None = None

    @property
    def file_shape(self) -> Shape:
        """The shape the file's tensor has."""
        return self.shape if self.merged is None else self.merged


def plain(rank: int) -> tuple[int, ...]:
    """Return the file's own axis order."""
    return tuple(range(rank))


def channel_last(rank: int) -> tuple[int, ...]:
    """Return the order with axis 1 last; an image of one spatial axis gets a height of one."""
    if rank == 3:
        return (0, EXTRA, 2, 1)
    return (0, *range(2, rank), 1) if rank > 2 else plain(rank)


def last(axis: int, value: Activation) -> tuple[int, ...]:
    """Return an order of a tensor that has ``axis`` last: its own if possible."""
    if value.axes[-1:] == (axis,):
        return value.axes
    return (*(i for i in range(len(value.shape)) if i != axis), axis)


def regroup(source: Shape, target: Shape) -> list[tuple[list[int], list[int]]]:
    """Return which axes of a shape become which axes of another that holds the same elements in order.

    Axes of size one belong to no group. (2, 3, 4) → (6, 2, 2) gives [([0, 1], [0]), ([2], [1, 2])].
    """
    left = [axis for axis, size in enumerate(source) if size != 1]
    right = [axis for axis, size in enumerate(target) if size != 1]
    groups: list[tuple[list[int], list[int]]] = []
    while left or right:
        a, b = [left.pop(0)], [right.pop(0)]
        have, need = source[a[0]], target[b[0]]
        while have != need:
            if have < need:
                a.append(left.pop(0))
                have *= source[a[-1]]
            else:
                b.append(right.pop(0))
                need *= target[b[-1]]
        groups.append((a, b))
    return groups


def ordered(shape: Shape, order: Sequence[int]) -> tuple[int, ...]:
    """Return all axes of a shape so that those larger than one come in ``order``: a usual layout if one fits."""
    rank = len(shape)
    usual = [plain(rank), (0, *range(2, rank), 1)] if rank > 2 else [plain(rank)]
    for axes in usual:
        if [axis for axis in axes if shape[axis] != 1] == list(order):
            return axes
    return (*(axis for axis in range(rank) if shape[axis] == 1), *order)


class OnnxBuilder(GraphBuilder):
    """A graph builder that names what it adds uniquely, moves tensors between layouts, and drops unread layers."""

    def __init__(self, name: str, reserved: Iterable[str]) -> None:
        super().__init__(name)
        self._reserved = set(reserved)
        self._arranged: dict[tuple[str, tuple[int, ...], Shape], str] = {}
        self._flushed: dict[tuple[str, tuple[int, ...], Shape], Activation] = {}
        self._stored: dict[tuple[str, str], str] = {}

    def fresh(self, word: str) -> str:
        """Return a name that no tensor or layer has, starting with ``word``."""
        name, count = word, 1
        while name in self._reserved or name in self._tensors or name in self._layer_names:
            count += 1
            name = f"{word}_{count}"
        self._reserved.add(name)
        return name

    def move(self, op: gops.Op, tensor: str, word: str, exact: tuple[str, str] | None = None) -> str:
        """Add a layer that moves elements without changing them and return its output.

        It is named after ``word``, or ``exact`` gives the layer's and the tensor's name.
        """
        source = self.tensor(tensor)
        name, output = exact or (self.fresh(word), None)
        outputs = [output] if output else None
        return self.add(op, [tensor], name=name, outputs=outputs, dtypes=[source.dtype], quants=[source.quant])[0]

    def store(self, name: str, tag: str, data: Array, quant: Quantization | None = None) -> str:
        """Add a constant of the file in the form that ``tag`` names, once."""
        key = (name, tag)
        if key not in self._stored:
            free = name if name not in self._tensors else self.fresh(f"{name}/{tag}")
            dtype: DType = _DTYPES.get(data.dtype.name, data.dtype.name)  # type: ignore[arg-type]
            if data.dtype == np.float64:
                data = data.astype(np.float32)
            data = np.ascontiguousarray(data).reshape(data.shape)
            self._stored[key] = self.constant(free, data.shape, dtype, data=data, quant=quant)
        return self._stored[key]

    def arranged(self, value: Activation, axes: tuple[int, ...]) -> str:
        """Return the internal tensor of a value in the given order, which may leave out axes of size one."""
        if value.merged is not None:
            value = self.flushed(value)
        shape = value.shape
        if value.axes == axes:
            return value.tensor
        key = (value.tensor, axes, shape)
        wanted = tuple(1 if axis == EXTRA else shape[axis] for axis in axes)
        now = [axis for axis in value.axes if axis != EXTRA and shape[axis] != 1]
        then = [axis for axis in axes if axis != EXTRA and shape[axis] != 1]
        if wanted == self.shape(value.tensor) and now == then:
            return value.tensor
        if key in self._arranged:
            return self._arranged[key]
        tensor = value.tensor
        if now != then:
            if sorted(value.axes) == sorted(axes) and EXTRA not in axes:
                perm = [value.axes.index(axis) for axis in axes]
            else:
                if self.shape(tensor) != tuple(shape[axis] for axis in now):
                    tensor = self.move(
                        gops.Reshape(shape=tuple(shape[axis] for axis in now)), tensor, f"{value.tensor}/squeeze"
                    )
                perm = [now.index(axis) for axis in then]
            tensor = self.move(gops.Transpose(perm=tuple(perm)), tensor, f"{value.tensor}/transpose")
        if self.shape(tensor) != wanted:
            tensor = self.move(gops.Reshape(shape=wanted), tensor, f"{value.tensor}/reshape")
        self._arranged[key] = tensor
        return tensor

    def reshaped(self, value: Activation, target: Shape, word: str, exact: tuple[str, str] | None = None) -> Activation:
        """Return a value under another shape, as the file's order of elements has it.

        Axes that merge must be neighbours and in order inside; where they are not, the reshape is put off (``merged``):
        a dense layer after it can take its weights in another order instead. ``exact`` as in ``move``.
        """
        if target == value.shape:
            return replace(value, merged=None)
        groups = regroup(value.shape, target)
        now = [axis for axis in value.axes if axis != EXTRA and value.shape[axis] != 1]
        starts = {source[0]: (source, into) for source, into in groups}
        order: list[int] = []
        position = 0
        while position < len(now):
            source, into = starts.get(now[position], ([], []))
            if not source or now[position : position + len(source)] != source:
                return replace(value, merged=target)
            order += into
            position += len(source)
        axes = ordered(target, order)
        dims = tuple(target[axis] for axis in axes)
        tensor = value.tensor
        if self.shape(tensor) != dims:
            tensor = self.move(gops.Reshape(shape=dims), tensor, word, exact)
        return Activation(tensor, axes, target)

    def flushed(self, value: Activation) -> Activation:
        """Return a value with the reshape that was put off done, after the least transpose that allows it."""
        if value.merged is None:
            return value
        key = (value.tensor, value.axes, value.merged)
        now = [axis for axis in value.axes if axis != EXTRA and value.shape[axis] != 1]
        ones = [axis for axis in range(len(value.shape)) if value.shape[axis] == 1]
        groups = [source for source, _ in regroup(value.shape, value.merged)]
        groups.sort(key=lambda group: min(now.index(axis) for axis in group))
        axes = (*ones, *(axis for group in groups for axis in group))
        arranged = Activation(self.arranged(replace(value, merged=None), axes), axes, value.shape)
        if key not in self._flushed:
            self._flushed[key] = self.reshaped(arranged, value.merged, f"{value.tensor}/reshape")
        return self._flushed[key]

    def finish(self, outputs: Sequence[tuple[str, Activation]], warnings: Iterable[str]) -> tuple[Graph, list[str]]:
        """Return the graph with the outputs under the file's names, and the names of layers dropped as unread."""
        names: dict[str, str] = {}
        axes: dict[str, tuple[int, ...]] = {}
        for name, held in outputs:
            value = self.flushed(held)
            own = tuple(axis for axis in value.axes if axis != EXTRA)
            if len(own) != len(value.shape):
                own = plain(len(value.shape))
            tensor = self.arranged(value, own)
            if tensor in self._inputs or tensor in names or self.tensor(tensor).constant:
                tensor = self.move(gops.Reshape(shape=self.shape(tensor)), tensor, f"{name}/copy")
            names[tensor] = name
            if own != plain(len(own)):
                axes[tensor] = own
        needed = {*names}
        layers: list[Layer] = []
        dropped: list[str] = []
        for layer in reversed(self._layers):
            if needed.isdisjoint(layer.outputs):
                dropped.append(layer.name)
            else:
                needed.update(layer.inputs)
                layers.append(layer)
        needed.update(self._inputs)
        for layer in layers:
            needed.update(layer.outputs)
        new_name = {tensor: name for tensor, name in names.items() if name not in self._inputs}
        for name in list(new_name.values()):  # a tensor of the same name that is only on the way to the output
            if name in needed and name not in new_name:
                new_name[name] = self.fresh(f"{name}/inside")
        tensors: dict[str, Tensor] = {}
        for tensor, record in self._tensors.items():
            if tensor in needed:
                called = new_name.get(tensor, tensor)
                order = axes.get(tensor) if tensor in names else record.file_axes
                tensors[called] = replace(record, name=called, file_axes=order)
        renamed = [
            replace(
                layer,
                inputs=tuple(new_name.get(tensor, tensor) for tensor in layer.inputs),
                outputs=tuple(new_name.get(tensor, tensor) for tensor in layer.outputs),
            )
            for layer in reversed(layers)
        ]
        ordered_outputs = tuple(new_name.get(tensor, tensor) for tensor in names)
        graph = Graph(self.name, tensors, tuple(renamed), tuple(self._inputs), ordered_outputs, tuple(warnings))
        return graph, dropped[::-1]
