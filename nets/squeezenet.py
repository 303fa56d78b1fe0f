"""SqueezeNet v1.0 and v1.1 (Iandola et al., arXiv 1602.07360), the paper's design space, and its bypass variants."""

from __future__ import annotations

from typing import Literal

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder

from .blocks import scale_and_shift
from .registry import net

Bypass = Literal["none", "simple", "complex"]
BYPASSES = ("none", "simple", "complex")


def fire(b: GraphBuilder, x: str, squeeze: int, expand1x1: int, expand3x3: int, name: str) -> str:
    """Squeeze with 1×1 filters, expand with 1×1 and 3×3 ones, and join the two; a kind without filters is left out."""
    x = b.conv2d(x, squeeze, 1, activation="relu", name=f"{name}.squeeze1x1")
    parts = []
    if expand1x1:
        parts.append(b.conv2d(x, expand1x1, 1, activation="relu", name=f"{name}.expand1x1"))
    if expand3x3:
        parts.append(b.conv2d(x, expand3x3, 3, padding=1, activation="relu", name=f"{name}.expand3x3"))
    return b.concat(parts, name=f"{name}.concat") if len(parts) > 1 else parts[0]


@net("squeezenet_v1_0", "SqueezeNet v1.0 as released: 227 px, ceil pooling, conv10 padded")
@net("squeezenet_v1_0_paper", "SqueezeNet v1.0 of the paper's Table 1: conv10 unpadded", conv10_padding=0)
@net("squeezenet_v1_0_bypass", "SqueezeNet v1.0 with simple bypass around every other fire module", bypass="simple")
def squeezenet_v1_0(
    resolution: int = 227,
    classes: int = 1000,
    base_e: int = 128,
    incr_e: int = 128,
    pct_3x3: float = 0.5,
    freq: int = 2,
    squeeze_ratio: float = 0.125,
    bypass: str = "none",
    conv10_padding: int = 1,
    ceil_pooling: bool = True,
) -> Graph:
    """Build SqueezeNet v1.0, or a point of its design space.

    Fire module i (from 0) expands to e = base_e + incr_e · ⌊i / freq⌋ filters, pct_3x3 of them 3×3, and squeezes to
    squeeze_ratio · e.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        base_e: Expand filters of the first module.
        incr_e: How many more after every ``freq`` modules.
        pct_3x3: Share of 3×3 filters among them, 0..1.
        freq: Modules of equal width in a row.
        squeeze_ratio: Squeeze filters per expand filter.
        bypass: none, simple (around modules that keep their width) or complex (1×1 convolutions around the others).
        conv10_padding: Padding of the last 1×1 convolution; the released file has one.
        ceil_pooling: Whether pooling keeps partial windows, as Caffe does.

    Raises:
        NetError: A parameter is out of range.
    """
    if bypass not in BYPASSES:
        raise NetError(f"squeezenet: bypass = {bypass!r}: must be one of {', '.join(BYPASSES)}")
    if freq < 1:
        raise NetError(f"squeezenet: freq = {freq}: must be >= 1")
    if not 0 <= pct_3x3 <= 1:
        raise NetError(f"squeezenet: pct_3x3 = {pct_3x3}: must be from 0 to 1")
    b = GraphBuilder("squeezenet_v1_0")
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, 96, 7, stride=2, activation="relu", name="conv1")
    x = b.pool("max", x, 3, stride=2, ceil_mode=ceil_pooling, name="pool1")
    for i in range(8):
        name = f"fire{i + 2}"
        expand = base_e + incr_e * (i // freq)
        expand3x3 = round(expand * pct_3x3)
        y = fire(b, x, max(int(expand * squeeze_ratio), 1), expand - expand3x3, expand3x3, name)
        if bypass != "none" and b.channels(x) == expand:
            y = b.binary("add", x, y, name=f"{name}.bypass")
        elif bypass == "complex":
            y = b.binary("add", b.conv2d(x, expand, 1, name=f"{name}.bypass_conv"), y, name=f"{name}.bypass")
        x = y
        if i in (2, 6):
            x = b.pool("max", x, 3, stride=2, ceil_mode=ceil_pooling, name=f"pool{i + 2}")
    x = b.conv2d(x, classes, 1, padding=conv10_padding, activation="relu", name="conv10")
    return b.build([_head(b, x)])


@net("squeezenet_v1_1", "SqueezeNet v1.1: 2.4 times fewer MACs than v1.0 at equal accuracy; 224 px")
def squeezenet_v1_1(
    resolution: int = 224, classes: int = 1000, ceil_pooling: bool = True, in_channels: int = 3
) -> Graph:
    """Build SqueezeNet v1.1 as released (github.com/forresti/SqueezeNet).

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        ceil_pooling: Whether pooling keeps partial windows, as Caffe does (it matters at 227, not at 224).
        in_channels: Channels of the image; 1 for grey.
    """
    b = GraphBuilder("squeezenet_v1_1")
    x = b.input("image", (1, resolution, resolution, in_channels))
    x = b.conv2d(x, 64, 3, stride=2, activation="relu", name="conv1")
    x = b.pool("max", x, 3, stride=2, ceil_mode=ceil_pooling, name="pool1")
    for i, (squeeze, expand) in enumerate(
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)], start=2
    ):
        x = fire(b, x, squeeze, expand, expand, f"fire{i}")
        if i in (3, 5):
            x = b.pool("max", x, 3, stride=2, ceil_mode=ceil_pooling, name=f"pool{i}")
    x = b.conv2d(x, classes, 1, activation="relu", name="conv10")
    return b.build([_head(b, x)])


@net("st_squeezenet_v1_0", "ST's seven-fire variant of SqueezeNet v1.0, 128 px")
def st_squeezenet_v1_0(resolution: int = 128, classes: int = 5, in_channels: int = 3) -> Graph:
    """Build what ST calls SqueezeNet v1.0 (stm32ai-modelzoo, image_classification/src/models/squeezenetv10.py).

    Seven fire modules; a norm follows each squeeze layer's ReLU, where no convolution can take it in, and the last
    convolution's.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        in_channels: Channels of the image; 1 for grey.
    """
    b = GraphBuilder("st_squeezenet_v1_0")
    x = b.input("image", (1, resolution, resolution, in_channels))
    x = b.conv2d(x, 96, 7, stride=2, activation="relu", name="conv1")
    x = b.pool("max", x, 3, stride=2, name="pool1")
    plan = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256)]
    for i, (squeeze, expand) in enumerate(plan, start=2):
        name = f"fire{i}"
        x = b.conv2d(x, squeeze, 1, activation="relu", name=f"{name}.squeeze1x1")
        x = scale_and_shift(b, x, f"{name}.norm")
        small = b.conv2d(x, expand, 1, activation="relu", name=f"{name}.expand1x1")
        large = b.conv2d(x, expand, 3, padding=1, activation="relu", name=f"{name}.expand3x3")
        x = b.concat([small, large], name=f"{name}.concat")
        if i in (4, 7):
            x = b.pool("max", x, 3, stride=2, name=f"pool{i}")
    x = b.conv2d(x, classes, 1, activation="relu", name="conv10")
    return b.build([_head(b, scale_and_shift(b, x, "norm"))])


def _head(b: GraphBuilder, x: str) -> str:
    x = b.global_pool("average", x, name="pool10")
    x = b.flatten(x, name="flatten")
    return b.softmax(x, name="prob")
