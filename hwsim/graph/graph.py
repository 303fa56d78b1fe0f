"""The graph: layers in topological order over named tensors, with their counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from hwsim.errors import NetError, did_you_mean
from hwsim.graph.ops import Op, Unknown
from hwsim.graph.tensor import Spec, Tensor

if TYPE_CHECKING:
    import networkx as nx

Rounding = Literal["tflite", "onnx"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer type at its place: the tensors it reads (constants included, in the order of ``op.roles``) and writes."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """A net: a directed acyclic graph of layers over named tensors; immutable.

    Build one with ``GraphBuilder``, ``load_net`` or an importer: they infer shapes and name the layers in their errors.
    The constructor sorts the layers topologically.

    Attributes:
        name: The net's name.
        tensors: Every tensor by name: inputs, constants, and each layer's outputs.
        layers: In topological order.
        inputs: Names of the graph's inputs.
        outputs: Names of the graph's outputs.
        warnings: What the importer wants a reader of the results to know.
        rounding: By whose rules the forward pass rounds quantised layers: LiteRT's or those of ONNX.

    Raises:
        NetError: A cycle, a tensor that nothing writes or two layers write, a layer cut off from the rest, no output.
    """

    name: str
    tensors: Mapping[str, Tensor]
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=(), compare=False)
    rounding: Rounding = "tflite"

    def __post_init__(self) -> None:
        producers = _producers(self.layers)
        _check_references(self, producers)
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        object.__setattr__(self, "layers", _sorted_layers(self.name, self.layers, producers))
        _check_connected(self)

    def __eq__(self, other: object) -> bool:
        """Equal when structure, shapes, dtypes, quantisation and constants' data are; warnings don't count."""
        if not isinstance(other, Graph):
            return NotImplemented
        return (
            (self.name, self.layers, self.inputs, self.outputs, self.rounding)
            == (other.name, other.layers, other.inputs, other.outputs, other.rounding)
            and self.tensors.keys() == other.tensors.keys()
            and all(tensor.same_as(other.tensors[name]) for name, tensor in self.tensors.items())
        )

    __hash__ = object.__hash__  # by identity: results computed for a graph are cached under it

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it is made of, not what was computed from it."""
        parts = (self.name, dict(self.tensors), self.layers, self.inputs, self.outputs, self.warnings, self.rounding)
        return Graph, parts

    def __repr__(self) -> str:
        """Say name and size, not ten thousand layers."""
        return f"Graph({self.name!r}, {len(self.layers)} layers, {self.params} parameters, {self.macs} MACs)"

    @cached_property
    def producer(self) -> Mapping[str, Layer]:
        """The layer that writes each tensor; inputs and constants are absent."""
        return MappingProxyType(_producers(self.layers))

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Layer, ...]]:
        """The layers that read each tensor, in order; tensors nobody reads are absent."""
        found: dict[str, list[Layer]] = {}
        for layer in self.layers:
            for name in dict.fromkeys(layer.inputs):
                found.setdefault(name, []).append(layer)
        return MappingProxyType({name: tuple(layers) for name, layers in found.items()})

    @cached_property
    def dag(self) -> nx.DiGraph[str]:
        """The layers as a networkx graph: a node per layer name, an edge per tensor (attribute ``tensor``)."""
        import networkx as nx  # takes longer to import than most nets to evaluate

        dag: nx.DiGraph[str] = nx.DiGraph(name=self.name)
        dag.add_nodes_from((layer.name, {"layer": layer}) for layer in self.layers)
        for layer in self.layers:
            for tensor in layer.inputs:
                if tensor in self.producer:
                    dag.add_edge(self.producer[tensor].name, layer.name, tensor=tensor)
        return dag

    def layer(self, name: str) -> Layer:
        """Return the layer of that name.

        Raises:
            NetError: There is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        hint = did_you_mean(name, (layer.name for layer in self.layers))
        raise NetError(f"net {self.name!r} has no layer {name!r}{hint}")

    def input_specs(self, layer: Layer) -> tuple[Spec, ...]:
        """Return the specs of a layer's inputs, constants included."""
        return tuple(self.tensors[name].spec for name in layer.inputs)

    def output_specs(self, layer: Layer) -> tuple[Spec, ...]:
        """Return the specs of a layer's outputs."""
        return tuple(self.tensors[name].spec for name in layer.outputs)

    def layer_macs(self, layer: Layer) -> int:
        """Return the MACs of a layer."""
        return layer.op.macs(self.input_specs(layer), self.output_specs(layer))

    def layer_ops(self, layer: Layer) -> int:
        """Return the elementary operations of a layer that are not MACs."""
        return layer.op.ops(self.input_specs(layer), self.output_specs(layer))

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference: padding taps included, bias excluded."""
        return sum(map(self.layer_macs, self.layers))

    @cached_property
    def ops(self) -> int:
        """Elementary operations of one inference other than MACs."""
        return sum(map(self.layer_ops, self.layers))

    @property
    def constants(self) -> tuple[Tensor, ...]:
        """Every stored tensor, once."""
        return tuple(tensor for tensor in self.tensors.values() if tensor.constant)

    @cached_property
    def params(self) -> int:
        """Stored elements: weights, biases and other constants, shared ones once."""
        return sum(tensor.elements for tensor in self.constants)

    @cached_property
    def param_bytes(self) -> int:
        """Bytes of the stored elements at their dtypes."""
        return sum(tensor.bytes for tensor in self.constants)

    @cached_property
    def peak_inout_elements(self) -> int:
        """Largest sum of a layer's activations, read and written [elements]."""
        return max(
            sum(
                self.tensors[name].elements
                for name in {*layer.inputs, *layer.outputs}
                if not self.tensors[name].constant
            )
            for layer in self.layers
        )

    @property
    def has_weights(self) -> bool:
        """Whether every constant carries its values."""
        return all(tensor.data is not None for tensor in self.constants)

    @property
    def unknown_layers(self) -> tuple[Layer, ...]:
        """Layers of operators that hwsim does not know (imported with ``allow_unknown``)."""
        return tuple(layer for layer in self.layers if isinstance(layer.op, Unknown))


def _producers(layers: Iterable[Layer]) -> dict[str, Layer]:
    producers: dict[str, Layer] = {}
    for layer in layers:
        for name in layer.outputs:
            if name in producers:
                raise NetError(f"tensor {name!r} is written by layers {producers[name].name!r} and {layer.name!r}")
            producers[name] = layer
    return producers


def _check_references(graph: Graph, producers: Mapping[str, Layer]) -> None:
    """Check that names are unique and that every tensor read is an input, a constant or somebody's output."""
    if not graph.layers:
        raise NetError(f"net {graph.name!r} has no layers between its inputs and its outputs")
    names: set[str] = set()
    for layer in graph.layers:
        if layer.name in names:
            raise NetError(f"net {graph.name!r} has two layers named {layer.name!r}")
        names.add(layer.name)
        for tensor in layer.inputs:
            given = (
                tensor in producers
                or tensor in graph.inputs
                or (tensor in graph.tensors and graph.tensors[tensor].constant)
            )
            if not given:
                hint = did_you_mean(tensor, graph.tensors)
                raise NetError(f"layer {layer.name!r} reads tensor {tensor!r}, which nothing writes{hint}")
    if not graph.outputs:
        raise NetError(f"net {graph.name!r} has no outputs")
    for output in graph.outputs:
        if output not in graph.tensors:
            raise NetError(f"output {output!r} of net {graph.name!r} is no tensor{did_you_mean(output, graph.tensors)}")


def _sorted_layers(net: str, layers: tuple[Layer, ...], producers: Mapping[str, Layer]) -> tuple[Layer, ...]:
    """Return the layers so that writers come before readers; an order that is right already stays as it is."""
    written: set[str] = set()
    for layer in layers:
        if any(name in producers and name not in written for name in layer.inputs):
            break
        written.update(layer.outputs)
    else:
        return layers
    by_name = {layer.name: layer for layer in layers}
    sorter = TopologicalSorter(
        {layer.name: [producers[name].name for name in layer.inputs if name in producers] for layer in layers}
    )
    try:
        return tuple(by_name[name] for name in sorter.static_order())
    except CycleError as error:
        cycle = " -> ".join(repr(name) for name in error.args[1])
        raise NetError(f"net {net!r} has a cycle: {cycle}") from None


def _check_connected(graph: Graph) -> None:
    """Check that the layers hang together, and that each layer's result is used or given out."""
    group = {layer.name: layer.name for layer in graph.layers}

    def root(name: str) -> str:
        while group[name] != name:
            group[name] = group[group[name]]
            name = group[name]
        return name

    reader: dict[str, str] = {}
    used = set(graph.outputs)
    for layer in graph.layers:
        used.update(layer.inputs)
        for tensor in (*layer.inputs, *layer.outputs):
            if not graph.tensors[tensor].constant:
                group[root(layer.name)] = root(reader.setdefault(tensor, layer.name))
    for layer in graph.layers:
        if not used.intersection(layer.outputs):
            raise NetError(
                f"layer {layer.name!r}: nothing reads its output {layer.outputs[0]!r} and it is no output of the net"
            )
        if root(layer.name) != root(graph.layers[0].name):
            raise NetError(
                f"net {graph.name!r} is disconnected: layer {layer.name!r} shares no tensor, directly or through other "
                f"layers, with {graph.layers[0].name!r}"
            )
