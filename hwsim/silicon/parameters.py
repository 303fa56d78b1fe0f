"""What is fitted of a core: a few physical parameters, each with what is known of it before any measurement.

A parameter feeds coefficients of the kernel table; several kinds share one where the library runs them with the same
inner loop. The prior is what the instruction set suggests for a Cortex-M7; it also keeps a fit from trading terms that
the measured nets cannot tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from hwsim.chip import CONV_LIKE, KernelCost, KernelEntry

Group = Literal["conv", "other", "stream"]
GROUPS: tuple[Group, ...] = ("conv", "other", "stream")
STALL = "stall"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One fitted number.

    Attributes:
        name: Its name, for tables and plots.
        prior: Its value on a Cortex-M7 as the instruction set suggests it [cycle], or 1 for the stall factor.
        spread: How far it may be off, relative to the prior.
        group: Which factor of a library release it follows.
        feeds: Entry and field of the kernel table -> weight.
        meaning: What it stands for.
    """

    name: str
    prior: float
    spread: float
    group: Group
    feeds: Mapping[tuple[KernelEntry, str], float]
    meaning: str


def _all_conv(field: str, *kinds: KernelEntry) -> dict[tuple[KernelEntry, str], float]:
    return {(kind, field): 1.0 for kind in kinds or CONV_LIKE}


EVERY: tuple[KernelEntry, ...] = get_args(KernelEntry)

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "mac", 0.65, 0.3, "conv", _all_conv("cycles_per_mac"), "a MAC: half an SMLAD, its loads and its widening"
    ),
    Parameter("output", 15, 0.5, "conv", _all_conv("cycles_per_output"), "requantising and storing an output"),
    Parameter("pixel", 50, 1.0, "conv", _all_conv("cycles_per_pixel"), "setting up an ofmap position"),
    Parameter("column", 1.0, 0.7, "conv", _all_conv("cycles_per_column"), "gathering an operand into a column"),
    Parameter(
        "ragged", 0.6, 1.0, "conv", _all_conv("cycles_per_ragged_mac", "conv"), "a MAC whose channels fill no lanes"
    ),
    Parameter("thin", 100, 1.0, "conv", _all_conv("cycles_per_thin_output", "conv"), "an output of a kernel one wide"),
    Parameter(
        "weight byte", 0.3, 1.0, "stream", _all_conv("cycles_per_weight_byte"), "loading a weight for the first time"
    ),
    Parameter("depthwise output", 20, 0.5, "other", {("depthwise", "cycles_per_output"): 1}, "a depthwise output"),
    Parameter("depthwise mac", 0.8, 0.5, "other", {("depthwise", "cycles_per_mac"): 1}, "a depthwise MAC"),
    Parameter("depthwise pixel", 150, 1.0, "other", {("depthwise", "cycles_per_pixel"): 1}, "a depthwise position"),
    Parameter(
        "add", 15, 0.5, "other", {("elementwise", "cycles_per_output"): 1}, "adding two tensors of different scales"
    ),
    Parameter(
        "multiply", 80, 0.7, "other", {("multiply", "cycles_per_output"): 1}, "multiplying, with general broadcasting"
    ),
    Parameter(
        "exponential",
        150,
        0.5,
        "other",
        {("exponential", "cycles_per_output"): 1, ("softmax", "cycles_per_output"): 1},
        "an exponential in float",
    ),
    Parameter("activation", 15, 1.0, "other", {("activation", "cycles_per_output"): 1}, "another function by itself"),
    Parameter("pool", 2, 1.0, "other", {("pool", "cycles_per_mac"): 1}, "an operation of a pool"),
    Parameter("resize", 30, 1.0, "other", {("resize", "cycles_per_output"): 1}, "an interpolated output"),
    Parameter("call", 2000, 1.0, "other", _all_conv("cycles_per_call", *EVERY), "calling a kernel"),
    Parameter(STALL, 1.0, 0.4, "stream", {}, "waiting for memories, over what the profile says"),
)
NAMES: tuple[str, ...] = tuple(parameter.name for parameter in PARAMETERS)

# Kinds that no measured net isolates, in cycles of a Cortex-M7; other cores' are scaled as their priors are.
ASSUMED: dict[KernelEntry, dict[str, float]] = {"norm": {"cycles_per_output": 40}, "copy": {"cycles_per_output": 1}}

# Products that a step of the inner loop takes, and filters it works on: the 2×2 blocking of the Arm kernels.
INNER_LANES, FILTER_LANES = 4, 2


def kernel_costs(values: Mapping[str, float], scale: float) -> dict[KernelEntry, KernelCost]:
    """Return the kernel costs that parameters make.

    Args:
        values: Name -> value [cycle].
        scale: Factor of the kinds that are assumed.
    """
    fields: dict[KernelEntry, dict[str, float]] = {
        entry: {name: value * scale for name, value in costs.items()} for entry, costs in ASSUMED.items()
    }
    for parameter in PARAMETERS:
        for (entry, field), weight in parameter.feeds.items():
            costs = fields.setdefault(entry, {})
            costs[field] = costs.get(field, 0.0) + weight * values[parameter.name]
    return {entry: KernelCost(**{name: value for name, value in fields[entry].items() if value}) for entry in EVERY}
