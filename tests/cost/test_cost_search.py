"""The search against brute force: every mapping of the mapspace priced by plain arithmetic, one at a time."""

from math import ceil, inf

import numpy as np
import pytest

from hwsim.chip import HardwarePoints, load_chip
from hwsim.cost import OBJECTIVES, choosing, cost, lower
from hwsim.cost.array import array_setup
from hwsim.cost.tiling import mapspace
from hwsim.graph import GraphBuilder


def priced(space, i, chip, held_bytes=0, more_home=0, more_buffer=0, lane_cycles=0):
    """Return latency, energy, edp and traffic of mapping i on a toy chip, or infinities where it does not fit.

    ``held_bytes`` is what else is in the buffer of the ofmap; the others are what layers fused to it read besides, from
    home and from that buffer, and what they take of the vector lanes.
    """
    (engine,) = chip.engines
    held = engine.buffers(chip)
    clock = chip.clock_hz
    column = {name: getattr(space, name)[i].item() for name in (*space.__slots__, "transfers")}
    at_home = {
        name: ceil(round(column[name] * column[f"{name.partition('_')[0]}_coded"], 6))
        for name in ("ifmap_bytes", "filter_bytes", "ifmap_fill_bytes", "filter_fill_bytes")
    }
    ofmap_bytes, drain_bytes = (
        ceil(round(plain * column["ofmap_coded"], 6)) for plain in (column["ofmap_bytes"], column["drain_bytes"])
    )
    names = list(dict.fromkeys(held.values()))
    for name in names:
        need = sum(column[f"{operand}_tile_bytes"] for operand, at in held.items() if at == name)
        if need + (held_bytes if name == held.get("ofmap") else 0) > chip.memory(name).size_bytes:
            return inf, inf, inf, inf
    home, store = (chip.memory(name) for name in (engine.homes(chip)[0], engine.homes(chip)[-1]))

    def port_s(memory, read, written):
        per_s = memory.bytes_per_s(clock)
        return read / per_s + written / (per_s * memory.write_share)

    def port_pj(memory, read, written):
        write_pj = memory.pj_per_byte if memory.write_pj_per_byte is None else memory.write_pj_per_byte
        return read * memory.pj_per_byte + written * write_pj

    buffer_s, pj = [], 0.0
    for name in names:
        read = written = 0
        if held.get("ifmap") == name:
            read, written = read + column["array_ifmap_bytes"], written + column["ifmap_bytes"]
        if held.get("filter") == name:
            read, written = read + column["array_filter_bytes"], written + column["filter_bytes"]
        if held.get("ofmap") == name:
            read += column["psum_read_bytes"] + column["psum_out_bytes"] + column["ofmap_read_bytes"] + more_buffer
            written += column["psum_write_bytes"] + column["psum_in_bytes"] + column["kept_ofmap_bytes"]
        buffer_s.append(port_s(chip.memory(name), read, written))
        pj += port_pj(chip.memory(name), read, written)
    read, written = at_home["ifmap_bytes"] + column["psum_in_bytes"] + more_home, ofmap_bytes + column["psum_out_bytes"]
    from_store = at_home["filter_bytes"]
    together = home is store
    home_s = port_s(home, read + (from_store if together else 0), written)
    store_s = 0.0 if together else port_s(store, from_store, 0)
    pj += port_pj(home, read, written) + port_pj(store, from_store, 0)
    cycles = max(ceil(column["cycles"]), column["bus_cycles"]) + column["load_cycles"]
    mode = chip.memory(names[0]).transfers if names else "ideal"
    cycles = cycles + lane_cycles if mode == "serial" else max(cycles, lane_cycles)
    work_s = max([cycles / clock, *buffer_s])
    home_latency, store_latency = home.latency_cycles / clock, 0.0 if together else store.latency_cycles / clock
    if mode == "ideal":
        seconds = max(work_s, home_s, store_s)
    elif mode == "serial":
        seconds = column["transfers"] * max(home_latency, store_latency) + work_s + home_s + store_s
    else:
        # Nobody waits for a home that no operand crosses to or from.
        first = column["ifmap_bytes"] or (together and from_store)
        first_latency = home_latency if first else 0.0
        home_latency = home_latency if first or more_home or column["ofmap_bytes"] else 0.0
        ifmap_s, filter_s = port_s(home, at_home["ifmap_fill_bytes"], 0), port_s(store, at_home["filter_fill_bytes"], 0)
        fill = ifmap_s + filter_s + first_latency
        if not together:
            fill = max(ifmap_s + first_latency, filter_s + store_latency)
        drain = port_s(home, 0, drain_bytes)
        seconds = max(fill + work_s + drain, home_s + home_latency, store_s + store_latency)
    joules = (pj + column["macs_priced"] * chip.mac_pj["int8"]) * 1e-12
    moved = read + from_store + written
    return seconds, joules, seconds * joules, moved


def one_layer(rng):
    b = GraphBuilder("one")
    channels, groups = int(rng.integers(1, 9)), int(rng.choice([1, 1, 2]))
    x = b.input(
        "x", (int(rng.integers(1, 3)), int(rng.integers(3, 12)), int(rng.integers(3, 12)), channels * groups), "int8"
    )
    filters, taps = groups * int(rng.integers(1, 9)), int(rng.integers(1, 4))
    more = {"stride": int(rng.integers(1, 3)), "padding": int(rng.integers(0, 2)), "groups": groups}
    return b.build([b.conv2d(x, filters, taps, bias=bool(rng.integers(2)), **more)])


def random_machine(rng, kind, npu, data):
    chip = npu.replace("npu.rows", int(rng.integers(1, 7))).replace("npu.cols", int(rng.integers(1, 7)))
    if kind == "hooks":
        flows = [
            {"name": "plain", "rows": ["C"], "cols": ["K"], "stationary": "filter"},
            {"name": "f2", "rows": ["C"], "cols": ["K"], "stationary": "filter", "winograd": 2},
            {"name": "sparse", "rows": ["P"], "cols": ["K"], "stationary": "ofmap", "skips": ["filter"]},
            {"name": "rs", "rows": ["R", "C"], "cols": ["P"], "stationary": "row", "load_exposed": True},
        ]
        chip = chip.replace("npu.dataflows", flows, **{"npu.zeros": {"ifmap": 0.5, "filter": 0.3, "ofmap": 0.6}})
        chip = chip.replace(
            "npu.gates", ("ifmap",), **{"npu.coded": {"ifmap": "run_length", "filter": 0.7, "ofmap": 1.2}}
        )
        bus = {operand: float(rng.integers(1, 9)) for operand in ("ifmap", "filter", "psum")}
        chip = chip.replace("npu.bus_bytes_per_cycle", bus)
    if kind in ("shared", "hooks"):
        chip = chip.replace("sram.size_bytes", int(2 ** rng.uniform(8, 14)))
        chip = chip.replace("sram.write_share", float(rng.choice([1, 0.5]))).replace("dram.write_pj_per_byte", 150.0)
        return chip.replace("sram.transfers", str(rng.choice(["double_buffered", "serial", "ideal"])))
    chip = load_chip(data / "toy_split.yaml")
    chip = chip.replace("operands.size_bytes", int(2 ** rng.uniform(7, 13)))
    chip = chip.replace("psums.size_bytes", int(2 ** rng.uniform(6, 12)))
    mode = str(rng.choice(["double_buffered", "serial", "ideal"]))
    chip = chip.replace("operands.transfers", mode, **{"psums.transfers": mode})
    if kind == "bypass":
        # Filters stream from their home, as Eyeriss has it.
        chip = chip.replace("operands.operands", ("ifmap",))
    return chip.replace("npu.rows", int(rng.integers(1, 7))).replace("npu.cols", int(rng.integers(1, 7)))


@pytest.mark.parametrize("kind", ["shared", "split", "bypass", "hooks"])
@pytest.mark.parametrize("seed", range(12))
def test_search_equals_brute_force(kind, seed, npu, data_folder):
    rng = np.random.default_rng([seed, len(kind)])
    chip, graph = random_machine(rng, kind, npu, data_folder), one_layer(rng)
    workload = lower(graph)
    nest = workload.rows[0].nest
    (engine,) = chip.engines
    space = mapspace(nest, array_setup(engine, chip, engine.rows, engine.cols))
    every = np.array([priced(space, i, chip) for i in range(len(space))])
    for number, objective in enumerate(OBJECTIVES):
        found = cost(workload, HardwarePoints.of(chip), objective=objective)
        best = every[:, number].min()
        if best == inf:
            assert not found.mapped.feasible[0, 0]
            continue
        seconds, joules = float(found.latency_s[0, 0]), float(found.energy_j[:, 0, 0].sum())
        names = [memory.name for memory in chip.memories]
        homes = [names.index(name) for name in engine.homes(chip)]
        moved = int(found.traffic_bytes[homes, ..., 0].sum())
        values = (seconds, joules, seconds * joules, moved)
        assert values[number] == pytest.approx(best, rel=1e-9), objective
        # Ties are broken by the other objectives in their order.
        order = [number, *(i for i in range(len(OBJECTIVES)) if i != number)]
        left = every
        for i in order:
            left = left[left[:, i] <= left[:, i].min() * (1 + 1e-9)]
            assert values[i] == pytest.approx(left[0, i], rel=1e-8), (objective, OBJECTIVES[i])


def random_points(rng, kind, count):
    """Many points of a toy chip: every rate and price differs at every point, sizes and shapes are few."""
    buffers = ["sram"] if kind == "shared" else ["operands", "psums"]
    vary = {
        "npu.rows": rng.choice([2, 5], count),
        "npu.cols": rng.choice([3, 4], count),
        "clock_mhz": rng.uniform(50, 500, count),
        "dram.bytes_per_cycle": 2.0 ** rng.uniform(-2, 5, count),
        "dram.latency_cycles": rng.uniform(0, 200, count),
        "dram.pj_per_byte": rng.uniform(1, 200, count),
        "mac_pj.int8": rng.uniform(0.1, 1, count),
        "static_mw": rng.choice([0.0, 5.0], count),
    }
    for name in buffers:
        sizes = rng.choice([160, 700, 3000], count) if rng.integers(2) else rng.integers(100, 4000, count)
        vary |= {f"{name}.size_bytes": sizes, f"{name}.bytes_per_cycle": 2.0 ** rng.uniform(0, 6, count)}
    return {path: values.tolist() for path, values in vary.items()}


@pytest.mark.parametrize("kind", ["shared", "split"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(2))
def test_points_together_choose_what_each_chooses_alone(
    kind, objective, seed, npu, small_net, data_folder, monkeypatch
):
    # Small boxes, so that bounds at their corners rule candidates out at both levels; one point alone uses no box.
    monkeypatch.setattr(choosing, "PAIRS", 500)
    rng = np.random.default_rng([seed, len(kind), OBJECTIVES.index(objective)])
    chip = npu if kind == "shared" else load_chip(data_folder / "toy_split.yaml")
    mode = str(rng.choice(["double_buffered", "serial", "ideal"]))
    for memory in chip.memories[:-1]:
        if memory.name != "sram" or kind == "shared":
            chip = chip.replace(
                f"{memory.name}.transfers", mode, **({"psums.transfers": mode} if kind == "split" else {})
            )
    vary = random_points(rng, kind, 90)
    together = cost(lower(small_net), HardwarePoints.of(chip, vary), objective=objective)
    assert together.mapped.feasible.any()
    for i in range(0, 90, 3):
        alone = cost(
            lower(small_net), HardwarePoints.of(chip, {path: [v[i]] for path, v in vary.items()}), objective=objective
        )
        for name in ("cycles", "latency_s", "energy_j", "traffic_bytes", "overhead_s", "need_bytes", "bound"):
            one, many = getattr(alone, name)[..., 0], getattr(together, name)[..., i]
            np.testing.assert_allclose(one, many, rtol=1e-12, equal_nan=True, err_msg=f"{name} at point {i}")
