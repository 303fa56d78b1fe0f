"""Totals: sums of the cost record, whatever points and layers share; memory that does not grow with the layers."""

import tracemalloc
from contextlib import suppress

import numpy as np
import pytest

from hwsim.chip import ArrayEngine, HardwarePoints, load_chip
from hwsim.chip.points import NUMERIC
from hwsim.cost import OBJECTIVES, choosing, cost, lower, model, totals
from hwsim.cost.array_time import Moves, Rates, objective_of, times_of
from hwsim.cost.differences import Bounds, absorbed
from hwsim.errors import UsageError
from hwsim.graph import GraphBuilder

EXACT = {"rtol": 1e-12, "atol": 0, "equal_nan": True}


def grid(**axes):
    columns = np.meshgrid(*axes.values(), indexing="ij")
    return {path: column.reshape(-1).tolist() for path, column in zip(axes, columns, strict=True)}


AXES = {
    "npu.rows": [4, 16],
    "sram.size_kib": [0.03125, 1, 4, 32],
    "dram.bytes_per_cycle": [0.5, 2, 8],
    "clock_mhz": [100, 400],
    "static_mw": [0, 5],
}


def assert_sums(found, costs):
    np.testing.assert_allclose(found.latency_s, costs.total_latency_s, **EXACT)
    np.testing.assert_allclose(found.energy_j, costs.total_energy_j, **EXACT)
    assert (found.traffic_parts_bytes == costs.traffic_bytes.sum(axis=3)).all()
    assert (found.macs_done == costs.macs_done.sum(axis=0)).all()
    for name in ("need_bytes", "tile_bytes", "runtime_bytes", "code_bytes", "image_bytes", "feasible", "fits"):
        assert (getattr(found, name) == getattr(costs, name)).all(), name


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_grid_costs_what_its_points_cost_alone(objective, npu, small_net, monkeypatch):
    # Chunks that cut through shapes and sizes; some sizes hold no tile at all.
    monkeypatch.setattr(model, "CHOSEN_TOGETHER", 37)
    monkeypatch.setattr(model, "SUMMED_TOGETHER", 11)
    vary, workload = grid(**AXES), lower(small_net)
    points = HardwarePoints.of(npu, vary)
    found = totals(workload, points, objective=objective)
    assert_sums(found, cost(workload, points, objective=objective))
    assert 0 < found.feasible.sum() < points.count
    for i in range(0, points.count, 7):
        alone = totals(workload, points.at(np.array([i])), objective=objective)
        np.testing.assert_allclose(found.latency_s[i], alone.latency_s[0], **EXACT)
        np.testing.assert_allclose(found.energy_parts_j[:, i], alone.energy_parts_j[:, 0], **EXACT)
        assert (found.traffic_parts_bytes[..., i] == alone.traffic_parts_bytes[..., 0]).all()
        assert found.first_unmapped[i] == alone.first_unmapped[0]
        assert found.unmapped[i] == alone.unmapped[0]


def test_alike_layers_count_as_often_as_there_are(npu, mcu):
    b = GraphBuilder("twins")
    x = b.input("x", (1, 8, 8, 16), "int8")
    for _ in range(3):
        x = b.unary("relu", b.conv2d(x, 16, 3, padding=1))
    workload = lower(b.build([b.conv2d(x, 8, 1)]))
    for chip in (npu, npu.replace("sram.size_kib", 0.03125), mcu):
        points = HardwarePoints.of(chip, {"clock_mhz": [50, 100]})
        assert_sums(totals(workload, points), cost(workload, points))
    # A 3x3 tile takes 9 B of ifmap and 9 B of filter, each twice, and psums: more than 32 B; a 1x1 tile fits them.
    none = totals(workload, HardwarePoints.of(npu.replace("sram.size_kib", 0.03125)))
    assert (none.unmapped[0], none.first_unmapped[0]) == (3, 0)


def test_an_axis_that_no_choice_reads_searches_nothing_more(npu, small_net, monkeypatch):
    # Clock and static power scale times and energies of every mapping alike, where memories count in cycles.
    compared = []
    whole = choosing._Search._struck
    monkeypatch.setattr(
        choosing._Search,
        "_struck",
        lambda self, batch, *more: compared.append(len(batch.box)) or whole(self, batch, *more),
    )
    workload = lower(small_net)
    bandwidths = {"dram.bytes_per_cycle": [1, 2, 4, 8]}
    totals(workload, HardwarePoints.of(npu, grid(**bandwidths)))
    few, pairs = len(compared), sum(compared)
    compared.clear()
    totals(workload, HardwarePoints.of(npu, grid(**bandwidths, clock_mhz=list(range(100, 200)))))
    assert (len(compared), sum(compared)) == (few, pairs)


def test_memory_does_not_grow_with_the_layers(npu):
    def taken(layers):
        b = GraphBuilder(f"chain of {layers}")
        x = b.input("x", (1, 4, 4, 8), "int8")
        for _ in range(layers):
            x = b.conv2d(x, 8, 3, padding=1)
        workload = lower(b.build([x]))
        points = HardwarePoints.of(npu, {"dram.bytes_per_cycle": np.linspace(1, 9, 20_000).tolist()})
        totals(workload, points)  # candidates and plans stay in their caches
        tracemalloc.start()
        totals(workload, points)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    few, many = taken(4), taken(64)
    # A record of layers would hold 22 columns of 8 B for each layer and point: 225 MB at 64 layers.
    assert many < 1.2 * few < 100e6


def random_moves(rng, count):
    amounts = {name: rng.integers(1, 1000, count).astype(float) for name in Moves.__slots__}
    two = {name: rng.integers(1, 1000, (2, count)).astype(float) for name in ("tiles", "buffer_reads", "buffer_writes")}
    # Whether a home is waited for is the same for all mappings of a layer.
    waits = {name: np.full(count, float(rng.integers(2))) for name in ("first_waits", "home_waits")}
    return Moves(**(amounts | two | waits | {"dtype": rng.integers(2, size=count), "pj": np.zeros(count)}))


def random_rates(rng, count, agree):
    """Rates that points agree in, where their name is among those."""
    rows = {"mac_pj": 2, "sizes": 2, "buffer_read": 2, "buffer_write": 2, "buffer_read_pj": 2, "buffer_write_pj": 2}
    drawn = {}
    for name in Rates.__slots__:
        shape = (rows[name], count) if name in rows else (count,)
        column = rng.uniform(0.1, 2, shape) * (1000 if name == "sizes" else 1)
        drawn[name] = np.broadcast_to(column[..., :1], shape) if name in agree else column
    return Rates(**drawn)


@pytest.mark.parametrize("transfers", ["double_buffered", "serial", "ideal"])
@pytest.mark.parametrize("seed", range(5))
def test_what_points_share_is_worked_out_without_a_change(transfers, seed):
    rng = np.random.default_rng([seed, len(transfers)])
    agree = set(rng.choice(Rates.__slots__, rng.integers(len(Rates.__slots__) + 1), replace=False))
    moves, rates = random_moves(rng, 40), random_rates(rng, 30, agree)
    if seed < 2:
        # Seed 1: filters of a home of their own that are not waited for by a first tile, only by its latency.
        none = ("stored", "stored_fill") if seed == 0 else ("stored_fill",)
        moves = Moves(*(getattr(moves, n) if n not in none else np.zeros(40) for n in Moves.__slots__))
        shares = {"write": 2 * rates.read, "read_pj": np.ones(30), "write_pj": np.ones(30)}
        shares |= {"store_latency": 1000 * rates.store_latency}
        rates = Rates(*(shares.get(n, getattr(rates, n)) for n in Rates.__slots__))
    other_moves, other_rates = absorbed(moves, rates)
    plain = times_of(moves.upright(), rates, transfers).latency
    other = np.broadcast_to(times_of(other_moves.upright(), other_rates, transfers).latency, plain.shape)
    np.testing.assert_allclose(other, plain, rtol=1e-12)
    for name in OBJECTIVES:
        values = np.broadcast_to(objective_of(name, other_moves.upright(), other_rates, other), plain.shape)
        np.testing.assert_allclose(values, objective_of(name, moves.upright(), rates, plain), rtol=1e-12)


@pytest.mark.parametrize("transfers", ["double_buffered", "serial", "ideal"])
@pytest.mark.parametrize("seed", range(5))
def test_no_point_of_a_box_is_behind_by_more_than_its_bound(transfers, seed):
    rng = np.random.default_rng([seed, len(transfers)])
    moves = random_moves(rng, 60)
    rates = random_rates(rng, 50, {"read", "write_pj"} if seed % 2 else ())
    rates = Rates(*(getattr(rates, n) if n != "sizes" else np.full((2, 50), 2000.0) for n in Rates.__slots__))
    rates = Rates(*(getattr(rates, n) * (20 if n == "store_latency" else 1) for n in Rates.__slots__))
    ends = [[getattr(rates, n).min(axis=-1), getattr(rates, n).max(axis=-1)] for n in Rates.__slots__]
    good, bad = (Rates(*(np.stack([end[i]] * 60, axis=-1) for end in ends)) for i in range(2))
    first = rng.integers(60, size=60)
    # Mappings of one layer share its dtype, and whether filters come from a home of their own.
    shared = {"dtype": np.zeros(60, dtype=int)}
    if seed > 2:
        shared |= {"stored": np.zeros(60), "stored_fill": np.zeros(60)}
    same = Moves(*(shared.get(name, getattr(moves, name)) for name in Moves.__slots__))
    bounds = Bounds.of(same, good, bad, transfers)
    latency, energy, traffic = bounds.behind(transfers, first)
    here = times_of(same.upright(), rates, transfers).latency
    assert (here[first] - here <= latency[:, None] + 1e-9 * here).all()
    static = rates.static_pj * here
    joules = objective_of("energy", same.upright(), rates, here) - static
    assert (joules[first] - joules <= energy[:, None] + 1e-9 * joules).all()
    assert (traffic == same.moved[first] - same.moved).all()


def test_every_numeric_field_can_be_varied(data_folder):
    """Each path of each kind of chip is taken, and changes what the points say of it; others are refused."""
    chips = [load_chip("squeezelerator"), load_chip("stm32h747"), load_chip(data_folder / "toy_split.yaml")]
    taken = set()
    for chip in chips:
        places = [""] + [f"memories.{m.name}." for m in chip.memories] + [f"engines.{e.name}." for e in chip.engines]
        for place in places:
            for field in NUMERIC:
                core = place.startswith("engines") and not isinstance(chip.engine(place[8:-1]), ArrayEngine)
                if field == "run_fixed_mw" and not core:
                    continue
                value = 1.0 if field == "write_share" else 256.0
                with suppress(UsageError):
                    assert HardwarePoints.of(chip, {f"{place}{field}": [value, value]}).count == 2
                    taken.add(field)
    assert taken >= set(NUMERIC) - {"rated_v", "supply_v", "rated_mhz", "process_nm", "stall_ns_per_byte"}


@pytest.mark.parametrize(
    ("path", "values", "told"),
    [
        ("sram.size_kb", [1], "size_kib"),
        ("sram.size_kib", [1, -2], "must be finite and > 0"),
        ("sram.size_kib", [float("nan")], "must be finite"),
        ("npu.rows", [2.5], "must be a whole number"),
        ("npu.dataflows", [1], "not a number that can be varied"),
        ("sram.size_kib", [], "must be a list of numbers"),
        ("sram.size_kib", ["8"], "must be a list of numbers"),
    ],
)
def test_a_bad_axis_is_one_sentence(path, values, told, npu):
    with pytest.raises(UsageError, match=told) as raised:
        HardwarePoints.of(npu, {path: values})
    assert "\n" not in str(raised.value)
