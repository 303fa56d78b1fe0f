"""``fit``: which chips hold a net, why others do not, and the nearest change with which they would."""

import json

import pytest

from hwsim.chip import load_chip
from hwsim.errors import CostError, UsageError
from hwsim.graph import GraphBuilder
from hwsim.importers import load_net, smaller_nets
from hwsim.report import evaluate, fit
from hwsim.report.fit_table import fit_facts, fit_quotes, fit_table
from hwsim.report.fitting import fits_json
from hwsim.report.table import laid_out


def dense(inputs, outputs, dtype="float32"):
    b = GraphBuilder(f"dense{inputs}")
    return b.build([b.dense(b.input("x", (1, inputs), dtype), outputs, name="fc")])


def test_it_holds_what_evaluate_says(small_net, mcu, npu):
    for chip in (mcu, npu):
        held, report = fit(small_net, chip), evaluate(small_net, chip)
        assert held.fits
        assert held.memories == report.memories
        assert held.arena_bytes == report.arena_bytes
        assert held.peak_layer == report.peak_layer
        assert held.peak_tensors == report.peak_tensors
        assert (held.change, held.ways_out, held.untimed) == ("", (), ())


def test_the_nearest_change_is_a_dtype(mcu):
    # 4·(20 000 + 10) B = 78.2 KiB and 2 KiB of the library are more than 64 KiB of RAM, 20 010 B are not; nor do
    # 4·(20 000·10 + 10) B fit 512 KiB of flash.
    held = fit(dense(20_000, 10), mcu)
    assert held.reason.startswith("does not fit ram: needs 80.2 KiB, has 64.0 KiB (activations 78.2 KiB); nor flash")
    assert held.change == "--dtype int8"
    assert held.ways_out == ()


def test_the_nearest_change_is_a_place():
    # 400 000 float32 inputs are 1.53 MiB: too many for the AXI SRAM of 512 KiB, not for the SDRAM of 32 MiB.
    chip = load_chip("stm32h747")
    b = GraphBuilder("wide")
    net = b.build([b.unary("relu", b.input("x", (1, 400_000), "float32"))])
    held = fit(net, chip, place={"activations": "axi_sram"})
    assert held.reason.startswith("does not fit axi_sram")
    assert held.change == "--place activations=sdram"
    assert fit(net, chip, place={"activations": "sdram"}).fits


def test_the_nearest_change_is_a_batch(mcu):
    # One image: 7000 + 10 B. Nine need 63 090 B, which fit into 65 536 less 2048 of the library; ten do not.
    net = dense(7_000, 10, "int8")
    assert fit(net, mcu, batch=9).fits
    held = fit(net, mcu, batch=10)
    assert held.change == "--batch 5"


def test_the_nearest_change_is_a_smaller_net(mcu):
    calls = []

    def smaller():
        calls.append(1)
        return [
            (("--with inputs=70000",), dense(70_000, 2, "int8")),
            (("--with inputs=50000",), dense(50_000, 2, "int8")),
        ]

    held = fit(dense(80_000, 2, "int8"), mcu, smaller=smaller)
    assert held.change == "--with inputs=50000"
    assert len(calls) == 1
    # At float32 50 000 are too many again: two changes at once.
    assert fit(dense(80_000, 2), mcu, smaller=lambda: [(("--with inputs=50000",), dense(50_000, 2))]).change == (
        "--dtype int8 --with inputs=50000"
    )
    assert fit(dense(8_000, 2), mcu, smaller=smaller).change == ""
    assert len(calls) == 1  # nothing is built for a net that fits


def test_without_a_way_it_says_how_much_must_go(mcu):
    # 80 000 + 2 B of activations, 65 536 − 2048 of room: 16 514 B (16.1 KiB) must go.
    held = fit(dense(80_000, 2), mcu, dtype="int8")
    assert held.change == ""
    assert held.ways_out == ("ram: 16.1 KiB of activations must go around fc",)


def test_a_net_without_times_is_held_all_the_same(small_net, mcu):
    # The toy kernels have no int16; every activation takes twice the bytes all the same.
    with pytest.raises(CostError, match="int16"):
        evaluate(small_net, mcu, dtype="int16")
    held = fit(small_net, mcu, dtype="int16")
    assert held.fits
    assert held.untimed == (
        "layer 'conv': kernel table toy_kernels has no int16 kernels; it has int8: cost the net with --dtype",
    )
    assert held.memories[0].items["activations"] == 2 * evaluate(small_net, mcu).memories[0].items["activations"]


def test_layers_that_no_engine_takes_are_said(small_net, npu):
    lone = npu.replace("npu.takes", ["conv", "pointwise", "depthwise", "dense", "elementwise", "copy"])
    with pytest.raises(CostError, match="takes pool layers"):
        evaluate(small_net, lone)
    held = fit(small_net, lone)
    assert held.fits
    assert held.untimed == tuple(
        f"no engine of toy-npu takes {kind} layers; add a host core to it" for kind in ("pool", "softmax")
    )
    assert held.arena_bytes == fit(small_net, npu).arena_bytes


def test_what_the_engine_cannot_do_is_said(npu):
    held = fit(dense(10, 10, "int8"), npu, dtype="int16")
    assert not held.fits
    assert held.memories == ()
    assert held.reason == "does not run: engine 'npu' does no int16 MACs; it does int8: cost the net with --dtype"
    assert held.change == "--dtype int8"
    row = fit_table([held]).rows[0]
    assert row[-2] == "DOES NOT RUN"


def test_table_csv_and_json_say_the_same(small_net, mcu):
    fits = [fit(small_net, mcu), fit(dense(20_000, 10), mcu)]
    rows = fit_table(fits).rows
    assert [row[7] for row in rows] == ["fits", "fits", "DOES NOT FIT", "DOES NOT FIT"]
    assert [row[0] for row in rows] == ["small", "", "dense20000", ""]
    assert all(len(line) <= 100 for line in laid_out(fit_table(fits), 100).rows)
    flat = [record for one in fits for record in one.rows()]
    assert [record["margin_bytes"] for record in flat] == [
        memory.margin_bytes for one in fits for memory in one.memories
    ]
    data = json.loads(fits_json(fits))["fits"]
    assert [one["fits"] for one in data] == [True, False]
    assert data[1]["memories"][0]["margin_bytes"] == flat[2]["margin_bytes"]
    assert data[1]["peak_tensors"][0]["size_bytes"] == 80_000
    told = [(fact.label, fact.text) for fact in fit_facts(fits)]
    assert told[2] == (
        "dense20000 on toy-mcu",
        "fullest during fc: x 78.1 KiB, fc 40 B; no plan takes less than 78.2 KiB",
    )
    assert told[-1] == ("dense20000 on toy-mcu", "fits with --dtype int8")
    assert fit_quotes(fits) == ["small fits 1 of 1 chip", "dense20000 fits 0 of 1 chip, 1 more with a change"]


def test_bad_arguments_are_told(small_net, mcu):
    with pytest.raises(UsageError, match="batch = 0"):
        fit(small_net, mcu, batch=0)
    with pytest.raises(UsageError, match="place weights=rom"):
        fit(small_net, mcu, place={"weights": "rom"})


def test_scratch_is_planned_with_the_activations():
    # RAM for exactly what the net takes at int8: at float32 it does not fit, and int8 is the way out.
    chip, net = load_chip("stm32l4r5"), load_net("resnet8")
    narrow, wide = (evaluate(net, chip, dtype=dtype).memories[0].items for dtype in ("int8", "float32"))
    assert narrow["scratch"] > 0
    need = narrow["activations"] + narrow["scratch"] + wide["runtime"]
    for spare, told in ((0, True), (-1, False)):
        small = chip.replace("sram.size_kib", (need + spare) / 1024)
        (way,) = evaluate(net, small).ways_out
        assert ("(--dtype int8)" in way) is told


def test_smaller_nets_come_in_order():
    made = smaller_nets("mobilenet_v1", resolution=96)
    assert made[0][0] == {"resolution": 80}
    assert {"alpha": 0.5} in [change for change, _ in made]
    counts = [(len(change), -net.macs) for change, net in made]
    assert counts == sorted(counts)
    base = smaller_nets("st_hand_posture")
    assert base == []
    for change, net in made:
        if "alpha" not in change:
            assert net.tensors[net.inputs[0]].shape[1] == change["resolution"]
