# SPDX-License-Identifier: BSD-3-Clause
"""The boundary of a fit: every kind of X is read right, none is copied or written to, and nonsense is refused."""

import tracemalloc

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPWarning
from softmax_xp.losses import CrossEntropy
from softmax_xp.training.problem import prepare_problem
from tests.training.samples import blobs

DEVICES = ["cpu", "torch:cpu", "jax"]


def prepare(X, y, **settings):
    defaults = {
        "sample_weight": None,
        "validation": None,
        "classes": None,
        "device": "cpu",
        "dtype": None,
        "standardize": False,
        "loss": CrossEntropy(),
        "penalty": None,
    }
    return prepare_problem(X, y, **(defaults | settings))


def fit(X, y, **settings):
    settings = {"optimizer": sx.SGD(0.1), "epochs": 2, "batch_size": 16, "device": "cpu"} | settings
    validation = (X, y)
    model, history = sx.Trainer(**settings).fit(X, y, validation=validation)
    return model, history


def small_counts():
    """Features that every dtype below holds exactly."""
    X, y = blobs(60)
    return np.clip(np.round(np.abs(X) * 2), 0, 100), y


def memory_mapped(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


LAYOUTS = {
    "F-ordered": lambda X, folder: np.asfortranarray(X),
    "strided": lambda X, folder: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "negative strides": lambda X, folder: X[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": lambda X, folder: read_only(X),
    "memory-mapped": memory_mapped,
    "big-endian": lambda X, folder: X.astype(">f8"),
    "big-endian, negative strides": lambda X, folder: X.astype(">f8")[::-1].copy()[::-1],
    "a list of lists": lambda X, folder: X.tolist(),
}


class TestLayouts:
    @pytest.mark.parametrize("device", DEVICES)
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_the_answer_is_that_of_a_plain_array(self, tmp_path, layout, device):
        if device != "cpu":
            pytest.importorskip(device.partition(":")[0])
        X, y = blobs(60)
        given = LAYOUTS[layout](X, tmp_path)
        expected, expected_history = fit(X, y)
        for standardize in (False, True):
            expected, expected_history = fit(X, y, standardize=standardize)
            model, history = fit(given, y, device=device, standardize=standardize)
            ours = sx.backend.to_host(model.params.weight)
            assert ours.dtype == np.float64
            np.testing.assert_allclose(ours, expected.params.weight, rtol=1e-11, atol=1e-14)
            np.testing.assert_allclose(history["validation_loss"], expected_history["validation_loss"], rtol=1e-11)
            np.testing.assert_allclose(model.predict_proba(given), expected.predict_proba(X), rtol=1e-11)
        np.testing.assert_array_equal(np.asarray(given), X)

    def test_a_data_frame_is_a_matrix(self):
        pandas = pytest.importorskip("pandas")
        X, y = blobs(60)
        frame = pandas.DataFrame(X, columns=list("abcde"))
        model, _ = fit(frame, pandas.Series(y))
        np.testing.assert_allclose(model.params.weight, fit(X, y)[0].params.weight, rtol=1e-13)
        assert model.predict(frame).shape == (60,)


class TestDtypes:
    @pytest.mark.parametrize("device", DEVICES)
    @pytest.mark.parametrize(
        ("dtype", "computed"),
        [
            ("float16", "float32"),
            ("float32", "float32"),
            (">f4", "float32"),
            ("uint8", "float64"),
            ("int8", "float64"),
            ("uint16", "float64"),
            (">i4", "float64"),
            ("int64", "float64"),
            ("bool", "float64"),
        ],
    )
    def test_the_answer_is_that_of_the_float_in_which_it_is_computed(self, dtype, computed, device):
        if device != "cpu":
            pytest.importorskip(device.partition(":")[0])
        X, y = small_counts()
        X = X.astype(dtype)
        model, history = fit(X, y, device=device)
        expected, expected_history = fit(X.astype(computed), y)
        ours = sx.backend.to_host(model.params.weight)
        assert ours.dtype == computed
        tolerance = 1e-4 if computed == "float32" else 1e-11
        np.testing.assert_allclose(ours, expected.params.weight, rtol=tolerance, atol=tolerance * 1e-2)
        np.testing.assert_allclose(history["validation_loss"], expected_history["validation_loss"], rtol=tolerance)
        np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=100 * tolerance)

    @pytest.mark.parametrize("standardize", [False, True])
    @pytest.mark.parametrize("device", ["cpu", "torch:cpu", "jax", None])
    @pytest.mark.parametrize("library", ["torch", "jax"])
    def test_bfloat16_is_computed_in_float32(self, library, device, standardize):
        torch = pytest.importorskip("torch")
        jax = pytest.importorskip("jax")
        X, y = small_counts()
        X = X.astype("float32")
        given = torch.asarray(X).to(torch.bfloat16) if library == "torch" else jax.numpy.asarray(X, dtype="bfloat16")
        model, _ = fit(given, y, device=device, standardize=standardize)
        expected, _ = fit(X, y, standardize=standardize)
        ours = sx.backend.to_host(model.params.weight)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected.params.weight, rtol=1e-3, atol=1e-6)
        assert sx.backend.to_host(model.predict(given)).shape == (60,)

    def test_a_float16_column_keeps_its_storage(self):
        X, y = blobs(60, dtype="float16")
        problem = prepare(X, y)
        assert problem.train.X is X
        assert problem.train.dtype == np.float32


class TestCopies:
    @pytest.mark.parametrize("layout", ["F-ordered", "strided", "negative strides", "read-only", "big-endian"])
    def test_on_its_own_device_X_is_used_as_it_is(self, tmp_path, layout):
        X, y = blobs(60)
        given = LAYOUTS[layout](X, tmp_path)
        problem = prepare(given, y, validation=(given, y), standardize=True)
        assert problem.train.X is given
        assert problem.validation.X is given

    def test_a_memory_map_is_read_through_a_view(self, tmp_path):
        X, y = blobs(60)
        given = memory_mapped(X, tmp_path)
        problem = prepare(given, y)
        assert np.shares_memory(problem.train.X, given)
        assert not problem.train.X.flags.writeable

    def test_a_tensor_shares_the_memory_of_a_numpy_array(self):
        pytest.importorskip("torch")
        X, y = blobs(60)
        problem = prepare(read_only(X), y, device="torch:cpu")
        assert problem.train.X.dtype.itemsize == 8
        X_writable = X.copy()
        assert np.shares_memory(prepare(X_writable, y, device="torch:cpu").train.X.numpy(), X_writable)

    def test_on_each_backend_it_is_the_array_that_was_passed(self, backend):
        X, y = blobs(60)
        given = backend.asarray(X)
        assert prepare(given, backend.asarray(y), device=None).train.X is given

    def test_nothing_is_written_to(self, backend):
        X, y = blobs(60)
        weight = np.linspace(0.5, 2.0, 60)
        given = [backend.asarray(array) for array in (X, y, weight)]
        sx.Trainer(epochs=1, batch_size=16, device=None, standardize=True, optimizer=sx.Adam()).fit(
            given[0], given[1], sample_weight=given[2], validation=tuple(given)
        )
        for array, original in zip(given, (X, y, weight), strict=True):
            np.testing.assert_array_equal(backend.to_numpy(array), original)

    @pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
    @pytest.mark.parametrize("standardize", [False, True])
    def test_a_fit_needs_little_memory_beside_X(self, dtype, standardize):
        n_samples = 60_000
        X = np.zeros((n_samples, 784), dtype=dtype)
        X[::2, :50] = 1
        y = np.arange(n_samples) % 10
        trainer = sx.Trainer(epochs=1, batch_size=2048, device="cpu", dtype="float32", standardize=standardize)
        tracemalloc.start()
        try:
            trainer.fit(X, y, validation=(X, y))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # Labels, the order and a few chunks; a float32 copy of X would be 188 MB.
        assert peak < 40e6

    def test_the_measurement_would_see_a_copy(self):
        X = np.zeros((60_000, 784), dtype="float32")
        tracemalloc.start()
        try:
            copy = X + 1.0
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak >= copy.nbytes


class TestNonsense:
    X, y = blobs(60)

    @pytest.mark.parametrize(
        ("X", "error", "text"),
        [
            (np.full((60, 5), np.nan), InvalidValueError, "`X` must be finite; got NaN at row 0, column 0"),
            (np.full((60, 5), np.inf), InvalidValueError, "`X` must be finite; got inf at row 0, column 0"),
            (np.zeros(60), InvalidValueError, r"`X` must have shape \(n_samples, n_features\); got shape \(60,\)"),
            (np.zeros((0, 5)), InvalidValueError, "at least one sample and one feature"),
            (np.zeros((60, 0)), InvalidValueError, "at least one sample and one feature"),
            (np.zeros((60, 5), dtype=complex), InvalidTypeError, "`X` must hold real numbers; got dtype complex128"),
            (np.full((60, 5), "1"), InvalidTypeError, "`X` must hold real numbers; got dtype <U1"),
            (np.full((60, 5), None), InvalidTypeError, "`X` must hold real numbers; got dtype object"),
            (np.zeros((59, 5)), InvalidValueError, r"`y` must have one entry per sample of `X`; got shape \(60,\)"),
        ],
    )
    def test_features(self, X, error, text):
        with pytest.raises(error, match=text):
            prepare(X, self.y)

    def test_sparse_features(self):
        sparse = pytest.importorskip("scipy.sparse")
        with pytest.raises(InvalidTypeError, match=r"`X` must be dense; got csr_array. Pass X.toarray\(\)"):
            prepare(sparse.csr_array(self.X), self.y)

    @pytest.mark.parametrize(
        ("y", "error", "text"),
        [
            (None, InvalidTypeError, "`y` must hold one label for each sample; got None."),
            (np.zeros(60), InvalidValueError, "at least two classes; got only the class 0.0"),
            (np.linspace(0, 1, 60), InvalidValueError, "continuous"),
            (np.full(60, np.nan), InvalidValueError, "no missing label; got NaN at row 0"),
            (np.zeros((60, 3), dtype=int), InvalidValueError, r"Pass `y.argmax\(axis=1\)` for one-hot labels"),
            (np.zeros(60, dtype=complex), InvalidTypeError, "numbers or strings"),
            (np.zeros(0), InvalidValueError, "at least one label"),
            ([0, 1], InvalidValueError, r"`y` must have one entry per sample of `X`; got shape \(2,\)"),
            (np.full((60, 3), 0.5), InvalidValueError, "rows that sum to 1; got 1.5 at row 0"),
            (np.full((60, 3), -1.0), InvalidValueError, "finite and not negative; got -1 at row 0, column 0"),
            (np.full((59, 3), 1 / 3), InvalidValueError, r"one entry per sample of `X`; got shape \(59, 3\)"),
        ],
    )
    def test_labels(self, y, error, text):
        with pytest.raises(error, match=text):
            prepare(self.X, y)

    def test_a_column_of_labels_is_taken_with_a_warning(self):
        with pytest.warns(SoftmaxXPWarning, match=r"got a column of shape"):
            problem = prepare(self.X, self.y[:, None])
        np.testing.assert_array_equal(problem.train.targets.labels, self.y)

    @pytest.mark.parametrize(
        ("weight", "error", "text"),
        [
            (np.ones(59), InvalidValueError, r"`sample_weight` must have shape \(60,\)"),
            (-np.ones(60), InvalidValueError, "not negative; got -1 at row 0. Use 0 to leave a sample out."),
            (np.full(60, np.nan), InvalidValueError, "finite and not negative; got NaN at row 0"),
            (np.zeros(60), InvalidValueError, "must have a positive entry; got 60 zeros"),
            (np.full(60, "1"), InvalidTypeError, "must hold real numbers"),
        ],
    )
    def test_sample_weights(self, weight, error, text):
        with pytest.raises(error, match=text):
            prepare(self.X, self.y, sample_weight=weight)
        with pytest.raises(error, match=text):
            prepare(self.X, self.y, validation=(self.X, self.y, weight))

    def test_classes_and_soft_targets_must_fit(self):
        soft = np.full((60, 3), 1 / 3)
        assert prepare(self.X, soft).classes.tolist() == [0, 1, 2]
        assert prepare(self.X, soft, classes=["a", "b", "c"]).classes.tolist() == ["a", "b", "c"]
        with pytest.raises(InvalidValueError, match="`classes` must name the 3 columns of the soft targets; got 2"):
            prepare(self.X, soft, classes=["a", "b"])
        with pytest.raises(InvalidTypeError, match="`ignore_index` must be None with soft targets"):
            prepare(self.X, soft, loss=CrossEntropy(ignore_index=-1))

    def test_class_weights_must_fit(self):
        with pytest.raises(InvalidValueError, match="`class_weight` must hold 3 weights, one for each class; got 2."):
            prepare(self.X, self.y, loss=CrossEntropy(class_weight=(1.0, 2.0)))

    def test_the_shape_counts_classes_without_samples(self):
        assert prepare(self.X, self.y, classes=range(7)).shape == (60, 5, 7)
