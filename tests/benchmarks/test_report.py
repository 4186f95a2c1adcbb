# SPDX-License-Identifier: BSD-3-Clause
import pytest

from benchmarks.report import Line, Table, milliseconds, ratio_text, times_text, verdict
from benchmarks.timing import Ratio


def test_columns_are_aligned_and_missing_cells_are_dashes():
    table = Table("toy", "Toy", [Line({"name": "a", "time": "1 ms"}, {}), Line({"name": "long"}, {})], ["a note"])
    assert str(table).splitlines() == ["Toy", "---", "name  time", "a     1 ms", "long     -", "  a note"]


def test_records_go_to_the_file():
    table = Table("toy", "Toy", [Line({"name": "a"}, {"seconds": 0.5})])
    assert table.to_dict() == {"name": "toy", "title": "Toy", "lines": [{"seconds": 0.5}], "notes": []}


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.2e-5, "42 us"), (0.0123, "12.3 ms"), (0.25, "250 ms"), (2.5, "2.50 s")]
)
def test_times_have_a_unit_that_suits_them(seconds, text):
    assert milliseconds(seconds) == text


def test_ratios_show_their_range():
    assert ratio_text(Ratio(1.25, 1.2, 1.5)) == "1.25 (1.20-1.50)"
    assert times_text(Ratio(1.25, 1.2, 1.5)) == "1.25x (1.20-1.50)"


def test_a_verdict_is_yes_or_no():
    assert (verdict(met=True), verdict(met=False)) == ("yes", "no")
