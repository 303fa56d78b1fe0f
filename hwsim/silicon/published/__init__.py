"""hwsim beside published accelerators and other tools: each source a table, each figure with what it is held to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from hwsim.silicon.published import common_machine, eie, eyeriss, gap8, nvdla, scalesim, squeezelerator, vela
from hwsim.silicon.published.comparison import Aim, Comparison, ComparisonTable

__all__ = ["TABLES", "Aim", "Comparison", "ComparisonTable", "comparison_table"]

TABLES: dict[str, Callable[[], ComparisonTable]] = {
    "common_machine": common_machine.layers_table,
    "common_machine_nets": common_machine.nets_table,
    "scalesim": scalesim.table,
    "nvdla_sizes": nvdla.sizes_table,
    "nvdla_estimator": nvdla.estimator_table,
    "nvdla_sheet": nvdla.sheet_table,
    "eie": eie.table,
    "squeezelerator_choice": squeezelerator.choice_table,
    "squeezelerator_speedup": squeezelerator.speedup_table,
    "eyeriss_latency": eyeriss.latency_table,
    "eyeriss_accesses": eyeriss.accesses_table,
    "eyeriss_own": eyeriss.own_mapping_table,
    "gap8": gap8.table,
    "vela_nets": vela.nets_table,
    "vela_layers": vela.layers_table,
}


@cache
def comparison_table(name: str) -> ComparisonTable:
    """Return one of ``TABLES``."""
    return TABLES[name]()
