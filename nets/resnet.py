"""Residual nets (He et al., 2015) for ImageNet and CIFAR; batch norm folded into the convolutions."""

from __future__ import annotations

from hwsim.graph import Graph, GraphBuilder

from .blocks import classifier, scale_and_shift
from .registry import net


@net("resnet18", "ResNet-18, 224 px")
def resnet18(resolution: int = 224, classes: int = 1000, width: int = 64) -> Graph:
    """Build ResNet-18: four stages of two basic blocks.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        width: Filters of the first stage.
    """
    b = GraphBuilder("resnet18")
    x = _stem(b, resolution, width)
    for stage in range(4):
        for i in range(2):
            name, stride = f"stage{stage + 1}.{i + 1}", 2 if stage and not i else 1
            y = b.conv2d(x, width << stage, 3, stride=stride, padding=1, activation="relu", name=f"{name}.conv1")
            y = b.conv2d(y, width << stage, 3, padding=1, name=f"{name}.conv2")
            if stride > 1:
                x = b.conv2d(x, width << stage, 1, stride=stride, name=f"{name}.shortcut")
            x = b.binary("add", y, x, activation="relu", name=f"{name}.add")
    return b.build([classifier(b, x, classes)])


@net("resnet50", "ResNet-50 v1.5 (torchvision: stride in the 3×3), 224 px")
@net("resnet50_v1", "ResNet-50 v1 (as published: stride in the first 1×1), 224 px", stride_in_3x3=False)
def resnet50(resolution: int = 224, classes: int = 1000, width: int = 64, stride_in_3x3: bool = True) -> Graph:
    """Build ResNet-50: stages of 3, 4, 6 and 3 bottleneck blocks.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        width: Filters of the first stage's 3×3 convolutions.
        stride_in_3x3: Where a block halves its input: in the 3×3 (v1.5) or in the first 1×1 (v1).
    """
    b = GraphBuilder("resnet50")
    x = _stem(b, resolution, width)
    for stage, depth in enumerate((3, 4, 6, 3)):
        inner = width << stage
        for i in range(depth):
            name, stride = f"stage{stage + 1}.{i + 1}", 2 if stage and not i else 1
            first, second = (1, stride) if stride_in_3x3 else (stride, 1)
            y = b.conv2d(x, inner, 1, stride=first, activation="relu", name=f"{name}.conv1")
            y = b.conv2d(y, inner, 3, stride=second, padding=1, activation="relu", name=f"{name}.conv2")
            y = b.conv2d(y, 4 * inner, 1, name=f"{name}.conv3")
            if not i:
                x = b.conv2d(x, 4 * inner, 1, stride=stride, name=f"{name}.shortcut")
            x = b.binary("add", y, x, activation="relu", name=f"{name}.add")
    return b.build([classifier(b, x, classes)])


def _stem(b: GraphBuilder, resolution: int, width: int) -> str:
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, width, 7, stride=2, padding=3, activation="relu", name="conv1")
    return b.pool("max", x, 3, stride=2, padding=1, name="pool1")


@net("resnet8", "ResNet-8 of MLPerf Tiny's image classification, 32 px")
@net("resnet32", "ResNet-32 v1 for CIFAR, 32 px", blocks=5)
def resnet_cifar(
    resolution: int = 32, classes: int = 10, blocks: int = 1, width: int = 16, in_channels: int = 3
) -> Graph:
    """Build a CIFAR ResNet v1 as Keras and MLPerf Tiny do: 1×1 convolutions where a stage changes shape.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        blocks: Blocks in each of three stages; the net has 6·blocks + 2 layers.
        width: Filters of the first stage.
        in_channels: Channels of the image; 1 for grey.
    """
    b = GraphBuilder("resnet_cifar")
    x = b.input("image", (1, resolution, resolution, in_channels))
    x = b.conv2d(x, width, 3, padding="same", activation="relu", name="conv1")
    for stage in range(3):
        for i in range(blocks):
            name, stride = f"stage{stage + 1}.{i + 1}", 2 if stage and not i else 1
            y = b.conv2d(x, width << stage, 3, stride=stride, padding="same", activation="relu", name=f"{name}.conv1")
            y = b.conv2d(y, width << stage, 3, padding="same", name=f"{name}.conv2")
            if stride > 1:
                x = b.conv2d(x, width << stage, 1, stride=stride, padding="same", name=f"{name}.shortcut")
            x = b.binary("add", x, y, activation="relu", name=f"{name}.add")
    return b.build([classifier(b, x, classes, softmax=True)])


@net("resnet50_v2", "ResNet-50 v2 (pre-activation, as Keras ships it), 224 px")
def resnet50_v2(resolution: int = 224, classes: int = 1000, width: int = 64) -> Graph:
    """Build ResNet-50 v2 (He et al., arXiv 1603.05027) as Keras does: the stride in a stage's last block.

    The norm before each block stands alone, for its input is also the shortcut's; the others are folded.

    Args:
        resolution: Height and width of the image.
        classes: Classes; 0 leaves the dense layer out.
        width: Filters of the first stage's 3×3 convolutions.
    """
    b = GraphBuilder("resnet50_v2")
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, width, 7, stride=2, padding=3, name="conv1")
    x = b.pool("max", x, 3, stride=2, padding=1, name="pool1")
    for stage, depth in enumerate((3, 4, 6, 3)):
        inner = width << stage
        for i in range(depth):
            name = f"stage{stage + 1}.{i + 1}"
            stride = 2 if stage < 3 and i == depth - 1 else 1
            y = scale_and_shift(b, x, f"{name}.norm", activation="relu")
            if not i:
                x = b.conv2d(y, 4 * inner, 1, name=f"{name}.shortcut")
            elif stride > 1:
                x = b.pool("max", x, 1, stride=stride, name=f"{name}.shortcut")
            y = b.conv2d(y, inner, 1, activation="relu", name=f"{name}.conv1")
            y = b.conv2d(y, inner, 3, stride=stride, padding=1, activation="relu", name=f"{name}.conv2")
            y = b.conv2d(y, 4 * inner, 1, name=f"{name}.conv3")
            x = b.binary("add", x, y, name=f"{name}.add")
    return b.build([classifier(b, scale_and_shift(b, x, "norm", activation="relu"), classes, softmax=True)])
