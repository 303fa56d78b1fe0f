"""ShuffleNet V2 (Ma et al., arXiv 1807.11164); batch norm folded."""

from __future__ import annotations

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder

from .blocks import classifier
from .registry import net

# Channels of stages 2, 3, 4 and of the last convolution, by width.
WIDTHS = {0.5: (48, 96, 192, 1024), 1.0: (116, 232, 464, 1024), 1.5: (176, 352, 704, 1024), 2.0: (244, 488, 976, 2048)}


@net("shufflenet_v2", "ShuffleNet V2 1.0, 224 px")
@net("shufflenet_v2_0_5", "ShuffleNet V2 0.5, 224 px", width=0.5)
def shufflenet_v2(resolution: int = 224, classes: int = 1000, width: float = 1.0) -> Graph:
    """Build ShuffleNet V2: half of the channels pass by, the other half is filtered, and the halves are shuffled.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        width: 0.5, 1.0, 1.5 or 2.0.
    """
    if width not in WIDTHS:
        raise NetError(f"shufflenet_v2: width = {width}: must be one of {', '.join(map(str, WIDTHS))}")
    *stages, last = WIDTHS[width]
    b = GraphBuilder("shufflenet_v2")
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, 24, 3, stride=2, padding=1, activation="relu", name="conv1")
    x = b.pool("max", x, 3, stride=2, padding=1, name="pool1")
    for stage, (channels, repeats) in enumerate(zip(stages, (4, 8, 4), strict=True), start=2):
        x = _downsample(b, x, channels, f"stage{stage}.1")
        for i in range(2, repeats + 1):
            x = _unit(b, x, f"stage{stage}.{i}")
    x = b.conv2d(x, last, 1, activation="relu", name="conv5")
    return b.build([classifier(b, x, classes)])


def _downsample(b: GraphBuilder, x: str, channels: int, name: str) -> str:
    half = channels // 2
    left = b.depthwise(x, 3, stride=2, padding=1, name=f"{name}.left.depthwise")
    left = b.conv2d(left, half, 1, activation="relu", name=f"{name}.left.pointwise")
    right = _branch(b, x, half, 2, f"{name}.right")
    return b.channel_shuffle(b.concat([left, right], name=f"{name}.concat"), 2, name=f"{name}.shuffle")


def _unit(b: GraphBuilder, x: str, name: str) -> str:
    half = b.channels(x) // 2
    left, right = b.split(x, (half, half), name=f"{name}.split")
    right = _branch(b, right, half, 1, f"{name}.right")
    return b.channel_shuffle(b.concat([left, right], name=f"{name}.concat"), 2, name=f"{name}.shuffle")


def _branch(b: GraphBuilder, x: str, channels: int, stride: int, name: str) -> str:
    x = b.conv2d(x, channels, 1, activation="relu", name=f"{name}.pointwise1")
    x = b.depthwise(x, 3, stride=stride, padding=1, name=f"{name}.depthwise")
    return b.conv2d(x, channels, 1, activation="relu", name=f"{name}.pointwise2")
