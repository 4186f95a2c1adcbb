# SPDX-License-Identifier: BSD-3-Clause
"""What every optimizer promises, on every backend: it is shown for each entry of the table, and for each variant."""

import copy
import dataclasses
import pickle

import array_api_compat
import numpy as np
import pytest

from softmax_xp.kernels.numpy.update import update as update_in_place
from softmax_xp.kernels.rules import RULES
from softmax_xp.optimizers import SGD, FusedOptimizer, Optimizer, accumulators_of, apply_updates
from softmax_xp.typing import LinearParams
from tests.optimizers.variants import VARIANTS

N_STEPS = 12
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


def run(optimizer, params, grads, state=None):
    state = optimizer.init(params) if state is None else state
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


def run_fused(optimizer, params, grads, state):
    """Steps of the formula, each from one set of arrays to another."""
    for grad in grads:
        out = (np.empty_like(params), tuple(np.empty_like(array) for array in accumulators_of(state)))
        scratch = (np.empty_like(params), np.empty_like(params))
        update_in_place(
            optimizer.fused_rule(state), params, grad.copy(), accumulators_of(state), out[0], out[1], scratch
        )
        params, state = out[0], optimizer.advance(state, out[1])
    return params, state


def assert_same_bits(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(np.signbit(one), np.signbit(other))
        else:
            assert one == other


PACKED = _RNG.standard_normal((6, 3))
# Of all sizes, with zeros, and with whole rows that never get a gradient; the squares stay within float32.
PACKED_GRADS = [_RNG.standard_normal((6, 3)) * 10.0 ** _RNG.integers(-18, 18, (6, 3)) for _ in range(10)]
PACKED_GRADS += [_RNG.standard_normal((6, 3)) * (_RNG.random((6, 3)) < 0.5) for _ in range(10)]
for _grad in PACKED_GRADS:
    _grad[2] = 0.0
SCHEDULES = {"constant": None, "schedule": lambda count: 0.1 / (1.0 + count)}


@pytest.mark.parametrize("learning_rate", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_its_formula_takes_the_very_same_steps(optimizer, dtype, learning_rate):
    if learning_rate is not None:
        optimizer = dataclasses.replace(optimizer, learning_rate=learning_rate)
    params, grads = PACKED.astype(dtype), [grad.astype(dtype) for grad in PACKED_GRADS]
    expected, expected_state = run(optimizer, params, grads, optimizer.init(params))
    found, state = run_fused(optimizer, params, grads, optimizer.init(params))
    assert_same_bits((found, *state), (expected, *expected_state))
    assert found.dtype == dtype
    assert np.any(found != params)


@pytest.mark.parametrize(("first", "second"), [(run, run_fused), (run_fused, run)])
def test_both_forms_share_one_state(optimizer, first, second):
    params, grads = PACKED.astype("float32"), [grad.astype("float32") for grad in PACKED_GRADS]
    expected, expected_state = run(optimizer, params, grads, optimizer.init(params))
    half_way, state = first(optimizer, params, grads[:10], optimizer.init(params))
    found, state = second(optimizer, half_way, grads[10:], state)
    assert type(state) is type(expected_state)
    assert_same_bits((found, *state), (expected, *expected_state))


def test_its_formula_is_in_the_table_and_fits_the_state(optimizer):
    assert isinstance(optimizer, FusedOptimizer)
    state = optimizer.init(PACKED)
    names = set()
    for _ in range(3):
        rule = optimizer.fused_rule(state)
        names.add(rule.name)
        layout = RULES[rule.name]
        assert [type(scalar) for scalar in rule.scalars] == [float] * len(layout.scalars)
        held = [name for name in state._fields if any(getattr(state, name) is x for x in accumulators_of(state))]
        assert held == list(layout.accumulators)
        # A kernel is compiled for the name, and the host numbers of later steps come without a step.
        state = optimizer.advance(state, accumulators_of(state))
    assert len(names) == 1


def test_its_rule_asks_for_the_learning_rate_once(optimizer):
    counts = []

    def learning_rate(count):
        counts.append(count)
        return np.float64(0.25)

    scheduled = dataclasses.replace(optimizer, learning_rate=learning_rate)
    state = scheduled.init(PACKED)
    for _ in range(3):
        assert scheduled.fused_rule(state) == dataclasses.replace(optimizer, learning_rate=0.25).fused_rule(state)
        state = scheduled.advance(state, accumulators_of(state))
    assert counts == [0, 1, 2]


def test_the_variants_reach_every_formula():
    names = {variant.fused_rule(variant.init(PACKED)).name for variant in VARIANTS.values()}
    assert names == set(RULES)


def test_an_optimizer_of_the_users_needs_no_formula():
    class Mine:
        learning_rate = 0.5

        def init(self, params):
            return SGD().init(params)

        def update(self, grads, state, params):
            return SGD(self.learning_rate).update(grads, state, params)

    assert isinstance(Mine(), Optimizer)
    assert not isinstance(Mine(), FusedOptimizer)
