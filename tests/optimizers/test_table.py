# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers by name."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import OPTIMIZERS, SGD, Adam, AdamW, make_optimizer


def test_names():
    assert list(OPTIMIZERS) == [
        "adadelta",
        "adagrad",
        "adam",
        "adamw",
        "lion",
        "momentum_sgd",
        "nadam",
        "nesterov_sgd",
        "rmsprop",
        "sgd",
    ]
    assert OPTIMIZERS["momentum_sgd"] == SGD(momentum=0.9)
    assert OPTIMIZERS["nesterov_sgd"] == SGD(momentum=0.9, nesterov=True)
    assert OPTIMIZERS["sgd"] == SGD()
    assert OPTIMIZERS["adamw"] == AdamW()


def test_makes_from_a_name_or_an_instance():
    assert make_optimizer("adam") == Adam()
    optimizer = Adam(b1=0.5)
    assert make_optimizer(optimizer) is optimizer
    assert make_optimizer(optimizer, learning_rate=0.25) == Adam(0.25, b1=0.5)
    assert optimizer == Adam(b1=0.5)
    assert make_optimizer("sgd", abs).learning_rate is abs
    assert OPTIMIZERS["sgd"] == SGD()


def test_a_new_learning_rate_is_checked():
    with pytest.raises(InvalidValueError, match=r"`learning_rate` must be a finite number of at least 0; got -1"):
        make_optimizer("adam", -1)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        InvalidValueError,
        match=r"`optimizer` must be one of 'adadelta', 'adagrad', .*, 'rmsprop', 'sgd'; got 'Adam'\.",
    ):
        make_optimizer("Adam")


class Foreign:
    learning_rate = 1.0

    def init(self, params):
        return None

    def update(self, grads, state, params):
        return grads, state


def test_other_objects():
    with pytest.raises(InvalidTypeError, match=r"`optimizer` must be an instance; got the class Adam. Pass Adam\(\)"):
        make_optimizer(Adam)
    with pytest.raises(InvalidTypeError, match=r"`optimizer` must be a name or an optimizer; got 3. Pass for instance"):
        make_optimizer(3)
    foreign = Foreign()
    assert make_optimizer(foreign) is foreign
    with pytest.raises(InvalidTypeError, match=r"`learning_rate` must be None for an optimizer that is no dataclass"):
        make_optimizer(foreign, 0.5)
