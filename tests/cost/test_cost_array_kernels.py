"""What a kernel table adds to an array, by hand; the power of an array; arrays that a runtime does not use."""

import pytest

from hwsim.chip import ArrayEngine, HardwarePoints, load_chip
from hwsim.cost import cost, lower, totals
from hwsim.errors import ChipError, CostError, UsageError
from hwsim.graph import GraphBuilder
from hwsim.report import evaluate

CHIP = """\
schema: 1
name: toy
clock_mhz: 100
engines:
  - name: npu
    kind: array
    rows: 4
    cols: 4
    dataflows: [weight_stationary]
    vector_lanes: 2
    memories: [buffer, sram]
    {more}
  - name: cpu
    kind: core
    core: cortex-m7
    peak_macs_per_cycle: {{int8: 2}}
    kernels: {{st-edge-ai-4.0: cortex-m7_st-edge-ai_4.0}}
    memories: [sram]
    run_mw: 5
memories:
  - {{name: buffer, size_kib: 64, bytes_per_cycle: 1024, pj_per_byte: 1, transfers: ideal}}
  - {{name: sram, size_kib: 512, bytes_per_cycle: 1024, pj_per_byte: 2}}
mac_pj: {{int8: 1}}
sources: {{"*": assumed}}
"""
TABLE = """\
schema: 1
name: npu_lib
core: toy-array
library: lib
runtime: lib
fitted_to: nothing
dtypes:
  int8:
    pointwise: {cycles_per_array_cycle: 3, cycles_per_output: 0.5, cycles_per_call: 100}
    pool: {cycles_per_input: 2, cycles_per_call: 100}
sources: {"*": assumed}
"""


@pytest.fixture
def chip(tmp_path):
    def load(more="", runtime=None):
        (tmp_path / "npu_lib.yaml").write_text(TABLE)
        (tmp_path / "toy.yaml").write_text(CHIP.format(more=more))
        return load_chip(tmp_path / "toy.yaml", runtime=runtime)

    return load


@pytest.fixture
def net():
    b = GraphBuilder("toy")
    x = b.conv2d(b.input("x", (1, 4, 4, 8)), 8, 1, bias=False, name="pw")
    return b.build([b.pool("max", x, 2, name="pool")])


def test_a_table_adds_to_the_mapping(chip, net):
    bare = evaluate(net, chip(), dtype="int8")
    told = evaluate(net, chip("kernels: {lib: npu_lib}"), dtype="int8")
    # 16 pixels x (8/4) x (8/4) passes = 64 cycles; with the table 3 * 64 + 0.5 * 128 outputs + 100 = 356.
    assert bare.layers[0].cycles == 64
    assert told.layers[0].cycles == 3 * 64 + 0.5 * 128 + 100
    # 32 outputs of four operations on two lanes: 64 cycles; with the table 2 * 128 inputs + 100 more.
    assert told.layers[1].cycles - bare.layers[1].cycles == 2 * 128 + 100
    assert told.latency_s - bare.latency_s == pytest.approx((3 * 64 + 64 + 100 - 64 + 356) / 100e6)
    assert told.macs == bare.macs
    assert told.runtime == "lib"
    assert bare.runtime == ""


def test_a_kind_without_an_entry_is_named(chip):
    b = GraphBuilder("dense")
    graph = b.build([b.dense(b.input("x", (1, 8)), 4, name="fc")])
    with pytest.raises(CostError, match="layer 'fc': kernel table npu_lib has no dense kernel for int8"):
        evaluate(graph, chip("kernels: {lib: npu_lib}"), dtype="int8")


def test_an_array_with_a_power_is_priced_by_it_alone(chip, net):
    report = evaluate(net, chip("run_mw: 20"), dtype="int8")
    assert report.energy_j == pytest.approx(20e-3 * report.latency_s)
    # Without: MACs at 1 pJ are part of it.
    assert evaluate(net, chip(), dtype="int8").energy_j > 1024e-12


def test_a_runtime_that_an_array_lacks_leaves_it_unused(chip, net):
    found = chip("kernels: {lib: npu_lib}", runtime="st-edge-ai-4.0")
    assert [engine.name for engine in found.engines] == ["cpu"]
    assert [engine.name for engine in chip("kernels: {lib: npu_lib}", runtime="lib").engines] == ["npu", "cpu"]
    # An array without kernels runs whatever the cores' library is.
    assert [engine.name for engine in chip(runtime="st-edge-ai-4.0").engines] == ["npu", "cpu"]
    with pytest.raises(UsageError, match=r"toy has no runtime 'lub'; did you mean 'lib'\?"):
        chip("kernels: {lib: npu_lib}", runtime="lub")


def test_a_table_of_an_array_has_to_be_there(chip):
    with pytest.raises(ChipError, match=r"engines.npu.kernels.lib: no kernel table 'nothing_there'"):
        chip("kernels: {lib: nothing_there}")
    with pytest.raises(ChipError, match="default_runtime = 'lub': must be one of those of kernels"):
        chip("default_runtime: lub")


@pytest.mark.parametrize(
    ("name", "without"),
    [("stm32n6", "tflm-cmsis-nn"), ("efr32mg24", "tflm-cmsis-nn"), ("stm32u3c5", "st-edge-ai-4.0")],
)
def test_shipped_chips_run_with_their_npu_or_without(name, without):
    assert any(isinstance(engine, ArrayEngine) for engine in load_chip(name).engines)
    assert not any(isinstance(engine, ArrayEngine) for engine in load_chip(name, runtime=without).engines)


def test_totals_are_the_sums_of_layers(chip, net):
    found = chip("kernels: {lib: npu_lib}\n    run_mw: 20")
    points, workload = HardwarePoints.of(found, {"sram.bytes_per_cycle": [1, 4, 1024]}), lower(net, dtype="int8")
    layers, sums = cost(workload, points), totals(workload, points)
    assert sums.latency_s == pytest.approx(layers.latency_s.sum(axis=0))
    assert sums.energy_parts_j.sum(axis=0) == pytest.approx(layers.energy_j.sum(axis=(0, 1)))
    assert layers.energy_j.sum(axis=(0, 1)) == pytest.approx(20e-3 * layers.latency_s.sum(axis=0))
