# SPDX-License-Identifier: BSD-3-Clause
"""The one place where `X` becomes a matrix."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import softmax_xp as sx
from softmax_xp import SoftmaxClassifier
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPError
from softmax_xp.estimators.validation import as_matrix, check_features, check_fitted, put_rows

VALUES = np.asarray([[1.0, 2.0], [3.0, 4.5]])


def test_an_array_of_any_library_goes_through_as_it_is(backend):
    X = backend.asarray(VALUES)
    assert as_matrix(X) is X


def test_numbers_in_other_clothes_become_numpy():
    np.testing.assert_array_equal(as_matrix(VALUES.tolist()), VALUES)
    objects = as_matrix(VALUES.astype(object))
    assert objects.dtype == np.float64
    np.testing.assert_array_equal(objects, VALUES)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.array([1, 2], dtype="Int64"), "b": [0.5, 1.5]})
    np.testing.assert_array_equal(as_matrix(frame), [[1.0, 0.5], [2.0, 1.5]])
    frame.loc[1, "a"] = pandas.NA
    with pytest.raises(InvalidValueError, match="got NaN at row 1, column 0"):
        as_matrix(frame)


def test_a_sparse_matrix_stays_one():
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.csc_matrix(VALUES)
    assert as_matrix(X) is X
    rows = put_rows(X, sx.get_backend("cpu"), np.float32)
    assert rows.format == "csr"
    assert rows.dtype == np.float32
    with pytest.raises(InvalidValueError, match="Complex data not supported"):
        as_matrix(X * 1j)
    with pytest.raises(InvalidValueError, match="0 feature"):
        as_matrix(X[:, :0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.5", r"`X` must hold real numbers; got '1.5' of type str at \(1, 0\)"),
        (b"1.5", "got b'1.5' of type bytes"),
        ({"a": 1}, r"got {'a': 1} of type dict at \(1, 0\). No argument must be a string, only a real number."),
        (1j, "of type complex"),
        ([1.0], "of type list"),
    ],
)
def test_an_object_that_is_no_number_is_an_error_that_says_where(value, text):
    X = VALUES.astype(object)
    X[1, 0] = value
    with pytest.raises(InvalidTypeError, match=text):
        as_matrix(X)


def test_the_name_is_that_of_the_caller():
    with pytest.raises(InvalidValueError, match="`held out` must have shape"):
        as_matrix(VALUES[0], "held out")


def test_features_are_counted_and_named():
    classifier = SoftmaxClassifier()
    check_features(classifier, VALUES, VALUES, reset=True)
    assert classifier.n_features_in_ == 2
    with pytest.raises(InvalidValueError, match="X has 1 features, but SoftmaxClassifier is expecting 2 features"):
        check_features(classifier, VALUES[:, :1], VALUES[:, :1], reset=False)
    pandas = pytest.importorskip("pandas")
    mixed = pandas.DataFrame(VALUES, columns=["a", 1])
    with pytest.raises(InvalidTypeError, match="Feature names are only supported if all input features have"):
        check_features(classifier, mixed, VALUES, reset=True)


def test_there_must_have_been_a_fit():
    with pytest.raises(NotFittedError, match="This SoftmaxClassifier is not fitted yet") as caught:
        check_fitted(SoftmaxClassifier())
    assert isinstance(caught.value, SoftmaxXPError)
    assert isinstance(caught.value, ValueError)


def test_sparse_tensors_of_pytorch_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(InvalidTypeError, match="`X` must be dense, or sparse of SciPy or CuPy; got torch.sparse_coo"):
        as_matrix(torch.eye(3).to_sparse())
