"""The nets accelerators were first judged on: LeNet-5, AlexNet, VGG16."""

from __future__ import annotations

from hwsim.graph import Graph, GraphBuilder
from hwsim.graph.ops import Lrn

from .registry import net


@net("lenet5", "LeNet-5 of 1998 (LeCun et al.), 32 px, C3 connected densely")
def lenet5(resolution: int = 32, classes: int = 10) -> Graph:
    """Build LeNet-5 with average pooling and tanh.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
    """
    b = GraphBuilder("lenet5")
    x = b.input("image", (1, resolution, resolution, 1))
    for name, filters in (("c1", 6), ("c3", 16)):
        x = b.unary("tanh", b.conv2d(x, filters, 5, name=name), name=f"{name}.tanh")
        x = b.pool("average", x, 2, name=f"s{int(name[1]) + 1}")
    x = b.unary("tanh", b.conv2d(x, 120, (b.shape(x)[1], b.shape(x)[2]), name="c5"), name="c5.tanh")
    x = b.flatten(x, name="flatten")
    x = b.unary("tanh", b.dense(x, 84, name="f6"), name="f6.tanh")
    return b.build([b.dense(x, classes, name="output")])


@net("lenet_caffe", "Caffe's LeNet, 28 px")
def lenet_caffe(resolution: int = 28, classes: int = 10) -> Graph:
    """Build the LeNet of Caffe's MNIST example: 20 and 50 filters, max pooling, 500 hidden units.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
    """
    b = GraphBuilder("lenet_caffe")
    x = b.input("image", (1, resolution, resolution, 1))
    for i, filters in enumerate((20, 50), start=1):
        x = b.conv2d(x, filters, 5, name=f"conv{i}")
        x = b.pool("max", x, 2, ceil_mode=True, name=f"pool{i}")
    x = b.dense(b.flatten(x, name="flatten"), 500, activation="relu", name="ip1")
    return b.build([b.softmax(b.dense(x, classes, name="ip2"), name="prob")])


@net("alexnet", "AlexNet as in Caffe: two groups in conv2, conv4, conv5; 227 px")
@net("alexnet_ungrouped", "AlexNet without groups", groups=1)
def alexnet(resolution: int = 227, classes: int = 1000, groups: int = 2) -> Graph:
    """Build AlexNet (Krizhevsky et al., 2012) in the shapes of Caffe's single-tower file.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        groups: Groups of conv2, conv4 and conv5.
    """
    b = GraphBuilder("alexnet")
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, 96, 11, stride=4, activation="relu", name="conv1")
    x = b.add(Lrn(size=5), [x], name="norm1")[0]
    x = b.pool("max", x, 3, stride=2, ceil_mode=True, name="pool1")
    x = b.conv2d(x, 256, 5, padding=2, groups=groups, activation="relu", name="conv2")
    x = b.add(Lrn(size=5), [x], name="norm2")[0]
    x = b.pool("max", x, 3, stride=2, ceil_mode=True, name="pool2")
    x = b.conv2d(x, 384, 3, padding=1, activation="relu", name="conv3")
    x = b.conv2d(x, 384, 3, padding=1, groups=groups, activation="relu", name="conv4")
    x = b.conv2d(x, 256, 3, padding=1, groups=groups, activation="relu", name="conv5")
    x = b.pool("max", x, 3, stride=2, ceil_mode=True, name="pool5")
    return b.build([_three_dense(b, x, classes)])


@net("alexnet_torchvision", "AlexNet in torchvision's shapes (one weird trick), 224 px")
def alexnet_torchvision(resolution: int = 224, classes: int = 1000) -> Graph:
    """Build the AlexNet that torchvision ships (Krizhevsky, arXiv 1404.5997); it has no groups and no LRN.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
    """
    b = GraphBuilder("alexnet_torchvision")
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, 64, 11, stride=4, padding=2, activation="relu", name="conv1")
    x = b.pool("max", x, 3, stride=2, name="pool1")
    x = b.conv2d(x, 192, 5, padding=2, activation="relu", name="conv2")
    x = b.pool("max", x, 3, stride=2, name="pool2")
    for i, filters in enumerate((384, 256, 256), start=3):
        x = b.conv2d(x, filters, 3, padding=1, activation="relu", name=f"conv{i}")
    x = b.pool("max", x, 3, stride=2, name="pool5")
    return b.build([_three_dense(b, x, classes)])


@net("vgg16", "VGG16 (Simonyan and Zisserman, 2014), 224 px")
def vgg16(resolution: int = 224, classes: int = 1000, width: float = 1.0) -> Graph:
    """Build VGG16: thirteen 3×3 convolutions and three dense layers, biases everywhere.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        width: Scales every convolution's filters.
    """
    b = GraphBuilder("vgg16")
    x = b.input("image", (1, resolution, resolution, 3))
    for stage, (filters, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1):
        for i in range(1, depth + 1):
            x = b.conv2d(x, max(int(filters * width), 1), 3, padding=1, activation="relu", name=f"conv{stage}_{i}")
        x = b.pool("max", x, 2, name=f"pool{stage}")
    return b.build([_three_dense(b, x, classes)])


def _three_dense(b: GraphBuilder, x: str, classes: int) -> str:
    x = b.flatten(x, name="flatten")
    for i in (6, 7):
        x = b.dense(x, 4096, activation="relu", name=f"fc{i}")
    return b.softmax(b.dense(x, classes, name="fc8"), name="prob")
