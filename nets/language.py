"""One decode step of small language models (Llama-like): a token in, logits out, the key-value cache as inputs."""

from __future__ import annotations

from hwsim.errors import NetError
from hwsim.graph import Graph, GraphBuilder
from hwsim.graph.ops import Dense, Gather, RmsNorm

from .registry import net


@net("stories260k_decode", "Decode step of stories260K (llama2.c), context 512")
@net(
    "stories15m_decode",
    "Decode step of stories15M (llama2.c), context 256",
    context=256,
    width=288,
    hidden=768,
    depth=6,
    heads=6,
    kv_heads=6,
    vocabulary=32000,
)
@net(
    "stories42m_decode",
    "Decode step of stories42M (llama2.c), context 1024",
    context=1024,
    width=512,
    hidden=1376,
    depth=8,
    heads=8,
    kv_heads=8,
    vocabulary=32000,
)
@net(
    "stories110m_decode",
    "Decode step of stories110M (llama2.c), context 1024",
    context=1024,
    width=768,
    hidden=2048,
    depth=12,
    heads=12,
    kv_heads=12,
    vocabulary=32000,
)
@net(
    "smollm_135m_decode",
    "Decode step of SmolLM-135M, context 2048",
    context=2048, width=576, hidden=1536, depth=30, heads=9, kv_heads=3, vocabulary=49152,
)  # fmt: skip
def decode_step(
    context: int = 512,
    width: int = 64,
    hidden: int = 172,
    depth: int = 5,
    heads: int = 8,
    kv_heads: int = 4,
    vocabulary: int = 512,
) -> Graph:
    """Build one decode step of a Llama-like model (llama2.c's configurations); embeddings are tied to the output.

    The cache holds the ``context − 1`` tokens before; the cosines and sines of the rotary embedding are inputs, as they
    depend on the position and are no parameters.

    Args:
        context: Tokens attended to, this one included.
        width: Channels of a token.
        hidden: Channels inside the feed-forward part.
        depth: Layers.
        heads: Query heads; divides ``width``.
        kv_heads: Key and value heads; divides ``heads``.
        vocabulary: Tokens known.
    """
    if heads < 1 or kv_heads < 1 or width % heads or heads % kv_heads or (width // heads) % 2:
        raise NetError(f"decode_step: heads = {heads}, kv_heads = {kv_heads}: must divide width = {width} evenly")
    size = width // heads
    b = GraphBuilder("decode_step")
    token = b.input("token", (1,), "int32")
    table = b.constant("embedding", (vocabulary, width))
    cos, sin = (b.input(name, (1, 1, size // 2)) for name in ("rope_cos", "rope_sin"))
    x = b.add(Gather(), [table, token], name="embed")[0]
    for i in range(1, depth + 1):
        name = f"layer{i}"
        y = _rms_norm(b, x, f"{name}.norm1")
        q = b.reshape(b.dense(y, width, bias=False, name=f"{name}.q"), (heads, 1, size), name=f"{name}.q_heads")
        k, v = (
            b.reshape(
                b.dense(y, kv_heads * size, bias=False, name=f"{name}.{which}"),
                (kv_heads, 1, size),
                name=f"{name}.{which}_heads",
            )
            for which in "kv"
        )
        q, k = _rotate(b, q, cos, sin, f"{name}.q"), _rotate(b, k, cos, sin, f"{name}.k")
        if context > 1:
            k, v = (
                b.concat(
                    [b.input(f"{name}.{which}_cache", (kv_heads, context - 1, size)), new],
                    axis=1,
                    name=f"{name}.{which}_all",
                )
                for which, new in (("k", k), ("v", v))
            )
        # Query heads that share a key head are rows of one product.
        q = b.reshape(q, (kv_heads, heads // kv_heads, size), name=f"{name}.q_groups")
        weights = b.softmax(b.matmul(q, k, transpose_b=True, name=f"{name}.scores"), name=f"{name}.softmax")
        mixed = b.reshape(b.matmul(weights, v, name=f"{name}.mix"), (1, width), name=f"{name}.join")
        x = b.binary("add", x, b.dense(mixed, width, bias=False, name=f"{name}.output"), name=f"{name}.add1")
        y = _rms_norm(b, x, f"{name}.norm2")
        gate = b.unary("silu", b.dense(y, hidden, bias=False, name=f"{name}.gate"), name=f"{name}.silu")
        y = b.binary("mul", gate, b.dense(y, hidden, bias=False, name=f"{name}.up"), name=f"{name}.gated")
        x = b.binary("add", x, b.dense(y, width, bias=False, name=f"{name}.down"), name=f"{name}.add2")
    x = _rms_norm(b, x, "norm")
    return b.build([b.add(Dense(), [x, table], name="logits")[0]])


def _rms_norm(b: GraphBuilder, x: str, name: str) -> str:
    return b.add(RmsNorm(), [x, b.constant(f"{name}.scale", (b.channels(x),))], name=name)[0]


def _rotate(b: GraphBuilder, x: str, cos: str, sin: str, name: str) -> str:
    """Rotate the two halves of every head by the position's angles."""
    half = b.channels(x) // 2
    first, second = b.split(x, (half, half), name=f"{name}.halves")
    real = b.binary("sub", b.binary("mul", first, cos), b.binary("mul", second, sin), name=f"{name}.real")
    imaginary = b.binary("add", b.binary("mul", first, sin), b.binary("mul", second, cos), name=f"{name}.imaginary")
    return b.concat([real, imaginary], name=f"{name}.rotated")
