"""A user's own measurements: a CSV of nets and how long they took, checked row by row before anything is fitted."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError, UsageError, did_you_mean
from hwsim.files import need_regular
from hwsim.graph import DTYPES, DType, Graph
from hwsim.importers import load_net, net_names
from hwsim.silicon.measurements import net_parameters
from hwsim.units import J_PER_MJ, S_PER_MS

COLUMNS: Mapping[str, str] = {
    "net": "a model file, its path beginning at the measurements' folder, or a name from `hwsim nets`",
    "parameters": "of a net from `hwsim nets`: width=0.5 resolution=96",
    "dtype": "at which the net ran, where that is not the net's own",
    "clock_mhz": "of the core, where it is not the profile's [MHz]",
    "latency_ms": "of one inference [ms]",
    "layer": "name of a layer, where cycles are its own",
    "cycles": "of that layer [cycle]",
    "energy_mj": "of one inference, the whole chip's [mJ]",
    "note": "not read",
}
NUMBERS = ("clock_mhz", "latency_ms", "cycles", "energy_mj")
# Many times what anybody measures by hand; what is larger is another kind of file.
MAX_BYTES, MAX_ROWS = 2**22, 10_000
MAX_PROBLEMS = 20
# Other arguments of ``load_net``.
_NO_PARAMETERS = frozenset({"source", "batch", "dims", "allow_unknown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """One row; numbers that it leaves out are None.

    Attributes:
        where: File and line, for sentences.
        line: The line.
        net: Its net, as written.
        parameters: The net's parameters, as written.
        graph: The net.
        dtype: At which it ran; None for the net's own.
        clock_mhz: Clock of the core [MHz]; None for the profile's.
        latency_s: Latency of one inference [s].
        layer: The layer whose cycles were counted, or empty.
        cycles: Its cycles.
        energy_j: Energy of one inference [J].
    """

    where: str
    line: int
    net: str
    parameters: str
    graph: Graph
    dtype: DType | None
    clock_mhz: float | None
    latency_s: float | None
    layer: str
    cycles: float | None
    energy_j: float | None

    @property
    def name(self) -> str:
        """The net with its parameters, and the layer."""
        net = f"{self.net}({self.parameters.replace(' ', ',')})" if self.parameters else self.net
        return f"{net}: {self.layer}" if self.layer else net

    @property
    def column(self) -> str:
        """The column that was measured."""
        return "cycles" if self.layer else "latency_ms"


def read_measured(path: str | Path, *, dtype: DType | None = None) -> list[MeasuredRow]:
    """Return the rows of a file of measurements.

    Lines that begin with # are passed over, and so are empty ones.

    Args:
        path: The CSV file.
        dtype: At which nets ran whose row does not say so.

    Raises:
        UsageError: The file is no such table, or rows of it are wrong; a line per problem.
    """
    path = Path(path)
    records = _records(path)
    problems: list[str] = []
    rows: list[MeasuredRow] = []
    nets: dict[tuple[str, str], Graph] = {}
    seen: dict[tuple[object, ...], int] = {}
    for line, record in records:
        where = f"{path}:{line}"
        try:
            row = _row(where, line, record, path.parent, nets, dtype)
            key = (row.net, row.parameters, row.dtype, row.clock_mhz, row.layer)
            if key in seen:
                raise UsageError(f"{where}: net = {row.name!r}: line {seen[key]} measures the same; keep one of them")
            seen[key] = line
            rows.append(row)
        except HwsimError as error:
            problems.append(str(error))
    if problems:
        more = [f"{path}: … and {len(problems) - MAX_PROBLEMS} more problems"] if len(problems) > MAX_PROBLEMS else []
        raise UsageError("\n".join(problems[:MAX_PROBLEMS] + more))
    return rows


def _records(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the lines of a table by column, with their numbers."""
    size = need_regular(path, UsageError)
    if size > MAX_BYTES:
        raise UsageError(f"{path}: has {size} bytes, more than measurements take ({MAX_BYTES}); is it the right file?")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text: {error}") from None
    numbered = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if not numbered:
        raise UsageError(f"{path}: is empty; its first line names the columns: net,latency_ms")
    lines = [number for number, _ in numbered]
    try:
        cells = list(csv.reader(io.StringIO("\n".join(line for _, line in numbered)), strict=True))
    except csv.Error as error:
        raise UsageError(f"{path}: cannot be read as CSV: {error}") from None
    if len(cells) != len(numbered):
        raise UsageError(f"{path}: a quoted cell runs over several lines; write each row on one")
    header = [cell.strip() for cell in cells[0]]
    _check_header(path, header)
    if len(cells) - 1 > MAX_ROWS:
        raise UsageError(f"{path}: has {len(cells) - 1} rows, more than {MAX_ROWS}; is it the right file?")
    found = []
    for number, row in zip(lines[1:], cells[1:], strict=True):
        if len(row) != len(header):
            raise UsageError(f"{path}:{number}: has {len(row)} cells, but there are {len(header)} columns")
        found.append((number, {name: cell.strip() for name, cell in zip(header, row, strict=True)}))
    return found


def _check_header(path: Path, header: Sequence[str]) -> None:
    for name in header:
        if name not in COLUMNS:
            commas = "; separate columns with commas" if ";" in name or "\t" in name else ""
            hint = commas or did_you_mean(name, COLUMNS) or f"; known: {', '.join(COLUMNS)}"
            raise UsageError(f"{path}:1: there is no column {name!r}{hint}")
        if header.count(name) > 1:
            raise UsageError(f"{path}:1: column {name!r} stands twice")
    if "net" not in header:
        raise UsageError(f"{path}:1: column 'net' is missing: it names what was measured")
    if "latency_ms" not in header and not {"layer", "cycles"} <= set(header):
        raise UsageError(f"{path}:1: column 'latency_ms' is missing (or 'layer' and 'cycles' of single layers)")


def _row(
    where: str,
    line: int,
    record: Mapping[str, str],
    folder: Path,
    nets: dict[tuple[str, str], Graph],
    dtype: DType | None,
) -> MeasuredRow:
    numbers = {name: _number(where, name, record.get(name, "")) for name in NUMBERS}
    layer, net, parameters = (record.get(name, "") for name in ("layer", "net", "parameters"))
    latency_ms, cycles, energy_mj = (numbers[name] for name in ("latency_ms", "cycles", "energy_mj"))
    if not net:
        raise UsageError(f"{where}: net is empty: name a model file or a net from `hwsim nets`")
    if layer and latency_ms is not None:
        raise UsageError(f"{where}: latency_ms is of a whole net, but layer = {layer!r}; give the layer's cycles")
    if layer and cycles is None:
        raise UsageError(f"{where}: cycles is empty: how many did layer {layer!r} take?")
    if cycles is not None and not layer:
        raise UsageError(f"{where}: layer is empty: of which layer are cycles = {cycles:g}?")
    if not layer and latency_ms is None:
        raise UsageError(f"{where}: latency_ms is empty: how long did {net} take?")
    if energy_mj is not None and latency_ms is None:
        raise UsageError(f"{where}: energy_mj = {energy_mj:g}: energies are of whole nets, and need their latency_ms")
    word = record.get("dtype", "")
    own: DType | None = next((known for known in DTYPES if known == word), None)
    if word and own is None:
        raise UsageError(f"{where}: dtype = {word!r}: must be one of {', '.join(DTYPES)}{did_you_mean(word, DTYPES)}")
    return MeasuredRow(
        where=where,
        line=line,
        net=net,
        parameters=parameters,
        graph=_graph(where, net, parameters, folder, nets),
        dtype=own or dtype,
        clock_mhz=numbers["clock_mhz"],
        latency_s=None if latency_ms is None else latency_ms * S_PER_MS,
        layer=layer,
        cycles=cycles,
        energy_j=None if energy_mj is None else energy_mj * J_PER_MJ,
    )


def _number(where: str, name: str, text: str) -> float | None:
    if not text:
        return None
    unit = COLUMNS[name].rpartition(" ")[2]
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{where}: {name} = {text!r}: must be a number > 0 {unit}") from None
    if not (isfinite(value) and value > 0):
        raise UsageError(f"{where}: {name} = {text}: must be a number > 0 {unit}")
    return value


def _graph(where: str, net: str, parameters: str, folder: Path, nets: dict[tuple[str, str], Graph]) -> Graph:
    """Return a net; the same one is loaded once."""
    if (net, parameters) not in nets:
        beside = folder / net
        source = net if net in net_names() or not beside.exists() else str(beside)
        try:
            values: dict[str, Any] = dict(net_parameters(parameters))
        except ValueError:
            raise UsageError(f"{where}: parameters = {parameters!r}: write name=value words: width=0.5") from None
        for name in _NO_PARAMETERS & set(values):
            raise UsageError(f"{where}: parameters = {parameters!r}: {name} is no parameter of a net")
        try:
            nets[net, parameters] = load_net(source, **values)
        except HwsimError as error:
            raise UsageError(f"{where}: net = {net!r}: {error}") from None
    return nets[net, parameters]
