"""Every net of the catalogue, float32, random weights: each layer's output against onnxruntime, its MACs as counted.

The nets are built small (resolution, classes, width, depth) where their builder allows: the kinds of layer stay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.errors import NetError
from hwsim.graph import Graph, with_random_weights
from hwsim.nets import NETS, build
from hwsim.reference.counting import counting
from hwsim.reference.interpreter import bound, checked_inputs, run
from tests.onnx_export import to_onnx

ort = pytest.importorskip("onnxruntime")
TOLERANCE = 1e-4  # of the tensor's largest magnitude

SMALL = {"classes": 10, "outputs": 10, "vocabulary": 64, "context": 32, "depth": 3}
RESOLUTIONS = (32, 64, 96, 128, 224)  # the first at which the net can be built, unless its own is smaller
NARROW = {
    "vgg16": {"width": 0.125},
    "resnet50": {"width": 16},
    "resnet50_v1": {"width": 16},
    "tiny_yolov2": {"width": 0.25},
}


def small_net(name: str) -> Graph:
    known = NETS[name].parameters
    parameters = {key: min(value, known[key]) for key, value in SMALL.items() if key in known} | NARROW.get(name, {})
    if "resolution" not in known:
        return build(name, **parameters)
    for resolution in (*(size for size in RESOLUTIONS if size < known["resolution"]), known["resolution"]):
        try:
            return build(name, resolution=resolution, **parameters)
        except NetError:
            continue
    raise AssertionError(f"{name} builds at no resolution")


def random_input(graph: Graph, name: str, rng: np.random.Generator) -> Any:
    tensor = graph.tensors[name]
    if tensor.dtype == "float32":
        return rng.standard_normal(tensor.shape, np.float32)
    return rng.integers(0, 4, tensor.shape).astype(tensor.dtype)  # indices into a table


@pytest.mark.parametrize("name", list(NETS))
def test_net_equals_onnxruntime(name: str) -> None:
    graph = with_random_weights(small_net(name), seed=0)
    tensors = tuple(output for layer in graph.layers for output in layer.outputs)
    rng = np.random.default_rng(0)
    inputs = {name: random_input(graph, name, rng) for name in graph.inputs}
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    model = to_onnx(replace(graph, outputs=tensors)).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    ours = {}
    with counting():
        for ran in run(bound(graph), checked_inputs(graph, inputs)):
            assert ran.macs == graph.layer_macs(ran.layer), ran.layer.name
            ours.update(zip(ran.layer.outputs, ran.outputs, strict=True))
    for output, theirs in zip(tensors, session.run(list(tensors), inputs), strict=True):
        assert ours[output].shape == theirs.shape
        largest = np.abs(theirs).max()
        assert np.isfinite(largest), output
        assert np.abs(ours[output] - theirs).max() <= TOLERANCE * largest, output
