# SPDX-License-Identifier: BSD-3-Clause
"""What must not be fitted is refused by both front doors, before work starts, with where it is and what helps."""

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import SoftmaxXPError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = RNG.integers(0, 3, 40)
ONES = np.ones(40)


def with_value(array, place, value):
    """Return a copy in which one entry is another."""
    array = np.array(array, dtype=float)
    array[place] = value
    return array


# What is wrong -> the arguments that differ, the builtin that the error is, and what its message says.
FAULTS = {
    "NaN": ({"X": with_value(X, (7, 1), np.nan)}, ValueError, r"NaN at row 7, column 1 \(1 such value\)\. Remove"),
    "infinity": ({"X": with_value(X, (7, 1), -np.inf)}, ValueError, "-inf at row 7, column 1 .* Scale"),
    "too large for float32": (
        {"X": with_value(X, (7, 1), 1e39), "dtype": "float32"},
        ValueError,
        r"must fit float32; got a value of size 1e\+39\. Scale it, or pass dtype='float64'",
    ),
    "continuous labels": ({"y": Y + 0.5}, ValueError, "Unknown label type: continuous"),
    "NaN label": ({"y": with_value(Y, 3, np.nan)}, ValueError, "NaN at row 3"),
    "one class": ({"y": np.zeros(40, dtype=int)}, ValueError, "at least two classes; got .* 0.* Pass `classes`"),
    "no samples": ({"X": X[:0], "y": Y[:0]}, ValueError, "sample"),
    "no features": ({"X": X[:, :0]}, ValueError, "feature"),
    "one dimension": ({"X": X[:, 0]}, ValueError, r"\(n_samples, n_features\); got shape \(40,\)"),
    "three dimensions": ({"X": X[None]}, ValueError, r"\(n_samples, n_features\); got shape \(1, 40, 3\)"),
    "rows of different lengths": ({"X": [[1.0, 2.0], [3.0]], "y": [0, 1]}, ValueError, "`X` must have shape"),
    "too few labels": ({"y": Y[:-1]}, ValueError, r"one entry per sample of `X`; got shape \(39,\)"),
    "one-hot integers": ({"y": np.eye(3, dtype=int)[Y]}, ValueError, r"argmax\(axis=1\)"),
    "soft targets that are no probabilities": ({"y": np.full((40, 3), 0.5)}, ValueError, "sum to 1; got 1.5 at row 0"),
    "complex numbers": ({"X": X + 0j}, (TypeError, ValueError), "real numbers"),
    "text": ({"X": X.astype(str)}, TypeError, "text|dtype"),
    "objects": ({"X": np.array([[{}] * 3] * 40)}, TypeError, "real numbers"),
    "dates": ({"X": np.full((40, 3), np.datetime64("2020-01-01"))}, TypeError, "real numbers"),
    "masked values": ({"X": np.ma.masked_array(X, mask=X > 1)}, ValueError, "no masked value; got 22 of them"),
    "masked labels": ({"y": np.ma.masked_array(Y, mask=Y > 1)}, ValueError, "`y` must have no masked value"),
    "no data": ({"X": None}, (TypeError, ValueError), "`X` must"),
    "no labels": ({"y": None}, (TypeError, ValueError), "`y` must hold one label for each sample"),
    "negative weight": ({"sample_weight": with_value(ONES, 3, -1.0)}, ValueError, "not negative; got -1 at row 3"),
    "NaN weight": ({"sample_weight": with_value(ONES, 3, np.nan)}, ValueError, "got NaN at row 3"),
    "weights that are all zero": ({"sample_weight": 0 * ONES}, ValueError, "a positive entry; got 40 zeros"),
    "too few weights": (
        {"sample_weight": ONES[:4]},
        ValueError,
        r"shape \(40,\), one weight per sample; got shape \(4,\)",
    ),
    "a missing file": ({"X": "nowhere.npy"}, OSError, "nowhere.npy, which does not exist"),
}


@pytest.fixture(params=["classifier", "trainer"])
def door(request):
    """A way to fit."""

    def fit(X=X, y=Y, sample_weight=None, **settings):
        if request.param == "classifier":
            classifier = sx.SoftmaxClassifier(device="cpu", **settings)
            try:
                classifier.fit(X, y, sample_weight)
            finally:
                assert hasattr(classifier, "coef_") is False
        else:
            trainer = sx.Trainer(sx.SGD(0.1), epochs=1, batch_size=8, device="cpu", **settings)
            trainer.fit(X, y, sample_weight=sample_weight)

    return fit


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_refused_with_where_it_is_and_what_helps(door, fault):
    arguments, builtin, message = FAULTS[fault]
    before = {name: np.array(value, copy=True, dtype=object) for name, value in arguments.items() if name != "X"}
    with pytest.raises(SoftmaxXPError, match=message) as caught:
        door(**arguments)
    assert isinstance(caught.value, builtin)
    for name, value in before.items():
        assert str(value) == str(np.array(arguments[name], dtype=object))


# What looks odd and is fine.
FINE = {
    "float labels": {"y": Y.astype(float)},
    "negative labels": {"y": Y - 5},
    "integers": {"X": (10 * X).astype("int8")},
    "booleans": {"X": X > 0},
    "float16": {"X": X.astype("float16")},
    "another byte order": {"X": X.astype(">f8")},
    "columns first": {"X": np.asfortranarray(X)},
    "negative strides": {"X": X[::-1, ::-1], "y": Y[::-1]},
    "constant features": {"X": np.zeros((40, 3))},
    "a mask of nothing": {"X": np.ma.masked_array(X)},
}


@pytest.mark.parametrize("case", FINE)
def test_what_looks_odd_and_is_fine_is_fitted(case):
    arguments = {"X": X, "y": Y} | FINE[case]
    classifier = sx.SoftmaxClassifier(device="cpu").fit(arguments["X"], arguments["y"])
    assert classifier.certificate_.bound < 1e-4
    model, history = sx.Trainer(sx.SGD(0.1), epochs=1, batch_size=8, device="cpu").fit(arguments["X"], arguments["y"])
    assert history.status == "completed"
    assert np.isfinite(model.params.weight).all()
