"""``validate`` as a user meets it."""

import csv
import io
import json

import pytest

from hwsim.silicon import energy, npu_fit, validation
from hwsim.silicon.samples import samples


@pytest.fixture(scope="module")
def found():
    return validation.check(samples(validation.measured_rows()))


@pytest.fixture
def validate(hwsim, monkeypatch, found):
    """The command with the fits already made."""
    monkeypatch.setattr(validation, "check", lambda *args, **options: found)
    monkeypatch.setattr(npu_fit, "check_npus", lambda **options: npu_fit.NpusChecked({}, (), ()))
    few = [row for row in energy.energy_measurements() if row.chip == "efr32mg24"]
    monkeypatch.setattr(energy, "energy_measurements", lambda: few)
    return lambda *words: hwsim("validate", *words)


def test_a_table_by_chip_and_release_and_one_of_the_aims(validate):
    code, out, _ = validate()
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == [
        "chip",
        "runtime",
        "n",
        "families",
        "fitted",
        "left",
        "out",
        "bias",
        "p90",
        "worst",
        "row",
    ]
    assert any(line.startswith("stm32h747 int8") for line in lines)
    assert any(line.startswith("Cortex-M7 int8, st-edge-ai-4.0") and line.endswith("met") for line in lines)
    assert max(map(len, lines)) <= 100
    assert "left out  a fit that has not seen" in out


def test_a_chip_and_a_release_by_themselves(validate):
    code, out, _ = validate("--chips", "stm32h747,stm32l4r5", "--runtime", "x-cube-ai-8.1")
    assert code == 0
    assert "any" in out
    assert "stm32u575" not in out
    assert "x-cube-ai-10.0" not in out
    assert "Cortex-M7 int8" not in out  # the aims are of all rows


def test_rows_for_machines(validate, tmp_path, found):
    path = tmp_path / "v.json"
    code, out, _ = validate("--format", "csv", "--json", path)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    told = json.loads(path.read_text(encoding="utf-8"))
    assert len(rows) == len(told["rows"]) == len(found.rows)
    first = told["rows"][0]
    assert first["predicted_s"] == pytest.approx(first["measured_s"] * (1 + first["error"]))
    assert float(rows[0]["error_without_family"]) == pytest.approx(first["error_without_family"])
    assert {one["left_out"] for one in told["sets"]} == {"family", "chip", "release"}
    assert any(row["error_without_chip"] is None for row in told["rows"])
    assert [(one["chip"], one["n"]) for one in told["energy"]] == [("efr32mg24", 8), ("*", 8)]
    assert told["energy_rows"][0]["predicted_j"] > 0


def test_pictures_and_pages_are_written(validate, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Mine\n\n<!-- validate: sets -->\nold\n<!-- end -->\n\nkept\n")
    code, _, _ = validate("--plot", tmp_path / "a.png", "--residuals", tmp_path / "b.svg", "--page", page)
    assert code == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n\n<!-- validate: sets -->\n\n| set |")
    assert "old" not in text
    assert text.endswith("<!-- end -->\n\nkept\n")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "b.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--chips", "stm32h774"], "--chips stm32h774: no measurement of it is known; did you mean 'stm32h747'?"),
        (["--chips", "eyeriss"], "--chips eyeriss: no measurement of it is known; known: m467, "),
        (["--runtime", "x-cube-ai-11"], "--runtime x-cube-ai-11: no measurement with it is known; did you mean"),
        (
            ["--chips", "stm32f769", "--runtime", "hale"],
            "--runtime hale: no measurement with it is known; known: x-cube-",
        ),
        (["--chips", ","], "--chips ,: name chips, separated by commas, or all"),
        (["--format", "xml"], "--format xml: must be one of table, "),
        (["--plot", "v.xyz"], "cannot draw v.xyz: suffix '.xyz'"),
        (["--json", "no/v.json"], "cannot write no/v.json"),
        (["--page", "none.md"], "cannot read none.md: No such file or directory"),
    ],
)
def test_bad_input_is_one_sentence(validate, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = validate(*words)
    assert (code, out) == (2, "")
    # On a busy machine a line of progress may stand before it.
    *progress, sentence = err.splitlines()
    assert sentence.startswith(f"hwsim: {said}")
    assert all(line.endswith(" s") for line in progress)
    assert not list(tmp_path.iterdir())


def test_a_page_without_marks_stays_as_it_is(validate, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")
    code, _, err = validate("--page", page)
    assert code == 2
    assert "the page has no mark; those it may have: <!-- validate: counts -->" in err
    assert page.read_text() == "# Mine\n"
