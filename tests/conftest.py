"""Toy chips with round numbers, and toy nets, for arithmetic that fits a comment."""

import os
from pathlib import Path

import pytest

from hwsim.chip import load_chip
from hwsim.graph import GraphBuilder

DATA = Path(__file__).parent / "data"

# CI services force colours or widths on whatever is printed; what the tests compare is plain.
for variable in ("FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(variable, None)


@pytest.fixture
def data_folder():
    return DATA


@pytest.fixture(scope="session")
def npu_file():
    return DATA / "toy_npu.yaml"


@pytest.fixture
def npu():
    return load_chip(DATA / "toy_npu.yaml")


@pytest.fixture
def mcu():
    return load_chip(DATA / "toy_mcu.yaml")


@pytest.fixture
def small_net():
    """A net with every kind of row: conv, depthwise, pointwise, pool, add, concat, reshape, dense, softmax."""
    b = GraphBuilder("small")
    x = b.input("image", (1, 16, 16, 3), "int8")
    x = b.conv2d(x, 8, 3, stride=2, padding="same", activation="relu", name="conv")
    y = b.depthwise(x, 3, name="depthwise")
    y = b.conv2d(y, 8, 1, name="pointwise")
    x = b.binary("add", x, y, name="add")
    z = b.concat([x, y], name="concat")
    z = b.pool("max", z, 2, name="pool")
    z = b.flatten(z, name="flatten")
    z = b.dense(z, 10, name="dense")
    return b.build([b.softmax(z, name="softmax")])
