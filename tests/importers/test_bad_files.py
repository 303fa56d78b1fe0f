"""Files that are no nets, or mean harm: one sentence each, soon, without following where they lead."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_maker import O, T, constant, tflite_bytes

from hwsim.errors import HwsimError, ModelFileError
from hwsim.importers import inspect_operators, load_net

SUFFIXES = [".onnx", ".tflite", ".yaml", ".yml"]
NET = "schema: 1\nnet: n\ninputs:\n  x: [1, 4, 4, 3]\nlayers:\n"


def sentence(path: Path) -> str:
    """Return what both doors say of a file, and check that it is one line that names it."""
    told = []
    for door in (load_net, inspect_operators):
        with pytest.raises(HwsimError) as caught:
            door(path)
        told.append(str(caught.value))
    assert all("\n" not in text and text.startswith(str(path)) and len(text) < 1000 for text in told)
    return told[0]


# -- what is no regular file -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_is_not_waited_for(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    assert "is not a regular file" in sentence(tmp_path / f"pipe{suffix}")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no device of zeros")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_device_without_end_is_not_read(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"zeros{suffix}").symlink_to("/dev/zero")
    assert "is not a regular file" in sentence(tmp_path / f"zeros{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_links_to_nothing_and_to_themselves(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
    (tmp_path / f"gone{suffix}").symlink_to("nowhere")
    for name in ("loop", "gone"):
        with pytest.raises(HwsimError, match=r"there is no file|cannot be read"):
            load_net(tmp_path / f"{name}{suffix}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_may_not_be_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"secret{suffix}"
    path.write_text("x")
    path.chmod(0)
    assert "cannot be read: Permission denied" in sentence(path)


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX alone")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.tflite")
    path.write_bytes(b"\0" * 64)
    assert "is not a TFLite file" in sentence(path)


# -- YAML --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", ":1:4: anchor &a: anchors are refused"),
        ("schema: *one\n", ":1:9: alias *one: aliases are refused"),
        ('net: !!python/object/apply:os.system ["touch pwned"]\n', ":1:6: tag tag:yaml.org,2002:python/object/apply"),
        ("<<: {schema: 1}\n", ":1:1: merge keys are refused"),
        ("a: " + "[" * 100_000, "nested deeper than 32 levels"),
        ("{a: " * 100_000, "nested deeper than 32 levels"),
        ("- " * 300_000, "nested deeper than 32 levels"),
        ("schema: " + "9" * 900_000, ":1: a word of more than 4,096 characters"),
        ("schema: 1\nnet: '" + "a" * 900_000 + "'", ":2: a word of more than 4,096 characters"),
        ("schema: 1\nnet: '" + "a b" * 10_000 + "'", ":2:6: a word of 30,000 characters; 4,096 is the most"),
        (NET + "#" * 2_000_000, "a file of this kind may have 1,048,576 at most"),
        ("schema: 1\n---\nschema: 1\n", ":2:1: a second document"),
        (NET + "  - {op: split, axis: 3, sizes: []}\n", ":6: layer 1: sizes = []: must name one output at least"),
        (
            NET + "  - {op: unknown, operator: z, shapes: [], dtypes: []}\n",
            "shapes = []: must name one output at least",
        ),
        (NET + "  - {op: clip, low: .nan}\n", "low = .nan: must be a number"),
        (NET + "  - {op: conv2d, out_channels: 4, kernel: 3, padding: -1}\n", "must be >= 0 (crop with a slice)"),
        (NET + "  - {op: conv2d, out_channels: 1099511627776, kernel: 3}\n", "at most 2^40 elements"),
        (
            NET.replace("4, 4, 3", "0, 4, 3") + "  - {op: relu}\n",
            ":4: input 'x': shape = [1, 0, 4, 3]: every",
        ),
        (NET + "  - {name: a, op: add, reads: [x, b]}\n  - {name: b, op: relu}\n", "form a cycle: 'a' -> 'b' -> 'a'"),
        (
            NET.replace("x:", "y: [2, 2]\n  x:") + "  - {op: relu, reads: x}\n  - {op: relu, reads: y}\n"
            "outputs: [relu_1, relu_2]\n",
            "net 'n' is disconnected: layer 'relu_2' shares no tensor",
        ),
        (f"weights: ../w.npz\n{NET}  - {{op: relu}}\n", "must be the name of a file beside the YAML, not a path"),
        (f"weights: folder.npz\n{NET}  - {{op: relu}}\n", "folder.npz: is a folder, not a file"),
    ],
)
def test_yaml(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    path = tmp_path / "net.yaml"
    path.write_text(text)
    assert told in sentence(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.npz", "net.yaml"]


# -- TFLite ------------------------------------------------------------------------------------------------------------

PAIR = [T("x", (1, 4)), T("y", (1, 4))]
RELU = O("RELU", ["x"], ["y"])
CONV = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
IMAGES = [T("x", (1, 4, 4, 3)), T("y", (1, 2, 2, 2))]
TFLITE: dict[str, tuple[Sequence[T], Sequence[O], Sequence[str], Sequence[str], str]] = {
    "no outputs": (PAIR, [RELU], ["x"], [], "its main subgraph has no outputs"),
    "outputs are inputs": (PAIR, [RELU], ["x"], ["x"], "has no layers between its inputs and its outputs"),
    "cycle": (
        [*PAIR, T("a", (1, 4))],
        [O("ADD", ["x", "y"], ["a"], "AddOptions", {}), O("RELU", ["a"], ["y"])],
        ["x"],
        ["y"],
        "layer 'a' reads tensor 'y', which layer 'y' after it writes",
    ),
    "reads itself": (PAIR, [O("ADD", ["x", "y"], ["y"], "AddOptions", {})], ["x"], ["y"], "which itself writes"),
    "written twice": (PAIR, [RELU, RELU], ["x"], ["y"], "two tensors named 'y'"),
    "two nets": (
        [*PAIR, T("p", (1, 4)), T("q", (1, 4))],
        [RELU, O("RELU", ["p"], ["q"])],
        ["x", "p"],
        ["y", "q"],
        "is disconnected: layer 'q' shares no tensor",
    ),
    "no size": ([T("x", (1, 0)), T("y", (1, 0))], [RELU], ["x"], ["y"], "shape (1, 0): every size must be >= 1"),
    "negative": ([T("x", (1, -4)), PAIR[1]], [RELU], ["x"], ["y"], "has shape (1, -4)"),
    "huge": ([T("x", (2**30, 2**30)), PAIR[1]], [RELU], ["x"], ["y"], "at most 2^40 elements"),
    "too many axes": ([T("x", (1,) * 9), PAIR[1]], [RELU], ["x"], ["y"], "tensor 'x' has 9 axes: at most 8"),
    "many axes": ([T("x", (1,) * 300), PAIR[1]], [RELU], ["x"], ["y"], "tensor 'x' has 300 axes"),
    "stride": (
        [*IMAGES, constant("w", np.zeros((2, 3, 3, 3)), "float32")],
        [O("CONV_2D", ["x", "w", ""], ["y"], "Conv2DOptions", {**CONV, "StrideH": 0})],
        ["x"],
        ["y"],
        "strides = (0, 1): must be >= 1",
    ),
    "weights": (
        [*IMAGES, constant("w", np.zeros((2, 3, 3, 3)), "int64")],
        [O("CONV_2D", ["x", "w", ""], ["y"], "Conv2DOptions", CONV)],
        ["x"],
        ["y"],
        "filter is int64, must be one of float32",
    ),
    "sparse weights": (
        [*IMAGES, constant("w", np.zeros((2, 3, 3, 3)), "float32", sparse=True)],
        [O("CONV_2D", ["x", "w", ""], ["y"], "Conv2DOptions", CONV)],
        ["x"],
        ["y"],
        "tensor 'w' is stored sparse; hwsim reads dense weights: densify the model",
    ),
    "zero point": (
        [T("x", (1, 4), "INT8", scale=[0.5], zero_point=[2**31]), T("y", (1, 4), "INT8", scale=[0.5], zero_point=[0])],
        [RELU],
        ["x"],
        ["y"],
        "tensor 'x': zero point = 2147483648: must be from -128 to 127 for int8",
    ),
    "no result": (PAIR, [O("RELU", ["x"], []), O("RELU", ["x"], ["y"])], ["x"], ["y"], "RELU (layer"),
    "escapes": (PAIR, [O("\x1b[2JEvil\x07", ["x"], ["y"])], ["x"], ["y"], r"\x1b[2JEvil\x07 (layer 'y')"),
}


@pytest.mark.parametrize("name", TFLITE)
def test_tflite(tmp_path: Path, name: str) -> None:
    tensors, operators, inputs, outputs, told = TFLITE[name]
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_bytes(tensors, operators, inputs, outputs))
    if name in ("escapes", "no result"):
        assert inspect_operators(path)[0].name in ("RELU", r"\x1b[2JEvil\x07")
        with pytest.raises(ModelFileError) as caught:
            load_net(path)
        assert told in str(caught.value)
    else:
        assert told in sentence(path)


def test_folding_does_not_fill_the_memory_by_many_small_steps(tmp_path: Path) -> None:
    # each FILL makes 2^24 floats, 64 MiB; together they would be 1 GiB
    tensors = [*PAIR, constant("s", [2**12, 2**12]), constant("v", 1.0, "float32")]
    tensors += [T(f"f{i}", (1,)) for i in range(16)] + [T(f"g{i}", (1,)) for i in range(17)]
    operators: list[O] = []
    for i in range(16):
        operators += [
            O("FILL", ["s", "v"], [f"f{i}"]),
            O("ADD", [f"g{i - 1}" if i else "x", f"f{i}"], [f"g{i}"], "AddOptions", {}),
        ]
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_bytes(tensors, [*operators, O("RELU", ["g15"], ["y"])], ["x"], ["y"]))
    assert "take too much memory" in sentence(path) or "broadcast" in sentence(path)


# -- ONNX --------------------------------------------------------------------------------------------------------------


def onnx_file(path: Path, nodes: Sequence[Any], constants: dict[str, Any] | None = None, **more: Any) -> Path:
    onnx = pytest.importorskip("onnx")
    info = onnx.helper.make_tensor_value_info
    stored = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = onnx.helper.make_graph(
        list(nodes), "g", [info("x", 1, more.pop("shape", [1, 3, 8, 8]))], [info("y", 1, None)], stored
    )
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("own", 1)]
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=imports, ir_version=8, **more).SerializeToString())
    return path


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    onnx = pytest.importorskip("onnx")
    return onnx.helper.make_node(op, list(inputs), list(outputs), name=f"{op}_{outputs[0]}", **attributes)


def function(name: str, *calls: str) -> Any:
    """Return a function of the file's own domain that calls others, one after the other."""
    onnx = pytest.importorskip("onnx")
    tensors = ["a", *(f"t{i}" for i in range(len(calls) - 1)), "b"]
    nodes = [
        node(call, [tensors[i]], [tensors[i + 1]], **({"domain": "own"} if call.startswith("F") else {}))
        for i, call in enumerate(calls)
    ]
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("own", 1)]
    return onnx.helper.make_function("own", name, ["a"], ["b"], nodes, opsets)


def test_functions_are_written_out(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx_file(
        path, [node("F", ["x"], ["y"], domain="own")], functions=[function("F", "Relu", "G"), function("G", "Neg")]
    )
    assert inspect_operators(path)[0].name == "Relu"  # G is of the file's domain only where it says so
    onnx_file(path, [node("F", ["x"], ["y"], domain="own")], functions=[function("F", "Relu", "Neg", "Exp")])
    assert [layer.op.function for layer in load_net(path).layers] == ["relu", "neg", "exp"]  # type: ignore[attr-defined]


def test_functions_that_call_themselves(tmp_path: Path) -> None:
    call = [node("F1", ["x"], ["y"], domain="own")]
    path = onnx_file(tmp_path / "net.onnx", call, functions=[function("F1", "F2"), function("F2", "Relu", "F1")])
    assert "functions call themselves: 'own::F1' -> 'own::F2' -> 'own::F1'" in sentence(path)


def test_functions_that_multiply(tmp_path: Path) -> None:
    # 40 functions, each calling the next twice: 2^40 calls in a few kilobytes
    functions = [function(f"F{i}", f"F{i + 1}", f"F{i + 1}") for i in range(40)] + [function("F40", "Relu")]
    path = onnx_file(tmp_path / "net.onnx", [node("F0", ["x"], ["y"], domain="own")], functions=functions)
    assert path.stat().st_size < 10_000
    assert "its functions written out take" in sentence(path)


def test_constants_that_double(tmp_path: Path) -> None:
    names = ["s", *(f"s{i}" for i in range(60))]
    nodes = [node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)]
    path = onnx_file(tmp_path / "net.onnx", [*nodes, node("Reshape", ["x", "s59"], ["y"])], {"s": np.ones(2**20, int)})
    assert "(Concat) cannot be computed: a constant of shape (8388608,) is too large" in sentence(path)


def test_constants_that_are_many(tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["s"], [f"c{i}"]) for i in range(20)]
    nodes.append(node("Sum", ["x", *(f"c{i}" for i in range(20))], ["y"]))
    path = onnx_file(tmp_path / "net.onnx", nodes, {"s": np.array([2**11, 2**11])})
    assert "constants computed from constants take too much memory" in sentence(path)


W = np.zeros((4, 3, 3, 3), np.float32)
ONNX: dict[str, tuple[list[tuple[str, list[str], list[str]]], dict[str, Any], str]] = {
    "int64 weights": ([("Conv", ["x", "w"], ["y"])], {"w": W.astype(np.int64)}, "filter is int64, must be one of"),
    "complex weights": ([("Conv", ["x", "w"], ["y"])], {"w": W.astype(np.complex64)}, "dtype = 'complex64': must be"),
    "written twice": ([("Relu", ["x"], ["y"]), ("Neg", ["x"], ["y"])], {}, "two tensors named 'y'"),
    "reads itself": ([("Add", ["x", "y"], ["y"])], {}, "the nodes form a cycle: 'Add_y' -> 'Add_y'"),
    "channels": ([("Conv", ["x", "w"], ["y"])], {"w": W[:, :2]}, "layer 'Conv_y' (Conv2d): in_channels = 2 (1 groups)"),
    "huge": ([("Pad", ["x", "p"], ["y"])], {"p": np.array([0, 0, 2**40, 0, 0, 0, 0, 0])}, "at most 2^40 elements"),
}


@pytest.mark.parametrize("name", ONNX)
def test_onnx(tmp_path: Path, name: str) -> None:
    nodes, constants, told = ONNX[name]
    path = onnx_file(tmp_path / "net.onnx", [node(*each) for each in nodes], constants)
    assert told in sentence(path)


@pytest.mark.parametrize("shape", [[0, 3], [1, -3], [1, 2**40, 8], [1] * 9])
def test_onnx_input_sizes(tmp_path: Path, shape: list[int]) -> None:
    path = onnx_file(tmp_path / "net.onnx", [node("Relu", ["x"], ["y"])], shape=shape)
    told = sentence(path)
    assert "every size must be >= 1" in told or "at most" in told


def test_names_that_a_terminal_would_act_on(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "net.onnx", [node("\x1b[2J\nEvil", ["x"], ["y\x1b[31m"])])
    assert [row.name for row in inspect_operators(path)] == [r"\x1b[2J\nEvil"]
    with pytest.raises(ModelFileError) as caught:
        load_net(path)
    assert str(caught.value).isprintable()


def test_check_sees_what_loading_would_stumble_over(tmp_path: Path) -> None:
    # A form that hwsim does not know is a row of its own; the same operator in another form stays known.
    nodes = [node("Resize", ["x", "", "s"], ["a"], mode="nearest"), node("Resize", ["a", "", "s"], ["y"], mode="cubic")]
    path = onnx_file(tmp_path / "net.onnx", nodes, {"s": np.array([1, 1, 2, 2], np.float32)})
    known, unknown = inspect_operators(path)
    assert (known.name, known.known, known.first) == ("Resize", True, "Resize_a")
    assert unknown.name.startswith("Resize with mode cubic")
    assert (unknown.known, unknown.first) == (False, "Resize_y")
