"""The plot room: pictures of reports and of sweeps. It loads matplotlib, and no other room does."""

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes

from hwsim.plot.comparison import plot_compare
from hwsim.plot.layers import energy_rows, layers_rows, plot_energy, plot_layers, plot_traffic, traffic_rows
from hwsim.plot.memory import memory_rows, plot_memory
from hwsim.plot.pareto import plot_pareto
from hwsim.plot.picture import check_picture, save
from hwsim.plot.roofline import plot_roofline, roofline_rows
from hwsim.plot.skislope import plot_skislope
from hwsim.plot.sweep import plot_sweep
from hwsim.plot.tornado import plot_sensitivity
from hwsim.plot.validation import plot_residuals, plot_validation
from hwsim.report import Report

# Pictures of one report by name, and the records that each of them draws.
PLOTS: dict[str, Callable[[Report], Axes]] = {
    "layers": plot_layers,
    "roofline": plot_roofline,
    "memory": plot_memory,
    "energy": plot_energy,
    "traffic": plot_traffic,
}
ROWS: dict[str, Callable[[Report], list[dict[str, Any]]]] = {
    "layers": layers_rows,
    "roofline": roofline_rows,
    "memory": memory_rows,
    "energy": energy_rows,
    "traffic": traffic_rows,
}

__all__ = [
    "PLOTS",
    "ROWS",
    "check_picture",
    "energy_rows",
    "layers_rows",
    "memory_rows",
    "plot_compare",
    "plot_energy",
    "plot_layers",
    "plot_memory",
    "plot_pareto",
    "plot_residuals",
    "plot_roofline",
    "plot_sensitivity",
    "plot_skislope",
    "plot_sweep",
    "plot_traffic",
    "plot_validation",
    "roofline_rows",
    "save",
    "traffic_rows",
]
