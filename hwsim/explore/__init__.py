"""The explore room: sweeps over design points, and what to choose among them."""

from hwsim.explore.expression import Expression, parse
from hwsim.explore.names import Column, Found
from hwsim.explore.table import SweepTable

__all__ = ["Column", "Expression", "Found", "SweepTable", "parse"]
