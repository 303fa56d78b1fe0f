"""What tables say: a report's layers and memories, reports side by side, a net's layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, nan

from hwsim.graph import Graph
from hwsim.report.comparison import Comparison, quantity
from hwsim.report.record import NET_DOES_NOT_RUN, LayerReport, MemoryReport, Report
from hwsim.report.table import Column, Table
from hwsim.report.words import MISSING, byte_unit, human_bytes, percent, rounded, scaled, si_prefix
from hwsim.units import S_PER_MS

# Beyond this many layers a table shows the costliest and sums up the rest.
MAX_ROWS = 60
SHOWN_OF_MANY = 40
# A column's unit is the largest of which its greatest value has this many.
ENOUGH = 2.0

Value = Callable[[LayerReport], float]
Cell = Callable[[LayerReport], str]


class _LayerTable:
    """Columns of the layer table as they are put together, each with its cell of a layer and of the total."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.columns: list[Column] = []
        self.cells: list[Callable[[Sequence[LayerReport]], str]] = []

    def text(self, column: Column, cell: Cell, total: str = "") -> None:
        """Add a column of words."""
        self.columns.append(column)
        self.cells.append(lambda layers: cell(layers[0]) if len(layers) == 1 else total)

    def amount(
        self, name: str, value: Value, unit: Callable[[float], tuple[float, str]], *, drop: int = 0, zero: str = "0"
    ) -> None:
        """Add a column of amounts that sum up, in one unit for all of them."""
        amounts = [value(layer) for layer in self.report.layers]
        factor, written = unit(max((abs(amount) for amount in amounts if isfinite(amount)), default=0.0))

        def cell(layers: Sequence[LayerReport]) -> str:
            amount = sum(map(value, layers))
            return zero if amount == 0 else rounded(amount / factor)

        self.columns.append(Column(_header(name, written), numeric=True, drop=drop))
        self.cells.append(cell)

    def share(self, name: str, cell: Callable[[Sequence[LayerReport]], float], *, drop: int = 0) -> None:
        """Add a column of per cents."""
        self.columns.append(Column(f"{name} [%]", numeric=True, drop=drop))
        self.cells.append(lambda layers: _hundredths(100 * cell(layers)))

    def ratio(self, name: str, cell: Callable[[Sequence[LayerReport]], float]) -> None:
        """Add a column of ratios."""
        self.columns.append(Column(name, numeric=True))
        self.cells.append(lambda layers: rounded(cell(layers)))

    def row(self, layers: Sequence[LayerReport]) -> list[str]:
        """Return the cells of one layer, or of several summed up."""
        return [cell(layers) for cell in self.cells]


def _header(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit else name


def _hundredths(per_cent: float) -> str:
    """Return per cents to three digits, but to no more than two places: a share below that tells nothing."""
    if 0 < per_cent < 0.01:
        return "<0.01"
    return rounded(per_cent) if not per_cent or abs(per_cent) >= 1 or not isfinite(per_cent) else f"{per_cent:.2f}"


def _si(unit: str) -> Callable[[float], tuple[float, str]]:
    def choose(greatest: float) -> tuple[float, str]:
        factor, prefix = si_prefix(greatest / ENOUGH)
        return factor, f"{prefix}{unit}"

    return choose


def _bytes(greatest: float) -> tuple[float, str]:
    return byte_unit(greatest / ENOUGH)


def layer_table(report: Report, *, wide: bool = False, every: bool = False) -> Table:
    """Return the table of layers and their total; of a long net the costliest layers in order, and a row for the rest.

    Of a net that does not run it says what each layer wants of the memories, not how long it would take.

    Args:
        report: What to show.
        wide: Show every column.
        every: Show every layer.
    """
    table = _LayerTable(report)
    table.text(Column("layer", overflow="middle"), lambda layer: layer.name, "total")
    table.text(Column("kind"), lambda layer: layer.kind)
    if wide or len({layer.engine for layer in report.layers if layer.engine}) > 1:
        table.text(Column("engine", drop=4), lambda layer: layer.engine or MISSING)
    table.text(Column("ofmap", drop=5), lambda layer: "×".join(map(str, layer.ofmap_shape[1:] or layer.ofmap_shape)))
    table.amount("MAC", lambda layer: layer.macs, _si(""), zero=MISSING)
    if wide:
        table.amount("op", lambda layer: layer.ops, _si(""), zero=MISSING)
    if wide or not report.runs:
        table.amount("weights", lambda layer: layer.weight_bytes, _bytes, zero=MISSING)
        _add_live(table, report)
    if report.runs:
        _add_costs(table, report, wide=wide)
    elif len({layer.reason for layer in report.layers}) > 1:
        table.text(
            Column("why not", overflow="end"), lambda layer: "" if layer.reason == NET_DOES_NOT_RUN else layer.reason
        )
    columns = tuple(table.columns)
    kept, rest = _kept(report, every=every)
    rows = [table.row([layer]) for layer in kept]
    if rest:
        rows.append([f"… {len(rest)} more layers", *table.row(rest)[1:]])
    return Table(columns, rows, table.row(report.layers) if len(report.layers) > 1 else None)


def _add_costs(table: _LayerTable, report: Report, *, wide: bool) -> None:
    if wide:
        table.amount("cycle", lambda layer: layer.cycles, _si(""))
    table.amount("t", lambda layer: layer.latency_s, _si("s"))
    total = report.latency_s
    table.share("t", lambda layers: sum(layer.latency_s for layer in layers) / total if total else nan)
    table.text(Column("bound"), lambda layer: layer.bound)
    table.share("util", _utilization, drop=2)
    table.amount("E", lambda layer: layer.energy_j, _si("J"))
    busiest = max(report.traffic_bytes, key=lambda name: report.traffic_bytes[name], default="")
    for name in report.traffic_bytes:
        if wide or name == busiest:
            table.amount(name, _traffic_of(name), _bytes, drop=3)
    if wide and any(layer.mapping for layer in report.layers):
        table.amount("I/O bound", lambda layer: layer.io_bound_bytes, _bytes, zero=MISSING)
        table.ratio("× bound", _times_bound(report.home_names))
    for name, field in MEASURED.items():
        if any(field in layer.measured for layer in report.layers):
            table.share(name, _measured_of(field), drop=1)
    if any(layer.resident or layer.fused for layer in report.layers):
        table.text(Column("on chip", drop=1), _on_chip)
    if wide and any(layer.mapping for layer in report.layers):
        table.text(Column("mapping", overflow="end"), _mapping)


# What a forward pass measured, where the report has it: zero shares of filter and ifmap.
MEASURED = {"0 in w": "weight_zero_fraction", "0 in if": "ifmap_zero_fraction"}


def _traffic_of(memory: str) -> Value:
    return lambda layer: layer.traffic_bytes[memory]


def _times_bound(homes: Sequence[str]) -> Callable[[Sequence[LayerReport]], float]:
    """Return what gives, of layers, the bytes their homes move over what they must move at least."""

    def times(layers: Sequence[LayerReport]) -> float:
        least = sum(layer.io_bound_bytes for layer in layers)
        return sum(layer.traffic_bytes[name] for layer in layers for name in homes) / least if least else nan

    return times


def _measured_of(field: str) -> Callable[[Sequence[LayerReport]], float]:
    return lambda layers: layers[0].measured.get(field, nan) if len(layers) == 1 else nan


def _utilization(layers: Sequence[LayerReport]) -> float:
    """Return MACs done over what the engines could do in the cycles of the layers that have MACs."""
    peak = sum(layer.macs_done / layer.utilization for layer in layers if layer.utilization > 0)
    return sum(layer.macs_done for layer in layers if layer.utilization > 0) / peak if peak else nan


def _add_live(table: _LayerTable, report: Report) -> None:
    """Add the activation bytes that live during a layer; of several layers the greatest, for they take turns."""
    factor, unit = _bytes(max((layer.live_bytes for layer in report.layers), default=0))
    table.columns.append(Column(_header("live", unit), numeric=True))
    table.cells.append(lambda layers: rounded(max(layer.live_bytes for layer in layers) / factor))


def _on_chip(layer: LayerReport) -> str:
    return "fused" if layer.fused else " ".join(layer.resident) or MISSING


def _mapping(layer: LayerReport) -> str:
    if layer.mapping is None:
        return ""
    m = layer.mapping
    tile = f"g{m.groups} k{m.filters} c{m.channels} p{m.rows} q{m.columns}"
    kept = f" and {m.kept} kept" if m.kept else ""
    return f"{m.dataflow}, {m.stays} stays{kept}, tile {tile}"


def _kept(report: Report, *, every: bool) -> tuple[list[LayerReport], list[LayerReport]]:
    """Return the layers to show and those to sum up."""
    layers = list(report.layers)
    if every or len(layers) <= MAX_ROWS:
        return layers, []
    most: Value = _latency if report.runs else _held
    kept = {id(layer) for layer in sorted(layers, key=lambda layer: -most(layer))[:SHOWN_OF_MANY]}
    return [x for x in layers if id(x) in kept], [x for x in layers if id(x) not in kept]


def _latency(layer: LayerReport) -> float:
    return layer.latency_s


def _held(layer: LayerReport) -> float:
    return layer.live_bytes + layer.weight_bytes


def memory_table(report: Report) -> Table:
    """Return the table that says what fits: a row per memory in use, and below it a row for each thing it holds."""
    names = ("memory", "need", "capacity", "margin", "full", "verdict")
    columns = tuple(Column(name, numeric=name in ("need", "capacity", "margin", "full")) for name in names)
    rows: list[list[str]] = []
    for memory in report.memories:
        if memory.items:
            rows += _memory_rows(memory)
    return Table(columns, rows)


def _memory_rows(memory: MemoryReport) -> list[list[str]]:
    amounts = [memory.need_bytes, memory.capacity_bytes, memory.margin_bytes]
    full = percent(memory.need_bytes / memory.capacity_bytes)
    head = [memory.name, *map(human_bytes, amounts), full, "fits" if memory.fits else "DOES NOT FIT"]
    items = [[f"  {name}", human_bytes(count), "", "", "", ""] for name, count in memory.items.items()]
    return [head, *items, *([f"  {name}", MISSING, "", "", "", "not counted"] for name in memory.not_counted)]


def comparison_table(comparison: Comparison) -> Table:
    """Return the totals of several reports, with the change against the first."""
    base, runs = comparison.reports[0], [report for report in comparison.reports if report.runs]
    columns = [Column("net", overflow="middle"), Column("chip", overflow="middle")]
    columns += [Column("MAC [M]", numeric=True), Column("weights [KiB]", numeric=True, drop=3)]
    columns += [Column("peak [KiB]", numeric=True, drop=2), Column("traffic [KiB]", numeric=True, drop=1)]
    units = []
    for quantity_name, letter, unit in (("latency_s", "t", "s"), ("energy_j", "E", "J")):
        factor, written = _si(unit)(max((getattr(report, quantity_name) for report in runs), default=0.0))
        columns.append(Column(f"{letter} [{written}]", numeric=True))
        units.append((quantity_name, factor))
    columns.append(Column("t ÷ first", numeric=True))
    rows = []
    for report in comparison.reports:
        sizes = [quantity(report, name) for name in ("weights_kib", "peak_kib", "traffic_kib")]
        ratio = report.latency_s / base.latency_s if base.latency_s else nan
        costs = [rounded(getattr(report, name) / factor) for name, factor in units]
        verdict = rounded(ratio) if report.runs else "does not run"
        rows.append([report.net, report.chip, rounded(report.macs / 1e6), *map(rounded, sizes), *costs, verdict])
    return Table(tuple(columns), rows)


def delta_tables(comparison: Comparison, most: int) -> list[tuple[str, Table]]:
    """Return a title and the ``most`` largest layer deltas for each report after the first, where both run."""
    base = comparison.reports[0]
    tables = []
    for index, report in enumerate(comparison.reports[1:], start=1):
        if not (base.runs and report.runs):
            continue
        headers = ("before [ms]", "after [ms]", "change [ms]", "of all [%]")
        columns = (Column("layer", overflow="middle"), *(Column(header, numeric=True) for header in headers))
        whole = report.latency_s - base.latency_s
        rows = []
        for delta in comparison.deltas(index)[:most]:
            if not delta.change_s:
                continue
            times = [
                MISSING if value is None else rounded(value / S_PER_MS) for value in (delta.before_s, delta.after_s)
            ]
            change = ("+" if delta.change_s > 0 else "") + rounded(delta.change_s / S_PER_MS)
            rows.append([delta.name, *times, change, rounded(100 * delta.change_s / whole) if whole else MISSING])
        sign = "+" if whole > 0 else "−" if whole < 0 else "±"
        title = f"{_told(report)} against {_told(base)}: {sign}{scaled(abs(whole), 's')}"
        tables.append((title, Table(columns, rows)))
    return tables


def _told(report: Report) -> str:
    return f"{report.net} on {report.chip}"


def graph_table(graph: Graph) -> Table:
    """Return a net's layers: shapes, parameters, MACs, other operations, and their sums."""
    columns = (
        Column("layer", overflow="middle"),
        Column("type"),
        Column("ofmap"),
        *(Column(name, numeric=True) for name in ("params", "MACs", "ops")),
    )
    rows = []
    for layer in graph.layers:
        constants = {name for name in layer.inputs if graph.tensors[name].constant}
        params = sum(graph.tensors[name].elements for name in constants)
        shape = "×".join(map(str, graph.tensors[layer.outputs[0]].shape))
        counts = [f"{count:,}" for count in (params, graph.layer_macs(layer), graph.layer_ops(layer))]
        rows.append([layer.name, layer.op.kind, shape, *counts])
    return Table(columns, rows, ["total", "", "", *(f"{count:,}" for count in (graph.params, graph.macs, graph.ops))])
