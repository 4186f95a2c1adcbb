# SPDX-License-Identifier: BSD-3-Clause
"""What every optimizer promises, on every backend: it is shown for each entry of the table, and for each variant."""

import copy
import dataclasses
import pickle

import array_api_compat
import numpy as np
import pytest

from softmax_xp.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Lion, Optimizer, RMSprop, apply_updates
from softmax_xp.typing import LinearParams

N_STEPS = 12
VARIANTS = OPTIMIZERS | {
    "adam, all options": Adam(weight_decay=0.1, amsgrad=True),
    "adamw, all options": AdamW(weight_decay=0.1, amsgrad=True),
    "lion, decay": Lion(weight_decay=0.1),
    "rmsprop, all options": RMSprop(centered=True, momentum=0.9, weight_decay=0.1),
    "sgd, dampening": SGD(momentum=0.9, dampening=0.5, weight_decay=0.1),
}
_RNG = np.random.default_rng(42)
PARAMS = LinearParams(_RNG.standard_normal((5, 3)), _RNG.standard_normal(3))
GRADS = [LinearParams(_RNG.standard_normal((5, 3)), _RNG.standard_normal(3)) for _ in range(N_STEPS)]


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def optimizer(request):
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


def put(record, backend, dtype):
    return LinearParams(*[None if array is None else backend.asarray(array.astype(dtype)) for array in record])


def host(record, dtype):
    return LinearParams(*[None if array is None else array.astype(dtype) for array in record])


def run(optimizer, params, grads):
    state = optimizer.init(params)
    for grad in grads:
        updates, state = optimizer.update(grad, state, params)
        params = apply_updates(params, updates)
    return params, state


def arrays_of(state):
    """Each array of a state or record, in order."""
    if isinstance(state, tuple):
        return [array for member in state for array in arrays_of(member)]
    return [] if state is None or isinstance(state, int | float) else [state]


def test_goes_where_numpy_goes(backend, optimizer, dtype):
    ours, state = run(optimizer, put(PARAMS, backend, dtype), [put(grad, backend, dtype) for grad in GRADS])
    expected, expected_state = run(optimizer, host(PARAMS, dtype), [host(grad, dtype) for grad in GRADS])
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    pairs = [*zip(ours, expected, strict=True), *zip(arrays_of(state), arrays_of(expected_state), strict=True)]
    for array, expected_array in pairs:
        assert backend.to_numpy(array).dtype == dtype
        np.testing.assert_allclose(backend.to_numpy(array), expected_array, rtol=tolerance, atol=tolerance)
    assert np.max(np.abs(expected.weight - PARAMS.weight)) > 1e-4


def test_keeps_dtype_namespace_and_device(backend, optimizer, dtype):
    params = put(PARAMS, backend, dtype)
    state = optimizer.init(params)
    updates, next_state = optimizer.update(put(GRADS[0], backend, dtype), state, params)
    assert type(updates) is LinearParams
    assert [array.shape for array in updates] == [array.shape for array in params]
    for array in arrays_of((*state, *updates, *next_state)):
        assert array_api_compat.array_namespace(array) is backend.xp
        assert array_api_compat.device(array) == backend.device
        assert array.dtype == params.weight.dtype


def test_writes_to_nothing_it_was_given(backend, optimizer):
    params, grads = put(PARAMS, backend, "float32"), put(GRADS[0], backend, "float32")
    _, state = optimizer.update(grads, optimizer.init(params), params)
    given = [*params, *grads, *arrays_of(state)]
    before = [backend.to_numpy(array).copy() for array in given]
    first, next_state = optimizer.update(grads, state, params)
    again, _ = optimizer.update(grads, state, params)
    apply_updates(params, first)
    optimizer.update(grads, next_state, params)
    for array, original in zip(given, before, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), original)
    for array, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), backend.to_numpy(same))


def test_what_it_returns_shares_no_memory_with_what_it_was_given(optimizer):
    params, grads = PARAMS, GRADS[0]
    state = optimizer.init(params)
    given = [*params, *grads]
    for _ in range(2):
        given += arrays_of(state)
        updates, state = optimizer.update(grads, state, params)
        for array in [*updates, *arrays_of(state)]:
            assert not any(np.shares_memory(array, other) for other in given)


def test_a_missing_bias_stays_missing(backend, optimizer):
    params = LinearParams(backend.asarray(PARAMS.weight.astype("float32")))
    grads = [LinearParams(backend.asarray(grad.weight.astype("float32"))) for grad in GRADS]
    with_none, _ = run(optimizer, params, grads)
    alone, _ = run(optimizer, params.weight, [grad.weight for grad in grads])
    assert type(with_none) is LinearParams
    assert with_none.bias is None
    np.testing.assert_array_equal(backend.to_numpy(with_none.weight), backend.to_numpy(alone))


def test_the_state_counts_on_the_host_and_copies(optimizer):
    state = optimizer.init(PARAMS)
    assert isinstance(state, tuple)
    assert state._fields[0] == "count"
    _, later = run(optimizer, PARAMS, GRADS)
    assert (state.count, later.count) == (0, N_STEPS)
    assert type(later.count) is int
    for twin in (pickle.loads(pickle.dumps(later)), copy.deepcopy(later)):
        ours, _ = optimizer.update(GRADS[0], later, PARAMS)
        theirs, _ = optimizer.update(GRADS[0], twin, PARAMS)
        np.testing.assert_array_equal(ours.weight, theirs.weight)


def test_the_learning_rate_may_be_a_function(optimizer):
    counts = []

    def learning_rate(count):
        counts.append(count)
        # A NumPy float64 must not make float64 of a float32 run.
        return np.float64(0.25)

    params, grads = host(PARAMS, "float32"), [host(grad, "float32") for grad in GRADS]
    ours, _ = run(dataclasses.replace(optimizer, learning_rate=learning_rate), params, grads)
    expected, _ = run(dataclasses.replace(optimizer, learning_rate=0.25), params, grads)
    assert counts == list(range(N_STEPS))
    assert ours.weight.dtype == np.float32
    np.testing.assert_array_equal(ours.weight, expected.weight)


def test_a_learning_rate_of_zero_moves_nothing(optimizer):
    params, _ = run(dataclasses.replace(optimizer, learning_rate=0.0), PARAMS, GRADS)
    np.testing.assert_array_equal(params.weight, PARAMS.weight)


def test_numpy_hyperparameters_keep_float32(optimizer):
    numbers = {
        field.name: np.float64(getattr(optimizer, field.name))
        for field in dataclasses.fields(optimizer)
        if isinstance(getattr(optimizer, field.name), float)
    }
    assert "learning_rate" in numbers
    same = dataclasses.replace(optimizer, **numbers)
    params, state = run(same, host(PARAMS, "float32"), [host(grad, "float32") for grad in GRADS])
    assert {array.dtype for array in [*params, *arrays_of(state)]} == {np.dtype("float32")}


def test_a_gradient_of_zero_is_no_trouble(optimizer):
    plain = dataclasses.replace(optimizer, weight_decay=0.0)
    params, _ = run(plain, PARAMS, [LinearParams(np.zeros((5, 3)), np.zeros(3))] * 3)
    np.testing.assert_array_equal(params.weight, PARAMS.weight)


def test_it_goes_down(optimizer):
    # The gradient of half the squared distance to 0.
    bold = dataclasses.replace(optimizer, learning_rate=0.05)
    params, state = PARAMS, bold.init(PARAMS)
    for _ in range(100):
        updates, state = bold.update(params, state, params)
        params = apply_updates(params, updates)
    assert np.sum(params.weight**2) < np.sum(PARAMS.weight**2)


def test_it_is_a_value(optimizer):
    assert isinstance(optimizer, Optimizer)
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    assert hash(copy.deepcopy(optimizer)) == hash(optimizer)
    names = {type(optimizer).__name__: type(optimizer)}
    assert eval(repr(optimizer), names) == optimizer  # noqa: S307  the text is ours
    assert dataclasses.replace(optimizer, learning_rate=0.123) != optimizer
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.learning_rate = 1.0


def test_no_step_waits_for_the_device(optimizer, monkeypatch):
    strict = pytest.importorskip("array_api_strict")
    params = LinearParams(*[strict.asarray(array) for array in PARAMS])
    grads = LinearParams(*[strict.asarray(array) for array in GRADS[0]])

    def refuse(self):
        msg = "an array was read on the host"
        raise AssertionError(msg)

    for name in ("__bool__", "__float__", "__int__", "__index__", "__complex__", "__array__"):
        monkeypatch.setattr(type(params.weight), name, refuse, raising=False)
    with pytest.raises(AssertionError, match="read on the host"):
        float(params.weight[0, 0])
    run(optimizer, params, [grads] * 3)
