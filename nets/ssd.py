"""Single-shot detectors on MobileNet, as ST trains them: SSD v1 with a small pyramid, SSDLite v2 with FPN-lite heads.

Boxes and class scores are the outputs; anchors are constants of the application. Batch norm is folded.
"""

from __future__ import annotations

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder
from hwsim.graph.ops import Pad, Resize

from .mobilenet import mobilenet_v1_body, mobilenet_v2_body
from .registry import net

ANCHORS = 5  # two sizes and four aspect ratios, of which one pair is shared
BOX = 4


@net("ssd_mobilenet_v2_fpnlite", "ST's SSD with MobileNet V2 0.35 and FPN-lite heads, 192 px", alpha=0.35)
@net("ssd_mobilenet_v2_fpnlite_035", "ST's SSD with MobileNet V2 0.35 and FPN-lite heads, 192 px", alpha=0.35)
@net("ssd_mobilenet_v2_fpnlite_100", "ST's SSD with MobileNet V2 1.0 and FPN-lite heads, 192 px")
def ssd_mobilenet_v2_fpnlite(resolution: int = 192, classes: int = 1, alpha: float = 1.0, filters: int = 128) -> Graph:
    """Build ST's SSD-MobileNetV2-FPNLite.

    Source: stm32ai-modelzoo, object_detection/src/models/ssd_mobilenet_v2_fpnlite.py.

    Args:
        resolution: Height and width of the image; a multiple of 32.
        classes: Classes besides the background.
        alpha: Scales the backbone's channels.
        filters: Channels of the pyramid.

    Raises:
        NetError: The resolution is no multiple of 32.
    """
    if resolution % 32:
        raise NetError(f"ssd_mobilenet_v2_fpnlite: resolution = {resolution}: must be a multiple of 32")
    b = GraphBuilder("ssd_mobilenet_v2_fpnlite")
    blocks = mobilenet_v2_body(b, b.input("image", (1, resolution, resolution, 3)), alpha)
    fine, middle, coarse = (
        b.conv2d(blocks[i], filters, 1, name=f"lateral{level}") for level, i in enumerate((5, 12, 17), start=3)
    )
    middle = b.binary("add", middle, _doubled(b, coarse, "up5"), name="merge4")
    middle = _separable(b, middle, filters, 1, "smooth4")
    fine = b.binary("add", fine, _doubled(b, middle, "up4"), name="merge3")
    fine = _separable(b, fine, filters, 1, "smooth3")
    coarser = _separable(b, coarse, filters, 2, "down6")
    coarsest = _separable(b, coarser, filters, 2, "down7")
    outputs = []
    for level, x in enumerate((fine, middle, coarse, coarser, coarsest), start=3):
        for i in range(1, 5):
            x = _separable(b, x, filters, 1, f"head{level}.{i}")
        outputs += [
            (
                b.conv2d(b.depthwise(x, 3, name=f"{what}{level}.dw"), width, 1, name=f"{what}{level}.pw"),
                width // ANCHORS,
            )
            for what, width in (("class", ANCHORS * (classes + 1)), ("box", ANCHORS * BOX))
        ]
    return b.build(_detections(b, outputs))


def _separable(b: GraphBuilder, x: str, filters: int, stride: int, name: str) -> str:
    x = b.depthwise(x, 3, stride=stride, name=f"{name}.dw")
    return b.conv2d(x, filters, 1, activation="relu6", name=f"{name}.pw")


def _doubled(b: GraphBuilder, x: str, name: str) -> str:
    _, h, w, _ = b.shape(x)
    return b.add(Resize(mode="bilinear", size=(2 * h, 2 * w)), [x], name=name)[0]


def _detections(b: GraphBuilder, maps: list[tuple[str, int]]) -> list[str]:
    """Reshape class and box maps, which alternate, to rows per anchor; join them; softmax over classes."""
    rows = [b.reshape(x, (1, -1, values), name=f"{x}.rows") for x, values in maps]
    scores = b.softmax(b.concat(rows[0::2], axis=1, name="classes"), name="scores")
    return [scores, b.concat(rows[1::2], axis=1, name="boxes")]


@net("st_ssd_mobilenet_v1", "ST's SSD with MobileNet V1 0.25, 192 px")
def st_ssd_mobilenet_v1(resolution: int = 192, classes: int = 1, alpha: float = 0.25, filters: int = 32) -> Graph:
    """Build ST's SSD-MobileNetV1: a pyramid of narrow maps, the coarsest of one cell.

    Source: stm32ai-modelzoo, object_detection/src/models/st_ssd_mobilenet_v1.py.

    Args:
        resolution: Height and width of the image: 192, 224 or 256.
        classes: Classes besides the background.
        alpha: Scales the backbone's channels.
        filters: Channels of the pyramid.

    Raises:
        NetError: The resolution is another.
    """
    if resolution not in (192, 224, 256):
        raise NetError(f"st_ssd_mobilenet_v1: resolution = {resolution}: must be 192, 224 or 256")
    b = GraphBuilder("st_ssd_mobilenet_v1")
    blocks = mobilenet_v1_body(b, b.input("image", (1, resolution, resolution, 3)), alpha)
    # At 224 px the maps of 28, 14 and 7 cells are padded to those of 256 px.
    pads = ((2, 2), (1, 1), (1, 0)) if resolution == 224 else ((0, 0),) * 3
    taps = [_padded(b, blocks[i], pad, f"pad{i}") for i, pad in zip((4, 10, 12), pads, strict=True)]
    maps = [b.conv2d(x, filters, 1, name=f"lateral{i}") for i, x in enumerate(taps)]
    x = taps[-1]
    for i in range(3, 4 if resolution == 192 else 5):
        for j, stride in ((1, 2), (2, 1)):
            x = b.depthwise(x, 3, stride=stride, activation="relu6", name=f"extra{i}.{j}.dw")
            x = b.conv2d(x, 256, 1, activation="relu6", name=f"extra{i}.{j}.pw")
        maps.append(b.conv2d(x, filters, 1, name=f"lateral{i}"))
    x = b.global_pool("average", x, name="pool")
    maps.append(b.conv2d(x, filters, 1, name=f"lateral{len(maps)}"))
    for i in range(len(maps) - 2, -1, -1):
        up = _doubled(b, maps[i + 1], f"up{i + 1}")
        if b.shape(up) != b.shape(maps[i]):
            up = _padded(b, up, (1, 0), f"up{i + 1}.pad")
        maps[i] = b.binary("add", maps[i], up, name=f"merge{i}")
    outputs = []
    for i, x in enumerate(maps):
        # The map of one cell has 1×1 predictors where there are six maps.
        kernel = 1 if len(maps) == 6 and i == 5 else 3
        outputs += [
            (b.conv2d(x, width, kernel, padding="same", name=f"{what}{i}"), width // ANCHORS)
            for what, width in (("class", ANCHORS * (classes + 1)), ("box", ANCHORS * BOX))
        ]
    return b.build(_detections(b, outputs))


def _padded(b: GraphBuilder, x: str, pad: tuple[int, int], name: str) -> str:
    return b.add(Pad(pads=((0, 0), pad, pad, (0, 0))), [x], name=name)[0] if any(pad) else x
