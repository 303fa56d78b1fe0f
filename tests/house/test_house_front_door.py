"""`import hwsim` is cheap, its public names are there, and what is missing is told in one sentence."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hwsim
from hwsim.cli import main

CHECKOUT = Path(__file__).parents[2]
# What takes longer to import than most nets take to evaluate.
HEAVY = ("matplotlib", "networkx", "typer", "rich", "onnx", "tflite", "ruamel", "pydantic", "numpy")


def modules_after(code):
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_loads_nothing_heavy():
    assert modules_after("import hwsim").isdisjoint(HEAVY)


def test_evaluating_a_built_in_net_loads_only_what_it_needs():
    code = "import hwsim; hwsim.evaluate(hwsim.load_net('lenet5'), hwsim.load_chip('stm32h747'), dtype='int8')"
    loaded = modules_after(code)
    assert {"numpy", "pydantic", "ruamel"} <= loaded
    assert loaded.isdisjoint({"matplotlib", "networkx", "typer", "rich", "onnx", "tflite"})


def test_the_command_line_starts_without_the_rooms():
    loaded = modules_after("from hwsim import cli")
    assert "typer" in loaded
    assert loaded.isdisjoint({"matplotlib", "networkx", "onnx", "tflite", "ruamel", "numpy"})


def test_every_public_name_resolves():
    for name in hwsim.__all__:
        assert getattr(hwsim, name) is not None
    assert dir(hwsim) == hwsim.__all__
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        _ = hwsim.evalute


def test_the_version_stands_in_one_place():
    written = f'"{hwsim.__version__}"'
    files = [CHECKOUT / "pyproject.toml", *(CHECKOUT / "hwsim").rglob("*.py")]
    assert [file.name for file in files if written in file.read_text(encoding="utf-8")] == ["__init__.py"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", hwsim.__version__)


@pytest.mark.parametrize("command", ["evaluate", "check"])
def test_missing_onnx_is_one_sentence(command, tmp_path, monkeypatch, capsys):
    # A module that is None in sys.modules cannot be imported.
    monkeypatch.setitem(sys.modules, "onnx", None)
    net = tmp_path / "net.onnx"
    net.write_bytes(b"\x08\x08\x3a\x02\x0a\x00")  # IR version 8, a graph of one node
    monkeypatch.setattr(sys, "argv", ["hwsim", command, str(net), "stm32h747"])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err == "hwsim: reading .onnx needs onnx: pip install 'hwsim[onnx]'\n"
