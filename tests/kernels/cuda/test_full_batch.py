# SPDX-License-Identifier: BSD-3-Clause
"""The one-pass kernel, executed on the CPU, against the package's own loss and two matrix products in float64."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.kernels.cuda.full_batch import full_batch_kernels, linear_cross_entropy, supports_full_batch
from softmax_xp.losses import CrossEntropy
from tests.kernels.cuda.shim.fixtures import needs_compiler
from tests.kernels.cuda.shim.launcher import ShimLauncher

pytestmark = needs_compiler


def make_data(n_samples, n_features, X_dtype, generator):
    if X_dtype == "uint8":
        return generator.integers(0, 256, (n_samples, n_features)).astype(np.uint8)
    if X_dtype == "bfloat16":
        ml_dtypes = pytest.importorskip("ml_dtypes", reason="NumPy's bfloat16 is in ml_dtypes")
        return generator.standard_normal((n_samples, n_features)).astype(ml_dtypes.bfloat16)
    return generator.standard_normal((n_samples, n_features)).astype(X_dtype)


def check(
    n_samples, n_features, n_classes, *, X_dtype="float32", dtype="float32", bias=True, weighted=False,
    standardised=False, smoothing=0.0, temperature=1.0, scale=0.25, launcher=None,
):  # fmt: skip
    """Compare losses and gradients with the definition."""
    generator = np.random.default_rng(n_samples)
    X = make_data(n_samples, n_features, X_dtype, generator)
    X.flags.writeable = False
    labels = generator.integers(0, n_classes, n_samples)
    weight = 0.3 * generator.standard_normal((n_features, n_classes)).astype(dtype)
    biases = generator.standard_normal(n_classes).astype(dtype) if bias else None
    sample_weight = class_weight = shift = feature_scale = None
    if weighted:
        sample_weight, class_weight = generator.uniform(0, 2, n_samples), generator.uniform(0.5, 2, n_classes)
    rows = X.astype(np.float64)
    if standardised:
        shift, feature_scale = rows.mean(axis=0), 1.0 / (rows.std(axis=0) + 0.1)
        rows = (rows - shift) * feature_scale
    class_weights = None if class_weight is None else tuple(class_weight.tolist())
    loss = CrossEntropy(label_smoothing=smoothing, class_weight=class_weights, temperature=temperature)
    targets = loss.prepare(labels, n_classes, dtype=rows.dtype, sample_weight=sample_weight)
    logits = rows @ weight.astype(np.float64) + (0 if biases is None else biases)
    expected, gradient = loss.value_and_gradient(logits, targets, scale=float(scale))
    launcher = launcher or ShimLauncher()
    values, weight_gradient, bias_gradient = linear_cross_entropy(
        weight, biases, X, labels, sample_weight=sample_weight, class_weight=class_weight, scale=scale, shift=shift,
        feature_scale=feature_scale, label_smoothing=smoothing, temperature=temperature, launcher=launcher,
    )  # fmt: skip
    precision = (60 if dtype == "float32" else 1000) * np.finfo(dtype).eps
    np.testing.assert_allclose(values, expected, rtol=precision, atol=precision * np.abs(logits).max())
    size = np.abs(rows).T @ np.abs(gradient) + 1e-9  # what rounding is relative to: the sum without cancellation
    assert (np.abs(weight_gradient - rows.T @ gradient) <= precision * size).all()
    if bias:
        np.testing.assert_allclose(bias_gradient, gradient.sum(axis=0), atol=precision * np.abs(gradient).sum())
    else:
        assert bias_gradient is None
    assert values.dtype == weight_gradient.dtype == dtype
    return dict(launcher.launched[0].defines)


@pytest.mark.parametrize(
    ("n_features", "n_classes", "shape"),
    [
        (5, 1, {"FEATURES": 1, "ROWS": 4, "THREADS": 128}),
        (20, 2, {"FEATURES": 1, "ROWS": 4, "THREADS": 128}),
        (300, 10, {"FEATURES": 2, "ROWS": 3, "THREADS": 160}),
        (130, 32, {"FEATURES": 1, "ROWS": 1, "THREADS": 160}),
        (2048, 10, {"FEATURES": 9, "ROWS": 3, "THREADS": 256}),
    ],
)
def test_losses_and_gradients_are_the_definitions(n_features, n_classes, shape):
    defines = check(23, n_features, n_classes)
    assert defines | shape == defines


@pytest.mark.parametrize("is_reversed", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_smoothing_temperature_and_standardisation(dtype, is_reversed):
    launcher = ShimLauncher(is_reversed=is_reversed)
    options = {"weighted": True, "standardised": True, "smoothing": 0.1, "temperature": 1.5}
    check(31, 40, 5, dtype=dtype, launcher=launcher, **options)


@pytest.mark.parametrize("X_dtype", ["uint8", "float16", "bfloat16", "float64"])
def test_data_are_converted_where_they_are_used(X_dtype):
    check(10, 17, 4, X_dtype=X_dtype, standardised=True)


@pytest.mark.parametrize("n_samples", [1, 2, 3, 4, 12, 13, 25])
def test_any_number_of_rows_is_shared_among_the_blocks(n_samples):
    check(n_samples, 6, 10, bias=False)


def test_no_rows_have_no_gradient():
    launcher = ShimLauncher()
    weight, bias = np.ones((4, 3), np.float32), np.ones(3, np.float32)
    X, labels = np.empty((0, 4), np.float32), np.empty(0, np.int64)
    values, weight_gradient, bias_gradient = linear_cross_entropy(weight, bias, X, labels, launcher=launcher)
    assert values.shape == (0,)
    np.testing.assert_array_equal(weight_gradient, 0.0)
    np.testing.assert_array_equal(bias_gradient, 0.0)


def test_a_scale_on_the_device_and_labels_of_32_bits():
    generator = np.random.default_rng(0)
    X, labels = generator.standard_normal((7, 4)).astype(np.float32), generator.integers(0, 3, 7)
    weight = generator.standard_normal((4, 3)).astype(np.float32)
    results = [
        linear_cross_entropy(weight, None, X, its_labels, scale=scale, launcher=ShimLauncher())
        for its_labels, scale in ((labels, 0.5), (labels.astype(np.int32), np.array(0.5)), (labels.astype("u1"), 0.5))
    ]
    for values, weight_gradient, _ in results[1:]:
        np.testing.assert_array_equal(values, results[0][0])
        np.testing.assert_array_equal(weight_gradient, results[0][1])


def test_rows_may_lie_apart_and_what_lies_between_does_not_count():
    generator = np.random.default_rng(0)
    whole = np.full((6, 9), np.nan, np.float32)
    whole[:, :4] = generator.standard_normal((6, 4))
    weight, labels = generator.standard_normal((4, 3)).astype(np.float32), generator.integers(0, 3, 6)
    apart = linear_cross_entropy(weight, None, whole[:, :4], labels, launcher=ShimLauncher())
    close = linear_cross_entropy(weight, None, whole[:, :4].copy(), labels, launcher=ShimLauncher())
    np.testing.assert_array_equal(apart[0], close[0])
    np.testing.assert_array_equal(apart[1], close[1])


def test_the_limits_are_those_of_registers_and_shared_memory():
    float32 = np.dtype("float32")
    known = {"n_features": 784, "n_classes": 10, "bias": True, "X_dtype": float32, "dtype": float32}
    known["shared_bytes_limit"] = 232448
    assert supports_full_batch(**known)
    # The pairs that full_batch.cu names.
    for n_features, n_classes, beyond in (
        (784, 32, {"n_classes": 33}),
        (1024, 31, {"n_classes": 32}),
        (2048, 16, {"n_classes": 17}),
        (3583, 10, {"n_features": 3584}),
    ):
        largest = known | {"n_features": n_features, "n_classes": n_classes}
        assert supports_full_batch(**largest)
        assert not supports_full_batch(**largest | beyond)
    for change in (
        {"n_classes": 33},
        {"n_features": 2048, "n_classes": 32},
        {"n_features": 0},
        {"X_dtype": np.dtype("int16")},
        {"dtype": np.dtype("float16")},
        {"shared_bytes_limit": 30000},
    ):
        assert not supports_full_batch(**known | change)


def test_each_dtype_is_listed():
    listed = [dict(kernel.defines) for kernel in full_batch_kernels()]
    assert {define["ELEMENT"] for define in listed} == {"unsigned char", "float16", "bfloat16", "float", "double"}
    assert {define["BLOCKS"] for define in listed} == {1, 2}
    assert {define["ROWS"] for define in listed} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"weight": np.zeros((2, 3), np.float32)}, InvalidValueError, "`weight` must have shape"),
        ({"weight": np.zeros((3, 4), np.float32).T}, InvalidValueError, "in C order"),
        ({"weight": np.zeros((4, 33), np.float32), "bias": None}, InvalidValueError, "Use matrix products"),
        ({"weight": np.zeros((4, 3), np.float16)}, InvalidValueError, "in a float that the kernel computes in"),
        ({"labels": np.zeros(4, np.int64)}, InvalidValueError, r"`labels` must have shape \(5,\)"),
        ({"bias": np.zeros(2, np.float32)}, InvalidValueError, r"`bias` must have shape \(3,\)"),
        ({"shift": np.zeros(5)}, InvalidValueError, r"`shift` must have shape \(4,\)"),
        ({"X": np.zeros((4, 5), np.float32).T}, InvalidValueError, "`X` must have rows whose elements are neighbours"),
        ({"launcher": None}, InvalidTypeError, "`X` must be an array of CuPy"),
    ],
)
def test_errors_name_the_argument(change, error, text):
    arguments = {"weight": np.zeros((4, 3), np.float32), "bias": np.zeros(3, np.float32)}
    arguments |= {"X": np.zeros((5, 4), np.float32), "labels": np.zeros(5, np.int64), "launcher": ShimLauncher()}
    with pytest.raises(error, match=text):
        linear_cross_entropy(**arguments | change)
