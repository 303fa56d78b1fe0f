"""Totals over many points against ``evaluate`` at each of them, on chips and nets of every kind."""

import numpy as np
import pytest

from hwsim.chip import ArrayEngine, HardwarePoints, load_chip
from hwsim.cost import OBJECTIVES, lower, natural_dtype, totals
from hwsim.nets import build
from hwsim.report import evaluate, reasons

CHIPS = ("toy_npu", "toy_split", "toy_mcu", "squeezelerator_8x8", "eyeriss", "ethos_u55_128", "stm32h747", "gap9")


def random_axes(rng, chip, count):
    """Return values of every kind of field at points: some agree, some repeat, some differ everywhere."""

    def around(value, octaves):
        factors = 2.0 ** rng.uniform(-octaves, octaves, count)
        kind = rng.integers(3)
        if kind == 1:
            factors = rng.choice(factors[:3], count)
        return value * factors

    vary = {"clock_mhz": around(chip.clock_mhz, 2)}
    for memory in chip.memories:
        name = f"memories.{memory.name}"
        buffer = any(isinstance(e, ArrayEngine) and memory.name in e.buffers(chip).values() for e in chip.engines)
        least = 16 + memory.reserved_kib * 1024
        vary[f"{name}.size_bytes"] = np.ceil(around(memory.size_bytes * (0.05 if buffer else 0.5), 4)) + least
        if memory.gb_per_s is not None:
            vary[f"{name}.gb_per_s"] = around(memory.gb_per_s, 3)
        else:
            vary[f"{name}.bytes_per_cycle"] = around(memory.bytes_per_cycle, 3)
        vary[f"{name}.latency_cycles"] = np.floor(around(20, 2))
        if memory.pj_per_byte is not None and not isinstance(memory.pj_per_byte, str):
            vary[f"{name}.pj_per_byte"] = around(memory.pj_per_byte, 2)
    for engine in chip.engines:
        name = f"engines.{engine.name}"
        if isinstance(engine, ArrayEngine):
            vary[f"{name}.rows"] = rng.choice([3, 8], count)
            vary[f"{name}.cols"] = rng.choice([4, 16], count)
        elif engine.run_mw is not None:
            vary[f"{name}.run_mw"] = around(engine.run_mw, 1)
    if chip.static_mw is not None:
        vary["static_mw"] = around(chip.static_mw + 0.1, 1)
    kept = rng.permutation(list(vary))[: rng.integers(1, len(vary) + 1)]
    return {path: vary[path] for path in kept}


def at_point(chip, vary, i):
    for path, values in vary.items():
        whole = path.rpartition(".")[2] in ("rows", "cols", "size_bytes")
        chip = chip.replace(path, int(values[i]) if whole else float(values[i]))
    return chip


def chip_of(name, data_folder):
    return load_chip(data_folder / f"{name}.yaml") if name.startswith("toy") else load_chip(name)


def assert_equal_to_reports(found, why, chip, net, vary, dtype, objective, at):
    names = [memory.name for memory in chip.memories]
    for i in at:
        report = evaluate(net, at_point(chip, vary, i), dtype=dtype, objective=objective)
        assert why[i] == report.reason
        assert found.feasible[i] == report.runs
        assert found.fits[i] == report.fits
        close = {"rtol": 1e-12, "atol": 0, "equal_nan": True, "err_msg": f"point {i}"}
        np.testing.assert_allclose(found.latency_s[i], report.latency_s, **close)
        np.testing.assert_allclose(found.energy_j[i], report.energy_j, **close)
        assert found.macs_done[i] == sum(layer.macs_done for layer in report.layers)
        assert found.traffic_bytes[:, i].tolist() == [report.traffic_bytes[name] for name in names]
        for memory, name in enumerate(names):
            parts = report.traffic_parts_bytes[name]
            flows = found.traffic_parts_bytes[memory, ..., i].reshape(-1).tolist()
            assert sorted(parts.values()) == sorted(count for count in flows if count)
            reserved = {record.name: record.items.get("reserved", 0) for record in report.memories}
            assert found.need_bytes[memory, i] == report.peak_bytes[name] - reserved[name]
        if report.runs:
            shares = dict(zip(found.components, found.energy_parts_j[:, i].tolist(), strict=True))
            told = report.energy_parts_j
            np.testing.assert_allclose(
                [shares[name] for name in shares], [told.get(name, 0) for name in shares], **close
            )


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("seed", range(3))
def test_totals_equal_evaluate_at_every_point(name, seed, small_net, data_folder):
    rng = np.random.default_rng([seed, CHIPS.index(name)])
    chip = chip_of(name, data_folder)
    net = small_net if seed == 0 or name.startswith("toy") else build("ds_cnn")
    dtype = natural_dtype(net, chip) or ("int8" if name != "eyeriss" and "squeeze" not in name else "int16")
    objective = OBJECTIVES[int(rng.integers(len(OBJECTIVES)))]
    vary = random_axes(rng, chip, 40)
    points = HardwarePoints.of(chip, {path: values.tolist() for path, values in vary.items()})
    found = totals(lower(net, dtype=dtype), points, objective=objective)
    at = rng.choice(40, 8, replace=False).tolist()
    assert_equal_to_reports(found, reasons(found), chip, net, vary, dtype, objective, at)
