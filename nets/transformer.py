"""Transformer encoders: DeiT for images, the keyword transformer for sound."""

from __future__ import annotations

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder
from hwsim.graph.ops import LayerNorm

from .registry import net


def layer_norm(b: GraphBuilder, x: str, name: str) -> str:
    """Normalise the last axis, with scale and shift of its own."""
    channels = b.channels(x)
    constants = [b.constant(f"{name}.{role}", (channels,)) for role in ("scale", "shift")]
    return b.add(LayerNorm(epsilon=1e-6), [x, *constants], name=name)[0]


def attention(b: GraphBuilder, x: str, heads: int, *, qkv_bias: bool, name: str) -> str:
    """Attend from every token to every token: (1, T, D) → (1, T, D)."""
    _, tokens, width = b.shape(x)
    size = width // heads
    qkv = b.dense(x, 3 * width, bias=qkv_bias, name=f"{name}.qkv")
    qkv = b.reshape(qkv, (tokens, 3, heads, size), name=f"{name}.heads")
    qkv = b.transpose(qkv, (1, 2, 0, 3), name=f"{name}.by_head")
    q, k, v = (
        b.reshape(part, (heads, tokens, size), name=f"{name}.{which}")
        for part, which in zip(b.split(qkv, (1, 1, 1), axis=0, name=f"{name}.split"), "qkv", strict=True)
    )
    scores = b.matmul(q, k, transpose_b=True, name=f"{name}.scores")
    weights = b.softmax(scores, name=f"{name}.softmax")
    mixed = b.matmul(weights, v, name=f"{name}.mix")
    mixed = b.transpose(mixed, (1, 0, 2), name=f"{name}.by_token")
    return b.dense(b.reshape(mixed, (1, tokens, width), name=f"{name}.join"), width, name=f"{name}.output")


def mlp(b: GraphBuilder, x: str, hidden: int, name: str) -> str:
    """Two dense layers with GELU between."""
    width = b.channels(x)
    x = b.unary("gelu", b.dense(x, hidden, name=f"{name}.hidden"), name=f"{name}.gelu")
    return b.dense(x, width, name=f"{name}.output")


def _with_class_token(b: GraphBuilder, x: str) -> str:
    """Put a learned token before the others and add a learned position to each."""
    _, tokens, width = b.shape(x)
    x = b.concat([b.constant("class_token", (1, 1, width)), x], axis=1, name="with_class_token")
    return b.binary("add", x, b.constant("position", (1, tokens + 1, width)), name="with_position")


def _class_of(b: GraphBuilder, x: str, classes: int, *, norm: bool = False) -> str:
    """Read the class off the first token, normalised first where the head has a norm of its own."""
    _, tokens, _ = b.shape(x)
    first, _ = b.split(x, (1, tokens - 1), axis=1, name="class_of")
    first = b.flatten(first, name="flatten")
    return b.dense(layer_norm(b, first, "head_norm") if norm else first, classes, name="classifier")


@net("deit_tiny", "DeiT-Tiny/16, 224 px")
def deit(
    resolution: int = 224, classes: int = 1000, patch: int = 16, width: int = 192, depth: int = 12, heads: int = 3
) -> Graph:
    """Build a vision transformer in DeiT's shapes (Touvron et al., arXiv 2012.12877), norm before each part.

    Args:
        resolution: Height and width of the image.
        classes: Classes.
        patch: Height and width of a patch.
        width: Channels of a token.
        depth: Layers.
        heads: Attention heads; divides ``width``.
    """
    _check_heads("deit", width, heads)
    b = GraphBuilder("deit")
    x = b.input("image", (1, resolution, resolution, 3))
    x = b.conv2d(x, width, patch, stride=patch, name="patches")
    _, rows, cols, _ = b.shape(x)
    x = _with_class_token(b, b.reshape(x, (1, rows * cols, width), name="tokens"))
    for i in range(1, depth + 1):
        y = layer_norm(b, x, f"block{i}.norm1")
        x = b.binary("add", x, attention(b, y, heads, qkv_bias=True, name=f"block{i}.attention"), name=f"block{i}.add1")
        y = layer_norm(b, x, f"block{i}.norm2")
        x = b.binary("add", x, mlp(b, y, 4 * width, f"block{i}.mlp"), name=f"block{i}.add2")
    return b.build([_class_of(b, layer_norm(b, x, "norm"), classes)])


@net("kwt_1", "Keyword transformer KWT-1, 98×40 MFCCs")
@net("kwt_2", "Keyword transformer KWT-2", width=128, heads=2)
@net("kwt_3", "Keyword transformer KWT-3", width=192, heads=3)
def kwt(
    frames: int = 98, coefficients: int = 40, classes: int = 12, width: int = 64, depth: int = 12, heads: int = 1
) -> Graph:
    """Build a keyword transformer (Berg et al., arXiv 2104.00769): a token per frame, norm after each part.

    Args:
        frames: Frames of the spectrogram.
        coefficients: MFCCs per frame.
        classes: Keywords.
        width: Channels of a token.
        depth: Layers.
        heads: Attention heads; divides ``width``.
    """
    _check_heads("kwt", width, heads)
    b = GraphBuilder("kwt")
    x = b.input("mfcc", (1, frames, coefficients))
    x = _with_class_token(b, b.dense(x, width, name="tokens"))
    for i in range(1, depth + 1):
        y = attention(b, x, heads, qkv_bias=False, name=f"block{i}.attention")
        x = layer_norm(b, b.binary("add", x, y, name=f"block{i}.add1"), f"block{i}.norm1")
        x = layer_norm(
            b, b.binary("add", x, mlp(b, x, 4 * width, f"block{i}.mlp"), name=f"block{i}.add2"), f"block{i}.norm2"
        )
    return b.build([_class_of(b, x, classes, norm=True)])


def _check_heads(name: str, width: int, heads: int) -> None:
    if heads < 1 or width % heads:
        raise NetError(f"{name}: heads = {heads}: must divide width = {width}")
