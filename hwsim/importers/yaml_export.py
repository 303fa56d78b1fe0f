"""Graphs written as net YAML: one line per layer, what is as usual left out, weights in an .npz beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hwsim.errors import UsageError
from hwsim.files import write_whole
from hwsim.graph import Graph, Layer, Quantization, Shape, Tensor, ops
from hwsim.graph.ops import Padding2d
from hwsim.importers.yaml_values import (
    PARAMETER_ROLES,
    WEIGHTED,
    encode,
    flow,
    parameter_name,
    parameter_shape,
    same_for,
)
from hwsim.importers.yaml_weights import sidecar_content

SCHEMA = 1
EXTENSIONS = (".yaml", ".yml")


def export_yaml(graph: Graph, path: str | Path) -> tuple[Path, ...]:
    """Write a graph as a net YAML that loads back to an equal graph.

    Values of constants and per-channel quantisation go to ``<stem>.npz`` in the same folder, where there are any. Each
    file is replaced whole; what was there before is overwritten.

    Args:
        graph: The net.
        path: The file to write, ending in .yaml or .yml.

    Returns:
        The files written: the YAML and, where there is one, the sidecar.

    Raises:
        UsageError: The path has another extension, or cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in EXTENSIONS:
        raise UsageError(f"cannot write {path}: a net YAML ends in {' or '.join(EXTENSIONS)}")
    sidecar, content = path.with_suffix(".npz"), sidecar_content(graph)
    text = "".join(f"{line}\n" for line in _lines(graph, sidecar.name if content is not None else None))
    if content is None:
        write_whole(path, text)
        return (path,)
    write_whole(sidecar, content)  # first, so that no YAML ever names a sidecar that is not there
    write_whole(path, text)
    return path, sidecar


def _lines(graph: Graph, sidecar: str | None) -> Iterator[str]:
    writer = _Writer(graph)
    yield f"schema: {SCHEMA}"
    yield f"net: {flow(graph.name)}"
    if graph.rounding != "tflite":
        yield f"rounding: {graph.rounding}"
    if sidecar is not None:
        yield f"weights: {flow(sidecar)}"
    if graph.inputs:
        yield "inputs:"
        yield from (f"  {flow(name)}: {flow(_input(graph.tensors[name]))}" for name in graph.inputs)
    if writer.shared:
        yield "constants:"
        yield from (f"  {flow(name)}: {flow(writer.constant(name, name, None))}" for name in writer.shared)
    yield "layers:"
    previous = graph.inputs[0] if len(graph.inputs) == 1 else None
    for layer in graph.layers:
        yield f"  - {flow(writer.layer(layer, previous))}"
        previous = layer.outputs[0]
    if graph.outputs != graph.layers[-1].outputs:
        yield f"outputs: {flow(graph.outputs)}"
    if graph.warnings:
        yield "warnings:"
        yield from (f"  - {flow(warning)}" for warning in graph.warnings)


class _Writer:
    """Writes the layers of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        uses = Counter(name for layer in graph.layers for name in layer.inputs)
        variadic = {name for layer in graph.layers if layer.op.variadic for name in layer.inputs}
        self.shared = [
            tensor.name
            for tensor in graph.constants
            if uses[tensor.name] != 1 or tensor.name in variadic or tensor.name in graph.outputs
        ]
        self._shared = frozenset(self.shared)

    def layer(self, layer: Layer, previous: str | None) -> dict[str, Any]:
        """Return a layer as a mapping; ``previous`` is what it reads when it does not say."""
        op = layer.op
        line: dict[str, Any] = {
            "name": layer.name,
            "op": op.function if isinstance(op, ops.Binary | ops.Unary) else op.kind,
        }
        shapes = [spec.shape for spec in self.graph.input_specs(layer)]
        if op.kind in WEIGHTED and self._is_own(layer.inputs[1]):
            line["out_channels"] = shapes[1][0]
            if op.kind != "dense":
                _, r, s, _ = shapes[1]
                line["kernel"] = r if r == s else [r, s]
        line.update(encode(op, self._same(layer, shapes)))
        reads, parameters = self._inputs(layer, shapes)
        wanted = [role for i, role in enumerate(op.roles) if role not in PARAMETER_ROLES and role not in parameters]
        if reads != [previous] and (reads or wanted):
            line["reads"] = reads[0] if len(reads) == 1 else reads
        line.update(parameters)
        writes = self._writes(layer)
        if writes is not None:
            line["writes"] = writes
        return line

    def constant(self, name: str, default_name: str, default_shape: Shape | None) -> dict[str, Any]:
        """Return how a constant differs from a float32 one of that name and shape."""
        tensor = self.graph.tensors[name]
        found: dict[str, Any] = {}
        if tensor.name != default_name:
            found["name"] = tensor.name
        if tensor.shape != default_shape:
            found["shape"] = tensor.shape
        if tensor.dtype != "float32":
            found["dtype"] = tensor.dtype
        if tensor.quant is not None:
            found["quant"] = _quant(tensor.quant)
        return found

    def _is_own(self, tensor: str) -> bool:
        return self.graph.tensors[tensor].constant and tensor not in self._shared

    def _same(self, layer: Layer, shapes: Sequence[Shape]) -> Padding2d | None:
        match layer.op:
            case ops.Conv2d() as conv:
                return same_for(shapes[0], (shapes[1][1], shapes[1][2]), conv.strides, conv.dilations)
            case ops.Pool2d() as pool:
                return same_for(shapes[0], pool.kernel, pool.strides, pool.dilations)
        return None

    def _inputs(self, layer: Layer, shapes: Sequence[Shape]) -> tuple[list[str], dict[str, Any]]:
        """Return what a layer reads by ``reads``, and its inputs written under their roles."""
        op = layer.op
        if op.variadic:
            return list(layer.inputs), {}
        reads: list[str] = []
        parameters: dict[str, Any] = {}
        for i, role in enumerate(op.roles):
            name = layer.inputs[i] if i < len(layer.inputs) else None
            if name is None:
                parameters[role] = False
            elif role in PARAMETER_ROLES and not self._is_own(name):
                parameters[role] = name
            elif role in PARAMETER_ROLES:
                shape = parameter_shape(role, shapes)
                differences = self.constant(name, parameter_name(layer.name, role), shape)
                if differences:
                    parameters[role] = differences
            elif self._is_own(name):
                parameters[role] = self.constant(name, parameter_name(layer.name, role), None)
            else:
                reads.append(name)
        return reads, parameters

    def _writes(self, layer: Layer) -> Any:
        """Return how a layer's outputs differ from the usual, or None."""
        usual = layer.op.infer(self.graph.input_specs(layer))
        count = len(layer.outputs)
        found: list[Any] = []
        for i, (name, spec) in enumerate(zip(layer.outputs, usual, strict=True)):
            tensor = self.graph.tensors[name]
            output: dict[str, Any] = {}
            if name != (layer.name if count == 1 else f"{layer.name}:{i}"):
                output["name"] = name
            if tensor.dtype != spec.dtype:
                output["dtype"] = tensor.dtype
            if tensor.quant is not None:
                output["quant"] = _quant(tensor.quant)
            if tensor.file_axes is not None:
                output["file_axes"] = tensor.file_axes
            found.append(output)
        if not any(found):
            return None
        short = [
            name if output.keys() <= {"name"} else output for name, output in zip(layer.outputs, found, strict=True)
        ]
        return short[0] if count == 1 else short


def _input(tensor: Tensor) -> Any:
    found: dict[str, Any] = {"shape": tensor.shape}
    if tensor.dtype != "float32":
        found["dtype"] = tensor.dtype
    if tensor.quant is not None:
        found["quant"] = _quant(tensor.quant)
    if tensor.file_axes is not None:
        found["file_axes"] = tensor.file_axes
    return tensor.shape if len(found) == 1 else found


def _quant(quant: Quantization) -> Any:
    """Return [scale, zero point] of a whole tensor, or the axis where the values are in the sidecar."""
    if len(quant.scale) > 1:
        return {"axis": quant.axis}
    if quant.axis is None:
        return [quant.scale[0], quant.zero_point[0]]
    return {"axis": quant.axis, "scale": quant.scale, "zero_point": quant.zero_point}
