# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import pickle
import stat
import struct
import sys

import numpy as np
import pytest

from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError, ModelFileError
from softmax_xp.io.safetensors_file import read_tensors, write_tensors

DTYPES = ("bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.asarray([1.5, -2.0, np.nan])}
METADATA = {"classes": '["Katze", "犬"]', "note": 'quotes " and \\ and \n'}


@pytest.fixture
def path(tmp_path):
    """Give a small valid file."""
    path = tmp_path / "model.safetensors"
    write_tensors(path, TENSORS, METADATA)
    return path


def assert_same(found):
    tensors, metadata = found
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(tensors[name], tensor, strict=True)


def assert_refused_or_same(path, content):
    path.write_bytes(content)
    try:
        found = read_tensors(path)
    except ModelFileError as error:
        assert str(path) in str(error)  # noqa: PT017
        return False
    assert_same(found)
    return True


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="U8", shape=(2,), data_offsets=(0, 2)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(data_offsets)}


def test_what_is_written_is_read(path):
    assert_same(read_tensors(str(path)))
    tensors, _ = read_tensors(path)
    tensors["bias"][0] = 7  # the arrays belong to the caller


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_every_dtype_and_shape_survives(tmp_path, dtype, shape, order):
    tensor = np.random.default_rng(5).integers(0, 2, shape).astype(np.dtype(dtype).newbyteorder(order))
    write_tensors(tmp_path / "f", {"a": tensor, "b": np.ones(1, dtype="i1")}, {})
    found = read_tensors(tmp_path / "f")[0]["a"]
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    assert found.flags.aligned
    np.testing.assert_array_equal(found, tensor, strict=False)
    assert found.shape == tensor.shape


def test_any_memory_order_survives(tmp_path):
    base = np.arange(24.0).reshape(4, 6)
    views = {"f": np.asfortranarray(base), "t": base.T, "r": base[::-1, ::2], "z": np.broadcast_to(base[0], (3, 6))}
    write_tensors(tmp_path / "f", views, {})
    for name, found in read_tensors(tmp_path / "f")[0].items():
        np.testing.assert_array_equal(found, views[name])


def test_nothing_is_a_file_too(tmp_path):
    write_tensors(tmp_path / "f", {}, {})
    assert read_tensors(tmp_path / "f") == ({}, {})


def test_other_programs_read_the_file(path):
    safetensors = pytest.importorskip("safetensors.numpy")
    found = safetensors.load_file(path)
    np.testing.assert_array_equal(found["weight"], TENSORS["weight"])
    np.testing.assert_array_equal(found["bias"], TENSORS["bias"])


def test_a_file_of_another_program_is_told_from_a_damaged_one(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    for metadata in (None, {"format": "np"}):
        safetensors.save_file(TENSORS, tmp_path / "f", metadata=metadata)
        with pytest.raises(ModelFileError, match="no checksum, so it was not written by this package"):
            read_tensors(tmp_path / "f")


def test_every_flipped_byte_is_refused_or_harmless(path):
    content = path.read_bytes()
    flips = (1, 0x20, 0x80, 0xFF)
    same = sum(
        assert_refused_or_same(path, content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
        for place in range(len(content))
        for flip in flips
    )
    assert same < len(content)  # padding, at most


def test_every_truncation_and_extension_is_refused(path):
    content = path.read_bytes()
    for length in range(len(content)):
        assert not assert_refused_or_same(path, content[:length])
    assert not assert_refused_or_same(path, content + b"\0")


def test_random_mutations_are_refused_or_harmless(path):
    rng = np.random.default_rng(2026)
    content = path.read_bytes()
    for _ in range(2000):
        mutated = bytearray(content)
        for _ in range(rng.integers(1, 6)):
            place = int(rng.integers(len(mutated)))
            match int(rng.integers(4)):
                case 0:
                    mutated[place] = int(rng.integers(256))
                case 1:
                    del mutated[place : place + int(rng.integers(1, 20))]
                case 2:
                    mutated[place:place] = rng.bytes(int(rng.integers(1, 20)))
                case 3:
                    other = int(rng.integers(len(mutated)))
                    mutated[place : place + 8] = mutated[other : other + 8]
        assert_refused_or_same(path, bytes(mutated))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it has only 0 bytes"),
        (b"\0" * 7, "it has only 7 bytes"),
        (struct.pack("<Q", 2**63) + b"{}", "its header claims 9223372036854775808 bytes in a file of 10"),
        (struct.pack("<Q", 3) + b"{}", "its header claims 3 bytes"),
        (file_of(b""), "its header is not valid JSON"),
        (file_of(b"{nonsense"), "its header is not valid JSON"),
        (file_of(b"\xff\xfe"), "its header is not valid JSON"),
        (file_of(b"[" * 100_000), "its header is not valid JSON"),
        (file_of(b'{"a": NaN}'), "its header is not valid JSON"),
        (file_of(b'{"a": {}, "a": {}}'), "a key appears twice"),
        (file_of(b'{"a": ' + b"9" * 5000 + b"}"), "its header is not valid JSON"),
        (file_of([1]), "its header is no JSON object"),
        (file_of({"__metadata__": {"a": 1}}), "its metadata is not text"),
        (file_of({"__metadata__": []}), "its metadata is not text"),
        (file_of({"__metadata__": {"sha256": "0"}}), "does not match its checksum"),
        (file_of({"__metadata__": {"sha256": "\ud800", "\udfff": "\ud800"}}), "does not match its checksum"),
        (file_of({"a": 1}), "the entry of 'a'"),
        (file_of({"a": {**entry(), "more": 1}}, b"12"), "the entry of 'a'"),
        (file_of({"a": entry("BF16", (1,))}, b"12"), "the dtype of 'a' is unknown"),
        (file_of({"a": {**entry(), "dtype": ["U8"]}}, b"12"), "the dtype of 'a' is unknown"),
        (file_of({"a": entry(shape=(-2,))}, b"12"), "the shape of 'a'"),
        (file_of({"a": entry(shape=(2.0,))}, b"12"), "the shape of 'a'"),
        (file_of({"a": entry(shape=(True, 2))}, b"12"), "the shape of 'a'"),
        (file_of({"a": {**entry(), "shape": "2"}}, b"12"), "the shape of 'a'"),
        (file_of({"a": entry(shape=(1,) * 200, data_offsets=(0, 1))}, b"1"), "the shape of 'a'"),
        (file_of({"a": entry(shape=(2**40, 2**40, 0), data_offsets=(0, 0))}), "the shape of 'a'"),
        (file_of({"a": entry(data_offsets=(2, 0))}, b"12"), "the extent of 'a'"),
        (file_of({"a": entry(data_offsets=(0, 2, 3))}, b"12"), "the offsets of 'a'"),
        (file_of({"a": entry(data_offsets=(-2, 0))}, b"12"), "the offsets of 'a'"),
        (file_of({"a": entry(shape=(3,))}, b"12"), "the extent of 'a'"),
        (file_of({"a": entry(shape=(2**50,), data_offsets=(0, 2**50))}, b"12"), "the extent of 'a'"),
        (file_of({"a": entry(), "b": entry(data_offsets=(1, 3))}, b"123"), "overlap or leave gaps"),
        (file_of({"a": entry(), "b": entry()}, b"12"), "overlap or leave gaps"),
        (file_of({"a": entry(), "b": entry(data_offsets=(3, 5))}, b"12345"), "overlap or leave gaps"),
        (file_of({"a": entry()}, b"123"), "3 bytes of data where its arrays have 2"),
        (b"PK\x03\x04" + b"\0" * 60, "its header claims"),
    ],
)
def test_each_kind_of_damage_has_its_reason(path, content, reason):
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=f"intact model file; got .*model.safetensors: .*({reason})"):
        read_tensors(path)


def test_the_header_is_bounded_before_it_is_read(path):
    path.write_bytes(struct.pack("<Q", (1 << 24) + 1))
    os.truncate(path, 200_000_000)  # sparse: it takes no room on the disk
    with pytest.raises(ModelFileError, match="its header claims 16777217 bytes in a file of 200000000"):
        read_tensors(path)


def test_a_pickle_is_never_opened(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "mark"), "w"))

    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelFileError, match="intact model file"):
        read_tensors(path)
    assert not (tmp_path / "mark").exists()


def test_metadata_is_part_of_the_checksum(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Katze", b"Kater"))
    with pytest.raises(ModelFileError, match="does not match its checksum"):
        read_tensors(path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataNotFoundError, match="none, which does not exist"):
        read_tensors(tmp_path / "none")
    with pytest.raises(ModelFileError, match="it is a folder"):
        read_tensors(tmp_path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "message"),
    [
        ({"a": np.asarray(["x"])}, {}, InvalidTypeError, "booleans, integers or floats; got dtype <U1 for 'a'"),
        ({"a": np.asarray([None])}, {}, InvalidTypeError, "got dtype object"),
        ({"a": np.asarray([1j])}, {}, InvalidTypeError, "got dtype complex128"),
        ({"a": [1.0]}, {}, InvalidTypeError, "got list for 'a'"),
        ({1: np.ones(1)}, {}, InvalidTypeError, "strings as names; got 1"),
        ({"__metadata__": np.ones(1)}, {}, InvalidValueError, "the format reserves"),
        ({}, {"a": 1}, InvalidTypeError, "map strings to strings; got 'a': 1. Pass `json.dumps"),
        ({}, {"sha256": "x"}, InvalidValueError, "must not use the key 'sha256'"),
        ({}, {"a": "\ud800"}, InvalidValueError, "valid Unicode"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(path, tensors, metadata, error, message):
    with pytest.raises(error, match=message):
        write_tensors(path, tensors, metadata)
    assert_same(read_tensors(path))


@pytest.mark.parametrize("call", ["replace", "open", "fsync"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(path, monkeypatch, call, failure):
    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(failure)):
        write_tensors(path, {"other": np.ones(3)}, {})
    monkeypatch.undo()
    assert_same(read_tensors(path))
    assert [entry.name for entry in path.parent.iterdir()] == ["model.safetensors"]


def test_a_kill_in_the_middle_of_the_write_leaves_the_old_file(path, monkeypatch):
    def killed(path, target):
        # What SIGKILL before the move leaves behind: the temporary file, and no clean-up.
        monkeypatch.setattr(os, "unlink", lambda path: None)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_tensors(path, {"other": np.ones(3)}, {})
    monkeypatch.undo()
    assert_same(read_tensors(path))
    (left,) = (entry for entry in path.parent.iterdir() if entry != path)
    assert left.name.startswith(".tmp-")
    assert read_tensors(left)[0]["other"].tolist() == [1, 1, 1]  # it was complete before the move


def test_the_content_reaches_the_disk_before_the_move(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: calls.append("fsync") or fsync(number))
    monkeypatch.setattr(os, "replace", lambda path, target: calls.append("replace") or replace(path, target))
    write_tensors(path, TENSORS, METADATA)
    assert calls[:2] == ["fsync", "replace"]


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_tensors(tmp_path / "none" / "f", {}, {})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_permissions_follow_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_tensors(tmp_path / "f", TENSORS, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_is_followed(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    write_tensors(link, {"other": np.ones(1)}, {})
    assert link.is_symlink()
    assert list(read_tensors(path)[0]) == ["other"]


def test_long_names_work(tmp_path):
    path = tmp_path / ("m" * 255)
    write_tensors(path, TENSORS, METADATA)
    assert_same(read_tensors(path))
