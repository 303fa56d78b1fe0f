"""The shipped measurements: complete, sourced, tied to nets whose counts agree with what was published."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from hwsim.cost import lower
from hwsim.errors import UsageError
from hwsim.silicon import measurements
from hwsim.silicon.measurements import FLAGS, net_parameters

DATA = Path(__file__).parents[3] / "shared" / "data"
ROWS = measurements()


def test_every_row_has_a_source_and_a_net_or_a_reason():
    assert len(ROWS) == 585 + 235
    assert all(row.source for row in ROWS)
    assert all(bool(row.net) != bool(row.not_reconstructible) for row in ROWS)
    assert all(row.flags <= set(FLAGS) for row in ROWS)


def test_most_core_rows_are_reconstructed():
    core = [row for row in ROWS if row.engine == "core"]
    assert len([row for row in core if row.net]) >= 0.9 * len(core)


def test_nets_execute_the_macs_that_were_published():
    for row in ROWS:
        if row.net and row.macs_m is not None:
            # macs_m has four decimals; what tools state of pruned nets counts biases and pooling, too
            tolerance = 0.002 * row.macs_m if "pruned" in row.flags else 6e-5
            assert row.graph().macs / 1e6 == pytest.approx(row.macs_m, abs=tolerance), row.net_name


# Flash that holds more than weights, or as the source's own reader distrusts.
ODD_FLASH = ("ssd_mobilenet", "yolov8n")


def test_int8_weights_fill_the_published_flash():
    checked = 0
    for row in ROWS:
        if row.set == "stm32_zoo" and row.engine == "core" and row.net and row.weights_flash_kib:
            weights = lower(row.graph(), dtype=row.dtype).weight_bytes / 1024
            if row.model.startswith(ODD_FLASH):
                continue
            tolerance = 0.025 if row.library == "STM32Cube.AI 7.3.0" or row.net.startswith("osnet") else 0.001
            assert weights == pytest.approx(row.weights_flash_kib, rel=tolerance), row.net_name
            checked += 1
    assert checked > 100


def test_a_row_without_a_net_says_why():
    row = next(row for row in ROWS if row.family == "SVC")
    with pytest.raises(UsageError, match="support-vector"):
        row.graph()


def test_parameters_are_typed_by_how_they_are_written():
    assert net_parameters("alpha=0.25 classes=5 late_stride=true") == {"alpha": 0.25, "classes": 5, "late_stride": True}


@pytest.mark.skipif(not DATA.exists(), reason="the source tables are not on this machine")
@pytest.mark.parametrize(("name", "set_"), [("stm32_zoo.csv", "stm32_zoo"), ("mlperf_tiny.csv", "mlperf_tiny")])
def test_latencies_and_sources_are_those_of_the_source_tables(name, set_):
    with (DATA / name).open(newline="") as file:
        published = Counter((record["board"], float(record["latency_ms"])) for record in csv.DictReader(file))
    assert Counter((row.board, row.latency_ms) for row in ROWS if row.set == set_) == published
