"""TFLite operators that move, select or describe values: layout, slices, padding, and the arithmetic of shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hwsim.graph import Shape, ops
from hwsim.importers.constant_folding import fold_function
from hwsim.importers.tflite_import import TfliteImport, Translation, UnsupportedError, real_values
from hwsim.importers.tflite_reader import FileOperator
from hwsim.importers.tflite_schema import REFLECT, SHAPE_INT64

MOST_TILES = 4096  # inputs of the concatenations that stand for a tile


def _normal(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise UnsupportedError(f"its axis {axis} is outside its input of {rank} axes")
    return axis % rank


def _concat(net: TfliteImport, op: FileOperator) -> None:
    inputs = [net.name(op, i) for i in range(len(op.inputs))]
    net.add(op, ops.Concat(axis=op.options["Axis"], activation=net.activation(op)), inputs)


def _split(net: TfliteImport, op: FileOperator) -> None:
    x = net.name(op, 1)
    axis = _normal(net.ints(op, 0, "axis")[0], len(net.shape(x)))
    pieces, size = len(op.outputs), net.shape(x)[axis]
    if size % pieces:
        raise UnsupportedError(f"it splits {size} into {pieces} equal pieces")
    net.add(op, ops.Split(axis=axis, sizes=(size // pieces,) * pieces), [x])


def _split_v(net: TfliteImport, op: FileOperator) -> None:
    x = net.name(op, 0)
    axis = _normal(net.ints(op, 2, "axis")[0], len(net.shape(x)))
    sizes = net.ints(op, 1, "sizes")
    rest = net.shape(x)[axis] - sum(size for size in sizes if size != -1)
    net.add(op, ops.Split(axis=axis, sizes=tuple(rest if size == -1 else size for size in sizes)), [x])


def _slice(net: TfliteImport, op: FileOperator) -> None:
    x = net.name(op, 0)
    shape = net.shape(x)
    begin, size = net.ints(op, 1, "begin"), net.ints(op, 2, "size")
    if not len(begin) == len(size) == len(shape):
        raise UnsupportedError(f"its begin {begin} and size {size} do not fit its input of shape {shape}")
    end = tuple(n if s == -1 else b + s for n, b, s in zip(shape, begin, size, strict=True))
    net.add(op, ops.Slice(begin=begin, end=end, strides=(1,) * len(shape)), [x])


def _strided_slice(net: TfliteImport, op: FileOperator) -> None:
    """Translate x[begin:end:stride, …] with TensorFlow's masks; axes dropped or made are a reshape after the slice."""
    x = net.name(op, 0)
    begin, end, strides = (net.ints(op, i, what) for i, what in ((1, "begin"), (2, "end"), (3, "strides")))
    if not len(begin) == len(end) == len(strides):
        raise UnsupportedError(f"its begin {begin}, end {end} and strides {strides} differ in length")
    if op.options["Offset"]:
        end = tuple(map(sum, zip(begin, end, strict=True)))
    layer, shape = resolve_strided_slice(net.shape(x), begin, end, strides, op.options)
    if shape == tuple(map(len, map(range, layer.begin, layer.end, layer.strides))):
        net.add(op, layer, [x])
    else:
        net.add(op, ops.Reshape(shape=shape), net.step(op, layer, [x], "slice"))


def resolve_strided_slice(
    shape: Shape, begin: Sequence[int], end: Sequence[int], strides: Sequence[int], masks: Mapping[str, int]
) -> tuple[ops.Slice, Shape]:
    """Return the slice with every bound resolved, and the shape after axes are dropped and made.

    Bit i of a mask speaks of entry i of ``begin``: Begin and End ignore the bound, ShrinkAxis takes one index and drops
    the axis, NewAxis makes an axis of one, Ellipsis stands for all axes that no other entry names.
    """
    entries = range(len(begin))
    ellipsis = [i for i in entries if masks["EllipsisMask"] >> i & 1]
    made = [i for i in entries if masks["NewAxisMask"] >> i & 1 and i not in ellipsis]
    named = len(begin) - len(ellipsis) - len(made)
    if named > len(shape) or len(ellipsis) > 1:
        raise UnsupportedError(f"it slices {named} axes of an input of shape {shape}")
    bounds: list[tuple[int, int, int]] = []
    result: list[int] = []
    for i in [*entries, None] if not ellipsis else entries:
        if i is None or i in ellipsis:
            whole = shape[len(bounds) : len(bounds) + len(shape) - named]
            bounds += [(0, size, 1) for size in whole]
            result += whole
        elif i in made:
            result.append(1)
        else:
            size = shape[len(bounds)]
            if masks["ShrinkAxisMask"] >> i & 1:
                index = begin[i] + size if begin[i] < 0 else begin[i]
                bounds.append((index, index + 1, 1))
            else:
                if strides[i] == 0:
                    raise UnsupportedError("it has a stride of 0")
                first = None if masks["BeginMask"] >> i & 1 else begin[i]
                last = None if masks["EndMask"] >> i & 1 else end[i]
                bounds.append(slice(first, last, strides[i]).indices(size))
                result.append(len(range(*bounds[-1])))
    low, high, step = (tuple(column) for column in zip(*bounds, strict=True)) if bounds else ((), (), ())
    return ops.Slice(begin=low, end=high, strides=step), tuple(result)


def _pad(net: TfliteImport, op: FileOperator) -> None:
    value = 0.0
    if op.operator == "PADV2":
        name = net.name(op, 2)
        stored, quant = net.value(name), net.quant(name)
        if stored is None:
            raise UnsupportedError("its padding value is computed by the net")
        value = float((real_values(stored, quant) if quant else stored).reshape(-1)[0])
    net.add(op, ops.Pad(pads=_pads(net, op), value=value), [net.name(op, 0)])


def _mirror_pad(net: TfliteImport, op: FileOperator) -> None:
    pads = _pads(net, op)
    if op.options["Mode"] == REFLECT:
        net.add(op, ops.Pad(pads=pads, mode="reflect"), [net.name(op, 0)])
    elif max(map(max, pads), default=0) <= 1:  # one row mirrored at the edge is the edge repeated
        net.add(op, ops.Pad(pads=pads, mode="edge"), [net.name(op, 0)])
    else:
        raise UnsupportedError("it mirrors more than one row, the edge included (SYMMETRIC)")


def _pads(net: TfliteImport, op: FileOperator, position: int = 1) -> tuple[tuple[int, int], ...]:
    pads = net.ints(op, position, "padding")
    return tuple(zip(pads[::2], pads[1::2], strict=True)) if len(pads) % 2 == 0 else ()


def _reshape(net: TfliteImport, op: FileOperator) -> None:
    x, output = net.name(op, 0), net.output(op)
    if not net.has(op, 1):
        shape = op.options["NewShapeAsNumpy"]
    elif net.value(net.name(op, 1)) is not None:
        shape = net.ints(op, 1, "shape")
    elif -1 not in output.signature:
        shape = output.shape
    else:
        raise UnsupportedError("its shape is computed by the net: hwsim needs fixed shapes")
    batch = net.tensor(op, 0).shape[:1]
    if net.overridden and -1 not in shape and shape[:1] == batch and batch != net.shape(x)[:1]:
        shape = (-1, *shape[1:])  # the file was written for its own batch; another one goes through unchanged
    net.add(op, ops.Reshape(shape=_explicit(shape, net.shape(x))), [x])


def _explicit(shape: Sequence[int], source: Shape) -> Shape:
    """Return a TFLite shape as ``Reshape`` takes it, where 0 would mean something else."""
    if 0 in shape:
        raise UnsupportedError(f"it reshapes {source} to the empty shape {tuple(shape)}")
    return tuple(shape)


def _squeeze(net: TfliteImport, op: FileOperator) -> None:
    x = net.name(op, 0)
    shape = net.shape(x)
    axes = {_normal(axis, len(shape)) for axis in op.options["SqueezeDimsAsNumpy"]}
    gone = axes or {axis for axis, size in enumerate(shape) if size == 1}
    net.add(op, ops.Reshape(shape=tuple(size for axis, size in enumerate(shape) if axis not in gone)), [x])


def _expand_dims(net: TfliteImport, op: FileOperator) -> None:
    x = net.name(op, 0)
    shape = list(net.shape(x))
    shape.insert(_normal(net.ints(op, 1, "axis")[0], len(shape) + 1), 1)
    net.add(op, ops.Reshape(shape=tuple(shape)), [x])


def _transpose(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Transpose(perm=net.ints(op, 1, "order of axes")), [net.name(op, 0)])


def _pack(net: TfliteImport, op: FileOperator) -> None:
    """Translate a stack: each input gets an axis of one, then they are joined along it."""
    inputs = [net.name(op, i) for i in range(len(op.inputs))]
    shape = list(net.shape(inputs[0]))
    axis = _normal(op.options["Axis"], len(shape) + 1)
    shape.insert(axis, 1)
    wide = [net.step(op, ops.Reshape(shape=tuple(shape)), [name], f"reshape_{i}")[0] for i, name in enumerate(inputs)]
    net.add(op, ops.Concat(axis=axis), wide)


def _unpack(net: TfliteImport, op: FileOperator) -> None:
    """Translate an unstack: the input is split into slices of one, and each loses that axis."""
    x = net.name(op, 0)
    shape = net.shape(x)
    axis = _normal(op.options["Axis"], len(shape))
    if shape[axis] != len(op.outputs):
        raise UnsupportedError(f"it unpacks {shape[axis]} slices into {len(op.outputs)} outputs")
    pieces = net.step(op, ops.Split(axis=axis, sizes=(1,) * shape[axis]), [x], "split")
    for i, piece in enumerate(pieces):
        rest = ops.Reshape(shape=shape[:axis] + shape[axis + 1 :])
        net.add_output(op, i, rest, [piece], f"/reshape_{i}")


def _gather(net: TfliteImport, op: FileOperator) -> None:
    if op.options["BatchDims"]:
        raise UnsupportedError(f"it has {op.options['BatchDims']} batch axes")
    net.add(op, ops.Gather(axis=op.options["Axis"]), [net.name(op, 0), net.name(op, 1)])


def _embedding(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.Gather(axis=0), [net.name(op, 1), net.name(op, 0)])


def _depth_to_space(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.DepthToSpace(block=op.options["BlockSize"]), [net.name(op, 0)])


def _space_to_depth(net: TfliteImport, op: FileOperator) -> None:
    net.add(op, ops.SpaceToDepth(block=op.options["BlockSize"]), [net.name(op, 0)])


def _space_to_batch(net: TfliteImport, op: FileOperator) -> None:
    """Translate (N, blocks · block, …) → (block · N, blocks, …): padding, then a block's pixels become images."""
    x, block, pads = net.name(op, 0), net.ints(op, 1, "block"), _pads(net, op, 2)
    rest = net.shape(x)[1 + len(block) :]
    if len(pads) != len(block) or min(block, default=0) < 1 or len(net.shape(x)) <= len(block):
        raise UnsupportedError(f"its block {block} and padding {pads} do not fit its input of shape {net.shape(x)}")
    if any(map(any, pads)):
        (x,) = net.step(op, ops.Pad(pads=((0, 0), *pads, *((0, 0),) * len(rest))), [x], "pad")
    batch, sizes = net.shape(x)[0], net.shape(x)[1 : 1 + len(block)]
    if any(size % step for size, step in zip(sizes, block, strict=True)):
        raise UnsupportedError(f"its block {block} does not divide its padded input of shape {net.shape(x)}")
    blocks = tuple(size // step for size, step in zip(sizes, block, strict=True))
    pairs = tuple(part for pair in zip(blocks, block, strict=True) for part in pair)
    (x,) = net.step(op, ops.Reshape(shape=(batch, *pairs, *rest)), [x], "blocks")
    inner, outer = range(2, 2 + 2 * len(block), 2), range(1, 1 + 2 * len(block), 2)
    tail = range(1 + 2 * len(block), 1 + 2 * len(block) + len(rest))
    (x,) = net.step(op, ops.Transpose(perm=(*inner, 0, *outer, *tail)), [x], "transpose")
    net.add(op, ops.Reshape(shape=(-1, *blocks, *rest)), [x])


def _batch_to_space(net: TfliteImport, op: FileOperator) -> None:
    """Translate (block · N, blocks, …) → (N, blocks · block, …), cropped: the way back."""
    x, block, crops = net.name(op, 0), net.ints(op, 1, "block"), _pads(net, op, 2)
    shape, images = net.shape(x), int(np.prod(block))
    if len(crops) != len(block) or images < 1 or len(shape) <= len(block) or shape[0] % images:
        raise UnsupportedError(f"its block {block} and crops {crops} do not fit its input of shape {shape}")
    blocks, rest, n = shape[1 : 1 + len(block)], shape[1 + len(block) :], len(block)
    (x,) = net.step(op, ops.Reshape(shape=(*block, shape[0] // images, *blocks, *rest)), [x], "blocks")
    pairs = tuple(part for i in range(n) for part in (n + 1 + i, i))
    (x,) = net.step(op, ops.Transpose(perm=(n, *pairs, *range(2 * n + 1, 2 * n + 1 + len(rest)))), [x], "transpose")
    sizes = tuple(size * step for size, step in zip(blocks, block, strict=True))
    whole = ops.Reshape(shape=(-1, *sizes, *rest))
    if not any(map(any, crops)):
        net.add(op, whole, [x])
        return
    (x,) = net.step(op, whole, [x], "whole")
    begin = (0, *(before for before, _ in crops), *(0,) * len(rest))
    ends = (size - after for size, (_, after) in zip(sizes, crops, strict=True))
    end = (net.shape(x)[0], *ends, *rest)
    net.add(op, ops.Slice(begin=begin, end=end, strides=(1,) * len(end)), [x])


def _tile(net: TfliteImport, op: FileOperator) -> None:
    """Translate a repetition: along each axis, the input joined with itself."""
    x, known = net.name(op, 0), [net.value(net.name(op, i)) for i in range(2)]
    if all(value is not None for value in known):
        folded("tile")(net, op)
        return
    repeats = [(axis, count) for axis, count in enumerate(net.ints(op, 1, "multiples")) if count != 1]
    if min((count for _, count in repeats), default=1) < 1 or sum(count for _, count in repeats) > MOST_TILES:
        raise UnsupportedError(f"it repeats its input {[count for _, count in repeats]} times")
    if not repeats:
        net.add(op, ops.Reshape(shape=net.shape(x)), [x])
    for position, (axis, count) in enumerate(repeats):
        layer = ops.Concat(axis=axis)
        if position == len(repeats) - 1:
            net.add(op, layer, [x] * count)
        else:
            (x,) = net.step(op, layer, [x] * count, f"axis_{axis}")


def _reverse(net: TfliteImport, op: FileOperator) -> None:
    x = net.name(op, 0)
    shape = net.shape(x)
    turned = {_normal(axis, len(shape)) for axis in net.ints(op, 1, "axes")}
    sides = [(n - 1, -1, -1) if axis in turned else (0, n, 1) for axis, n in enumerate(shape)]
    begin, end, strides = (tuple(column) for column in zip(*sides, strict=True))
    net.add(op, ops.Slice(begin=begin, end=end, strides=strides), [x])


def _shape(net: TfliteImport, op: FileOperator) -> None:
    wide = op.options["OutType"] == SHAPE_INT64
    sizes = np.asarray(net.shape(net.name(op, 0)), np.int64 if wide else np.int32)
    net.know(net.names[op.outputs[0]], sizes, "int64" if wide else "int32")


def _rank(net: TfliteImport, op: FileOperator) -> None:
    net.know(net.names[op.outputs[0]], np.asarray(len(net.shape(net.name(op, 0))), np.int32), "int32")


def folded(function: str) -> Translation:
    """Return the translation of shape arithmetic that hwsim knows only on known values."""

    def translate(net: TfliteImport, op: FileOperator) -> None:
        names = [net.name(op, i) for i in range(len(op.inputs))]
        values = [value for value in map(net.value, names) if value is not None]
        if len(values) < len(names) or any(net.quant(name) for name in names):
            raise UnsupportedError("")
        net.know(net.names[op.outputs[0]], fold_function(function, values), net.format_of(net.output(op)))

    return translate


_FOLDED = {
    "FILL": "fill",
    "RANGE": "range",
    "SELECT": "select",
    "SELECT_V2": "select",
    "BROADCAST_TO": "broadcast_to",
    "FLOOR_DIV": "floor_div",
    "FLOOR_MOD": "floor_mod",
    "EQUAL": "equal",
    "NOT_EQUAL": "not_equal",
    "LESS": "less",
    "LESS_EQUAL": "less_equal",
    "GREATER": "greater",
    "GREATER_EQUAL": "greater_equal",
    "LOGICAL_AND": "logical_and",
    "LOGICAL_OR": "logical_or",
    "LOGICAL_NOT": "logical_not",
    "SIGN": "sign",
}
"""Shape arithmetic that hwsim knows on known values only: on tensors that the net computes it is unknown."""

TRANSLATIONS: Mapping[str, Translation] = {
    **{operator: folded(function) for operator, function in _FOLDED.items()},
    "CONCATENATION": _concat,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "TRANSPOSE": _transpose,
    "GATHER": _gather,
    "EMBEDDING_LOOKUP": _embedding,
    "PACK": _pack,
    "UNPACK": _unpack,
    "DEPTH_TO_SPACE": _depth_to_space,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "TILE": _tile,
    "REVERSE_V2": _reverse,
    "SHAPE": _shape,
    "RANK": _rank,
}
