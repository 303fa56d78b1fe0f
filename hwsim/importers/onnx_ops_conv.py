"""ONNX operators over windows of an image: convolutions, pools, resizes, blocks of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from hwsim.graph import Quantization
from hwsim.graph import ops as gops
from hwsim.graph.ops import Padding2d, Pair
from hwsim.importers.onnx_layout import channel_last
from hwsim.importers.onnx_node import Array, Const, Node
from hwsim.importers.onnx_translate import Translation, UnsupportedFormError, onnx_op


def window(node: Node, key: str, spatial: int, default: int = 1) -> Pair:
    """Return a (height, width) attribute; one spatial axis gets a height of 1."""
    values = [int(value) for value in node.attrs.get(key) or [default] * spatial]
    if len(values) != spatial:
        raise UnsupportedFormError(f"with {key} = {values} on {spatial} spatial axes")
    return (1 if default else 0, values[0]) if spatial == 1 else (values[0], values[1])


def padding(node: Node, sizes: Pair, kernel: Pair, strides: Pair, dilations: Pair, spatial: int) -> Padding2d:
    """Return explicit padding from ``pads`` or ``auto_pad``."""
    auto = node.attrs.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        found = [
            gops.same_padding(size, k, s, d) for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
        ]
        top, left = (pair if auto == "SAME_UPPER" else pair[::-1] for pair in found)
        return (top, left)
    if auto == "VALID":
        return ((0, 0), (0, 0))
    pads = [int(value) for value in node.attrs.get("pads") or [0] * (2 * spatial)]
    if len(pads) != 2 * spatial or min(pads) < 0:
        raise UnsupportedFormError(f"with pads = {pads} on {spatial} spatial axes")
    across = (pads[spatial - 1], pads[2 * spatial - 1])
    return ((0, 0) if spatial == 1 else (pads[0], pads[2]), across)


def stored_filter(
    t: Translation, node: Node, const: Const, tag: str, turn: Callable[[Array], Array], channel_axis: int
) -> str:
    """Add a filter in hwsim's order: as int8 codes where the file stores those, else as real values.

    ``channel_axis`` is the file's axis of the output channels, which ``turn`` brings to the front. A filter that a
    batch norm will be folded into is kept as real values.
    """
    stored = const.stored
    meets_norm = any(reader.op == "BatchNormalization" for reader in t.readers.get(node.outputs[0], ()))
    if stored is None or stored.codes.dtype != np.int8 or (node.quant is None and meets_norm):
        return t.builder.store(const.name, tag, turn(const.array))
    codes = turn(stored.codes)
    if stored.axis not in (None, channel_axis) or stored.scale.size not in (1, codes.shape[0]):
        if node.quant is None:
            return t.builder.store(const.name, tag, turn(const.array))
        raise UnsupportedFormError(f"with {stored.scale.size} filter scales along axis {stored.axis}")
    return t.builder.store(const.name, f"{tag}/int8", codes, stored.quantization(0))


def stored_bias(t: Translation, node: Node, const: Const, ifmap: str, filter_: str, values: Array | None = None) -> str:
    """Add a bias: for an int8 layer as int32 in the product of the ifmap's and the filter's scales."""
    array = (const.array if values is None else values).ravel()
    read, weights = t.builder.tensor(ifmap).quant, t.builder.tensor(filter_).quant
    if node.quant is None or read is None or weights is None:
        return t.builder.store(const.name, f"bias{array.size}", array)
    scale = read.scale[0] * np.asarray(weights.scale)
    stored = const.stored
    if stored is not None and stored.codes.shape == array.shape and np.allclose(stored.scale, scale, rtol=1e-5):
        codes = stored.codes.astype(np.int32)
    else:
        codes = np.clip(np.rint(array.astype(np.float64) / scale), -(2**31), 2**31 - 1).astype(np.int32)
    quant = Quantization(tuple(map(float, scale)), (0,) * scale.size, 0 if scale.size > 1 else None)
    return t.builder.store(const.name, f"bias/{ifmap}/{filter_}", codes, quant)


@onnx_op("Conv")
def _conv(t: Translation, node: Node) -> None:
    x, axes = t.image(node)
    spatial = len(t.raw(node).file_shape) - 2
    weights = t.need_const(node, 1, "a filter")
    array = weights.array
    if array.ndim != spatial + 2:
        raise UnsupportedFormError(f"with a filter of shape {array.shape} on {spatial} spatial axes")
    filter_ = stored_filter(t, node, weights, "conv", _channel_last_filter, 0)
    shape = t.builder.shape(filter_)
    kernel, strides = (shape[1], shape[2]), window(node, "strides", spatial)
    dilations = window(node, "dilations", spatial)
    sizes = t.builder.shape(x)[1:3]
    inputs = [x, filter_]
    if node.input(2):
        inputs.append(stored_bias(t, node, t.need_const(node, 2, "a bias"), x, filter_))
    op = gops.Conv2d(
        strides=strides,
        padding=padding(node, (sizes[0], sizes[1]), kernel, strides, dilations, spatial),
        dilations=dilations,
        groups=int(node.attrs.get("group", 1)),
        activation=node.activation,
    )
    t.emit(node, op, inputs, axes)


def _channel_last_filter(array: Array) -> Array:
    """(K, C/groups, R, S) or (K, C/groups, S) → (K, R, S, C/groups)."""
    wide = array[:, :, None] if array.ndim == 3 else array
    return wide.transpose(0, 2, 3, 1)


@onnx_op("ConvTranspose")
def _conv_transpose(t: Translation, node: Node) -> None:
    x, axes = t.image(node)
    spatial = len(t.raw(node).file_shape) - 2
    weights = t.need_const(node, 1, "a filter")
    groups = int(node.attrs.get("group", 1))
    if weights.array.ndim != spatial + 2 or weights.array.shape[0] % groups:
        raise UnsupportedFormError(f"with a filter of shape {weights.array.shape} in {groups} groups")

    def turn(array: Array) -> Array:
        wide = array[:, :, None] if array.ndim == 3 else array  # (C, K/groups, R, S)
        c, k, r, s = wide.shape
        grouped = wide.reshape(groups, c // groups, k, r, s).transpose(0, 2, 3, 4, 1)
        return grouped.reshape(groups * k, r, s, c // groups)

    filter_ = stored_filter(t, node, weights, f"transposed{groups}", turn, 1)
    shape, ifmap = t.builder.shape(filter_), t.builder.shape(x)
    kernel, strides = (shape[1], shape[2]), window(node, "strides", spatial)
    dilations, extra = window(node, "dilations", spatial), window(node, "output_padding", spatial, default=0)
    pads, extra = _transposed_padding(node, (ifmap[1], ifmap[2]), kernel, strides, dilations, extra, spatial)
    inputs = [x, filter_]
    if node.input(2):
        inputs.append(stored_bias(t, node, t.need_const(node, 2, "a bias"), x, filter_))
    op = gops.ConvTranspose2d(
        strides=strides,
        padding=pads,
        dilations=dilations,
        output_padding=extra,
        groups=groups,
        activation=node.activation,
    )
    t.emit(node, op, inputs, axes)


def _transposed_padding(
    node: Node, sizes: Pair, kernel: Pair, strides: Pair, dilations: Pair, extra: Pair, spatial: int
) -> tuple[Padding2d, Pair]:
    """Return padding and output padding; a wanted output size or ``auto_pad`` decides the padding."""
    auto = node.attrs.get("auto_pad", "NOTSET")
    wanted: Sequence[int] | None = node.attrs.get("output_shape")
    if wanted:
        goal = [1, *wanted[-1:]] if spatial == 1 else list(wanted[-2:])
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        goal = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    else:
        return padding(node, sizes, kernel, strides, dilations, spatial), extra
    pads: list[Pair] = []
    added: list[int] = []
    for i in (0, 1):
        total = strides[i] * (sizes[i] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1 - goal[i]
        small = max(total, 0) // 2
        pair = (small, max(total, 0) - small)
        pads.append(pair if auto == "SAME_UPPER" else pair[::-1])
        added.append(extra[i] + max(-total, 0))
    return (pads[0], pads[1]), (added[0], added[1])


@onnx_op("MaxPool", "AveragePool")
def _pool(t: Translation, node: Node) -> None:
    node = t.first_output_only(node)
    x, axes = t.image(node)
    spatial = len(t.raw(node).file_shape) - 2
    kernel, strides = window(node, "kernel_shape", spatial), window(node, "strides", spatial)
    dilations = window(node, "dilations", spatial)
    _, h, w, _ = t.builder.shape(x)
    is_max = node.op == "MaxPool"
    op = gops.Pool2d(
        function="max" if is_max else "average",
        kernel=kernel,
        strides=strides,
        padding=padding(node, (h, w), kernel, strides, dilations, spatial),
        dilations=dilations,
        ceil_mode=bool(node.attrs.get("ceil_mode", 0)),
        count_include_pad=bool(node.attrs.get("count_include_pad", 0)),
        activation=node.activation,
    )
    t.emit(node, op, [x], axes, moves=is_max)


@onnx_op("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(t: Translation, node: Node) -> None:
    x, axes = t.image(node)
    is_max = node.op == "GlobalMaxPool"
    t.emit(node, gops.GlobalPool(function="max" if is_max else "average"), [x], axes, moves=is_max)


COORDINATES: tuple[gops.Coordinates, ...] = get_args(gops.Coordinates)
ROUNDINGS: dict[str, Literal["floor", "ceil", "prefer_floor", "prefer_ceil"]] = {
    "floor": "floor",
    "ceil": "ceil",
    "round_prefer_floor": "prefer_floor",
    "round_prefer_ceil": "prefer_ceil",
}
RESIZE_MODES: dict[str, Literal["nearest", "bilinear"]] = {
    "nearest": "nearest",
    "linear": "bilinear",
    "bilinear": "bilinear",
}


@onnx_op("Resize", "Upsample")
def _resize(t: Translation, node: Node) -> None:
    x, axes = t.image(node)
    shape, attrs = t.raw(node).file_shape, node.attrs
    old = node.op == "Upsample" or t.opset < 11
    scales = _numbers(t, node, 1 if old else 2, "scales")
    goal, factors = _resized(shape, attrs.get("axes", range(len(shape))), scales, None if old else _numbers(t, node, 3))
    word = "asymmetric" if old else attrs.get("coordinate_transformation_mode", "half_pixel")
    if (word == "pytorch_half_pixel" and min(goal[2:]) > 1) or (word == "half_pixel_symmetric" and factors is None):
        word = "half_pixel"
    mode = RESIZE_MODES.get(attrs.get("mode", "nearest"))
    coordinates = next((known for known in COORDINATES if known == word), None)
    rounding = ROUNDINGS.get("floor" if old else attrs.get("nearest_mode", "round_prefer_floor"))
    stretched = not attrs.get("antialias") and attrs.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    same_channels = goal[:2] == list(shape[:2])
    if mode is None or coordinates is None or rounding is None or not stretched or not same_channels or 0 in goal:
        raise UnsupportedFormError(f"with mode {attrs.get('mode')}, coordinates {word}, {shape} -> {goal}")
    size = (1, goal[2]) if len(shape) == 3 else (goal[2], goal[3])
    scale = None
    if factors is not None:
        scale = (1.0, factors[2]) if len(shape) == 3 else (factors[2], factors[3])
    op = gops.Resize(mode=mode, size=size, coordinates=coordinates, rounding=rounding, scale=scale)
    t.emit(node, op, [x], axes, moves=mode == "nearest")


def _resized(
    shape: Sequence[int], axes: Sequence[int], scales: list[float] | None, sizes: list[float] | None
) -> tuple[list[int], list[float] | None]:
    """Return the shape after scaling some axes, or setting their sizes; and the factors where a size is cut."""
    goal, factors, cut = list(shape), [1.0] * len(shape), False
    for i, axis in enumerate(axes):
        if sizes:
            goal[axis] = int(sizes[i])
        elif scales:
            exact, factors[axis] = shape[axis] * scales[i], scales[i]
            goal[axis] = int(exact + 1e-6)
            cut |= abs(exact - goal[axis]) > 1e-4
    return goal, factors if cut else None


def _numbers(t: Translation, node: Node, index: int, key: str = "") -> list[float] | None:
    """Return the floats of an attribute or of an input; None where left out or empty."""
    if key in node.attrs:
        return [float(value) for value in node.attrs[key]]
    if not node.input(index):
        return None
    return [float(value) for value in t.need_const(node, index, "sizes").array.ravel()] or None


@onnx_op("DepthToSpace")
def _depth_to_space(t: Translation, node: Node) -> None:
    x, axes = t.image(node)
    crd = node.attrs.get("mode", "DCR") == "CRD"
    t.emit(node, gops.DepthToSpace(block=node.attrs["blocksize"], channel_major=crd), [x], axes, moves=True)


@onnx_op("SpaceToDepth")
def _space_to_depth(t: Translation, node: Node) -> None:
    if node.attrs.get("mode", "DCR") != "DCR":
        raise UnsupportedFormError(f"in mode {node.attrs['mode']}")
    x, axes = t.image(node)
    t.emit(node, gops.SpaceToDepth(block=node.attrs["blocksize"]), [x], axes, moves=True)


@onnx_op("LRN")
def _lrn(t: Translation, node: Node) -> None:
    x, axes = t.image(node)
    attrs = node.attrs
    op = gops.Lrn(
        size=attrs["size"],
        alpha=attrs.get("alpha", 1e-4),
        beta=attrs.get("beta", 0.75),
        bias=attrs.get("bias", 1.0),
    )
    t.emit(node, op, [x], axes)


@onnx_op("BatchNormalization")
def _batch_norm(t: Translation, node: Node) -> None:
    if node.attrs.get("training_mode"):
        raise UnsupportedFormError("in training mode")
    node = t.first_output_only(node)
    value = t.activation(node)
    axes = channel_last(len(value.shape))
    names = [
        t.builder.store(const.name, "channels", const.array.ravel())
        for const in (t.need_const(node, index, "parameters") for index in range(1, 5))
    ]
    op = gops.BatchNorm(epsilon=node.attrs.get("epsilon", 1e-5))
    t.emit(node, op, [t.builder.arranged(value, axes), *names], axes)
