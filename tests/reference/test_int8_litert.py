"""Whole int8 files, every intermediate tensor bit for bit against LiteRT's reference kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.importers.tflite_file import load_tflite, tflite_tensor_indices
from hwsim.reference import forward, measure, noise

runtime = pytest.importorskip("ai_edge_litert.interpreter")

MODELS = Path(__file__).parents[2].parent / "shared" / "models"  # beside the checkout
INPUTS = 20  # seeds 0 to 19, the full int8 range, each element drawn alone

TENSORS = {  # arrays that hwsim computes for each input and LiteRT knows by the same name
    "ad01_int8": 10,
    "dscnn_kws_int8": 13,
    "mobilenet_v2_0.35_128_int8": 65,
    "mobilenet_v3_small_96_int8": 109,
    "resnet8_int8": 16,
    "squeezenetv11_128_int8": 39,
    "vww_mobilenet_v1_0.25_96_int8": 31,
}


@pytest.mark.parametrize("name", TENSORS)
def test_every_tensor_is_equal(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip("needs the model files of shared/")
    graph, indices = load_tflite(path), tflite_tensor_indices(path)
    interpreter = runtime.Interpreter(
        str(path),
        experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    compared, unequal = 0, []
    for seed in range(INPUTS):
        image = np.random.default_rng(seed).integers(-128, 127, detail["shape"], np.int8, endpoint=True)
        interpreter.set_tensor(detail["index"], image)
        interpreter.invoke()
        for tensor, found in forward(graph, {graph.inputs[0]: image}, every=True).items():
            if tensor not in indices:
                continue
            compared += 1
            if not np.array_equal(found, interpreter.get_tensor(indices[tensor])):
                unequal.append((seed, tensor))
    assert not unequal
    assert compared == INPUTS * TENSORS[name]


@pytest.mark.parametrize("name", TENSORS)
def test_kernels_do_the_macs_of_the_graph(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip("needs the model files of shared/")
    graph = load_tflite(path)
    counted = {row.layer: row.macs for row in measure(graph, noise(graph))}
    assert counted == {layer.name: graph.layer_macs(layer) for layer in graph.layers}


@pytest.mark.parametrize("value", [-128, 0, 127])
def test_extreme_images(value: int) -> None:
    path = MODELS / "mobilenet_v2_0.35_128_int8.tflite"
    if not path.exists():
        pytest.skip("needs the model files of shared/")
    graph = load_tflite(path)
    interpreter = runtime.Interpreter(str(path), experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    image = np.full(detail["shape"], value, np.int8)
    interpreter.set_tensor(detail["index"], image)
    interpreter.invoke()
    found = forward(graph, {graph.inputs[0]: image})[graph.outputs[0]]
    assert np.array_equal(found, interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
