"""SRAM size against DRAM traffic: does a larger buffer save more than another net?

Four ImageNet nets on the Squeezelerator, its buffer from 4 KiB to 1 MiB, each layer's mapping
chosen for the least traffic. Writes ``sram_traffic.svg`` and says what was learnt:

    python examples/sram_traffic.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.axes import Axes

import hwsim
from hwsim.explore import SweepTable

NETS = ("alexnet", "mobilenet_v1", "squeezenet_v1_0", "squeezenet_v1_1")
CHIP = "squeezelerator"
KIB = tuple(2**power for power in range(2, 11))


def study(nets: tuple[str, ...] = NETS, kib: tuple[int, ...] = KIB) -> SweepTable:
    """Return a row per net and buffer size."""
    graphs = [hwsim.load_net(name) for name in nets]
    return hwsim.sweep(graphs, hwsim.load_chip(CHIP), {"sram.size_kib": list(kib)}, objective="traffic")


def picture(table: SweepTable) -> Axes:
    """Draw the traffic of each net over the size of the buffer."""
    return hwsim.plot.plot_sweep(table, "dram_mib")


def learnt(table: SweepTable) -> str:
    """Return what the numbers say."""
    sizes = table["sram_size_kib"]
    small, large = sizes == sizes.min(), sizes == sizes.max()
    nets = list(dict.fromkeys(table["net"]))
    mib = {net: table["dram_mib"][table["net"] == net] for net in nets}
    saved = {net: mib[net].max() / mib[net].min() for net in nets}
    most, least = max(saved, key=saved.__getitem__), min(saved, key=saved.__getitem__)
    first, last = (max(table["dram_mib"][rows]) / min(table["dram_mib"][rows]) for rows in (small, large))
    low = min(nets, key=lambda net: mib[net].min())
    high = max(nets, key=lambda net: mib[net].min())
    ends = f"From {sizes.min():g} KiB to {sizes.max():g} KiB"
    return (
        f"{ends}, SRAM divides the DRAM traffic of {least} by {saved[least]:.1f} and that of {most} by "
        f"{saved[most]:.1f}; the nets differ by a factor of {first:.1f} at the small end, {last:.1f} at the "
        f"large one, and {low} in {sizes.min():g} KiB moves {mib[low].max():.1f} MiB where {high} never moves less "
        f"than {mib[high].min():.1f} MiB."
    )


def main() -> None:
    """Draw the picture and say what was learnt."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "pictures"
    table = study()
    hwsim.plot.save(picture(table), folder / "sram_traffic.svg")
    print(learnt(table))


if __name__ == "__main__":
    main()
