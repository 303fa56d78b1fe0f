"""The wheel alone is enough: installed in a fresh environment, outside the checkout, it evaluates nets on chips."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import hwsim

CHECKOUT = Path(__file__).parents[2]
for needed in ("build", "hatchling", "pip"):
    pytest.importorskip(needed, reason=f"building and installing the wheel needs {needed} (pip install -e '.[dev]')")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, CHECKOUT]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A fresh virtual environment with the wheel; its dependencies are the ones of this environment, by path."""
    folder = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    scripts = folder / Path(sysconfig.get_path("scripts")).name
    python = scripts / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", wheel]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
    ).stdout.strip()
    # A path in a .pth file is searched, but .pth files within it are not read: this checkout stays out of sight.
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return scripts, folder


def run_in(environment, *words):
    scripts, folder = environment
    plain = {"PATH": str(scripts), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([scripts / words[0], *words[1:]], cwd=folder, env=plain, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        licence = archive.read(next(name for name in names if name.endswith("licenses/LICENSE"))).decode()
    assert {"hwsim/py.typed", "hwsim/hw_profiles/stm32h747.yaml", "hwsim/nets/squeezenet.py"} <= set(names)
    assert "hwsim/hw_profiles/kernels/cortex-m7_x-cube-ai_10.0.yaml" in names
    assert {name.partition("/")[0] for name in names} == {"hwsim", f"hwsim-{hwsim.__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name or "test" in name]
    assert "Apache License" in licence


def test_it_runs_without_the_checkout(environment):
    told = run_in(environment, "python", "-c", "import hwsim; print(hwsim.__file__, hwsim.__version__)")
    assert str(environment[1]) in told
    assert str(CHECKOUT) not in told
    assert hwsim.__version__ in told


def test_it_evaluates_and_lists(environment):
    here = hwsim.evaluate(hwsim.load_net("lenet5"), hwsim.load_chip("stm32h747"), dtype="int8")
    assert str(here).split(",")[0] in run_in(environment, "hwsim", "evaluate", "lenet5", "stm32h747", "--dtype", "int8")
    listed = "import hwsim; print(*hwsim.net_names(), *hwsim.chip_names())"
    assert run_in(environment, "python", "-c", listed).split() == [*hwsim.net_names(), *hwsim.chip_names()]
    assert "squeezenet_v1_1" in run_in(environment, "hwsim", "nets")
    assert "eyeriss" in run_in(environment, "hwsim", "chips")
