# SPDX-License-Identifier: BSD-3-Clause
"""The table of kernels and its switch. What the kernels compute: tests/contracts/test_kernels.py."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels import KERNELS, enabled, find_kernel


@pytest.mark.parametrize(("name", "library"), KERNELS)
def test_each_kernel_can_be_imported_without_its_device(name, library):
    array = type("array", (), {"__module__": library + ".somewhere"})()
    assert callable(find_kernel(name, array))


@pytest.mark.parametrize(("value", "expected"), [("0", False), ("1", True), ("", True), (None, True)])
def test_one_switch_turns_all_of_them_off(monkeypatch, value, expected):
    if value is None:
        monkeypatch.delenv("SOFTMAX_XP_KERNELS", raising=False)
    else:
        monkeypatch.setenv("SOFTMAX_XP_KERNELS", value)
    assert enabled() is expected
    for name, library in KERNELS:
        if library == "numpy":
            assert (find_kernel(name, np.empty(0)) is not None) is expected


def test_what_is_not_in_the_table_has_no_kernel():
    assert find_kernel("softmax", np.empty(0)) is None
    assert find_kernel("softmax_cross_entropy", [1.0]) is None


@pytest.mark.parametrize("value", ["2", "Numba", "off"])
def test_a_choice_that_there_is_not_is_an_error(monkeypatch, value):
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", value)
    with pytest.raises(InvalidValueError, match=rf"`SOFTMAX_XP_KERNELS` must be 0, 1 or numba; got '{value}'"):
        find_kernel("softmax_cross_entropy", np.empty(0))
