"""Write anew what the pages show of the program: command output, Python output, tables of fields.

    python docs/refresh.py

In README.md and in every page under docs/,

- a ``console`` block that begins with ``$ hwsim`` shows commands and what they print; a line ``…`` stands for lines
  left out, and the one after it says by its first word where to go on;
- a ``text`` block right after a ``python`` block shows what that code prints; the blocks of a page share their names;
- a ``yaml`` or ``csv`` block whose first line is ``# NAME.yaml`` (``.csv``) is a file of that name in the folder where
  the above run;
- between ``<!-- fields of MODULE.CLASS -->`` and ``<!-- end -->`` stands the table of a pydantic model's fields;
- between ``<!-- published TABLE -->`` and ``<!-- end -->`` stand hwsim's figures beside published ones;
- between ``<!-- study NAME -->`` and ``<!-- end -->`` stand the picture of ``examples/NAME.py`` and what it found.

A test fails while a page differs from what this would write.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md")))
LEFT_OUT = "…"

_BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_FIELDS = re.compile(r"(<!-- fields of (?P<model>[\w.]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_STUDY = re.compile(r"(<!-- study (?P<name>\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_PUBLISHED = re.compile(r"(<!-- published (?P<table>\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite every page that is out of date, and name it."""
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        new = refreshed(old)
        if new != old:
            page.write_text(new, encoding="utf-8")
            print(page.relative_to(CHECKOUT))
        for found in _STUDY.finditer(new):
            draw_study(found["name"])


def refreshed(text: str) -> str:
    """Return a page with everything it shows of the program as the program shows it now."""
    text = _FIELDS.sub(lambda found: found[1] + fields_table(found["model"]) + found[4], text)
    text = _PUBLISHED.sub(lambda found: found[1] + published_table(found["table"]) + found[4], text)
    text = _STUDY.sub(lambda found: found[1] + study_told(found["name"]) + found[4], text)
    names: dict[str, Any] = {"__name__": "page"}
    printed: str | None = None  # by the Python block just before
    parts, end = [], 0
    with _scratch_folder():
        for block in _BLOCK.finditer(text):
            kind, body, between = block["kind"], block["body"], text[end : block.start()]
            if kind == "text" and printed is not None and not between.strip():
                body = printed
            printed = None
            if kind == "console" and body.startswith("$ hwsim"):
                body = _session(body)
            elif kind == "python":
                printed = _printed_by(partial(exec, body, names))
            elif kind in ("yaml", "csv") and (name := re.match(rf"# (\w+\.{kind})\n", body)):
                Path(name[1]).write_text(body, encoding="utf-8")
            parts += [between, f"```{kind}\n{body}```"]
            end = block.end()
    return "".join([*parts, text[end:]])


@contextlib.contextmanager
def _scratch_folder() -> Iterator[None]:
    """Run in an empty folder, with nothing in the environment that colours or widens what is printed."""
    kept = dict(os.environ)
    for variable in ("FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        os.environ.pop(variable, None)
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _session(body: str) -> str:
    """Return a console block with the output of its commands, shortened where it was."""
    shown = []
    for command, output in re.findall(r"^\$ hwsim (.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE):
        lines = [line.rstrip() for line in _printed_by(partial(_hwsim, shlex.split(command))).splitlines()]
        shown += [f"$ hwsim {command}", *_shortened(lines, output.splitlines())]
    return "\n".join(shown) + "\n"


def _shortened(lines: list[str], old: list[str]) -> list[str]:
    """Return of ``lines`` the stretches that ``old`` shows, as long as they are there; the last runs to the end."""
    cuts = [index for index, line in enumerate(old) if line == LEFT_OUT]
    if not cuts:
        return lines
    kept, at = lines[: cuts[0]], cuts[0]
    for cut, next_cut in zip(cuts, [*cuts[1:], None], strict=True):
        word = old[cut + 1].split()[0]
        at = next((index for index in range(at, len(lines)) if lines[index].split()[:1] == [word]), -1)
        if at < 0:
            raise RuntimeError(f"no line begins with {word!r} any more: say after {LEFT_OUT} where to go on")
        end = len(lines) if next_cut is None else at + next_cut - cut - 1
        kept += [LEFT_OUT, *lines[at:end]]
        at = end
    return kept


def _hwsim(words: list[str]) -> None:
    from hwsim.cli import main as command_line

    arguments = sys.argv
    sys.argv = ["hwsim", *words]
    try:
        command_line()
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"hwsim {' '.join(words)}: left with {stop.code}") from None
    finally:
        sys.argv = arguments


def _printed_by(call: Callable[[], object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        call()
    return out.getvalue()


def published_table(name: str) -> str:
    """Return a table of hwsim's figures beside published ones."""
    from hwsim.silicon.published import comparison_table

    return f"\n{comparison_table(name).markdown()}\n"


def study_told(name: str) -> str:
    """Return the picture of an example, as a page shows it, and the sentence that it ends with."""
    example, result = _study(name)
    title = str(example["__doc__"]).partition("\n")[0]
    told = example["learnt"](result)
    return f"\n![{title}](docs/pictures/{name}.svg)\n\n{told} (`python examples/{name}.py`)\n\n"


def draw_study(name: str) -> None:
    """Draw the picture of an example anew."""
    from hwsim.plot import save

    example, result = _study(name)
    save(example["picture"](result), CHECKOUT / "docs" / "pictures" / f"{name}.svg")


@cache
def _study(name: str) -> tuple[dict[str, Any], Any]:
    """Return the names that an example defines, and what it computes."""
    example = runpy.run_path(str(CHECKOUT / "examples" / f"{name}.py"))
    return example, example["study"]()


def fields_table(model: str) -> str:
    """Return a Markdown table of a pydantic model's fields: name in a file, kind, default, description."""
    module, _, name = model.rpartition(".")
    schema = getattr(import_module(module), name).model_json_schema()
    lines = ["| field | value | default | meaning |", "|---|---|---|---|"]
    for field, told in schema["properties"].items():
        default = "required" if field in schema.get("required", ()) else _default(told.get("default"))
        cells = (f"`{field}`", _value(told), default, told.get("description", "–"))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(["", *lines, "", ""])


def _default(value: Any) -> str:
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, list):
        return ", ".join(map(str, value)) if len(value) < 5 else "all"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item:g}" for key, item in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


_KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
_BOUNDS = {"exclusiveMinimum": "> ", "minimum": "≥ ", "exclusiveMaximum": "< ", "maximum": "≤ "}


def _value(told: dict[str, Any]) -> str:
    """Return in words what a JSON schema lets a field hold."""
    if "$ref" in told:
        name = told["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    options = [option for option in told.get("anyOf", told.get("oneOf", ())) if option.get("type") != "null"]
    if options:
        return " or ".join(map(_value, options))
    if "const" in told:
        return str(told["const"])
    if "enum" in told:
        return ", ".join(told["enum"])
    if told["type"] == "array":
        return f"list of {_value(told['items'])}"
    if told["type"] == "object":
        return f"by key: {_value(told['additionalProperties'])}"
    if told.get("minimum") == told.get("maximum") is not None:
        return f"{told['minimum']}"
    bounds = [f"{sign}{told[name]:g}" for name, sign in _BOUNDS.items() if name in told]
    return " ".join([_KINDS[told["type"]], *bounds])


if __name__ == "__main__":
    main()
