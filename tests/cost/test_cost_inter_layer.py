"""What is kept between layers: against counted execution of whole nets, brute force over all plans, and laws."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nests import nests
from test_cost_counted import convolution, dataflows
from test_cost_search import priced

from hwsim.chip import HardwarePoints, load_chip
from hwsim.cost import OBJECTIVES, ORDERS, cost, lower, totals
from hwsim.cost.array import array_setup
from hwsim.cost.candidates import ArraySetup
from hwsim.cost.counted import execute
from hwsim.cost.counted_chain import ArrayMachine, Chosen
from hwsim.cost.kept import Kept
from hwsim.cost.spatial import CUT
from hwsim.cost.tiling import mapspace
from hwsim.cost.workload import home_bytes
from hwsim.errors import HwsimError
from hwsim.graph import GraphBuilder
from hwsim.graph.transform import with_random_weights
from hwsim.reference import forward
from hwsim.report import evaluate
from hwsim.report.render import markdown_report

PSUM_BYTES = 3


@settings(max_examples=120, deadline=None)
@given(
    nest=nests(), dataflow=dataflows(), rows=st.integers(1, 6), cols=st.integers(1, 6),
    kept=st.builds(Kept, st.booleans(), st.booleans(), st.booleans()), data=st.data(),
)  # fmt: skip
def test_formulas_of_kept_operands_equal_counted_execution(nest, dataflow, rows, cols, kept, data):
    setup = ArraySetup(rows=rows, cols=cols, dataflows=(dataflow,), psum_bytes=PSUM_BYTES, copies=1)
    space = mapspace(nest, setup, kept)
    i = data.draw(st.integers(0, len(space) - 1))
    tiles = {dim: int(getattr(space, dim.lower())[i]) for dim in CUT}
    rng = np.random.default_rng(i)
    ifmap = rng.integers(-9, 9, (nest.n, nest.g, nest.c, nest.rows.size, nest.cols.size))
    weights = rng.integers(-9, 9, (nest.g, nest.k, nest.c, nest.rows.taps, nest.cols.taps))
    counts = execute(nest, dataflow, rows, cols, ORDERS[space.order[i]], tiles, ifmap, weights, kept=kept)

    assert (counts.ofmap == convolution(nest, ifmap, weights)).all()
    assert space.ifmap_bytes[i] == counts.ifmap
    assert space.filter_bytes[i] == (0 if kept.filter else counts.filter + nest.bias_bytes)
    assert space.ofmap_bytes[i] == counts.ofmap_out
    assert space.kept_ofmap_bytes[i] == counts.ofmap_left
    assert (space.psum_in_bytes[i], space.psum_out_bytes[i]) == (
        counts.psum_in * PSUM_BYTES,
        counts.psum_out * PSUM_BYTES,
    )
    assert space.transfers[i] == sum(counts.moves.values())
    assert space.ifmap_fill_bytes[i] == counts.first.get("ifmap", 0)
    assert space.filter_fill_bytes[i] == counts.first.get("filter", 0)
    assert space.drain_bytes[i] == counts.first.get("ofmap", 0)
    assert space.ifmap_tile_bytes[i] == counts.largest["ifmap"]
    assert space.filter_tile_bytes[i] == counts.largest["filter"]
    if dataflow.stationary != "ofmap":
        assert space.ofmap_tile_bytes[i] == counts.largest["ofmap"] * PSUM_BYTES
        # The last psums are read from their tile, and written back as elements where they stay.
        assert space.ofmap_read_bytes[i] == nest.ofmap_elements * PSUM_BYTES
        assert space.psum_write_bytes[i] == counts.array["psum_out"] * PSUM_BYTES
    else:
        whole = tiles["C"] == nest.c
        element = 1 if whole else PSUM_BYTES
        assert space.ofmap_tile_bytes[i] == (0 if whole and kept.ofmap else counts.largest["ofmap"] * element)
        assert space.ofmap_read_bytes[i] == counts.ofmap_out
        unfinished = counts.array["psum_out"] - nest.ofmap_elements
        assert space.psum_write_bytes[i] == unfinished * PSUM_BYTES + counts.ofmap_out


# -- whole nets -------------------------------------------------------------------------------------------------------


@st.composite
def chains(draw):
    """A small net of convolutions, depthwise ones, pools, activations, additions and concatenations."""
    b = GraphBuilder("chain")
    spatial, unread = st.integers(1, 2), []
    tensors = [b.input("x", (1, draw(st.integers(4, 7)), draw(st.integers(4, 7)), draw(st.integers(1, 4))))]
    for number in range(draw(st.integers(2, 5))):
        x = tensors[draw(st.integers(max(0, len(tensors) - 2), len(tensors) - 1))]
        _, height, width, _ = b.shape(x)
        kind = draw(
            st.sampled_from(["conv", "conv", "relu", "add", "depthwise", "pool", "relu", "add", "concat", "pointwise"])
        )
        fits, other = min(height, width) >= 3, None
        if kind == "conv" and fits:
            window = {"stride": draw(spatial), "padding": draw(st.integers(0, 1))}
            y = b.conv2d(x, draw(st.integers(1, 5)), draw(st.integers(1, 3)), bias=draw(st.booleans()), **window)
        elif kind == "depthwise" and fits:
            y = b.depthwise(x, 3, stride=draw(spatial), padding=draw(st.integers(0, 1)), bias=False)
        elif kind == "pool" and fits:
            y = b.pool("max", x, draw(st.integers(2, 3)), stride=draw(spatial))
        elif kind == "relu":
            y = b.unary("relu", x)
        elif kind in ("add", "concat"):
            alike = [t for t in tensors if b.shape(t)[:3] == b.shape(x)[:3] and t != x]
            alike = [t for t in alike if kind == "concat" or b.shape(t) == b.shape(x)]
            if not alike:
                continue
            other = alike[draw(st.integers(0, len(alike) - 1))]
            y = b.binary("add", other, x) if kind == "add" else b.concat([other, x])
        else:
            y = b.conv2d(x, draw(st.integers(1, 5)), 1, bias=draw(st.booleans()), name=f"pointwise{number}")
        unread = [t for t in unread if t not in (x, other)] + [y]
        tensors.append(y)
    if len(tensors) == 1:
        unread = [b.conv2d(tensors[0], 2, 1)]
    graph = with_random_weights(b.build(unread))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    for tensor in graph.constants:
        tensor.data[...] = rng.integers(-2, 3, tensor.shape)
    return graph


def machine(npu, kib, mode="serial", allowed=("resident",)):
    chip = npu.replace("npu.inter_layer", allowed, **{"npu.rows": 3, "npu.cols": 4, "npu.psum_bytes": PSUM_BYTES})
    return chip.replace("sram.size_bytes", kib, **{"sram.transfers": mode})


@settings(max_examples=80, deadline=None)
@given(
    graph=chains(), size=st.integers(60, 1200), objective=st.sampled_from(OBJECTIVES),
    mode=st.sampled_from(["serial", "ideal"]), seed=st.integers(0, 99),
    allowed=st.sampled_from([("resident",), ("resident", "fused"), ("fused",)]),
)  # fmt: skip
def test_a_chosen_plan_equals_its_counted_execution(graph, size, objective, mode, seed, allowed, npu_file):
    chip = machine(load_chip(npu_file), size, mode, allowed)
    workload = lower(graph, dtype="int8")
    found = cost(workload, HardwarePoints.of(chip), objective=objective)
    if not found.mappable[0]:
        return
    rng = np.random.default_rng(seed)
    inputs = {"x": rng.integers(-3, 4, graph.tensors["x"].shape)}
    expected = forward(graph, {name: value.astype(np.float32) for name, value in inputs.items()}, every=True)

    def finish(row, values):
        # After the sums of a convolution the forward pass adds the bias; that the sums are right is seen there.
        result = expected[row.layer.outputs[0]].astype(np.int64)
        if row.nest is not None:
            bias = values[1] if len(values) > 1 else 0
            assert (values[0] + bias == result).all(), row.layer.name
        return result.copy()

    (engine,) = chip.engines
    values = inputs | {tensor.name: tensor.data.astype(np.int64) for tensor in graph.constants}
    runner = ArrayMachine(workload, engine.rows, engine.cols, PSUM_BYTES, values, finish)
    left = left_in_buffer(workload, found)
    tiles = found.mapped.tiles if found.mapped is not None else None
    position = {int(layer): i for i, layer in enumerate(found.mapped_layers)}
    views = any(row.view for row in workload.rows)
    for index, row in enumerate(workload.rows):
        if found.fused[index, 0]:
            # It was done with the one before, and has nothing of its own.
            assert not found.traffic_bytes[..., index, 0].any()
            continue
        chosen, after = None, index + 1
        while after < len(workload.rows) and found.fused[after, 0]:
            after += 1
        if index in position:
            at = position[index], 0
            sizes = {dim: int(getattr(tiles, dim.lower())[at]) for dim in CUT}
            chosen = Chosen(engine.dataflow_table[tiles.dataflow[at]], ORDERS[tiles.order[at]], sizes)
        passage = runner.run(row, chosen, left, workload.rows[index + 1 : after])
        buffer, home = found.traffic_bytes[0, ..., index, 0], found.traffic_bytes[1, ..., index, 0]
        told = dict(zip(("filter", "ifmap", "ofmap", "psum"), home.T.tolist(), strict=True))
        counted = passage.home
        assert told["filter"] == [counted["filter"], 0], row.layer.name
        assert told["ifmap"] == [counted["ifmap"], 0], row.layer.name
        assert told["ofmap"] == [0, counted["ofmap"]], row.layer.name
        assert told["psum"] == [counted["psum"], counted["spill"]], row.layer.name
        assert buffer.sum(axis=1).tolist() == [passage.buffer_read, passage.buffer_written], row.layer.name
        held = int(found.held_bytes[index, 0])
        assert passage.held <= held if views else passage.held == held
        assert held + passage.tiles <= found.tile_bytes[0, 0] <= size
    for name in graph.outputs:
        assert (runner.home[name] == expected[name].reshape(runner.home[name].shape)).all()


def left_in_buffer(workload, found):
    """Return the tensors whose layers left them in the buffer; a view of such a one is there, too."""
    left = set()
    for index, row in enumerate(workload.rows):
        if row.kind == "free" or row.view:
            if all(name in left for name in row.layer.inputs):
                left.update(row.layer.outputs)
        elif found.kept_bytes[2, index, 0] and not found.fused[index, 0]:
            # What layers fused to it make of its ofmap is what is left.
            last = index
            while last + 1 < len(workload.rows) and found.fused[last + 1, 0]:
                last += 1
            left.update(workload.rows[last].layer.outputs)
    return left


# -- the choice -------------------------------------------------------------------------------------------------------


def residual(rng):
    """A little residual net of random sizes: what enters the block lives until the addition."""
    b = GraphBuilder("residual")
    size, channels = int(rng.integers(4, 9)), int(rng.integers(2, 7))
    x = b.input("x", (1, size, size, 3), "int8")
    x = y = b.conv2d(x, channels, 3, padding=1, stride=int(rng.integers(1, 3)))
    if rng.integers(2):
        y = b.depthwise(y, 3)
    y = b.conv2d(y, channels, 1)
    y = b.binary("add", x, y)
    if rng.integers(2):
        y = b.unary("relu", y)
    return b.build([b.conv2d(y, 4, 1)])


def streamed(row, kept_in, kept_out, held, chip):
    """Return latency, energy, edp and traffic of a layer without MACs on a toy chip with one buffer."""
    sram, dram, clock, (engine,) = chip.memory("sram"), chip.memory("dram"), chip.clock_hz, chip.engines
    read, written = row.ifmap_bytes - kept_in, row.ofmap_bytes - kept_out
    buffer_s = (kept_in + kept_out / sram.write_share) / sram.bytes_per_s(clock)
    home_s = (read + written / dram.write_share) / dram.bytes_per_s(clock)
    seconds = max(-(-row.ops // engine.cols) / clock, buffer_s, home_s)
    sram_write_pj = sram.pj_per_byte if sram.write_pj_per_byte is None else sram.write_pj_per_byte
    pj = kept_in * sram.pj_per_byte + kept_out * sram_write_pj + (read + written) * dram.pj_per_byte
    values = np.array([seconds, pj * 1e-12, seconds * pj * 1e-12, read + written])
    return values if held <= sram.size_bytes else np.full(4, np.inf)


def fusions(workload, allowed):
    """Yield layer -> how many after it are fused to it, for the convolution before the addition: each that may be."""
    kinds = [row.kind for row in workload.rows]
    at = kinds.index("elementwise")
    yield {}
    for count in range(1, 2 + (kinds[at + 1] == "activation")) if allowed else ():
        yield {at - 1: count}


def plan_costs(known, workload, chip, setup, plan, fused, lives):
    """Return the least latency, energy, edp and traffic that mappings of the layers give a plan, each for itself."""
    total, sizes, index = np.zeros(4), workload.sizes, 0
    while index < len(workload.rows):
        stop = index + 1 + fused.get(index, 0)
        row, others = workload.rows[index], workload.rows[index + 1 : stop]
        within = {r.layer.outputs[0] for r in workload.rows[index : stop - 1]}
        if plan & within:
            return np.full(4, np.inf)
        held = sum(sizes[name] for name in plan if lives[name][0] < stop and lives[name][1] >= index)
        into = [name for name in row.layer.inputs if name in plan]
        out = workload.rows[stop - 1].layer.outputs[0] in plan
        if row.nest is None:
            total += streamed(row, sum(sizes[n] for n in into), row.ofmap_bytes if out else 0, held, chip)
        else:
            besides = [name for other in others for name in other.layer.inputs if name not in within]
            there = sum(sizes[name] for name in besides if name in plan)
            lanes = -(-sum(other.ops for other in others) // chip.engines[0].cols)
            total += multiplied(
                known, row.nest, setup, Kept(ifmap=bool(into), ofmap=out), chip,
                held, sum(sizes[n] for n in besides) - there, there, lanes,
            )  # fmt: skip
        index = stop
    return total


def multiplied(known, nest, setup, kept, chip, *besides):
    if (nest, kept, besides) not in known:
        space = mapspace(nest, setup, kept)
        known[nest, kept, besides] = np.min([priced(space, i, chip, *besides) for i in range(len(space))], axis=0)
    return known[nest, kept, besides]


@pytest.mark.parametrize("allowed", [("resident",), ("fused",), ("resident", "fused")])
@pytest.mark.parametrize("seed", range(8))
def test_the_choice_equals_brute_force_over_all_plans(seed, allowed, npu):
    rng = np.random.default_rng(seed)
    graph = residual(rng)
    workload = lower(graph)
    mode = str(rng.choice(["double_buffered", "serial", "ideal"]))
    chip = machine(npu, int(2 ** rng.uniform(7.5, 11)), mode, allowed)
    rates = {"sram.write_share": 0.5, "sram.bytes_per_cycle": float(rng.choice([1, 32]))}
    rates["npu.vector_lanes"] = 4
    chip = chip.replace("dram.latency_cycles", float(rng.integers(0, 50)), **rates)
    (engine,) = chip.engines
    setup = array_setup(engine, chip, engine.rows, engine.cols)
    inner = [name for name in workload.sizes if name and name not in graph.inputs + graph.outputs]
    lives = {
        name: (
            next(i for i, row in enumerate(workload.rows) if name in row.layer.outputs),
            max(i for i, row in enumerate(workload.rows) if name in row.layer.inputs),
        )
        for name in inner
    }
    known = {}
    every = [
        plan_costs(known, workload, chip, setup, set(plan), fused, lives)
        for size in range(len(inner) + 1 if "resident" in allowed else 1)
        for plan in combinations(inner, size)
        for fused in fusions(workload, "fused" in allowed)
    ]
    best = np.min(every, axis=0)
    for objective in ("latency", "energy", "traffic"):
        found = cost(workload, HardwarePoints.of(chip), objective=objective)
        least = best[OBJECTIVES.index(objective)]
        if np.isinf(least):
            assert not found.mappable[0]
            continue
        sums = {
            "latency": found.latency_s.sum(),
            "energy": found.energy_j.sum(),
            "traffic": found.traffic_bytes[1].sum(),
        }
        assert sums[objective] == pytest.approx(least, rel=1e-9), objective


# -- laws -------------------------------------------------------------------------------------------------------------


def vary(rng, count):
    return {
        "sram.size_bytes": (2.0 ** rng.uniform(9, 16, count)).astype(int).tolist(),
        "sram.bytes_per_cycle": (2.0 ** rng.uniform(0, 6, count)).tolist(),
        "dram.bytes_per_cycle": (2.0 ** rng.uniform(-2, 5, count)).tolist(),
        "dram.latency_cycles": rng.uniform(0, 200, count).tolist(),
        "npu.rows": rng.choice([3, 8], count).tolist(),
        "static_mw": rng.choice([0.0, 5.0], count).tolist(),
    }


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", ["double_buffered", "serial", "ideal"])
@pytest.mark.parametrize("allowed", [["resident"], ["resident", "fused"]])
def test_keeping_is_never_worse_and_never_below_what_must_cross(objective, mode, allowed, npu, small_net):
    rng = np.random.default_rng(len(objective) + len(mode))
    small_net = residual(rng) if "fused" in allowed else small_net
    chip = npu.replace("sram.transfers", mode)
    points = vary(rng, 60)
    workload = lower(small_net)
    alone = cost(workload, HardwarePoints.of(chip, points), objective=objective)
    kept = cost(workload, HardwarePoints.of(chip.replace("npu.inter_layer", allowed), points), objective=objective)
    runs = alone.feasible
    assert kept.feasible[runs].all()
    assert (kept.held_bytes[:, runs] > 0).any()
    assert kept.fused[:, runs].any() == ("fused" in allowed)

    def value(found):
        seconds, joules = found.total_latency_s, found.total_energy_j
        moved = found.traffic_bytes[1].sum(axis=(0, 1, 2))
        return dict(zip(OBJECTIVES, (seconds, joules, seconds * joules, moved), strict=True))[objective][runs]

    assert (value(kept) <= value(alone) * (1 + 1e-9)).all()
    assert (value(kept) < value(alone) * (1 - 1e-3)).any()
    (engine,) = chip.engines
    must = np.array(
        [
            [sum(home_bytes(row, engine, tuple(kept.kept_bytes[:, i, p]))) * (not row.view) for p in range(60)]
            for i, row in enumerate(workload.rows)
        ]
    )
    assert (kept.traffic_bytes[1].sum(axis=(0, 1)) >= must).all()
    assert (kept.tile_bytes[0][runs] <= kept.capacity_bytes[0][runs]).all()
    assert (kept.held_bytes.max(axis=0) <= kept.tile_bytes[0]).all()


@pytest.mark.parametrize("objective", ["latency", "energy", "traffic"])
def test_more_room_is_never_worse(objective, npu, small_net):
    chip = npu.replace("npu.inter_layer", ["resident"])
    sizes = [2**i + j * 2 ** (i - 2) for i in range(9, 15) for j in range(4)]
    found = cost(lower(small_net), HardwarePoints.of(chip, {"sram.size_bytes": sizes}), objective=objective)
    moved = found.traffic_bytes[1].sum(axis=(0, 1, 2)).astype(float)
    values = {"latency": found.total_latency_s, "energy": found.total_energy_j, "traffic": moved}[objective]
    values = values[found.feasible]
    assert (np.diff(values) <= values[1:] * 1e-9).all()
    assert values[-1] < values[0] / 1.5


@pytest.mark.parametrize("allowed", [["resident"], ["resident", "fused"]])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_plans_of_many_points_are_those_of_each_alone(objective, allowed, npu, small_net):
    chip = npu.replace("npu.inter_layer", allowed)
    rng = np.random.default_rng(7)
    points = vary(rng, 40) | {"npu.vector_lanes": rng.choice([2, 16], 40).tolist()}
    small_net = residual(rng) if "fused" in allowed else small_net
    together = cost(lower(small_net), HardwarePoints.of(chip, points), objective=objective)
    summed = totals(lower(small_net), HardwarePoints.of(chip, points), objective=objective)
    np.testing.assert_allclose(summed.latency_s, together.total_latency_s, rtol=1e-12, equal_nan=True)
    for i in range(0, 40, 5):
        alone = cost(
            lower(small_net), HardwarePoints.of(chip, {path: [v[i]] for path, v in points.items()}), objective=objective
        )
        for name in ("latency_s", "energy_j", "traffic_bytes", "need_bytes", "kept_bytes", "held_bytes", "fused"):
            one, many = getattr(alone, name)[..., 0], getattr(together, name)[..., i]
            np.testing.assert_allclose(one, many, rtol=1e-12, equal_nan=True, err_msg=f"{name} at point {i}")


def test_a_tensor_kept_between_two_pointwise_layers_by_hand(npu):
    # 16 x 16 PEs, output stationary: all 8 pixels x 4 filters at once; 1 channel in, 4 through, 2 out; DRAM 8 B a
    # cycle, latency 100. Layer by layer the 8 x 4 = 32 B between the two cross DRAM twice.
    b = GraphBuilder("pair")
    x = b.input("x", (1, 2, 4, 1), "int8")
    x = b.conv2d(x, 4, 1, bias=False)
    graph = b.build([b.conv2d(x, 2, 1, bias=False)])
    workload = lower(graph, dtype="int8")
    chip = npu.replace("npu.dataflows", ["output_stationary"])
    alone = cost(workload, HardwarePoints.of(chip), objective="traffic")
    kept = cost(workload, HardwarePoints.of(chip.replace("npu.inter_layer", ["resident"])), objective="traffic")
    # first: ifmap 8, filter 4, ofmap 32; second: ifmap 32, filter 8, ofmap 16 B
    assert alone.traffic_bytes[1].sum(axis=(0, 1))[:, 0].tolist() == [8 + 4 + 32, 32 + 8 + 16]
    assert kept.traffic_bytes[1].sum(axis=(0, 1))[:, 0].tolist() == [8 + 4, 8 + 16]
    assert kept.held_bytes[:, 0].tolist() == [32, 32]
    # The first fills with a row of the ifmap and all filters, works on two tiles of a row, and ends with nothing to
    # drain; the second fills with filters alone (latency 100), takes a cycle for each of 4 channels, and drains 16 B.
    cycles = kept.latency_s[:, 0] * 400e6
    assert cycles.tolist() == pytest.approx([(4 + 4) / 8 + 100 + 2, 8 / 8 + 100 + 4 + 16 / 8])


def test_an_addition_done_as_the_ofmap_leaves_by_hand(npu):
    # 16 x 16 PEs, output stationary, 8 pixels x 4 filters of 1 channel: one cycle a tile. The conv and the addition of
    # another 32 B by themselves move 8 + 4 + 32 and 32 + 32 + 32 B, together 8 + 4 + 32 + 32.
    b = GraphBuilder("fused")
    x, other = b.input("x", (1, 2, 4, 1), "int8"), b.input("other", (1, 2, 4, 4), "int8")
    graph = b.build([b.binary("add", other, b.conv2d(x, 4, 1, bias=False))])
    chip = npu.replace("npu.dataflows", ["output_stationary"])
    fusing = chip.replace("npu.inter_layer", ["fused"])
    alone = cost(lower(graph, dtype="int8"), HardwarePoints.of(chip), objective="traffic")
    fused = cost(lower(graph, dtype="int8"), HardwarePoints.of(fusing), objective="traffic")
    assert alone.traffic_bytes[1].sum(axis=(0, 1))[:, 0].tolist() == [44, 96]
    assert fused.traffic_bytes[1].sum(axis=(0, 1))[:, 0].tolist() == [76, 0]
    # The home's port is busy for 76 B at 8 B a cycle, after its latency of 100: longer than all else.
    assert fused.latency_s[:, 0] * 400e6 == pytest.approx([100 + 76 / 8, 0])
    report = evaluate(graph, fusing, dtype="int8", objective="traffic")
    conv, add = report.layers
    assert (conv.fused, add.fused, add.compulsory_bytes, conv.compulsory_bytes) == (False, True, 0, 76)
    assert "fused" in markdown_report(report)


def test_the_report_says_what_stays(npu, small_net):
    found = evaluate(small_net, npu.replace("npu.inter_layer", ["resident"]))
    layers = {layer.name: layer for layer in found.layers}
    assert layers["depthwise"].resident == ("ifmap", "ofmap")
    # The ofmaps of conv, depthwise and pointwise are 8 x 8 x 8 = 512 B each; while pointwise runs all of them stay, and
    # with its own the other half of the concatenation's 8 x 8 x 16.
    assert layers["depthwise"].resident_bytes == 512 + 512
    assert layers["depthwise"].compulsory_bytes == layers["depthwise"].weight_bytes
    assert "ifmap ofmap" in markdown_report(found)
    assert any("nothing stays on chip between layers" in line for line in evaluate(small_net, npu).assumptions)


def test_splitting_ifmap_and_ofmap_over_two_buffers_is_refused(data_folder, tmp_path):
    text = (
        (data_folder / "toy_split.yaml").read_text().replace("psum_bytes: 4", "psum_bytes: 4, inter_layer: [resident]")
    )
    (tmp_path / "split.yaml").write_text(text)
    sentence = (
        "inter_layer: needs one tile buffer that holds ifmap and ofmap; this has ifmap in operands, ofmap in psums"
    )
    with pytest.raises(HwsimError, match=sentence):
        load_chip(tmp_path / "split.yaml")
