"""SCALE-Sim's runs: array cycles are its closed form, whole layers at a time; why traffic differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache

from hwsim.chip import ArrayEngine, Chip, load_chip
from hwsim.report import Report, evaluate
from hwsim.silicon.published.comparison import Aim, Comparison, ComparisonTable, rows_of
from hwsim.silicon.published.layers import conv

DATAFLOWS = ("os", "ws", "is")


def machine(rows: int, cols: int, dataflow: str) -> Chip:
    """Return SCALE-Sim's machine with one dataflow, and SRAMs in which every layer stays whole.

    The tool never cuts a layer: what does not fit its SRAMs is fetched again, in no more cycles.
    """
    chip = load_chip("scalesim")
    (engine,) = chip.engines
    assert isinstance(engine, ArrayEngine)
    only = [flow.model_dump() for flow in engine.dataflow_table if flow.name == dataflow]
    srams = ("ifmap_sram", "filter_sram", "ofmap_sram")
    changes: dict[str, object] = {f"{name}.size_mib": 64 for name in srams}
    changes |= {f"{name}.transfers": "ideal" for name in srams}
    return chip.replace("array.rows", rows, **{"array.cols": cols, "array.dataflows": only, **changes})


@lru_cache(maxsize=1024)
def _report(shape: tuple[int, ...], rows: int, cols: int, dataflow: str) -> Report:
    height, width, taps_h, taps_w, channels, filters, stride = shape
    net = conv(height=height, width=width, channels=channels, filters=filters, taps=(taps_h, taps_w), stride=stride)
    return evaluate(net, machine(rows, cols, dataflow), dtype="int8")


def overhangs(row: Mapping[str, str]) -> bool:
    """Return whether the last window of a row or column ends beyond the ifmap; SCALE-Sim counts it all the same."""
    stride = int(row["stride"])
    return any((int(row[f"ifmap_{axis}"]) - int(row[f"filter_{axis}"])) % stride for axis in "hw")


def report_of(row: Mapping[str, str]) -> Report:
    """Return what hwsim says of one run: ifmaps hold their padding, and grow to hold every window the tool counts."""
    stride = int(row["stride"])
    sizes = {axis: int(row[f"ifmap_{axis}"]) for axis in "hw"}
    for axis, size in sizes.items():
        sizes[axis] += -(size - int(row[f"filter_{axis}"])) % stride
    shape = (*sizes.values(), *(int(row[name]) for name in ("filter_h", "filter_w", "channels", "filters", "stride")))
    return _report(shape, int(row["rows"]), int(row["cols"]), row["dataflow"])


def cycles() -> Iterator[Comparison]:
    """Yield the array cycles of each run; the tool counts from zero, so that its last cycle is one less."""
    for row in rows_of("scalesim"):
        case = f"{row['net']} {row['layer']}, {row['rows']}×{row['cols']} {row['dataflow']}"
        ours = report_of(row).layers[0].cycles - 1
        yield Comparison(case=case, quantity="array cycles", ours=ours, published=int(row["cycles"]), aim=Aim("equal"))


def table() -> ComparisonTable:
    """Return how many runs agree, by net and dataflow."""
    runs: Counter[tuple[str, str]] = Counter()
    equal: Counter[tuple[str, str]] = Counter()
    for row, compared in zip(rows_of("scalesim"), cycles(), strict=True):
        runs[row["net"], row["dataflow"]] += 1
        equal[row["net"], row["dataflow"]] += compared.met
    return ComparisonTable(
        title="SCALE-Sim, array cycles",
        rows=[
            Comparison(
                case=f"{net}, {dataflow}",
                quantity="layers with equal cycles",
                ours=equal[net, dataflow],
                published=count,
                aim=Aim("equal"),
            )
            for (net, dataflow), count in sorted(runs.items())
        ],
    )
