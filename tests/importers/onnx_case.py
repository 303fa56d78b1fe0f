"""Small quantised ONNX models, run by hwsim and by onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from hwsim.graph import Graph  # noqa: E402
from hwsim.reference import forward  # noqa: E402

INPUTS = 20  # random images for each model, seeds 0 to 19


def drawn(*shape: int, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * spread).astype(np.float32)


def make(nodes: list[Any], shape: tuple[int, ...], constants: dict[str, np.ndarray], opset: int = 13) -> Any:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def node(op: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op}_{outputs}", domain=domain, **attributes)


def session(path: Path) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def worst_step(path: Path, graph: Graph, shape: tuple[int, ...], step: float) -> float:
    """Return the largest difference of the outputs over ``INPUTS`` images, in quantisation steps."""
    runtime, worst = session(path), 0.0
    for seed in range(INPUTS):
        x = {"x": drawn(*shape, seed=100 + seed)}
        difference = np.abs(forward(graph, x)["y"].astype(np.float64) - runtime.run(None, x)[0])
        worst = max(worst, float(difference.max()) / step)
    return worst


def output_step(graph: Graph) -> float:
    """Return the scale of the tensor that the last dequantise layer reads."""
    last = graph.producer["y"]
    assert last.op.kind == "dequantize"
    quant = graph.tensors[last.inputs[0]].quant
    assert quant is not None
    return quant.scale[0]


class Images:
    """Calibration data for onnxruntime's quantiser."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.left: Iterator[dict[str, np.ndarray]] = iter([{"x": drawn(*shape, seed=seed)} for seed in range(4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.left, None)
