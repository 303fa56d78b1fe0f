"""Array shape against dataflow: what is a choice of dataflow by layer worth, and does it ask for a square array?

SqueezeNet v1.1 on Squeezelerators of 1 024 PEs in five shapes, with either of the dataflows alone and with both, the
better chosen layer by layer. Writes ``array_dataflow.svg`` and says what was learnt:

    python examples/array_dataflow.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.axes import Axes

import hwsim
from hwsim.explore import SweepTable

NET, CHIP, PES = "squeezenet_v1_1", "squeezelerator", 1024
ROWS = (8, 16, 32, 64, 128)


def study(net: str = NET, rows: tuple[int, ...] = ROWS) -> SweepTable:
    """Return a row per shape and set of dataflows."""
    chip = hwsim.load_chip(CHIP)
    weights, outputs = chip.get("npu.dataflows")
    axes = {"npu.rows": list(rows), "npu.dataflows": [[weights], [outputs], [weights, outputs]]}
    design = {"axes": axes, "derived": {"npu.cols": f"{PES} / npu.rows"}}
    return hwsim.sweep(hwsim.load_net(net), chip, design=design)


def picture(table: SweepTable) -> Axes:
    """Draw the latency over the number of rows, a line per set of dataflows."""
    axes = hwsim.plot.plot_sweep(table, "latency_ms", ["npu.rows"], "npu.dataflows")
    axes.set_xlabel(f"npu rows, of {PES} PEs")
    return axes


def learnt(table: SweepTable) -> str:
    """Return what the numbers say."""
    best = {}
    for flows in dict.fromkeys(table["npu_dataflows"]):
        rows = table.take(table["npu_dataflows"] == flows)
        best[flows] = rows.row(int(rows["latency_s"].argmin()))
    both = next(flows for flows in best if "+" in flows)
    alone = min((flows for flows in best if "+" not in flows), key=lambda flows: best[flows]["latency_s"])

    def told(flows: str) -> str:
        row = best[flows]
        return f"{row['latency_s'] * 1e3:.2f} ms on {row['npu_rows']} × {row['npu_cols']:g} PEs"

    gain = best[alone]["latency_s"] / best[both]["latency_s"]
    return (
        f"{table['net'][0]} takes {told(both)}, the best shape when the dataflow is chosen layer by layer, and "
        f"{told(alone)} with the better single one ({alone}): the choice is worth {gain:.2f} times, each in the shape "
        f"that suits it."
    )


def main() -> None:
    """Draw the picture and say what was learnt."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "pictures"
    table = study()
    hwsim.plot.save(picture(table), folder / "array_dataflow.svg")
    print(learnt(table))


if __name__ == "__main__":
    main()
