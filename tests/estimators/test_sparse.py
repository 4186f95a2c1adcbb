# SPDX-License-Identifier: BSD-3-Clause
"""The classifier on sparse data: the model that dense data give, in every form, and no zeros written out."""

import math
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import softmax_xp as sx
from softmax_xp.data import sparse
from softmax_xp.errors import InvalidValueError
from softmax_xp.estimators import convex_fit
from softmax_xp.estimators.problem import prepare_fit
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.solvers import SOLVERS
from tests.data.sparse_forms import FORMS, random_dense, snapshot

RNG = np.random.default_rng(17)
DENSE = random_dense(90, 11)
LABELS = np.asarray(["ant", "bee", "cat"])[RNG.integers(0, 3, DENSE.shape[0])]
SAMPLE_WEIGHT = RNG.uniform(0.0, 2.0, DENSE.shape[0])
TEXTS = [" ".join(RNG.choice(["red", "green", "blue", "dark", "light", "warm"], 4)) for _ in range(60)]
COLOURS = np.asarray(["red" in text for text in TEXTS], dtype=int) + 2 * np.asarray(["warm" in text for text in TEXTS])


def classifier(**parameters):
    return sx.SoftmaxClassifier(**{"tol": 1e-13, "device": "cpu", **parameters})


def answers(model, X):
    return {
        "decision_function": model.decision_function(X),
        "predict_proba": model.predict_proba(X),
        "predict_log_proba": model.predict_log_proba(X),
        "top": model.predict_top_k(X, 2).probabilities,
    }


@pytest.fixture
def never_dense(monkeypatch):
    """Make each way to write out a matrix's zeros an error."""

    def refuse(self, *arguments, **options):
        pytest.fail("a sparse matrix was made dense")

    for kind in (sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix, sp.coo_array, sp.coo_matrix):
        for name in ("toarray", "todense", "__array__"):
            monkeypatch.setattr(kind, name, refuse, raising=False)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_model_and_the_answers_of_dense_data(form):
    X = FORMS[form](DENSE)
    before = snapshot(X)
    ours, theirs = classifier().fit(X, LABELS), classifier().fit(DENSE, LABELS)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0.0, atol=1e-6)
    assert ours.n_features_in_ == DENSE.shape[1]
    assert ours.certificate_.bound <= 1e-13
    np.testing.assert_allclose(ours.certificate_.value, theirs.certificate_.value, rtol=1e-12)
    dense = answers(ours, DENSE)
    for name, answer in answers(ours, X).items():
        assert isinstance(answer, np.ndarray)
        np.testing.assert_allclose(answer, dense[name], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(ours.predict(X), ours.predict(DENSE))
    assert ours.score(X, LABELS) == ours.score(DENSE, LABELS)
    assert snapshot(X) == before


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "proximal"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_weight": "balanced"},
        {"fit_intercept": False},
        {"C": math.inf, "fit_intercept": False, "stopping": "gradient", "tol": 1e-9},
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_every_solver_and_option(solver, options, binary):
    y = LABELS == "bee" if binary else LABELS
    models = [
        classifier(solver=solver, **options).fit(X, y, sample_weight=SAMPLE_WEIGHT)
        for X in (sp.csc_matrix(DENSE), DENSE)
    ]
    assert models[0].solver_ == solver
    assert models[0].coef_.shape == ((1, 11) if binary else (3, 11))
    np.testing.assert_allclose(models[0].coef_, models[1].coef_, rtol=1e-6, atol=2e-6)


@pytest.mark.skipif("proximal" not in SOLVERS, reason="no solver for an L1 penalty")
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_lasso_and_elastic_net(l1_ratio):
    ours, theirs = (
        classifier(l1_ratio=l1_ratio, C=0.5, tol=1e-12).fit(X, LABELS) for X in (sp.csr_array(DENSE), DENSE)
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0.0, atol=1e-5)
    np.testing.assert_array_equal(ours.coef_ == 0.0, theirs.coef_ == 0.0)


def test_soft_targets():
    soft = RNG.dirichlet(np.ones(3), DENSE.shape[0])
    ours, theirs = (classifier().fit(X, soft) for X in (sp.csr_array(DENSE), DENSE))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0.0, atol=1e-6)


def test_the_model_is_scikit_learns():
    X = sp.csr_matrix(DENSE)
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=10000).fit(X, LABELS)
    ours = classifier(C=2.0).fit(X, LABELS)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg"])
@pytest.mark.usefixtures("never_dense")
def test_neither_fit_nor_prediction_writes_out_zeros_and_float32_stays(solver, monkeypatch):
    monkeypatch.setattr(sparse, "_CHUNK_PRODUCTS", 1)
    # Enough coefficients that an explicit Hessian does not pay.
    X = sp.random_array((200, 300), density=0.05, format="csr", dtype=np.float32, rng=np.random.default_rng(2))
    y = RNG.integers(0, 3, 200)
    model = classifier(solver=solver, tol=1e-4).fit(X, y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    for answer in answers(model, X).values():
        assert answer.dtype == np.float32
    model.predict(X.tocsc())
    model.score(X, y)


def test_an_integer_matrix_is_computed_in_float64():
    counts = np.round(4 * np.abs(DENSE)).astype(np.int32)
    ours, theirs = (classifier().fit(X, LABELS) for X in (sp.csr_array(counts), counts))
    assert ours.coef_.dtype == np.float64
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(sp.csc_array(counts)), ours.predict_proba(counts), rtol=1e-12)


def test_features_that_never_occur_cost_nothing(monkeypatch):
    """Hashed text has a million features, of which a few thousand occur."""
    columns = np.sort(RNG.choice(2**20, 10, replace=False))
    where = np.flatnonzero(np.any(DENSE != 0.0, axis=0))
    small = sp.coo_array(DENSE[:, where])
    wide = sp.csr_array((small.data, (small.row, columns[small.col])), shape=(DENSE.shape[0], 2**20))
    shapes = []
    made = convex_fit.convex_objective
    monkeypatch.setattr(
        convex_fit, "convex_objective", lambda *arguments: (found := made(*arguments), shapes.append(found.shape))[0]
    )
    model, plain = classifier().fit(wide, LABELS), classifier().fit(DENSE[:, where], LABELS)
    assert shapes == [(11, 3), (11, 3)]
    assert model.coef_.shape == (3, 2**20)
    np.testing.assert_allclose(model.coef_[:, columns], plain.coef_, atol=1e-6)
    assert np.count_nonzero(model.coef_) == plain.coef_.size
    again = classifier(warm_start=True).fit(wide, LABELS)
    again.fit(wide, LABELS)
    assert again.n_iter_[0] <= 1
    np.testing.assert_allclose(again.coef_, model.coef_, atol=1e-6)


def test_most_features_occurring_stay_as_they_are():
    problem = prepare_fit(classifier(), FitSettings.of(classifier()), sp.csr_array(DENSE), LABELS, None)
    assert convex_fit._occurring_features(problem.linear) is None


def test_a_warm_start_begins_at_the_coefficients():
    model = classifier(warm_start=True).fit(sp.csr_array(DENSE), LABELS)
    coef = model.coef_.copy()
    model.fit(sp.csc_matrix(DENSE), LABELS)
    assert model.n_iter_[0] <= 1
    np.testing.assert_allclose(model.coef_, coef, atol=1e-6)


def test_two_fits_give_the_same_bits_whatever_the_form():
    models = [
        classifier().fit(FORMS[form](DENSE), LABELS) for form in ("csr_matrix", "int64 csc_array", "unsorted csr")
    ]
    for model in models[1:]:
        np.testing.assert_array_equal(model.coef_, models[0].coef_)


@pytest.mark.parametrize("covariance", ["model", "sandwich"])
def test_the_summary_is_that_of_dense_data(covariance):
    model = classifier().fit(sp.csr_array(DENSE), LABELS)
    ours, theirs = (model.summary(X, LABELS, covariance=covariance) for X in (sp.csc_array(DENSE), DENSE))
    assert str(ours) == str(theirs)


@pytest.mark.parametrize("vectorizer", [TfidfVectorizer(), HashingVectorizer(), HashingVectorizer(n_features=2**22)])
def test_text_in_a_pipeline(vectorizer):
    model = make_pipeline(vectorizer, classifier(tol=1e-6, C=100.0)).fit(TEXTS, COLOURS)
    assert model.score(TEXTS, COLOURS) == 1.0
    assert pickle.loads(pickle.dumps(model)).predict(TEXTS[:3]).tolist() == COLOURS[:3].tolist()


@pytest.mark.parametrize("method", ["fit", "predict", "predict_proba"])
def test_what_is_wrong_with_sparse_data_is_said(method):
    model = classifier().fit(DENSE, LABELS)
    call = (lambda X: model.fit(X, LABELS)) if method == "fit" else getattr(model, method)
    bad = DENSE.copy()
    bad[7, 3] = np.inf
    with pytest.raises(InvalidValueError, match="`X` must be finite; got inf at row 7, column 3"):
        call(sp.csc_matrix(bad))
    with pytest.raises(InvalidValueError, match="`X` must hold real numbers; got.*complex"):
        call(sp.csr_array(DENSE * 1j))
    if method != "fit":
        with pytest.raises(InvalidValueError, match="10 features"):
            call(sp.csr_array(DENSE[:, :10]))
