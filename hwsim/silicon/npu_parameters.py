"""What is fitted of an NPU: what its runtime's kernel table adds to the cycles of the array's mappings.

Every NPU has the same nine parameters. Where the measured rows cannot carry a value for each, the priors below stand
for what is known of it, and fewer scales are fitted: at most one coefficient for four rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from hwsim.chip import CONV_LIKE, KernelCost, KernelEntry
from hwsim.silicon.parameters import GROUPS

CONV_KINDS: tuple[KernelEntry, ...] = ("conv", "transposed_conv")
PRODUCT_KINDS: tuple[KernelEntry, ...] = ("pointwise", "dense", "matmul")
STREAMED_KINDS: tuple[KernelEntry, ...] = ("pool", "elementwise", "activation", "copy", "norm", "resize")
EVERY: tuple[KernelEntry, ...] = get_args(KernelEntry)
PACE = "cycles_per_array_cycle"
_BOTH = ("cycles_per_input", "cycles_per_output")


@dataclass(frozen=True, slots=True)
class ArrayParameter:
    """One number of an array's table.

    Attributes:
        name: Its name.
        spread: How far it may be off its prior, relative to that.
        feeds: Entries and fields of the kernel table that it stands in.
        meaning: What it stands for.
    """

    name: str
    spread: float
    feeds: tuple[tuple[KernelEntry, str], ...]
    meaning: str


def _feeds(kinds: tuple[KernelEntry, ...], *fields: str) -> tuple[tuple[KernelEntry, str], ...]:
    return tuple((kind, field) for kind in kinds for field in fields)


ARRAY_PARAMETERS: tuple[ArrayParameter, ...] = (
    ArrayParameter("conv", 0.5, _feeds(CONV_KINDS, PACE), "cycles per cycle of a k×k convolution's mapping"),
    ArrayParameter("pointwise", 0.5, _feeds(PRODUCT_KINDS, PACE), "the same of pointwise and dense layers"),
    ArrayParameter("depthwise", 0.7, _feeds(("depthwise",), PACE), "the same of depthwise layers"),
    ArrayParameter("stream", 1.0, _feeds((*CONV_LIKE, "depthwise"), *_BOTH), "an element of an ifmap or ofmap"),
    ArrayParameter("vector", 1.0, _feeds(STREAMED_KINDS, *_BOTH), "the same of layers without MACs"),
    ArrayParameter("multiply", 1.0, _feeds(("multiply",), "cycles_per_output"), "multiplying two tensors"),
    ArrayParameter("exponential", 0.35, _feeds(("exponential", "softmax"), "cycles_per_output"), "an exponential"),
    ArrayParameter("resize", 1.0, _feeds(("resize",), "cycles_per_mac"), "an operation of an interpolation"),
    ArrayParameter("call", 1.0, _feeds(EVERY, "cycles_per_call"), "setting a layer up"),
)
ARRAY_NAMES: tuple[str, ...] = tuple(parameter.name for parameter in ARRAY_PARAMETERS)


@dataclass(frozen=True, slots=True)
class Npu:
    """An NPU with measured rows.

    Attributes:
        table: Name of its physical table, which reports call it by.
        chip: Its chip.
        priors: Value of each parameter before any measurement [cycle].
        reference: The runtime whose factors are one by definition.
        libraries: Runtime -> library and release, as its makers write it.
        told: Where the priors are from.
        factor_spread: How far a release's factors may be off one.
    """

    table: str
    chip: str
    priors: Mapping[str, float]
    reference: str
    libraries: Mapping[str, str]
    told: str
    factor_spread: float = 0.2


NPUS: tuple[Npu, ...] = (
    Npu(
        "neural-art",
        "stm32n6",
        {
            "conv": 1.5,
            "pointwise": 2.0,
            "depthwise": 16.0,
            "stream": 0.15,
            "vector": 0.1,
            "multiply": 1.0,
            "exponential": 4.0,
            "resize": 2.0,
            "call": 10e3,
        },
        "st-edge-ai-4.0",
        {f"st-edge-ai-{release}": f"ST Edge AI Core {release}" for release in ("2.0", "3.0", "4.0")},
        "half to two thirds of the array's peak; one depthwise channel in each of four accelerators, nine products of "
        "eighteen; streams of several bytes per cycle; exponentials and interpolation on the core, at a few of its "
        "cycles per element and two per operation; ten microseconds to set an epoch up",
    ),
    Npu(
        "mvp",
        "efr32mg24",
        {
            "conv": 2.0,
            "pointwise": 2.0,
            "depthwise": 4.0,
            "stream": 1.0,
            "vector": 2.0,
            "multiply": 4.0,
            "exponential": 100.0,
            "resize": 4.0,
            "call": 10e3,
        },
        "tflm-mvp",
        {
            "tflm-mvp-4.0": "TensorFlow Lite for Microcontrollers with MVP kernels, Gecko SDK 4.0",
            "tflm-mvp": "TensorFlow Lite for Microcontrollers with MVP kernels, Gecko SDK 4.1",
        },
        "four products a cycle read eight bytes over 32-bit ports, which takes two; a depthwise window fills no lanes; "
        "a cycle per element streamed; ten thousand cycles to prepare a program and call it",
        factor_spread=2.0,
    ),
    Npu(
        "ne16",
        "gap9",
        {
            "conv": 2.0,
            "pointwise": 2.0,
            "depthwise": 3.0,
            "stream": 0.06,
            "vector": 0.06,
            "multiply": 1.0,
            "exponential": 10.0,
            "resize": 1.0,
            "call": 4e3,
        },
        "gapflow",
        {"gapflow": "GAPflow (NNTool and AutoTiler)"},
        "half of the array's peak, a third of it in depthwise layers; sixteen bytes of a tensor per cycle; four "
        "thousand cycles to configure NE16 and DMA, and to fork and join",
    ),
    Npu(
        "syntiant-core-2",
        "ndp120",
        {
            "conv": 1.2,
            "pointwise": 1.2,
            "depthwise": 1.2,
            "stream": 0.03,
            "vector": 0.03,
            "multiply": 0.1,
            "exponential": 1.0,
            "resize": 1.0,
            "call": 500.0,
        },
        "syntiant-tdk",
        {"syntiant-tdk": "Syntiant TDK"},
        "five sixths of the array's peak; a tensor's elements at the array's width; 500 cycles to set a layer up, as "
        "no program runs in between",
    ),
    Npu(
        "hsp",
        "stm32u3c5",
        {
            "conv": 1.5,
            "pointwise": 1.5,
            "depthwise": 4.0,
            "stream": 0.5,
            "vector": 2.0,
            "multiply": 4.0,
            "exponential": 100.0,
            "resize": 4.0,
            "call": 5e3,
        },
        "st-edge-ai-4.0-hsp",
        {"st-edge-ai-4.0-hsp": "ST Edge AI Core 4.0, layers on the HSP"},
        "two thirds of four products a cycle, both operands in memories of its own; a depthwise window fills no lanes; "
        "five thousand cycles to send a command and wait for its end. Two rows of one family were at hand, which are "
        "too few to fit to: they were looked at when these numbers were chosen",
    ),
)
BY_CHIP: Mapping[str, Npu] = {npu.chip: npu for npu in NPUS}


def array_costs(values: Mapping[str, float]) -> dict[KernelEntry, KernelCost]:
    """Return the kernel costs that parameters make."""
    fields: dict[KernelEntry, dict[str, float]] = {entry: {} for entry in EVERY}
    for parameter in ARRAY_PARAMETERS:
        for entry, field in parameter.feeds:
            fields[entry][field] = values[parameter.name]
    return {entry: KernelCost(**costs) for entry, costs in fields.items()}


def group_of(entry: KernelEntry) -> int:
    """Return which factor of a release an entry's costs follow; calls follow that of all other layers."""
    return GROUPS.index("conv" if entry in CONV_LIKE else "other")
