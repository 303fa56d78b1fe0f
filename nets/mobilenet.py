"""Nets of depthwise-separable convolutions: MobileNet V1, V2, V3 and FD-MobileNet; batch norm folded."""

from __future__ import annotations

from hwsim.graph import Graph, GraphBuilder
from hwsim.graph.ops import FusedActivation

from .blocks import classifier, divisible, squeeze_excite
from .registry import net


@net("mobilenet_v1", "MobileNet V1 1.0, 224 px")
@net("mobilenet_v1_0_25", "MobileNet V1 0.25, 224 px", alpha=0.25)
@net(
    "vww_mobilenet", "MobileNet V1 0.25 of MLPerf Tiny's visual wake words, 96 px", alpha=0.25, resolution=96, classes=2
)
def mobilenet_v1(resolution: int = 224, classes: int = 1000, alpha: float = 1.0, in_channels: int = 3) -> Graph:
    """Build MobileNet V1 (Howard et al., arXiv 1704.04861).

    Args:
        resolution: Height and width of the image.
        classes: Classes; 0 leaves the dense layer out.
        alpha: Scales every layer's channels.
        in_channels: Channels of the image; 1 for grey.
    """
    b = GraphBuilder("mobilenet_v1")
    x = mobilenet_v1_body(b, b.input("image", (1, resolution, resolution, in_channels)), alpha)[-1]
    return b.build([classifier(b, x, classes, softmax=True)])


def mobilenet_v1_body(b: GraphBuilder, x: str, alpha: float) -> list[str]:
    """Add MobileNet V1 without its classifier; return the outputs of its 13 separable blocks."""
    x = b.conv2d(x, _scaled(32, alpha), 3, stride=2, padding="same", activation="relu", name="conv1")
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    return _separable(b, x, [(_scaled(filters, alpha), stride) for filters, stride in plan])


# Filters of the 13 pointwise layers of MLPerf Tiny's vww file that have a weight other than zero (counted from
# vww_96_int8.tflite; the code that ONNC generates for it has the same counts within one).
VWW_LIVE = (16, 32, 32, 64, 60, 107, 57, 30, 19, 19, 27, 32, 22)


@net("vww_mobilenet_live", "MLPerf Tiny's visual wake words without its dead channels, 96 px")
def vww_live() -> Graph:
    """Build MLPerf Tiny's vww net as runtimes run it that drop channels whose filters are zero."""
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    b = GraphBuilder("vww_live")
    x = b.conv2d(b.input("image", (1, 96, 96, 3)), 8, 3, stride=2, padding="same", activation="relu", name="conv1")
    x = _separable(b, x, list(zip(VWW_LIVE, strides, strict=True)))[-1]
    return b.build([classifier(b, x, 2, softmax=True)])


FD_PLAN = ((64, 2), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 4, (1024, 1))


@net("fd_mobilenet", "FD-MobileNet 1.0 (fast downsampling), 224 px")
@net("fd_mobilenet_0_25", "FD-MobileNet 0.25, 224 px", alpha=0.25)
def fd_mobilenet(resolution: int = 224, classes: int = 1000, alpha: float = 1.0, in_channels: int = 3) -> Graph:
    """Build FD-MobileNet (Qin et al., arXiv 1802.03750): 32-fold downsampling within the first twelve layers.

    Args:
        resolution: Height and width of the image.
        classes: Classes; 0 leaves the dense layer out.
        alpha: Scales every layer's channels.
        in_channels: Channels of the image; 1 for grey.
    """
    b = GraphBuilder("fd_mobilenet")
    x = b.input("image", (1, resolution, resolution, in_channels))
    x = b.conv2d(x, _scaled(32, alpha), 3, stride=2, padding="same", activation="relu", name="conv1")
    x = _separable(b, x, [(_scaled(filters, alpha), stride) for filters, stride in FD_PLAN])[-1]
    return b.build([classifier(b, x, classes, softmax=True)])


# Width of the first convolution and of each of FD-MobileNet's blocks in ST's variant (stm32ai-modelzoo,
# image_classification/src/models/st_fdmobilenet_v1.py).
ST_FD_WIDTHS = (0.5, 0.75, 0.625, 0.5, 0.375, *(0.25,) * 7)


@net("st_fd_mobilenet_v1", "ST's FD-MobileNet with widths layer by layer, 224 px")
def st_fd_mobilenet_v1(resolution: int = 224, classes: int = 101, in_channels: int = 3) -> Graph:
    """Build ST's FD-MobileNet v1: wide early layers, a quarter of the width from the sixth block on.

    Args:
        resolution: Height and width of the image.
        classes: Classes; 0 leaves the dense layer out.
        in_channels: Channels of the image; 1 for grey.
    """
    b = GraphBuilder("st_fd_mobilenet_v1")
    x = b.input("image", (1, resolution, resolution, in_channels))
    x = b.conv2d(x, _scaled(32, ST_FD_WIDTHS[0]), 3, stride=2, padding="same", activation="relu", name="conv1")
    widths = zip(FD_PLAN, ST_FD_WIDTHS[1:], strict=True)
    x = _separable(b, x, [(_scaled(filters, alpha), stride) for (filters, stride), alpha in widths])[-1]
    return b.build([classifier(b, x, classes, softmax=True)])


def _scaled(channels: int, alpha: float) -> int:
    return max(int(channels * alpha), 1)


def _separable(b: GraphBuilder, x: str, plan: list[tuple[int, int]]) -> list[str]:
    """Add depthwise-separable blocks of (filters, stride); return the output of each."""
    outputs = []
    for i, (filters, stride) in enumerate(plan, start=1):
        x = b.depthwise(x, 3, stride=stride, activation="relu", name=f"dw{i}")
        x = b.conv2d(x, filters, 1, activation="relu", name=f"pw{i}")
        outputs.append(x)
    return outputs


@net("mobilenet_v2", "MobileNet V2 1.0, 224 px")
@net("mobilenet_v2_0_35", "MobileNet V2 0.35, 128 px", alpha=0.35, resolution=128)
def mobilenet_v2(
    resolution: int = 224, classes: int = 1000, alpha: float = 1.0, in_channels: int = 3, image_width: int = 0
) -> Graph:
    """Build MobileNet V2 (Sandler et al., arXiv 1801.04381): inverted residuals with linear bottlenecks.

    Args:
        resolution: Height of the image, and its width unless that is given.
        classes: Classes; 0 leaves the dense layer out.
        alpha: Scales every layer's channels; the last convolution keeps 1280 below 1.
        in_channels: Channels of the image; 1 for grey.
        image_width: Width of the image; 0 takes its height.
    """
    b = GraphBuilder("mobilenet_v2")
    x = mobilenet_v2_body(b, b.input("image", (1, resolution, image_width or resolution, in_channels)), alpha)[-1]
    return b.build([classifier(b, x, classes)])


def mobilenet_v2_body(b: GraphBuilder, x: str, alpha: float) -> list[str]:
    """Add MobileNet V2 without its classifier; return the outputs of its 17 blocks and of the last convolution."""
    x = b.conv2d(x, divisible(32 * alpha), 3, stride=2, padding="same", activation="relu6", name="conv1")
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    outputs: list[str] = []
    for expansion, filters, repeats, first_stride in plan:
        for i in range(repeats):
            stride, name = first_stride if i == 0 else 1, f"block{len(outputs) + 1}"
            x = inverted_residual(b, x, expansion, divisible(filters * alpha), stride, 3, name)
            outputs.append(x)
    outputs.append(b.conv2d(x, divisible(1280 * max(alpha, 1.0)), 1, activation="relu6", name="conv_last"))
    return outputs


def inverted_residual(
    b: GraphBuilder,
    x: str,
    expansion: int,
    filters: int,
    stride: int,
    kernel: int,
    name: str,
    activation: FusedActivation = "relu6",
) -> str:
    """Expand with 1×1, filter depthwise, project with a linear 1×1, and add the input where shapes allow."""
    y = x
    if expansion > 1:
        y = b.conv2d(y, b.channels(x) * expansion, 1, activation=activation, name=f"{name}.expand")
    y = b.depthwise(y, kernel, stride=stride, activation=activation, name=f"{name}.depthwise")
    y = b.conv2d(y, filters, 1, name=f"{name}.project")
    return b.binary("add", x, y, name=f"{name}.add") if stride == 1 and b.channels(x) == filters else y


# kernel, expanded, filters, squeeze-excite, hard swish, stride (Howard et al., arXiv 1905.02244, tables 1 and 2)
LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


@net("mobilenet_v3_small", "MobileNet V3 small, 224 px")
@net("mobilenet_v3_large", "MobileNet V3 large, 224 px", large=True)
def mobilenet_v3(resolution: int = 224, classes: int = 1000, alpha: float = 1.0, large: bool = False) -> Graph:
    """Build MobileNet V3 with squeeze-and-excitation and hard swish.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        alpha: Scales every layer's channels.
        large: The large net instead of the small one.
    """
    b = GraphBuilder("mobilenet_v3")
    x = b.input("image", (1, resolution, resolution, 3))
    x = _conv_hswish(b, x, divisible(16 * alpha), 3, 2, "conv1")
    for i, (kernel, expanded, filters, squeezes, swish, stride) in enumerate(LARGE if large else SMALL, start=1):
        wide, out, name = divisible(expanded * alpha), divisible(filters * alpha), f"block{i}"
        y = x
        if wide != b.channels(x):
            y = _conv(b, y, wide, 1, 1, swish, f"{name}.expand")
        y = _conv(b, y, wide, kernel, stride, swish, f"{name}.depthwise", groups=wide)
        if squeezes:
            y = squeeze_excite(b, y, divisible(wide / 4), gate="hard_sigmoid", activation="relu", name=f"{name}.se")
        y = b.conv2d(y, out, 1, name=f"{name}.project")
        x = b.binary("add", x, y, name=f"{name}.add") if stride == 1 and b.channels(x) == out else y
    x = _conv_hswish(b, x, 6 * b.channels(x), 1, 1, "conv_last")
    x = b.flatten(b.global_pool("average", x, name="pool"), name="flatten")
    hidden = divisible((1280 if large else 1024) * max(alpha, 1.0))
    x = b.unary("hard_swish", b.dense(x, hidden, name="hidden"), name="hidden.hswish")
    return b.build([b.dense(x, classes, name="classifier")])


def _conv(
    b: GraphBuilder, x: str, filters: int, kernel: int, stride: int, swish: bool, name: str, groups: int = 1
) -> str:
    if swish:
        return _conv_hswish(b, x, filters, kernel, stride, name, groups)
    return b.conv2d(x, filters, kernel, stride=stride, padding=kernel // 2, groups=groups, activation="relu", name=name)


def _conv_hswish(b: GraphBuilder, x: str, filters: int, kernel: int, stride: int, name: str, groups: int = 1) -> str:
    x = b.conv2d(x, filters, kernel, stride=stride, padding=kernel // 2, groups=groups, name=name)
    return b.unary("hard_swish", x, name=f"{name}.hswish")
