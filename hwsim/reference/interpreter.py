"""The interpreter: runs a graph's layers in order on numpy arrays.

A layer whose activations are quantised runs on the int8 kernels, every other one on the float kernels; half-precision
nets compute in float32 and round their outputs only. What a layer can prepare from its constants is prepared in the
first pass over a graph and kept as long as the graph lives.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ForwardError, did_you_mean
from hwsim.graph import Graph, Layer, Shape, Tensor
from hwsim.graph.ops import Cast, Dequantize, Quantize, Unknown
from hwsim.reference.counting import take_macs
from hwsim.reference.float_dispatch import FLOAT_BINDERS, LAYOUT_BINDERS, dequantized
from hwsim.reference.joined import bind_joined, joinable
from hwsim.reference.step import Array, Binder, Step, numpy_dtype
from hwsim.reference.uint8_codes import bind_as_int8, is_uint8

READS_CODES = (Quantize, Dequantize, Cast)  # layers that take and give uint8 codes themselves


@dataclass(frozen=True, slots=True)
class BoundLayer:
    """A layer ready to run.

    Attributes:
        layer: The layer.
        step: Its kernel with everything prepared.
        reads: Each input: a tensor's name, or the values themselves where they are stored.
        last_reads: Tensors that no later layer reads and that are no graph output.
    """

    layer: Layer
    step: Step
    reads: tuple[str | Array, ...]
    last_reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JoinedLayers:
    """Convolutions and the concatenation of their outputs, ready to run as one (see ``joined``).

    Attributes:
        layers: The layers; that of the concatenation is the last.
        step: Takes the convolutions' ifmaps and returns each layer's output with its MACs.
    """

    layers: tuple[BoundLayer, ...]
    step: Callable[[Sequence[Array]], list[tuple[Array, int]]]


@dataclass(frozen=True, slots=True)
class Program:
    """A graph ready to run: its layers in order, and what the user should know about the way they run."""

    parts: tuple[BoundLayer | JoinedLayers, ...]
    warning: str | None


class LayerRun(NamedTuple):
    """One layer just run: what it read (constants included) and wrote, and its MACs where ``counting``."""

    layer: Layer
    inputs: Sequence[Array]
    outputs: Sequence[Array]
    macs: int


def forward(graph: Graph, inputs: Mapping[str, NDArray[Any]], *, every: bool = False) -> dict[str, NDArray[Any]]:
    """Run one inference.

    Args:
        graph: A net with weights.
        inputs: An array for every graph input, in the layout of the model file and of the declared shape and dtype.
        every: Return the output of every layer, not only the graph's outputs.

    Returns:
        Arrays by tensor name: the graph's outputs in the layout of the model file, and with ``every`` all intermediate
        tensors in hwsim's own channel-last layout.

    Raises:
        ForwardError: The graph has no weights, an input is missing, unknown, or of the wrong shape or dtype, or a
            layer has no kernel.
    """
    values = checked_inputs(graph, inputs)
    program = bound(graph)
    if program.warning:
        warnings.warn(program.warning, UserWarning, stacklevel=2)
    results: dict[str, Array] = {}
    with quiet():
        for ran in run(program, values):
            if every:
                results.update(zip(ran.layer.outputs, ran.outputs, strict=True))
    for name in graph.outputs:
        results[name] = _in_file_layout(graph.tensors[name], values[name])
    return results


def checked_inputs(graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    """Return the graph's inputs and constant outputs, channel-last, after checking names, shapes and dtypes.

    Raises:
        ForwardError: See ``forward``.
    """
    for name in inputs:
        if name not in graph.inputs:
            known = ", ".join(map(repr, graph.inputs)) or "none"
            raise ForwardError(
                f"net {graph.name!r} has no input {name!r}{did_you_mean(name, graph.inputs)} (its inputs: {known})"
            )
    values: dict[str, Array] = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        shape, dtype = _file_shape(tensor), numpy_dtype(tensor.dtype)
        if name not in inputs:
            raise ForwardError(f"net {graph.name!r}: input {name!r} is missing: needs {dtype} of shape {shape}")
        array = np.asarray(inputs[name])
        if array.shape != shape:
            raise ForwardError(f"net {graph.name!r}: input {name!r} has shape {array.shape}, needs {shape}")
        if array.dtype.newbyteorder("=") != dtype:
            raise ForwardError(
                f"net {graph.name!r}: input {name!r} is {array.dtype}, needs {dtype}: {_conversion(tensor, array)}"
            )
        internal = array if tensor.file_axes is None else array.transpose(tensor.file_axes)
        values[name] = np.ascontiguousarray(internal, np.float32 if dtype == np.float16 else dtype)
    for name in graph.outputs:
        stored = graph.tensors[name].data
        if graph.tensors[name].constant and stored is not None:
            values[name] = stored
    return values


def bound(graph: Graph) -> Program:
    """Return the graph's layers with their kernels; prepared once and kept while the graph lives.

    Raises:
        ForwardError: A constant has no values, or a layer has no kernel.
    """
    program = _programs.get(id(graph))
    if program is None:
        program = _bind(graph)
        _programs[id(graph)] = program
        weakref.finalize(graph, _programs.pop, id(graph), None)
    return program


def run(program: Program, values: dict[str, Array]) -> Iterator[LayerRun]:
    """Run the layers in order and yield each with its inputs and outputs.

    ``values`` holds the graph's inputs; outputs are added to it, and what nothing reads any more is taken away.
    """
    for part in program.parts:
        if isinstance(part, JoinedLayers):
            yield from _run_joined(part, values)
            continue
        layer = part.layer
        arrays = [values[read] if isinstance(read, str) else read for read in part.reads]
        try:
            outputs = part.step(arrays)
        except (IndexError, ValueError) as error:
            # Shapes were checked when the graph was built; what is left are values, such as an index outside a table.
            kind = type(layer.op).__name__
            raise ForwardError(f"layer {layer.name!r} ({kind}) cannot run: {error}") from error
        values.update(zip(layer.outputs, outputs, strict=True))
        yield LayerRun(layer, arrays, outputs, take_macs())
        for name in part.last_reads:
            del values[name]


def _run_joined(part: JoinedLayers, values: dict[str, Array]) -> Iterator[LayerRun]:
    ran = part.step([values[bound_layer.layer.inputs[0]] for bound_layer in part.layers[:-1]])
    values.update((part.layers[i].layer.outputs[0], output) for i, (output, _) in enumerate(ran))
    for bound_layer, (output, macs) in zip(part.layers, ran, strict=True):
        arrays = [values[read] if isinstance(read, str) else read for read in bound_layer.reads]
        yield LayerRun(bound_layer.layer, arrays, (output,), macs)
        for name in bound_layer.last_reads:
            del values[name]


def quiet() -> np.errstate:
    """Let infinities and the like go through without a warning, as they do in other runtimes."""
    return np.errstate(all="ignore")


_programs: dict[int, Program] = {}  # by the identity of the graph: its equality compares all weights


def _bind(graph: Graph) -> Program:
    if not graph.has_weights:
        missing = next(tensor.name for tensor in graph.constants if tensor.data is None)
        raise ForwardError(
            f"net {graph.name!r} has no weights (constant {missing!r} has no values): "
            "draw some (--random-weights SEED, or hwsim.graph.with_random_weights(net, SEED)), or load a model file "
            "that carries them"
        )
    last_reader: dict[str, str] = {}
    for layer in graph.layers:
        last_reader.update(dict.fromkeys((*layer.outputs, *layer.inputs), layer.name))
    last_reads: dict[str, list[str]] = {}
    for name, reader in last_reader.items():
        if not graph.tensors[name].constant and name not in graph.outputs:
            last_reads.setdefault(reader, []).append(name)

    layers: list[BoundLayer] = []
    hybrid: list[str] = []
    for layer in graph.layers:
        inputs = [graph.tensors[name] for name in layer.inputs]
        outputs = [graph.tensors[name] for name in layer.outputs]
        quantised = any(_is_quantised(tensor) for tensor in (*inputs, *outputs) if not tensor.constant)
        if not quantised and not isinstance(layer.op, Dequantize):
            if any(_is_quantised(tensor) for tensor in inputs):
                hybrid.append(layer.name)
            inputs = [_as_float(tensor) for tensor in inputs]
        uint8 = any(map(is_uint8, (*inputs, *outputs))) and not isinstance(layer.op, READS_CODES)
        binder = _binder(graph, layer, quantised=quantised, uint8=uint8)
        bind = partial(bind_as_int8, binder) if quantised and uint8 else binder
        step = bind(layer, inputs, outputs)
        reads = tuple(tensor.data if tensor.constant and tensor.data is not None else tensor.name for tensor in inputs)
        layers.append(BoundLayer(layer, step, reads, tuple(last_reads.get(layer.name, ()))))
    parts: list[BoundLayer | JoinedLayers] = []
    for position, bound_layer in enumerate(layers):
        count = joinable(graph, position)
        if count:
            parts[len(parts) - count + 1 :] = [_joined(graph, layers[position - count + 1 : position + 1])]
        else:
            parts.append(bound_layer)
    warning = None
    if hybrid:
        shown = ", ".join(map(repr, hybrid[:3])) + (f" and {len(hybrid) - 3} more" if len(hybrid) > 3 else "")
        warning = (
            f"net {graph.name!r}: quantised weights meet float activations in {shown}: run as plain float on "
            "dequantised weights, where the model's own runtime would quantise the activations on the way"
        )
    return Program(tuple(parts), warning)


def _joined(graph: Graph, layers: Sequence[BoundLayer]) -> JoinedLayers:
    constants = [[read for read in layer.reads[1:] if not isinstance(read, str)] for layer in layers[:-1]]
    return JoinedLayers(tuple(layers), bind_joined(graph, [bound_layer.layer for bound_layer in layers], constants))


def _binder(graph: Graph, layer: Layer, *, quantised: bool, uint8: bool) -> Binder:
    kind = type(layer.op)
    if quantised:
        # Only nets with quantised activations pay for the int8 kernels' import.
        if graph.rounding == "onnx":
            from hwsim.reference.onnx_dispatch import ONNX_BINDERS

            binder = ONNX_BINDERS.get(kind)
        else:
            from hwsim.reference.int8_dispatch import INT8_BINDERS, UINT8_BINDERS

            binder = (UINT8_BINDERS if uint8 else INT8_BINDERS).get(kind) or LAYOUT_BINDERS.get(kind)
    else:
        binder = FLOAT_BINDERS.get(kind)
    if binder is None:
        word = f"operator {layer.op.operator}" if isinstance(layer.op, Unknown) else kind.__name__
        sort = "quantised" if quantised else "float"
        raise ForwardError(f"net {graph.name!r}: layer {layer.name!r} ({word}): hwsim has no {sort} kernel for it")
    return binder


def _is_quantised(tensor: Tensor) -> bool:
    return tensor.quant is not None and not tensor.dtype.startswith("float")


def _as_float(tensor: Tensor) -> Tensor:
    """Return a quantised or half-precision constant as float32; any other tensor as it is."""
    if not tensor.constant or tensor.data is None:
        return tensor
    if _is_quantised(tensor):
        return replace(tensor, dtype="float32", quant=None, data=dequantized(tensor))
    if tensor.dtype == "float16":
        return replace(tensor, dtype="float32", data=tensor.data.astype(np.float32))
    return tensor


def _conversion(tensor: Tensor, array: NDArray[Any]) -> str:
    """Return how an array becomes what an input takes."""
    dtype = numpy_dtype(tensor.dtype)
    if tensor.quant is None or len(tensor.quant.scale) > 1 or array.dtype.kind != "f":
        return f"convert it with .astype({dtype.name!r})"
    info, scale, zero_point = np.iinfo(dtype), tensor.quant.scale[0], tensor.quant.zero_point[0]
    return f"real values become codes by round(x / {scale:.6g}) + {zero_point}, held within {info.min} to {info.max}"


def _file_shape(tensor: Tensor) -> Shape:
    if tensor.file_axes is None:
        return tensor.shape
    return tuple(tensor.shape[tensor.file_axes.index(axis)] for axis in range(len(tensor.shape)))


def _in_file_layout(tensor: Tensor, value: Array) -> Array:
    stored = value.astype(np.float16) if tensor.dtype == "float16" else value
    return stored if tensor.file_axes is None else stored.transpose(np.argsort(tensor.file_axes))
