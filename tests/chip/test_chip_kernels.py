"""Kernel tables that refer to a physical one, and the errors that stand beside them."""

import pytest

from hwsim.chip import ErrorBar, error_bar, load_kernel_table, validated
from hwsim.chip.kernels import Factors, FitError, KernelTable
from hwsim.errors import ChipError

BASE = """\
schema: 1
name: core
core: cortex-m4
library: the core's physical table
runtime: none
inner_lanes: 4
weight_reuse: 2
stall_factor: 1.5
fitted_to: nothing
dtypes:
  int8:
    conv: {cycles_per_mac: 1, cycles_per_weight_byte: 10, cycles_per_call: 100}
    pool: {cycles_per_mac: 2, cycles_per_call: 100}
  float32:
    conv: {cycles_per_mac: 4}
sources: {"*": assumed}
"""
RELEASE = """\
schema: 1
name: release
core: cortex-m4
library: a library 1.0
runtime: library-1.0
base: core
factors: {conv: 0.5, other: 3, stream: 0.1}
fitted_to: nothing
sources: {"*": assumed}
"""


def load(folder, release=RELEASE, base=BASE):
    (folder / "core.yaml").write_text(base)
    (folder / "release.yaml").write_text(release)
    return load_kernel_table(folder / "release.yaml")


def test_a_release_is_its_core_times_factors(tmp_path):
    table = load(tmp_path)
    conv, pool = (table.cost("int8", kind, where="here") for kind in ("conv", "pool"))
    assert (conv.cycles_per_mac, conv.cycles_per_weight_byte, conv.cycles_per_call) == (0.5, pytest.approx(1), 300)
    assert (pool.cycles_per_mac, pool.cycles_per_call) == (6, 300)
    assert (table.inner_lanes, table.filter_lanes, table.weight_reuse) == (4, 1, 2)
    assert table.stalls("int8") == table.stalls("uint8") == pytest.approx(0.15)
    assert table.runtime == "library-1.0"


def test_factors_are_of_integer_kernels(tmp_path):
    table = load(tmp_path)
    assert table.cost("float32", "conv", where="here").cycles_per_mac == 4
    assert table.stalls("float32") == 1.5


def test_what_a_release_states_itself_stands(tmp_path):
    own = "inner_lanes: 2\ndtypes: {int8: {pool: {cycles_per_mac: 7}}, int16: {conv: {cycles_per_mac: 9}}}\n"
    table = load(tmp_path, RELEASE + own)
    assert table.inner_lanes == 2
    assert table.cost("int8", "pool", where="here").cycles_per_mac == 7
    assert table.cost("int16", "conv", where="here").cycles_per_mac == 9
    assert table.cost("int8", "conv", where="here").cycles_per_mac == 0.5


def test_a_variant_costs_what_its_kind_does_unless_it_is_listed(tmp_path):
    listed = BASE.replace(
        "    pool:", "    elementwise: {cycles_per_output: 5}\n    multiply: {cycles_per_output: 50}\n    pool:"
    )
    table = load(tmp_path, base=listed)
    assert table.cost("int8", "elementwise", where="here").cycles_per_output == 15
    assert table.cost("int8", "elementwise", where="here", variant="multiply").cycles_per_output == 150
    assert table.cost("int8", "pool", where="here", variant="odd").cycles_per_mac == 6


@pytest.mark.parametrize(
    ("release", "base", "said"),
    [
        (RELEASE.replace("base: core", "base: cor"), BASE, "base = 'cor': there is no such kernel table"),
        (RELEASE.replace("base: core", "base: ../core"), BASE, "base: '../core': must be a file name without folders"),
        (
            RELEASE,
            RELEASE.replace("name: release", "name: core"),
            "base = 'core': has a base itself (core); name that one",
        ),
        (
            RELEASE.replace("base: core\n", ""),
            BASE,
            "dtypes: missing: give costs by dtype and layer kind, or a base table",
        ),
        (RELEASE.replace("conv: 0.5", "conv: 0"), BASE, "factors.conv = 0: must be > 0"),
        (RELEASE.replace("conv: 0.5", "convs: 0.5"), BASE, "unknown field; did you mean 'conv'?"),
        (BASE.replace("name: core", "name: release") + "factors: {conv: 2}\n", BASE, "they apply to a base table"),
    ],
)
def test_what_a_base_must_be(tmp_path, release, base, said):
    with pytest.raises(ChipError) as error:
        load(tmp_path, release, base)
    assert said in str(error.value)


# -- error bars --------------------------------------------------------------------------------------------------------


def errors(chip, runtime, n, families, p90, core="cortex-m4", dtype="int8"):
    return validated._Errors(chip=chip, core=core, runtime=runtime, dtype=dtype, n=n, families=families, p90=p90)


def a_table(runtime="lib", base="cortex-m4", left_out=None):
    return KernelTable(
        schema=1,
        name="t",
        core="cortex-m4",
        library="l",
        runtime=runtime,
        base=base,
        dtypes={"int8": {"conv": {"cycles_per_mac": 1.0}}},
        factors=Factors(),
        fitted_to="nothing",
        left_out_error=left_out,
        sources={"*": "assumed"},
    )


@pytest.fixture
def known(monkeypatch):
    def know(*rows):
        monkeypatch.setattr(validated, "_rows", lambda: rows)

    return know


def test_the_chips_own_rows_with_the_release_come_first(known):
    known(errors("a", "lib", 8, 4, 0.1), errors("a", "*", 20, 6, 0.3))
    told = error_bar("a", "cortex-m4", a_table(), "int8")
    assert told.p90 == 0.1
    assert "8 measurements here with lib, 4 net families" in told.source
    assert error_bar("a", "cortex-m4", a_table("other"), "uint8").p90 == 0.3


@pytest.mark.parametrize(("n", "families"), [(7, 4), (8, 3)])
def test_too_few_rows_make_no_error_bar(known, n, families):
    known(errors("a", "lib", n, families, 0.1), errors("a", "*", n, families, 0.1), errors("b", "*", 9, 4, 0.2))
    told = error_bar("a", "cortex-m4", a_table(), "int8")
    assert told == ErrorBar(
        None,
        f"not validated: measured here: {n} measurements of {families} net families; p90 on other cortex-m4 chips: 20%",
    )


def test_other_chips_of_the_core_tell_a_range(known):
    known(
        errors("b", "*", 9, 4, 0.15),
        errors("c", "*", 9, 5, 0.31),
        errors("d", "*", 2, 1, 0.9),
        errors("e", "lib", 9, 9, 0.8),
    )
    told = error_bar("a", "cortex-m4", a_table(), "int8")
    assert told.p90 is None
    assert told.source.endswith("p90 on other cortex-m4 chips: 15% to 31%")
    assert error_bar("a", "cortex-m4", a_table(), "float32") == ErrorBar(None, "not validated")
    assert error_bar("a", "cortex-m7", a_table(), "int8") == ErrorBar(None, "not validated")


def test_a_calibrated_table_carries_its_own_error(known):
    known(errors("a", "lib", 8, 4, 0.1))
    told = error_bar("a", "cortex-m4", a_table(base=None, left_out=FitError(mape=0.05, p90=0.07, n=8)), "int8")
    assert told.p90 == 0.07
    assert (
        error_bar("a", "cortex-m4", a_table(base=None, left_out=FitError(mape=0.05, p90=0.07, n=7)), "int8").p90 is None
    )
