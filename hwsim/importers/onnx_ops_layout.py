"""ONNX operators that move, select or repeat elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from hwsim.errors import ModelFileError
from hwsim.graph import Shape, elements
from hwsim.graph import ops as gops
from hwsim.importers.onnx_fold import slices, split_sizes, target_shape
from hwsim.importers.onnx_layout import EXTRA, Activation, plain
from hwsim.importers.onnx_node import Array, Node
from hwsim.importers.onnx_translate import Translation, UnsupportedFormError, onnx_op

MAX_COPIES = 4096
PAD_MODES: dict[str, Literal["constant", "reflect", "edge"]] = {
    "constant": "constant",
    "reflect": "reflect",
    "edge": "edge",
}


@onnx_op("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _reshape(t: Translation, node: Node) -> None:
    value = t.raw(node)
    source = value.file_shape
    target = _target(t, node, source)
    if elements(target) != elements(source) or min(target, default=1) < 1:
        raise ModelFileError(
            f"{t.where}: node {node.name!r} ({node.op}): {source} does not fit into {target}; was the file exported "
            "for another batch or size?"
        )
    requantizes = node.quant is not None and t.builder.tensor(value.tensor).quant != node.quant
    exact = None if requantizes else (node.name, node.outputs[0])
    t.alias(node, t.builder.reshaped(value, target, f"{node.name}/reshape", exact))


def _target(t: Translation, node: Node, source: Shape) -> Shape:
    rank = len(source)
    if node.op == "Reshape":
        if "shape" in node.attrs:
            return tuple(target_shape(node, source, np.asarray(node.attrs["shape"])))
        return tuple(target_shape(node, source, t.need_const(node, 1, "a shape").array))
    if node.op == "Flatten":
        axis = int(node.attrs.get("axis", 1))
        axis += rank if axis < 0 else 0
        return (elements(source[:axis]), elements(source[axis:]))
    axes = t.integers(node, 1, "axes")
    if node.op == "Squeeze":
        dropped = {axis % rank for axis in axes} if axes is not None else {i for i in range(rank) if source[i] == 1}
        if any(source[axis] != 1 for axis in dropped):
            raise ModelFileError(
                f"{t.where}: node {node.name!r} (Squeeze): axes {sorted(dropped)} of {source} are not 1"
            )
        return tuple(size for axis, size in enumerate(source) if axis not in dropped)
    wide = rank + len(axes or ())
    added = {axis % wide for axis in axes or ()}
    if len(added) != len(axes or ()):
        raise ModelFileError(f"{t.where}: node {node.name!r} (Unsqueeze): axes {axes} name an axis twice")
    sizes = iter(source)
    return tuple(1 if axis in added else next(sizes) for axis in range(wide))


@onnx_op("Transpose")
def _transpose(t: Translation, node: Node) -> None:
    value = t.activation(node)
    rank = len(value.shape)
    perm = [int(axis) for axis in node.attrs.get("perm") or reversed(range(rank))]
    if sorted(perm) != list(range(rank)):
        raise ModelFileError(f"{t.where}: node {node.name!r} (Transpose): perm {perm} on {rank} axes")
    axes = tuple(axis if axis == EXTRA else perm.index(axis) for axis in value.axes)
    t.alias(node, Activation(value.tensor, axes, tuple(value.shape[axis] for axis in perm)))


@onnx_op("Concat")
def _concat(t: Translation, node: Node) -> None:
    names = [name for name in node.inputs if name]
    if len(names) == 1:
        t.alias(node, t.raw(node))
        return
    computed = [t.builder.flushed(t.values[name]) for name in names if name in t.values]
    if not computed:
        raise UnsupportedFormError("of constants alone")
    leader = max(computed, key=lambda value: (elements(value.shape), value.axes))
    tensors = []
    for name in names:
        tensor = t.operand_whole(name, leader.axes, node.quant)
        tensors.append(t.requantized(tensor, node.quant) if node.quant is not None else tensor)
    axis = leader.axes.index(int(node.attrs["axis"]) % len(leader.shape))
    t.emit(node, gops.Concat(axis=axis, activation=node.activation), tensors, leader.axes, moves=True)


@onnx_op("Split")
def _split(t: Translation, node: Node) -> None:
    value = t.activation(node)
    axis = int(node.attrs.get("axis", 0)) % len(value.shape)
    sizes = split_sizes(t.integers(node, 1, "split"), value.shape[axis], len(node.outputs))
    op = gops.Split(axis=value.axes.index(axis), sizes=sizes)
    t.emit(replace(node, inputs=node.inputs[:1]), op, [value.tensor], value.axes, moves=True)


@onnx_op("Slice")
def _slice(t: Translation, node: Node) -> None:
    value = t.activation(node)
    arrays = [t.need_const(node, index, "bounds").array if node.input(index) else None for index in range(1, 5)]
    cut(t, node, value, slices(node, [None, *arrays], len(value.shape)))


def cut(t: Translation, node: Node, value: Activation, chosen: Sequence[slice]) -> None:
    """Add a slice, or nothing where all is chosen."""
    found = [each.indices(size) for each, size in zip(chosen, value.shape, strict=True)]
    if all(bounds == (0, size, 1) for bounds, size in zip(found, value.shape, strict=True)):
        t.alias(node, value)
        return
    inside = [(0, 1, 1) if axis == EXTRA else found[axis] for axis in value.axes]
    op = gops.Slice(
        begin=tuple(bounds[0] for bounds in inside),
        end=tuple(bounds[1] for bounds in inside),
        strides=tuple(bounds[2] for bounds in inside),
    )
    t.emit(replace(node, inputs=node.inputs[:1]), op, [value.tensor], value.axes, moves=True)


@onnx_op("Pad")
def _pad(t: Translation, node: Node) -> None:
    value = t.activation(node)
    rank = len(value.shape)
    listed = t.integers(node, 1, "pads") or t.integers(node, 1, "paddings") or []
    axes = [axis % rank for axis in (t.integers(node, 3) or range(rank))]
    mode = PAD_MODES.get(node.attrs.get("mode", "constant"))
    number = float(node.attrs.get("value", 0.0))
    if node.input(2):
        number = float(t.need_const(node, 2, "a value").array.reshape(()))
    if mode is None or len(listed) != 2 * len(axes):
        raise UnsupportedFormError(f"with mode {node.attrs.get('mode')!r} and pads {listed}")
    pads = {axis: (listed[i], listed[i + len(axes)]) for i, axis in enumerate(axes)}
    if any(min(pair) < 0 for pair in pads.values()):
        raise UnsupportedFormError(f"with negative pads {listed}")
    if not any(listed):
        t.alias(node, value)
        return
    op = gops.Pad(pads=tuple(pads.get(axis, (0, 0)) for axis in value.axes), mode=mode, value=number)
    t.emit(replace(node, inputs=node.inputs[:1]), op, [value.tensor], value.axes, moves=True)


@onnx_op("Gather")
def _gather(t: Translation, node: Node) -> None:
    rank, indices = len(t.file_shape(node.inputs[0])), t.const(node.inputs[1])
    axis = int(node.attrs.get("axis", 0)) % rank
    if indices is None:
        picks = t.activation(node, 1)
        tensors = [
            t.builder.arranged(t.activation(node), plain(rank)),
            t.builder.arranged(picks, plain(len(picks.shape))),
        ]
        t.emit(node, gops.Gather(axis=axis), tensors, plain(rank + len(picks.shape) - 1), moves=True)
        return
    value, chosen = t.activation(node), indices.array.astype(np.int64)
    chosen = np.where(chosen < 0, chosen + value.shape[axis], chosen)
    if chosen.size == 0 or chosen.min() < 0 or chosen.max() >= value.shape[axis]:
        raise ModelFileError(f"{t.where}: node {node.name!r} (Gather): indices outside axis {axis} of {value.shape}")
    if chosen.ndim == 1:
        _pick(t, node, value, axis, chosen)
        return
    # Any other number of index axes: pick along one, then give the result its shape.
    name = t.builder.fresh(f"{node.name}/pick")
    _pick(t, replace(node, name=name, outputs=(name,)), value, axis, chosen.ravel())
    shape = (*value.shape[:axis], *chosen.shape, *value.shape[axis + 1 :])
    t.alias(node, t.builder.reshaped(t.values[name], shape, f"{node.name}/reshape"))


def _pick(t: Translation, node: Node, value: Activation, axis: int, chosen: Array) -> None:
    """Add a choice of known indices along an axis: a slice where they are evenly spaced."""
    steps = np.diff(chosen)
    if chosen.size == 1 or (steps[0] > 0 and np.all(steps == steps[0])):
        step = int(steps[0]) if chosen.size > 1 else 1
        bounds = [slice(None)] * len(value.shape)
        bounds[axis] = slice(int(chosen[0]), int(chosen[-1]) + 1, step)
        cut(t, node, value, bounds)
    else:
        place = t.builder.store(node.inputs[1], "flat", chosen.astype(np.int32))
        t.emit(node, gops.Gather(axis=value.axes.index(axis)), [value.tensor, place], value.axes, moves=True)


@onnx_op("Expand", "Tile")
def _repeat(t: Translation, node: Node) -> None:
    value = t.activation(node)
    numbers = t.integers(node, 1) or []
    rank = max(len(numbers), len(value.shape))
    wide = (1,) * (rank - len(value.shape)) + value.shape
    if node.op == "Tile":
        copies = numbers
    else:
        padded = [1] * (rank - len(numbers)) + numbers
        copies = [goal if size == 1 else 1 for size, goal in zip(wide, padded, strict=True)]
    if wide != value.shape:
        value = t.builder.reshaped(value, wide, f"{node.name}/reshape")
    if len(copies) != rank or max(copies) > MAX_COPIES or min(copies) < 1:
        raise UnsupportedFormError(f"of {wide} by {copies}")
    repeated = [axis for axis, count in enumerate(copies) if count > 1]
    tensor = value.tensor
    for axis in repeated[:-1]:
        inside = value.axes.index(axis)
        tensor = t.aux(gops.Concat(axis=inside), [tensor] * copies[axis], f"{node.name}/{axis}")
    if not repeated:
        t.alias(node, value)
        return
    axis = repeated[-1]
    op = gops.Concat(axis=value.axes.index(axis))
    t.emit(replace(node, inputs=node.inputs[:1]), op, [tensor] * copies[axis], value.axes, moves=True)
