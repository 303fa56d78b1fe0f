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

A layer reads the one before it unless ``reads`` names others. Its filter, bias and the like are constants of its own,
named ``<layer>.<role>``, unless it says otherwise (``bias: false``). It writes a tensor of its name unless ``writes``
says otherwise. Layers may stand in any order. ``rounding: onnx`` has quantised layers round by the rules of ONNX in the
forward pass, not LiteRT's. ``hwsim ops`` lists the layer types and their attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hwsim.errors import ModelFileError, NetError, did_you_mean
from hwsim.graph import DType, Graph, GraphBuilder, Quantization, Rounding, Shape
from hwsim.graph.ops import Op, ShapeMismatchError
from hwsim.importers.constant_folding import Array, numpy_dtype
from hwsim.importers.yaml_export import SCHEMA
from hwsim.importers.yaml_layer import LayerRecord, OutputRecord, layer_record
from hwsim.importers.yaml_values import PARAMETER_ROLES, ValueProblemError, dtype_of, parameter_name, shape_of, typed
from hwsim.importers.yaml_weights import Sidecar
from hwsim.yaml_file import read_yaml

TOP_KEYS = ("schema", "net", "rounding", "weights", "inputs", "constants", "layers", "outputs", "warnings")
CONSTANT_KEYS = ("name", "shape", "dtype", "quant")
INPUT_KEYS = ("shape", "dtype", "quant", "file_axes")

Place = tuple[str | int, ...]


def load_yaml(path: str | Path) -> Graph:
    """Load a net YAML and, where it names one, the .npz beside it.

    Args:
        path: The file.

    Raises:
        ModelFileError: The file is not a net YAML; the text names line, layer and attribute. Also for a sidecar that is
            absent, outside the folder, or of other shapes.
    """
    path = Path(path)
    value, where = read_yaml(path)
    with ExitStack() as stack:
        return _NetReader(path, where, stack).graph(value)


class _NetReader:
    """Reads one document."""

    def __init__(self, path: Path, where: Mapping[Place, tuple[int, int]], stack: ExitStack) -> None:
        self.path = path
        self.where = where
        self.stack = stack
        self.sidecar: Sidecar | None = None
        self.builder = GraphBuilder("")
        self.inputs: list[str] = []
        self.known: set[str] = set()
        self.file_axes: dict[str, tuple[int, ...]] = {}

    def graph(self, value: Any) -> Graph:
        top = self._mapping(value, (), TOP_KEYS, "a net YAML")
        if top.get("schema") != SCHEMA:
            self._fail(("schema",), f"schema = {top.get('schema')!r}: this hwsim reads net YAMLs of schema {SCHEMA}")
        name = self._typed(str, top.get("net", self.path.stem), "net")
        warnings = self._typed(tuple[str, ...], top.get("warnings", []), "warnings")
        rounding: Rounding = self._typed(Rounding, top.get("rounding", "tflite"), "rounding")
        if "weights" in top:
            file = self._typed(str, top["weights"], "weights")
            try:
                self.sidecar = self.stack.enter_context(Sidecar(self.path.parent, file))
            except ModelFileError as error:
                self._fail(("weights",), str(error))
        self.builder = GraphBuilder(name)
        self._inputs(top.get("inputs") or {})
        self._constants(top.get("constants") or {})
        records = self._records(top.get("layers"))
        self.known = {*self.inputs, *(top.get("constants") or {}), *(n for r in records for n in r.output_names)}
        for record in self._in_order(records):
            self._layer(record)
        outputs = records[-1].output_names
        if "outputs" in top:
            outputs = self._typed(tuple[str, ...], top["outputs"], "outputs")
        try:
            graph = self.builder.build(outputs, warnings=warnings)
        except NetError as error:
            raise ModelFileError(f"{self.path}: {error}") from None
        if self.sidecar is not None:
            self.sidecar.check_all_read()
        if not self.file_axes and rounding == graph.rounding:
            return graph
        laid_out = {name: replace(graph.tensors[name], file_axes=axes) for name, axes in self.file_axes.items()}
        return replace(graph, tensors={**graph.tensors, **laid_out}, rounding=rounding)

    # -- inputs and constants --------------------------------------------------------------------------------------

    def _inputs(self, value: Any) -> None:
        for name in self._mapping(value, ("inputs",), None, "inputs"):
            key, given = ("inputs", name), value[name]
            fields = {"shape": given} if isinstance(given, list) else self._mapping(given, key, INPUT_KEYS, "an input")
            if "shape" not in fields:
                self._fail(key, f"input {name!r} has no shape")
            with self._located(key, f"input {name!r}"):
                shape = shape_of(fields["shape"], "shape")
                dtype = dtype_of(fields.get("dtype", "float32"))
                axes = typed(tuple[int, ...] | None, fields.get("file_axes"), "file_axes")
                self.builder.input(name, shape, dtype, quant=self._quant(fields, name), file_axes=axes)
            self.inputs.append(name)

    def _constants(self, value: Any) -> None:
        for name in self._mapping(value, ("constants",), None, "constants"):
            key = ("constants", name)
            fields = self._mapping(value[name], key, CONSTANT_KEYS, "a constant")
            with self._located(key, f"constant {name!r}"):
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
                raise ValueProblemError(f"quant = {value!r}: must be [scale, zero_point], or axis, scale, zero_point")
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
        """Return the layers as written; one that does not say what it reads reads the one before it."""
        if not isinstance(value, list) or not value:
            self._fail(("layers",), "layers: must be a list of at least one layer")
        records: list[LayerRecord] = []
        counts: dict[str, int] = {}
        names: set[str] = set()
        written: set[str] = set()
        previous = self.inputs[0] if len(self.inputs) == 1 else None
        for index, given in enumerate(value):
            key = ("layers", index)
            fields = self._mapping(given, key, None, "a layer")
            with self._located(key, f"layer {fields.get('name', index + 1)!r}"):
                record = layer_record(index, fields, counts)
                if record.reads is None and record.needs_input:
                    if previous is None:
                        count = len(self.inputs)
                        raise ValueProblemError(f"'reads' is missing: no layer comes before it, and {count} inputs do")
                    record = replace(record, reads=(previous,))
                if record.name in names:
                    raise ValueProblemError("another layer has that name")
                names.add(record.name)
                for name in record.output_names:
                    if name in written:
                        raise ValueProblemError(f"another layer writes {name!r}")
                    written.add(name)
            records.append(record)
            previous = record.output_names[0]
        return records

    def _in_order(self, records: list[LayerRecord]) -> list[LayerRecord]:
        """Return the records so that writers come before readers; a file in order stays as it is."""
        writer = {name: record.index for record in records for name in record.output_names}
        done: set[int] = set()
        for record in records:
            if any(name in writer and writer[name] not in done for name in record.references):
                break
            done.add(record.index)
        else:
            return records
        sorter = TopologicalSorter(
            {record.index: [writer[name] for name in record.references if name in writer] for record in records}
        )
        try:
            return [records[index] for index in sorter.static_order()]
        except CycleError as error:
            cycle = " -> ".join(repr(records[index].name) for index in error.args[1])
            self._fail(("layers", min(error.args[1])), f"layers form a cycle: {cycle}")

    def _layer(self, record: LayerRecord) -> None:
        with self._located(("layers", record.index), f"layer {record.name!r}"):
            for name in record.references:
                if name not in self.known:
                    raise ValueProblemError(f"reads {name!r}, which nothing writes{did_you_mean(name, self.known)}")
            inputs = self._layer_inputs(record)
            op = record.op([self.builder.shape(name) for name in inputs])
            self.builder.add(
                op,
                inputs,
                name=record.name,
                outputs=record.output_names,
                dtypes=self._dtypes(op, inputs, record.outputs),
                quants=[self._quant({"quant": output.quant}, output.name) for output in record.outputs],
            )
        self.file_axes.update((o.name, o.file_axes) for o in record.outputs if o.file_axes is not None)

    def _layer_inputs(self, record: LayerRecord) -> list[str]:
        """Return the names of a layer's inputs in the order of its roles, its own constants added."""
        reads = list(record.reads or ())
        if record.op_type.variadic:
            return reads
        inputs: list[str] = []
        for role in record.op_type.roles:
            given = record.roles.get(role)
            if given is False:
                continue
            if isinstance(given, str):
                inputs.append(given)
            elif role in PARAMETER_ROLES:
                name = parameter_name(record.name, role)
                inputs.append(self._constant(given or {}, name, self._parameter_shape(record, role, inputs)))
            elif given is not None:
                inputs.append(self._constant(given, parameter_name(record.name, role), None))
            elif reads:
                inputs.append(reads.pop(0))
            else:
                raise ValueProblemError(f"nothing says what it reads as {role}")
        if reads:
            raise ValueProblemError(f"reads {reads[0]!r} beyond its {len(inputs)} inputs")
        return inputs

    def _parameter_shape(self, record: LayerRecord, role: str, inputs: list[str]) -> Shape:
        image = self.builder.shape(inputs[0])
        if role == "filter":
            return record.filter_shape(image)
        return self.builder.shape(inputs[1])[:1] if role == "bias" else image[-1:]

    def _dtypes(self, op: Op, inputs: list[str], outputs: tuple[OutputRecord, ...]) -> list[DType] | None:
        """Return the outputs' dtypes where the file states any; those it does not state follow the shape rule."""
        if all(output.dtype is None for output in outputs):
            return None
        try:
            usual = op.infer([self.builder.tensor(name).spec for name in inputs])
        except ShapeMismatchError:
            return None  # adding the layer reports it
        return [output.dtype or spec.dtype for output, spec in zip(outputs, usual, strict=True)]

    # -- problems --------------------------------------------------------------------------------------------------

    def _mapping(self, value: Any, key: Place, known: tuple[str, ...] | None, what: str) -> dict[str, Any]:
        """Return a mapping whose keys are words, all of them known."""
        if not isinstance(value, dict):
            self._fail(key, f"{what} must be a mapping (name: value), not {value!r:.40}")
        for name in value:
            if known is not None and name not in known:
                self._fail((*key, name), f"unknown key {name!r} in {what}{did_you_mean(str(name), known)}")
            if not isinstance(name, str):
                self._fail((*key, name), f"key {name!r} must be a word; put it in quotes")
        return value

    def _typed(self, hint: Any, value: Any, key: str) -> Any:
        with self._located((key,), ""):
            return typed(hint, value, key)

    @contextmanager
    def _located(self, key: Place, what: str) -> Iterator[None]:
        """Put file, line and part before what goes wrong inside; a builder's sentence names the part itself."""
        try:
            yield
        except ValueProblemError as error:
            self._fail(key, f"{what}: {error}" if what else str(error))
        except NetError as error:
            self._fail(key, str(error))

    def _fail(self, key: Place, sentence: str) -> NoReturn:
        while key and key not in self.where:
            key = key[:-1]
        line = self.where.get(key, (1, 1))[0]
        raise ModelFileError(f"{self.path}:{line}: {sentence}") from None
