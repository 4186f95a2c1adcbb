# SPDX-License-Identifier: BSD-3-Clause
"""Every kernel of the table computes what its definition does; without any of them, results stay.

The kernels of NumPy are run here. Those of CUDA have the same text executed on the CPU in tests/kernels/cuda, and run
here where there is a device.
"""

from importlib.util import find_spec

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.kernels import KERNELS, find_kernel
from softmax_xp.objectives import LinearObjective
from softmax_xp.ops.cross_entropy import softmax_cross_entropy
from softmax_xp.optimizers.table import OPTIMIZERS
from softmax_xp.typing import LinearParams

RANDOM = np.random.default_rng(5)


def put(library, array):
    """Bring an array to a library of the table; skip where it is missing."""
    if library in {"numpy", "numba"} or array is None:
        return array
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("there is no CUDA device")
    return cupy.asarray(array)


def to_numpy(array):
    return array if isinstance(array, np.ndarray | np.generic) else array.get()


def libraries_with(name):
    marks = {"cupy": pytest.mark.gpu}
    found = [library for kernel, library in KERNELS if kernel == name]
    return [pytest.param(library, marks=marks.get(library, ())) for library in found]


def defined(monkeypatch, function, *args, **kwargs):
    """Call a function with all kernels turned off."""
    with monkeypatch.context() as patch:
        patch.setenv("SOFTMAX_XP_KERNELS", "0")
        return function(*args, **kwargs)


def test_each_kernel_of_the_table_is_tested_here():
    assert {name for name, _ in KERNELS} == {"linear_cross_entropy", "linear_steps", "softmax_cross_entropy", "update"}


LOSSES = [
    sx.CrossEntropy(),
    sx.CrossEntropy(class_weight=(1.0, 2.0, 0.5)),
    sx.CrossEntropy(label_smoothing=0.1, class_weight=(1.0, 2.0, 0.5), ignore_index=2, temperature=2.0),
]
LAYOUTS = {
    "rows": lambda logits: logits,
    "columns": lambda logits: np.asfortranarray(logits),
    "every other row": lambda logits: np.repeat(logits, 2, axis=0)[::2],
    "reversed": lambda logits: logits[::-1].copy()[::-1],
}
EXTREMES = {
    "plain": lambda logits: logits,
    "huge": lambda logits: logits * 1e30,
    "equal": lambda logits: logits * 0,
    "one class far off": lambda logits: logits + 1e4 * (np.arange(logits.shape[1]) == 0),
    "-inf": lambda logits: np.where(np.arange(logits.shape[1]) == logits.shape[1] - 1, -np.inf, logits),
    "+inf": lambda logits: np.where(np.arange(logits.size).reshape(logits.shape) == 3, np.inf, logits),
    "nan": lambda logits: np.where(np.arange(logits.size).reshape(logits.shape) == 3, np.nan, logits),
}


@pytest.mark.parametrize("library", libraries_with("softmax_cross_entropy"))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestSoftmaxCrossEntropy:
    def compare(self, monkeypatch, library, logits, labels, **options):
        arrays = put(library, logits), put(library, labels)
        options = {name: put(library, o) if isinstance(o, np.ndarray) else o for name, o in options.items()}
        with np.errstate(all="ignore"):
            expected = defined(monkeypatch, softmax_cross_entropy, *arrays, overwrite_logits=False, **options)
            ours = softmax_cross_entropy(*arrays, **options)
        rtol = 1e-13 if logits.dtype == np.float64 else 2e-6
        for mine, other in zip(ours, expected, strict=True):
            assert mine.dtype == logits.dtype
            np.testing.assert_allclose(to_numpy(mine), to_numpy(other), rtol=rtol, atol=rtol * 1e-2)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 2), (7, 10), (300, 48), (300, 49), (5, 1000), (3, 20011)])
    @pytest.mark.parametrize("axis", [-1, 0])
    def test_shapes(self, monkeypatch, library, dtype, shape, axis):
        logits = RANDOM.standard_normal(shape).astype(dtype)
        logits = np.ascontiguousarray(logits.T) if axis == 0 else logits
        self.compare(monkeypatch, library, logits, RANDOM.integers(0, shape[1], shape[0]), axis=axis, scale=0.5)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("integer", ["int32", "int64", "uint8"])
    def test_layouts_and_kinds_of_labels(self, monkeypatch, library, dtype, layout, integer):
        logits = LAYOUTS[layout](RANDOM.standard_normal((6, 5)).astype(dtype))
        self.compare(monkeypatch, library, logits, RANDOM.integers(0, 5, 6).astype(integer))

    @pytest.mark.parametrize("kind", EXTREMES)
    @pytest.mark.parametrize("label", [0, 4])
    def test_extreme_logits(self, monkeypatch, library, dtype, kind, label):
        logits = EXTREMES[kind](RANDOM.standard_normal((6, 5)).astype(dtype)).astype(dtype)
        self.compare(monkeypatch, library, logits, np.full(6, label))

    @pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
    @pytest.mark.parametrize("temperature", [1.0, 3.0])
    @pytest.mark.parametrize("weighted", ["none", "samples", "classes", "both"])
    def test_options(self, monkeypatch, library, dtype, label_smoothing, temperature, weighted):
        sample = np.array([0.0, 1.0, 2.5, 0.5], dtype) if weighted in {"samples", "both"} else None
        by_class = np.array([1.0, 0.0, 2.0], dtype) if weighted in {"classes", "both"} else None
        self.compare(
            monkeypatch,
            library,
            RANDOM.standard_normal((4, 3)).astype(dtype),
            np.array([0, 1, 2, 2]),
            sample_weight=sample,
            class_weight=by_class,
            label_smoothing=label_smoothing,
            temperature=temperature,
            scale=np.asarray(0.25, dtype),
        )

    def test_the_kernel_writes_over_the_logits(self, library, dtype):
        kernel = find_kernel("softmax_cross_entropy", put(library, np.empty(0)))
        logits = put(library, RANDOM.standard_normal((4, 3)).astype(dtype))
        _, gradient = kernel(logits, put(library, np.array([0, 1, 2, 2])))
        assert gradient is logits


@pytest.mark.parametrize("library", libraries_with("linear_cross_entropy"))
class TestLinearCrossEntropy:
    def compare(self, monkeypatch, library, X, labels, weight, bias, *, dtype, loss=None, rtol, **settings):
        loss = loss or sx.CrossEntropy()
        X, labels, weight, bias = (put(library, array) for array in (X, labels, weight, bias))
        given = put(library, settings.pop("sample_weight", None))
        targets = loss.prepare(labels, weight.shape[1], dtype=weight.dtype, sample_weight=given)
        objective = LinearObjective(X, targets, loss, settings.pop("penalty", None), weight.dtype)
        params = LinearParams(weight, bias)
        value, gradient = objective.value_and_gradient(params)
        expected, reference = defined(monkeypatch, objective.value_and_gradient, params)
        np.testing.assert_allclose(to_numpy(value), to_numpy(expected), rtol=rtol)
        for mine, other in zip(gradient, reference, strict=True):
            assert (mine is None) is (other is None)
            if other is not None:
                assert mine.dtype == dtype
                size = np.abs(to_numpy(other)).max()
                np.testing.assert_allclose(to_numpy(mine), to_numpy(other), rtol=rtol, atol=rtol * size)

    @pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-11)])
    @pytest.mark.parametrize("shape", [(1, 1, 2), (50, 6, 3), (7000, 784, 10), (500, 300, 32), (40, 20, 100)])
    @pytest.mark.parametrize("bias", [True, False])
    def test_shapes(self, monkeypatch, library, dtype, rtol, shape, bias):
        n_samples, n_features, n_classes = shape
        X = RANDOM.standard_normal((n_samples, n_features)).astype(dtype)
        weight = RANDOM.standard_normal((n_features, n_classes)).astype(dtype) / n_features**0.5
        biases = RANDOM.standard_normal(n_classes).astype(dtype) if bias else None
        labels = RANDOM.integers(0, n_classes, n_samples)
        self.compare(monkeypatch, library, X, labels, weight, biases, dtype=dtype, rtol=rtol)

    @pytest.mark.parametrize("stored", ["float16", "uint8", "int64", "bool", "float64"])
    def test_kinds_of_features(self, monkeypatch, library, stored):
        X = (np.abs(RANDOM.standard_normal((90, 6))) * 3).astype(stored)
        weight = RANDOM.standard_normal((6, 3)).astype("float32")
        labels = RANDOM.integers(0, 3, 90)
        self.compare(monkeypatch, library, X, labels, weight, None, dtype="float32", rtol=2e-5)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("loss", LOSSES, ids=repr)
    def test_options_and_layouts(self, monkeypatch, library, layout, loss):
        X = LAYOUTS[layout](RANDOM.standard_normal((90, 6)))
        weight, biases = RANDOM.standard_normal((6, 3)), RANDOM.standard_normal(3)
        settings = {"sample_weight": RANDOM.random(90), "penalty": sx.L2(0.1), "loss": loss}
        labels = RANDOM.integers(0, 3, 90)
        self.compare(monkeypatch, library, X, labels, weight, biases, dtype="float64", rtol=1e-11, **settings)


SAMPLES = 210
FEATURES = RANDOM.standard_normal((SAMPLES, 6))
LABELS = (FEATURES @ RANDOM.standard_normal((6, 3))).argmax(axis=1)
WEIGHT = np.where(np.arange(SAMPLES) % 5 == 0, 0.0, RANDOM.random(SAMPLES))
RUNS = {
    "plain": {},
    "weights": {"sample_weight": WEIGHT},
    "class weights": {"loss": sx.CrossEntropy(class_weight=(1.0, 2.0, 0.5)), "sample_weight": WEIGHT},
    "ignored": {"loss": sx.CrossEntropy(ignore_index=-1), "y": np.where(np.arange(SAMPLES) % 7 == 0, -1, LABELS)},
    "temperature": {"loss": sx.CrossEntropy(temperature=2.0)},
    "smoothing": {"loss": sx.CrossEntropy(label_smoothing=0.1)},
    "penalty": {"penalty": sx.L2(0.1)},
    "penalty, no bias": {"penalty": sx.L2(0.1), "fit_intercept": False},
    "elastic net": {"penalty": sx.ElasticNet(0.1, 0.5)},
    "no bias": {"fit_intercept": False, "initial_scale": 0.5},
    "standardised": {"standardize": True},
    "averaged": {"averaging": sx.ExponentialAverage(0.9)},
    "clipped": {"clipping": sx.ClipByGlobalNorm(0.1)},
    "schedule": {"schedule": sx.Cosine()},
    "whole batches": {"drop_last": True},
    "one batch": {"batch_size": SAMPLES},
    "in order": {"shuffle": False},
}


def trained(library, X, y, *, sample_weight=None, **settings):
    settings = {"optimizer": sx.Adam(0.05), "epochs": 2, "batch_size": 32, "seed": 3, "device": None} | settings
    weight = None if sample_weight is None else put(library, sample_weight.astype(X.dtype))
    model, history = sx.Trainer(**settings).fit(put(library, X), put(library, y), sample_weight=weight)
    arrays = [array for array in model.params if array is not None]
    return np.vstack([to_numpy(array) for array in arrays]), history


def assert_same_training(monkeypatch, library, X, y, *, rtol, **settings):
    ours, history = trained(library, X, y, **settings)
    theirs, expected = defined(monkeypatch, trained, library, X, y, **settings)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())
    for column in ("train_loss", "train_accuracy", "step", "learning_rate"):
        np.testing.assert_allclose(history[column], expected[column], rtol=10 * rtol)


@pytest.mark.parametrize("library", libraries_with("linear_steps"))
class TestLinearSteps:
    @pytest.fixture(autouse=True)
    def _chosen(self, monkeypatch, library):
        monkeypatch.setenv("SOFTMAX_XP_KERNELS", "numba" if library == "numba" else "1")

    @pytest.mark.parametrize("run", RUNS)
    def test_training_is_that_of_the_definition(self, monkeypatch, library, run):
        settings = {"y": LABELS} | RUNS[run]
        assert_same_training(monkeypatch, library, FEATURES, rtol=1e-10, **settings)

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_with_every_optimizer(self, monkeypatch, library, name):
        assert_same_training(monkeypatch, library, FEATURES, LABELS, rtol=1e-8, optimizer=OPTIMIZERS[name])

    @pytest.mark.parametrize("stored", ["float16", "float32", "uint8", "int64", "bool"])
    def test_with_every_kind_of_feature(self, monkeypatch, library, stored):
        X = (np.abs(FEATURES) * 3).astype(stored)
        assert_same_training(monkeypatch, library, X, LABELS, rtol=2e-5, dtype="float32")

    @pytest.mark.parametrize("layout", ["columns", "every other row", "reversed"])
    def test_with_every_layout_of_the_features(self, monkeypatch, library, layout):
        assert_same_training(monkeypatch, library, LAYOUTS[layout](FEATURES), LABELS, rtol=1e-10)

    @pytest.mark.parametrize(("n_features", "n_classes"), [(1, 2), (700, 10), (40, 60)])
    def test_with_every_shape(self, monkeypatch, library, n_features, n_classes):
        X = RANDOM.standard_normal((600, n_features))
        y = np.arange(600) % n_classes
        assert_same_training(monkeypatch, library, X, y, rtol=1e-9, batch_size=256)


@pytest.mark.parametrize("library", libraries_with("update"))
class TestUpdate:
    """Clipping keeps the kernels of whole steps out."""

    @pytest.mark.parametrize("name", OPTIMIZERS)
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_with_every_optimizer(self, monkeypatch, library, name, dtype):
        settings = {"optimizer": OPTIMIZERS[name], "clipping": sx.ClipByGlobalNorm(0.1), "dtype": dtype}
        rtol = 1e-4 if dtype == "float32" else 1e-10
        assert_same_training(monkeypatch, library, FEATURES, LABELS, rtol=rtol, **settings)

    @pytest.mark.parametrize("run", RUNS)
    def test_with_every_setting(self, monkeypatch, library, run):
        settings = {"y": LABELS, "clipping": sx.ClipByValue(0.01)} | RUNS[run]
        assert_same_training(monkeypatch, library, FEATURES, rtol=1e-10, **settings)

    def test_with_many_classes(self, monkeypatch, library):
        X = RANDOM.standard_normal((600, 40))
        assert_same_training(monkeypatch, library, X, np.arange(600) % 100, rtol=1e-9)
