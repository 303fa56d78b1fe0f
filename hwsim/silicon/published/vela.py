"""Ethos-U beside Vela, Arm's compiler for it: its estimate of MLPerf Tiny's four nets, whole and layer by layer.

Vela's figures are estimates too, and rest on the same public facts of the hardware as hwsim's profiles: a difference
says where hwsim's mappings or formulas depart, not how far either is from silicon. The nets' shapes are built anew;
what the weights of the reference models take in code is shipped beside the figures, a share for each layer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from statistics import median

from hwsim.chip import HardwarePoints, load_chip
from hwsim.cost import Workload, cost, lower
from hwsim.cost.weight_code import KnownCode
from hwsim.importers import load_net
from hwsim.silicon.published.comparison import Aim, Comparison, ComparisonTable, rows_of

# Layers of no kind that Vela times: a reshape is none, and softmax stands as one.
LEFT_OUT = ("free", "softmax")
LAYERS = Aim("within", 0.10)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One net on one accelerator.

    Attributes:
        accelerator: Name of the profile.
        net: Name of the net.
        ours: Cycles of each layer that Vela times, by hwsim; the last is everything else.
        published: Vela's, likewise.
    """

    accelerator: str
    net: str
    ours: tuple[float, ...]
    published: tuple[float, ...]

    @property
    def median_error(self) -> float:
        """Median size of the layers' errors, a fraction."""
        pairs = zip(self.ours[:-1], self.published[:-1], strict=True)
        return median(abs(ours - published) / published for ours, published in pairs)


@cache
def workload(net: str) -> Workload:
    """Return an int8 net of MLPerf Tiny with the code of its reference model's weights."""
    found = lower(load_net(net), dtype="int8")
    shares = {int(row["layer"]): float(row["coded_over_plain"]) for row in rows_of("vela_weights") if row["net"] == net}
    rows, number = [], -1
    for row in found.rows:
        number += row.kind not in LEFT_OUT
        known = row.nest is not None and row.kind not in LEFT_OUT
        rows.append(replace(row, weight_code=KnownCode(shares[number])) if known else row)
    return replace(found, rows=tuple(rows))


@cache
def _cycles(accelerator: str, net: str) -> tuple[tuple[str, float], ...]:
    """Return the kind and the cycles of each layer that is one to Vela, then of all others together."""
    chip = load_chip(accelerator)
    costs = cost(workload(net), HardwarePoints.of(chip))
    cycles = costs.latency_s[:, 0] * chip.clock_hz
    kinds = [row.kind for row in workload(net).rows]
    timed = [(str(kind), float(c)) for kind, c in zip(kinds, cycles, strict=True) if kind not in LEFT_OUT]
    others = sum(float(c) for kind, c in zip(kinds, cycles, strict=True) if kind in LEFT_OUT)
    return (*timed, ("others", others))


@cache
def estimates() -> tuple[Estimate, ...]:
    """Return every net on every accelerator for which there is a profile."""
    published: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows_of("vela"):
        published[row["accelerator"], row["net"]][int(row["layer"])] = float(row["cycles"])
    return tuple(_estimate(*case, cycles) for case, cycles in published.items())


def _estimate(accelerator: str, net: str, published: Mapping[int, float]) -> Estimate:
    ours = _cycles(accelerator, net)
    last = len(ours) - 1
    layers = [layer for layer in published if layer != last]
    # What Vela joins to the layer before (additions, on U85) stands with everything else.
    others = sum(cycles for layer, (_, cycles) in enumerate(ours) if layer not in layers)
    return Estimate(
        accelerator,
        net,
        (*(ours[layer][1] for layer in layers), others),
        (*(published[layer] for layer in layers), published.get(last, 0.0)),
    )


def net_aim(accelerator: str) -> Aim:
    """Return what a net's cycles are held to."""
    return Aim("within", 0.25 if "u85" in accelerator else 0.15)


def nets_table() -> ComparisonTable:
    """Return whole nets."""
    return ComparisonTable(
        title="Ethos-U by Vela's estimate, whole nets",
        rows=[
            Comparison(
                case=f"{one.accelerator}, {one.net}",
                quantity="cycles",
                ours=round(sum(one.ours)),
                published=sum(one.published),
                aim=net_aim(one.accelerator),
            )
            for one in estimates()
        ],
    )


def layers_table() -> ComparisonTable:
    """Return the median of the layers' errors."""
    return ComparisonTable(
        title="Ethos-U by Vela's estimate, layers",
        rows=[
            Comparison(
                case=f"{one.accelerator}, {one.net}, {len(one.published) - 1} layers",
                quantity="1 + median size of the errors",
                ours=1 + one.median_error,
                published=1,
                aim=LAYERS,
            )
            for one in estimates()
        ],
    )
