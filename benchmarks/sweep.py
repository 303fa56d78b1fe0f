"""How fast sweeps go over hardware points: net evaluations per second, memory, and how the cost grows.

    python benchmarks/sweep.py [--workers 2] [--points 1000000] [--plot growth.png] [--full]

A net evaluation is everything that ``hwsim.sweep`` tells of one net at one point, with the optimum of every layer's
mapping found; a layer evaluation is one layer with MACs of it. Everything is counted: processes start, candidates are
made, results are sent back. The rate by processor time stands beside the rate by the clock: other work on the machine
slows the latter alone.

The two floors of a point, on one core:

    bytes       its axes are read and its results written once, 8 B each, as fast as this process copies
    operations  each distinct layer with MACs needs its latency and what it moves, of one candidate at least: about 40
                operations on columns that stay in the cache, as fast as this process adds such columns

Both speeds are measured in the same run. Beside each rate stands how many times the floors the processor took.

How the cost grows is fitted as an exponent over points (to 10^6, with ``--full`` to 10^7), over layers (26 to 10,000,
all of them different or not) and over the mappings that a layer has.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import numpy.typing as npt

import hwsim
from hwsim.chip import ArrayEngine, Chip, HardwarePoints
from hwsim.cost import lower, totals
from hwsim.cost.array import array_setup
from hwsim.cost.tiling import Prices, candidates, mapspace
from hwsim.graph import DType, Graph, GraphBuilder

Floats = npt.NDArray[np.float64]

CHECKOUT = Path(__file__).resolve().parents[1]
CHIP, NET = "squeezelerator", "squeezenet_v1_1"
DTYPE: DType = "int16"
NETS = (
    "squeezenet_v1_1", "squeezenet_v1_0", "alexnet", "mobilenet_v1", "mobilenet_v2", "resnet18", "resnet50",
    "squeezenext_1_0", "resnet8", "ds_cnn", "tiny_darknet", "shufflenet_v2",
)  # fmt: skip
SIZES, SHAPE = 25, [8, 16, 32, 64]
LAYER_OPERATIONS = 40
COLD = (
    "import hwsim; hwsim.sweep(hwsim.load_net({net!r}), hwsim.load_chip({chip!r}), "
    "{{'dram.gb_per_s': list(range(1, 101))}}, dtype={dtype!r}, workers=1)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--points", type=int, default=1_000_000, help="points of the large grid (default 1,000,000)")
    parser.add_argument("--plot", type=Path, help="draw how the cost grows into this file")
    parser.add_argument("--full", action="store_true", help="grow to ten million points")
    asked = parser.parse_args()

    floors = Floors.measured()
    print(f"one core copies {floors.copied_bytes_per_s / 1e9:.1f} GB/s and adds {floors.adds_per_s / 1e9:.2f} G/s\n")
    print(
        f"{'work':34s} {'points':>10s} {'nets/s':>9s} {'by CPU':>9s} {'layers/s':>9s} {'MiB':>6s} {'floors':>13s}  aim"
    )
    a_tenth = max(asked.points // 10, 400)
    rows: list[tuple[str, Callable[[], Run], str]] = [
        ("grid", partial(run, [NET], grid(asked.points), asked.workers), "200,000 nets/s, 1,536 MiB"),
        ("drawn one by one", partial(run, [NET], drawn(), asked.workers, a_tenth), "20,000 nets/s"),
        ("grid, 12 nets", partial(run, NETS, grid(a_tenth), asked.workers), "5,000,000 layers/s"),
    ]
    for name, work, aim in rows:
        print(work().line(name, floors, aim))
    print(f"\n{'first answer of a cold process, 100 points':45s} {cold_s():6.2f} s   aim: 1.5 s")
    print(flush=True)
    subprocess.run([sys.executable, str(CHECKOUT / "benchmarks" / "pareto.py")], check=True)

    growth = [by_points(7 if asked.full else 6), by_layers(repeated=False), by_layers(repeated=True), by_mappings()]
    print(f"\n{'cost against':34s} {'from':>10s} {'to':>10s} {'exponent':>9s}  aim")
    for one in growth:
        aim = "<= 1.0" if one.over == "points" else ""
        print(f"{one.name:34s} {one.sizes[0]:10,.0f} {one.sizes[-1]:10,.0f} {one.exponent:9.2f}  {aim}")
    if asked.plot:
        draw(growth, asked.plot)


@dataclass(frozen=True)
class Floors:
    """What no program on this machine can go below, measured on one core."""

    copied_bytes_per_s: float
    adds_per_s: float

    @classmethod
    def measured(cls) -> Floors:
        large, small = np.ones(1 << 24), np.ones(1 << 12)
        into, sums = np.empty_like(large), np.empty_like(small)
        copy_s = min(seconds(partial(np.copyto, into, large)) for _ in range(5))

        def add() -> None:
            for _ in range(1000):
                np.add(small, small, out=sums)

        add_s = min(seconds(add) for _ in range(5))
        # A copy reads and writes.
        return cls(2 * large.nbytes / copy_s, 1000 * small.size / add_s)

    def point_s(self, columns: float, layers: float) -> tuple[float, float]:
        """Return the least time of a point by bytes and by operations, for so many columns and distinct layers. [s]"""
        return 8 * columns / self.copied_bytes_per_s, LAYER_OPERATIONS * layers / self.adds_per_s


@dataclass(frozen=True)
class Run:
    """What a sweep took.

    Attributes:
        points: Design points.
        nets: Nets at each.
        layers: Layers with MACs of all nets.
        distinct: How many of them differ, a net on average.
        columns: Columns of the result.
        wall_s: Time by the clock.
        cpu_s: Processor time of all processes.
        mib: The most memory that one process took, times the processes.
    """

    points: int
    nets: int
    layers: int
    distinct: float
    columns: int
    wall_s: float
    cpu_s: float
    workers: int
    mib: float

    def line(self, name: str, floors: Floors, aim: str) -> str:
        evaluations = self.points * self.nets
        by_bytes, by_operations = floors.point_s(self.columns, self.distinct)
        took = self.cpu_s / evaluations
        return (
            f"{name:34s} {self.points:10,d} {evaluations / self.wall_s:9,.0f} "
            f"{self.workers * evaluations / self.cpu_s:9,.0f} {self.points * self.layers / self.wall_s:9,.0f} "
            f"{self.mib:6,.0f} {took / by_bytes:5.0f}x {took / by_operations:5.1f}x  {aim}"
        )


def grid(points: int) -> dict[str, Any]:
    """Return a grid of about so many points: 16 array shapes, 25 sizes, bandwidths and clocks."""
    steps = max(round((points / SIZES / len(SHAPE) ** 2) ** 0.5), 2)
    return {
        "sram.size_kib": np.geomspace(16, 1024, SIZES),
        "npu.rows": SHAPE,
        "npu.cols": SHAPE,
        "dram.gb_per_s": np.geomspace(0.5, 64, steps),
        "clock_mhz": np.linspace(100, 1000, steps),
    }


def drawn() -> dict[str, Any]:
    """Return axes to be drawn from, so that sizes, bandwidths and clocks agree at no two points."""
    return {
        "sram.size_kib": "16:1024:log",
        "npu.rows": SHAPE,
        "npu.cols": SHAPE,
        "dram.gb_per_s": "0.5:64:log",
        "clock_mhz": "100:1000",
    }


def run(names: Sequence[str], vary: dict[str, Any], workers: int, sample: int | None = None) -> Run:
    """Return what a sweep of nets takes, in a process of its own: its memory and its caches are its own, too."""
    code = "import benchmarks.sweep as bench, json, sys; bench.answer(*json.load(sys.stdin))"
    listed = {path: values if isinstance(values, str) else list(values) for path, values in vary.items()}
    question = json.dumps((list(names), listed, workers, sample))
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, input=question, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return Run(**json.loads(done.stdout))


def answer(names: Sequence[str], vary: dict[str, Any], workers: int, sample: int | None) -> None:
    print(json.dumps(asdict(swept(names, vary, workers, sample))))


def swept(names: Sequence[str], vary: dict[str, Any], workers: int, sample: int | None) -> Run:
    """Return what a sweep of nets takes, all of this process's past counted with it."""
    chip, nets = hwsim.load_chip(CHIP), {name: hwsim.load_net(name) for name in names}
    layers = [[row for row in lower(net, dtype=DTYPE).rows if row.nest is not None] for net in nets.values()]
    start, before = perf_counter(), process_time()
    drawing = None if sample is None else f"latin_hypercube:{sample}"
    table = hwsim.sweep(nets, chip, vary, dtype=DTYPE, workers=workers, sample=drawing)
    wall_s, own_s = perf_counter() - start, process_time() - before
    children, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    rows = len(table["latency_s"])
    return Run(
        points=rows // len(names),
        nets=len(names),
        layers=sum(map(len, layers)),
        distinct=float(np.mean([len({row.nest for row in some}) for some in layers])),
        columns=len(table.columns),
        wall_s=wall_s,
        cpu_s=own_s + children.ru_utime + children.ru_stime,
        workers=workers,
        mib=(own.ru_maxrss + workers * children.ru_maxrss) / 1024,
    )


@dataclass(frozen=True)
class Growth:
    """Processor time by size."""

    name: str
    over: str
    sizes: Floats
    cpu_s: Floats

    @property
    def exponent(self) -> float:
        """Slope of the fit on logarithmic scales."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.cpu_s), 1)[0])


def by_points(decades: int) -> Growth:
    """Return the cost of 10^3 to 10^6 or 10^7 points of a grid, candidates known, one process."""
    chip, workload = hwsim.load_chip(CHIP), lower(hwsim.load_net(NET), dtype=DTYPE)
    totals(workload, points_of(chip, 1000))
    sizes = [10**decade for decade in range(3, decades + 1)]
    return timed("points", "points", sizes, [partial(many, chip, workload, size) for size in sizes])


def many(chip: Chip, workload: Any, count: int) -> None:
    for start in range(0, count, 1_000_000):
        totals(workload, points_of(chip, min(count - start, 1_000_000), start))


def points_of(chip: Chip, count: int, start: int = 0) -> HardwarePoints:
    """Return points of which no two agree in size, bandwidth or clock, at four array shapes."""
    rng = np.random.default_rng(start)
    vary = {
        "npu.rows": np.sort(rng.choice([8.0, 16.0, 32.0, 64.0], count)),
        "sram.size_bytes": np.floor(2.0 ** rng.uniform(14, 20, count)),
        "dram.gb_per_s": 2.0 ** rng.uniform(-1, 6, count),
        "clock_mhz": rng.uniform(100, 1000, count),
    }
    return HardwarePoints.of(chip, {path: values.tolist() for path, values in vary.items()})


def by_layers(*, repeated: bool) -> Growth:
    """Return the cost of chains of 26 to 10,000 convolutions at 100 points, all alike or all different."""
    chip = hwsim.load_chip(CHIP)
    sizes = [26, 100, 1000, 10_000] if repeated else [26, 100, 400]
    runs = [partial(chained, chip, chain(size, repeated=repeated)) for size in sizes]
    return timed("layers, of one shape" if repeated else "layers, each of its own shape", "layers", sizes, runs)


def chained(chip: Chip, net: Graph) -> None:
    totals(lower(net, dtype=DTYPE), HardwarePoints.of(chip, {"dram.gb_per_s": np.geomspace(1, 100, 100).tolist()}))


def chain(layers: int, *, repeated: bool) -> Graph:
    builder = GraphBuilder(f"chain of {layers}")
    x = builder.input("x", (1, 14, 14, 16))
    for layer in range(layers):
        x = builder.conv2d(x, 16 if repeated else 16 + layer % 200 + (layer // 200) * 3, 3, padding=1)
    return builder.build([x])


def by_mappings() -> Growth:
    """Return the cost of finding the candidates of one layer, by the mappings it has."""
    chip = hwsim.load_chip(CHIP)
    (setup,) = (array_setup(one, chip, one.rows, one.cols) for one in chip.engines if isinstance(one, ArrayEngine))
    prices = Prices(together=True, home=(1.0, 1.0), buffers=((1.0, 1.0),))
    nests = []
    for channels, pixels in ((4, 4), (16, 8), (64, 16), (256, 32), (1024, 64), (2048, 256)):
        builder = GraphBuilder("one")
        x = builder.input("x", (1, pixels, pixels, channels))
        nests.append(lower(builder.build([builder.conv2d(x, channels, 3, padding=1)]), dtype=DTYPE).rows[0].nest)
    sizes = [len(mapspace(nest, setup)) for nest in nests if nest is not None]
    return timed(
        "mappings of a layer",
        "mappings",
        sizes,
        [partial(candidates.__wrapped__, nest, setup, prices) for nest in nests],
    )


def timed(name: str, over: str, sizes: Sequence[int], runs: Sequence[Callable[[], object]]) -> Growth:
    cpu_s = []
    for work in runs:
        start = process_time()
        work()
        cpu_s.append(process_time() - start)
    return Growth(name, over, np.array(sizes, dtype=np.float64), np.array(cpu_s))


def draw(growth: Sequence[Growth], path: Path) -> None:
    """Draw how the cost grows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    figure, axes = plt.subplots(1, len(growth), figsize=(3.2 * len(growth), 3.0), layout="constrained")
    for axis, one in zip(axes, growth, strict=True):
        axis.loglog(one.sizes, one.cpu_s, "o-", color="#0072b2")
        axis.set_title(f"{one.name}\nexponent {one.exponent:.2f}", fontsize=9)
        axis.set_xlabel(one.over)
        axis.set_ylabel("processor time [s]")
        axis.grid(visible=True, which="major", alpha=0.3)
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_minor_formatter(NullFormatter())
        axis.set_xlim(10 ** np.floor(np.log10(one.sizes[0])), 10 ** np.ceil(np.log10(one.sizes[-1])))
    figure.savefig(path, dpi=150)


def seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def cold_s() -> float:
    """Return how long a fresh process takes to answer a sweep of 100 points, its start counted. [s]"""
    code = COLD.format(net=NET, chip=CHIP, dtype=DTYPE)
    return min(
        seconds(partial(subprocess.run, [sys.executable, "-c", code], cwd=CHECKOUT, check=True)) for _ in range(3)
    )


if __name__ == "__main__":
    main()
