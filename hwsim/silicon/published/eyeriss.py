"""Eyeriss on AlexNet, layer by layer as the chip ran it, and on VGG-16 as hwsim would run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from hwsim.chip import ArrayEngine, Chip, HardwarePoints, load_chip
from hwsim.cost import lower
from hwsim.cost.array import array_setup
from hwsim.cost.hooks import coded
from hwsim.cost.spatial import unrolling
from hwsim.cost.tiling import one_mapping
from hwsim.importers import load_net
from hwsim.report import evaluate
from hwsim.silicon.published.comparison import NO_AIM, Aim, Comparison, ComparisonTable, rows_of

BYTES_PER_MB = 1e6
MS_PER_S = 1e3
# Which of the profile's dataflows is the mapping of Table III for a layer.
DATAFLOW = {
    "conv1": "row_stationary_strips",
    "conv2": "row_stationary_folded",
    "conv3": "row_stationary_filters",
    "conv4": "row_stationary_folded",
    "conv5": "row_stationary_folded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What hwsim says of a layer run by the mapping of Table III.

    Attributes:
        processing_ms: Time of the PE array [ms].
        active_pes: PEs of a full pass.
        glb_mb: Accesses of the buffer: what the array takes and gives, and finished elements on their way home [MB].
        dram_mb: Accesses of the DRAM, coded [MB].
    """

    processing_ms: float
    active_pes: int
    glb_mb: float
    dram_mb: float


def alexnet_rows() -> list[dict[str, str]]:
    """Return the published rows of AlexNet."""
    return [row for row in rows_of("eyeriss") if row["network"] == "alexnet"]


def chip_of(zeros: Mapping[str, float]) -> Chip:
    """Return the chip with the zeros of a layer; the net's first ifmap, which has none, is not coded."""
    chip = load_chip("eyeriss").replace("pe_array.zeros", dict(zeros))
    if zeros["ifmap"] < 0.01:
        chip = chip.replace("pe_array.coded", {"ofmap": "run_length"})
    return chip


@cache
def ran(layer: str, dataflow: str = "", q: int = 0, r: int = 0) -> Ran:
    """Return what hwsim says of a layer of AlexNet by the chip's mapping.

    Args:
        layer: conv1 to conv5.
        dataflow: Another dataflow than that of Table III, with
        q: other channels in a PE and
        r: side by side.
    """
    rows = alexnet_rows()
    at = next(index for index, row in enumerate(rows) if row["layer"] == layer)
    row = rows[at]
    # An ofmap's zeros are counted as its reader's ifmap; after the last layer nobody counted.
    reader = rows[min(at + 1, len(rows) - 1)]
    chip = chip_of({"ifmap": float(row["ifmap_zeros"]), "ofmap": float(reader["ifmap_zeros"])})
    (engine,) = chip.engines
    assert isinstance(engine, ArrayEngine)
    workload = lower(load_net("alexnet"), batch=int(row["batch"]), dtype="int16")
    nest = next(found.nest for found in workload.rows if found.layer.name == layer)
    assert nest is not None
    setup = array_setup(engine, chip, engine.rows, engine.cols)
    name = dataflow or DATAFLOW[layer]
    channels = (q or int(row["q"])) * (r or int(row["r"]))
    tiles = {"N": int(row["n"]), "G": 1, "K": int(row["m"]), "C": channels, "P": int(row["e"])}
    mapped = one_mapping(nest, setup, name, ("ofmap", "P", ""), tiles)
    cycles = max(int(mapped.cycles[0]), int(mapped.bus_cycles[0])) + int(mapped.load_cycles[0])
    flow = next(flow for flow in engine.dataflow_table if flow.name == name)
    of_array = mapped.array_ifmap_bytes + mapped.psum_read_bytes + mapped.psum_write_bytes + mapped.ofmap_read_bytes
    home = (
        coded(mapped.ifmap_bytes, mapped.ifmap_coded)
        + coded(mapped.filter_bytes, mapped.filter_coded)
        + coded(mapped.ofmap_read_bytes, mapped.ofmap_coded)
    )
    return Ran(
        processing_ms=cycles / float(HardwarePoints.of(chip).engine(engine.name).clock_hz[0]) * MS_PER_S,
        active_pes=unrolling(nest, flow, engine.rows, engine.cols).busy_pes,
        glb_mb=float(of_array[0]) / BYTES_PER_MB,
        dram_mb=float(home[0]) / BYTES_PER_MB,
    )


def latency_table() -> ComparisonTable:
    """Return the processing latency of each layer."""
    aim = Aim("within", 0.10)
    return ComparisonTable(
        title="Eyeriss on AlexNet, processing latency",
        mean_within=0.05,
        rows=[
            Comparison(
                case=row["layer"],
                quantity="processing [ms]",
                ours=ran(row["layer"]).processing_ms,
                published=float(row["processing_ms"]),
                aim=aim,
            )
            for row in alexnet_rows()
        ],
    )


def accesses_table() -> ComparisonTable:
    """Return active PEs, buffer and DRAM accesses of each layer."""
    found = []
    for row in alexnet_rows():
        mine = ran(row["layer"])
        for quantity, ours, name, aim in (
            ("active PEs", mine.active_pes, "active_pes", Aim("equal")),
            ("buffer accesses [MB]", mine.glb_mb, "glb_mb", Aim("within", 0.25)),
            ("DRAM accesses [MB]", mine.dram_mb, "dram_mb", Aim("within", 0.15)),
        ):
            found.append(
                Comparison(case=row["layer"], quantity=quantity, ours=ours, published=float(row[name]), aim=aim)
            )
    again = ran("conv3", "row_stationary_folded", 3, 2)
    published = float(next(row["glb_mb"] for row in alexnet_rows() if row["layer"] == "conv3"))
    found.append(
        Comparison(
            case="conv3 with the mapping of conv4",
            quantity="buffer accesses [MB]",
            ours=again.glb_mb,
            published=published,
            aim=NO_AIM,
        )
    )
    return ComparisonTable(title="Eyeriss on AlexNet, PEs and accesses", rows=found)


def own_mapping_table() -> ComparisonTable:
    """Return the processing latency of both nets with the mappings that hwsim finds."""
    found = []
    for network in ("alexnet", "vgg16"):
        rows = [row for row in rows_of("eyeriss") if row["network"] == network]
        report = evaluate(load_net(network), load_chip("eyeriss"), batch=int(rows[0]["batch"]), dtype="int16")
        layers = {layer.name: layer for layer in report.layers}
        found += [
            Comparison(
                case=f"{network} {row['layer']}",
                quantity="processing [ms]",
                ours=layers[row["layer"]].terms_s["compute"] * MS_PER_S,
                published=float(row["processing_ms"]),
                aim=NO_AIM,
            )
            for row in rows
        ]
    return ComparisonTable(title="Eyeriss on AlexNet and VGG-16, hwsim's own mappings", rows=found)
