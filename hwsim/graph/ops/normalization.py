"""Normalisations: batch, layer, root-mean-square, length, local response, and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hwsim.graph.ops.base import Op, ShapeMismatchError, need_positive, normal_axis
from hwsim.graph.tensor import Spec

# Elementary operations per element, as the plain algorithm does them.
SOFTMAX_OPS = 5  # maximum, subtract, exponential, sum, divide
LAYER_NORM_OPS = 7  # sum, subtract, square, sum, scale, times gamma, plus beta
L2_NORM_OPS = 3  # square, sum, divide
RMS_NORM_OPS = 4  # square, sum, scale, times gamma
BATCH_NORM_OPS = 2  # times scale, plus shift


def _need_channels(inputs: Sequence[Spec], roles: Sequence[str]) -> None:
    """Check that every parameter is one value per channel (the last axis)."""
    if not inputs[0].shape:
        raise ShapeMismatchError("its input is a scalar, needs channels")
    channels = inputs[0].shape[-1]
    for role, spec in zip(roles[1:], inputs[1:], strict=False):
        if spec.shape != (channels,):
            raise ShapeMismatchError(
                f"{role} has shape {spec.shape}, needs ({channels},) for its input {inputs[0].shape}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm(Op):
    """Inference-time batch norm: (x − mean) / sqrt(variance + epsilon) × scale + shift, per channel (last axis)."""

    kind: ClassVar[str] = "batch_norm"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "scale", "shift", "mean", "variance")
    required: ClassVar[int] = 5

    epsilon: float = 1e-5

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        _need_channels(inputs, self.roles)
        return (inputs[0],)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return a multiplication and an addition per element."""
        return BATCH_NORM_OPS * outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm(Op):
    """Layer norm over the last axis, with scale and shift (C,)."""

    kind: ClassVar[str] = "layer_norm"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "scale", "shift")

    epsilon: float = 1e-5

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        _need_channels(inputs, self.roles)
        return (inputs[0],)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return seven operations per element (see ``LAYER_NORM_OPS``)."""
        return LAYER_NORM_OPS * outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class RmsNorm(Op):
    """Root-mean-square norm over the last axis, with scale (C,)."""

    kind: ClassVar[str] = "rms_norm"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "scale")

    epsilon: float = 1e-5

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        _need_channels(inputs, self.roles)
        return (inputs[0],)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return four operations per element (see ``RMS_NORM_OPS``)."""
        return RMS_NORM_OPS * outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Norm(Op):
    """Vectors brought to length one: x / max(√(sum of x²), epsilon) along an axis."""

    kind: ClassVar[str] = "l2_norm"

    axis: int = -1
    epsilon: float = 1e-6

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        normal_axis(self.axis, len(inputs[0].shape))
        return (inputs[0],)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return three operations per element."""
        return L2_NORM_OPS * outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Lrn(Op):
    """Local response normalisation over ``size`` neighbouring channels: x / (bias + alpha/size · Σx²)^beta."""

    kind: ClassVar[str] = "lrn"

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        need_positive(size=self.size)
        _need_channels(inputs, self.roles)
        return (inputs[0],)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return, per element: ``size`` squares and additions, a power and a division."""
        return (2 * self.size + 2) * outputs[0].elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Op):
    """Softmax of ``beta`` × x along an axis; its logarithm where ``log`` is set."""

    kind: ClassVar[str] = "softmax"

    axis: int = -1
    beta: float = 1.0
    log: bool = False

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        normal_axis(self.axis, len(inputs[0].shape))
        return (inputs[0],)

    def ops(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return five operations per element (see ``SOFTMAX_OPS``)."""
        return SOFTMAX_OPS * outputs[0].elements
