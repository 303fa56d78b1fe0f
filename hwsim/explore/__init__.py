"""The explore room: sweeps over design points, and what to choose among them."""

from hwsim.explore.choosing import best, pareto
from hwsim.explore.expression import Expression, parse
from hwsim.explore.names import Column, Found
from hwsim.explore.store import Store
from hwsim.explore.sweeping import Sweep, prepare, sweep, sweep_chunks
from hwsim.explore.table import SweepTable

__all__ = [
    "Column",
    "Expression",
    "Found",
    "Store",
    "Sweep",
    "SweepTable",
    "best",
    "pareto",
    "parse",
    "prepare",
    "sweep",
    "sweep_chunks",
]
