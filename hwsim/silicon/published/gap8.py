"""GAP8: frames per second of MobileNets, as its makers measured them."""

from __future__ import annotations

from hwsim.chip import load_chip
from hwsim.importers import load_net
from hwsim.report import evaluate
from hwsim.silicon.published.comparison import Aim, Comparison, ComparisonTable, rows_of

CLOSE = Aim("within", 0.25)


def table() -> ComparisonTable:
    """Return frames per second of each net, as ``evaluate`` has them."""
    chip = load_chip("gap8")
    rows = []
    for row in rows_of("gap8"):
        net = load_net(row["net"], alpha=float(row["alpha"]), resolution=int(row["resolution"]))
        rows.append(
            Comparison(
                case=f"{row['net']}, alpha {row['alpha']}, {row['resolution']} px",
                quantity="frame/s",
                ours=1 / evaluate(net, chip, dtype="int8").latency_s,
                published=float(row["frames_per_s"]),
                aim=CLOSE,
            )
        )
    return ComparisonTable(title="GAP8, MobileNets", rows=rows)
