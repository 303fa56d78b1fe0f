"""Sweeps with round numbers, made by hand: no engine stands behind them."""

from itertools import product

import numpy as np

from hwsim.explore import Column, SweepTable

AXES = {
    "sram_size_kib": ("memories.sram.size_kib", "KiB"),
    "npu_rows": ("engines.npu.rows", ""),
    "dram_gb_per_s": ("memories.dram.gb_per_s", "GB/s"),
    "npu_dataflows": ("engines.npu.dataflows", ""),
}


def made(axes, nets=("net_a",), latency=None, **more):
    """A grid over axes: latency_s is what a function of a row says, energy_j is 1 mJ for each KiB of SRAM."""
    rows = [dict(zip(("net", *axes), values, strict=True)) for values in product(nets, *axes.values())]
    for row in rows:
        row["latency_s"] = (latency or (lambda row: 1e-3))(row)
    columns = {"point": np.arange(len(rows))}
    columns |= {name: np.array([row[name] for row in rows]) for name in ("net", *axes, "latency_s")}
    known = np.isfinite(columns["latency_s"])
    kib = columns.get("sram_size_kib", np.ones(len(rows)))
    columns["energy_j"] = np.where(known, kib * 1e-3, np.nan)
    columns["dram_bytes"] = np.full(len(rows), 2 * 2**20)
    columns["fits"] = known
    columns["reason"] = np.where(known, "", "sram: needs 4 KiB, has less")
    columns |= more
    info = [Column("point", "key"), Column("net", "key")]
    info += [Column(name, "axis", *AXES[name]) for name in axes]
    info += [Column.of(name, "result") for name in ("latency_s", "energy_j", "dram_bytes", "fits", "reason")]
    return SweepTable(columns, info, {"chip": "toy"})


def halves(row):
    """1 ms at 1 KiB, half of it at each doubling; none below."""
    return 1e-3 / row["sram_size_kib"] if row["sram_size_kib"] >= 1 else float("nan")
