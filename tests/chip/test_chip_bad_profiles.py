"""Profiles a user got wrong: every problem is told with file, line, column, rule and way out, all of them at once."""

from __future__ import annotations

import pytest

from hwsim.chip import load_chip, load_kernel_table
from hwsim.errors import ChipError, UsageError

TOY = """\
schema: 1
name: toy
clock_mhz: 400
engines:
  - {name: npu, kind: array, rows: 16, cols: 8, dataflows: [weight_stationary]}
memories:
  - {name: sram, size_kib: 256, bytes_per_cycle: 32, pj_per_byte: 1.5}
  - {name: dram, size_mib: 64, gb_per_s: 8, pj_per_byte: 120}
mac_pj: {int8: 0.25}
sources: {"*": assumed}
"""
CORE = "{name: cpu, kind: core, core: cortex-m4, peak_macs_per_cycle: {int8: 2}, kernels: {x: t}}"


def load(tmp_path, text):
    path = tmp_path / "toy.yaml"
    path.write_text(text)
    return load_chip(path)


def complaint(tmp_path, old, new):
    assert old in TOY
    with pytest.raises(ChipError) as error:
        load(tmp_path, TOY.replace(old, new, 1))
    return str(error.value)


def test_the_toy_itself_is_right(tmp_path):
    chip = load(tmp_path, TOY)
    assert (chip.name, chip.clock_hz, chip.memory("sram").size_bytes) == ("toy", 400e6, 256 * 1024)
    assert (chip.engine("npu").rows, chip.memory_kind(chip.memory("dram"))) == (16, "dram")


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        (
            "size_kib: 256",
            "size_kb: 256",
            "7:18",
            "memories.sram.size_kb: unknown field; did you mean 'size_kib' [KiB]? (256 kB is 250 KiB)",
        ),
        (
            "clock_mhz: 400",
            "clock_hz: 4e8",
            "3:1",
            "clock_hz: unknown field; did you mean 'clock_mhz' [MHz]? (4e+08 Hz is 400 MHz)",
        ),
        ("rows: 16", "row: 16", "5:30", "engines.npu.row: unknown field; did you mean 'rows'?"),
        ("size_kib: 256", "size_kib: -1", "7:18", "memories.sram.size_kib = -1: must be > 0 [KiB]"),
        ("size_kib: 256", "size_kib: .nan", "7:18", "= nan: must be a finite number"),
        ("size_kib: 256", "size_kib: .inf", "7:18", "= inf: must be a finite number"),
        ("size_kib: 256", "size_kib: true", "7:18", "= true: must be a number [KiB]"),
        ("size_kib: 256", 'size_kib: "256"', "7:18", "= '256': must be a number"),
        ("size_kib: 256", "size_kib: 256, size_mib: 1", "7:5", "give one of size_bytes, size_kib, size_mib"),
        ("size_kib: 256, ", "", "7:5", "give one of size_bytes, size_kib, size_mib (given: none)"),
        ("bytes_per_cycle: 32", "bytes_per_cycle: 0", "7:33", "= 0: must be > 0 [B/cycle]"),
        ("pj_per_byte: 1.5", "pj_per_byte: -1", "7:54", "memories.sram.pj_per_byte = -1: must be >= 0 or cacti"),
        ("pj_per_byte: 1.5", "pj_per_byte: cact", "7:54", "= 'cact': must be a number or cacti; did you mean 'cacti'?"),
        ("gb_per_s: 8, ", "", "8:5", "give one of bytes_per_cycle, gb_per_s (given: none)"),
        ("gb_per_s: 8", "gb_per_s: 8, bytes_per_cycle: 1", "8:5", "(given: bytes_per_cycle, gb_per_s)"),
        (
            "size_mib: 64",
            "size_mib: 64, reserved_kib: 65536",
            "8:32",
            "memories.dram.reserved_kib = 65536: must be less than the memory's size",
        ),
        (
            "size_mib: 64",
            "size_mib: 64, kind: flash",
            "8:32",
            "memories.dram.kind = flash: cannot be written to while running; give holds: [weights]",
        ),
        ("size_mib: 64", "size_mib: 1e300", "8:5", "must be <= 2^50 B"),
        ("rows: 16", "rows: 1.5", "5:30", "engines.npu.rows = 1.5: must be a whole number"),
        ("rows: 16", "rows: 0", "5:30", "engines.npu.rows = 0: must be > 0"),
        ("kind: array", "kind: gpu", "5:17", "engines.npu.kind = 'gpu': must be array or core"),
        ("clock_mhz: 400\n", "", "1:1", "clock_mhz: missing: Clock of memories"),
        ("schema: 1", "schema: 2", "", "schema = 2: this hwsim reads schema 1"),
        ("schema: 1", "schema: true", "1:1", "schema = true: must be a whole number"),
        ("schema: 1\n", "", "1:1", "schema: missing"),
        ("name: toy", "name: 7", "2:1", "name = 7: must be a word or text"),
        ("name: sram", "name: my sram", "7:6", "= 'my sram': must be a word of letters"),
        ("name: sram", "name: l1.5", "7:6", "= 'l1.5': must be a word of letters"),
        (
            "mac_pj: {int8: 0.25}",
            "mac_pj: {int9: 0.25}",
            "9:10",
            "mac_pj.int9: must be one of float32, float16, int16, int8, int4; did you mean 'int8'?",
        ),
        ("mac_pj: {int8: 0.25}", "mac_pj: {int8: -1}", "9:10", "mac_pj.int8 = -1: must be >= 0 [pJ]"),
        ("mac_pj: {int8: 0.25}\n", "", "1:1", "mac_pj: missing: give the energy of a MAC by dtype [pJ]"),
        (", pj_per_byte: 120", "", "8:5", "memories.dram.pj_per_byte: missing: give the energy of an access [pJ/B]"),
        (
            "[weight_stationary]",
            "[weight_stationery]",
            "5:61",
            "no dataflow 'weight_stationery'; did you mean 'weight_stationary'?",
        ),
        (
            "[weight_stationary]",
            "[weight_stationary, weight_stationary]",
            "5:80",
            "'weight_stationary' stands here twice",
        ),
        ("[weight_stationary]", "[]", "5:49", "engines.npu.dataflows = []: must have 1 at least"),
        (
            "[weight_stationary]",
            "[{name: own, rows: [X], cols: [K], stationary: filter}]",
            "5:80",
            "engines.npu.dataflows.own.rows.0 = 'X': must be one of N, G, K, C, P, Q, R, S",
        ),
        (
            "[weight_stationary]",
            "[{name: own, rows: [C], cols: [K, K], stationary: filter}]",
            "5:84",
            "cols = ['K', 'K']: a dimension may stand on an axis once",
        ),
        (
            "[weight_stationary]",
            "[{name: own, rows: [C], cols: [K], stationery: filter}]",
            "5:95",
            "engines.npu.dataflows.own.stationery: unknown field; did you mean 'stationary'?",
        ),
        (
            "[weight_stationary]}",
            "[weight_stationary], memories: [sram, dramm]}",
            "5:81",
            "engines.npu.memories: no memory 'dramm'; did you mean 'dram'?",
        ),
        (
            "size_mib: 64,",
            "size_mib: 64, holds: [activations],",
            "5:5",
            "engines.npu.memories: none of them may hold weights; see memories.*.holds",
        ),
        ("name: dram", "name: sram", "6:1", "memories: two are named 'sram'"),
        ('{"*": assumed}', "{memories.srm: a book}", "10:11", "no field 'memories.srm'; did you mean 'memories.sram'?"),
        ('sources: {"*": assumed}\n', "", "1:1", "sources: missing"),
        ("memories:\n", "memories: []\nmemory:\n", "6:1", "memories = []: must have 1 at least"),
        (
            "{name: npu, kind: array",
            "{name: npu, takes: [convolution], kind: array",
            "5:25",
            "engines.npu.takes.0 = 'convolution': must be one of conv, pointwise, ",
        ),
    ],
)
def test_one_problem(tmp_path, old, new, place, said):
    text = complaint(tmp_path, old, new)
    path = str(tmp_path / "toy.yaml")
    assert said in text
    line = next(line for line in text.splitlines() if said in line)
    assert line.startswith(f"{path}:{place}: " if place else path)


def test_a_core_lacks_its_fields_by_their_own_names(tmp_path):
    bare = TOY.replace("  - {name: npu", "  - {name: cpu, kind: core}\n  - {name: npu")
    with pytest.raises(ChipError) as error:
        load(tmp_path, bare)
    for field in ("core", "peak_macs_per_cycle", "kernels"):
        assert f"toy.yaml:5:5: engines.cpu.{field}: missing" in str(error.value)


def test_a_core_may_be_priced_by_its_power(tmp_path):
    text = TOY.replace("mac_pj: {int8: 0.25}\n", "").replace("pj_per_byte", "latency_cycles")
    lines = text.splitlines()
    lines[4] = f"  - {CORE}"
    with pytest.raises(ChipError) as error:
        load(tmp_path, "\n".join(lines))
    assert "mac_pj: missing: give the energy of a MAC by dtype [pJ], or engines.cpu.run_mw [mW]" in str(error.value)
    assert str(error.value).count("pj_per_byte: missing") == 2


def test_all_problems_at_once_in_the_order_of_the_file(tmp_path):
    text = TOY.replace("size_kib: 256", "size_kb: 256").replace("clock_mhz: 400", "clock_mhz: -4")
    with pytest.raises(ChipError) as error:
        load(tmp_path, text.replace("cols: 8", "cols: eight"))
    lines = str(error.value).splitlines()
    places = [line.removeprefix(str(tmp_path / "toy.yaml")).split(" ")[0] for line in lines]
    # clock_mhz in line 3, cols in 5; size_kb is unknown, and the memory lacks no size that could be told apart from it.
    assert places == [":3:1:", ":5:40:", ":7:18:"]


def test_unpriced_memories_are_all_named(tmp_path):
    text = TOY.replace(", pj_per_byte: 1.5", "").replace(", pj_per_byte: 120", "").replace("mac_pj: {int8: 0.25}\n", "")
    with pytest.raises(ChipError) as error:
        load(tmp_path, text)
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == [
        "mac_pj",
        "memories.sram.pj_per_byte",
        "memories.dram.pj_per_byte",
    ]


def test_what_several_fields_break_together_is_told_with_what_one_breaks_alone(tmp_path):
    text = TOY.replace("gb_per_s: 8", "gb_per_s: -8").replace('"*": assumed', '"*": assumed, clock: a book')
    text = text.replace("[weight_stationary]", "[weight_stationery], memories: [srm]")
    with pytest.raises(ChipError) as error:
        load(tmp_path, text)
    assert [line.split(": ", 1)[1] for line in str(error.value).splitlines()] == [
        "engines.npu.dataflows: no dataflow 'weight_stationery'; did you mean 'weight_stationary'?",
        "engines.npu.memories: no memory 'srm'; did you mean 'sram'?",
        "memories.dram.gb_per_s = -8: must be > 0 [1e9 B/s]",
        "sources: no field 'clock'; did you mean 'clock_mhz'?",
    ]


@pytest.mark.parametrize(
    ("field", "given", "meant"),
    [
        ("size_mb", "8", "'size_mib' [MiB]? (8 MB is 7.62939 MiB)"),
        ("capacity_kib", "8", "'size_kib' [KiB]?"),
        ("size_gib", "1", "'size_mib' [MiB]? (1 GiB is 1024 MiB)"),
        ("size_b", "x", "'size_bytes' [B]?"),
        ("mb_per_s", "500", "'gb_per_s' [GB/s]? (500 MB/s is 0.5 GB/s)"),
        ("bits_per_cycle", "64", "'bytes_per_cycle' [B/cycle]? (64 bit/cycle is 8 B/cycle)"),
        ("bandwidth", "64", "'bytes_per_cycle' or 'gb_per_s'?"),
        ("nj_per_byte", "1", "'pj_per_byte' [pJ/B]? (1 nJ/B is 1000 pJ/B)"),
        ("reserved_mib", "1", "'reserved_kib' [KiB]? (1 MiB is 1024 KiB)"),
        ("latency", "1", "'latency_cycles'?"),
    ],
)
def test_another_unit_is_converted(tmp_path, field, given, meant):
    text = complaint(tmp_path, "pj_per_byte: 1.5", f"{field}: {given}")
    assert f"toy.yaml:7:54: memories.sram.{field}: unknown field; did you mean {meant}" in text


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": is empty"),
        ("# nothing\n", ": is empty"),
        ("---\n...\n", ": is empty"),
        (BOMB + TOY, ":1:4: anchor &a: anchors are refused; write the value out"),
        (TOY.replace("toy", "*toy"), ":2:7: alias *toy: aliases are refused; write the value out"),
        (
            TOY.replace("name: toy", "name: !!python/name:os.system x"),
            ":2:7: tag tag:yaml.org,2002:python/name:os.system",
        ),
        (
            TOY.replace("clock_mhz: 400", "clock_mhz: !!float 400"),
            ":3:12: tag tag:yaml.org,2002:float: tags are refused",
        ),
        (TOY.replace("clock_mhz: 400", "clock_mhz: !own 400"), ":3:12: tag !own: tags are refused"),
        (TOY.replace("name: toy", "<<: {name: toy}"), ":2:1: merge keys are refused"),
        (TOY + "---\n" + TOY, ":11:1: a second document starts here; keep one in a file"),
        (TOY.replace("name: toy", "name: toy\nname: toy"), ":3:1: key 'name' stands here twice"),
        (TOY.replace("name: toy", "[name]: toy"), ":2:1: a key must be a word or a number"),
        (TOY.replace("name: toy", "name: [" + "[" * 40), ":2:39: nested deeper than 32 levels"),
        (TOY.replace("]}", "}"), ":5:78: not YAML"),
        (TOY + "#" * 2**18, ": has 262,456 bytes; a file of this kind may have 262,144 at most"),
        ("a: [" + "1," * 20_000 + "]", ":1:6001: has more than 3,000 values"),
        ("\t- {", ":1:1: not YAML"),
        ("\0", "not YAML"),
    ],
)
def test_files_that_are_refused_before_they_are_read(tmp_path, text, said):
    with pytest.raises(ChipError) as error:
        load(tmp_path, text)
    assert len(str(error.value).splitlines()) == 1
    assert str(error.value).startswith(str(tmp_path / "toy.yaml"))
    assert said in str(error.value)


def test_a_profile_that_is_not_text_or_no_file(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ChipError, match=r"toy\.yaml: byte 6 is not UTF-8: not a YAML file"):
        load_chip(path)
    with pytest.raises(ChipError, match="is a folder, not a file"):
        load_chip(tmp_path)


def test_a_file_that_is_wrong_throughout_does_not_fill_the_screen(tmp_path):
    text = TOY + "".join(f"field{index}: 1\n" for index in range(70)) + f"{'x' * 1000}: 1\n"
    with pytest.raises(ChipError) as error:
        load(tmp_path, text)
    lines = str(error.value).splitlines()
    assert len(lines) == 51
    assert lines[-1] == f"{tmp_path / 'toy.yaml'}: … and 21 more problems"
    with pytest.raises(ChipError) as error:
        load(tmp_path, TOY + f"{'x' * 1000}: 1\n")
    assert len(str(error.value)) < 600


def test_a_changed_chip_obeys_the_same_rules(tmp_path):
    chip = load(tmp_path, TOY)
    for path, value, said in [
        ("sram.size_kib", -1, "toy: memories.sram.size_kib = -1: must be > 0 [KiB]"),
        ("npu.dataflows", ["x"], "toy: engines.npu.dataflows: no dataflow 'x'; known: weight_stationary"),
        ("npu.memories", ["sam"], "toy: engines.npu.memories: no memory 'sam'; did you mean 'sram'?"),
        ("npu.rows", float("nan"), "toy: engines.npu.rows = nan: must be a whole number"),
    ]:
        with pytest.raises(ChipError) as error:
            chip.replace(path, value)
        assert str(error.value).startswith(said)
    for path, said in [
        ("sram.size_kb", "toy has no field 'sram.size_kb'; did you mean 'sram.size_kib' [KiB]?"),
        ("memories.sram.size_gb", "did you mean 'memories.sram.size_mib' [MiB]?"),
        ("npu.row", "did you mean 'npu.rows'?"),
        ("clock_ghz", "did you mean 'clock_mhz' [MHz]?"),
        ("mac_pj.int9", "did you mean 'mac_pj.int8'?"),
        ("size_kib", "did you mean"),
        ("clock_mhz.x", "did you mean 'clock_mhz'?"),
        ("zzz", "toy has no field 'zzz'; see `hwsim chips show toy`"),
    ]:
        with pytest.raises(UsageError) as unknown:
            chip.replace(path, 1)
        assert said in str(unknown.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "7"])
def test_a_profile_is_a_mapping(tmp_path, text):
    with pytest.raises(ChipError, match="must be a mapping of fields"):
        load(tmp_path, text)


def test_missing_files_and_names():
    with pytest.raises(UsageError, match=r"did you mean 'stm32h747'\?"):
        load_chip("stm32h774")
    with pytest.raises(UsageError, match=r"nowhere\.yaml: there is no such file; chips that come with hwsim: "):
        load_chip("nowhere.yaml")
    with pytest.raises(UsageError, match=r"known: .*eyeriss"):
        load_chip("zzz")


TABLE = """\
schema: 1
name: t
core: cortex-m4
library: mine
runtime: x
fitted_to: nothing
dtypes: {int8: {conv: {cycles_per_mac: 1}}}
sources: {"*": assumed}
"""


def with_core(tmp_path, table="t"):
    lines = TOY.splitlines()
    lines[4] = f"  - {CORE.replace('x: t', 'x: ' + table)}"
    path = tmp_path / "mine" / "toy.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("folder", [".", "kernels"])
def test_a_profile_of_ones_own_beside_its_kernel_table(tmp_path, folder):
    path = with_core(tmp_path)
    (path.parent / folder).mkdir(exist_ok=True)
    (path.parent / folder / "t.yaml").write_text(TABLE)
    table = load_chip(path).engine("cpu").kernel_table
    assert table.cost("uint8", "conv", where="layer 'a'").cycles_per_mac == 1


@pytest.mark.parametrize("name", ["../t", "/etc/t", "a/b", "..", '""'])
def test_a_kernel_table_is_not_looked_for_elsewhere(tmp_path, name):
    (tmp_path / "t.yaml").write_text(TABLE)
    with pytest.raises(ChipError, match=r"kernels: .*must be a file name without folders"):
        load_chip(with_core(tmp_path, name))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "t.yaml").write_text(TABLE)
    path = with_core(tmp_path)
    (path.parent / "t.yaml").symlink_to(tmp_path / "t.yaml")
    with pytest.raises(ChipError, match="no kernel table 't'"):
        load_chip(path)


def test_a_missing_kernel_table_is_suggested(tmp_path):
    with pytest.raises(ChipError, match=r"engines.cpu.kernels.x: .*did you mean 'cortex-m4_x-cube-ai_9.1'\?"):
        load_chip(with_core(tmp_path, "cortex-m4_x-cube-ai_9"))


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("cycles_per_mac: 1", "cycles_per_macs: 1", "7:24", "unknown field; did you mean 'cycles_per_mac'?"),
        ("cycles_per_mac: 1", "cycles_per_mac: -1", "7:24", "dtypes.int8.conv.cycles_per_mac = -1: must be >= 0"),
        ("cycles_per_mac: 1", "", "7:17", "give at least one coefficient"),
        ("conv:", "convolution:", "7:17", "dtypes.int8.convolution: must be one of conv, pointwise, "),
        ("runtime: x\n", "", "1:1", "runtime: missing"),
        ("fitted_to: nothing", "fitted_to: x\nfit_error: {mape: 0.1, m: 2}", "7:24", "unknown field"),
    ],
)
def test_bad_kernel_tables(tmp_path, old, new, place, said):
    path = tmp_path / "t.yaml"
    path.write_text(TABLE.replace(old, new))
    with pytest.raises(ChipError) as error:
        load_kernel_table(path)
    assert any(said in line and f":{place}: " in line for line in str(error.value).splitlines()), error.value


FLOW = "{{name: own, rows: [C], cols: [K], at_most: {{{}}}, stationary: filter}}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # rows: 16, cols: 8
        (
            "[weight_stationary]",
            f"[{FLOW.format('C: 32')}]",
            "at_most.C = 32: unrolls beyond the array, which has 16 rows",
        ),
        (
            "[weight_stationary]",
            f"[{FLOW.format('K: 9')}]",
            "at_most.K = 9: unrolls beyond the array, which has 8 cols",
        ),
        (
            "[weight_stationary]",
            "[{name: own, rows: [Z], cols: [K], stationary: filter}]",
            "rows.0 = 'Z': must be one of N",
        ),
        (
            "dataflows:",
            "memories: [dram], dataflows:",
            "memories.sram: no engine reaches it; name it in engines.*.memories",
        ),
        ("gb_per_s: 8", "gb_per_s: 0", "memories.dram.gb_per_s = 0: must be > 0 [1e9 B/s]"),
        ("bytes_per_cycle: 32", "bytes_per_cycle: 0", "memories.sram.bytes_per_cycle = 0: must be > 0 [B/cycle]"),
    ],
)
def test_machines_that_cannot_be(tmp_path, old, new, said):
    told = complaint(tmp_path, old, new)
    assert said in told
    assert told.startswith(f"{tmp_path / 'toy.yaml'}:")
    assert told.count("\n") == 0


def test_caps_as_large_as_the_array_are_right_and_idle_in_a_smaller_one(tmp_path):
    chip = load(tmp_path, TOY.replace("[weight_stationary]", f"[{FLOW.format('C: 16, K: 8')}]"))
    assert chip.replace("npu.rows", 4).engine("npu").rows == 4
