"""Planners on buffers alone: nothing overlaps that may not, no plan beats the bound, and a search finds the optimum."""

from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.cost import planners
from hwsim.cost.planners import Buffer, Problem, plan
from hwsim.errors import UsageError


@st.composite
def problems(draw, most=9, largest=40):
    """Draw buffers, and gaps between some that die as others are born: at most one gap for each of either kind."""
    lives = st.tuples(st.integers(1, largest), st.integers(0, 5), st.integers(0, 2))
    drawn = draw(st.lists(lives, min_size=1, max_size=most))
    buffers = tuple(Buffer(size, first, first + length) for size, first, length in drawn)
    gaps = {}
    for i, j in product(range(len(buffers)), repeat=2):
        dying, born = buffers[i], buffers[j]
        meets = dying.last == born.first and dying.first < born.first and born.last >= dying.last
        free = all(i != a and j != b for a, b in gaps)
        if meets and free and draw(st.booleans()):
            gaps[i, j] = draw(st.integers(0, largest))
    return Problem(buffers, gaps)


def clashes(problem, offsets):
    """Return the pairs that live together, overlap, and may not."""
    found = []
    for i, j in combinations(range(len(offsets)), 2):
        a, b = problem.buffers[i], problem.buffers[j]
        together = a.first <= b.last and b.first <= a.last
        apart = offsets[i] + a.size <= offsets[j] or offsets[j] + b.size <= offsets[i]
        below = any(
            pair in problem.gaps and offsets[pair[1]] <= offsets[pair[0]] - problem.gaps[pair]
            for pair in ((i, j), (j, i))
        )
        if together and not apart and not below:
            found.append((i, j))
    return found


@given(problems(most=25), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_columns_place_as_lists_do(problem, rng):
    order = rng.sample(range(len(problem.buffers)), len(problem.buffers))
    placed = []
    for few in (len(problem.buffers), 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(planners, "FEW", few)
            placed.append(planners.place_in_order(problem, order))
    assert placed[0] == placed[1]


@given(problems())
@settings(max_examples=100, deadline=None)
def test_every_plan_is_sound_and_none_beats_the_bound(problem):
    bound = problem.live_bytes().max()
    peaks = {}
    for name in planners.PLANNERS:
        made = plan(problem, name)
        assert clashes(problem, made.offsets) == []
        assert made.peak_bytes == max(at + b.size for at, b in zip(made.offsets, problem.buffers, strict=True))
        assert made.peak_bytes >= bound
        assert min(made.offsets) == 0
        peaks[name] = made.peak_bytes
    assert peaks["search"] == min(peaks.values())


def by_trying_all_offsets(problem):
    """Return the least peak, by giving every buffer every offset below the sum of all sizes."""
    most = sum(buffer.size for buffer in problem.buffers)
    best = most
    for offsets in product(range(most), repeat=len(problem.buffers)):
        peak = problem.peak(offsets)
        if peak < best and not clashes(problem, offsets):
            best = peak
    return best


@given(problems(most=4, largest=4))
@settings(max_examples=40, deadline=None)
def test_a_search_finds_the_optimum_of_all_offsets(problem):
    found = plan(problem, "search")
    assert found.optimal
    assert found.peak_bytes == by_trying_all_offsets(problem)


@given(problems(most=6))
@settings(max_examples=40, deadline=None)
def test_a_search_finds_the_best_order(problem):
    orders = permutations(range(len(problem.buffers)))
    best = min(problem.peak(planners.place_in_order(problem, order)) for order in orders)
    assert plan(problem, "search").peak_bytes == best


@given(problems(), st.integers(2, 7))
@settings(max_examples=40, deadline=None)
def test_sizes_scale_plans(problem, factor):
    scaled = Problem(
        tuple(Buffer(b.size * factor, b.first, b.last) for b in problem.buffers),
        {pair: gap * factor for pair, gap in problem.gaps.items()},
    )
    for name in ("greedy_by_size", "first_fit", "reverse_fit"):
        assert plan(scaled, name).peak_bytes == factor * plan(problem, name).peak_bytes


def test_a_case_that_greedy_by_size_gets_wrong():
    # Lives, in steps:  a (5) 0-1, b (4) 1-2, c (3) 2-3, d (3) 0-0; at most a + d = 8, a + b = 9, b + c = 7 live.
    # Largest first: a at 0, b at 5, c at 0, d at 5: 9 bytes, which is the bound.
    problem = Problem((Buffer(5, 0, 1), Buffer(4, 1, 2), Buffer(3, 2, 3), Buffer(3, 0, 0)))
    assert problem.live_bytes().tolist() == [8, 9, 7, 3]
    assert plan(problem, "greedy_by_size").offsets == (0, 5, 0, 5)
    # e (4) over 1-3 needs a hole: at step 1 a + b + e = 13. Largest first e lands above b, at 9; born in order it is
    # a 0, d 5, b 5, e 9, c 0: 13 again.
    problem = Problem((*problem.buffers, Buffer(4, 1, 3)))
    assert problem.live_bytes().max() == 13
    assert plan(problem, "first_fit").peak_bytes == plan(problem, "search").peak_bytes == 13
    # Two of 4 in a row and a long one of 3 that lives through both, then one of 5 beside the long one. Largest first:
    # the 5 at 0 (step 2), the 4s at 0, the long one at 5, for the 5 is in its way: 8. The bound is 3 + 5 = 8.
    problem = Problem((Buffer(4, 0, 0), Buffer(4, 1, 1), Buffer(5, 2, 2), Buffer(3, 0, 2)))
    assert plan(problem, "greedy_by_size").peak_bytes == 8
    # In order of life the long one lands on the first 4, at 4, and the 5 has to go above it: 4 + 3 + 5 = 12.
    assert plan(problem, "first_fit").peak_bytes == 12
    assert plan(problem, "search").peak_bytes == 8


def test_a_result_below_its_input():
    # 10 bytes die as 8 are born that must start 3 below: 3 + 10 = 13 instead of 18.
    problem = Problem((Buffer(10, 0, 1), Buffer(8, 1, 2)), {(0, 1): 3})
    assert problem.live_bytes().tolist() == [10, 13, 8]
    assert plan(problem, "reverse_fit") == planners.Plan((3, 0), 13, True)
    # Largest first puts the input at 0, and there is no room below it.
    assert plan(problem, "greedy_by_size").peak_bytes == 18
    # In place, byte by byte: no gap at all.
    problem = Problem((Buffer(8, 0, 1), Buffer(8, 1, 2)), {(0, 1): 0})
    assert plan(problem, "greedy_by_size").offsets == (0, 0)


def test_a_result_over_two_inputs_saves_no_more_than_itself():
    # a and b (6 each) die as c (6) is born over either: 12, and the bound does not promise the 6 it would get by
    # counting both savings.
    problem = Problem((Buffer(6, 0, 1), Buffer(6, 0, 1), Buffer(6, 1, 1)), {(0, 2): 0, (1, 2): 0})
    assert problem.live_bytes().tolist() == [12, 12]
    assert plan(problem, "search").peak_bytes == 12


def test_ten_thousand_buffers_in_a_chain():
    # Each lives for two steps: two neighbours at most, 100 + 199 where the sizes 100..199 come round.
    buffers = tuple(Buffer(100 + i % 100, i, i + 1) for i in range(20_000))
    made = plan(Problem(buffers), "greedy_by_size")
    assert made.peak_bytes >= 198 + 199
    assert made.peak_bytes <= 1.5 * (198 + 199)
    assert len(made.offsets) == 20_000


def test_no_such_planner():
    with pytest.raises(UsageError, match=r"planner = 'best': must be one of greedy_by_size, first_fit"):
        plan(Problem((Buffer(1, 0, 0),)), "best")


@pytest.mark.parametrize("seed", range(6))
def test_against_an_integer_program(seed):
    """The search's peak is the optimum that HiGHS proves for buffers with a big-M order of each pair."""
    highspy = pytest.importorskip("highspy")
    import numpy as np

    rng = np.random.default_rng(seed)
    firsts, sizes = rng.integers(0, 6, 9), rng.integers(1, 60, 9)
    buffers = tuple(
        Buffer(int(size), int(first), int(first + rng.integers(0, 3)))
        for size, first in zip(sizes, firsts, strict=True)
    )
    found = plan(Problem(buffers), "search")
    most = sum(buffer.size for buffer in buffers)
    model = highspy.Highs()
    model.silent()
    peak = model.addVariable(0, most)
    offsets = [model.addVariable(0, most) for _ in buffers]
    for offset, buffer in zip(offsets, buffers, strict=True):
        model.addConstr(offset + buffer.size <= peak)
    for i, j in combinations(range(len(buffers)), 2):
        if buffers[i].first <= buffers[j].last and buffers[j].first <= buffers[i].last:
            below = model.addBinary()
            model.addConstr(offsets[i] + buffers[i].size <= offsets[j] + most * (1 - below))
            model.addConstr(offsets[j] + buffers[j].size <= offsets[i] + most * below)
    model.minimize(peak)
    optimum = round(model.getInfo().objective_function_value)
    assert found.peak_bytes == optimum
    # The gap of the quick planners, on these: largest first stays within a quarter.
    assert plan(Problem(buffers), "greedy_by_size").peak_bytes <= 1.25 * optimum
