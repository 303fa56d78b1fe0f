"""Aims, errors and the tables they are shown in."""

from pathlib import Path

import pytest

from hwsim.silicon.published import TABLES, Aim, Comparison, ComparisonTable, comparison_table


@pytest.mark.parametrize(
    ("aim", "ours", "met"),
    [
        (Aim("within", 0.1), 110, True),
        (Aim("within", 0.1), 89, False),
        (Aim("at_most"), 100.00001, True),  # as the source rounds
        (Aim("at_most"), 100.1, False),
        (Aim("equal"), 100, True),
        (Aim("equal"), 99, False),
        (Aim("none"), 5, True),
    ],
)
def test_an_aim_is_met_or_not(aim, ours, met):
    assert aim.met(ours, 100) is met


def test_a_table_shows_what_is_missed():
    near = Comparison(case="near", quantity="time [ms]", ours=104, published=100, aim=Aim("within", 0.1))
    far = Comparison(case="far", quantity="time [ms]", ours=1250.5, published=1000, aim=Aim("within", 0.1))
    table = ComparisonTable(title="t", rows=[near, far], mean_within=0.05)
    assert table.missed == [far]
    assert table.mean_error == pytest.approx((0.04 + 0.2505) / 2)
    assert table.markdown().splitlines()[2:] == [
        "| near | time [ms] | 104 | 100 | +4.0 % | ± 10 % | yes |",
        "| far | time [ms] | 1,250.5 | 1,000 | +25.1 % | ± 10 % | **no** |",
        "",
        "Mean size of the errors: 14.5 % (aim 5.0 %, **not met**).",
    ]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_stands_on_the_page(name):
    page = Path(__file__).parents[2] / "docs" / "validation_arrays.md"
    assert f"<!-- published {name} -->" in page.read_text(encoding="utf-8")
    assert comparison_table(name).rows
