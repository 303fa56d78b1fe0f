"""Convolutions, plain and transposed; depthwise is ``groups = channels``, 1-D is a height of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hwsim.graph.ops.base import (
    FusedActivation,
    Op,
    Padding2d,
    Pair,
    ShapeMismatchError,
    need_no_crop,
    need_positive,
    need_rank,
    need_weights,
    window_positions,
)
from hwsim.graph.tensor import Spec

NO_PADDING: Padding2d = ((0, 0), (0, 0))


def _check_filter(filter_: Spec, bias: Spec | None, in_channels: int, groups: int) -> None:
    """Check a conv filter (K, R, S, C/groups) and its bias (K,) against the ifmap's channels."""
    need_rank(filter_, 4, "filter")
    need_weights(filter_)
    out_channels, per_group = filter_.shape[0], filter_.shape[3]
    if per_group * groups != in_channels:
        raise ShapeMismatchError(
            f"in_channels = {per_group * groups} ({groups} groups), but its input has {in_channels}"
        )
    if out_channels % groups:
        raise ShapeMismatchError(f"out_channels = {out_channels}: must be a multiple of groups = {groups}")
    if bias is not None and bias.shape != (out_channels,):
        raise ShapeMismatchError(f"bias has shape {bias.shape}, needs ({out_channels},)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv2d(Op):
    """2-D convolution: ifmap (N, H, W, C), filter (K, R, S, C/groups), bias (K,) → ofmap (N, P, Q, K)."""

    kind: ClassVar[str] = "conv2d"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "filter", "bias")
    required: ClassVar[int] = 2

    strides: Pair = (1, 1)
    padding: Padding2d = NO_PADDING
    dilations: Pair = (1, 1)
    groups: int = 1
    activation: FusedActivation | None = None

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        ifmap, filter_, *rest = inputs
        need_rank(ifmap, 4, "ifmap")
        need_positive(strides=self.strides, dilations=self.dilations, groups=self.groups)
        need_no_crop(self.padding)
        _check_filter(filter_, rest[0] if rest else None, ifmap.shape[3], self.groups)
        n, h, w, _ = ifmap.shape
        k, r, s, _ = filter_.shape
        p = window_positions(h, r, self.strides[0], self.dilations[0], self.padding[0])
        q = window_positions(w, s, self.strides[1], self.dilations[1], self.padding[1])
        return (Spec((n, p, q, k), ifmap.dtype),)

    def macs(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return ofmap elements × C/groups × R × S."""
        _, r, s, c = inputs[1].shape
        return outputs[0].elements * c * r * s

    def is_depthwise(self, inputs: Sequence[Spec]) -> bool:
        """Return whether every input channel has filters of its own."""
        return self.groups > 1 and self.groups == inputs[0].shape[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTranspose2d(Op):
    """Transposed convolution: ifmap (N, H, W, C), filter (K, R, S, C/groups), bias (K,) → ofmap (N, P, Q, K).

    ``padding`` is cropped from the full ofmap; ``output_padding`` adds rows and columns at its end.
    """

    kind: ClassVar[str] = "conv_transpose2d"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "filter", "bias")
    required: ClassVar[int] = 2

    strides: Pair = (1, 1)
    padding: Padding2d = NO_PADDING
    dilations: Pair = (1, 1)
    output_padding: Pair = (0, 0)
    groups: int = 1
    activation: FusedActivation | None = None

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        ifmap, filter_, *rest = inputs
        need_rank(ifmap, 4, "ifmap")
        need_positive(strides=self.strides, dilations=self.dilations, groups=self.groups)
        need_no_crop(self.padding)
        _check_filter(filter_, rest[0] if rest else None, ifmap.shape[3], self.groups)
        spatial = tuple(
            (size - 1) * stride + (kernel - 1) * dilation + 1 - sum(pad) + extra
            for size, kernel, stride, dilation, pad, extra in zip(
                ifmap.shape[1:3],
                filter_.shape[1:3],
                self.strides,
                self.dilations,
                self.padding,
                self.output_padding,
                strict=True,
            )
        )
        if min(self.output_padding) < 0:
            raise ShapeMismatchError(f"output_padding = {self.output_padding}: must be >= 0")
        if min(spatial) < 1:
            raise ShapeMismatchError(f"padding {self.padding} leaves an ofmap of {spatial}")
        return (Spec((ifmap.shape[0], *spatial, filter_.shape[0]), ifmap.dtype),)

    def macs(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return ifmap elements × K/groups × R × S: each input meets each tap once, cropped taps included."""
        k, r, s, _ = inputs[1].shape
        return inputs[0].elements * (k // self.groups) * r * s
