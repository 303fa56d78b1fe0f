"""TFLite files read into plain records; every count and offset is checked before it is trusted.

The generated readers of the ``tflite`` package follow any offset the file holds. What they raise on a damaged file is
caught in one place, ``read_tflite``, and vectors are bounded by the file's size: a small file cannot ask for much.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.errors import ModelFileError
from hwsim.files import need_regular
from hwsim.graph import DType, Quantization, Shape, elements, packed_bytes, zero_point_problem
from hwsim.graph.tensor import MAX_ELEMENTS
from hwsim.importers.constant_folding import Array, numpy_dtype
from hwsim.importers.tflite_schema import OPTIONS

IDENTIFIER = b"TFL3"
MAX_FILE_BYTES = 2**32
MAX_OPERATORS = 1_000_000
MAX_NAME_BYTES = 1024
MAX_ODD_NAME = 64  # of a name with control characters, which no converter writes
MAX_REFERENCES = 20_000_000
MAX_SIZES = 64

# A table without fields: a vtable that says so, and the table pointing back at it. Its readers return every default.
_EMPTY_TABLE = struct.pack("<HHi", 4, 4, 4)
_EMPTY_TABLE_AT = 4


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor as the file states it; ``signature`` has −1 for a symbolic size, ``dtype`` is None if unsupported."""

    index: int
    name: str
    shape: Shape
    signature: Shape
    type_name: str
    dtype: DType | None
    quant: Quantization | None
    sparse: bool
    raw: memoryview | None = field(repr=False, compare=False)

    def values(self) -> Array:
        """Return a constant's values, int4 unpacked to one int8 each.

        Raises:
            ModelFileError: The buffer does not hold what shape and dtype say, or the layout is not supported.
        """
        if self.sparse:
            raise ModelFileError(f"tensor {self.name!r} is stored sparse; hwsim reads dense weights: densify the model")
        if self.dtype is None or self.raw is None:
            raise ModelFileError(f"tensor {self.name!r} has dtype {self.type_name}, whose values hwsim does not read")
        needed = packed_bytes(elements(self.shape), self.dtype)
        if min(self.shape, default=1) < 0 or self.raw.nbytes != needed:
            raise ModelFileError(
                f"tensor {self.name!r}: its buffer holds {self.raw.nbytes} bytes, "
                f"but shape {self.shape} of {self.dtype} takes {needed}"
            )
        if self.dtype == "int4":
            return _unpacked_int4(np.frombuffer(self.raw, np.uint8), self.shape)
        stored = np.frombuffer(self.raw, numpy_dtype(self.dtype).newbyteorder("<")).reshape(self.shape)
        return np.require(stored, requirements=["A"])


@dataclass(frozen=True, slots=True)
class FileOperator:
    """An operator as the file states it; an input of −1 is left out. ``options`` are named as in the TFLite schema.

    An operator may have no outputs: it assigns a variable, or calls a subgraph that does.
    """

    index: int
    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FileGraph:
    """The main subgraph of a TFLite file."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_tflite(path: Path) -> FileGraph:
    """Read a TFLite file's main subgraph.

    Raises:
        ModelFileError: The file is absent, empty, truncated, damaged or of another format.
    """
    if need_regular(path, ModelFileError) > MAX_FILE_BYTES:
        raise ModelFileError(f"{path}: is larger than 4 GiB, which no TFLite file is")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not content:
        raise ModelFileError(f"{path}: is empty")
    if content[4:8] != IDENTIFIER:
        raise ModelFileError(f"{path}: is not a TFLite file (bytes 4 to 7 are {content[4:8]!r}, not {IDENTIFIER!r})")
    with _damage(path):
        return _Reader(content).graph()


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what the generated readers raise on a damaged file into one sentence."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (struct.error, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise ModelFileError(
            f"{path}: is damaged or truncated: an offset or size in it points outside the file ({error})"
        ) from None


class _Reader:
    """Reads one file's bytes through the generated classes."""

    def __init__(self, content: bytes) -> None:
        from tflite.BuiltinOptions import BuiltinOptions
        from tflite.Model import Model
        from tflite.TensorType import TensorType
        from tflite.utils import BUILTIN_OPCODE2NAME

        self.content = content
        self.model = Model.GetRootAs(content)
        self.operator_names: Mapping[int, str] = BUILTIN_OPCODE2NAME
        self.option_types: Mapping[str, int] = vars(BuiltinOptions)
        self.type_names = {code: name for name, code in vars(TensorType).items() if isinstance(code, int)}
        self.references = 0

    def graph(self) -> FileGraph:
        if self.model.SubgraphsLength() == 0:
            raise ModelFileError("holds no subgraph")
        subgraph = self.model.Subgraphs(0)
        tensors = self._count(subgraph.TensorsLength(), "tensors")
        operators = self._count(subgraph.OperatorsLength(), "operators")
        if operators == 0:
            raise ModelFileError("its main subgraph has no operators")
        self._count(self.model.BuffersLength(), "buffers")
        codes = [
            self._operator_name(self.model.OperatorCodes(i))
            for i in range(self._count(self.model.OperatorCodesLength(), "operator codes"))
        ]
        if not subgraph.OutputsLength():
            raise ModelFileError("its main subgraph has no outputs")
        return FileGraph(
            tensors=tuple(self._tensor(i, subgraph.Tensors(i)) for i in range(tensors)),
            operators=tuple(self._operator(i, subgraph.Operators(i), codes, tensors) for i in range(operators)),
            inputs=self._indices(subgraph.InputsAsNumpy(), tensors, "graph inputs"),
            outputs=self._indices(subgraph.OutputsAsNumpy(), tensors, "graph outputs"),
        )

    def _count(self, count: int, what: str) -> int:
        """Return a vector's length if the file is large enough for it: each element takes 4 bytes at least."""
        if count > min(MAX_OPERATORS, len(self.content) // 4):
            raise ModelFileError(f"states {count} {what}, more than a file of {len(self.content)} bytes can hold")
        return count

    def _vector(self, values: Any) -> tuple[int, ...]:
        """Return a vector of integers; the readers give 0 for one that is absent."""
        if not isinstance(values, np.ndarray):
            return ()
        self.references += values.size
        if self.references > MAX_REFERENCES:
            raise ModelFileError(f"states more than {MAX_REFERENCES} tensor references and sizes")
        return tuple(values.tolist())

    def _indices(self, values: Any, tensors: int, what: str) -> tuple[int, ...]:
        indices = self._vector(values)
        for index in indices:
            if not -1 <= index < tensors:
                raise ModelFileError(f"{what} name tensor {index}, but there are {tensors}")
        return indices

    def _operator_name(self, code: Any) -> str:
        # Codes above 127 do not fit the old 8-bit field, which then holds 127; files of old converters have only that.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self.operator_names.get(number, f"operator code {number}")
        if name == "CUSTOM":
            custom = _text(code.CustomCode()) or name
            return custom if custom.isprintable() else ascii(custom)[1:-1]
        return name

    def _operator(self, index: int, record: Any, codes: list[str], tensors: int) -> FileOperator:
        if record.OpcodeIndex() >= len(codes):
            raise ModelFileError(f"operator {index} names operator code {record.OpcodeIndex()} of {len(codes)}")
        operator = codes[record.OpcodeIndex()]
        where = f"operator {index} ({operator})"
        outputs = self._indices(record.OutputsAsNumpy(), tensors, f"outputs of {where}")
        if min(outputs, default=0) < 0:
            raise ModelFileError(f"{where} leaves out an output")
        return FileOperator(
            index,
            operator,
            self._indices(record.InputsAsNumpy(), tensors, f"inputs of {where}"),
            outputs,
            self._options(operator, record),
        )

    def _options(self, operator: str, record: Any) -> dict[str, Any]:
        """Return the options an importer reads; those the file leaves out have the schema's default."""
        if operator not in OPTIONS:
            return {}
        class_name, fields = OPTIONS[operator]
        module = __import__(f"tflite.{class_name}", fromlist=[class_name])
        options = getattr(module, class_name)()
        table = record.BuiltinOptions()
        if table is None or record.BuiltinOptionsType() == 0:
            options.Init(_EMPTY_TABLE, _EMPTY_TABLE_AT)
        elif record.BuiltinOptionsType() == self.option_types[class_name]:
            options.Init(table.Bytes, table.Pos)
        else:
            raise ModelFileError(f"operator {operator} carries the options of another operator")
        values: dict[str, Any] = {}
        for name in fields:
            value = getattr(options, name)()
            values[name] = self._vector(value) if name.endswith("AsNumpy") else value
        return values

    def _tensor(self, index: int, record: Any) -> FileTensor:
        name = _text(record.Name())
        shape = self._vector(record.ShapeAsNumpy())
        signature = self._vector(record.ShapeSignatureAsNumpy()) or shape
        if max(len(shape), len(signature)) > MAX_SIZES:
            raise ModelFileError(f"tensor {name!r} has {max(len(shape), len(signature))} axes")
        if len(signature) != len(shape) or min(signature, default=0) < -1 or min(shape, default=0) < 0:
            raise ModelFileError(
                f"tensor {name!r} has shape {shape} and shape signature {signature}: they need equally many sizes, all "
                ">= 0 (-1 in the signature alone)"
            )
        if elements(shape) > MAX_ELEMENTS:
            raise ModelFileError(f"tensor {name!r} has shape {shape}: at most 2^40 elements")
        type_name = self.type_names.get(record.Type(), f"type {record.Type()}")
        dtype = _DTYPES.get(type_name)
        quant = None
        if dtype is not None and not dtype.startswith("float"):
            quant = self._quantization(name, shape, dtype, record.Quantization())
        raw = self._buffer(name, record.Buffer())
        return FileTensor(index, name, shape, signature, type_name, dtype, quant, record.Sparsity() is not None, raw)

    def _quantization(self, tensor: str, shape: Shape, dtype: DType, record: Any) -> Quantization | None:
        if record is None or record.ScaleLength() == 0:
            return None
        # float() of a float32 is exact, so the scale can be compared and multiplied as LiteRT does.
        scale = tuple(float(value) for value in record.ScaleAsNumpy())
        zero_point = self._vector(record.ZeroPointAsNumpy()) or (0,)
        if len(zero_point) == 1:
            zero_point *= len(scale)
        axis = record.QuantizedDimension() if len(scale) > 1 else None
        if axis is not None and not (0 <= axis < len(shape) and shape[axis] == len(scale)):
            raise ModelFileError(f"tensor {tensor!r}: {len(scale)} scales along axis {axis} of shape {shape}")
        try:
            quant = Quantization(scale, zero_point, axis)
        except ValueError as error:
            raise ModelFileError(f"tensor {tensor!r}: quantisation: {error}") from None
        problem = zero_point_problem(quant, dtype)
        if problem is not None:
            raise ModelFileError(f"tensor {tensor!r}: {problem}")
        return quant

    def _buffer(self, tensor: str, index: int) -> memoryview | None:
        """Return a constant's bytes, or None for a tensor that is computed; buffer 0 is always the empty one."""
        if index >= self.model.BuffersLength():
            raise ModelFileError(f"tensor {tensor!r} names buffer {index} of {self.model.BuffersLength()}")
        buffer = self.model.Buffers(index)
        if buffer.Offset() > 1:  # data behind the tables, as files of more than 2 GB have it
            begin, size = buffer.Offset(), buffer.Size()
            if begin + size > len(self.content):
                raise ModelFileError(f"tensor {tensor!r}: its data ends at byte {begin + size} of {len(self.content)}")
            return memoryview(self.content)[begin : begin + size]
        data = buffer.DataAsNumpy()
        return data.data if isinstance(data, np.ndarray) and data.size else None


_DTYPES: Mapping[str, DType] = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT16": "int16",
    "UINT16": "uint16",
    "INT32": "int32",
    "UINT32": "uint32",
    "INT64": "int64",
    "UINT64": "uint64",
    "INT4": "int4",
    "BOOL": "bool",
}


def _text(name: bytes | None) -> str:
    text = (name or b"")[:MAX_NAME_BYTES].decode("utf-8", "replace")
    return text if text.isprintable() else text[:MAX_ODD_NAME]


def _unpacked_int4(packed: Array, shape: Shape) -> Array:
    """Return int4 values, low half of each byte first, as int8."""
    halves = np.stack([packed & 0xF, packed >> 4], axis=-1).reshape(-1)[: elements(shape)].astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.int8).reshape(shape)
