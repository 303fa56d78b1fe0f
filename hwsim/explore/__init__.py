"""The explore room: sweeps over design points, and what to choose among them."""

from hwsim.explore.choosing import best, pareto
from hwsim.explore.expression import Expression, parse
from hwsim.explore.names import Column, Found
from hwsim.explore.prepared import Sweep, prepare
from hwsim.explore.searching import search
from hwsim.explore.sensing import Sensitivity, grid_sensitivity, sensitivity
from hwsim.explore.store import Store
from hwsim.explore.sweeping import sweep, sweep_chunks
from hwsim.explore.table import SweepTable

__all__ = [
    "Column",
    "Expression",
    "Found",
    "Sensitivity",
    "Store",
    "Sweep",
    "SweepTable",
    "best",
    "grid_sensitivity",
    "pareto",
    "parse",
    "prepare",
    "search",
    "sensitivity",
    "sweep",
    "sweep_chunks",
]
