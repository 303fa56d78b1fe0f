"""The translation of an ONNX file: its state, and the table of operators that the ``onnx_ops_*`` modules fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hwsim.errors import ModelFileError
from hwsim.graph import DType, Quantization, Shape, elements
from hwsim.graph import ops as gops
from hwsim.importers.onnx_fold import Folding, shape_slice
from hwsim.importers.onnx_layout import Activation, OnnxBuilder, channel_last, plain
from hwsim.importers.onnx_node import Array, Const, Node, OnnxFile, readers

Translator = Callable[["Translation", Node], None]
TRANSLATORS: dict[str, Translator] = {}


class UnsupportedFormError(Exception):
    """An operator is known, but not with these attributes or inputs; the text says which."""


def onnx_op(*names: str) -> Callable[[Translator], Translator]:
    """Register a translator for operators of these names."""

    def register(translator: Translator) -> Translator:
        TRANSLATORS.update(dict.fromkeys(names, translator))
        return translator

    return register


class Translation:
    """The file's tensors as far as they are translated, and how translators read and write them."""

    def __init__(self, file: OnnxFile, folding: Folding) -> None:
        self.where, self.opset = folding.where, file.opset
        self.constants, self._folding = folding.constants, folding
        self.values: dict[str, Activation] = {}
        self.readers = readers(file.nodes)
        self._outputs = frozenset(port.name for port in file.outputs)
        reserved = {port.name for port in (*file.inputs, *file.outputs)}
        for node in file.nodes:
            reserved.update(node.outputs)
            reserved.add(node.name)
        self.builder = OnnxBuilder(file.name, reserved)

    # -- reading -------------------------------------------------------------------------------------------------------

    def const(self, name: str) -> Const | None:
        """Return a constant input, or None where it is left out or computed."""
        return self.constants.get(name) if name else None

    def need_const(self, node: Node, index: int, what: str) -> Const:
        """Return a constant input.

        Raises:
            UnsupportedFormError: It is computed by the net.
        """
        const = self.const(node.input(index))
        if const is None:
            raise UnsupportedFormError(f"with {what} that the net computes")
        return const

    def integers(self, node: Node, index: int, key: str | None = None) -> list[int] | None:
        """Return numbers that older opsets hold in attribute ``key`` and newer ones in an input; None if left out."""
        if key is not None and key in node.attrs:
            found = node.attrs[key]
            return [int(value) for value in (found if isinstance(found, list | tuple) else [found])]
        if not node.input(index):
            return None
        return [int(value) for value in self.need_const(node, index, "sizes").array.ravel()]

    def raw(self, node: Node, index: int = 0) -> Activation:
        """Return a computed input as it is held; a constant becomes a stored tensor."""
        name = node.input(index)
        if name in self.values:
            return self.values[name]
        const = self.const(name)
        if const is None:
            raise ModelFileError(f"{self.where}: node {node.name!r} ({node.op}) reads {name!r}, which nothing writes")
        return Activation(self.builder.store(name, "", const.array), plain(const.array.ndim), const.array.shape)

    def activation(self, node: Node, index: int = 0) -> Activation:
        """Return a computed input with any reshape that was put off done."""
        return self.builder.flushed(self.raw(node, index))

    def file_shape(self, name: str) -> Shape:
        """Return the file's shape of a constant or computed tensor."""
        const = self.const(name)
        return const.array.shape if const is not None else self.values[name].file_shape

    def image(self, node: Node) -> tuple[str, tuple[int, ...]]:
        """Return the first input as an image (N, H, W, C) and the order it then has.

        Raises:
            UnsupportedFormError: It has not one or two spatial axes.
        """
        value = self.activation(node)
        if len(value.shape) not in (3, 4):
            raise UnsupportedFormError(f"with {max(len(value.shape) - 2, 0)} spatial axes")
        axes = channel_last(len(value.shape))
        return self.builder.arranged(value, axes), axes

    def first_output_only(self, node: Node) -> Node:
        """Return a node without its further outputs.

        Raises:
            UnsupportedFormError: Something needs one of them.
        """
        for index, name in enumerate(node.outputs[1:], 1):
            if name and (name in self.readers or name in self._outputs):
                raise UnsupportedFormError(f"with its output {index}")
        return replace(node, outputs=node.outputs[:1])

    # -- writing -------------------------------------------------------------------------------------------------------

    def alias(self, node: Node, value: Activation, output: int = 0) -> None:
        """Let an output be a value that exists; its elements must not change."""
        name = node.outputs[output]
        if node.quant is None or self.builder.tensor(value.tensor).quant == node.quant:
            self.values[name] = value
        else:
            quantized = self._quantize(value.tensor, node.quant, name, node.name)
            self.values[name] = replace(value, tensor=quantized)

    def emit(
        self,
        node: Node,
        op: gops.Op,
        inputs: Sequence[str],
        axes: tuple[int, ...],
        *,
        moves: bool = False,
        merged: Shape | None = None,
        shape: Shape | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Add the layer of a node and note its outputs.

        Args:
            node: Names, and the quantisation of the output.
            op: The layer.
            inputs: Internal tensors.
            axes: The order of the outputs' axes, as in ``Activation``.
            moves: Whether the layer only moves elements, so that its output is quantised as its first input is.
            merged: A reshape put off, as in ``Activation``; then ``shape`` is that of the value under it.
            shape: The file's shape before ``merged``.
            dtype: The output's dtype where it is not what the shape rule says.
        """
        first = self.builder.tensor(inputs[0])
        requantize = moves and node.quant is not None and first.quant != node.quant
        names = [name or self.builder.fresh(f"{node.name}/unused") for name in node.outputs]
        if requantize:
            names = [self.builder.fresh(f"{name}/moved") for name in names]
        if moves:
            dtypes, quants = [first.dtype] * len(names), [first.quant] * len(names)
        else:
            found: DType | None = "int8" if node.quant is not None else dtype
            dtypes, quants = ([found] if found else []), [node.quant]
        layer = self.builder.fresh(f"{node.name}/move") if requantize else node.name
        outputs = self.builder.add(op, inputs, name=layer, outputs=names, dtypes=dtypes or None, quants=quants)
        for name, tensor in zip(node.outputs, outputs, strict=True):
            final = tensor
            if requantize and node.quant is not None:
                final = self._quantize(tensor, node.quant, name, node.name)
            if name:
                value = Activation(final, axes, shape or self._shape(tensor, axes))
                self.values[name] = replace(value, merged=merged)

    def aux(self, op: gops.Op, inputs: Sequence[str], word: str) -> str:
        """Add a further layer of a node and return its output."""
        return self.builder.add(op, inputs, name=self.builder.fresh(word))[0]

    def requantized(self, tensor: str, quant: Quantization) -> str:
        """Return a tensor in another quantisation, through a layer if it is not in that one."""
        if self.builder.tensor(tensor).quant == quant:
            return tensor
        name = self.builder.fresh(f"{tensor}/quantize")
        return self._quantize(tensor, quant, name, name)

    def _quantize(self, tensor: str, quant: Quantization, output: str, layer: str) -> str:
        return self.builder.add(gops.Quantize(), [tensor], name=layer, outputs=[output], quants=[quant])[0]

    def _shape(self, tensor: str, axes: tuple[int, ...]) -> Shape:
        """Return the file's shape of an internal tensor."""
        sizes = {axis: size for axis, size in zip(axes, self.builder.shape(tensor), strict=True) if axis >= 0}
        return tuple(sizes[axis] for axis in range(len(sizes)))

    # -- operands ------------------------------------------------------------------------------------------------------

    def operand(self, name: str, axes: tuple[int, ...], quantized: bool) -> str:
        """Return an operand of an elementwise layer in a given order, lower ranks widened by leading ones."""
        rank = sum(axis >= 0 for axis in axes)
        const = self.const(name)
        if const is None:
            value = self.builder.flushed(self.values[name])
            extra = rank - len(value.shape)
            axes_before = tuple(axis + extra if axis >= 0 else axis for axis in value.axes)
            return self.builder.arranged(Activation(value.tensor, axes_before, (1,) * extra + value.shape), axes)
        source, quant = const.array, None
        if quantized and const.stored is not None:
            source, quant = const.stored.codes, const.stored.quantization(None)
        return self.builder.store(name, f"{axes}{'q' if quant else ''}", _laid_out(source, axes, rank), quant)

    def operand_whole(self, name: str, axes: tuple[int, ...], quant: Quantization | None) -> str:
        """Return an operand with every axis of the given order; a constant in the given quantisation."""
        const = self.const(name)
        if const is None:
            return self.builder.arranged(self.values[name], axes)
        array = const.array
        if quant is not None:
            codes = np.rint(array / quant.scale[0]) + quant.zero_point[0]
            array = np.clip(codes, -128, 127).astype(np.int8)
        turned = array.transpose([axis for axis in axes if axis >= 0])
        for position in (index for index, axis in enumerate(axes) if axis < 0):
            turned = np.expand_dims(turned, position)
        return self.builder.store(name, f"whole{axes}{quant or ''}", turned, quant)

    # -- all of it -----------------------------------------------------------------------------------------------------

    def run(self, node: Node) -> None:
        """Translate one node: folded if its inputs are known, else by its translator.

        Raises:
            UnsupportedFormError: hwsim does not know the operator, or not in this form.
        """
        if node.op in ("Shape", "Size") and node.inputs[0] in self.values:
            shape = self.values[node.inputs[0]].file_shape
            array: Array = shape_slice(node, shape) if node.op == "Shape" else np.asarray(elements(shape), np.int64)
            self.constants[node.outputs[0]] = Const(node.outputs[0], array)
            return
        if self._folding.fold(node):
            return
        if node.op not in TRANSLATORS:
            raise UnsupportedFormError("")
        try:
            TRANSLATORS[node.op](self, node)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # What ONNX's own definition of the operator does not rule out: lists of odd lengths, axes out of range.
            reason = str(error).partition("\n")[0]
            raise ModelFileError(
                f"{self.where}: node {node.name!r} ({node.op}) is malformed ({type(error).__name__}: {reason})"
            ) from error


def _laid_out(array: Array, axes: tuple[int, ...], rank: int) -> Array:
    """Return a constant of the file in a given order, without leading axes of size one."""
    wide = array.reshape((1,) * (rank - array.ndim) + array.shape)
    turned = wide.transpose([axis for axis in axes if axis >= 0])
    sizes = iter(turned.shape)
    shape = [next(sizes) if axis >= 0 else 1 for axis in axes]
    while shape and shape[0] == 1:
        shape.pop(0)
    return turned.reshape(shape)
