"""Names for a TFLite file's tensors and layers: tensors keep the file's, layers get the readable part of it.

Converters name a tensor after everything fused into it, e.g.
``model/activation/Relu;model/batch_normalization/FusedBatchNormV3;model/conv2d/BiasAdd``; the layer is ``conv2d``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from hwsim.importers.tflite_reader import FileOperator, FileTensor

MAX_LAYER_NAME = 48

_WORDS: Mapping[str, str] = {
    "CONV_2D": "conv2d",
    "DEPTHWISE_CONV_2D": "depthwise_conv2d",
    "TRANSPOSE_CONV": "conv2d_transpose",
    "FULLY_CONNECTED": "dense",
    "BATCH_MATMUL": "matmul",
    "AVERAGE_POOL_2D": "average_pool",
    "MAX_POOL_2D": "max_pool",
    "CONCATENATION": "concat",
    "LOGISTIC": "sigmoid",
    "STRIDED_SLICE": "slice",
}
"""Names for layers whose tensor has none of its own; other operators use their own word in lower case."""

_OWN_PARTS: Mapping[str, frozenset[str]] = {
    "CONV_2D": frozenset({"Conv2D", "convolution", "BiasAdd", "Conv1D"}),
    "DEPTHWISE_CONV_2D": frozenset({"depthwise", "BiasAdd", "convolution", "DepthwiseConv2dNative"}),
    "TRANSPOSE_CONV": frozenset({"Conv2DBackpropInput", "BiasAdd"}),
    "FULLY_CONNECTED": frozenset({"MatMul", "BiasAdd", "Tensordot"}),
    "ADD": frozenset({"add", "Add", "AddV"}),
    "SUB": frozenset({"sub", "Sub"}),
    "MUL": frozenset({"mul", "Mul"}),
    "SOFTMAX": frozenset({"Softmax"}),
    "MEAN": frozenset({"Mean"}),
}
"""Path parts that mark the piece of a fused name that belongs to the operator itself, numbers cut off."""

_INNER_PARTS: frozenset[str] = frozenset().union(
    *_OWN_PARTS.values(),
    ("Relu", "relu", "FusedBatchNormV", "batchnorm", "truediv", "Sum", "Max", "Sigmoid", "Tanh"),
    ("AvgPool", "AvgPool2d", "MaxPool", "MaxPool2d", "concat", "Pad", "ReadVariableOp", "resource"),
    ("Reshape", "Shape", "shape", "strided_slice", "ExpandDims", "Squeeze", "Transpose", "transpose"),
    ("Identity", "PartitionedCall", "StatefulPartitionedCall"),
)
"""Path parts that name an operation inside a layer, which says less than the layer's own name."""

_MEANINGLESS = re.compile(r"(Identity|(Stateful)?PartitionedCall|serving_default|output|arg)?(_?\d+|_u?int8|:\d+)*")


def tensor_names(tensors: Sequence[FileTensor]) -> tuple[str, ...]:
    """Return a unique name for each tensor: the file's, with ``#<index>`` where it is empty or taken."""
    taken: set[str] = set()
    names = []
    for tensor in tensors:
        name = tensor.name if tensor.name and tensor.name not in taken else f"{tensor.name}#{tensor.index}"
        while name in taken:
            name += "'"
        taken.add(name)
        names.append(name)
    return tuple(names)


class LayerNames:
    """Gives each operator a short unique name, from its first output's name; asked once per operator that stays."""

    def __init__(self, operators: Sequence[FileOperator], tensors: Sequence[FileTensor]) -> None:
        self._tensors = tensors
        self._roots = _common_roots([_paths(self._tensor_name(operator)) for operator in operators])
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def name(self, operator: FileOperator) -> str:
        """Return a name that was not given before."""
        paths = _paths(self._tensor_name(operator))
        base = name = _layer_name(operator.operator, paths, self._roots)
        while name in self._taken:
            number = self._next.get(base, 1)
            self._next[base] = number + 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name

    def _tensor_name(self, operator: FileOperator) -> str:
        return self._tensors[operator.outputs[0]].name if operator.outputs else ""


def _paths(name: str) -> list[list[str]]:
    """Return the fused pieces of a name, each as its path."""
    pieces = [[part for part in piece.split("/") if part] for piece in name.split(";")]
    return [piece for piece in pieces if piece]


def _common_roots(pieces: Sequence[list[list[str]]]) -> int:
    """Return how many leading path parts nearly all names share (``model/``, ``StatefulPartitionedCall/model/``)."""
    firsts = [paths[0] for paths in pieces if paths and len(paths[0]) > 1]
    depth = 0
    while True:
        counts = Counter(tuple(path[: depth + 1]) for path in firsts if len(path) > depth + 1)
        if not counts or len(firsts) < 2 or counts.most_common(1)[0][1] < 0.8 * len(firsts):
            return depth
        depth += 1


def _layer_name(operator: str, paths: list[list[str]], roots: int) -> str:
    own = _OWN_PARTS.get(operator, frozenset())
    best = next((path for path in paths if any(_bare(part) in own for part in path[1:])), paths[0] if paths else [])
    rest = best[roots:] if len(best) > roots else best
    while len(rest) > 1 and _bare(rest[-1]) in _INNER_PARTS:
        rest = rest[:-1]
    name = re.sub(r"[^\w.\-]+", "_", rest[-1]).strip("_") if rest else ""
    if not name or _MEANINGLESS.fullmatch(rest[-1]):
        name = _WORDS.get(operator, re.sub(r"\W+", "_", operator).lower())
    return name[:MAX_LAYER_NAME]


def _bare(part: str) -> str:
    """Return a path part without the numbers that make it unique (``FusedBatchNormV3``, ``add_1``, ``MatMul2``)."""
    return part if part in _INNER_PARTS else re.sub(r"[_\d:]*$", "", part)
