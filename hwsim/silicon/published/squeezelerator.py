"""Squeezelerator: which dataflow each kind of layer prefers, and what choosing by layer is worth."""

from __future__ import annotations

from functools import cache
from math import nan

from hwsim.chip import ArrayEngine, load_chip
from hwsim.importers import load_net
from hwsim.report import LayerReport, Report, evaluate
from hwsim.silicon.published.comparison import NO_AIM, Aim, Comparison, ComparisonTable, rows_of

NETS = ("squeezenet_v1_0", "squeezenet_v1_1", "mobilenet_v1", "squeezenext_2_0", "tiny_darknet", "alexnet")
WS, OS = "weight_stationary", "output_stationary_blocks"
# Two latencies within this are a tie: both wait for the DRAM.
TIE = 1e-3


@cache
def report(net: str, dataflow: str = "") -> Report:
    """Return what hwsim says of a net with one dataflow, or with the better one for each layer."""
    chip = load_chip("squeezelerator")
    (engine,) = chip.engines
    assert isinstance(engine, ArrayEngine)
    if dataflow:
        only = [flow.model_dump() for flow in engine.dataflow_table if flow.name == dataflow]
        chip = chip.replace("npu.dataflows", only)
    return evaluate(load_net(net), chip, dtype="int16")


@cache
def preferences(net: str) -> dict[str, list[str]]:
    """Return the faster dataflow of every layer with MACs, or ``tie``, by kind: conv1, depthwise, 1x1, FxF."""
    found: dict[str, list[str]] = {}
    pairs = zip(report(net, WS).layers, report(net, OS).layers, strict=True)
    for ws, os in (pair for pair in pairs if pair[0].macs and pair[0].kind != "dense"):
        kind = _kind(ws) if found else "conv1"
        faster = OS if os.latency_s < ws.latency_s else WS
        close = abs(os.latency_s - ws.latency_s) <= TIE * ws.latency_s
        found.setdefault(kind, []).append("tie" if close else faster)
    return found


def _kind(layer: LayerReport) -> str:
    return {"pointwise": "1x1", "depthwise": "depthwise"}.get(layer.kind, "FxF")


def utilizations(net: str, kind: str, dataflow: str) -> list[float]:
    """Return the utilization of each layer of a kind with one dataflow."""
    return [layer.utilization for layer in report(net, dataflow).layers if layer.kind == kind]


def choice_table() -> ComparisonTable:
    """Return how many layers of each kind prefer what the authors say, ties apart."""
    rows = []
    for kind, expected in (("conv1", OS), ("depthwise", OS), ("1x1", WS)):
        every = [one for net in NETS for one in preferences(net).get(kind, []) if one != "tie"]
        rows.append(
            Comparison(
                case=f"{kind} prefers {'OS' if expected == OS else 'WS'}",
                quantity="layers of six nets",
                ours=every.count(expected),
                published=len(every),
                aim=Aim("equal"),
            )
        )
    either = [one for net in NETS for one in preferences(net).get("FxF", []) if one != "tie"]
    rows += [
        Comparison(
            case=f"FxF, either: {name}",
            quantity="layers of six nets",
            ours=either.count(dataflow),
            published=len(either),
            aim=NO_AIM,
        )
        for name, dataflow in (("OS", OS), ("WS", WS))
    ]
    return ComparisonTable(title="Squeezelerator, dataflow by layer", rows=rows)


def speedup_table() -> ComparisonTable:
    """Return how much faster choosing by layer is than either dataflow alone, over convolutions."""
    published = {(row["net"], row["over"]): float(row["speedup"]) for row in rows_of("squeezelerator")}
    rows = []
    for net in NETS:
        for name, dataflow in (("OS", OS), ("WS", WS)):
            rows.append(
                Comparison(
                    case=net,
                    quantity=f"faster than {name} alone [×]",
                    ours=_conv_s(report(net, dataflow)) / _conv_s(report(net)),
                    published=published.get((net, name), nan),
                    aim=NO_AIM,
                )
            )
    return ComparisonTable(title="Squeezelerator, hybrid over one dataflow", rows=rows)


def _conv_s(found: Report) -> float:
    return sum(layer.latency_s for layer in found.layers if layer.macs and layer.kind != "dense")
