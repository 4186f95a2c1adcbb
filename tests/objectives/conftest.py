# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the tests of objectives."""

import pytest

from softmax_xp.objectives import linear as objective
from softmax_xp.ops import linear


@pytest.fixture
def in_chunks(monkeypatch):
    """Cut the data into chunks of at most so many rows, whatever the backend; keep no logits from pass to pass."""

    def cut(rows: int, *, keep: bool = False) -> None:
        monkeypatch.setattr(linear, "_LEAST_CHUNK_ROWS", rows)
        monkeypatch.setattr(linear, "_CPU_ROWS_BYTES", 0)
        monkeypatch.setattr(linear, "_CPU_LOGITS_BYTES", 0)
        monkeypatch.setattr(linear, "_ACCELERATOR_BYTES", 0)
        if not keep:
            monkeypatch.setattr(objective.LinearObjective, "keeps_logits", lambda *_: False)

    return cut
