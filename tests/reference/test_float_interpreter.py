"""The interpreter: order, memory, layouts, checks, and what it measures."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from hwsim.errors import ForwardError
from hwsim.graph import Graph, GraphBuilder, Quantization, ops, with_random_weights
from hwsim.reference import forward, interpreter, measure


def residual_net(weights: bool = True) -> Graph:
    b = GraphBuilder("residual")
    x = b.input("image", (1, 8, 8, 3))
    x = b.conv2d(x, 4, 3, padding="same", activation="relu", name="stem")
    y = b.depthwise(x, 3, name="depthwise")
    y = b.conv2d(y, 4, 1, name="project")
    x = b.binary("add", x, y, name="join")
    x = b.global_pool("average", x, name="pool")
    x = b.dense(b.flatten(x, name="flat"), 5, name="classify")
    graph = b.build([b.softmax(x, name="probabilities")])
    return with_random_weights(graph, 1) if weights else graph


def picture(seed: int = 0) -> dict[str, Any]:
    return {"image": np.random.default_rng(seed).standard_normal((1, 8, 8, 3), np.float32)}


def test_only_the_outputs_without_every() -> None:
    net = residual_net()
    assert list(forward(net, picture())) == ["probabilities"]
    every = forward(net, picture(), every=True)
    assert list(every) == [layer.name for layer in net.layers]
    assert all(every[name].shape == net.tensors[name].shape for name in every)
    np.testing.assert_array_equal(every["join"], every["stem"] + every["project"])
    assert every["probabilities"].sum() == pytest.approx(1.0)


def test_a_second_pass_gives_the_same_and_leaves_inputs_and_weights_alone() -> None:
    net, inputs = residual_net(), picture()
    before = {tensor.name: tensor.data.copy() for tensor in net.constants}
    given = inputs["image"].copy()
    first = forward(net, inputs, every=True)
    second = forward(net, inputs, every=True)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    np.testing.assert_array_equal(inputs["image"], given)
    for name, values in before.items():
        np.testing.assert_array_equal(net.tensors[name].data, values)


def test_tensors_are_freed_after_their_last_reader() -> None:
    net = residual_net()
    values = interpreter.checked_inputs(net, picture())
    alive = {ran.layer.name: set(values) for ran in interpreter.run(interpreter.bound(net), values)}
    # when the pool runs, everything before the join has gone, and the pool's own output has come
    assert alive["pool"] == {"join", "pool"}
    assert alive["project"] == {"stem", "depthwise", "project"}
    assert set(values) == {"probabilities"}


def test_prepared_weights_stay_and_go_with_their_graph() -> None:
    net = residual_net()
    forward(net, picture())
    assert interpreter.bound(net) is interpreter.bound(net)
    key, alive = id(net), weakref.ref(net)
    assert key in interpreter._programs
    del net
    gc.collect()
    assert alive() is None
    assert key not in interpreter._programs


def test_inputs_and_outputs_follow_the_files_layout() -> None:
    # The file is NCHW; inside, the image is NHWC = transpose(file, (0, 2, 3, 1)).
    axes = (0, 2, 3, 1)
    b = GraphBuilder("nchw")
    x = b.input("x", (1, 4, 5, 3), file_axes=axes)
    (y,) = b.add(ops.Unary(function="relu"), [x], name="y", file_axes=axes)
    (z,) = b.add(ops.Unary(function="neg"), [y], name="z", file_axes=axes)
    net = b.build([z])
    given = np.random.default_rng(0).standard_normal((1, 3, 4, 5), np.float32)
    results = forward(net, {"x": given}, every=True)
    np.testing.assert_array_equal(results["z"], -np.maximum(given, 0))
    np.testing.assert_array_equal(results["y"], np.maximum(given, 0).transpose(axes))
    with pytest.raises(ForwardError, match=r"input 'x' has shape \(1, 4, 5, 3\), needs \(1, 3, 4, 5\)"):
        forward(net, {"x": given.transpose(axes)})


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, r"net 'residual': input 'image' is missing: needs float32 of shape \(1, 8, 8, 3\)"),
        ({"imag": 0}, r"net 'residual' has no input 'imag'; did you mean 'image'\? \(its inputs: 'image'\)"),
        ({"image": np.zeros((8, 8, 3), np.float32)}, r"input 'image' has shape \(8, 8, 3\), needs \(1, 8, 8, 3\)"),
        ({"image": np.zeros((1, 8, 8, 3))}, r"input 'image' is float64, needs float32: .*astype\('float32'\)"),
    ],
)
def test_bad_inputs_are_one_sentence(inputs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ForwardError, match=sentence):
        forward(residual_net(), inputs)


def test_a_net_without_weights_says_how_to_get_some() -> None:
    with pytest.raises(
        ForwardError, match=r"has no weights \(constant 'stem.filter' has no values\).*with_random_weights"
    ):
        forward(residual_net(weights=False), picture())


def test_an_index_outside_the_table_names_the_layer() -> None:
    b = GraphBuilder("words")
    table, word = b.constant("table", (4, 2)), b.input("word", (1,), "int32")
    net = with_random_weights(b.build(b.add(ops.Gather(), [table, word], name="embed")))
    with pytest.raises(ForwardError, match=r"layer 'embed' \(Gather\) cannot run: index 4 is out of bounds"):
        forward(net, {"word": np.array([4], np.int32)})


def test_filters_and_bias_may_be_activations() -> None:
    # one pixel (1, 2), filters (3, 4) and (5, 6), bias (100, -200): 3 + 8 + 100, 5 + 12 - 200 cut by the ReLU
    b = GraphBuilder("dynamic")
    names = [b.input("x", (1, 1, 1, 2)), b.input("w", (2, 1, 1, 2)), b.input("b", (2,))]
    net = b.build(b.add(ops.Conv2d(activation="relu"), names, name="y"))
    given = {
        "x": np.float32([[[[1, 2]]]]),
        "w": np.float32([3, 4, 5, 6]).reshape(2, 1, 1, 2),
        "b": np.float32([100, -200]),
    }
    np.testing.assert_array_equal(forward(net, given)["y"], [[[[111, 0]]]])


def test_a_half_precision_net_computes_in_float32() -> None:
    # 1 + 2^-11 rounds to 1 in float16 but not in float32; times 2048 the difference is 1, and both are float16 numbers
    b = GraphBuilder("half")
    small = b.constant("small", (), "float16", data=np.array(2.0**-11, np.float16))
    large = b.constant("large", (), "float16", data=np.array(2048, np.float16))
    x = b.binary("add", b.input("x", (1,), "float16"), small)
    net = b.build([b.binary("sub", b.binary("mul", x, large), large, name="y")])
    result = forward(net, {"x": np.ones(1, np.float16)})["y"]
    assert result.dtype == np.float16
    assert result.item() == 1.0


def test_an_unknown_operator_names_itself() -> None:
    b = GraphBuilder("odd")
    op = ops.Unknown(operator="FancyOp", shapes=((1, 2),), dtypes=("float32",))
    net = b.build(b.add(op, [b.input("x", (1, 2))], name="fancy"))
    with pytest.raises(ForwardError, match=r"layer 'fancy' \(operator FancyOp\): hwsim has no float kernel"):
        forward(net, {"x": np.zeros((1, 2), np.float32)})


def test_int8_weights_under_float_activations_run_as_float_and_say_so() -> None:
    # weights (1, 2) and (3, -4) stored with scale 1/2 and zero point 1: real (0, 0.5), (1, -2.5)
    b = GraphBuilder("hybrid")
    stored = np.array([[1, 2], [3, -4]], np.int8)
    filters = b.constant("w", (2, 2), "int8", data=stored, quant=Quantization((0.5,), (1,)))
    net = b.build(b.add(ops.Dense(), [b.input("x", (1, 2)), filters], name="fc"))
    with pytest.warns(UserWarning, match=r"quantised weights meet float activations in 'fc': run as plain float"):
        result = forward(net, {"x": np.float32([[2, 10]])})
    # 0·2 + 0.5·10 = 5; 1·2 - 2.5·10 = -23
    np.testing.assert_array_equal(result["fc"], [[5, -23]])


def test_measured_macs_zeros_and_ranges_by_hand() -> None:
    b = GraphBuilder("tiny")
    x = b.input("x", (1, 3, 3, 1))
    b.constant("c.filter", (2, 2, 2, 1), data=np.float32([1, 0, 0, 0, 0, 0, 0, -1]).reshape(2, 2, 2, 1))
    (x,) = b.add(ops.Conv2d(activation="relu"), [x, "c.filter"], name="c")
    net = b.build([b.reshape(x, (8,), name="flat")])
    values = np.float32([[1, 2, 3], [4, 0, 6], [7, 8, 9]]).reshape(1, 3, 3, 1)
    conv, flat = measure(net, {"x": values})
    # 2x2 pixels · 2 filters · 2x2 taps = 32 MAC; 6 of 8 weights and 1 of 9 pixels are zero
    assert (conv.layer, conv.kind, conv.macs) == ("c", "conv2d", 32)
    assert conv.weight_zero_fraction == 6 / 8
    assert conv.ifmap_zero_fraction == pytest.approx(1 / 9)
    # filter 0 passes the upper left pixels 1 2 4 0; filter 1 gives -(0 6 8 9), cut to 0 by the ReLU: 5 of 8 zero
    assert (conv.ofmap_zero_fraction, conv.ofmap_min, conv.ofmap_max) == (5 / 8, 0.0, 4.0)
    assert flat.macs == 0
    assert np.isnan(flat.weight_zero_fraction)


def test_measured_ranges_of_a_quantised_tensor_are_real_values() -> None:
    b = GraphBuilder("quantised")
    quant = Quantization((0.5,), (-10,))
    (q,) = b.add(ops.Quantize(), [b.input("x", (4,))], quants=[quant], name="q")
    (row,) = measure(b.build([q]), {"x": np.float32([-1.0, 0.0, 0.0, 3.0])})
    # stored -12, -10, -10, -4: two of four hold the zero point
    assert (row.ofmap_zero_fraction, row.ofmap_min, row.ofmap_max) == (0.5, -1.0, 3.0)


@pytest.mark.parametrize("seed", range(10))
def test_measured_macs_equal_the_graphs_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = GraphBuilder("random")
    channels = 2 * int(rng.integers(1, 4))
    x = b.input("x", (int(rng.integers(1, 3)), int(rng.integers(6, 12)), int(rng.integers(6, 12)), channels))
    x = b.conv2d(x, 4, int(rng.integers(1, 4)), stride=int(rng.integers(1, 3)), padding=1, groups=2)
    x = b.depthwise(x, 3, multiplier=int(rng.integers(1, 3)), stride=int(rng.integers(1, 3)))
    filters = b.constant("t", (3, 2, 2, b.channels(x)))
    (x,) = b.add(ops.ConvTranspose2d(strides=(2, 2), padding=((1, 0), (0, 1))), [x, filters])
    x = b.dense(x, 5)
    x = b.reshape(x, (b.shape(x)[0], -1, 5))
    x = b.matmul(x, x, transpose_b=True)
    net = with_random_weights(b.build([x]), seed)
    rows = measure(net, {"x": rng.standard_normal(net.tensors["x"].shape, np.float32)})
    assert [row.macs for row in rows] == [net.layer_macs(layer) for layer in net.layers]
    assert sum(row.macs for row in rows) == net.macs > 0
