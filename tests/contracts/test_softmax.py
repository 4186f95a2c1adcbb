# SPDX-License-Identifier: BSD-3-Clause
"""What softmax, log_softmax and logsumexp promise, on every backend: relative accuracy, and each row of their table.

The tests run with warnings as errors, so each of them also shows that no floating-point warning escapes.
"""

from functools import cache

import array_api_compat
import numpy as np
import pytest

from softmax_xp import log_softmax, logsumexp, softmax
from softmax_xp.errors import InvalidTypeError, InvalidValueError

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
HUGE = {"float32": 1e38, "float64": 1e300}
FAMILY = {"softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp}
STRICT = {"strict", "strict-device1"}


@pytest.fixture(params=["float32", "float64"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


@pytest.fixture(params=FAMILY.values(), ids=FAMILY.keys())
def function(request):
    return request.param


def rows_of_scores(dtype):
    """Rows of every size and kind; each is a test of its own kind of trouble."""
    rng, huge = np.random.default_rng(1), HUGE[dtype]
    spread = 700.0 if dtype == "float64" else 86.0
    rows = [rng.standard_normal(7) * scale for scale in 10.0 ** np.arange(-4, 3.5, 0.5)]
    rows += [rng.uniform(-1, 1, 5) * scale for scale in np.geomspace(1e3, huge, 6)]
    rows += [np.linspace(-spread, 0, 29), np.linspace(0, spread, 29), np.arange(-spread, 0, 1.7) + 0.3]
    rows += [np.array([0.0, -spread]), np.array([100.0, 100.0 - spread]), np.array([0.0, -46.051701859880916])]
    rows += [np.array([huge, -huge, huge, 0.0]), np.array([-huge, -huge / 2]), np.array([huge])]
    rows += [
        np.zeros(3),
        np.array([2.5, 2.5, 1.0, 2.5]),
        np.array([-3.0]),
        np.repeat(-1e4, 6),
        np.array([1e4, 1e4 - 1]),
    ]
    rows += [rng.standard_normal(500), rng.standard_normal(129) * 30]
    return [row.astype(dtype) for row in rows]


@pytest.fixture(scope="module")
def cases():
    """The rows of both dtypes with their true values, computed once."""
    pytest.importorskip("mpmath")
    from tests.contracts.mpmath_softmax import exact

    return {dtype: [(row, exact(row)) for row in rows_of_scores(dtype)] for dtype in TOLERANCE}


def test_softmax_is_right_to_the_last_digits(backend, dtype, cases):
    from tests.contracts.mpmath_softmax import relative_error

    for row, truth in cases[dtype]:
        probabilities = backend.to_numpy(softmax(backend.asarray(row)))
        assert relative_error(probabilities, truth.softmax, dtype) <= TOLERANCE[dtype], row


def test_log_softmax_is_right_to_the_last_digits(backend, dtype, cases):
    from tests.contracts.mpmath_softmax import relative_error

    for row, truth in cases[dtype]:
        logarithms = backend.to_numpy(log_softmax(backend.asarray(row)))
        assert relative_error(logarithms, truth.log_softmax, dtype) <= TOLERANCE[dtype], row
        assert np.all(logarithms <= 0)


def test_logsumexp_is_right_beside_the_larger_of_its_two_terms(backend, dtype, cases):
    from tests.contracts.mpmath_softmax import relative_error

    relative = 0
    for row, truth in cases[dtype]:
        result = backend.to_numpy(logsumexp(backend.asarray(row)))
        error = abs(float(truth.logsumexp - float(result)))
        assert error <= TOLERANCE[dtype] * max(abs(truth.logsumexp), truth.log_total), row
        # Without a negative maximum nothing cancels, and far below zero little does: then the error is a relative one.
        if truth.maximum >= 0 or abs(truth.maximum) > 2 * truth.log_total:
            assert relative_error(result, [truth.logsumexp], dtype) <= TOLERANCE[dtype], row
            relative += 1
    assert relative > 30


def test_logsumexp_keeps_its_absolute_error_where_it_cancels(backend, dtype):
    from tests.contracts.mpmath_softmax import exact

    pytest.importorskip("mpmath")
    row = np.log(np.array([0.1, 0.2, 0.3, 0.4])).astype(dtype)  # the true result is a rounding error of these
    result = backend.to_numpy(logsumexp(backend.asarray(row)))
    assert abs(float(exact(row).logsumexp - float(result))) <= 2 * np.finfo(dtype).eps


def test_a_certain_row_keeps_the_probability_of_error(backend, dtype):
    x = backend.asarray(np.array([0.0, -46.0, -46.0], dtype))
    logarithms = backend.to_numpy(log_softmax(x))
    np.testing.assert_allclose(logarithms[0], -2 * np.exp(-46.0), rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(backend.to_numpy(logsumexp(x)), 2 * np.exp(-46.0), rtol=TOLERANCE[dtype])


@cache
def a_million_classes(kind, dtype):
    """Return two rows of scores, and the family's values in the longest float there is."""
    # Thirds: a million equal terms, whose rounding errors all point the same way when they are added one by one.
    n_classes = 1_000_000
    if kind == "normal":
        x = np.random.default_rng(2).standard_normal((2, n_classes)).astype(dtype)
    else:
        x = np.full((2, n_classes), -np.log(3.0), dtype)
        x[:, 0] = 0
    wide = x.astype(np.longdouble)
    maximum = np.max(wide, axis=1, keepdims=True)
    log_total = np.log(np.sum(np.exp(wide - maximum), axis=1, keepdims=True))
    truth = np.exp(wide - maximum - log_total), wide - maximum - log_total, (maximum + log_total)[:, 0]
    return x, [array.astype(np.float64) for array in truth]


@pytest.mark.parametrize("layout", ["last axis", "first axis", "transposed view"])
@pytest.mark.parametrize("kind", ["normal", "thirds"])
def test_a_million_classes_lose_no_digits(backend, dtype, kind, layout):
    x, truth = a_million_classes(kind, dtype)
    scores = backend.asarray(np.ascontiguousarray(x.T) if layout == "first axis" else x)
    if layout == "transposed view":
        scores = scores.T
    axis = -1 if layout == "last axis" else 0
    for compute, expected in zip(FAMILY.values(), truth, strict=True):
        result = backend.to_numpy(compute(scores, axis=axis))
        if axis == 0 and result.ndim == 2:
            result = result.T
        assert result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype], atol=0)


TABLE = [
    # scores, softmax, log_softmax, logsumexp
    ([0.0, -np.inf], [1.0, 0.0], [0.0, -np.inf], 0.0),
    ([-np.inf, 5.0, 5.0], [0.0, 0.5, 0.5], [-np.inf, -np.log(2), -np.log(2)], 5 + np.log(2)),
    ([-np.inf, -np.inf], [np.nan] * 2, [np.nan] * 2, -np.inf),
    ([-np.inf], [np.nan], [np.nan], -np.inf),
    ([np.inf, 0.0], [np.nan] * 2, [np.nan] * 2, np.inf),
    ([np.inf, -np.inf], [np.nan] * 2, [np.nan] * 2, np.inf),
    ([np.inf, np.inf], [np.nan] * 2, [np.nan] * 2, np.inf),
    ([np.nan, 0.0], [np.nan] * 2, [np.nan] * 2, np.nan),
    ([0.0, np.nan, -np.inf], [np.nan] * 3, [np.nan] * 3, np.nan),
    ([np.nan, np.inf], [np.nan] * 2, [np.nan] * 2, np.nan),
    ([3.0], [1.0], [0.0], 3.0),
]


@pytest.mark.parametrize(("scores", "probabilities", "logarithms", "total"), TABLE)
@pytest.mark.parametrize("axis", [-1, 0])
def test_scores_that_are_not_finite_follow_the_table(backend, dtype, scores, probabilities, logarithms, total, axis):
    # A second, ordinary sample shows that the trouble stays in its own row.
    x = np.array([scores, [1.0] * len(scores)], dtype)
    x = backend.asarray(x if axis == -1 else np.ascontiguousarray(x.T))
    results = [backend.to_numpy(compute(x, axis=axis)) for compute in FAMILY.values()]
    n = len(scores)
    ordinary = [1 / n] * n, [-np.log(n)] * n, 1 + np.log(n)
    for result, expected, other in zip(results, (probabilities, logarithms, total), ordinary, strict=True):
        both = np.array([expected, other])
        np.testing.assert_allclose(result if axis == -1 else result.T, both, rtol=1e-6, atol=0, equal_nan=True)


@pytest.mark.parametrize("length", [200, 1000])
def test_the_table_holds_for_long_rows_too(backend, dtype, length):
    x = np.zeros((length, 3), dtype)
    x[:, 1] = -np.inf
    x[7, 2] = np.inf
    total = backend.to_numpy(logsumexp(backend.asarray(x), axis=0))
    np.testing.assert_allclose(total, [np.log(length), -np.inf, np.inf], rtol=1e-6)
    probabilities = backend.to_numpy(softmax(backend.asarray(x), axis=0))
    np.testing.assert_allclose(probabilities[:, 0], 1 / length, rtol=1e-6)
    assert np.all(np.isnan(probabilities[:, 1:]))


def test_the_widest_scores_overflow_only_where_the_truth_does(backend, dtype):
    largest = np.finfo(dtype).max
    x = backend.asarray(np.array([largest, -largest, largest], dtype))
    np.testing.assert_array_equal(backend.to_numpy(softmax(x)), [0.5, 0.0, 0.5])
    np.testing.assert_allclose(backend.to_numpy(log_softmax(x)), [-np.log(2), -np.inf, -np.log(2)], rtol=1e-6)
    np.testing.assert_array_equal(backend.to_numpy(logsumexp(x)), largest)


def test_one_class_is_certain(backend, dtype):
    x = backend.asarray(np.array([[0.0], [HUGE[dtype]], [-HUGE[dtype]]], dtype))
    np.testing.assert_array_equal(backend.to_numpy(softmax(x)), np.ones((3, 1)))
    np.testing.assert_array_equal(backend.to_numpy(log_softmax(x)), np.zeros((3, 1)))
    np.testing.assert_array_equal(backend.to_numpy(logsumexp(x)), backend.to_numpy(x)[:, 0])


def test_ties_share_exactly(backend, dtype):
    probabilities = backend.to_numpy(softmax(backend.asarray(np.full((2, 4), 12.3, dtype))))
    np.testing.assert_array_equal(probabilities, np.full((2, 4), 0.25))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("length", [4, 150])
def test_each_axis_can_hold_the_classes(backend, dtype, function, axis, length):
    shape = [2, 3, 5]
    shape[axis] = length
    x = np.random.default_rng(3).standard_normal(shape).astype(dtype)
    result = backend.to_numpy(function(backend.asarray(x), axis=axis))
    expected = function(np.ascontiguousarray(np.moveaxis(x, axis, -1)).reshape(-1, length))
    rest = np.moveaxis(x, axis, -1).shape
    expected = expected.reshape(rest[:-1]) if function is logsumexp else expected.reshape(rest)
    result = result if function is logsumexp else np.moveaxis(result, axis, -1)
    np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("length", [4, 150])
def test_logsumexp_keeps_the_reduced_axis_on_request(backend, axis, length):
    x = backend.asarray(np.ones((length, length), "float32"))
    assert tuple(logsumexp(x, axis=axis).shape) == (length,)
    assert tuple(logsumexp(x, axis=axis, keepdims=True).shape) == ((1, length) if axis == 0 else (length, 1))


def test_a_vector_gives_a_number(backend):
    result = logsumexp(backend.asarray(np.zeros(4, "float32")))
    assert tuple(result.shape) == ()
    np.testing.assert_allclose(backend.to_numpy(result), np.log(4), rtol=1e-6)


def test_no_samples_are_no_error(backend, function):
    assert function(backend.asarray(np.zeros((0, 3)))).shape[0] == 0
    assert function(backend.asarray(np.zeros((0, 300)))).shape[0] == 0
    assert tuple(softmax(backend.asarray(np.zeros((300, 0))), axis=0).shape) == (300, 0)


def test_results_stay_in_the_namespace_device_and_dtype_of_the_scores(backend, dtype, function):
    for shape in ((3, 4), (150, 4), (4, 150)):
        result = function(backend.asarray(np.ones(shape, dtype)), axis=0)
        assert array_api_compat.array_namespace(result) is backend.xp
        assert array_api_compat.device(result) == backend.device
        assert backend.to_numpy(result).dtype == dtype


@pytest.mark.parametrize("shape", [(3, 4), (2, 300)])
def test_the_scores_are_not_written_to(backend, dtype, function, shape):
    host = np.random.default_rng(4).standard_normal(shape).astype(dtype)
    x = backend.asarray(host)
    for axis in (0, 1):
        result = function(x, axis=axis)
        if backend.name == "numpy":
            assert not np.shares_memory(result, x)
    np.testing.assert_array_equal(backend.to_numpy(x), host)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int64", "bool"])
def test_integers_become_the_default_float(backend, function, kind):
    x = np.array([[0, 1, 1], [1, 1, 0]]).astype(kind)
    result = backend.to_numpy(function(backend.asarray(x)))
    assert result.dtype == ("float32" if backend.name == "cupy" or not backend.float64 else "float64")
    np.testing.assert_allclose(result, function(x.astype(result.dtype)), rtol=1e-6)


def test_half_precision_is_computed_in_single_and_comes_back_half(backend, function):
    if backend.name in STRICT:
        pytest.skip("the standard has no float16")
    x = np.random.default_rng(5).standard_normal((2, 3000)).astype("float16")
    result = backend.to_numpy(function(backend.asarray(x)))
    assert result.dtype == "float16"
    # 3000 terms in half precision would be wrong in the third digit.
    np.testing.assert_array_max_ulp(result, function(x.astype("float64")).astype("float16"), maxulp=1)


def test_integer_scores_of_any_size_do_not_overflow(backend, function):
    x = np.array([[2**62, -(2**62), 2**62]])
    result = backend.to_numpy(function(backend.asarray(x)))
    np.testing.assert_allclose(result, function(x.astype(result.dtype)), rtol=1e-6)


def test_lists_are_read_by_numpy(function):
    result = function([[0.0, 1.0], [2.0, 2.0]])
    np.testing.assert_array_equal(result, function(np.array([[0.0, 1.0], [2.0, 2.0]])))
    assert softmax([1, 1]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("length", [6, 300])
@pytest.mark.parametrize("kind", ["fortran", "strided", "reversed", "broadcast", "big-endian", "read-only", "memmap"])
def test_any_memory_layout_gives_the_same_numbers(function, kind, length, tmp_path):
    base = np.random.default_rng(6).standard_normal((8, 2 * length))
    x = {
        "fortran": lambda: np.asfortranarray(base),
        "strided": lambda: base[::2, ::2],
        "reversed": lambda: base[::-1, ::-1],
        "broadcast": lambda: np.broadcast_to(base[0], base.shape),
        "big-endian": lambda: base.astype(">f8"),
        "read-only": lambda: _frozen(base.copy()),
        "memmap": lambda: _mapped(base, tmp_path / "x.dat"),
    }[kind]()
    for axis in (0, 1):
        result = function(x, axis=axis)
        assert type(result) is not np.memmap
        np.testing.assert_allclose(result, function(np.array(x, "float64", order="C"), axis=axis), rtol=1e-13)


def _frozen(array):
    array.flags.writeable = False
    return array


def _mapped(array, path):
    array.tofile(path)
    return np.memmap(path, array.dtype, "r", shape=array.shape)


def test_agrees_with_scipy_where_scipy_is_accurate():
    special = pytest.importorskip("scipy.special")
    x = np.random.default_rng(7).standard_normal((50, 20)) * 10
    for axis in (0, 1):
        np.testing.assert_allclose(softmax(x, axis), special.softmax(x, axis), rtol=1e-13)
        np.testing.assert_allclose(log_softmax(x, axis), special.log_softmax(x, axis), rtol=1e-9)
        np.testing.assert_allclose(logsumexp(x, axis), special.logsumexp(x, axis), rtol=1e-13)
    for row in ([1000.0, 0.0, 0.0, 0.0], [-1000.0, -1000.0], [1e5, 1e5 - 1]):
        np.testing.assert_allclose(softmax(row), special.softmax(row), rtol=1e-13)
        np.testing.assert_allclose(logsumexp(row), special.logsumexp(row), rtol=1e-13)


def test_complex_scores_are_an_error(backend, function):
    with pytest.raises(InvalidTypeError, match=r"`x` must hold real scores; got .*complex128"):
        function(backend.asarray(np.array([1j])))


@pytest.mark.parametrize("x", [["a", "b"], [None, 1.0], [object()]], ids=["text", "None", "object"])
def test_what_is_no_number_is_an_error(function, x):
    with pytest.raises(InvalidTypeError, match=r"must be a real number type; got (str32|object)"):
        function(x)


@pytest.mark.parametrize(("shape", "axis"), [((3,), 1), ((3,), -2), ((2, 3), 2), ((), -1)])
def test_an_axis_that_is_not_there_is_an_error(backend, function, shape, axis):
    with pytest.raises(
        InvalidValueError, match=rf"`axis` must be an axis of `x`, which has {len(shape)}; got {axis}\."
    ):
        function(backend.asarray(np.zeros(shape)), axis=axis)


def test_no_classes_are_an_error(backend, function):
    with pytest.raises(InvalidValueError, match=r"at least one score along axis -1; got shape \(2, 0\)\."):
        function(backend.asarray(np.zeros((2, 0))))
