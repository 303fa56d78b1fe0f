"""Layers as their publishers describe them, each a net of its own, with weights of the ifmap's width and no biases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from hwsim.graph import Graph, GraphBuilder


@lru_cache(maxsize=1024)
def conv(
    *,
    height: int,
    width: int | None = None,
    channels: int,
    filters: int,
    taps: int | tuple[int, int] = 1,
    stride: int | tuple[int, int] = 1,
    padding: int = 0,
    groups: int = 1,
) -> Graph:
    """Build a net of one convolution.

    Args:
        height: Rows of the ifmap, padding apart.
        width: Columns of the ifmap; None for as many as rows.
        channels: Channels of the ifmap.
        filters: Filters of all groups.
        taps: Rows and columns of a filter.
        stride: Steps down and across.
        padding: Zeros around the ifmap.
        groups: Groups.
    """
    b = GraphBuilder("layer")
    x = b.input("ifmap", (1, height, width or height, channels))
    return b.build(
        [b.conv2d(x, filters, taps, stride=stride, padding=padding, groups=groups, bias=False, name="layer")]
    )


def conv_of(row: Mapping[str, str]) -> Graph:
    """Build the convolution of a row of columns size, channels, filters, taps, stride, padding and groups."""
    values = {name: int(row[name]) for name in ("channels", "filters", "taps", "stride", "padding", "groups")}
    return conv(height=int(row["size"]), **values)


@lru_cache(maxsize=64)
def dense(*, inputs: int, outputs: int) -> Graph:
    """Build a net of one fully connected layer."""
    b = GraphBuilder("layer")
    return b.build([b.dense(b.input("ifmap", (1, inputs)), outputs, bias=False, name="layer")])
