"""Net builders: one file per family, to read and copy. ``build`` makes one by name."""

from . import (
    audio,
    classics,
    darknet,
    efficientnet,
    language,
    mobilenet,
    resnet,
    shufflenet,
    squeezenet,
    squeezenext,
    transformer,
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
    "resnet",
    "shufflenet",
    "squeezenet",
    "squeezenext",
    "transformer",
]
