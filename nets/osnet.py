"""OSNet (Zhou et al., arXiv 1905.00953): omni-scale features for re-identification; batch norm folded."""

from __future__ import annotations

from hwsim.graph import Graph, GraphBuilder
from hwsim.graph.ops import Conv2d

from .blocks import classifier
from .registry import net

STREAMS = 4
SQUEEZE = 16


@net("osnet", "OSNet 1.0 for re-identification, 256×128 px")
@net("osnet_0_25", "OSNet 0.25 for re-identification, 256×128 px", alpha=0.25)
def osnet(resolution: int = 256, image_width: int = 128, classes: int = 0, alpha: float = 1.0) -> Graph:
    """Build OSNet as ST ships it (stm32ai-modelzoo-services, image_classification/tf/src/models, osnet).

    Args:
        resolution: Height of the image.
        image_width: Width of the image; 0 takes its height.
        classes: Classes; 0 stops at the pooled features.
        alpha: Scales every layer's channels.
    """
    b = GraphBuilder("osnet")
    stem, *stages = (int(channels * alpha) for channels in (64, 256, 384, 512))
    x = b.input("image", (1, resolution, image_width or resolution, 3))
    x = b.conv2d(x, stem, 7, stride=2, padding="same", activation="relu", name="conv1")
    x = b.pool("max", x, 3, stride=2, padding="same", name="pool1")
    for stage, channels in enumerate(stages, start=1):
        for i in (1, 2):
            x = _block(b, x, channels, f"stage{stage}.{i}")
        if stage < len(stages):
            x = b.conv2d(x, channels, 1, activation="relu", name=f"stage{stage}.transition")
            x = b.pool("average", x, 2, name=f"stage{stage}.pool")
    x = b.conv2d(x, stages[-1], 1, activation="relu", name="conv_last")
    return b.build([classifier(b, x, classes, softmax=True)])


def _block(b: GraphBuilder, x: str, channels: int, name: str) -> str:
    """Four streams of one to four light 3×3 convolutions, gated channel by channel by shared weights, and summed."""
    narrow = channels // 4
    y = b.conv2d(x, narrow, 1, activation="relu", name=f"{name}.reduce")
    streams = []
    for stream in range(1, STREAMS + 1):
        z = y
        for i in range(1, stream + 1):
            z = b.conv2d(z, narrow, 1, bias=False, name=f"{name}.stream{stream}.{i}.pw")
            z = b.depthwise(z, 3, activation="relu", name=f"{name}.stream{stream}.{i}.dw")
        streams.append(z)
    gates = [
        b.constant(f"{name}.gate.{what}", shape)
        for what, shape in (
            ("squeeze", (max(narrow // SQUEEZE, 1), 1, 1, narrow)),
            ("squeeze_bias", (max(narrow // SQUEEZE, 1),)),
            ("expand", (narrow, 1, 1, max(narrow // SQUEEZE, 1))),
            ("expand_bias", (narrow,)),
        )
    ]
    total = ""
    for stream, z in enumerate(streams, start=1):
        gated = _gate(b, z, gates, f"{name}.gate{stream}")
        total = b.binary("add", total, gated, name=f"{name}.sum{stream}") if total else gated
    y = b.conv2d(total, channels, 1, name=f"{name}.expand")
    shortcut = x if b.channels(x) == channels else b.conv2d(x, channels, 1, name=f"{name}.shortcut")
    return b.binary("add", y, shortcut, activation="relu", name=f"{name}.add")


def _gate(b: GraphBuilder, x: str, weights: list[str], name: str) -> str:
    squeeze, squeeze_bias, expand, expand_bias = weights
    y = b.global_pool("average", x, name=f"{name}.pool")
    y = b.add(Conv2d(activation="relu"), [y, squeeze, squeeze_bias], name=f"{name}.squeeze")[0]
    y = b.add(Conv2d(), [y, expand, expand_bias], name=f"{name}.expand")[0]
    return b.binary("mul", x, b.unary("sigmoid", y, name=f"{name}.sigmoid"), name=f"{name}.scale")
