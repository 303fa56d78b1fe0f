"""The arena planner: no two live buffers overlap, the peak is what it says, and it is near the optimum."""

from itertools import combinations, permutations

import numpy as np
import pytest

from hwsim.cost import lower, plan_arena
from hwsim.graph import GraphBuilder
from hwsim.nets import build


def random_net(seed, layers=7):
    rng = np.random.default_rng(seed)
    b = GraphBuilder(f"random{seed}")
    alive = [b.input("x", (1, 4, 4, int(rng.integers(1, 9))), "int8")]
    for _ in range(layers):
        kind = rng.integers(3)
        x = alive[rng.integers(len(alive))]
        if kind == 0:
            y = b.conv2d(x, int(rng.integers(1, 9)), 1)
        elif kind == 1:
            y = b.unary("relu", x)
        else:
            y = b.concat([x, alive[rng.integers(len(alive))]])
        alive.append(y)
    read = {name for layer in b._layers for name in layer.inputs}
    return b.build([name for name in alive[1:] if name not in read])


def test_a_chain_by_hand():
    # 100 B -> 200 B -> 50 B -> 25 B: in+out pairs need 300, 250, 75; the planner reaches the largest.
    b = GraphBuilder("chain")
    x = b.input("x", (1, 1, 1, 100), "int8")
    for channels in (200, 50, 25):
        x = b.conv2d(x, channels, 1)
    arena = plan_arena(lower(b.build([x])))
    assert (arena.peak_bytes, arena.lower_bound_bytes, arena.peak_layer) == (300, 300, 0)
    # The 200 B buffer goes first, at 0; the 100 B one above it; 50 B above as well once the 100 B are dead; 25 B at 0.
    assert [(p.size, p.offset) for p in arena.placements] == [(200, 0), (100, 200), (50, 200), (25, 0)]


def test_a_skip_connection_keeps_its_source_alive():
    # x (100) -> y (100) -> z (100), add(x, z): at the second conv x, y and z live.
    b = GraphBuilder("skip")
    x = b.input("x", (1, 1, 1, 100), "int8")
    z = b.conv2d(b.conv2d(x, 100, 1), 100, 1)
    arena = plan_arena(lower(b.build([b.binary("add", x, z)])))
    assert arena.lower_bound_bytes == arena.peak_bytes == 300


def test_a_reshape_shares_its_bytes():
    b = GraphBuilder("reshape")
    x = b.input("x", (1, 2, 2, 25), "int8")
    y = b.flatten(b.unary("relu", x))
    arena = plan_arena(lower(b.build([b.dense(y, 10)])))
    assert len(arena.placements) == 3
    assert arena.peak_bytes == 200


def test_batch_scales_the_arena():
    graph = build("ds_cnn")
    assert plan_arena(lower(graph, batch=3)).peak_bytes == 3 * plan_arena(lower(graph)).peak_bytes


@pytest.mark.parametrize("planner", ["greedy_by_size", "first_fit", "reverse_fit", "search"])
def test_every_planner_scales_with_the_batch(planner):
    for seed in range(6):
        graph = random_net(seed)
        one, five = (plan_arena(lower(graph, batch=batch), planner=planner) for batch in (1, 5))
        assert five.peak_bytes == 5 * one.peak_bytes
        assert five.lower_bound_bytes == 5 * one.lower_bound_bytes
        assert five.peak_layer == one.peak_layer


def test_ten_thousand_layers():
    # Of each block of a convolution and an addition its input, the convolution's result and the sum: 3 · 8·8·8 B.
    b = GraphBuilder("deep")
    x = b.input("x", (1, 8, 8, 8), "int8")
    for _ in range(5_000):
        x = b.binary("add", x, b.conv2d(x, 8, 3, padding="same"))
    workload = lower(b.build([x]))
    assert len(workload.rows) == 10_000
    for planner in ("greedy_by_size", "first_fit"):
        assert plan_arena(workload, planner=planner).peak_bytes == 3 * 512


@pytest.mark.parametrize("seed", range(25))
def test_no_live_buffers_overlap(seed):
    arena = plan_arena(lower(random_net(seed)))
    for a, b in combinations(arena.placements, 2):
        together = a.first <= b.last and b.first <= a.last
        apart = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
        assert apart or not together
    assert arena.peak_bytes == max(p.offset + p.size for p in arena.placements)
    assert arena.peak_bytes >= arena.lower_bound_bytes
    live = [sum(p.size for p in arena.live_at(layer)) for layer in range(len(random_net(seed).layers))]
    assert max(live) == arena.lower_bound_bytes
    assert max(p.offset + p.size for p in arena.live_at(arena.peak_layer)) == arena.peak_bytes


def test_the_peak_layer_uses_the_arena_to_its_end_with_most_alive():
    # Alive: 48 + 300, 300 + 40, 40 + 300, 300 + 4. The 300s lie at 0, the others above: the first ends at 348.
    b = GraphBuilder("chain")
    x = b.dense(b.dense(b.dense(b.input("x", (1, 48), "int8"), 300), 40), 300)
    arena = plan_arena(lower(b.build([b.dense(x, 4)])))
    assert arena.peak_bytes == arena.lower_bound_bytes == 348
    assert arena.peak_layer == 0


def test_of_several_layers_that_use_the_arena_to_its_end_the_fullest_is_told():
    # Alive: x 10 and p 50; both and q 80; x, q and their concatenation, 90. Largest first that is at 0, q at 90, p at 0
    # and x, which lives all the time, at 170: it reaches the end of the arena in every layer.
    b = GraphBuilder("ties")
    x = b.input("x", (1, 10), "int8")
    q = b.dense(b.dense(x, 50), 80)
    arena = plan_arena(lower(b.build([b.concat([x, q])])))
    assert arena.peak_bytes == arena.lower_bound_bytes == 180
    assert arena.peak_layer == 2


def first_fit(buffers, order):
    placed = []
    for index in order:
        size, first, last = buffers[index]
        rivals = sorted((o, o + s) for o, s, start, end in placed if start <= last and end >= first)
        offset = 0
        for low, high in rivals:
            if offset + size <= low:
                break
            offset = max(offset, high)
        placed.append((offset, size, first, last))
    return max(o + s for o, s, _, _ in placed)


@pytest.mark.parametrize("seed", range(6))
def test_greedy_is_close_to_the_best_order(seed):
    arena = plan_arena(lower(random_net(seed, layers=5)))
    buffers = [(p.size, p.first, p.last) for p in arena.placements]
    best = min(first_fit(buffers, order) for order in permutations(range(len(buffers))))
    assert arena.peak_bytes == first_fit(buffers, range(len(buffers)))
    assert best <= arena.peak_bytes <= 1.25 * best


@pytest.mark.parametrize("name", ["squeezenet_v1_1", "mobilenet_v2", "resnet18", "ds_cnn", "shufflenet_v2"])
def test_real_nets_reach_the_lower_bound_nearly(name):
    arena = plan_arena(lower(build(name), dtype="int8"))
    assert arena.peak_bytes <= 1.1 * arena.lower_bound_bytes
