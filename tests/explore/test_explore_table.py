"""Tables of sweeps: every way to write a column leads to it, and files give back what was written."""

import json
import sys

import numpy as np
import pytest

from hwsim.errors import MissingExtraError, UsageError
from hwsim.explore import Column, SweepTable
from hwsim.explore.names import column_names, find

AXES = [
    Column("sram_size_kib", "axis", "memories.sram.size_kib", "KiB"),
    Column("npu_rows", "axis", "engines.npu.rows"),
    Column("mac_pj_int8", "axis", "mac_pj.int8", "pJ"),
    Column("clock_mhz", "axis", "clock_mhz", "MHz"),
]


@pytest.fixture
def table():
    return SweepTable(
        {
            "point": [0, 1, 2],
            "net": ["a", "a", "b"],
            "sram_size_kib": [32.0, 64.0, 128.0],
            "npu_rows": [8, 8, 16],
            "mac_pj_int8": [0.1, 0.2, 0.3],
            "clock_mhz": [100.0, 200.0, 400.0],
            "latency_s": [0.002, float("nan"), 0.001],
            "energy_j": [3e-3, float("nan"), 1e-3],
            "edp_js": [6e-6, float("nan"), 1e-6],
            "sram_bytes": [1024, 2048, 4096],
            "dram_bytes": [2**20, 2**21, 2**22],
            "sram_need_bytes": [512, 512, 512],
            "fits": [True, False, True],
            "reason": ["", 'does not fit, "sram"', ""],
        },
        [Column("point", "key"), Column("net", "key"), *AXES],
        {"nets": ["a", "b"], "chip": "toy"},
    )


@pytest.mark.parametrize(
    ("written", "column", "first"),
    [
        ("sram_size_kib", "sram_size_kib", 32),
        ("memories.sram.size_kib", "sram_size_kib", 32),
        ("sram.size_kib", "sram_size_kib", 32),
        ("sram.size_mib", "sram_size_kib", 32 / 1024),
        ("memories.sram.size_bytes", "sram_size_kib", 32768),
        ("sram_kib", "sram_size_kib", 32),
        ("SRAM_KiB", "sram_size_kib", 32),
        ("sram_bytes", "sram_bytes", 1024),
        ("sram_traffic_kib", "sram_bytes", 1),
        ("dram_mib", "dram_bytes", 1),
        ("dram_traffic_bytes", "dram_bytes", 2**20),
        ("sram_need_kib", "sram_need_bytes", 0.5),
        ("npu.rows", "npu_rows", 8),
        ("mac_pj.int8", "mac_pj_int8", 0.1),
        ("clock_ghz", "clock_mhz", 0.1),
        ("latency_ms", "latency_s", 2),
        ("latency_us", "latency_s", 2000),
        ("latency", "latency_s", 0.002),
        ("energy_mj", "energy_j", 3),
        ("energy_uj", "energy_j", 3000),
        ("edp", "edp_js", 6e-6),
    ],
)
def test_every_way_to_write_a_column_leads_to_it(table, written, column, first):
    assert table.find(written).column.name == column
    assert table[written][0] == pytest.approx(first)
    assert written in table


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("latancy_ms", "did you mean 'latency_s'"),
        ("sram.size_kb_", "did you mean 'sram_size_kib'"),
        ("latency_kib", "did you mean 'latency_s'"),
        ("qqq", "it has point, net"),
    ],
)
def test_an_unknown_column_is_told_with_the_nearest(table, written, told):
    with pytest.raises(UsageError, match=told):
        table[written]
    assert written not in table


def test_without_the_axis_a_memorys_unit_is_its_traffic():
    assert find([Column.of("sram_bytes", "result")], "sram_kib").column.name == "sram_bytes"


def test_names_of_axes_are_short_and_differ():
    paths = ["memories.a-b.size_kib", "memories.a_b.size_kib", "engines.sram.rows", "memories.latency.s"]
    assert list(column_names(paths, ["latency_s"]).values()) == [
        "a_b_size_kib",
        "memories_a_b_size_kib",
        "sram_rows",
        "memories_latency_s",
    ]


def test_units_of_columns():
    units = {c.name: c.unit for c in [*AXES, *(Column.of(n, "result") for n in ("latency_s", "macs", "dram_bytes"))]}
    assert units["sram_size_kib"] == "KiB"
    assert (units["latency_s"], units["macs"], units["dram_bytes"]) == ("s", "", "B")
    assert Column.of("mac_pj_int8", "axis", "mac_pj.int8").unit == "pJ"


def test_rows_by_condition_mask_and_index(table):
    assert table.where("latency_ms < 1.5 and sram_kib <= 256")["point"].tolist() == [2]
    assert table.where("net == 'a'")["point"].tolist() == [0, 1]
    assert table.take(table["fits"])["net"].tolist() == ["a", "b"]
    assert table.take(slice(1, None)).row(0)["reason"] == 'does not fit, "sram"'
    assert [row["point"] for row in table.rows()] == [0, 1, 2]
    assert [axis.name for axis in table.axes] == [axis.name for axis in AXES]


def test_tables_below_each_other(table):
    other = SweepTable({"point": [3], "net": ["c"], "flash_bytes": [7]}, table.columns)
    both = SweepTable.joined([table, other])
    assert both["net"].tolist() == ["a", "a", "b", "c"]
    assert both["flash_bytes"][3] == 7
    assert np.isnan(both["flash_bytes"][:3]).all()
    assert np.isnan(both["latency_s"][3])
    assert both["reason"][3] == ""


def same(left, right):
    assert left.names == right.names
    for name in left.names:
        one, other = left[name], right[name]
        assert one.dtype == other.dtype, name
        if one.dtype.kind == "f":
            np.testing.assert_array_equal(one, other)
        else:
            assert one.tolist() == other.tolist(), name


def test_csv_there_and_back(table, tmp_path):
    text = table.to_csv(tmp_path / "s.csv")
    lines = text.splitlines()
    assert lines[0].startswith("point,net,sram_size_kib,")
    assert lines[1].startswith("0,a,32.0,8,")
    assert ",,,," not in lines[1]
    back = SweepTable.read(tmp_path / "s.csv")
    same(back, table)
    assert [axis.name for axis in back.axes] == [axis.name for axis in AXES]
    assert SweepTable.read(tmp_path / "s.csv", ["latency_ms", "net"]).names == ("latency_s", "net")


def test_parquet_there_and_back(table, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "it's.parquet"
    table.to_parquet(path)
    back = SweepTable.read(path)
    same(back, table)
    assert (back.columns, back.metadata) == (table.columns, table.metadata)
    assert SweepTable.read(path, ["sram_kib"]).names == ("sram_size_kib",)
    with duckdb.connect() as connection:
        keys = connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]).fetchall()
    told = {bytes(key): bytes(value) for key, value in keys}
    assert json.loads(told[b"hwsim"])["chip"] == "toy"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_pandas(table):
    pandas = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(table.names)
    assert frame["net"].tolist() == ["a", "a", "b"]


@pytest.mark.parametrize(("module", "told"), [("duckdb", r"hwsim\[store\]"), ("pandas", "pip install 'pandas'")])
def test_missing_extras_are_one_sentence(table, module, told, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=told):
        table.to_pandas() if module == "pandas" else table.to_parquet(tmp_path / "s.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,b\n1\n", "s.csv:2: has 1 values"),
        ("a,a\n1,2\n", "name each column once"),
        ("", "name each column once"),
        ("a\n\x00", "s.csv"),
    ],
)
def test_bad_csv_is_one_sentence(content, told, tmp_path):
    path = tmp_path / "s.csv"
    path.write_text(content)
    if "\x00" in content:
        path.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UsageError, match=told):
        SweepTable.read(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "s.txt").write_text("a")
    with pytest.raises(UsageError, match="hwsim reads a sweep from"):
        SweepTable.read(tmp_path / "s.txt")
    with pytest.raises(UsageError, match="cannot be read"):
        SweepTable.read(tmp_path / "none.parquet")
    pytest.importorskip("duckdb")
    (tmp_path / "s.parquet").write_text("a")
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        SweepTable.read(tmp_path / "s.parquet")


def test_columns_of_different_length_are_refused():
    with pytest.raises(UsageError, match="differ in length"):
        SweepTable({"a": [1], "b": [1, 2]})
