"""``hwsim run`` as a user meets it: what it prints and writes, and one sentence for everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.graph import GraphBuilder, Quantization, ops, with_random_weights
from hwsim.importers.yaml_export import export_yaml

SHAPE = (1, 4, 4, 2)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """Return a net file of one convolution, with weights."""
    b = GraphBuilder("tiny")
    graph = b.build([b.conv2d(b.input("image", SHAPE), 3, 2, name="conv")])
    export_yaml(with_random_weights(graph, 1), tmp_path / "net.yaml")
    return tmp_path / "net.yaml"


def lying_header() -> bytes:
    """Return a .npy file that promises far more than it holds."""
    return (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (9, 9999999), }".ljust(117)
        + b"\n"
    )


BAD: dict[str, tuple[Any, str]] = {
    "shape": (np.zeros((1, 2, 4, 4), np.float32), "input 'image' has shape (1, 2, 4, 4), needs (1, 4, 4, 2)"),
    "double": (np.zeros(SHAPE), "input 'image' is float64, needs float32: convert it with .astype('float32')"),
    "not_a_number": (
        np.where(np.arange(32).reshape(SHAPE) == 5, np.nan, 1).astype(np.float32),
        "1 of its 32 values are not finite (the first at [0, 0, 2, 1]): replace them",
    ),
    "infinite": (np.full(SHAPE, np.inf, np.float32), "32 of its 32 values are not finite (the first at [0, 0, 0, 0])"),
    "objects": (np.array([{"a": 1}], object), "it holds Python objects, never unpickled here"),
    "words": (np.array(["a", "b"]), "holds <U1, not numbers"),
    "no_array": (b"hello", "is not a .npy array of numbers (it is no .npy file): write one with numpy.save"),
    "empty": (b"", "is not a .npy array of numbers"),
    "lying": (lying_header(), "is not a .npy array of numbers (mmap length is greater than file size)"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_input_file_is_one_sentence(hwsim: Any, net: Path, tmp_path: Path, case: str) -> None:
    content, sentence = BAD[case]
    path = tmp_path / "x.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    code, out, err = hwsim("run", net, "--input", path, "--output", tmp_path / "y.npz")
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "y.npz").exists()


def test_a_huge_input_file_is_refused_unread(hwsim: Any, net: Path, tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        file.truncate(2**30 + 1)  # sparse: takes no room
    code, _, err = hwsim("run", net, "--input", tmp_path / "x.npy")
    assert (code, err.strip()) == (2, f"hwsim: {tmp_path / 'x.npy'}: has more than 1,073,741,824 bytes")


def test_a_net_without_weights_says_the_way_out(hwsim: Any) -> None:
    code, _, err = hwsim("run", "resnet8")
    assert code == 2
    assert "has no weights" in err
    assert "--random-weights SEED" in err


def test_every_needs_a_file(hwsim: Any, net: Path) -> None:
    code, _, err = hwsim("run", net, "--every")
    assert (code, err.strip()) == (2, "hwsim: --every keeps every tensor for the file of --output: say --output FILE")


def test_measuring_writes_the_outputs_too(hwsim: Any, net: Path, tmp_path: Path) -> None:
    code, out, _ = hwsim("run", net, "--measure", "--output", tmp_path / "y.npz")
    assert code == 0
    assert "216" in out  # 3x3 pixels · 3 filters · 2·2·2 taps
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["conv"].shape == (1, 3, 3, 3)


def test_another_byte_order_is_the_same_number(hwsim: Any, net: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    np.save(tmp_path / "little.npy", x)
    np.save(tmp_path / "big.npy", x.astype(">f4"))
    tables = [hwsim("run", net, "--input", tmp_path / f"{name}.npy")[1] for name in ("little", "big")]
    assert tables[0] == tables[1]
    assert "1×3×3×3" in tables[0]


def test_real_values_for_a_quantised_input_are_told_how_to_become_codes(hwsim: Any, tmp_path: Path) -> None:
    b = GraphBuilder("codes")
    x = b.input("x", (1, 4), "int8", quant=Quantization((0.25,), (-3,)))
    graph = b.build(b.add(ops.Unary(function="relu"), [x], quants=[Quantization((0.25,), (-3,))]))
    export_yaml(graph, tmp_path / "net.yaml")
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.float32))
    code, _, err = hwsim("run", tmp_path / "net.yaml", "--input", tmp_path / "x.npy")
    assert code == 2
    assert "needs int8: real values become codes by round(x / 0.25) + -3, held within -128 to 127" in err


def test_a_hybrid_net_says_so_in_one_line(hwsim: Any, tmp_path: Path) -> None:
    b = GraphBuilder("hybrid")
    w = b.constant("w", (2, 4), "int8", data=np.ones((2, 4), np.int8), quant=Quantization((0.5,), (0,)))
    export_yaml(b.build(b.add(ops.Dense(), [b.input("x", (1, 4)), w], name="fc")), tmp_path / "net.yaml")
    code, out, err = hwsim("run", tmp_path / "net.yaml")
    assert code == 0
    assert "fc" in out
    assert err.startswith("hwsim: net 'hybrid': quantised weights meet float activations in 'fc': run as plain float")
    assert err.count("\n") == 1
