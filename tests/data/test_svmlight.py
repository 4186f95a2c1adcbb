# SPDX-License-Identifier: BSD-3-Clause
import gzip

import numpy as np
import pytest

from softmax_xp.data.svmlight import load_svmlight
from softmax_xp.errors import DataNotFoundError, InvalidValueError

TEXT = b"3 1:0.5 4:2\n-1 2:1 # a comment\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.svm", TEXT), ("a.txt.gz", gzip.compress(TEXT, mtime=0)), ("a.libsvm", TEXT.replace(b"\n", b"\r\n"))],
)
def test_files_become_dense_float32(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    data = load_svmlight(tmp_path / name)
    assert data.X.dtype == np.float32
    assert data.X.tolist() == [[0.5, 0, 0, 2], [0, 1, 0, 0]]
    assert data.y.tolist() == [3, -1]


def test_names_widen_a_file_whose_last_features_are_zero(tmp_path):
    (tmp_path / "a.svm").write_bytes(TEXT)
    data = load_svmlight(tmp_path / "a.svm", feature_names=tuple("abcdef"))
    assert data.X.shape == (2, 6)
    assert data.feature_names == tuple("abcdef")
    with pytest.raises(InvalidValueError, match="a.svm must have 2 features like the model; got 4"):
        load_svmlight(tmp_path / "a.svm", feature_names=("a", "b"))


def test_what_would_not_fit_is_refused_with_numbers(tmp_path):
    (tmp_path / "a.svm").write_bytes(b"1 2000000000:1\n2 1:1\n")
    message = r"4 GiB as a dense matrix; got 2 samples x 2000000000 features, 14\.9 GiB"
    with pytest.raises(InvalidValueError, match=message):
        load_svmlight(tmp_path / "a.svm")


@pytest.mark.parametrize(
    "content", [b"cat 1:2\n", b"1 a:2\n", b"1 2:1 1:1\n", b"\x00\xff\x00\n", b"1 99999999999999999999:1\n"]
)
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "a.svm").write_bytes(content)
    with pytest.raises(InvalidValueError, match="intact svmlight file; got"):
        load_svmlight(tmp_path / "a.svm")


@pytest.mark.parametrize("n_bytes", [10, 30])
def test_cut_archives_are_refused(tmp_path, n_bytes):
    (tmp_path / "a.svm.gz").write_bytes(gzip.compress(TEXT, mtime=0)[:n_bytes])
    with pytest.raises(InvalidValueError, match="intact svmlight file; got"):
        load_svmlight(tmp_path / "a.svm.gz")


def test_a_plain_file_that_claims_to_be_packed_is_refused(tmp_path):
    (tmp_path / "a.svm.gz").write_bytes(TEXT)
    with pytest.raises(InvalidValueError, match="intact svmlight file; got .*Not a gzipped file"):
        load_svmlight(tmp_path / "a.svm.gz")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.svm").write_bytes(b"# nothing\n")
    with pytest.raises(InvalidValueError, match="at least one sample with one feature|intact svmlight file"):
        load_svmlight(tmp_path / "a.svm")


def test_a_target_column_makes_no_sense(tmp_path):
    with pytest.raises(InvalidValueError, match="`target` must be None for svmlight files.*got 'y'"):
        load_svmlight(tmp_path / "a.svm", target="y")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"none\.svm, which does not exist"):
        load_svmlight(tmp_path / "none.svm")
