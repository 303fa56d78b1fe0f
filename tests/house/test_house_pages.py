"""README and docs say what the program does: their output is its output, their links and options exist."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer

from hwsim.cli import app

CHECKOUT = Path(__file__).parents[2]
README = CHECKOUT / "README.md"

_spec = importlib.util.spec_from_file_location("refresh", CHECKOUT / "docs" / "refresh.py")
refresh = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(refresh)

PAGES = [pytest.param(page, id=str(page.relative_to(CHECKOUT))) for page in refresh.PAGES]
MODELS = [
    "array",
    "chip_profile",
    "core",
    "energy",
    "forward_float",
    "forward_int8",
    "importers",
    "io_bound",
    "memory_plan",
    "workload",
]


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_what_the_program_does(page):
    text = page.read_text(encoding="utf-8")
    assert refresh.refreshed(text) == text, f"{page.name} is out of date: run python docs/refresh.py"


def test_refreshing_replaces_what_is_out_of_date():
    stale = "```python\nprint(6 * 7)\n```\n\n```text\n41\n```\n\n```console\n$ hwsim --version\nhwsim 0\n```\n"
    fresh = refresh.refreshed(stale)
    assert "```text\n42\n```" in fresh
    assert re.search(r"\$ hwsim --version\nhwsim \d+\.\d+\.\d+\n```", fresh)


def test_shortened_output_goes_on_where_the_page_says():
    lines = ["head 1", "one 2", "two", "three 3", "", "four", "five"]
    assert refresh._shortened(lines, ["head 0", "…", "three 0", "…", "four 0"]) == [
        "head 1", "…", "three 3", "…", "four", "five",
    ]  # fmt: skip
    with pytest.raises(RuntimeError, match="no line begins with 'six'"):
        refresh._shortened(lines, ["head", "…", "six"])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith(("http", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_readmes_commands_exist():
    blocks = re.findall(r"^```bash\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    commands = typer.main.get_command(app).commands
    seen = 0
    for line in "\n".join(blocks).splitlines():
        for part in re.split(r"&&|;", line):
            words = shlex.split(part, comments=True)
            if not words or not words[0].endswith("hwsim"):
                continue
            command, words = commands[words[1]], words[2:]
            if hasattr(command, "commands"):
                command, words = command.commands[words[0]], words[1:]
            options = {option for parameter in command.params for option in parameter.opts}
            given = {word for word in words if word.startswith("-")}
            assert given <= options, f"{line}: {given - options}"
            seen += 1
    assert seen > 8


def test_ci_runs_the_readmes_two_commands():
    setups = re.findall(r"^python3 -m venv .*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(setups) == 2
    script = (CHECKOUT / ".ci" / "run").read_text()
    for setup in setups:
        for step in setup.replace(".venv/bin/", '"$venv/bin/').split(" && ")[1:]:
            program, _, rest = step.partition(" ")
            assert f'{program}" {rest}\n' in script, step


def test_the_first_screen_has_what_a_newcomer_looks_for():
    first = README.read_text(encoding="utf-8").splitlines()[:60]
    text = "\n".join(first)
    for needed in (
        "# hwsim",
        "pip install",
        "import hwsim",
        "hwsim.evaluate",
        "$ hwsim evaluate squeezenet_v1_1",
        "fits",
    ):
        assert needed in text


@pytest.mark.parametrize("name", MODELS)
def test_each_model_has_its_page(name):
    text = (CHECKOUT / "docs" / "models" / f"{name}.md").read_text(encoding="utf-8")
    for heading in ("## Formula", "## Assumptions", "## Limits", "## Source"):
        assert heading in text, heading
    assert f"models/{name}.md" in README.read_text(encoding="utf-8")
