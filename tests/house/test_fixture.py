# SPDX-License-Identifier: BSD-3-Clause
"""The test backends themselves: what the fixture `backend` promises to every other test."""

import numpy as np
import pytest
from array_api_compat import array_namespace, device, is_writeable_array

from tests.backends import NAMES, load

DTYPES = ("bool", "int32", "int64", "float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
def test_there_and_back_keeps_values_and_dtype(backend, dtype):
    values = np.asarray([[0, 1, 0], [1, 1, 0]]).astype(dtype)
    values.flags.writeable = False  # PyTorch would warn if it shared this memory
    array = backend.asarray(values)
    assert array_namespace(array) is backend.xp
    assert device(array) == backend.device
    assert array.dtype == getattr(backend.xp, dtype)
    back = backend.to_numpy(array)
    assert type(back) is np.ndarray
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


def test_arrays_share_no_memory_with_the_callers(backend):
    values = np.zeros(3)
    array = backend.asarray(values)
    back = backend.to_numpy(array)
    values[:] = 1.0
    back[:] = 2.0
    np.testing.assert_array_equal(backend.to_numpy(array), np.zeros(3))


def test_readonly_arrays_refuse_to_be_written_to():
    array = load("numpy-readonly").asarray([1.0, 2.0])
    assert not is_writeable_array(array)
    with pytest.raises(ValueError, match="read-only"):
        array += 1.0


def test_strict_devices_do_not_mix():
    pytest.importorskip("array_api_strict")
    cpu, other = load("strict"), load("strict-device1")
    with pytest.raises(ValueError, match=r"devices"):
        cpu.asarray([1.0]) + other.asarray([1.0])


def test_each_name_loads_itself_or_says_why_not():
    for name in NAMES:
        try:
            assert load(name).name == name
        except LookupError as reason:
            assert str(reason)  # noqa: PT017  both outcomes are right, a silent one is not
