# SPDX-License-Identifier: BSD-3-Clause
"""Coverage that follows some tests only follows those that were chosen."""

from types import SimpleNamespace

import pytest

from tests.traced import Sampler, sample

TEST = "tests/ops/test_softmax.py::test_rows"


def test_the_tests_are_spread_evenly_over_each_functions_parametrisations():
    items = [(f"{TEST}[{number}]", None) for number in range(10)] + [(f"{TEST}_alone", None)]
    assert sample(items, 4) == {f"{TEST}[{number}]" for number in (0, 3, 6, 9)} | {f"{TEST}_alone"}
    assert sample(items, 10) == {node_id for node_id, _ in items}


def test_backends_that_repeat_others_and_tests_of_something_else_are_left_out():
    backends = ("numpy-readonly", "strict", "strict-device1", "numpy", "cupy")
    items = [(f"{TEST}[{name}]", name) for name in backends] + [("tests/house/test_sizes.py::test_all", None)]
    assert sample(items, 4) == {f"{TEST}[numpy]", f"{TEST}[cupy]"}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("is_chosen", [True, False])
def test_coverage_runs_while_a_chosen_test_does(is_chosen, fails):
    calls = []
    coverage = SimpleNamespace(start=lambda: calls.append("start"), stop=lambda: calls.append("stop"))
    sampler = Sampler(coverage, frozenset({TEST}))
    assert calls == ["stop"]
    around = sampler.pytest_runtest_protocol(SimpleNamespace(nodeid=TEST if is_chosen else f"{TEST}_alone"))
    next(around)
    calls.append("test")
    with pytest.raises(KeyError if fails else StopIteration):
        around.throw(KeyError) if fails else around.send(True)
    assert calls == (["stop", "start", "test", "stop"] if is_chosen else ["stop", "test"])
