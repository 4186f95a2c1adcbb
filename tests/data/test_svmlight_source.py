# SPDX-License-Identifier: BSD-3-Clause
import os
import pickle

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from softmax_xp.data import svmlight_source
from softmax_xp.data.svmlight import load_svmlight
from softmax_xp.data.svmlight_source import open_svmlight
from softmax_xp.errors import DataChangedError, DataNotFoundError, InvalidValueError
from tests.data.sparse_forms import random_dense
from tests.data.test_csr_source import as_matrix

DENSE = random_dense()
LABELS = np.arange(37) % 4 - 1
TEXTS = {
    "from one": b"3 1:0.5 4:2\n-1 2:1\n",
    "from zero": b"3 0:0.5 4:2\n-1 2:1\n",
    "comments": b"# all of it\n3 1:0.5 4:2 # one: 7:8\n\n   \n#\n-1 2:1 #\n# end",
    "query ids": b"3 qid:1 1:0.5 4:2\n-1 qid:2 2:1\n",
    "no last newline": b"3 1:0.5 4:2\n-1 2:1",
    "line feeds of Windows": b"3 1:0.5 4:2\r\n\r\n-1 2:1\r\n",
    "rows without entries": b"3 1:0.5 4:2\n1\n-1 2:1\n2\n",
    "numbers": b"1e2 1:1e-3 3:-7\n-0.5 2:+1\n",
}


@pytest.fixture(params=[1, 25, 1 << 22], autouse=True)
def block(request, monkeypatch):
    monkeypatch.setattr(svmlight_source, "_BLOCK_BYTES", request.param)


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_what_the_loader_reads(tmp_path, text):
    path = tmp_path / "a.svm"
    path.write_bytes(TEXTS[text])
    source, dense = pickle.loads(pickle.dumps(open_svmlight(path))), load_svmlight(path)
    assert (source.shape, source.dtype, source.name) == (dense.X.shape, dense.X.dtype, "a.svm")
    np.testing.assert_array_equal(source.labels, dense.y)
    n_samples = len(dense.y)
    for start in range(n_samples):
        for stop in range(start + 1, n_samples + 1):
            np.testing.assert_array_equal(as_matrix(source, start, stop).toarray(), dense.X[start:stop])
    out = np.empty_like(dense.X)
    source.read_into(0, out)
    np.testing.assert_array_equal(out, dense.X)


@pytest.mark.parametrize("zero_based", [True, False])
def test_a_file_of_scikit_learn(tmp_path, zero_based):
    path = tmp_path / "a.svmlight"
    dump_svmlight_file(DENSE, LABELS, str(path), zero_based=zero_based, comment="made for a test")
    source = open_svmlight(path)
    theirs, labels = load_svmlight_file(str(path), dtype=np.float32)
    np.testing.assert_array_equal(as_matrix(source).toarray(), theirs.toarray())
    np.testing.assert_array_equal(source.labels, labels)


def test_names_widen_a_file_whose_last_features_are_zero(tmp_path):
    path = tmp_path / "a.svm"
    path.write_bytes(TEXTS["from one"])
    source = open_svmlight(path, None, list("abcdef"))
    assert (source.shape, source.feature_names) == ((2, 6), tuple("abcdef"))
    assert as_matrix(source).shape == (2, 6)
    with pytest.raises(InvalidValueError, match="a.svm must have 2 features like the model; got 4"):
        open_svmlight(path, None, ["a", "b"])
    with pytest.raises(InvalidValueError, match="`target` must be None for svmlight files, .*; got 'y'"):
        open_svmlight(path, "y")


@pytest.mark.parametrize(
    "content",
    [
        b"cat 1:2\n",
        b"1 a:2\n",
        b"1 2:1 1:1\n",
        b"1 2:1 2:1\n",
        b"1 -1:1\n",
        b"1 1\n",
        b"1,2 1:1\n",
        b"\x00\xff\x00\n",
        b"1 99999999999999999999:1\n",
    ],
)
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "a.svm").write_bytes(b"1 1:1\n" + content)
    with pytest.raises(InvalidValueError, match="intact svmlight file; got .*a.svm"):
        open_svmlight(tmp_path / "a.svm")


@pytest.mark.parametrize("content", [b"", b"\n# nothing\n", b"1\n2\n"])
def test_files_without_samples_or_features(tmp_path, content):
    (tmp_path / "a.svm").write_bytes(content)
    with pytest.raises(InvalidValueError, match="at least one sample with one feature; got shape"):
        open_svmlight(tmp_path / "a.svm")
    with pytest.raises(DataNotFoundError, match="which does not exist"):
        open_svmlight(tmp_path / "b.svm")


def test_a_file_that_changes_is_noticed(tmp_path):
    path = tmp_path / "a.svm"
    path.write_bytes(TEXTS["from one"])
    source, stamp = open_svmlight(path), path.stat().st_mtime_ns
    path.write_bytes(TEXTS["from one"].replace(b"4:2", b" 4 "))
    os.utime(path, ns=(stamp, stamp))
    with pytest.raises(InvalidValueError, match="intact svmlight file"):
        as_matrix(source)
    path.write_bytes(TEXTS["from one"].replace(b"4:2", b"   "))
    os.utime(path, ns=(stamp, stamp))
    with pytest.raises(DataChangedError, match="which has other entries"):
        as_matrix(source)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataChangedError, match="which has changed since it was opened"):
        as_matrix(source)
