"""``explain`` as a user meets it."""

import json

import pytest


def test_what_binds_and_what_would_help(hwsim, data_folder, tmp_path):
    path = tmp_path / "e.json"
    code, out, _ = hwsim("explain", "lenet5", str(data_folder / "toy_npu.yaml"), "--json", str(path))
    assert code == 0
    told = json.loads(path.read_text())
    assert out.splitlines()[-1] == told["quote"]
    assert told["doublings"][0]["speedup"] >= told["doublings"][-1]["speedup"]


def test_mappings_are_written_and_read_back(hwsim, data_folder, tmp_path):
    chip, path = str(data_folder / "toy_npu.yaml"), tmp_path / "m.yaml"
    code, out, _ = hwsim("explain", "lenet5", chip, "--mapping", "--yaml", str(path))
    assert code == 0
    again = hwsim("explain", "lenet5", chip, "--mapping", "--from", str(path))
    assert again[0] == 0
    assert again[1].splitlines()[:-1] == out.splitlines()[:-1]
    assert again[1].splitlines()[-1].endswith(f"read from {path}")
    one = hwsim("explain", "lenet5", chip, "--mapping", "--layer", "c1")
    assert one[1].startswith("c1: conv ")
    assert one[1].splitlines()[-1] == "lenet5 on toy-npu: 1 mapping on npu, chosen for latency"


def test_a_core_has_no_mapping(hwsim):
    code, out, _ = hwsim("explain", "lenet5", "stm32l4r5", "--mapping")
    assert (code, out) == (0, "lenet5 on stm32l4r5: m4 is a core, which runs kernels and has no mapping\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lenet5", "TOY", "--layer", "c1"], "--layer goes with --mapping"),
        (["lenet5", "TOY", "--mapping", "--layer", "flaten"], "--layer flaten: lenet5 has no such layer; did you mean"),
        (["lenet5", "TOY", "--mapping", "--layer", "s2"], "layer 's2' of lenet5 on toy-npu: it has no mapping"),
        (["lenet5", "TOY", "--mapping", "--from", "none.yaml"], "none.yaml: cannot be read"),
        (["lenet5", "TOY", "--mapping", "--yaml", "no/m.yaml"], "cannot write no/m.yaml"),
        (["lenet5", "stm32l4r5", "--mapping", "--yaml", "m.yaml"], "lenet5 on stm32l4r5: m4 is a core, which"),
        (["lenet5", "TOY", "--objective", "speed"], "objective = 'speed': must be one of latency"),
    ],
)
def test_bad_input_is_one_sentence(hwsim, words, said, data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy = str(data_folder / "toy_npu.yaml")
    code, out, err = hwsim("explain", *(toy if word == "TOY" else word for word in words))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"hwsim: {said}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bytes_per_cycle: 8", "bytes_per_cycle: 0", "c.yaml:8:32: memories.dram.bytes_per_cycle = 0: must be > 0"),
        ("dataflows:", "memories: [dram], dataflows:", "c.yaml:7:5: memories.sram: no engine reaches it"),
    ],
)
def test_machines_that_cannot_be_are_refused_at_load(hwsim, old, new, said, data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text((data_folder / "toy_npu.yaml").read_text().replace(old, new, 1))
    for command in (["evaluate", "lenet5", "c.yaml"], ["explain", "lenet5", "c.yaml", "--mapping"]):
        code, out, err = hwsim(*command)
        assert (code, out) == (2, "")
        assert err.splitlines()[-1].startswith(f"hwsim: {said}")


def test_a_buffer_below_one_tile_is_told_with_layer_level_need_and_size(hwsim, data_folder):
    toy = str(data_folder / "toy_npu.yaml")
    small = ["lenet5", toy, "--dtype", "int8", "--set", "sram.size_bytes=16"]
    code, out, _ = hwsim("evaluate", *small, "--format", "json")
    assert code == 0
    reason = json.loads(out)["reason"]
    assert reason.startswith("does not run: the smallest tile needs ")
    assert " B of sram, which has 16 B (c1 and " in reason
    code, out, _ = hwsim("explain", *small, "--mapping")
    assert code == 0
    assert any(line.startswith("c1: no mapping: the smallest tile needs ") for line in out.splitlines())
