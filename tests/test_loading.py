# SPDX-License-Identifier: BSD-3-Clause
"""Loading: every fault of a file is one kind of error, and a fault of the device is another."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.backend import Backend, Capabilities
from softmax_xp.errors import DataNotFoundError, DeviceUnavailableError, InvalidValueError, ModelFileError
from softmax_xp.io.model_file import write_model
from softmax_xp.loading import KINDS
from softmax_xp.typing import LinearParams

WEIGHT = np.random.default_rng(0).normal(size=(2, 3))


@pytest.fixture
def path(tmp_path):
    return sx.SoftmaxModel(LinearParams(WEIGHT, np.ones(3)), np.asarray(["a", "b", "c"])).save(tmp_path / "model")


def test_a_path_may_be_text(path):
    np.testing.assert_array_equal(sx.load(str(path)).params.weight, WEIGHT)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(DataNotFoundError, match="nowhere"):
        sx.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        sx.load(tmp_path / "nowhere")


def test_each_truncation_and_each_flipped_byte_is_an_error_or_nothing(path):
    """Nothing else may come of a damaged file: no crash, no other exception, no other weights."""
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    damaged = [content[:length] for length in range(0, len(content), 7)]
    for position in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    messages = []
    for each in damaged:
        path.write_bytes(each)
        try:
            again = sx.load(path, device="cpu")
        except ModelFileError as error:
            messages.append(str(error))
        else:
            np.testing.assert_array_equal(again.params.weight, WEIGHT)
            assert again.classes.tolist() == ["a", "b", "c"]
    assert len(messages) > 0.95 * len(damaged)
    assert all(str(path) in message for message in messages)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"{}", b"\xff" * 100, b"hello, world" * 10])
def test_a_foreign_file_is_an_error(tmp_path, content):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="foreign"):
        sx.load(path)


def test_safetensors_of_others_are_no_models(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    numpy_files.save_file({"weight": WEIGHT}, tmp_path / "other", metadata={"format": "pt"})
    with pytest.raises(ModelFileError, match="other"):
        sx.load(tmp_path / "other")


def test_a_kind_that_is_not_in_the_table_is_an_error(tmp_path):
    write_model(tmp_path / "m", "Forest", {"weight": WEIGHT}, np.arange(3), {"temperature": "1.0"})
    known = r"\['SoftmaxClassifier', 'SoftmaxModel'\]"
    text = rf"must be a model of this package; got a file of kind 'Forest' in .*Known are {known}."
    with pytest.raises(ModelFileError, match=text):
        sx.load(tmp_path / "m")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_where_the_table_says(kind):
    assert callable(getattr(import_module(KINDS[kind]), kind).from_file_parts)


@pytest.mark.parametrize(
    ("tensors", "classes", "settings", "text"),
    [
        ({}, 3, {"temperature": "1.0"}, "KeyError.*weight"),
        ({"weight": WEIGHT}, 3, {}, "KeyError.*temperature"),
        ({"weight": WEIGHT}, 3, {"temperature": "warm"}, "could not convert"),
        ({"weight": WEIGHT}, 3, {"temperature": "-1.0"}, "`temperature` must be positive"),
        ({"weight": WEIGHT}, 2, {"temperature": "1.0"}, "`classes` must name the 3 columns"),
        ({"weight": WEIGHT, "bias": np.ones(2)}, 3, {"temperature": "1.0"}, "`params` must have shapes"),
        ({"weight": WEIGHT[0]}, 3, {"temperature": "1.0"}, "`params` must have shapes"),
        (
            {"weight": WEIGHT, "standardization.mean": np.ones(3), "standardization.scale": np.ones(3)},
            3,
            {"temperature": "1.0"},
            "`standardization` must be that of the 2 features",
        ),
        (
            {"weight": WEIGHT, "standardization.mean": np.ones(2), "standardization.scale": np.zeros(2)},
            3,
            {"temperature": "1.0"},
            "`scale` must be finite and positive",
        ),
    ],
)
def test_a_whole_file_that_makes_no_model_is_an_error(tmp_path, tensors, classes, settings, text):
    write_model(tmp_path / "m", "SoftmaxModel", tensors, np.arange(classes), settings)
    with pytest.raises(ModelFileError, match=text):
        sx.load(tmp_path / "m")


def test_a_device_that_is_missing_is_not_the_fault_of_the_file(path):
    with pytest.raises(InvalidValueError, match="`device` must be 'auto', None") as caught:
        sx.load(path, device="gpu")
    assert not isinstance(caught.value, ModelFileError)
    with pytest.raises((DeviceUnavailableError, InvalidValueError), match="cuda") as caught:
        sx.load(path, device="cuda:99")
    assert not isinstance(caught.value, ModelFileError)


def test_float64_becomes_float32_where_there_is_nothing_wider(path):
    strict = pytest.importorskip("array_api_strict")
    narrow = Backend("narrow", strict, strict.Device("CPU_DEVICE"), Capabilities(False, "float32"))
    model = sx.load(path, device=narrow)
    assert model.params.weight.dtype == model.params.bias.dtype == strict.float32
    np.testing.assert_array_equal(sx.backend.to_host(model.params.weight), WEIGHT.astype("float32"))


def test_no_device_means_the_cpu(path):
    assert sx.load(path, device=None).backend.name == "cpu"


def test_nothing_in_the_file_is_a_pickle(path):
    content = Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert set(header) == {"__metadata__", "weight", "bias"}
    assert len(header["__metadata__"]["sha256"]) == 64
