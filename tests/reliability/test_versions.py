# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of every format that was ever released are gone on from."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from softmax_xp.errors import CheckpointWarning
from softmax_xp.io.checkpoint_file import FORMAT, read_checkpoint
from tests.house.source import ROOT
from tests.reliability import version_one

FIXTURES = ROOT / "tests" / "io" / "fixtures"


def test_there_are_fixtures_of_every_format():
    found = {path.name for path in FIXTURES.glob("format-*")}
    assert found == {f"format-{n}-{kind}.safetensors" for n in range(1, FORMAT + 1) for kind in ("trainer", "solver")}


@pytest.mark.parametrize(("kind", "fit"), [("trainer", version_one.train), ("solver", version_one.solve)])
@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_a_fit_goes_on_from_each(tmp_path, version, kind, fit):
    fixture = FIXTURES / f"format-{version}-{kind}.safetensors"
    content = read_checkpoint(fixture)
    assert content.structure["dict"]["n_iter" if kind == "solver" else "position"] > 0
    shutil.copy(fixture, tmp_path / "checkpoint-00000005.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)  # of another version of the package
        resumed = fit(tmp_path)
    # Not the same bits: the fixture came from another machine.
    np.testing.assert_allclose(resumed, fit(), rtol=1e-9, atol=1e-12)
    newest = max(Path(tmp_path).glob("checkpoint-*"))
    assert read_checkpoint(newest).fit == content.fit
