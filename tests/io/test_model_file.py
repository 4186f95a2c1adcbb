# SPDX-License-Identifier: BSD-3-Clause
"""The model file's metadata: what is written is read, and what is not of this format is refused."""

import numpy as np
import pytest

from softmax_xp.errors import ModelFileError
from softmax_xp.io.model_file import FORMAT, read_model, write_model
from softmax_xp.io.safetensors_file import read_tensors, write_tensors
from softmax_xp.version import __version__

TENSORS = {"weight": np.arange(6.0).reshape(2, 3)}
METADATA = {"format": "1", "kind": "SoftmaxModel", "settings": '{"a": "b"}', "classes": '["x", "y", "z"]'}


def write(path, **changes):
    metadata = {name: value for name, value in (METADATA | changes).items() if value is not None}
    write_tensors(path, TENSORS, metadata)
    return path


def test_what_is_written_is_read(tmp_path):
    classes = np.asarray([4, 5, 6])
    assert write_model(tmp_path / "m", "Kind", TENSORS, classes, {"temperature": "1.0", "ü": "ß"}) == tmp_path / "m"
    kind, tensors, read_classes, settings = read_model(tmp_path / "m")
    assert kind == "Kind"
    assert list(tensors) == ["weight"]
    np.testing.assert_array_equal(tensors["weight"], TENSORS["weight"])
    np.testing.assert_array_equal(read_classes, classes)
    assert settings == {"temperature": "1.0", "ü": "ß"}


def test_the_file_says_who_wrote_it(tmp_path):
    write_model(tmp_path / "m", "Kind", TENSORS, np.asarray(["a", "b", "c"]), {})
    _, metadata = read_tensors(tmp_path / "m")
    assert metadata["format"] == str(FORMAT) == "1"
    assert metadata["softmax_xp"] == __version__
    assert metadata["numpy"] == np.__version__
    assert metadata["classes"] == '["a", "b", "c"]'


def test_the_classes_of_the_caller_stay_out_of_the_tensors(tmp_path):
    tensors = dict(TENSORS)
    write_model(tmp_path / "m", "Kind", tensors, np.asarray([1, 2, 3]), {})
    assert list(tensors) == ["weight"]


def test_mixed_labels_stay_apart(tmp_path):
    classes = np.asarray([1, "1", True, 1.5], dtype=object)
    write_model(tmp_path / "m", "Kind", TENSORS, classes, {})
    again = read_model(tmp_path / "m")[2]
    assert again.dtype == object
    assert [(type(label), label) for label in again] == [(int, 1), (str, "1"), (bool, True), (float, 1.5)]


def test_numpy_scalars_among_the_labels_are_saved_as_what_they_are(tmp_path):
    classes = np.empty(2, dtype=object)
    classes[:] = [np.int64(3), np.str_("a")]
    write_model(tmp_path / "m", "Kind", TENSORS, classes, {})
    assert read_model(tmp_path / "m")[2].tolist() == [3, "a"]


@pytest.mark.parametrize("settings", ['{"a": "b"}', None])
def test_a_newer_format_is_named_whatever_else_it_holds(tmp_path, settings):
    path = write(tmp_path / "m", format="2", softmax_xp="9.9", settings=settings)
    text = "must hold a model of format 1 or older; got format 2 in .*, written by softmax_xp 9.9. Install that version"
    with pytest.raises(ModelFileError, match=text):
        read_model(path)
    with pytest.raises(ModelFileError, match="written by softmax_xp of an unknown version"):
        read_model(write(tmp_path / "m", format="3"))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": None},
        {"format": "one"},
        {"kind": None},
        {"settings": None},
        {"settings": "{"},
        {"settings": "[" * 100_000},
        {"classes": None},
        {"classes": "5"},
        {"classes": "["},
    ],
    ids=lambda changes: repr(changes)[:30],
)
def test_metadata_that_are_missing_or_wrong_are_an_error(tmp_path, changes):
    path = write(tmp_path / "m", **changes)
    with pytest.raises(
        ModelFileError, match="must hold a model of this package; got .*m, in which .* missing or wrong"
    ):
        read_model(path)


def test_the_control_is_read(tmp_path):
    assert read_model(write(tmp_path / "m"))[2].tolist() == ["x", "y", "z"]
