"""The folder listing is the architecture: imports only point down, wherever in a file they stand."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

# Who stands on whom, as docs/design.md, section 2, lists it; what is listed brings what it stands on.
GROUND = ("units", "errors", "files", "yaml_file", "data_folder")
STANDS_ON = {
    "units": (),
    "errors": (),
    "files": ("errors",),
    "yaml_file": ("errors",),
    "data_folder": ("errors",),
    "graph": GROUND,
    "nets": ("graph",),
    "importers": ("graph", "nets"),
    "reference": ("graph",),
    "chip": GROUND,
    "cost": ("graph", "chip"),
    "report": ("cost",),
    "explore": ("cost", "report", "importers"),
    "silicon": ("cost", "report", "importers"),
    "plot": ("report", "explore", "silicon"),
}
# The front door and the command line see every room.
TOP = ("__init__", "__main__", "cli")


def below(room):
    found, left = set(), list(STANDS_ON[room])
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += STANDS_ON[one]
    return found


def room_of(file):
    parts = file.relative_to(CHECKOUT).with_suffix("").parts
    return parts[1] if parts[0] == "hwsim" else parts[0]


def imported_rooms(source, file):
    """Return (line, room) of every import of hwsim; a public name of the front door counts as room ``hwsim``."""
    package = ["hwsim", *file.relative_to(CHECKOUT).parts[:-1]] if "nets" in file.parts else None
    package = package or list(file.relative_to(CHECKOUT).parts[:-1])
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" if module == "hwsim" else module for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "hwsim" and parts[1:] != ["__version__"]:
                yield node.lineno, parts[1] if len(parts) > 1 and parts[1] in STANDS_ON else "hwsim"


FILES = sorted([*(CHECKOUT / "hwsim").rglob("*.py"), *(CHECKOUT / "nets").rglob("*.py")])
FILES = [file for file in FILES if room_of(file) not in TOP]


def test_every_room_has_its_place():
    assert len(FILES) > 80
    unlisted = {room_of(file) for file in FILES} - STANDS_ON.keys()
    assert not unlisted, f"add {unlisted} to docs/design.md, section 2, and to STANDS_ON"


@pytest.mark.parametrize("room", STANDS_ON)
def test_imports_point_down(room):
    allowed = {room, *below(room)}
    wrong = [
        f"{file.relative_to(CHECKOUT)}:{line}: {room} may not import {other}"
        for file in FILES
        if room_of(file) == room
        for line, other in imported_rooms(file.read_text(encoding="utf-8"), file)
        if other not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rooms_make_no_circle():
    assert not [room for room in STANDS_ON if room in below(room)]


@pytest.mark.parametrize(
    ("where", "source", "room"),
    [
        ("hwsim/graph/x.py", "from hwsim.cost import lower", "cost"),
        ("hwsim/graph/x.py", "def f():\n    import hwsim.report.tables", "report"),
        ("hwsim/graph/x.py", "from ..cost import lower", "cost"),
        ("hwsim/graph/ops/x.py", "from ...chip.chip import Chip", "chip"),
        ("hwsim/graph/x.py", "from .. import cost", "cost"),
        ("hwsim/graph/x.py", "from hwsim import evaluate", "hwsim"),
        ("hwsim/graph/x.py", "import hwsim", "hwsim"),
        ("hwsim/graph/x.py", "import_module('hwsim.cli')", "hwsim"),
        ("hwsim/graph/x.py", "if TYPE_CHECKING:\n    from hwsim.plot import save", "plot"),
        ("nets/x.py", "from ..importers import load_net", "importers"),
    ],
)
def test_an_import_upwards_is_seen(where, source, room):
    # What the test above would miss if the reading of imports were broken.
    assert [found for _, found in imported_rooms(source, CHECKOUT / where)] == [room]
