# SPDX-License-Identifier: BSD-3-Clause
"""Damaged and malicious files: our error or an identical load, never another exception, and little memory.

Two kinds of damage. Bytes that changed by accident meet the checksum. A stranger computes the checksum of what he
likes: there the content of each field is replaced, and the file is written as the package would.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import SoftmaxXPError
from softmax_xp.io.checkpoint_file import read_checkpoint
from softmax_xp.io.safetensors_file import read_tensors, write_tensors
from softmax_xp.solvers import loop
from tests.house.source import ROOT
from tests.reliability.faults import MEMORY

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((30, 2)), np.arange(30) % 3
GIB = 1 << 30
# What a stranger may put anywhere into JSON.
VALUES = (None, True, -1, 10**30, 1.5, "", "x", "9" * 5000, [], [[]], {}, {"a": None}, [0] * 40, "\x00", "1e999")


def trainer(folder):
    return sx.Trainer(
        epochs=1, batch_size=16, device="cpu", checkpoint=folder, callbacks=[sx.BestWeights("train_loss")]
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Give a file of each kind, and what reads it."""
    folder = tmp_path_factory.mktemp("files")
    model, _ = trainer(folder / "trainer").fit(X, Y)
    classifier = sx.SoftmaxClassifier(device="cpu", checkpoint=folder / "solver").fit(X, Y)
    return {
        "model": (model.save(folder / "model"), lambda path: sx.load(path, device="cpu").predict_proba(X)),
        "classifier": (classifier.save(folder / "fit"), lambda path: sx.load(path, device="cpu").predict_proba(X)),
        "trainer": (max((folder / "trainer").glob("check*")), lambda path: resumed(path, folder / "a")),
        "solver": (max((folder / "solver").glob("check*")), lambda path: resumed_solver(path, folder / "b")),
    }


def resumed(path, folder):
    put(path, folder)
    return trainer(folder).fit(X, Y)[0].params.weight


def resumed_solver(path, folder):
    put(path, folder)
    return sx.SoftmaxClassifier(device="cpu", checkpoint=folder).fit(X, Y).coef_


def put(path, folder):
    folder.mkdir(exist_ok=True)
    for each in folder.glob("check*"):
        each.unlink()
    (folder / "checkpoint-00000001.safetensors").write_bytes(path.read_bytes())


def outcome(read, path, expected):
    """Read a file: True where it gives what the whole one gave, False where it is refused; anything else fails."""
    try:
        found = read(path)
    except SoftmaxXPError:
        return False
    np.testing.assert_array_equal(found, expected)
    return True


def plain(kind):
    """Return what reads a file of this kind, without whatever a fit does with it."""

    def read(path):
        if kind in {"trainer", "solver"}:
            content = read_checkpoint(path)
            return json.dumps([content.structure, {name: array.tolist() for name, array in content.tensors.items()}])
        return json.dumps({name: array.tolist() for name, array in read_tensors(path)[0].items()})

    return read


@pytest.fixture
def path():
    """Give a file in memory, where there is such a file system: it is written tens of thousands of times."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder) / "f"


@pytest.mark.parametrize("kind", ["model", "solver"])
def test_accidents(files, path, kind):
    whole, read = files[kind][0].read_bytes(), plain(kind)
    expected = read(files[kind][0])

    def is_same(content):
        path.write_bytes(content)
        return outcome(read, path, expected)

    # Every byte, with one of its bits flipped; every length.
    same = sum(
        is_same(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        for place in range(len(whole))
    )
    assert same <= 16  # padding of the header, at most
    assert not any(is_same(whole[:length]) for length in range(len(whole)))
    moments = np.random.default_rng(2026)
    for _ in range(5000):
        mutated = bytearray(whole)
        for _ in range(moments.integers(1, 6)):
            place, kind_of_change = moments.integers(0, len(mutated)), moments.integers(0, 4)
            piece = mutated[place : place + moments.integers(1, 40)]
            if kind_of_change == 0:
                mutated[place] = moments.integers(0, 256)
            elif kind_of_change == 1:
                del mutated[place : place + len(piece)]
            elif kind_of_change == 2:
                mutated[place:place] = piece * 2
            else:
                other = moments.integers(0, len(mutated))
                mutated[other : other + len(piece)] = piece
        is_same(bytes(mutated))


def changed(node, moments):
    """Replace something in a JSON value, anywhere."""
    if isinstance(node, dict | list) and node and moments.uniform() < 0.85:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = keys[moments.integers(0, len(keys))]
        copy = dict(node) if isinstance(node, dict) else list(node)
        if moments.uniform() < 0.05:
            del copy[key]
        else:
            copy[key] = changed(node[key], moments)
        return copy
    return VALUES[moments.integers(0, len(VALUES))]


def with_changes(tensors, metadata, moments):
    """Change one thing that a checksum would not notice: an array, or a field of the metadata."""
    tensors, metadata = dict(tensors), dict(metadata)
    if moments.uniform() < 0.4 and tensors:
        name = list(tensors)[moments.integers(0, len(tensors))]
        array = tensors.pop(name)
        how = moments.integers(0, 6)
        if how:
            bad = [
                array.ravel(),
                array[None],
                array[..., :1] if array.ndim else array,
                array.astype("i1"),
                array[()] * 0,
            ]
            tensors[name] = np.asarray(bad[how - 1])
        return tensors, metadata
    key = list(metadata)[moments.integers(0, len(metadata))]
    if moments.uniform() < 0.05:
        del metadata[key]
        return tensors, metadata
    try:
        node = json.loads(metadata[key])
    except ValueError:
        node = metadata[key]
    metadata[key] = json.dumps(changed(node, moments))
    return tensors, metadata


@pytest.mark.parametrize("kind", ["model", "classifier", "trainer", "solver"])
def test_malice(files, path, kind, monkeypatch):
    source, read = files[kind]
    tensors, metadata = read_tensors(source)
    moments = np.random.default_rng(7)
    if kind == "solver":  # what is asked is whether a state is taken for one, not what a solver makes of it
        monkeypatch.setattr(loop._Run, "until_good", accept)
    for number in range(500):
        write_tensors(path, *with_changes(tensors, metadata, moments))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                read(path)
            except SoftmaxXPError:
                continue
            except Exception as error:
                error.add_note(f"number {number}")
                raise


def accept(run, max_iter, report):
    """Look at what every solver looks at first."""
    now = run.state.evaluation
    assert now.point.shape == now.gradient.shape == run.objective.shape
    assert now.total + now.estimate + now.gradient_norm + run.state.step + run.rule.target + run.n_iter is not None
    raise SoftmaxXPError


def bomb(path, header, data=b""):
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


BOMBS = {
    "a list of objects": b'{"a": [' + b"{}," * ((1 << 24) // 3 - 20) + b"{}]}",
    "brackets": b"[" * (1 << 24),
    "a long number": b'{"a": ' + b"9" * ((1 << 24) - 10) + b"}",
    "overlapping arrays": json.dumps({
        f"a{n}": {"dtype": "F64", "shape": [1 << 17], "data_offsets": [0, 1 << 20]} for n in range(20_000)
    }).encode(),
    "a huge shape": b'{"a": {"dtype": "F64", "shape": [4611686018427387904], "data_offsets": [0, 8]}}',
}


READER = """
import re, sys
from pathlib import Path
import softmax_xp as sx
from softmax_xp.errors import SoftmaxXPError
from softmax_xp.io.checkpoint_file import read_checkpoint
for path in sys.argv[1:]:
    for read in (sx.load, read_checkpoint):
        try:
            read(path)
        except SoftmaxXPError:
            pass
        else:
            raise AssertionError(path)
# Not ru_maxrss, in which a child counts what its parent held when it was started.
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bombs_do_not_explode(path):
    paths = [bomb(path.with_name(str(number)), header, bytes(1 << 20)) for number, header in enumerate(BOMBS.values())]
    run = subprocess.run(
        [sys.executable, "-c", READER, *map(str, paths)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) * 1024 < GIB
