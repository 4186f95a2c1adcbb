# SPDX-License-Identifier: BSD-3-Clause
"""The textbook's update rules, against its formulas, over several steps."""

import json

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import DeviceMismatchError, InvalidTypeError, InvalidValueError

N_STEPS = 6
RNG = np.random.default_rng(8)
START = RNG.normal(size=(3, 2))
GRADS = [RNG.normal(size=(3, 2)) for _ in range(N_STEPS)]
RULES = [sx.adagrad, sx.rmsprop, sx.adam]
ALL_RULES = [sx.sgd, sx.momentum_sgd, *RULES]


def by_adagrad(rate=0.1, eps=1e-10):
    W, total = START, np.zeros((3, 2))
    for dW in GRADS:
        total = total + dW**2
        W = W - rate * dW / (np.sqrt(total) + eps)
    return W


def by_rmsprop(rate=0.1, decay=0.9, eps=1e-8):
    W, mean = START, np.zeros((3, 2))
    for dW in GRADS:
        mean = decay * mean + (1 - decay) * dW**2
        W = W - rate * dW / (np.sqrt(mean) + eps)
    return W


def by_adam(rate=0.1, b1=0.8, b2=0.95, eps=1e-8):
    W, m, v = START, np.zeros((3, 2)), np.zeros((3, 2))
    for t, dW in enumerate(GRADS, start=1):
        m, v = b1 * m + (1 - b1) * dW, b2 * v + (1 - b2) * dW**2
        W = W - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return W


def run(rule, config, put=np.asarray):
    W = put(START)
    for dW in GRADS:
        W, config = rule(W, put(dW), config)
    return W, config


class TestPlainRules:
    def test_sgd(self, backend):
        W = backend.asarray(START)
        for dW in GRADS:
            W = sx.sgd(W, backend.asarray(dW), 0.1)
        np.testing.assert_allclose(backend.to_numpy(W), START - 0.1 * sum(GRADS), rtol=1e-12)

    def test_momentum_sgd(self, backend):
        W, velocity = backend.asarray(START), None
        expected, expected_velocity = START, np.zeros((3, 2))
        for dW in GRADS:
            W, velocity = sx.momentum_sgd(W, backend.asarray(dW), 0.1, 0.7, velocity)
            expected_velocity = 0.7 * expected_velocity - 0.1 * dW
            expected = expected + expected_velocity
        np.testing.assert_allclose(backend.to_numpy(W), expected, rtol=1e-12)
        np.testing.assert_allclose(backend.to_numpy(velocity), expected_velocity, rtol=1e-12)

    def test_momentum_is_that_of_the_optimizer_while_the_rate_stays(self):
        W, velocity = START, None
        optimizer = sx.SGD(0.1, momentum=0.7)
        params, state = START, optimizer.init(START)
        for dW in GRADS:
            W, velocity = sx.momentum_sgd(W, dW, 0.1, 0.7, velocity)
            updates, state = optimizer.update(dW, state, params)
            params = params + updates
        np.testing.assert_allclose(W, params, rtol=1e-12)

    def test_the_defaults_are_those_of_the_textbook(self):
        np.testing.assert_array_equal(sx.sgd(START, GRADS[0]), START - GRADS[0] * 0.01)
        first, velocity = sx.momentum_sgd(START, GRADS[0])
        second, _ = sx.momentum_sgd(first, GRADS[1], velocity=velocity)
        np.testing.assert_allclose(second, first + 0.9 * velocity - 0.01 * GRADS[1])


class TestConfiguredRules:
    @pytest.mark.parametrize(
        ("rule", "config", "expected"),
        [
            (sx.adagrad, {"learning_rate": 0.1}, by_adagrad()),
            (sx.rmsprop, {"learning_rate": 0.1, "decay": 0.9, "eps": 1e-8}, by_rmsprop()),
            (sx.adam, {"learning_rate": 0.1, "b1": 0.8, "b2": 0.95}, by_adam()),
        ],
    )
    def test_they_are_the_formulas(self, backend, rule, config, expected):
        W, last = run(rule, config, backend.asarray)
        np.testing.assert_allclose(backend.to_numpy(W), expected, rtol=1e-11)
        assert last["count"] == N_STEPS
        assert {name: last[name] for name in config} == config

    @pytest.mark.parametrize("rule", RULES)
    def test_a_config_goes_around(self, rule):
        """Half of the steps, the config through a dictionary of lists, and the other half: the same end."""
        expected, _ = run(rule, None)
        W, config = START, None
        for dW in GRADS[:3]:
            W, config = rule(W, dW, config)
        text = json.dumps({name: np.asarray(v).tolist() for name, v in config.items()})
        config = {name: np.asarray(v) if isinstance(v, list) else v for name, v in json.loads(text).items()}
        for dW in GRADS[3:]:
            W, config = rule(W, dW, config)
        np.testing.assert_array_equal(W, expected)

    @pytest.mark.parametrize("rule", RULES)
    def test_none_and_nothing_are_the_same(self, rule):
        np.testing.assert_array_equal(run(rule, None)[0], run(rule, {})[0])

    @pytest.mark.parametrize("rule", RULES)
    def test_they_are_the_optimizers_of_the_trainer(self, rule):
        optimizer = {"adagrad": sx.AdaGrad, "rmsprop": sx.RMSprop, "adam": sx.Adam}[rule.__name__]()
        params, state = START, optimizer.init(START)
        for dW in GRADS:
            updates, state = optimizer.update(dW, state, params)
            params = params + updates
        np.testing.assert_array_equal(run(rule, None)[0], params)

    def test_an_initial_accumulator_reaches_the_state(self):
        W, config = sx.adagrad(START, GRADS[0], {"initial_accumulator": 4.0, "learning_rate": 0.1})
        np.testing.assert_allclose(W, START - 0.1 * GRADS[0] / np.sqrt(4.0 + GRADS[0] ** 2), rtol=1e-8)
        assert config["initial_accumulator"] == 4.0

    @pytest.mark.parametrize("rule", RULES)
    def test_an_unknown_name_is_an_error_that_lists_the_known(self, rule):
        with pytest.raises(
            InvalidValueError, match=r"`config` must hold only names that .* knows: .*learning_rate.*; got 'beta1'"
        ):
            rule(START, GRADS[0], {"beta1": 0.9})

    @pytest.mark.parametrize("rule", RULES)
    def test_a_hyperparameter_out_of_range_is_an_error(self, rule):
        with pytest.raises(InvalidValueError, match="`learning_rate` must be"):
            rule(START, GRADS[0], {"learning_rate": -1.0})
        with pytest.raises(InvalidTypeError, match="`eps` must be"):
            rule(START, GRADS[0], {"eps": "small"})


class TestAllRules:
    @pytest.mark.parametrize("rule", ALL_RULES)
    def test_nothing_given_is_written_to(self, backend, rule):
        W, dW = backend.asarray(START), backend.asarray(GRADS[0])
        first = rule(W, dW)
        if rule in RULES:
            config = first[1]
            before = {name: np.copy(sx.backend.to_host(value)) for name, value in config.items()}
            _, changed = rule(first[0], dW, config)
            assert changed is not config
            for name, value in before.items():
                np.testing.assert_array_equal(sx.backend.to_host(config[name]), value)
        np.testing.assert_array_equal(backend.to_numpy(W), START)
        np.testing.assert_array_equal(backend.to_numpy(dW), GRADS[0])

    @pytest.mark.parametrize("rule", ALL_RULES)
    def test_float32_stays_float32(self, backend, rule):
        result = rule(backend.asarray(START.astype("float32")), backend.asarray(GRADS[0].astype("float32")))
        W = result[0] if isinstance(result, tuple) else result
        assert backend.to_numpy(W).dtype == np.float32
        assert sx.backend.backend_of(W).device == backend.device

    @pytest.mark.parametrize("rule", [sx.sgd, sx.momentum_sgd])
    def test_a_numpy_learning_rate_does_not_widen(self, rule):
        result = rule(START.astype("float32"), GRADS[0].astype("float32"), np.float64(0.1))
        assert (result[0] if isinstance(result, tuple) else result).dtype == np.float32

    @pytest.mark.parametrize("rule", ALL_RULES)
    def test_a_gradient_of_another_shape_is_an_error(self, rule):
        with pytest.raises(InvalidValueError, match=r"`dW` must have the shape of `W`, \(3, 2\); got \(2,\)."):
            rule(START, GRADS[0][0])

    @pytest.mark.parametrize("rule", ALL_RULES)
    def test_a_gradient_from_elsewhere_is_an_error_that_names_both(self, rule):
        strict = pytest.importorskip("array_api_strict")
        with pytest.raises(
            DeviceMismatchError, match="`dW` must be on the device of `W`, 'cpu'; got .array_api_strict"
        ):
            rule(START, strict.asarray(GRADS[0]))
