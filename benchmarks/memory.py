"""Memory plans against the published RAM and flash of ST's model zoo: residuals, and the rules chosen out of sample.

    python benchmarks/memory.py [--rows]

The planner and which kernels lay their results over their inputs are not published. They were chosen among all
combinations of the lists below by the mean error of the activation arena: shared by all releases for convolutions,
for 7.3 and 8.1 on the one hand and for 9.1 and later on the other where they differ. This repeats the choice with each
family of nets left out, and says how far off the left-out family then is.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import product
from statistics import fmean, median
from typing import NamedTuple

from hwsim.chip import KindMemory, Runtime, runtime_facts
from hwsim.silicon.measurements import Measurement
from hwsim.silicon.memory import QUANTITIES, MemoryRow, memory_rows, predict

RELEASES = {"7.3 and 8.1": ("x-cube-ai-7", "x-cube-ai-8"), "9.1 and later": ("x-cube-ai-10", "st-edge-ai")}
PLANNERS = ("greedy_by_size", "first_fit", "reverse_fit", "search")
ARENA = "activation_ram_kib"


class Rules(NamedTuple):
    """One combination: shared are the first three, by group of releases the others."""

    conv: bool
    depthwise: bool
    padding: str
    pointwise: bool
    planner: str


RULES = [
    Rules(*words) for words in product((False, True), (False, True), ("before", "written"), (False, True), PLANNERS)
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", action="store_true", help="show every row's residuals")
    asked = parser.parse_args()
    rows = memory_rows()
    _show_errors(rows)
    _show_choice([row for row in rows if row.measurement.dtype == "int8" and ARENA in row.predicted_kib])
    if asked.rows:
        _show_rows(rows)


def _show_errors(rows: Sequence[MemoryRow]) -> None:
    """Print how far off the rules that come with hwsim are, by release."""
    by_release: dict[str, list[MemoryRow]] = defaultdict(list)
    for row in rows:
        by_release[row.measurement.library].append(row)
    print(f"{'release':22} {'rows':>5}   mean |error| of " + ", ".join(QUANTITIES))
    for release, some in [*sorted(by_release.items()), ("all", rows)]:
        told = []
        for name in QUANTITIES:
            errors = [abs(row.error(name)) for row in some if name in row.predicted_kib]
            told.append(f"{100 * fmean(errors):6.1f} %" if errors else "       –")
        print(f"{release:22} {len(some):5}   " + "  ".join(told))


def _show_choice(rows: Sequence[MemoryRow]) -> None:
    """Print which rules the rows choose, and the error of each family under what the others choose."""
    measured = [row.measurement for row in rows]
    errors = {rules: [_error(row, rules) for row in measured] for rules in RULES}
    everything = range(len(measured))
    print("\nchosen by all rows:")
    for group, rules in _chosen(measured, errors, everything).items():
        print(f"  {group:14} {rules}: {100 * _mean(errors[rules], _of(measured, group, everything)):.1f} %")
    left_out: dict[str, list[float]] = defaultdict(list)
    print("\nleft out, error of its arenas under what the other families choose:")
    for family in sorted({row.family for row in measured}):
        chosen = _chosen(measured, errors, [i for i in everything if measured[i].family != family])
        own: list[float] = []
        for group, rules in chosen.items():
            found = [errors[rules][i] for i in _of(measured, group, everything) if measured[i].family == family]
            left_out[group] += found
            own += found
        print(f"  {family:24} {len(own):3} rows, {100 * fmean(own):5.1f} %")
    for group, found in left_out.items():
        print(f"  {group:24} {len(found):3} rows, {100 * fmean(found):5.1f} %")
    every = [error for found in left_out.values() for error in found]
    print(f"  {'all':24} {len(every):3} rows, {100 * fmean(every):5.1f} %, median {100 * median(every):.1f} %")


def _error(row: Measurement, rules: Rules) -> float:
    facts = runtime_facts(row.runtime)
    if facts is None:
        raise SystemExit(f"nothing is known of the runtime {row.runtime}")
    return abs(MemoryRow(row, predict(row, _with(facts, rules))).error(ARENA))


def _with(facts: Runtime, rules: Rules) -> Runtime:
    """Return a runtime with other rules; its scratch and alignment stay."""
    kinds = dict(facts.kinds["int8"])
    kinds["conv"] = _changed(kinds["conv"], overlay=rules.conv)
    kinds["depthwise"] = _changed(kinds["depthwise"], overlay=rules.depthwise, padding=rules.padding)
    kinds["pointwise"] = _changed(kinds["pointwise"], overlay=rules.pointwise, overlay_growth_max=2.0)
    return facts.model_copy(update={"planner": rules.planner, "kinds": {"int8": kinds}, "fuses_pooling": True})


def _changed(habits: KindMemory, **fields: object) -> KindMemory:
    return habits.model_copy(update=fields)


def _of(rows: Sequence[Measurement], group: str, among: Iterable[int]) -> list[int]:
    """Return which rows are of a group of releases."""
    facts = [runtime_facts(row.runtime) for row in rows]
    return [i for i in among if (told := facts[i]) is not None and told.name in RELEASES[group]]


def _mean(errors: Sequence[float], some: Sequence[int]) -> float:
    return fmean(errors[i] for i in some)


def _chosen(rows: Sequence[Measurement], errors: dict[Rules, list[float]], among: Iterable[int]) -> dict[str, Rules]:
    """Return the best rules of each group of releases, with what convolutions do shared by all."""
    groups = {group: _of(rows, group, list(among)) for group in RELEASES}
    choices = []
    for shared in {rules[:3] for rules in RULES}:
        fitting = [rules for rules in RULES if rules[:3] == shared]
        best = {group: min((_mean(errors[rules], some), rules) for rules in fitting) for group, some in groups.items()}
        choices.append((sum(error for error, _ in best.values()), {group: rules for group, (_, rules) in best.items()}))
    return min(choices, key=lambda choice: choice[0])[1]


def _show_rows(rows: Sequence[MemoryRow]) -> None:
    print()
    for row in sorted(
        rows, key=lambda row: (row.measurement.family, row.measurement.net_name, row.measurement.library)
    ):
        told = []
        for name in QUANTITIES:
            published = getattr(row.measurement, name)
            if name in row.predicted_kib:
                told.append(f"{published:9.2f} {row.predicted_kib[name]:9.2f} {100 * row.error(name):+6.1f} %")
            else:
                told.append(" " * 27)
        print(
            f"{row.measurement.net_name[:40]:40} {row.measurement.dtype:7} {row.measurement.library:22}" + "".join(told)
        )


if __name__ == "__main__":
    main()
