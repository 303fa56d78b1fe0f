"""Everything that has to pass: lint, formatting, types, tests. One command, the same locally and in CI.

    .venv/bin/python tests/run.py

Each step runs even when an earlier one has failed; the exit code is 1 if any has.
"""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
STEPS = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("pytest",))


def main() -> int:
    failed = []
    for step in STEPS:
        print(f"== {' '.join(step)}", flush=True)
        if subprocess.run([sys.executable, "-m", *step], cwd=CHECKOUT).returncode:
            failed.append(" ".join(step))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
