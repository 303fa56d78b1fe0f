"""Nets for sound: DS-CNN keyword spotting, the ToyADMOS autoencoder, YAMNet, MiniResNet; batch norm folded."""

from __future__ import annotations

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder

from .blocks import classifier, scale_and_shift
from .registry import net


@net("ds_cnn", "DS-CNN of MLPerf Tiny's keyword spotting, 49×10 MFCCs")
def ds_cnn(frames: int = 49, coefficients: int = 10, classes: int = 12, width: int = 64) -> Graph:
    """Build DS-CNN (Zhang et al., arXiv 1711.07128) as MLPerf Tiny ships it.

    Args:
        frames: Frames of the spectrogram.
        coefficients: MFCCs per frame.
        classes: Keywords.
        width: Channels of every layer.
    """
    b = GraphBuilder("ds_cnn")
    x = b.input("mfcc", (1, frames, coefficients, 1))
    x = b.conv2d(x, width, (10, 4), stride=2, padding="same", activation="relu", name="conv1")
    for i in range(1, 5):
        x = b.depthwise(x, 3, activation="relu", name=f"dw{i}")
        x = b.conv2d(x, width, 1, activation="relu", name=f"pw{i}")
    return b.build([classifier(b, x, classes, softmax=True)])


@net("ad_autoencoder", "Autoencoder of MLPerf Tiny's anomaly detection (ToyADMOS), 640 values")
def ad_autoencoder(features: int = 640, width: int = 128, bottleneck: int = 8) -> Graph:
    """Build the fully connected autoencoder: four hidden layers, a bottleneck, four hidden layers.

    Args:
        features: Values in and out.
        width: Units of the hidden layers.
        bottleneck: Units in the middle.
    """
    b = GraphBuilder("ad_autoencoder")
    x = b.input("spectrum", (1, features))
    for i, units in enumerate([width] * 4 + [bottleneck] + [width] * 4, start=1):
        x = b.dense(x, units, activation="relu", name=f"dense{i}")
    return b.build([b.dense(x, features, name="output")])


@net("yamnet", "YAMNet: MobileNet V1 on 96×64 log-mel frames, 1024-wide embedding")
@net("yamnet_256", "YAMNet cut to a 256-wide embedding, ten classes", embedding=256, classes=10)
def yamnet(frames: int = 96, bands: int = 64, classes: int = 521, embedding: int = 1024) -> Graph:
    """Build YAMNet (github.com/tensorflow/models, audioset): MobileNet V1 without its image, cut at an embedding.

    Args:
        frames: Frames of the log-mel spectrogram.
        bands: Mel bands.
        classes: Classes of the dense layer on the embedding.
        embedding: 256, 512 or 1024: the net ends after its last layer of that width.
    """
    widths = [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    if embedding not in (256, 512, 1024):
        raise NetError(f"yamnet: embedding = {embedding}: must be 256, 512 or 1024")
    b = GraphBuilder("yamnet")
    x = b.input("log_mel", (1, frames, bands, 1))
    x = b.conv2d(x, 32, 3, stride=2, padding="same", activation="relu", name="conv1")
    for i, (filters, stride) in enumerate(zip(widths, strides, strict=True), start=1):
        if filters > embedding:
            break
        x = b.depthwise(x, 3, stride=stride, activation="relu", name=f"dw{i}")
        x = b.conv2d(x, filters, 1, activation="relu", name=f"pw{i}")
    return b.build([classifier(b, x, classes)])


@net("miniresnet", "ST's MiniResNet on 64×50 log-mel patches, one stack")
@net("miniresnet_v1_s1", "ST's MiniResNet v1, one stack", stacks=1)
@net("miniresnet_v1_s2", "ST's MiniResNet v1, two stacks", stacks=2)
def miniresnet(
    bands: int = 64,
    frames: int = 50,
    classes: int = 10,
    stacks: int = 1,
    width: int = 64,
    pooled: bool = False,
    late_stride: bool = False,
) -> Graph:
    """Build ST's MiniResNet (stm32ai-modelzoo, audio_event_detection/src/models/miniresnet/miniresnet.py).

    Args:
        bands: Mel bands.
        frames: Frames of the log-mel patch.
        classes: Classes.
        stacks: Stacks of two residual blocks; each halves the image, and each but the first doubles the width.
        width: Channels of the first stack.
        pooled: Whether the classifier sees means over the image instead of the whole of it.
        late_stride: Whether a stack halves the image in its second block, as the models before release 2.0 did.
    """
    b = GraphBuilder("miniresnet")
    x = b.input("log_mel", (1, bands, frames, 1))
    x = b.conv2d(x, width, 7, stride=2, padding=3, activation="relu", name="conv1")
    x = b.pool("max", x, 3, stride=2, padding=1, name="pool1")
    for stack in range(stacks):
        filters = width << stack
        for i in range(2):
            name, stride = f"stack{stack + 1}.{i + 1}", 2 if i == late_stride else 1
            y = b.conv2d(x, filters, 1, stride=stride, activation="relu", name=f"{name}.conv1")
            y = b.conv2d(y, filters, 3, padding="same", activation="relu", name=f"{name}.conv2")
            if stride > 1 or not i:
                x = b.conv2d(x, filters, 1, stride=stride, name=f"{name}.shortcut")
            x = b.binary("add", x, y, activation="relu", name=f"{name}.add")
    return b.build([_event_head(b, x, classes, pooled)])


@net("miniresnet_v2", "ST's MiniResNet v2 (pre-activation) on 64×50 log-mel patches, one stack")
def miniresnet_v2(
    bands: int = 64, frames: int = 50, classes: int = 10, stacks: int = 1, width: int = 64, pooled: bool = False
) -> Graph:
    """Build ST's MiniResNet v2 (stm32ai-modelzoo, audio_event_detection/src/models/miniresnetv2/miniresnetv2.py).

    Args:
        bands: Mel bands.
        frames: Frames of the log-mel patch.
        classes: Classes.
        stacks: Stacks of two residual blocks; the second of each halves the image.
        width: Channels of the first stack.
        pooled: Whether the classifier sees means over the image instead of the whole of it.
    """
    b = GraphBuilder("miniresnet_v2")
    x = b.input("log_mel", (1, bands, frames, 1))
    x = b.conv2d(x, width, 7, stride=2, padding=3, name="conv1")
    x = b.pool("max", x, 3, stride=2, padding=1, name="pool1")
    for stack in range(stacks):
        filters = width << stack
        for i in range(2):
            name, stride = f"stack{stack + 1}.{i + 1}", 2 if i else 1
            y = scale_and_shift(b, x, f"{name}.norm", activation="relu")
            if i:
                x = b.pool("max", x, 1, stride=stride, name=f"{name}.shortcut")
            else:
                x = b.conv2d(y, filters, 1, name=f"{name}.shortcut")
            y = b.conv2d(y, filters, 1, activation="relu", name=f"{name}.conv1")
            y = b.conv2d(y, filters, 3, stride=stride, padding=1, name=f"{name}.conv2")
            x = b.binary("add", x, y, name=f"{name}.add")
    return b.build([_event_head(b, scale_and_shift(b, x, "norm", activation="relu"), classes, pooled)])


def _event_head(b: GraphBuilder, x: str, classes: int, pooled: bool) -> str:
    if pooled:
        return classifier(b, x, classes, softmax=True)
    return b.softmax(b.dense(b.flatten(x, name="flatten"), classes, name="classifier"), name="softmax")
