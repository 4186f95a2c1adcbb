# SPDX-License-Identifier: BSD-3-Clause
import pytest

from softmax_xp.data.file_stamp import FileStamp
from softmax_xp.errors import DataChangedError


def test_a_stamp_notices_changes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12")
    stamp = FileStamp.of(path)
    with path.open("rb") as file:
        stamp.check(file, path)
        stamp.check(path, path)
        path.write_bytes(b"123")
        with pytest.raises(DataChangedError, match=r"has changed since it was opened \(2 bytes before, 3 now\). Write"):
            stamp.check(file, path)
    with pytest.raises(DataChangedError, match=r"\(it was written to\)"):
        FileStamp(3, stamp.modified - 1).check(path, path)
