"""ST's small nets for sensors: motion, hand postures from a time-of-flight grid, arc faults, handwritten characters."""

from __future__ import annotations

from hwsim.graph import Graph, GraphBuilder

from .blocks import classifier
from .registry import net


@net("st_gmp", "ST's GMP for activity recognition from an accelerometer, 24 samples")
def st_gmp(samples: int = 24, axes: int = 3, classes: int = 4) -> Graph:
    """Build GMP: two convolutions along time and a global maximum.

    Source: stm32ai-modelzoo, human_activity_recognition/src/models/gmp.py.

    Args:
        samples: Samples of a window.
        axes: Axes of the accelerometer.
        classes: Activities.
    """
    b = GraphBuilder("st_gmp")
    x = b.input("window", (1, samples, axes, 1))
    x = b.conv2d(x, 16, (5, 1), name="conv1")
    x = b.conv2d(x, 16, (5, 1), name="conv2")
    x = b.flatten(b.global_pool("max", x, name="pool"), name="flatten")
    return b.build([b.softmax(b.dense(x, classes, name="classifier"), name="softmax")])


@net("st_ign", "ST's IGN for activity recognition from an accelerometer, 24 samples")
def st_ign(samples: int = 24, axes: int = 3, classes: int = 4) -> Graph:
    """Build IGN: a long convolution along time, a pool, two dense layers.

    Source: stm32ai-modelzoo, human_activity_recognition/src/models/ign.py.

    Args:
        samples: Samples of a window.
        axes: Axes of the accelerometer.
        classes: Activities.
    """
    b = GraphBuilder("st_ign")
    x = b.input("window", (1, samples, axes, 1))
    x = b.conv2d(x, 24, (16, 1), activation="relu", name="conv1")
    x = b.flatten(b.pool("max", x, (3, 1), name="pool1"), name="flatten")
    x = b.dense(x, 12, name="dense1")
    return b.build([b.softmax(b.dense(x, classes, name="classifier"), name="softmax")])


@net("st_hand_posture", "ST's hand-posture net on an 8×8 time-of-flight grid")
def st_hand_posture(resolution: int = 8, classes: int = 8, in_channels: int = 2) -> Graph:
    """Build the hand-posture CNN: one convolution, a pool, two dense layers.

    Source: stm32ai-modelzoo, hand_posture/src/models/CNN2D_ST_HandPosture.py.

    Args:
        resolution: Zones of the sensor in height and width.
        classes: Postures.
        in_channels: Values per zone: distance and signal.
    """
    b = GraphBuilder("st_hand_posture")
    x = b.input("zones", (1, resolution, resolution, in_channels))
    x = b.conv2d(x, 8, 3, activation="relu", name="conv1")
    x = b.flatten(b.pool("max", x, 2, name="pool1"), name="flatten")
    x = b.dense(x, 32, activation="relu", name="dense1")
    return b.build([b.softmax(b.dense(x, classes, name="classifier"), name="softmax")])


@net("st_afd_conv", "ST's convolutional arc-fault detector, one channel of 512 samples")
def st_afd_conv(channels: int = 1, samples: int = 512, classes: int = 2, filters: int = 6) -> Graph:
    """Build the convolutional arc-fault detector: four convolutions along time, three dense layers per channel.

    Source: stm32ai-modelzoo-services, arc_fault_detection/tf/src/models/st_conv.py.

    Args:
        channels: Currents watched at a time; each is classified by itself.
        samples: Samples of a window.
        classes: Verdicts per channel.
        filters: Filters of each convolution.
    """
    b = GraphBuilder("st_afd_conv")
    x = b.input("current", (1, channels, samples, 1))
    for i in range(1, 5):
        x = b.conv2d(x, filters, (1, 8), padding="same", activation="relu", name=f"conv{i}")
    return b.build([_afd_head(b, b.reshape(x, (1, channels, -1), name="flatten"), classes)])


@net("st_afd_dense", "ST's dense arc-fault detector, one channel of 512 samples")
def st_afd_dense(channels: int = 1, samples: int = 512, classes: int = 2) -> Graph:
    """Build the dense arc-fault detector: three dense layers per channel.

    Source: stm32ai-modelzoo-services, arc_fault_detection/tf/src/models/st_dense.py.

    Args:
        channels: Currents watched at a time; each is classified by itself.
        samples: Samples of a window.
        classes: Verdicts per channel.
    """
    b = GraphBuilder("st_afd_dense")
    x = b.input("current", (1, channels, samples, 1))
    return b.build([_afd_head(b, b.reshape(x, (1, channels, samples), name="flatten"), classes)])


def _afd_head(b: GraphBuilder, x: str, classes: int) -> str:
    for i, units in enumerate((16, 8), start=1):
        x = b.dense(x, units, activation="relu", name=f"dense{i}")
    return b.softmax(b.dense(x, classes, name="classifier"), name="softmax")


@net("st_mnist", "ST's net for handwritten characters, 28 px")
def st_mnist(resolution: int = 28, classes: int = 36, in_channels: int = 1, width: int = 16) -> Graph:
    """Build ST MNIST: convolutions and depthwise convolutions in turn, then a pointwise one.

    Source: stm32ai-modelzoo, image_classification/src/models/stmnist.py.

    Args:
        resolution: Height and width of the image.
        classes: Characters.
        in_channels: Channels of the image.
        width: Filters of the first convolution.
    """
    b = GraphBuilder("st_mnist")
    x = b.input("image", (1, resolution, resolution, in_channels))
    for i, (filters, conv_stride, depthwise_stride) in enumerate([(width, 2, 1), (2 * width, 1, 2)], start=1):
        x = b.conv2d(x, filters, 3, stride=conv_stride, padding="same", activation="relu", name=f"conv{i}")
        x = b.depthwise(x, 3, stride=depthwise_stride, activation="relu", name=f"dw{i}")
    x = b.conv2d(x, 4 * width, 1, activation="relu", name="conv3")
    return b.build([classifier(b, x, classes, softmax=True)])
