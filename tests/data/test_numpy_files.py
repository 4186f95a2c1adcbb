# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.data.numpy_files import load_label_file, load_npy, load_npz
from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError

X = np.arange(6, dtype=np.float16).reshape(3, 2)
Y = np.asarray(["a", "b", "a"])


@pytest.mark.parametrize("sample_key", ["X", "x", "data", "features", "embeddings"])
@pytest.mark.parametrize("label_key", ["y", "labels", "label", "target", "targets"])
def test_usual_keys_are_found(tmp_path, sample_key, label_key):
    np.savez_compressed(tmp_path / "f.npz", **{sample_key: X, label_key: Y, "other": np.zeros(1)})
    data = load_npz(tmp_path / "f.npz")
    np.testing.assert_array_equal(data.X, X)
    assert data.X.dtype == np.float16
    assert data.y.tolist() == Y.tolist()
    assert data.target_name == label_key


def test_the_key_of_the_labels_can_be_named(tmp_path):
    np.savez(tmp_path / "f.npz", X=X, y=Y, hypernym=Y[::-1])
    assert load_npz(tmp_path / "f.npz", target="hypernym").y.tolist() == ["a", "b", "a"]
    with pytest.raises(InvalidValueError, match=r"labels under 'other'; got the keys \['X', 'y', 'hypernym'\]"):
        load_npz(tmp_path / "f.npz", target="other")
    with pytest.raises(InvalidValueError, match="labels under 'other'"):
        load_npz(tmp_path / "f.npz", target="other", require_labels=False)


def test_labels_may_be_missing_to_predict(tmp_path):
    np.savez(tmp_path / "f.npz", X=X)
    assert load_npz(tmp_path / "f.npz", require_labels=False).y is None
    with pytest.raises(InvalidValueError, match=r"labels under .*'targets'.*; got the keys \['X'\]. Pass `target`"):
        load_npz(tmp_path / "f.npz")


def test_missing_samples_list_the_keys(tmp_path):
    np.savez(tmp_path / "f.npz", matrix=X, y=Y)
    with pytest.raises(InvalidValueError, match=r"samples under one of .*; got the keys \['matrix', 'y'\]"):
        load_npz(tmp_path / "f.npz")


def test_npy_is_a_read_only_memory_map(tmp_path):
    np.save(tmp_path / "f.npy", X)
    data = load_npy(tmp_path / "f.npy", require_labels=False, feature_names=["a", "b"])
    assert isinstance(data.X, np.memmap)
    assert not data.X.flags.writeable
    assert data.feature_names == ("a", "b")
    for options in ({}, {"require_labels": False, "target": "y"}):
        with pytest.raises(InvalidValueError, match="f.npy holds samples only. Pass `labels`.*--labels"):
            load_npy(tmp_path / "f.npy", **options)


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros(3), InvalidValueError, r"samples of shape \(n_samples, n_features\); got shape \(3,\)"),
        (np.zeros((0, 3)), InvalidValueError, r"got shape \(0, 3\)"),
        (np.asarray([["1", "2"]]), InvalidTypeError, "real numbers as samples; got dtype <U1"),
        (np.asarray([[1j]]), InvalidTypeError, "real numbers as samples; got dtype complex128"),
        (np.zeros((1, 3)), InvalidValueError, "2 features like the model; got 3"),
    ],
)
def test_samples_that_do_not_serve_are_refused(tmp_path, array, error, message):
    np.save(tmp_path / "f.npy", array)
    np.savez(tmp_path / "f.npz", X=array)
    for loader, name in ((load_npy, "f.npy"), (load_npz, "f.npz")):
        with pytest.raises(error, match=message):
            loader(tmp_path / name, require_labels=False, feature_names=("a", "b"))


class Trap:
    """Would leave a mark when unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickles_are_never_opened(tmp_path, suffix):
    path, mark = tmp_path / f"f{suffix}", tmp_path / "mark"
    objects = np.asarray([[Trap(mark)]], dtype=object)
    np.save(path, objects) if suffix == ".npy" else np.savez(path, X=objects)
    loader = load_npy if suffix == ".npy" else load_npz
    with pytest.raises(InvalidValueError, match="Python objects, which are never unpickled"):
        loader(path, require_labels=False)
    assert not mark.exists()


@pytest.mark.parametrize("n_bytes", [0, 5, 100, -1])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_cut_files_are_refused(tmp_path, suffix, n_bytes):
    path = tmp_path / f"f{suffix}"
    np.save(path, X) if suffix == ".npy" else np.savez(path, X=X)
    path.write_bytes(path.read_bytes()[:n_bytes])
    loader = load_npy if suffix == ".npy" else load_npz
    with pytest.raises(InvalidValueError, match="intact NumPy file"):
        loader(path, require_labels=False)


@pytest.mark.parametrize("packed", [False, True])
def test_a_flipped_bit_in_an_npz_is_found(tmp_path, packed):
    path = tmp_path / "f.npz"
    (np.savez_compressed if packed else np.savez)(path, X=np.arange(200.0).reshape(100, 2))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidValueError, match="intact NumPy file"):
        load_npz(path, require_labels=False)


def test_suffixes_must_tell_the_truth(tmp_path):
    np.save(tmp_path / "f.npy", X)
    (tmp_path / "f.npy").rename(tmp_path / "f.npz")
    with pytest.raises(InvalidValueError, match="holds a single array. Rename it to .npy"):
        load_npz(tmp_path / "f.npz")
    np.savez(tmp_path / "g.npz", X=X)
    (tmp_path / "g.npz").rename(tmp_path / "g.npy")
    with pytest.raises(InvalidValueError, match="is an archive. Rename it to .npz"):
        load_npy(tmp_path / "g.npy", require_labels=False)


def test_missing_files_are_named(tmp_path):
    for load in (load_npz, load_npy, load_label_file):
        with pytest.raises(DataNotFoundError, match=r"none\.npy, which does not exist"):
            load(tmp_path / "none.npy", **({} if load is load_label_file else {"require_labels": False}))
    with pytest.raises(DataNotFoundError, match=r"none\.txt, which does not exist"):
        load_label_file(tmp_path / "none.txt")


def test_label_files(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    assert load_label_file(tmp_path / "y.npy").tolist() == ["a", "b", "a"]
    (tmp_path / "y.txt").write_text("3\r\n-1\r\n3\r\n\r\n", newline="")
    assert load_label_file(str(tmp_path / "y.txt")).tolist() == [3, -1, 3]
    (tmp_path / "y.txt").write_text("\ufeffcat\nbig dog\n", encoding="utf-8")
    assert load_label_file(tmp_path / "y.txt").tolist() == ["cat", "big dog"]


def test_damaged_label_files_are_refused(tmp_path):
    (tmp_path / "y.txt").write_text("cat\n\ndog\n")
    with pytest.raises(InvalidValueError, match="y.txt must have a label in each row; got an empty one at row 1"):
        load_label_file(tmp_path / "y.txt")
    (tmp_path / "y.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(InvalidValueError, match="an .npy file or a UTF-8 text file"):
        load_label_file(tmp_path / "y.txt")
