"""The command line: parse, call, print. Every number comes from the rooms below."""

from __future__ import annotations

from hwsim.cli import (
    calibrating,
    choosing,
    evaluating,
    explaining,
    fitting,
    looking,
    plotting,
    plotting_sweeps,
    running,
    searching,
    sensing,
    sweeping,
    validating,
)
from hwsim.cli.app import app
from hwsim.cli.terminal import quietly

__all__ = [
    "app",
    "calibrating",
    "choosing",
    "evaluating",
    "explaining",
    "fitting",
    "looking",
    "main",
    "plotting",
    "plotting_sweeps",
    "running",
    "searching",
    "sensing",
    "sweeping",
    "validating",
]


def main() -> None:
    """Run the command line: 0 done, 1 the net does not fit or a threshold is broken, 2 bad input, 130 interrupted."""
    raise SystemExit(quietly(app))
