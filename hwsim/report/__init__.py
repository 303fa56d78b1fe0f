"""The report room: evaluate, result records, tables, JSON and CSV."""

from hwsim.report.comparison import Comparison, compare
from hwsim.report.evaluation import evaluate, report_at
from hwsim.report.explaining import Doubling, Explanation, explain
from hwsim.report.fitting import Fit, fit
from hwsim.report.holding import reasons
from hwsim.report.record import MAC_CONVENTION, LayerReport, LiveTensor, Mapping, MemoryReport, Report

__all__ = [
    "MAC_CONVENTION",
    "Comparison",
    "Doubling",
    "Explanation",
    "Fit",
    "LayerReport",
    "LiveTensor",
    "Mapping",
    "MemoryReport",
    "Report",
    "compare",
    "evaluate",
    "explain",
    "fit",
    "reasons",
    "report_at",
]
