"""SqueezeNext (Gholami et al., arXiv 1803.10615) as in the authors' Caffe files; batch norm folded."""

from __future__ import annotations

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder

from .registry import net

# First kernel and blocks per stage: v5 shrinks the one and moves blocks to where the accelerator is busy.
VERSIONS = {1: (7, (6, 6, 8, 1)), 5: (5, (2, 4, 14, 1))}


@net("squeezenext_1_0", "SqueezeNext-23 1.0, 227 px")
@net(
    "squeezenext_1_0_g",
    "SqueezeNext-23 1.0-G: two groups in the first and the separable convolutions of a block",
    groups=2,
)
@net("squeezenext_1_0_v5", "SqueezeNext-23 1.0 v5, shaped for the Squeezelerator", version=5)
@net("squeezenext_2_0", "SqueezeNext-23 2.0", width=2.0)
@net("squeezenext_2_0_v5", "SqueezeNext-23 2.0 v5", width=2.0, version=5)
def squeezenext(
    resolution: int = 227, classes: int = 1000, width: float = 1.0, groups: int = 1, version: int = 1
) -> Graph:
    """Build SqueezeNext-23.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        width: Scales every layer's channels.
        groups: Groups of a block's first 1×1, of its 3×1 and of its 1×3 convolution.
        version: 1, or 5, the last step of fitting the net to its accelerator.
    """
    if version not in VERSIONS:
        raise NetError(f"squeezenext: version = {version}: must be one of {', '.join(map(str, VERSIONS))}")
    kernel, depths = VERSIONS[version]
    b = GraphBuilder("squeezenext")
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, 64, kernel, stride=2, activation="relu", name="conv1")
    x = b.pool("max", x, 3, stride=2, ceil_mode=True, name="pool1")
    for stage, depth in enumerate(depths):
        for i in range(depth):
            x = _block(
                b,
                x,
                int((32 << stage) * width),
                groups,
                f"stage{stage + 1}.{i + 1}",
                first=not i,
                stride=2 if stage and not i else 1,
                version=version,
            )
    x = b.conv2d(x, 128, 1, activation="relu", name="conv_last")
    x = b.flatten(b.global_pool("average", x, name="pool"), name="flatten")
    return b.build([b.softmax(b.dense(x, classes, bias=False, name="classifier"), name="prob")])


def _block(
    b: GraphBuilder, x: str, channels: int, groups: int, name: str, *, first: bool, stride: int, version: int
) -> str:
    """Two 1×1 convolutions squeeze, a 3×1 and a 1×3 filter, a 1×1 expands, and the input is added.

    The first block of a stage changes the shape with a 1×1 convolution: beside the others in v1, before them in v5.
    """
    skip = x
    if first:
        skip = b.conv2d(x, channels, 1, stride=stride, activation="relu", name=f"{name}.shortcut")
        if version == 5:
            x, stride = skip, 1
    y = b.conv2d(x, channels // 2, 1, stride=stride, groups=groups, activation="relu", name=f"{name}.squeeze1")
    y = b.conv2d(y, channels // 4, 1, activation="relu", name=f"{name}.squeeze2")
    y = b.conv2d(
        y, channels // 2, (3, 1), padding=((1, 1), (0, 0)), groups=groups, activation="relu", name=f"{name}.conv3x1"
    )
    y = b.conv2d(
        y, channels // 2, (1, 3), padding=((0, 0), (1, 1)), groups=groups, activation="relu", name=f"{name}.conv1x3"
    )
    y = b.conv2d(y, channels, 1, activation="relu", name=f"{name}.expand")
    return b.binary("add", skip, y, activation="relu", name=f"{name}.add")
