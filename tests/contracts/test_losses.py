# SPDX-License-Identifier: BSD-3-Clause
"""What every loss promises, on every backend, and cross-entropy in every combination of its options."""

import math
import pickle

import array_api_compat
import numpy as np
import pytest

from softmax_xp.losses import CrossEntropy, Loss, Targets, mean_value_and_gradient
from softmax_xp.losses.contract import reciprocal_total
from tests.losses.problems import VARIANTS, problem_of
from tests.losses.torch_reference import (
    IGNORED,
    LABELS,
    LOGITS,
    N_CLASSES,
    N_SAMPLES,
    OPTIONS,
    SAMPLE_WEIGHT,
    torch_mean,
)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def loss(request):
    return request.param


@pytest.fixture
def problem(loss):
    return problem_of(loss)


@pytest.fixture(params=["labels", "soft targets"])
def kind(request, loss):
    if request.param == "soft targets" and loss.ignore_index is not None:
        pytest.skip("soft targets have no label to ignore")
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


def put_targets(backend, targets, dtype):
    return backend.asarray(targets.astype(dtype) if targets.ndim == 2 else targets)


def prepared(loss, backend, dtype, *, targets, sample_weight=None):
    weight = None if sample_weight is None else backend.asarray(sample_weight.astype(dtype))
    n_classes = problem_of(loss).n_classes
    return loss.prepare(
        put_targets(backend, targets, dtype), n_classes, dtype=getattr(backend.xp, dtype), sample_weight=weight
    )


def put_logits(backend, dtype, logits, axis=-1):
    return backend.asarray(np.ascontiguousarray(logits.T if axis == 0 else logits).astype(dtype))


def arrays_of(targets):
    return [array for array in targets if array is not None]


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("case", OPTIONS, ids=str)
def test_cross_entropy_means_what_pytorch_means(case, axis):
    each, mean, gradient = torch_mean(case)
    targets = case.loss.prepare(case.targets, N_CLASSES, dtype=np.dtype("float64"), sample_weight=case.sample_weight)
    scale = reciprocal_total(targets)
    logits = LOGITS if axis == -1 else np.ascontiguousarray(LOGITS.T)
    values, ours = case.loss.value_and_gradient(logits, targets, scale=scale, axis=axis)
    np.testing.assert_allclose(values, each, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(np.sum(values) * scale, mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(ours if axis == -1 else ours.T, gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("case", OPTIONS, ids=str)
def test_the_mean_and_its_gradient_agree_with_pytorch_on_every_backend(backend, case):
    # In one dtype and layout: the other test covers those on NumPy, and test_each_layout_gives... all backends.
    if not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    _, mean, gradient = torch_mean(case)
    weight = None if case.sample_weight is None else backend.asarray(case.sample_weight)
    value, ours = mean_value_and_gradient(
        case.loss, backend.asarray(LOGITS), backend.asarray(case.targets), sample_weight=weight
    )
    np.testing.assert_allclose(backend.to_numpy(value), mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(backend.to_numpy(ours), gradient, rtol=1e-11, atol=1e-14)


def test_the_gradient_is_that_of_the_value(backend, loss, kind, problem):
    if not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    targets = prepared(loss, backend, "float64", targets=problem.targets[kind], sample_weight=SAMPLE_WEIGHT)
    gradient = backend.to_numpy(loss.value_and_gradient(backend.asarray(problem.logits), targets)[1])
    step = 1e-5
    for column in range(problem.logits.shape[1]):
        moved = np.zeros_like(problem.logits)
        moved[:, column] = step  # samples do not touch one another, so one class of all of them moves at once
        above, below = (
            backend.to_numpy(loss.value_and_gradient(backend.asarray(problem.logits + sign * moved), targets)[0])
            for sign in (1, -1)
        )
        np.testing.assert_allclose(gradient[:, column], (above - below) / (2 * step), rtol=1e-7, atol=1e-9)


def test_each_layout_and_dtype_gives_numpys_numbers(backend, loss, kind, dtype, problem):
    for weight in (None, SAMPLE_WEIGHT):
        targets = prepared(loss, backend, dtype, targets=problem.targets[kind], sample_weight=weight)
        reference = loss.prepare(
            problem.targets[kind], problem.n_classes, dtype=np.dtype("float64"), sample_weight=weight
        )
        expected = loss.value_and_gradient(problem.logits, reference)
        tolerance = 1e-5 if dtype == "float32" else 1e-13
        for axis in (-1, 0):
            value, gradient = loss.value_and_gradient(
                put_logits(backend, dtype, problem.logits, axis), targets, axis=axis
            )
            gradient = backend.to_numpy(gradient)
            np.testing.assert_allclose(backend.to_numpy(value), expected[0], rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(
                gradient if axis == -1 else gradient.T, expected[1], rtol=tolerance, atol=tolerance
            )


def test_a_float32_run_makes_nothing_else(backend, loss, kind, dtype, problem):
    # array-api-strict would allow float32 to meet float64 and answer in float64; so the dtypes say whether they met.
    targets = prepared(loss, backend, dtype, targets=problem.targets[kind], sample_weight=SAMPLE_WEIGHT)
    scale = reciprocal_total(targets)
    results = [*loss.value_and_gradient(put_logits(backend, dtype, problem.logits), targets, scale=scale), scale]
    for array in [*results, *arrays_of(targets)[1:]]:
        assert backend.to_numpy(array).dtype == dtype
        assert array_api_compat.array_namespace(array) is backend.xp
        assert array_api_compat.device(array) == backend.device
    weight = backend.asarray(SAMPLE_WEIGHT.astype(dtype))
    logits = put_logits(backend, dtype, problem.logits)
    for array in mean_value_and_gradient(
        loss, logits, put_targets(backend, problem.targets[kind], dtype), sample_weight=weight
    ):
        assert backend.to_numpy(array).dtype == dtype


def test_weights_of_another_dtype_follow_the_logits(backend, loss, kind, problem):
    if not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    targets = loss.prepare(
        backend.asarray(problem.targets[kind]),
        problem.n_classes,
        dtype=backend.xp.float32,
        sample_weight=backend.asarray(SAMPLE_WEIGHT),
    )
    for array in arrays_of(targets)[1:]:
        assert array.dtype == backend.xp.float32


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_scale_multiplies_the_gradient_and_not_the_value(backend, loss, kind, axis, weighted, problem):
    targets = prepared(
        loss, backend, "float32", targets=problem.targets[kind], sample_weight=SAMPLE_WEIGHT if weighted else None
    )
    logits = put_logits(backend, "float32", problem.logits, axis)
    value, gradient = loss.value_and_gradient(logits, targets, axis=axis)
    for scale in (0.125, backend.asarray(np.asarray(0.125, "float32"))):
        same, scaled = loss.value_and_gradient(logits, targets, scale=scale, axis=axis)
        np.testing.assert_array_equal(backend.to_numpy(same), backend.to_numpy(value))
        np.testing.assert_allclose(backend.to_numpy(scaled), backend.to_numpy(gradient) * 0.125, rtol=1e-6)


def test_samples_together_or_one_by_one_are_the_same(backend, loss, kind, problem):
    targets = prepared(loss, backend, "float32", targets=problem.targets[kind], sample_weight=SAMPLE_WEIGHT)
    values, gradients = (
        backend.to_numpy(a) for a in loss.value_and_gradient(put_logits(backend, "float32", problem.logits), targets)
    )
    for row in range(N_SAMPLES):
        alone = prepared(
            loss,
            backend,
            "float32",
            targets=problem.targets[kind][row : row + 1],
            sample_weight=SAMPLE_WEIGHT[row : row + 1],
        )
        logits = put_logits(backend, "float32", problem.logits[row : row + 1])
        value, gradient = loss.value_and_gradient(logits, alone)
        np.testing.assert_allclose(backend.to_numpy(value), values[row : row + 1], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(backend.to_numpy(gradient), gradients[row : row + 1], rtol=1e-6, atol=1e-7)


def mean(loss, backend, logits, targets, weight=None):
    value, gradient = mean_value_and_gradient(
        loss,
        backend.asarray(logits.astype("float32")),
        put_targets(backend, targets, "float32"),
        sample_weight=None if weight is None else backend.asarray(np.asarray(weight, "float32")),
    )
    return backend.to_numpy(value), backend.to_numpy(gradient)


def test_a_repeated_sample_counts_as_one_of_twice_the_weight(backend, loss, kind, problem):
    targets = problem.targets[kind]
    twice = np.append(np.arange(N_SAMPLES), [0, 3])
    value, gradient = mean(loss, backend, problem.logits[twice], targets[twice])
    weight = np.ones(N_SAMPLES)
    weight[[0, 3]] = 2
    weighted_value, weighted_gradient = mean(loss, backend, problem.logits, targets, weight)
    np.testing.assert_allclose(value, weighted_value, rtol=1e-6)
    summed = gradient[:N_SAMPLES].copy()
    summed[[0, 3]] += gradient[N_SAMPLES:]
    np.testing.assert_allclose(summed, weighted_gradient, rtol=1e-5, atol=1e-7)


def test_a_sample_of_weight_zero_is_as_good_as_absent(backend, loss, kind, problem):
    targets, weight = problem.targets[kind], SAMPLE_WEIGHT.copy()
    weight[4] = 0
    kept = weight > 0
    value, gradient = mean(loss, backend, problem.logits, targets, weight)
    without_value, without_gradient = mean(loss, backend, problem.logits[kept], targets[kept], weight[kept])
    np.testing.assert_allclose(value, without_value, rtol=1e-6)
    np.testing.assert_allclose(gradient[kept], without_gradient, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(gradient[~kept], 0)


@pytest.mark.parametrize("ignored", [IGNORED, -1, 2, 255])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weight", [None, (0.3, 1.0, 2.0, 0.7, 1.5)])
def test_two_samples_of_which_one_is_ignored_are_one_sample(backend, ignored, smoothing, class_weight):
    # The property that caught PyTorch's mean over label smoothing, class weights and ignored samples.
    loss = CrossEntropy(smoothing, class_weight, ignored)
    value, gradient = mean(loss, backend, LOGITS[:2], np.array([4, ignored]))
    one_value, one_gradient = mean(loss, backend, LOGITS[:1], np.array([4]))
    np.testing.assert_allclose(value, one_value, rtol=1e-6)
    np.testing.assert_allclose(gradient[:1], one_gradient, rtol=1e-6)
    np.testing.assert_array_equal(gradient[1], 0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weight", [None, (0.3, 1.0, 2.0, 0.7, 1.5)])
def test_a_batch_in_which_nothing_counts_is_zero_and_not_nan(backend, smoothing, class_weight):
    loss = CrossEntropy(smoothing, class_weight, IGNORED)
    value, gradient = mean(loss, backend, LOGITS[:3], np.full(3, IGNORED))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)
    value, gradient = mean(loss, backend, LOGITS[:3], LABELS[:3], np.zeros(3))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_an_empty_batch_is_zero_and_not_nan(backend, loss, kind, problem):
    value, gradient = mean(loss, backend, problem.logits[:0], problem.targets[kind][:0])
    assert value == 0
    assert gradient.shape == (0, problem.logits.shape[1])


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_give_the_true_loss(backend, dtype, axis, smoothing):
    if dtype == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    huge = 1e38 if dtype == "float32" else 1e300
    logits = np.array([[huge, 0, -huge], [huge, 0, -huge], [-huge, -huge, -huge], [0, -1000, 1000]])
    loss = CrossEntropy(smoothing)
    x = put_logits(backend, dtype, logits, axis)
    targets = loss.prepare(backend.asarray(np.array([0, 1, 2, 1])), 3, dtype=getattr(backend.xp, dtype))
    value, gradient = (backend.to_numpy(array) for array in loss.value_and_gradient(x, targets, axis=axis))
    gradient = gradient if axis == -1 else gradient.T
    shares = np.eye(3)[[0, 1, 2, 1]] * (1 - smoothing) + smoothing / 3
    third = np.full(3, 1 / 3)
    logarithms = np.array([[0, -huge, -2 * huge]] * 2 + [-np.log(3) * np.ones(3), [-1000, -2000, 0]])
    expected = -np.sum(shares * logarithms, axis=1)
    probabilities = np.array([[1, 0, 0], [1, 0, 0], third, [0, 0, 1]])
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, probabilities - shares, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("axis", [-1, 0])
def test_a_soft_target_of_zero_asks_nothing_of_its_logit(backend, axis):
    logits = put_logits(backend, "float32", np.array([[0.0, 0.0, -np.inf]]), axis)
    soft = backend.asarray(np.array([[0.25, 0.75, 0.0]], "float32"))
    loss = CrossEntropy()
    targets = loss.prepare(soft, 3, dtype=backend.xp.float32)
    value, gradient = (backend.to_numpy(array) for array in loss.value_and_gradient(logits, targets, axis=axis))
    np.testing.assert_allclose(value, [np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(np.ravel(gradient), [0.25, -0.25, 0.0], rtol=1e-6)


def test_an_impossible_label_costs_infinity(backend):
    value, gradient = mean(CrossEntropy(), backend, np.array([[0.0, -np.inf]]), np.array([1]))
    assert value == math.inf
    np.testing.assert_array_equal(gradient, [[1.0, -1.0]])


def test_nan_is_never_hidden(backend, loss, kind, problem):
    logits = problem.logits.copy()
    logits[0, -1] = np.nan
    value, gradient = mean(loss, backend, logits, problem.targets[kind])
    assert np.isnan(value)
    assert np.all(np.isnan(gradient[0]))
    assert np.all(np.isfinite(gradient[1:]))


def test_writes_to_nothing_it_was_given(backend, loss, kind, problem):
    hosts = problem.logits.astype("float32"), problem.targets[kind], SAMPLE_WEIGHT.astype("float32")
    logits, soft_or_labels, weight = (backend.asarray(host) for host in hosts)
    targets = loss.prepare(soft_or_labels, problem.n_classes, dtype=backend.xp.float32, sample_weight=weight)
    before = [backend.to_numpy(array).copy() for array in arrays_of(targets)]
    for axis in (-1, 0):
        x = logits if axis == -1 else backend.asarray(np.ascontiguousarray(hosts[0].T))
        kept = backend.to_numpy(x).copy()
        _, gradient = loss.value_and_gradient(x, targets, scale=0.5, axis=axis)
        np.testing.assert_array_equal(backend.to_numpy(x), kept)
        if backend.name == "numpy":
            given = [x, soft_or_labels, weight, *arrays_of(targets)]
            assert not any(np.shares_memory(gradient, array) for array in given)
    for array, host in zip((logits, soft_or_labels, weight), hosts, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), host)
    for array, host in zip(arrays_of(targets), before, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), host)


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("weighted", [False, True])
def test_reads_nothing_back_from_the_device(monkeypatch, loss, kind, axis, weighted, problem):
    strict = pytest.importorskip("array_api_strict")
    logits = strict.asarray(np.ascontiguousarray(problem.logits.T if axis == 0 else problem.logits))
    targets = loss.prepare(
        strict.asarray(problem.targets[kind]),
        problem.n_classes,
        dtype=strict.float64,
        sample_weight=strict.asarray(SAMPLE_WEIGHT) if weighted else None,
    )

    def refuse(array, *arguments, **options):
        msg = "a host read inside the mathematics"
        raise AssertionError(msg)

    for name in ("__float__", "__bool__", "__int__", "__index__", "__complex__", "__array__", "__iter__"):
        monkeypatch.setattr(type(logits), name, refuse, raising=False)
    value, gradient = loss.value_and_gradient(logits, targets, scale=reciprocal_total(targets), axis=axis)
    monkeypatch.undo()
    reference = loss.prepare(
        problem.targets[kind],
        problem.n_classes,
        dtype=np.dtype("float64"),
        sample_weight=SAMPLE_WEIGHT if weighted else None,
    )
    expected = loss.value_and_gradient(problem.logits, reference, scale=reciprocal_total(reference))
    np.testing.assert_allclose(np.array(value), expected[0], rtol=1e-12)
    gradient = np.array(gradient)
    np.testing.assert_allclose(gradient if axis == -1 else gradient.T, expected[1], rtol=1e-12, atol=1e-15)


def test_follows_the_protocol(loss, problem):
    assert isinstance(loss, Loss)
    assert isinstance(loss.prepare(problem.targets["labels"], problem.n_classes, dtype=np.dtype("float64")), Targets)


def test_prints_compares_hashes_and_pickles(loss):
    twin = pickle.loads(pickle.dumps(loss))
    assert twin == loss
    assert hash(twin) == hash(loss)
    assert eval(repr(loss), {type(loss).__name__: type(loss)}) == loss  # noqa: S307
    assert loss != CrossEntropy(label_smoothing=0.77)


def test_hyperparameters_cannot_be_changed(loss):
    with pytest.raises(AttributeError):
        loss.temperature = 3.0


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_of_any_width_count_the_same(backend, kind, smoothing):
    # 300 samples and 300 classes: more than 8 bits can number. MNIST's labels are uint8.
    rng = np.random.default_rng(12)
    logits, labels = rng.standard_normal((300, 300)), rng.integers(0, 120, 300)
    loss = CrossEntropy(smoothing, ignore_index=-100)
    value, gradient = mean(loss, backend, logits, labels.astype(kind))
    expected_value, expected_gradient = mean_value_and_gradient(loss, logits, labels)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-7)
