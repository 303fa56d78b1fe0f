"""How long exact Pareto fronts of many points take, beside the floor: reading the objectives once.

    python benchmarks/pareto.py [--points N]

Points are drawn evenly from a cube (a small front), from a grid of a hundred steps (many equal ones), and from the
corner of a ball that faces the best values (a front of hundreds of thousands). The floor is the time of one minimum
over every objective: nobody can tell a front without reading the points. Processor time stands beside the clock's,
which other work on the machine slows.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import numpy.typing as npt

from hwsim.explore.fronts import front

Floats = npt.NDArray[np.float64]
AIMS_S = {2: 5.0, 4: 30.0}
KINDS = ("cube", "grid", "ball")


def drawn(kind: str, objectives: int, points: int) -> Floats:
    """Return objectives to minimise, shape [objective, point]."""
    rng = np.random.default_rng(1)
    if kind != "ball":
        values = rng.random((objectives, points))
        return np.floor(values * 100) if kind == "grid" else values
    values = np.abs(rng.standard_normal((objectives, points)))
    values *= rng.random(points) ** (1 / objectives) / np.sqrt((values**2).sum(axis=0))
    return 1 - values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10_000_000)
    points = parser.parse_args().points
    head = f"{'points':>10} {'objectives':>10}  {'drawn from':10} {'front':>8} {'time':>8} {'by CPU':>8} {'aim':>6}"
    print(f"{head} {'floor':>9}")
    for objectives, aim_s in AIMS_S.items():
        for kind in KINDS:
            values = drawn(kind, objectives, points)
            start = time.perf_counter()
            values.min(axis=1)
            floor_s = time.perf_counter() - start
            start, start_cpu = time.perf_counter(), time.process_time()
            kept = front(list(values))
            took_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
            print(
                f"{points:10} {objectives:10}  {kind:10} {kept.size:8} {took_s:6.2f} s {cpu_s:6.2f} s "
                f"{aim_s:4.0f} s {floor_s:7.3f} s"
            )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"peak memory {peak_mib:.0f} MiB, of which the largest set of points is {max(AIMS_S) * points * 8 / 2**20:.0f}"
    )


if __name__ == "__main__":
    main()
