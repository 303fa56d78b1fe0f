"""hwsim beside published accelerators and other tools.

    python benchmarks/published.py [TABLE ...]

Prints tables (all of them by default): what was costed, hwsim's figure, the published one, the difference, the aim and
whether it is met. ``docs/validation_arrays.md`` shows the same and says what limits. The published figures are in
``hwsim/silicon/published/``, with their sources.
"""

from __future__ import annotations

import argparse

from hwsim.silicon.published import TABLES, comparison_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all by default")
    names = parser.parse_args().tables or list(TABLES)
    for name in names:
        if name not in TABLES:
            parser.error(f"no table {name!r}: there are {', '.join(TABLES)}")
    met = held = 0
    for name in names:
        table = comparison_table(name)
        print(f"### {table.title}\n\n{table.markdown()}")
        held += sum(row.aim.rule != "none" for row in table.rows)
        met += sum(row.aim.rule != "none" and row.met for row in table.rows)
    print(f"{met} of {held} figures meet their aim.")


if __name__ == "__main__":
    main()
