"""Net builders: one file per family, to read and copy. ``build`` makes one by name."""

from . import (
    audio,
    classics,
    darknet,
    efficientnet,
    language,
    mobilenet,
    osnet,
    pose,
    resnet,
    sensing,
    shufflenet,
    squeezenet,
    squeezenext,
    ssd,
    transformer,
    yolo,
)
from .registry import NETS, Net, build

__all__ = [
    "NETS",
    "Net",
    "audio",
    "build",
    "classics",
    "darknet",
    "efficientnet",
    "language",
    "mobilenet",
    "osnet",
    "pose",
    "resnet",
    "sensing",
    "shufflenet",
    "squeezenet",
    "squeezenext",
    "ssd",
    "transformer",
    "yolo",
]
