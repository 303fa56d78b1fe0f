"""Quantised layers by the rules of ONNX, on numbers to redo on paper: halves go to even, everything is rounded once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.graph import GraphBuilder, Quantization, ops
from hwsim.reference import forward
from hwsim.reference.int8_fixed_point import inverse_square_root

UNIT, HALF = Quantization((1.0,), (0,)), Quantization((2.0,), (0,))


def run(op: ops.Op, codes: Any, out: Quantization, *, x: Quantization = UNIT, more: Any = ()) -> list[int]:
    """Run one layer on int8 codes of quantisation ``x``; ``more`` are int8 constants of scale 1."""
    codes = np.asarray(codes, np.int8)
    b = GraphBuilder("one")
    names = [b.input("x", codes.shape, "int8", quant=x)]
    for i, values in enumerate(more):
        data = np.asarray(values)
        dtype = "int8" if data.dtype == np.int8 else "int32"
        names.append(b.constant(f"c{i}", data.shape, dtype, data=data, quant=UNIT))
    dtypes = [op.dtype] if isinstance(op, ops.Quantize) else ["int8"]
    graph = replace(b.build(b.add(op, names, name="y", dtypes=dtypes, quants=[out])), rounding="onnx")
    return forward(graph, {"x": codes})["y"].ravel().tolist()


def test_convolution_rounds_halves_to_even() -> None:
    # Filter 1, ofmap scale 2: 1, 3, 5, -1, -3 become 0.5, 1.5, 2.5, -0.5, -1.5.
    pixels = np.array([1, 3, 5, -1, -3]).reshape(1, 1, 5, 1)
    one = np.ones((1, 1, 1, 1), np.int8)
    assert run(ops.Conv2d(), pixels, HALF, more=[one]) == [0, 2, 2, 0, -2]
    # With a bias of 2 and a ReLU: 1.5, 2.5, 3.5, 0.5, -0.5.
    assert run(ops.Conv2d(activation="relu"), pixels, HALF, more=[one, np.array([2], np.int32)]) == [2, 2, 4, 0, 0]


def test_the_zero_point_of_an_ifmap_is_no_value_in_the_padding() -> None:
    # Codes (3, 5) with zero point 3 are (0, 2); a filter (1, 1, 1) with a pixel of padding on either side sums 2, 2.
    wide = ops.Conv2d(padding=((0, 0), (1, 1)))
    filters = np.ones((1, 1, 3, 1), np.int8)
    assert run(wide, [[[[3], [5]]]], UNIT, x=Quantization((1.0,), (3,)), more=[filters]) == [2, 2]


def test_dense_and_relu6() -> None:
    # (1, 2) · (3, 4) = 11, (1, 2) · (1, 0) = 1; ofmap scale 2: 5.5 → 6, 0.5 → 0. With ReLU6 the most is 6 / 2 = 3.
    filters = np.array([[3, 4], [1, 0]], np.int8)
    assert run(ops.Dense(), [[1, 2]], HALF, more=[filters]) == [6, 0]
    assert run(ops.Dense(activation="relu6"), [[1, 2]], HALF, more=[filters]) == [3, 0]


def test_sums_and_functions_are_tables_of_the_same() -> None:
    # 2 + 3 = 5 → 2.5 → 2; -4 + 3 = -1 → -0.5 → 0; 127 + 3 = 130 → 65.
    assert run(ops.Binary(function="add"), [2, -4, 127], HALF, more=[np.array(3, np.int8)]) == [2, 0, 65]
    assert run(ops.Unary(function="abs"), [-128, -3, 5], HALF) == [64, 2, 2]


def test_layers_that_move_codes_rescale_them_where_the_scales_differ() -> None:
    turned = ops.Transpose(perm=(1, 0))
    assert run(turned, [[1, 2], [3, 5]], UNIT) == [1, 3, 2, 5]
    assert run(turned, [[1, 2], [3, 5]], HALF) == [0, 2, 1, 2]  # halves 0.5, 1.5, 1, 2.5


def test_quantise_and_requantise() -> None:
    assert run(ops.Quantize(), [1, 3, -5], HALF) == [0, 2, -2]
    b = GraphBuilder("q")
    (y,) = b.add(ops.Quantize(), [b.input("x", (4,))], name="y", quants=[HALF])
    graph = replace(b.build([y]), rounding="onnx")
    assert forward(graph, {"x": np.float32([1, 3, 5, 900])})["y"].tolist() == [0, 2, 2, 127]
    away = forward(replace(graph, rounding="tflite"), {"x": np.float32([1, 3, 5, 900])})
    assert away["y"].tolist() == [1, 2, 3, 127]  # LiteRT rounds halves away from zero


@pytest.mark.parametrize("x", [2, 3, 4, 100, 16129, 2**28, 2**31 - 1])
def test_inverse_square_root_in_fixed_point(x: int) -> None:
    (multiplier,), (shift,) = inverse_square_root(np.array([x]))
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(x**-0.5, rel=2e-6)  # what five steps leave
