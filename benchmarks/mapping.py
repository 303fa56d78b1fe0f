"""How long the exact search of mappings takes, how it grows, and ZigZag on the same layers of the same machine.

    python benchmarks/mapping.py [--runs N] [--zigzag PYTHON] [--lpf N] [--sram KIB] [--layers N]

Four questions. One ResNet-50 convolution, cold: every cache of hwsim is emptied before each distinct layer is searched;
the median over the layers, on three arrays; the aim is 100 ms. Whole nets: cold is the first call of a fresh process,
rooms and files loaded; the aims are 1 s for SqueezeNet v1.1 on squeezelerator, 5 ms when the same question is asked
again, and 3 s for ResNet-50. Growth: chains of n layers that all differ, cold; the exponent of a line fitted to the
logarithms, at most 1 where time grows no faster than layers. ZigZag: PYTHON is an interpreter that has `zigzag-dse` and
`six` (it runs on 3.11); each distinct convolution of ResNet-18 once, on one machine told to both: 16 x 16 units,
channels on rows and filters on columns, an SRAM for all operands, one DRAM port. Times are CPU seconds where
nothing else is said, for machines are shared.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import process_time
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from hwsim.chip import Chip
    from hwsim.cost.nest import Nest
    from hwsim.graph import DType, Graph

FOLDER = Path(__file__).resolve().parent
CHIPS: tuple[tuple[str, DType], ...] = (("eyeriss", "int16"), ("squeezelerator", "int16"), ("gemmini", "int8"))
COLD = """
import time
start, used = time.perf_counter(), time.process_time()
import hwsim
hwsim.evaluate(hwsim.load_net({net!r}), hwsim.load_chip({chip!r}), dtype={dtype!r})
print(time.perf_counter() - start, time.process_time() - used)
"""
MACHINE = """\
schema: 1
name: one-machine
clock_mhz: 1000
engines:
  - name: array
    kind: array
    rows: 16
    cols: 16
    dataflows: [{name: channels, rows: [C], cols: [K], stationary: filter}]
    psum_bytes: 1
memories:
  - {name: sram, size_kib: 256, bytes_per_cycle: 1536, pj_per_byte: 5, kind: sram, transfers: ideal}
  - {name: dram, size_mib: 4096, bytes_per_cycle: 8, pj_per_byte: 100, kind: dram}
mac_pj: {int8: 0.2}
sources: {"*": "by definition: the machine of this benchmark"}
"""
FOR_ZIGZAG = {
    "rows": 16, "cols": 16, "sram_bits": 2048, "dram_bits": 64, "sram_pj_per_byte": 5,
    "dram_pj_per_byte": 100, "mac_pj": 0.2,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each timing, the least counts (default 3)")
    parser.add_argument("--zigzag", metavar="PYTHON", help="an interpreter that has zigzag-dse")
    parser.add_argument("--lpf", type=int, default=6, help="ZigZag's lpf_limit, how finely it cuts loops (default 6)")
    parser.add_argument("--sram", type=int, default=256, help="KiB of the SRAM of both machines (default 256)")
    parser.add_argument("--layers", type=int, default=99, help="layers to put beside ZigZag (default all)")
    given = parser.parse_args()
    one_layer(given.runs)
    whole_nets(given.runs)
    growth(given.runs)
    if given.zigzag is None:
        print("\nZigZag is left out: --zigzag PYTHON names an interpreter that has zigzag-dse and six")
    else:
        beside_zigzag(given.zigzag, given.lpf, given.sram, given.layers)


def forget() -> None:
    """Empty every cache of hwsim."""
    for name, module in list(sys.modules.items()):
        if name.startswith("hwsim") and isinstance(module, ModuleType):
            for value in list(vars(module).values()):
                if callable(getattr(value, "cache_clear", None)):
                    value.cache_clear()


def cold_s(graph: Graph, chip: Chip, dtype: DType, runs: int) -> float:
    """Return the least CPU seconds of costing a net with nothing cached."""
    from hwsim.chip import HardwarePoints
    from hwsim.cost import cost, lower

    times = []
    for _ in range(runs):
        forget()
        start = process_time()
        cost(lower(graph, dtype=dtype), HardwarePoints.of(chip))
        times.append(process_time() - start)
    return min(times)


def one_layer(runs: int) -> None:
    """Print the time of each distinct convolution of ResNet-50, on three arrays."""
    from hwsim import load_chip, load_net

    print(f"{'one ResNet-50 convolution, cold':44s} {'layers':>7s} {'median [ms]':>12s} {'worst [ms]':>11s}")
    nets = single_layers(load_net("resnet50"))
    for name, dtype in CHIPS:
        chip = load_chip(name)
        times = [1e3 * cold_s(net, chip, dtype, runs) for net in nets]
        print(f"on {name:41s} {len(times):7d} {median(times):12.1f} {max(times):11.1f}")


def single_layers(net: Graph) -> list[Graph]:
    """Return a net of its own for each distinct convolution."""
    from hwsim.cost import lower
    from hwsim.graph import GraphBuilder

    found = {}
    for row in lower(net, dtype="int8").rows:
        if row.nest is not None and row.nest.rows.positions > 1 and row.nest not in found:
            nest, b = row.nest, GraphBuilder(row.layer.name)
            x = b.input("x", (nest.n, nest.rows.size, nest.cols.size, nest.c * nest.g), "int8")
            found[nest] = b.build([
                b.conv2d(
                    x, nest.k * nest.g, (nest.rows.taps, nest.cols.taps), stride=nest.rows.stride,
                    padding=_padding(nest), groups=nest.g, name=row.layer.name,
                )
            ])  # fmt: skip
    return list(found.values())


def _padding(nest: Nest) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return padding before and after that gives the nest's ofmap."""
    return cast(
        "tuple[tuple[int, int], tuple[int, int]]",
        tuple(
            (axis.pad, max((axis.positions - 1) * axis.stride + axis.taps - axis.size - axis.pad, 0))
            for axis in (nest.rows, nest.cols)
        ),
    )


def whole_nets(runs: int) -> None:
    """Print cold and warm times of whole nets."""
    import hwsim

    print(f"\n{'evaluate':44s} {'cold [s]':>9s} {'wall [s]':>9s} {'warm [ms]':>10s}")
    for net, chip, dtype in (
        ("squeezenet_v1_1", "squeezelerator", "int16"),
        ("resnet50", "squeezelerator", "int16"),
        ("resnet50", "eyeriss", "int16"),
    ):
        code = COLD.format(net=net, chip=chip, dtype=dtype)
        done = [
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
            for _ in range(runs)
        ]
        wall, cpu = (min(float(times[i]) for times in done) for i in (0, 1))
        graph, target = hwsim.load_net(net), hwsim.load_chip(chip)
        warm = []
        for _ in range(8):
            start = process_time()
            hwsim.evaluate(graph, target, dtype="int16")
            warm.append(process_time() - start)
        print(f"{net + ' on ' + chip:44s} {cpu:9.2f} {wall:9.2f} {1e3 * min(warm[1:]):10.1f}")


def growth(runs: int) -> None:
    """Print cold times of chains of layers that all differ, and the exponent with which they grow."""
    from hwsim import load_chip
    from hwsim.graph import GraphBuilder

    chip = load_chip("gemmini")
    counts, times = (4, 8, 16, 32, 64), []
    for count in counts:
        b = GraphBuilder(f"chain of {count}")
        x = b.input("x", (1, 28, 28, 64), "int8")
        for number in range(count):
            # 64 to 127 filters: no two layers are equal, and all have as many tile sizes.
            x = b.conv2d(x, 64 + number, 3, padding="same")
        times.append(cold_s(b.build([x]), chip, "int8", runs))
    exponent = slope([math.log(count) for count in counts], [math.log(time) for time in times])
    told = ", ".join(f"{count}: {time:.2f}" for count, time in zip(counts, times, strict=True))
    print(f"\nlayers that all differ, cold [s]: {told}; time grows with layers to the power {exponent:.2f}")


def slope(x: list[float], y: list[float]) -> float:
    """Return the slope of the line of least squares."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def beside_zigzag(python: str, lpf_limit: int, sram_kib: int, layers: int) -> None:
    """Print both tools' figures of ResNet-18's distinct convolutions on one machine."""
    from tempfile import TemporaryDirectory

    from hwsim import load_chip, load_net

    with TemporaryDirectory() as folder:
        path = Path(folder) / "machine.yaml"
        path.write_text(MACHINE)
        chip = load_chip(path).replace("sram.size_kib", sram_kib)
    machine = FOR_ZIGZAG | {"sram_bytes": sram_kib * 1024}
    nets = single_layers(load_net("resnet18"))[:layers]
    for objective in ("energy", "latency"):
        ours = [figures(net, chip, objective) for net in nets]
        asked = {"machine": machine, "layers": [shape(net) for net in nets], "lpf_limit": lpf_limit}
        done = subprocess.run(
            [python, str(FOLDER / "mapping_zigzag.py")],
            input=json.dumps(asked | {"objective": objective}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(
                f"\nZigZag is left out: {python} says {done.stderr.strip().splitlines()[-1] if done.stderr else 'no'}"
            )
            return
        show(objective, lpf_limit, sram_kib, ours, json.loads(done.stdout))


def shape(net: Graph) -> dict[str, int | str]:
    """Return a net's only layer as the other side takes it."""
    from hwsim.cost import lower

    ((name, nest),) = [(row.layer.name, row.nest) for row in lower(net, dtype="int8").rows if row.nest is not None]
    return {
        "name": name, "k": nest.k, "c": nest.c, "p": nest.rows.positions, "q": nest.cols.positions,
        "r": nest.rows.taps, "s": nest.cols.taps, "stride": nest.rows.stride, "pad": nest.rows.pad,
        "h": nest.rows.size, "w": nest.cols.size,
    }  # fmt: skip


def figures(net: Graph, chip: Chip, objective: str) -> dict[str, Any]:
    """Return hwsim's figures of a net of one layer, and the CPU seconds they took with nothing cached."""
    from hwsim.report import evaluate

    forget()
    start = process_time()
    report = evaluate(net, chip, dtype="int8", objective=objective)
    seconds = process_time() - start
    # Biases are not told to ZigZag.
    return {
        "name": report.layers[0].name,
        "latency_cycles": report.latency_s * report.clock_hz,
        "energy_pj": report.energy_j * 1e12,
        "dram_bytes": float(report.traffic_bytes["dram"]),
        "least_bytes": float(report.io_bound_bytes),
        "bound_cycles": max(report.macs / 256, report.compulsory_bytes / 8),
        "cpu_s": seconds,
    }


def show(
    objective: str, lpf_limit: int, sram_kib: int, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> None:
    """Print layer by layer what both found, ZigZag's over hwsim's, and the sums."""
    print(
        f"\nResNet-18, SRAM of {sram_kib} KiB, mappings chosen for {objective}, ZigZag's lpf_limit {lpf_limit}; "
        "ratios are ZigZag over hwsim"
    )
    head = (
        "layer",
        "hwsim [ms]",
        "ZigZag [s]",
        "time ×",
        "cycles",
        "cycles ×",
        "DRAM [B]",
        "DRAM ×",
        "E [µJ]",
        "E ×",
        "",
    )
    print("{:20s} {:>10s} {:>10s} {:>7s} {:>9s} {:>8s} {:>10s} {:>7s} {:>8s} {:>6s} {}".format(*head))
    rows = list(zip(ours, theirs, strict=True))
    whole = tuple(
        {key: sum(row[key] for row in side) for key in side[0] if key != "name"} | {"name": "all"}
        for side in (ours, theirs)
    )
    for mine, other in [*rows, whole]:
        moved = other["dram_read_bytes"] + other["dram_written_bytes"]
        below = "below its bound" if other["latency_cycles"] < mine["bound_cycles"] * (1 - 1e-9) else ""
        print(
            f"{mine['name'][-20:]:20s} {1e3 * mine['cpu_s']:10.0f} {other['cpu_s']:10.1f} "
            f"{other['cpu_s'] / mine['cpu_s']:7.0f} {mine['latency_cycles']:9.0f} "
            f"{other['latency_cycles'] / mine['latency_cycles']:8.3f} {mine['dram_bytes']:10.0f} "
            f"{moved / mine['dram_bytes']:7.3f} {mine['energy_pj'] / 1e6:8.1f} "
            f"{other['energy_pj'] / mine['energy_pj']:6.3f} {below}"
        )


if __name__ == "__main__":
    main()
