"""TFLite importer: float, int8 (per tensor and per channel), uint8, int16 and hybrid files, with weights.

Source: the schema of TensorFlow Lite (``tensorflow/compiler/mlir/lite/schema/schema.fbs``) and the shape rules of its
reference kernels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsim.errors import ModelFileError, NetError, UnknownOperatorError, UsageError, did_you_mean
from hwsim.graph import Graph, Shape, ops
from hwsim.graph.ops import ShapeMismatchError
from hwsim.importers import tflite_layout, tflite_operators, tflite_state, tflite_weighted
from hwsim.importers.tflite_import import LiveBuilder, TfliteImport, UnsupportedError
from hwsim.importers.tflite_names import tensor_names
from hwsim.importers.tflite_reader import FileGraph, FileOperator, FileTensor, read_tflite

TRANSLATIONS = {
    **tflite_operators.TRANSLATIONS,
    **tflite_layout.TRANSLATIONS,
    **tflite_weighted.TRANSLATIONS,
    **tflite_state.TRANSLATIONS,
}


@dataclass(frozen=True, slots=True)
class _Problem:
    index: int
    operator: str
    layer: str
    reason: str


def load_tflite(
    path: str | Path,
    *,
    dims: Mapping[str, int] | None = None,
    batch: int | None = None,
    allow_unknown: bool = False,
) -> Graph:
    """Import the main subgraph of a TFLite file.

    Args:
        path: The file.
        dims: Sizes of symbolic axes by ``<input name>.<axis>``, 1 where left out. (TFLite gives them no names.)
        batch: Size of axis 0 of every input that is an image, sequence or the like (two axes or more).
        allow_unknown: Take operators that hwsim does not know as ``ops.Unknown``, without cost, and warn.

    Raises:
        ModelFileError: The file is absent, damaged or of another format, or its shapes contradict each other.
        UnknownOperatorError: It holds operators that hwsim does not know; all of them are listed.
        UsageError: ``batch`` or ``dims`` do not fit the file.
    """
    path = Path(path)
    file = read_tflite(path)
    shapes = _input_shapes(file, dims or {}, batch)
    overridden = batch is not None or bool(dims)
    net, problems, error = _translate(path, file, shapes, overridden=overridden)
    open_axes = _open_axes(file, dims or {})
    if error is not None and not problems:
        error = NetError("; ".join([str(error), *open_axes]))
    if problems and not allow_unknown:
        raise UnknownOperatorError(_listing(path, problems))
    warnings = [
        f"operator {problem.operator} of layer {problem.layer!r} is unknown: it counts nothing" for problem in problems
    ]
    return _graph(path, net, error, [*open_axes, *warnings])


def _graph(path: Path, net: TfliteImport, error: NetError | None, warnings: Sequence[str] = ()) -> Graph:
    """Return the graph of a file that is translated, unless ``error`` went wrong with that."""
    try:
        if error is not None:
            raise error
        outputs = dict.fromkeys([*(net.constant(net.names[index]) for index in net.file.outputs), *net.states])
        return net.builder.build(outputs, warnings=[*_remarks(path, net), *warnings])
    except NetError as problem:
        raise ModelFileError(f"{path}: {problem}") from None


def tflite_tensor_indices(path: str | Path) -> dict[str, int]:
    """Return the index in the file of each tensor by the name it has in the imported graph.

    Raises:
        ModelFileError: See ``load_tflite``.
    """
    return {name: index for index, name in enumerate(tensor_names(read_tflite(Path(path)).tensors))}


def tflite_operators_of(path: str | Path) -> list[tuple[str, str, bool]]:
    """Return (operator, layer name, whether hwsim knows it) for every operator of the main subgraph, in order.

    Raises:
        ModelFileError: See ``load_tflite``.
    """
    path = Path(path)
    file = read_tflite(path)
    net, problems, error = _translate(path, file, _input_shapes(file, {}, None), overridden=False)
    if not problems:  # what goes wrong after an unknown operator may come from its shapes
        _graph(path, net, error)
    unknown = {problem.index for problem in problems}
    return [
        (op.operator, net.layer_name(op), op.operator in TRANSLATIONS and op.index not in unknown)
        for op in file.operators
    ]


def _input_shapes(file: FileGraph, dims: Mapping[str, int], batch: int | None) -> dict[int, Shape]:
    """Return each graph input's shape: the file's, symbolic axes as asked for, or 1."""
    names = tensor_names(file.tensors)
    symbolic = {
        f"{names[i]}.{axis}" for i in file.inputs if i >= 0 for axis, n in enumerate(file.tensors[i].signature) if n < 0
    }
    for name, size in dims.items():
        if name not in symbolic:
            known = ", ".join(sorted(symbolic)) or "none"
            raise UsageError(
                f"the file has no symbolic axis {name!r}{did_you_mean(name, symbolic)}; it has: {known} (input.axis)"
            )
        if size < 1:
            raise UsageError(f"axis {name} = {size}: must be >= 1")
    if batch is not None and batch < 1:
        raise UsageError(f"batch = {batch}: must be >= 1")

    def size_of(tensor: FileTensor, axis: int) -> int:
        name = f"{names[tensor.index]}.{axis}"
        if name in dims:
            return dims[name]
        if axis == 0 and batch is not None and len(tensor.shape) > 1:
            return batch
        return max(tensor.shape[axis], 1) if tensor.signature[axis] < 0 else tensor.shape[axis]

    return {
        i: tuple(size_of(file.tensors[i], axis) for axis in range(len(file.tensors[i].shape)))
        for i in file.inputs
        if i >= 0
    }


def _open_axes(file: FileGraph, dims: Mapping[str, int]) -> list[str]:
    """Return what to know of symbolic axes, but for the batch, that hold one and nobody gave a size."""
    names = tensor_names(file.tensors)
    found = [
        f"{names[i]}.{axis}"
        for i in file.inputs
        if i >= 0
        for axis, size in enumerate(file.tensors[i].shape)
        if axis and file.tensors[i].signature[axis] < 0 and size <= 1 and f"{names[i]}.{axis}" not in dims
    ]
    return [f"the file leaves {', '.join(found)} open, taken as 1; --dim NAME=N sets a size"] if found else []


def _translate(
    path: Path, file: FileGraph, shapes: Mapping[int, Shape], *, overridden: bool
) -> tuple[TfliteImport, list[_Problem], NetError | None]:
    """Build the layers of all operators; return them with what is unknown and what is wrong.

    An unknown operator is stood in for by ``ops.Unknown``, so that all are found; what goes wrong after one may come
    from its shapes.
    """
    net = TfliteImport(file, LiveBuilder(path.stem), overridden=overridden)
    problems: list[_Problem] = []
    try:
        for index, shape in shapes.items():
            tensor = file.tensors[index]
            try:
                net.builder.input(net.names[index], shape, net.format_of(tensor), quant=tensor.quant)
            except UnsupportedError as error:
                raise NetError(f"input {tensor.name!r}: {error}") from None
        _check_order(net, file)
        for op in file.operators:
            _translate_operator(net, op, problems)
    except NetError as error:
        return net, problems, error
    return net, problems, None


def _check_order(net: TfliteImport, file: FileGraph) -> None:
    """Check that each tensor is written before it is read: TFLite runs operators as they stand."""
    writer: dict[int, FileOperator] = {}
    for op in file.operators:
        for index in op.outputs:
            writer.setdefault(index, op)
    for op in file.operators:
        for index in op.inputs:
            if index in writer and writer[index].index >= op.index:
                later = "itself" if writer[index] is op else f"layer {net.layer_name(writer[index])!r} after it"
                raise NetError(f"layer {net.layer_name(op)!r} reads tensor {net.names[index]!r}, which {later} writes")


def _translate_operator(net: TfliteImport, op: FileOperator, problems: list[_Problem]) -> None:
    reason = ""
    try:
        if op.operator in TRANSLATIONS:
            without = op.operator in tflite_state.WITHOUT_VALUES
            if not (without or op.outputs):
                raise UnsupportedError("it has no output")
            written = () if without else op.outputs
            for index in written:
                net.format_of(net.file.tensors[index])
            TRANSLATIONS[op.operator](net, op)
            if written:
                _compare_shapes(net, op)
            return
    except UnsupportedError as error:
        reason = str(error)
    except ShapeMismatchError as error:
        raise NetError(f"layer {net.layer_name(op)!r} ({op.operator}): {error}") from None
    problems.append(_Problem(op.index, op.operator, net.layer_name(op), reason))
    _stand_in(net, op)


def _stand_in(net: TfliteImport, op: FileOperator) -> None:
    """Add an unknown operator with the shapes the file gives; one that writes nothing has no place in the graph."""
    if not op.outputs:
        return
    outputs = [net.file.tensors[index] for index in op.outputs]
    layer = ops.Unknown(
        operator=op.operator,
        shapes=tuple(tensor.shape for tensor in outputs),
        dtypes=tuple(tensor.dtype or "float32" for tensor in outputs),
    )
    inputs = []
    for index in op.inputs:
        tensor = net.file.tensors[index]
        if index >= 0 and tensor.dtype is not None and min(tensor.shape, default=1) > 0:
            inputs.append(net.names[index])
    net.add_unknown(op, layer, inputs)


def _compare_shapes(net: TfliteImport, op: FileOperator) -> None:
    """Warn where the file states another shape than its operator gives; LiteRT infers shapes too."""
    if net.overridden:
        return
    for index in op.outputs:
        tensor, shape = net.file.tensors[index], net.shape(net.names[index])
        fixed = -1 not in tensor.signature and tensor.shape
        if fixed and shape != tensor.shape:
            net.warnings.append(
                f"layer {net.layer_name(op)!r}: the file states shape {tensor.shape} for its output; inferred: {shape}"
            )


def _remarks(path: Path, net: TfliteImport) -> list[str]:
    """Return what a reader of the results should know."""
    remarks = list(net.warnings)
    if net.hybrid:
        kinds = Counter(net.hybrid.values())
        remarks.append(
            f"{path.name} is hybrid: {'; '.join(kinds)} in {len(net.hybrid)} layers; "
            "the forward pass runs it as plain float"
        )
    if net.states:
        remarks.append(
            f"{len(net.states)} variables that the net keeps between runs are inputs here, and their new values outputs"
        )
    for dtype, count in net.dequantised.items():
        remarks.append(f"{count} constants stored as {dtype} are made float32 on loading, and counted as float32")
    return remarks


def _listing(path: Path, problems: list[_Problem]) -> str:
    """Return one sentence that names every unknown operator, each with its first layer."""
    groups: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        groups.setdefault((problem.operator, problem.reason), []).append(problem.layer)
    parts = []
    for (operator, reason), layers in groups.items():
        more = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
        parts.append(f"{operator} (layer {layers[0]!r}{more}{': ' + reason if reason else ''})")
    return (
        f"{path}: hwsim does not know {len(groups)} of its operators: {', '.join(parts)}; "
        "allow_unknown=True (--allow-unknown) imports them without cost"
    )
