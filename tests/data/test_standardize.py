# SPDX-License-Identifier: BSD-3-Clause
import pickle
import tracemalloc

import numpy as np
import pytest

from softmax_xp.data import standardize
from softmax_xp.data.source import ArraySource
from softmax_xp.data.standardize import Standardization, fit_standardization
from softmax_xp.errors import InvalidTypeError, InvalidValueError


def samples(dtype="float64", n_samples=500):
    rng = np.random.default_rng(11)
    return (rng.normal(size=(n_samples, 5)) * [1, 10, 0.1, 3, 20] + [0, 50, 20, 30, 100]).astype(dtype)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "uint8", "bool", ">f4"])
def test_it_agrees_with_scikit_learn(monkeypatch, dtype, order):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    monkeypatch.setattr(standardize, "_CHUNK_BYTES", 8 * 5 * 33)  # many chunks, the last one short
    X = np.asarray(np.clip(samples(), 0, 255).astype(dtype), order=order)
    expected = preprocessing.StandardScaler().fit(X.astype(np.float64))
    fitted = fit_standardization(X)
    np.testing.assert_allclose(fitted.mean, expected.mean_, rtol=1e-13)
    np.testing.assert_allclose(fitted.scale, expected.scale_, rtol=1e-13)


def test_rows_choose_the_samples():
    X, rows = samples(), np.asarray([7, 3, 100, 4])
    np.testing.assert_allclose(fit_standardization(X, rows).mean, X[rows].mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(fit_standardization(X, rows=rows).scale, X[rows].std(axis=0), rtol=1e-13)


def test_a_small_spread_around_a_large_mean_keeps_its_digits():
    noise = np.random.default_rng(0).normal(size=(20000, 1))
    X = noise + 1e8
    exact = X - 1e8  # exact, by Sterbenz
    fitted = fit_standardization(X)
    np.testing.assert_allclose(fitted.scale, exact.std(axis=0), rtol=1e-13)
    np.testing.assert_allclose(fitted.mean - 1e8, exact.mean(axis=0), atol=2e-8)


@pytest.mark.parametrize("value", [0.1, 1e8 + 0.1, 0.0, -3.7e200])
def test_constant_features_get_scale_one_and_become_zero(value):
    X = np.full((1001, 2), value)
    fitted = fit_standardization(X)
    assert fitted.scale.tolist() == [1.0, 1.0]
    assert not fitted.apply(X).any()


def test_memory_maps_stay_on_disk(tmp_path):
    np.save(tmp_path / "X.npy", np.random.default_rng(0).random((100_000, 40), dtype=np.float32))  # 16 MB
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    tracemalloc.start()
    fitted = fit_standardization(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 13 * 2**20  # as float64 the whole matrix would take 32 MB
    np.testing.assert_allclose(fitted.mean, 0.5, atol=0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_apply_stays_in_library_device_and_dtype(backend, dtype):
    X = samples(dtype)
    fitted = fit_standardization(X)
    given = backend.asarray(X)
    found = fitted.apply(given)
    assert found.dtype == given.dtype
    expected = (X.astype(np.float64) - fitted.mean) / fitted.scale
    np.testing.assert_allclose(backend.to_numpy(found), expected, atol=1e-4 if dtype == "float32" else 1e-12)
    np.testing.assert_array_equal(backend.to_numpy(given), X)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_apply_makes_floats_of_integers(backend, dtype):
    X = np.asarray([[0, 1], [1, 0], [1, 1]], dtype=dtype)
    found = Standardization([0.5, 1.0], [0.5, 2.0]).apply(backend.asarray(X))
    assert backend.xp.isdtype(found.dtype, "real floating")
    np.testing.assert_array_equal(backend.to_numpy(found), [[-1, 0], [1, -0.5], [1, 0]])


def test_half_precision_survives_means_that_it_cannot_hold():
    X = np.asarray([[60000.0], [60032.0]], dtype=np.float16)
    found = Standardization([60016.0], [16.0]).apply(X)
    assert found.dtype == np.float16
    assert found.tolist() == [[-1.0], [1.0]]
    assert Standardization([1e5], [1e5]).apply(X[:1])[0, 0] == np.float16(-0.4)


def test_a_scale_that_underflows_in_float32_does_not_divide_by_zero():
    found = Standardization([1.0], [1e-60]).apply(np.ones((2, 1), dtype=np.float32))
    assert found.tolist() == [[0.0], [0.0]]


def test_it_is_immutable_and_pickles():
    mean = np.zeros(2)
    fitted = Standardization(mean, np.ones(2))
    mean[0] = 5
    assert fitted.mean.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="read-only"):
        fitted.mean[0] = 1
    assert pickle.loads(pickle.dumps(fitted)).scale.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("mean", "scale", "message"),
    [
        ([0.0], [1.0, 1.0], r"one shape \(n_features,\); got \(1,\) and \(2,\)"),
        ([0.0, np.nan], [1.0, 1.0], "`mean` must be finite; got nan in column 1"),
        ([0.0, 0.0], [1.0, 0.0], "`scale` must be finite and positive; got 0.0 in column 1"),
        ([0.0, 0.0], [-1.0, 1.0], "got -1.0 in column 0"),
    ],
)
def test_wrong_parameters_are_refused(mean, scale, message):
    with pytest.raises(InvalidValueError, match=message):
        Standardization(mean, scale)


def test_apply_refuses_another_width(backend):
    with pytest.raises(InvalidValueError, match=r"shape \(n_samples, 2\); got shape \(1, 3\)"):
        Standardization([0.0, 0.0], [1.0, 1.0]).apply(backend.asarray(np.ones((1, 3))))


@pytest.mark.parametrize(
    ("X", "rows", "message"),
    [
        (np.zeros(3), None, r"not be empty; got shape \(3,\)"),
        (np.zeros((0, 3)), None, r"got shape \(0, 3\)"),
        (np.asarray([[0.0, 1.0], [0.0, np.nan]]), None, "got NaN, infinity or an overflow in column 1"),
        (np.asarray([[-1e300], [1e300]]), None, "an overflow in column 0"),
        (np.zeros((3, 1)), [], "row numbers, at least one"),
        (np.zeros((3, 1)), [True, False, True], "row numbers, at least one; got dtype bool"),
    ],
)
def test_samples_that_cannot_be_fitted_are_refused(X, rows, message):
    with pytest.raises(InvalidValueError, match=message):
        fit_standardization(X, rows)


@pytest.mark.parametrize("X", [[[1.0]], np.asarray([["a"]]), np.asarray([[1j]])])
def test_only_host_arrays_of_numbers_can_be_fitted(X):
    with pytest.raises(InvalidTypeError, match="NumPy array of real numbers; got"):
        fit_standardization(X)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
@pytest.mark.parametrize("n_bytes", [1, 200, 1 << 22])
def test_one_pass_over_a_source_finds_what_two_over_an_array_do(monkeypatch, dtype, n_bytes):
    monkeypatch.setattr(standardize, "_CHUNK_BYTES", n_bytes)
    random = np.random.default_rng(0)
    samples = (random.standard_normal((57, 3)) * [1.0, 10.0, 0.0] + [0.0, 1000.0, 7.0]).astype(dtype)
    ours, theirs = fit_standardization(ArraySource(samples)), fit_standardization(samples)
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-11)
    assert ours.scale[2] == 1.0


def test_a_source_is_read_once_and_must_be_finite():
    samples = np.ones((9, 2))
    samples[3, 1] = np.nan
    with pytest.raises(InvalidValueError, match="NaN, infinity or an overflow in column 1"):
        fit_standardization(ArraySource(samples))
