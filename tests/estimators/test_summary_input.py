# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
import scipy.sparse

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.summary_input import prepare_summary

X = np.arange(8.0).reshape(4, 2)
CODES = np.array([0, 1, 2, 0])
WEIGHT = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
BIAS = np.array([100.0, 200.0, 400.0])


def prepared(**changes):
    arguments = {"X": X, "targets": CODES, "weight": WEIGHT, "bias": BIAS, "C": np.inf, "l1_ratio": 0.0}
    names = {"sample_weight": None, "reference": None, "feature_names": None, "class_names": None}
    arguments = {**arguments, **names, **changes}
    return prepare_summary(**arguments)


def test_contrasts_are_differences_to_the_reference_with_the_intercept_first():
    given = prepared()
    np.testing.assert_array_equal(given.contrasts, [[100.0, 1.0, 8.0], [300.0, 3.0, 24.0]])
    assert given.order.tolist() == [0, 1, 2]
    assert given.classes == (0, 1, 2)
    assert given.terms == ("(intercept)", "x0", "x1")
    given = prepared(reference="m", class_names=["l", "m", "n"], bias=None)
    np.testing.assert_array_equal(given.contrasts, [[-1.0, -8.0], [2.0, 16.0]])
    assert given.order.tolist() == [1, 0, 2]
    assert given.classes == ("m", "l", "n")
    assert given.terms == ("x0", "x1")


def test_one_column_is_the_logit_of_class_1():
    codes = CODES % 2
    given = prepared(targets=codes, weight=WEIGHT[:, :1], bias=BIAS[:1], C=0.5)
    np.testing.assert_array_equal(given.contrasts, [[100.0, 1.0, 8.0]])
    np.testing.assert_array_equal(given.penalty, [[2.0]])
    turned = prepared(targets=codes, weight=WEIGHT[:, :1], bias=BIAS[:1], C=0.5, reference=1)
    np.testing.assert_array_equal(turned.contrasts, -given.contrasts)
    assert turned.order.tolist() == [1, 0]


def test_the_penalty_is_what_is_left_of_the_symmetric_one():
    # Over all common vectors v, sum_c |W_c + v|^2 is smallest where the rows have the mean 0.
    given = prepared(C=0.25)
    centred = WEIGHT - WEIGHT.mean(axis=1, keepdims=True)
    features = given.contrasts[:, 1:]
    assert np.sum(features * (given.penalty @ features)) == pytest.approx(4.0 * np.sum(centred**2))
    assert given.strength == 4.0
    assert prepared().strength == 0.0


def test_names_of_numpy_become_plain():
    given = prepared(class_names=np.array([5, 6, 7]), reference=np.int64(6), feature_names=np.array(["a", "b"]))
    assert given.classes == (6, 5, 7)
    assert [type(name) for name in given.classes] == [int, int, int]
    assert given.terms == ("(intercept)", "a", "b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.array([[1.0, np.nan]] * 4)}, "`X` must be finite; got NaN at row 0"),
        ({"X": scipy.sparse.csr_array(np.array([[1.0, np.inf]] * 4))}, "`X` must be finite; got NaN or infinity"),
        ({"X": scipy.sparse.csr_array(np.array([[1.0, np.nan]] * 4))}, "`X` must be finite; got NaN or infinity"),
        ({"targets": CODES[:3]}, "`targets` must have one entry per sample"),
        ({"targets": CODES + 1}, "`targets` must be between 0 and 2; got values from 1 to 3"),
        ({"targets": CODES - 1}, "`targets` must be between 0 and 2; got values from -1 to 1"),
        ({"targets": np.ones((4, 2))}, r"column for each of the 3 classes; got shape \(4, 2\)"),
        ({"targets": -np.ones((4, 3))}, "`targets` must be finite and not negative"),
        ({"targets": np.full((4, 3), np.nan)}, "`targets` must be finite and not negative"),
        ({"weight": WEIGHT.T}, r"the 2 features of `X`; got shape \(3, 2\)\. Pass coef_.T"),
        ({"weight": WEIGHT[0]}, r"got shape \(3,\)"),
        ({"weight": WEIGHT * np.nan}, "`weight` and `bias` must be finite"),
        ({"bias": BIAS * np.inf}, "`weight` and `bias` must be finite"),
        ({"bias": BIAS[:2]}, r"`bias` must have shape \(3,\)"),
        ({"sample_weight": -np.ones(4)}, "`sample_weight` must be finite and not negative"),
        ({"sample_weight": np.ones(3)}, r"`sample_weight` must have shape \(4,\)"),
        ({"C": 0.0}, "`C` must be a number above 0"),
        ({"C": np.nan}, "`C` must be a number above 0"),
        ({"C": "1"}, "`C` must be a number above 0"),
        ({"reference": "z"}, "`reference` must be one of the classes 0, 1, 2; got 'z'"),
        ({"feature_names": ["a"]}, "`feature_names` must have 2 entries, as `weight` has; got 1"),
        ({"class_names": ["a", "b"]}, "`class_names` must have 3 entries"),
        ({"l1_ratio": 1.0, "C": 2.0}, "`l1_ratio` must be 0 for standard errors; got 1.0"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(InvalidValueError, match=message):
        prepared(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": scipy.sparse.csr_array(np.eye(4, 2) * 1j)}, "`X` must hold real numbers; got dtype complex128"),
        ({"X": X * 1j}, "`X` must hold real numbers"),
        ({"targets": CODES.astype(float)}, "`targets` must be class numbers, or soft targets; got dtype float64"),
        ({"targets": np.array(["a", "b", "c", "a"])}, "`targets` must be class numbers"),
    ],
)
def test_other_kinds_are_refused(changes, message):
    with pytest.raises(InvalidTypeError, match=message):
        prepared(**changes)


def test_the_largest_summary():
    wide = np.zeros((4, 5000))
    with pytest.raises(
        InvalidValueError, match="at most 12000 coefficients.*got 15003, whose covariance alone takes 2 GB"
    ):
        prepared(X=wide, weight=np.zeros((5000, 4)), bias=np.zeros(4), targets=CODES)
    assert prepared(X=wide, weight=np.zeros((5000, 3)), bias=BIAS).contrasts.shape == (2, 5001)
