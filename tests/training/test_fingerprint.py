# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
import scipy.sparse

from softmax_xp import Adam, EarlyStopping
from softmax_xp.backend import backend_of
from softmax_xp.losses import CrossEntropy
from softmax_xp.training.fingerprint import describe, describe_array, describe_data, describe_form, describe_place

RNG = np.random.default_rng(1)
X, Y = RNG.standard_normal((200, 3)), RNG.integers(0, 3, 200)


def described(X, labels=Y, weight=None, backend=None):
    targets = CrossEntropy().prepare(labels, 3, dtype=X.dtype, sample_weight=weight)
    return describe_data(X, targets, backend_of(labels))


def test_addresses_are_left_out_and_long_texts_cut():
    assert describe(Adam(learning_rate=len)) == describe(Adam(learning_rate=len))
    assert describe([EarlyStopping(), object()]) == "[" + repr(EarlyStopping()) + ", <object object>]"
    long = [describe(list(range(n))) for n in (1000, 1001)]
    assert long[0] != long[1]
    assert all(len(text) < 200 for text in long)


def test_an_array_is_described_by_all_of_it():
    twin = X.copy()
    assert describe_array(twin) == describe_array(X)
    twin[7, 1] = np.nextafter(twin[7, 1], 9)
    assert describe_array(twin) != describe_array(X)
    assert describe_array(None) == "None"


def test_forms_are_the_same_in_every_library(backend):
    assert describe_form(backend.asarray(np.zeros((2, 3), dtype="float32"))) == "(2, 3) float32"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda X, y, w: (X[:-1], y[:-1], None), "X"),
        (lambda X, y, w: (X[::-1].copy(), y, None), "X"),
        (lambda X, y, w: (X.astype("float32"), y, None), "X"),
        (lambda X, y, w: (np.where(np.arange(200)[:, None] == 199, 0, X), y, None), "X"),
        (lambda X, y, w: (X, y[::-1].copy(), None), "y"),
        (lambda X, y, w: (X, y, w), "weights"),
    ],
)
def test_other_data_are_described_otherwise(change, field):
    weight = RNG.uniform(1, 2, 200)
    assert described(X) == described(X.copy(), Y.copy())
    assert described(*change(X, Y, weight))[field] != described(X)[field]


def test_sparse_data_are_described_by_what_they_store():
    rows = scipy.sparse.csr_array(X * (X > 0))
    twin = rows.copy()
    twin.data[0] += 1.0
    assert described(rows)["X"] == described(rows.copy())["X"]
    assert described(rows)["X"] != described(twin)["X"]


def test_data_of_every_library_are_read(backend):
    labels = backend.asarray(Y)
    targets = CrossEntropy().prepare(labels, 3, dtype=backend.xp.float32)
    found = describe_data(backend.asarray(X.astype("float32")), targets, backend_of(labels))
    assert found == described(X.astype("float32"))


def test_very_wide_rows_are_few():
    wide = np.zeros((3, 1 << 20), dtype="float32")
    wide[1, 5] = 1  # the first and the last row are looked at
    labels = np.arange(3)
    assert described(wide, labels) == described(np.zeros_like(wide), labels)


def test_a_place_is_a_library_and_a_device():
    place = describe_place(backend_of(X), kernel=None)
    assert place.keys() == {"softmax_xp", "library", "device", "kernel"}
    assert (place["library"], place["device"], place["kernel"]) == ("numpy", "cpu", "None")
