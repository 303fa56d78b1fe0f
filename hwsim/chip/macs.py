"""MACs by dtype and process node: what one takes and how large it is, without registers, control and wires.

Figures at 45 nm and 0.9 V are scaled to other nodes at the same voltage; between the nodes of the scaling they are
powers of the node (straight lines on logarithmic axes), and outside of them nothing is told.

Source: energies of a multiply and an add, Horowitz, "Computing's energy problem", ISSCC 2014, fig. 1.1.9 (the int16
multiply is an estimate of others); areas, the same figure, from memory (high confidence; the int16 multiplier scaled
from those of 8 and 32 bits). Scaling: Stillmaker and Baas, Integration 58, 2017: energy a·V² + b·V + c, and density.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
REFERENCE_NM, SUPPLY_V = 45.0, 0.9
MM2_PER_UM2 = 1e-6
# Multiply and add, by dtype [pJ]; an int8 product is added to a sum of 32 bits.
MAC_PJ = {
    "int8": 0.2 + 0.1,
    "int16": 1.0 + 0.1,
    "float16": 1.1 + 0.4,
    "float32": 3.7 + 0.9,
}
# Multiply and add, by dtype [µm²], adders as above.
MAC_UM2 = {
    "int8": 282.0 + 137.0,
    "int16": 1000.0 + 137.0,
    "float16": 1640.0 + 1360.0,
    "float32": 7700.0 + 4184.0,
}
# Node [nm] -> a, b, c of its energy, and its density over that of 45 nm.
_SCALING: dict[float, tuple[tuple[float, float, float], float]] = {
    7.0: ((0.1776, -0.09097, 0.02447), 17.0),
    10.0: ((0.2068, -0.09311, 0.02375), 9.8),
    14.0: ((0.2363, -0.09675, 0.02239), 5.8),
    16.0: ((0.2958, -0.1241, 0.03024), 5.3),
    20.0: ((0.373, -0.1582, 0.04104), 4.7),
    32.0: ((0.9559, -0.7823, 0.471), 2.2),
    45.0: ((1.103, -0.362, 0.2767), 1.0),
    65.0: ((3.755, -4.398, 1.975), 0.66),
    90.0: ((4.762, -4.781, 2.092), 0.35),
    130.0: ((7.171, -6.709, 2.904), 0.16),
}
FINEST_NM, COARSEST_NM = min(_SCALING), max(_SCALING)
MAC_RANGE = f"{FINEST_NM:g} to {COARSEST_NM:g} nm"


def mac_energy_pj(dtype: str, node_nm: Any) -> Floats:
    """Return the energy of a MAC [pJ] at a node, a number or an array, within ``MAC_RANGE``."""
    energies = {node: a * SUPPLY_V**2 + b * SUPPLY_V + c for node, ((a, b, c), _) in _SCALING.items()}
    factors = {node: energy / energies[REFERENCE_NM] for node, energy in energies.items()}
    return MAC_PJ[dtype] * _between(factors, node_nm)


def mac_area_mm2(dtype: str, node_nm: Any) -> Floats:
    """Return the area of a MAC [mm²] at a node, likewise."""
    shrink = {node: 1 / density for node, (_, density) in _SCALING.items()}
    return MAC_UM2[dtype] * MM2_PER_UM2 * _between(shrink, node_nm)


def _between(by_node: dict[float, float], node_nm: Any) -> Floats:
    nodes = np.asarray(node_nm, dtype=np.float64)
    assert ((nodes >= FINEST_NM) & (nodes <= COARSEST_NM)).all()
    return np.exp(np.interp(np.log(nodes), np.log(list(by_node)), np.log(list(by_node.values()))))
