# SPDX-License-Identifier: BSD-3-Clause
"""A fit on sparse samples in storage is the fit on the matrix in memory, to the last bit where chunks are the same."""

import gc
import math
import os
import tracemalloc
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

import softmax_xp as sx
from softmax_xp.data import buffers, rows, sparse, streamed
from softmax_xp.data.csr_writer import write_csr
from softmax_xp.data.open_source import open_source
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.errors import DataChangedError, InvalidTypeError, InvalidValueError
from softmax_xp.estimators.reporting import NotConvergedWarning
from softmax_xp.objectives import cuts
from softmax_xp.solvers import SOLVERS
from tests.data.sparse_forms import with_duplicates

N, D = 900, 40
RNG = np.random.default_rng(11)
X = sp.random_array((N, D), density=0.1, format="csr", rng=RNG)
Y = ((X[:, :4] @ RNG.standard_normal((4, 3))) + RNG.gumbel(size=(N, 3))).argmax(axis=1)
WEIGHT = RNG.integers(0, 3, N).astype(np.float64)  # samples of no weight are left out


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Let some thousand entries be many chunks."""
    monkeypatch.setattr(sparse, "_CHUNK_PRODUCTS", 1 << 10)
    monkeypatch.setattr(sparse, "_ENTRIES_FOR_A_FEATURE", 2)
    monkeypatch.setattr(streamed, "_SAMPLE_BYTES", 1 << 11)


@pytest.fixture
def never_dense(monkeypatch):
    """Make each way to write out a matrix's zeros an error."""

    def refuse(self, *arguments, **options):
        pytest.fail("sparse rows were made dense")

    for kind in (sp.csr_array, sp.csr_matrix, sp.csc_array):
        for name in ("toarray", "todense", "__array__"):
            monkeypatch.setattr(kind, name, refuse, raising=False)


def classifier(**options):
    return sx.SoftmaxClassifier(**({"device": "cpu", "tol": 1e-8} | options))


def same(ours, theirs, atol=0.0):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=atol)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=atol)
    assert (ours.status_, ours.solver_) == (theirs.status_, theirs.solver_)
    if not atol:
        assert ours.certificate_ == theirs.certificate_
        assert ours.n_iter_.tolist() == theirs.n_iter_.tolist()


@pytest.fixture
def folder(tmp_path):
    return write_csr(tmp_path / "csr", X, Y)


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "proximal"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
def test_each_solver_finds_the_same(folder, solver, weight):
    ours = classifier(solver=solver).fit(folder, None, weight)
    same(ours, classifier(solver=solver).fit(X, Y, weight))
    assert ours.certificate_.bound <= 1e-8


@pytest.mark.parametrize(
    "options",
    [
        {"l1_ratio": 1.0, "C": 0.1},
        {"l1_ratio": 0.5, "C": 0.1, "solver": "proximal"},
        {"fit_intercept": False},
        {"class_weight": "balanced"},
        {"dtype": "float32"},
        {"C": math.inf, "stopping": "gradient"},
        {"memory_budget": 1 << 20},
    ],
    ids=str,
)
def test_options_change_nothing_about_that(folder, options):
    same(classifier(**options).fit(folder), classifier(**options).fit(X, Y))


@pytest.mark.usefixtures("never_dense")
@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg"])
def test_zeros_are_never_written_out(tmp_path, solver, monkeypatch):
    wide = sp.random_array((400, 700), density=0.02, format="csr", rng=np.random.default_rng(2))
    y = RNG.integers(0, 3, 400)
    path = write_csr(tmp_path / "wide", wide)
    ours = classifier(solver=solver, tol=1e-4).fit(path, y)
    same(ours, classifier(solver=solver, tol=1e-4).fit(wide, y))
    np.testing.assert_array_equal(ours.predict_proba(path), ours.predict_proba(wide))


def test_two_classes_soft_targets_and_warm_starts(folder):
    same(classifier().fit(folder, Y > 0), classifier().fit(X, Y > 0))
    soft = RNG.dirichlet(np.ones(3), N)
    same(classifier().fit(folder, soft), classifier().fit(X, soft))
    warm = [classifier(warm_start=True, C=0.01).fit(samples, Y) for samples in (folder, X)]
    for each, samples in zip(warm, (folder, X), strict=True):
        each.set_params(C=1.0).fit(samples, Y)
    same(*warm)


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool"])
def test_any_number_is_converted_as_in_memory(tmp_path, dtype):
    numbers = sp.csr_array((10 * X).astype(dtype))
    path = write_csr(tmp_path / "csr", numbers)
    ours = classifier().fit(path, Y)
    same(ours, classifier().fit(numbers, Y))
    np.testing.assert_array_equal(ours.predict_proba(path), ours.predict_proba(numbers))


def test_chunks_that_would_be_large_are_cut_further(folder, monkeypatch):
    theirs = classifier().fit(X, Y)
    monkeypatch.setattr(cuts, "_STREAMED_ENTRIES", 1 << 7)
    monkeypatch.setattr(rows, "_ENTRIES", 1 << 7)
    same(classifier().fit(folder), theirs, atol=1e-10)
    longest, read = [], CsrArraySource.read_entries
    monkeypatch.setattr(
        CsrArraySource, "read_entries", lambda self, *given: longest.append(len(given[2])) or read(self, *given)
    )
    classifier(max_iter=1, tol=1e3).fit(CsrArraySource.of(X), Y)
    assert 50 < max(longest) <= 1 << 7


def test_columns_that_do_not_ascend_are_sorted(tmp_path):
    mixed = with_duplicates(X.toarray())
    same(classifier(tol=1e-13).fit(CsrArraySource(mixed), Y), classifier(tol=1e-13).fit(X, Y), atol=1e-7)


def test_features_that_never_occur_are_left_out(tmp_path, monkeypatch):
    columns = np.sort(RNG.choice(5000, D, replace=False))
    found = sp.coo_array(X)
    wide = sp.csr_array((found.data, (found.row, columns[found.col])), shape=(N, 5000))
    path = write_csr(tmp_path / "wide", wide)
    ours = classifier().fit(path, Y, WEIGHT)
    same(ours, classifier().fit(wide, Y, WEIGHT))
    assert ours.coef_.shape == (3, 5000)
    assert np.count_nonzero(ours.coef_) == 3 * D


def test_many_threads_and_slow_storage_change_no_bit(monkeypatch, folder):
    theirs = classifier(solver="newton-cg").fit(X, Y)
    monkeypatch.setattr("softmax_xp.backend.blas_threads", lambda: 3)
    same(classifier(solver="newton-cg").fit(folder), theirs)
    monkeypatch.setattr(streamed, "_PAUSE_SECONDS", -1.0)
    monkeypatch.setattr(streamed, "_CACHED_BYTES_PER_SECOND", np.inf)
    same(classifier(solver="newton-cg").fit(folder), theirs)


def test_predictions_are_those_of_memory_and_go_to_files(folder, tmp_path):
    fitted = classifier().fit(folder)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(fitted, method)(folder), getattr(fitted, method)(X))
    written = fitted.predict_proba(folder, output=tmp_path / "out.npy")
    np.testing.assert_array_equal(written, fitted.predict_proba(X))
    assert fitted.score(folder) == fitted.score(X, Y)
    some = np.arange(0, N, 7)
    np.testing.assert_array_equal(fitted.predict(SelectedRows(open_source(folder), some)), fitted.predict(X[some]))


@pytest.mark.parametrize("zero_based", [True, False])
def test_svmlight_text_and_archives(tmp_path, zero_based):
    path = tmp_path / "a.svm"
    dump_svmlight_file(X, Y, str(path), zero_based=zero_based)
    theirs, labels = load_svmlight_file(str(path), dtype=np.float32)
    expected = classifier(tol=1e-5).fit(theirs, labels)
    ours = classifier(tol=1e-5).fit(path)
    same(ours, expected)
    same(classifier(tol=1e-5).fit(write_csr(tmp_path / "csr", open_source(path))), expected)
    sp.save_npz(tmp_path / "a.npz", sp.csr_array(theirs), compressed=False)
    same(classifier(tol=1e-5).fit(tmp_path / "a.npz", labels), expected)
    # A file in which the last features do not occur has those of the fit all the same.
    dump_svmlight_file(X[:20, :5], Y[:20], str(tmp_path / "few.svm"), zero_based=zero_based)
    assert ours.predict(tmp_path / "few.svm").shape == (20,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_found_in_the_first_pass(folder, value):
    values = X.data.copy()
    place = int(X.indptr[700]) + 1
    values[place] = value
    np.save(folder / "data.npy", values)
    what = "NaN" if np.isnan(value) else "inf"
    with pytest.raises(InvalidValueError, match=f"got {what} at row 700, column {X.indices[place]} of csr"):
        classifier().fit(folder)


def test_what_does_not_fit_the_float_of_the_fit_is_refused(folder):
    values = X.data.copy()
    values[0] = -1e300
    np.save(folder / "data.npy", values)
    with pytest.raises(InvalidValueError, match=r"`X` must fit float32; got -1e\+300 at row 0, column"):
        classifier(dtype="float32").fit(folder)


@pytest.mark.parametrize("name", ["indices.npy", "data.npy"])
def test_a_file_that_changes_ends_the_fit_and_leaves_the_classifier(folder, name):
    fitted = classifier().fit(X, Y)
    before = fitted.coef_
    fitted.set_params(callbacks=[lambda row: os.utime(folder / name, ns=(1, 1))])
    with pytest.raises(DataChangedError, match=f"{name}, which has changed since it was opened"):
        fitted.fit(folder)
    assert fitted.coef_ is before


def test_what_needs_dense_rows_or_arrays_says_so(folder):
    with pytest.raises(InvalidTypeError, match="`X` must be dense for minibatches; got a sparse array"):
        classifier(solver=sx.Adam(1e-2)).fit(folder)
    with pytest.raises(InvalidTypeError, match="`X` must be dense; got csr, whose samples are sparse"):
        sx.Trainer(sx.Adam(1e-2), device="cpu").fit(open_source(folder))
    with pytest.raises(InvalidTypeError, match="`validation X` must be dense; got csr"):
        sx.Trainer(sx.Adam(1e-2), device="cpu").fit(np.zeros((N, D)), Y, validation=(open_source(folder), None))
    with pytest.raises(InvalidTypeError, match="`X` must be dense for a fit with `client`; got csr"):
        classifier().fit(folder, client=object())
    with pytest.raises(InvalidTypeError, match="`X` must be an array for partial_fit"):
        classifier().partial_fit(folder, Y)


def test_a_resumed_fit_knows_its_data(folder, tmp_path):
    options = {"checkpoint": tmp_path / "checkpoints", "solver": "lbfgs"}
    interrupted = classifier(max_iter=3, **options)
    with pytest.warns(NotConvergedWarning):
        interrupted.fit(folder)
    same(classifier(**options).fit(folder), classifier(solver="lbfgs").fit(X, Y))


def test_memory_is_that_of_some_chunks(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(cuts, "_STREAMED_ENTRIES", 1 << 15)
    monkeypatch.setattr(rows, "_ENTRIES", 1 << 15)
    monkeypatch.setattr(streamed, "_SAMPLE_BYTES", 1 << 20)
    rng, n_samples = np.random.default_rng(0), 25_000
    columns = np.sort(rng.integers(0, 500, (n_samples, 60)) * 2 + 1, axis=1)
    columns += 1000 * np.arange(60)[None, :] // 60  # no column stands twice in a row
    matrix = sp.csr_array(
        (rng.random(60 * n_samples), columns.ravel(), np.arange(0, 60 * n_samples + 1, 60)), shape=(n_samples, 3000)
    )
    y = rng.integers(0, 3, n_samples)
    path = write_csr(tmp_path / "csr", matrix, y)
    n_bytes = sum(file.stat().st_size for file in path.iterdir())
    del matrix, columns
    lent, most, give = [0], [0], buffers.mmap.mmap

    def counting(number, size):
        raw = give(number, size)
        lent[0] += size
        most[0] = max(most[0], lent[0])
        weakref.finalize(raw, lambda: lent.__setitem__(0, lent[0] - size))
        return raw

    monkeypatch.setattr(buffers.mmap, "mmap", counting)
    classifier(solver="lbfgs", max_iter=1, tol=1e3).fit(path)  # imports, and what is kept for good
    gc.collect()
    most[0] = 0
    tracemalloc.start()
    classifier(solver="lbfgs", tol=1e-2).fit(path)
    peak = tracemalloc.get_traced_memory()[1] + most[0]
    tracemalloc.stop()
    assert n_bytes > 18_000_000
    assert 1_000_000 < most[0] < peak < n_bytes / 2, (most, peak)
