"""The profiles that come with hwsim: every number has a source, and agrees with the collected facts."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from statistics import median

import pytest

from hwsim.chip import chip_names, load_chip
from hwsim.chip.assumptions import UNSOURCED
from hwsim.chip.paths import NOT_GIVEN, field_paths

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the collected facts are not here")
# How a source says how far it can be trusted.
MARK = re.compile(r"\bassumed\b|\bread\b|from memory|\bderived\b|\bcomputed\b|\bmeasured\b")


@pytest.mark.parametrize("name", chip_names())
def test_every_number_says_where_it_is_from_and_how_sure_it_is(name):
    chip = load_chip(name)
    physics = [path for path in field_paths(chip) if path.rpartition(".")[2] not in UNSOURCED]
    assert len(physics) > 5
    for path in physics:
        source = chip.source_of(path)
        assert source != NOT_GIVEN, path
        assert MARK.search(source), f"{path}: {source}"
    # No key of the table of sources stands for nothing: another one would be the longer for every field it covers.
    used = {chip.source_of(path) for path in field_paths(chip)} - {NOT_GIVEN}
    assert set(chip.sources.values()) == used


@pytest.mark.parametrize("name", chip_names())
def test_profiles_are_skimmable_and_named_as_their_file(name):
    chip = load_chip(name)
    assert chip.name == name
    assert 0 < len(chip.title) <= 60
    assert chip.outside


# Field of a profile -> what the facts call it, and how many of the field's unit one of theirs is.
FACTS = {
    "stm32h747": [
        ("clock_mhz", "STM32H747I-DISCO", "clock_m7", 1),
        ("process_nm", "STM32H743ZI", "tech_node", 1),
        ("m7.peak_macs_per_cycle.int8", "STM32H743ZI", "int8_peak_macs_per_cycle", 1),
        ("m7.peak_macs_per_cycle.float32", "STM32H743ZI", "fp32_peak_macs_per_cycle", 1),
        ("dtcm.size_kib", "STM32H743ZI", "dtcm", 1),
        ("dtcm.size_kib", "STM32H747I-DISCO", "dtcm", 1),
        ("axi_sram.size_kib", "STM32H743ZI", "axi_sram", 1),
        ("d2_sram.size_kib", "STM32H747I-DISCO", "sram_d2", 1),
        ("sdram.size_mib", "STM32H747I-DISCO", "board_sdram", 1),
        ("flash.size_kib", "STM32H747I-DISCO", "flash", 1),
        ("qspi_flash.size_mib", "STM32H747I-DISCO", "board_qspi_flash", 1),
    ],
    "stm32l4r5": [
        ("clock_mhz", "STM32L4R5ZI", "clock", 1),
        ("process_nm", "STM32L4R5ZI", "tech_node", 1),
        ("m4.peak_macs_per_cycle.int8", "STM32L4R5ZI", "int8_peak_macs_per_cycle", 1),
        ("m4.peak_macs_per_cycle.float32", "STM32L4R5ZI", "fp32_peak_macs_per_cycle", 1),
        ("sram.size_kib", "STM32L4R5ZI", "sram", 1),
        ("flash.size_kib", "STM32L4R5ZI", "flash", 1),
    ],
    "stm32u575": [
        ("clock_mhz", "STM32U575ZI", "clock", 1),
        ("process_nm", "STM32U575ZI", "tech_node", 1),
        ("m33.peak_macs_per_cycle.int8", "STM32U575ZI", "int8_peak_macs_per_cycle", 1),
        ("m33.peak_macs_per_cycle.float32", "STM32U575ZI", "fp32_peak_macs_per_cycle", 1),
        ("sram.size_kib", "STM32U575ZI", "sram", 1000 / 1024),
        ("flash.size_kib", "STM32U575ZI", "flash", 1),
    ],
    "eyeriss": [
        ("process_nm", "Eyeriss v1", "tech_node", 1),
        ("glb.size_kib", "Eyeriss v1", "global_buffer", 1),
    ],
    "squeezelerator": [
        ("sram.size_kib", "Squeezelerator", "global_buffer", 1),
        ("dram.latency_cycles", "Squeezelerator", "dram_latency", 1),
        ("dram.gb_per_s", "Squeezelerator", "dram_bandwidth", 1),
    ],
    "ethos_u55_128": [
        ("clock_mhz", "Ethos-U55-128 (Corstone-300)", "core_clock_high_end", 1),
        ("shram.size_kib", "Ethos-U55-128 (Corstone-300)", "shram", 1),
        ("sram.gb_per_s", "Ethos-U55-128 (Corstone-300)", "sram_bandwidth_high_end", 1),
        ("sram.latency_cycles", "Ethos-U55-128 (Corstone-300)", "sram_latency", 1),
        ("flash.gb_per_s", "Ethos-U55-128 (Corstone-300)", "flash_bandwidth_high_end", 1),
        ("flash.latency_cycles", "Ethos-U55-128 (Corstone-300)", "flash_latency", 1),
    ],
    "nvdla_small": [("cbuf.size_kib", "NVDLA nv_small", "cbuf", 1)],
    "gap9": [
        ("clock_mhz", "GAP9", "clock", 1),
        ("process_nm", "GAP9", "tech_node", 1),
        ("l1.size_kib", "GAP9", "l1", 1),
        ("l2.size_kib", "GAP9", "l2", 1024),
        ("emram.size_kib", "GAP9", "nvm", 1024),
    ],
    "raspberry_pi_4": [
        ("clock_mhz", "Raspberry Pi 4 (BCM2711)", "clock", 1),
        ("process_nm", "Raspberry Pi 4 (BCM2711)", "tech_node", 1),
        ("a72.cores", "Raspberry Pi 4 (BCM2711)", "cores", 1),
        ("a72.peak_macs_per_cycle.int8", "Raspberry Pi 4 (BCM2711)", "int8_peak_macs_per_cycle_core", 1),
        ("a72.peak_macs_per_cycle.float32", "Raspberry Pi 4 (BCM2711)", "fp32_peak_macs_per_cycle_core", 1),
    ],
    "gemmini": [
        ("scratchpad.size_kib", "Gemmini (default config)", "scratchpad", 1),
        ("accumulator.size_kib", "Gemmini (default config)", "accumulator", 1),
    ],
    "k210": [
        ("clock_mhz", "Kendryte K210", "clock", 1),
        ("ai_sram.size_mib", "Kendryte K210", "ai_sram", 1),
        ("process_nm", "Kendryte K210", "tech_node", 1),
    ],
    "max78000": [
        ("clock_mhz", "MAX78000", "cnn_clock", 1),
        ("cnn.rows", "MAX78000", "processors", 1),
        ("data.size_kib", "MAX78000", "data_memory", 1),
        ("weights.size_kib", "MAX78000", "weight_memory", 1),
    ],
    "edge_tpu": [("sram.size_mib", "Edge TPU", "on_chip_sram", 1)],
    "nvdla_large": [("cbuf.size_kib", "NVDLA nv_full / nv_large", "cbuf", 1)],
}


def read(name):
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@needs_data
@pytest.mark.parametrize("name", FACTS)
def test_profiles_agree_with_the_collected_facts(name):
    facts = {(row["chip"], row["field"]): row for row in read("chip_facts.csv")}
    chip = load_chip(name)
    for path, subject, field, factor in FACTS[name]:
        row = facts[subject, field]
        value = float(re.match(r"[0-9.]+", row["value"]).group())
        assert chip.get(path) == pytest.approx(value * factor, rel=0.01), (path, row)
        # What is only remembered is not passed off as read.
        if "from-memory" in row["confidence"] and "read" not in row["confidence"]:
            others = [f for p, s, f, _ in FACTS[name] if p == path and "read" in facts[s, f]["confidence"]]
            assert others or re.search("from memory|read", chip.source_of(path)), (path, chip.source_of(path))


@needs_data
@pytest.mark.parametrize(
    ("chip", "path", "board", "round_", "software", "factor"),
    [
        ("stm32l4r5", "m4.run_mw", "L4R5ZI", "v1.2", "X-CUBE-AI 9.0", 1),
        ("stm32u575", "m33.run_mw", "U575", "v1.1", "X-CUBE-AI 8.1", 1),
        # The same core and node at 280 MHz, scaled to 400.
        ("stm32h747", "m7.run_mw", "H7A3", "v1.2", "X-CUBE-AI 9.0", 400 / 280),
    ],
)
def test_run_power_is_the_median_of_measured_rows(chip, path, board, round_, software, factor):
    rows = [
        row
        for row in read("mlperf_tiny.csv")
        if board in row["chip"] + row["board"]
        and (row["round"], row["submitter"]) == (round_, "STMicroelectronics")
        and row["software"].startswith(software)
        and row["power_mw_energy_mode"]
    ]
    assert sorted(row["benchmark"] for row in rows) == ["ad", "ic", "kws", "vww"]
    power = median(float(row["power_mw_energy_mode"]) for row in rows)
    assert load_chip(chip).get(path) == pytest.approx(power * factor, rel=0.005)
    if factor != 1:
        return
    assert {float(row["supply_voltage_v"]) for row in rows} == {load_chip(chip).supply_v}


@needs_data
@pytest.mark.parametrize(
    ("chip", "memory", "kib", "node", "scale"),
    [
        ("gemmini", "scratchpad", 256, 22, 1),
        ("gap9", "l1", 128, 22, 1),
        ("ethos_u55_128", "sram", 4096, 22, 1),
        # Energy goes with the square of the node between 32 and 28 nm.
        ("nvdla_small", "cbuf", 128, 32, (28 / 32) ** 2),
    ],
)
def test_memory_energy_is_that_of_cacti(chip, memory, kib, node, scale):
    (row,) = [
        row
        for row in read("cacti7_sram_sweep.csv")
        if (int(row["size_bytes"]), row["access_bits"], row["tech_nm"], row["cell"])
        == (kib * 1024, "64", str(node), "itrs-lstp")
        and row["temp_K"] == "320"
    ]
    price = float(row["read_pJ"]) * scale / 8
    assert load_chip(chip).get(f"{memory}.pj_per_byte") == pytest.approx(price, rel=0.05)


def test_energies_that_follow_from_a_table():
    # Horowitz, ISSCC 2014, 45 nm: int8 multiply 0.2, int16 1.0, 32-bit add 0.1 pJ.
    mac8, mac16 = 0.3, 1.1
    eyeriss, squeezelerator = load_chip("eyeriss"), load_chip("squeezelerator")
    # 65 nm, and four register file accesses of the price of a MAC.
    at_65 = mac16 * 65 / 45
    assert eyeriss.get("mac_pj.int16") == pytest.approx(5 * at_65, rel=0.01)
    # Chen et al., ISCA 2016: a 16-bit word costs 6 MACs from the buffer, 200 from DRAM.
    assert eyeriss.get("glb.pj_per_byte") == pytest.approx(6 * at_65 / 2, rel=0.01)
    assert eyeriss.get("dram.pj_per_byte") == pytest.approx(200 * at_65 / 2, rel=0.01)
    assert squeezelerator.get("mac_pj.int16") == pytest.approx(2 * mac16)
    assert squeezelerator.get("sram.pj_per_byte") == pytest.approx(6 * mac16 / 2)
    assert squeezelerator.get("dram.pj_per_byte") == pytest.approx(200 * mac16 / 2)
    for name, share in (("gemmini", 1 / 3), ("ethos_u55_128", 1 / 3), ("nvdla_small", 1 / 2)):
        assert load_chip(name).get("mac_pj.int8") == pytest.approx(mac8 * share)
    # LPDDR4 as a system, 14 pJ/bit.
    for name in ("gemmini", "nvdla_small"):
        assert load_chip(name).get("dram.pj_per_byte") == pytest.approx(14 * 8)


def test_shapes_of_the_arrays():
    shapes = {
        "eyeriss": (12, 14),
        "squeezelerator": (32, 32),
        "ethos_u55_128": (32, 16),  # 8 lanes by 16 outputs, each for a step of four products
        "nvdla_small": (8, 8),
        "gemmini": (16, 16),
    }
    for name, shape in shapes.items():
        engine = load_chip(name).engines[0]
        assert (engine.rows, engine.cols) == shape


@pytest.mark.parametrize("name", [name for name in chip_names() if name.startswith("ethos_u")])
def test_ethos_u_does_the_macs_of_its_name(name):
    engine = load_chip(name).engines[0]
    assert engine.rows * engine.cols * engine.macs_per_pe["int8"] == int(name.rpartition("_")[2])
