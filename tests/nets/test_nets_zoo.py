"""ST's own nets: MACs and int8 weight bytes equal what ST's model zoo publishes of them."""

import pytest

from hwsim.cost import lower
from hwsim.errors import NetError
from hwsim.nets import build

# name, parameters, MACs in millions (of the zoo's .tflite graphs), weights in KiB of flash (its READMEs: int8 weights
# and int32 biases); STMicroelectronics/stm32ai-modelzoo. None: the zoo does not say.
ZOO = [
    ("mobilenet_v1", {"alpha": 0.25, "resolution": 96, "classes": 5}, 7.4904, 214.69),
    ("mobilenet_v1", {"alpha": 0.25, "resolution": 96, "classes": 5, "in_channels": 1}, 7.1587, 214.55),
    ("mobilenet_v1", {"alpha": 0.25, "classes": 1000}, 41.0303, 467.33),
    ("mobilenet_v1", {}, 568.7404, 4157.09),
    ("mobilenet_v2", {"alpha": 0.35, "resolution": 128, "classes": 5}, 18.9471, 406.86),
    ("mobilenet_v2", {"alpha": 1.4}, 582.1958, 6015.34),
    ("mobilenet_v2", {"alpha": 0.35, "resolution": 256, "image_width": 128, "classes": 0}, 37.8813, 400.59),
    ("mobilenet_v2", {"alpha": 1.0, "resolution": 256, "image_width": 128, "classes": 0}, 195.5881, 2205.06),
    ("resnet8", {}, 12.5016, 76.90),
    ("resnet50_v2", {}, 3482.2554, 25042.47),
    ("resnet50_v2", {"classes": 101}, 3480.4142, 23240.96),
    ("squeezenet_v1_1", {"resolution": 128, "classes": 5}, 80.2173, 716.71),
    ("st_squeezenet_v1_0", {}, 173.3755, 535.69),
    ("st_efficientnet_lc_v1", {"resolution": 128}, 19.8316, 505.29),
    ("st_efficientnet_lc_v1", {}, 60.5905, 505.29),
    ("st_mnist", {}, 1.0764, 10.08),
    ("st_tiny_yolov2", {}, 773.8644, 10775.98),
    ("st_tiny_yolov2", {"resolution": 192}, 568.5535, 10775.98),
    ("st_yolo_lc_v1", {}, 61.5260, 276.73),
    ("st_yolo_lc_v1", {"resolution": 224}, 83.7437, 276.73),
    ("st_yolo_lc_v1", {"resolution": 256}, 109.3796, 276.73),
    ("ssd_mobilenet_v2_fpnlite_035", {}, 121.8036, None),
    ("ssd_mobilenet_v2_fpnlite_035", {"resolution": 416}, 572.1728, None),
    ("st_yolox_nano", {}, None, 891.18),
    ("miniresnet_v1_s1", {}, 7.3615, 123.6),
    ("miniresnet_v1_s2", {}, 12.5891, 431.1),
    ("miniresnet", {"late_stride": True}, 14.4394, 127.85),
    ("miniresnet", {"late_stride": True, "stacks": 2}, 26.4827, 451.85),
    ("st_gmp", {}, 0.0663, 1.53),
    ("st_gmp", {"samples": 48}, 0.1642, 1.53),
    ("st_ign", {}, 0.0130, 3.11),
    ("st_ign", {"samples": 48}, 0.0476, 9.86),
    ("st_afd_conv", {}, None, 49.23),
    ("st_afd_conv", {"channels": 4}, None, 49.23),
    ("st_afd_dense", {}, None, 8.24),
]


@pytest.mark.parametrize(("name", "parameters", "macs_m", "weights_kib"), ZOO)
def test_counts_equal_the_zoo(name, parameters, macs_m, weights_kib):
    graph = build(name, **parameters)
    if macs_m is not None:
        assert graph.macs / 1e6 == pytest.approx(macs_m, abs=5.1e-5)
    if weights_kib is not None:
        assert lower(graph, dtype="int8").weight_bytes / 1024 == pytest.approx(weights_kib, abs=0.0051)


# Nets whose files hold more constants than weights: anchors (3 boxes' bytes per cell and 2 more), as the zoo's sizes
# tell: 2955.64 KiB at 192 px and 2972.00 KiB at 416 px differ by 2793 cells of 6 bytes.
@pytest.mark.parametrize(("resolution", "weights_kib"), [(192, 2955.64), (256, 2959.08), (416, 2972.00)])
def test_yolov8n_with_its_anchors(resolution, weights_kib):
    cells = sum((resolution // stride) ** 2 for stride in (8, 16, 32))
    graph = build("yolov8n_person", resolution=resolution)
    weights = lower(graph, dtype="int8").weight_bytes
    assert (weights + 6 * cells) / 1024 == pytest.approx(weights_kib, abs=0.05)


def test_yolov8n_has_the_parameters_its_makers_print():
    # "YOLOv8n summary (fused): 3,151,904 parameters, 8.7 GFLOPs" (2 operations per MAC)
    graph = build("yolov8n")
    assert graph.params == 3151904
    assert 2 * graph.macs / 1e9 == pytest.approx(8.7, abs=0.05)


# SSD files hold five anchors of four int8 numbers per cell: 192 px has 24² + 12² + 6² + 3² + 2² cells.
@pytest.mark.parametrize(("resolution", "weights_kib"), [(224, 1059.17), (256, 1065.32), (416, 1109.27)])
def test_ssd_fpnlite_with_its_anchors(resolution, weights_kib):
    graph = build("ssd_mobilenet_v2_fpnlite_035", resolution=resolution)
    sizes = [resolution // 8, resolution // 16, resolution // 32]
    sizes += [-(-sizes[2] // 2), -(-sizes[2] // 4)]
    anchors = 5 * 4 * sum(size**2 for size in sizes)
    assert (lower(graph, dtype="int8").weight_bytes + anchors) / 1024 == pytest.approx(weights_kib, abs=0.0051)


@pytest.mark.parametrize(
    ("resolution", "cells"), [(192, 5 * (576 + 144 + 36 + 9 + 1)), (256, 5 * 1365), (224, 5 * 1365)]
)
def test_st_ssd_v1_has_five_boxes_per_cell_of_its_pyramid(resolution, cells):
    # maps of 24, 12, 6, 3 and 1 cells a side at 192 px; of 32, 16, 8, 4, 2 and 1 at 256 px, and at 224 px by padding
    graph = build("st_ssd_mobilenet_v1", resolution=resolution)
    assert [graph.tensors[name].shape for name in graph.outputs] == [(1, cells, 2), (1, cells, 4)]


@pytest.mark.parametrize(
    ("name", "resolution"),
    [
        ("st_ssd_mobilenet_v1", 200),
        ("ssd_mobilenet_v2_fpnlite_035", 100),
        ("st_yolox_nano", 100),
        ("yolov8n", 100),
        ("st_movenet_heatmaps", 100),
    ],
)
def test_a_resolution_that_does_not_divide_is_a_sentence(name, resolution):
    with pytest.raises(NetError, match=f"resolution = {resolution}"):
        build(name, resolution=resolution)


def test_without_classes_the_pooled_features_are_the_output():
    graph = build("mobilenet_v2", classes=0, resolution=96)
    assert graph.tensors[graph.outputs[0]].shape == (1, 1280)


def test_osnet_halves_its_image_twice_more_than_its_stem():
    # 256×128 -> 64×32 after the stem, 16×8 after two transitions
    graph = build("osnet_0_25")
    pooled = next(layer for layer in graph.layers if layer.name == "pool")
    assert graph.tensors[pooled.inputs[0]].shape == (1, 16, 8, 128)


def test_pruned_vww_executes_the_macs_of_onncs_code():
    assert build("vww_mobilenet_live").macs == pytest.approx(3747347, rel=0.002)


def test_movenet_heatmaps_have_a_quarter_of_the_resolution():
    graph = build("st_movenet_heatmaps")
    assert graph.tensors[graph.outputs[0]].shape == (1, 48, 48, 17)
