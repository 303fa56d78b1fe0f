"""Shapes of what unknown operators write, as the file states them or as onnx's own inference finds them."""

from __future__ import annotations

from typing import Any

from hwsim.errors import ModelFileError
from hwsim.importers.onnx_node import OnnxFile, Port
from hwsim.importers.onnx_read import ELEMENT_TYPES, port_shape


def declared_outputs(where: str, model: Any, file: OnnxFile) -> dict[str, Port]:
    """Return name, shape and dtype of every tensor that the file or shape inference knows; open dims are 1.

    Raises:
        ModelFileError: The file contradicts itself.
    """
    from onnx import ModelProto, shape_inference

    fixed = ModelProto()
    fixed.CopyFrom(model)
    sizes = {port.name: port.shape for port in file.inputs}
    for value in fixed.graph.input:
        shape = sizes.get(value.name)
        if shape is not None:
            for dim, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
                dim.dim_value = size
    try:
        inferred = shape_inference.infer_shapes(fixed, data_prop=True)
    except (shape_inference.InferenceError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelFileError(f"{where}: shapes cannot be inferred ({reason})") from None
    found: dict[str, Port] = {}
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        shape = port_shape(value, {})
        dtype = ELEMENT_TYPES.get(value.type.tensor_type.elem_type)
        if shape is not None and dtype is not None:
            found[value.name] = Port(value.name, shape, dtype)
    return found
