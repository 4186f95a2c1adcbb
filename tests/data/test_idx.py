# SPDX-License-Identifier: BSD-3-Clause
import gzip
import struct

import numpy as np
import pytest

from softmax_xp.data.idx import read_idx
from softmax_xp.errors import DataNotFoundError, InvalidValueError

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx_bytes(array, code):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def content():
    return idx_bytes(np.arange(24, dtype="u1").reshape(2, 3, 4), 0x08)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dtype", CODES)
def test_every_dtype_is_read_in_native_order(tmp_path, dtype, suffix):
    array = np.asarray([[1, 2, 3], [4, 5, 100]], dtype=dtype)
    content = idx_bytes(array, CODES[dtype])
    path = tmp_path / f"file{suffix}"
    path.write_bytes(gzip.compress(content, mtime=0) if suffix else content)
    found = read_idx(str(path))
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(found, array)
    found[0] = 0  # the array belongs to the caller


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b"", "starts with nothing"),
        (lambda b: b[:3], "starts with 00 00 08, which is no IDX header"),
        (lambda b: b"\x89PNG" + b[4:], "starts with 89 50 4e 47"),
        (lambda b: b[:2] + b"\x07" + b[3:], "no IDX header"),
        (lambda b: b[:3] + b"\0" + b[4:], "no IDX header"),
        (lambda b: b[:10], "ends within its header"),
        (lambda b: b[:-1], "more than it can hold|ends after 23 of 24"),
        (lambda b: b[:16], "more than it can hold|ends after 0 of 24 bytes"),
        (lambda b: b + b"\0", "goes on after the 24 bytes"),
        (lambda b: b[:4] + b"\xff" * 12 + b[16:], "promises .* more than it can hold"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damaged_files_are_refused(tmp_path, content, change, message, suffix):
    path = tmp_path / f"file{suffix}"
    changed = change(content)
    path.write_bytes(gzip.compress(changed, mtime=0) if suffix else changed)
    with pytest.raises(InvalidValueError, match=f"intact IDX file; got .*({message})"):
        read_idx(path)


def test_a_damaged_archive_is_refused_wherever_it_is_cut_or_flipped(tmp_path, content):
    path = tmp_path / "file.gz"
    packed = gzip.compress(content, mtime=0)
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(InvalidValueError, match="intact IDX file"):
            read_idx(path)
    for position in range(len(packed)):
        path.write_bytes(packed[:position] + bytes([packed[position] ^ 0x20]) + packed[position + 1 :])
        # Flags, time and system in the gzip header do not touch the content.
        try:
            np.testing.assert_array_equal(read_idx(path).ravel(), np.arange(24))
        except InvalidValueError as error:
            assert "intact IDX file" in str(error)  # noqa: PT017


def test_a_plain_file_that_claims_to_be_packed_is_refused(tmp_path, content):
    (tmp_path / "file.gz").write_bytes(content)
    with pytest.raises(InvalidValueError, match="Not a gzipped file"):
        read_idx(tmp_path / "file.gz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"nothing\.gz, which does not exist"):
        read_idx(tmp_path / "nothing.gz")
