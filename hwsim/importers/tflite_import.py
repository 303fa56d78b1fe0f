"""What a TFLite operator's translation works with: known values, tensors of the growing graph, and layers to add."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from hwsim.errors import NetError
from hwsim.graph import DType, Graph, GraphBuilder, Quantization, Shape, ops
from hwsim.graph.ops import FusedActivation, Op, ShapeMismatchError
from hwsim.importers.constant_folding import MOVES, Array, FoldingRoom, fold, numpy_dtype
from hwsim.importers.tflite_names import LayerNames, tensor_names
from hwsim.importers.tflite_reader import FileGraph, FileOperator, FileTensor
from hwsim.importers.tflite_schema import FUSED_ACTIVATIONS


class UnsupportedError(Exception):
    """An operator, or the form it has in the file, is one that hwsim does not know; the text says what about it."""


class LiveBuilder(GraphBuilder):
    """Builds a graph of the layers that an output needs; folded shape arithmetic leaves others behind."""

    def build(self, outputs: Iterable[str], *, warnings: Iterable[str] = ()) -> Graph:
        """Return the finished graph; see ``GraphBuilder.build``."""
        ends = tuple(outputs)
        named = {*ends, *self._inputs}
        alive = []
        for layer in reversed(self._layers):
            if named.intersection(layer.outputs):
                named.update(layer.inputs, layer.outputs)
                alive.append(layer)
        self._layers = alive[::-1]
        self._tensors = {name: tensor for name, tensor in self._tensors.items() if name in named}
        return super().build(ends, warnings=warnings)


class TfliteImport:
    """One import under way.

    A tensor of the file is either *known* (stored in the file, or folded) or computed by the graph. A known tensor
    becomes a constant of the graph only when a layer reads it.
    """

    def __init__(self, file: FileGraph, builder: GraphBuilder, *, overridden: bool) -> None:
        self.file = file
        self.builder = builder
        self.overridden = overridden
        self.names = tensor_names(file.tensors)
        self.warnings: list[str] = []
        self.hybrid: dict[str, str] = {}
        self.dequantised: dict[str, int] = {}
        self.variables: dict[int, str | None] = {}  # a variable's handle -> the input it is read as
        self.states: list[str] = []  # what is assigned to variables
        self._written: set[str] = set()
        self._index = {name: index for index, name in enumerate(self.names)}
        self._layer_names = LayerNames(file.operators, file.tensors)
        self._given: dict[int, str] = {}
        self._known: dict[str, Array] = {}
        self._formats: dict[str, tuple[DType, Quantization | None]] = {}
        self._constants: set[str] = set()
        self._relaid: dict[str, str] = {}
        self._room = FoldingRoom(sum(tensor.raw.nbytes for tensor in file.tensors if tensor.raw is not None))

    # -- what is there ---------------------------------------------------------------------------------------------

    def layer_name(self, op: FileOperator) -> str:
        """Return the name of an operator's layer."""
        if op.index not in self._given:
            self._given[op.index] = self._layer_names.name(op)
        return self._given[op.index]

    def tensor(self, op: FileOperator, position: int) -> FileTensor:
        """Return the file's record of an input.

        Raises:
            UnsupportedError: The operator has no such input.
        """
        if not self.has(op, position):
            raise UnsupportedError(f"it has no input {position}")
        return self.file.tensors[op.inputs[position]]

    def output(self, op: FileOperator, position: int = 0) -> FileTensor:
        """Return the file's record of an output."""
        return self.file.tensors[op.outputs[position]]

    def has(self, op: FileOperator, position: int) -> bool:
        """Return whether an optional input is given."""
        return position < len(op.inputs) and op.inputs[position] >= 0

    def name(self, op: FileOperator, position: int) -> str:
        """Return the graph's name of an input."""
        return self.names[self.tensor(op, position).index]

    def value(self, name: str) -> Array | None:
        """Return a tensor's values where they are known without running the net."""
        if name not in self._known:
            index = self._index.get(name)
            tensor = self.file.tensors[index] if index is not None else None
            if tensor is None or tensor.raw is None or name in self._written:
                return None
            self._known[name] = tensor.values()
        return self._known[name]

    def ints(self, op: FileOperator, position: int, what: str) -> tuple[int, ...]:
        """Return an input that must be known, as integers.

        Raises:
            UnsupportedError: Only running the net would tell.
        """
        values = self.value(self.name(op, position))
        if values is None:
            raise UnsupportedError(f"its {what} is computed by the net: hwsim needs fixed shapes")
        return tuple(int(number) for number in values.reshape(-1))

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape as inferred so far."""
        values = self.value(name)
        return values.shape if values is not None else self.builder.shape(name)

    def quant(self, name: str) -> Quantization | None:
        """Return a tensor's quantisation."""
        return self._format(name)[1]

    def dtype(self, name: str) -> DType:
        """Return a tensor's dtype."""
        return self._format(name)[0]

    def activation(self, op: FileOperator) -> FusedActivation | None:
        """Return an operator's fused activation."""
        code = op.options["FusedActivationFunction"]
        if code not in FUSED_ACTIVATIONS:
            raise UnsupportedError(f"its fused activation {code} is one no kernel has")
        return FUSED_ACTIVATIONS[code]

    # -- what is added ---------------------------------------------------------------------------------------------

    def know(self, name: str, values: Array, dtype: DType, quant: Quantization | None = None) -> str:
        """Take a tensor's values as known and return its name.

        Raises:
            NetError: All that is known takes too much memory.
        """
        try:
            self._room.take((), (values,))
        except ValueError as error:
            raise NetError(f"tensor {name!r}: {error}") from None
        self._known[name] = values
        self._formats[name] = (dtype, quant)
        return name

    def add(self, op: FileOperator, layer: Op, inputs: Sequence[str], *, suffix: str = "") -> tuple[str, ...]:
        """Add an operator's layer, writing the file's output tensors, or fold it; return the outputs' names."""
        outputs = tuple(self.names[index] for index in op.outputs)
        return self._add(op, layer, inputs, outputs, [self._file_format(index) for index in op.outputs], suffix)

    def add_output(self, op: FileOperator, position: int, layer: Op, inputs: Sequence[str], suffix: str) -> None:
        """Add a layer that writes one of an operator's several outputs."""
        index = op.outputs[position]
        self._add(op, layer, inputs, (self.names[index],), [self._file_format(index)], suffix)

    def add_unknown(self, op: FileOperator, layer: ops.Unknown, inputs: Sequence[str]) -> None:
        """Add the stand-in for an operator that hwsim does not know."""
        outputs = tuple(self.names[index] for index in op.outputs)
        quants = [self.file.tensors[index].quant for index in op.outputs]
        self._add(op, layer, inputs, outputs, list(zip(layer.dtypes, quants, strict=True)), "")

    def step(self, op: FileOperator, layer: Op, inputs: Sequence[str], suffix: str) -> tuple[str, ...]:
        """Add a layer of hwsim's own on an operator's way, named ``<layer>/<suffix>``, in its input's number format."""
        count = len(layer.sizes) if isinstance(layer, ops.Split) else 1
        name = f"{self.layer_name(op)}/{suffix}"
        outputs = tuple(self._fresh(name if count == 1 else f"{name}:{i}") for i in range(count))
        return self._add(op, layer, inputs, outputs, [self._format(inputs[0])] * count, f"/{suffix}")

    def relaid(self, stored: str, values: Array, quant: Quantization | None) -> str:
        """Take a stored tensor in hwsim's layout as known, under the file's name where that is free."""
        if stored in self._relaid:
            return self._relaid[stored]
        name = self._fresh(f"{stored}/channel_last") if stored in self._constants else stored
        self._relaid[stored] = self.know(name, values, self.dtype(stored), quant)
        return name

    def constant(self, name: str) -> str:
        """Make a known tensor a constant of the graph, once, and return its name; others are returned as they are."""
        values = self.value(name)
        if values is None or name in self._constants:
            return name
        dtype, quant = self._format(name)
        self.builder.constant(
            name, values.shape, dtype, data=values.astype(numpy_dtype(dtype), copy=False), quant=quant
        )
        self._constants.add(name)
        return name

    def _add(
        self,
        op: FileOperator,
        layer: Op,
        inputs: Sequence[str],
        outputs: tuple[str, ...],
        formats: Sequence[tuple[DType, Quantization | None]],
        suffix: str,
    ) -> tuple[str, ...]:
        folded = self._folded(layer, inputs)
        self._written.update(outputs)
        if folded is not None and len(folded) == len(outputs):
            for name, values, (dtype, quant) in zip(outputs, folded, formats, strict=True):
                self.know(name, values, dtype, quant)
            return outputs
        inputs = tuple(self.constant(name) for name in inputs)
        self.builder.add(
            layer,
            inputs,
            name=self.layer_name(op) + suffix,
            outputs=outputs,
            dtypes=[dtype for dtype, _ in formats],
            quants=[quant for _, quant in formats],
        )
        self._formats.update(zip(outputs, formats, strict=True))
        return outputs

    def _folded(self, layer: Op, inputs: Sequence[str]) -> tuple[Array, ...] | None:
        if not inputs:
            return None
        values = [self.value(name) for name in inputs]
        known = [value for value in values if value is not None]
        arithmetic = not isinstance(layer, MOVES)
        if len(known) < len(inputs) or (arithmetic and any(self.quant(name) is not None for name in inputs)):
            return None
        try:
            return fold(layer, known)
        except ShapeMismatchError as error:
            raise UnsupportedError(str(error)) from None

    def format_of(self, tensor: FileTensor) -> DType:
        """Return a tensor's dtype.

        Raises:
            UnsupportedError: It is one that hwsim does not have.
        """
        if tensor.dtype is None:
            raise UnsupportedError(f"its tensor {tensor.name!r} has dtype {tensor.type_name}")
        return tensor.dtype

    def _format(self, name: str) -> tuple[DType, Quantization | None]:
        if name not in self._formats:
            self._formats[name] = self._file_format(self._index[name])
        return self._formats[name]

    def _file_format(self, index: int) -> tuple[DType, Quantization | None]:
        tensor = self.file.tensors[index]
        return self.format_of(tensor), tensor.quant

    def _fresh(self, name: str) -> str:
        while name in self._index or name in self._written:
            name += "'"
        return name


Translation = Callable[[TfliteImport, FileOperator], None]
"""Adds the layers of one operator; raises ``UnsupportedError`` where its form is one that hwsim does not know."""


def transposed(quant: Quantization | None, perm: Sequence[int]) -> Quantization | None:
    """Return a constant's quantisation after its axes are reordered."""
    if quant is None or quant.axis is None:
        return quant
    return replace(quant, axis=perm.index(quant.axis))


def real_values(values: Array, quant: Quantization) -> Array:
    """Return scale × (stored − zero point) in float32, as LiteRT's dequantise does."""
    scale, zero_point = np.asarray(quant.scale, np.float32), np.asarray(quant.zero_point, np.int32)
    if quant.axis is not None:
        along = [-1 if axis == quant.axis else 1 for axis in range(values.ndim)]
        scale, zero_point = scale.reshape(along), zero_point.reshape(along)
    return np.asarray(scale * (values.astype(np.int32) - zero_point), np.float32)
