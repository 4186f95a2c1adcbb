# SPDX-License-Identifier: BSD-3-Clause
"""The sorted copy of the data, and the sums of each fold."""

import numpy as np
import pytest

from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.stacked_data import tiled_targets
from softmax_xp.objectives.stacked_heads import Head
from tests.backends import load
from tests.objectives.stacked_problem import CASES, dense, stacked


@pytest.mark.parametrize("name", CASES)
def test_the_sums_of_a_fold_are_those_of_its_samples(name, backend):
    case = CASES[name]
    data = stacked(case, backend).data
    scale = np.ones(data.n_rows)
    scale[: data.n_features] = backend.to_numpy(data.scale)
    for fold in range(len(case.counts)):
        own = dense(case, Head(fold, 0.0))
        rows = own.X / scale
        t = own.t[:, int(own.one_column) :]
        sums = [backend.to_numpy(part) for part in data.sums]
        np.testing.assert_allclose(sums[0][fold], own.total, rtol=1e-13)
        np.testing.assert_allclose(sums[1][fold], own.mass.sum() / own.total, rtol=1e-13)
        np.testing.assert_allclose(sums[2][:, fold, :], t.T @ rows / own.total, atol=1e-14)
        np.testing.assert_allclose(sums[3][fold], own.mass @ rows / own.total, atol=1e-14)
        np.testing.assert_allclose(sums[4], np.linalg.norm(rows, axis=1).max(), rtol=1e-13)


def test_rows_are_copied_in_the_float_of_the_fit_and_of_unit_size(backend):
    data = stacked(CASES["softmax; folds"], backend, "float32").data
    rows = np.concatenate([backend.to_numpy(chunk.rows) for chunk in data.chunks])
    assert rows.dtype == np.float32
    assert rows.shape == (data.n_samples, data.n_features + 1)
    assert (rows[:, -1] == 1.0).all()
    assert (np.abs(rows).max(axis=0) <= 2.0).all()
    assert (np.abs(rows).max(axis=0) >= 0.5).all()
    exponents = np.log2(backend.to_numpy(data.scale))
    assert (exponents == np.round(exponents)).all()


def test_folds_that_repeat_samples_have_masks():
    backend = load("numpy")
    assert all(chunk.masks is None for chunk in stacked(CASES["softmax; folds"], backend).data.chunks)
    assert all(chunk.masks is not None for chunk in stacked(CASES["softmax; bootstrap"], backend).data.chunks)


def test_something_cached_is_made_once():
    data, made = stacked(CASES["softmax; folds"], load("numpy")).data, []
    for _ in range(2):
        data.cached("name", lambda data: made.append(data) or 5)
    assert made == [data]


def test_targets_are_repeated_head_by_head(backend):
    labels, weight = backend.asarray(np.asarray([2, 0])), backend.asarray(np.asarray([0.5, 3.0]))
    plain = tiled_targets(Targets(labels), None, 2)
    np.testing.assert_array_equal(backend.to_numpy(plain.labels), [2, 0, 2, 0])
    assert plain.weight is None
    masks = backend.asarray(np.asarray([[0.0, 1.0], [1.0, 2.0]]))
    masked = tiled_targets(Targets(labels, None, weight, None), masks, 2)
    np.testing.assert_array_equal(backend.to_numpy(masked.weight), [0.0, 3.0, 0.5, 6.0])
    np.testing.assert_array_equal(backend.to_numpy(masked.sample_weight), [0.0, 1.0, 1.0, 2.0])


def test_totals_are_read_once_for_all_folds(backend):
    case = CASES["softmax, all weights; folds"]
    totals = stacked(case, backend).data.fold_totals()
    expected = [dense(case, Head(fold, 0.0)).total for fold in range(len(case.counts))]
    np.testing.assert_allclose(totals, expected, rtol=1e-13)
    assert all(isinstance(total, float) for total in totals)
