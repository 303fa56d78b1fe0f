"""Detectors of the YOLO line for small chips: ST's YOLO-LC and YOLOX-nano, and YOLOv8; batch norm folded."""

from __future__ import annotations

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder
from hwsim.graph.ops import Resize

from .blocks import nonlinear
from .registry import net

ANCHORS_LC = 5


@net("st_yolo_lc_v1", "ST's YOLO-LC v1 for persons, 192 px")
def st_yolo_lc_v1(resolution: int = 192, classes: int = 1, anchors: int = ANCHORS_LC) -> Graph:
    """Build ST's YOLO-LC v1 (stm32ai-modelzoo, object_detection/src/models/st_yolo_lc_v1.py).

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        anchors: Anchors per cell.
    """
    b = GraphBuilder("st_yolo_lc_v1")
    x = b.input("image", (1, resolution, resolution, 3))
    for i, filters in enumerate((16, 32, 64, 128), start=1):
        x = b.conv2d(x, filters, 3, stride=2, padding="same", activation="relu", name=f"conv{i}")
    for i, filters in enumerate((256, 256, 128, 256), start=1):
        x = b.depthwise(x, 3, name=f"dw{i}")
        x = b.conv2d(x, filters, 1, activation="relu", name=f"pw{i}")
        if i == 2:
            x = b.pool("max", x, 2, stride=1, padding="same", name="pool")
    return b.build([b.conv2d(x, anchors * (5 + classes), 1, name="detections")])


@net("st_yolox_nano", "ST's YOLOX-nano for persons: depth 0.33, width 0.25, 192 px")
def st_yolox_nano(resolution: int = 192, classes: int = 1, depth: float = 0.33, width: float = 0.25) -> Graph:
    """Build ST's YOLOX-nano: CSP-Darknet, a path-aggregation pyramid, decoupled heads, all depthwise-separable.

    Source: stm32ai-modelzoo, object_detection/tf/src/models/st_yoloxn.py.

    Args:
        resolution: Height and width of the image; a multiple of 32.
        classes: Classes.
        depth: Scales the blocks of each stage.
        width: Scales every layer's channels.

    Raises:
        NetError: The resolution is no multiple of 32.
    """
    if resolution % 32:
        raise NetError(f"st_yolox_nano: resolution = {resolution}: must be a multiple of 32")
    b = GraphBuilder("st_yolox_nano")
    base, blocks = int(width * 64), max(round(depth * 3), 1)
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, 12, 3, stride=2, padding="same", activation="relu6", name="stem1")
    x = b.conv2d(x, base, 3, padding="same", activation="relu6", name="stem2")
    features = []
    for stage in range(1, 5):
        channels, name = base << stage, f"stage{stage}"
        x = _separable(b, x, channels, 3, 2, f"{name}.down")
        if stage == 4:
            x = _pyramid_pool(b, x, f"{name}.spp")
        repeats = blocks if stage in (1, 4) else 3 * blocks
        x = _csp(b, x, repeats, channels, stage < 4, name)
        features.append(x)
    fine, middle, coarse = features[1:]
    top = _pointwise(b, coarse, b.channels(middle), "fpn4.lateral")
    middle = _csp(
        b, b.concat([_doubled(b, top, "fpn4.up"), middle], name="fpn4.concat"), blocks, base * 8, False, "fpn4"
    )
    side = _pointwise(b, middle, b.channels(fine), "fpn3.lateral")
    fine = _csp(b, b.concat([_doubled(b, side, "fpn3.up"), fine], name="fpn3.concat"), blocks, base * 4, False, "fpn3")
    maps = [fine]
    for other, name in ((side, "pan4"), (top, "pan5")):
        x = _separable(b, maps[-1], b.channels(other), 3, 2, f"{name}.down")
        x = b.concat([x, other], name=f"{name}.concat")
        maps.append(_csp(b, x, blocks, b.channels(x), False, name))
    outputs = [_yolox_head(b, x, int(256 * width), classes, f"head{i}") for i, x in enumerate(maps, start=3)]
    return b.build(outputs)


def _pointwise(b: GraphBuilder, x: str, filters: int, name: str) -> str:
    return b.conv2d(x, filters, 1, activation="relu6", name=name)


def _separable(b: GraphBuilder, x: str, filters: int, kernel: int, stride: int, name: str) -> str:
    x = b.depthwise(x, kernel, stride=stride, activation="relu6", name=f"{name}.dw")
    return _pointwise(b, x, filters, f"{name}.pw")


def _doubled(b: GraphBuilder, x: str, name: str, mode: str = "bilinear") -> str:
    _, h, w, _ = b.shape(x)
    size = (2 * h, 2 * w)
    op = Resize(mode="bilinear", size=size) if mode == "bilinear" else Resize(mode="nearest", size=size)
    return b.add(op, [x], name=name)[0]


def _csp(b: GraphBuilder, x: str, repeats: int, channels: int, shortcut: bool, name: str) -> str:
    """Cross-stage partial stack: half the channels pass by, the other half go through blocks."""
    hidden = channels // 2
    short = _pointwise(b, x, hidden, f"{name}.short")
    deep = _pointwise(b, x, hidden, f"{name}.deep")
    for i in range(1, repeats + 1):
        y = _pointwise(b, deep, hidden, f"{name}.{i}.conv1")
        y = _separable(b, y, hidden, 3, 1, f"{name}.{i}.conv2")
        deep = b.binary("add", deep, y, name=f"{name}.{i}.add") if shortcut else y
    return _pointwise(b, b.concat([deep, short], name=f"{name}.join"), channels, f"{name}.out")


def _pyramid_pool(b: GraphBuilder, x: str, name: str) -> str:
    channels = b.channels(x)
    y = _pointwise(b, x, channels // 2, f"{name}.conv1")
    pools = [b.pool("max", y, size, stride=1, padding="same", name=f"{name}.pool{size}") for size in (5, 9, 13)]
    return _pointwise(b, b.concat([y, *pools], name=f"{name}.concat"), channels, f"{name}.conv2")


def _yolox_head(b: GraphBuilder, x: str, filters: int, classes: int, name: str) -> str:
    stem = _pointwise(b, x, filters, f"{name}.stem")
    score = _separable(b, _separable(b, stem, filters, 3, 1, f"{name}.class1"), filters, 3, 1, f"{name}.class2")
    box = _separable(b, _separable(b, stem, filters, 3, 1, f"{name}.box1"), filters, 3, 1, f"{name}.box2")
    parts = [
        b.conv2d(box, 4, 1, name=f"{name}.box"),
        b.conv2d(box, 1, 1, name=f"{name}.object"),
        b.conv2d(score, classes, 1, name=f"{name}.class"),
    ]
    return b.concat(parts, name=f"{name}.out")


@net("yolov8n", "YOLOv8 nano for COCO, 640 px")
@net("yolov8n_person", "YOLOv8 nano for persons, 192 px", resolution=192, classes=1)
def yolov8(resolution: int = 640, classes: int = 80, width: float = 0.25, depth: float = 0.33) -> Graph:
    """Build YOLOv8 (github.com/ultralytics/ultralytics, yolov8.yaml) up to boxes and scores per cell.

    Args:
        resolution: Height and width of the image; a multiple of 32.
        classes: Classes.
        width: Scales every layer's channels; the widest layer keeps 1024 · width.
        depth: Scales the blocks of each stage.

    Raises:
        NetError: The resolution is no multiple of 32.
    """
    if resolution % 32:
        raise NetError(f"yolov8: resolution = {resolution}: must be a multiple of 32")
    b = GraphBuilder("yolov8")
    widths = [max(round(filters * width), 8) for filters in (64, 128, 256, 512, 1024)]
    x = b.input("image", (1, resolution, resolution, 3))
    x = _silu_conv(b, x, widths[0], 3, 2, "conv1")
    features = []
    for stage, repeats in enumerate((3, 6, 6, 3), start=1):
        x = _silu_conv(b, x, widths[stage], 3, 2, f"stage{stage}.down")
        x = _c2f(b, x, widths[stage], max(round(repeats * depth), 1), True, f"stage{stage}")
        features.append(x)
    x = _fast_pyramid_pool(b, x, "spp")
    blocks = max(round(3 * depth), 1)
    coarse, merged = x, []
    for level, side in ((4, features[2]), (3, features[1])):
        x = b.concat([_doubled(b, x, f"up{level}", "nearest"), side], name=f"up{level}.join")
        x = _c2f(b, x, b.channels(side), blocks, False, f"fpn{level}")
        merged.append(x)
    maps = [x]
    for level, side in ((4, merged[0]), (5, coarse)):
        x = _silu_conv(b, x, b.channels(x), 3, 2, f"pan{level}.down")
        x = _c2f(b, b.concat([x, side], name=f"pan{level}.join"), b.channels(side), blocks, False, f"pan{level}")
        maps.append(x)
    return b.build(_yolov8_head(b, maps, classes))


BINS = 16  # of the distribution over each side's distance


def _silu_conv(b: GraphBuilder, x: str, filters: int, kernel: int, stride: int, name: str) -> str:
    x = b.conv2d(x, filters, kernel, stride=stride, padding=kernel // 2, name=name)
    return nonlinear(b, x, "silu", f"{name}.silu")


def _c2f(b: GraphBuilder, x: str, filters: int, repeats: int, shortcut: bool, name: str) -> str:
    """CSP block that keeps every intermediate: split, bottlenecks one after the other, join them all."""
    hidden = filters // 2
    parts = list(b.split(_silu_conv(b, x, 2 * hidden, 1, 1, f"{name}.conv1"), (hidden, hidden), name=f"{name}.split"))
    for i in range(1, repeats + 1):
        y = _silu_conv(b, parts[-1], hidden, 3, 1, f"{name}.{i}.conv1")
        y = _silu_conv(b, y, hidden, 3, 1, f"{name}.{i}.conv2")
        parts.append(b.binary("add", parts[-1], y, name=f"{name}.{i}.add") if shortcut else y)
    return _silu_conv(b, b.concat(parts, name=f"{name}.concat"), filters, 1, 1, f"{name}.conv2")


def _fast_pyramid_pool(b: GraphBuilder, x: str, name: str) -> str:
    channels = b.channels(x)
    parts = [_silu_conv(b, x, channels // 2, 1, 1, f"{name}.conv1")]
    for i in range(1, 4):
        parts.append(b.pool("max", parts[-1], 5, stride=1, padding=2, name=f"{name}.pool{i}"))
    return _silu_conv(b, b.concat(parts, name=f"{name}.concat"), channels, 1, 1, f"{name}.conv2")


def _yolov8_head(b: GraphBuilder, maps: list[str], classes: int) -> list[str]:
    box_filters = max(16, b.channels(maps[0]) // 4, 4 * BINS)
    class_filters = max(b.channels(maps[0]), min(classes, 100))
    boxes: list[str] = []
    scores: list[str] = []
    for i, x in enumerate(maps, start=3):
        for what, filters, width, rows in (
            ("box", box_filters, 4 * BINS, boxes),
            ("class", class_filters, classes, scores),
        ):
            y = _silu_conv(b, x, filters, 3, 1, f"{what}{i}.conv1")
            y = _silu_conv(b, y, filters, 3, 1, f"{what}{i}.conv2")
            y = b.conv2d(y, width, 1, name=f"{what}{i}.out")
            rows.append(b.reshape(y, (1, -1, width), name=f"{what}{i}.rows"))
    box = b.concat(boxes, axis=1, name="boxes")
    cells = b.shape(box)[1]
    box = b.softmax(b.reshape(box, (1, cells, 4, BINS), name="bins"), name="bin_weights")
    # The expected distance: a 1×1 convolution with the bins' numbers.
    box = b.conv2d(box, 1, 1, bias=False, name="distances")
    score = b.unary("sigmoid", b.concat(scores, axis=1, name="classes"), name="scores")
    return [b.reshape(box, (1, cells, 4), name="box"), score]
