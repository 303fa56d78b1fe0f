"""Files that tell of a runtime's memory: found by its word, beside the chip or in the package; bad ones refused."""

import shutil
from pathlib import Path

import pytest

from hwsim.chip import load_chip, load_runtime, runtime_facts
from hwsim.chip.catalogue import runtime_folder
from hwsim.errors import ChipError

DATA = Path(__file__).parents[1] / "data"
FACTS = """\
schema: 1
name: toy
runtimes: [toy]
alignment_bytes: 8
kinds:
  int8:
    conv: {scratch_bytes_per_tap: 4, padding: before}
own:
  int8: {ram_bytes: 1000, ram_bytes_per_layer: 10, code_bytes: 5000, code_bytes_per_filter: 4}
sources: {"*": "assumed: a toy for tests"}
"""


@pytest.mark.parametrize("path", sorted(runtime_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_files_that_come_with_hwsim(path):
    facts = load_runtime(path)
    assert facts.name == path.stem
    assert all(runtime_facts(word) == facts for word in facts.runtimes)


def test_a_runtime_is_told_of_beside_the_chip(tmp_path):
    shutil.copy(DATA / "toy_mcu.yaml", tmp_path / "my.yaml")
    shutil.copy(DATA / "toy_kernels.yaml", tmp_path)
    assert load_chip(tmp_path / "my.yaml").engines[0].memory_facts is None
    folder = tmp_path / "other"
    (folder / "runtimes").mkdir(parents=True)
    for name in ("toy_mcu.yaml", "toy_kernels.yaml"):
        shutil.copy(DATA / name, folder)
    (folder / "runtimes" / "toy.yaml").write_text(FACTS, encoding="utf-8")
    chip = load_chip(folder / "toy_mcu.yaml")
    facts = chip.engines[0].memory_facts
    assert facts.habits("uint8", "conv").scratch_bytes_per_tap == 4
    assert facts.habits("int8", "pool").scratch_bytes == 0
    assert facts.habits("float32", "conv").padding == "inside"
    assert facts.takes("uint8").ram_bytes == 1000
    assert facts.takes("float32") is None
    assert chip.replace("ram.size_kib", 32).engines[0].memory_facts is facts


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("padding: before", "padding: behind", "kinds.int8.conv.padding = 'behind': must be "),
        (
            "scratch_bytes_per_tap: 4",
            "scratch_bytes_per_tap: -4",
            "kinds.int8.conv.scratch_bytes_per_tap = -4: must be >= 0",
        ),
        ("scratch_bytes_per_tap", "scratch_per_tap", "kinds.int8.conv.scratch_per_tap: unknown field"),
        ("alignment_bytes: 8", "alignment_bytes: 0", "alignment_bytes = 0: must be >= 1"),
        ("runtimes: [toy]", "runtimes: []", "runtimes = []: "),
        ("    conv:", "    convolution:", "kinds.int8.convolution"),
        ("ram_bytes: 1000, ", "", "own.int8.ram_bytes: missing"),
    ],
)
def test_bad_files_are_refused_with_their_place(tmp_path, old, new, said):
    assert old in FACTS
    path = tmp_path / "toy.yaml"
    path.write_text(FACTS.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ChipError) as caught:
        load_runtime(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")


def test_two_files_for_one_runtime_are_refused(tmp_path):
    (tmp_path / "runtimes").mkdir()
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / "runtimes" / name).write_text(FACTS, encoding="utf-8")
    for name in ("toy_mcu.yaml", "toy_kernels.yaml"):
        shutil.copy(DATA / name, tmp_path)
    with pytest.raises(ChipError, match=r"b\.yaml: runtimes: 'toy' is told of by toy\.yaml as well"):
        load_chip(tmp_path / "toy_mcu.yaml")
