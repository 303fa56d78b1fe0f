"""ZigZag and AccelForge on one machine: DRAM bytes, latency and energy beside the best that either found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import ceil

from hwsim.chip import Chip, load_chip
from hwsim.graph import Graph
from hwsim.report import Report, evaluate
from hwsim.silicon.published.comparison import FOLDER, NO_AIM, Aim, Comparison, ComparisonTable, rows_of
from hwsim.silicon.published.layers import conv, conv_of, dense

LAYERS = {
    "a": ("conv 3×3, 64→64, 56×56", conv(height=56, channels=64, filters=64, taps=3, padding=1)),
    "b": ("conv 1×1, 128→128, 28×28", conv(height=28, channels=128, filters=128)),
    "c": ("depthwise 3×3, 128, 28×28", conv(height=28, channels=128, filters=128, taps=3, padding=1, groups=128)),
    "d": ("fully connected, 4096→1000", dense(inputs=4096, outputs=1000)),
}
UNITS = 256
DRAM_BYTES_PER_CYCLE = 8
# Without a network between units, 256 of them are an array of any shape.
SHAPES = ((16, 16), (32, 8), (8, 32))
QUANTITIES = {"traffic": "DRAM [B]", "latency": "latency [cycle]", "energy": "energy [µJ]"}


@lru_cache
def _machine() -> Chip:
    return load_chip(FOLDER / "common_machine.yaml")


@lru_cache(maxsize=256)
def report(net: Graph, sram_kib: int, psum_bytes: int, objective: str, shape: tuple[int, int]) -> Report:
    """Return what hwsim says of a layer on the machine with an SRAM, psums and an arrangement of units."""
    changes = {"array.cols": shape[1], "sram.size_kib": sram_kib, "array.psum_bytes": psum_bytes}
    return evaluate(net, _machine().replace("array.rows", shape[0], **changes), dtype="int8", objective=objective)


def figure(net: Graph, sram_kib: int, psum_bytes: int, objective: str) -> float:
    """Return the least of a quantity: DRAM bytes, latency [cycle] or energy [µJ]."""
    reports = [report(net, sram_kib, psum_bytes, objective, shape) for shape in SHAPES]
    return min(_figures(found)[objective] for found in reports)


def _figures(found: Report) -> dict[str, float]:
    cycles = found.latency_s * _machine().clock_hz
    return {
        "traffic": found.traffic_bytes["dram"],
        "latency": ceil(cycles - 1e-6),
        "energy": found.energy_j * 1e6,
    }


def bound_cycles(net: Graph) -> int:
    """Return the least cycles of any schedule: MACs over units, or each tensor once over the DRAM port."""
    layer = report(net, 256, 1, "latency", SHAPES[0]).layers[0]
    return max(ceil(layer.macs / UNITS), ceil(layer.compulsory_bytes / DRAM_BYTES_PER_CYCLE))


def peers_figures(row: Mapping[str, str]) -> dict[str, float]:
    """Return the same quantities of a row of a peer's."""
    return {
        "traffic": int(row["dram_read_bytes"]) + int(row["dram_write_bytes"]),
        "latency": int(row["latency_cycles"]),
        "energy": float(row["energy_uj"]),
    }


def layers() -> list[Comparison]:
    """Return hwsim beside the best peer that respects the bounds, for each layer, SRAM, width of psums and quantity."""
    groups: dict[tuple[int, int, str], list[dict[str, str]]] = {}
    for row in rows_of("common_machine"):
        key = (int(row["psum_bytes"]), int(row["sram_kib"]), row["layer"])
        groups.setdefault(key, []).append(row)
    found = []
    for (psum_bytes, sram_kib, layer), rows in sorted(
        groups.items(), key=lambda item: (item[0][0], -item[0][1], item[0][2])
    ):
        name, net = LAYERS[layer]
        case = f"({layer}) {name}, {sram_kib} KiB" + (f", psums of {psum_bytes} B" if psum_bytes > 1 else "")
        bound = bound_cycles(net)
        honest = [row for row in rows if int(row["latency_cycles"]) >= bound]
        for objective, quantity in QUANTITIES.items():
            if not honest:
                continue
            best = min(honest, key=lambda row: peers_figures(row)[objective])
            found.append(
                Comparison(
                    case=case,
                    quantity=quantity,
                    ours=figure(net, sram_kib, psum_bytes, objective),
                    published=peers_figures(best)[objective],
                    of=_who(best),
                    aim=Aim("at_most"),
                )
            )
    return found


def _who(row: Mapping[str, str]) -> str:
    words = [row["tool"].split()[0], row["unrolling"]]
    return ", ".join([*words, "weight register"] if row["weight_register"] == "yes" else words)


def nets() -> list[Comparison]:
    """Return hwsim beside AccelForge on whole nets at 256 KiB: sums over their layers, and the worst layer."""
    by_net: dict[str, list[dict[str, str]]] = {}
    for row in rows_of("common_machine_nets"):
        by_net.setdefault(row["net"], []).append(row)
    found = []
    for net, rows in by_net.items():
        for objective, quantity in QUANTITIES.items():
            ours = [figure(conv_of(row), 256, 1, objective) for row in rows]
            theirs = [_layer_figure(row, objective) for row in rows]
            # Their array reads its operands for every MAC where ours keeps a weight in a free register.
            aim = NO_AIM if objective == "energy" else Aim("at_most")
            more = {"quantity": quantity, "of": "AccelForge", "aim": aim}
            found.append(Comparison(case=f"{net}, all layers", ours=sum(ours), published=sum(theirs), **more))  # type: ignore[arg-type]
            worst = max(range(len(rows)), key=lambda i: ours[i] / theirs[i])
            name = f"{net}, {rows[worst]['layer']} (least ahead)"
            found.append(Comparison(case=name, ours=ours[worst], published=theirs[worst], **more))  # type: ignore[arg-type]
    return found


def _layer_figure(row: Mapping[str, str], objective: str) -> float:
    return float(row[{"traffic": "dram_bytes", "latency": "latency_cycles", "energy": "energy_uj"}[objective]])


def layers_table() -> ComparisonTable:
    """Return the comparison of layers."""
    return ComparisonTable(title="ZigZag and AccelForge on one machine, layers", rows=layers())


def nets_table() -> ComparisonTable:
    """Return the comparison of whole nets."""
    return ComparisonTable(title="AccelForge on one machine, whole nets", rows=nets())
