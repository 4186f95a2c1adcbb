# SPDX-License-Identifier: BSD-3-Clause
"""Averages of the parameters against PyTorch's AveragedModel, on every backend."""

import pickle

import array_api_compat
import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import Averaging, ExponentialAverage, UniformAverage
from softmax_xp.typing import LinearParams

PATH = np.random.default_rng(11).standard_normal((30, 4, 3)).cumsum(axis=0)
AVERAGINGS = [ExponentialAverage(), ExponentialAverage(0.75), UniformAverage(), UniformAverage(start=10)]


def values(averaging, path, bias=None):
    state = averaging.init(LinearParams(path[0] * 0, bias))
    result = []
    for params in path:
        state = averaging.update(state, LinearParams(params, bias))
        result.append(averaging.value(state))
    assert state.count == len(path)
    return result


@pytest.mark.parametrize("averaging", AVERAGINGS, ids=repr)
def test_averages_as_torch_does(averaging):
    torch = pytest.importorskip("torch")
    swa_utils = torch.optim.swa_utils
    model = torch.nn.Linear(4, 3, bias=False, dtype=torch.float64)
    is_exponential = isinstance(averaging, ExponentialAverage)
    rule = swa_utils.get_ema_multi_avg_fn(averaging.decay) if is_exponential else None
    start = 0 if is_exponential else averaging.start
    reference = swa_utils.AveragedModel(model, multi_avg_fn=rule)
    for step, (params, ours) in enumerate(zip(PATH, values(averaging, PATH), strict=True)):
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(params.T.copy()))
        if step < start:
            np.testing.assert_array_equal(ours.weight, params)
            continue
        reference.update_parameters(model)
        theirs = reference.module.weight.detach().numpy().T
        np.testing.assert_allclose(ours.weight, theirs, rtol=1e-12, atol=1e-14)
        assert ours.bias is None


def test_the_uniform_average_is_the_mean():
    np.testing.assert_allclose(values(UniformAverage(start=10), PATH)[-1].weight, PATH[10:].mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("averaging", AVERAGINGS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_averages_alike_on_every_backend(backend, averaging, dtype):
    if dtype == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    host = PATH.astype(dtype)
    arrays = [backend.asarray(params) for params in host]
    ours = values(averaging, arrays)[-1].weight
    assert array_api_compat.device(ours) == backend.device
    assert backend.to_numpy(ours).dtype == dtype
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(
        backend.to_numpy(ours), values(averaging, host)[-1].weight, rtol=tolerance, atol=tolerance
    )
    for array, original in zip(arrays, host, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), original)


@pytest.mark.parametrize("averaging", AVERAGINGS, ids=repr)
def test_the_average_shares_no_memory_with_the_parameters(averaging):
    params = np.ones(3)
    states = [averaging.init(params)]
    for _ in range(3):
        states.append(averaging.update(states[-1], params))
    params[...] = 7.0
    for state in states:
        np.testing.assert_array_equal(averaging.value(state), np.ones(3))


@pytest.mark.parametrize("averaging", AVERAGINGS, ids=repr)
def test_an_update_leaves_the_state_before_it_alone(averaging):
    state = averaging.update(averaging.init(PATH[0]), PATH[1])
    before = state.average.copy()
    later = averaging.update(averaging.update(state, PATH[2]), PATH[3])
    np.testing.assert_array_equal(state.average, before)
    assert np.any(later.average != before)


def test_they_print_compare_and_pickle():
    for averaging in AVERAGINGS:
        assert isinstance(averaging, Averaging)
        assert pickle.loads(pickle.dumps(averaging)) == averaging
    assert repr(UniformAverage(start=3)) == "UniformAverage(start=3)"
    assert ExponentialAverage(0.5) != ExponentialAverage(0.25)


@pytest.mark.parametrize(
    ("make", "value", "error", "message"),
    [
        (ExponentialAverage, 1.0, InvalidValueError, r"`decay` must be at least 0 and below 1; got 1.0"),
        (ExponentialAverage, "x", InvalidTypeError, r"`decay` must be a number; got 'x' of type str"),
        (UniformAverage, -1, InvalidValueError, r"`start` must be at least 0; got -1"),
        (UniformAverage, 0.5, InvalidTypeError, r"`start` must be an integer; got 0.5 of type float"),
    ],
)
def test_refuses_settings_that_make_no_sense(make, value, error, message):
    with pytest.raises(error, match=message):
        make(value)
