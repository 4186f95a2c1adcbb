# SPDX-License-Identifier: BSD-3-Clause
import builtins
import decimal

import numpy as np
import pytest

from softmax_xp.data.parquet import load_parquet
from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError, MissingDependencyError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


@pytest.fixture
def table(tmp_path):
    def write(columns):
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return write


def test_a_table_has_named_features_and_labels(table):
    data = load_parquet(table({"b": [1, 2], "kind": ["x", "z"], "a": [0.5, 1.5]}), target="kind")
    assert data.X.tolist() == [[1, 0.5], [2, 1.5]]
    assert data.X.flags.c_contiguous
    assert data.y.tolist() == ["x", "z"]
    assert (data.feature_names, data.target_name, data.name) == (("b", "a"), "kind", "table.parquet")


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("uint8", "uint8"), "uint8"),
        (("float32", "float32"), "float32"),
        (("float16", "float32"), "float32"),
        (("bool", "int16"), "int16"),
        (("int64", "float32"), "float64"),
    ],
)
def test_features_have_their_common_dtype(table, types, expected):
    columns = {name: pa.array(np.asarray([0, 1], dtype=kind)) for name, kind in zip("ab", types, strict=True)}
    data = load_parquet(table({**columns, "y": [3, 4]}))
    assert data.X.dtype == expected
    assert data.X.tolist() == [[0, 0], [1, 1]]
    assert data.y.tolist() == [3, 4]


def test_decimals_and_categories(table):
    amounts = pa.array([decimal.Decimal("1.25"), decimal.Decimal("2.50")])
    data = load_parquet(table({"a": amounts, "label": pa.array(["u", "v"]).dictionary_encode()}))
    assert data.X.tolist() == [[1.25], [2.5]]
    assert data.y.tolist() == ["u", "v"]


def test_the_index_of_pandas_is_no_feature(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "y": ["u", "v"]}, index=[7, 9])
    frame.to_parquet(tmp_path / "frame.parquet")
    assert load_parquet(tmp_path / "frame.parquet").feature_names == ("a",)


def test_features_are_selected_by_name_and_other_columns_are_not_looked_at(table):
    path = table({"text": ["p", None], "b": [1, 2], "a": [3, 4]})
    data = load_parquet(path, feature_names=("a", "b"), require_labels=False)
    assert (data.X.tolist(), data.y) == ([[3, 1], [4, 2]], None)
    with pytest.raises(InvalidValueError, match="got no column 'c'"):
        load_parquet(path, feature_names=("a", "c"), require_labels=False)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1, None, None], "y": [0, 1, 2]}, "no missing values; got 2 in column 'a', the first in row 1"),
        ({"a": [1.0, float("nan")], "y": [0, 1]}, "no missing values; got nan in column 'a', row 1"),
        ({"a": [1.0, float("inf")], "y": [0, 1]}, "finite features; got inf in column 'a', row 1"),
        ({"a": [1, 2], "y": ["u", None]}, "no missing values; got 1 in column 'y', the first in row 1"),
        ({"a": pa.array([], type=pa.int64()), "y": pa.array([], type=pa.int64())}, "at least one row; got none"),
        ({"a": [1], "b": [2]}, "exactly one column called target, label, class, y; got none"),
    ],
)
def test_tables_that_do_not_serve_are_refused(table, columns, message):
    with pytest.raises(InvalidValueError, match=f"table.parquet must have {message}"):
        load_parquet(table(columns))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"a": ["red", "blue"], "y": [0, 1]},
            "numbers as features; got column 'a' of type string, such as 'red' in row 0",
        ),
        ({"a": [[1], [2]], "y": [0, 1]}, "numbers as features; got column 'a' of type list"),
        ({"a": [1, 2], "y": [[0], [1]]}, "numbers or strings as labels; got column 'y'"),
    ],
)
def test_columns_of_other_kinds_are_refused(table, columns, message):
    with pytest.raises(InvalidTypeError, match=message):
        load_parquet(table(columns))


@pytest.mark.parametrize("n_bytes", [0, 3, 200, -1])
def test_damaged_files_are_refused(table, n_bytes):
    path = table({"a": [1, 2], "y": [0, 1]})
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InvalidValueError, match="intact Parquet file; got .*table.parquet"):
        load_parquet(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"none\.parquet, which does not exist"):
        load_parquet(tmp_path / "none.parquet")


def test_without_pyarrow_the_error_says_what_to_install(table, monkeypatch):
    path, real_import = table({"a": [1, 2], "y": [0, 1]}), builtins.__import__

    def without_pyarrow(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(MissingDependencyError, match=r"pip install 'softmax-xp\[arrow\]'"):
        load_parquet(path)
