# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
from scipy.sparse import csr_array

from softmax_xp.data.row_checks import check_entries, check_rows
from softmax_xp.errors import InvalidValueError

DENSE = np.asarray([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.0, 3.0], [0.0, 4.0, 5.0]])
NUMBERS = [10, 12, 14, 16]


def both(rows, **options):
    """Check the same rows as dense and as sparse ones."""
    check_rows(rows, NUMBERS, "X.npy", **options)
    check_entries(csr_array(rows), NUMBERS, "X.npy", **options)


def test_finite_rows_pass():
    both(DENSE)
    both(DENSE, largest=5.0)
    check_entries(csr_array(DENSE.astype(np.int8)), NUMBERS, "X.npy", largest=0.0)  # whole numbers always fit
    check_entries(csr_array((4, 3)), NUMBERS, "X.npy")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("check", [check_rows, lambda rows, *given: check_entries(csr_array(rows), *given)])
def test_the_first_is_named_by_row_and_column(check, value):
    bad = DENSE.copy()
    bad[2, 2] = bad[3, 1] = value
    got = "NaN" if np.isnan(value) else f"{value:g}"
    where = r"row 14, column 2 of X.npy \(in the chunk of rows 10 to 16\), 2 such values in this chunk"
    with pytest.raises(InvalidValueError, match=f"`X` must be finite; got {got} at {where}"):
        check(bad, NUMBERS, "X.npy")


@pytest.mark.parametrize("check", [check_rows, lambda rows, *given: check_entries(csr_array(rows), *given)])
def test_what_is_too_large_for_the_float_of_the_fit(check):
    with pytest.raises(InvalidValueError, match="`X` must fit float32; got -4 at row 16, column 1 of X.npy"):
        check(-DENSE, NUMBERS, "X.npy", 3.5)
