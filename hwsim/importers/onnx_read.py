"""Reading an .onnx file without trusting it: bounds, the wire format, external data, symbolic dims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.errors import MissingExtraError, ModelFileError, UsageError, did_you_mean
from hwsim.files import need_regular
from hwsim.graph import DType, Shape
from hwsim.importers.onnx_functions import inlined
from hwsim.importers.onnx_node import Array, Const, Node, OnnxFile, Port

MAX_BYTES = 2**31 - 1  # protobuf refuses larger messages
MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}  # field -> wire type
GRAPH_FIELD = 7
MAX_OPSET = 1000
OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive (a PyTorch or Keras file?)",
    b"\x89HDF": "an HDF5 file (Keras?)",
    b"\x80\x02": "a Python pickle",
    b"\x1f\x8b": "a gzip archive",
}
ELEMENT_TYPES: dict[int, DType] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float32",  # double; costed and computed as float32
    12: "uint32",
    13: "uint64",
    16: "float32",  # bfloat16, likewise
    22: "int4",
}
NARROWED_TYPES = (11, 16)  # double and bfloat16
STANDARD_DOMAINS = ("", "ai.onnx")


def read_model(path: Path) -> Any:
    """Return the file's ``ModelProto``, external data not yet read and local functions inlined.

    Raises:
        ModelFileError: The file is absent, empty, too large, of another format, or broken.
        MissingExtraError: The onnx package is not installed.
    """
    data = _bytes(path)
    _check_wire_format(path, data)
    try:
        from onnx import ModelProto
    except ImportError:
        raise MissingExtraError("reading .onnx needs onnx: pip install 'hwsim[onnx]'") from None
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = ModelProto.FromString(data)
    except DecodeError:
        raise ModelFileError(f"{path}: is no ONNX model, or is broken (its protobuf does not parse)") from None
    if not model.graph.node:
        raise ModelFileError(f"{path}: holds no operators")
    return inlined(path, model) if model.functions else model


def resolve(
    path: Path, model: Any, batch: int | None, dims: Mapping[str, int] | None, *, weights: bool = True
) -> OnnxFile:
    """Return nodes, constants, inputs and outputs with symbolic dims resolved.

    Raises:
        ModelFileError: A tensor is broken, its external data lie outside the model's folder, or an input has no shape.
        UsageError: ``dims`` names a dim that the file does not have, or ``batch`` meets a fixed one.
    """
    graph = model.graph
    values = (*graph.input, *graph.output)
    sizes_named = (dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim)
    need_text(path, *(item.name for item in (*graph.initializer, *values)), *sizes_named)
    constants = {tensor.name: Const(tensor.name, read_tensor(path, tensor)) for tensor in graph.initializer if weights}
    if graph.sparse_initializer:
        raise ModelFileError(f"{path}: sparse initializers are not supported; store the weights densely")
    declared = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in declared]
    _name_open_dims(inputs)
    sizes = _symbols(path, inputs, batch, dims or {})
    opset = max((entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS), default=1)
    if not 1 <= opset <= MAX_OPSET:
        raise ModelFileError(f"{path}: opset {opset}: must be 1 to {MAX_OPSET}")
    return OnnxFile(
        name=path.stem,
        opset=opset,
        nodes=list(read_nodes(path, graph, opset)),
        constants=constants,
        inputs=[_input(path, value, sizes) for value in inputs],
        outputs=[Port(value.name, port_shape(value, sizes), _dtype(path, value)) for value in graph.output],
        open_dims=_open_dims(inputs, sizes),
    )


def read_nodes(path: Path, graph: Any, opset: int) -> Iterator[Node]:
    """Yield the graph's nodes; those without a name, or with one that is taken, are named by their first output."""
    taken: set[str] = set()
    for index, node in enumerate(graph.node):
        need_text(path, node.name, node.op_type, node.domain, *node.input, *node.output)
        need_text(path, *(attribute.name for attribute in node.attribute))
        op = operator(node)
        _check_node(path, node, opset)
        name = node.name
        if not name or name in taken:
            name = next((output for output in node.output if output), "") or f"{op}_{index}"
        taken.add(name)
        attrs = {attribute.name: _attribute(path, attribute) for attribute in node.attribute}
        yield Node(op, name, tuple(node.input), tuple(node.output), attrs)


def operator(node: Any) -> str:
    """Return a node's operator type, with its domain unless that is ONNX's own, in printable characters."""
    name = str(node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}::{node.op_type}")
    return name if name.isprintable() else ascii(name)[1:-1]


def is_narrowed(model: Any) -> bool:
    """Return whether weights or inputs are of a type that hwsim holds as float32."""
    types = (tensor.data_type for tensor in model.graph.initializer)
    inputs = (value.type.tensor_type.elem_type for value in model.graph.input)
    return any(element in NARROWED_TYPES for element in (*types, *inputs))


def port_shape(value: Any, sizes: Mapping[str, int]) -> Shape | None:
    """Return a declared shape with symbols resolved (1 where nothing is said), or None where there is none."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else sizes.get(dim.dim_param, 1)
        for dim in value.type.tensor_type.shape.dim
    )


def read_tensor(path: Path, tensor: Any) -> Array:
    """Return a tensor's values: float32 for double and bfloat16, others as stored.

    Raises:
        ModelFileError: Its sizes and its data disagree, or its external data cannot be read safely.
    """
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        _read_external(path, tensor)
    try:
        if min(tensor.dims, default=0) < 0:
            raise ValueError("negative dims")
        array = np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelFileError(
            f"{path}: tensor {tensor.name!r} of element type {tensor.data_type} and shape {list(tensor.dims)} is "
            f"broken ({reason})"
        ) from None
    if tensor.data_type in (TensorProto.DOUBLE, TensorProto.BFLOAT16):
        return array.astype(np.float32)
    if tensor.data_type in (TensorProto.INT4, TensorProto.UINT4):
        return array.astype(np.int8)
    return array


def need_text(path: Path, *names: object) -> None:
    """Refuse names that are no UTF-8: protobuf hands them over as bytes."""
    for name in names:
        if not isinstance(name, str):
            raise ModelFileError(f"{path}: is broken: the name {name!r} is no UTF-8 text")


# -- inside ------------------------------------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    size = need_regular(path, ModelFileError)
    if size > MAX_BYTES:
        raise ModelFileError(f"{path}: {size} bytes, more than the 2 GiB of an ONNX file; use external data")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise ModelFileError(f"{path}: is empty")
    if data[4:8] == b"TFL3":
        raise ModelFileError(f"{path}: is a TFLite file; rename it to .tflite")
    for start, what in OTHER_FORMATS.items():
        if data.startswith(start):
            raise ModelFileError(f"{path}: is {what}, not ONNX")
    return data


def _check_wire_format(path: Path, data: bytes) -> None:
    """Refuse bytes that are no ONNX model at the outermost level, before the slow import of onnx."""
    position, fields = 0, set()
    while position < len(data):
        key, position = _varint(path, data, position)
        field, wire = key >> 3, key & 7
        if MODEL_FIELDS.get(field) != wire:
            raise ModelFileError(f"{path}: is no ONNX model, or is broken (at byte {position})")
        fields.add(field)
        value, position = _varint(path, data, position)
        if wire == 2:
            position += value
    if position != len(data):
        raise ModelFileError(f"{path}: is truncated ({len(data)} bytes of {position})")
    if GRAPH_FIELD not in fields:
        raise ModelFileError(f"{path}: holds no graph")


def _varint(path: Path, data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ModelFileError(f"{path}: is truncated")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ModelFileError(f"{path}: is no ONNX model, or is broken (at byte {position})")


def _read_external(path: Path, tensor: Any) -> None:
    """Read a tensor's external data into it, from a file inside the model's folder only."""
    from onnx import TensorProto

    fields = {entry.key: entry.value for entry in tensor.external_data}
    location = fields.get("location", "")
    folder = path.resolve().parent
    where = f"{path}: tensor {tensor.name!r}: external data {location!r}"
    if not location or "\0" in location or Path(location).is_absolute():
        raise ModelFileError(f"{where}: must be a file beside the model, by a relative path")
    try:
        source = (folder / location).resolve()
        if not source.is_relative_to(folder):
            raise ModelFileError(f"{where} lies outside the model's folder: refused; put the file beside the model")
        offset = int(fields.get("offset", "0"))
        if source.exists() and not source.is_file():
            raise ModelFileError(f"{where}: is not a regular file")
        with source.open("rb") as file:
            size = source.stat().st_size
            length = int(fields.get("length", str(size - offset)))
            if offset < 0 or length < 0 or offset + length > size:
                raise ModelFileError(f"{where}: bytes {offset} to {offset + length} lie outside its {size} bytes")
            file.seek(offset)
            tensor.raw_data = file.read(length)
    except ValueError:
        raise ModelFileError(f"{where}: offset and length must be numbers") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
        raise ModelFileError(f"{where}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


@lru_cache(maxsize=1024)
def _schema(op: str, opset: int) -> Any:
    """Return ONNX's definition of one of its own operators, or None."""
    from onnx import defs

    try:
        return defs.get_schema(op, opset, "")
    except defs.SchemaError:
        return None


def _check_node(path: Path, node: Any, opset: int) -> None:
    """Check a node's numbers of inputs and outputs and its attributes against ONNX's definition of the operator."""
    where = f"{path}: node {node.name or ''.join(node.output[:1])!r} ({node.op_type})"
    if not any(node.output):
        raise ModelFileError(f"{where} has no outputs")
    schema = _schema(node.op_type, opset) if node.domain in STANDARD_DOMAINS else None
    if schema is None:
        return
    if not schema.min_input <= len(node.input) <= schema.max_input:
        raise ModelFileError(f"{where} has {len(node.input)} inputs, needs {schema.min_input} to {schema.max_input}")
    if not schema.min_output <= len(node.output) <= schema.max_output:
        raise ModelFileError(
            f"{where} has {len(node.output)} outputs, needs {schema.min_output} to {schema.max_output}"
        )
    if not all(node.input[: schema.min_input]) and not node.op_type.startswith("Concat"):
        raise ModelFileError(f"{where} leaves out an input that it needs")
    types = {attribute.name: int(attribute.type) for attribute in node.attribute}
    for name, definition in schema.attributes.items():
        if name in types and types[name] != int(definition.type.value):
            raise ModelFileError(f"{where}: attribute {name!r} has the wrong type")
        if definition.required and name not in types:
            raise ModelFileError(f"{where}: attribute {name!r} is missing")


def _attribute(path: Path, attribute: Any) -> Any:
    """Return an attribute as a number, text, list or array; subgraphs stay closed."""
    from onnx import AttributeProto, helper

    match attribute.type:
        case AttributeProto.FLOAT:
            return float(attribute.f)
        case AttributeProto.INT:
            return int(attribute.i)
        case AttributeProto.STRING:
            return attribute.s.decode("utf-8", "replace")
        case AttributeProto.TENSOR:
            return read_tensor(path, attribute.t)
        case AttributeProto.INTS | AttributeProto.FLOATS | AttributeProto.STRINGS:
            value = helper.get_attribute_value(attribute)
        case AttributeProto.UNDEFINED:
            raise ModelFileError(f"{path}: attribute {attribute.name!r} has no known type")
        case _:
            return None
    return [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value]


def _name_open_dims(inputs: Iterable[Any]) -> None:
    """Name axes that a file leaves open without a word, or as −1: ``<input>.<axis>``."""
    for value in inputs:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.dim_param and (not dim.HasField("dim_value") or dim.dim_value == -1):
                dim.dim_param = f"{value.name}.{axis}"


def _open_dims(inputs: Iterable[Any], sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Return the names of open axes without a size; a first axis is the batch, and one is what it usually is."""
    shapes = [value.type.tensor_type.shape.dim for value in inputs]
    batches = {dim.dim_param for shape in shapes for dim in shape[:1]}
    names = (dim.dim_param for shape in shapes for dim in shape[1:])
    return tuple(dict.fromkeys(name for name in names if name and name not in sizes and name not in batches))


def _symbols(path: Path, inputs: list[Any], batch: int | None, dims: Mapping[str, int]) -> dict[str, int]:
    """Return the size of each symbolic dim that the caller sets."""
    known = {
        dim.dim_param for value in inputs for dim in value.type.tensor_type.shape.dim if not dim.HasField("dim_value")
    } - {""}
    for name, size in dims.items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(
                f"{path}: has no symbolic dim {name!r}{did_you_mean(name, known)} (its symbolic dims: {names})"
            )
        if size < 1:
            raise UsageError(f"{path}: dim {name} = {size}: must be >= 1")
    sizes = dict(dims)
    if batch is None:
        return sizes
    if batch < 1:
        raise UsageError(f"{path}: batch = {batch}: must be >= 1")
    for value in inputs:
        shape = value.type.tensor_type.shape.dim
        if not shape:
            continue
        if shape[0].HasField("dim_value"):
            if shape[0].dim_value != batch:
                raise UsageError(
                    f"{path}: batch = {batch}: input {value.name!r} has a fixed batch of {shape[0].dim_value}"
                )
            continue
        sizes.setdefault(shape[0].dim_param, batch)
    return sizes


def _input(path: Path, value: Any, sizes: Mapping[str, int]) -> Port:
    shape = port_shape(value, sizes)
    if shape is None:
        raise ModelFileError(f"{path}: input {value.name!r} has no shape; export the model with input shapes")
    if min(shape, default=1) < 1:
        raise ModelFileError(f"{path}: input {value.name!r} has shape {shape}: every size must be >= 1")
    return Port(value.name, shape, _dtype(path, value))


def _dtype(path: Path, value: Any) -> DType:
    kind = value.type.WhichOneof("value")
    element = value.type.tensor_type.elem_type
    if kind != "tensor_type" or element not in ELEMENT_TYPES:
        raise ModelFileError(f"{path}: {value.name!r} is {kind or 'untyped'} of element type {element}: not supported")
    return ELEMENT_TYPES[element]
