"""Lowering: a graph becomes a table with one row per layer, as the cost models read it.

What a layer costs depends on its kind, its loop nest and the bytes it touches, not yet on a chip; on its weights only
where an engine reads them in a code (``weight_code``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from hwsim.chip import GOLOMB_RICE, OPERANDS, ArrayEngine, KernelKind
from hwsim.cost.nest import Axis, Nest, packed
from hwsim.cost.weight_code import KnownCode, WeightCode
from hwsim.errors import CostError, UsageError
from hwsim.graph import BITS, DTYPES, DType, Graph, Layer, Spec, Tensor, ops

Ints = npt.NDArray[np.int64]
RowKind = KernelKind | str

FREE = "free"  # no instruction runs: the same bytes under another shape
IMAGE_CHANNELS = 16
UNKNOWN = "unknown"  # let in by the user; costs nothing and is reported

KINDS: dict[type[ops.Op], RowKind] = {
    ops.ConvTranspose2d: "transposed_conv",
    ops.Dense: "dense",
    ops.MatMul: "matmul",
    ops.Binary: "elementwise",
    ops.Unary: "activation",
    ops.PRelu: "activation",
    ops.Pool2d: "pool",
    ops.GlobalPool: "pool",
    ops.Reduce: "pool",
    ops.ArgExtreme: "pool",
    ops.BatchNorm: "norm",
    ops.LayerNorm: "norm",
    ops.RmsNorm: "norm",
    ops.L2Norm: "norm",
    ops.Lrn: "norm",
    ops.Softmax: "softmax",
    ops.Resize: "resize",
    ops.Concat: "copy",
    ops.Split: "copy",
    ops.Slice: "copy",
    ops.Pad: "copy",
    ops.Transpose: "copy",
    ops.ChannelShuffle: "copy",
    ops.Gather: "copy",
    ops.DepthToSpace: "copy",
    ops.SpaceToDepth: "copy",
    ops.Quantize: "elementwise",
    ops.Dequantize: "elementwise",
    ops.Cast: "elementwise",
    ops.Reshape: FREE,
    ops.Unknown: UNKNOWN,
}

# Data movers whose producers or consumers can address the result in place on an engine with strided DMA.
VIEWS = (ops.Concat, ops.Split)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One layer of the workload.

    Attributes:
        layer: The graph's layer.
        kind: What the kernel tables and engines call it; ``free`` and ``unknown`` besides.
        dtype: The arithmetic's dtype.
        nest: The loop nest of a layer with MACs, else None.
        macs: Multiply-accumulates.
        ops: Elementary operations other than MACs.
        ifmap_bytes: Activation bytes read at least once.
        filter_bytes: Stored bytes read at least once (weights, biases, tables).
        ofmap_bytes: Activation bytes written.
        stored_bytes: All of the constants it reads from, a whole embedding table even where it reads a row.
        ifmap_elements: Activation elements read.
        ofmap_elements: Activation elements written.
        activation_filter: Whether the nest's filter is an activation (a product of two activations).
        view: Whether an engine with strided DMA leaves the layer out.
        variant: A variant of the kind that kernel tables may list apart, or empty.
        pixels: Pixels of the ofmap: its elements over those of its last axis.
        weight_code: The size of the nest's filters in a code, where they are weights.
        image: Whether the nest's ifmap is an input of the net of at most ``IMAGE_CHANNELS``.
    """

    layer: Layer
    kind: RowKind
    dtype: DType
    nest: Nest | None
    macs: int
    ops: int
    ifmap_bytes: int
    filter_bytes: int
    ofmap_bytes: int
    stored_bytes: int
    ifmap_elements: int
    ofmap_elements: int
    activation_filter: bool = False
    view: bool = False
    variant: str = ""
    pixels: int = 1
    weight_code: WeightCode | KnownCode | None = None
    image: bool = False

    @property
    def compulsory_bytes(self) -> int:
        """Each touched element once."""
        return self.ifmap_bytes + self.filter_bytes + self.ofmap_bytes


def home_bytes(row: Row, engine: ArrayEngine, kept: tuple[int, int, int] = (0, 0, 0)) -> tuple[int, int, int]:
    """Return the least bytes of ifmap, filter and ofmap that cross to and from home, coded as an array codes them.

    Args:
        row: The layer.
        engine: The array.
        kept: Of each, the bytes that are in the array's buffer already, or stay there.
    """
    nest, bits = row.nest, BITS[row.dtype]
    widths = (nest.ifmap_bits, nest.filter_bits, nest.ofmap_bits) if nest is not None else (bits, bits, bits)
    plain = (max(0, b - k) for b, k in zip((row.ifmap_bytes, row.filter_bytes, row.ofmap_bytes), kept, strict=True))
    share = filter_share(row, engine)
    sparsity = engine.sparsity if share is None else engine.sparsity.with_filters(share)
    shares = [sparsity.coded_share(operand, width) for operand, width in zip(OPERANDS, widths, strict=True)]
    ifmap, filter_, ofmap = (ceil(round(b * share, 6)) for b, share in zip(plain, shares, strict=True))
    return ifmap, filter_, ofmap


def filter_share(row: Row, engine: ArrayEngine) -> float | None:
    """Return what filters and biases of a layer take at home, over their plain bytes, where the layer itself decides.

    That is so where the engine codes weights by their values, or takes bytes of its own for each output channel; else
    None: the profile's share holds for all layers.
    """
    nest, code = row.nest, row.weight_code
    by_value = engine.coded.get("filter") == GOLOMB_RICE
    if nest is None or code is None or not (by_value or engine.channel_bytes is not None):
        return None
    share = code.share if by_value else engine.sparsity.coded_share("filter", nest.filter_bits)
    beside = nest.bias_bytes if engine.channel_bytes is None else nest.g * nest.k * engine.channel_bytes
    return ((nest.filter_bytes - nest.bias_bytes) * share + beside) / nest.filter_bytes


def image_rate(row: Row, engine: ArrayEngine) -> float:
    """Return the bytes per cycle at which an array fetches a layer's ifmap if that is an image, else infinity."""
    return inf if engine.image_bytes_per_cycle is None or not row.image else engine.image_bytes_per_cycle


@dataclass(frozen=True, slots=True)
class Workload:
    """A net lowered for a batch and a dtype.

    Attributes:
        graph: Where it comes from.
        batch: Images per inference.
        rows: One per layer, in the graph's order.
        sizes: Bytes of each activation, by tensor name.
    """

    graph: Graph
    batch: int
    rows: tuple[Row, ...]
    sizes: dict[str, int]

    def column(self, name: str) -> Ints:
        """Return an integer attribute of all rows, shape [layer]."""
        return np.array([getattr(row, name) for row in self.rows], dtype=np.int64)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all stored constants, shared ones once, at the workload's dtype."""
        return self.sizes[""]


_cache: WeakKeyDictionary[Graph, dict[tuple[int, DType | None], Workload]] = WeakKeyDictionary()


def lower(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> Workload:
    """Return the workload of a graph; the same question is answered once per graph.

    Args:
        graph: The net, at its own batch (usually one).
        batch: Repeats of it that run together: activations and MACs grow with it, weights do not.
        dtype: Costs every floating-point or integer tensor at this dtype (biases of 8-bit nets at 32 bits); None keeps
            the net's own.

    Raises:
        UsageError: ``batch`` or ``dtype`` is none.
        CostError: A layer type has no row rule.
    """
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= 2**20:
        raise UsageError(f"batch = {batch}: must be a whole number from 1 to 2^20")
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"dtype = {dtype!r}: must be one of {', '.join(DTYPES)}")
    answers = _cache.setdefault(graph, {})
    if (batch, dtype) not in answers:
        answers[batch, dtype] = _lower(graph, batch, dtype)
    return answers[batch, dtype]


def _lower(graph: Graph, batch: int, dtype: DType | None) -> Workload:
    recast = _Recast(graph, dtype)
    rows = tuple(_row(graph, layer, batch, recast) for layer in graph.layers)
    sizes = {name: batch * recast.bytes(tensor) for name, tensor in graph.tensors.items() if not tensor.constant}
    sizes[""] = sum(recast.bytes(tensor) for tensor in graph.constants)
    return Workload(graph, batch, rows, sizes)


class _Recast:
    """Bytes of tensors when the whole net is costed at another dtype."""

    def __init__(self, graph: Graph, dtype: DType | None) -> None:
        self._dtype = dtype
        self._biases = {
            layer.inputs[2]
            for layer in graph.layers
            if isinstance(layer.op, ops.Conv2d | ops.ConvTranspose2d | ops.Dense) and len(layer.inputs) > 2
        }

    def dtype(self, tensor: Tensor) -> DType:
        if self._dtype is None or tensor.dtype in ("int64", "uint64", "bool"):
            return tensor.dtype
        if tensor.name in self._biases and self._dtype in ("int8", "uint8", "int4"):
            return "int32"
        return self._dtype

    def bits(self, tensor: Tensor) -> int:
        return BITS[self.dtype(tensor)]

    def bytes(self, tensor: Tensor) -> int:
        return packed(tensor.elements, self.bits(tensor))


def _row(graph: Graph, layer: Layer, batch: int, recast: _Recast) -> Row:
    inputs = [graph.tensors[name] for name in layer.inputs]
    outputs = [graph.tensors[name] for name in layer.outputs]
    in_specs, out_specs = graph.input_specs(layer), graph.output_specs(layer)
    activations = list({tensor.name: tensor for tensor in inputs if not tensor.constant}.values())
    constants = list({tensor.name: tensor for tensor in inputs if tensor.constant}.values())
    shape_rule = NESTS.get(type(layer.op))
    nest = _nest(shape_rule(layer.op, in_specs, out_specs), inputs, outputs, batch, recast) if shape_rule else None
    ifmap_bytes = batch * sum(map(recast.bytes, activations))
    if nest is not None and len(activations) == 1:
        ifmap_bytes = nest.ifmap_bytes
    filter_bytes = sum(map(recast.bytes, constants))
    if isinstance(layer.op, ops.Gather):
        # Of a table only the gathered rows are read.
        picked = batch * recast.bytes(outputs[0])
        if inputs[0].constant:
            filter_bytes = min(filter_bytes, picked)
        else:
            ifmap_bytes = min(ifmap_bytes, picked)
    free = _kind(layer, in_specs) == FREE
    return Row(
        layer=layer,
        kind=_kind(layer, in_specs),
        # A gather moves its table's elements; its activation may be nothing but indices.
        dtype=recast.dtype(outputs[0] if isinstance(layer.op, ops.Gather) or not activations else activations[0]),
        nest=nest,
        macs=batch * graph.layer_macs(layer),
        ops=batch * graph.layer_ops(layer),
        ifmap_bytes=0 if free else ifmap_bytes,
        filter_bytes=0 if free else filter_bytes,
        ofmap_bytes=0 if free else batch * sum(map(recast.bytes, outputs)),
        stored_bytes=sum(map(recast.bytes, constants)),
        ifmap_elements=batch * sum(tensor.elements for tensor in activations),
        ofmap_elements=batch * sum(tensor.elements for tensor in outputs),
        activation_filter=nest is not None and not inputs[1].constant,
        view=isinstance(layer.op, VIEWS),
        variant=_variant(layer.op),
        pixels=batch * sum(tensor.elements // tensor.shape[-1] for tensor in outputs if tensor.shape),
        image=nest is not None and inputs[0].name in graph.inputs and nest.c <= IMAGE_CHANNELS,
        weight_code=WeightCode(inputs[1]) if nest is not None and inputs[1].constant else None,
    )


def _variant(op: ops.Op) -> str:
    """Return what kernel tables may list apart: products of tensors, and functions that need an exponential."""
    if isinstance(op, ops.Binary) and op.function in ("mul", "div"):
        return "multiply"
    exponential = ("sigmoid", "silu", "tanh", "gelu", "gelu_tanh", "elu", "exp", "softplus", "mish")
    return "exponential" if isinstance(op, ops.Unary) and op.function in exponential else ""


def _kind(layer: Layer, inputs: Sequence[Spec]) -> RowKind:
    if isinstance(layer.op, ops.Conv2d):
        if layer.op.is_depthwise(inputs):
            return "depthwise"
        return "pointwise" if inputs[1].shape[1:3] == (1, 1) else "conv"
    kind = KINDS.get(type(layer.op))
    if kind is None:
        known = ", ".join(sorted(op.__name__ for op in [*KINDS, ops.Conv2d]))
        raise CostError(f"layer {layer.name!r}: no cost rule for {type(layer.op).__name__}; known: {known}")
    return kind


@dataclass(frozen=True, slots=True)
class _Loops:
    """A nest's extents before bits are known."""

    n: int
    g: int
    k: int
    c: int
    rows: Axis
    cols: Axis


ONE = Axis(positions=1, taps=1, stride=1, dilation=1, pad=0, size=1)


def _conv(op: ops.Op, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> _Loops:
    assert isinstance(op, ops.Conv2d)
    (n, h, w, channels), (filters, r, s, c), (_, p, q, _) = inputs[0].shape, inputs[1].shape, outputs[0].shape
    vertical, horizontal = (
        Axis(positions=positions, taps=taps, stride=stride, dilation=dilation, pad=pad[0], size=size)
        for positions, taps, stride, dilation, pad, size in zip(
            (p, q), (r, s), op.strides, op.dilations, op.padding, (h, w), strict=True
        )
    )
    assert channels == c * op.groups
    return _Loops(n, op.groups, filters // op.groups, c, vertical, horizontal)


def _conv_transpose(op: ops.Op, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> _Loops:
    """Treat it as its adjoint: every ifmap pixel makes R·S·K products, a dense layer over pixels."""
    assert isinstance(op, ops.ConvTranspose2d)
    (n, h, w, _), (filters, r, s, c), _ = inputs[0].shape, inputs[1].shape, outputs[0].shape
    rows, cols = (Axis(positions=size, taps=1, stride=1, dilation=1, pad=0, size=size) for size in (h, w))
    return _Loops(n, op.groups, filters // op.groups * r * s, c, rows, cols)


def _dense(op: ops.Op, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> _Loops:
    assert isinstance(op, ops.Dense)
    filters, c = inputs[1].shape
    pixels = outputs[0].elements // filters
    return _Loops(1, 1, filters, c, _line(pixels), ONE)


def _matmul(op: ops.Op, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> _Loops:
    assert isinstance(op, ops.MatMul)
    *batch, m, k = outputs[0].shape
    c = inputs[0].shape[-2 if op.transpose_a else -1]
    return _Loops(1, int(np.prod(batch, dtype=np.int64)), k, c, _line(m), ONE)


def _line(positions: int) -> Axis:
    return Axis(positions=positions, taps=1, stride=1, dilation=1, pad=0, size=positions)


NESTS: dict[type[ops.Op], Callable[[ops.Op, Sequence[Spec], Sequence[Spec]], _Loops]] = {
    ops.Conv2d: _conv,
    ops.ConvTranspose2d: _conv_transpose,
    ops.Dense: _dense,
    ops.MatMul: _matmul,
}


def _nest(loops: _Loops, inputs: Sequence[Tensor], outputs: Sequence[Tensor], batch: int, recast: _Recast) -> Nest:
    bias = inputs[2] if len(inputs) > 2 else None
    return Nest(
        n=loops.n * batch,
        g=loops.g,
        k=loops.k,
        c=loops.c,
        rows=loops.rows,
        cols=loops.cols,
        ifmap_bits=recast.bits(inputs[0]),
        filter_bits=recast.bits(inputs[1]),
        ofmap_bits=recast.bits(outputs[0]),
        bias_bytes=recast.bytes(bias) if bias is not None else 0,
    )
