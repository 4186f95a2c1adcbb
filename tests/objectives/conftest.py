# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the tests of objectives."""

import pytest

from softmax_xp.objectives import linear as objective
from softmax_xp.ops import linear
from tests.objectives.convex_problems import PROBLEMS


@pytest.fixture(params=PROBLEMS.values(), ids=PROBLEMS.keys())
def problem(request):
    return request.param


@pytest.fixture(params=["softmax, weighted soft targets", "logistic, all weights"])
def typical(request):
    return PROBLEMS[request.param]


@pytest.fixture
def dtype(backend):
    """Give one float to each library: which of them it is makes little difference, and each costs JAX a compilation."""
    return "float64" if backend.float64 else "float32"


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
