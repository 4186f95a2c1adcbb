# SPDX-License-Identifier: BSD-3-Clause
"""What every penalty promises, on every backend."""

import pickle

import array_api_compat
import numpy as np
import pytest

from softmax_xp.penalties import L2, PENALTIES, ElasticNet, Penalty
from softmax_xp.typing import LinearParams

VARIANTS = PENALTIES | {
    "l2, weak": L2(1e-3),
    "l2, strong": L2(2.5),
    "elastic_net, weak": ElasticNet(1e-3, 1e-2),
    "elastic_net, strong": ElasticNet(0.4, 0.3),
    "elastic_net, absolute values only": ElasticNet(0.7),
}
_RNG = np.random.default_rng(21)
WEIGHT, BIAS = _RNG.standard_normal((4, 3)), _RNG.standard_normal(3)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def penalty(request):
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


@pytest.fixture(params=["bias", "no bias"])
def params(request, backend, dtype):
    bias = backend.asarray(BIAS.astype(dtype)) if request.param == "bias" else None
    return LinearParams(backend.asarray(WEIGHT.astype(dtype)), bias)


def on_host(penalty, weight, bias=BIAS):
    return float(penalty.value(LinearParams(weight, bias)))


def test_the_gradient_is_that_of_the_value(penalty):
    weight, bias = penalty.gradient(LinearParams(WEIGHT, BIAS))
    step = 1e-6
    for position in np.ndindex(WEIGHT.shape):
        moved = np.zeros_like(WEIGHT)
        moved[position] = step
        slope = (on_host(penalty, WEIGHT + moved) - on_host(penalty, WEIGHT - moved)) / (2 * step)
        np.testing.assert_allclose(weight[position], slope, rtol=1e-6, atol=1e-8)
    for position in range(BIAS.size):
        moved = np.zeros_like(BIAS)
        moved[position] = step
        slope = (on_host(penalty, WEIGHT, BIAS + moved) - on_host(penalty, WEIGHT, BIAS - moved)) / (2 * step)
        np.testing.assert_allclose(0.0 if bias is None else bias[position], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("step", [0.01, 0.7, 30.0])
def test_the_proximal_step_minimises_what_it_says(penalty, step):
    minimize = pytest.importorskip("scipy.optimize").minimize
    start = np.concatenate([np.ravel(WEIGHT), BIAS])

    def unpack(flat):
        return LinearParams(np.reshape(flat[: WEIGHT.size], WEIGHT.shape), flat[WEIGHT.size :])

    def objective(flat):
        return float(penalty.value(unpack(flat))) + np.sum((flat - start) ** 2) / (2 * step)

    # Powell's search asks for no gradient, so a kink may hold the minimum.
    options = {"xtol": 1e-9, "ftol": 1e-15}
    found = minimize(objective, start, method="Powell", options=options).x if penalty.value(unpack(start)) else start
    ours = penalty.proximal(unpack(start), step)
    flat = np.concatenate([np.ravel(ours.weight), ours.bias])
    np.testing.assert_allclose(flat, found, rtol=1e-4, atol=1e-5)
    rng = np.random.default_rng(22)
    lowest = objective(flat)
    for size in (1e-3, 1e-1, 1.0):
        others = flat + size * rng.standard_normal((20, flat.size))
        assert all(objective(other) > lowest for other in others)


def test_is_convex_and_not_negative(penalty):
    rng = np.random.default_rng(23)
    for _ in range(20):
        first, second = rng.standard_normal((2, 4, 3))
        assert on_host(penalty, first) >= 0
        middle = on_host(penalty, (first + second) / 2)
        assert middle <= (on_host(penalty, first) + on_host(penalty, second)) / 2 + 1e-12
    assert on_host(penalty, np.zeros((4, 3))) == 0


def test_goes_where_numpy_goes(backend, penalty, params, dtype):
    bias = None if params.bias is None else BIAS
    expected = LinearParams(WEIGHT, bias)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(
        backend.to_numpy(penalty.value(params)), np.asarray(penalty.value(expected)), rtol=tolerance
    )
    pairs = [
        (penalty.gradient(params), penalty.gradient(expected)),
        (penalty.proximal(params, 0.5), penalty.proximal(expected, 0.5)),
    ]
    for record, expected_record in pairs:
        assert type(record) is LinearParams
        for array, expected_array in zip(record, expected_record, strict=True):
            assert (array is None) == (expected_array is None)
            if array is not None:
                np.testing.assert_allclose(backend.to_numpy(array), expected_array, rtol=tolerance)


def test_keeps_dtype_namespace_and_device(backend, penalty, params, dtype):
    value = penalty.value(params)
    assert tuple(value.shape) == ()
    arrays = [value, *penalty.gradient(params), *penalty.proximal(params, 0.5)]
    for array in arrays:
        if array is not None:
            assert backend.to_numpy(array).dtype == dtype
            assert array_api_compat.array_namespace(array) is backend.xp
            assert array_api_compat.device(array) == backend.device


def test_writes_to_nothing_it_was_given(backend, penalty, params):
    before = [None if array is None else backend.to_numpy(array).copy() for array in params]
    penalty.value(params)
    gradient = penalty.gradient(params)
    penalty.proximal(params, 0.5)
    for array, original in zip(params, before, strict=True):
        if array is not None:
            np.testing.assert_array_equal(backend.to_numpy(array), original)
    if backend.name == "numpy":
        assert not np.shares_memory(gradient.weight, params.weight)


def test_reads_nothing_back_from_the_device(monkeypatch, penalty):
    strict = pytest.importorskip("array_api_strict")
    params = LinearParams(strict.asarray(WEIGHT), strict.asarray(BIAS))

    def refuse(array, *arguments, **options):
        msg = "a host read inside the mathematics"
        raise AssertionError(msg)

    for name in ("__float__", "__bool__", "__int__", "__index__", "__complex__", "__array__", "__iter__"):
        monkeypatch.setattr(type(params.weight), name, refuse, raising=False)
    penalty.value(params)
    penalty.gradient(params)
    penalty.proximal(params, 0.5)


def test_follows_the_protocol(penalty):
    assert isinstance(penalty, Penalty)


def test_prints_compares_hashes_and_pickles(penalty):
    twin = pickle.loads(pickle.dumps(penalty))
    assert twin == penalty
    assert hash(twin) == hash(penalty)
    assert eval(repr(penalty), {type(penalty).__name__: type(penalty)}) == penalty  # noqa: S307
    assert penalty != L2(0.125)
