"""Streaming TFLite nets, whose variables keep values between runs, and what other files leave open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tflite_maker import O, T, constant, tflite_bytes

from hwsim.errors import ModelFileError, UnknownOperatorError
from hwsim.importers import inspect_operators, load_net
from hwsim.reference import forward


def streaming_file(path: Path, *operators: O) -> Path:
    """A net that adds each input to what it has seen before: y = state + x, state = y."""
    tensors = [T("x", (1, 4)), T("handle", (), "RESOURCE"), T("seen", (1, 4)), T("sum", (1, 4)), T("y", (1, 4))]
    usual = [
        O("CALL_ONCE", [], []),
        O("VAR_HANDLE", [], ["handle"]),
        O("READ_VARIABLE", ["handle"], ["seen"]),
        O("ADD", ["seen", "x"], ["sum"], "AddOptions", {}),
        O("ASSIGN_VARIABLE", ["handle", "sum"], []),
        O("RELU", ["sum"], ["y"]),
    ]
    path.write_bytes(tflite_bytes(tensors, operators or usual, ["x"], ["y"]))
    return path


def test_a_variable_is_an_input_and_an_output(tmp_path: Path) -> None:
    path = streaming_file(tmp_path / "net.tflite")
    graph = load_net(path)
    assert (graph.inputs, graph.outputs) == (("x", "seen"), ("y", "sum"))
    assert [layer.op.kind for layer in graph.layers] == ["binary", "unary"]
    assert graph.warnings == (
        "1 variables that the net keeps between runs are inputs here, and their new values outputs",
    )
    assert all(row.known for row in inspect_operators(path))
    seen = np.zeros((1, 4), np.float32)
    for step in range(1, 4):
        tensors = forward(graph, {"x": np.full((1, 4), -1.5, np.float32), "seen": seen})
        seen = tensors["sum"]
        assert seen.tolist() == [[-1.5 * step] * 4]
        assert tensors["y"].tolist() == [[0.0] * 4]


def test_a_variable_read_twice_is_a_form_of_its_own(tmp_path: Path) -> None:
    path = streaming_file(
        tmp_path / "net.tflite",
        O("VAR_HANDLE", [], ["handle"]),
        O("READ_VARIABLE", ["handle"], ["seen"]),
        O("READ_VARIABLE", ["handle"], ["sum"]),
        O("ADD", ["seen", "sum"], ["y"], "AddOptions", {}),
    )
    with pytest.raises(
        UnknownOperatorError, match=r"READ_VARIABLE \(layer 'sum': its variable is assigned or read before"
    ):
        load_net(path)


def test_an_unknown_operator_without_outputs_is_named(tmp_path: Path) -> None:
    path = streaming_file(tmp_path / "net.tflite", O("SendAway", ["x"], []), O("RELU", ["x"], ["y"]))
    with pytest.raises(UnknownOperatorError, match=r"SendAway \(layer 'sendaway'\)"):
        load_net(path)
    graph = load_net(path, allow_unknown=True)
    assert [layer.op.kind for layer in graph.layers] == ["unary"]
    assert "SendAway" in graph.warnings[0]


def test_open_axes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    tensors = [
        T("x", (1, 1, 4), signature=(-1, -1, 4)),
        constant("w", np.ones((2, 4)), "float32"),
        T("y", (1, 1, 2), signature=(-1, -1, 2)),
    ]
    dense = O("FULLY_CONNECTED", ["x", "w", ""], ["y"], "FullyConnectedOptions", {"KeepNumDims": True})
    path.write_bytes(tflite_bytes(tensors, [dense], ["x"], ["y"]))
    assert load_net(path).warnings == ("the file leaves x.1 open, taken as 1; --dim NAME=N sets a size",)
    graph = load_net(path, dims={"x.1": 7}, batch=2)
    assert graph.warnings == ()
    assert graph.macs == 2 * 7 * 2 * 4


def test_an_open_axis_that_does_not_suit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    tensors = [
        T("x", (1, 1, 8, 3), signature=(-1, -1, 8, 3)),
        constant("w", np.ones((2, 3, 3, 3)), "float32"),
        T("y", (1, 1, 6, 2), signature=(-1, -1, 6, 2)),
    ]
    conv = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    operators = [O("CONV_2D", ["x", "w", ""], ["y"], "Conv2DOptions", conv)]
    path.write_bytes(tflite_bytes(tensors, operators, ["x"], ["y"]))
    with pytest.raises(ModelFileError, match=r"window of 3 exceeds its input of 1.*; the file leaves x\.1 open"):
        load_net(path)
    assert load_net(path, dims={"x.1": 8}).macs == 6 * 6 * 2 * 27
