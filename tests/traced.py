# SPDX-License-Identifier: BSD-3-Clause
"""Which tests coverage follows, where it is to follow only some: to be traced takes a test almost twice the time.

With `SOFTMAX_XP_TEST_TRACED=4` these are four of each test's parametrisations, spread evenly; none on the backends that
are NumPy or its standard once more, and none of the tests that are about something else than the package's own lines,
or that reach them thousands of times. What these reach besides is missing from the report: it calls no line covered
that is not.
"""

__all__ = ["Sampler", "sample"]

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, final

import pytest

ELSEWHERE = tuple(f"tests/{folder}/" for folder in ("benchmarks", "house", "kernels/cuda", "properties", "reliability"))
REPEATED = frozenset({"numpy-readonly", "strict", "strict-device1"})


@final
class Sampler:
    """A plugin of pytest that runs some tests under coverage, and nothing else.

    Parameters
    ----------
    coverage : coverage.Coverage
        Is running; it is stopped, and started again for each of the tests.
    node_ids : set of str
        Of the tests.
    """

    def __init__(self, coverage: Any, node_ids: frozenset[str]) -> None:
        self.coverage = coverage
        self.node_ids = node_ids
        coverage.stop()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        if item.nodeid not in self.node_ids:
            return (yield)
        self.coverage.start()
        try:
            return (yield)
        finally:
            self.coverage.stop()


def sample(node_ids: Iterable[tuple[str, str | None]], number: int) -> frozenset[str]:
    """Choose the tests, the same ones wherever they are collected in the same order.

    Parameters
    ----------
    node_ids : iterable of (str, str or None)
        With the name of the backend, where the test has one.
    number : int
        At most so many of each test function.

    Returns
    -------
    frozenset of str
        The first of each function's that may be chosen is always among them.
    """
    of_function = defaultdict(list)
    for node_id, backend in node_ids:
        if backend not in REPEATED and not node_id.startswith(ELSEWHERE):
            of_function[node_id.partition("[")[0]].append(node_id)
    return frozenset(node_id for group in of_function.values() for node_id in group[:: -(-len(group) // number)])
