# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pyarrow as pa
import pytest

from softmax_xp.data.arrow_columns import choose_table_columns, is_list, matrix_of
from softmax_xp.errors import InvalidTypeError, InvalidValueError

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)


def records(**columns):
    return pa.RecordBatch.from_pydict({name: pa.array(*column) for name, column in columns.items()})


def matrix(batch, lengths=None, target=None, feature_names=None, first_row=0):
    columns, dtype = choose_table_columns(
        batch.schema, lengths or {}, target=target, feature_names=feature_names, source="t"
    )
    return matrix_of(batch, columns, dtype, "t", first_row), columns


def fixed(values=VECTORS):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def test_numbers_are_features_and_the_target_is_none_of_them():
    batch = records(
        a=([1, 2],), label=(["x", "y"],), b=([0.5, 1.5], pa.float32()), c=([True, False],), __index_level_0__=([7, 8],)
    )
    found, columns = matrix(batch)
    assert columns.feature_names == ("a", "b", "c")
    assert columns.target == "label"
    assert found.dtype == np.float64
    assert found.tolist() == [[1.0, 0.5, 1.0], [2.0, 1.5, 0.0]]
    found, columns = matrix(batch, target="label", feature_names=["c", "a"])
    assert (columns.read, columns.feature_names, found.tolist()) == (("c", "a"), ("c", "a"), [[1, 1], [0, 2]])
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    "column",
    [
        fixed(),
        pa.array(VECTORS.tolist(), pa.list_(pa.float32())),
        pa.array(VECTORS.tolist(), pa.large_list(pa.float32())),
    ],
)
def test_entries_of_lists_are_features(column):
    assert is_list(column.type)
    batch = pa.RecordBatch.from_pydict({
        "vector": column,
        "y": pa.array([0, 1, 0, 1]),
        "n": pa.array([9.0] * 4, pa.float32()),
    })
    found, columns = matrix(batch, {"vector": 3})
    assert columns.feature_names == ("vector[0]", "vector[1]", "vector[2]", "n")
    np.testing.assert_array_equal(found, np.column_stack([VECTORS, np.full(4, 9.0)]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(matrix(batch.slice(1, 2), {"vector": 3})[0], found[1:3])
    some, _ = matrix(batch, {"vector": 3}, feature_names=["n", "vector[2]", "vector[0]"])
    np.testing.assert_array_equal(some, found[:, [3, 2, 0]])
    assert some.flags.c_contiguous


def test_decimals_are_floats():
    found, _ = matrix(
        records(a=(["1.25", "2"], pa.string()), b=([1, 2],)).set_column(
            0, "a", pa.array(["1.25", "2"]).cast(pa.decimal128(5, 2))
        )
    )
    assert found.tolist() == [[1.25, 1.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("column", "lengths", "text"),
    [
        (pa.array([1.0, None]), {}, "no missing values; got one in column 'a', row 101"),
        (pa.array([[1.0, 2.0], [1.0]]), {"a": 2}, "one length in column 'a'; got 1 entries in row 101, and 2 before"),
        (pa.array([[1.0, 2.0], [1.0, None]]), {"a": 2}, "got one in a list of column 'a', row 101"),
        (pa.array([[1.0, 2.0], None]), {"a": 2}, "no missing values; got one in column 'a', row 101"),
    ],
)
def test_what_is_missing_is_named(column, lengths, text):
    with pytest.raises(InvalidValueError, match=text):
        matrix(pa.RecordBatch.from_pydict({"a": column}), lengths, first_row=100)


def test_text_is_no_feature_and_columns_must_be_there():
    batch = records(a=([1],), b=(["x"],))
    with pytest.raises(InvalidTypeError, match="numbers as features; got column 'b' of type string. Encode"):
        matrix(batch)
    with pytest.raises(InvalidValueError, match="`target` must be a column of t; got 'c'"):
        matrix(batch, target="c")
    with pytest.raises(InvalidValueError, match="every feature of the model; got no column 'd'"):
        matrix(batch, feature_names=["a", "d"])
