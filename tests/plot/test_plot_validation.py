"""Pictures of a validation, read back."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hwsim.errors import UsageError
from hwsim.plot import plot_residuals, plot_validation
from hwsim.silicon import measurements
from hwsim.silicon.validation import Validated


@pytest.fixture
def rows():
    known = [row for row in measurements() if row.net and row.engine == "core" and row.latency_ms]
    picked = [row for core in ("cortex-m4", "cortex-m7") for row in [r for r in known if r.core == core][:5]]
    errors = [0.1, -0.2, 0.3, -0.05, 0.0, 0.4, 0.02, -0.3, float("nan"), 0.25]
    return [
        Validated(row, row.latency_ms / 1e3, 0.0, {"family": error, "chip": -error})
        for row, error in zip(picked, errors, strict=True)
    ]


def points(axes):
    """Return what is drawn as marks, all series together."""
    series = [line for line in axes.lines if line.get_linestyle() == "None"]
    return np.concatenate([np.column_stack(line.get_data()).astype(float) for line in series])


def test_every_row_is_a_point_at_its_latencies(rows):
    axes = plot_validation(rows)
    known = [row for row in rows if not np.isnan(row.left_out_error)]
    wanted = sorted((row.measured_s, row.measured_s * (1 + row.left_out_error)) for row in known)
    assert sorted(map(tuple, points(axes))) == [pytest.approx(point) for point in wanted]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlim() == axes.get_ylim()
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["cortex-m4 (5)", "cortex-m7 (4)", "± 25 %"]
    # Sizes 0.1 0.2 0.3 0.05 0 0.4 0.02 0.3 0.25: their mean is 1.62/9 = 18.0 %, nine tenths lie within 32 %.
    assert "9 measurements: mean |error| 18.0 %, 90th percentile 32.0 %" in axes.figure.get_suptitle()


def test_residuals_stand_on_the_line_of_their_net(rows):
    axes = plot_residuals(rows, "chip")
    names = [text.get_text() for text in axes.get_yticklabels()]
    drawn = points(axes)
    assert sorted(drawn[:, 0]) == pytest.approx(
        sorted(-100 * row.left_out_error for row in rows if not np.isnan(row.left_out_error))
    )
    assert set(drawn[:, 1]) == set(range(len(names)))
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_pictures_are_drawn_into_axes_of_ones_own(rows):
    figure, both = plt.subplots(1, 2)
    assert plot_validation(rows, ax=both[0]) is both[0]
    assert plot_residuals(rows, ax=both[1]) is both[1]
    plt.close(figure)


def test_nothing_to_draw_is_said(rows):
    for draw in (plot_validation, plot_residuals):
        with pytest.raises(UsageError, match="needs a row or more"):
            draw([row for row in rows if np.isnan(row.left_out_error)])
