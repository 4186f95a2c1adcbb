# SPDX-License-Identifier: BSD-3-Clause
import tracemalloc
import warnings

import numpy as np
import pytest

from softmax_xp.data import validation
from softmax_xp.data.validation import (
    check_lengths,
    check_matrix,
    check_sample_weight,
    check_soft_targets,
    check_width,
    refuse_masked,
)
from softmax_xp.errors import InvalidTypeError, InvalidValueError

SOME = np.asarray([[1.0, 2.0], [3.0, 4.5]])


@pytest.fixture
def small_chunks(monkeypatch):
    """Make three rows of two columns a chunk, so that small matrices have many."""
    monkeypatch.setattr(validation, "_CHUNK_ELEMENTS", 6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_good_matrices_pass(backend, dtype):
    check_matrix(backend.asarray(np.ones((5, 3), dtype=dtype)))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("row", [0, 2, 3, 10])
@pytest.mark.parametrize(("value", "text"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_the_first_value_that_is_not_finite_is_named(backend, row, value, text):
    X = np.zeros((11, 2), dtype=np.float32)
    X[row, 1] = value
    with pytest.raises(
        InvalidValueError, match=rf"`X` must be finite; got {text} at row {row}, column 1 \(1 such value\)"
    ):
        check_matrix(backend.asarray(X))


@pytest.mark.usefixtures("small_chunks")
def test_all_bad_values_are_counted_and_the_array_is_named(backend):
    X = np.zeros((11, 2))
    X[4, 0] = np.nan
    X[4, 1] = X[9, 0] = np.inf
    with pytest.raises(InvalidValueError, match=r"`X_val` must be .* row 4, column 0 \(3 values are not finite\)"):
        check_matrix(backend.asarray(X), "X_val")


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0), (2, 2, 2), ()])
def test_only_matrices_with_samples_and_features_pass(backend, shape):
    with pytest.raises(InvalidValueError, match=r"got shape \("):
        check_matrix(backend.asarray(np.ones(shape)))


def test_complex_matrices_are_refused(backend):
    with pytest.raises(InvalidTypeError, match="real numbers; got dtype .*complex"):
        check_matrix(backend.asarray(np.ones((2, 2), dtype=np.complex64)))


@pytest.mark.parametrize(
    "X",
    [
        np.asarray([["1", "2"]]),
        np.asarray([[1, None]], dtype=object),
        np.zeros((1, 1), dtype="datetime64[s]"),
        [[1.0, 2.0]],
        "digits",
    ],
)
def test_what_holds_no_numbers_is_refused(X):
    with pytest.raises(InvalidTypeError, match="`X` must (hold real numbers|be an array); got"):
        check_matrix(X)


def test_sparse_matrices_are_refused_with_advice():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(InvalidTypeError, match="toarray"):
        check_matrix(sparse.csr_matrix(np.eye(2)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sums_that_overflow_neither_warn_nor_fail(dtype):
    X = np.full((100, 50), np.finfo(dtype).max, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_matrix(X)
        X[3, 4], X[3, 5] = np.inf, -np.inf
        with pytest.raises(InvalidValueError, match="got inf at row 3, column 4"):
            check_matrix(X)


def test_memory_maps_columns_first_and_negative_strides_pass(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((4, 3)))
    check_matrix(np.load(tmp_path / "X.npy", mmap_mode="r"))
    check_matrix(np.ones((4, 3), order="F"))
    check_matrix(np.ones((4, 3), dtype=">f4")[::-1, ::-1])


def test_temporaries_are_bounded():
    X = np.zeros((50_000, 400), dtype=np.float32)  # a truth value for each element would take 20 MB
    check_matrix(X[:10])
    tracemalloc.start()
    check_matrix(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4.5 * 2**20


def test_lengths(backend):
    X, y = backend.asarray(np.ones((3, 2))), backend.asarray(np.zeros(3))
    check_lengths(X, y)
    with pytest.raises(InvalidValueError, match=r"`y` must have one entry per sample.*\(4,\).*\(3, 2\)"):
        check_lengths(X, backend.asarray(np.zeros(4)))
    with pytest.raises(InvalidValueError, match=r"`targets` must .* shape \(\)"):
        check_lengths(X, backend.asarray(np.asarray(1.0)), name="targets")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_good_weights_pass(backend, dtype):
    check_sample_weight(backend.asarray(np.asarray([0, 1, 2], dtype=dtype)), 3)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -2.0, 1.0], "not negative; got -2 at row 1"),
        ([1.0, 1.0, np.nan], "finite and not negative; got NaN at row 2"),
        ([np.inf, 1.0, 1.0], "finite and not negative; got inf at row 0"),
        ([0.0, 0.0, 0.0], "positive entry; got 3 zeros"),
        ([1.0, 1.0], r"shape \(3,\), one weight per sample; got shape \(2,\)"),
        ([[1.0], [1.0], [1.0]], r"got shape \(3, 1\)"),
    ],
)
def test_bad_weights_are_refused(backend, weights, message):
    with pytest.raises(InvalidValueError, match=message):
        check_sample_weight(backend.asarray(np.asarray(weights)), 3)


def test_weights_must_be_real_numbers(backend):
    with pytest.raises(InvalidTypeError, match="real numbers; got dtype"):
        check_sample_weight(backend.asarray(np.ones(2, dtype=bool)), 2)
    with pytest.raises(InvalidTypeError, match="must be an array; got list"):
        check_sample_weight([1.0, 2.0], 2)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions_pass(backend, dtype):
    targets = np.asarray([[0.25, 0.75], [0.0, 1.0], [0.5004, 0.5004]] * 5, dtype=dtype)
    check_soft_targets(backend.asarray(targets), 15)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.7, 0.7], "sum to 1; got 1.4 at row 10. Divide"),
        ([0.5, 0.498], "sum to 1; got 0.998 at row 10"),
        ([2.0, 0.0], "sum to 1; got 2 at row 10"),
        ([1.5, -0.5], "not negative; got -0.5 at row 10, column 1"),
        ([np.nan, 1.0], "finite and not negative; got NaN at row 10, column 0"),
        ([np.inf, -np.inf], "finite and not negative; got inf at row 10, column 0"),
        ([1e300, 1e300], "sum to 1; got 2e\\+300 at row 10"),
    ],
)
def test_rows_that_are_no_distributions_are_named(backend, row, message):
    targets = np.full((12, 2), 0.5)
    targets[10] = row
    with pytest.raises(InvalidValueError, match=message):
        check_soft_targets(backend.asarray(targets), 12)


def test_many_classes_in_half_precision_sum_without_rounding():
    # Columns first, NumPy adds one class after another; in float16 that would stop at 0.5.
    check_soft_targets(np.full((3, 4096), 1 / 4096, dtype=np.float16, order="F"), 3)


@pytest.mark.parametrize("shape", [(4, 2), (3,), (3, 1)])
def test_soft_targets_of_another_shape_are_refused(backend, shape):
    with pytest.raises(InvalidValueError, match=r"shape \(3, n_classes\).*got shape"):
        check_soft_targets(backend.asarray(np.ones(shape)), 3)


def test_soft_targets_must_be_floats(backend):
    with pytest.raises(InvalidTypeError, match="must hold floats; got dtype .*int64"):
        check_soft_targets(backend.asarray(np.eye(3, dtype=np.int64)), 3)


def test_the_narrow_float_must_hold_the_values(backend):
    check_width(backend.asarray(SOME), "float32")
    for value in (1e39, -1e39):
        huge = backend.asarray(np.where(SOME == 3.0, value, SOME))
        check_width(huge, "float64")
        with pytest.raises(InvalidValueError, match=r"must fit float32; got a value of size 1e\+39"):
            check_width(huge, "float32")
    check_width(backend.asarray(SOME.astype("float32")), "float32")


def test_what_is_masked_is_refused_and_a_mask_of_nothing_is_not():
    refuse_masked(np.ma.masked_array(SOME), "X")
    refuse_masked([1.0], "X")
    with pytest.raises(InvalidValueError, match=r"`X` must have no masked value; got 1 of them\."):
        refuse_masked(np.ma.masked_array(SOME, mask=SOME == 3.0), "X")
