"""The functions that an expression may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from hwsim.chip.macs import COARSEST_NM, FINEST_NM, MAC_PJ, MAC_RANGE, mac_area_mm2, mac_energy_pj
from hwsim.chip.sram import ACCESS_BITS, CACTI_RANGE, covers, sram
from hwsim.errors import UsageError, did_you_mean
from hwsim.units import BITS_PER_BYTE, BYTES_PER_KIB

Value = Any


@dataclass(frozen=True, slots=True)
class Function:
    """A function.

    Attributes:
        form: How it is written.
        least: Fewest arguments.
        most: Most arguments; None sets no limit.
        work: What it does with its arguments.
        takes_node: Whether its last argument is a process node [nm], the chip's where it is left out.
    """

    form: str
    least: int
    most: int | None
    work: Callable[..., Value]
    takes_node: bool = False

    def check(self, text: str, count: int) -> None:
        """Check the number of arguments.

        Raises:
            UsageError: There are too few or too many.
        """
        if count < self.least or (self.most is not None and count > self.most):
            raise UsageError(f"expression {text!r}: is written {self.form}, not with {count} arguments")

    def of(self, text: str, arguments: Sequence[Value], node_nm: Value | None) -> Value:
        """Return its value.

        Raises:
            UsageError: It was asked for what it does not know.
        """
        given = list(arguments)
        if self.takes_node and len(given) < (self.most or 0):
            if node_nm is None:
                raise UsageError(f"expression {text!r}: write {self.form} with its nm, for the chip has no process_nm")
            given.append(node_nm)
        try:
            return self.work(*given)
        except UsageError as error:
            raise UsageError(f"expression {text!r}: {error}") from None
        except TypeError:
            raise UsageError(f"expression {text!r}: {self.form} takes numbers") from None


def _sram(figure: str) -> Callable[[Value, Value], Value]:
    def of(size_kib: Value, node_nm: Value) -> Value:
        size_bytes = np.asarray(size_kib, dtype=np.float64) * BYTES_PER_KIB
        sizes, nodes = np.broadcast_arrays(size_bytes, np.asarray(node_nm, dtype=np.float64))
        outside = ~covers(sizes, nodes)
        if outside.any():
            size, node = sizes[outside].flat[0] / BYTES_PER_KIB, nodes[outside].flat[0]
            raise UsageError(f"an SRAM of {size:g} KiB at {node:g} nm is outside of its table, {CACTI_RANGE}")
        found = getattr(sram(sizes, nodes), figure)
        return found / (ACCESS_BITS // BITS_PER_BYTE) if figure.endswith("_pj") else found

    return of


def _mac(figure: Callable[[str, Any], Value]) -> Callable[[Value, Value], Value]:
    def of(dtype: Value, node_nm: Value) -> Value:
        words = sorted({str(word) for word in np.ravel(np.asarray(dtype))})
        for word in words:
            if word not in MAC_PJ:
                hint = f"{did_you_mean(word, MAC_PJ)}; known: {', '.join(MAC_PJ)}"
                raise UsageError(f"no MAC of dtype {word!r} is known{hint}")
        nodes = np.asarray(node_nm, dtype=np.float64)
        if not ((nodes >= FINEST_NM) & (nodes <= COARSEST_NM)).all():
            raise UsageError(f"a MAC at {nodes.flat[0]:g} nm is outside of its table, {MAC_RANGE}")
        if len(words) == 1:
            return figure(words[0], nodes)
        return np.select([np.asarray(dtype) == word for word in words], [figure(word, nodes) for word in words])

    return of


FUNCTIONS: Mapping[str, Function] = {
    "min": Function("min(a, b, …)", 2, None, lambda *values: reduce(np.minimum, values)),
    "max": Function("max(a, b, …)", 2, None, lambda *values: reduce(np.maximum, values)),
    "abs": Function("abs(x)", 1, 1, np.abs),
    "sqrt": Function("sqrt(x)", 1, 1, np.sqrt),
    "log2": Function("log2(x)", 1, 1, np.log2),
    "log10": Function("log10(x)", 1, 1, np.log10),
    "exp": Function("exp(x)", 1, 1, np.exp),
    "round": Function("round(x)", 1, 1, np.rint),
    "floor": Function("floor(x)", 1, 1, np.floor),
    "ceil": Function("ceil(x)", 1, 1, np.ceil),
    # Of a low standby power SRAM by CACTI 7: pJ per byte of a 64-bit access, mm², mW.
    "sram_energy": Function("sram_energy(size_kib, nm)", 1, 2, _sram("read_pj"), takes_node=True),
    "sram_write_energy": Function("sram_write_energy(size_kib, nm)", 1, 2, _sram("write_pj"), takes_node=True),
    "sram_area": Function("sram_area(size_kib, nm)", 1, 2, _sram("area_mm2"), takes_node=True),
    "sram_leakage": Function("sram_leakage(size_kib, nm)", 1, 2, _sram("leak_mw"), takes_node=True),
    # Of a MAC: pJ, mm².
    "mac_energy": Function("mac_energy('int8', nm)", 1, 2, _mac(mac_energy_pj), takes_node=True),
    "mac_area": Function("mac_area('int8', nm)", 1, 2, _mac(mac_area_mm2), takes_node=True),
}
