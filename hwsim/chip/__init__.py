"""The chip room: profiles, kernel tables, the catalogue, and hardware points."""

from hwsim.chip.assumptions import WAITING
from hwsim.chip.buffers import OPERANDS, Operand, Transfers
from hwsim.chip.catalogue import chip_names, kernel_table_names
from hwsim.chip.chip import Chip
from hwsim.chip.dataflows import DATAFLOWS, Dataflow
from hwsim.chip.kernels import (
    CONV_LIKE,
    KERNEL_KINDS,
    Factors,
    KernelCost,
    KernelEntry,
    KernelKind,
    KernelTable,
    rate_dtype,
)
from hwsim.chip.loader import load_chip, load_kernel_table, load_runtime, runtime_facts, with_runtime
from hwsim.chip.points import HardwarePoints
from hwsim.chip.runtimes import KindMemory, Runtime
from hwsim.chip.schema import ArrayEngine, CoreEngine, Memory, Preference, StageKind
from hwsim.chip.sparsity import GOLOMB_RICE, Sparsity
from hwsim.chip.validated import MIN_FAMILIES, MIN_ROWS, ErrorBar, error_bar
from hwsim.chip.words import chip_cells, field_cells

__all__ = [
    "CONV_LIKE",
    "DATAFLOWS",
    "GOLOMB_RICE",
    "KERNEL_KINDS",
    "MIN_FAMILIES",
    "MIN_ROWS",
    "OPERANDS",
    "WAITING",
    "ArrayEngine",
    "Chip",
    "CoreEngine",
    "Dataflow",
    "ErrorBar",
    "Factors",
    "HardwarePoints",
    "KernelCost",
    "KernelEntry",
    "KernelKind",
    "KernelTable",
    "KindMemory",
    "Memory",
    "Operand",
    "Preference",
    "Runtime",
    "Sparsity",
    "StageKind",
    "Transfers",
    "chip_cells",
    "chip_names",
    "error_bar",
    "field_cells",
    "kernel_table_names",
    "load_chip",
    "load_kernel_table",
    "load_runtime",
    "rate_dtype",
    "runtime_facts",
    "with_runtime",
]
