"""TFLite files: real ones, damaged ones, and what the importer says about them."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tflite_maker import O, T, constant, tflite_bytes

from hwsim.errors import HwsimError, ModelFileError, UnknownOperatorError, UsageError
from hwsim.importers.constant_folding import MAX_FOLDED_ELEMENTS, fold, fold_function
from hwsim.importers.tflite_file import load_tflite, tflite_operators_of, tflite_tensor_indices

MODELS = Path(__file__).parents[2].parent / "shared" / "models"  # beside the checkout

# MACs and parameters of each architecture, batch norm folded: counted from the nets' definitions, not by this importer.
# MobileNetV2 0.35 at 128 with 5 classes has 395,493 parameters; this file's last layer has no bias, so 5 less.
COUNTS = {
    "ad01_int8": (264_192, 265_864),
    "ad01_fp32": (264_192, 265_864),
    "resnet8_int8": (12_501_632, 77_706),
    "resnet8_fp32": (12_501_632, 77_706),
    "dscnn_kws_int8": (2_656_768, 22_604),
    "dscnn_kws_fp32": (2_656_768, 22_604),
    "vww_mobilenet_v1_0.25_96_int8": (7_489_664, 210_850),
    "mobilenet_v2_0.35_128_int8": (18_947_072, 395_493 - 5),
    "squeezenetv11_128_int8": (80_217_280, 725_061),
    # MobileNetV3-small's 2,536,800 parameters with 10 classes instead of 1000 (1024 inputs and a bias each), and the
    # sixth that scales the hard sigmoids; MACs at 96 px as `nets/` has them, tested there at 224 px.
    "mobilenet_v3_small_96_int8": (12_071_360 - 990 * 1024, 2_536_800 - 990 * 1025 + 1),
}


def model(name: str) -> Path:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip("shared/models is not here")
    return path


def conv_file(**input_: object) -> bytes:
    """A quantised convolution, per channel, and a softmax; 2·2·3 ofmap elements × 3·3·2 taps = 216 MACs."""
    rng = np.random.default_rng(0)
    scales = [0.5, 0.25, 0.125]
    tensors = [
        T("image", (1, 4, 4, 2), "INT8", scale=[0.1], zero_point=[3], signature=(-1, 4, 4, 2), **input_),
        constant("w", rng.integers(-127, 127, (3, 3, 3, 2)), "int8", scale=scales, zero_point=[0, 0, 0]),
        constant("b", [1, 2, 3], scale=[0.05, 0.025, 0.0125], zero_point=[0, 0, 0]),
        T("model/conv/Relu;model/conv/BiasAdd", (1, 2, 2, 3), "INT8", scale=[0.2], zero_point=[-1]),
        T("Identity", (1, 2, 2, 3), "INT8", scale=[1 / 256], zero_point=[-128]),
    ]
    conv = {"StrideH": 2, "StrideW": 2, "DilationHFactor": 1, "DilationWFactor": 1, "Padding": 0}
    operators = [
        O("CONV_2D", ["image", "w", "b"], [tensors[3].name], "Conv2DOptions", conv),
        O("SOFTMAX", [tensors[3].name], ["Identity"], "SoftmaxOptions", {"Beta": 1.0}),
    ]
    return tflite_bytes(tensors, operators, ["image"], ["Identity"])


@pytest.fixture
def conv_path(tmp_path: Path) -> Path:
    path = tmp_path / "conv.tflite"
    path.write_bytes(conv_file())
    return path


@pytest.mark.parametrize("name", COUNTS)
def test_real_files_have_their_architectures_counts(name: str) -> None:
    graph = load_tflite(model(name))
    macs, params = COUNTS[name]
    assert graph.has_weights
    assert graph.unknown_layers == ()
    assert graph.macs == macs
    assert graph.params == params
    assert all(len(layer.name) <= 60 and ";" not in layer.name for layer in graph.layers)


def test_every_shared_file_is_counted() -> None:
    assert {path.stem for path in MODELS.glob("*.tflite")} <= COUNTS.keys()


def test_dead_channels_of_the_shipped_wake_words_net() -> None:
    # 979 of its output channels have weights below a thousandth; without them 3,737,465 MACs are left.
    graph = load_tflite(model("vww_mobilenet_v1_0.25_96_int8"))
    live = {graph.inputs[0]: np.ones(3, bool)}
    dead = macs = 0
    for layer in graph.layers:
        source = live[layer.inputs[0]]
        if layer.op.kind in ("conv2d", "dense"):
            weights = graph.tensors[layer.inputs[1]]
            assert weights.data is not None
            assert weights.quant is not None
            largest = np.abs(weights.data.astype(int)).reshape(len(weights.data), -1).max(axis=1)
            kept = largest * weights.quant.scale > 1e-3
            dead += int(np.sum(~kept))
            positions = graph.tensors[layer.outputs[0]].elements // len(kept)
            taps = weights.elements // weights.shape[0] // weights.shape[-1]
            if weights.shape[-1] == 1:  # depthwise: a filter counts if its channel lives too
                kept &= source
                macs += positions * taps * int(kept.sum())
            else:
                kept |= layer.op.kind == "dense"
                macs += positions * taps * int(kept.sum()) * int(source.sum())
            source = kept
        live[layer.outputs[0]] = source
    assert (dead, macs) == (979, 3_737_465)


@pytest.mark.parametrize("name", COUNTS)
def test_every_tensor_is_that_of_the_file(name: str) -> None:
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    path = model(name)
    graph = load_tflite(path)
    interpreter = runtime.Interpreter(
        model_path=str(path), experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    index = tflite_tensor_indices(path)
    compared = 0
    for tensor in graph.tensors.values():
        if tensor.constant or tensor.name not in index:
            continue
        detail = details[index[tensor.name]]
        assert tensor.shape == tuple(detail["shape"]), tensor.name
        assert np.dtype(tensor.dtype) == detail["dtype"], tensor.name
        quant = detail["quantization_parameters"]
        if tensor.quant is not None:
            assert tensor.quant.scale == tuple(map(float, quant["scales"]))
            assert tensor.quant.zero_point == tuple(quant["zero_points"])
        compared += 1
    assert compared > len(graph.layers)  # every layer's output, and the inputs


def test_quantisation_and_layout(conv_path: Path) -> None:
    graph = load_tflite(conv_path)
    assert [layer.name for layer in graph.layers] == ["conv", "softmax"]
    assert graph.macs == 216
    filter_ = graph.tensors["w"]
    assert filter_.quant is not None
    assert (filter_.quant.scale, filter_.quant.axis) == ((0.5, 0.25, 0.125), 0)
    image = graph.tensors["image"]
    assert image.quant is not None
    assert image.quant.scale == (float(np.float32(0.1)),)  # the float32 in the file, not the decimal 0.1
    assert image.quant.zero_point == (3,)


def test_depthwise_axis_moves_to_the_front(tmp_path: Path) -> None:
    stored = np.arange(2 * 3 * 4).reshape(1, 2, 3, 4)
    tensors = [
        T("x", (1, 4, 4, 4), "INT8", scale=[0.1], zero_point=[0]),
        constant("w", stored, "int8", scale=[1, 2, 3, 4], zero_point=[0] * 4, axis=3),
        T("y", (1, 3, 2, 4), "INT8", scale=[0.1], zero_point=[0]),
    ]
    options = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "Padding": 1}
    path = tmp_path / "depthwise.tflite"
    operator = O("DEPTHWISE_CONV_2D", ["x", "w"], ["y"], "DepthwiseConv2DOptions", options)
    path.write_bytes(tflite_bytes(tensors, [operator], ["x"], ["y"]))
    filter_ = load_tflite(path).tensors["w"]
    assert filter_.quant is not None
    assert filter_.quant.axis == 0
    assert filter_.data is not None
    assert filter_.data[3, 1, 2, 0] == stored[0, 1, 2, 3]


def test_hybrid_file_warns() -> None:
    warnings = load_tflite(model("dscnn_kws_fp32")).warnings
    # Four of its convolutions and the dense layer hold int8 weights; the first convolution and the depthwise are float.
    assert len(warnings) == 1
    assert "dscnn_kws_fp32.tflite is hybrid: float activations, int8 weights" in warnings[0]
    assert "the forward pass runs it as plain float" in warnings[0]


def test_batch(conv_path: Path) -> None:
    assert load_tflite(conv_path, batch=3).macs == 3 * 216
    assert load_tflite(conv_path, dims={"image.0": 2}).macs == 2 * 216
    with pytest.raises(UsageError, match=r"batch = 0: must be >= 1"):
        load_tflite(conv_path, batch=0)
    with pytest.raises(UsageError, match=r"no symbolic axis 'imag.0'; did you mean 'image.0'\?"):
        load_tflite(conv_path, dims={"imag.0": 2})


def test_batch_goes_through_a_reshape_to_the_files_own_batch() -> None:
    for name in ("resnet8_int8", "mobilenet_v3_small_96_int8"):
        assert load_tflite(model(name), batch=4).macs == 4 * load_tflite(model(name)).macs


def test_all_unknown_operators_are_listed(tmp_path: Path) -> None:
    tensors = [
        T("x", (1, 4)),
        T("a", (1, 4)),
        T("b", (1, 4)),
        T("c", (1, 4)),
        constant("axis", 1),
        T("y", (1,), "INT64"),
    ]
    operators = [
        O("HASHTABLE", ["x"], ["a"], "HashtableOptions", {}),
        O("MyOwnOp", ["a"], ["b"]),
        O("MyOwnOp", ["b"], ["c"]),
        O("TOPK_V2", ["c", "axis"], ["y"], "TopKV2Options", {}),
    ]
    path = tmp_path / "unknown.tflite"
    path.write_bytes(tflite_bytes(tensors, operators, ["x"], ["y"]))
    with pytest.raises(UnknownOperatorError) as caught:
        load_tflite(path)
    for part in (
        "3 of its operators",
        "HASHTABLE (layer 'a')",
        "MyOwnOp (layer 'b' and 1 more)",
        "TOPK_V2 (layer 'y')",
    ):
        assert part in str(caught.value)
    graph = load_tflite(path, allow_unknown=True)
    assert [layer.op.kind for layer in graph.layers] == ["unknown"] * 4
    assert graph.macs == 0
    assert graph.tensors["y"].dtype == "int64"
    assert sum("is unknown: it counts nothing" in warning for warning in graph.warnings) == 4
    assert [known for _, _, known in tflite_operators_of(path)] == [False] * 4


def test_a_known_operator_in_an_unknown_form_says_why(tmp_path: Path) -> None:
    tensors = [T("x", (1, 4)), T("s", (2,), "INT32"), T("y", (2, 2), signature=(-1, 2))]
    path = tmp_path / "dynamic.tflite"
    path.write_bytes(tflite_bytes(tensors, [O("RESHAPE", ["x", "s"], ["y"])], ["x", "s"], ["y"]))
    with pytest.raises(UnknownOperatorError, match=r"RESHAPE \(layer 'y': its shape is computed by the net"):
        load_tflite(path)


def test_an_operator_whose_result_is_not_needed_is_left_out(tmp_path: Path) -> None:
    # The slice feeds SHAPE alone; once that is folded, nothing reads the slice.
    tensors = [
        T("x", (1, 4)),
        constant("b", [0, 0]),
        constant("n", [1, 2]),
        T("part", (1, 2)),
        T("sizes", (2,), "INT32"),
        constant("twice", [1, 2]),
        T("target", (2,), "INT32"),
        T("y", (1, 4)),
    ]
    operators = [
        O("SLICE", ["x", "b", "n"], ["part"]),
        O("SHAPE", ["part"], ["sizes"], "ShapeOptions", {"OutType": 2}),
        O("MUL", ["sizes", "twice"], ["target"], "MulOptions", {}),
        O("RESHAPE", ["x", "target"], ["y"]),
    ]
    path = tmp_path / "dead.tflite"
    path.write_bytes(tflite_bytes(tensors, operators, ["x"], ["y"]))
    assert [layer.name for layer in load_tflite(path).layers] == ["y"]


# -- damaged files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "is not a TFLite file"),
        (b"\x08\x07\x12\x07pytorch" + bytes(64), "is not a TFLite file"),
        (b"\x10\x00\x00\x00TFL3", "is damaged or truncated"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(64), "is damaged or truncated"),
    ],
)
def test_other_content(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "wrong.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=sentence):
        load_tflite(path)


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        load_tflite(tmp_path / "absent.tflite")


def test_buffer_of_another_size(tmp_path: Path) -> None:
    tensors = [T("x", (1, 4)), T("w", (3, 4), data=np.zeros((2, 4), np.float32)), T("y", (1, 3))]
    path = tmp_path / "short.tflite"
    operator = O("FULLY_CONNECTED", ["x", "w"], ["y"], "FullyConnectedOptions", {})
    path.write_bytes(tflite_bytes(tensors, [operator], ["x"], ["y"]))
    # 2·4 float32 are there, 3·4 are stated
    with pytest.raises(ModelFileError, match=r"buffer holds 32 bytes, but shape \(3, 4\) of float32 takes 48"):
        load_tflite(path)


def damaged(content: bytes, seed: int) -> bytes:
    """Return a file truncated, or with a few bytes, words or blocks changed."""
    rng = random.Random(seed)
    data = bytearray(content)
    if seed % 7 == 0:
        return bytes(data[: rng.randrange(8, len(data))])
    for _ in range(rng.choice((1, 2, 8, 64))):
        at = rng.randrange(8, len(data) - 8)
        kind = rng.randrange(4)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"))
        elif kind == 2:
            data[at : at + 4] = rng.randrange(len(data)).to_bytes(4, "little")
        else:
            other = rng.randrange(8, len(data) - 8)
            data[at : at + 8] = data[other : other + 8]
    return bytes(data)


def try_to_load(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    try:
        load_tflite(path, allow_unknown=True)
    except HwsimError:
        return False
    return True


@pytest.mark.filterwarnings("error")
def test_damaged_files_end_in_one_sentence(tmp_path: Path) -> None:
    content = conv_file()
    path = tmp_path / "damaged.tflite"
    tracemalloc.start()
    loaded = sum(try_to_load(path, damaged(content, seed)) for seed in range(1500))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6  # the file has 2 kB
    assert 0 < loaded < 1500  # some changes do no harm, others do


@pytest.mark.parametrize("name", ["dscnn_kws_int8", "ad01_int8"])
def test_damaged_real_files_end_in_one_sentence(tmp_path: Path, name: str) -> None:
    content = model(name).read_bytes()
    # Tables stand at both ends of the file, weights between: a change there does nothing.
    path = tmp_path / "damaged.tflite"
    loaded = [try_to_load(path, damaged(content, seed)) for seed in range(150)]
    assert not all(loaded)


def test_random_bytes(tmp_path: Path) -> None:
    rng = random.Random(0)
    for _ in range(300):
        content = rng.randbytes(rng.randrange(8, 400))
        assert not try_to_load(tmp_path / "random.tflite", content)
        assert not try_to_load(tmp_path / "random.tflite", content[:4] + b"TFL3" + content[8:])


# -- constant folding --------------------------------------------------------------------------------------------------


def test_folding_follows_the_layer_types() -> None:
    from hwsim.graph import ops

    table = np.arange(12, dtype=np.int32).reshape(3, 4)
    # rows 2, 0 of [[0..3], [4..7], [8..11]]
    assert fold(ops.Gather(axis=0), [table, np.array([2, 0])])[0].tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    # columns 3, 2, 1, 0 of row 1
    down = ops.Slice(begin=(1, 3), end=(2, -1), strides=(1, -1))
    assert fold(down, [table])[0].tolist() == [[7, 6, 5, 4]]
    # integers divide towards zero: −7 / 2 = −3, 7 / −2 = −3
    assert fold(ops.Binary(function="div"), [np.array([-7, 7]), np.array([2, -2])])[0].tolist() == [-3, -3]
    assert fold(ops.Reduce(function="prod", axes=(0,)), [np.array([2, 3, 4])])[0].tolist() == 24
    assert fold(ops.Softmax(), [table]) is None


def test_folding_does_not_grow_without_bound() -> None:
    from hwsim.graph import ops

    side = int(MAX_FOLDED_ELEMENTS**0.5) + 1
    column, row = np.zeros((side, 1), np.int8), np.zeros((1, side), np.int8)
    assert fold(ops.Binary(function="add"), [column, row]) is None
    for name, inputs in (
        ("fill", [np.array([2**30, 2**30]), np.array(0)]),
        ("range", [np.array(0), np.array(2**40), np.array(1)]),
        ("tile", [np.zeros(1000), np.array([2**20])]),
        ("broadcast_to", [np.zeros(1), np.array([2**30])]),
    ):
        with pytest.raises(ops.ShapeMismatchError):
            fold_function(name, [np.asarray(value) for value in inputs])
