"""The numpy forward pass against compiled runtimes: hwsim ÷ onnxruntime for float, hwsim ÷ LiteRT for int8.

    python benchmarks/forward.py [MODELS] [--pairs N] [--threads N]

All sides run on the same number of threads, in one process, alternating, so that a disturbance hits both; a ratio is
the median over the pairs. MODELS is the folder of the int8 .tflite files (default: ../shared/models by the checkout).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="?", type=Path, default=CHECKOUT.parent / "shared" / "models")
    parser.add_argument("--pairs", type=int, default=21, help="alternating pairs of runs (default 21)")
    parser.add_argument("--threads", type=int, default=1, help="threads of every side (default 1)")
    options = parser.parse_args()
    # BLAS reads these once, when numpy is imported: hence the imports inside the functions below.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[variable] = str(options.threads)
    sys.path.insert(0, str(CHECKOUT))  # tests/onnx_export.py writes the float net for onnxruntime

    for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        if variable in os.environ:
            show(f"{variable} is set: numpy's BLAS may be far slower than it can be; unset it to compare")
    show(f"{'net':44s} {'hwsim [ms]':>10s} {'other [ms]':>10s} {'ratio':>6s}   other side")
    squeezenet_float(options.pairs, options.threads)
    files = sorted(options.models.glob("*_int8.tflite"))
    if not files:
        show(f"no int8 .tflite files in {options.models}: pass their folder as the first argument")
    for file in files:
        tflite_int8(file, options.pairs, options.threads)


def squeezenet_float(pairs: int, threads: int) -> None:
    import numpy as np
    import onnxruntime as ort

    import hwsim
    from hwsim.graph import with_random_weights
    from tests.onnx_export import to_onnx

    net = with_random_weights(hwsim.load_net("squeezenet_v1_1"), seed=0)
    (name,) = net.inputs
    inputs = {name: np.random.default_rng(0).standard_normal(net.tensors[name].shape, np.float32)}
    session_options = ort.SessionOptions()
    session_options.intra_op_num_threads = threads
    session_options.inter_op_num_threads = 1
    session = ort.InferenceSession(
        to_onnx(net).SerializeToString(), session_options, providers=["CPUExecutionProvider"]
    )
    compare(
        f"{net.name} {net.tensors[name].shape} float32",
        lambda: hwsim.forward(net, inputs),
        lambda: session.run(None, inputs),
        pairs,
        "onnxruntime",
    )


def tflite_int8(file: Path, pairs: int, threads: int) -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    import hwsim

    net = hwsim.load_net(str(file))
    (name,) = net.inputs
    interpreter = Interpreter(
        model_path=str(file),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        num_threads=threads,
    )
    interpreter.allocate_tensors()
    (detail,) = interpreter.get_input_details()
    info = np.iinfo(detail["dtype"])
    x = np.random.default_rng(0).integers(info.min, info.max, detail["shape"], detail["dtype"], endpoint=True)

    def invoke() -> None:
        interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()

    compare(file.stem, lambda: hwsim.forward(net, {name: x}), invoke, pairs, "LiteRT")


def compare(label: str, ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int, other: str) -> None:
    for _ in range(WARM_UP):
        ours()
        theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(pairs)]
    own_ms, other_ms = (1e3 * median(side) for side in zip(*times, strict=True))
    ratio = median(mine / its for mine, its in times)
    show(f"{label:44s} {own_ms:10.2f} {other_ms:10.2f} {ratio:6.2f}   {other}")


def seconds(run: Callable[[], Any]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def show(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
