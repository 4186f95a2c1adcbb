# SPDX-License-Identifier: BSD-3-Clause
import builtins
import dataclasses
import html.parser
import pickle

import numpy as np
import pytest

from softmax_xp.errors import MissingDependencyError
from softmax_xp.estimators.summary import coefficient_summary
from softmax_xp.estimators.summary_table import Summary


def example(n_contrasts=2, terms=("(intercept)", "age"), **changes):
    shape = (n_contrasts, len(terms))
    numbers = np.arange(float(n_contrasts * len(terms))).reshape(shape)
    fields = {
        "coefficient": numbers - 1.5,
        "standard_error": numbers + 0.25,
        "z": numbers * 10.0,
        "p_value": np.full(shape, 0.0321),
        "lower": numbers - 2.0,
        "upper": numbers + 123456.0,
        "covariance": np.eye(numbers.size),
        "terms": terms,
        "classes": tuple("bcdefghij"[:n_contrasts]),
        "reference": "a",
        "covariance_type": "model",
        "confidence": 0.9,
        "C": np.inf,
        "n_samples": 7,
        "total_weight": 7.0,
    }
    return Summary(**{**fields, **changes})


def test_the_text_is_aligned():
    p_value = np.array([[0.5, 1e-4], [9.9e-5, np.nan]])
    text = str(example(p_value=p_value, notes=("Beware of this.",)))
    assert text == repr(example(p_value=p_value, notes=("Beware of this.",)))
    assert text.splitlines() == [
        "Coefficients against class a; 7 samples.",
        "Standard errors: model-based (inverse of the Hessian).",
        "",
        "class  term         coefficient  std. error      z        p  90% lower  90% upper",
        "b      (intercept)         -1.5        0.25   0.00   0.5000         -2  1.235e+05",
        "b      age                 -0.5        1.25  10.00   0.0001         -1  1.235e+05",
        "c      (intercept)          0.5        2.25  20.00  <0.0001          0  1.235e+05",
        "c      age                  1.5        3.25  30.00      nan          1  1.235e+05",
        "",
        "Note: Beware of this.",
    ]


def test_the_introduction_tells_weights_penalty_and_kind():
    lines = str(example(total_weight=12.5, C=0.25, covariance_type="sandwich")).splitlines()
    assert lines[:3] == [
        "Coefficients against class a; 7 samples, which weigh 12.5.",
        "Standard errors: sandwich (robust, HC0).",
        "The penalty (C=0.25) shrinks the coefficients: tests and intervals are approximate.",
    ]


def test_a_long_table_ends_with_what_is_missing():
    long = example(terms=tuple(f"x{place}" for place in range(150)))
    lines = str(long).splitlines()
    assert len(lines) == 4 + 200 + 1
    assert lines[-1] == "... and 100 more rows: `to_frame` has them all."
    assert long._repr_html_().count("<tr>") == 201  # with the head
    assert "100 more rows" in long._repr_html_()


def test_html_is_well_formed_and_escaped():
    class Reader(html.parser.HTMLParser):
        open_tags, text = (), ""

        def handle_starttag(self, tag, attributes):
            assert not attributes
            if tag != "br":
                self.open_tags = (*self.open_tags, tag)

        def handle_endtag(self, tag):
            assert self.open_tags[-1] == tag
            self.open_tags = self.open_tags[:-1]

        def handle_data(self, data):
            self.text += f"|{data}"

    reader = Reader()
    reader.feed(example(terms=("<b>", "a & b"), reference="<script>", notes=("1 < 2",))._repr_html_())
    assert not reader.open_tags
    for expected in ("class <script>", "|<b>|-1.5|0.25|0.00|0.0321|", "|a & b|", "|Note: 1 < 2"):
        assert expected in reader.text


def test_frames_hold_every_number_in_the_order_of_the_covariance():
    pytest.importorskip("pandas")
    summary = example()
    frame = summary.to_frame()
    assert frame.index.names == ["class", "term"]
    assert frame.index.tolist() == [("b", "(intercept)"), ("b", "age"), ("c", "(intercept)"), ("c", "age")]
    assert frame.columns.tolist() == ["coefficient", "standard_error", "z", "p_value", "lower", "upper"]
    for name in frame.columns:
        np.testing.assert_array_equal(frame[name], getattr(summary, name).ravel())
    assert frame.loc[("c", "age"), "coefficient"] == 1.5


def test_frames_need_pandas(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="`to_frame` needs pandas.*pip install pandas"):
        example().to_frame()


def test_summaries_are_frozen_and_pickle():
    summary = example()
    with pytest.raises(dataclasses.FrozenInstanceError):
        summary.C = 1.0
    assert str(pickle.loads(pickle.dumps(summary))) == str(summary)
    assert summary != example()  # arrays have no single truth value, so equal means identical
    assert builtins.len({summary, summary}) == 1


def test_a_coefficient_of_zero_has_no_sign():
    X, codes = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0, 1, 0, 1])
    found = coefficient_summary(X, codes, np.zeros((1, 1)), np.zeros(1), reference=1)
    assert "-0 " not in str(found)
