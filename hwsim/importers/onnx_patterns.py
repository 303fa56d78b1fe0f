"""Layers that exporters write as several operators, put together again: norms, GELU, swishes, a bias added later."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hwsim.importers.onnx_node import Const, Node, readers, scalar, writers

CLOSE = 1e-3  # exporters round √2 and 1/6 to what float16 or decimal text holds


@dataclass(frozen=True, slots=True)
class Match:
    """Nodes that one node replaces, the last of them being where it goes."""

    nodes: tuple[Node, ...]
    replacement: Node


class Net:
    """Nodes with their neighbours, as patterns ask for them."""

    def __init__(self, nodes: Sequence[Node], constants: Mapping[str, Const], outputs: Iterable[str]) -> None:
        self.nodes, self.constants = nodes, constants
        self.outputs = frozenset(outputs)
        self.writer, self.readers = writers(nodes), readers(nodes)

    def made_by(self, tensor: str, *ops: str) -> Node | None:
        """Return the node that writes a tensor if it is one of these operators."""
        node = self.writer.get(tensor)
        return node if node is not None and node.op in ops else None

    def only_reader(self, tensor: str, *ops: str) -> Node | None:
        """Return the one reader of a tensor that is no graph output, if it is one of these operators (or any)."""
        found = self.readers.get(tensor, [])
        if len(found) != 1 or tensor in self.outputs or (ops and found[0].op not in ops):
            return None
        return found[0]

    def number(self, tensor: str) -> float | None:
        """Return the value of a one-element constant."""
        return scalar(self.constants.get(tensor))

    def is_number(self, tensor: str, value: float) -> bool:
        """Return whether a tensor is a one-element constant near ``value``."""
        number = self.number(tensor)
        return number is not None and math.isclose(number, value, rel_tol=CLOSE, abs_tol=1e-9)

    def other(self, node: Node, tensor: str) -> str | None:
        """Return the operand of a two-operand node beside ``tensor``."""
        if len(node.inputs) != 2 or tensor not in node.inputs:
            return None
        return node.inputs[1 - node.inputs.index(tensor)]

    def with_number(self, node: Node, value: float) -> str | None:
        """Return a two-operand node's operand beside a constant near ``value``."""
        if len(node.inputs) != 2:
            return None
        for index in (0, 1):
            if self.is_number(node.inputs[index], value):
                return node.inputs[1 - index]
        return None

    def is_private(self, nodes: Sequence[Node]) -> bool:
        """Return whether nothing outside ``nodes`` reads what they write, the last one's outputs excepted."""
        inside = {node.outputs[0] for node in nodes}
        return all(
            output not in self.outputs and all(reader.outputs[0] in inside for reader in self.readers.get(output, ()))
            for node in nodes[:-1]
            for output in node.outputs
            if output
        )


def rewrite(nodes: Sequence[Node], matches: Iterable[Match]) -> list[Node]:
    """Return the nodes with every match replaced; of matches that overlap the first one counts."""
    taken: set[str] = set()
    replaced: dict[str, Node] = {}
    for match in matches:
        names = {node.outputs[0] for node in match.nodes}
        if names.isdisjoint(taken):
            taken |= names
            replaced[match.nodes[-1].outputs[0]] = match.replacement
    return [
        replaced.get(node.outputs[0], node)
        for node in nodes
        if node.outputs[0] not in taken or node.outputs[0] in replaced
    ]


def recognise(nodes: Sequence[Node], constants: Mapping[str, Const], outputs: Iterable[str]) -> list[Node]:
    """Return the nodes with decomposed layers put together."""
    net = Net(nodes, constants, outputs)
    found = (match for node in nodes for rule in _RULES.get(node.op, ()) if (match := rule(net, node)) is not None)
    return rewrite(nodes, found)


def _whole(net: Net, nodes: Sequence[Node], op: str, inputs: tuple[str, ...], **attrs: object) -> Match | None:
    """Return the match unless something outside it needs a tensor inside it."""
    if not net.is_private(nodes):
        return None
    last = nodes[-1]
    return Match(tuple(nodes), Node(op, last.name, inputs, last.outputs, attrs))


def _norm(net: Net, node: Node) -> Match | None:
    """Match (x − mean) / sqrt(mean of squares + ε), or without the mean, and the scale and shift after it."""
    top, bottom = node.inputs[0], node.inputs[1]
    nodes: list[Node] = [node]
    if node.op == "Mul":  # times the reciprocal
        inverse = net.made_by(bottom, "Reciprocal") or net.made_by(top, "Reciprocal")
        if inverse is None:
            return None
        top, bottom = (top, inverse.inputs[0]) if inverse.outputs[0] == bottom else (bottom, inverse.inputs[0])
        nodes.insert(0, inverse)
    root = net.made_by(bottom, "Sqrt")
    added = net.made_by(root.inputs[0], "Add") if root else None
    if root is None or added is None:
        return None
    variance, epsilon = added.inputs[0], net.number(added.inputs[1])
    if epsilon is None:
        variance, epsilon = added.inputs[1], net.number(added.inputs[0])
    mean = net.made_by(variance, "ReduceMean")
    square = net.made_by(mean.inputs[0], "Pow", "Mul") if mean else None
    axis = _kept_axis(net, mean)
    if epsilon is None or mean is None or square is None or axis is None or square.inputs[0] != top:
        return None
    squared = square.inputs[1] == top if square.op == "Mul" else net.is_number(square.inputs[1], 2)
    if not squared:
        return None
    nodes = [square, mean, added, root, *nodes]
    centred = net.made_by(top, "Sub")
    middle = net.made_by(centred.inputs[1], "ReduceMean") if centred else None
    if centred and middle and middle.inputs[0] == centred.inputs[0] and _kept_axis(net, middle) == axis:
        op, source = "LayerNormalization", centred.inputs[0]
        nodes = [middle, centred, *nodes]
    else:
        op, source = "RMSNormalization", top
    inputs = [source]
    for step in ("Mul", "Add") if op == "LayerNormalization" else ("Mul",):
        after = net.only_reader(nodes[-1].outputs[0], step)
        parameter = net.other(after, nodes[-1].outputs[0]) if after and axis == -1 else None
        const = net.constants.get(parameter or "")
        if after is None or parameter is None or const is None or const.array.shape[-1:] != (const.array.size,):
            break
        inputs.append(parameter)
        nodes.append(after)
    return _whole(net, nodes, op, tuple(inputs), single_axis=axis, epsilon=epsilon)


def _kept_axis(net: Net, mean: Node | None) -> int | None:
    """Return the one axis that a ReduceMean with kept dims reduces."""
    if mean is None or not mean.attrs.get("keepdims", 1):
        return None
    axes = mean.attrs.get("axes")
    if axes is None and mean.input(1) in net.constants:
        axes = net.constants[mean.input(1)].array.ravel().tolist()
    return int(axes[0]) if axes is not None and len(axes) == 1 else None


def _gelu(net: Net, erf: Node) -> Match | None:
    """Match x · ½ · (1 + erf(x / √2)), the half before, between or after."""
    inner = net.made_by(erf.inputs[0], "Div", "Mul")
    if inner is None:
        return None
    if inner.op == "Div":
        x = inner.inputs[0] if net.is_number(inner.inputs[1], math.sqrt(2)) else None
    else:
        x = net.with_number(inner, math.sqrt(0.5))
    added = net.only_reader(erf.outputs[0], "Add")
    if x is None or added is None or net.with_number(added, 1) is None:
        return None
    nodes = [inner, erf, added]
    step = net.only_reader(added.outputs[0], "Mul")
    halved = step is not None and net.with_number(step, 0.5) is not None
    if step is not None and halved:  # the half between
        nodes.append(step)
        step = net.only_reader(step.outputs[0], "Mul")
    if step is None:
        return None
    other = net.other(step, nodes[-1].outputs[0])
    half = net.made_by(other or "", "Mul")
    if half is not None and not halved and net.with_number(half, 0.5) == x:  # the half before
        return _whole(net, (*nodes, half, step), "Gelu", (x,))
    if other != x:
        return None
    if halved:
        return _whole(net, (*nodes, step), "Gelu", (x,))
    last = net.only_reader(step.outputs[0], "Mul", "Div")
    if last is None or not _divides(net, last, 2):
        return None
    return _whole(net, (*nodes, step, last), "Gelu", (x,))


def _gelu_tanh(net: Net, tanh: Node) -> Match | None:
    """Match ½ · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))), the cube as a power or as two products."""
    scaled = net.made_by(tanh.inputs[0], "Mul")
    summed = net.made_by(net.with_number(scaled, math.sqrt(2 / math.pi)) or "", "Add") if scaled else None
    for x, bent_name in (summed.inputs, summed.inputs[::-1]) if summed else ():
        bent = net.made_by(bent_name, "Mul")
        cube = net.made_by(net.with_number(bent, 0.044715) or "", "Pow", "Mul") if bent else None
        powers = _cube(net, cube, x) if cube else None
        added = net.only_reader(tanh.outputs[0], "Add")
        if not (scaled and summed and bent and powers and added) or net.with_number(added, 1) is None:
            continue
        step = net.only_reader(added.outputs[0], "Mul")
        half = net.made_by((net.other(step, added.outputs[0]) if step else None) or "", "Mul")
        if step and half and net.with_number(half, 0.5) == x:
            nodes = (*powers, bent, summed, scaled, tanh, added, half, step)
            return _whole(net, nodes, "Gelu", (x,), approximate="tanh")
    return None


def _cube(net: Net, node: Node, x: str) -> tuple[Node, ...] | None:
    """Return the nodes that make x³."""
    if node.op == "Pow":
        return (node,) if node.inputs[0] == x and net.is_number(node.inputs[1], 3) else None
    square = net.made_by(net.other(node, x) or "", "Mul")
    return (square, node) if square and square.inputs == (x, x) else None


def _swish(net: Net, node: Node) -> Match | None:
    """Match x · sigmoid(x) and x · hard_sigmoid(x), the latter also as x · clip(x + 3, 0, 6) / 6."""
    if len(node.inputs) != 2:
        return None
    for x, gate_name in (node.inputs, node.inputs[::-1]):
        gate = net.writer.get(gate_name)
        if gate is None:
            continue
        if gate.op == "Sigmoid" and gate.inputs[0] == x:
            return _whole(net, (gate, node), "hwsim::Silu", (x,))
        if gate.op == "HardSigmoid" and gate.inputs[0] == x:
            slope, shift = gate.attrs.get("alpha", 0.2), gate.attrs.get("beta", 0.5)
            if math.isclose(slope, 1 / 6, rel_tol=CLOSE) and shift == 0.5:
                return _whole(net, (gate, node), "HardSwish", (x,))
        sixth = gate if _divides(net, gate, 6) else None
        clip = net.made_by(sixth.inputs[0] if sixth else gate_name, "Clip")
        shifted = net.made_by(clip.inputs[0], "Add") if clip and clip_bounds(net.constants, clip) == (0, 6) else None
        if clip is None or shifted is None or net.with_number(shifted, 3) != x:
            continue
        if sixth is not None:
            return _whole(net, (shifted, clip, sixth, node), "HardSwish", (x,))
        after = net.only_reader(node.outputs[0], "Div", "Mul")
        if after is not None and _divides(net, after, 6):
            return _whole(net, (shifted, clip, node, after), "HardSwish", (x,))
    return None


def _divides(net: Net, node: Node, value: float) -> bool:
    """Return whether a node divides its first operand by a number, or multiplies it by the inverse."""
    if node.op == "Div":
        return net.is_number(node.inputs[1], value)
    return node.op == "Mul" and net.with_number(node, 1 / value) is not None


def clip_bounds(constants: Mapping[str, Const], node: Node) -> tuple[float | None, float | None] | None:
    """Return the bounds of a Clip node (attributes before opset 11, inputs after), or None where they are computed."""
    bounds: list[float | None] = []
    for index, key in ((1, "min"), (2, "max")):
        bound = node.attrs.get(key)
        if bound is None and node.input(index):
            bound = scalar(constants.get(node.input(index)))
            if bound is None:
                return None
        bounds.append(None if bound is None or abs(bound) >= 3.4e38 else bound)
    return bounds[0], bounds[1]


def _matmul_bias(net: Net, node: Node) -> Match | None:
    """Match a product with stored weights and the bias added after it."""
    weights = net.constants.get(node.inputs[1])
    after = net.only_reader(node.outputs[0], "Add")
    bias_name = net.other(after, node.outputs[0]) if after else None
    bias = net.constants.get(bias_name or "")
    if weights is None or bias is None or after is None or bias_name is None or weights.array.ndim != 2:
        return None
    if bias.array.shape[-1:] != weights.array.shape[1:] or bias.array.size != weights.array.shape[1]:
        return None
    replacement = Node("MatMul", node.name, (*node.inputs, bias_name), after.outputs, node.attrs)
    return Match((node, after), replacement)


_RULES: dict[str, Sequence[Callable[[Net, Node], Match | None]]] = {
    "Div": (_norm,),
    "Mul": (_norm, _swish),
    "Erf": (_gelu,),
    "Tanh": (_gelu_tanh,),
    "MatMul": (_matmul_bias,),
}
