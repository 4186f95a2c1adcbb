# SPDX-License-Identifier: BSD-3-Clause
import pickle

import numpy as np
import pytest

from softmax_xp.data.dataset import Dataset
from softmax_xp.errors import InvalidValueError


def test_it_tells_its_size_and_not_its_values():
    X = np.zeros((3, 2))
    dataset = Dataset(X, np.zeros(3), name="toy", test=Dataset(X[:1]))
    assert (dataset.n_samples, dataset.n_features) == (3, 2)
    assert repr(dataset) == "Dataset(name='toy', n_samples=3, n_features=2, test=1 samples)"


def test_it_is_frozen_and_pickles():
    dataset = Dataset(np.ones((3, 2)), feature_names=("a", "b"))
    with pytest.raises(AttributeError):
        dataset.name = "other"
    again = pickle.loads(pickle.dumps(dataset))
    assert again.feature_names == ("a", "b")
    np.testing.assert_array_equal(again.X, dataset.X)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"X": np.zeros(3)}, r"`X` must have shape .* got shape \(3,\) in data"),
        ({"y": np.zeros(2)}, r"one label per sample; got shape \(2,\) for 3 samples"),
        ({"y": np.asarray(1)}, r"one label per sample; got shape \(\)"),
        ({"feature_names": ("a",)}, "each of the 2 columns of `X`; got 1 names"),
        ({"test": Dataset(np.zeros((3, 5)))}, "the 2 features of the training split; got 5"),
    ],
)
def test_parts_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(InvalidValueError, match=message):
        Dataset(**{"X": np.zeros((3, 2)), **fields})
