"""Int8 kernels against arithmetic done by hand and against plain loops in Python integers."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from hwsim.errors import ForwardError
from hwsim.graph import GraphBuilder, Quantization, ops
from hwsim.reference import forward
from hwsim.reference.int8_fixed_point import exp_on_negative, prepare_softmax, reciprocal
from hwsim.reference.int8_kernels import (
    EXACT_FLOAT32,
    depthwise_by_pixels,
    exact_splits,
    prepare_conv2d,
    prepare_conv_transpose2d,
    prepare_dense,
    prepare_matmul,
)
from hwsim.reference.int8_pooling import prepare_pool2d, prepare_reduce, prepare_resize_bilinear
from hwsim.reference.int8_tables import (
    Affine,
    activation_range,
    binary_table,
    concat_table,
    look_up,
    look_up_pair,
    requantize_table,
    unary_table,
)
from hwsim.reference.requantize import quantize_multiplier

X, OUT = Affine(0.5, -3), Affine(0.25, 10)


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


def half_away(x: Fraction) -> int:
    return half_up(x) if x >= 0 else -half_up(-x)


def code(total: int, real: float, out: Affine, low: int = -128, high: int = 127) -> int:
    """Requantise one sum with two roundings, in exact arithmetic."""
    multiplier, shift = (int(value) for value in quantize_multiplier(real))
    first = half_up(Fraction(total * multiplier * 2 ** max(shift, 0), 2**31))
    return min(max(half_away(Fraction(first, 2 ** max(-shift, 0))) + out.zero_point, low), high)


def naive_conv(op: ops.Conv2d, x: np.ndarray, w: np.ndarray, bias: list[int], scale: list[float]) -> np.ndarray:
    """Convolve one image of codes by the definition: taps outside the image add nothing."""
    (_, H, W, _), (K, R, S, depth) = x.shape, w.shape
    P, Q = (
        (size + sum(pads) - dilation * (taps - 1) - 1) // stride + 1
        for size, pads, dilation, taps, stride in zip((H, W), op.padding, op.dilations, (R, S), op.strides, strict=True)
    )
    low, high = activation_range(op.activation, OUT)
    y = np.zeros((1, P, Q, K), np.int8)
    for p, q, k in itertools.product(range(P), range(Q), range(K)):
        total, group = bias[k], k // (K // op.groups)
        for r, s, c in itertools.product(range(R), range(S), range(depth)):
            h = p * op.strides[0] + r * op.dilations[0] - op.padding[0][0]
            v = q * op.strides[1] + s * op.dilations[1] - op.padding[1][0]
            if 0 <= h < H and 0 <= v < W:
                total += (int(x[0, h, v, group * depth + c]) - X.zero_point) * int(w[k, r, s, c])
        y[0, p, q, k] = code(total, X.scale * scale[k] / OUT.scale, OUT, low, high)
    return y


def codes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 127, shape, np.int8, endpoint=True)


def test_pointwise_conv_by_hand() -> None:
    # x − zero point = (5, −7); weights (3, 2): 15 − 14 = 1, plus bias 10 = 11. The multiplier 0.5 · 0.25 / 0.25 = 0.5
    # is 2^30 · 2^(0 − 31), so that only the first rounding rounds: 11 · 2^30 / 2^31 = 5.5 up to 6. Plus 10: 16.
    # Weights (−3, 2): −15 − 14 = −29, plus bias 10 = −19: −9.5 up to −9, plus 10: 1.
    kernel = prepare_conv2d(
        ops.Conv2d(),
        np.array([[3, 2], [-3, 2]], np.int8).reshape(2, 1, 1, 2),
        np.array([10, 10]),
        np.array([0.25]),
        X,
        OUT,
    )
    assert kernel(np.array([2, -10], np.int8).reshape(1, 1, 1, 2)).ravel().tolist() == [16, 1]


CONVS = [
    ops.Conv2d(),
    ops.Conv2d(strides=(2, 3), padding=((1, 2), (0, 1)), activation="relu"),
    ops.Conv2d(dilations=(2, 1), padding=((2, 2), (1, 1)), activation="relu6"),
    ops.Conv2d(groups=2, padding=((0, 1), (2, 0)), activation="relu_n1_to_1"),
]


@pytest.mark.parametrize("op", CONVS)
@pytest.mark.parametrize("seed", range(3))
def test_conv_against_loops(op: ops.Conv2d, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = codes(1, 7, 8, 4, seed=seed), codes(6, 3, 2, 4 // op.groups, seed=seed + 50)
    bias, scale = rng.integers(-9000, 9000, 6), rng.uniform(0.001, 0.01, 6)
    scale = scale.astype(np.float32).astype(np.float64)
    found = prepare_conv2d(op, w, bias, scale, X, OUT)(x)
    np.testing.assert_array_equal(found, naive_conv(op, x, w, bias.tolist(), scale.tolist()))


@pytest.mark.parametrize("channels", [3, 100])  # on either side of the choice between the two depthwise loops
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_against_loops(channels: int, multiplier: int) -> None:
    op = ops.Conv2d(groups=channels, strides=(1, 2), padding=((1, 1), (0, 2)), dilations=(1, 2))
    K = channels * multiplier
    x, w = codes(1, 6, 9, channels), codes(K, 3, 3, 1, seed=1)
    bias, scale = np.arange(K) * 10, np.full(K, 0.0078125)
    found = prepare_conv2d(op, w, bias, scale, X, OUT)(x)
    np.testing.assert_array_equal(found, naive_conv(op, x, w, bias.tolist(), scale.tolist()))


def test_depthwise_by_pixels_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, taps = codes(2, 9, 5, 4), codes(3, 3, 4, seed=1).astype(np.float32)
    found = []
    for block_bytes in (1, 200, 10**6):
        monkeypatch.setattr("hwsim.reference.int8_kernels.BLOCK_BYTES", block_bytes)
        out = np.empty((2, 9, 5, 4), np.int8)
        depthwise_by_pixels(
            x,
            taps,
            strides=(1, 1),
            padding=((1, 1), (1, 1)),
            dilations=(1, 1),
            pad_value=-3,
            out=out,
            epilogue=lambda acc, target: np.copyto(target, acc % 128, casting="unsafe"),
        )
        found.append(out)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_splits_keep_every_part_exact() -> None:
    weights = np.random.default_rng(0).integers(-127, 128, (5, 9000))
    splits = exact_splits(weights)
    parts = np.split(np.abs(weights), splits, axis=1)
    assert len(parts) == 5  # 9000 taps of 63.5 on average, times 128: 73e6; over 16.8e6 that is 4.4
    assert all(part.sum(axis=1).max() * 128 <= EXACT_FLOAT32 for part in parts)
    assert exact_splits(weights[:, :1000]) == ()  # 1000 · 63.5 · 128 = 8e6


@pytest.mark.parametrize("depth", [1000, 3000])
def test_sums_beyond_float32_are_exact(depth: int) -> None:
    # Every product is 127 · 127, but for the first ifmap code; 3000 · 127 · 127 = 48e6, where float32 counts by fours.
    # The bias brings the sum back to what the first code adds: multiplier 1, so each of its units is a step.
    w = np.full((1, 1, 1, depth), 127, np.int8)
    bias = np.array([-(depth - 1) * 127 * 127])
    kernel = prepare_conv2d(ops.Conv2d(), w, bias, np.array([1.0]), Affine(0.5, 0), Affine(0.5, 1))
    dense = prepare_dense(w.reshape(1, depth), bias, np.array([1.0]), Affine(0.5, 0), Affine(0.5, 1), None)
    for first in (-1, 0, 1):
        x = np.full((1, 1, 1, depth), 127, np.int8)
        x[..., 0] = first
        expected = min(127 * first + 1, 127)
        assert kernel(x).ravel().tolist() == [expected]
        assert dense(x.reshape(1, depth)).ravel().tolist() == [expected]


def test_transposed_conv_by_hand() -> None:
    # One row, stride 2, two taps (1, 2): each ifmap pixel writes two ofmap pixels and none overlap.
    # x − zero point = 4, 6; products 4, 8, 6, 12; bias 2; multiplier 0.5 · 0.5 / 0.25 = 1; plus 10.
    op = ops.ConvTranspose2d(strides=(1, 2))
    w = np.array([1, 2], np.int8).reshape(1, 1, 2, 1)
    kernel = prepare_conv_transpose2d(op, w, np.array([2]), np.array([0.5]), X, OUT)
    assert kernel(np.array([1, 3], np.int8).reshape(1, 1, 2, 1)).ravel().tolist() == [16, 20, 18, 24]


def test_dense_rounds_once_and_away_from_zero() -> None:
    # Multiplier 0.5 · 0.125 / 0.25 = 0.25. Sums: (x + 3) · w + bias with x + 3 = 2: 2 · 5 + 0 = 10 -> 2.5 -> 3;
    # 2 · −5 = −10 -> −2.5 -> −3 (two roundings would give −5 -> −2.5 -> −3 too); 2 · 2 + 1 = 5 -> 1.25 -> 1, where two
    # roundings give 2.5 -> 3 -> 1.5 -> 2. All plus 10.
    kernel = prepare_dense(np.array([[5], [-5], [2]], np.int8), np.array([0, 0, 1]), np.array([0.125]), X, OUT, None)
    assert kernel(np.array([[-1]], np.int8)).tolist() == [[13, 7, 11]]


def test_dense_against_loops() -> None:
    x, w = codes(3, 40), codes(7, 40, seed=1)
    kernel = prepare_dense(w, np.arange(7) * 100, np.full(7, 1 / 128), X, OUT, "relu")
    low, _ = activation_range("relu", OUT)
    assert low == 10  # real 0
    for n, k in itertools.product(range(3), range(7)):
        total = sum((int(a) + 3) * int(b) for a, b in zip(x[n], w[k], strict=True)) + 100 * k
        expected = half_away(Fraction(total, 64)) + 10  # 0.5 / 128 / 0.25 = 1/64
        assert int(kernel(x)[n, k]) == min(max(expected, low), 127)


def test_matmul_against_loops() -> None:
    a, b = codes(2, 3, 5), codes(2, 4, 5, seed=1)
    found = prepare_matmul(X, Affine(0.125, 7), OUT, transpose_b=True)(a, b)
    for n, m, k in itertools.product(range(2), range(3), range(4)):
        total = sum((int(a[n, m, c]) + 3) * (int(b[n, k, c]) - 7) for c in range(5))
        assert int(found[n, m, k]) == code(total, 0.25, OUT)


def test_average_pool_by_hand() -> None:
    # Windows of two along a row, one pixel of padding after: (1, 2) = 1.5 -> 2; (2, −5) = −1.5 -> −2; (−5) -> −5.
    op = ops.Pool2d(function="average", kernel=(1, 2), padding=((0, 0), (0, 1)))
    x = np.array([1, 2, -5], np.int8).reshape(1, 1, 3, 1)
    assert prepare_pool2d(op, X, X)(x).ravel().tolist() == [2, -2, -5]
    # With the padding counted, it holds real 0, code −3: (−5 − 3) / 2 = −4.
    counted = ops.Pool2d(function="average", kernel=(1, 2), padding=((0, 0), (0, 1)), count_include_pad=True)
    assert prepare_pool2d(counted, X, X)(x).ravel().tolist() == [2, -2, -4]
    # Another quantisation: code c is real (c + 3) / 2, that is code 2 · (c + 3) + 10 of the ofmap.
    assert prepare_pool2d(op, X, OUT)(x).ravel().tolist() == [20, 12, 6]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("function", ["max", "average"])
def test_pool_against_loops(function: str, ceil_mode: bool) -> None:
    op = ops.Pool2d(
        function=function,
        kernel=(3, 2),
        strides=(2, 3),
        padding=((1, 0), (1, 1)),
        dilations=(2, 1),
        ceil_mode=ceil_mode,
    )
    x = codes(1, 9, 8, 3)
    found = prepare_pool2d(op, X, X)(x)
    assert found.shape[1:3] == op.infer([ops.base.Spec((1, 9, 8, 3))])[0].shape[1:3]
    for p, q, c in np.ndindex(found.shape[1:]):
        taps = [
            int(x[0, h, w, c])
            for r, s in itertools.product(range(3), range(2))
            for h, w in [(p * 2 + 2 * r - 1, q * 3 + s - 1)]
            if 0 <= h < 9 and 0 <= w < 8
        ]
        expected = max(taps) if function == "max" else half_away(Fraction(sum(taps), len(taps)))
        assert int(found[0, p, q, c]) == expected


def test_mean_by_hand() -> None:
    # Codes 1, 2, 2, 4 and zero point −3: sum 9 + 12 = 21, mean 5.25 real units of 0.5: 2.625 = 10.5 ofmap steps.
    # Multiplier 2 = 2^30 · 2^(2 − 31), divided by 4 = 2^2: shift 0. 21 · 2^30 / 2^31 = 10.5 up to 11; plus 10.
    kernel = prepare_reduce("mean", (1, 2), X, OUT, keepdims=True)
    assert kernel(np.array([1, 2, 2, 4], np.int8).reshape(1, 2, 2, 1)).tolist() == [[[[21]]]]
    # The sum is 21 · 2 = 42 steps, plus 10.
    total = prepare_reduce("sum", (1, 2), X, OUT, keepdims=False)
    assert total(np.array([1, 2, 2, 4], np.int8).reshape(1, 2, 2, 1)).tolist() == [[52]]


def test_mean_of_other_shapes_with_the_same_count() -> None:
    kernel = prepare_reduce("mean", (1,), X, X, keepdims=False)
    for shape in ((2, 3, 4), (5, 3, 7)):  # three elements each, then more rows and channels
        assert kernel(np.full(shape, 9, np.int8)).tolist() == np.full((shape[0], shape[2]), 9).tolist()


def test_resize_bilinear_by_hand() -> None:
    # Two pixels to four, half-pixel centres: positions −1/4, 1/4, 3/4, 5/4. Outside the image the edge is kept:
    # 0, 10·1/4 = 2.5 -> 3, 7.5 -> 8, 10; and the negative of each.
    op = ops.Resize(mode="bilinear", size=(1, 4))
    x = np.array([[0, 10], [0, -10]], np.int8).T.reshape(1, 1, 2, 2)
    assert prepare_resize_bilinear(op, X, X)(x)[0, 0].T.tolist() == [[0, 3, 8, 10], [0, -3, -8, -10]]


def test_tables_index_by_byte() -> None:
    table = np.arange(256, dtype=np.uint8).view(np.int8)  # each byte to itself
    x = codes(3, 4, 5)
    assert np.array_equal(look_up(table, x), x)
    assert np.array_equal(look_up(table, x.transpose(2, 0, 1)), x.transpose(2, 0, 1))
    look_up(table, x)[...] = 0  # results are the caller's to write
    pairs = (np.arange(256)[:, None] * 3 + np.arange(256)).astype(np.uint8).view(np.int8).reshape(-1)
    y = codes(4, 1, seed=1)
    expected = (x.view(np.uint8).astype(int) * 3 + y.view(np.uint8)) % 256
    assert np.array_equal(look_up_pair(pairs, x, y).view(np.uint8), expected)


def test_requantize_table_by_hand() -> None:
    # code c: 2 · (c + 3) + 10, saturated at 127: −128 -> −240 -> −128; 0 -> 16; 54 -> 124; 60 -> 136 -> 127.
    table = requantize_table(X, OUT)
    assert look_up(table, np.array([-128, 0, 54, 60], np.int8)).tolist() == [-128, 16, 124, 127]
    assert look_up(concat_table(X, OUT), np.array([-128, 0, 54, 60], np.int8)).tolist() == [-128, 16, 124, 127]


def test_arithmetic_tables_by_hand() -> None:
    b = Affine(0.25, 4)
    # real: a = (5 + 3) / 2 = 4; b = (16 − 4) / 4 = 3. Sum 7 = 28 steps + 10; difference 1 = 4 + 10; product 12 is
    # 48 + 10; quotient 4/3 = 5.33 steps -> 5 + 10; the greater 4 = 16 + 10; squared difference 1 = 4 + 10.
    pair = np.array([5], np.int8), np.array([16], np.int8)
    expected = {"add": 38, "sub": 14, "mul": 58, "div": 15, "maximum": 26, "squared_difference": 14}
    for function, wanted in expected.items():
        table = binary_table(ops.Binary(function=function), X, b, OUT)
        assert look_up_pair(table, *pair).tolist() == [wanted], function
    clamped = binary_table(ops.Binary(function="mul", activation="relu6"), X, b, OUT)
    assert look_up_pair(clamped, *pair).tolist() == [34]  # 6 / 0.25 + 10


def test_division_by_zero_saturates() -> None:
    table = binary_table(ops.Binary(function="div"), X, X, OUT)
    zero = np.array([-3] * 3, np.int8)
    assert look_up_pair(table, np.array([-3, 0, -9], np.int8), zero).tolist() == [10, 127, -128]


@pytest.mark.parametrize(
    ("function", "attributes", "real"),
    [
        ("sigmoid", {}, lambda x: 1 / (1 + math.exp(-x))),
        ("tanh", {}, math.tanh),
        ("hard_swish", {}, lambda x: x * min(max(x + 3, 0), 6) / 6),
        ("leaky_relu", {"alpha": 0.2}, lambda x: x if x > 0 else 0.2 * x),
        ("relu6", {}, lambda x: min(max(x, 0), 6)),
        ("clip", {"low": -1.0, "high": 1.0}, lambda x: min(max(x, -1), 1)),
        ("clip", {"low": -2.0, "high": 0.5}, lambda x: min(max(x, -2), 0.5)),
        ("silu", {}, lambda x: x / (1 + math.exp(-x))),
        ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}, lambda x: min(max(0.2 * x + 0.5, 0), 1)),
    ],
)
def test_unary_tables_are_within_a_step(function: str, attributes: dict[str, float], real: object) -> None:
    x, out = Affine(0.07, 12), Affine(0.06, -40)
    table = unary_table(ops.Unary(function=function, **attributes), x, out)
    for value in range(-128, 128):
        exact = min(max(real((value - 12) * 0.07) / 0.06 - 40, -128), 127)
        assert abs(int(look_up(table, np.array([value], np.int8))[0]) - exact) <= 1


def test_fixed_point_functions() -> None:
    # Q5.26 arguments −0.1, −1, −20 and 0; the worst error of the approximation is a few parts in 10^8.
    x = (np.array([-0.1, -1.0, -20.0, 0.0]) * 2**26).astype(np.int64)
    np.testing.assert_allclose(exp_on_negative(x) / 2**31, np.exp(x / 2**26), rtol=1e-6, atol=1e-9)
    for value in (1, 3, 2**19, 5 * 2**19 + 1, 2**28 - 1):
        mantissa, over = reciprocal(value, integer_bits=12)  # value is in Q12.19
        assert mantissa / 2**31 * 2.0**-over == pytest.approx(2**19 / value, rel=1e-7)
        array, array_over = reciprocal(np.array([value]), integer_bits=12)
        assert (int(array[0]), int(array_over[0])) == (mantissa, over)


def test_softmax_by_hand() -> None:
    # Two equal inputs: a half each, 128 / 256, code 128 − 128 = 0. One far above the others: 1 saturates at code 127.
    softmax = prepare_softmax(scale=1.0, beta=1.0)
    assert softmax(np.array([[7, 7], [100, -100]], np.int8)).tolist() == [[0, 0], [127, -128]]
    # One row alone takes another way through the reciprocal.
    assert softmax(np.array([[7, 7]], np.int8)).tolist() == [[0, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_softmax_is_within_a_step(seed: int) -> None:
    x = codes(4, 30, seed=seed)
    exact = np.exp((x.astype(float) - x.max(axis=-1, keepdims=True)) * 0.03 * 1.5)
    exact = exact / exact.sum(axis=-1, keepdims=True) * 256 - 128
    assert np.abs(prepare_softmax(0.03, 1.5)(x) - np.minimum(exact, 127)).max() <= 1


def quantised_graph(dtype: str = "int8", scales: int = 1) -> GraphBuilder:
    builder = GraphBuilder("net")
    axis = 3 if scales > 1 else None
    quant = Quantization((0.5,) * scales, (0,) * scales, axis)
    builder.input("image", (1, 2, 2, 2), dtype, quant=quant)
    return builder


def test_unusual_activations_are_refused() -> None:
    for builder in (quantised_graph("int16"), quantised_graph(scales=2)):
        quant = Quantization((0.5,), (0,))
        builder.add(ops.GlobalPool(function="average"), ["image"], name="pool", quants=[quant])
        graph = builder.build(["pool"])
        image = np.zeros((1, 2, 2, 2), graph.tensors["image"].dtype)
        with pytest.raises(ForwardError, match=r"layer 'pool' .*tensor 'image' is .*one scale"):
            forward(graph, {"image": image})


def test_filters_need_quantisation_along_axis_0() -> None:
    for quant, message in ((None, "no quantisation"), (Quantization((0.1, 0.2), (0, 0), 3), "axis 3, needs axis 0")):
        builder = quantised_graph()
        data = np.ones((2, 1, 1, 2), np.int8)
        builder.constant("w", (2, 1, 1, 2), "int8", data=data, quant=quant)
        out = Quantization((0.5,), (0,))
        builder.add(ops.Conv2d(), ["image", "w"], name="conv", dtypes=["int8"], quants=[out])
        with pytest.raises(ForwardError, match=message):
            forward(builder.build(["conv"]), {"image": np.zeros((1, 2, 2, 2), np.int8)})


def test_filter_that_is_an_activation() -> None:
    # A fully connected layer of two activations: (2, 2) · (3, 2)ᵀ, all scales 0.5, ofmap 0.25: sums · 1 + 0.
    builder = GraphBuilder("net")
    quant = Quantization((0.5,), (0,))
    builder.input("x", (2, 2), "int8", quant=quant)
    builder.input("w", (3, 2), "int8", quant=quant)
    builder.add(ops.Dense(), ["x", "w"], name="dense", quants=[Quantization((0.25,), (0,))])
    x, w = np.array([[1, 2], [3, 4]], np.int8), np.array([[1, 0], [0, 1], [1, 1]], np.int8)
    found = forward(builder.build(["dense"]), {"x": x, "w": w})["dense"]
    assert found.tolist() == [[1, 2, 3], [3, 4, 7]]


def test_pad_and_quantize_use_the_zero_point() -> None:
    builder = GraphBuilder("net")
    builder.input("x", (1, 3), "float32")
    quant = Quantization((0.5,), (7,))
    builder.add(ops.Quantize(), ["x"], name="codes", quants=[quant])
    builder.add(ops.Pad(pads=((0, 0), (1, 2))), ["codes"], name="padded", quants=[quant])
    builder.add(ops.Dequantize(), ["padded"], name="real")
    # 0.25 / 0.5 = 0.5 -> 1, −0.25 -> −1 (ties away from zero), 100 / 0.5 saturates: 127, real (127 − 7) / 2 = 60.
    found = forward(builder.build(["real"]), {"x": np.array([[0.25, -0.25, 100.0]], np.float32)}, every=True)
    assert found["codes"].tolist() == [[8, 6, 127]]
    assert found["padded"].tolist() == [[7, 8, 6, 127, 7, 7]]
    assert found["real"].tolist() == [[0.0, 0.5, -0.5, 60.0, 0.0, 0.0]]
