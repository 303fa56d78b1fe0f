"""Dynamically quantised ONNX made hybrid: real activations, stored integer weights.

``quantize_dynamic`` of onnxruntime writes a product of floats as DynamicQuantizeLinear → MatMulInteger (ConvInteger) →
Cast → Mul by both scales. The activations are real on either side and quantised on the way, by a range that only the
run tells; hwsim takes such a layer as what it stands for, a product with integer weights, and runs it as plain float.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hwsim.importers.onnx_node import Const, Node
from hwsim.importers.onnx_patterns import Match, Net, rewrite

_PRODUCTS = {"MatMulInteger": ("MatMul", 1), "ConvInteger": ("Conv", 0)}  # the float operator, the axis of its channels
DYNAMIC_OPERATORS = frozenset(("DynamicQuantizeLinear", *_PRODUCTS))


def as_hybrid(nodes: Sequence[Node], constants: Mapping[str, Const], outputs: Iterable[str]) -> list[Node]:
    """Return the nodes with dynamically quantised products of stored weights made real ones."""
    net = Net(nodes, constants, outputs)
    written: list[Node] = []
    matches: list[Match] = []
    for node in nodes:
        if node.op in _PRODUCTS and (found := _product(net, node)) is not None:
            weights, match = found
            written.append(weights)
            matches.append(match)
        written.append(node)
    return rewrite(written, matches)


def _product(net: Net, node: Node) -> tuple[Node, Match] | None:
    """Return the node that makes the weights real, and the match of the product; None where the form is another."""
    source = net.made_by(node.input(0), "DynamicQuantizeLinear")
    cast = net.only_reader(node.outputs[0], "Cast")
    scaled = net.only_reader(cast.outputs[0], "Mul") if cast is not None else None
    if source is None or cast is None or scaled is None or node.input(2) not in source.outputs[2:]:
        return None
    both = net.made_by(net.other(scaled, cast.outputs[0]) or "", "Mul")
    scale = net.other(both, source.outputs[1]) if both is not None else None
    if scale is None or scale not in net.constants or node.input(1) not in net.constants:
        return None
    op, axis = _PRODUCTS[node.op]
    real = f"{node.outputs[0]}/weights"
    weights = Node("DequantizeLinear", real, (node.input(1), scale, node.input(3)), (real,), {"axis": axis})
    product = Node(op, node.name, (source.inputs[0], real), scaled.outputs, node.attrs)
    return weights, Match((node, cast, scaled), product)
