# SPDX-License-Identifier: BSD-3-Clause
"""The pages name the test that holds each promise: the tests are there."""

import re

import pytest

from tests.house.source import ROOT

PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md"])
TEST = re.compile(r"`(tests/[\w/]+(?:\.py|/))(?:::(\w+))?`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_test_that_a_page_names_is_there(page):
    for path, name in TEST.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), f"{page.name} names {path}"
        assert not name or re.search(rf"(def|class) {name}\b", (ROOT / path).read_text(encoding="utf-8")), (
            f"{page.name} names {name}"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_file_that_a_page_links_to_is_there(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_faults_name_tests():
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| fault ")]
    assert len(rows) > 40
    for row in rows:
        assert TEST.search(row) or row.endswith("| not ours to catch |"), row
