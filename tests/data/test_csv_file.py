# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys

import numpy as np
import pytest

from softmax_xp.data.csv_file import load_csv
from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError


@pytest.fixture
def table(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_table_has_named_features_and_text_labels(table):
    data = load_csv(table("width,species,height\n1,cat,2.5\n-3e2,dog,4\n"), target="species")
    np.testing.assert_array_equal(data.X, [[1, 2.5], [-300, 4]])
    assert data.X.dtype == np.float64
    assert data.y.tolist() == ["cat", "dog"]
    assert (data.feature_names, data.target_name, data.name) == (("width", "height"), "species", "table.csv")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a\tlabel\n1\tx y\n2\tz\n", "t.tsv"),
        ("a\tlabel\n1\tx y\n2\tz\n", "t.TSV"),
        ("\ufeffa,label\r\n1,x y\r\n\r\n2,z\r\n", "t.csv"),
        ('"a", label\n" 1","x y"\n2,z', "t.csv"),
    ],
)
def test_dialects(table, text, name):
    data = load_csv(table(text, name))
    assert (data.X.tolist(), data.y.tolist(), data.feature_names) == ([[1.0], [2.0]], ["x y", "z"], ("a",))


def test_quoted_cells_may_hold_commas_and_line_breaks(table):
    data = load_csv(table('a,label\n1,"x, ""y""\nz"\n2,"w"\n'))
    assert data.y.tolist() == ['x, "y"\nz', "w"]


def test_whole_labels_are_integers(table):
    assert load_csv(table("a,y\n1,3\n2,5\n")).y.tolist() == [3, 5]


def test_features_are_selected_by_name(table):
    path = table("b,comment,label,a\n1,hello,x,2\n3,there,y,4\n")
    data = load_csv(path, feature_names=("a", "b"), require_labels=False)
    assert data.X.tolist() == [[2, 1], [4, 3]]
    assert data.y.tolist() == ["x", "y"]
    with pytest.raises(InvalidValueError, match="table.csv must have every feature of the model; got no column 'c'"):
        load_csv(path, feature_names=("a", "c"))


def test_labels_may_be_missing_to_predict(table):
    assert load_csv(table("a,b\n1,2\n"), require_labels=False).y is None
    with pytest.raises(
        InvalidValueError, match="exactly one column called target, label, class, y; got none.*--target"
    ):
        load_csv(table("a,b\n1,2\n"))


@pytest.mark.parametrize("cell", ["", "NA", "nan", "NaN", "?", " null ", "None"])
def test_missing_values_are_named(table, cell):
    with pytest.raises(InvalidValueError, match="no missing values; got .* in column 'b', line 3"):
        load_csv(table(f"a,b,y\n1,2,x\n1,{cell},x\n"))


def test_cells_that_are_no_numbers_are_named(table):
    with pytest.raises(InvalidTypeError, match="numbers as features; got 'red' in column 'b', line 3"):
        load_csv(table("a,b,y\n1,2,x\n1,red,x\n"))


def test_finite_numbers_whose_sum_overflows_are_kept(table):
    assert load_csv(table("a,b,y\n1e308,1e308,x\n")).X.tolist() == [[1e308, 1e308]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a row of column names; got an empty first row"),
        ("1,2,3\n4,5,6\n", "a row of column names; got only numbers, such as 1"),
        ("a,b,y\n", "at least one row below the column names; got none"),
        ("a,b,y\n1,2,x\n1,2\n", "3 cells in each row; got 2 in line 3"),
        ("a,b,y\n1,2,x,4\n", "3 cells in each row; got 4 in line 2"),
        ("a,b,y\n1,inf,x\n", "finite features; got 'inf' in column 'b', line 2"),
        ("a,a,y\n1,2,x\n", "different names; got 'a'"),
        ("a,b,y\n1,2,\n", "a label in each row; got an empty one at row 0"),
        (b"a,b,y\n1,2,\xff\n", "a UTF-8 table; got .*0xff"),
        ('a,b,y\n1,2,"x\n', "a UTF-8 table; got .*end of data"),
    ],
)
def test_damaged_tables_are_refused(table, text, message):
    with pytest.raises(InvalidValueError, match=message):
        load_csv(table(text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"none\.csv, which does not exist"):
        load_csv(tmp_path / "none.csv")


def test_it_needs_no_pandas(table):
    path = table("a,y\n1,x\n")
    code = (
        "import sys; sys.modules['pandas'] = sys.modules['pyarrow'] = None\n"
        "from softmax_xp.data.csv_file import load_csv\n"
        f"print(load_csv({str(path)!r}).X.tolist())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[[1.0]]"
