"""``load_net`` and ``inspect_operators``: files and names, and what is said when they are neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from tflite_maker import O, T, tflite_bytes

from hwsim.errors import HwsimError, ModelFileError, NetError, UsageError
from hwsim.importers import OperatorRow, export_yaml, inspect_operators, load_net, net_names

MODELS = Path(__file__).parents[2].parent / "shared" / "models"  # beside the checkout


def relu_file(code: str = "RELU") -> bytes:
    return tflite_bytes([T("x", (1, 4)), T("y", (1, 4))], [O(code, ["x"], ["y"])], ["x"], ["y"])


def test_a_name() -> None:
    assert "squeezenet_v1_1" in net_names()
    # torchvision's count at 224: 0.35 GMACs
    assert load_net("squeezenet_v1_1").macs == 349_151_936


def test_a_name_with_parameters() -> None:
    assert load_net("squeezenet_v1_1", classes=10).tensors.keys() == load_net("squeezenet_v1_1").tensors.keys()
    with pytest.raises(UsageError, match="no parameter 'clases'; did you mean 'classes'"):
        load_net("squeezenet_v1_1", clases=10)


@pytest.mark.parametrize("name", ["lenet5", "mobilenet_v2_0_35", "shufflenet_v2_0_5", "kwt_1"])
def test_batch_multiplies_the_macs(name: str) -> None:
    try:
        batched = load_net(name, batch=3)
    except NetError as error:
        assert "cannot run 3 inputs at once" in str(error)  # noqa: PT017
        assert name == "kwt_1"  # its class token is stored once
        return
    assert batched.macs == 3 * load_net(name).macs
    assert batched.params == load_net(name).params


def test_batch_of_a_yaml(tmp_path: Path) -> None:
    path = export_yaml(load_net("lenet5"), tmp_path / "net.yaml")[0]
    assert load_net(path, batch=2) == load_net("lenet5", batch=2)


def test_each_format(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(relu_file())
    graph = load_net(tmp_path / "a.tflite")
    assert load_net(str(tmp_path / "a.tflite")) == graph
    assert load_net(export_yaml(graph, tmp_path / "b.yml")[0]) == graph


def test_onnx() -> None:
    path = MODELS / "mobilenet_v2_0.35_128.onnx"
    if not path.exists():
        pytest.skip("shared/models is not here")
    pytest.importorskip("onnx")
    assert load_net(path).macs == 18_947_072
    assert all(row.known for row in inspect_operators(path))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "squeezenet_v11",
            "'squeezenet_v11' is no net of the catalogue, and there is no file of that name; did",
        ),
        ("xyzzy", "; `hwsim nets` lists the"),
        ("absent.tflite", "there is no file absent.tflite"),
        ("folder/lenet5", "there is no file folder/lenet5"),
    ],
)
def test_neither_file_nor_name(source: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_net(source)
    assert sentence in str(caught.value)


def test_near_file_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "resnet8.tflite").write_bytes(relu_file())
    with pytest.raises(UsageError, match=r"did you mean 'resnet8.tflite'\?"):
        load_net(tmp_path / "resnet.tflite")
    with pytest.raises(UsageError, match="is a folder"):
        load_net(tmp_path)


TFLITE, ONNX, PNG = relu_file(), b"\x08\x07\x12\x07pytorch\x1a\x03" + bytes(range(64)), b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.onnx", TFLITE, "is named .onnx, but its content is TFLite; rename it to a.tflite"),
        ("a.yaml", TFLITE, "is named .yaml, but its content is TFLite; rename it to a.tflite"),
        ("a.tflite", ONNX, "is named .tflite, but its content is ONNX; rename it to a.onnx"),
        ("a.tflite", PNG, "is named .tflite, but its content is PNG; hwsim reads"),
        ("a.onnx", PNG, "is named .onnx, but its content is PNG"),
        ("a.tflite", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "holds text (a Git LFS pointer"),
        ("a.png", PNG, "hwsim reads .onnx, .tflite, .yaml, .yml; its content looks like PNG"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "its content looks like HDF5 (a Keras file?)"),
        ("a.tflite", b"", "is empty"),
        ("a.yaml", b"", "is empty"),
        ("a.onnx", b"", "is empty"),
        ("a.tflite", bytes(100), "is not a TFLite file"),
    ],
)
def test_renamed_and_foreign_files(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for door in (load_net, inspect_operators):
        with pytest.raises(ModelFileError) as caught:
            door(path)
        assert sentence in str(caught.value)
        assert str(path) in str(caught.value)


def test_arguments_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(relu_file())
    for arguments, sentence in (
        ({"width": 2}, "parameter 'width'"),
        ({"batch": 0}, "batch = 0: must be >= 1"),
        ({"dims": {"n": 2}}, "no symbolic axis 'n'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            load_net(path, **arguments)
    with pytest.raises(UsageError, match="no symbolic axes"):
        load_net("lenet5", dims={"n": 2})


def test_operators_of_a_file(tmp_path: Path) -> None:
    tensors = [T(name, (1, 4)) for name in ("x", "a", "b", "y")]
    operators = [O("RELU", ["x"], ["a"]), O("MyOwnOp", ["a"], ["b"]), O("RELU", ["b"], ["y"])]
    path = tmp_path / "a.tflite"
    path.write_bytes(tflite_bytes(tensors, operators, ["x"], ["y"]))
    assert inspect_operators(path) == [OperatorRow("RELU", 2, True, "a"), OperatorRow("MyOwnOp", 1, False, "b")]
    with pytest.raises(HwsimError):
        load_net(path)
    assert len(load_net(path, allow_unknown=True).unknown_layers) == 1


def test_operators_of_a_name() -> None:
    rows = {row.name: row for row in inspect_operators("squeezenet_v1_1")}
    # conv1, 8 fire modules of three, conv10
    assert rows["conv2d"].count == 1 + 8 * 3 + 1
    assert rows["conv2d"].known
