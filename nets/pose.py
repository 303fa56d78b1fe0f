"""Pose estimation: ST's MoveNet-like heatmaps on MobileNet V2; batch norm folded."""

from __future__ import annotations

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder
from hwsim.graph.ops import Resize

from .mobilenet import mobilenet_v2_body
from .registry import net


@net("st_movenet_heatmaps", "ST's MoveNet-like pose estimator with heatmaps, 192 px")
def st_movenet_heatmaps(resolution: int = 192, keypoints: int = 17, alpha: float = 1.0) -> Graph:
    """Build ST's MoveNet Lightning heatmaps (stm32ai-modelzoo, pose_estimation, st_movenet_lightning_heatmaps).

    Args:
        resolution: Height and width of the image; a multiple of 32.
        keypoints: Heatmaps.
        alpha: Scales the backbone's channels.

    Raises:
        NetError: The resolution is no multiple of 32.
    """
    if resolution % 32:
        raise NetError(f"st_movenet_heatmaps: resolution = {resolution}: must be a multiple of 32")
    b = GraphBuilder("st_movenet_heatmaps")
    blocks = mobilenet_v2_body(b, b.input("image", (1, resolution, resolution, 3)), alpha)
    x = b.conv2d(blocks[-1], 64, 1, name="lateral5")
    for level, (block, filters, narrower) in enumerate(((9, 64, 32), (5, 32, 24), (2, 24, 24))):
        name = f"level{4 - level}"
        _, h, w, _ = b.shape(x)
        up = b.add(Resize(mode="bilinear", size=(2 * h, 2 * w)), [x], name=f"{name}.up")[0]
        x = b.binary("add", up, b.conv2d(blocks[block], filters, 1, name=f"{name}.lateral"), name=f"{name}.merge")
        x = b.depthwise(x, 3, name=f"{name}.dw")
        x = b.conv2d(x, narrower, 1, activation="relu", name=f"{name}.pw")
    x = b.depthwise(x, 3, name="head.dw")
    x = b.conv2d(x, 96, 1, activation="relu", name="head.pw")
    x = b.conv2d(x, keypoints, 1, name="keypoints")
    return b.build([b.unary("sigmoid", x, name="heatmaps")])
