"""Parameters and MACs of the builders equal the published nets' own, to the last one."""

import csv
from pathlib import Path

import pytest

from hwsim.errors import NetError, UsageError
from hwsim.nets import NETS, build

# Parameters (batch norm folded) and MACs counted from the published architectures (prototxt, cfg, TFLite, model code);
# the note says which variant. Input sizes are the nets' defaults unless given.
COMPUTED = [
    ("alexnet", {}, 60965224, 724406816, "Caffe, 2 groups"),
    ("alexnet_ungrouped", {}, 62378344, 1135256096, "no groups"),
    ("alexnet_torchvision", {}, 61100840, 714188480, "torchvision"),
    ("squeezenet_v1_0", {}, 1248424, 861339936, "released: 227, ceil pooling, conv10 pad 1"),
    ("squeezenet_v1_0_paper", {}, 1248424, 832667936, "paper: conv10 unpadded"),
    ("squeezenet_v1_0", {"resolution": 224}, 1248424, 847596576, "released at 224"),
    ("squeezenet_v1_0_paper", {"resolution": 224}, 1248424, 818924576, "224, conv10 unpadded"),
    ("squeezenet_v1_1", {"resolution": 227}, 1235496, 387747520, "released: ceil pooling at 227"),
    ("squeezenet_v1_1", {}, 1235496, 349151936, "224"),
    ("squeezenet_v1_1", {"resolution": 227, "ceil_pooling": False}, 1235496, 352540352, "227, floor pooling"),
    ("vgg16", {}, 138357544, 15470264320, ""),
    ("resnet18", {}, 11684712, 1814073344, ""),
    ("resnet50", {}, 25530472, 4089184256, "v1.5"),
    ("resnet50_v1", {}, 25530472, 3857973248, "v1"),
    ("mobilenet_v1", {}, 4221032, 568740352, ""),
    ("mobilenet_v1_0_25", {}, 467336, 41030272, "224"),
    ("mobilenet_v2", {}, 3487816, 300774272, ""),
    ("mobilenet_v3_small", {}, 2536800, 56510400, "SE included, h-swish counts 0"),
    ("mobilenet_v3_large", {}, 5470832, 216589760, ""),
    ("shufflenet_v2_0_5", {}, 1362816, 40476448, ""),
    ("shufflenet_v2", {}, 2270514, 144907992, ""),
    ("tiny_darknet", {}, 1039912, 491524096, "Darknet cfg"),
    ("tiny_yolov2", {}, 15858717, 3485520896, "VOC, 125 outputs"),
    ("efficientnet_lite0", {}, 4631000, 385187552, ""),
    ("efficientnet_b0", {}, 5267540, 385814752, "SE included"),
    ("lenet5", {}, 61706, 416520, "1998, dense C3"),
    ("lenet_caffe", {}, 431080, 2293000, ""),
    ("ds_cnn", {}, 22604, 2656768, "MLPerf Tiny kws"),
    ("resnet8", {}, 77706, 12501632, "MLPerf Tiny ic, 16 filters"),
    ("resnet8", {"width": 26}, 203746, 32562192, "26 filters"),
    ("vww_mobilenet", {}, 210850, 7489664, "MLPerf Tiny vww, dense"),
    ("ad_autoencoder", {}, 265864, 264192, "MLPerf Tiny ad"),
    ("deit_tiny", {}, 5717416, 1253683200, "attention products counted"),
    ("kwt_1", {}, 607436, 73698560, ""),
    ("kwt_2", {}, 2394508, 264182272, ""),
    ("kwt_3", {}, 5361228, 571451136, ""),
    ("stories260k_decode", {}, 260032, 587008, "context 512"),
    ("stories15m_decode", {}, 15191712, 16072704, "context 256"),
    ("stories42m_decode", {}, 41689600, 50069504, "context 1024"),
    ("stories110m_decode", {}, 109529856, 128385024, "context 1024"),
    ("smollm_135m_decode", {"context": 1}, 134515008, 134514432, "first token"),
    ("smollm_135m_decode", {}, 134515008, 205258752, "context 2048"),
    ("squeezenext_1_0_g", {}, 537296, 224191552, ""),
    ("squeezenext_1_0", {}, 711504, 277999808, ""),
    ("squeezenext_1_0_v5", {}, 922832, 224916480, ""),
    ("squeezenext_2_0", {}, 2350368, 742070464, ""),
    ("squeezenext_2_0_v5", {}, 3208736, 702592000, ""),
    ("squeezenet_v1_1", {"resolution": 128, "classes": 5}, 725061, 80217280, "ST model zoo"),
    ("squeezenet_v1_1", {"resolution": 224, "classes": 5}, 725061, 263056576, "ST model zoo"),
]
# Rows of the reference table that no builder makes, and why.
NOT_BUILT = {
    "MobileNetV1 0.25 (MLPerf Tiny vww), dead channels removed": "a pruned file, not an architecture",
    "MCUNet-vww1": "known from its TFLite file only",
    "MCUNetV2-large (TinyEngine asset)": "known from its TFLite file only",
    "person-det (TinyEngine asset)": "known from its TFLite file only",
    # 540,805 parameters of its weights and biases; st_squeezenet_v1_0 has the 522 of its norms as well
    '"SqueezeNet v1.0", 5 classes (ST model zoo)': "built as st_squeezenet_v1_0, norms counted",
}
REFERENCE = Path(__file__).parents[3] / "shared" / "data" / "net_reference.csv"


@pytest.mark.parametrize(("name", "parameters", "params", "macs", "_note"), COMPUTED)
def test_counts_equal_the_published_net(name, parameters, params, macs, _note):
    graph = build(name, **parameters)
    assert (graph.params, graph.macs) == (params, macs)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference table is not on this machine")
def test_every_computed_row_of_the_reference_is_tested():
    tested = {(params, macs) for _, _, params, macs, _ in COMPUTED}
    with REFERENCE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "computed" and row["net"] not in NOT_BUILT]
    counts = [(int(row["params_folded"] or row["params"]), int(row["macs"])) for row in rows]
    assert [row["net"] for row, count in zip(rows, counts, strict=True) if count not in tested] == []
    assert len(rows) > 40


def test_seven_fire_squeezenet_of_the_st_zoo():
    # The table's parameters are those of the convolutions; two for each channel of the norms come on top: seven squeeze
    # layers of 16+16+32+32+48+48+64 filters, and 5 classes.
    graph = build("st_squeezenet_v1_0")
    assert graph.params == 540805 + 2 * (16 + 16 + 32 + 32 + 48 + 48 + 64 + 5)
    assert graph.macs == 173375520


# Largest ifmap + ofmap of a layer, in elements, counted from the same architectures.
PEAKS = [
    ("alexnet_torchvision", {}, 344128),
    ("squeezenet_v1_1", {}, 982144),
    ("vgg16", {}, 6422528),
    ("mobilenet_v1", {}, 1204224),
    ("mobilenet_v2", {}, 1505280),
    ("squeezenext_1_0_v5", {}, 1003520),
    ("ds_cnn", {}, 16000),
    ("ad_autoencoder", {}, 768),
]


@pytest.mark.parametrize(("name", "parameters", "peak"), PEAKS)
def test_largest_pair_of_maps(name, parameters, peak):
    assert build(name, **parameters).peak_inout_elements == peak


# Nets without a computed row: counts as their papers print them, rounded there.
PUBLISHED = [
    ("fd_mobilenet", 2.9e6, 144e6, "arXiv 1802.03750, table 2"),
    ("resnet32", 0.46e6, 69e6, "arXiv 1512.03385, table 6"),
    ("yamnet", 3.7e6, 69.2e6, "YAMNet README: 3.7M weights, 69.2M multiplies per frame"),
]


@pytest.mark.parametrize(("name", "params", "macs", "_source"), PUBLISHED)
def test_counts_agree_with_rounded_figures(name, params, macs, _source):
    graph = build(name)
    assert graph.params == pytest.approx(params, rel=0.015)
    assert graph.macs == pytest.approx(macs, rel=0.015)


# The same nets to the last one: each convolution's and dense layer's (positions, taps x inputs, outputs), by hand.
def counted(layers):
    """Return parameters (one bias per output) and MACs of layers given as (positions, inputs per output, outputs)."""
    return (
        sum((inputs + 1) * outputs for _, inputs, outputs in layers),
        sum(positions * inputs * outputs for positions, inputs, outputs in layers),
    )


def separable(plan):
    """Return the two convolutions of each depthwise-separable block (positions, channels, filters)."""
    return [part for p, c, k in plan for part in ((p, 9, c), (p, c, k))]


FD_MOBILENET_0_25 = [
    (112**2, 27, 8),
    *separable([(56**2, 8, 16), (28**2, 16, 32), (28**2, 32, 32), (14**2, 32, 64), (14**2, 64, 64), (7**2, 64, 128)]),
    *separable([(7**2, 128, 128)] * 4 + [(7**2, 128, 256)]),
    (1, 256, 5),
]
RESNET32 = [
    (32**2, 27, 16),
    *[(32**2, 9 * 16, 16)] * 10,
    *[(16**2, 9 * 16, 32), *[(16**2, 9 * 32, 32)] * 9, (16**2, 16, 32)],
    *[(8**2, 9 * 32, 64), *[(8**2, 9 * 64, 64)] * 9, (8**2, 32, 64)],
    (1, 64, 100),
]
YAMNET_256 = [
    (48 * 32, 9, 32),
    *separable([(48 * 32, 32, 64), (24 * 16, 64, 128), (24 * 16, 128, 128), (12 * 8, 128, 256), (12 * 8, 256, 256)]),
    (1, 256, 10),
]
# name, parameters, layers, what they sum to, and int8 weights with int32 biases in KiB.
BY_HAND = [
    ("fd_mobilenet_0_25", {"classes": 5}, FD_MOBILENET_0_25, 125477, 11783232, 128.32),
    ("resnet32", {"classes": 100}, RESNET32, 471524, 69130496, 464.38),
    ("yamnet_256", {}, YAMNET_256, 134730, 23902720, 135.91),
]


@pytest.mark.parametrize(("name", "parameters", "layers", "params", "macs", "int8_kib"), BY_HAND)
def test_nets_without_a_row_equal_their_layers_counted_by_hand(name, parameters, layers, params, macs, int8_kib):
    assert counted(layers) == (params, macs)
    graph = build(name, **parameters)
    assert (graph.params, graph.macs) == (params, macs)
    biases = sum(outputs for _, _, outputs in layers)
    assert (graph.params + 3 * biases) / 1024 == pytest.approx(int8_kib, abs=0.005)


def test_yamnet_256_is_the_beginning_of_yamnet():
    short, whole = build("yamnet_256"), build("yamnet")
    body = [layer for layer in short.layers if layer.name.startswith(("conv", "dw", "pw"))]
    assert body == list(whole.layers[: len(body)])
    assert short.tensors[body[-1].outputs[0]].shape[-1] == 256


# The paper's sweeps: squeeze ratio at half 3x3 filters, and share of 3x3 filters at squeeze ratio 0.5; 224 px, conv10
# unpadded. Parameters counted from the definition; the paper prints 4.8, 13 and 19 MB for ratios 0.125, 0.5 and 0.75.
SWEEP = [
    (0.125, 0.5, 1248424, 0.819e9),
    (0.25, 0.5, 1967080, 1.384e9),
    (0.5, 0.5, 3404392, 2.513e9),
    (0.75, 0.5, 4841704, 3.643e9),
    (1.0, 0.5, 6279016, 4.772e9),
    (0.5, 0.01, 1478248, 0.976e9),
    (0.5, 0.25, 2421352, 1.728e9),
    (0.5, 0.75, 4387432, 3.298e9),
    (0.5, 0.99, 5330536, 4.050e9),
]


@pytest.mark.parametrize(("ratio", "share", "params", "macs"), SWEEP)
def test_squeezenet_design_space(ratio, share, params, macs):
    graph = build("squeezenet_v1_0_paper", resolution=224, squeeze_ratio=ratio, pct_3x3=share)
    assert graph.params == params
    assert graph.macs == pytest.approx(macs, rel=1e-3)


def test_squeezenet_with_one_kind_of_filter():
    # No 3x3: fire2 is 96x16 + 16x128 with biases; all 3x3: the same plus eight more taps for each of 16x128.
    small = build("squeezenet_v1_0", pct_3x3=0.0)
    large = build("squeezenet_v1_0", pct_3x3=1.0)
    assert not any(layer.op.kind == "concat" for layer in (*small.layers, *large.layers))
    # squeeze and expand of modules 2..9: e = 128, 128, 256, 256, 384, 384, 512, 512 and s = e / 8
    products = 2 * sum(e * e // 8 for e in (128, 256, 384, 512))
    assert large.params - small.params == 8 * products


def test_squeezenet_grows_by_its_metaparameters():
    # freq 1: modules 2..9 expand to 128, 256, ..., 1024; base_e 64, incr_e 32, freq 4: 64 and 96 four times each.
    def expands(**parameters):
        graph = build("squeezenet_v1_0", **parameters)
        return [graph.tensors[f"fire{i}.concat"].shape[-1] for i in range(2, 10)]

    assert expands() == [128, 128, 256, 256, 384, 384, 512, 512]
    assert expands(freq=1) == [128, 256, 384, 512, 640, 768, 896, 1024]
    assert expands(base_e=64, incr_e=32, freq=4) == [64] * 4 + [96] * 4


def test_bypasses():
    plain, simple = build("squeezenet_v1_0"), build("squeezenet_v1_0", bypass="simple")
    complex_ = build("squeezenet_v1_0", bypass="complex")
    assert simple.params == plain.params
    assert simple.macs == plain.macs
    # Around fire3, 5, 7, 9 widths stay.
    assert sum(layer.op.kind == "binary" for layer in simple.layers) == 4
    # 1x1 convolutions around fire2, 4, 6, 8: 96->128, 128->256, 256->384, 384->512, with biases.
    added = sum(i * o + o for i, o in [(96, 128), (128, 256), (256, 384), (384, 512)])
    assert complex_.params == plain.params + added


@pytest.mark.parametrize("name", sorted(NETS))
def test_every_net_builds_and_is_named(name):
    graph = build(name)
    assert graph.name == name
    assert graph.macs > 0


@pytest.mark.parametrize("name", ["squeezenet_v1_1", "mobilenet_v2", "resnet18", "shufflenet_v2", "tiny_darknet"])
def test_a_larger_image_costs_macs_and_no_parameters(name):
    small, large = build(name, resolution=96), build(name, resolution=192)
    assert small.params == large.params
    assert small.macs < large.macs


def test_classes_change_the_last_layer_alone():
    ten, hundred = build("mobilenet_v2", classes=10), build("mobilenet_v2", classes=100)
    assert hundred.params - ten.params == 90 * (1280 + 1)


def test_unknown_names_and_values_are_told():
    with pytest.raises(UsageError, match="did you mean 'squeezenet_v1_1'"):
        build("squeezenet_v11")
    with pytest.raises(UsageError, match="no parameter 'resolutoin'; did you mean 'resolution'"):
        build("squeezenet_v1_1", resolutoin=96)
    with pytest.raises(UsageError, match="resolution = 'big': must be a whole number"):
        build("squeezenet_v1_1", resolution="big")
    with pytest.raises(UsageError, match="must be a whole number"):
        build("squeezenet_v1_1", resolution=True)
    with pytest.raises(NetError, match="must be one of none, simple, complex"):
        build("squeezenet_v1_0", bypass="both")


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("mobilenet_v1", {"alpha": -1.0}, "alpha = -1.0: must be greater than 0 and at most 1,048,576, such as 1.0"),
        ("mobilenet_v1", {"alpha": 0.0}, "alpha = 0.0: must be greater than 0"),
        ("mobilenet_v1", {"alpha": float("nan")}, "alpha = nan: must be greater than 0"),
        ("vgg16", {"width": 0}, "width = 0: must be greater than 0 and at most 1,048,576, such as 1.0"),
        ("vgg16", {"classes": -1}, "classes = -1: must be from 0 to 1,048,576, such as 1000"),
        ("alexnet", {"classes": 0}, "every size must be >= 1; usual is classes = 1000"),
        ("vgg16", {"resolution": 7}, "with resolution = 7: layer 'pool3' (Pool2d): window of 2 exceeds its input of 1"),
        ("vgg16", {"resolution": 7}, "usual is resolution = 224"),
        ("vgg16", {"resolution": 0}, "resolution = 0: must be greater than 0"),
        ("vgg16", {"resolution": 2**20}, "at most 2^40 elements; usual is resolution = 224"),
        ("vgg16", {"resolution": 2**40}, "must be greater than 0 and at most 1,048,576"),
        ("resnet32", {"blocks": 1_000_000}, "blocks = 1000000: must be greater than 0 and at most 1,000, such as 5"),
        ("kwt_1", {"heads": 7}, "heads = 7: must divide width = 64; usual is heads = 1"),
        ("shufflenet_v2", {"width": 0.3}, "width = 0.3: must be one of 0.5, 1.0, 1.5, 2.0; usual is width = 1.0"),
    ],
)
def test_parameters_that_make_no_net(name, parameters, sentence):
    with pytest.raises(NetError) as caught:
        build(name, **parameters)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
