"""The page on the report names every field of the record."""

import re
from pathlib import Path

from hwsim.report import evaluate

PAGE = Path(__file__).parents[2] / "docs" / "report.md"


def names(value, *, without=("units", "null")):
    """Yield the names of a record's fields; names of memories, engines and tensors are no fields."""
    if isinstance(value, list):
        for item in value:
            yield from names(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key in ("totals", "memories", "arena", "layers", "mapping", "duty"):
                yield from names(item)


def test_every_field_has_its_line(small_net, npu):
    words = set(re.findall(r"`([a-z_0-9]+)`", PAGE.read_text(encoding="utf-8")))
    fields = set(names(evaluate(small_net, npu.replace("static_mw", 1), period_s=1, battery="1Wh").to_dict()))
    assert len(fields) > 50
    assert fields <= words, fields - words


def test_every_word_of_the_csv_is_one_of_the_page(small_net, npu):
    row = evaluate(small_net, npu).rows()[0]
    for name in ("traffic_dram_read_filter_bytes", "time_compute_s", "energy_mac_j"):
        assert name in row
        assert f"`{name}`" in PAGE.read_text(encoding="utf-8")
