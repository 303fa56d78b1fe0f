"""How far predictions for a chip are off measured silicon, as the shipped table of errors says.

The table (``hw_profiles/validation.csv``) holds errors of rows whose net family the fit had not seen; ``hwsim
validate`` computes them anew.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from hwsim.chip.catalogue import FOLDER
from hwsim.chip.kernels import KernelTable, rate_dtype
from hwsim.data_folder import data_folder

TABLE = "validation.csv"
ANY = "*"  # for a runtime: all of them together
# An error bar needs so many rows, of so many net families.
MIN_ROWS, MIN_FAMILIES = 8, 4


@dataclass(frozen=True, slots=True)
class ErrorBar:
    """What is known of a prediction's error.

    Attributes:
        p90: 90th percentile of |error|, a fraction; None where too few rows were measured.
        source: What it was measured on, or why there is none.
    """

    p90: float | None
    source: str


@dataclass(frozen=True, slots=True)
class _Errors:
    chip: str
    core: str
    runtime: str
    dtype: str
    n: int
    families: int
    p90: float

    @property
    def enough(self) -> bool:
        return self.n >= MIN_ROWS and self.families >= MIN_FAMILIES


def error_bar(chip: str, core: str, table: KernelTable, dtype: str) -> ErrorBar:
    """Return the error of what a kernel table predicts on a chip, for nets it was not fitted to.

    The chip's own rows with this release are asked first, then its rows with any release; with too few of them the
    core's other chips are named, whose range is no error bar of this one.

    Args:
        chip: Name of a shipped profile, or of one's own.
        core: Its core.
        table: The kernel table in force; a calibrated one carries its own error.
        dtype: The dtype of most MACs; uint8 runs as int8.
    """
    dtype = rate_dtype(dtype)
    if table.base is None and table.left_out_error is not None:
        error = table.left_out_error
        told = f"90th percentile over {error.n} measurements of kernel table {table.name}, each left out in its turn"
        return ErrorBar(error.p90 if error.n >= MIN_ROWS else None, told)
    alike = [row for row in _rows() if row.core == core and row.dtype == dtype]
    here = {row.runtime: row for row in alike if row.chip == chip}
    for runtime, words in ((table.runtime, f"with {table.runtime}"), (ANY, "with any release")):
        if runtime in here and here[runtime].enough:
            row = here[runtime]
            told = f"90th percentile over {row.n} measurements here {words}, {row.families} net families, each left out"
            return ErrorBar(row.p90, f"{told} of the fit in its turn")
    return ErrorBar(None, _too_few(chip, core, here.get(ANY), alike))


def _too_few(chip: str, core: str, own: _Errors | None, alike: Sequence[_Errors]) -> str:
    others = [row.p90 for row in alike if row.chip != chip and row.runtime == ANY and row.enough]
    measured = f"{own.n} measurements of {own.families} net families" if own else "none of its kind"
    if not others:
        return f"not validated: measured here: {measured}" if own else "not validated"
    low, high = min(others), max(others)
    span = f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{low:.0%} to {high:.0%}"
    return f"not validated: measured here: {measured}; p90 on other {core} chips: {span}"


@cache
def _rows() -> tuple[_Errors, ...]:
    path = data_folder(FOLDER) / TABLE
    if not path.is_file():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            _Errors(
                chip=record["chip"],
                core=record["core"],
                runtime=record["runtime"],
                dtype=record["dtype"],
                n=int(record["n"]),
                families=int(record["families"]),
                p90=float(record["p90"]),
            )
            for record in csv.DictReader(file)
        )
