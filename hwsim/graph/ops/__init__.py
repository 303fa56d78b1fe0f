"""Layer types: attributes, shape rules and counts, one dataclass each."""

from hwsim.graph.ops.base import OPS, FusedActivation, Op, Padding2d, Pair, ShapeMismatchError, same_padding
from hwsim.graph.ops.conversion import Cast, Dequantize, Quantize, Unknown
from hwsim.graph.ops.convolution import Conv2d, ConvTranspose2d
from hwsim.graph.ops.elementwise import Binary, BinaryFunction, PRelu, Unary, UnaryFunction
from hwsim.graph.ops.layout import (
    ChannelShuffle,
    Concat,
    Coordinates,
    DepthToSpace,
    Gather,
    Pad,
    Reshape,
    Resize,
    Slice,
    SpaceToDepth,
    Split,
    Transpose,
)
from hwsim.graph.ops.linear import Dense, MatMul
from hwsim.graph.ops.normalization import BatchNorm, L2Norm, LayerNorm, Lrn, RmsNorm, Softmax
from hwsim.graph.ops.pooling import ArgExtreme, GlobalPool, Pool2d, Reduce

__all__ = [
    "OPS",
    "ArgExtreme",
    "BatchNorm",
    "Binary",
    "BinaryFunction",
    "Cast",
    "ChannelShuffle",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "Coordinates",
    "Dense",
    "DepthToSpace",
    "Dequantize",
    "FusedActivation",
    "Gather",
    "GlobalPool",
    "L2Norm",
    "LayerNorm",
    "Lrn",
    "MatMul",
    "Op",
    "PRelu",
    "Pad",
    "Padding2d",
    "Pair",
    "Pool2d",
    "Quantize",
    "Reduce",
    "Reshape",
    "Resize",
    "RmsNorm",
    "ShapeMismatchError",
    "Slice",
    "Softmax",
    "SpaceToDepth",
    "Split",
    "Transpose",
    "Unary",
    "UnaryFunction",
    "Unknown",
    "same_padding",
]
