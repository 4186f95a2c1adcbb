# SPDX-License-Identifier: BSD-3-Clause
"""The classifier: scikit-learn's coefficients, weights that count as repetitions, and where results live."""

import copy
import io
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import softmax_xp as sx
from softmax_xp import SoftmaxClassifier
from softmax_xp.backend import backend_of, to_host
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPError
from softmax_xp.estimators.reporting import NotConvergedWarning
from softmax_xp.solvers import SOLVERS
from tests.estimators.samples import blobs, soft
from tests.house.source import ROOT

SMOOTH = [name for name in SOLVERS if name != "proximal"]


def tight(**params):
    return SoftmaxClassifier(**{"tol": 1e-13, "device": "cpu", **params})


def reference(X, y, sample_weight=None, **params):
    """Fit scikit-learn's most exact solver."""
    peer = LogisticRegression(**{"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000, **params})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its line search ends at the rounding errors
        return peer.fit(X, y, sample_weight)


def assert_same_model(ours, theirs, *, atol=1e-6):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=atol)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=atol)
    assert ours.coef_.shape == theirs.coef_.shape


@pytest.mark.parametrize("solver", ["auto", *SMOOTH])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_coefficients_are_scikit_learns(solver, n_classes, fit_intercept):
    X, y = blobs(n_classes=n_classes)
    weight = np.random.default_rng(3).uniform(0.5, 2.0, size=len(y))
    params = {"C": 0.7, "fit_intercept": fit_intercept, "class_weight": {0: 2.0}}
    ours = tight(solver=solver, **params).fit(X, y, weight)
    theirs = reference(X, y, weight, **params)
    assert_same_model(ours, theirs)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-5)
    assert ours.score(X, y, weight) == pytest.approx(theirs.score(X, y, weight))
    assert ours.status_ == "certified"
    assert ours.solver_ == (solver if solver != "auto" else ours.solver_)
    assert ours.certificate_.bound <= 1e-13


@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_penalty_is_scikit_learns_too(n_classes):
    X, y = blobs(n_classes=n_classes)
    ours = tight(C=np.inf).fit(X, y)
    assert_same_model(ours, reference(X, y, C=np.inf))
    assert ours.status_ == "gradient"
    assert ours.certificate_.bound == np.inf


@pytest.mark.skipif("proximal" not in SOLVERS, reason="no solver for an L1 penalty")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_an_l1_penalty_is_scikit_learns(l1_ratio, n_classes):
    X, y = blobs(n_classes=n_classes)
    params = {"C": 0.05, "l1_ratio": l1_ratio}
    ours = tight(**params).fit(X, y)
    theirs = LogisticRegression(**params, solver="saga", tol=1e-12, max_iter=100_000, random_state=0).fit(X, y)
    assert ours.solver_ == "proximal"
    assert_same_model(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(ours.coef_ == 0.0, theirs.coef_ == 0.0)
    assert (ours.coef_ == 0.0).any()


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 2: 0.5}])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_weight_is_a_number_of_repetitions(solver, class_weight, n_classes):
    X, y = blobs(n_classes=n_classes)
    counts = np.random.default_rng(2).integers(0, 4, size=len(y))
    class_weight = {0: 3.0} if n_classes == 2 and isinstance(class_weight, dict) else class_weight
    weighted = tight(solver=solver, class_weight=class_weight).fit(X, y, counts)
    repeated = tight(solver=solver, class_weight=class_weight).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert_same_model(weighted, repeated)
    assert weighted.certificate_.value == pytest.approx(repeated.certificate_.value, rel=1e-12)


@pytest.mark.parametrize("size", [50.0, 1e12, 1e300])
@pytest.mark.parametrize("solver", ["auto", "lbfgs", "proximal", "adam"])
def test_a_sample_of_weight_0_is_as_if_absent(solver, size):
    X, y = blobs()
    weight = np.random.default_rng(4).uniform(size=len(y))
    weight[::3] = 0.0
    X_odd = X.copy()
    X_odd[::3] *= size
    params = {"solver": solver, "random_state": 0, "batch_size": 8, "max_iter": 30}
    params |= {"learning_rate": 0.1} if solver == "adam" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        kept = tight(**params).fit(X_odd, y, weight)
        absent = tight(**params).fit(
            np.delete(X, np.s_[::3], 0), np.delete(y, np.s_[::3]), np.delete(weight, np.s_[::3])
        )
    assert_same_model(kept, absent)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_balanced_class_weights_are_scikit_learns(n_classes):
    X, y = blobs(n_classes=n_classes)
    y[y == 1] = np.where(np.arange((y == 1).sum()) % 2, 1, 0)
    weight = np.random.default_rng(5).uniform(size=len(y))
    ours = tight(class_weight="balanced").fit(X, y, weight)
    assert_same_model(ours, reference(X, y, weight, class_weight="balanced"))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 2.0}])
def test_one_hot_soft_targets_are_labels(n_classes, class_weight):
    X, y = blobs(n_classes=n_classes)
    weight = np.random.default_rng(6).uniform(size=len(y))
    hard = tight(class_weight=class_weight).fit(X, y, weight)
    onehot = tight(class_weight=class_weight).fit(X, np.eye(n_classes)[y], weight)
    assert_same_model(onehot, hard)
    assert onehot.classes_.tolist() == list(range(n_classes))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_soft_targets_are_each_class_with_its_share_as_weight(n_classes):
    X, _ = blobs(n_classes=n_classes)
    targets = soft(len(X), n_classes)
    ours = tight().fit(X, targets)
    X_each = np.repeat(X, n_classes, axis=0)
    theirs = reference(X_each, np.tile(np.arange(n_classes), len(X)), targets.ravel())
    assert_same_model(ours, theirs)


def test_a_summary_reads_soft_targets_as_the_fit_did():
    pandas = pytest.importorskip("pandas")
    X, targets = blobs()[0], soft()
    frame = pandas.DataFrame(targets, columns=["c", "a", "b"])
    expected = tight().fit(X, targets[:, [1, 2, 0]]).summary(X, targets[:, [1, 2, 0]], covariance="sandwich")
    named = tight().fit(X, frame)
    given = tight().fit(X, targets, classes=["c", "a", "b"])
    for found in (
        named.summary(X, frame, covariance="sandwich"),
        given.summary(X, targets, covariance="sandwich", classes=["c", "a", "b"]),
    ):
        np.testing.assert_allclose(found.standard_error, expected.standard_error, rtol=1e-5)
    with pytest.raises(InvalidValueError, match=r"`y` must have the classes of the fit; got \['d'\] besides"):
        named.summary(X, np.asarray(["a", "d"] * 45))


def test_soft_targets_may_name_their_classes_in_any_order():
    X, _ = blobs()
    targets = soft(len(X))
    plain = tight().fit(X, targets)
    named = tight().fit(X, targets[:, [2, 0, 1]], classes=["c", "a", "b"])
    assert named.classes_.tolist() == ["a", "b", "c"]
    assert_same_model(named, plain)
    pandas = pytest.importorskip("pandas")
    framed = tight().fit(X, pandas.DataFrame(targets[:, [1, 2, 0]], columns=["b", "c", "a"]))
    assert framed.classes_.tolist() == ["a", "b", "c"]
    assert_same_model(framed, plain)


def test_classes_may_name_some_that_have_no_sample():
    X, y = blobs()
    classifier = tight(C=0.1).fit(X, y, classes=[3, 2, 1, 0])
    assert classifier.classes_.tolist() == [0, 1, 2, 3]
    assert classifier.coef_.shape == (4, 4)
    assert not (classifier.predict(X) == 3).any()
    with pytest.raises(InvalidValueError, match="unknown label 2"):
        tight().fit(X, y, classes=[0, 1])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "c"], ["a", "b", "c"]),
        ([2.0, -1.0, 7.0], [-1.0, 2.0, 7.0]),
        ([1, "1", 0], [0, 1, "1"]),
        (["ü", "𝛼", "z"], ["z", "ü", "𝛼"]),
        ([False, True, False], [False, True]),
    ],
)
def test_labels_of_any_kind_come_back(labels, classes):
    X, y = blobs()
    names = [labels[code] for code in y]
    classifier = tight().fit(X, names)
    assert classifier.classes_.tolist() == classes
    assert set(classifier.predict(X).tolist()) <= set(labels)
    assert classifier.score(X, names) > 0.5
    probabilities = classifier.predict_proba(X)
    assert [classes[place] for place in probabilities.argmax(axis=1)] == classifier.predict(X).tolist()


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "adam"])
def test_results_live_where_X_lives(backend, solver):
    X, y = blobs()
    params = {"solver": solver, "random_state": 0} | (
        {"learning_rate": 0.1, "max_iter": 20} if solver == "adam" else {}
    )
    here = tight(**params, batch_size=30, callbacks=[lambda row: row.get("epoch", 0) >= 10]).fit(X, y, np.ones(len(y)))
    there = clone(here).set_params(device="auto")
    there.fit(backend.asarray(X), backend.asarray(y), backend.asarray(np.ones(len(y))))
    for name in ("coef_", "intercept_", "n_iter_"):
        array = getattr(there, name)
        assert backend_of(array).xp is backend.xp
        assert backend_of(array).device == backend.device
    np.testing.assert_allclose(backend.to_numpy(there.coef_), here.coef_, atol=1e-6)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        answer = getattr(there, method)(backend.asarray(X))
        assert backend_of(answer).device == backend.device
        np.testing.assert_allclose(backend.to_numpy(answer), getattr(here, method)(X), atol=1e-5)
    assert there.score(backend.asarray(X), backend.asarray(y)) == here.score(X, y)


def test_a_model_of_another_library_predicts_for_numpy(backend):
    X, y = blobs()
    classifier = SoftmaxClassifier().fit(backend.asarray(X), y)
    answer = classifier.predict_proba(X)
    assert type(answer) is np.ndarray
    np.testing.assert_allclose(answer, backend.to_numpy(classifier.predict_proba(backend.asarray(X))), rtol=1e-12)


def test_the_device_may_be_chosen(backend):
    X, y = blobs()
    name = backend_of(backend.asarray(X)).name
    if name.startswith("array_api_strict"):
        pytest.skip("array-api-strict has no device string")
    classifier = tight(device=name).fit(X, y)
    assert type(classifier.coef_) is np.ndarray
    assert_same_model(classifier, tight().fit(X, y))


def test_scikit_learns_dispatch_makes_it_strict(monkeypatch):
    strict = pytest.importorskip("array_api_strict")
    X, y = blobs()
    classifier = SoftmaxClassifier().fit(strict.asarray(X), y)
    monkeypatch.setattr("softmax_xp.estimators.validation.get_config", lambda: {"array_api_dispatch": True})
    classifier.predict(strict.asarray(X))
    text = r"Inputs passed to SoftmaxClassifier.predict\(\) must use the same namespace"
    with pytest.raises(InvalidValueError, match=text):
        classifier.predict(X)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool", ">f8", ">f4"])
def test_the_float_follows_the_data(dtype):
    X, y = blobs()
    X = (np.abs(X) * 2).astype(dtype)
    classifier = SoftmaxClassifier(C=0.1, device="cpu").fit(X, y)
    expected = "float32" if dtype in {"float16", "float32", ">f4"} else "float64"
    assert classifier.coef_.dtype == classifier.intercept_.dtype == expected
    assert classifier.predict_proba(X).dtype == expected
    wide = SoftmaxClassifier(C=0.1, device="cpu", tol=1e-10).fit(X.astype("float64"), y)
    np.testing.assert_allclose(classifier.predict_proba(X), wide.predict_proba(X.astype("float64")), atol=3e-2)
    assert SoftmaxClassifier(C=0.1, device="cpu", dtype="float32").fit(X, y).coef_.dtype == "float32"


@pytest.mark.parametrize("order", ["C", "F", "strided", "reversed"])
def test_the_memory_layout_does_not_matter(order):
    X, y = blobs()
    expected = tight().fit(X, y)
    laid = {
        "C": np.ascontiguousarray(X),
        "F": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=1)[:, ::2],
        "reversed": X[::-1].copy()[::-1],
    }[order]
    laid.flags.writeable = False
    assert_same_model(tight().fit(laid, y), expected, atol=1e-9)


def test_tensors_that_want_gradients_are_plain_data():
    torch = pytest.importorskip("torch")
    X, y = blobs()
    weight = np.ones(len(y))
    tensors = [torch.asarray(values, requires_grad=True) for values in (X, soft(len(X)), weight)]
    classifier = tight().fit(*tensors).partial_fit(*tensors[:2], None, tensors[2])
    assert not classifier.coef_.requires_grad
    assert not classifier.predict_proba(tensors[0]).requires_grad
    assert tensors[0].requires_grad


def test_frames_give_their_names():
    X, y = blobs()
    names = ["a", "b", "c", "d"]
    for library in ("pandas", "polars"):
        frames = pytest.importorskip(library)
        frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
        classifier = tight().fit(
            frame, frames.Series(values=[str(code) for code in y], name="y") if library == "polars" else y
        )
        assert classifier.feature_names_in_.tolist() == names
        assert classifier.feature_names_in_.dtype == object
        assert_same_model(classifier, tight().fit(X, y))
        with pytest.raises(InvalidValueError, match="feature names should match"):
            classifier.predict(frame[names[::-1]])
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            classifier.predict(X)


def test_a_column_of_labels_is_ravelled_with_a_warning():
    X, y = blobs()
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        classifier = tight().fit(X, y[:, None])
    assert_same_model(classifier, tight().fit(X, y))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky"])
def test_a_warm_start_at_the_optimum_takes_no_iteration(solver, n_classes):
    X, y = blobs(n_classes=n_classes)
    classifier = tight(solver=solver, warm_start=True, tol=1e-10).fit(X, y)
    first = classifier.coef_.copy()
    cold = int(classifier.n_iter_[0])
    classifier.fit(X, y)
    assert classifier.n_iter_[0] <= 1 < cold
    np.testing.assert_allclose(classifier.coef_, first, atol=1e-5)


def test_a_warm_start_survives_other_classes():
    X, y = blobs(n_classes=4)
    names = np.asarray(["d", "b", "a", "c"])[y]
    some = names != "b"
    classifier = tight(warm_start=True).fit(X[some], names[some])
    classifier.set_params(max_iter=1, tol=1e3).fit(X, names)
    assert classifier.classes_.tolist() == ["a", "b", "c", "d"]
    assert classifier.n_iter_[0] == 0
    # The columns that were there are there still; the new one is zero.
    np.testing.assert_array_equal(classifier.coef_[1], 0.0)
    assert np.abs(classifier.coef_[[0, 2, 3]]).min() > 0
    for kept in (["a", "b"], ["b", "c", "d"]):
        chosen = np.isin(names, kept)
        again = copy.deepcopy(classifier).set_params(tol=1e-13, max_iter=1000).fit(X[chosen], names[chosen])
        assert_same_model(again, tight().fit(X[chosen], names[chosen]))


def test_a_warm_start_needs_as_many_features():
    X, y = blobs()
    classifier = tight(warm_start=True).fit(X, y)
    with pytest.raises(InvalidValueError, match="must have the 4 features of the coefficients for a warm start; got 3"):
        classifier.fit(X[:, :3], y)
    assert classifier.n_features_in_ == 4


def test_a_fit_that_fails_leaves_the_old_one():
    X, y = blobs()
    classifier = tight().fit(X, y)
    before = dict(vars(classifier))
    for X_bad, y_bad in [(X[:, :2], y[:-1]), (X[:, :2] * np.nan, y), (X[:, :3], np.zeros(len(y)))]:
        with pytest.raises(InvalidValueError):
            classifier.fit(X_bad, y_bad)
        assert vars(classifier) == before

    def broken(row):
        msg = "mine"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="mine"):
        classifier.set_params(callbacks=[broken]).fit(X[:, :2], y)
    assert classifier.n_features_in_ == 4


def test_pickle_clone_and_copy_keep_what_they_should():
    X, y = blobs()
    classifier = SoftmaxClassifier(C=0.5, class_weight={0: 2.0}, random_state=1, device="cpu").fit(X, y)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    assert again.certificate_ == classifier.certificate_
    assert again.status_ == classifier.status_
    assert str(again.history_) == str(classifier.history_)
    fresh = clone(classifier)
    assert fresh.get_params() == classifier.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    with pytest.raises(SoftmaxXPError, match="is not fitted yet. Call `fit` or `partial_fit` first"):
        fresh.save("nowhere")


def test_it_works_in_pipelines_and_searches():
    X, y = blobs()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), SoftmaxClassifier(device="cpu")), {"softmaxclassifier__C": [0.1, 1]}
    )
    search.fit(X, y)
    assert search.best_score_ > 0.5


def test_features_of_any_size_converge():
    X, y = blobs()
    for scale in (1e-30, 1e30):
        # Features that are larger by a factor want coefficients smaller by it, whose squares the penalty must then ...
        classifier = tight(C=1.0 / scale**2).fit(X * scale, y)
        # ... weigh by its square.
        np.testing.assert_allclose(classifier.coef_ * scale, tight().fit(X, y).coef_, atol=1e-6)
    columns = np.asarray([1e4, 1.0, 1e-3, 1e2])
    assert tight(tol=1e-9).fit(X * columns, y).status_ == "certified"


@pytest.mark.parametrize("fit", ["auto", "newton-cg", "proximal", "adam", "path"])
def test_what_is_certified_is_what_the_coefficients_say(fit):
    """Far from the origin the biases are so large that rounding them once more would make another model."""
    rng = np.random.default_rng(5)
    Z = rng.integers(-4, 5, (60, 1))
    y = np.argmax(2 * Z @ rng.standard_normal((1, 3)) + rng.gumbel(size=(60, 3)), axis=1)
    X = (Z + 3000.0).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if fit == "path":
            path = sx.softmax_path(X, y, [1.0], tol=1e-8, device="cpu")
            coef, intercept, certificate = path.coefs[0], path.intercepts[0], path.certificates[0]
        else:
            params = {"max_iter": 2, "learning_rate": 1e-6} if fit == "adam" else {}
            classifier = SoftmaxClassifier(solver=fit, tol=1e-8, device="cpu", **params).fit(X, y)
            coef, intercept, certificate = classifier.coef_, classifier.intercept_, classifier.certificate_
    logits = X.astype(np.longdouble) @ coef.T.astype(np.longdouble) + intercept
    loss = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1) - logits[np.arange(60), y]
    value = loss.mean() + (coef.astype(np.longdouble) ** 2).sum() / (2 * 60)
    assert abs(intercept.astype(float).sum()) <= 1e-6 * abs(intercept).max()
    np.testing.assert_allclose(float(value), certificate.value, rtol=1e-11)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg", "newton-cholesky", "proximal"])
@pytest.mark.parametrize("scale", [1e160, 1e300])
def test_features_too_large_for_their_squares_end_in_a_warning_or_an_error(solver, scale):
    X, y = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        try:
            classifier = SoftmaxClassifier(solver=solver, device="cpu").fit(X * scale, y)
        except InvalidValueError as error:
            assert "`X`" in str(error)  # noqa: PT017 - both ends are right
        else:
            assert classifier.status_ == "floor"
            assert np.isfinite(classifier.coef_).all()


@pytest.mark.parametrize("factor", [10.0, 30.0])
@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_a_warm_start_where_nothing_bends_finds_the_way(solver, factor):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2))
    y = (X[:, 0] > 0).astype(int)
    warm = SoftmaxClassifier(C=1e4, warm_start=True, solver=solver, device="cpu").fit(X, y).fit(factor * X, 1 - y)
    assert warm.status_ == "certified"


def test_features_at_the_limit_of_their_float_and_far_below_it():
    X, y = blobs()
    with pytest.warns(NotConvergedWarning):
        largest = SoftmaxClassifier(device="cpu").fit((X / abs(X).max() * 3.2e38).astype(np.float32), y)
    assert np.isfinite(largest.coef_).all()
    smallest = SoftmaxClassifier(C=1e44, device="cpu").fit((X * 1e-30).astype(np.float32), y)
    assert smallest.status_ == "certified"


@pytest.mark.parametrize("shape", [(5, 40), (60, 1)])
def test_narrow_and_wide_data(shape):
    X, y = blobs(*shape)
    y[:3] = [0, 1, 2]
    assert_same_model(tight().fit(X, y), reference(X, y, solver="newton-cg"), atol=1e-5)


def test_many_classes_of_two_samples_each():
    X, _ = blobs(600, 20)
    y = np.arange(600) % 300
    classifier = SoftmaxClassifier(C=1.0, device="cpu").fit(X, y)
    assert classifier.status_ == "certified"
    assert classifier.coef_.shape == (300, 20)


def test_separable_data_without_a_penalty_end_with_a_warning():
    X, y = np.asarray([[0.0], [1.0], [3.0], [4.0]]), np.asarray([0, 0, 1, 1])
    with pytest.warns(NotConvergedWarning, match="No minimum exists: the classes are linearly separable") as caught:
        classifier = SoftmaxClassifier(C=np.inf, device="cpu").fit(X, y)
    assert issubclass(caught[0].category, ConvergenceWarning)
    assert caught[0].filename == __file__
    assert np.isfinite(classifier.coef_).all()


def test_too_few_iterations_are_a_warning_with_advice():
    X, y = blobs()
    with pytest.warns(ConvergenceWarning, match="Increase `max_iter`, or scale the features") as caught:
        classifier = SoftmaxClassifier(max_iter=1, solver="lbfgs", tol=1e-12, device="cpu").fit(X, y)
    assert caught[0].filename == __file__
    assert classifier.status_ == "max_iter"
    with pytest.warns(ConvergenceWarning, match="The fit did not converge"):
        floor = SoftmaxClassifier(tol=0.0, solver="lbfgs", device="cpu").fit(X.astype("float32"), y)
    assert floor.status_ in {"floor", "max_iter"}


def test_the_gradient_may_be_what_tol_means():
    X, y = blobs()
    classifier = tight(stopping="gradient", tol=1e-3, solver="lbfgs").fit(X, y)
    assert classifier.status_ == "gradient"
    assert 1e-9 < classifier.certificate_.gradient_norm <= 1e-3


def test_the_history_has_a_row_for_each_iteration():
    X, y = blobs()
    classifier = tight(solver="lbfgs").fit(X, y)
    assert len(classifier.history_) == classifier.n_iter_[0] + 1
    assert classifier.history_["value"][-1] == pytest.approx(classifier.certificate_.value)
    assert repr(classifier.history_) == f"History({len(classifier.history_)} iterations, completed)"
    total = len(y) * reference(X, y).C
    theirs = reference(X, y)
    log_proba = theirs.predict_log_proba(X)[np.arange(len(y)), y]
    value = (-log_proba.sum() + 0.5 * (theirs.coef_**2).sum()) / total
    assert classifier.certificate_.value == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_a_callback_sees_each_row_and_may_end_the_fit(solver):
    X, y = blobs()
    rows = []

    def after_three(row):
        rows.append(dict(row))
        return len(rows) == 3

    classifier = tight(solver=solver, callbacks=after_three, batch_size=16, random_state=0).fit(X, y)
    assert classifier.status_ == "stopped"
    assert rows == classifier.history_.rows
    assert classifier.history_.status == "stopped"


def test_verbose_prints_a_line_for_each_row(capsys):
    X, y = blobs()
    classifier = tight(verbose=1, solver="lbfgs").fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(classifier.history_)
    assert "iteration 1" in lines[1]
    tight().fit(X, y)
    assert not capsys.readouterr().out


def test_an_interrupt_keeps_the_last_full_iteration():
    X, y = blobs()

    def interrupt(row):
        if row["iteration"] == 2:
            raise KeyboardInterrupt

    with pytest.warns(NotConvergedWarning, match="interrupted"):
        classifier = tight(solver="lbfgs", callbacks=[interrupt]).fit(X, y)
    assert classifier.status_ == classifier.history_.status == "interrupted"
    assert classifier.score(X, y) > 0.4


def test_inputs_are_not_written_to():
    X, y = blobs()
    weight = np.ones(len(y))
    for array in (X, y, weight):
        array.flags.writeable = False
    tight(class_weight={0: 2.0}).fit(X, y, weight).partial_fit(X, y, None, weight).predict(X)


def test_summary_is_that_of_the_coefficients():
    X, y = blobs(n_classes=3)
    names = np.asarray(["x", "y", "z"])[y]
    classifier = tight(C=np.inf).fit(X, names)
    table = classifier.summary(X, names)
    assert table.classes
    assert "x0" in str(table)
    weighted = tight(C=2.0, class_weight={"x": 2.0}).fit(X, names)
    by_class = weighted.summary(X, names)
    by_sample = tight(C=2.0).fit(X, names, np.where(names == "x", 2.0, 1.0))
    by_weight = by_sample.summary(X, names, np.where(names == "x", 2.0, 1.0))
    np.testing.assert_allclose(by_class.standard_error, by_weight.standard_error, rtol=1e-5)
    hot = weighted.summary(X, np.eye(3)[y])
    np.testing.assert_allclose(hot.standard_error, by_weight.standard_error, rtol=1e-5)


def test_importing_the_package_brings_no_scikit_learn():
    script = (
        "import sys, softmax_xp; assert 'sklearn' not in sys.modules; assert 'SoftmaxClassifier' in dir(softmax_xp); "
        "softmax_xp.SoftmaxClassifier; assert 'sklearn' in sys.modules; "
        "from softmax_xp import SoftmaxClassifier; assert softmax_xp.SoftmaxClassifier is SoftmaxClassifier"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    with pytest.raises(AttributeError, match="has no attribute 'SoftmaxClassifie'"):
        sx.SoftmaxClassifie  # noqa: B018


class TestBadInput:
    """Each is an error of this package and the builtin that fits, before any work."""

    @pytest.mark.parametrize(
        ("change", "kind", "text"),
        [
            (
                lambda X, y: (np.where(X[3, 1] == X, np.nan, X), y),
                ValueError,
                "got NaN at row 3, column 1",
            ),
            (lambda X, y: (np.where(X[0, 2] == X, -np.inf, X), y), ValueError, "got -inf at row 0, column 2"),
            (lambda X, y: (X + 0j, y), ValueError, "Complex data not supported"),
            (lambda X, y: (X.astype(str), y), TypeError, "`X` must hold numbers; got text"),
            (
                lambda X, y: (X.astype(str).astype(object), y),
                TypeError,
                "must hold real numbers; got '.*' of type str",
            ),
            (lambda X, y: (X[:, 0], y), ValueError, "Reshape your data"),
            (
                lambda X, y: (X[None], y),
                ValueError,
                r"must have shape .*; got shape \(1, 90, 4\)",
            ),
            (lambda X, y: (X[:0], y[:0]), ValueError, r"found 0 sample\(s\)"),
            (lambda X, y: (X[:, :0], y), ValueError, r"0 feature\(s\) \(shape=\(90, 0\)\) while a minimum of 1"),
            (lambda X, y: ([[1.0, 2.0], [3.0]], y[:2]), ValueError, "must have shape"),
            (lambda X, y: (np.ma.masked_less(X, 0), y), ValueError, "must have no masked value"),
            (lambda X, y: (X.astype("datetime64[s]"), y), TypeError, "must hold real numbers"),
            (lambda X, y: (X, None), ValueError, "requires y to be passed, but the target y is None"),
            (lambda X, y: (X, y[:-1]), ValueError, "`y` must have one entry per sample"),
            (lambda X, y: (X, np.zeros(90)), ValueError, "got one class, 0.0"),
            (lambda X, y: (X, X[:, 0]), ValueError, "Unknown label type: continuous"),
            (lambda X, y: (X, np.where(y == 0, np.nan, y)), ValueError, "must hold no missing label; got NaN"),
            (lambda X, y: (X, np.eye(3, dtype=int)[y]), ValueError, "soft targets: floats whose rows sum to 1"),
            (lambda X, y: (X, np.eye(3)[y] * 2), ValueError, "`y` must have rows that sum to 1"),
            (
                lambda X, y: (X, np.eye(3)[y] - 0.0 + np.array([0.5, -0.5, 0])),
                ValueError,
                "must be finite and not negative",
            ),
            (lambda X, y: (X, np.eye(3)[y][:-1]), ValueError, "one entry per sample"),
            (lambda X, y: (X, y[:, None, None]), ValueError, "must have shape"),
            (lambda X, y: (X, [object()] * 90), TypeError, "numbers or strings"),
        ],
    )
    def test_data(self, change, kind, text):
        X, y = change(*blobs())
        for fit in (SoftmaxClassifier(device="cpu").fit, SoftmaxClassifier(device="cpu").partial_fit):
            with pytest.raises(kind, match=text) as caught:
                fit(X, y)
            assert isinstance(caught.value, SoftmaxXPError)

    @pytest.mark.parametrize(
        ("weight", "kind", "text"),
        [
            (-1.0, ValueError, "must be finite and not negative; got -1 at row 7"),
            (np.nan, ValueError, "got NaN at row 7"),
            (np.inf, ValueError, "got inf at row 7"),
        ],
    )
    def test_one_weight(self, weight, kind, text):
        X, y = blobs()
        weights = np.ones(len(y))
        weights[7] = weight
        with pytest.raises(kind, match=text):
            SoftmaxClassifier(device="cpu").fit(X, y, weights)

    def test_all_weights(self):
        X, y = blobs()
        with pytest.raises(InvalidValueError, match="must have a positive entry; got 90 zeros"):
            SoftmaxClassifier(device="cpu").fit(X, y, np.zeros(90))
        with pytest.raises(InvalidValueError, match=r"must have shape \(90,\)"):
            SoftmaxClassifier(device="cpu").fit(X, y, np.ones((90, 2)))
        with pytest.raises(InvalidTypeError, match="must hold real numbers"):
            SoftmaxClassifier(device="cpu").fit(X, y, np.ones(90, dtype=complex))

    def test_values_that_fit_only_the_wider_float(self):
        X, y = blobs()
        X[3, 2] = 1e300
        with pytest.raises(InvalidValueError, match=r"must fit float32; got a value of size 1e\+300. Scale it"):
            SoftmaxClassifier(device="cpu", dtype="float32").fit(X, y)

    def test_predictions(self):
        X, y = blobs()
        classifier = SoftmaxClassifier(device="cpu").fit(X, y)
        with pytest.raises(InvalidValueError, match="X has 2 features, but SoftmaxClassifier is expecting 4 features"):
            classifier.predict(X[:, :2])
        with pytest.raises(InvalidValueError, match="Reshape your data"):
            classifier.predict_proba(X[0])
        with pytest.raises(InvalidValueError, match="got NaN at row 0"):
            classifier.decision_function(X * np.nan)
        with pytest.raises(NotFittedError, match="not fitted yet"):
            SoftmaxClassifier().decision_function(X)


def test_a_buffer_in_a_file_is_read_in_place(tmp_path):
    X, y = blobs()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_same_model(tight().fit(mapped, y), tight().fit(X, y), atol=1e-12)
    assert io.BytesIO(pickle.dumps(tight().fit(mapped, y))).getbuffer().nbytes > 0


def test_sparse_data_are_dense_data():
    sparse = pytest.importorskip("scipy.sparse")
    X, y = blobs()
    X[np.abs(X) < 0.7] = 0.0
    expected = tight().fit(X, y)
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        classifier = tight().fit(kind(X), y)
        assert_same_model(classifier, expected, atol=1e-6)
        np.testing.assert_allclose(classifier.predict_proba(kind(X)), expected.predict_proba(X), atol=1e-6)
        assert type(classifier.predict(kind(X))) is np.ndarray
    with pytest.raises(InvalidTypeError, match="must be dense for minibatches; got a sparse array"):
        tight(solver="adam").fit(sparse.csr_array(X), y)
    assert to_host(classifier.coef_) is classifier.coef_
