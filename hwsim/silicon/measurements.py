"""The measurements that come with hwsim: one tidy table of facts, each row with its source.

Rows are of two collections: ST's model zoo (latency, RAM and flash of its nets on its boards, by tool release) and
MLPerf Tiny (latency and energy of four nets on many systems). A row names the catalogue net that it measures, or says
why none can be built; ``flags`` say what to distrust.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hwsim.errors import UsageError
from hwsim.graph import Graph
from hwsim.importers.catalogue import build_net

TABLE = Path(__file__).parent / "measurements.csv"

FLAGS = {
    "carried_over": "an older release of the tool shows the very same latency: probably not measured anew",
    "suspect": "a cell contradicts another one",
    "outlier": "the energy run does not agree with the performance run",
    "approximate": "the table marks its cells as approximate",
    "pruned": "the runtime drops channels whose weights are all zero",
    "macs_unknown": "whether the runtime drops channels is not known",
    "min_ram": "a build that trades time for memory",
    "short_window": "timed for less than 10 s",
    "short_energy_window": "energy measured for less than 10 s",
    "per_tensor": "one scale per weight tensor instead of one per channel, which other kernels run",
    "open": "of the open division: another net or precision than the reference",
    "fpga": "a core or accelerator on an FPGA",
}
DISTRUSTED = frozenset({"suspect", "outlier", "min_ram", "macs_unknown", "open", "fpga", "carried_over", "per_tensor"})
"""Flags of rows that say nothing new, or nothing certain, about latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measured row; numbers that the source leaves out are None.

    Attributes:
        set: The collection: stm32_zoo or mlperf_tiny.
        family: The net's family, which is left out as a whole when a fit is tried on what it has not seen.
        model: What the source calls the net.
        net: Name of the catalogue net, or empty.
        parameters: Its parameters, as ``name=value`` words.
        not_reconstructible: Why no catalogue net stands for it, or empty.
        dtype: int8, float32, …; as hwsim names dtypes where there is one.
        board: Board, as the source names it.
        chip: Name of hwsim's profile, or empty.
        core: Processor core, such as cortex-m7.
        cores: How many of them.
        engine: core, npu or fpga: what does most of the work.
        clock_mhz: Its clock [MHz].
        library: Library and release, as the source names it.
        runtime: The word hwsim knows that release by, or empty.
        placement: Where weights or activations were put, as ``weights=ram``, or empty.
        latency_ms: Latency of one inference [ms].
        energy_uj: Energy of one inference at the supply pin [µJ].
        energy_mode_latency_ms: Latency in the run that measured energy [ms].
        supply_v: Supply voltage of that run [V].
        activation_ram_kib: Activation arena [KiB].
        runtime_ram_kib: RAM of the runtime besides [KiB].
        internal_ram_kib: Internal RAM of an NPU row [KiB].
        external_ram_kib: External RAM of an NPU row [KiB].
        weights_flash_kib: Weights in flash [KiB]; for X-CUBE-AI before 9.0 in MLPerf Tiny the whole flash use.
        code_flash_kib: Code in flash [KiB].
        macs_m: MACs executed [millions], where the source or its graph says.
        flags: Keys of ``FLAGS``.
        submitter: Who submitted it.
        round: Round of MLPerf Tiny.
        note: What else the source or its reader says.
        source: Repository, path and commit, or round and folder.
    """

    set: str
    family: str
    model: str
    net: str
    parameters: str
    not_reconstructible: str
    dtype: str
    board: str
    chip: str
    core: str
    cores: int
    engine: str
    clock_mhz: float | None
    library: str
    runtime: str
    placement: str
    latency_ms: float | None
    energy_uj: float | None
    energy_mode_latency_ms: float | None
    supply_v: float | None
    activation_ram_kib: float | None
    runtime_ram_kib: float | None
    internal_ram_kib: float | None
    external_ram_kib: float | None
    weights_flash_kib: float | None
    code_flash_kib: float | None
    macs_m: float | None
    flags: frozenset[str]
    submitter: str
    round: str
    note: str
    source: str

    @property
    def trusted(self) -> bool:
        """Whether its latency says something new and certain."""
        return not self.flags & DISTRUSTED

    @property
    def net_name(self) -> str:
        """The catalogue net and its parameters in one word, or what the source calls it."""
        return f"{self.net}({self.parameters.replace(' ', ',')})" if self.net else self.model

    def graph(self) -> Graph:
        """Return the net; the same net is built once.

        Raises:
            UsageError: No catalogue net stands for it.
        """
        if not self.net:
            raise UsageError(f"{self.model}: {self.not_reconstructible}")
        return _graph(self.net, self.parameters)


@cache
def _graph(net: str, parameters: str) -> Graph:
    return build_net(net, **net_parameters(parameters))


def net_parameters(words: str) -> dict[str, bool | int | float]:
    """Return ``name=value`` words as the parameters of a catalogue net."""
    values: dict[str, bool | int | float] = {}
    for word in words.split():
        name, _, text = word.partition("=")
        if text in ("true", "false"):
            values[name] = text == "true"
        else:
            values[name] = int(text) if text.isdecimal() else float(text)
    return values


@cache
def measurements() -> tuple[Measurement, ...]:
    """Return every row of the table, in the file's order."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return tuple(_row(record) for record in csv.DictReader(file))


NUMBERS = (
    "clock_mhz",
    "latency_ms",
    "energy_uj",
    "energy_mode_latency_ms",
    "supply_v",
    "activation_ram_kib",
    "runtime_ram_kib",
    "internal_ram_kib",
    "external_ram_kib",
    "weights_flash_kib",
    "code_flash_kib",
    "macs_m",
)


def _row(record: dict[str, str]) -> Measurement:
    numbers = {name: float(record[name]) if record[name] else None for name in NUMBERS}
    words = {name: text for name, text in record.items() if name not in (*NUMBERS, "cores", "flags")}
    return Measurement(**words, **numbers, cores=int(record["cores"]), flags=frozenset(record["flags"].split()))  # type: ignore[arg-type]
