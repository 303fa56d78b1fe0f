"""EfficientNet-B0 (Tan and Le, arXiv 1905.11946), and for integer engines Lite0 and ST's LC v1; batch norm folded."""

from __future__ import annotations

from hwsim.graph import Graph, GraphBuilder

from .blocks import classifier, divisible, squeeze_excite
from .registry import net

# expansion, kernel, stride, filters, repeats
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


@net("efficientnet_b0", "EfficientNet-B0, 224 px")
@net("efficientnet_lite0", "EfficientNet-Lite0 (no squeeze-and-excitation, ReLU6), 224 px", lite=True)
def efficientnet(resolution: int = 224, classes: int = 1000, lite: bool = False) -> Graph:
    """Build EfficientNet-B0 or Lite0.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        lite: ReLU6 in place of SiLU, and no squeeze-and-excitation.
    """
    b = GraphBuilder("efficientnet")
    x = b.input("image", (1, resolution, resolution, 3))
    x = _conv(b, x, 32, 3, 2, lite, "conv1")
    index = 0
    for expansion, kernel, first_stride, filters, repeats in STAGES:
        for i in range(repeats):
            index += 1
            stride = first_stride if i == 0 else 1
            x = _block(b, x, expansion, kernel, stride, filters, lite, f"block{index}")
    x = _conv(b, x, 1280, 1, 1, lite, "conv_last")
    return b.build([classifier(b, x, classes)])


def _block(
    b: GraphBuilder, x: str, expansion: int, kernel: int, stride: int, filters: int, lite: bool, name: str
) -> str:
    channels = b.channels(x)
    wide = channels * expansion
    y = _conv(b, x, wide, 1, 1, lite, f"{name}.expand") if expansion > 1 else x
    y = _conv(b, y, wide, kernel, stride, lite, f"{name}.depthwise", groups=wide)
    if not lite:
        y = squeeze_excite(b, y, channels // 4, gate="sigmoid", activation=None, name=f"{name}.se")
    y = b.conv2d(y, filters, 1, name=f"{name}.project")
    return b.binary("add", x, y, name=f"{name}.add") if stride == 1 and channels == filters else y


def _conv(
    b: GraphBuilder, x: str, filters: int, kernel: int, stride: int, lite: bool, name: str, groups: int = 1
) -> str:
    padding = kernel // 2
    if lite:
        return b.conv2d(
            x, filters, kernel, stride=stride, padding=padding, groups=groups, activation="relu6", name=name
        )
    x = b.conv2d(x, filters, kernel, stride=stride, padding=padding, groups=groups, name=name)
    return b.unary("silu", x, name=f"{name}.silu")


@net("st_efficientnet_lc_v1", "ST's EfficientNet-LC v1: width 0.45, expansion 3, ReLU6, 224 px")
def st_efficientnet_lc(
    resolution: int = 224, classes: int = 5, width: float = 0.45, expansion: int = 3, in_channels: int = 3
) -> Graph:
    """Build ST's EfficientNet-LC (stm32ai-modelzoo, image_classification/src/models/st_efficientnet_lc_v1.py).

    B0's stages, narrower, with ReLU6 and squeeze-and-excitation whose gate is clipped before the sigmoid.

    Args:
        resolution: Height and width of the image.
        classes: Classes; 0 leaves the dense layer out.
        width: Scales every layer's channels.
        expansion: How many times a block widens its input (the first block does not).
        in_channels: Channels of the image; 1 for grey.
    """
    b = GraphBuilder("st_efficientnet_lc")
    x = b.input("image", (1, resolution, resolution, in_channels))
    x = b.conv2d(x, divisible(32 * width), 3, stride=2, padding="same", activation="relu6", name="conv1")
    index = 0
    for widening, kernel, first_stride, filters, repeats in STAGES:
        for i in range(repeats):
            index += 1
            stride = first_stride if i == 0 else 1
            wider = expansion if widening > 1 else 1
            x = _lc_block(b, x, wider, kernel, stride, divisible(filters * width), f"block{index}")
    x = b.conv2d(x, divisible(1280 * width), 1, activation="relu6", name="conv_last")
    return b.build([classifier(b, x, classes, softmax=True)])


def _lc_block(b: GraphBuilder, x: str, expansion: int, kernel: int, stride: int, filters: int, name: str) -> str:
    channels = b.channels(x)
    y = b.conv2d(x, channels * expansion, 1, activation="relu6", name=f"{name}.expand") if expansion > 1 else x
    y = b.depthwise(y, kernel, stride=stride, activation="relu6", name=f"{name}.depthwise")
    y = squeeze_excite(b, y, max(1, channels // 4), gate="sigmoid", activation="relu6", clip=4.0, name=f"{name}.se")
    y = b.conv2d(y, filters, 1, name=f"{name}.project")
    return b.binary("add", x, y, name=f"{name}.add") if stride == 1 and channels == filters else y
