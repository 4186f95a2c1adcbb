# SPDX-License-Identifier: BSD-3-Clause
"""The kernels' own text, executed on the CPU, against the definition in float64.

Every shape takes the path that the package would take on a GPU: threads over a row in registers, a block over a row
in shared memory, and a block that reads its row twice.
"""

import mmap

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.kernels.cuda.softmax_cross_entropy import softmax_cross_entropy, softmax_cross_entropy_kernels
from softmax_xp.losses import CrossEntropy
from tests.kernels.cuda.shim.fixtures import needs_compiler
from tests.kernels.cuda.shim.launcher import ShimLauncher

pytestmark = needs_compiler

# The relative error of one rounding, and how many of them a result is allowed.
ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
# Shared memory for rows of up to 12,000 float32, as on the smallest GPU of interest: longer ones are read twice.
SMALL_GPU = 97 * 1024


def make_logits(n_samples, n_classes, dtype, *, seed=0, spread=3.0, gap=0):
    """Draw scores and labels; with a gap, the rows lie apart in memory."""
    generator = np.random.default_rng(seed)
    scores = spread * generator.standard_normal((n_samples, n_classes + gap))
    logits = scores.astype(as_dtype(dtype))[:, :n_classes]
    return logits, generator.integers(0, n_classes, n_samples)


def as_dtype(name):
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes", reason="NumPy's bfloat16 is in ml_dtypes").bfloat16)
    return np.dtype(name)


def definition(
    logits, labels, *, sample_weight=None, class_weight=None, scale=1.0, label_smoothing=0.0, temperature=1.0
):
    """Compute in float64 with the package's own loss."""
    logits = np.array(logits, np.float64, order="C")
    weights = None if class_weight is None else tuple(class_weight.tolist())
    loss = CrossEntropy(label_smoothing=label_smoothing, class_weight=weights, temperature=temperature)
    sample_weight = None if sample_weight is None else sample_weight.astype(np.float64)
    targets = loss.prepare(labels, logits.shape[1], dtype=logits.dtype, sample_weight=sample_weight)
    hits = logits.argmax(axis=1) == labels
    with np.errstate(all="ignore"):
        value, gradient = loss.value_and_gradient(logits, targets, scale=float(scale))
    return value, hits, gradient


def check(logits, labels, *, launcher=None, **options):
    """Compare kernel and definition; give the launcher's kernel."""
    launcher = launcher or ShimLauncher(shared_bytes_limit=SMALL_GPU)
    expected_value, expected_hits, expected_gradient = definition(logits, labels, **options)
    rounding = ROUNDING[str(logits.dtype)]
    real = np.float64 if logits.dtype == np.float64 else np.float32
    value, hits, gradient = softmax_cross_entropy(logits, labels, launcher=launcher, **options)
    assert gradient is logits
    assert value.dtype == real
    assert hits.dtype == np.bool
    np.testing.assert_array_equal(hits, expected_hits)
    size = max(1.0, float(np.nanmax(np.abs(logits.astype(np.float64)), initial=0.0)))
    precision = ROUNDING[str(np.dtype(real))]
    np.testing.assert_allclose(value, expected_value, rtol=16 * precision, atol=24 * precision * size)
    # Relative to the largest possible member: where probability and target nearly cancel, that is all there is.
    largest = max(np.nanmax(np.abs(expected_gradient), initial=0.0), np.finfo(real).tiny)
    error = np.abs(gradient.astype(np.float64) - expected_gradient) / largest
    assert np.array_equal(np.isnan(error), np.isnan(expected_gradient))
    assert np.nanmax(error, initial=0.0) < 16 * precision * size + (rounding if rounding != precision else 0)
    return launcher.launched[-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n_classes", "entry"),
    [
        (1, "row_in_registers"),
        (2, "row_in_registers"),
        (10, "row_in_registers"),
        (33, "row_in_registers"),
        (1000, "row_in_registers"),
        (1025, "row_in_shared_memory"),
        (20011, "row_read_twice"),
    ],
)
def test_loss_hits_and_gradient_are_the_definitions(n_classes, entry, dtype):
    logits, labels = make_logits(5, n_classes, dtype)
    assert check(logits, labels).entry == entry


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("n_classes", [10, 1032, 30001])
def test_half_precision_is_computed_in_float32_and_rounded_once(n_classes, dtype):
    logits, labels = make_logits(3, n_classes, dtype, spread=1.0)
    check(logits, labels)


@pytest.mark.parametrize("order", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("n_classes", [10, 1100, 13000])
def test_weights_smoothing_and_temperature(n_classes, label_smoothing, order):
    logits, labels = make_logits(7, n_classes, "float32", seed=1)
    generator = np.random.default_rng(2)
    sample_weight = generator.uniform(0.1, 2.0, 7).astype(np.float32)
    sample_weight[3] = 0.0  # ignored
    class_weight = generator.uniform(0.0, 2.0, n_classes).astype(np.float32)
    class_weight[labels[0]] = 0.0
    options = {"sample_weight": sample_weight, "class_weight": class_weight, "label_smoothing": label_smoothing}
    launcher = ShimLauncher(shared_bytes_limit=SMALL_GPU, is_reversed=order)
    check(logits, labels, launcher=launcher, scale=0.125, temperature=1.5, **options)
    assert (logits[3] == 0).all()


@pytest.mark.parametrize("n_classes", [16, 256, 1100, 13000])
def test_rows_may_lie_apart(n_classes):
    # A gap of 4 keeps the rows on 16-byte boundaries, one of 3 does not.
    for gap, vector in ((4, 4), (3, 1)):
        logits, labels = make_logits(4, n_classes, "float32", gap=gap)
        beside = logits.base[:, n_classes:].copy()
        kernel = check(logits, labels)
        assert dict(kernel.defines)["VECTOR"] == (vector if aligned(logits) else 1)
        np.testing.assert_array_equal(logits.base[:, n_classes:], beside)


def aligned(array):
    return array.ctypes.data % 16 == 0


@pytest.mark.parametrize("n_classes", [8, 30, 1030, 13000])
def test_values_that_are_not_finite_follow_the_table_of_softmax(n_classes):
    logits, _ = make_logits(6, n_classes, "float32")
    labels = np.array([1, 1, 2, 2, 0, 1])
    logits[0, 0] = -np.inf  # beside finite: probability 0
    logits[1, 1] = -np.inf  # at the label: an infinite loss
    logits[2, :] = -np.inf
    logits[3, 2] = np.inf
    logits[4, 3] = np.nan
    logits[5, :] = 0.0
    expected = np.array([True, True, False, False, False, True])
    given = logits.copy()
    check(given, labels)
    assert np.array_equal(np.isfinite(given).all(axis=1), expected)
    assert given[0, 0] == 0
    value, _, _ = softmax_cross_entropy(logits, labels, launcher=ShimLauncher(shared_bytes_limit=SMALL_GPU))
    assert np.isposinf(value[1])
    assert np.isnan(value[2:5]).all()


@pytest.mark.parametrize("n_classes", [40, 1030, 13000])
def test_a_thread_may_meet_nothing_but_minus_infinity_at_first(n_classes):
    logits, labels = make_logits(2, n_classes, "float32")
    logits[:, : n_classes - 5] = -np.inf
    labels[:] = n_classes - 2
    check(logits, labels)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("n_classes", [8, 1030, 13000])
def test_smoothing_beside_minus_infinity(n_classes):
    class_weight = np.ones(n_classes, np.float32)
    class_weight[0] = 0.0
    for column, is_finite in ((0, True), (3, False)):
        logits, labels = make_logits(2, n_classes, "float32")
        logits[:, column] = -np.inf
        launcher = ShimLauncher(shared_bytes_limit=SMALL_GPU)
        options = {"class_weight": class_weight, "label_smoothing": 0.1, "launcher": launcher}
        value, _, gradient = softmax_cross_entropy(logits, labels, **options)
        assert np.isfinite(value).all() == is_finite
        assert np.isposinf(value).all() != is_finite
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("n_classes", [2, 30, 64, 1030, 13000])
def test_extreme_logits_and_ties(n_classes):
    logits, labels = make_logits(4, n_classes, "float32")
    logits[0] *= 1e4
    logits[1] = 80.0 * np.sign(logits[1])
    logits[2] = 3e38
    logits[3] = 0.0
    labels[2:] = (0, n_classes - 1)
    check(logits.copy(), labels)
    _, hits, _ = softmax_cross_entropy(logits, labels, launcher=ShimLauncher(shared_bytes_limit=SMALL_GPU))
    assert hits[2]  # a tie goes to the lowest class
    assert not hits[3]


@pytest.mark.parametrize("n_classes", [8, 1030, 13000])
def test_a_hit_is_where_argmax_is_even_among_ties_and_nan(n_classes):
    generator = np.random.default_rng(5)
    logits = generator.integers(0, 3, (60, n_classes)).astype(np.float32)[:12]
    logits[9:, 2] = np.nan
    labels = logits.argmax(axis=1)
    labels[::2] = generator.integers(0, 4, 6)
    expected = logits.argmax(axis=1) == labels
    _, hits, _ = softmax_cross_entropy(logits, labels, launcher=ShimLauncher(shared_bytes_limit=SMALL_GPU))
    np.testing.assert_array_equal(hits, expected)


def test_one_million_classes():
    logits, labels = make_logits(1, 1_000_003, "float32", spread=1.0)
    assert check(logits, labels).entry == "row_read_twice"


def test_a_large_gpu_keeps_longer_rows_in_shared_memory():
    logits, labels = make_logits(2, 20000, "float32")
    assert check(logits, labels, launcher=ShimLauncher(shared_bytes_limit=232448)).entry == "row_in_shared_memory"


@pytest.mark.parametrize("n_classes", [3, 1030])
def test_rows_beyond_two_to_the_31_elements_are_found(n_classes):
    # Two rows that lie more than 8 GiB apart, in addresses that are reserved and, but for the rows, never filled.
    row_stride = (1 << 31) + 7
    n_bytes = 4 * (row_stride + n_classes)
    no_reserve = 0x4000  # MAP_NORESERVE, which not every Python names
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    try:
        memory = mmap.mmap(-1, n_bytes, flags=flags)
    except OSError:
        pytest.skip("8 GiB of addresses cannot be reserved here")
    logits = np.lib.stride_tricks.as_strided(np.frombuffer(memory, np.float32), (2, n_classes), (4 * row_stride, 4))
    logits[...], labels = make_logits(2, n_classes, "float32")
    expected = definition(logits, labels)[2]
    _, _, gradient = softmax_cross_entropy(logits, labels, launcher=ShimLauncher())
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_labels_of_32_bits_and_a_scale_on_the_device():
    logits, labels = make_logits(9, 10, "float32")
    scale = np.array(0.25, np.float32)
    expected = definition(logits, labels, scale=scale)[2]
    _, _, gradient = softmax_cross_entropy(logits, labels.astype(np.int32), scale=scale, launcher=ShimLauncher())
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_strided_labels_and_weights_of_another_float_are_copied_first():
    logits, labels = make_logits(5, 4, "float32")
    apart = np.repeat(labels, 2)[::2]
    sample_weight = np.linspace(0, 1, 10)[::2]
    assert apart.strides != labels.strides
    check(logits, apart, sample_weight=sample_weight)


def test_the_inputs_beside_the_logits_are_not_written_to():
    logits, labels = make_logits(5, 4, "float32")
    weight = np.ones(5, np.float32)
    for array in (labels, weight):
        array.flags.writeable = False
    check(logits, labels, sample_weight=weight)  # the launcher raises where a read-only array has changed


def test_no_rows_is_no_work():
    value, hits, gradient = softmax_cross_entropy(
        np.empty((0, 3), np.float32), np.empty(0, np.int64), launcher=ShimLauncher()
    )
    assert value.shape == hits.shape == (0,)
    assert gradient.shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"logits": np.zeros((2, 3), np.int32)}, InvalidTypeError, "`logits` must be float16"),
        ({"logits": np.zeros((2, 0))}, InvalidValueError, "with a class at least"),
        ({"logits": np.zeros((3, 2)).T}, InvalidValueError, "elements are neighbours"),
        ({"labels": np.zeros(3, np.int64)}, InvalidValueError, r"`labels` must have shape \(2,\)"),
        ({"sample_weight": np.zeros((2, 1))}, InvalidValueError, "`sample_weight` must have shape"),
        ({"class_weight": np.zeros(2)}, InvalidValueError, r"`class_weight` must have shape \(3,\)"),
    ],
)
def test_errors_name_the_argument(change, error, text):
    arguments = {"logits": np.zeros((2, 3)), "labels": np.zeros(2, np.int64)} | change
    with pytest.raises(error, match=text):
        softmax_cross_entropy(**arguments, launcher=ShimLauncher())


def test_another_library_is_told_what_is_needed():
    with pytest.raises(InvalidTypeError, match="`logits` must be an array of CuPy; got ndarray"):
        softmax_cross_entropy(np.zeros((2, 3)), np.zeros(2, np.int64))


def test_every_kernel_that_is_asked_for_is_listed():
    listed = set(softmax_cross_entropy_kernels())
    launcher = ShimLauncher(shared_bytes_limit=SMALL_GPU)
    launcher.run = lambda kernel, *_: launcher.launched.append(kernel)
    for dtype in ("float16", "float32", "float64"):
        for n_classes in (1, 2, 3, 8, 9, 16, 17, 32, 64, 100, 128, 256, 500, 512, 1000, 1024, 1025, 4096, 50000):
            softmax_cross_entropy(*make_logits(1, n_classes, dtype), launcher=launcher)
    assert set(launcher.launched) <= listed
