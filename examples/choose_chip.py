"""Which of ten chips for the four nets of MLPerf Tiny: who runs all of them in time, and who takes the least energy?

int8, one inference at a time; chips without a number for a net's layers or without room are told apart. Writes
``choose_chip.svg`` and says what was learnt:

    python examples/choose_chip.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

import hwsim

# Visual wake words, keyword spotting, image classification, anomaly detection.
NETS = ("vww_mobilenet", "ds_cnn", "resnet8", "ad_autoencoder")
CHIPS = (
    "stm32g0b1",
    "stm32l4r5",
    "psoc62",
    "nrf5340",
    "stm32u575",
    "stm32h747",
    "stm32n6",
    "max78000",
    "ethos_u55_128",
    "k210",
)
DEADLINE_S = 0.1


def study(nets: Sequence[str] = NETS, chips: Sequence[str] = CHIPS) -> list[hwsim.Report]:
    """Return a report per net and chip."""
    graphs = [hwsim.load_net(name) for name in nets]
    targets = [hwsim.load_chip(name) for name in chips]
    return [hwsim.evaluate(graph, target, dtype="int8") for graph in graphs for target in targets]


def picture(reports: Sequence[hwsim.Report]) -> Axes:
    """Draw latency and energy of each net on each chip."""
    return hwsim.plot.plot_compare(reports, show=["latency", "energy"])


def learnt(reports: Sequence[hwsim.Report]) -> str:
    """Return what the numbers say."""
    by_chip: dict[str, list[hwsim.Report]] = {}
    for report in reports:
        by_chip.setdefault(report.chip, []).append(report)
    energy_j = {chip: sum(report.energy_j for report in own) for chip, own in by_chip.items()}
    in_time = [chip for chip, own in by_chip.items() if all(report.latency_s <= DEADLINE_S for report in own)]
    if not in_time:
        return f"None of {len(by_chip)} chips runs every net within {DEADLINE_S * 1e3:g} ms."
    least = min(in_time, key=energy_j.__getitem__)
    told = (
        f"{len(in_time)} of {len(by_chip)} chips run each of the nets within {DEADLINE_S * 1e3:g} ms; {least} takes "
        f"the least energy for one inference of each, {energy_j[least] * 1e3:.3g} mJ"
    )
    validated = [chip for chip in in_time if all(report.error_p90 is not None for report in by_chip[chip])]
    if least in validated:
        return f"{told}, a prediction that is validated against silicon."
    if not validated:
        return f"{told}; none of these predictions is validated against silicon."
    sure = min(validated, key=energy_j.__getitem__)
    error = max(report.error_p90 or 0.0 for report in by_chip[sure])
    return (
        f"{told}; of those whose latency is validated against silicon {sure} does, {energy_j[sure] * 1e3:.3g} mJ "
        f"(± {error:.0%})."
    )


def main() -> None:
    """Draw the picture and say what was learnt."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "pictures"
    reports = study()
    hwsim.plot.save(picture(reports), folder / "choose_chip.svg")
    print(learnt(reports))


if __name__ == "__main__":
    main()
