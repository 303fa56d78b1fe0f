"""hwsim: what a small neural net costs on an embedded processor, layer by layer.

>>> import hwsim
>>> report = hwsim.evaluate(hwsim.load_net("squeezenet_v1_1"), hwsim.load_chip("stm32h747"))
>>> report.macs
349151936
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim import plot
    from hwsim.chip import Chip, chip_names, load_chip
    from hwsim.errors import HwsimError
    from hwsim.explore import SweepTable, sweep
    from hwsim.graph import Graph, GraphBuilder
    from hwsim.importers import load_net, net_names
    from hwsim.reference import forward
    from hwsim.report import Report, evaluate, fit

__version__ = "0.1.0"

__all__ = [
    "Chip",
    "Graph",
    "GraphBuilder",
    "HwsimError",
    "Report",
    "SweepTable",
    "__version__",
    "chip_names",
    "evaluate",
    "fit",
    "forward",
    "load_chip",
    "load_net",
    "net_names",
    "plot",
    "sweep",
]

# Rooms load on first use: `import hwsim` costs little more than numpy.
_ROOMS = {
    "Chip": "hwsim.chip",
    "Graph": "hwsim.graph",
    "GraphBuilder": "hwsim.graph",
    "HwsimError": "hwsim.errors",
    "Report": "hwsim.report",
    "SweepTable": "hwsim.explore.table",
    "chip_names": "hwsim.chip",
    "evaluate": "hwsim.report",
    "fit": "hwsim.report",
    "forward": "hwsim.reference",
    "load_chip": "hwsim.chip",
    "load_net": "hwsim.importers",
    "net_names": "hwsim.importers",
    "sweep": "hwsim.explore",
}

# In a checkout nets/ lies beside the package; in a wheel inside it. `hwsim.nets` names it in both.
if not (Path(__file__).parent / "nets").is_dir():
    __path__.append(str(Path(__file__).parent.parent))


def __getattr__(name: str) -> Any:
    """Import a public name's room when it is first asked for."""
    if name == "plot":
        return import_module("hwsim.plot")
    if name not in _ROOMS:
        raise AttributeError(f"module 'hwsim' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
