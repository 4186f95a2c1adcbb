# SPDX-License-Identifier: BSD-3-Clause
"""The Python blocks of docs/data.md run."""

import pytest

from softmax_xp.data.open_source import SOURCE_OPENERS
from tests.docs.test_readme import runnable_blocks
from tests.house.source import ROOT

PAGE = ROOT / "docs" / "data.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="there is no docs/: this is not a checkout")
def test_the_blocks_run_and_each_format_is_named(tmp_path, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = runnable_blocks(text)
    assert blocks
    for _, code in blocks:
        exec(code, {"__name__": "data"})  # noqa: S102  it is our own text
    missing = [suffix for suffix in SOURCE_OPENERS if f"`{suffix}`" not in text]
    assert not missing
