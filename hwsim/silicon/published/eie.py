"""EIE: the theoretical times of its nine layers, the work of nonzero weights and activations over all PEs."""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.chip import load_chip
from hwsim.report import evaluate
from hwsim.silicon.published.comparison import NO_AIM, Aim, Comparison, ComparisonTable, rows_of
from hwsim.silicon.published.layers import dense

# A weight is stored with the number of zeros before it, in 4 bits: after 15 zeros one is stored as if it were a weight.
LONGEST_RUN = 16
US_PER_S = 1e6


def stored_density(density: float) -> float:
    """Return the share of weights that are stored, those kept for want of a longer run among them.

    Args:
        density: Share of weights that are not zero, falling anywhere alike.
    """
    return density / (1.0 - (1.0 - density) ** LONGEST_RUN)


def time_us(row: Mapping[str, str], *, stored: bool) -> float:
    """Return the time of a layer's nonzero MACs, with the zeros that are stored among the weights or without them."""
    density = float(row["weight_density"])
    kept = stored_density(density) if stored else density
    zeros = {"filter": 1.0 - kept, "ifmap": 1.0 - float(row["activation_density"])}
    chip = load_chip("eie").replace("pes.zeros", zeros, **{"pes.coded": {"filter": kept / 2}})
    net = dense(inputs=int(row["inputs"]), outputs=int(row["outputs"]))
    (layer,) = evaluate(net, chip, dtype="int16").layers
    return layer.terms_s["compute"] * US_PER_S


def table() -> ComparisonTable:
    """Return the time of each layer, as stored, and the mean without stored zeros."""
    rows = list(rows_of("eie"))
    return ComparisonTable(
        title="EIE, theoretical times",
        rows=[
            Comparison(
                case=f"{row['net']} {row['layer']}, {name}",
                quantity="time [µs]",
                ours=time_us(row, stored=stored),
                published=float(row["theoretical_us"]),
                aim=Aim("within", 0.15) if stored else NO_AIM,
            )
            for stored, name in ((True, "zeros stored for want of a longer run"), (False, "nonzero weights alone"))
            for row in rows
        ],
    )
