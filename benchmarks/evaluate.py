"""How long ``evaluate`` and ``import hwsim`` take.

    python benchmarks/evaluate.py [--runs N]

Evaluating SqueezeNet v1.1 at 224 px: warm is the median over runs that all ask the same question in one process, after
the first; cold is the first call of a fresh process, rooms and files loaded and nothing cached. Importing is timed in
fresh processes, hwsim and numpy by turns, so that a disturbance hits both; the ratio is the median over the pairs. The
aims are 20 ms for a warm call, and three times numpy for the import.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

CHECKOUT = Path(__file__).resolve().parents[1]
CASES = (("stm32h747", "int8"), ("squeezelerator", "int16"))
NET = "squeezenet_v1_1"
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
COLD = "import hwsim; hwsim.evaluate(hwsim.load_net({net!r}), hwsim.load_chip({chip!r}), dtype={dtype!r})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21, help="runs, or pairs of runs, of each case (default 21)")
    runs = parser.parse_args().runs

    print(f"{'evaluate ' + NET:32s} {'warm [ms]':>10s} {'new net [ms]':>13s} {'cold [ms]':>10s} {'cold ÷ warm':>12s}")
    for chip, dtype in CASES:
        warm, fresh = warm_ms(chip, dtype, runs)
        cold = median(in_process(COLD.format(net=NET, chip=chip, dtype=dtype)) for _ in range(max(runs // 4, 3))) * 1e3
        print(f"on {chip + ', ' + dtype:29s} {warm:10.2f} {fresh:13.2f} {cold:10.0f} {cold / warm:12.0f}")

    print()
    print(f"{'import':32s} {'median [ms]':>11s} {'÷ import numpy':>15s}")
    rooms = "import hwsim; hwsim.evaluate, hwsim.load_net, hwsim.load_chip, hwsim.forward"
    for name, code in (("hwsim", "import hwsim"), ("hwsim and the rooms in use", rooms)):
        pairs = [(in_process(code), in_process("import numpy")) for _ in range(runs)]
        ratio = median(ours / theirs for ours, theirs in pairs)
        print(f"{name:32s} {median(ours for ours, _ in pairs) * 1e3:11.1f} {ratio:15.2f}")


def warm_ms(chip_name: str, dtype: str, runs: int) -> tuple[float, float]:
    """Return the median of repeated calls, and of calls on a graph that is built anew (its layers' costs are known)."""
    import hwsim
    from hwsim.graph import DTYPES

    chip = hwsim.load_chip(chip_name)
    graphs = [hwsim.load_net(NET) for _ in range(runs + 1)]
    wanted = next(known for known in DTYPES if known == dtype)
    hwsim.evaluate(graphs[-1], chip, dtype=wanted)
    again = [seconds(partial(hwsim.evaluate, graphs[-1], chip, dtype=wanted)) for _ in range(runs)]
    fresh = [seconds(partial(hwsim.evaluate, graph, chip, dtype=wanted)) for graph in graphs[:-1]]
    return median(again) * 1e3, median(fresh) * 1e3


def seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def in_process(code: str) -> float:
    """Return how long a fresh process takes for some code, its own start not counted. [s]"""
    run = subprocess.run([sys.executable, "-c", TIMED.format(code)], cwd=CHECKOUT, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    return float(run.stdout)


if __name__ == "__main__":
    main()
