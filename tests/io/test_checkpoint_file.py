# SPDX-License-Identifier: BSD-3-Clause
import errno
import json
import os
import warnings

import numpy as np
import pytest

from softmax_xp.errors import (
    CheckpointCorruptError,
    CheckpointLockedError,
    CheckpointVersionError,
    CheckpointWarning,
    CheckpointWriteError,
)
from softmax_xp.io import checkpoint_file
from softmax_xp.io.checkpoint_file import FORMAT, MIGRATIONS, CheckpointFolder, Content, read_checkpoint
from softmax_xp.io.safetensors_file import read_tensors, write_tensors
from tests.reliability.faults import Crash, Faults


def content(number):
    return Content({"seed": "3"}, {"device": "cpu"}, {"dict": {"step": number}}, {"w": np.full(3, number)})


def number_of(found):
    assert found.tensors["w"].tolist() == [found.structure["dict"]["step"]] * 3
    return found.structure["dict"]["step"]


def names(folder):
    return sorted(path.name for path in folder.paths())


@pytest.fixture
def folder(tmp_path):
    folder = CheckpointFolder(tmp_path / "a" / "b", keep=2)
    yield folder
    folder.close()


def test_an_empty_folder_has_no_newest(folder):
    assert folder.read_newest() is None


def test_the_newest_is_read_and_the_last_two_are_kept(folder):
    for number in range(1, 5):
        folder.write(content(number))
        assert number_of(folder.read_newest()) == number
        assert names(folder) == [f"checkpoint-{n:08d}.safetensors" for n in range(max(number - 1, 1), number + 1)]
    found = folder.read_newest()
    assert (found.fit, found.place) == ({"seed": "3"}, {"device": "cpu"})


def test_numbers_are_compared_as_numbers(folder):
    for name in ("checkpoint-99999999.safetensors", "checkpoint-100000000.safetensors"):
        folder.write(content(1)).rename(folder.folder / name)
    assert folder.write(content(2)).name == "checkpoint-100000001.safetensors"


def test_one_folder_has_one_writer(folder):
    with pytest.raises(CheckpointLockedError, match="no other fit writes to"):
        CheckpointFolder(folder.folder, 2)


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-1], lambda text: text[:50] + b"\xff" + text[51:], lambda text: b""]
)
def test_a_damaged_file_gives_way_to_the_one_before(folder, damage):
    folder.write(content(1))
    newest = folder.write(content(2))
    newest.write_bytes(damage(newest.read_bytes()))
    with pytest.warns(CheckpointWarning, match="must hold intact files; got .*00000002.* The fit goes on from the one"):
        assert number_of(folder.read_newest()) == 1
    # It does not count as one of the two that are kept.
    folder.write(content(3))
    assert names(folder) == ["checkpoint-00000001.safetensors", "checkpoint-00000003.safetensors"]


def test_a_file_of_something_else_gives_way_too(folder):
    folder.write(content(1))
    write_tensors(folder.folder / "checkpoint-00000002.safetensors", {}, {"kind": "SoftmaxModel", "format": "1"})
    with pytest.warns(CheckpointWarning, match="must hold checkpoints; got .*'SoftmaxModel'"):
        assert number_of(folder.read_newest()) == 1


def test_where_none_is_intact_nothing_is_made_up(folder):
    for number in (1, 2):
        folder.write(content(number)).write_bytes(b"x")
    with pytest.raises(CheckpointCorruptError, match="00000002.* No other in this folder is intact. Remove the folder"):
        folder.read_newest()


def rewritten(path, **changes):
    tensors, metadata = read_tensors(path)
    for key, value in changes.items():
        metadata.pop(key)
        metadata |= {} if value is None else {key: value}
    write_tensors(path, tensors, metadata)


@pytest.mark.parametrize("key", ["kind", "format", "fit", "place", "state"])
@pytest.mark.parametrize("value", [None, "", "x", "[1", "[" * 100_000, "9" * 5000])
def test_metadata_is_checked(folder, key, value):
    path = folder.write(content(1))
    rewritten(path, **{key: value})
    with pytest.raises((CheckpointCorruptError, CheckpointVersionError)):
        read_checkpoint(path)


def test_a_newer_format_is_named_and_not_passed_over(folder):
    folder.write(content(1))
    rewritten(folder.write(content(2)), format=str(FORMAT + 1), softmax_xp="9.1")
    with pytest.raises(CheckpointVersionError, match=f"{FORMAT} or older; got format {FORMAT + 1} in .* 9.1. Inst"):
        folder.read_newest()


def test_older_formats_are_brought_up_to_date_one_by_one(folder, monkeypatch):
    folder.write(content(1))
    monkeypatch.setattr(checkpoint_file, "FORMAT", FORMAT + 2)
    for step in range(2):

        def migrate(raw, step=step):
            tensors, metadata = raw
            return tensors, {**metadata, "state": json.dumps(json.loads(metadata["state"]) | {f"step {step}": step})}

        monkeypatch.setitem(MIGRATIONS, FORMAT + step, migrate)
    assert folder.read_newest().structure == {"dict": {"step": 1}, "step 0": 0, "step 1": 1}
    monkeypatch.delitem(MIGRATIONS, FORMAT)
    with pytest.raises(CheckpointCorruptError):
        folder.read_newest()


def test_every_older_format_has_a_migration():
    assert sorted(MIGRATIONS) == list(range(1, FORMAT))


def calls_of_a_write(folder):
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch)
        folder.write(content(3))
    return len(faults.made)


def test_a_crash_between_any_two_calls_leaves_a_readable_folder(tmp_path):
    probe = CheckpointFolder(tmp_path / "probe", 2)
    for number in (1, 2):
        probe.write(content(number))
    calls = calls_of_a_write(probe)
    assert calls >= 9  # the eight of the atomic write, and the removal of the oldest
    for at in range(calls):
        folder = CheckpointFolder(tmp_path / str(at), 2)
        for number in (1, 2):
            folder.write(content(number))
        with pytest.MonkeyPatch.context() as patch:
            Faults(patch, at=at, partial=True)
            with pytest.raises(Crash):
                folder.write(content(3))
        folder.close()
        again = CheckpointFolder(tmp_path / str(at), 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert number_of(again.read_newest()) in {2, 3}
        again.write(content(4))
        assert number_of(again.read_newest()) == 4
        assert len(list(again.folder.iterdir())) == 3  # two checkpoints and the lock: no leftovers
        again.close()


@pytest.mark.parametrize("at", range(5))
def test_a_full_disk_leaves_what_was_there(folder, at):
    for number in (1, 2):
        folder.write(content(number))
    with pytest.MonkeyPatch.context() as patch:
        Faults(patch, at=at, error=OSError(errno.ENOSPC, "No space left on device"), partial=True)
        with pytest.raises(OSError, match="No space left"):
            folder.write(content(3))
    assert names(folder) == ["checkpoint-00000001.safetensors", "checkpoint-00000002.safetensors"]
    assert number_of(folder.read_newest()) == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_found_out_at_once(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointWriteError, match="can be written to; got"):
        CheckpointFolder(tmp_path / "a", 2)


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(CheckpointWriteError, match="folder that can be written to; got .*a"):
        CheckpointFolder(tmp_path / "a", 2)
