"""ONNX's own test cases, one operator each, with the outputs that its reference states."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
node_cases = pytest.importorskip("onnx.backend.test.case.node")

from hwsim.errors import HwsimError  # noqa: E402
from hwsim.importers.onnx_file import load_onnx  # noqa: E402
from hwsim.importers.onnx_translate import TRANSLATORS  # noqa: E402
from hwsim.reference import forward  # noqa: E402

# Where onnxruntime departs from the reference, hwsim follows onnxruntime: it aligns the corners of images whose size is
# cut to a whole number, not those of the exact size.
AS_ONNXRUNTIME = {"test_resize_downsample_scales_linear_align_corners"}
LEAST_EQUAL = 350  # of the 389 in onnx 1.23; other releases have somewhat more or fewer


def is_close(found: np.ndarray, right: np.ndarray) -> bool:
    if found.shape != right.shape:
        return False
    wanted = right.astype(np.float64)
    room = 1e-4 * max(float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)), 1e-6)
    return bool(np.allclose(found.astype(np.float64), wanted, rtol=1e-4, atol=room, equal_nan=True))


def outcome(case: Any, path: Path) -> str:
    """Import a case with all inputs but the first stored in it, run it, and say how it went."""
    inputs, outputs = case.data_sets[0]
    if not all(isinstance(array, np.ndarray | np.generic) for array in (*inputs, *outputs)) or not inputs:
        return "no arrays"
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    names = [value.name for value in model.graph.input]
    for name, array in zip(names[1:], inputs[1:], strict=False):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    path.write_bytes(model.SerializeToString())
    try:
        graph = load_onnx(path)
        dtype = graph.tensors[names[0]].dtype
        found = forward(graph, {names[0]: np.asarray(inputs[0]).astype(dtype)})
    except HwsimError:
        return "refused"
    named = zip([value.name for value in model.graph.output], outputs, strict=False)
    right = {name: np.asarray(array) for name, array in named if name in found}
    return "equal" if all(is_close(found[name], array) for name, array in right.items()) else "different"


def test_no_case_that_imports_differs(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [
            case
            for case in node_cases.collect_testcases(None)
            if case.model is not None
            and case.data_sets
            and (len(case.model.graph.node) == 1 or "_expanded" not in case.name)
            and not TRANSLATORS.keys().isdisjoint(node.op_type for node in case.model.graph.node)
        ]
        outcomes = {case.name: outcome(case, tmp_path / "case.onnx") for case in cases}
    assert {name for name, result in outcomes.items() if result == "different"} <= AS_ONNXRUNTIME
    assert sum(result == "equal" for result in outcomes.values()) >= LEAST_EQUAL
