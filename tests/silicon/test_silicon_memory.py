"""Predicted against published memory: exact where the rules are known, within the aims where they had to be chosen."""

from statistics import fmean

import pytest

from hwsim.chip import runtime_facts
from hwsim.cost import lower, plan_arena
from hwsim.nets import build
from hwsim.silicon import measurements
from hwsim.silicon.memory import memory_rows

ROWS = memory_rows()
INT8 = [row for row in ROWS if row.measurement.dtype == "int8"]
# Their float32 input, quantised inside the net, is the arena; the catalogue's nets begin with the quantised tensor.
FLOAT_INPUT = ("ST AFD dense",)


def mean_error(rows, quantity):
    return fmean(abs(row.error(quantity)) for row in rows if quantity in row.predicted_kib)


def test_there_is_enough_to_compare():
    assert len(INT8) >= 120
    assert len({row.measurement.family for row in INT8}) >= 15


@pytest.mark.parametrize(
    ("net", "published"), [("ad_autoencoder", 2048), ("resnet8", 56672), ("ds_cnn", 22272), ("vww_mobilenet", 58624)]
)
def test_arenas_of_mlperf_tiny_to_the_byte(net, published):
    # ModelRamOccupation of X-CUBE-AI 9.0 in the .ioc projects of STMicroelectronics, MLPerf Tiny v1.2; none was fitted.
    workload = lower(build(net), dtype="int8")
    arena = plan_arena(workload, [runtime_facts("x-cube-ai-9.0")] * len(workload.rows))
    assert arena.peak_bytes == published
    rows = [row for row in measurements() if row.runtime == "x-cube-ai-9.0" and row.activation_ram_kib]
    assert round(published / 1024, 2) in {row.activation_ram_kib for row in rows}


@pytest.mark.parametrize(
    ("model", "library"),
    [
        ("st_yolo_lc_v1_224", "STM32Cube.AI 8.1.0"),
        ("st_yolo_lc_v1_256", "STM32Cube.AI 8.1.0"),
        ("squeezenet_v1.0_128", "STM32Cube.AI 7.3.0"),
        ("squeezenet_v1.1_128", "STM32Cube.AI 7.3.0"),
        ("mobilenet_v2_0.35_128", "STM32Cube.AI 7.3.0"),
        ("tiny_yolo_v2", "STM32Cube.AI 8.1.0"),
    ],
)
def test_arenas_of_the_zoo_to_the_last_digit(model, library):
    row = next(row for row in INT8 if (row.measurement.model, row.measurement.library) == (model, library))
    assert row.predicted_kib["activation_ram_kib"] == pytest.approx(row.measurement.activation_ram_kib, abs=0.006)


def test_weights_in_flash():
    # SSD heads carry constants besides weights: 0.79 to 1.19 of the file's own (notes of the collection).
    dense = [row for row in ROWS if row.measurement.family != "SSD-MobileNetV2-FPNLite"]
    assert mean_error(dense, "weights_flash_kib") < 0.001
    assert mean_error(ROWS, "weights_flash_kib") < 0.01
    stated = [row for row in dense if "weights_flash_kib" in row.predicted_kib]
    assert sum(abs(row.error("weights_flash_kib")) < 0.001 for row in stated) > 0.9 * len(stated)


def test_activation_arenas():
    judged = [row for row in INT8 if row.measurement.family not in FLOAT_INPUT]
    assert mean_error(judged, "activation_ram_kib") < 0.09
    assert mean_error(INT8, "activation_ram_kib") < 0.10


@pytest.mark.parametrize(("library", "most"), [("STM32Cube.AI 7.3.0", 0.05), ("STM32Cube.AI 10.0.0", 0.03)])
def test_what_the_runtime_takes(library, most):
    rows = [row for row in INT8 if row.measurement.library == library]
    assert mean_error(rows, "runtime_ram_kib") < most
    assert mean_error(rows, "code_flash_kib") < 0.08
