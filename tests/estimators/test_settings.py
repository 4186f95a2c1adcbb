# SPDX-License-Identifier: BSD-3-Clause
"""Parameters: checked in fit and not before, made plain, and never changed."""

import math

import numpy as np
import pytest

from softmax_xp import Adam, Callback, SoftmaxClassifier
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPError
from softmax_xp.estimators.settings import FitSettings, minibatch_optimizer, seed_of
from softmax_xp.solvers import LBFGS

X, Y = np.asarray([[0.0], [1.0], [2.0], [4.0]]), np.asarray([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("params", "kind", "text"),
    [
        ({"C": 0.0}, InvalidValueError, "`C` must be above 0; math.inf means no penalty; got 0.0."),
        ({"C": -1.0}, InvalidValueError, "`C` must be above 0"),
        ({"C": math.nan}, InvalidValueError, "`C` must be above 0"),
        ({"C": "1"}, InvalidTypeError, "`C` must be a number; got '1' of type str."),
        ({"C": None}, InvalidTypeError, "`C` must be a number"),
        ({"C": True}, InvalidTypeError, "`C` must be a number"),
        ({"C": 1e-320}, InvalidValueError, "`C` must leave 1 / "),
        ({"l1_ratio": 1.5}, InvalidValueError, "`l1_ratio` must be between 0 and 1; got 1.5."),
        ({"l1_ratio": None}, InvalidTypeError, "`l1_ratio` must be a number"),
        ({"fit_intercept": 1}, InvalidTypeError, "`fit_intercept` must be True or False"),
        ({"warm_start": "no"}, InvalidTypeError, "`warm_start` must be True or False"),
        ({"class_weight": "equal"}, InvalidValueError, "`class_weight` must be None, 'balanced' or a dict"),
        ({"class_weight": [1.0, 2.0]}, InvalidValueError, "`class_weight` must be None, 'balanced' or a dict"),
        (
            {"class_weight": {0: 1.0, 7: 2.0}},
            InvalidValueError,
            r"classes of `y`; got \[7\], while \[1\] have",
        ),
        ({"class_weight": np.ones(2)}, InvalidValueError, "`class_weight` must be None, 'balanced' or a dict"),
        ({"class_weight": {0: "a"}}, InvalidTypeError, "`class_weight` must hold numbers; got 'a' of type str for 0"),
        ({"memory_budget": 0}, InvalidValueError, "`memory_budget` must be at least 1 byte"),
        ({"memory_budget": 1e9}, InvalidTypeError, "`memory_budget` must be an integer number of bytes or None"),
        (
            {"memory_budget": 100},
            InvalidValueError,
            r"`memory_budget` must be at least \d+ bytes for 1 features and 1 ",
        ),
        (
            {"memory_budget": 100, "solver": "adam", "batch_size": 2},
            InvalidValueError,
            r"`memory_budget` must be at least \d+ bytes for 1 features and 2 columns of logits in float64; got 100",
        ),
        ({"stopping": ["certificate"]}, InvalidValueError, "`stopping` must be 'certificate' or 'gradient'"),
        (
            {"solver": LBFGS(), "l1_ratio": 0.5},
            InvalidValueError,
            "`solver` must be 'auto' or 'proximal' with l1_ratio=0.5; got LBFGS",
        ),
        ({"class_weight": {0: -1.0}}, InvalidValueError, "`class_weight` must hold finite weights >= 0"),
        ({"solver": "newton"}, InvalidValueError, "`solver` must be one of 'auto', 'lbfgs'.*'adam'.*; got 'newton'."),
        ({"solver": Adam}, InvalidTypeError, "`solver` must be a name, such as 'lbfgs' or 'adam', or an instance"),
        ({"solver": None}, InvalidTypeError, "`solver` must be a name"),
        (
            {"solver": "lbfgs", "l1_ratio": 0.5},
            InvalidValueError,
            "`solver` must be 'auto' or 'proximal' with l1_ratio=0.5",
        ),
        ({"tol": -1.0}, InvalidValueError, "`tol` must be a finite number of at least 0; got -1.0."),
        ({"max_iter": 0}, InvalidValueError, "`max_iter` must be at least 1; got 0."),
        ({"max_iter": 1.5}, InvalidTypeError, "`max_iter` must be an integer; got 1.5"),
        ({"verbose": -1}, InvalidValueError, "`verbose` must be at least 0"),
        ({"batch_size": 0}, InvalidValueError, "`batch_size` must be at least 1"),
        ({"learning_rate": -0.1}, InvalidValueError, "`learning_rate` must be a finite number of at least 0"),
        ({"stopping": "loss"}, InvalidValueError, "`stopping` must be 'certificate' or 'gradient'; got 'loss'."),
        ({"random_state": "seed"}, InvalidValueError, "`random_state` must be an integer >= 0"),
        ({"random_state": -1}, InvalidValueError, "`random_state` must be an integer >= 0"),
        ({"callbacks": 7}, InvalidTypeError, "`callbacks` must be functions of a row of the history"),
        ({"callbacks": [print, "print"]}, InvalidTypeError, "`callbacks` must be functions"),
        ({"callbacks": [Callback()]}, InvalidTypeError, "which waits for epochs. Use a minibatch solver"),
        ({"device": "gpu"}, InvalidValueError, "`device` must be 'auto', None"),
        (
            {"dtype": "int32"},
            InvalidValueError,
            "`dtype` must be float32 or float64, .*; got 'int32'.",
        ),
        ({"dtype": "float33"}, InvalidValueError, "`dtype` must be float32 or float64"),
    ],
)
def test_a_wrong_value_is_an_error_of_fit_alone(params, kind, text):
    classifier = SoftmaxClassifier(**params)
    with pytest.raises(kind, match=text) as caught:
        classifier.fit(X, Y)
    assert isinstance(caught.value, SoftmaxXPError)
    assert not hasattr(classifier, "classes_")


def test_values_are_made_plain_and_the_estimators_stay():
    given = {"C": np.float64(2.0), "max_iter": np.int64(7), "fit_intercept": np.True_, "verbose": True, "tol": 1}
    classifier = SoftmaxClassifier(**given)
    settings = FitSettings.of(classifier)
    assert type(settings.C) is type(settings.tol) is float
    assert type(settings.max_iter) is type(settings.verbose) is int
    assert settings.fit_intercept is True
    assert all(getattr(classifier, name) is value for name, value in given.items())


def test_the_float_may_be_named_in_any_way(backend):
    for dtype in ("float32", np.float32, np.dtype("float32"), backend.xp.float32):
        assert FitSettings.of(SoftmaxClassifier(dtype=dtype)).dtype == "float32"


def test_strengths_are_scikit_learns_divided_by_C_and_the_total():
    settings = FitSettings.of(SoftmaxClassifier(C=4.0, l1_ratio=0.25))
    assert settings.strengths(0.1) == pytest.approx((0.25 * 0.1 / 4.0, 0.75 * 0.1 / 4.0))
    assert FitSettings.of(SoftmaxClassifier(C=math.inf, l1_ratio=1.0)).strengths(0.1) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("solver", "is_minibatch"), [("auto", False), ("lbfgs", False), (LBFGS(), False), ("adam", True), (Adam(), True)]
)
def test_optimizers_step_on_minibatches(solver, is_minibatch):
    assert FitSettings.of(SoftmaxClassifier(solver=solver)).is_minibatch is is_minibatch


def test_the_optimizer_gets_the_learning_rate():
    assert minibatch_optimizer(FitSettings.of(SoftmaxClassifier(solver="sgd"))).learning_rate == 0.01
    assert minibatch_optimizer(FitSettings.of(SoftmaxClassifier(learning_rate=0.5))) == Adam(0.5)
    rate = minibatch_optimizer(FitSettings.of(SoftmaxClassifier(solver=Adam(b1=0.5), learning_rate=len))).learning_rate
    assert rate is len


def test_one_callback_needs_no_list():
    assert FitSettings.of(SoftmaxClassifier(callbacks=print)).callbacks == (print,)
    assert FitSettings.of(SoftmaxClassifier(callbacks=(print, repr))).callbacks == (print, repr)


def test_seeds_are_what_scikit_learn_means():
    assert seed_of(7) == 7
    assert seed_of(np.random.RandomState(3)) == seed_of(np.random.RandomState(3))
    generator = np.random.RandomState(3)
    assert seed_of(generator) != seed_of(generator)
    assert seed_of(None, draw=False) == 0
    assert seed_of(None) >= 0
