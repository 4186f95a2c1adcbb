# SPDX-License-Identifier: BSD-3-Clause
"""`partial_fit`: rows as they come, classes that are new, and an optimizer that remembers."""

import copy
import pickle

import numpy as np
import pytest

from softmax_xp import SGD, Adam, SoftmaxClassifier
from softmax_xp.backend import backend_of
from softmax_xp.errors import InvalidTypeError, InvalidValueError, TrainingDivergedError
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.training import batch
from tests.estimators.samples import blobs


def streaming(**params):
    defaults = {"solver": "adam", "learning_rate": 0.05, "batch_size": 16, "random_state": 0, "device": "cpu"}
    return SoftmaxClassifier(**(defaults | params))


def test_passes_over_the_data_learn_them():
    X, y = blobs()
    classifier = streaming()
    for call in range(100):
        assert classifier.partial_fit(X, y) is classifier
        assert classifier.n_iter_.tolist() == [call + 1]
    exact = SoftmaxClassifier(C=100.0, device="cpu").fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), exact.predict_proba(X), atol=0.2)
    assert classifier.score(X, y) > exact.score(X, y) - 0.05
    assert classifier.status_ == "partial"
    assert classifier.certificate_ is None
    assert classifier.history_["call"] == list(range(100))
    assert classifier.history_["step"] == [6 * (call + 1) for call in range(100)]
    assert classifier.history_["train_loss"][-1] < classifier.history_["train_loss"][0]
    assert repr(classifier.history_) == "History(100 calls, completed)"


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_adam_steps_where_the_solver_is_a_full_batch_one(solver):
    X, y = blobs()
    classifier = streaming(solver=solver).partial_fit(X, y)
    np.testing.assert_array_equal(classifier.coef_, streaming().partial_fit(X, y).coef_)
    assert classifier.solver_ == "adam"


@pytest.mark.parametrize("n_classes", [2, 3])
def test_one_step_is_the_optimizers_on_the_mean_objective(n_classes):
    """With one batch of plain gradient descent the step can be written down."""
    X, y = blobs(n_classes=n_classes)
    weight = np.random.default_rng(1).uniform(size=len(y))
    classifier = streaming(solver="sgd", batch_size=100, learning_rate=0.3, C=0.5)
    onehot = np.eye(n_classes)[y]
    columns, bias, total = np.zeros((4, n_classes)), np.zeros(n_classes), 0.0
    for _ in range(3):
        classifier.partial_fit(X, y, sample_weight=weight)
        total += weight.sum()
        logits = X @ columns + bias
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        gradient = (p - onehot) * weight[:, None] / weight.sum()
        strength = (2.0 if n_classes == 2 else 1.0) / (0.5 * total)
        columns, bias = columns - 0.3 * (X.T @ gradient + strength * columns), bias - 0.3 * gradient.sum(axis=0)
    expected = columns.T if n_classes == 3 else (columns[:, 1:] - columns[:, :1]).T
    np.testing.assert_allclose(classifier.coef_, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("solver", sorted(OPTIMIZERS))
@pytest.mark.parametrize("n_known", [2, 3])
def test_a_new_class_hardly_changes_what_was_known(solver, n_known):
    X, y = blobs(120, 4, n_known + 1)
    names = np.asarray(["m", "z", "t", "a"])[y]
    old = y < n_known
    classifier = streaming(solver=solver, learning_rate=0.01)
    for _ in range(5):
        classifier.partial_fit(X[old], names[old])
    before = copy.deepcopy(classifier)
    known = before.classes_
    # No step: only the new class comes.
    classifier.set_params(learning_rate=0.0).partial_fit(X, names)
    assert classifier.classes_.tolist() == sorted([*known.tolist(), *set(names[~old])])
    assert classifier.coef_.shape == (n_known + 1, 4)
    after, columns = classifier.predict_proba(X), np.searchsorted(classifier.classes_, known)
    new = np.setdiff1d(np.arange(n_known + 1), columns)[0]
    assert np.exp(np.log(after[:, new]).mean()) == pytest.approx(1e-3, rel=0.05)
    np.testing.assert_allclose(after[:, columns], before.predict_proba(X), rtol=2e-2, atol=1e-4)
    np.testing.assert_array_equal(classifier.coef_[new], 0.0)


def test_a_new_class_is_learnt():
    X, y = blobs()
    classifier = streaming()
    for _ in range(20):
        classifier.partial_fit(X[y < 2], y[y < 2])
    assert classifier.coef_.shape == (1, 4)
    for _ in range(150):
        classifier.partial_fit(X, y)
    exact = SoftmaxClassifier(device="cpu").fit(X, y)
    assert classifier.score(X, y) > exact.score(X, y) - 0.05
    assert set(classifier.predict(X).tolist()) == {0, 1, 2}


def test_the_state_of_known_classes_is_kept():
    """A class that comes first in the order moves the columns of the others, and the optimizer's with them."""
    X, y = blobs()
    names = np.asarray(["b", "c", "d"])[y]
    alone = streaming(solver=Adam(), batch_size=200).partial_fit(X, names)
    moved = copy.deepcopy(alone).set_params(learning_rate=0.0).partial_fit(X, names, classes=["a"])
    for part in ("mu", "nu"):
        new = getattr(moved._stream.state, part)
        assert new.shape == (5, 4)
        np.testing.assert_array_equal(new[:, 0] * 0.0, 0.0)
    again = copy.deepcopy(alone).set_params(learning_rate=0.0).partial_fit(X, names)
    np.testing.assert_allclose(moved._stream.state.mu[:, 1:], again._stream.state.mu, atol=1e-3)
    assert moved._stream.state.count == again._stream.state.count == 2


def test_another_optimizer_begins_anew_and_another_rate_does_not():
    X, y = blobs()
    classifier = streaming(solver="momentum_sgd").partial_fit(X, y)
    assert classifier.set_params(learning_rate=0.01).partial_fit(X, y)._stream.state.count == 12
    assert classifier.set_params(solver=SGD(momentum=0.5)).partial_fit(X, y)._stream.state.count == 6
    assert classifier.solver_ == "SGD"


def test_classes_may_be_announced():
    X, y = blobs()
    classifier = streaming().partial_fit(X[:1], y[:1], classes=[2, 1, 0])
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert classifier.coef_.shape == (3, 4)
    classifier.partial_fit(X, y)
    later = streaming().partial_fit(X, y).partial_fit(X, y, classes=[7])
    assert later.classes_.tolist() == [0, 1, 2, 7]


def test_a_first_call_of_one_class_needs_the_others_names():
    X, y = blobs()
    with pytest.raises(InvalidValueError, match="got one class, 0. Pass `classes`"):
        streaming().partial_fit(X[y == 0], y[y == 0])
    classifier = streaming().partial_fit(X, y)
    assert classifier.partial_fit(X[y == 0], y[y == 0]).classes_.tolist() == [0, 1, 2]


def test_soft_targets_stream_too():
    X, y = blobs()
    hard, onehot = streaming(), streaming()
    for _ in range(3):
        hard.partial_fit(X, y)
        onehot.partial_fit(X, np.eye(3)[y])
    np.testing.assert_allclose(onehot.coef_, hard.coef_, rtol=1e-9, atol=1e-12)
    onehot.partial_fit(X, np.eye(2)[y % 2], classes=[1, 5])
    assert onehot.classes_.tolist() == [0, 1, 2, 5]


def test_it_goes_on_from_a_fit():
    X, y = blobs()
    for n_classes in (2, 3):
        some = y < n_classes
        classifier = streaming(solver="lbfgs", learning_rate=1e-5).fit(X[some], y[some])
        before = classifier.predict_proba(X)
        classifier.partial_fit(X[some], y[some])
        np.testing.assert_allclose(classifier.predict_proba(X), before, atol=1e-3)
        assert (classifier.coef_ != before[0, 0]).all()
        assert len(classifier.history_) == 1
        assert classifier._total_weight == pytest.approx(2.0 * some.sum())
        assert classifier.fit(X[some], y[some]).status_ == "certified"
        assert not hasattr(classifier, "_stream")


def test_a_pickle_goes_on_as_if_nothing_had_happened():
    X, y = blobs()
    classifier = streaming().partial_fit(X, y).partial_fit(X, y)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.partial_fit(X, y).coef_, classifier.partial_fit(X, y).coef_)


def test_results_live_where_the_rows_live(backend):
    X, y = blobs()
    here, there = streaming(), streaming(device="auto")
    for _ in range(3):
        here.partial_fit(X, y)
        there.partial_fit(backend.asarray(X), y)
    there.partial_fit(backend.asarray(X), ["new"] * 5 + y[5:].tolist())
    here.partial_fit(X, ["new"] * 5 + y[5:].tolist())
    assert backend_of(there.coef_).device == backend.device
    np.testing.assert_allclose(backend.to_numpy(there.coef_), here.coef_, atol=1e-9)


def test_what_it_does_not_take():
    X, y = blobs()
    with pytest.raises(InvalidValueError, match="`class_weight` must be a dict or None in partial_fit; got 'balanced'"):
        streaming(class_weight="balanced").partial_fit(X, y)
    classifier = streaming().partial_fit(X, y)
    with pytest.raises(InvalidValueError, match="X has 2 features"):
        classifier.partial_fit(X[:, :2], y)
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(InvalidTypeError, match="must be dense for minibatches; got a sparse array"):
        classifier.partial_fit(sparse.csr_array(X), y)


@pytest.mark.parametrize("rows", [90, 10])
def test_rows_that_spoil_the_weights_are_not_learnt(rows):
    X, y = blobs()
    classifier = streaming(solver="sgd").partial_fit(X, y)
    before = dict(vars(classifier))
    classifier.set_params(learning_rate=1e300)
    with pytest.raises(TrainingDivergedError, match="nothing was learnt. Pass a smaller `learning_rate`"):
        classifier.partial_fit(X[:rows] * 1e10, y[:rows])
    classifier.set_params(learning_rate=0.05)
    assert vars(classifier) == before
    assert len(classifier.history_) == 1


def test_no_intercept_means_none():
    X, y = blobs()
    classifier = streaming(fit_intercept=False).partial_fit(X[y < 2], y[y < 2]).partial_fit(X, y)
    np.testing.assert_array_equal(classifier.intercept_, 0.0)
    assert classifier.coef_.shape == (3, 4)


def test_a_sample_of_weight_0_is_as_if_absent_from_a_call():
    X, y = blobs()
    weight = np.ones(len(y))
    weight[0], X_odd = 0.0, X.copy()
    X_odd[0] = 1e6
    known = y < 2
    kept, absent = (streaming(batch_size=8).partial_fit(X[known], y[known]) for _ in range(2))
    kept.partial_fit(X_odd, y, sample_weight=weight)
    absent.partial_fit(X[1:], y[1:])
    np.testing.assert_allclose(kept.coef_, absent.coef_, rtol=1e-12)
    np.testing.assert_allclose(kept.intercept_, absent.intercept_, rtol=1e-12)


def test_a_copy_keeps_its_own_history():
    X, y = blobs()
    first = streaming().partial_fit(X, y)
    copied = first.to("cpu")
    copied.partial_fit(X, y)
    assert (len(first.history_), len(copied.history_)) == (1, 2)


def test_a_callback_that_raises_leaves_the_classifier_as_it_was():
    X, y = blobs()
    classifier = streaming().partial_fit(X, y)
    before = classifier.coef_.copy()

    def fail(_row):
        raise RuntimeError

    classifier.set_params(callbacks=[fail])
    with pytest.raises(RuntimeError):
        classifier.partial_fit(X, y)
    assert len(classifier.history_) == 1
    assert classifier.n_iter_.tolist() == [1]
    np.testing.assert_array_equal(classifier.coef_, before)


def test_a_memory_budget_changes_nothing_but_the_memory(monkeypatch):
    X, y = blobs(200, n_classes=4)
    plain, sizes = SoftmaxClassifier(device="cpu", random_state=0), []
    original = batch.batch_terms

    def batch_terms(loss, params, rows, *given, **options):
        sizes.append(rows.shape[0])
        return original(loss, params, rows, *given, **options)

    plain.partial_fit(X, y)
    monkeypatch.setattr(batch, "batch_terms", batch_terms)
    small = SoftmaxClassifier(device="cpu", random_state=0, memory_budget=90_000).partial_fit(X, y)
    assert 1 < max(sizes) < 100
    np.testing.assert_allclose(small.coef_, plain.coef_, rtol=1e-12)
    with pytest.raises(InvalidValueError, match="`memory_budget` must be at least"):
        small.set_params(memory_budget=100).partial_fit(X, y)
