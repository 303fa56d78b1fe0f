"""Net YAML: a graph in a file to read, write by hand, and keep in version control.

One line per layer; what is as usual is left out::

    schema: 1
    net: tiny
    inputs:
      image: [1, 32, 32, 3]
    layers:
      - {name: conv1, op: conv2d, out_channels: 16, kernel: 3, strides: 2, padding: same, activation: relu}
      - {name: left, op: conv2d, out_channels: 8, kernel: 1}
      - {name: right, op: conv2d, out_channels: 8, kernel: 3, padding: same, reads: conv1}
      - {name: joined, op: concat, reads: [left, right]}
      - {name: pooled, op: global_pool, function: average}

A layer reads the one before it unless ``reads`` names others; its filter, bias and the like are its own constants, named
``<layer>.<role>``, unless it says otherwise (``bias: false``); it writes a tensor of its own name unless ``writes`` says
otherwise. Layers may stand in any order. ``docs`` and ``hwsim ops`` list the layer types and their attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hwsim.errors import ModelFileError, NetError, did_you_mean
from hwsim.graph import DType, Graph, GraphBuilder, Quantization, Shape
from hwsim.graph.ops import Op, ShapeMismatchError
from hwsim.importers.constant_folding import Array, numpy_dtype
from hwsim.importers.yaml_export import SCHEMA
from hwsim.importers.yaml_layer import LayerRecord, OutputRecord, layer_record, output_record
from hwsim.importers.yaml_values import ValueProblemError, decode, dtype_of, parameter_name, shape_of, typed
from hwsim.importers.yaml_weights import Sidecar
from hwsim.yaml_file import read_yaml

TOP_KEYS = ("schema", "net", "weights", "inputs", "constants", "layers", "outputs", "warnings")
CONSTANT_KEYS = ("name", "shape", "dtype", "quant")
INPUT_KEYS = ("shape", "dtype", "quant", "file_axes")

Place = tuple[str | int, ...]


def load_yaml(path: str | Path, *, batch: int | None = None) -> Graph:
    """Load a net YAML and, where it names one, the .npz beside it.

    Args:
        path: The file.
        batch: Size of axis 0 of every input of two axes or more; as written when None.

    Raises:
        ModelFileError: The file is not a net YAML; the text names line, layer and attribute. Also for a sidecar that is
            absent, outside the folder, or of other shapes.
    """
    path = Path(path)
    value, where = read_yaml(path)
    with ExitStack() as stack:
        return _NetReader(path, where, stack).graph(value, batch)


class _NetReader:
    """Reads one document."""

    def __init__(self, path: Path, where: Mapping[Place, tuple[int, int]], stack: ExitStack) -> None:
        self.path = path
        self.where = where
        self.stack = stack
        self.sidecar: Sidecar | None = None
        self.builder = GraphBuilder("")
        self.file_axes: dict[str, tuple[int, ...]] = {}

    def graph(self, value: Any, batch: int | None) -> Graph:
        top = self._mapping(value, (), TOP_KEYS, "a net YAML")
        if top.get("schema") != SCHEMA:
            self._fail(("schema",), f"schema = {top.get('schema')!r}: this hwsim reads net YAMLs of schema {SCHEMA}")
        name = self._typed(str, top.get("net", self.path.stem), ("net",), "net")
        warnings = self._typed(tuple[str, ...], top.get("warnings", []), ("warnings",), "warnings")
        if "weights" in top:
            file = self._typed(str, top["weights"], ("weights",), "weights")
            try:
                self.sidecar = self.stack.enter_context(Sidecar(self.path.parent, file))
            except ModelFileError as error:
                self._fail(("weights",), str(error))
        self.builder = GraphBuilder(name)
        self._inputs(top.get("inputs") or {}, batch)
        self._constants(top.get("constants") or {})
        records = self._records(top.get("layers"))
        for record in self._in_order(records):
            self._layer(record)
        outputs = records[-1].output_names
        if "outputs" in top:
            outputs = self._typed(tuple[str, ...], top["outputs"], ("outputs",), "outputs")
        try:
            graph = self.builder.build(outputs, warnings=warnings)
        except NetError as error:
            raise ModelFileError(f"{self.path}: {error}") from None
        if self.sidecar is not None:
            self.sidecar.check_all_read()
        if not self.file_axes:
            return graph
        laid_out = {name: replace(graph.tensors[name], file_axes=axes) for name, axes in self.file_axes.items()}
        return replace(graph, tensors={**graph.tensors, **laid_out})

    # -- inputs and constants --------------------------------------------------------------------------------------

    def _inputs(self, value: Any, batch: int | None) -> None:
        for name in self._mapping(value, ("inputs",), None, "inputs"):
            key, given = ("inputs", name), value[name]
            fields = {"shape": given} if isinstance(given, list) else self._mapping(given, key, INPUT_KEYS, "an input")
            if "shape" not in fields:
                self._fail(key, f"input {name!r} has no shape")
            with _located(self, key, f"input {name!r}"):
                shape = shape_of(fields["shape"], "shape")
                if batch is not None and len(shape) > 1:
                    shape = (batch, *shape[1:])
                dtype = dtype_of(fields.get("dtype", "float32"))
                axes = typed(tuple[int, ...] | None, fields.get("file_axes"), "file_axes")
                self.builder.input(name, shape, dtype, quant=self._quant(fields, name), file_axes=axes)

    def _constants(self, value: Any) -> None:
        for name in self._mapping(value, ("constants",), None, "constants"):
            key = ("constants", name)
            fields = self._mapping(value[name], key, CONSTANT_KEYS, "a constant")
            with _located(self, key, f"constant {name!r}"):
                self._constant(fields, name, None)

    def _constant(self, fields: Mapping[str, Any], default_name: str, default_shape: Shape | None) -> str:
        """Add a constant and return its name; its values and scales are the sidecar's, where that has them."""
        name: str = typed(str, fields.get("name", default_name), "name")
        if default_shape is None and "shape" not in fields:
            raise ValueProblemError(f"constant {name!r} has no shape")
        shape = shape_of(fields["shape"], "shape") if "shape" in fields else default_shape or ()
        dtype = dtype_of(fields.get("dtype", "float32"))
        data = self._stored("data", name, shape, numpy_dtype(dtype))
        return self.builder.constant(name, shape, dtype, data=data, quant=self._quant(fields, name, shape))

    def _quant(self, fields: Mapping[str, Any], tensor: str, shape: Shape = ()) -> Quantization | None:
        """Return [scale, zero point], or a mapping of scale, zero_point and axis, as a quantisation."""
        value = fields.get("quant")
        if value is None:
            return None
        try:
            if isinstance(value, list):
                scale, zero_point = typed(tuple[float, int], value, "quant")
                return Quantization((scale,), (zero_point,))
            if not isinstance(value, dict) or value.keys() - {"axis", "scale", "zero_point"}:
                raise ValueProblemError(f"quant = {value!r}: must be [scale, zero_point] or have axis, scale, zero_point")
            axis: int = typed(int, value.get("axis"), "axis")
            if "scale" in value or "zero_point" in value:
                scales = typed(tuple[float, ...], value.get("scale"), "scale")
                return Quantization(scales, typed(tuple[int, ...], value.get("zero_point"), "zero_point"), axis)
            if not 0 <= axis < len(shape):
                raise ValueProblemError(f"quant axis = {axis}: {tensor!r} has {len(shape)} axes")
            stored = self._stored("scale", tensor, (shape[axis],), np.dtype(np.float64))
            zeros = self._stored("zero_point", tensor, (shape[axis],), np.dtype(np.int64))
            if stored is None or zeros is None:
                raise ValueProblemError(f"quant of {tensor!r} has neither scale and zero_point nor a sidecar with them")
            return Quantization(tuple(stored.tolist()), tuple(zeros.tolist()), axis)
        except ValueError as error:
            raise ValueProblemError(f"quant: {error}") from None

    def _stored(self, part: str, tensor: str, shape: Shape, dtype: np.dtype[Any]) -> Array | None:
        return self.sidecar.read(part, tensor, shape, dtype) if self.sidecar is not None else None

    # -- layers ----------------------------------------------------------------------------------------------------

    def _records(self, value: Any) -> list[LayerRecord]:
        if not isinstance(value, list) or not value:
            self._fail(("layers",), "layers: must be a list of at least one layer")
        records: list[LayerRecord] = []
        counts: dict[str, int] = {}
        for index, given in enumerate(value):
            key = ("layers", index)
            fields = self._mapping(given, key, None, "a layer")
            with _located(self, key, f"layer {fields.get('name', index + 1)!r}"):
                records.append(layer_record(index, fields, counts))
        return records

    def _in_order(self, records: list[LayerRecord]) -> list[LayerRecord]:
        """Return the records so that writers come before readers; a file in order stays as it is."""
        writer = {name: record for record in records for name in record.output_names}
        previous = self.builder.input_names[0] if len(self.builder.input_names) == 1 else None
        for record in records:
            if record.reads is None:
                record.reads = [] if previous is None else [previous]
                if previous is None and record.needs_input:
                    self._fail_in(record, "is the first layer and the net has several inputs or none: say what it reads")
            previous = record.output_names[0]
        done: set[int] = set()
        for record in records:
            if any(name in writer and writer[name].index not in done for name in record.references):
                break
            done.add(record.index)
        else:
            return records
        sorter = TopologicalSorter(
            {record.index: [writer[name].index for name in record.references if name in writer] for record in records}
        )
        try:
            return [records[index] for index in sorter.static_order()]
        except CycleError as error:
            names = " -> ".join(repr(records[index].name) for index in reversed(error.args[1]))
            self._fail_in(records[min(error.args[1])], f"is in a cycle: {names}")

    def _layer(self, record: LayerRecord) -> None:
        with _located(self, ("layers", record.index), f"layer {record.name!r}"):
            reads = list(record.reads or [])
            for name in record.references:
                if not self.builder.has(name):
                    raise ValueProblemError(f"reads {name!r}, which nothing writes{did_you_mean(name, self._known())}")
            inputs = self._layer_inputs(record, reads)
            op = record.op([self.builder.shape(name) for name in inputs])
            dtypes = self._dtypes(op, inputs, record.outputs)
            self.builder.add(
                op,
                inputs,
                name=record.name,
                outputs=record.output_names,
                dtypes=dtypes,
                quants=[self._quant({"quant": output.quant}, output.name) for output in record.outputs],
            )
            self.file_axes.update((o.name, o.file_axes) for o in record.outputs if o.file_axes is not None)
