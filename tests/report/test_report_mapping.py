"""Mappings as loop nests and as files: read back they come to the same, and counted execution agrees."""

import json
from pathlib import Path

import numpy as np
import pytest

from hwsim.chip import HardwarePoints, load_chip
from hwsim.cost import cost, counted, lower
from hwsim.cost.replay import Chosen, chosen_mappings, replay
from hwsim.errors import UsageError
from hwsim.graph import GraphBuilder
from hwsim.report import loop_nest
from hwsim.report.mapping_file import mapping_json, mapping_yaml, read_mapping, replayed
from hwsim.report.mappings import mappings_of


def test_loops_are_those_of_the_counted_execution():
    assert loop_nest.LOOPS == counted.LOOPS
    for stationary, order in loop_nest.PASSES.items():
        assert counted._pass_order(stationary) == order


def one_conv():
    b = GraphBuilder("one")
    x = b.input("x", (1, 6, 5, 4), "int8")
    return b.build([b.conv2d(x, 6, 3, padding="same", name="conv")])


def tight(npu, size_bytes=400, **more):
    """The toy array with a buffer that holds only tiles of the layer."""
    return npu.replace("npu.rows", 4).replace("npu.cols", 4).replace("sram.size_bytes", size_bytes, **more)


CHIPS = [
    "toy_npu", "toy_split", "eyeriss", "gemmini", "squeezelerator", "nvdla_small", "eyeriss_v2", "ethos_u55_128",
    "gap9",
]  # fmt: skip


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("objective", ["latency", "traffic"])
def test_a_chosen_mapping_replayed_comes_to_what_the_report_has(name, objective, small_net, data_folder):
    file = data_folder / f"{name}.yaml"
    chip = load_chip(file if file.exists() else name)
    workload = lower(small_net, dtype="int16" if name in ("eyeriss", "squeezelerator") else "int8")
    costs = cost(workload, HardwarePoints.of(chip), objective=objective)
    names = [memory.name for memory in chip.memories]
    homes = [names.index(home) for home in costs.mapped_engine.homes(chip)]
    chosen = chosen_mappings(costs, 0)
    assert len(chosen) == 4
    # What a kernel table adds to a layer by the call is not its mapping's.
    own = dict(zip(costs.mapped_layers.tolist(), costs.mapped.cycles[:, 0], strict=True))
    for index, one in chosen.items():
        done = replay(workload.rows[index], costs.mapped_engine, chip, one)
        assert done.cycles == own[index] <= costs.cycles[index, 0]
        assert done.utilization == pytest.approx(costs.utilization[index, 0] * costs.cycles[index, 0] / own[index])
        assert sum(done.home_bytes.values()) == costs.traffic_bytes[homes, ..., index, 0].sum()
        for buffer, moved in done.buffer_bytes.items():
            assert list(moved) == costs.traffic_bytes[names.index(buffer), ..., index, 0].sum(axis=1).tolist()


def test_what_stays_between_layers_is_replayed_and_read_back(small_net, npu, tmp_path):
    chip = npu.replace("npu.inter_layer", ["resident"])
    costs = cost(lower(small_net, dtype="int8"), HardwarePoints.of(chip), objective="traffic")
    names = [memory.name for memory in chip.memories]
    found = mappings_of(small_net, chip, objective="traffic", dtype="int8")
    layers = {layer.layer: layer for layer in found.file.layers}
    stays = {"ifmap": 0, "ofmap": 0}
    for index, one in chosen_mappings(costs, 0).items():
        row = costs.workload.rows[index]
        done = replay(row, costs.mapped_engine, chip, one)
        moved = costs.traffic_bytes[:, ..., index, 0]
        assert sum(done.home_bytes.values()) == moved[names.index("dram")].sum()
        assert list(done.buffer_bytes["sram"]) == moved[names.index("sram")].sum(axis=1).tolist()
        assert (layers[row.layer.name].resident or ()) == one.resident
        for operand in one.resident:
            stays[operand] += 1
            assert done.home_bytes[operand] == 0
    assert min(stays.values()) > 0
    assert any(
        "on chip: a layer before left the ifmap in its buffer" in line for block in found.blocks for line in block
    )
    path = tmp_path / "m.yaml"
    path.write_text(mapping_yaml(found.file))
    again = mappings_of(small_net, chip, objective="traffic", dtype="int8", source=path)
    assert (again.file, again.blocks) == (found.file, found.blocks)
    with pytest.raises(UsageError, match=r"resident = .*: npu keeps nothing between layers"):
        mappings_of(small_net, npu, objective="traffic", dtype="int8", source=path)


@pytest.mark.parametrize("objective", ["latency", "energy", "traffic"])
def test_a_file_read_back_is_what_counted_execution_counts(objective, npu, tmp_path):
    chip = tight(npu, **{"sram.transfers": "serial"})
    found = mappings_of(one_conv(), chip, objective=objective, dtype="int8")
    path = tmp_path / "m.yaml"
    path.write_text(mapping_yaml(found.file))
    file = read_mapping(path)
    assert file == found.file
    (row,) = [row for row in lower(one_conv(), dtype="int8").rows if row.nest is not None]
    (engine,) = chip.engines
    (done,) = replayed(file, path, [row], engine, chip).values()
    (layer,) = file.layers
    flow = next(flow for flow in engine.dataflow_table if flow.name == layer.dataflow)
    order = (layer.stays, layer.sweep, layer.kept)
    ones = np.ones((1, 1, 4, 6, 5), dtype=np.int64), np.ones((1, 6, 4, 3, 3), dtype=np.int64)
    counts = counted.execute(row.nest, flow, 4, 4, order, layer.tile.model_dump(), *ones)
    assert (done.cycles, layer.cycles) == (counts.cycles, counts.cycles)
    # Bytes are elements, but for biases of 4 B and psums of 4 B.
    assert done.home_bytes == layer.home_bytes == {
        "ifmap": counts.ifmap,
        "filter": counts.filter + 6 * 4,
        "ofmap": counts.ofmap_out,
        "psum_in": 4 * counts.psum_in,
        "psum_out": 4 * counts.psum_out,
    }  # fmt: skip
    assert done.transfers == sum(counts.moves.values())
    assert sum(done.tile_bytes.values()) <= 400


def test_a_nest_by_hand(npu):
    # 3x3 over 6 x 5 pixels, 4 channels, 6 filters, on 4 x 4 PEs with weights staying.
    (row,) = [row for row in lower(one_conv(), dtype="int8").rows if row.nest is not None]
    chip = tight(npu)
    chosen = Chosen(
        dataflow="weight_stationary", stays="filter", sweep="P", kept="",
        tiles={"N": 1, "G": 1, "K": 6, "C": 4, "P": 2, "Q": 5},
    )  # fmt: skip
    (engine,) = chip.engines
    lines = loop_nest.loop_nest(row, engine, chip, replay(row, engine, chip, chosen))
    # 2 passes of K * 9 taps * 30 pixels = 540 cycles; 6480 MACs on 16 PEs: 75 %.
    assert lines[0] == "conv: conv K6 C4 P6 Q5 R3 S3, 6.48 kMAC, 540 cycles, weight_stationary"
    # The ifmap crosses once but for nothing: rows slide. Filters 216 + 24 of biases.
    assert lines[1] == "  dram: ifmap 120 B, filter 240 B, ofmap 180 B"
    assert lines[2].split("#")[1].strip() == "3 tiles of 2 ofmap rows; the filter stays"
    # Tiles: 4 rows of 5 in 4 channels, twice; 216; 6 * 2 * 5 psums of 4 B, twice: 160 + 216 + 480 B.
    assert lines[3].split("#")[1].strip() == "856 of 400 B: ifmap 160, filter 216, ofmap 480"
    assert lines[4].split("#")[1].strip() == "2 steps of 4 over filters, the last of 2"
    said = [line.strip() for line in lines]
    assert "tiles: ifmap 4×4×5, filter 6×4×3×3, ofmap 6×2×5" in said
    assert (
        "array: 16 of 16 PEs in a full pass (the last step over K has 2 of 4); 75.0 % of the peak over the layer"
        in said
    )
    assert "psums: none leaves unfinished" in said
    # Tiles of 2 rows read 3 + 4 + 3 rows; slid 6.
    assert "sliding: a sweep fetches 6 ifmap rows, without it 10" in said


def test_spills_halos_and_what_streams_are_told(npu, data_folder):
    (row,) = [row for row in lower(one_conv(), dtype="int8").rows if row.nest is not None]
    chip = tight(npu)
    (engine,) = chip.engines
    tiles = {"N": 1, "G": 1, "K": 3, "C": 2, "P": 2, "Q": 5}
    chosen = Chosen(dataflow="weight_stationary", stays="ifmap", sweep="P", kept="", tiles=tiles)
    said = [line.strip() for line in loop_nest.loop_nest(row, engine, chip, replay(row, engine, chip, chosen))]
    # 180 psums of 4 B leave after the first half of the channels.
    assert "psums: leave unfinished and return, 720 B each way (2 tiles of channels)" in said
    assert "halo: a sweep fetches 10 ifmap rows, 4 of them again" in said
    chip = load_chip(data_folder / "toy_split.yaml").replace("operands.operands", ("ifmap",))
    found = mappings_of(one_conv(), chip, dtype="int8")
    assert any(line.strip() == "no buffer: filter passes from home to array" for line in found.blocks[0])


def test_a_tile_smaller_than_the_array_leaves_pes_idle(npu):
    # Pixels unrolled over 4 rows, tiles of 2: half of the array.
    flow = [{"name": "os", "rows": ["P"], "cols": ["K"], "stationary": "ofmap"}]
    chip = tight(npu).replace("npu.dataflows", flow)
    (row,) = [row for row in lower(one_conv(), dtype="int8").rows if row.nest is not None]
    (engine,) = chip.engines
    tiles = {"N": 1, "G": 1, "K": 6, "C": 4, "P": 2, "Q": 5}
    chosen = Chosen(dataflow="os", stays="filter", sweep="P", kept="", tiles=tiles)
    said = loop_nest.loop_nest(row, engine, chip, replay(row, engine, chip, chosen))
    assert any("rows P 2 of 4, cols K 4 of 4" in line for line in said)
    assert any("8 of 16 PEs in a full pass" in line for line in said)


def test_equal_layers_are_shown_once(npu):
    b = GraphBuilder("twice")
    x = b.input("x", (1, 8, 8, 4), "int8")
    for name in ("first", "second"):
        x = b.conv2d(x, 4, 3, padding="same", name=name)
    found = mappings_of(b.build([x]), npu, dtype="int8")
    assert len(found.blocks) == 1
    assert found.blocks[0][-1] == "  the same for second"
    assert [layer.layer for layer in found.file.layers] == ["first", "second"]
    assert json.loads(mapping_json(found.file))["layers"][1]["layer"] == "second"


def test_a_core_has_no_mapping(small_net, mcu):
    found = mappings_of(small_net, mcu, dtype="int8")
    assert (found.blocks, found.file) == ([], None)
    assert found.quote.endswith("is a core, which runs kernels and has no mapping")


BAD = [
    ("stays: filter", "stays: filters", "layers.0.stays: input should be 'ifmap', 'filter' or 'ofmap'"),
    ("layer: conv", "layer: cnov", "layers.0 (cnov): the net has no such layer on an array; did you mean 'conv'?"),
    ("loops: {", "loops: {X: 1, ", "layers.0.loops.X: extra inputs are not permitted"),
    ("K: 6", "K: 8", "layers.0 (conv): K = 8, and the net's layer has K = 6"),
    ("taps: [3, 3]", "taps: [3, 1]", "layers.0 (conv): S = 1, and the net's layer has S = 3"),
    ("weight_stationary", "weight_stationery", "(conv): dataflow = weight_stationery: the array has output_stationary"),
    ("P: 2", "P: 7", "(conv): tile.P = 7: must be from 1 to 6, the loop's extent"),
    ("P: 2, Q: 5", "P: 2, Q: 3", "(conv): tile.Q = 3: columns are cut only where a tile has one row, and P = 2"),
    ("stays: filter", "stays: ofmap", "(conv): stays = ofmap: needs more than one tile of C, and tile.C is its extent"),
    ("sweep: P", "sweep: Q", "(conv): sweep = Q: needs more than one tile of Q, and tile.Q is its extent"),
    ('kept: ""', "kept: filter", "(conv): stays = filter, sweep = P, kept = filter: is no order of the mapspace"),
    ("cycles: 540", "cycles: 541", "(conv): cycles = 541, and on toy-npu the mapping comes to 540; leave the line out"),
    ("schema: 1", "schema: 2", "schema: input should be 1"),
]  # fmt: skip
GOOD = """\
schema: 1
net: one
chip: toy-npu
engine: npu
layers:
  - layer: conv
    loops: {"N": 1, G: 1, K: 6, C: 4, P: 6, Q: 5}
    taps: [3, 3]
    dataflow: weight_stationary
    stays: filter
    sweep: P
    kept: ""
    tile: {"N": 1, G: 1, K: 3, C: 4, P: 2, Q: 5}
    cycles: 540
"""


def test_choices_alone_are_enough(npu, tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text(GOOD.replace("    cycles: 540\n", ""))
    found = mappings_of(one_conv(), tight(npu), dtype="int8", source=Path(path))
    assert found.file.layers[0].cycles == 540


@pytest.mark.parametrize(("old", "new", "said"), BAD)
def test_bad_files_are_told_in_a_sentence(old, new, said, npu, tmp_path):
    path = tmp_path / "m.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError) as error:
        mappings_of(one_conv(), tight(npu), dtype="int8", source=Path(path))
    assert said in str(error.value)
    assert str(error.value).startswith(str(path))
