"""Net YAML: written, read back equal, and refused with the line that is wrong."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import ModelFileError, UsageError
from hwsim.graph import Graph, GraphBuilder, Quantization, ops, with_random_weights
from hwsim.importers import export_yaml, load_net, net_names
from hwsim.importers.yaml_net import load_yaml

MODELS = Path(__file__).parents[2].parent / "shared" / "models"  # beside the checkout


def round_trip(graph: Graph, folder: Path) -> Graph:
    return load_yaml(export_yaml(graph, folder / "net.yaml")[0])


def small_net() -> Graph:
    """A net with every way in which layers and tensors are named."""
    b = GraphBuilder("small")
    x = b.input("image", (2, 9, 10, 4))
    x = b.conv2d(x, 6, kernel=(3, 1), stride=2, padding=((0, 1), (1, 0)), activation="relu6", name="first")
    left = b.depthwise(x, 3, padding="same", bias=False, name="left")
    right = b.conv2d(x, 6, kernel=1, groups=2, name="right")
    x = b.binary("add", left, right, activation="relu")
    x = b.pool("max", x, 2, stride=1, ceil_mode=True)
    a, c = b.split(x, (2, 4), name="halves")
    shared = b.constant("gain", (2,))
    a = b.add(ops.Binary(function="mul"), [shared, a], name="scaled")[0]
    a = b.add(ops.Binary(function="sub"), [a, shared], name="shifted", outputs=['a:b; "c" é\t'])[0]
    a = b.unary("clip", a, low=-0.1, high=1e-7)
    x = b.concat([c, a], name="yes")
    x = b.add(ops.LayerNorm(), [x, b.constant("yes2.scale", (6,))], name="norm")[0]
    x = b.add(
        ops.BatchNorm(epsilon=0.1), [x, *(b.constant(f"bn.{r}", (6,)) for r in ops.BatchNorm.roles[1:])], name="bn"
    )[0]
    x = b.add(ops.PRelu(), [x, b.constant("p.slope", (3, 1, 6))], name="p")[0]
    ids = b.input("ids", (3,), "int32")
    rows = b.add(ops.Gather(axis=0), [b.constant("table", (7, 6)), ids], name="rows")[0]
    x = b.matmul(b.reshape(x, (2, -1, 6)), rows, transpose_b=True)
    y = b.dense(x, 5, name="last")
    return b.build([y, a])


def test_a_written_net_equals_its_builder(tmp_path: Path) -> None:
    text = """
schema: 1
net: tiny
inputs:
  image: [1, 32, 32, 3]
layers:
  - {name: conv1, op: conv2d, out_channels: 16, kernel: 3, strides: 2, padding: same, activation: relu}
  - {name: left, op: conv2d, out_channels: 8, kernel: 1}
  - {name: right, op: conv2d, out_channels: 8, kernel: 3, padding: 1, bias: false, reads: conv1}
  - {name: joined, op: concat, reads: [left, right]}
  - {name: pooled, op: global_pool, function: average}
  - {name: flat, op: reshape, shape: [1, -1]}
  - {name: classes, op: dense, out_channels: 10}
  - {op: softmax}
"""
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    b = GraphBuilder("tiny")
    x = b.conv2d(
        b.input("image", (1, 32, 32, 3)), 16, kernel=3, stride=2, padding="same", activation="relu", name="conv1"
    )
    left = b.conv2d(x, 8, kernel=1, name="left")
    right = b.conv2d(x, 8, kernel=3, padding=1, bias=False, name="right")
    x = b.global_pool("average", b.concat([left, right], name="joined"), name="pooled")
    x = b.dense(b.reshape(x, (1, -1), name="flat"), 10, name="classes")
    graph = load_yaml(path)
    assert graph == b.build([b.softmax(x, name="softmax_1")])
    # conv1 16·16·16·27, left 16·16·8·16, right 16·16·8·16·9, classes 16·10
    assert graph.macs == 110_592 + 32_768 + 294_912 + 160


def test_layers_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(
        "schema: 1\nnet: n\ninputs: {x: [1, 4]}\noutputs: [b]\nlayers:\n"
        "  - {name: b, op: relu, reads: a}\n"
        "  - name: a\n    op: dense\n    out_channels: 3\n    reads: x\n"
    )
    assert [layer.name for layer in load_yaml(path).layers] == ["a", "b"]


def test_small_net_round_trip(tmp_path: Path) -> None:
    graph = small_net()
    assert round_trip(graph, tmp_path) == graph
    assert [path.name for path in tmp_path.iterdir()] == ["net.yaml"]


def test_weights_go_beside_it(tmp_path: Path) -> None:
    graph = with_random_weights(small_net(), seed=3)
    files = export_yaml(graph, tmp_path / "net.yaml")
    assert [path.name for path in files] == ["net.yaml", "net.npz"]
    assert load_yaml(files[0]) == graph
    other = with_random_weights(small_net(), seed=4)
    assert load_yaml(files[0]) != other
    assert round_trip(other, tmp_path) == other  # written over
    half = {name: replace(t, data=None) if name.endswith(".bias") else t for name, t in graph.tensors.items()}
    partly = replace(graph, tensors=half)
    assert round_trip(partly, tmp_path) == partly


def test_quantisation_round_trip(tmp_path: Path) -> None:
    b = GraphBuilder("q")
    per_tensor = Quantization((float(np.float32(0.1)),), (-128,))
    x = b.input("x", (1, 4), "int8", quant=per_tensor)
    w = b.constant("w", (3, 4), "int8", quant=Quantization((0.1, 1 / 3, 5e-324), (0, 1, -2), axis=0))
    one = b.constant("one", (3,), "int32", quant=Quantization((0.25,), (0,), axis=0))
    y = b.add(ops.Dense(), [x, w, one], name="y", dtypes=["int16"], quants=[Quantization((2.0,), (7,))])
    graph = b.build(y)
    assert round_trip(graph, tmp_path) == graph  # scales in the sidecar, though there are no values
    wide = replace(graph, tensors={**graph.tensors, "y": replace(graph.tensors["y"], file_axes=(1, 0))})
    assert round_trip(wide, tmp_path) == wide
    rounded = replace(wide, rounding="onnx")
    assert round_trip(rounded, tmp_path) == rounded != wide


def test_unknown_layers_and_warnings_round_trip(tmp_path: Path) -> None:
    b = GraphBuilder("u")
    x = b.input("x", (1, 4))
    op = ops.Unknown(operator="MyOp: 1", shapes=((1, 2), (3,)), dtypes=("float32", "int64"))
    outputs = b.add(op, [x, b.constant("c", (2, 2))], name="mine")
    graph = b.build(outputs, warnings=["mind: this"])
    again = round_trip(graph, tmp_path)
    assert again == graph
    assert again.warnings == ("mind: this",)


@pytest.mark.parametrize("name", net_names())
def test_every_net_of_the_catalogue_round_trips(name: str, tmp_path: Path) -> None:
    graph = load_net(name)
    assert round_trip(graph, tmp_path) == graph


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.tflite")) + sorted(MODELS.glob("*.onnx")), ids=lambda p: p.name)
def test_every_shared_model_round_trips(path: Path, tmp_path: Path) -> None:
    graph = load_net(path)
    assert round_trip(graph, tmp_path) == graph


def test_ten_thousand_layers(tmp_path: Path) -> None:
    b = GraphBuilder("deep")
    x = b.input("image", (1, 16, 16, 8))
    for i in range(2500):
        y = b.conv2d(x, 8, 3, padding="same", activation="relu", name=f"block{i}_conv")
        y = b.depthwise(y, 3, name=f"block{i}_depthwise")
        y = b.unary("relu", y, name=f"block{i}_relu")
        x = b.binary("add", x, y, name=f"block{i}_add")
    graph = b.build([x])
    (path,) = export_yaml(graph, tmp_path / "deep.yaml")
    assert path.stat().st_size < 2**20
    assert load_yaml(path) == graph


# -- what is refused ---------------------------------------------------------------------------------------------------

HEAD = "schema: 1\nnet: n\ninputs:\n  x: [1, 8, 8, 4]\nlayers:\n"
CONV = "  - {name: c, op: conv2d, out_channels: 8, kernel: 3}\n"


def layer(text: str, before: str = "") -> str:
    return f"{HEAD}{before}  - {{{text}}}\n"


def with_input(text: str) -> str:
    return HEAD.replace("[1, 8, 8, 4]", text) + CONV


WRONG = {
    "misspelled attribute": (
        layer("name: conv3, op: conv2d, out_channels: 8, kernel: 3, strids: 2"),
        "net.yaml:6: layer 'conv3': unknown attribute 'strids'; did you mean 'strides'?",
    ),
    "unknown layer type": (
        layer("op: conv2"),
        "net.yaml:6: layer 1: op = 'conv2': no layer type of that name; did",
    ),
    "no layer type": (layer("name: a"), "net.yaml:6: layer 'a': 'op' is missing"),
    "missing attribute": (
        layer("name: p, op: pool2d, function: max"),
        "net.yaml:6: layer 'p': attribute 'kernel' is",
    ),
    "missing channels": (
        layer("name: c, op: conv2d, kernel: 3"),
        "net.yaml:6: layer 'c': 'out_channels' is missing",
    ),
    "missing kernel": (
        layer("name: c, op: conv2d, out_channels: 3"),
        "net.yaml:6: layer 'c': 'kernel' is missing",
    ),
    "wrong type": (
        layer("name: c, op: conv2d, out_channels: 8, kernel: 3, strides: two"),
        "net.yaml:6: layer 'c': strides = 'two': must be a list",
    ),
    "truth for a number": (layer("name: s, op: softmax, axis: true"), "axis = True: must be a whole number"),
    "wrong word": (
        layer("name: p, op: pool2d, function: maxi, kernel: 2"),
        "function = 'maxi': must be one of max, average; did you mean 'max'?",
    ),
    "zero channels": (
        layer("name: c, op: conv2d, out_channels: 0, kernel: 3"),
        "out_channels = 0: must be >= 1",
    ),
    "groups": (
        layer("name: c, op: conv2d, out_channels: 8, kernel: 3, groups: 3"),
        "groups = 3: must divide the 4",
    ),
    "zero groups": (
        layer("name: c, op: conv2d, out_channels: 8, kernel: 3, groups: 0"),
        "groups = 0: must divide",
    ),
    "zero stride": (
        layer("name: c, op: conv2d, out_channels: 8, kernel: 3, strides: 0"),
        "strides = (0, 0): must be",
    ),
    "window too large": (
        layer("name: p, op: pool2d, function: max, kernel: 9"),
        "window of 9 exceeds its input of 8",
    ),
    "padding word": (
        layer("name: c, op: conv2d, out_channels: 8, kernel: 3, padding: some"),
        "padding = 'some': must be same, valid, a number or pairs",
    ),
    "nobody writes it": (
        layer("name: r, op: relu, reads: d", CONV),
        "net.yaml:7: layer 'r': reads 'd', which nothing",
    ),
    "cycle": (
        HEAD + CONV + "  - {name: a, op: add, reads: [c, b]}\n  - {name: b, op: relu, reads: a}\n",
        "net.yaml:7: layers form a cycle: 'a' -> 'b' -> 'a'",
    ),
    "disconnected": (
        HEAD.replace("x:", "y: [1, 4]\n  x:") + "  - {name: a, op: relu, reads: x}\n  - {name: b, op: relu, reads: y}\n"
        "outputs: [a, b]\n",
        "net 'n' is disconnected: layer 'b'",
    ),
    "unread": (layer("name: r, op: relu, reads: x", CONV), "layer 'c': nothing reads its output"),
    "two of a name": (HEAD + CONV + CONV, "net.yaml:7: layer 'c': another layer has that name"),
    "negative size": (HEAD.replace("8, 8", "8, -8") + CONV, "net.yaml:4: input 'x': shape = [1, 8, -8, 4]: every size"),
    "no size": (with_input("{dtype: int8}"), "net.yaml:4: input 'x' has no shape"),
    "dtype": (
        with_input("{shape: [1], dtype: int7}"),
        "dtype = 'int7': must be one of float32",
    ),
    "no layers": ("schema: 1\nnet: n\ninputs: {x: [1]}\n", "layers: must be a list of at least one layer"),
    "layer is a word": (HEAD + "  - relu\n", "net.yaml:6: a layer must be a mapping (name: value), not 'relu'"),
    "schema": ("schema: 2\nlayers: []\n", "net.yaml:1: schema = 2: this hwsim reads net YAMLs of schema 1"),
    "top key": ("schema: 1\nlayer: []\n", "net.yaml:2: unknown key 'layer' in a net YAML; did you mean 'layers'?"),
    "too many inputs": (layer("name: r, op: relu, reads: [x, x]"), "layer 'r': reads 'x' beyond its 1 inputs"),
    "too few inputs": (layer("name: r, op: add"), "layer 'r': nothing says what it reads as operand"),
    "no layer before": (
        HEAD.replace("x:", "y: [1]\n  x:") + "  - {name: r, op: relu}\n",
        "layer 'r': 'reads' is missing",
    ),
    "operand without a shape": (layer("name: m, op: mul, operand: {}"), "constant 'm.operand' has no shape"),
    "bias as a number": (
        layer("name: d, op: dense, out_channels: 2, bias: 3"),
        "bias = 3: must be true, false, a",
    ),
    "output": (HEAD + CONV + "outputs: [d]\n", "output 'd' of net 'n' is no tensor"),
    "quantisation": (
        with_input("{shape: [1], quant: [0, 1]}"),
        "quant: a scale must be finite and > 0",
    ),
    "tag": ("schema: !!int 1\n", "net.yaml:1:9: tag"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    text, sentence = WRONG[case]
    path = tmp_path / "net.yaml"
    path.write_text(text)
    with pytest.raises(ModelFileError) as caught:
        load_yaml(path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


JUNK = ["0", "-1", "1.5", "true", "null", "word", "[]", "{}", "[1]", "[1, 2]", "[[1, 2], [3, 4]]", "{a: 1}", "''"]
JUNK += ["99999999999", "same", "[a]", ".nan"]


def test_words_exchanged_end_in_one_sentence(tmp_path: Path) -> None:
    path = export_yaml(small_net(), tmp_path / "net.yaml")[0]
    words = re.split(r"([\s{}\[\],:]+)", path.read_text())
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        changed = list(words)
        for at in rng.integers(0, len(words), rng.integers(1, 3)):
            changed[at] = JUNK[rng.integers(len(JUNK))] if rng.random() < 0.7 else words[rng.integers(len(words))]
        path.write_text("".join(changed))
        try:
            load_yaml(path)
        except ModelFileError:
            refused += 1
    assert refused > 250


def with_entry(path: Path, name: str, array: np.ndarray) -> None:
    """Rewrite one entry of a sidecar."""
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=True)
    entries[name] = content.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)


@pytest.fixture
def weighted(tmp_path: Path) -> Path:
    b = GraphBuilder("n")
    graph = b.build([b.dense(b.input("x", (1, 4)), 3, name="d")])
    return export_yaml(with_random_weights(graph), tmp_path / "net.yaml")[0]


def test_sidecar_of_another_shape(weighted: Path) -> None:
    # 3·4 float32 are 48 bytes; a header adds 128
    with_entry(weighted.with_suffix(".npz"), "data/d.filter.npy", np.zeros((4, 3), np.float32))
    with pytest.raises(ModelFileError, match=r"net.npz: data/d.filter.npy has shape \(4, 3\) of float32, not \(3, 4\)"):
        load_yaml(weighted)
    with_entry(weighted.with_suffix(".npz"), "data/d.filter.npy", np.zeros((400, 400), np.float32))
    with pytest.raises(ModelFileError, match=r"has 640128 bytes; shape \(3, 4\) of float32 takes 48"):
        load_yaml(weighted)


def test_sidecar_with_a_pickle(weighted: Path) -> None:
    with_entry(weighted.with_suffix(".npz"), "data/d.filter.npy", np.array([{}] * 3, object))
    with pytest.raises(ModelFileError, match=r"data/d.filter.npy"):
        load_yaml(weighted)


def test_sidecar_with_a_stranger(weighted: Path) -> None:
    with_entry(weighted.with_suffix(".npz"), "data/e.filter.npy", np.zeros(3))
    with pytest.raises(ModelFileError, match=r"holds data/e.filter.npy, which is no constant of the net"):
        load_yaml(weighted)


@pytest.mark.parametrize("name", ["../net.npz", "/var/net.npz", "sub/net.npz", "..", "''"])
def test_sidecar_outside_the_folder(weighted: Path, name: str) -> None:
    weighted.write_text(weighted.read_text().replace("weights: net.npz", f"weights: {name}"))
    with pytest.raises(ModelFileError, match=r"net.yaml:3: weights = .*: must be the name of a file beside the YAML"):
        load_yaml(weighted)


def test_sidecar_absent_truncated_or_a_link(weighted: Path, tmp_path: Path) -> None:
    sidecar = weighted.with_suffix(".npz")
    content = sidecar.read_bytes()
    for cut in range(0, len(content), 37):
        sidecar.write_bytes(content[:cut])
        with pytest.raises(ModelFileError):
            load_yaml(weighted)
    sidecar.unlink()
    with pytest.raises(ModelFileError, match="cannot be read: No such file"):
        load_yaml(weighted)
    (tmp_path / "elsewhere").write_bytes(content)
    sidecar.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFileError, match="is a link"):
        load_yaml(weighted)


def test_damaged_sidecars_end_in_one_sentence(weighted: Path) -> None:
    sidecar = weighted.with_suffix(".npz")
    content = sidecar.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(content)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
        sidecar.write_bytes(bytes(data))
        try:
            load_yaml(weighted)
        except ModelFileError:
            refused += 1
    assert refused > 100


def test_export_refuses_other_names_and_leaves_no_half_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a net YAML ends in .yaml or .yml"):
        export_yaml(small_net(), tmp_path / "net.json")
    with pytest.raises(UsageError, match="cannot write"):
        export_yaml(small_net(), tmp_path / "absent" / "net.yaml")
    assert list(tmp_path.iterdir()) == []
