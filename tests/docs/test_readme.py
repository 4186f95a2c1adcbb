# SPDX-License-Identifier: BSD-3-Clause
"""The Python blocks of the README run, one after the other, as a reader would type them.

They share their names, and run in an empty folder. A block that cannot run everywhere (it needs a GPU, or a file)
is preceded by `<!-- not run: why -->`. Blocks in other languages are not run, except by `.ci/run`.
"""

import re

import pytest

from tests.house.source import ROOT

BLOCK = re.compile(
    r"(?P<excuse><!-- not run: \S.*? -->\s*)?^(?P<indent> *)```python\n(?P<code>.*?)^ *```\s*?$",
    re.MULTILINE | re.DOTALL,
)


def runnable_blocks(text: str) -> list[tuple[int, str]]:
    """Find the blocks to run, each with the line on which its code starts."""
    return [
        (text.count("\n", 0, match.start("code")) + 1, match["code"])
        for match in BLOCK.finditer(text)
        if match["excuse"] is None
    ]


def test_the_blocks_run(tmp_path, monkeypatch):
    readme = ROOT / "README.md"
    if not readme.is_file():
        pytest.skip("there is no README.md: this is not a checkout")
    blocks = runnable_blocks(readme.read_text(encoding="utf-8"))
    assert blocks, "README.md has no ```python block that runs"
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readme"}
    for line, code in blocks:
        # The line feeds make the numbers in a traceback those of the README.
        exec(compile("\n" * (line - 1) + code, str(readme), "exec"), names)  # noqa: S102  it is our own text


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("Hello\n\n```python\nx = 1\n```\n\n```bash\nls\n```\n", [(4, "x = 1\n")]),
        ("```python\nx = 1\n```\n```python\ny = 2\n```\n", [(2, "x = 1\n"), (5, "y = 2\n")]),
        ("<!-- not run: needs a GPU -->\n```python\nx = 1\n```\n", []),
        ("<!-- not run:  -->\n```python\nx = 1\n```\n", [(3, "x = 1\n")]),
    ],
)
def test_the_blocks_are_found(text, blocks):
    assert runnable_blocks(text) == blocks
