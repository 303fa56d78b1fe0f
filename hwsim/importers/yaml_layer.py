"""One layer of a net YAML, as written: its keys checked and sorted into attributes, inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hwsim.errors import did_you_mean
from hwsim.graph import DType, Shape, ops
from hwsim.graph.ops import Op, Padding2d, Pair
from hwsim.importers.yaml_values import (
    KINDS,
    PARAMETER_ROLES,
    WEIGHTED,
    ValueProblemError,
    decode,
    dtype_of,
    same_for,
    typed,
)

OUTPUT_KEYS = ("name", "dtype", "quant", "file_axes")


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """An output tensor as written; what is None is as the layer's shape rule says."""

    name: str
    dtype: DType | None = None
    quant: Any = None
    file_axes: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer as written.

    Attributes:
        index: Its place in the file.
        reads: Names it reads, or None where it does not say.
        roles: Inputs written under their role: False, a tensor's name, or a constant's mapping.
    """

    index: int
    name: str
    kind: str
    attributes: Mapping[str, Any]
    out_channels: int | None
    kernel: Pair | None
    reads: tuple[str, ...] | None
    roles: Mapping[str, Any]
    outputs: tuple[OutputRecord, ...]

    @property
    def op_type(self) -> type[Op]:
        """The layer type."""
        return ops.OPS[self.kind]

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return tuple(output.name for output in self.outputs)

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the tensors it reads, as far as they are written."""
        return (*(self.reads or ()), *(value for value in self.roles.values() if isinstance(value, str)))

    @property
    def needs_input(self) -> bool:
        """Whether an input is left for ``reads`` to name."""
        roles = self.op_type.roles
        return self.op_type.variadic or any(role not in PARAMETER_ROLES and role not in self.roles for role in roles)

    def filter_shape(self, image: Shape) -> Shape:
        """Return the shape of the layer's own filter for its input.

        Raises:
            ValueProblemError: ``out_channels`` or ``kernel`` is missing, or the groups do not divide the channels.
        """
        for key, value in (("out_channels", self.out_channels), ("kernel", self.kernel)):
            if value is None and not (key == "kernel" and self.kind == "dense"):
                raise ValueProblemError(f"{key!r} is missing")
        groups = typed(int, self.attributes.get("groups", 1), "groups")
        channels = image[-1] if image else 1
        if groups < 1 or channels % groups:
            raise ValueProblemError(f"groups = {groups}: must divide the {channels} channels of its input")
        assert self.out_channels is not None
        if self.kernel is None:
            return (self.out_channels, channels)
        return (self.out_channels, *self.kernel, channels // groups)

    def op(self, shapes: list[Shape]) -> Op:
        """Return the layer type with its attributes, for inputs of these shapes.

        Raises:
            ValueProblemError: An attribute is unknown, missing or wrong.
        """
        return decode(self.kind, self.attributes, self._same(shapes))

    def _same(self, shapes: list[Shape]) -> Padding2d | None:
        if self.attributes.get("padding") != "same" or not shapes:
            return None
        strides, dilations = (typed(Pair, self.attributes.get(key, 1), key) for key in ("strides", "dilations"))
        if self.kind == "conv2d" and len(shapes) > 1 and len(shapes[1]) == 4:
            return same_for(shapes[0], (shapes[1][1], shapes[1][2]), strides, dilations)
        if self.kind == "pool2d":
            return same_for(shapes[0], typed(Pair, self.attributes.get("kernel", 1), "kernel"), strides, dilations)
        return None


def layer_record(index: int, given: Mapping[str, Any], counts: dict[str, int]) -> LayerRecord:
    """Return a layer as written; ``counts`` numbers the layers that have no name.

    Raises:
        ValueProblemError: A key is unknown or of the wrong type, or ``op`` is missing or unknown.
    """
    if "op" not in given:
        raise ValueProblemError(
            "'op' is missing: the layer's type, such as conv2d, add or relu (`hwsim ops` lists them)"
        )
    word = typed(str, given["op"], "op")
    if word not in KINDS:
        raise ValueProblemError(f"op = {word!r}: no layer type of that name{did_you_mean(word, KINDS)}")
    kind, function = KINDS[word]
    op = ops.OPS[kind]
    attributes = {field.name for field in fields(op)}
    extra = {"dense": ("out_channels",)}.get(kind, ("out_channels", "kernel")) if kind in WEIGHTED else ()
    roles = () if op.variadic else op.roles
    known = {"name", "op", "reads", "writes", *attributes, *extra, *roles}
    for key in given:
        if key not in known:
            raise ValueProblemError(f"unknown attribute {key!r}{did_you_mean(str(key), known)}")
    counts[word] = counts.get(word, 0) + 1
    name = typed(str, given.get("name", f"{word}_{counts[word]}"), "name")
    written = {key: given[key] for key in given if key in attributes and key not in roles}
    if function is not None:
        written["function"] = function
    out_channels = typed(int | None, given.get("out_channels"), "out_channels") if extra else None
    kernel = typed(Pair | None, given.get("kernel"), "kernel") if "kernel" in extra else None
    for key, value in (("out_channels", (out_channels,)), ("kernel", kernel or ())):
        if any(number is not None and number < 1 for number in value):
            raise ValueProblemError(f"{key} = {given[key]}: must be >= 1")
    return LayerRecord(
        index=index,
        name=name,
        kind=kind,
        attributes=written,
        out_channels=out_channels,
        kernel=kernel,
        reads=_names(given["reads"], "reads") if "reads" in given else None,
        roles={role: _role(role, given[role]) for role in roles if given.get(role, True) is not True},
        outputs=_outputs(name, kind, given),
    )


def _names(value: Any, key: str) -> tuple[str, ...]:
    names: tuple[str, ...] = typed(tuple[str, ...], [value] if isinstance(value, str) else value, key)
    return names


def _role(role: str, value: Any) -> Any:
    if not (isinstance(value, str | dict) or (value is False and role in PARAMETER_ROLES)):
        wanted = "true, false, " if role in PARAMETER_ROLES else ""
        raise ValueProblemError(f"{role} = {value!r}: must be {wanted}a tensor's name, or a mapping for a constant")
    return value


def _outputs(layer: str, kind: str, given: Mapping[str, Any]) -> tuple[OutputRecord, ...]:
    key = {"split": "sizes", "unknown": "shapes"}.get(kind, "")
    pieces = given.get(key)
    count = len(pieces) if isinstance(pieces, list) else 1
    if not count:
        raise ValueProblemError(f"{key} = []: must name one output at least")
    names = [layer] if count == 1 else [f"{layer}:{i}" for i in range(count)]
    value = given.get("writes", names)
    written = value if isinstance(value, list) else [value]
    if len(written) != count:
        raise ValueProblemError(f"writes names {len(written)} tensors, but the layer has {count} outputs")
    return tuple(_output(item, name) for item, name in zip(written, names, strict=True))


def _output(value: Any, name: str) -> OutputRecord:
    if isinstance(value, str):
        return OutputRecord(value)
    if not isinstance(value, dict):
        raise ValueProblemError(f"writes = {value!r}: must be a name or a mapping of {', '.join(OUTPUT_KEYS)}")
    for key in value:
        if key not in OUTPUT_KEYS:
            raise ValueProblemError(f"writes: unknown key {key!r}{did_you_mean(str(key), OUTPUT_KEYS)}")
    return OutputRecord(
        typed(str, value.get("name", name), "name"),
        dtype_of(value["dtype"]) if "dtype" in value else None,
        value.get("quant"),
        typed(tuple[int, ...] | None, value.get("file_axes"), "file_axes"),
    )
