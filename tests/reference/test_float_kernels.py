"""The float kernels on arrays small enough to redo on paper, and convolution against naive loops."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.reference import conv_gemm, float_kernels, layout_kernels
from hwsim.reference.float_functions import erf, unary


def image(rows: list[list[float]]) -> Any:
    """Return one image of one channel, (1, H, W, 1)."""
    return np.array(rows, np.float32)[None, :, :, None]


def naive_conv(x: Any, filters: Any, strides: Any, padding: Any, dilations: Any, groups: int, pad_value: float) -> Any:
    """Seven nested loops over the definition, in float64."""
    padded = np.pad(x.astype(np.float64), ((0, 0), *padding, (0, 0)), constant_values=pad_value)
    N, H, W, _ = padded.shape
    K, R, S, C = filters.shape
    P = (H - dilations[0] * (R - 1) - 1) // strides[0] + 1
    Q = (W - dilations[1] * (S - 1) - 1) // strides[1] + 1
    out = np.zeros((N, P, Q, K))
    for n, p, q, k in product(range(N), range(P), range(Q), range(K)):
        first = k // (K // groups) * C
        out[n, p, q, k] = sum(
            padded[n, p * strides[0] + r * dilations[0], q * strides[1] + s * dilations[1], first + c]
            * filters[k, r, s, c]
            for r, s, c in product(range(R), range(S), range(C))
        )
    return out


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
pads = st.tuples(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.tuples(st.integers(0, 3), st.integers(0, 3)))


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    kernel=pairs,
    strides=pairs,
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.one_of(st.just(((0, 0), (0, 0))), pads),
    groups=st.integers(1, 3),
    depthwise=st.booleans(),
    block_bytes=st.sampled_from([1, 300, conv_gemm.BLOCK_BYTES]),
    seed=st.integers(0, 2**32 - 1),
)
def test_convolution_equals_naive_loops(
    data: Any,
    kernel: Any,
    strides: Any,
    dilations: Any,
    padding: Any,
    groups: int,
    depthwise: bool,
    block_bytes: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    per_group = 1 if depthwise else data.draw(st.integers(1, 3))
    filters_per_group = data.draw(st.integers(1, 3))
    least = [dilation * (taps - 1) + 1 for dilation, taps in zip(dilations, kernel, strict=True)]
    size = [data.draw(st.integers(low, low + 4)) for low in least]
    dtype = data.draw(st.sampled_from([np.float32, np.int8]))
    # Integers, so that every order of summation gives the same float32.
    x = rng.integers(-9, 9, (data.draw(st.integers(1, 2)), *size, groups * per_group)).astype(dtype)
    filters = rng.integers(-9, 9, (groups * filters_per_group, *kernel, per_group)).astype(np.float32)
    pad_value = float(rng.integers(-3, 4))
    expected = naive_conv(x, filters, strides, padding, dilations, groups, pad_value)
    geometry = {"strides": strides, "padding": padding, "dilations": dilations, "pad_value": pad_value}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv_gemm, "BLOCK_BYTES", block_bytes)
        if depthwise:
            got = conv_gemm.conv2d_depthwise(x, conv_gemm.depthwise_taps(filters), **geometry)
        else:
            depth = kernel[0] * kernel[1] * per_group
            splits = tuple(range(1, depth, 3)) if seed % 2 else ()
            matrix = conv_gemm.filter_matrix(filters, groups)
            got = conv_gemm.conv2d_gemm(x, matrix, kernel=kernel, splits=splits, **geometry)
    np.testing.assert_array_equal(got, expected)


def test_splits_keep_integer_sums_exact_beyond_the_mantissa() -> None:
    # 600 products of 255 · 127 = 32385 sum to 19 431 000 > 2^24 = 16 777 216, and one more product of 1 makes it odd:
    # 19 431 001 is no float32. Cut in two, both halves fit (300 · 32385 = 9 715 500), and float64 adds them exactly.
    x = np.full((1, 1, 1, 601), 255, np.int16)
    x[..., -1] = 1
    filters = np.full((1, 1, 1, 601), 127, np.int8)
    filters[..., -1] = 1
    matrix = conv_gemm.filter_matrix(filters)
    out = np.empty((1, 1, 1, 1), np.int32)
    assert conv_gemm.conv2d_gemm(x, matrix, kernel=(1, 1), splits=(300,), out=out).item() == 19_431_001
    assert conv_gemm.conv2d_gemm(x, matrix, kernel=(1, 1)).item() != 19_431_001


def test_epilogue_sees_every_row_of_the_ofmap_once() -> None:
    x = np.arange(2 * 5 * 3 * 2, dtype=np.float32).reshape(2, 5, 3, 2)
    matrix = conv_gemm.filter_matrix(np.ones((1, 1, 1, 2), np.float32))
    seen: list[int] = []

    def epilogue(acc: Any, out: Any) -> None:
        seen.append(len(acc))
        out[...] = -acc  # another dtype: acc is a buffer

    out = np.empty((2, 3, 2, 1), np.int32)
    conv_gemm.conv2d_gemm(x, matrix, kernel=(1, 1), strides=(2, 2), out=out, epilogue=epilogue)
    assert sum(seen) == 2 * 3
    np.testing.assert_array_equal(out, -x[:, ::2, ::2].sum(axis=-1, keepdims=True))


def test_conv2d_by_hand() -> None:
    x = image([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    filters = np.array([[1, 0], [0, -1]], np.float32)[None, :, :, None]
    # every 2x2 window gives upper left - lower right = -4; with bias 5: 1
    np.testing.assert_array_equal(float_kernels.conv2d(x, filters, np.float32([5])), image([[1, 1], [1, 1]]))
    # a row and a column of zeros before: (0 - 1, 0 - 2, 0 - 3), (0 - 4, 1 - 5, 2 - 6), (0 - 7, 4 - 8, 5 - 9)
    padded = float_kernels.conv2d(x, filters, None, padding=((1, 0), (1, 0)))
    np.testing.assert_array_equal(padded, image([[-1, -2, -3], [-4, -4, -4], [-7, -4, -4]]))


def test_depthwise_conv2d_by_hand() -> None:
    # channels (1, 10), filters 2·a and 3·b with multiplier 1
    x = np.array([[[[1, 10], [2, 20]]]], np.float32)
    filters = np.array([2, 3], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_array_equal(float_kernels.conv2d(x, filters, groups=2), [[[[2, 30], [4, 60]]]])


def test_conv_transpose2d_by_hand() -> None:
    # stride 2, kernel 2x2 of (1, 2, 3, 4): each pixel paints its own 2x2 patch
    filters = np.array([[1, 2], [3, 4]], np.float32)[None, :, :, None]
    got = float_kernels.conv_transpose2d(image([[1, 10]]), filters, strides=(2, 2))
    np.testing.assert_array_equal(got, image([[1, 2, 10, 20], [3, 4, 30, 40]]))
    # stride 1: the patches overlap in the middle column, 2·1 + 1·10 = 12 and 4·1 + 3·10 = 34
    got = float_kernels.conv_transpose2d(image([[1, 10]]), filters)
    np.testing.assert_array_equal(got, image([[1, 12, 20], [3, 34, 40]]))


def test_pool2d_by_hand() -> None:
    x = image([[1, 2, 3], [4, 5, 6], [-7, -8, -9]])
    np.testing.assert_array_equal(float_kernels.pool2d(x, "max", (2, 2)), image([[5, 6], [5, 6]]))
    # ceil mode with stride 2: windows {1 2 4 5}, {3 6}, {-7 -8}, {-9}
    ceil = {"strides": (2, 2), "out_size": (2, 2)}
    np.testing.assert_array_equal(float_kernels.pool2d(x, "max", (2, 2), **ceil), image([[5, 6], [-7, -9]]))
    np.testing.assert_array_equal(float_kernels.pool2d(x, "average", (2, 2), **ceil), image([[3, 4.5], [-7.5, -9]]))
    # padding 1: the first window holds {1} of 4 taps: 1 without, 1/4 with count_include_pad; the last holds {-9}
    pad = {"strides": (3, 3), "padding": ((1, 1), (1, 1))}
    assert float_kernels.pool2d(x, "average", (2, 2), **pad)[0, 0, 0, 0] == 1
    assert float_kernels.pool2d(x, "average", (2, 2), **pad, count_include_pad=True)[0, 0, 0, 0] == 0.25
    assert float_kernels.pool2d(x, "max", (2, 2), **pad)[0, 1, 1, 0] == -9
    # one row (1, 2, 3, 4), kernel 3, stride 2, padding 1 each side, ceil mode: the third window reads 4, the padding,
    # and one place past it, which counts nowhere: 4/2; the first reads padding, 1, 2: 3/3
    row = {"strides": (1, 2), "padding": ((0, 0), (1, 1)), "out_size": (1, 3), "count_include_pad": True}
    got = float_kernels.pool2d(image([[1, 2, 3, 4]]), "average", (1, 3), **row)
    np.testing.assert_array_equal(got, image([[1, 3, 2]]))
    # dilation 2: corners of the 3x3
    assert float_kernels.pool2d(x, "average", (2, 2), dilations=(2, 2)).item() == (1 + 3 - 7 - 9) / 4
    int8 = float_kernels.pool2d(x.astype(np.int8), "max", (2, 2), padding=((1, 0), (1, 0)), strides=(3, 3))
    assert int8.dtype == np.int8
    assert int8.item() == 1


def test_lrn_by_hand() -> None:
    # size 4: one channel before, two after; alpha/size = 1, beta = 1, bias = 1
    # channel 0: 1 / (1 + 1 + 4 + 9) = 1/15; 1: 2 / (1 + 1 + 4 + 9 + 16) = 2/31; 2: 3 / (1 + 4 + 9 + 16) = 3/30; 3: 4/26
    x = np.array([[[[1, 2, 3, 4]]]], np.float32)
    np.testing.assert_allclose(float_kernels.lrn(x, 4, 4.0, 1.0, 1.0)[0, 0, 0], [1 / 15, 2 / 31, 3 / 30, 4 / 26], 1e-6)


def test_norms_and_softmax_by_hand() -> None:
    x = np.array([[1, 3]], np.float32)
    # mean 2, variance 1: (-1, 1), times (2, 3) plus (10, 20)
    normal = float_kernels.layer_norm(x, np.float32([2, 3]), np.float32([10, 20]), 0.0)
    np.testing.assert_allclose(normal, [[8, 23]], 1e-6)
    # root mean square of (1, 7) is 5
    np.testing.assert_allclose(float_kernels.rms_norm(np.float32([[1, 7]]), None, 0.0), [[0.2, 1.4]], 1e-6)
    # exponentials 1 : e^ln3 = 1 : 3, and no overflow at 1000
    np.testing.assert_allclose(float_kernels.softmax(np.float32([[1000, 1000 + math.log(3)]])), [[0.25, 0.75]], 1e-4)
    folded = float_kernels.batch_norm(x, *(np.float32([value] * 2) for value in (2, 1, 1, 3)), epsilon=1.0)
    np.testing.assert_allclose(folded, [[1, 3]], 1e-6)  # gain 2 / sqrt(3 + 1) = 1: (1 - 1) + 1, (3 - 1) + 1


def test_resize_by_hand() -> None:
    x = image([[0, 10]])
    # 2 -> 4: half_pixel reads -0.25, 0.25, 0.75, 1.25; asymmetric 0, 0.5, 1, 1.5; align_corners 0, 1/3, 2/3, 1
    for coordinates, expected in {
        "half_pixel": [0, 2.5, 7.5, 10],
        "asymmetric": [0, 5, 10, 10],
        "align_corners": [0, 10 / 3, 20 / 3, 10],
    }.items():
        got = float_kernels.resize_bilinear(x, (1, 4), coordinates)
        np.testing.assert_allclose(got[0, 0, :, 0], expected, 1e-6)
    # nearest, asymmetric positions 0, 0.5, 1, 1.5: only the halves depend on the rounding
    for rounding, expected in {
        "floor": [0, 0, 10, 10],
        "ceil": [0, 10, 10, 10],
        "prefer_floor": [0, 0, 10, 10],
        "prefer_ceil": [0, 10, 10, 10],
    }.items():
        got = layout_kernels.resize_nearest(x, (1, 4), "asymmetric", rounding)
        np.testing.assert_array_equal(got[0, 0, :, 0], expected)


def test_depth_to_space_by_hand() -> None:
    # channels 0..7 as (row, column, c) with block 2 and two channels: pixel (0, 0) gets (0, 1), (0, 1) gets (2, 3)
    x = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)
    blocks = layout_kernels.depth_to_space(x, 2)
    np.testing.assert_array_equal(blocks[0], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    np.testing.assert_array_equal(layout_kernels.space_to_depth(blocks, 2), x)
    # as (c, row, column): channel 0 is 0..3, channel 1 is 4..7
    crd = layout_kernels.depth_to_space(x, 2, channel_major=True)
    np.testing.assert_array_equal(crd[0], [[[0, 4], [1, 5]], [[2, 6], [3, 7]]])


def test_channel_shuffle_by_hand() -> None:
    # two groups (0, 1, 2), (3, 4, 5) interleave
    np.testing.assert_array_equal(layout_kernels.channel_shuffle(np.arange(6)[None], 2), [[0, 3, 1, 4, 2, 5]])


def test_quantize_rounds_halves_to_even_and_saturates() -> None:
    x = np.float32([0.5, 1.5, -0.5, 1000.0, -1000.0])
    got = float_kernels.quantize(x, np.float32(1.0), np.int64(3), np.dtype(np.int8))
    np.testing.assert_array_equal(got, [3, 5, 3, 127, -128])
    np.testing.assert_array_equal(float_kernels.dequantize(got, np.float32(0.5), np.int64(3)), [0, 1, 0, 62, -65.5])


def test_erf_is_accurate_to_a_millionth() -> None:
    x = np.linspace(-6, 6, 20001, dtype=np.float32)
    exact = np.array([math.erf(value) for value in x.tolist()])
    assert np.abs(erf(x) - exact).max() < 1e-6


def test_functions_stay_in_float32_and_do_not_warn() -> None:
    x = np.float32([-1e30, -100.0, 0.0, 100.0, 1e30])
    for function in ("sigmoid", "silu", "gelu", "softplus", "tanh", "erf", "exp", "hard_swish"):
        with np.errstate(all="raise", under="ignore"):
            assert unary(x, function).dtype == np.float32
