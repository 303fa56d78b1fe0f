"""NVDLA: frames per second of ResNet-50 at its seven sizes, and its makers' performance sheet, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil

from hwsim.chip import Chip, load_chip
from hwsim.importers import load_net
from hwsim.report import evaluate
from hwsim.silicon.published.comparison import NO_AIM, Aim, Comparison, ComparisonTable, rows_of
from hwsim.silicon.published.layers import conv
from hwsim.units import BYTES_PER_GB, BYTES_PER_KIB

CLOCK_HZ = 1e9
CLOSE = Aim("within", 0.05)
# The sheet's DRAM, 10 GB/s, moves a KiB in 100 cycles; AlexNet's dense layers run 16 images at a time.
SHEET_BYTES_PER_CYCLE = 10.24
SHEET_MACS = 2048
SHEET_BATCH = 16
# Channels are counted in multiples of 16, and of 4 where an image comes in.
GRAIN, IMAGE_GRAIN = 16, 4


def sizes_table() -> ComparisonTable:
    """Return frames per second at each size, as ``evaluate`` has them."""
    rows = []
    for row in rows_of("nvdla_sizes"):
        report = evaluate(load_net("resnet50_v1"), load_chip(f"nvdla_{row['macs']}"), dtype="int8")
        rows.append(
            Comparison(
                case=f"{row['macs']} MACs, {row['buffer_kib']} KiB, {row['dram_gb_per_s']} GB/s",
                quantity="ResNet-50 [frame/s]",
                ours=1 / report.latency_s,
                published=float(row["resnet50_frames_per_s"]),
                aim=Aim("within", 0.10),
            )
        )
    return ComparisonTable(title="NVDLA, ResNet-50 at seven sizes", rows=rows)


def estimator_table() -> ComparisonTable:
    """Return frames per second at each size by the makers' own counts: what would explain their figures.

    Bytes of ifmap, filters and ofmap are the sheet's. Half of the buffer holds ifmaps, half filters; where neither fits
    there, the cheaper is done of fetching the ifmap again for each part of the filters, or filters for each part of
    the ifmap.
    """
    layers = [row for row in rows_of("nvdla_layers") if row["network"] == "ResNet50"]
    rows = []
    for size in rows_of("nvdla_sizes"):
        bytes_per_s = float(size["dram_gb_per_s"]) * BYTES_PER_GB
        half_kib = float(size["buffer_kib"]) / 2
        seconds = 0.0
        for row in layers:
            ifmap, filters = float(row["input_kib"]), float(row["weight_kib"])
            moved_kib = float(row["dram_cycles_no_sram"]) / 100
            again_kib = min((ceil(filters / half_kib) - 1) * ifmap, (ceil(ifmap / half_kib) - 1) * filters)
            compute_s = _macs(row) / int(size["macs"]) / CLOCK_HZ
            seconds += max(compute_s, (moved_kib + again_kib) * BYTES_PER_KIB / bytes_per_s)
        rows.append(
            Comparison(
                case=f"{size['macs']} MACs",
                quantity="ResNet-50 [frame/s]",
                ours=1 / seconds,
                published=float(size["resnet50_frames_per_s"]),
                aim=NO_AIM,
            )
        )
    return ComparisonTable(title="NVDLA, ResNet-50 by its makers' counts", rows=rows)


def _macs(row: Mapping[str, str]) -> int:
    pixels = int(row["rows"]) * int(row["cols"])
    return pixels * int(row["filters"]) * int(row["channels"]) * int(row["taps_h"]) * int(row["taps_w"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLayer:
    """A layer of the sheet, costed.

    Attributes:
        row: The published row.
        mac_cycles: Cycles of its MACs.
        dram_cycles: Cycles of its DRAM traffic without an SRAM.
    """

    row: Mapping[str, str]
    mac_cycles: float
    dram_cycles: float


@cache
def _sheet_chip(grain: int, winograd: bool) -> Chip:
    """Return the sheet's machine: MACs by a grain of channels and without other edges, a buffer for any layer."""
    flow: dict[str, object] = {"name": "sheet", "rows": ["C"], "cols": ["K"], "stationary": "filter"}
    if winograd:
        flow["winograd"] = 2
    fields: dict[str, object] = {
        "conv_core.cols": 1,
        "conv_core.macs_per_pe": {"int8": SHEET_MACS / grain},
        "conv_core.dataflows": [flow],
        "cbuf.size_mib": 64,
        "cbuf.pj_per_byte": 1.0,
        "cbuf.bytes_per_cycle": 1e9,
        "dram.bytes_per_cycle": SHEET_BYTES_PER_CYCLE,
    }
    return load_chip("nvdla_2048").replace("conv_core.rows", grain, **fields)


@cache
def sheet_layers() -> tuple[SheetLayer, ...]:
    """Return every layer of the sheet, costed on the sheet's machine."""
    return tuple(map(_sheet_layer, rows_of("nvdla_layers")))


def _sheet_layer(row: Mapping[str, str]) -> SheetLayer:
    height, width, stride = int(row["height"]), int(row["width"]), int(row["stride"])
    channels, filters = int(row["channels"]), int(row["filters"])
    taps = int(row["taps_h"]), int(row["taps_w"])
    padding = next(p for p in range(8) if (height + 2 * p - taps[0]) // stride + 1 >= int(row["rows"]))
    net = conv(
        height=height,
        width=width,
        channels=channels,
        filters=filters,
        taps=taps,
        stride=stride,
        padding=padding,
    )
    chip = _sheet_chip(IMAGE_GRAIN if channels < IMAGE_GRAIN else GRAIN, row["winograd"] == "yes")
    batch = SHEET_BATCH if row["layer"].startswith("fc") and row["network"] == "AlexNet" else 1
    (layer,) = evaluate(net, chip, dtype="int8", batch=batch).layers
    parts = layer.traffic_parts_bytes["dram"]
    # Pooling on the fly writes what is left; an addition on the fly reads its other operand.
    written = min(parts["write_ofmap"] / batch, float(row["output_kib"]) * BYTES_PER_KIB)
    added = parts["write_ofmap"] if "Elwise" in row["layer"] else 0
    moved = (layer.traffic_bytes["dram"] - parts["write_ofmap"]) / batch + written + added
    return SheetLayer(
        row=row, mac_cycles=layer.terms_s["compute"] * CLOCK_HZ / batch, dram_cycles=moved / SHEET_BYTES_PER_CYCLE
    )


def mac_rows() -> Iterator[Comparison]:
    """Yield the MAC cycles of each layer that the sheet gives them for."""
    for layer in sheet_layers():
        if layer.row["mac_cycles"]:
            yield _compared(layer, "MAC cycles", layer.mac_cycles, float(layer.row["mac_cycles"]))


def dram_rows() -> Iterator[Comparison]:
    """Yield the DRAM cycles of each layer, without an SRAM."""
    for layer in sheet_layers():
        yield _compared(layer, "DRAM cycles", layer.dram_cycles, float(layer.row["dram_cycles_no_sram"]))


def _compared(layer: SheetLayer, quantity: str, ours: float, published: float) -> Comparison:
    case = f"{layer.row['network']}, {layer.row['layer']}"
    return Comparison(case=case, quantity=quantity, ours=ours, published=published, aim=CLOSE)


def sheet_table() -> ComparisonTable:
    """Return how many layers of each net come within a twentieth, and all that do not."""
    found = []
    sources: dict[str, Callable[[], Iterator[Comparison]]] = {"MAC cycles": mac_rows, "DRAM cycles": dram_rows}
    for quantity, rows in sources.items():
        every = list(rows())
        for network in dict.fromkeys(row["network"] for row in rows_of("nvdla_layers")):
            mine = [row for row in every if row.case.startswith(f"{network}, ")]
            found.append(
                Comparison(
                    case=f"{network}, all layers",
                    quantity=f"{quantity}, layers within 5 %",
                    ours=sum(row.met for row in mine),
                    published=len(mine),
                    aim=Aim("equal"),
                )
            )
        found += [row for row in every if not row.met]
    return ComparisonTable(title="NVDLA's performance sheet, layer by layer", rows=found)
