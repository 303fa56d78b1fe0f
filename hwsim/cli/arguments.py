"""Arguments and options that commands share: what they are called, how they are completed, and what they load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.terminal import whole
from hwsim.errors import HwsimError, UsageError, did_you_mean

if TYPE_CHECKING:
    from hwsim.chip import Chip
    from hwsim.graph import DType, Graph
    from hwsim.report import Report
    from hwsim.report.fitting import Smaller


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"


# -- completion --------------------------------------------------------------------------------------------------------


def _starting(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _files(incomplete: str, *suffixes: str) -> list[str]:
    """Return folders and files of these kinds that a word could go on to be."""
    path = Path(incomplete)
    folder = path if incomplete.endswith("/") else path.parent
    start = "" if incomplete.endswith("/") else path.name
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    found = [entry for entry in entries if entry.name.startswith(start) and not entry.name.startswith(".")]
    return [
        f"{entry}/" if entry.is_dir() else str(entry) for entry in found if entry.is_dir() or entry.suffix in suffixes
    ]


def complete_net(incomplete: str) -> list[str]:
    """Complete a net's name or a model file."""
    from hwsim.importers import net_names

    return _starting(net_names(), incomplete) + _files(incomplete, ".onnx", ".tflite", ".yaml", ".yml", ".json")


def complete_chip(incomplete: str) -> list[str]:
    """Complete a chip's name or a profile."""
    from hwsim.chip import chip_names

    return _starting(chip_names(), incomplete) + _files(incomplete, ".yaml", ".yml")


def complete_chips(incomplete: str) -> list[str]:
    """Complete the last of several chips."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in complete_chip(last)]


# Typer passes what a completion asks for by name: ``ctx`` and ``incomplete``.


def _chip_of(ctx: typer.Context) -> Chip | None:
    from hwsim.chip import load_chip

    # While an option lacks its value, the words before it are not yet told apart: NET, then CHIP.
    name = ctx.params.get("chip") or (ctx.args[1] if len(ctx.args) > 1 else None)
    try:
        return load_chip(name) if name else None
    except HwsimError:
        return None


def complete_field(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a path to a field of the chip that the command line names."""
    chip = _chip_of(ctx)
    paths = chip.fields() if chip is not None else []
    short = [path.partition(".")[2] for path in paths if path.startswith(("engines.", "memories."))]
    return _starting((f"{path}=" for path in [*paths, *short]), incomplete)


def complete_runtime(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a runtime of the chip that the command line names."""
    chip = _chip_of(ctx)
    return _starting(chip.runtimes, incomplete) if chip is not None else []


def complete_placement(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete weights=MEMORY or activations=MEMORY."""
    chip = _chip_of(ctx)
    names = [memory.name for memory in chip.memories] if chip is not None else []
    return _starting((f"{what}={name}" for what in ("weights", "activations") for name in names), incomplete)


def _complete_dtype(incomplete: str) -> list[str]:
    from hwsim.graph import DTYPES

    return _starting(DTYPES, incomplete)


def _complete_objective(incomplete: str) -> list[str]:
    from hwsim.cost import OBJECTIVES

    return _starting(OBJECTIVES, incomplete)


# -- arguments and options ---------------------------------------------------------------------------------------------

NetArg = Annotated[
    str,
    typer.Argument(
        metavar="NET",
        help="A model file (.onnx, .tflite, .yaml) or a name from `hwsim nets`.",
        autocompletion=complete_net,
    ),
]
ChipArg = Annotated[
    str,
    typer.Argument(
        metavar="CHIP", help="A profile (.yaml) or a name from `hwsim chips`.", autocompletion=complete_chip
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="NAME=VALUE", help="A parameter of a net from `hwsim nets`, such as resolution=96."),
]
Dims = Annotated[
    list[str] | None, typer.Option("--dim", metavar="NAME=N", help="The size of a symbolic dimension of a model file.")
]
AllowUnknown = Annotated[
    bool, typer.Option("--allow-unknown", help="Let unknown operators in at no cost, and say so in the report.")
]
Batch = Annotated[int, typer.Option("--batch", metavar="N", help="Images that run together.")]
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", metavar="DTYPE", help="Cost the net at this dtype.", autocompletion=_complete_dtype),
]
Objective = Annotated[
    str,
    typer.Option(
        "--objective",
        metavar="WHAT",
        help="Choose mappings for latency, energy, edp or traffic.",
        autocompletion=_complete_objective,
    ),
]
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        metavar="NAME",
        help="The kernel library, such as x-cube-ai-10.0.",
        autocompletion=complete_runtime,
    ),
]
Place = Annotated[
    list[str] | None,
    typer.Option(
        "--place",
        metavar="WHAT=MEMORY",
        help="Put weights or activations into a memory: weights=sram.",
        autocompletion=complete_placement,
    ),
]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a field of the chip, the unit in its path: sram.size_kib=64.",
        autocompletion=complete_field,
    ),
]
Form = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORM",
        help="Print it as table, markdown, latex, csv or json.",
        autocompletion=lambda incomplete: _starting(Format, incomplete),
    ),
]
Wide = Annotated[bool, typer.Option("--wide", help="Show every column.")]
Every = Annotated[bool, typer.Option("--all-layers", help="Show every layer of a long net.")]


# -- what they stand for -----------------------------------------------------------------------------------------------


def net_of(source: str, parameters: Sequence[str] | None, dims: Sequence[str] | None, allow_unknown: bool) -> Graph:
    """Load the net that a command line names."""
    from hwsim.importers import load_net

    sizes = {name: whole(value, f"--dim {name}") for name, value in pairs(dims, "--dim")}
    values = {name: literal(value) for name, value in pairs(parameters, "--with")}
    return load_net(source, dims=sizes or None, allow_unknown=allow_unknown, **values)


def smaller_of(source: str, parameters: Sequence[str] | None) -> Callable[[], list[Smaller]]:
    """Return what makes smaller versions of the net that a command line names; a file has none."""
    from hwsim.importers import net_names, smaller_nets

    def smaller() -> list[Smaller]:
        if source not in net_names():
            return []
        values = {name: literal(value) for name, value in pairs(parameters, "--with")}
        return [
            (tuple(f"--with {key}={value:g}" for key, value in change.items()), graph)
            for change, graph in smaller_nets(source, **values)
        ]

    return smaller


def chip_of(source: str, runtime: str | None = None, overrides: Sequence[str] | None = None) -> Chip:
    """Load the chip that a command line names, with the fields it sets."""
    from hwsim.chip import load_chip

    chip = load_chip(source, runtime=runtime)
    for path, value in pairs(overrides, "--set"):
        chip = chip.replace(path, literal(value))
    return chip


def report_of(
    net: Graph,
    chip: Chip,
    batch: int,
    dtype: str | None,
    objective: str,
    place: Sequence[str] | None,
    *,
    period_s: float | None = None,
    battery: str | None = None,
) -> Report:
    """Evaluate as a command line says."""
    from hwsim.report import evaluate

    placed = dict(pairs(place, "--place"))
    return evaluate(
        net,
        chip,
        batch=batch,
        dtype=dtype_of(dtype),
        objective=objective,
        place=placed,
        period_s=period_s,
        battery=battery,
    )


def saved_report(path: Path) -> Report:
    """Read a report that ``evaluate --json`` wrote."""
    import json

    from hwsim.report import Report

    try:
        return Report.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: is not JSON; `hwsim evaluate NET CHIP --json FILE` writes a report") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def dtype_of(word: str | None) -> DType | None:
    """Return the dtype of that name."""
    from hwsim.graph import DTYPES

    if word is None:
        return None
    for dtype in DTYPES:
        if dtype == word:
            return dtype
    raise UsageError(f"--dtype {word}: must be one of {', '.join(DTYPES)}{did_you_mean(word, DTYPES)}")


def format_of(word: str) -> Format:
    """Return the format of that name."""
    if word not in list(Format):
        raise UsageError(f"--format {word}: must be one of {', '.join(Format)}{did_you_mean(word, Format)}")
    return Format(word)


def pairs(words: Iterable[str] | None, option: str) -> list[tuple[str, str]]:
    """Return NAME=VALUE words as pairs."""
    found = []
    for word in words or ():
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} {word}: write it as {option} NAME=VALUE")
        found.append((name, value))
    return found


def axes_of(vary: Iterable[str] | None) -> dict[str, str]:
    """Return PATH=RANGE words by path."""
    axes: dict[str, str] = {}
    for path, values in pairs(vary, "--vary"):
        if path in axes:
            raise UsageError(f"--vary {path}: stands here twice; give one list of values")
        axes[path] = values
    return axes


def literal(text: str) -> Any:
    """Return a word as a truth value, a number, a list where it has commas, or itself."""
    if text in ("true", "false"):
        return text == "true"
    if "," in text:
        return [literal(part) for part in text.split(",")]
    kinds: tuple[Callable[[str], Any], ...] = (int, float)
    for kind in kinds:
        try:
            return kind(text)
        except ValueError:
            continue
    return text
