"""One small TFLite file, run by hwsim and by LiteRT's reference kernels, and compared bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.importers.tflite_file import load_tflite
from hwsim.reference import forward
from tests.importers.tflite_maker import O, T, constant, tflite_bytes

runtime = pytest.importorskip("ai_edge_litert.interpreter")

IMAGE = (2, 7, 6, 8)
INPUTS = 5  # random arrays of the whole range of codes for each file; their seeds are 0 to 4
X, OUT = (0.031, -7), (0.047, 11)  # scale and zero point of the ifmap and of the ofmap, unless a case says otherwise


def quantised(name: str, shape: Sequence[int], params: tuple[float, int], dtype: str = "INT8") -> T:
    return T(name, shape, dtype, scale=[params[0]], zero_point=[params[1]])


def stored(name: str, shape: Sequence[int], scale: Sequence[float], axis: int = 0, seed: int = 7) -> T:
    codes = np.random.default_rng(seed).integers(-127, 128, shape)
    return constant(name, codes, "int8", scale=scale, zero_point=[0] * len(scale), axis=axis)


def bias(channels: int, seed: int = 8) -> T:
    codes = np.random.default_rng(seed).integers(-4000, 4000, channels)
    return constant("b", codes, "int32", scale=[1e-4] * channels, zero_point=[0] * channels)


def spread(channels: int) -> list[float]:
    """Return scales one octave apart at the ends."""
    return [float(scale) for scale in np.geomspace(0.003, 0.006, channels)]


def codes(shape: Sequence[int], seed: int, dtype: str = "INT8") -> np.ndarray:
    if dtype == "FLOAT32":
        return (np.random.default_rng(seed).standard_normal(shape) * 3).astype(np.float32)
    info = np.iinfo(dtype.lower())
    return np.random.default_rng(seed).integers(info.min, info.max, shape, info.dtype, endpoint=True)


def check(
    folder: Path,
    tensors: Sequence[T],
    operators: Sequence[O],
    inputs: Sequence[T],
    *,
    resolver: str = "BUILTIN_REF",
    tolerance: int = 0,
    avoid: Mapping[str, int] | None = None,
) -> int:
    """Compare every output of every operator; return the number of arrays compared.

    ``avoid`` names a code that an input must not hold; ``tolerance`` is in codes.
    """
    outputs = [name for operator in operators for name in operator.outputs]
    content = tflite_bytes([*inputs, *tensors], operators, [tensor.name for tensor in inputs], outputs)
    interpreter = runtime.Interpreter(
        model_content=content,
        experimental_op_resolver_type=runtime.OpResolverType[resolver],
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    path = folder / "case.tflite"
    path.write_bytes(content)
    graph = load_tflite(path)
    compared = 0
    for seed in range(INPUTS):
        feeds = {tensor.name: codes(tensor.shape, 100 * i + seed, tensor.type) for i, tensor in enumerate(inputs)}
        for name, code in (avoid or {}).items():
            feeds[name][feeds[name] == code] += 1
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], feeds[detail["name"]])
        interpreter.invoke()
        found = forward(graph, feeds)
        for detail in interpreter.get_output_details():
            expected = interpreter.get_tensor(detail["index"])
            np.testing.assert_allclose(found[detail["name"]], expected.astype(np.float64), rtol=0, atol=tolerance)
            assert found[detail["name"]].dtype == expected.dtype
            compared += 1
    assert compared == INPUTS * len(outputs)
    return compared


def one(
    folder: Path,
    code: str,
    options: str = "",
    values: Mapping[str, Any] | None = None,
    *,
    constants: Sequence[T] = (),
    shape: Sequence[int] = IMAGE,
    x: tuple[float, int] = X,
    out: tuple[float, int] = OUT,
    order: Sequence[str] | None = None,
    **how: Any,
) -> None:
    """Check one operator with the ifmap ``x``, constants, and the ofmap ``y``."""
    names = order or ["x", *(tensor.name for tensor in constants)]
    operator = O(code, names, ["y"], options, values or {})
    check(folder, [*constants, quantised("y", (), out)], [operator], [quantised("x", shape, x)], **how)
