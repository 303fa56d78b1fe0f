"""The float model files against the runtimes they were written for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim

MODELS = Path(__file__).parents[2].parent / "shared" / "models"  # beside the checkout
TOLERANCE = 1e-4  # of the output's largest magnitude

pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="no shared/models beside the checkout")


def assert_close(ours: Any, theirs: Any) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max()


def test_onnx_file_equals_onnxruntime() -> None:
    ort = pytest.importorskip("onnxruntime")
    path = MODELS / "mobilenet_v2_0.35_128.onnx"
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    net = hwsim.load_net(path)
    (given,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal(shape, np.float32)
        results = hwsim.forward(net, {given.name: x})
        assert list(results) == [output.name for output in session.get_outputs()]
        for ours, theirs in zip(results.values(), session.run(None, {given.name: x}), strict=True):
            assert_close(ours, theirs)


@pytest.mark.parametrize("file", ["ad01_fp32.tflite", "resnet8_fp32.tflite"])
def test_tflite_file_equals_litert(file: str) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(str(MODELS / file))
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    net = hwsim.load_net(MODELS / file)
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal(given["shape"], np.float32)
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        (ours,) = hwsim.forward(net, {net.inputs[0]: x}).values()
        assert_close(ours, interpreter.get_tensor(taken["index"]))


def test_hybrid_file_runs_as_float_with_a_warning() -> None:
    net = hwsim.load_net(MODELS / "dscnn_kws_fp32.tflite")
    x = np.random.default_rng(0).standard_normal(net.tensors[net.inputs[0]].shape, np.float32)
    with pytest.warns(UserWarning, match="run as plain float on dequantised weights"):
        results = hwsim.forward(net, {net.inputs[0]: x})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = hwsim.forward(net, {net.inputs[0]: x}, every=True)
    (output,) = net.outputs
    np.testing.assert_array_equal(results[output], every[output])
    assert results[output].sum() == pytest.approx(1.0, abs=1e-5)  # it ends in a softmax
