"""ONNX files as files: folded shapes, symbolic dims, unknown operators, dead nodes, and untrusted input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from hwsim.errors import HwsimError, MissingExtraError, ModelFileError, UnknownOperatorError, UsageError  # noqa: E402
from hwsim.graph import ops as gops  # noqa: E402
from hwsim.importers.load import OperatorRow, inspect_operators  # noqa: E402
from hwsim.importers.onnx_check import onnx_operators  # noqa: E402
from hwsim.importers.onnx_file import load_onnx  # noqa: E402
from hwsim.reference import forward  # noqa: E402

MODELS = Path(__file__).parents[2].parent / "shared" / "models"
MOBILENET = MODELS / "mobilenet_v2_0.35_128.onnx"
needs_models = pytest.mark.skipif(not MOBILENET.exists(), reason="the shared model files are not here")


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def node(op: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op}_{outputs}", domain=domain, **attributes)


def save(
    path: Path,
    nodes: Sequence[Any],
    shape: Sequence[int | str | None] | None,
    constants: dict[str, np.ndarray] | None = None,
    outputs: Sequence[str] = ("y",),
    value_info: Sequence[Any] = (),
) -> Path:
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
        value_info=list(value_info),
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


# -- what a file means -------------------------------------------------------------------------------------------------


@needs_models
def test_mobilenet_v2_has_the_macs_of_its_architecture_and_equals_onnxruntime() -> None:
    ort = pytest.importorskip("onnxruntime")
    graph = load_onnx(MOBILENET)
    # MobileNetV2 0.35 at 128x128 without its classifier of 1000: the sum over the 52 convolutions, and 1280 x 5.
    convolutions = sum(graph.layer_macs(layer) for layer in graph.layers if isinstance(layer.op, gops.Conv2d))
    assert len([layer for layer in graph.layers if isinstance(layer.op, gops.Conv2d)]) == 52
    assert graph.macs == convolutions + 1280 * 5
    assert {layer.op.kind for layer in graph.layers} == {
        *("conv2d", "binary", "pad", "global_pool", "reshape", "dense", "softmax")
    }
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(MOBILENET), options, providers=["CPUExecutionProvider"])
    for seed in range(3):
        x = drawn(1, 3, 128, 128, seed=seed)
        right = session.run(None, {"input_1": x})[0]
        found = forward(graph, {"input_1": x})["dense"]
        assert np.abs(found - right).max() <= 1e-4 * np.abs(right).max()


@needs_models
def test_mobilenet_v2_has_the_macs_of_its_tflite_twin() -> None:
    tflite_file = pytest.importorskip("hwsim.importers.tflite_file")
    twin = tflite_file.load_tflite(MODELS / "mobilenet_v2_0.35_128_int8.tflite")
    graph = load_onnx(MOBILENET)
    weighted = (gops.Conv2d, gops.Dense)
    assert [graph.layer_macs(layer) for layer in graph.layers if isinstance(layer.op, weighted)] == [
        twin.layer_macs(layer) for layer in twin.layers if isinstance(layer.op, weighted)
    ]
    assert graph.macs == twin.macs == 18_947_072  # 5 classes


def test_shape_arithmetic_is_folded_away(tmp_path: Path) -> None:
    """view(x.size(0), -1) and an upsampling to twice the size, as PyTorch traces them."""
    constants = {
        "zero": np.array(0), "minus": np.array([-1]), "two": np.array([2]), "four": np.array([4]), "roi": drawn(0),
        "n0": np.array([0]), "w": drawn(10, 2 * 8 * 6),
    }  # fmt: skip
    nodes = [
        node("Conv", "x k", "c"),
        node("Shape", "c", "s"),
        node("Slice", "s two four", "hw"),
        node("Mul", "hw two", "hw2"),
        node("Slice", "s n0 two", "nc"),
        node("Cast", "hw2", "hw3", to=TensorProto.INT64),
        node("Concat", "nc hw3", "size", axis=0),
        node("Resize", "c roi roi size", "u", mode="nearest"),
        node("Shape", "x", "xs"),
        node("Gather", "xs zero", "n", axis=0),
        node("Unsqueeze", "n n0", "n1"),
        node("Concat", "n1 minus", "flat", axis=0),
        node("Reshape", "u flat", "f"),
        node("Gemm", "f w", "y", transB=1),
    ]
    constants["k"] = drawn(2, 3, 1, 1)
    path = save(tmp_path / "net.onnx", nodes, ["N", 3, 4, 3], constants)
    graph = load_onnx(path, batch=2)
    assert [layer.op.kind for layer in graph.layers] == ["conv2d", "resize", "reshape", "dense"]
    assert graph.tensors["y"].shape == (2, 10)
    assert graph.warnings == ()
    # conv 2*4*3*2 outputs x 3; dense 2*10 outputs x 96
    assert graph.macs == 48 * 3 + 20 * 96


def test_a_layer_read_only_for_its_shape_is_left_out(tmp_path: Path) -> None:
    nodes = [node("Exp", "x", "e"), node("Shape", "e", "s"), node("Reshape", "x s", "r"), node("Neg", "r", "y")]
    graph = load_onnx(save(tmp_path / "net.onnx", nodes, [2, 3]))
    assert [layer.op.kind for layer in graph.layers] == ["unary"]
    assert "'Exp_e'" in graph.warnings[0]


def test_open_dims_are_one_unless_set(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", [node("Relu", "x", "y")], ["N", "tokens", None, 4])
    assert load_onnx(path).tensors["y"].shape == (1, 1, 1, 4)
    assert load_onnx(path, batch=3).tensors["y"].shape == (3, 1, 1, 4)
    assert load_onnx(path, dims={"tokens": 7, "N": 2}).tensors["y"].shape == (2, 7, 1, 4)
    assert load_onnx(path, dims={"tokens": 7, "x.2": 5}).tensors["y"].shape == (1, 7, 5, 4)
    told = "the file leaves tokens, x.2 open, taken as 1; --dim NAME=N sets a size"
    assert load_onnx(path, dims={"N": 2}).warnings == (told,)
    assert load_onnx(path, dims={"tokens": 7, "x.2": 5}).warnings == ()  # a batch of one is nothing to tell


def test_an_open_dim_that_does_not_suit_is_named(tmp_path: Path) -> None:
    # Some exporters write an open size as -1; one is too small for the convolution.
    path = save(tmp_path / "net.onnx", [node("Conv", "x w", "y")], [-1, 3, -1, 8], {"w": drawn(4, 3, 3, 3)})
    with pytest.raises(
        ModelFileError, match=r"window of 3 exceeds its input of 1 .*; the file leaves x\.2 open, taken"
    ):
        load_onnx(path)
    assert load_onnx(path, dims={"x.2": 8}, batch=2).tensors["y"].file_axes is not None
    assert load_onnx(path, dims={"x.2": 8}, batch=2).macs == 2 * 6 * 6 * 4 * 27


def test_a_batch_without_a_name(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", [node("Relu", "x", "y")], [None, 4])
    assert load_onnx(path, batch=3).tensors["y"].shape == (3, 4)


def test_dims_that_the_file_does_not_have(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", [node("Relu", "x", "y")], ["N", "tokens"])
    with pytest.raises(UsageError, match=r"no symbolic dim 'token'; did you mean 'tokens'\? .*N, tokens"):
        load_onnx(path, dims={"token": 7})
    with pytest.raises(UsageError, match="tokens = 0: must be >= 1"):
        load_onnx(path, dims={"tokens": 0})
    with pytest.raises(UsageError, match="batch = 0: must be >= 1"):
        load_onnx(path, batch=0)


def test_a_fixed_batch_is_not_changed(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", [node("Relu", "x", "y")], [1, 4])
    assert load_onnx(path, batch=1).tensors["y"].shape == (1, 4)
    with pytest.raises(UsageError, match="fixed batch of 1"):
        load_onnx(path, batch=2)


def test_dead_nodes_are_left_out_with_a_warning(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), node("Exp", "x", "e"), node("Neg", "e", "z")]
    graph = load_onnx(save(tmp_path / "net.onnx", nodes, [1, 4]))
    assert [layer.name for layer in graph.layers] == ["Relu_y"]
    assert graph.warnings == ("nothing reads the result of 'Exp_e', 'Neg_z': left out",)


def test_nodes_out_of_order_and_without_names(tmp_path: Path) -> None:
    nodes = [helper.make_node("Neg", ["e"], ["y"]), helper.make_node("Exp", ["x"], ["e"])]
    graph = load_onnx(save(tmp_path / "net.onnx", nodes, [1, 4]))
    assert [layer.name for layer in graph.layers] == ["e", "y"]


def test_doubles_are_held_as_float32_and_said_so(tmp_path: Path) -> None:
    weights = drawn(4, 3, 1, 1).astype(np.float64)
    graph = load_onnx(save(tmp_path / "net.onnx", [node("Conv", "x w", "y")], [1, 3, 2, 2], {"w": weights}))
    assert {tensor.dtype for tensor in graph.tensors.values()} == {"float32"}
    assert graph.warnings == ("double and bfloat16 values are held as float32",)


def test_an_output_that_is_also_read_and_one_that_is_given_twice(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "a"), node("Neg", "a", "y"), node("Identity", "y", "z"), node("Identity", "a", "b")]
    graph = load_onnx(save(tmp_path / "net.onnx", nodes, [1, 4], outputs=("y", "z", "b")))
    assert graph.outputs == ("y", "z", "b")
    x = {"x": drawn(1, 4)}
    found = forward(graph, x)
    np.testing.assert_array_equal(found["z"], -np.maximum(x["x"], 0))
    np.testing.assert_array_equal(found["b"], np.maximum(x["x"], 0))


# -- operators that hwsim does not know --------------------------------------------------------------------------------


def unknown_model(tmp_path: Path, value_info: Sequence[Any] = ()) -> Path:
    nodes = [
        node("Relu", "x", "r"),
        node("Frobnicate", "r", "f", domain="acme"),
        node("Det", "f", "d"),
        node("Frobnicate", "d", "y", domain="acme"),
    ]
    return save(tmp_path / "net.onnx", nodes, [1, 2, 3, 3], value_info=value_info)


def test_unknown_operators_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnknownOperatorError) as caught:
        load_onnx(unknown_model(tmp_path))
    sentence = str(caught.value)
    assert "2 operators that hwsim does not know" in sentence
    assert "acme::Frobnicate (node 'acme" not in sentence
    assert "acme::Frobnicate (node 'Frobnicate_f' and 1 more), Det (node 'Det_d')" in sentence
    assert "--allow-unknown to count them as zero" in sentence


def test_unknown_operators_allowed(tmp_path: Path) -> None:
    known = [
        helper.make_tensor_value_info("f", TensorProto.FLOAT, [1, 2, 3, 3]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2]),
    ]
    path = unknown_model(tmp_path, known[:1])
    model = onnx.load(path)
    model.graph.output[0].CopyFrom(known[1])
    onnx.save(model, path)
    graph = load_onnx(path, allow_unknown=True)
    assert [layer.name for layer in graph.unknown_layers] == ["Frobnicate_f", "Det_d", "Frobnicate_y"]
    assert [graph.tensors[name].shape for name in ("f", "d", "y")] == [(1, 2, 3, 3), (1, 2), (1, 2)]
    assert graph.macs == 0
    assert graph.warnings == ("unknown operators are counted as zero: acme::Frobnicate (2x), Det (1x)",)


def test_an_unknown_operator_without_shapes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"'Frobnicate_f'.*add them to its value_info"):
        load_onnx(unknown_model(tmp_path), allow_unknown=True)


def test_a_known_operator_in_an_unknown_form_names_the_form(tmp_path: Path) -> None:
    nodes = [node("MaxPool", "x", "y", kernel_shape=[2, 2, 2])]
    path = save(tmp_path / "net.onnx", nodes, [1, 2, 4, 4, 4])
    with pytest.raises(UnknownOperatorError, match="MaxPool with 3 spatial axes"):
        load_onnx(path)
    assert load_onnx(path, allow_unknown=True).tensors["y"].shape == (1, 2, 3, 3, 3)


def test_operator_table(tmp_path: Path) -> None:
    assert inspect_operators(unknown_model(tmp_path)) == [
        OperatorRow("Relu", 1, True, "Relu_r"),
        OperatorRow("acme::Frobnicate", 2, False, "Frobnicate_f"),
        OperatorRow("Det", 1, False, "Det_d"),
    ]


# -- bad input ---------------------------------------------------------------------------------------------------------


def good_bytes(tmp_path: Path) -> bytes:
    path = save(tmp_path / "good.onnx", [node("Conv", "x w", "y")], [1, 3, 8, 8], {"w": drawn(4, 3, 3, 3)})
    return path.read_bytes()


BAD: dict[str, tuple[bytes | int, str]] = {
    "empty": (b"", "is empty"),
    "random": (np.random.default_rng(7).bytes(5000), "no ONNX model, or is broken"),
    "zeros": (bytes(100), "no ONNX model, or is broken"),
    "text": (b"layers:\n  - conv: 3\n", "no ONNX model, or is broken"),
    "tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(90), "rename it to .tflite"),
    "zip": (b"PK\x03\x04" + bytes(90), "is a zip archive"),
    "no_graph": (b"\x08\x08", "holds no graph"),
    "truncated": (-40, "truncated|no ONNX model"),
    "truncated_at_once": (3, "truncated"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    content, sentence = BAD[name]
    path = tmp_path / "bad.onnx"
    path.write_bytes(content if isinstance(content, bytes) else good_bytes(tmp_path)[:content])
    for read in (load_onnx, onnx_operators):
        with pytest.raises(ModelFileError, match=sentence) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"gone\.onnx: cannot be read: No such file"):
        load_onnx(tmp_path / "gone.onnx")
    with pytest.raises(ModelFileError, match="is a folder"):
        load_onnx(tmp_path)


def test_changed_bytes_never_give_a_traceback(tmp_path: Path) -> None:
    """200 files with three bytes changed each, seed 0: each loads, or is refused by an error that a user can act on."""
    good, rng = good_bytes(tmp_path), np.random.default_rng(0)
    path = tmp_path / "changed.onnx"
    refused = 0
    for _ in range(200):
        changed = bytearray(good)
        for place in rng.integers(0, len(good), 3):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(bytes(changed))
        try:
            load_onnx(path)
        except HwsimError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017 - most changes hit weights and load
    assert refused > 10


def test_cycle(tmp_path: Path) -> None:
    nodes = [node("Add", "x b", "a"), node("Neg", "a", "b"), node("Relu", "b", "y")]
    with pytest.raises(
        ModelFileError, match=r"form a cycle: 'Add_a' -> 'Neg_b' -> 'Add_a'|'Neg_b' -> 'Add_a' -> 'Neg_b'"
    ):
        load_onnx(save(tmp_path / "net.onnx", nodes, [1, 4]))


@pytest.mark.parametrize(
    ("nodes", "shape", "sentence"),
    [
        ([node("Relu", "x", "y")], [0, 4], "shape \\(0, 4\\): every size must be >= 1"),
        ([node("Relu", "x", "y")], [-3, 4], "every size must be >= 1"),
        ([node("Relu", "x", "y")], None, "input 'x' has no shape"),
        ([node("Relu", "q", "y")], [1, 4], "reads 'q', which nothing writes"),
        ([node("Relu", "x", "z")], [1, 4], "output 'y': nothing writes it"),
        ([node("Conv", "x w", "y")], [1, 5, 8, 8], "in_channels = 3 .*has 5"),
        ([node("Gather", "x i", "y")], [1, 4], "indices outside axis 0"),
        ([node("Reshape", "x s", "y")], [1, 4], "does not fit into"),
        ([node("Transpose", "x", "y", perm=[0, 0])], [1, 4], "perm \\[0, 0\\] on 2 axes"),
        ([node("ConstantOfShape", "huge", "z"), node("Add", "x z", "y")], [1, 4], "cannot be computed"),
        ([node("Div", "i nil", "k"), node("Reshape", "x k", "y")], [1, 4], "division by zero"),
    ],
)
def test_models_that_make_no_sense(nodes: list[Any], shape: list[int], sentence: str, tmp_path: Path) -> None:
    constants = {
        "w": drawn(4, 3, 3, 3), "i": np.array([9]), "s": np.array([3, 5]), "nil": np.array([0]),
        "huge": np.array([10**6, 10**6]),
    }  # fmt: skip
    path = save(tmp_path / "net.onnx", nodes, shape, constants)
    with pytest.raises(HwsimError, match=sentence) as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)


# -- external data -----------------------------------------------------------------------------------------------------


def with_external_weights(folder: Path, location: str, **fields: str) -> Path:
    """Save a model whose filter of 4*3*3*3 floats (432 bytes) lies elsewhere."""
    folder.mkdir(exist_ok=True)
    path = save(folder / "net.onnx", [node("Conv", "x w", "y")], [1, 3, 8, 8], {"w": drawn(4, 3, 3, 3)})
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **fields}.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path / "a", "sub/w.bin", offset="16", length="432")
    (path.parent / "sub").mkdir()
    (path.parent / "sub" / "w.bin").write_bytes(bytes(16) + drawn(4, 3, 3, 3).tobytes() + bytes(8))
    graph = load_onnx(path)
    data = graph.tensors[graph.layers[0].inputs[1]].data
    assert data is not None
    np.testing.assert_array_equal(data, drawn(4, 3, 3, 3).transpose(0, 2, 3, 1))


@pytest.mark.parametrize("location", ["../w.bin", "sub/../../w.bin", "/etc/hostname", "", "link.bin", "a\0b"])
def test_external_data_outside_the_folder_is_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(drawn(4, 3, 3, 3).tobytes())
    path = with_external_weights(tmp_path / "a", location)
    (path.parent / "sub").mkdir()
    (path.parent / "link.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ModelFileError, match=r"outside the model's folder: refused|must be a file beside the model"):
        load_onnx(path)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"offset": "400", "length": "432"}, "bytes 400 to 832 lie outside its 432 bytes"),
        ({"offset": "-8"}, "lie outside"),
        ({"length": "x"}, "must be numbers"),
        ({"length": "100"}, "tensor 'w' of .* is broken"),
    ],
)
def test_external_data_out_of_bounds(fields: dict[str, str], sentence: str, tmp_path: Path) -> None:
    path = with_external_weights(tmp_path / "a", "w.bin", **fields)
    (path.parent / "w.bin").write_bytes(drawn(4, 3, 3, 3).tobytes())
    with pytest.raises(ModelFileError, match=sentence):
        load_onnx(path)


def test_external_data_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"external data 'w\.bin': cannot be read"):
        load_onnx(with_external_weights(tmp_path / "a", "w.bin"))


# -- size and dependencies ---------------------------------------------------------------------------------------------


def test_ten_thousand_nodes_load(tmp_path: Path) -> None:
    names = ["x", *(f"t{i}" for i in range(9_999)), "y"]
    nodes = [node("Relu" if i % 2 else "Neg", names[i], names[i + 1]) for i in range(10_000)]
    path = save(tmp_path / "net.onnx", nodes, [1, 4])
    graph = load_onnx(path)
    assert len(graph.layers) == 10_000


def test_onnx_is_imported_only_on_use() -> None:
    code = "import sys, hwsim.importers.onnx_file; print('onnx' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_without_onnx_the_error_holds_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "net.onnx", [node("Relu", "x", "y")], [1, 4])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hwsim\[onnx\]'"):
        load_onnx(path)


def test_outputs_and_modes_of_training_are_named(tmp_path: Path) -> None:
    pool = node("MaxPool", "x", "z y", kernel_shape=[2, 2])
    with pytest.raises(UnknownOperatorError, match="MaxPool with its output 1"):
        load_onnx(save(tmp_path / "net.onnx", [pool], [1, 2, 4, 4]))
    drop = node("Dropout", "x half on", "y")
    path = save(tmp_path / "net.onnx", [drop], [1, 4], {"half": np.float32(0.5), "on": np.array(True)})
    with pytest.raises(UnknownOperatorError, match="Dropout in training mode"):
        load_onnx(path)
