# SPDX-License-Identifier: BSD-3-Clause
"""The objective of the linear model: in chunks or whole, against scikit-learn, for data of every kind."""

import dataclasses

import array_api_compat
import numpy as np
import pytest

from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import LinearObjective
from softmax_xp.objectives.linear import batch_terms
from softmax_xp.ops import linear
from softmax_xp.penalties import L2
from softmax_xp.typing import LinearParams

N_SAMPLES, N_FEATURES, N_CLASSES = 53, 6, 4
RNG = np.random.default_rng(51)
X = RNG.standard_normal((N_SAMPLES, N_FEATURES))
LABELS = RNG.integers(0, N_CLASSES, N_SAMPLES)
SOFT = RNG.dirichlet(np.ones(N_CLASSES), N_SAMPLES)
SAMPLE_WEIGHT = RNG.uniform(0.0, 2.0, N_SAMPLES)
PARAMS = LinearParams(RNG.standard_normal((N_FEATURES, N_CLASSES)), RNG.standard_normal(N_CLASSES))
LOSSES = {
    "plain": (CrossEntropy(), LABELS),
    "soft": (CrossEntropy(temperature=2.0), SOFT),
    "all options": (CrossEntropy(0.1, (1.0, 0.5, 2.0, 0.0), -100, 0.5), np.where(LABELS == 2, -100, LABELS)),
    "class weights": (CrossEntropy(class_weight=(1.0, 0.5, 2.0, 0.0)), LABELS),
}


@pytest.fixture(params=["float32", "float64"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


@pytest.fixture
def cut(monkeypatch):
    """Cut the data into chunks of at most so many rows, with the classes on the axis asked for."""

    def cut(rows, axis):
        monkeypatch.setattr(linear, "_LEAST_CHUNK_ROWS", rows)
        monkeypatch.setattr(linear, "_CPU_ROWS_BYTES", 0)
        monkeypatch.setattr(linear, "_CPU_LOGITS_BYTES", 0)
        monkeypatch.setattr(linear, "_ACCELERATOR_BYTES", 0)
        monkeypatch.setattr(linear, "_CLASS_MAJOR_LIMIT", 10**9 if axis == 0 else 0)

    return cut


def make(backend, dtype, *, loss=None, targets=LABELS, weight=None, penalty=None, rows=X, transform=None):
    loss = loss or CrossEntropy()
    kind = getattr(backend.xp, dtype)
    targets = backend.asarray(targets.astype(dtype) if targets.ndim == 2 else targets)
    weight = None if weight is None else backend.asarray(weight.astype(dtype))
    prepared = loss.prepare(targets, N_CLASSES, dtype=kind, sample_weight=weight)
    return LinearObjective(backend.asarray(rows.astype(dtype)), prepared, loss, penalty, kind, transform)


def put(backend, dtype, params=PARAMS):
    return LinearParams(*[None if array is None else backend.asarray(array.astype(dtype)) for array in params])


def on_host(penalty=None, loss=None, targets=LABELS, weight=None, rows=X, params=PARAMS):
    """The definition, whole and in NumPy's longest float."""
    loss = loss or CrossEntropy()
    prepared = loss.prepare(targets, N_CLASSES, dtype=np.dtype("float64"), sample_weight=weight)
    logits = rows @ params.weight + (0 if params.bias is None else params.bias)
    values, gradient = loss.value_and_gradient(logits, prepared)
    total = np.sum(prepared.weight) if prepared.weight is not None else len(rows)
    value, weight_gradient = np.sum(values) / total, rows.T @ gradient / total
    if penalty is not None:
        value += penalty.reg / 2 * np.sum(params.weight**2)
        weight_gradient += penalty.reg * params.weight
    return value, weight_gradient, np.sum(gradient, axis=0) / total


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("rows", [7, 1000])
@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_any_number_of_chunks_gives_the_definition(backend, dtype, cut, axis, rows, kind, weighted):
    loss, targets = LOSSES[kind]
    weight = SAMPLE_WEIGHT if weighted else None
    cut(rows, axis)
    objective = make(backend, dtype, loss=loss, targets=targets, weight=weight, penalty=L2(0.3))
    value, gradient = objective.value_and_gradient(put(backend, dtype))
    expected = on_host(L2(0.3), loss, targets, weight)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for array, truth in zip((value, *gradient), expected, strict=True):
        np.testing.assert_allclose(backend.to_numpy(array), truth, rtol=tolerance, atol=tolerance)


def test_the_data_are_really_cut(cut, monkeypatch):
    sizes = []
    loss = CrossEntropy()
    original = type(loss).value_and_gradient

    def count(self, logits, targets, **options):
        sizes.append((logits.shape, options["axis"]))
        return original(self, logits, targets, **options)

    monkeypatch.setattr(type(loss), "value_and_gradient", count)
    backend = _numpy()
    for axis in (0, -1):
        sizes.clear()
        cut(20, axis)
        make(backend, "float64").value_and_gradient(PARAMS)
        lengths = [20, 20, 13]
        assert sizes == [((N_CLASSES, n) if axis == 0 else (n, N_CLASSES), axis) for n in lengths]


def _numpy():
    from tests.backends import load

    return load("numpy")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("penalty", [None, L2(0.3)])
def test_the_gradient_is_that_of_the_value(bias, penalty):
    objective = make(_numpy(), "float64", weight=SAMPLE_WEIGHT, penalty=penalty)
    params = PARAMS if bias else LinearParams(PARAMS.weight)
    gradient = objective.value_and_gradient(params)[1]
    assert (gradient.bias is None) == (not bias)
    for name in ("weight", "bias") if bias else ("weight",):
        array = getattr(params, name)
        for position in np.ndindex(array.shape):
            moved = np.zeros_like(array)
            moved[position] = 1e-5
            above, below = (
                objective.value_and_gradient(params._replace(**{name: array + sign * moved}))[0] for sign in (1, -1)
            )
            slope = float(above - below) / 2e-5
            np.testing.assert_allclose(getattr(gradient, name)[position], slope, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("reg", [0.0, 0.05])
def test_agrees_with_scikit_learns_linear_model_loss(weighted, fit_intercept, reg):
    module = pytest.importorskip("sklearn.linear_model._linear_loss")
    from sklearn._loss import HalfMultinomialLoss

    theirs = module.LinearModelLoss(base_loss=HalfMultinomialLoss(n_classes=N_CLASSES), fit_intercept=fit_intercept)
    params = PARAMS if fit_intercept else LinearParams(PARAMS.weight)
    coef = np.asfortranarray(np.vstack([params.weight, params.bias]).T if fit_intercept else params.weight.T)
    weight = SAMPLE_WEIGHT if weighted else None
    value, gradient = theirs.loss_gradient(coef, X, LABELS.astype(float), sample_weight=weight, l2_reg_strength=reg)
    objective = make(_numpy(), "float64", weight=weight, penalty=L2(reg) if reg else None)
    our_value, ours = objective.value_and_gradient(params)
    np.testing.assert_allclose(our_value, value, rtol=1e-12)
    np.testing.assert_allclose(ours.weight, gradient.T[:N_FEATURES], rtol=1e-12, atol=1e-14)
    if fit_intercept:
        np.testing.assert_allclose(ours.bias, gradient.T[N_FEATURES], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rows", [9, 1000])
@pytest.mark.parametrize("weighted", [False, True])
def test_evaluate_agrees_with_scikit_learns_metrics(backend, dtype, cut, rows, weighted):
    metrics = pytest.importorskip("sklearn.metrics")
    cut(rows, 0)
    weight = SAMPLE_WEIGHT if weighted else None
    loss, accuracy = make(backend, dtype, weight=weight, penalty=L2(5.0)).evaluate(put(backend, dtype))
    assert type(loss) is float
    assert type(accuracy) is float
    logits = X @ PARAMS.weight + PARAMS.bias
    probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    expected = metrics.log_loss(LABELS, probabilities, sample_weight=weight, labels=range(N_CLASSES))
    np.testing.assert_allclose(loss, expected, rtol=tolerance)
    expected = metrics.accuracy_score(LABELS, np.argmax(logits, axis=1), sample_weight=weight)
    np.testing.assert_allclose(accuracy, expected, rtol=tolerance)


def test_class_weights_change_the_loss_and_not_the_accuracy():
    backend = _numpy()
    plain = make(backend, "float64", weight=SAMPLE_WEIGHT).evaluate(PARAMS)
    loss, targets = LOSSES["class weights"]
    weighted = make(backend, "float64", loss=loss, targets=targets, weight=SAMPLE_WEIGHT).evaluate(PARAMS)
    assert weighted[0] != plain[0]
    np.testing.assert_allclose(weighted[1], plain[1], rtol=1e-14)


def test_ignored_samples_count_in_neither_number(backend):
    loss, targets = CrossEntropy(ignore_index=-100), np.where(LABELS == 2, -100, LABELS)
    with_ignored = make(backend, "float32", loss=loss, targets=targets).evaluate(put(backend, "float32"))
    kept = LABELS != 2
    without = make(backend, "float32", targets=LABELS[kept], rows=X[kept]).evaluate(put(backend, "float32"))
    np.testing.assert_allclose(with_ignored, without, rtol=1e-5)


def test_tied_logits_count_for_the_lowest_class(backend):
    zero = LinearParams(backend.asarray(np.zeros((N_FEATURES, N_CLASSES), "float32")))
    loss, accuracy = make(backend, "float32").evaluate(zero)
    np.testing.assert_allclose(loss, np.log(N_CLASSES), rtol=1e-6)
    np.testing.assert_allclose(accuracy, np.mean(LABELS == 0), rtol=1e-6)


@pytest.mark.parametrize("rows", [10, 1000])
def test_a_transform_meets_every_chunk_after_its_conversion(backend, cut, rows):
    cut(rows, -1)
    seen = []

    def transform(chunk):
        seen.append(chunk.dtype)
        return chunk * 2.0

    data = np.round(X * 10).astype("int16")
    objective = dataclasses.replace(make(backend, "float32", transform=transform), X=backend.asarray(data))
    value, gradient = objective.value_and_gradient(put(backend, "float32"))
    expected = on_host(rows=data.astype(float) * 2)
    np.testing.assert_allclose(backend.to_numpy(value), expected[0], rtol=1e-5)
    np.testing.assert_allclose(backend.to_numpy(gradient.weight), expected[1], rtol=1e-4, atol=1e-4)
    assert seen == [backend.xp.float32] * (6 if rows == 10 else 1)


@pytest.mark.parametrize("rows", [10, 1000])
@pytest.mark.parametrize("kind", ["uint8", "int64", "bool", "float16", "float64"])
def test_features_of_any_type_are_converted_chunk_by_chunk(backend, cut, kind, rows):
    if kind == "float16" and backend.name.startswith("strict"):
        pytest.skip("the standard has no float16")
    cut(rows, 0)
    data = (X > 0) if kind == "bool" else np.abs(np.round(X * 20)).astype(kind)
    objective = dataclasses.replace(make(backend, "float32"), X=backend.asarray(data))
    params = put(backend, "float32", LinearParams(PARAMS.weight / 10, PARAMS.bias))
    value, gradient = objective.value_and_gradient(params)
    expected = on_host(rows=data.astype(float), params=LinearParams(PARAMS.weight / 10, PARAMS.bias))
    np.testing.assert_allclose(backend.to_numpy(value), expected[0], rtol=1e-5)
    np.testing.assert_allclose(backend.to_numpy(gradient.weight), expected[1], rtol=1e-4, atol=1e-5)
    assert gradient.weight.dtype == backend.xp.float32


@pytest.mark.parametrize("rows", [10, 1000])
@pytest.mark.parametrize("kind", ["fortran", "strided", "reversed", "big-endian", "read-only", "memmap"])
def test_features_of_any_layout_give_the_same_numbers(cut, kind, rows, tmp_path):
    cut(rows, 0)
    wide = np.zeros((2 * N_SAMPLES, 3 * N_FEATURES))
    wide[::2, ::3] = X
    if kind == "fortran":
        data = np.asfortranarray(X)
    elif kind == "strided":
        data = wide[::2, ::3]
    elif kind == "reversed":
        data = np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    elif kind == "big-endian":
        data = X.astype(">f8")
    elif kind == "read-only":
        data = X.copy()
        data.flags.writeable = False
    else:
        X.tofile(tmp_path / "X.dat")
        data = np.memmap(tmp_path / "X.dat", X.dtype, "r", shape=X.shape)
    objective = dataclasses.replace(make(_numpy(), "float64"), X=data)
    for actual, expected in zip(_flat(objective), _flat(make(_numpy(), "float64")), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(data, X)


def _flat(objective):
    value, gradient = objective.value_and_gradient(PARAMS)
    return [value, *gradient, *objective.evaluate(PARAMS)]


def test_writes_to_nothing_it_was_given(backend, dtype, cut):
    cut(10, 0)
    objective = make(backend, dtype, weight=SAMPLE_WEIGHT, penalty=L2(0.1))
    params = put(backend, dtype)
    given = [objective.X, *params, *[array for array in objective.targets if array is not None]]
    before = [backend.to_numpy(array).copy() for array in given]
    _, gradient = objective.value_and_gradient(params)
    objective.evaluate(params)
    for array, original in zip(given, before, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), original)
    if backend.name == "numpy":
        assert not any(np.shares_memory(ours, array) for ours in gradient for array in given)


def test_stays_in_namespace_device_and_dtype(backend, dtype, cut):
    cut(10, 0)
    value, gradient = make(backend, dtype, weight=SAMPLE_WEIGHT, penalty=L2(0.1)).value_and_gradient(
        put(backend, dtype)
    )
    for array in (value, *gradient):
        assert array_api_compat.array_namespace(array) is backend.xp
        assert array_api_compat.device(array) == backend.device
    assert backend.to_numpy(gradient.weight).dtype == dtype
    assert backend.to_numpy(gradient.bias).dtype == dtype
    # The sum over samples is wider on CPUs, so that a million float32 losses keep their digits.
    accumulates = "float64" if backend.float64 and backend.name != "cupy" else "float32"
    assert backend.to_numpy(value).dtype == accumulates


@pytest.mark.parametrize("axis", [-1, 0])
def test_reads_nothing_back_from_the_device(monkeypatch, cut, axis):
    strict = pytest.importorskip("array_api_strict")
    from tests.backends import load

    cut(20, axis)
    backend = load("strict")
    objective = make(backend, "float32", weight=SAMPLE_WEIGHT, penalty=L2(0.1))
    params = put(backend, "float32")

    def refuse(array, *arguments, **options):
        msg = "a host read inside the mathematics"
        raise AssertionError(msg)

    for name in ("__float__", "__bool__", "__int__", "__index__", "__complex__", "__array__", "__iter__"):
        monkeypatch.setattr(type(strict.zeros(1)), name, refuse, raising=False)
    objective.value_and_gradient(params)
    batch_terms(objective.loss, params, objective.X, objective.targets, scale=0.1, axis=axis)


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("bias", [True, False])
def test_a_batch_gives_its_losses_hits_and_gradient(backend, axis, bias):
    objective = make(backend, "float32", weight=SAMPLE_WEIGHT)
    params = PARAMS if bias else LinearParams(PARAMS.weight)
    terms = batch_terms(
        objective.loss, put(backend, "float32", params), objective.X, objective.targets, scale=0.25, axis=axis
    )
    logits = X @ params.weight + (params.bias if bias else 0)
    reference = CrossEntropy().prepare(LABELS, N_CLASSES, dtype=np.dtype("float64"), sample_weight=SAMPLE_WEIGHT)
    values, gradient = CrossEntropy().value_and_gradient(logits, reference, scale=0.25)
    np.testing.assert_allclose(backend.to_numpy(terms.value), values, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(backend.to_numpy(terms.hits), np.argmax(logits, axis=1) == LABELS)
    np.testing.assert_allclose(backend.to_numpy(terms.gradient.weight), X.T @ gradient, rtol=1e-4, atol=1e-5)
    if bias:
        np.testing.assert_allclose(
            backend.to_numpy(terms.gradient.bias), np.sum(gradient, axis=0), rtol=1e-4, atol=1e-5
        )
    else:
        assert terms.gradient.bias is None
