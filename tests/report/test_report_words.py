"""Numbers as people read them."""

import pytest

from hwsim.report.words import human_bytes, percent, rounded, scaled


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1.00"),
        (9.996, "10.0"),
        (0.00012345, "0.000123"),
        (123.456, "123"),
        (1234.5, "1 230"),
        (999.5, "1 000"),
        (12345678, "12 300 000"),
        (-2.5, "-2.50"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_rounded(value, text):
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "12.3 ms"),
        (1.0, "1.00 s"),
        (0.9996, "1.00 s"),
        (2.5e-7, "250 ns"),
        (3.2e9, "3.20 Gs"),
        (0, "0 s"),
        (float("nan"), "–"),
        (1e-15, "0.00100 ps"),
    ],
)
def test_scaled(value, text):
    assert scaled(value, "s") == text


def test_bytes_and_percent():
    assert human_bytes(1023) == "1023 B"
    assert human_bytes(1536) == "1.50 KiB"
    assert human_bytes(-3 * 2**20) == "-3.00 MiB"
    assert human_bytes(999 * 2**10) == "999 KiB"
    assert human_bytes(1000 * 2**10) == "0.977 MiB"
    assert human_bytes(1023 * 2**20) == "0.999 GiB"
    assert human_bytes(2**31) == "2.00 GiB"
    assert percent(0.1234) == "12.3 %"
    assert percent(float("nan")) == "–"
