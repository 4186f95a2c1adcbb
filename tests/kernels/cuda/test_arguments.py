# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels.cuda.arguments import address, as_vector, in_real, row_stride_of


def test_what_has_the_form_is_passed_on():
    vector = np.arange(4, dtype=np.float32)
    assert as_vector(vector) is vector
    assert in_real(vector, np.float32) is vector
    assert in_real(None, np.float32) is None
    assert address(vector[1:]) == vector.ctypes.data + 4


def test_what_has_not_is_copied_into_it():
    vector = np.arange(8)[::2]
    assert as_vector(vector).strides == (8,)
    np.testing.assert_array_equal(as_vector(vector), vector)
    assert in_real(vector, np.float32).dtype == np.float32
    number = in_real(np.array(2.5), np.float32)
    assert number.shape == ()
    assert number.dtype == np.float32


def test_rows_may_lie_apart_or_run_backwards():
    matrix = np.zeros((3, 10))
    assert row_stride_of(matrix[:, :4], "X") == 10
    assert row_stride_of(matrix[::-2], "X") == -20
    assert row_stride_of(matrix[:, ::5][:, :1], "X") == 10
    with pytest.raises(InvalidValueError, match=r"`X` must have rows whose elements are neighbours; got strides"):
        row_stride_of(matrix.T, "X")
    odd = np.lib.stride_tricks.as_strided(matrix, (2, 2), (12, 8))
    with pytest.raises(InvalidValueError, match=r"`X` must have rows a multiple of 8 bytes apart; got 12"):
        row_stride_of(odd, "X")
