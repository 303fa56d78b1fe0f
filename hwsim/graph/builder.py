"""The builder: add layers one by one; shapes are inferred, and a wrong one names the layers it stands between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from hwsim.errors import NetError, did_you_mean
from hwsim.graph.graph import Graph, Layer
from hwsim.graph.ops import (
    Binary,
    BinaryFunction,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    FusedActivation,
    GlobalPool,
    MatMul,
    Op,
    Padding2d,
    Pair,
    Pool2d,
    Reduce,
    Reshape,
    ShapeMismatchError,
    Softmax,
    Split,
    Transpose,
    Unary,
    UnaryFunction,
    same_padding,
)
from hwsim.graph.tensor import (
    DTYPES,
    MAX_ELEMENTS,
    MAX_RANK,
    DType,
    Quantization,
    Shape,
    Tensor,
    elements,
    zero_point_problem,
)

PaddingLike = Literal["same", "valid"] | int | Pair | Padding2d


class GraphBuilder:
    """Builds a ``Graph`` layer by layer.

    Every method that adds a layer returns the name of its output tensor (``split`` returns several), which is the
    layer's own name unless outputs are named. Images are channel-last (N, H, W, C).

    >>> b = GraphBuilder("tiny")
    >>> x = b.input("image", (1, 8, 8, 3))
    >>> x = b.conv2d(x, 16, kernel=3, stride=2, padding="same", activation="relu")
    >>> b.build([x]).macs
    6912
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tensors: dict[str, Tensor] = {}
        self._layers: list[Layer] = []
        self._layer_names: set[str] = set()
        self._inputs: list[str] = []
        self._producer: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    # -- tensors ---------------------------------------------------------------------------------------------------

    def input(
        self,
        name: str,
        shape: Shape,
        dtype: DType = "float32",
        *,
        quant: Quantization | None = None,
        file_axes: tuple[int, ...] | None = None,
    ) -> str:
        """Add a graph input and return its name; ``file_axes`` as in ``Tensor``."""
        self._add_tensor(Tensor(name=name, shape=tuple(shape), dtype=dtype, quant=quant, file_axes=file_axes))
        self._inputs.append(name)
        return name

    def constant(
        self,
        name: str,
        shape: Shape,
        dtype: DType = "float32",
        *,
        data: np.ndarray | None = None,
        quant: Quantization | None = None,
    ) -> str:
        """Add a stored tensor and return its name; without ``data`` only its shape is known."""
        if data is not None and data.shape != tuple(shape):
            raise NetError(f"constant {name!r}: data of shape {data.shape}, declared {tuple(shape)}")
        self._add_tensor(Tensor(name=name, shape=tuple(shape), dtype=dtype, quant=quant, constant=True, data=data))
        return name

    def tensor(self, name: str) -> Tensor:
        """Return a tensor added so far.

        Raises:
            NetError: There is none of that name.
        """
        if name not in self._tensors:
            raise NetError(f"net {self.name!r} has no tensor {name!r}{did_you_mean(name, self._tensors)}")
        return self._tensors[name]

    def shape(self, name: str) -> Shape:
        """Return the shape of a tensor added so far."""
        return self.tensor(name).shape

    def channels(self, name: str) -> int:
        """Return the size of a tensor's last axis."""
        return self.shape(name)[-1]

    # -- layers ----------------------------------------------------------------------------------------------------

    def add(
        self,
        op: Op,
        inputs: Sequence[str],
        *,
        name: str | None = None,
        outputs: Sequence[str] | None = None,
        dtypes: Sequence[DType] | None = None,
        quants: Sequence[Quantization | None] | None = None,
        file_axes: tuple[int, ...] | None = None,
    ) -> tuple[str, ...]:
        """Add a layer of any type and return the names of its outputs.

        Args:
            op: The layer type with its attributes.
            inputs: Tensors it reads, constants included, in the order of ``op.roles``.
            name: The layer's name; made from ``op.kind`` when left out.
            outputs: Names for the outputs; the layer's name (with an index where there are several) when left out.
            dtypes: Output dtypes where the file says other than the shape rule.
            quants: Output quantisation.
            file_axes: The file's axis order of the first output, where that is a graph output.

        Raises:
            NetError: A name is taken or missing, or the shape rule is broken.
        """
        name = name or self._fresh(op.kind)
        if name in self._layer_names:
            raise NetError(f"net {self.name!r} has two layers named {name!r}")
        sources = [self._source(tensor, name) for tensor in inputs]
        try:
            op.check_arity(len(inputs))
            specs = op.infer([tensor.spec for tensor in sources])
        except ShapeMismatchError as error:
            raise NetError(self._sentence(name, op, inputs, str(error))) from None
        names = (
            tuple(outputs)
            if outputs
            else (name,)
            if len(specs) == 1
            else tuple(f"{name}:{i}" for i in range(len(specs)))
        )
        if len(names) != len(specs):
            raise NetError(
                f"layer {name!r} ({type(op).__name__}) has {len(specs)} outputs, {len(names)} names are given"
            )
        for index, (output, spec) in enumerate(zip(names, specs, strict=True)):
            self._add_tensor(
                Tensor(
                    name=output,
                    shape=spec.shape,
                    dtype=dtypes[index] if dtypes else spec.dtype,
                    quant=quants[index] if quants else None,
                    file_axes=file_axes if index == 0 else None,
                ),
                f"layer {name!r} ({type(op).__name__}): ",
            )
            self._producer[output] = name
        self._layers.append(Layer(name, op, tuple(inputs), names))
        self._layer_names.add(name)
        return names

    def conv2d(
        self,
        x: str,
        out_channels: int,
        kernel: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: PaddingLike = "valid",
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        activation: FusedActivation | None = None,
        name: str | None = None,
    ) -> str:
        """Add a convolution with weights of its own; ``padding`` is a word, a number, (h, w) or explicit."""
        name = name or self._fresh("conv")
        in_channels = self._image(x, name, "Conv2d")[3]
        if groups < 1 or in_channels % groups:
            raise NetError(
                f"layer {name!r} (Conv2d): groups = {groups}: must divide the {in_channels} channels of {x!r}"
            )
        kernel, stride, dilation = _pair(kernel), _pair(stride), _pair(dilation)
        op = Conv2d(
            strides=stride,
            padding=self._padding(x, padding, kernel, stride, dilation),
            dilations=dilation,
            groups=groups,
            activation=activation,
        )
        return self._weighted(op, x, name, (out_channels, *kernel, in_channels // groups), bias=bias)

    def depthwise(
        self,
        x: str,
        kernel: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: PaddingLike = "same",
        multiplier: int = 1,
        bias: bool = True,
        activation: FusedActivation | None = None,
        name: str | None = None,
    ) -> str:
        """Add a depthwise convolution: one filter (times ``multiplier``) per channel."""
        name = name or self._fresh("depthwise")
        channels = self._image(x, name, "Conv2d")[3]
        return self.conv2d(
            x,
            channels * multiplier,
            kernel,
            stride=stride,
            padding=padding,
            groups=channels,
            bias=bias,
            activation=activation,
            name=name,
        )

    def dense(
        self,
        x: str,
        out_features: int,
        *,
        bias: bool = True,
        activation: FusedActivation | None = None,
        name: str | None = None,
    ) -> str:
        """Add a fully connected layer over the last axis, with weights of its own."""
        name = name or self._fresh("dense")
        return self._weighted(Dense(activation=activation), x, name, (out_features, self.channels(x)), bias=bias)

    def matmul(
        self, a: str, b: str, *, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None
    ) -> str:
        """Add a batched product of two activations."""
        return self.add(MatMul(transpose_a=transpose_a, transpose_b=transpose_b), [a, b], name=name)[0]

    def binary(
        self,
        function: BinaryFunction,
        a: str,
        b: str,
        *,
        activation: FusedActivation | None = None,
        name: str | None = None,
    ) -> str:
        """Add arithmetic of two tensors."""
        return self.add(Binary(function=function, activation=activation), [a, b], name=name or self._fresh(function))[0]

    def unary(self, function: UnaryFunction, x: str, *, name: str | None = None, **attributes: float) -> str:
        """Add a function of each element; ``attributes`` as in ``Unary``."""
        return self.add(Unary(function=function, **attributes), [x], name=name or self._fresh(function))[0]

    def pool(
        self,
        function: Literal["max", "average"],
        x: str,
        kernel: int | Pair,
        *,
        stride: int | Pair | None = None,
        padding: PaddingLike = "valid",
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        name: str | None = None,
    ) -> str:
        """Add pooling; the stride is the kernel's size when left out."""
        name = name or self._fresh(f"{function}_pool")
        self._image(x, name, "Pool2d")
        kernel = _pair(kernel)
        strides = kernel if stride is None else _pair(stride)
        op = Pool2d(
            function=function,
            kernel=kernel,
            strides=strides,
            padding=self._padding(x, padding, kernel, strides, (1, 1)),
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )
        return self.add(op, [x], name=name)[0]

    def global_pool(self, function: Literal["max", "average"], x: str, *, name: str | None = None) -> str:
        """Add pooling over the whole image, to (N, 1, 1, C)."""
        return self.add(GlobalPool(function=function), [x], name=name)[0]

    def mean(self, x: str, axes: tuple[int, ...], *, keepdims: bool = False, name: str | None = None) -> str:
        """Add a mean along axes."""
        return self.add(Reduce(function="mean", axes=axes, keepdims=keepdims), [x], name=name or self._fresh("mean"))[0]

    def concat(self, inputs: Sequence[str], *, axis: int = -1, name: str | None = None) -> str:
        """Add a concatenation."""
        return self.add(Concat(axis=axis), inputs, name=name)[0]

    def split(self, x: str, sizes: Sequence[int], *, axis: int = -1, name: str | None = None) -> tuple[str, ...]:
        """Add a split into pieces of the given sizes."""
        return self.add(Split(axis=axis, sizes=tuple(sizes)), [x], name=name)

    def reshape(self, x: str, shape: Shape, *, name: str | None = None) -> str:
        """Add a change of shape; one size may be −1."""
        return self.add(Reshape(shape=tuple(shape)), [x], name=name)[0]

    def flatten(self, x: str, *, name: str | None = None) -> str:
        """Add a reshape to (N, everything else)."""
        return self.reshape(x, (self.shape(x)[0], -1), name=name or self._fresh("flatten"))

    def transpose(self, x: str, perm: Sequence[int], *, name: str | None = None) -> str:
        """Add a reordering of axes."""
        return self.add(Transpose(perm=tuple(perm)), [x], name=name)[0]

    def channel_shuffle(self, x: str, groups: int, *, name: str | None = None) -> str:
        """Add a channel shuffle."""
        return self.add(ChannelShuffle(groups=groups), [x], name=name)[0]

    def softmax(self, x: str, *, axis: int = -1, name: str | None = None) -> str:
        """Add a softmax."""
        return self.add(Softmax(axis=axis), [x], name=name)[0]

    def build(self, outputs: Iterable[str], *, warnings: Iterable[str] = ()) -> Graph:
        """Return the finished graph.

        Raises:
            NetError: See ``Graph``.
        """
        return Graph(
            self.name,
            self._tensors,
            tuple(self._layers),
            tuple(self._inputs),
            tuple(outputs),
            tuple(dict.fromkeys(warnings)),
        )

    # -- inside ----------------------------------------------------------------------------------------------------

    def _fresh(self, kind: str) -> str:
        """Return an unused layer name made of a word and a running number."""
        while True:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"{kind}_{self._counts[kind]}"
            if name not in self._layer_names and name not in self._tensors:
                return name

    def _weighted(self, op: Op, x: str, name: str, filter_shape: Shape, *, bias: bool) -> str:
        """Add a layer with a filter and perhaps a bias, named after it."""
        inputs = [x, self.constant(f"{name}.filter", filter_shape)]
        if bias:
            inputs.append(self.constant(f"{name}.bias", filter_shape[:1]))
        return self.add(op, inputs, name=name)[0]

    def _image(self, x: str, layer: str, kind: str) -> Shape:
        shape = self.shape(x)
        if len(shape) != 4:
            raise NetError(f"layer {layer!r} ({kind}): its input {x!r} has shape {shape}, needs (N, H, W, C)")
        return shape

    def _padding(self, x: str, padding: PaddingLike, kernel: Pair, stride: Pair, dilation: Pair) -> Padding2d:
        if padding == "valid":
            return ((0, 0), (0, 0))
        if padding == "same":
            _, h, w, _ = self.shape(x)
            return (
                same_padding(h, kernel[0], stride[0], dilation[0]),
                same_padding(w, kernel[1], stride[1], dilation[1]),
            )
        if isinstance(padding, int):
            return ((padding, padding), (padding, padding))
        if isinstance(padding, str):
            raise NetError(f"padding = {padding!r}: must be 'same', 'valid', a number or pairs")
        vertical, horizontal = padding
        return (_pair(vertical), _pair(horizontal))

    def _source(self, tensor: str, layer: str) -> Tensor:
        if tensor not in self._tensors:
            raise NetError(
                f"layer {layer!r} reads tensor {tensor!r}, which nothing writes{did_you_mean(tensor, self._tensors)}"
            )
        return self._tensors[tensor]

    def _sentence(self, name: str, op: Op, inputs: Sequence[str], problem: str) -> str:
        producers = [
            f"layer {self._producer[tensor]!r}"
            for tensor in inputs
            if not self._tensors[tensor].constant and tensor in self._producer
        ]
        graph_inputs = [f"graph input {tensor!r}" for tensor in inputs if tensor in self._inputs]
        source = ", ".join(dict.fromkeys(producers + graph_inputs))
        return f"layer {name!r} ({type(op).__name__}): {problem}" + (f"; it reads {source}" if source else "")

    def _add_tensor(self, tensor: Tensor, where: str = "") -> None:
        if tensor.name in self._tensors:
            raise NetError(f"{where}net {self.name!r} has two tensors named {tensor.name!r}")
        if tensor.dtype not in DTYPES:
            raise NetError(
                f"{where}tensor {tensor.name!r}: dtype = {tensor.dtype!r}: must be one of {', '.join(DTYPES)}"
            )
        if len(tensor.shape) > MAX_RANK:
            raise NetError(f"{where}tensor {tensor.name!r} has {len(tensor.shape)} axes: at most {MAX_RANK}")
        if elements(tensor.shape) > MAX_ELEMENTS:
            raise NetError(f"{where}tensor {tensor.name!r}: shape {tensor.shape}: at most 2^40 elements")
        if min(tensor.shape, default=1) < 1:
            raise NetError(f"{where}tensor {tensor.name!r}: shape {tensor.shape}: every size must be >= 1")
        problem = zero_point_problem(tensor.quant, tensor.dtype) if tensor.quant is not None else None
        if problem is not None:
            raise NetError(f"{where}tensor {tensor.name!r}: {problem}")
        if tensor.file_axes is not None and sorted(tensor.file_axes) != list(range(len(tensor.shape))):
            rule = f"must order its {len(tensor.shape)} axes"
            raise NetError(f"{where}tensor {tensor.name!r}: file_axes = {tensor.file_axes}: {rule}")
        self._tensors[tensor.name] = tensor


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
