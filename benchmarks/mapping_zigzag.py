"""The other side of `mapping.py`: ZigZag on the same layers and the same machine. Runs in an interpreter that has it.

    PYTHON benchmarks/mapping_zigzag.py < layers.json > figures.json

Input: machine, objective, lpf_limit and layers (name, k, c, p, q, r, s, stride, pad, h, w). Output, per layer: latency
[cycle], energy [pJ], DRAM bytes read and written, and CPU seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any


def accelerator(machine: dict[str, float]) -> str:
    """Return the machine as ZigZag's YAML: an SRAM of a port per operand and direction, a DRAM of one port for all."""
    wide, narrow = int(machine["sram_bits"]), int(machine["dram_bits"])
    ports = {"I1": ("fh", "tl"), "I2": ("fh", "tl"), "O": ("fh", "fl", "tl", "th")}
    sram_ports: list[tuple[str, str, list[str], int]] = []
    for operand, directions in ports.items():
        for direction in directions:
            kind = "write" if direction.startswith("f") else "read"
            sram_ports.append((f"{kind[0]}_port_{len(sram_ports) + 1}", kind, [f"{operand}, {direction}"], wide))
    dram_ports = [("rw_port_1", "read_write", ["I1, tl", "I2, tl", "O, fl", "O, tl"], narrow)]
    memories = {
        "sram": (int(machine["sram_bytes"]) * 8, machine["sram_pj_per_byte"] * wide / 8, sram_ports),
        "dram": (10**11, machine["dram_pj_per_byte"] * narrow / 8, dram_ports),
    }
    lines = ["name: common", "memories:"]
    for name, (size, cost, its_ports) in memories.items():
        lines += [f"  {name}:", f"    size: {size}", f"    r_cost: {cost}", f"    w_cost: {cost}", "    area: 0"]
        lines += ["    latency: 1", f"    mem_type: {name}", "    auto_cost_extraction: False"]
        lines += ["    operands: [I1, I2, O]", "    served_dimensions: [D1, D2]", "    ports:"]
        for port, kind, allocated, bits in its_ports:
            lines += [f"      - name: {port}", f"        type: {kind}"]
            lines += ["        bandwidth_min: 8", f"        bandwidth_max: {bits}", "        allocation:"]
            lines += [f"          - {allocation}" for allocation in allocated]
    lines += [
        "operational_array:",
        "  input_precision: [8, 8]",
        f"  unit_energy: {machine['mac_pj']}",
        "  unit_area: 1",
    ]
    lines += ["  dimensions: [D1, D2]", f"  sizes: [{int(machine['rows'])}, {int(machine['cols'])}]"]
    return "\n".join(lines) + "\n"


def mapping(machine: dict[str, float]) -> str:
    """Return the unrolling: channels on the rows, filters on the columns."""
    return (
        "- name: default\n  spatial_mapping:\n"
        f"    D1:\n      - C, {int(machine['rows'])}\n    D2:\n      - K, {int(machine['cols'])}\n"
        "  memory_operand_links:\n    O: O\n    W: I2\n    I: I1\n"
    )


def workload(layer: dict[str, int]) -> str:
    """Return a convolution as ZigZag's YAML; its padding is not read."""
    stride, pad = layer["stride"], layer["pad"]
    return (
        "- id: 0\n  operator_type: Conv\n  equation: O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]\n"
        f"  dimension_relations: [ix={stride}*ox+1*fx, iy={stride}*oy+1*fy]\n"
        "  loop_dims: [B, K, C, OY, OX, FY, FX]\n"
        f"  loop_sizes: [1, {layer['k']}, {layer['c']}, {layer['p']}, {layer['q']}, {layer['r']}, {layer['s']}]\n"
        f"  pr_loop_dims: [IX, IY]\n  pr_loop_sizes: [{layer['w']}, {layer['h']}]\n"
        f"  padding: [[{pad}, {pad}], [{pad}, {pad}]]\n"
        "  operand_precision: {O: 8, O_final: 8, W: 8, I: 8}\n  operand_source: {I: 0, W: 0}\n"
    )


def dram_bytes(cost: Any, word_bytes: int) -> tuple[float, float]:
    """Return bytes read from and written to the outermost memory, whose port moves words."""
    read = written = 0.0
    for accesses in cost.memory_word_access.values():
        counts = accesses[-1].data
        for direction, words in counts.items():
            if str(direction).split(".")[-1].lower().startswith(("rd", "read")):
                read += words
            else:
                written += words
    return read * word_bytes, written * word_bytes


def main() -> None:
    """Run the layers that stand on stdin."""
    search = importlib.import_module("zigzag.api").get_hardware_performance_zigzag
    logging.disable(logging.CRITICAL)
    asked = json.load(sys.stdin)
    machine, found = asked["machine"], []
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        paths = {name: str(Path(folder) / f"{name}.yaml") for name in ("accelerator", "mapping", "workload")}
        Path(paths["accelerator"]).write_text(accelerator(machine))
        Path(paths["mapping"]).write_text(mapping(machine))
        for layer in asked["layers"]:
            Path(paths["workload"]).write_text(workload(layer))
            start = process_time()
            energy_pj, cycles, costs = search(
                paths["workload"], paths["accelerator"], paths["mapping"],
                opt=asked["objective"], dump_folder=folder, lpf_limit=asked["lpf_limit"],
                loma_show_progress_bar=False,
            )  # fmt: skip
            seconds = process_time() - start
            read, written = dram_bytes(costs[0][1][0][0], int(machine["dram_bits"]) // 8)
            found.append(
                {"name": layer["name"], "latency_cycles": cycles, "energy_pj": energy_pj, "dram_read_bytes": read,
                 "dram_written_bytes": written, "cpu_s": seconds}
            )  # fmt: skip
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
