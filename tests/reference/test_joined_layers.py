"""Convolutions that write into the concatenation of their outputs: when they may, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.graph import Graph, GraphBuilder, with_random_weights
from hwsim.reference import forward, interpreter, measure
from hwsim.reference.interpreter import JoinedLayers

SHAPE = (2, 9, 8, 6)


def fire(
    join: Callable[[GraphBuilder, str, str], str] | None = None, activation: Any = "relu", second: Any = "relu"
) -> Graph:
    b = GraphBuilder("fire")
    x = b.conv2d(b.input("x", SHAPE), 4, 1, name="squeeze")
    low = b.conv2d(x, 5, 1, activation=activation, name="expand1x1")
    high = b.conv2d(x, 7, 3, padding="same", activation=second, bias=False, name="expand3x3")
    joined = join(b, low, high) if join else b.concat([high, low], name="concat")
    return with_random_weights(b.build([b.conv2d(joined, 3, 1, name="last")]), 3)


def joined_names(graph: Graph) -> list[list[str]]:
    parts = interpreter.bound(graph).parts
    return [[bound.layer.name for bound in part.layers] for part in parts if isinstance(part, JoinedLayers)]


def picture() -> dict[str, Any]:
    return {"x": np.random.default_rng(0).standard_normal(SHAPE, np.float32)}


def inception() -> Graph:
    b = GraphBuilder("inception")
    x = b.conv2d(b.input("x", SHAPE), 4, 1, name="reduce")
    branches = [b.conv2d(x, 3 + k, k, padding="same", groups=1 + (k == 5), name=f"conv{k}x{k}") for k in (5, 1, 3)]
    joined = b.concat(branches, name="concat")
    return with_random_weights(b.build([b.conv2d(joined, 3, 1, name="last")]), 3)


NETS = {
    **{f"fire_{activation}": lambda activation=activation: fire(activation=activation, second=activation)
       for activation in (None, "relu", "relu6", "relu_n1_to_1")},
    "inception": inception,
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_a_joined_run_equals_a_separate_one(name: str) -> None:
    graph = NETS[name]()
    joined = joined_names(graph)
    assert [names[-1] for names in joined] == ["concat"]
    # Every tensor given out: none may be a part of another, so the layers run one by one.
    every = tuple(output for layer in graph.layers for output in layer.outputs)
    separate = replace(graph, outputs=every)
    assert joined_names(separate) == []
    right, found = forward(separate, picture()), forward(graph, picture(), every=True)
    assert list(found) == list(every)
    for name, values in right.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=2e-6)
    concat = graph.layer("concat")
    np.testing.assert_array_equal(found["concat"], np.concatenate([found[name] for name in concat.inputs], axis=-1))
    assert joined == [[*sorted(concat.inputs, key=every.index), "concat"]]


def test_each_joined_layer_is_measured_on_its_own() -> None:
    graph = fire()
    rows = {row.layer: row for row in measure(graph, picture())}
    assert list(rows) == ["squeeze", "expand1x1", "expand3x3", "concat", "last"]
    # 2 images of 9x8 pixels: 5 filters of 4 taps, 7 filters of 3x3x4
    assert (rows["expand1x1"].macs, rows["expand3x3"].macs, rows["concat"].macs) == (144 * 5 * 4, 144 * 7 * 36, 0)
    assert rows["expand1x1"].ofmap_min == rows["expand3x3"].ofmap_min == 0.0  # after the ReLU, not before it


@pytest.mark.parametrize(
    "join",
    [
        lambda b, low, high: b.concat([low, b.unary("neg", high)]),  # a layer in between
        lambda b, low, high: b.concat([low, high, low]),  # one of them twice
        lambda b, low, high: b.concat([b.reshape(low, (2, 9, 8, 5)), high]),
        lambda b, low, high: b.binary("add", b.concat([low, high]), b.concat([high, low])),  # read by two
        lambda b, low, high: b.concat([b.conv2d(low, 7, 1), high], axis=1),
    ],
)
def test_what_is_not_only_concatenated_runs_by_itself(join: Any) -> None:
    graph = fire(join)
    assert joined_names(graph) == []
    forward(graph, picture())


def test_a_convolution_that_only_the_caller_reads_runs_by_itself() -> None:
    b = GraphBuilder("outputs")
    x = b.input("x", (1, 4, 4, 1))
    first, second = b.conv2d(x, 1, 1), b.conv2d(x, 2, 1)
    graph = with_random_weights(b.build([b.concat([x, first]), second]))
    assert joined_names(graph) == []
    found = forward(graph, {"x": np.ones((1, 4, 4, 1), np.float32)})
    assert set(found) == set(graph.outputs)


def test_different_activations_run_by_themselves() -> None:
    assert joined_names(fire(second="relu6")) == []
