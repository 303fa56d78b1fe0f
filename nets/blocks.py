"""Pieces that several families share."""

from __future__ import annotations

from hwsim.graph import GraphBuilder
from hwsim.graph.ops import FusedActivation


def divisible(channels: float, by: int = 8) -> int:
    """Return channels rounded to a multiple, never below nine tenths (Howard's ``make_divisible``)."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


def nonlinear(b: GraphBuilder, x: str, function: str, name: str | None = None) -> str:
    """Apply an activation that is a layer of its own: silu or hard_swish."""
    return b.unary("silu" if function == "silu" else "hard_swish", x, name=name)


def squeeze_excite(
    b: GraphBuilder,
    x: str,
    squeezed: int,
    *,
    gate: str,
    activation: FusedActivation | None,
    name: str,
    clip: float | None = None,
) -> str:
    """Scale channels by what their means say: pool, squeeze, expand, gate, multiply.

    Args:
        b: The builder.
        x: An image (N, H, W, C).
        squeezed: Channels between the two 1×1 convolutions.
        gate: sigmoid or hard_sigmoid.
        activation: Of the squeezed channels; None is SiLU.
        name: Prefix of the layers' names.
        clip: Bound of the gate's input in both directions, as a layer of its own; None leaves it out.
    """
    channels = b.channels(x)
    y = b.global_pool("average", x, name=f"{name}.pool")
    y = b.conv2d(y, squeezed, 1, activation=activation, name=f"{name}.squeeze")
    if activation is None:
        y = b.unary("silu", y, name=f"{name}.silu")
    y = b.conv2d(y, channels, 1, name=f"{name}.expand")
    if clip is not None:
        y = b.unary("clip", y, low=-clip, high=clip, name=f"{name}.clip")
    if gate == "sigmoid":
        y = b.unary("sigmoid", y, name=f"{name}.gate")
    else:
        y = b.unary("hard_sigmoid", y, alpha=1 / 6, beta=0.5, name=f"{name}.gate")
    return b.binary("mul", x, y, name=f"{name}.scale")


def scale_and_shift(b: GraphBuilder, x: str, name: str, *, activation: FusedActivation | None = None) -> str:
    """Scale and shift each channel, as integer runtimes run a norm that no convolution can take in."""
    channels = (b.channels(x),)
    scaled = b.binary("mul", x, b.constant(f"{name}.scale", channels), name=f"{name}.mul")
    return b.binary("add", scaled, b.constant(f"{name}.shift", channels), activation=activation, name=f"{name}.add")


def classifier(b: GraphBuilder, x: str, classes: int, *, softmax: bool = False) -> str:
    """Average over the image, flatten, and a dense layer to the classes; without classes the means are the output."""
    x = b.global_pool("average", x, name="pool")
    x = b.flatten(x, name="flatten")
    if not classes:
        return x
    x = b.dense(x, classes, name="classifier")
    return b.softmax(x, name="softmax") if softmax else x
