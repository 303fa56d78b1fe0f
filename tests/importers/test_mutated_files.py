"""Model files with bytes flipped, cut, doubled and spliced, all the way to a report: one sentence or a result, soon."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from hwsim.chip import Chip, load_chip
from hwsim.errors import HwsimError
from hwsim.importers import export_yaml, inspect_operators, load_net
from hwsim.report import evaluate

MODELS = Path(__file__).parents[2].parent / "shared" / "models"  # beside the checkout
MUTANTS = 60  # of each kind; some minutes' worth of others were tried by hand
WORDS = (
    *("0", "-1", "2", "99999999999", "1e308", ".nan", ".inf", "null", "true", "[]", "{}", "~", "x", "same"),
    *("add", "split", "concat", "unknown", "gather", "float16", "int4"),
)
NUMBERS = (0, 1, 2**16, 2**30, 2**31 - 1, 2**32 - 1)


def bytes_changed(rng: Random, corpus: list[bytes]) -> bytes:
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.choice([1, 1, 1, 2, 4, 10])):
        # Tables of a TFLite file lie at its ends, weights in between.
        ends = (rng.randrange(min(len(data), 3000)), len(data) - 1 - rng.randrange(min(len(data), 40_000)))
        place = rng.choice([*ends, rng.randrange(len(data))])
        match rng.randrange(6):
            case 0:
                data[place] = rng.choice([0, 1, 127, 128, 255, data[place] ^ 1 << rng.randrange(8)])
            case 1:
                data[place & ~3 : (place & ~3) + 4] = rng.choice([*NUMBERS, len(data)]).to_bytes(4, "little")
            case 2:
                del data[max(place, 1) :]
            case 3:
                del data[place : place + rng.choice([1, 2, 4, 8, 64, 1000])]
            case 4:
                other, length = rng.choice(corpus), rng.choice([1, 4, 16, 200, 5000])
                begin = rng.randrange(len(other))
                data[place : place + length] = other[begin : begin + length]
            case 5:
                data[place:place] = data[place : place + rng.choice([1, 4, 16, 500])]
        data = data or bytearray(b"\0")
    return bytes(data)


def words_exchanged(rng: Random, corpus: list[bytes]) -> bytes:
    text = rng.choice(corpus).decode()
    for _ in range(rng.choice([1, 1, 2, 3])):
        words = list(re.finditer(r"[\w.+-]+|[\[\]{},:]", text))
        here = rng.choice(words)
        text = text[: here.start()] + rng.choice([rng.choice(WORDS), rng.choice(words).group()]) + text[here.end() :]
    return text.encode()


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """Return the bytes of whole files by extension; those beside the checkout are missing elsewhere."""
    folder = tmp_path_factory.mktemp("whole")
    names = ("lenet5", "ds_cnn", "shufflenet_v2", "mobilenet_v3_small", "kwt_1", "stories260k_decode")
    written = [export_yaml(load_net(name), folder / f"{name}.yaml")[0].read_bytes() for name in names]
    small = [path for path in MODELS.glob("*.tflite") if path.stat().st_size < 400_000]
    return {
        "yaml": written,
        "tflite": [path.read_bytes() for path in sorted(small)],
        "onnx": [path.read_bytes() for path in sorted(MODELS.glob("*.onnx"))],
    }


def report(chip: Chip, path: Path) -> None:
    evaluate(load_net(path), chip, dtype="int8")


def sentence_of(door: Callable[[Path], object], path: Path) -> str | None:
    """Return what a door says of a file that it refuses."""
    try:
        door(path)
    except HwsimError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", ["yaml", "tflite", "onnx"])
def test_mutants_end_in_a_sentence_or_a_report(kind: str, corpora: dict[str, list[bytes]], tmp_path: Path) -> None:
    if not corpora[kind]:
        pytest.skip("shared/models is not here")
    if kind == "onnx":
        pytest.importorskip("onnx")
    mutate = words_exchanged if kind == "yaml" else bytes_changed
    chips = [load_chip(name) for name in ("stm32h747", "ethos_u55_128", "eyeriss")]
    path = tmp_path / f"mutant.{kind}"
    ends = {"told": 0, "report": 0}
    for number in range(MUTANTS):
        rng = Random(f"{kind} {number}")
        path.write_bytes(mutate(rng, corpora[kind]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy has nothing to say either
            for told in (sentence_of(inspect_operators, path), sentence_of(partial(report, rng.choice(chips)), path)):
                ends["report" if told is None else "told"] += 1
                assert told is None or "\n" not in told, number
    assert min(ends.values()) > 0
