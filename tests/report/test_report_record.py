"""A report's totals, and the same numbers in JSON, CSV and tables."""

import csv
import io
import json

import pytest

from hwsim.graph import GraphBuilder
from hwsim.report import compare, evaluate
from hwsim.report.comparison import quantity
from hwsim.report.tables import footer, html_report, latex_report, markdown_report, quote, rich_report, table_cells


@pytest.fixture
def report(small_net, npu):
    return evaluate(small_net, npu)


@pytest.fixture
def hopeless(small_net, npu):
    return evaluate(small_net, npu.replace("sram.size_kib", 0.03125))


def shown(report, **options):
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=100, markup=False, highlight=False).print(rich_report(report, **options))
    return text.getvalue()


def test_totals_are_sums_over_layers(report):
    assert report.latency_s == sum(layer.latency_s for layer in report.layers)
    assert report.energy_j == pytest.approx(sum(report.energy_parts_j.values()))
    assert report.macs == sum(layer.macs for layer in report.layers)
    assert report.traffic_bytes["dram"] == sum(layer.traffic_bytes["dram"] for layer in report.layers)
    assert 0 < report.utilization <= 1
    assert report.power_w == report.energy_j / report.latency_s


def test_json_holds_the_same_numbers(report):
    data = json.loads(report.to_json())
    assert data["schema"] == 1
    assert data["totals"]["latency_s"] == report.latency_s
    assert data["totals"]["energy_j"] == report.energy_j
    assert [layer["latency_s"] for layer in data["layers"]] == [layer.latency_s for layer in report.layers]
    assert data["error_p90"] is None
    assert data["error_source"] == "not validated"
    memory = {entry["name"]: entry for entry in data["memories"]}["sram"]
    assert memory["margin_bytes"] == memory["capacity_bytes"] - memory["need_bytes"]


def test_what_has_no_meaning_is_null_with_a_reason(hopeless):
    data = json.loads(hopeless.to_json())
    assert data["totals"]["latency_s"] is None
    assert data["totals"]["energy_j"] is None
    assert "smallest tile" in data["reason"]
    broken = [layer for layer in data["layers"] if layer["latency_s"] is None]
    assert broken
    assert all(layer["reason"] for layer in broken)
    assert "does not run" in quote(hopeless)


def test_csv_has_a_row_per_layer(report):
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [row["layer"] for row in rows] == [layer.name for layer in report.layers]
    assert sum(float(row["latency_s"]) for row in rows) == pytest.approx(report.latency_s)
    assert rows == [{key: "" if value != value else str(value) for key, value in row.items()} | {
        key: rows[i][key] for key in rows[i] if key not in row
    } for i, row in enumerate(report.rows())]  # fmt: skip


def test_terminal_table_keeps_to_100_columns(report):
    text = shown(report)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in lines[0]
    for layer in report.layers:
        assert any(line.startswith(layer.name) for line in lines)
    assert lines[-1].startswith("small on toy-npu") or lines[-2].startswith("small on toy-npu")
    assert any("1 MAC = 1 multiply + 1 add" in line for line in lines)
    assert "100 % of MACs, 9 of 9 layers modelled" in text


def test_wide_shows_more(report):
    narrow, wide = table_cells(report)[0], table_cells(report, wide=True)[0]
    headers = [column.header for column in wide]
    assert len(wide) > len(narrow)
    assert {"engine", "op [M]", "cycle [k]", "sram [KiB]", "dram [KiB]"} <= set(headers)


def test_long_nets_stay_readable(npu):
    b = GraphBuilder("long")
    x = b.input("x", (1, 4, 4, 8), "int8")
    for _ in range(300):
        x = b.conv2d(x, 8, 1)
    report = evaluate(b.build([x]), npu)
    _, rows = table_cells(report)
    assert len(rows) == 41
    assert rows[-1][0] == "… 260 more layers"
    _, everything = table_cells(report, every=True)
    assert len(everything) == 300
    assert len(shown(report).splitlines()) < 80


def test_names_are_escaped(npu):
    b = GraphBuilder("<b>&|net")
    x = b.input("x", (1, 4, 4, 8), "int8")
    report = evaluate(b.build([b.conv2d(x, 8, 1, name="<script>alert(1)</script>|%_")]), npu)
    assert "<script>" not in html_report(report)
    assert "&lt;script&gt;" in html_report(report)
    assert "<script>" not in markdown_report(report)
    assert r"\|\%" not in markdown_report(report)
    assert r"\%\_" in latex_report(report)
    assert report._repr_html_() == html_report(report)


def test_latex_and_markdown_have_every_layer(report):
    latex, markdown = latex_report(report), markdown_report(report)
    assert latex.count(r" \\") == 1 + len(report.layers)
    assert r"\begin{tabular}" in latex
    for layer in report.layers:
        assert f"| {layer.name} |" in markdown


def test_equal_warnings_are_one_line(small_net, npu):
    from dataclasses import replace

    report = replace(evaluate(small_net, npu), warnings=("same", "same", "other"))
    assert [line for line in footer(report) if line.startswith("warning")] == [
        "warning: same (2 times)",
        "warning: other",
    ]


def test_unknown_layers_are_reported(npu):
    from hwsim.graph.ops import Unknown

    b = GraphBuilder("odd")
    x = b.input("x", (1, 4, 4, 8), "int8")
    x = b.add(Unknown(operator="Foo", shapes=((1, 4, 4, 8),), dtypes=("int8",)), [x], name="foo")[0]
    report = evaluate(b.build([b.conv2d(x, 8, 1)]), npu)
    assert report.unknown_layers == ("foo",)
    assert "1 of 2 layers modelled" in report.coverage
    assert any("1 unknown layers cost nothing here: foo" in line for line in footer(report))


def test_measurements_join_by_layer(report):
    joined = report.with_measurements({"conv": {"weight_zero_fraction": 0.25}})
    assert joined.rows()[0]["weight_zero_fraction"] == 0.25
    assert "weight_zero_fraction" not in joined.rows()[1]
    assert "0 in w [%]" in [column.header for column in table_cells(joined)[0]]


def test_compare(small_net, npu):
    slow = evaluate(small_net, npu.replace("dram.bytes_per_cycle", 1))
    fast = evaluate(small_net, npu)
    comparison = compare([fast, slow])
    deltas = comparison.deltas()
    assert sum(delta.change_s for delta in deltas) == pytest.approx(slow.latency_s - fast.latency_s)
    assert abs(deltas[0].change_s) == max(abs(delta.change_s) for delta in deltas)
    assert quantity(slow, "latency_ms") == slow.latency_s * 1e3


def test_thresholds(small_net, npu, hopeless):
    from hwsim.errors import UsageError

    fast, slow = evaluate(small_net, npu), evaluate(small_net, npu.replace("dram.bytes_per_cycle", 4))
    comparison = compare([fast, slow])
    assert comparison.broken(["latency_ms>+5%"])
    assert comparison.broken(["latency_ms>+500%"]) == []
    assert comparison.broken(["macs>+0%"]) == []
    assert len(comparison.broken(["peak_kib>0.001"])) == 2
    assert "without meaning" in compare([fast, hopeless]).broken(["latency_ms>+5%"])[0]
    for rule, problem in [
        ("latency>5", "did you mean 'latency_ms'"),
        ("latency_ms<5", "write it as"),
        ("latency_ms>5%", "needs a base"),
        ("latency_ms>+1.2.3", "is no number"),
    ]:
        with pytest.raises(UsageError, match=problem):
            comparison.broken([rule])
    with pytest.raises(UsageError, match="two results or more"):
        compare([fast])
