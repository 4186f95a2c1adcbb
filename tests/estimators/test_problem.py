# SPDX-License-Identifier: BSD-3-Clause
"""The boundary of a fit: one move to the device, in the right float, with the right loss."""

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp import SoftmaxClassifier
from softmax_xp.backend import Backend, Capabilities, backend_of
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.problem import check_dense, counting, prepare_fit, settle_device
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.typing import LinearParams
from tests.estimators.samples import blobs


def prepared(X, y, weight=None, **params):
    options = {name: params.pop(name) for name in ("classes", "known", "reset") if name in params}
    classifier = SoftmaxClassifier(**params)
    return prepare_fit(classifier, FitSettings.of(classifier), X, y, weight, **options)


def test_the_data_go_nowhere_by_default(backend):
    X, y = blobs()
    given = backend.asarray(X)
    for device in ("auto", None):
        if backend.name.startswith("numpy") and device == "auto":
            continue  # goes to a GPU where there is one
        problem = prepared(given, y, device=device)
        assert problem.linear.X is given
        assert problem.backend.xp is problem.home.xp is backend.xp
        assert problem.backend.device == problem.home.device == backend.device


def test_auto_takes_numpy_to_the_best_device(monkeypatch):
    strict = pytest.importorskip("array_api_strict")
    there = backend_of(strict.asarray([1.0], device=strict.Device("device1")))
    monkeypatch.setattr("softmax_xp.estimators.problem.get_backend", lambda device: there)
    X, y = blobs()
    assert settle_device("auto", X) is there
    assert settle_device(None, X).name == "cpu"
    assert settle_device("auto", strict.asarray(X)).device == strict.asarray(X).device
    assert settle_device("cuda", strict.asarray(X)) is there
    problem = prepared(X, y)
    assert problem.backend.device == there.device
    assert problem.home.name == "cpu"


@pytest.mark.parametrize(
    ("n_classes", "known", "loss"), [(2, None, Logistic), (2, (), CrossEntropy), (3, None, CrossEntropy)]
)
def test_two_classes_share_a_column_unless_they_stream(n_classes, known, loss):
    X, y = blobs(n_classes=n_classes)
    problem = prepared(X, y, class_weight={0: 2.0}, known=known)
    assert type(problem.linear.loss) is loss
    assert problem.linear.loss.class_weight == (2.0,) + (1.0,) * (n_classes - 1)
    assert problem.classes.tolist() == list(range(n_classes))
    assert problem.n_features == 4


def test_the_total_is_what_the_mean_divides_by():
    X, y = blobs()
    weight = np.random.default_rng(0).uniform(size=len(y))
    assert 1.0 / prepared(X, y).reciprocal_total == pytest.approx(len(y))
    assert 1.0 / prepared(X, y, weight).reciprocal_total == pytest.approx(weight.sum())
    by_class = prepared(X, y, weight, class_weight={0: 2.0})
    assert 1.0 / by_class.reciprocal_total == pytest.approx((weight * np.where(y == 0, 2.0, 1.0)).sum())


def test_float64_becomes_float32_where_there_is_nothing_wider():
    strict = pytest.importorskip("array_api_strict")
    narrow = Backend("narrow", strict, strict.Device("CPU_DEVICE"), Capabilities(False, "float32"))
    X, y = blobs()
    assert prepared(X, y, device=narrow).dtype == strict.float32
    with pytest.raises(InvalidValueError, match="must be float32 on device 'narrow'"):
        prepared(X, y, device=narrow, dtype="float64")
    with pytest.raises(InvalidValueError, match="must fit float32"):
        prepared(X * 1e50, y, device=narrow)


def test_parameters_are_brought_along(backend):
    X, y = blobs()
    problem = prepared(backend.asarray(X.astype("float32")), y)
    weight, bias = problem.put(LinearParams(np.ones((4, 3)), np.ones(3)))
    assert weight.dtype == bias.dtype == backend.xp.float32
    assert backend_of(weight).device == backend.device
    assert problem.put(LinearParams(np.ones((4, 3)), None)).bias is None


def test_minibatches_are_dense():
    sparse = pytest.importorskip("scipy.sparse")
    X, y = blobs()
    check_dense(prepared(X, y, device="cpu"))
    with pytest.raises(InvalidTypeError, match="must be dense for minibatches"):
        check_dense(prepared(sparse.csr_array(X), y, device="cpu"))
    assert sx.get_backend("cpu").name == "cpu"


def test_samples_of_weight_0_are_left_out(backend):
    X, y = blobs()
    weight = np.random.default_rng(0).uniform(size=len(y))
    weight[::4] = 0.0
    everyone = prepared(backend.asarray(X), y, backend.asarray(weight), device=None)
    problem = counting(everyone)
    np.testing.assert_array_equal(backend.to_numpy(problem.linear.X), X[weight > 0])
    np.testing.assert_array_equal(backend.to_numpy(problem.linear.targets.labels), y[weight > 0])
    np.testing.assert_array_equal(problem.targeted.targets, y[weight > 0])
    np.testing.assert_allclose(problem.reciprocal_total, everyone.reciprocal_total)
    same = prepared(backend.asarray(X), y, device=None)
    assert counting(same) is same


@pytest.mark.parametrize(
    ("dtype", "weight", "got"), [("float32", 6e36, "inf"), ("float32", 1e-60, "0"), ("float64", 1e308, "inf")]
)
def test_weights_whose_sum_is_no_number_are_refused(dtype, weight, got):
    X, y = blobs(dtype=dtype)
    with pytest.raises(InvalidValueError, match=f"must have a sum above 0 that {dtype} can hold; got {got}. Divide"):
        SoftmaxClassifier(device="cpu").fit(X, y, np.full(len(y), weight))


def test_weights_that_the_class_weights_cancel_are_refused():
    X, y = blobs()
    with pytest.raises(InvalidValueError, match="`sample_weight`, times `class_weight`, must have a sum above 0"):
        SoftmaxClassifier(class_weight={0: 0.0}, device="cpu").fit(X, y, np.where(y == 0, 1.0, 0.0))
