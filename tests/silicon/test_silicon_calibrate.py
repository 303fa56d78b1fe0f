"""Calibration: a factor by hand, factors that are known beforehand, outliers, and files that are wrong."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hwsim.chip import Chip, load_chip, load_kernel_table
from hwsim.cli import main
from hwsim.errors import UsageError
from hwsim.importers import load_net
from hwsim.report import evaluate
from hwsim.silicon.calibrate import calibrate
from hwsim.silicon.calibration_text import table_yaml
from hwsim.silicon.coefficients import LADDER, PARTS, observed, part_of, scaled_table
from hwsim.silicon.measured_file import read_measured
from hwsim.silicon.robust_fit import fit_factors

TOY = Path(__file__).parents[1] / "data" / "toy_mcu.yaml"
DENSE = """
schema: 1
net: {name}
inputs:
  x: {{shape: [1, {inputs}], dtype: int8}}
layers:
  - {{name: fc, op: dense, out_channels: {outputs}}}
"""


def written(path: Path, header: str, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split())
        writer.writerows(rows)
    return path


def dense_nets(folder: Path) -> list[tuple[str, int, int]]:
    sizes = [("a.yaml", 100, 10), ("b.yaml", 200, 20), ("c.yaml", 64, 64), ("d.yaml", 500, 8)]
    for file, inputs, outputs in sizes:
        (folder / file).write_text(DENSE.format(name=file[0], inputs=inputs, outputs=outputs))
    return sizes


def test_one_factor_by_hand(tmp_path: Path) -> None:
    # The toy's dense kernel: 1 cycle per MAC, 1 per byte of weights and biases (int8 and int32); no wait states.
    # a: 100·10 = 1000 MAC, 1000 + 4·10 = 1040 B -> 2040 cycles; flash gives 2 B per cycle, 520: the core decides.
    # Measured is what 1.5 cycles per MAC make: 1500 + 1040 = 2540 cycles at 100 MHz = 25.40 µs; so for the others.
    # One coefficient scales computing and leaves the weight bytes: 1.5.
    rows = [(file, (1.5 * i * o + i * o + 4 * o) / 100e6 * 1e3) for file, i, o in dense_nets(tmp_path)]
    assert rows[0][1] == pytest.approx(0.02540)
    found = calibrate(written(tmp_path / "m.csv", "net latency_ms", rows), load_chip(TOY), name="mine", dtype="int8")
    assert found.coefficients == 1
    assert found.factors.tolist() == pytest.approx([1.5] * 5 + [1.0], rel=1e-6)
    assert found.rows[0].before == pytest.approx(2040 / 2540 - 1)
    assert [row.fitted for row in found.rows] == pytest.approx([0] * 4, abs=1e-6)
    assert [row.left_out for row in found.rows] == pytest.approx([0] * 4, abs=1e-6)
    assert found.table.dtypes["int8"]["dense"].cycles_per_mac == pytest.approx(1.5)
    assert found.table.dtypes["int8"]["dense"].cycles_per_weight_byte == 1.0


def test_power_by_hand(tmp_path: Path) -> None:
    # 60 mW in all for as long as it runs, 10 mW of it static: the core takes 50 mW. One meter reads a tenth more.
    rows = [(file, ms := i * o * 3e-5, ms * 0.060) for file, i, o in dense_nets(tmp_path)]
    rows[2] = (*rows[2][:2], rows[2][2] * 1.1)
    path = written(tmp_path / "m.csv", "net latency_ms energy_mj", rows)
    found = calibrate(path, load_chip(TOY), name="mine", dtype="int8")
    assert found.power is not None
    assert found.power.run_mw == pytest.approx(50)
    # Left out, the median of the others is 50 mW each time: three rows are right, one is 1 − 1/1.1 = 9.09 % low.
    assert found.power.left_out == pytest.approx((1 - 1 / 1.1) / 4)


NETS = [
    *(("mobilenet_v1", f"resolution={r} alpha={a}") for r, a in ((96, 0.25), (128, 0.5), (96, 1.0))),
    *(("mobilenet_v2", f"resolution={r} alpha=0.35") for r in (96, 128, 160)),
    *(("squeezenet_v1_1", f"resolution={r}") for r in (64, 96, 128)),
    *(("st_yolo_lc_v1", f"resolution={r}") for r in (192, 256)),
    *(("miniresnet", f"stacks={s}") for s in (1, 2)),
    *((name, "") for name in ("ad_autoencoder", "resnet8", "ds_cnn", "lenet5", "vww_mobilenet_live", "st_mnist")),
    *((name, "") for name in ("fd_mobilenet_0_25", "lenet_caffe", "st_afd_conv", "resnet32", "kwt_1")),
]
FACTORS = (1.3, 0.8, 1.6, 0.7, 1.2, 0.9)


def measured_with(chip: Chip, factors: Sequence[float], nets: Sequence[tuple[str, str]]) -> list[list[object]]:
    """Return what the nets would take on the chip if its kernel table were scaled by factors."""
    core = chip.engines[0]
    other = core.with_table(scaled_table(core.kernel_table, "int8", factors), core.memory_facts)
    changed = chip.model_copy(update={"engines": (other, *chip.engines[1:])})
    rows: list[list[object]] = []
    for name, parameters in nets:
        values = {k: float(v) if "." in v else int(v) for k, v in (word.split("=") for word in parameters.split())}
        report = evaluate(load_net(name, **values), changed, dtype="int8")
        rows.append([name, parameters, report.latency_s * 1e3])
    return rows


@pytest.fixture(scope="module")
def board() -> Chip:
    return load_chip("stm32h747").replace("flash.size_kib", 65536).replace("axi_sram.size_kib", 65536)


@pytest.fixture(scope="module")
def made_up(board: Chip) -> list[list[object]]:
    return measured_with(board, FACTORS, NETS)


def test_factors_known_beforehand_are_found(board: Chip, made_up: list[list[object]], tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", "net parameters latency_ms", made_up)
    found = calibrate(path, board, name="mine", dtype="int8", coefficients=6)
    # Calls are 0.2 % of the time: what rows say of them is lost in the least scatter they are allowed.
    assert found.factors[[0, 1, 2, 3, 5]] == pytest.approx(np.array(FACTORS)[[0, 1, 2, 3, 5]], rel=0.03)
    assert found.mean_error("fitted") < 0.001
    assert found.mean_error("left_out") < 0.01
    assert found.mean_error("before") > 0.1
    # Left to itself, it finds that so many factors are worth their rows.
    assert calibrate(path, board, name="mine", dtype="int8").coefficients >= 5


def test_the_engine_with_the_written_table_predicts_what_the_fit_says(
    board: Chip, made_up: list[list[object]], tmp_path: Path
) -> None:
    path = written(tmp_path / "m.csv", "net parameters latency_ms", made_up[:12])
    found = calibrate(path, board, name="mine", dtype="int8")
    (tmp_path / "mine.yaml").write_text(table_yaml(found.table))
    table = load_kernel_table(tmp_path / "mine.yaml")
    assert table.fit_error == found.table.fit_error
    core = board.engines[0]
    calibrated = board.model_copy(update={"engines": (core.with_table(table, core.memory_facts), *board.engines[1:])})
    for row in found.rows:
        one = row.observation.row
        report = evaluate(one.graph, calibrated, dtype="int8")
        assert report.latency_s / one.latency_s - 1 == pytest.approx(row.fitted, abs=1e-5)


def test_one_outlier_moves_nothing_and_is_named(board: Chip, tmp_path: Path) -> None:
    rows = measured_with(board, [1.3, 1.3, 0.8, 0.8, 0.8, 1.2], NETS[:16])
    clean = calibrate(written(tmp_path / "c.csv", "net parameters latency_ms", rows), board, name="m", dtype="int8",
                      coefficients=3)  # fmt: skip
    rows[4][2] *= 3
    bent = calibrate(written(tmp_path / "b.csv", "net parameters latency_ms", rows), board, name="m", dtype="int8",
                     coefficients=3)  # fmt: skip
    assert bent.factors == pytest.approx(clean.factors, rel=0.02)
    assert [row.observation.row.line for row in bent.rows if row.weight < 0.25] == [4 + 2]


def test_noise_does_not_buy_factors(board: Chip, tmp_path: Path) -> None:
    rows = measured_with(board, [1.2] * 5 + [1.0], NETS)
    noise = np.random.default_rng(3).normal(0, 0.05, len(rows))
    for row, error in zip(rows, noise, strict=True):
        row[2] *= 1 + error
    found = calibrate(written(tmp_path / "m.csv", "net parameters latency_ms", rows), board, name="m", dtype="int8")
    assert found.coefficients <= 2
    assert found.factors[0] == pytest.approx(1.2, rel=0.04)


def test_cycles_of_layers(board: Chip, tmp_path: Path) -> None:
    chip = board
    core = chip.engines[0]
    other = core.with_table(scaled_table(core.kernel_table, "int8", [2.0] * 5 + [1.0]), core.memory_facts)
    slow = chip.model_copy(update={"engines": (other, *chip.engines[1:])})
    layers = [layer for layer in evaluate(load_net("resnet8"), slow, dtype="int8").layers if layer.cycles > 0]
    rows = [("resnet8", layer.name, layer.cycles) for layer in layers]
    found = calibrate(written(tmp_path / "m.csv", "net layer cycles", rows), chip, name="m", dtype="int8",
                      coefficients=1)  # fmt: skip
    assert found.factors[0] == pytest.approx(2, rel=1e-3)
    assert len(found.rows) == len(layers)


def test_factors_are_never_negative(board: Chip, made_up: list[list[object]], tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = [[*row[:2], row[2] * rng.uniform(0.3, 3)] for row in made_up]
    path = written(tmp_path / "m.csv", "net parameters latency_ms", rows)
    _, seen = observed(read_measured(path, dtype="int8"), board)
    for rung in LADDER.values():
        assert (fit_factors(seen, rung)[0] >= 0).all()


def test_every_coefficient_belongs_to_a_part(board: Chip) -> None:
    table = board.engines[0].kernel_table
    seen = {part_of(entry, term) for entry, cost in table.dtypes["int8"].items() for term in cost.model_fields_set}
    assert seen == set(range(len(PARTS)))


GOOD = [["resnet8", 30], ["ds_cnn", 8], ["ad_autoencoder", 1], ["lenet5", 2]]


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("net latency", GOOD, r"m.csv:1: there is no column 'latency'; did you mean 'latency_ms'\?"),
        ("latency_ms note", GOOD, r"m.csv:1: column 'net' is missing"),
        ("net note", GOOD, r"m.csv:1: column 'latency_ms' is missing \(or 'layer' and 'cycles'"),
        ("net latency_ms net", [], r"m.csv:1: column 'net' stands twice"),
        ("net;latency_ms", [], r"there is no column 'net;latency_ms'; separate columns with commas"),
        ("net latency_ms", [*GOOD, ["lenet5"]], r"m.csv:6: has 1 cells, but there are 2 columns"),
        ("net latency_ms", [*GOOD, ["resnet9", 3]], r"m.csv:6: net = 'resnet9': .*did you mean 'resnet8'\?"),
        ("net latency_ms", [*GOOD, ["none.tflite", 3]], r"m.csv:6: net = 'none.tflite': "),
        ("net latency_ms", [*GOOD, ["ds_cnn", 9]], r"m.csv:6: net = 'ds_cnn': line 3 measures the same"),
        ("net latency_ms", [*GOOD, ["kwt_1", "fast"]], r"m.csv:6: latency_ms = 'fast': must be a number > 0 \[ms\]"),
        ("net latency_ms", [*GOOD, ["kwt_1", -3]], r"m.csv:6: latency_ms = -3: must be a number > 0 \[ms\]"),
        ("net latency_ms", [*GOOD, ["kwt_1", "nan"]], r"m.csv:6: latency_ms = nan: must be"),
        ("net latency_ms", [*GOOD, ["kwt_1", ""]], r"m.csv:6: latency_ms is empty"),
        ("net latency_ms", GOOD[:3], r"m.csv: has 3 rows, and a factor takes at least 4: measure 1 more"),
        ("net latency_ms", [*GOOD, ["resnet32", 150_000]],
         r"m.csv:6: latency_ms of resnet32 is \d+ times what the other rows make of it: is it in another unit than"),
        ("net latency_ms", [*GOOD[1:], ["resnet32", 150], ["resnet8", 0.03]],
         r"m.csv:6: latency_ms of resnet8 is 1/\d+ of what the other rows make of it"),
        ("net latency_ms", [[net, ms * 1000] for net, ms in GOOD], r"m.csv: latency_ms: rows are [\d.e+]+ times what"),
        ("net layer cycles", [["resnet8", "conv9", 100]] * 4, r"m.csv:3: net = 'resnet8: conv9': line 2 measures the"),
        ("net layer cycles", [["resnet8", f"no{i}", 100] for i in range(4)], r"m.csv:2: layer = 'no0': resnet8 has no"),
        ("net layer cycles latency_ms", [["resnet8", "fc", 100, 3]], r"m.csv:2: latency_ms is of a whole net, but"),
        ("net dtype latency_ms", [["resnet8", "int9", 3]], r"m.csv:2: dtype = 'int9': must be one of"),
        ("net dtype latency_ms", [[net, d, ms] for (net, ms), d in zip(GOOD, ["int8", "float32"] * 2, strict=True)],
         r"rows run at several dtypes \(.*m.csv:3 as float32"),
        ("net parameters latency_ms", [["lenet5", "depth", 3]], r"m.csv:2: parameters = 'depth': write name=value"),
        ("net parameters latency_ms", [["lenet5", "batch=2", 3]], r"batch is no parameter of a net"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(
    board: Chip, tmp_path: Path, header: str, rows: list[list[object]], said: str
) -> None:
    path = written(tmp_path / "m.csv", header, rows)
    with pytest.raises(UsageError, match=said):
        calibrate(path, board, name="mine", dtype="int8")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"net,latency_ms\n\xff\xfe,3\n", "cannot be read as text"),
     (b'net,latency_ms\n"resnet8,3\n', "cannot be read as CSV|runs over several lines")],
)  # fmt: skip
def test_files_that_are_no_tables(board: Chip, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        calibrate(path, board, name="mine")


def test_more_coefficients_than_rows_can_carry(board: Chip, tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", "net latency_ms", GOOD)
    with pytest.raises(UsageError, match=r"--coefficients 2: takes 8 rows, 4 for each, but .*m.csv has 4; the most"):
        calibrate(path, board, name="mine", dtype="int8", coefficients=2)
    with pytest.raises(UsageError, match=r"--coefficients 7: must be from 1 to 6"):
        calibrate(path, board, name="mine", dtype="int8", coefficients=7)


def test_arrays_have_no_kernel_table(tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", "net latency_ms", GOOD)
    with pytest.raises(UsageError, match="--chip eyeriss: has no core"):
        calibrate(path, load_chip("eyeriss"), name="mine", dtype="int8")


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["hwsim", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_the_command_writes_a_table_and_says_how_to_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(file, (1.5 * i * o + i * o + 4 * o) / 100e6 * 1e3) for file, i, o in dense_nets(tmp_path)]
    path, out = written(tmp_path / "m.csv", "net latency_ms", rows), tmp_path / "mine.yaml"
    assert call(monkeypatch, "calibrate", path, "--chip", TOY, "--dtype", "int8", "-o", out) == 0
    told = capsys.readouterr().out
    assert "kernels: {toy: mine}" in told
    last = told.strip().splitlines()[-1]
    assert last.startswith("mine on toy-mcu: 0.0 % off on what it has not seen, 0.0 % on the 4 rows that its")
    profile = TOY.read_text().replace("{toy: toy_kernels}", "{toy: mine}")
    (tmp_path / "chip.yaml").write_text(profile)
    report = evaluate(load_net(tmp_path / "a.yaml"), load_chip(tmp_path / "chip.yaml"), dtype="int8")
    assert report.latency_s == pytest.approx(25.40e-6)
    assert "4 measurements of kernel table mine" in report.error_source


def test_nothing_is_written_when_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(tmp_path / "m.csv", "net latency_ms", GOOD[:3]), tmp_path / "mine.yaml"
    assert call(monkeypatch, "calibrate", path, "--chip", TOY, "-o", out) == 2
    assert call(monkeypatch, "calibrate", path, "--chip", TOY, "-o", tmp_path / "mine.txt") == 2
    assert call(monkeypatch, "calibrate", path, "--chip", TOY, "-o", tmp_path / "no" / "mine.yaml") == 2
    assert not out.exists()
    assert "Traceback" not in capsys.readouterr().err
