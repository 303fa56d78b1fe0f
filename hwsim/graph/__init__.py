"""The graph room: tensors, layer types with their shape rules and counts, the graph and its builder."""

from hwsim.graph import ops
from hwsim.graph.builder import GraphBuilder
from hwsim.graph.graph import Graph, Layer, Rounding
from hwsim.graph.tensor import (
    BITS,
    DTYPES,
    DType,
    Quantization,
    Shape,
    Spec,
    Tensor,
    elements,
    packed_bytes,
    zero_point_problem,
)
from hwsim.graph.transform import fold_batch_norm, fuse_activations, with_random_weights

__all__ = [
    "BITS",
    "DTYPES",
    "DType",
    "Graph",
    "GraphBuilder",
    "Layer",
    "Quantization",
    "Rounding",
    "Shape",
    "Spec",
    "Tensor",
    "elements",
    "fold_batch_norm",
    "fuse_activations",
    "ops",
    "packed_bytes",
    "with_random_weights",
    "zero_point_problem",
]
