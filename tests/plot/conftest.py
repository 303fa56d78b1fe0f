"""Nets of many shapes for pictures, and how to read a picture back into numbers."""

import re

import pytest

from hwsim.graph import GraphBuilder

FACTORS = {"": 1.0, "p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def chain(layers, name="chain"):
    """A net of so many convolutions of two kinds, one after the other."""
    b = GraphBuilder(name)
    x = b.input("x", (1, 8, 8, 16), "int8")
    for index in range(layers):
        x = b.conv2d(x, 16, 3 if index % 3 else 1, padding="same", name=f"layer{index}")
    return b.build([x])


def unit_of(axis_label):
    """Return what one on an axis is, in SI units or bytes, by the unit in its label."""
    unit = re.search(r"\[(.+?)\]", axis_label)[1]
    if unit in BYTES:
        return BYTES[unit]
    prefix = re.fullmatch(r"(\w?)(s|J|MAC/s)", unit)[1]
    return FACTORS[prefix]


@pytest.fixture
def one_conv():
    b = GraphBuilder("one")
    x = b.input("x", (1, 8, 8, 16), "int8")
    return b.build([b.conv2d(x, 32, 3, padding=1, bias=False, name="conv")])
