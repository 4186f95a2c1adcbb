# SPDX-License-Identifier: BSD-3-Clause
"""A fit on samples in storage is the fit on the same samples in memory, to the last bit where both are on one CPU."""

import os
import pickle

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.data import streamed
from softmax_xp.data.open_source import open_source, source_and_labels, source_of
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.sharded import ShardedSource
from softmax_xp.data.source import ArraySource
from softmax_xp.data.streamed import stream_matrix
from softmax_xp.errors import DataChangedError, InvalidTypeError, InvalidValueError
from softmax_xp.estimators.streamed_input import check_source_features
from softmax_xp.ops import linear as cuts

N, D = 1500, 6
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((N, D)).astype(np.float32)
Y = (X[:, :3] + RANDOM.gumbel(size=(N, 3))).argmax(axis=1)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Let some thousand rows be many chunks."""
    monkeypatch.setattr(cuts, "_CPU_ROWS_BYTES", 1 << 12)
    monkeypatch.setattr(cuts, "_LEAST_CHUNK_ROWS", 64)
    monkeypatch.setattr(streamed, "_SAMPLE_BYTES", 1 << 12)


def classifier(**options):
    return sx.SoftmaxClassifier(**({"device": "cpu", "tol": 1e-6} | options))


def same(ours, theirs):
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.intercept_, theirs.intercept_)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert ours.certificate_ == theirs.certificate_
    assert (ours.status_, ours.solver_) == (theirs.status_, theirs.solver_)
    assert ours.n_iter_.tolist() == theirs.n_iter_.tolist()


def stored(tmp_path, form, X=X):
    """Write X down in some form, and return what stands for it."""
    if form == "memory":
        return ArraySource(X)
    if form == "npy":
        np.save(tmp_path / "X.npy", X)
        return tmp_path / "X.npy"
    folder = tmp_path / "shards"
    folder.mkdir()
    for number, part in enumerate(np.array_split(X, [100, 101, 900]), start=8):
        np.save(folder / f"{number}.npy", part)
    return str(folder)


@pytest.mark.parametrize("form", ["memory", "npy", "shards"])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky"])
def test_each_solver_finds_the_same_from_each_storage(tmp_path, form, solver):
    same(classifier(solver=solver).fit(stored(tmp_path, form), Y), classifier(solver=solver).fit(X, Y))


@pytest.mark.parametrize(
    "options",
    [
        {"l1_ratio": 1.0, "C": 0.1},
        {"l1_ratio": 0.5, "C": 0.1, "solver": "proximal"},
        {"fit_intercept": False},
        {"class_weight": "balanced"},
        {"dtype": "float64"},
        {"C": np.inf},
        {"stopping": "gradient"},
        {"memory_budget": 1 << 20},
    ],
    ids=str,
)
def test_options_change_nothing_about_that(tmp_path, options):
    path = stored(tmp_path, "npy")
    same(classifier(**options).fit(path, Y), classifier(**options).fit(X, Y))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int16", "uint8", ">f4"])
def test_any_number_is_converted_as_in_memory(tmp_path, dtype):
    numbers = (10 * X).clip(0 if dtype == "uint8" else None).astype(dtype)
    same(classifier().fit(stored(tmp_path, "npy", numbers), Y), classifier().fit(numbers, Y))


def test_two_classes_soft_targets_weights_and_warm_starts(tmp_path):
    path = stored(tmp_path, "npy")
    same(classifier().fit(path, Y > 0), classifier().fit(X, Y > 0))
    soft = RANDOM.dirichlet(np.ones(3), N)
    same(classifier().fit(path, soft), classifier().fit(X, soft))
    weight = RANDOM.integers(0, 3, N).astype(np.float64)  # samples of no weight are left out
    same(classifier().fit(path, Y, weight), classifier().fit(X, Y, weight))
    warm = [classifier(warm_start=True, C=0.01).fit(samples, Y) for samples in (path, X)]
    for each, samples in zip(warm, (path, X), strict=True):
        each.set_params(C=1.0).fit(samples, Y)
    same(*warm)


def test_many_threads_change_no_bit(monkeypatch, tmp_path):
    path = stored(tmp_path, "npy")
    monkeypatch.setattr("softmax_xp.backend.blas_threads", lambda: 3)
    several = classifier(solver="newton-cg").fit(path, Y)
    monkeypatch.setattr("softmax_xp.backend.blas_threads", lambda: 1)
    same(several, classifier(solver="newton-cg").fit(X, Y))


def test_slow_storage_that_is_read_ahead_changes_no_bit(monkeypatch, tmp_path):
    monkeypatch.setattr(streamed, "_PAUSE_SECONDS", -1.0)
    monkeypatch.setattr(streamed, "_CACHED_BYTES_PER_SECOND", np.inf)
    same(classifier().fit(stored(tmp_path, "npy"), Y), classifier().fit(X, Y))


def test_labels_come_with_the_source_or_from_a_file(tmp_path):
    path = stored(tmp_path, "npy")
    names = np.asarray(["a", "b", "c"])[Y]
    np.save(tmp_path / "y.npy", names)
    expected = classifier().fit(X, names)
    same(classifier().fit(open_source(path, labels=names)), expected)
    same(classifier().fit(path, tmp_path / "y.npy"), expected)
    fitted = classifier().fit(path, str(tmp_path / "y.npy"))
    assert fitted.score(open_source(path, labels=names)) == expected.score(X, names)
    with pytest.raises(InvalidValueError, match="`y` must be given for X.npy, which holds no labels; got None"):
        classifier().fit(path)
    with pytest.raises(InvalidValueError, match="`y` and `target` must not both be given"):
        classifier().fit(path, Y, target="y")
    with pytest.raises(InvalidValueError, match="`target` must be None unless `X` is the path of a table; got 'y'"):
        classifier().fit(X, target="y")
    with pytest.raises(InvalidValueError, match=r"`y` must have one entry per sample of `X`; got shape \(9,\)"):
        classifier().fit(path, Y[:9])


def test_predictions_are_those_of_memory_and_go_to_files(tmp_path):
    path, names = stored(tmp_path, "shards"), np.asarray(["a", "bc", "d"])[Y]
    fitted = classifier().fit(path, names)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(fitted, method)(path), getattr(fitted, method)(X))
    for method in ("predict", "predict_proba"):
        for samples in (path, X):
            written = getattr(fitted, method)(samples, output=tmp_path / "out.npy")
            assert isinstance(written, np.memmap)
            np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), getattr(fitted, method)(X))
    np.testing.assert_array_equal(fitted.predict_top_k(path, 2).labels, fitted.predict_top_k(X, 2).labels)
    numbers = classifier().fit(X, Y)
    assert numbers.predict(path, output=tmp_path / "out.npy").dtype == Y.dtype


def test_what_fails_while_predictions_are_written_leaves_no_file(tmp_path):
    bad = X.copy()
    bad[-1, 0] = np.nan
    with pytest.raises(InvalidValueError, match=f"NaN at row {N - 1}, column 0"):
        classifier().fit(X, Y).predict(ArraySource(bad), output=tmp_path / "out.npy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_found_in_the_first_pass(tmp_path, value):
    bad = X.copy()
    bad[1234, 5] = value
    what = "NaN" if np.isnan(value) else "inf"
    with pytest.raises(InvalidValueError, match=f"`X` must be finite; got {what} at row 1234, column 5 of X.npy"):
        classifier().fit(stored(tmp_path, "npy", bad), Y)


def test_what_does_not_fit_the_float_of_the_fit_is_refused(tmp_path):
    wide = X.astype(np.float64)
    wide[7, 1] = 1e300
    with pytest.raises(InvalidValueError, match=r"`X` must fit float32; got 1e\+300 at row 7, column 1"):
        classifier(dtype="float32").fit(stored(tmp_path, "npy", wide), Y)


def test_a_file_that_changes_ends_the_fit_and_leaves_the_classifier(tmp_path):
    path = stored(tmp_path, "npy")
    fitted = classifier().fit(X, Y)
    before = fitted.coef_
    fitted.set_params(callbacks=[lambda row: os.truncate(path, 3000)])
    with pytest.raises(DataChangedError, match="which has changed since it was opened"):
        fitted.fit(path, Y)
    assert fitted.coef_ is before


def test_what_needs_arrays_says_so(tmp_path):
    path = stored(tmp_path, "npy")
    for fit in (
        lambda: classifier().partial_fit(path, Y),
        lambda: sx.SoftmaxClassifierCV(Cs=2, cv=2, device="cpu").fit(path, Y),
        lambda: sx.softmax_path(path, Y, Cs=[1.0], device="cpu"),
    ):
        with pytest.raises(InvalidTypeError, match=r"`X` must be an array for partial_fit, SoftmaxClassifierCV"):
            fit()


def test_features_are_compared_by_name_and_number(tmp_path):
    names = tuple("abcdef")
    fitted = classifier().fit(ArraySource(X, Y, feature_names=names))
    assert fitted.n_features_in_ == D
    assert fitted.feature_names_in_.tolist() == list(names)
    fitted.predict(stored(tmp_path, "npy"))  # without names of its own it gets those of the fit
    with pytest.raises(InvalidValueError, match="in their order; got 'b' in an array where 'a' was"):
        fitted.predict(ArraySource(X, feature_names=tuple("bacdef")))
    with pytest.raises(InvalidValueError, match="has 5 features, but SoftmaxClassifier is expecting 6 features"):
        fitted.predict(ArraySource(X[:, :5]))
    assert not hasattr(classifier().fit(ArraySource(X, Y)), "feature_names_in_")
    fitted.fit(ArraySource(X, Y))
    assert not hasattr(fitted, "feature_names_in_")
    check_source_features(fitted, ArraySource(X, feature_names=names), reset=False)


def test_what_stands_for_samples(tmp_path):
    path = stored(tmp_path, "npy")
    source = ArraySource(X, Y)
    assert source_of(X) is None
    assert source_of(source) is source
    assert source_of(stream_matrix(source)) is source
    assert source_of(str(path)).shape == (N, D)
    assert source_and_labels(X, Y) == (None, Y)
    assert source_and_labels(source, None) == (source, Y)
    assert stream_matrix(ArraySource(X.astype(np.float64)), dtype_name="float32").largest < np.inf
    assert stream_matrix(source, dtype_name="float32").largest == np.inf


def test_a_part_of_a_source_is_a_fit_of_that_part(tmp_path):
    rows = np.flatnonzero(RANDOM.random(N) < 0.5)
    whole = open_source(stored(tmp_path, "shards"), labels=Y)
    same(classifier().fit(SelectedRows(whole, rows)), classifier().fit(X[rows], Y[rows]))
    twin = pickle.loads(pickle.dumps(ShardedSource([whole, whole])))
    same(classifier().fit(twin), classifier().fit(np.concatenate([X, X]), np.concatenate([Y, Y])))


def test_other_backends_get_the_rows(backend):
    if backend.name in {"jax", "strict-device1"}:
        pytest.skip("one other library shows it")
    where = sx.get_backend(backend.name) if backend.name == "torch" else None
    if where is None:
        pytest.skip("has no device string of its own")
    fitted = classifier(device=where).fit(ArraySource(X), Y)
    assert isinstance(fitted.coef_, np.ndarray)
    np.testing.assert_allclose(fitted.coef_, classifier(device="cpu").fit(X, Y).coef_, atol=1e-3)


def test_tables_are_fitted_by_the_name_of_their_target(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    names = np.asarray(["a", "b", "c"])[Y]
    columns = {f"x{place}": X[:, place] for place in range(D)}
    pq.write_table(pa.table(columns | {"kind": names}), tmp_path / "train.parquet", row_group_size=400)
    pq.write_table(pa.table(dict(reversed(columns.items()))), tmp_path / "new.parquet")
    fitted = classifier().fit(tmp_path / "train.parquet", target="kind")
    same(fitted, classifier().fit(X, names))
    assert fitted.feature_names_in_.tolist() == list(columns)
    # Columns are found by their names, in whatever order they are.
    np.testing.assert_array_equal(fitted.predict(tmp_path / "new.parquet"), classifier().fit(X, names).predict(X))
    with pytest.raises(InvalidValueError, match="`target` must be a column of train.parquet; got 'sort'"):
        classifier().fit(tmp_path / "train.parquet", target="sort")
