"""Makes small TFLite files for the tests, with the generated writers of the ``tflite`` package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import flatbuffers
import numpy as np
from tflite.BuiltinOperator import BuiltinOperator
from tflite.BuiltinOptions import BuiltinOptions
from tflite.TensorType import TensorType


@dataclass
class T:
    """A tensor: ``type`` is a TFLite word, ``data`` makes it a constant."""

    name: str
    shape: Sequence[int]
    type: str = "FLOAT32"
    data: np.ndarray | None = None
    scale: Sequence[float] = ()
    zero_point: Sequence[int] = ()
    axis: int = 0
    signature: Sequence[int] | None = None
    sparse: bool = False


@dataclass
class O:  # noqa: E742
    """An operator: inputs and outputs are tensor names, '' is an input left out; options as in the schema."""

    code: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def constant(name: str, data: Any, dtype: str = "int32", **more: Any) -> T:
    """Return a constant tensor."""
    array = np.asarray(data, dtype)
    return T(name, array.shape, array.dtype.name.upper(), array, **more)


def tflite_bytes(tensors: Sequence[T], operators: Sequence[O], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return the bytes of a file with one subgraph."""
    b = flatbuffers.Builder(1024)
    index = {tensor.name: i for i, tensor in enumerate(tensors)}
    codes = list(dict.fromkeys(operator.code for operator in operators))

    def module(name: str) -> Any:
        return import_module(f"tflite.{name}")

    def offsets(items: Sequence[int]) -> int:
        b.StartVector(4, len(items), 4)
        for item in reversed(items):
            b.PrependUOffsetTRelative(item)
        return b.EndVector()

    def numbers(items: Sequence[int], dtype: str = "int32") -> int:
        return b.CreateNumpyVector(np.asarray(items, dtype))

    def table(name: str, values: Mapping[str, Any]) -> int:
        made = module(name)
        made.Start(b)
        for key, value in values.items():
            getattr(made, f"Add{key}")(b, value)
        return made.End(b)

    def options(operator: O) -> int:
        values = {k: numbers(v) if isinstance(v, (list, tuple)) else v for k, v in operator.values.items()}
        return table(operator.options, values)

    buffers, made = [table("Buffer", {})], []
    for tensor in tensors:
        where = 0
        if tensor.data is not None:
            where = len(buffers)
            content = b.CreateNumpyVector(np.frombuffer(tensor.data.tobytes(), np.uint8))
            buffers.append(table("Buffer", {"Data": content}))
        values: dict[str, Any] = {"Name": b.CreateString(tensor.name), "Shape": numbers(tensor.shape)}
        if tensor.signature is not None:
            values["ShapeSignature"] = numbers(tensor.signature)
        if tensor.sparse:
            values["Sparsity"] = table("SparsityParameters", {})
        if tensor.scale:
            quant = {"Scale": numbers(tensor.scale, "float32"), "ZeroPoint": numbers(tensor.zero_point, "int64")}
            values["Quantization"] = table("QuantizationParameters", {**quant, "QuantizedDimension": tensor.axis})
        made.append(table("Tensor", {**values, "Type": getattr(TensorType, tensor.type), "Buffer": where}))
    written = []
    for operator in operators:
        values = {
            "Inputs": numbers([index[name] if name else -1 for name in operator.inputs]),
            "Outputs": numbers([index[name] for name in operator.outputs]),
        }
        if operator.options:
            values["BuiltinOptions"] = options(operator)
            values["BuiltinOptionsType"] = getattr(BuiltinOptions, operator.options)
        written.append(table("Operator", {**values, "OpcodeIndex": codes.index(operator.code)}))
    known = vars(BuiltinOperator)
    code_tables = []
    for code in codes:
        number = known.get(code, known["CUSTOM"])
        values = {"DeprecatedBuiltinCode": min(number, 127), "BuiltinCode": number, "Version": 1}
        if code not in known:
            values["CustomCode"] = b.CreateString(code)
        code_tables.append(table("OperatorCode", values))
    subgraph = table(
        "SubGraph",
        {
            "Tensors": offsets(made),
            "Inputs": numbers([index[name] for name in inputs]),
            "Outputs": numbers([index[name] for name in outputs]),
            "Operators": offsets(written),
        },
    )
    model = table(
        "Model",
        {
            "Version": 3,
            "OperatorCodes": offsets(code_tables),
            "Subgraphs": offsets([subgraph]),
            "Buffers": offsets(buffers),
        },
    )
    b.Finish(model, b"TFL3")
    return bytes(b.Output())
