"""NPUs: the fit on made-up rows, and the shipped tables against published rows."""

from dataclasses import replace

import numpy as np
import pytest

from hwsim.silicon.groups import aimed_sets
from hwsim.silicon.npu_fit import NpuSample, fit_npu, npu_rows, table_coefficients
from hwsim.silicon.npu_parameters import ARRAY_NAMES, ARRAY_PARAMETERS, BY_CHIP, NPUS
from hwsim.silicon.parameters import GROUPS

NPU = NPUS[0]
PRIOR = np.array([NPU.priors[name] for name in ARRAY_NAMES])


def made_up(count, values, factor=1.0, seed=1):
    """Rows that an NPU with these values would show: every fourth of another release, slower by a factor."""
    rng = np.random.default_rng(seed)
    row = npu_rows()[0]
    found = []
    for index in range(count):
        slow = index % 4 == 3
        # Most rows are mostly of one parameter, so that the priors weigh little.
        features = rng.uniform(0, 1, (len(PRIOR), len(GROUPS))) ** 12 / PRIOR[:, None] * 1e6
        features[:, GROUPS.index("stream")] = 0  # no layer of an array follows that factor
        cycles = values @ features @ np.array([factor, factor, 1.0] if slow else [1.0, 1.0, 1.0]) + 2e5
        release = "st-edge-ai-2.0" if slow else NPU.reference
        found.append(NpuSample(replace(row, family=f"{index}", runtime=release), cycles, cycles, 2e5, features))
    return found


def test_a_fit_finds_the_values_that_made_the_rows():
    values = PRIOR * np.linspace(0.8, 1.3, len(PRIOR))
    fit = fit_npu(NPU, made_up(80, values, 1.3))
    off = np.abs(fit.values / values - 1)
    assert off.mean() < 0.3 * np.abs(PRIOR / values - 1).mean()
    assert fit.factor("st-edge-ai-2.0")[:2] == pytest.approx([1.3, 1.3], rel=0.1)  # held near one
    assert np.mean([abs(fit.relative_error(sample)) for sample in made_up(40, values, 1.3, seed=2)]) < 0.02


def test_few_rows_carry_one_scale_and_fewer_none():
    values = 1.4 * PRIOR
    few = [sample for sample in made_up(8, values) if sample.measurement.runtime == NPU.reference]
    assert table_coefficients(NPU, few) == 1
    assert fit_npu(NPU, few).values == pytest.approx(values, rel=1e-6)
    assert table_coefficients(NPU, few[:3]) == 0
    assert fit_npu(NPU, few[:3]).values == pytest.approx(PRIOR)


def test_no_fit_has_more_than_a_coefficient_for_four_rows(npus):
    for name, fit in npus.fits.items():
        rows = sum(BY_CHIP[sample.measurement.chip].table == name for sample in npus.samples)
        assert sum(fit.coefficients.values()) <= rows / 4, name


def test_every_parameter_of_a_table_is_priced_for_every_npu():
    for npu in NPUS:
        assert set(npu.priors) == set(ARRAY_NAMES)
        assert npu.reference in npu.libraries
    assert len(ARRAY_PARAMETERS) == len(set(ARRAY_NAMES))


def test_the_engine_says_what_the_fit_says(npus):
    for sample, row in zip(npus.samples, npus.rows, strict=True):
        fit = npus.fits[BY_CHIP[row.measurement.chip].table]
        assert 1 + row.shipped_error == pytest.approx(1 + fit.relative_error(sample), rel=5e-3), row.measurement


def test_npus_are_predicted_as_well_as_aimed_at(npus):
    (found,) = [one for one in aimed_sets(npus.rows) if one.name == "NPUs"]
    assert found.errors.n == len(npu_rows()) > 100
    assert {row.measurement.chip for row in found.rows} == set(BY_CHIP)
    assert found.met, (found.errors.mape, found.errors.p90)


def test_what_the_zoo_shows_of_external_memory(npus):
    # Weights stream at 0.38 GB/s, so that 1000 classes instead of two cost MobileNetV2 what its 1.26 MB more take; and
    # SSD at 416 pixels, whose activations leave the chip, is several times slower than at 256.
    shipped = {
        (row.measurement.net, row.measurement.parameters, row.measurement.runtime): row.measured_s
        * (1 + row.shipped_error)
        for row in npus.rows
    }
    small, large = (
        shipped["mobilenet_v2", f"resolution=128 alpha=0.35 classes={classes}", "st-edge-ai-4.0"]
        for classes in (2, 1000)
    )
    assert large - small == pytest.approx(998 * 1281 / 0.38e9, rel=0.1)
    inside, outside = (
        shipped["ssd_mobilenet_v2_fpnlite", f"resolution={size} alpha=0.35 classes=1", "st-edge-ai-2.0"]
        for size in (256, 416)
    )
    assert outside > 3 * inside
