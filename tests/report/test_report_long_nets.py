"""Ten thousand layers on a core and on an array: whatever grows faster than the net shows here by never ending."""

import pytest

from hwsim.graph import GraphBuilder
from hwsim.report import evaluate
from hwsim.report.tables import layer_table

LAYERS = 10_000


def chain(b, x):
    """Convolutions and additions, one after the other."""
    for i in range(LAYERS // 2):
        y = b.conv2d(x, 8, 1, name=f"conv{i}")
        x = b.binary("add", y, x, name=f"add{i}")
    return x


def fan(b, x):
    """All but the last read the input, and the last reads them all: ten thousand tensors alive at once."""
    return b.concat([b.conv2d(x, 8, 1, name=f"conv{i}") for i in range(LAYERS - 1)], name="join")


def bracket(b, x):
    """The first half's results are read by the second half, the last one first: lives as long as the net."""
    left = [x := b.conv2d(x, 8, 1, name=f"down{i}") for i in range(LAYERS // 2)]
    for i, y in enumerate(reversed(left)):
        x = b.binary("add", x, y, name=f"up{i}")
    return x


@pytest.mark.parametrize("shape", [chain, fan, bracket])
@pytest.mark.parametrize("chip", ["npu", "mcu"])
def test_ten_thousand_layers(shape, chip, request):
    b = GraphBuilder("long")
    graph = b.build([shape(b, b.input("x", (1, 4, 4, 8), "int8"))])
    assert len(graph.layers) == LAYERS
    report = evaluate(graph, request.getfixturevalue(chip))
    # 4x4 pixels, 8 inputs, 8 filters for each convolution
    convolutions = sum(layer.op.kind == "conv2d" for layer in graph.layers)
    assert report.macs == convolutions * 16 * 8 * 8
    rows = layer_table(report).rows
    assert len(rows) < 60
    assert any("more layers" in row[0] for row in rows)
    assert len(layer_table(report, every=True).rows) >= LAYERS
