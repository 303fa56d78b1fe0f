"""Forms of model for the STM32N6's NPU, compared on nets that they have not seen.

    python benchmarks/npu_forms.py

*Additive* is the form hwsim uses: the mapping's cycles times a pace, streams, weights and set-up add up. *Overlapped*
lets each layer take the longest of computing, streaming activations and streaming weights. *Counts* knows no array:
MACs of three kinds instead of the mapping's cycles. *Alike* has one pace for all kinds of layers. Errors are of rows
whose net family was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hwsim.chip import HardwarePoints, load_chip
from hwsim.cost import cost, lower
from hwsim.silicon.fit import ridge
from hwsim.silicon.npu_fit import NpuSample, fit_npu, npu_rows, npu_samples
from hwsim.silicon.npu_parameters import ARRAY_NAMES, NPUS

Floats = npt.NDArray[np.float64]
NPU = NPUS[0]
PACES = [ARRAY_NAMES.index(name) for name in ("conv", "pointwise", "depthwise")]
KINDS = {"conv": 0, "transposed_conv": 0, "pointwise": 1, "dense": 1, "matmul": 1, "depthwise": 2}


def main() -> None:
    """Print the errors of each form."""
    samples = npu_samples([row for row in npu_rows() if row.chip == NPU.chip])
    print(f"{'form':<12}{'fitted':>9}{'left out':>10}{'p90':>8}")
    for name, form in (("additive", additive), ("overlapped", overlapped), ("counts", counts), ("alike", alike)):
        fitted, left_out = form(samples)
        print(f"{name:<12}{np.mean(fitted):>9.1%}{np.mean(left_out):>10.1%}{np.quantile(left_out, 0.9):>8.1%}")


def additive(samples: Sequence[NpuSample]) -> tuple[Floats, Floats]:
    """The form of ``hwsim.silicon.npu_fit``."""
    return _errors(samples, lambda kept: fit_npu(NPU, kept, count=len(ARRAY_NAMES)).relative_error)


def counts(samples: Sequence[NpuSample]) -> tuple[Floats, Floats]:
    """MACs over the array's peak instead of the cycles of its mapping."""
    return additive([replace(sample, features=_by_macs(sample)) for sample in samples])


def alike(samples: Sequence[NpuSample]) -> tuple[Floats, Floats]:
    """One pace for all kinds of layers."""

    def with_one_pace(sample: NpuSample) -> NpuSample:
        features = sample.features.copy()
        features[PACES[0]] = features[PACES].sum(axis=0)
        features[PACES[1:]] = 0
        return replace(sample, features=features)

    return additive([with_one_pace(sample) for sample in samples])


def overlapped(samples: Sequence[NpuSample]) -> tuple[Floats, Floats]:
    """The longest of computing, activations and weights in each layer, and set-up."""
    layers = {id(sample): _layers(sample) for sample in samples}
    start = np.array([NPU.priors[name] for name in ("conv", "pointwise", "depthwise", "stream")] + [1 / 0.38, 1.0])

    def columns(sample: NpuSample, values: Floats) -> Floats:
        times = layers[id(sample)] * values
        parts = np.stack([times[:, :3].sum(axis=1), times[:, 3], times[:, 4]])
        longest = parts.argmax(axis=0)
        kept = layers[id(sample)].copy()
        kept[longest != 0, :3] = 0
        kept[longest != 1, 3] = 0
        kept[longest != 2, 4] = 0
        return np.asarray(kept.sum(axis=0))

    def rest(sample: NpuSample) -> float:
        others = [name for name in ARRAY_NAMES if name not in ("conv", "pointwise", "depthwise", "stream", "call")]
        at = [ARRAY_NAMES.index(name) for name in others]
        return float(np.array([NPU.priors[name] for name in others]) @ sample.features[at].sum(axis=1))

    def fitted(kept: Sequence[NpuSample]) -> Callable[[NpuSample], float]:
        values = start
        weight = np.array([sum(o.measurement.family == s.measurement.family for o in kept) for s in kept]) ** -0.5
        target = np.array([1 - rest(sample) / sample.cycles for sample in kept])
        for _ in range(10):
            matrix = np.array([columns(sample, values) / sample.cycles for sample in kept])
            values = start * ridge(matrix * start, weight, target, np.full(len(start), 0.5))
        return lambda sample: float((columns(sample, values) @ values + rest(sample)) / sample.cycles - 1)

    return _errors(samples, fitted)


def _errors(
    samples: Sequence[NpuSample], fit: Callable[[Sequence[NpuSample]], Callable[[NpuSample], float]]
) -> tuple[Floats, Floats]:
    """Return absolute errors of a fit to all rows, and of fits without each row's family."""
    whole = fit(samples)
    fitted = np.array([abs(whole(sample)) for sample in samples])
    left_out = np.empty(len(samples))
    for family in {sample.measurement.family for sample in samples}:
        rest = fit([sample for sample in samples if sample.measurement.family != family])
        for index, sample in enumerate(samples):
            if sample.measurement.family == family:
                left_out[index] = abs(rest(sample))
    return fitted, left_out


def _by_macs(sample: NpuSample) -> Floats:
    features = sample.features.copy()
    features[PACES] = 0
    for row in lower(sample.measurement.graph(), dtype="int8").rows:
        if row.nest is not None:
            kind = KINDS[row.kind]
            features[PACES[kind], 0 if kind < 2 else 1] += row.macs / 288
    return np.asarray(features)


def _layers(sample: NpuSample) -> Floats:
    """Return, by layer, cycles of three kinds, elements streamed, nanoseconds per weight byte, and set-up cycles."""
    chip = load_chip(NPU.chip, runtime=sample.measurement.runtime)
    workload = lower(sample.measurement.graph(), dtype="int8")
    outside = bool(cost(workload, HardwarePoints.of(chip), timed=False).residency.activations.index[0] == 2)
    found = []
    for row in workload.rows:
        if row.nest is None:
            continue
        columns = np.zeros(6)
        columns[KINDS[row.kind]] = row.macs / 288
        moved = row.ifmap_bytes + row.ofmap_bytes
        # What PSRAM takes of a byte, in units of what a stream inside does.
        columns[3] = moved * (2.5 / NPU.priors["stream"] if outside else 1)
        columns[4] = row.filter_bytes
        columns[5] = NPU.priors["call"]
        found.append(columns)
    return np.array(found)


if __name__ == "__main__":
    main()
