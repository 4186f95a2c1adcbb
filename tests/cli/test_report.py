# SPDX-License-Identifier: BSD-3-Clause
"""Tables and JSON."""

import json
import math

from softmax_xp.cli.report import as_json, as_table, one_line


def test_columns_are_aligned():
    text = as_table(["", "samples", "loss"], [["train", 12345678, 0.5], ["test", 2, 10.25]])
    assert text.splitlines() == [
        "        samples     loss",
        "train  12345678   0.5000",
        "test          2  10.2500",
    ]


def test_json_has_no_nan():
    report = {"loss": math.inf, "history": [1.5, math.nan, None], 3: ("a", True)}
    assert json.loads(as_json(report)) == {"loss": None, "history": [1.5, None, None], "3": ["a", True]}


def test_one_line():
    assert one_line("CUDA failed:\n   twice\n") == "CUDA failed: twice"
