"""Small Darknet nets (Redmon): Tiny Darknet for classification, Tiny YOLOv2 for detection; batch norm folded."""

from __future__ import annotations

from hwsim.graph import Graph, GraphBuilder

from .registry import net

LEAK = 0.1


def _leaky(b: GraphBuilder, x: str, filters: int, kernel: int, name: str) -> str:
    x = b.conv2d(x, filters, kernel, padding=kernel // 2, name=name)
    return b.unary("leaky_relu", x, alpha=LEAK, name=f"{name}.leaky")


@net("tiny_darknet", "Tiny Darknet, 224 px")
def tiny_darknet(resolution: int = 224, classes: int = 1000) -> Graph:
    """Build Tiny Darknet (pjreddie.com/darknet/tiny-darknet).

    Args:
        resolution: Height and width of the image.
        classes: Classes.
    """
    b = GraphBuilder("tiny_darknet")
    x = b.input("image", (1, resolution, resolution, 3))
    x = _leaky(b, x, 16, 3, "conv1")
    x = b.pool("max", x, 2, name="pool1")
    x = _leaky(b, x, 32, 3, "conv2")
    x = b.pool("max", x, 2, name="pool2")
    index = 2
    for stage, (squeezed, wide) in enumerate([(16, 128), (32, 256), (64, 512)], start=3):
        for _ in range(2):
            x = _leaky(b, x, squeezed, 1, f"conv{index + 1}")
            x = _leaky(b, x, wide, 3, f"conv{index + 2}")
            index += 2
        if stage < 5:
            x = b.pool("max", x, 2, name=f"pool{stage}")
    x = _leaky(b, x, 128, 1, f"conv{index + 1}")
    x = b.conv2d(x, classes, 1, name=f"conv{index + 2}")
    x = b.flatten(b.global_pool("average", x, name="pool"), name="flatten")
    return b.build([b.softmax(x, name="prob")])


@net("tiny_yolov2", "Tiny YOLOv2 for Pascal VOC, 416 px")
@net(
    "st_tiny_yolov2",
    "ST's Tiny YOLOv2: half the filters in the eighth convolution, 224 px",
    resolution=224,
    outputs=30,
    last=512,
)
def tiny_yolov2(resolution: int = 416, outputs: int = 125, width: float = 1.0, last: int = 1024) -> Graph:
    """Build Tiny YOLOv2 up to its raw detections.

    Args:
        resolution: Height and width of the image.
        outputs: Numbers per cell: anchors × (classes + 5); 125 for VOC.
        width: Scales every convolution's filters but the last's.
        last: Filters of the eighth convolution, before scaling.
    """
    b = GraphBuilder("tiny_yolov2")
    x = b.input("image", (1, resolution, resolution, 3))
    for i, filters in enumerate((16, 32, 64, 128, 256, 512), start=1):
        x = _leaky(b, x, max(int(filters * width), 1), 3, f"conv{i}")
        # The sixth pool keeps its size: it pads the end by one.
        padding = ((0, 1), (0, 1)) if i == 6 else ((0, 0), (0, 0))
        x = b.pool("max", x, 2, stride=1 if i == 6 else 2, padding=padding, name=f"pool{i}")
    for i, filters in ((7, 1024), (8, last)):
        x = _leaky(b, x, max(int(filters * width), 1), 3, f"conv{i}")
    return b.build([b.conv2d(x, outputs, 1, name="conv9")])
