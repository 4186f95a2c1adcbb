# SPDX-License-Identifier: BSD-3-Clause
import numpy as np

from softmax_xp.data.row_span import RowSpan
from softmax_xp.data.source import ArraySource, is_source

X = np.arange(20.0).reshape(10, 2)


def test_a_span_is_a_source_of_its_rows():
    span = RowSpan(ArraySource(X, labels=np.arange(10), name="ten", feature_names=("a", "b"), target_name="t"), 3, 4)
    assert is_source(span)
    assert (span.name, span.shape, span.dtype) == ("ten", (4, 2), np.float64)
    assert (span.labels.tolist(), span.feature_names, span.target_name) == ([3, 4, 5, 6], ("a", "b"), "t")
    np.testing.assert_array_equal(span.read(), X[3:7])
    rows = np.empty((2, 2))
    span.read_into(1, rows)
    np.testing.assert_array_equal(rows, X[4:6])
    assert RowSpan(ArraySource(X), 0, 1).labels is None
