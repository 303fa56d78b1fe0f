"""SRAM figures by size and node: the sweep's own points, laws between them, and a profile that asks for them."""

import numpy as np
import pytest

from hwsim.chip import HardwarePoints
from hwsim.chip.sram import sram, sram_pj_per_byte
from hwsim.errors import ChipError, UsageError


def test_points_of_the_sweep_come_back():
    # CACTI 7: 128 KiB, 64 bit, 22 nm, low standby power: 8.283 pJ a read, 5.874 a write, 0.0078886 mW, 0.10249 mm2.
    found = sram(128 * 1024, 22)
    assert [float(getattr(found, name)) for name in found.__slots__] == pytest.approx(
        [8.283, 5.874, 0.0078886, 0.10249]
    )
    # 1 MiB, 32 bit, 65 nm, high performance.
    assert float(sram(2**20, 65, access_bits=32, cell="itrs-hp").leak_mw) > 100


def test_between_points_figures_are_powers_of_size_by_hand():
    # Between 128 KiB (8.283 pJ) and 256 KiB (11.319 pJ) at 22 nm, 181.02 KiB is half-way on a logarithmic axis:
    # the geometric mean, 9.683 pJ; 8 bytes an access.
    read, _ = sram_pj_per_byte(128 * 1024 * 2**0.5, 22)
    assert float(read) == pytest.approx((8.283 * 11.319) ** 0.5 / 8)


def test_a_larger_memory_costs_more_per_access():
    sizes = np.geomspace(2**10, 2**22, 200)
    for node in (22, 28, 40, 65, 90):
        figures = sram(sizes, node)
        assert (np.diff(figures.read_pj) > 0).all()
        assert (np.diff(figures.area_mm2) > 0).all()


def test_a_profile_prices_its_memory_by_size(npu):
    chip = npu.replace("sram.pj_per_byte", "cacti", process_nm=22.0)
    points = HardwarePoints.of(chip, {"sram.size_kib": [128.0, 256.0]})
    # Reads 8.283 and 11.319, writes 5.874 and 8.8757 pJ per 8 bytes.
    assert points.memory("sram").read_pj_per_byte == pytest.approx([8.283 / 8, 11.319 / 8])
    assert points.memory("sram").write_pj_per_byte == pytest.approx([5.874 / 8, 8.8757 / 8])
    assert any("by CACTI 7" in line for line in chip.assumptions())


def test_what_the_sweep_does_not_reach_is_told(npu):
    with pytest.raises(ChipError, match=r"memories.sram.pj_per_byte = cacti: needs process_nm"):
        npu.replace("sram.pj_per_byte", "cacti")
    with pytest.raises(UsageError, match=r"8192 KiB at 22 nm is outside of its table, 1 KiB to 4 MiB at 22 to 90 nm"):
        HardwarePoints.of(npu.replace("sram.pj_per_byte", "cacti", process_nm=22.0), {"sram.size_mib": [1, 8]})
