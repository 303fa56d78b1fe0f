"""Fixed-point arithmetic against exact rational arithmetic in Python integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hwsim.reference.requantize import (
    Requantizer,
    doubling_high_mul,
    multiply_by_quantized_multiplier,
    multiply_by_quantized_multiplier_once,
    quantize_multiplier,
    round_half_away,
    rounding_divide_by_pot,
)

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
EDGES = sorted(
    {sign * 2**k + step for k in (0, 1, 2, 7, 15, 16, 23, 24, 29, 30) for sign in (-1, 1) for step in (-1, 0, 1)}
    | {0, INT32_MIN, INT32_MIN + 1, INT32_MAX - 1, INT32_MAX}
)


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


def half_away(x: Fraction) -> int:
    return half_up(x) if x >= 0 else -half_up(-x)


def two_roundings(x: int, multiplier: int, shift: int) -> int:
    high = half_up(Fraction(x * 2 ** max(shift, 0) * multiplier, 2**31))
    return half_away(Fraction(high, 2 ** max(-shift, 0)))


def drawn_int32(count: int, seed: int) -> list[int]:
    return [int(x) for x in np.random.default_rng(seed).integers(INT32_MIN, INT32_MAX, count, endpoint=True)]


def test_quantize_multiplier_by_hand() -> None:
    # 0.75 = 0.75 · 2^0: m = 0.75 · 2^31 = 1610612736.   3 = 0.75 · 2^2.   1/1024 = 0.5 · 2^-9: m = 2^30.
    # 1 − 2^-33 is 0.111…1 in binary, 33 ones; to 31 bits it rounds up to 2^31, which is written 2^30 · 2^1.
    # 2^-33 needs a shift below −31: zero, as in the source. 0 is 0.
    multiplier, shift = quantize_multiplier([0.75, 3.0, 1 / 1024, 1 - 2.0**-33, 2.0**-33, 0.0])
    assert multiplier.tolist() == [1610612736, 1610612736, 2**30, 2**30, 0, 0]
    assert shift.tolist() == [0, 2, -9, 1, 0, 0]


def test_quantize_multiplier_is_the_nearest_31_bit_number() -> None:
    for real in np.random.default_rng(3).uniform(0.5, 1.0, 500) * 2.0 ** np.random.default_rng(4).integers(
        -28, 28, 500
    ):
        multiplier, shift = (int(value) for value in quantize_multiplier(real))
        assert 2**30 <= multiplier < 2**31
        assert abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) - Fraction(real)) <= Fraction(2) ** (shift - 32)


def test_doubling_high_mul() -> None:
    a, b = EDGES + drawn_int32(60, 0), EDGES + drawn_int32(60, 1)
    found = doubling_high_mul(np.array(a)[:, None], np.array(b))
    expected = [[min(half_up(Fraction(x * y, 2**31)), INT32_MAX) for y in b] for x in a]
    assert found.tolist() == expected
    assert int(doubling_high_mul(INT32_MIN, INT32_MIN)) == INT32_MAX  # the one product that saturates


@pytest.mark.parametrize("exponent", [0, 1, 2, 7, 15, 30, 31])
def test_rounding_divide_by_pot(exponent: int) -> None:
    x = EDGES + list(range(-40, 41)) + drawn_int32(200, 2)
    expected = [half_away(Fraction(value, 2**exponent)) for value in x]
    assert rounding_divide_by_pot(x, exponent).tolist() == expected


def test_multiply_by_quantized_multiplier() -> None:
    # 3 · 0.5 · 2^-1 = 0.75 -> first rounding 1.5 up to 2, second 2 / 2 = 1;   −3: −1.5 up to −1, then −0.5 away to −1.
    # One rounding of the same: 0.75 -> 1, −0.75 -> −1.
    assert multiply_by_quantized_multiplier([3, -3], 2**30, -1).tolist() == [1, -1]
    assert multiply_by_quantized_multiplier_once([3, -3], 2**30, -1).tolist() == [1, -1]
    # 5 · 0.5 · 2^-1 = 1.25: twice gives 2.5 -> 3 -> 1.5 -> 2, once gives 1.
    assert int(multiply_by_quantized_multiplier(5, 2**30, -1)) == 2
    assert int(multiply_by_quantized_multiplier_once(5, 2**30, -1)) == 1


@pytest.mark.parametrize("shift", [-31, -20, -9, -1, 0, 1, 6])
def test_multiply_by_quantized_multiplier_against_fractions(shift: int) -> None:
    x = [value >> max(shift, 0) for value in EDGES + drawn_int32(150, 5)]
    for multiplier in (2**30, 2**30 + 1, 3 * 2**29, 1518500250, INT32_MAX):
        found = multiply_by_quantized_multiplier(x, multiplier, shift).tolist()
        assert found == [two_roundings(value, multiplier, shift) for value in x]
        once = multiply_by_quantized_multiplier_once(x, multiplier, shift).tolist()
        assert once == [half_up(Fraction(value * multiplier) * Fraction(2) ** (shift - 31)) for value in x]


def test_round_half_away() -> None:
    below = np.nextafter(0.5, 0.0)
    x = np.array([0.5, -0.5, 1.5, 2.5, -2.5, below, -below, 0.0, 123456.5, 2.0**52 + 1])
    assert round_half_away(x).tolist() == [1, -1, 2, 3, -3, 0, 0, 0, 123457, 2**52 + 1]


def random_requantizer(rng: np.random.Generator, channels: int, *, relu: bool) -> Requantizer:
    real = rng.uniform(0.5, 1.0, channels) * 2.0 ** -rng.integers(-2, 16, channels)
    zero_point = int(rng.integers(-128, 128))
    return Requantizer(
        *quantize_multiplier(real),
        rng.integers(-50_000, 50_000, channels),
        zero_point,
        low=zero_point if relu else -128,
        high=127,
        reach=rng.integers(1, 2**22, channels),
    )


def oracle(requantizer: Requantizer, acc: int, channel: int) -> int:
    multiplier, shift = int(requantizer.multiplier[channel]), int(requantizer.shift[channel])
    code = two_roundings(acc + int(requantizer.bias[channel]), multiplier, shift) + requantizer.zero_point
    return min(max(code, requantizer.low), requantizer.high)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_requantizer_against_fractions(seed: int, relu: bool) -> None:
    rng = np.random.default_rng(seed)
    requantizer = random_requantizer(rng, 24, relu=relu)
    assert requantizer.exact
    # Sums of which the results are not clipped, and some beyond; both dtypes that the products come in.
    width = (200 / (requantizer.multiplier * 2.0 ** (requantizer.shift - 31))).astype(np.int64) + 2
    centre = np.clip(-requantizer.bias, -requantizer.reach, requantizer.reach)
    acc = np.clip(centre + rng.integers(-width, width, (3, 11, 24)), -requantizer.reach, requantizer.reach)
    expected = [[[oracle(requantizer, int(x), k) for k, x in enumerate(pixel)] for pixel in row] for row in acc]
    for dtype in (np.float32, np.float64):
        out = np.empty(acc.shape, np.int8)
        requantizer(acc.astype(dtype), out)
        assert out.tolist() == expected
    assert requantizer.integers(acc).tolist() == expected


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("exponent", [1, 2, 5, 8])
def test_requantizer_on_every_tie(exponent: int, relu: bool) -> None:
    # A scale of 2^-e makes every 2^(e-1)-th sum a tie; all sums of the unclipped range and beyond are tried.
    requantizer = Requantizer(
        *quantize_multiplier(np.array([2.0**-exponent])),
        np.array([3]),
        -5,
        low=-5 if relu else -128,
        high=127,
        reach=np.array([2**20]),
    )
    acc = np.arange(-150 << exponent, (150 << exponent) + 1)
    out = np.empty((1, acc.size, 1), np.int8)
    requantizer(acc.astype(np.float32)[None, :, None], out)
    expected = [min(max(two_roundings(int(x) + 3, 2**30, 1 - exponent) - 5, requantizer.low), 127) for x in acc]
    assert requantizer.exact
    assert out.ravel().tolist() == expected


def test_requantizer_proof_can_fail() -> None:
    # A float64 path whose constant is off by a part in 10^7 differs at some step; the proof must see it.
    requantizer = random_requantizer(np.random.default_rng(1), 24, relu=False)
    assert requantizer.exact
    requantizer._gain = requantizer._gain * (1 + 1e-7)
    assert not requantizer._agrees_with_integers()


def test_requantizer_saturates_beyond_int32() -> None:
    # ±2^20 · 2^13 = ±2^33 does not fit the int32 that the float64 path truncates to.
    requantizer = Requantizer(
        *quantize_multiplier(np.array([2.0**13])), np.array([0]), 7, low=-128, high=127, reach=np.array([2**20])
    )
    out = np.empty((1, 3, 1), np.int8)
    requantizer(np.array([2**20, 0, -(2**20)], np.float32).reshape(1, 3, 1), out)
    assert out.ravel().tolist() == [127, 7, -128]


def test_requantizer_of_constant_channels() -> None:
    # Channel 0: a scale so small that every result is the zero point. 1: no weights, only a bias: 1000 · 0.03 = 30.
    # 2: the same, below the zero point. 3: a multiplier that vanishes altogether. 4: a scale too small for any sum to
    # matter, but not for the bias: 1e8 · 2e-7 = 20, and 1e5 · 2e-7 = 0.02 to either side.
    scale = np.array([1e-9, 0.03, 0.03, 1e-30, 2e-7])
    requantizer = Requantizer(
        *quantize_multiplier(scale),
        np.array([1000, 1000, -1000, 1000, 100_000_000]),
        7,
        low=-128,
        high=127,
        reach=np.array([100_000, 0, 0, 100_000, 100_000]),
    )
    out = np.empty((1, 2, 5), np.int8)
    requantizer(np.array([[[100_000, 0, 0, 5, 100_000], [-100_000, 0, 0, -5, -100_000]]], np.float32), out)
    assert requantizer.exact
    assert out.tolist() == [[[7, 37, -23, 7, 27], [7, 37, -23, 7, 27]]]
