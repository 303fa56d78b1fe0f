"""Tornados: bars as long as the elasticities, the most telling field on top."""

import numpy as np
import pytest

from hwsim.errors import UsageError
from hwsim.explore import Sensitivity, grid_sensitivity
from hwsim.plot import plot_sensitivity
from hwsim.plot.sheet import whole_figure
from tests.plot.sweeps import halves, made


def found(values, kind="local", low=None, high=None):
    values = np.array(values, dtype=np.float64)
    axes = tuple(f"field{index}" for index in range(len(values)))
    names = ("latency_ms", "energy_mj")[: values.shape[1]]
    low, high = (values if part is None else np.array(part) for part in (low, high))
    return Sensitivity(kind, "net on chip", axes, ("16",) * len(axes), names, values, low, high, 9, {})


def bars(axes):
    return {bars.get_label(): [bar.get_width() for bar in bars] for bars in axes.containers}


def test_bars_are_the_elasticities_largest_first():
    axes = plot_sensitivity(found([[0.1, -0.2], [-0.9, 0.0], [0.0, 0.5]]))
    assert bars(axes) == {"latency": [-0.9, 0.0, 0.1], "energy": [0.0, 0.5, -0.2]}
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["field1  16", "field2  16", "field0  16"]
    assert axes.get_xlabel() == "elasticity [% of change per % of the field]"
    # From the top down: the axis runs downwards, and no bar leaves it.
    bottom, top = axes.get_ylim()
    assert top < bottom
    # Each number that is not zero stands at its bar.
    assert sorted(text.get_text() for text in axes.texts) == sorted(["+0.10", "−0.20", "−0.90", "+0.50"])


def test_a_sweep_has_whiskers():
    # 1 ms at 1 KiB, half of it at each doubling: −1 everywhere.
    table = made({"sram_size_kib": [1.0, 2.0, 4.0]}, latency=halves)
    axes = plot_sensitivity(grid_sensitivity(table, ["latency_ms"]))
    assert bars(axes)["latency"] == pytest.approx([-1.0])
    axes = plot_sensitivity(found([[0.5]], kind="grid", low=[[0.25]], high=[[0.75]]))
    (spread,) = (lines for lines in axes.collections if lines.get_label() == "spread")
    np.testing.assert_allclose(spread.get_segments()[0][:, 0], [0.25, 0.75])


def test_what_has_no_effect_or_is_too_much_is_told():
    axes = plot_sensitivity(found([[0.5 - 0.01 * index] for index in range(25)] + [[0.0]]))
    assert len(bars(axes)["latency"]) == 20
    note = whole_figure(axes).get_supxlabel()
    assert note == "beside a field: what it is; 5 fields of less effect not drawn; 1 without any"


def test_sobol_indices_have_the_fields_own():
    axes = plot_sensitivity(found([[0.5], [0.2]], kind="sobol", low=[[0.4], [0.1]], high=[[0.5], [0.2]]))
    assert axes.get_xlabel() == "total Sobol index [share of the variance]"
    (own,) = (lines for lines in axes.collections if lines.get_label() == "alone")
    assert [segment[0, 0] for segment in own.get_segments()] == pytest.approx([0.4, 0.1])


def test_nothing_to_draw():
    with pytest.raises(UsageError, match="net on chip: nothing follows any of field0, field1; there is no tornado"):
        plot_sensitivity(found([[0.0], [0.0]]))
