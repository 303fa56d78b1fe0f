"""Shape rules: equal to ONNX's own shape inference on random shapes, and broken ones told in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from hwsim.errors import NetError
from hwsim.graph import GraphBuilder, Quantization, ops, with_random_weights
from hwsim.graph.ops import Op

Shapes = tuple[tuple[int, ...], ...]
Case = tuple[Op, Shapes, Shapes]  # the layer, what it reads, its stored tensors


def shape(rng: Random, rank: int, most: int = 6) -> tuple[int, ...]:
    return tuple(rng.randint(1, most) for _ in range(rank))


def padding(rng: Random, most: int) -> Any:
    return tuple((rng.randint(0, most), rng.randint(0, most)) for _ in range(2))


def pair(rng: Random, most: int) -> tuple[int, int]:
    return rng.randint(1, most), rng.randint(1, most)


def conv(rng: Random) -> Case:
    groups, (r, s) = rng.choice([1, 2, 3]), pair(rng, 3)
    c, k, dilations = groups * rng.randint(1, 3), groups * rng.randint(1, 3), pair(rng, 2)
    ifmap = (rng.randint(1, 3), rng.randint(6, 12), rng.randint(6, 12), c)
    op = ops.Conv2d(strides=pair(rng, 3), padding=padding(rng, 2), dilations=dilations, groups=groups)
    return op, (ifmap,), ((k, r, s, c // groups), (k,))[: rng.randint(1, 2)]


def transposed(rng: Random) -> Case:
    (r, s), strides = (rng.randint(2, 4), rng.randint(2, 4)), (rng.randint(2, 3), rng.randint(2, 3))
    c, k = rng.randint(1, 4), rng.randint(1, 4)
    extra = (rng.randint(0, strides[0] - 1), rng.randint(0, strides[1] - 1))
    op = ops.ConvTranspose2d(strides=strides, padding=padding(rng, 1), output_padding=extra, dilations=pair(rng, 2))
    return op, ((1, rng.randint(2, 6), rng.randint(2, 6), c),), ((k, r, s, c), (k,))


def pool(rng: Random) -> Case:
    kernel = (rng.randint(2, 4), rng.randint(2, 4))
    op = ops.Pool2d(
        function=rng.choice(["max", "average"]), kernel=kernel, strides=pair(rng, 3), padding=padding(rng, 1)
    )
    return op, ((rng.randint(1, 2), rng.randint(4, 11), rng.randint(4, 11), rng.randint(1, 4)),), ()


def dense(rng: Random) -> Case:
    ifmap = shape(rng, rng.randint(2, 4))
    k = rng.randint(1, 5)
    return ops.Dense(), (ifmap,), ((k, ifmap[-1]), (k,))


def product(rng: Random) -> Case:
    m, c, k = shape(rng, 3)
    lead = shape(rng, rng.randint(0, 2))
    other = tuple(rng.choice([1, size]) for size in lead)[rng.randint(0, len(lead)) :]
    flip_a, flip_b = rng.random() < 0.5, rng.random() < 0.5
    a, b = (c, m) if flip_a else (m, c), (k, c) if flip_b else (c, k)
    return ops.MatMul(transpose_a=flip_a, transpose_b=flip_b), ((*lead, *a), (*other, *b)), ()


def arithmetic(rng: Random) -> Case:
    whole = shape(rng, rng.randint(1, 4))
    a, b = (tuple(rng.choice([1, size]) for size in whole)[rng.randint(0, len(whole) - 1) :] for _ in range(2))
    return ops.Binary(function=rng.choice(["add", "sub", "mul", "div", "maximum"])), (a, b), ()


def reduction(rng: Random) -> Case:
    ifmap = shape(rng, rng.randint(1, 5))
    axes = rng.sample(range(len(ifmap)), rng.randint(1, len(ifmap)))
    signed = tuple(rng.choice([axis, axis - len(ifmap)]) for axis in axes)
    op = ops.Reduce(function=rng.choice(["mean", "sum", "max"]), axes=signed, keepdims=rng.random() < 0.5)
    return op, (ifmap,), ()


def joined(rng: Random) -> Case:
    first = shape(rng, rng.randint(1, 4))
    axis = rng.randrange(len(first))
    others = tuple((*first[:axis], rng.randint(1, 5), *first[axis + 1 :]) for _ in range(rng.randint(1, 3)))
    return ops.Concat(axis=rng.choice([axis, axis - len(first)])), (first, *others), ()


def cut(rng: Random) -> Case:
    sizes = shape(rng, rng.randint(2, 4))
    ifmap = list(shape(rng, rng.randint(1, 4)))
    axis = rng.randrange(len(ifmap))
    ifmap[axis] = sum(sizes)
    return ops.Split(axis=axis, sizes=sizes), (tuple(ifmap),), ()


def block(rng: Random) -> Case:
    ifmap = shape(rng, rng.randint(1, 4), 9)
    bounds = []
    for size in ifmap:
        low, high = sorted((rng.randrange(size), rng.randrange(size)))
        step = rng.randint(1, 3)
        bounds.append((low, high + 1, step) if rng.random() < 0.6 else (high, low - 1, -step))
    begin, end, strides = (tuple(column) for column in zip(*bounds, strict=True))
    return ops.Slice(begin=begin, end=end, strides=strides), (ifmap,), ()


def bordered(rng: Random) -> Case:
    ifmap = shape(rng, rng.randint(1, 4))
    return ops.Pad(pads=tuple((rng.randint(0, 3), rng.randint(0, 3)) for _ in ifmap)), (ifmap,), ()


def reshaped(rng: Random) -> Case:
    ifmap = shape(rng, 4)
    target: list[int] = [ifmap[0] * ifmap[1], ifmap[2], ifmap[3]]
    if rng.random() < 0.5:
        target[rng.randrange(3)] = -1
    elif rng.random() < 0.5:
        target = [0, -1]
    return ops.Reshape(shape=tuple(target)), (ifmap,), ()


def reordered(rng: Random) -> Case:
    ifmap = shape(rng, rng.randint(1, 5))
    return ops.Transpose(perm=tuple(rng.sample(range(len(ifmap)), len(ifmap)))), (ifmap,), ()


def scaled(rng: Random) -> Case:
    mode = rng.choice(["nearest", "bilinear"])
    return ops.Resize(mode=mode, size=pair(rng, 9)), (shape(rng, 4),), ()


def blocks(rng: Random) -> Case:
    b = rng.randint(1, 3)
    n, h, w, c = shape(rng, 4, 4)
    if rng.random() < 0.5:
        return ops.DepthToSpace(block=b, channel_major=rng.random() < 0.5), ((n, h, w, c * b * b),), ()
    return ops.SpaceToDepth(block=b), ((n, h * b, w * b, c),), ()


def shuffled(rng: Random) -> Case:
    groups = rng.randint(1, 4)
    n, h, w, c = shape(rng, 4)
    return ops.ChannelShuffle(groups=groups), ((n, h, w, c * groups),), ()


def whole_image(rng: Random) -> Case:
    return ops.GlobalPool(function=rng.choice(["max", "average"])), (shape(rng, 4),), ()


CASES: dict[str, Callable[[Random], Case]] = {
    rule.__name__: rule
    for rule in (
        *(conv, transposed, pool, whole_image, dense, product, arithmetic, reduction, joined, cut, block, bordered),
        *(reshaped, reordered, scaled, blocks, shuffled),
    )
}


@pytest.mark.parametrize("name", CASES)
def test_shape_rule_equals_onnx_inference(name: str) -> None:
    onnx = pytest.importorskip("onnx")
    from tests.onnx_export import to_onnx

    rng = Random(name)
    for _ in range(25):
        op, reads, stored = CASES[name](rng)
        b = GraphBuilder("one")
        inputs = [b.input(f"x{i}", s) for i, s in enumerate(reads)] + [
            b.constant(f"c{i}", s) for i, s in enumerate(stored)
        ]
        graph = with_random_weights(b.build(b.add(op, inputs)))
        model = to_onnx(graph)
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        for value in inferred.graph.output:
            found = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            assert graph.tensors[value.name].shape == found, (op, reads, stored)


@pytest.mark.parametrize("seed", range(3))
def test_gather_picks_shapes_as_onnx_does(seed: int) -> None:
    onnx = pytest.importorskip("onnx")
    rng = Random(seed)
    for _ in range(20):
        table, picks = shape(rng, rng.randint(1, 4)), shape(rng, rng.randint(0, 3))
        axis = rng.randrange(-len(table), len(table))
        b = GraphBuilder("one")
        y = b.add(ops.Gather(axis=axis), [b.input("table", table), b.input("picks", picks, "int64")])[0]
        info = onnx.helper.make_tensor_value_info
        node = onnx.helper.make_node("Gather", ["t", "i"], ["y"], axis=axis)
        inputs = [info("t", 1, table), info("i", 7, picks)]
        made = onnx.helper.make_model(onnx.helper.make_graph([node], "g", inputs, [info("y", 1, None)]))
        output = onnx.shape_inference.infer_shapes(made, strict_mode=True).graph.output[0]
        assert b.shape(y) == tuple(dim.dim_value for dim in output.type.tensor_type.shape.dim)


# -- broken rules ------------------------------------------------------------------------------------------------------

IMAGE = (1, 8, 8, 6)
# layer, shapes of further inputs (stored), what the sentence says
BROKEN: list[tuple[Op, Shapes, str]] = [
    (ops.Conv2d(), ((4, 3, 3, 5),), "in_channels = 5 (1 groups), but its input has 6"),
    (ops.Conv2d(groups=4), ((4, 3, 3, 2),), "in_channels = 8 (4 groups), but its input has 6"),
    (ops.Conv2d(groups=3), ((4, 3, 3, 2),), "out_channels = 4: must be a multiple of groups = 3"),
    (ops.Conv2d(), ((4, 9, 3, 6),), "window of 9 exceeds its input of 8 with padding 0 + 0"),
    (ops.Conv2d(dilations=(1, 4)), ((4, 3, 3, 6),), "window of 9 exceeds its input of 8"),
    (ops.Conv2d(), ((4, 3, 3, 6), (3,)), "bias has shape (3,), needs (4,)"),
    (ops.Conv2d(strides=(0, 1)), ((4, 3, 3, 6),), "strides = (0, 1): must be >= 1"),
    (ops.Conv2d(padding=((-1, 0), (0, 0))), ((4, 3, 3, 6),), "padding = ((-1, 0), (0, 0)): must be >= 0 (crop with a"),
    (ops.Conv2d(), ((4, 6),), "filter has 2 axes (4, 6), needs 4"),
    (ops.Conv2d(), (), "has 1 inputs, needs 2 to 3 (ifmap, filter, bias)"),
    (ops.ConvTranspose2d(), ((4, 3, 3, 5),), "in_channels = 5 (1 groups), but its input has 6"),
    (ops.ConvTranspose2d(padding=((5, 5), (0, 0))), ((4, 3, 3, 6),), "padding ((5, 5), (0, 0)) leaves an ofmap of"),
    (ops.ConvTranspose2d(output_padding=(0, -1)), ((4, 3, 3, 6),), "output_padding = (0, -1): must be >= 0"),
    (ops.Dense(), ((3, 7),), "in_features = 7, but its input has shape (1, 8, 8, 6)"),
    (ops.Dense(), ((3, 6), (4,)), "bias has shape (4,), needs (3,)"),
    (ops.MatMul(), ((1, 8, 5, 6),), "inner sizes 6 and 5 differ"),
    (ops.MatMul(), ((6,),), "each needs >= 2 axes"),
    (ops.Binary(function="add"), ((1, 8, 8, 5),), "operands of shape (1, 8, 8, 6) and (1, 8, 8, 5) do not broadcast"),
    (ops.PRelu(), ((2, 8, 8, 6),), "slope of shape (2, 8, 8, 6) is larger than its input"),
    (ops.Pool2d(function="max", kernel=(9, 1)), (), "window of 9 exceeds its input of 8"),
    (ops.Pool2d(function="max", kernel=(0, 1)), (), "kernel = (0, 1): must be >= 1"),
    (ops.Pool2d(function="max", kernel=(2, 2), padding=((0, -1), (0, 0))), (), "must be >= 0"),
    (ops.Reduce(function="mean", axes=(4,)), (), "axis = 4: its input has 4 axes"),
    (ops.Reduce(function="mean", axes=()), (), "axes is empty"),
    (ops.ArgExtreme(function="max", axis=4), (), "axis = 4: its input has 4 axes"),
    (ops.L2Norm(axis=-5), (), "axis = -5: its input has 4 axes"),
    (ops.Concat(), ((1, 8, 7, 6),), "inputs of shape (1, 8, 8, 6) and (1, 8, 7, 6) differ off axis 3"),
    (ops.Split(axis=3, sizes=(2, 3)), (), "sizes = (2, 3) sum to 5, but axis 3 has 6"),
    (ops.Split(axis=3, sizes=(7, -1)), (), "sizes = (7, -1): must be >= 1"),
    (ops.Slice(begin=(0, 0, 0, 0), end=(1, 9, 8, 6), strides=(1, 1, 1, 1)), (), "outside its input (1, 8, 8, 6)"),
    (ops.Slice(begin=(0,), end=(1,), strides=(1,)), (), "need one entry for each axis"),
    (ops.Slice(begin=(0, 0, 0, 0), end=(1, 8, 8, 6), strides=(1, 0, 1, 1)), (), "must not be 0"),
    (ops.Pad(pads=((0, 0), (1, 1))), (), "needs one pair for each axis of its input"),
    (ops.Pad(pads=((0, 0), (-1, 0), (0, 0), (0, 0))), (), "must be >= 0 (crop with a slice)"),
    (ops.Pad(pads=((1, 0), (0, 0), (0, 0), (0, 0)), mode="reflect"), (), "reflection must be shorter than its input"),
    (ops.Reshape(shape=(1, 100)), (), "shape = (1, 100): cannot hold the 384 elements of its input (1, 8, 8, 6)"),
    (ops.Reshape(shape=(-1, -1)), (), "cannot hold the 384 elements"),
    (ops.Transpose(perm=(0, 1, 1, 2)), (), "perm = (0, 1, 1, 2): must order the 4 axes of its input"),
    (ops.ChannelShuffle(groups=4), (), "groups = 4: must divide the channels of its input"),
    (ops.Resize(mode="nearest", size=(0, 4)), (), "size = (0, 4): must be >= 1"),
    (ops.DepthToSpace(block=2), (), "block = 2: its square must divide the channels of its input (6)"),
    (ops.SpaceToDepth(block=3), (), "block = 3: must divide the height and width of its input (8 x 8)"),
    (ops.Gather(axis=4), ((2,),), "indices are float32, must be integers"),
    (ops.Softmax(axis=4), (), "axis = 4: its input has 4 axes"),
    (ops.LayerNorm(), ((5,), (5,)), "scale has shape (5,), needs (6,) for its input (1, 8, 8, 6)"),
    (ops.RmsNorm(), ((5,),), "scale has shape (5,), needs (6,)"),
    (ops.BatchNorm(), ((6,), (6,), (6,), (5,)), "variance has shape (5,), needs (6,)"),
    (ops.BatchNorm(), ((6,), (6,)), "has 3 inputs, needs 5 to 5"),
    (ops.Lrn(size=0), (), "size = 0: must be >= 1"),
    (ops.Unary(function="leaky_relu"), (), "function leaky_relu needs alpha"),
    (ops.Unary(function="clip"), (), "function clip needs low, high or both"),
    (ops.Unknown(operator="Mystery", shapes=((1,),), dtypes=()), (), "1 shapes but 0 dtypes"),
    (ops.Unknown(operator="Mystery", shapes=(), dtypes=()), (), "has no outputs"),
    (ops.Quantize(dtype="float16"), (), "dtype = float16: must be an integer type"),
]


@pytest.mark.parametrize(("op", "stored", "sentence"), BROKEN)
def test_a_broken_rule_names_both_layers(op: Op, stored: Shapes, sentence: str) -> None:
    b = GraphBuilder("net")
    x = b.unary("relu", b.input("image", IMAGE), name="before")
    inputs = [x, *(b.constant(f"c{i}", s) for i, s in enumerate(stored))]
    with pytest.raises(NetError) as caught:
        b.add(op, inputs, name="after")
    told = str(caught.value)
    assert told.startswith(f"layer 'after' ({type(op).__name__}): ")
    assert told.endswith("; it reads layer 'before'")
    assert sentence in told
    assert "after" not in b._layer_names  # nothing is added by halves


def test_every_layer_type_has_a_rule_that_can_break() -> None:
    unbreakable = {ops.Dequantize, ops.Cast, ops.GlobalPool}  # any input suits them
    assert {type(op) for op, _, _ in BROKEN} | unbreakable == set(ops.OPS.values())


def test_both_producers_and_inputs_of_the_net_are_named() -> None:
    b = GraphBuilder("net")
    left = b.conv2d(b.input("image", IMAGE), 4, 1, name="left")
    with pytest.raises(NetError, match=r"layer 'sum' \(Binary\).*; it reads layer 'left', graph input 'image'"):
        b.binary("add", left, "image", name="sum")
    flat = b.flatten(left, name="flat")
    with pytest.raises(NetError, match=r"layer 'conv' \(Conv2d\): its input 'flat' has shape \(1, 256\), needs \(N, H"):
        b.conv2d(flat, 4, 3, name="conv")
    with pytest.raises(NetError, match=r"layer 'conv' \(Conv2d\): groups = 3: must divide the 4 channels of 'left'"):
        b.conv2d(left, 6, 3, groups=3, name="conv")


@pytest.mark.parametrize("size", [0, -1, 2**41])
def test_sizes_that_no_tensor_has(size: int) -> None:
    b = GraphBuilder("net")
    with pytest.raises(NetError, match=r"every size must be >= 1|at most 2\^40 elements"):
        b.input("x", (1, size))
    with pytest.raises(NetError, match="has 9 axes: at most 8"):
        b.input("x", (1,) * 9)


@pytest.mark.parametrize("kind", ["int32", "int64", "bool", "uint16"])
def test_weights_of_a_type_that_no_product_has(kind: Any) -> None:
    b = GraphBuilder("net")
    b.constant("w", (4, 3, 3, 6), kind)
    b.constant("m", (4, 6), kind)
    x = b.input("image", IMAGE)
    for op, name in ((ops.Conv2d(), "w"), (ops.ConvTranspose2d(), "w"), (ops.Dense(), "m")):
        with pytest.raises(NetError, match=f"filter is {kind}, must be one of float32, float16, int8"):
            b.add(op, [x, name])


def test_the_order_of_a_files_axes_is_an_order() -> None:
    with pytest.raises(NetError, match=r"file_axes = \(0, 3, 1\): must order its 3 axes"):
        GraphBuilder("net").input("x", (1, 2, 3), file_axes=(0, 3, 1))


@pytest.mark.parametrize(("kind", "point"), [("int8", 128), ("uint8", -1), ("int4", 8), ("int16", 2**40)])
def test_zero_points_fit_their_type(kind: Any, point: int) -> None:
    b = GraphBuilder("net")
    b.input("fine", (1, 4), kind, quant=Quantization((0.5,), (7,)))
    with pytest.raises(NetError, match=rf"tensor 'x': zero point = {point}: must be from -?\d+ to \d+ for {kind}"):
        b.input("x", (1, 4), kind, quant=Quantization((0.5,), (point,)))


def test_names_are_unique_and_known() -> None:
    b = GraphBuilder("net")
    x = b.unary("relu", b.input("image", IMAGE), name="first")
    with pytest.raises(NetError, match="two layers named 'first'"):
        b.unary("relu", x, name="first")
    with pytest.raises(NetError, match="two tensors named 'image'"):
        b.unary("relu", x, name="image")
    with pytest.raises(NetError, match="reads tensor 'frist', which nothing writes; did you mean 'first'"):
        b.unary("relu", "frist")
