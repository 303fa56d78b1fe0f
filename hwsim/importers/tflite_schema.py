"""Which options each TFLite operator has, named as in TensorFlow's ``schema.fbs``."""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.graph.ops import FusedActivation

_WINDOW = ("Padding", "StrideH", "StrideW", "FusedActivationFunction")
_POOL = (*_WINDOW, "FilterHeight", "FilterWidth")
_ACTIVATION = ("FusedActivationFunction",)
_RESIZE = ("AlignCorners", "HalfPixelCenters")

OPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": ("Conv2DOptions", (*_WINDOW, "DilationHFactor", "DilationWFactor")),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", (*_WINDOW, "DilationHFactor", "DilationWFactor")),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _WINDOW),
    "FULLY_CONNECTED": ("FullyConnectedOptions", (*_ACTIVATION, "WeightsFormat", "KeepNumDims")),
    "BATCH_MATMUL": ("BatchMatMulOptions", ("AdjX", "AdjY")),
    "ADD": ("AddOptions", _ACTIVATION),
    "SUB": ("SubOptions", _ACTIVATION),
    "MUL": ("MulOptions", _ACTIVATION),
    "DIV": ("DivOptions", _ACTIVATION),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "SUM": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_MAX": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_MIN": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_PROD": ("ReducerOptions", ("KeepDims",)),
    "ARG_MAX": ("ArgMaxOptions", ()),
    "ARG_MIN": ("ArgMinOptions", ()),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", *_ACTIVATION)),
    "SPLIT": ("SplitOptions", ("NumSplits",)),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset"),
    ),
    "MIRROR_PAD": ("MirrorPadOptions", ("Mode",)),
    "RESHAPE": ("ReshapeOptions", ("NewShapeAsNumpy",)),
    "SQUEEZE": ("SqueezeOptions", ("SqueezeDimsAsNumpy",)),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", _RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", _RESIZE),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "LOCAL_RESPONSE_NORMALIZATION": ("LocalResponseNormalizationOptions", ("Radius", "Bias", "Alpha", "Beta")),
    "GATHER": ("GatherOptions", ("Axis", "BatchDims")),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "GELU": ("GeluOptions", ("Approximate",)),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", ("BlockSize",)),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", ("BlockSize",)),
    "PACK": ("PackOptions", ("Axis",)),
    "UNPACK": ("UnpackOptions", ("Axis",)),
    "SHAPE": ("ShapeOptions", ("OutType",)),
}
"""Operator → (class of the ``tflite`` package, the options an importer reads)."""

SAME_PADDING = 0
REFLECT = 0
SHAPE_INT64 = 4
FUSED_ACTIVATIONS: Mapping[int, FusedActivation | None] = {0: None, 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
"""Fused activations by their code; 4 (tanh) and 5 (sign bit) have no kernel."""
