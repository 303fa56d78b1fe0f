"""SCALE-Sim: array cycles are its closed form."""

from hwsim.silicon.published import comparison_table, scalesim
from hwsim.silicon.published.comparison import rows_of

RUNS = list(rows_of("scalesim"))


def closed_form(row):
    """Folds times cycles of a fold, as the tool's makers publish them, from the layer as a matrix product."""
    h, w, r, s, c, k, stride = (
        int(row[n]) for n in ("ifmap_h", "ifmap_w", "filter_h", "filter_w", "channels", "filters", "stride")
    )
    rows, cols = int(row["rows"]), int(row["cols"])
    pixels, window = -(-(h - r + stride) // stride) * -(-(w - s + stride) // stride), r * s * c
    down, across, streamed = {
        "os": (pixels, k, window), "ws": (window, k, pixels), "is": (window, pixels, k)
    }[row["dataflow"]]  # fmt: skip
    loading = 0 if row["dataflow"] == "os" else rows
    return -(-down // rows) * -(-across // cols) * (streamed + rows + cols - 2 + loading)


def test_every_run_equals_the_tool_and_its_closed_form():
    assert len(RUNS) == 262
    for row, compared in zip(RUNS, scalesim.cycles(), strict=True):
        assert compared.ours == compared.published == closed_form(row) - 1, compared.case


def test_a_window_that_hangs_over_the_edge_is_not_counted_otherwise():
    # MobileNet's first layer, 224 px, 3x3, stride 2: (224 - 3) / 2 = 110.5, so 111 windows fit; the tool counts 112.
    row = next(row for row in RUNS if row["net"] == "mobilenet" and row["layer"] == "Conv1")
    assert (row["ifmap_h"], row["filter_h"], row["stride"]) == ("224", "3", "2")
    assert scalesim.overhangs(row)
    whole = next(row for row in RUNS if row["stride"] == "1")
    assert not scalesim.overhangs(whole)


def test_the_table_says_so():
    table = comparison_table("scalesim")
    assert not table.missed
    assert sum(row.published for row in table.rows) == 262
