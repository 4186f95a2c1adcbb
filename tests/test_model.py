# SPDX-License-Identifier: BSD-3-Clause
"""The trained model: predictions come back where the samples live; it moves, copies, and goes to a file and back."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.backend import Backend, Capabilities
from softmax_xp.data.standardize import Standardization
from softmax_xp.errors import DeviceUnavailableError, InvalidTypeError, InvalidValueError
from softmax_xp.typing import LinearParams
from tests.training.samples import blobs

RNG = np.random.default_rng(3)
WEIGHT, BIAS = RNG.normal(size=(5, 3)), RNG.normal(size=3)
STANDARDIZATION = Standardization(RNG.normal(size=5), RNG.uniform(0.5, 2.0, size=5))
X = RNG.normal(size=(20, 5))
LOGITS = ((X - STANDARDIZATION.mean) / STANDARDIZATION.scale @ WEIGHT + BIAS) / 1.5


def model_on(backend=None, classes=(10, 20, 30), dtype="float64", **parts):
    put = np.asarray if backend is None else backend.asarray
    parts = {"standardization": STANDARDIZATION, "temperature": 1.5} | parts
    params = LinearParams(put(WEIGHT.astype(dtype)), put(BIAS.astype(dtype)))
    return sx.SoftmaxModel(params, np.asarray(classes), **parts)


@pytest.fixture(params=["float64", "float32"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


class TestPredictions:
    def test_they_are_the_formula(self, backend, dtype):
        model, given = model_on(backend, dtype=dtype), backend.asarray(X.astype(dtype))
        tolerance = 1e-13 if dtype == "float64" else 1e-5
        probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
        for method, expected in [
            (model.decision_function, LOGITS),
            (model.predict_proba, probabilities),
            (model.predict_log_proba, np.log(probabilities)),
        ]:
            ours = backend.to_numpy(method(given))
            assert ours.dtype == dtype
            np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)
        expected_labels = np.asarray([10, 20, 30])[LOGITS.argmax(axis=1)]
        np.testing.assert_array_equal(backend.to_numpy(model.predict(given)), expected_labels)
        assert model.score(given, backend.asarray(expected_labels)) == 1.0
        assert model.score(given, expected_labels.tolist()) == 1.0
        assert model.score(given, backend.asarray(expected_labels[::-1].copy())) == np.mean(
            expected_labels == expected_labels[::-1]
        )

    def test_a_model_anywhere_answers_where_the_samples_live(self, backend):
        given = backend.asarray(X.astype("float32"))
        for model in (model_on(dtype="float32"), model_on(backend, dtype="float32")):
            for method in (model.predict, model.predict_proba, model.predict_log_proba, model.decision_function):
                answer = method(given)
                assert sx.backend.backend_of(answer).xp is backend.xp
                assert sx.backend.backend_of(answer).device == backend.device
            here = model.predict_proba(X)
            assert isinstance(here, np.ndarray)
            np.testing.assert_allclose(here, np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True), rtol=1e-4)

    def test_samples_are_not_written_to(self, backend):
        given = backend.asarray(X)
        model_on(backend).predict_proba(given)
        np.testing.assert_array_equal(backend.to_numpy(given), X)

    @pytest.mark.parametrize("classes", [["b", "a", "c"], [b"x", b"y", b"z"]])
    def test_labels_that_are_no_numbers_stay_on_the_host(self, backend, classes):
        model = model_on(backend, classes)
        answer = model.predict(backend.asarray(X))
        assert isinstance(answer, np.ndarray)
        np.testing.assert_array_equal(answer, np.asarray(classes)[LOGITS.argmax(axis=1)])

    def test_booleans_are_numbers(self, backend):
        params = LinearParams(backend.asarray(WEIGHT[:, :2]))
        model = sx.SoftmaxModel(params, np.asarray([False, True]))
        answer = backend.to_numpy(model.predict(backend.asarray(X)))
        assert answer.dtype == bool
        np.testing.assert_array_equal(answer, (X @ WEIGHT[:, :2]).argmax(axis=1) == 1)

    def test_a_mix_of_numbers_and_strings_keeps_its_kinds(self):
        labels = ["one", 1, "1"]
        classes = np.empty(3, dtype=object)
        classes[:] = labels
        model = model_on(classes=classes)
        answer = model.predict(X).tolist()
        assert answer == [labels[code] for code in LOGITS.argmax(axis=1)]
        assert set(map(type, answer)) == {int, str}
        assert model.score(X, answer) == 1.0
        assert model.score(X, np.asarray(answer, dtype=object)) == 1.0

    def test_a_tie_goes_to_the_first_class(self, backend):
        model = sx.SoftmaxModel(LinearParams(backend.asarray(np.zeros((5, 3)))), np.asarray([7, 8, 9]))
        assert set(backend.to_numpy(model.predict(backend.asarray(X))).tolist()) == {7}
        np.testing.assert_array_equal(backend.to_numpy(model.predict_proba(backend.asarray(X))), 1 / 3)

    def test_log_probabilities_stay_finite_where_probabilities_underflow(self):
        model = sx.SoftmaxModel(LinearParams(np.eye(2)), np.asarray([0, 1]))
        far = np.asarray([[2000.0, 0.0]])
        assert model.predict_proba(far).tolist() == [[1.0, 0.0]]
        assert model.predict_log_proba(far).tolist() == [[0.0, -2000.0]]

    @pytest.mark.parametrize("dtype", ["float16", "uint8", "bool", ">f8", "int64"])
    def test_samples_of_any_real_dtype(self, dtype):
        counts = np.abs(X * 3).astype(dtype)
        np.testing.assert_allclose(model_on().predict_proba(counts), model_on().predict_proba(counts.astype("float64")))

    def test_chunks_make_no_difference(self, monkeypatch, backend):
        from softmax_xp.ops import predicted

        whole = backend.to_numpy(model_on(backend).predict_log_proba(backend.asarray(X)))
        monkeypatch.setattr(predicted, "chunk_rows", lambda *_, **__: 7)
        parts = backend.to_numpy(model_on(backend).predict_log_proba(backend.asarray(X)))
        np.testing.assert_allclose(parts, whole, rtol=1e-13)
        assert model_on(backend).predict(backend.asarray(X)).shape == (20,)


class TestNonsense:
    @pytest.mark.parametrize(
        ("X", "error", "text"),
        [
            (
                np.zeros((4, 6)),
                InvalidValueError,
                r"must have shape \(n_samples, 5\), the features of the model; got \(4, 6",
            ),
            (np.zeros(5), InvalidValueError, r"got shape \(5,\). Pass `X\[:, None\]`"),
            (np.zeros((0, 5)), InvalidValueError, "at least one sample"),
            (np.full((1, 5), np.nan), InvalidValueError, "`X` must be finite; got NaN at row 0, column 0"),
            (np.zeros((1, 5), dtype=complex), InvalidTypeError, "real numbers; got dtype complex128"),
            (np.full((1, 5), "1"), InvalidTypeError, "real numbers; got dtype <U1"),
        ],
    )
    def test_samples(self, X, error, text):
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            with pytest.raises(error, match=text):
                getattr(model_on(), method)(X)

    def test_labels_to_score_must_be_one_each(self):
        with pytest.raises(InvalidValueError, match=r"`y` must have shape \(20,\), one label .*; got \(19,\)."):
            model_on().score(X, np.zeros(19))

    @pytest.mark.parametrize(
        ("parts", "text"),
        [
            ({"classes": [1, 2]}, "`classes` must name the 3 columns of the weight; got array"),
            ({"params": LinearParams(WEIGHT, BIAS[:2])}, r"`params` must have shapes .*; got \(\(5, 3\), \(2,\)\)"),
            ({"params": LinearParams(BIAS)}, r"`params` must have shapes .*; got \(\(3,\), None\)"),
            ({"params": LinearParams(WEIGHT[:4], BIAS)}, "that of the 4 features of the weight; got 5 features"),
            ({"temperature": 0.0}, "`temperature` must be positive and finite; got 0.0"),
            ({"temperature": float("nan")}, "`temperature` must be positive and finite; got nan"),
            ({"metadata": {"temperature": "2"}}, "`metadata` must not hold 'temperature'"),
        ],
    )
    def test_parts_must_fit_one_another(self, parts, text):
        with pytest.raises(InvalidValueError, match=text):
            dataclasses.replace(model_on(), **parts)


class TestMoving:
    def test_there_and_back_changes_no_bit(self, backend, dtype):
        here = model_on(dtype=dtype)
        target = Backend(backend.name, backend.xp, backend.device)
        there = here.to(target)
        assert there.backend.xp is backend.xp
        assert there.backend.device == backend.device
        back = there.to("cpu")
        for ours, original in zip(back.params, here.params, strict=True):
            assert ours.dtype == original.dtype
            np.testing.assert_array_equal(ours, original)
        assert back.standardization is here.standardization
        assert (back.temperature, back.classes.tolist()) == (1.5, [10, 20, 30])

    def test_to_where_it_is_copies_nothing(self):
        model = model_on()
        assert model.to("cpu").params.weight is model.params.weight
        assert model.to(None).params.bias is model.params.bias

    def test_a_model_without_bias_moves(self):
        assert sx.SoftmaxModel(LinearParams(WEIGHT), range(3)).to("cpu").params.bias is None

    def test_to_a_device_without_float64_it_becomes_float32(self):
        strict = pytest.importorskip("array_api_strict")
        narrow = Backend("narrow", strict, strict.Device("CPU_DEVICE"), Capabilities(False, "float32"))
        moved = model_on().to(narrow)
        assert moved.params.weight.dtype == strict.float32

    def test_an_unusable_device_is_an_error(self):
        with pytest.raises((InvalidValueError, DeviceUnavailableError), match="`device`"):
            model_on().to("torch:nowhere")


class TestValue:
    def test_it_copies_and_pickles(self):
        model = model_on(metadata={"made": "here"})
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)):
            np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
            assert twin.metadata == {"made": "here"}
        assert pickle.loads(pickle.dumps(sx.SoftmaxModel(LinearParams(WEIGHT), range(3)))).metadata == {}

    def test_it_prints_its_shape(self):
        assert repr(model_on()) == "SoftmaxModel(n_features=5, n_classes=3, device='cpu')"

    def test_it_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            model_on().temperature = 2.0


class TestFile:
    def test_it_comes_back_bit_for_bit_on_every_backend(self, backend, dtype, tmp_path):
        model = model_on(backend, dtype=dtype, metadata={"features": "a, b, ü"})
        path = model.save(tmp_path / "model.safetensors")
        assert path == tmp_path / "model.safetensors"
        again = sx.load(path, device=Backend(backend.name, backend.xp, backend.device))
        assert again.backend.xp is backend.xp
        assert again.backend.device == backend.device
        for ours, original in zip(again.params, model.params, strict=True):
            assert ours.dtype == original.dtype
            assert backend.to_numpy(ours).tobytes() == backend.to_numpy(original).tobytes()
        np.testing.assert_array_equal(again.standardization.mean, STANDARDIZATION.mean)
        np.testing.assert_array_equal(again.standardization.scale, STANDARDIZATION.scale)
        assert again.temperature == 1.5
        assert dict(again.metadata) == {"features": "a, b, ü"}
        given = backend.asarray(X.astype(dtype))
        ours, original = again.predict_proba(given), model.predict_proba(given)
        assert backend.to_numpy(ours).tobytes() == backend.to_numpy(original).tobytes()

    @pytest.mark.parametrize(
        "classes",
        [
            np.asarray([3, 5, 9]),
            np.asarray([3, 5, 9], dtype="uint8"),
            np.asarray([0.0, 1.0, 2.5]),
            np.asarray(["ä", "b", "a longer one"]),
            np.asarray(["", " ", "\n"]),
            np.asarray([1, "1", True], dtype=object),
            np.asarray([2**70, -1, 1.5], dtype=object),
        ],
        ids=repr,
    )
    def test_classes_keep_kind_and_order(self, tmp_path, classes):
        again = sx.load(model_on(classes=classes).save(tmp_path / "m"), device="cpu")
        assert again.classes.dtype == classes.dtype
        assert again.classes.tolist() == classes.tolist()
        assert list(map(type, again.classes.tolist())) == list(map(type, classes.tolist()))

    def test_booleans_come_back(self, tmp_path):
        model = sx.SoftmaxModel(LinearParams(WEIGHT[:, :2]), np.asarray([False, True]))
        assert sx.load(model.save(tmp_path / "m"), device="cpu").classes.tolist() == [False, True]

    def test_without_bias_and_standardization(self, tmp_path):
        again = sx.load(sx.SoftmaxModel(LinearParams(WEIGHT), range(3)).save(str(tmp_path / "m")), device="cpu")
        assert again.params.bias is None
        assert again.standardization is None

    def test_labels_that_json_cannot_hold_are_an_error(self, tmp_path):
        with pytest.raises(InvalidTypeError, match=r"`classes` must be numbers or strings to be saved; got \|S1"):
            model_on(classes=[b"a", b"b", b"c"]).save(tmp_path / "m")
        assert not (tmp_path / "m").exists()

    def test_a_trained_model_survives(self, tmp_path):
        features, y = blobs()
        trainer = sx.Trainer(
            standardize=True, epochs=2, batch_size=30, device="cpu", loss=sx.CrossEntropy(temperature=0.7)
        )
        model, _ = trainer.fit(features, np.asarray(["x", "y", "z"])[y])
        again = sx.load(model.save(tmp_path / "m"), device="cpu")
        assert again.predict_proba(features).tobytes() == model.predict_proba(features).tobytes()
        assert again.predict(features).tolist() == model.predict(features).tolist()
