# SPDX-License-Identifier: BSD-3-Clause
"""Whole runs of steps, executed on the CPU, against the same steps in float64 with the package's own loss."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.kernels.cuda.linear_steps import LinearSteps, linear_steps_kernels
from softmax_xp.kernels.rules import RULES
from softmax_xp.losses import CrossEntropy
from softmax_xp.losses.contract import reciprocal_total, take_targets
from tests.kernels.cuda.shim.fixtures import needs_compiler
from tests.kernels.cuda.shim.launcher import ShimLauncher

pytestmark = needs_compiler

RATE, MOMENTUM = 0.3, 0.75


def make_problem(n_samples, n_features, n_classes, X_dtype="float32", *, seed=0):
    generator = np.random.default_rng(seed)
    if X_dtype == "uint8":
        X = generator.integers(0, 256, (n_samples, n_features)).astype(np.uint8)
    elif X_dtype == "bfloat16":
        ml_dtypes = pytest.importorskip("ml_dtypes", reason="NumPy's bfloat16 is in ml_dtypes")
        X = generator.standard_normal((n_samples, n_features)).astype(ml_dtypes.bfloat16)
    else:
        X = generator.standard_normal((n_samples, n_features)).astype(X_dtype)
    return X, generator.integers(0, n_classes, n_samples), generator


def reference(X, labels, packed, order, batch_size, *, bias, l2, sample_weight, standardisation, loss):
    """Take steps of gradient descent with momentum in float64."""
    X, n_classes = X.astype(np.float64), packed.shape[1]
    if standardisation is not None:
        X = (X - standardisation[0]) * standardisation[1]
    X = np.hstack([X, np.ones((X.shape[0], 1))]) if bias else X
    targets = loss.prepare(labels, n_classes, dtype=X.dtype, sample_weight=sample_weight)
    packed, trace = packed.astype(np.float64), np.zeros(packed.shape)
    penalised = np.ones((packed.shape[0], 1))
    if bias:
        penalised[-1] = 0
    values, hits = [], []
    for start in range(0, len(order), batch_size):
        index = order[start : start + batch_size]
        batch = take_targets(targets, index)
        logits = X[index] @ packed
        hits.append(logits.argmax(axis=1) == labels[index])
        value, gradient = loss.value_and_gradient(logits, batch, scale=reciprocal_total(batch))
        values.append(value)
        trace = MOMENTUM * trace + X[index].T @ gradient + l2 * penalised * packed
        packed = packed - RATE * trace
    return packed, trace, np.concatenate(values), np.concatenate(hits)


def check(
    shape, batch_size, *, X_dtype="float32", dtype="float32", bias=True, l2=0.0, weighted=False, standardised=False,
    smoothing=0.0, temperature=1.0, launcher=None, start=0.1, tolerance=None,
):  # fmt: skip
    """Compare a run with the reference, in all that it returns and overwrites."""
    n_samples, n_features, n_classes = shape
    X, labels, generator = make_problem(*shape, X_dtype)
    # As in an epoch, but with some rows left out.
    order = generator.permutation(n_samples)[: n_samples - 2]
    packed = start * generator.standard_normal((n_features + bias, n_classes)).astype(dtype)
    sample_weight = class_weight = standardisation = None
    if weighted:
        sample_weight = generator.uniform(0.0, 2.0, n_samples)
        sample_weight[order[1]] = 0.0
        class_weight = generator.uniform(0.5, 2.0, n_classes)
    if standardised:
        standardisation = X.astype(np.float64).mean(axis=0), 1.0 / (X.astype(np.float64).std(axis=0) + 0.1)
    class_weights = None if class_weight is None else tuple(class_weight.tolist())
    loss = CrossEntropy(label_smoothing=smoothing, class_weight=class_weights, temperature=temperature)
    weighing = {"bias": bias, "l2": l2, "sample_weight": sample_weight}
    expected = reference(X, labels, packed, order, batch_size, **weighing, standardisation=standardisation, loss=loss)
    shift, feature_scale = standardisation or (None, None)
    for array in (X, labels, order):
        array.flags.writeable = False
    launcher = launcher or ShimLauncher()
    steps = LinearSteps(
        X, labels, n_classes=n_classes, **weighing, class_weight=class_weight, shift=shift,
        feature_scale=feature_scale, label_smoothing=smoothing, temperature=temperature, rule="momentum",
        dtype=np.dtype(dtype), launcher=launcher,
    )  # fmt: skip
    trace = np.zeros_like(packed)
    n_steps = -(-len(order) // batch_size)
    scalars = np.tile(np.array([-RATE, 0.0, MOMENTUM, 1.0], dtype), (n_steps, 1))
    values, hits = steps.run(packed, (trace,), order, batch_size=batch_size, scalars=scalars)
    assert len(launcher.launched) == 2 * n_steps
    tolerance = tolerance or (3e-5 if dtype == "float32" else 1e-12)
    for got, wanted in zip((packed, trace, values), expected, strict=False):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(hits, expected[3])
    return launcher


@pytest.mark.parametrize("n_classes", [1, 2, 10, 33, 64])
def test_steps_are_those_of_the_definition(n_classes):
    check((26, 300, n_classes), 8)


@pytest.mark.parametrize("is_reversed", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_penalty_smoothing_temperature_and_standardisation(dtype, is_reversed):
    launcher = ShimLauncher(is_reversed=is_reversed)
    options = {"weighted": True, "standardised": True, "smoothing": 0.1, "temperature": 1.5, "l2": 0.2}
    check((21, 13, 10), 8, dtype=dtype, launcher=launcher, **options)


def test_without_a_bias():
    check((21, 16, 10), 8, bias=False, l2=0.1)


@pytest.mark.parametrize("X_dtype", ["uint8", "float16", "bfloat16", "float64"])
def test_data_are_converted_where_they_are_used(X_dtype):
    tolerance = 3e-4 if X_dtype == "uint8" else None  # bytes up to 255 make steps of that size
    check((12, 9, 10), 4, X_dtype=X_dtype, standardised=X_dtype == "uint8", tolerance=tolerance)


def test_a_large_batch_takes_four_rows_for_each_block_with_the_same_bits():
    results = []
    for n_multiprocessors, rows in ((1, 4), (100, 1)):
        X, labels, generator = make_problem(29, 270, 10)
        packed = 0.1 * generator.standard_normal((271, 10)).astype(np.float32)
        launcher = ShimLauncher(n_multiprocessors=n_multiprocessors)
        steps = LinearSteps(X, labels, n_classes=10, bias=True, rule="sgd", launcher=launcher)
        scalars = np.full((2, 2), (-0.5, 0.0), np.float32)
        results.append((packed, *steps.run(packed, (), np.arange(29), batch_size=16, scalars=scalars)))
        assert dict(launcher.launched[0].defines)["ROWS"] == rows
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_each_step_has_its_own_scalars():
    X, labels, _ = make_problem(8, 5, 3)
    packed = np.zeros((6, 3), np.float32)
    steps = LinearSteps(X, labels, n_classes=3, bias=True, rule="sgd", launcher=ShimLauncher())
    scalars = np.array([[0.0, 0.0], [-1.0, 0.0]], np.float32)
    values, _ = steps.run(packed, (), np.arange(8), batch_size=4, scalars=scalars)
    np.testing.assert_allclose(values, np.log(3), rtol=1e-6)  # the first step had rate 0
    assert (packed != 0).any()


def test_a_batch_that_counts_for_nothing_follows_the_penalty_alone():
    X, labels, _ = make_problem(8, 5, 3)
    packed = np.ones((6, 3), np.float32)
    weight = np.zeros(8, np.float32)
    steps = LinearSteps(
        X, labels, n_classes=3, bias=True, sample_weight=weight, l2=0.25, rule="sgd", launcher=ShimLauncher()
    )
    values, _ = steps.run(packed, (), np.arange(8), batch_size=8, scalars=np.array([[-1.0, 0.0]], np.float32))
    np.testing.assert_array_equal(packed[:-1], 0.75)
    np.testing.assert_array_equal(packed[-1], 1.0)
    np.testing.assert_array_equal(values, 0.0)


def test_rows_of_the_data_may_lie_apart_and_repeat():
    X, labels, _ = make_problem(9, 12, 4)
    results = []
    for data in (X[:, ::1][:, :7], np.ascontiguousarray(X[:, :7])):
        packed = np.full((8, 4), 0.125, np.float32)
        steps = LinearSteps(data, labels.astype(np.int32), n_classes=4, bias=True, rule="sgd", launcher=ShimLauncher())
        order = np.array([3, 3, 8, 0], np.int32)
        steps.run(packed, (), order, batch_size=4, scalars=np.array([[-1.0, 0.0]], np.float32))
        results.append(packed)
    np.testing.assert_array_equal(*results)


def test_limits_are_told_beforehand():
    known = {"n_classes": 10, "X_dtype": np.dtype("uint8"), "dtype": np.dtype("float32"), "rule": "adam"}
    assert LinearSteps.supports(**known)
    for change in ({"n_classes": 65}, {"X_dtype": np.dtype("int16")}, {"dtype": np.dtype("float16")}, {"rule": "no"}):
        assert not LinearSteps.supports(**known | change)


def test_scratch_memory_is_made_once():
    X, labels, _ = make_problem(8, 5, 3)
    packed = np.zeros((6, 3), np.float32)
    steps = LinearSteps(X, labels, n_classes=3, bias=True, rule="sgd", launcher=ShimLauncher())
    first = steps.prepare(packed, 4)
    assert steps.prepare(packed, 3) is first
    assert steps.prepare(packed, 5)[0].shape == (5, 3)


def test_every_dtype_and_number_of_accumulators_is_listed():
    listed = [dict(kernel.defines) for kernel in linear_steps_kernels()]
    numbers = {len(layout.accumulators) for layout in RULES.values()}
    assert {define["N_ACCUMULATORS"] for define in listed} == numbers
    assert {define["ELEMENT"] for define in listed} == {"unsigned char", "float16", "bfloat16", "float", "double"}


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"n_classes": 65}, InvalidValueError, "`n_classes` must be from 1 to 64; got 65"),
        ({"rule": "newton"}, InvalidValueError, "'newton'"),
        ({"labels": np.zeros(3, np.int64)}, InvalidValueError, r"`labels` must have shape \(4,\)"),
        ({"shift": np.zeros(3)}, InvalidValueError, r"`shift` must have shape \(2,\)"),
        ({"class_weight": np.zeros(2)}, InvalidValueError, r"`class_weight` must have shape \(3,\)"),
        ({"X": np.zeros((2, 4), np.float32).T}, InvalidValueError, "`X` must have rows whose elements are neighbours"),
        ({"launcher": None}, InvalidTypeError, "`X` must be an array of CuPy"),
    ],
)
def test_errors_name_the_argument(change, error, text):
    arguments = {"X": np.zeros((4, 2), np.float32), "labels": np.zeros(4, np.int64), "n_classes": 3, "bias": True}
    arguments |= {"rule": "sgd", "launcher": ShimLauncher()} | change
    with pytest.raises(error, match=text):
        LinearSteps(**arguments)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"packed": np.zeros((2, 3), np.float32)}, r"`packed` must have shape \(3, 3\), float32 and C order"),
        ({"packed": np.zeros((3, 3))}, "got shape .* and float64"),
        ({"packed": np.zeros((3, 3), np.float32).T[:, ::-1]}, "C order"),
        ({"accumulators": (np.zeros((3, 3), np.float32),)}, "`accumulators` must be those of 'sgd', none; got 1"),
        ({"scalars": np.zeros((1, 2), np.float32)}, r"`scalars` must have shape \(2, 2\)"),
    ],
)
def test_errors_of_a_run_name_the_argument(change, text):
    steps = LinearSteps(
        np.zeros((4, 2), np.float32), np.zeros(4, np.int64), n_classes=3, bias=True, rule="sgd", launcher=ShimLauncher()
    )
    arguments = {"packed": np.zeros((3, 3), np.float32), "accumulators": (), "order": np.arange(4), "batch_size": 2}
    arguments |= {"scalars": np.zeros((2, 2), np.float32)} | change
    with pytest.raises(InvalidValueError, match=text):
        steps.run(**arguments)
