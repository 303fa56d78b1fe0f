"""ONNX files as graphs: float and quantised (QDQ, QLinear), weights included."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from hwsim.errors import ModelFileError, NetError, UnknownOperatorError, UsageError
from hwsim.graph import Graph, Layer, Quantization, fold_batch_norm, fuse_activations
from hwsim.graph import ops as gops
from hwsim.importers import onnx_ops_conv, onnx_ops_elementwise, onnx_ops_layout, onnx_ops_linear
from hwsim.importers.onnx_dynamic import DYNAMIC_OPERATORS, as_hybrid
from hwsim.importers.onnx_fold import FOLDED_OPERATORS, Folding
from hwsim.importers.onnx_layout import Activation, channel_last, plain
from hwsim.importers.onnx_node import UINT8_TO_INT8, Node, OnnxFile, Port, writers
from hwsim.importers.onnx_patterns import recognise
from hwsim.importers.onnx_qdq import QLINEAR_OPERATORS, collapse, expand_qlinear, quantization
from hwsim.importers.onnx_read import is_narrowed, read_model, resolve
from hwsim.importers.onnx_shapes import declared_outputs
from hwsim.importers.onnx_translate import TRANSLATORS, Translation, UnsupportedFormError

# Importing these modules fills the table of translators.
RULES = (onnx_ops_conv, onnx_ops_elementwise, onnx_ops_layout, onnx_ops_linear)

# Operators that want an image; a graph input that reaches one through any of PASSING is held channel-last.
IMAGE_OPERATORS = frozenset(
    (
        *("Conv", "ConvTranspose", "QLinearConv", "BatchNormalization", "LRN", "Resize", "Upsample", "DepthToSpace"),
        *("SpaceToDepth", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    )
)
PASSING = frozenset(
    (
        *("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Neg", "Clip", "Relu", "Cast", "Identity"),
        *("Pad", "Concat", "Slice", "Split", "QuantizeLinear", "DequantizeLinear"),
    )
)
LISTED = 5  # names that a warning lists before it says how many more there are


def load_onnx(
    path: str | os.PathLike[str],
    *,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
    allow_unknown: bool = False,
) -> Graph:
    """Return the net of an .onnx file, channel-last, with its weights.

    Args:
        path: The file.
        batch: Size of the inputs' first axis where the file leaves it open; 1 when None.
        dims: Sizes of other symbolic dims, by name; those not named are 1.
        allow_unknown: Take operators that hwsim does not know as layers of no cost, with a warning.

    Raises:
        ModelFileError: The file is absent, broken, of another format, or reaches outside its folder.
            Also where shapes do not match.
        UnknownOperatorError: It holds operators that hwsim does not know; all are listed.
        UsageError: ``batch`` or ``dims`` does not suit the file.
        MissingExtraError: onnx is not installed.
    """
    path = Path(path)
    with naming(path) as hints:
        model = read_model(path)
        file = resolve(path, model, batch, dims)
        hints += open_dims(file)
        warnings = ["double and bfloat16 values are held as float32"] if is_narrowed(model) else []
        warnings += hints
        file.nodes = in_order(path, file)
        _check_known(path, file.nodes, allow_unknown)
        work = prepare(path, file)
        translate(work, model, allow_unknown)
        if work.unknown:
            if not allow_unknown:
                raise UnknownOperatorError(_unknown_sentence(path, work.unknown))
            names = _listed([f"{word} ({len(nodes)}x)" for word, nodes in work.unknown.items()])
            warnings.append(f"unknown operators are counted as zero: {names}")
        return finish(work, warnings)


@contextmanager
def naming(path: Path) -> Iterator[list[str]]:
    """Put the file before what a layer's shape rule says, and the hints that the caller collects after it."""
    hints: list[str] = []
    try:
        yield hints
    except (UnknownOperatorError, UsageError):
        raise
    except NetError as error:
        where = "" if isinstance(error, ModelFileError) else f"{path}: "  # what the readers say names it already
        raise ModelFileError(f"{where}{'; '.join([str(error), *hints])}") from None


def open_dims(file: OnnxFile) -> list[str]:
    """Return what to know of axes that the file leaves open and nobody gave a size, if there are any."""
    if not file.open_dims:
        return []
    return [f"the file leaves {_listed(file.open_dims)} open, taken as 1; --dim NAME=N sets a size"]


@dataclass(frozen=True, slots=True)
class Translated:
    """A file whose nodes are translated, as far as hwsim knows them.

    Attributes:
        translation: The tensors made.
        file: The nodes left after folding and putting together.
        dead: Names of nodes that no output depends on.
        unknown: Nodes that hwsim does not know, by operator and form; filled while translating.
    """

    translation: Translation
    file: OnnxFile
    dead: list[str]
    unknown: dict[str, list[Node]] = field(default_factory=dict)


def prepare(path: Path, file: OnnxFile) -> Translated:
    """Return a file ready to translate: dead nodes dropped, constants folded, layers put together, int8 taken in."""
    ends = [port.name for port in file.outputs]
    nodes, dead = _live(file.nodes, ends)
    folding = Folding(str(path), file.constants)
    nodes = as_hybrid(expand_qlinear(nodes, file.constants), file.constants, ends)
    nodes = folding.fold_all(nodes)
    file.nodes = recognise(nodes, file.constants, ends)
    codes = _codes(file)
    file.nodes, _ = _live(collapse(file.nodes, file.constants, ends), ends)
    translation = Translation(file, folding)
    _add_inputs(translation, file, codes)
    return Translated(translation, file, dead)


def translate(work: Translated, model: Any, allow_unknown: bool) -> None:
    """Translate every node; those that hwsim does not know are noted, and stood in for where their shapes are known.

    Raises:
        ModelFileError: A node is malformed, or an unknown one whose shapes the file does not state is allowed.
    """
    t, file, unknown = work.translation, work.file, work.unknown
    declared: dict[str, Port] | None = None
    for node in file.nodes:
        try:
            t.run(node)
        except UnsupportedFormError as error:
            unknown.setdefault(f"{node.op} {error}".strip(), []).append(node)
            if declared is None:
                declared = declared_outputs(t.where, model, file)
            if not _add_unknown(t, node, declared):
                if allow_unknown:
                    raise ModelFileError(
                        f"{t.where}: node {node.name!r} ({node.op}): unknown operator whose output shapes the file "
                        "does not state; add them to its value_info"
                    ) from None
                break  # nothing after it can be translated, and the error below names what was found


def finish(work: Translated, warnings: Iterable[str] = ()) -> Graph:
    """Return the graph of a file that is translated.

    Raises:
        NetError: It is no net: disconnected, without outputs, or an output that nothing writes.
    """
    told = list(warnings)
    outputs = _outputs(work.translation, work.file, told)
    graph, dropped = work.translation.builder.finish(outputs, ())
    known_names = {node.name for node in work.file.nodes}
    dead = work.dead + [name for name in dropped if name in known_names]
    if dead:
        told.append(f"nothing reads the result of {_listed([repr(name) for name in dead])}: left out")
    graph = _with_channel_shuffles(fuse_activations(fold_batch_norm(graph)))
    quantised = any(tensor.quant is not None for tensor in graph.tensors.values())
    return replace(graph, warnings=(*graph.warnings, *told), rounding="onnx" if quantised else "tflite")


def is_known(op: str) -> bool:
    """Return whether hwsim knows an operator type, in one form at least."""
    return any(op in known for known in (TRANSLATORS, FOLDED_OPERATORS, QLINEAR_OPERATORS, DYNAMIC_OPERATORS))


# -- inside ------------------------------------------------------------------------------------------------------------


def _check_known(path: Path, nodes: Iterable[Node], allow_unknown: bool) -> None:
    unknown: dict[str, list[Node]] = {}
    for node in nodes:
        if not is_known(node.op):
            unknown.setdefault(node.op, []).append(node)
    if unknown and not allow_unknown:
        raise UnknownOperatorError(_unknown_sentence(path, unknown))


def _unknown_sentence(path: Path, unknown: Mapping[str, Sequence[Node]]) -> str:
    listed = ", ".join(
        f"{word} (node {nodes[0].name!r}" + (f" and {len(nodes) - 1} more)" if len(nodes) > 1 else ")")
        for word, nodes in unknown.items()
    )
    count = len(unknown)
    return (
        f"{path}: {count} operator{'s' if count > 1 else ''} that hwsim does not know: {listed}; simplify the model "
        "(onnxslim), or pass --allow-unknown to count them as zero"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def in_order(path: Path, file: OnnxFile) -> list[Node]:
    """Return the nodes so that writers come before readers; a file in order stays as it is.

    Raises:
        ModelFileError: They form a cycle.
    """
    made = {*file.constants, *(port.name for port in file.inputs), ""}
    for node in file.nodes:
        if not made.issuperset(node.inputs):
            break
        made.update(node.outputs)
    else:
        return file.nodes
    writer = writers(file.nodes)
    place = {id(node): index for index, node in enumerate(file.nodes)}
    before = {
        place[id(node)]: {place[id(writer[name])] for name in node.inputs if name in writer} for node in file.nodes
    }
    try:
        return [file.nodes[index] for index in TopologicalSorter(before).static_order()]
    except CycleError as error:
        names = " -> ".join(repr(file.nodes[index].name) for index in error.args[1])
        raise ModelFileError(f"{path}: the nodes form a cycle: {names}") from None


def _live(nodes: Sequence[Node], ends: Iterable[str]) -> tuple[list[Node], list[str]]:
    """Return the nodes that an output depends on, and the names of the others."""
    needed, kept, dead = set(ends), [], []
    for node in reversed(nodes):
        if needed.isdisjoint(node.outputs):
            dead.append(node.name)
        else:
            needed.update(name for name in node.inputs if name)
            kept.append(node)
    return kept[::-1], dead[::-1]


def _codes(file: OnnxFile) -> dict[str, Quantization]:
    """Return how the tensors that dequantise nodes read are quantised."""
    return {
        node.inputs[0]: found
        for node in file.nodes
        if node.op == "DequantizeLinear" and (found := quantization(node, file.constants)) is not None
    }


def _add_inputs(t: Translation, file: OnnxFile, codes: Mapping[str, Quantization]) -> None:
    """Add the graph's inputs, images channel-last, quantised ones as int8."""
    for port in file.inputs:
        shape = port.shape or ()
        rank = len(shape)
        order = plain(rank)
        if rank in (3, 4) and _meets_image(t, port.name):
            order = tuple(axis for axis in channel_last(rank) if axis >= 0)
        stored = tuple(shape[axis] for axis in order)
        file_axes = order if order != plain(rank) else None
        quant = codes.get(port.name) if port.dtype in ("int8", "uint8") else None
        if quant is not None and port.dtype == "uint8":
            own = replace(quant, zero_point=(quant.zero_point[0] + UINT8_TO_INT8,))
            t.builder.input(port.name, stored, "uint8", quant=own, file_axes=file_axes)
            tensor = t.requantized(port.name, quant)
        else:
            tensor = t.builder.input(port.name, stored, port.dtype, quant=quant, file_axes=file_axes)
        t.values[port.name] = Activation(tensor, order, shape)


def _meets_image(t: Translation, name: str) -> bool:
    """Return whether a tensor reaches an operator on images before one that fixes another order."""
    seen, waiting = {name}, [name]
    while waiting:
        for node in t.readers.get(waiting.pop(), ()):
            if node.op in IMAGE_OPERATORS:
                return True
            if node.op in PASSING:
                fresh = [output for output in node.outputs if output not in seen]
                seen.update(fresh)
                waiting += fresh
    return False


def _add_unknown(t: Translation, node: Node, declared: Mapping[str, Port]) -> bool:
    """Add a stand-in of no cost; return False where its output shapes are not known."""
    names = [name for name in node.outputs if name]
    ports = [declared[name] for name in names if name in declared]
    if len(ports) < len(names):
        return False
    inputs = []
    for name in node.inputs:
        if name in t.values:
            value = t.values[name]
            inputs.append(t.builder.arranged(value, plain(len(value.file_shape))))
        elif (const := t.const(name)) is not None:
            inputs.append(t.builder.store(name, "", const.array))
    op = gops.Unknown(
        operator=node.op,
        shapes=tuple(port.shape or () for port in ports),
        dtypes=tuple(port.dtype for port in ports),
    )
    t.builder.add(op, inputs, name=node.name, outputs=names)
    for port in ports:
        t.values[port.name] = Activation(port.name, plain(len(port.shape or ())), port.shape or ())
    return True


def _outputs(t: Translation, file: OnnxFile, warnings: list[str]) -> list[tuple[str, Activation]]:
    outputs = []
    for port in file.outputs:
        value = t.values.get(port.name)
        if value is None:
            if port.name not in t.constants:
                raise ModelFileError(f"{t.where}: output {port.name!r}: nothing writes it")
            warnings.append(f"output {port.name!r} is a constant: left out")
            continue
        tensor = t.builder.tensor(value.tensor)
        if tensor.quant is not None and tensor.dtype == "int8" and port.dtype == "uint8":
            quant = replace(tensor.quant, zero_point=(tensor.quant.zero_point[0] + UINT8_TO_INT8,))
            value = t.builder.flushed(value)
            as_uint8 = t.builder.add(
                gops.Quantize(dtype="uint8"), [value.tensor], name=t.builder.fresh(f"{port.name}/uint8"), quants=[quant]
            )[0]
            value = replace(value, tensor=as_uint8)
        outputs.append((port.name, value))
    if not outputs:
        raise ModelFileError(f"{t.where}: every output is a constant; there is no net")
    return outputs


def _with_channel_shuffles(graph: Graph) -> Graph:
    """Return the graph with reshape (…, g, C/g), swap, reshape (…, C) as one channel shuffle each."""
    layers: dict[str, Layer] = {layer.name: layer for layer in graph.layers}
    tensors = dict(graph.tensors)
    for first in graph.layers:
        swap, join = _next(graph, first, gops.Reshape), None
        if swap is not None and isinstance(swap.op, gops.Transpose):
            join = _next(graph, swap, gops.Transpose)
        if swap is None or join is None or not isinstance(join.op, gops.Reshape):
            continue
        source, split = graph.tensors[first.inputs[0]].shape, graph.tensors[first.outputs[0]].shape
        rank = len(split)
        if not isinstance(swap.op, gops.Transpose) or swap.op.perm != (*range(rank - 2), rank - 1, rank - 2):
            continue
        if graph.tensors[join.outputs[0]].shape != source or source[-1] != split[-1] * split[-2]:
            continue
        shuffle = gops.ChannelShuffle(groups=split[-2])
        layers[join.name] = Layer(join.name, shuffle, first.inputs, join.outputs)
        for gone in (first, swap):
            del layers[gone.name], tensors[gone.outputs[0]]
    return replace(graph, layers=tuple(layers.values()), tensors=tensors)


def _next(graph: Graph, layer: Layer, kind: type[gops.Op]) -> Layer | None:
    """Return the one reader of a layer of that kind, where its output is no output of the graph."""
    if not isinstance(layer.op, kind) or layer.outputs[0] in graph.outputs:
        return None
    found = graph.consumers.get(layer.outputs[0], ())
    return found[0] if len(found) == 1 else None
