"""Matrix products: with stored weights (dense) and of two activations (matmul)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hwsim.graph.ops.base import FusedActivation, Op, ShapeMismatchError, need_rank, need_weights
from hwsim.graph.ops.elementwise import broadcast
from hwsim.graph.tensor import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense(Op):
    """Fully connected: ifmap (…, C), filter (K, C), bias (K,) → ofmap (…, K)."""

    kind: ClassVar[str] = "dense"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "filter", "bias")
    required: ClassVar[int] = 2

    activation: FusedActivation | None = None

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        ifmap, filter_, *rest = inputs
        need_rank(filter_, 2, "filter")
        need_weights(filter_)
        k, c = filter_.shape
        if not ifmap.shape or ifmap.shape[-1] != c:
            raise ShapeMismatchError(f"in_features = {c}, but its input has shape {ifmap.shape}")
        if rest and rest[0].shape != (k,):
            raise ShapeMismatchError(f"bias has shape {rest[0].shape}, needs ({k},)")
        return (Spec((*ifmap.shape[:-1], k), ifmap.dtype),)

    def macs(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return ofmap elements × C."""
        return outputs[0].elements * inputs[1].shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatMul(Op):
    """Batched product of two activations: a (…, M, C) · b (…, C, K) → (…, M, K); leading axes broadcast."""

    kind: ClassVar[str] = "matmul"
    roles: ClassVar[tuple[str, ...]] = ("ifmap", "operand")
    required: ClassVar[int] = 2

    transpose_a: bool = False
    transpose_b: bool = False

    def infer(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Return the ofmap's spec; see ``Op.infer``."""
        a, b = inputs
        if len(a.shape) < 2 or len(b.shape) < 2:
            raise ShapeMismatchError(f"operands of shape {a.shape} and {b.shape}: each needs >= 2 axes")
        m, c = a.shape[:-3:-1] if self.transpose_a else a.shape[-2:]
        c_b, k = b.shape[:-3:-1] if self.transpose_b else b.shape[-2:]
        if c != c_b:
            raise ShapeMismatchError(f"inner sizes {c} and {c_b} differ (operands {a.shape} and {b.shape})")
        return (Spec((*broadcast(a.shape[:-2], b.shape[:-2]), m, k), a.dtype),)

    def macs(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> int:
        """Return ofmap elements × C."""
        return outputs[0].elements * inputs[0].shape[-2 if self.transpose_a else -1]
