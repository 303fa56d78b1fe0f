"""The page on validation: its tables stand between marks, and are written anew by ``hwsim validate --page``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hwsim.errors import UsageError
from hwsim.report.render import markdown_table
from hwsim.silicon.energy import energy_errors, energy_rows
from hwsim.silicon.groups import aimed_sets, by_chip_and_release
from hwsim.silicon.measurements import measurements
from hwsim.silicon.memory import memory_rows
from hwsim.silicon.tables import energy_table, groups_table, memory_errors, memory_table, sets_table, worst_table
from hwsim.silicon.validation import Checked

WORST = 25
_MARKED = re.compile(r"(<!-- validate: (?P<what>\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _counts(found: Checked) -> str:
    rows = measurements()
    known = [row for row in rows if row.net]
    return (
        f"{len(rows)} measured rows; the nets of {len(known)} can be built. Compared are\n"
        f"{_used(found, 'core')} of processor cores, and\n"
        f"{_used(found, 'npu')} of NPUs.\n"
        "The others are of FPGAs and of chips without a profile, repeat an older row, contradict themselves, or are\n"
        "of nets whose layers are not published.\n"
    )


def _used(found: Checked, engine: str) -> str:
    used = [row.measurement for row in found.rows if row.measurement.engine == engine]
    told = [(m.net_name, m.family, m.chip, m.runtime) for m in used]
    counts = [len(set(values)) for values in zip(*told, strict=True)]
    nets, families, chips, releases = counts or (0, 0, 0, 0)
    return f"{len(used)}: {nets} nets of {families} families on {chips} chips with {releases} releases"


_SECTIONS: dict[str, Callable[[Checked], str]] = {
    "counts": _counts,
    "sets": lambda found: markdown_table(sets_table(aimed_sets(found.rows))),
    "groups": lambda found: markdown_table(groups_table(by_chip_and_release(found.rows))),
    "energy": lambda _: markdown_table(energy_table(energy_errors(energy_rows()))),
    "memory": lambda _: markdown_table(memory_table(memory_errors(memory_rows()))),
    "worst": lambda found: markdown_table(worst_table(found.rows, WORST)),
}


def filled(text: str, found: Checked) -> str:
    """Return a page with everything between its marks written anew.

    Raises:
        UsageError: A mark asks for what there is not, or there is none.
    """
    asked = [mark["what"] for mark in _MARKED.finditer(text)]
    unknown = [what for what in asked if what not in _SECTIONS]
    if unknown or not asked:
        known = ", ".join(f"<!-- validate: {what} --> … <!-- end -->" for what in _SECTIONS)
        raise UsageError(
            f"the page has {f'a mark {unknown[0]!r}' if unknown else 'no mark'}; those it may have: {known}"
        )
    return _MARKED.sub(lambda mark: f"{mark[1]}\n{_SECTIONS[mark['what']](found)}\n{mark[4]}", text)


def read_page(path: Path) -> str:
    """Return the text of a page.

    Raises:
        UsageError: It is not there or no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read {path}: it is no text in UTF-8") from None
