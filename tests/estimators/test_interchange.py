# SPDX-License-Identifier: BSD-3-Clause
"""Files and devices: everything that a fitted classifier is comes back."""

import json
import math

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp import Adam, SoftmaxClassifier
from softmax_xp.backend import backend_of
from softmax_xp.errors import InvalidTypeError, ModelFileError
from softmax_xp.io.model_file import read_model, write_model
from tests.estimators.samples import blobs


def fitted(n_classes=3, **params):
    X, y = blobs(n_classes=n_classes)
    names = np.asarray(["b", "a", "c"])[y]
    return SoftmaxClassifier(device="cpu", **params).fit(X, names), X


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("load", [sx.load, SoftmaxClassifier.load])
def test_a_file_brings_everything_back(tmp_path, n_classes, load):
    classifier, X = fitted(n_classes, C=np.float64(0.5), class_weight={"a": 2.0, "b": np.float32(1.5)}, tol=1e-8)
    path = classifier.save(tmp_path / "classifier")
    again = load(path, device="cpu")
    assert type(again) is SoftmaxClassifier
    for name in ("coef_", "intercept_", "classes_", "n_iter_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(classifier, name))
        assert getattr(again, name).dtype == getattr(classifier, name).dtype
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    assert again.get_params() == classifier.get_params() | {"class_weight": {"a": 2.0, "b": 1.5}}
    assert again.certificate_ == classifier.certificate_
    assert again.status_ is classifier.status_
    assert again.solver_ == classifier.solver_
    assert str(again.history_) == str(classifier.history_)
    assert again.n_features_in_ == 4
    assert again._total_weight == classifier._total_weight
    again.partial_fit(X, np.asarray(["d", "a"] * 45))
    assert "d" in again.classes_


def test_a_file_loads_on_any_device(tmp_path, backend):
    classifier, X = fitted()
    path = classifier.save(tmp_path / "classifier")
    place = backend_of(backend.asarray(X))
    again = sx.load(path, device=place)
    assert backend_of(again.coef_).device == backend.device
    np.testing.assert_allclose(again.predict_proba(X), classifier.predict_proba(X), rtol=1e-12)


def test_a_fit_anywhere_can_be_saved_and_moved(tmp_path, backend):
    X, y = blobs()
    there = SoftmaxClassifier().fit(backend.asarray(X), y)
    here = there.to("cpu")
    assert type(here.coef_) is type(here.n_iter_) is np.ndarray
    assert backend_of(there.coef_).device == backend.device
    np.testing.assert_array_equal(here.predict(X), backend.to_numpy(there.predict(backend.asarray(X))))
    back = here.to(backend_of(backend.asarray(X)))
    np.testing.assert_array_equal(backend.to_numpy(back.coef_), here.coef_)
    np.testing.assert_array_equal(sx.load(there.save(tmp_path / "c"), device="cpu").coef_, here.coef_)


def test_feature_names_and_mixed_labels_come_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = blobs()
    labels = [[1, "1", 2.5][code] if code < 2 else 7 for code in y]
    frame = pandas.DataFrame(X, columns=["w", "x", "y", "z"])
    classifier = SoftmaxClassifier(device="cpu").fit(frame, labels)
    again = sx.load(classifier.save(tmp_path / "c"), device="cpu")
    assert again.feature_names_in_.tolist() == ["w", "x", "y", "z"]
    assert again.classes_.tolist() == [1, 7, "1"]
    np.testing.assert_array_equal(again.predict(frame), classifier.predict(frame))


def test_what_is_no_number_and_no_text_is_left_out(tmp_path):
    X, y = blobs()
    params = {"callbacks": [print], "random_state": np.random.RandomState(0), "solver": Adam(), "learning_rate": abs}
    classifier = SoftmaxClassifier(C=math.inf, device="cpu", dtype=np.float32, batch_size=90, tol=1.0)
    classifier.fit(X, y)
    classifier.set_params(**params)
    again = sx.load(classifier.save(tmp_path / "c"), device="cpu")
    changed = {name: value for name, value in again.get_params().items() if value != getattr(SoftmaxClassifier(), name)}
    assert changed == {"C": math.inf, "device": "cpu", "dtype": "float32", "batch_size": 90, "tol": 1.0}


def test_a_streamed_model_comes_back_without_its_optimizer(tmp_path):
    X, y = blobs()
    classifier = SoftmaxClassifier(device="cpu", random_state=0).partial_fit(X, y)
    again = sx.load(classifier.save(tmp_path / "c"), device="cpu")
    assert again.certificate_ is None
    assert again.status_ == "partial"
    assert not hasattr(again, "_stream")
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_model_alone_has_the_same_probabilities(n_classes):
    classifier, X = fitted(n_classes)
    model = classifier.to_model()
    np.testing.assert_allclose(model.predict_proba(X), classifier.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), classifier.predict(X))


def test_another_kind_is_refused_and_so_is_another_shape(tmp_path):
    classifier, _ = fitted()
    path = classifier.to_model().save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="must be a SoftmaxClassifier; got a SoftmaxModel in"):
        SoftmaxClassifier.load(path)
    kind, tensors, classes, settings = read_model(classifier.save(tmp_path / "good"))
    bad = {
        "coef": ({**tensors, "coef": tensors["coef"][:1]}, classes, settings),
        "intercept": ({**tensors, "intercept": tensors["intercept"][:1]}, classes, settings),
        "classes": (tensors, classes[:2], settings),
        "KeyError": (tensors, classes, {"params": "{}"}),
        "unexpected keyword": (tensors, classes, {**settings, "params": json.dumps({"evil": 1})}),
        "JSONDecodeError": (tensors, classes, {**settings, "params": "{"}),
    }
    for text, parts in bad.items():
        for load in (sx.load, SoftmaxClassifier.load):
            with pytest.raises(ModelFileError, match=text):
                load(write_model(tmp_path / "bad", kind, *parts), device="cpu")


def test_labels_that_json_cannot_hold_are_refused(tmp_path):
    X, y = blobs()
    classifier = SoftmaxClassifier(device="cpu").fit(X, np.asarray([b"x", b"y", b"z"])[y])
    with pytest.raises(InvalidTypeError, match="`classes` must be numbers or strings to be saved"):
        classifier.save(tmp_path / "c")


def test_numpys_truth_values_are_saved(tmp_path):
    X, y = blobs()
    SoftmaxClassifier(fit_intercept=np.False_, device="cpu").fit(X, y).save(tmp_path / "one.safetensors")
    assert sx.load(tmp_path / "one.safetensors").fit_intercept is False
