"""A report's totals, and the same numbers in JSON, CSV and tables."""

import csv
import io
import json

import pytest

from hwsim.graph import GraphBuilder
from hwsim.report import compare, evaluate
from hwsim.report.comparison import quantity
from hwsim.report.facts import facts, quote
from hwsim.report.record import Report
from hwsim.report.render import html_report, latex_report, markdown_report, rich_report
from hwsim.report.tables import layer_table, memory_table


@pytest.fixture
def report(small_net, npu):
    return evaluate(small_net, npu)


@pytest.fixture
def hopeless(small_net, npu):
    return evaluate(small_net, npu.replace("sram.size_kib", 0.03125))


def shown(report, width=100, **options):
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=width, markup=False, highlight=False).print(rich_report(report, width=width, **options))
    return text.getvalue()


def told(report, label):
    return [fact.text for fact in facts(report) if fact.label == label]


def test_what_is_addressed_in_place_has_nothing_compulsory(report, small_net, mcu):
    # An array leaves the concatenation out; a core copies it: two tensors of 8*8*8 B in, one of their sum out.
    concat = {layer.name: layer for layer in report.layers}["concat"]
    assert concat.traffic_bytes == {"sram": 0, "dram": 0}
    assert concat.compulsory_bytes == 0
    assert report.compulsory_ratio >= 1
    copied = {layer.name: layer for layer in evaluate(small_net, mcu, dtype="int8").layers}["concat"]
    assert copied.compulsory_bytes == 2 * 512 + 1_024 == copied.traffic_bytes["ram"]


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
    # Not a layer of it is costed as if it ran; what it would move and hold is still told.
    assert broken == data["layers"]
    assert all(layer["bound"] == "" and not layer["energy_parts_j"] for layer in broken)
    assert sum(layer["traffic_bytes"]["dram"] for layer in broken) > 0
    assert data["null"]["latency_s"].endswith("reason says why")


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
    assert not any(line != line.rstrip() for line in lines)
    assert "…" not in lines[0]
    for layer in report.layers:
        assert any(line.startswith(layer.name) for line in lines)
    assert lines[-1] == quote(report)
    assert any("1 MAC = 1 multiply + 1 add" in line for line in lines)
    assert "100 % of MACs, 9 of 9 layers modelled" in text


@pytest.mark.parametrize("width", [60, 72, 80, 100, 120])
def test_tables_keep_to_the_width_there_is(report, hopeless, mcu, width):
    for one in (report, hopeless, evaluate(one_big_layer(), mcu, dtype="int8")):
        lines = shown(one, width).splitlines()
        assert max(map(len, lines)) <= width
        # The line to quote stands whole, and the columns that matter most are there.
        assert lines[-1].startswith(("small on toy-npu: ", "big on toy-mcu"))
        assert lines[-2] == ""
        assert lines[0].startswith("layer")
        assert ("t [" in lines[0]) == one.runs


def test_the_total_is_the_sum_of_the_rows(report):
    table = layer_table(report)
    for index, header in enumerate(table.headers):
        if header.split(" ")[0] in ("MAC", "E", "dram", "sram") or header.startswith("t ["):
            parts = [0 if row[index] == "–" else float(row[index].replace(" ", "").strip("<")) for row in table.rows]
            # Each cell is rounded to three digits.
            assert float(table.total[index].replace(" ", "")) == pytest.approx(sum(parts), rel=0.01, abs=0.1), header
    assert table.total[0] == "total"
    assert "100" in table.total


def test_a_column_has_one_unit_that_suits_its_largest_value(small_net, npu):
    # At 1 MHz layers take milliseconds, at 400 MHz microseconds.
    slow = evaluate(small_net, npu.replace("clock_mhz", 0.1))
    assert "t [ms]" in layer_table(slow).headers
    assert "t [µs]" in layer_table(evaluate(small_net, npu)).headers


def test_wide_shows_more(report):
    narrow, wide = layer_table(report).headers, layer_table(report, wide=True).headers
    assert len(wide) > len(narrow)
    assert {"engine", "op", "cycle", "weights [KiB]", "live [KiB]", "sram [KiB]", "dram [KiB]", "mapping"} <= set(wide)


def one_big_layer():
    b = GraphBuilder("big")
    x = b.input("x", (1, 64, 64, 32), "int8")
    return b.build([b.conv2d(x, 32, 1, name="wide"), b.conv2d(x, 8, 1, name="narrow")])


def test_what_does_not_fit_says_what_each_layer_wants(mcu):
    report = evaluate(one_big_layer(), mcu, dtype="int8")
    # The ifmap, 64*64*32 B = 128 KiB, lives through both layers; the ofmaps have 128 KiB and 32 KiB.
    assert [layer.live_bytes for layer in report.layers] == [256 * 1024, 288 * 1024]
    # A filter of 32*32 B with 32 biases of 4 B, one of 8*32 B with 8.
    assert [layer.weight_bytes for layer in report.layers] == [1024 + 128, 256 + 32]
    assert layer_table(report).headers == ["layer", "kind", "ofmap", "MAC [M]", "weights [B]", "live [KiB]"]
    rows = {row[0].strip(): row for row in memory_table(report).rows}
    # 288 KiB of activations and 2 KiB of runtime in 64 KiB.
    assert rows["ram"][1:] == ["290 KiB", "64.0 KiB", "-226 KiB", "453 %", "DOES NOT FIT"]
    assert rows["activations"][1] == "288 KiB"
    assert rows["runtime"][1] == "2.00 KiB"
    assert rows["scratch"][1:] == ["–", "", "", "", "not counted"]
    assert report.reason == "does not fit ram: needs 290 KiB, has 64.0 KiB (activations 288 KiB)"
    assert quote(report) == f"big on toy-mcu (toy): {report.reason}"


def one_dense_layer():
    b = GraphBuilder("fat")
    return b.build([b.dense(b.input("x", (1, 1000), "int8"), 600, name="fc")])


def test_a_buffer_below_one_tile(small_net, npu):
    report = evaluate(small_net, npu.replace("sram.size_kib", 0.03125), dtype="int8")
    failed = [layer.name for layer in report.layers if "smallest tile" in layer.reason]
    assert f"({failed[0]} and {len(failed) - 1} more layer" in report.reason
    need = report.memories[0].need_bytes
    assert report.ways_out == (f"sram: {need} B would hold a tile of every layer",)
    assert evaluate(small_net, npu.replace("sram.size_bytes", need), dtype="int8").runs
    assert not evaluate(small_net, npu.replace("sram.size_bytes", need - 1), dtype="int8").runs
    column = [row[-1] for row in layer_table(report).rows]
    assert sum(bool(cell) for cell in column) == len(failed)
    assert shown(report).splitlines()[-1].startswith("small on toy-npu: does not run: the smallest tile needs ")


def test_ways_out(mcu, npu):
    # 62 KiB of room for 288 KiB: the root of 62/288 is 0.46.
    assert evaluate(one_big_layer(), mcu, dtype="int8").ways_out == (
        "ram: 226 KiB of activations must go around narrow; an input of 46 % of its height and width would do",
    )
    more = mcu.replace("ram.size_kib", 300)
    assert evaluate(one_big_layer(), more, dtype="int8").ways_out == ()
    # A batch of 2 needs 576 KiB and 2 KiB.
    assert evaluate(one_big_layer(), more, batch=2, dtype="int8").ways_out == (
        "ram: a batch of 1 would fit (--batch 1)",
    )
    b = GraphBuilder("float")
    x = b.input("x", (1, 32, 32, 32))
    # 32*32*32*4 B = 128 KiB in, as much out; a quarter of it at int8.
    floats = b.build([b.conv2d(x, 32, 1)])
    wide = npu.replace("npu.macs_per_pe", {"int8": 1, "float32": 1}).replace("mac_pj", {"int8": 1, "float32": 4})
    small = wide.replace("dram.size_mib", 0.125)
    assert evaluate(floats, small).ways_out == (
        "dram: at int8 the activations would take 64.0 KiB and fit (--dtype int8)",
    )
    # 1000*600 B of weights and 2,400 B of biases in 512 KiB less 16 KiB of code.
    fat = evaluate(one_dense_layer(), mcu, dtype="int8")
    assert fat.ways_out == ("flash: 92.3 KiB of weights must go; most are in fc 588 KiB",)
    # More RAM is no way out: what runs from RAM is kept in flash all the same.
    room = mcu.replace("ram.size_kib", 1024)
    assert evaluate(one_dense_layer(), room, dtype="int8").ways_out == fat.ways_out
    moved = evaluate(one_dense_layer(), room, place={"weights": "ram"}, dtype="int8")
    assert not moved.runs
    assert {memory.name: memory.items for memory in moved.memories}["flash"] == {"code": 16 * 1024, "image": 602_400}


def test_a_report_survives_json(report, hopeless, small_net, mcu):
    measured = report.with_measurements({"conv": {"weight_zero_fraction": 0.25, "ofmap_min": float("nan")}})
    for one in (report, hopeless, measured, evaluate(small_net, mcu), evaluate(one_big_layer(), mcu, dtype="int8")):
        again = Report.from_dict(json.loads(one.to_json()))
        assert again.to_json() == one.to_json()
        assert repr(again) == repr(one)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: [], "is no report"),
        (lambda data: {}, "is no report"),
        (lambda data: data | {"schema": 2}, "schema = 2: this hwsim reads reports of schema 1"),
        (lambda data: data | {"layers": 7}, "is no whole report of hwsim: layers: "),
        (lambda data: data | {"net": None}, "net: "),
        (lambda data: data | {"layers": [{**data["layers"][0], "macs": "many"}]}, "layers.0.macs: "),
        (lambda data: {key: value for key, value in data.items() if key != "arena"}, "arena: field required"),
    ],
)
def test_what_is_no_report_is_told(report, change, said):
    from hwsim.errors import UsageError

    with pytest.raises(UsageError) as error:
        Report.from_dict(change(json.loads(report.to_json())))
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_every_number_of_the_record_has_its_unit(report):
    from hwsim.report.export import UNITS

    def numbers(value, name=""):
        if isinstance(value, dict):
            for key, item in value.items():
                # Shares by memory or direction take their unit from the field that holds them.
                yield from numbers(item, key if key.endswith(tuple(UNITS)) or not name.endswith(tuple(UNITS)) else name)
        elif isinstance(value, list):
            for item in value:
                yield from numbers(item, name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name

    counts = {"schema", "batch", "params", "ofmap_shape", "first_layer", "last_layer"}
    counts |= {"images", "groups", "filters", "channels", "rows", "columns"}  # a mapping's tile
    assert {name for name in numbers(report.to_dict()) if not name.endswith(tuple(UNITS))} <= counts


def test_traffic_by_direction_and_tensor_adds_up(report):
    for layer in report.layers:
        for memory, count in layer.traffic_bytes.items():
            assert sum(layer.traffic_parts_bytes.get(memory, {}).values()) == count
    total = report.traffic_parts_bytes["dram"]
    assert set(total) == {"read_filter", "read_ifmap", "write_ofmap"}
    assert sum(total.values()) == report.traffic_bytes["dram"]


def test_terms_bound_the_latency(report):
    for layer in report.layers:
        assert layer.latency_s >= max(layer.terms_s.values(), default=0.0) * (1 - 1e-12)
        if layer.bound not in ("nothing", "overhead"):
            assert layer.terms_s[layer.bound] == max(v for k, v in layer.terms_s.items() if k != "overhead")


def test_facts_hang_below_their_label(report):
    from dataclasses import replace

    words = "what was assumed " * 12
    lines = shown(replace(report, assumptions=(words, "short"), outside=("nothing",))).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("assumed   what was assumed"))
    assert lines[start + 1].startswith(" " * 12 + "what was assumed") or lines[start + 1].startswith(" " * 12)
    assert any(line == " " * 10 + "short" for line in lines[start:])
    assert "left out  nothing" in lines
    assert sum(line.startswith("assumed") for line in lines) == 1


def test_long_nets_stay_readable(npu):
    b = GraphBuilder("long")
    x = b.input("x", (1, 4, 4, 8), "int8")
    for _ in range(300):
        x = b.conv2d(x, 8, 1)
    report = evaluate(b.build([x]), npu)
    rows = layer_table(report).rows
    assert len(rows) == 41
    assert rows[-1][0] == "… 260 more layers"
    assert len(layer_table(report, every=True).rows) == 300
    assert len(shown(report).splitlines()) < 80


def test_names_are_escaped(npu):
    b = GraphBuilder("<b>&|net")
    x = b.input("x", (1, 4, 4, 8), "int8")
    report = evaluate(b.build([b.conv2d(x, 8, 1, name="<script>alert(1)</script>|%_")]), npu)
    assert "<script>" not in html_report(report)
    assert "&lt;script&gt;" in html_report(report)
    assert "<script>" not in markdown_report(report)
    assert r"\|%\_" in markdown_report(report)
    assert r"\%\_" in latex_report(report)
    assert report._repr_html_() == html_report(report)


def test_latex_and_markdown_have_every_layer(report):
    latex, markdown = latex_report(report), markdown_report(report)
    # A header, the layers, and their total.
    assert latex.count(r" \\") == 2 + len(report.layers)
    assert r"\begin{tabular}" in latex
    for layer in report.layers:
        assert f"| {layer.name} |" in markdown


def test_equal_warnings_are_one_line(small_net, npu):
    from dataclasses import replace

    report = replace(evaluate(small_net, npu), warnings=("same", "same", "other"))
    assert told(report, "warning") == ["same (2 times)", "other"]


def test_unknown_layers_are_reported(npu):
    from hwsim.graph.ops import Unknown

    b = GraphBuilder("odd")
    x = b.input("x", (1, 4, 4, 8), "int8")
    x = b.add(Unknown(operator="Foo", shapes=((1, 4, 4, 8),), dtypes=("int8",)), [x], name="foo")[0]
    report = evaluate(b.build([b.conv2d(x, 8, 1)]), npu)
    assert report.unknown_layers == ("foo",)
    assert "1 of 2 layers modelled" in report.coverage
    assert told(report, "warning") == ["1 unknown layer costs nothing here: foo"]


def test_measurements_join_by_layer(report):
    joined = report.with_measurements({"conv": {"weight_zero_fraction": 0.25}})
    assert joined.rows()[0]["weight_zero_fraction"] == 0.25
    assert "weight_zero_fraction" not in joined.rows()[1]
    assert "0 in w [%]" in layer_table(joined).headers


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
