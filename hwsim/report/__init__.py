"""The report room: evaluate, result records, tables, JSON and CSV."""

from hwsim.report.comparison import Comparison, compare
from hwsim.report.evaluation import evaluate, report_at
from hwsim.report.fitting import Fit, fit
from hwsim.report.holding import reasons
from hwsim.report.record import MAC_CONVENTION, LayerReport, LiveTensor, Mapping, MemoryReport, Report

__all__ = [
    "MAC_CONVENTION",
    "Comparison",
    "Fit",
    "LayerReport",
    "LiveTensor",
    "Mapping",
    "MemoryReport",
    "Report",
    "compare",
    "evaluate",
    "fit",
    "reasons",
    "report_at",
]
