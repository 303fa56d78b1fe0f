"""Arithmetic that users write: it computes what Python would, and lets nothing else in."""

import numpy as np
import pytest

from hwsim.chip.macs import mac_area_mm2, mac_energy_pj
from hwsim.chip.sram import sram_pj_per_byte
from hwsim.errors import UsageError
from hwsim.explore.expression import MAX_LENGTH, parse

COLUMNS = {
    "npu.rows": np.array([8, 16, 32]),
    "sram.size_kib": np.array([32.0, 64.0, 128.0]),
    "net": np.array(["a", "b", "a"], dtype=object),
    "latency_ms": np.array([5.0, np.nan, 20.0]),
}


def value(text, **more):
    return parse(text)(COLUMNS.__getitem__, **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("npu.rows * 2 + 1", [17, 33, 65]),
        ("-npu.rows ** 2", [-64, -256, -1024]),
        ("npu.rows // 10 + npu.rows % 10", [8, 7, 5]),  # 0 + 8, 1 + 6, 3 + 2
        ("npu.rows / sram.size_kib", [0.25, 0.25, 0.25]),
        ("min(npu.rows, 10, 12)", [8, 10, 10]),
        ("max(sqrt(sram.size_kib * 2), 10)", [10, 128**0.5, 16]),
        ("log2(npu.rows)", [3, 4, 5]),
        ("round(npu.rows / 10) + ceil(npu.rows / 10) + floor(npu.rows / 10)", [1 + 1 + 0, 2 + 2 + 1, 3 + 4 + 3]),
        ("npu.rows if sram.size_kib < 100 else 0", [8, 16, 0]),
        ("8 < npu.rows <= 32", [False, True, True]),
        ("latency_ms < 10 or net == 'a'", [True, False, True]),
        ("not (net != 'a' and npu.rows > 1)", [True, False, True]),
    ],
)
def test_values(text, expected):
    assert np.asarray(value(text)).tolist() == pytest.approx(expected)


def test_names_are_told_in_order():
    assert parse("npu.rows + sram.size_kib * npu.rows + max(latency_ms, 1)").names == (
        "npu.rows",
        "sram.size_kib",
        "latency_ms",
    )


def test_whole_numbers_do_not_overflow():
    big = {"n": np.array([2**40])}
    assert parse("n * n * n")(big.__getitem__)[0] == 2.0**120
    assert value("9 ** 9 ** 9 ** 9") == np.inf  # and comes back at once


def test_nothing_has_no_value_but_nan():
    assert np.isnan(value("log2(0 - npu.rows)")).all()
    assert value("npu.rows / 0").tolist() == [np.inf] * 3
    assert parse("latency_ms < 10").where(COLUMNS.__getitem__).tolist() == [True, False, False]


def test_sram_by_size_and_node():
    read, _ = sram_pj_per_byte(np.array([32, 64, 128]) * 1024, 45)
    assert value("sram_energy(sram.size_kib, 45)").tolist() == read.tolist()
    assert value("sram_energy(sram.size_kib)", node_nm=45.0).tolist() == read.tolist()
    # CACTI 7, 32 KiB at 45 nm, 64-bit accesses: 14.694 pJ a read -> 1.837 pJ/B; 0.1119 mm2.
    assert value("sram_energy(32, 45)") == pytest.approx(14.694 / 8, rel=1e-3)
    assert value("sram_area(32, 45)") == pytest.approx(0.1119, rel=1e-3)


def test_macs_by_dtype_and_node():
    # Horowitz at 45 nm: 8-bit multiply 0.2 pJ and 32-bit add 0.1 pJ; float32 3.7 + 0.9.
    assert value("mac_energy('int8', 45)") == pytest.approx(0.3)
    assert mac_energy_pj("float32", 45) == pytest.approx(4.6)
    # Stillmaker and Baas: density 2.2 at 32 nm; (282 + 137) µm² / 2.2.
    assert value("mac_area('int8', 32)") == pytest.approx(419e-6 / 2.2)
    # Energies at 0.9 V: 1.103·0.81 − 0.362·0.9 + 0.2767 = 0.84433 at 45 nm, 0.54123 at 32 nm.
    assert mac_energy_pj("int8", 32) == pytest.approx(0.3 * 0.54123 / 0.84433, rel=1e-4)
    nodes = np.array([7, 22, 28, 45, 65, 130])
    assert (np.diff(mac_energy_pj("int8", nodes)) > 0).all()
    assert (np.diff(mac_area_mm2("int8", nodes)) > 0).all()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("__import__('os').system('true')", "is not arithmetic"),
        ("().__class__", "is not arithmetic"),
        ("(lambda: 1)()", "is not arithmetic"),
        ("[x for x in (1, 2)]", "is not arithmetic"),
        ("{'a': 1}", "is not arithmetic"),
        ("a[0]", "is not arithmetic"),
        ("f'{a}'", "is not arithmetic"),
        ("(a := 3)", "is not arithmetic"),
        ("True", "is not arithmetic"),
        ("1 < " + "9" * 400, "a number is beyond"),
        ("(1)(2)", "is not arithmetic"),
        ("1j", "is not arithmetic"),
        ("a & b", "write 'and' for &"),
        ("a ^ 2", r"write \*\* for \^"),
        ("a < b in c", "is not arithmetic"),
        ("rows = cols", "is not arithmetic"),
        ("1 +", "is not arithmetic"),
        ("", "is empty"),
        ("(" * 500 + ")" * 500, "is not arithmetic"),
        ("-" * 500 + "1", "nested deeper"),
        ("1" * (MAX_LENGTH + 1), "is the most"),
        ("eval(1)", "there is no function 'eval'"),
        ("sqr(1)", "did you mean 'sqrt'"),
        ("min(1)", r"is written min\(a, b, …\)"),
        ("max(*a)", "is not arithmetic"),
        ("round(a, ndigits=2)", "is not arithmetic"),
    ],
)
def test_what_is_not_arithmetic_is_refused(text, told):
    with pytest.raises(UsageError, match=told) as error:
        parse(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("net + 1", "is a word"),
        ("net < 'b'", "words are == or !="),
        ("net == 1", "compares a word with a number"),
        ("sqrt(net)", "takes numbers"),
        ("sram_energy(1e9, 45)", "outside of its table, 1 KiB to 4 MiB"),
        ("sram_energy(32)", "has no process_nm"),
        ("mac_energy('int9', 45)", "did you mean 'int8'"),
        ("mac_energy('int8', 3)", "7 to 130 nm"),
    ],
)
def test_what_has_no_value_is_told(text, told):
    with pytest.raises(UsageError, match=told):
        value(text)


def test_a_condition_is_no_number():
    with pytest.raises(UsageError, match="is a number"):
        parse("npu.rows").where(COLUMNS.__getitem__)
