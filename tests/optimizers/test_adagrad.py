# SPDX-License-Identifier: BSD-3-Clause
"""AdaGrad against PyTorch's."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import AdaGrad
from tests.optimizers.trajectories import assert_follows_torch


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"eps": 1e-2}, {"eps": 1e-2}),
        ({"initial_accumulator": 0.1}, {"initial_accumulator_value": 0.1}),
        ({"weight_decay": 0.1}, {"weight_decay": 0.1}),
    ],
)
def test_follows_torch(ours, theirs):
    pytest.importorskip("torch")
    assert_follows_torch(AdaGrad(0.1, **ours), lambda optim, tensors: optim.Adagrad(tensors, lr=0.1, **theirs))


def test_follows_torch_where_its_learning_rate_decays():
    pytest.importorskip("torch")
    ours = AdaGrad(lambda count: 0.1 / (1 + count * 0.01))
    assert_follows_torch(ours, lambda optim, tensors: optim.Adagrad(tensors, lr=0.1, lr_decay=0.01))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"learning_rate": float("nan")}, InvalidValueError, r"`learning_rate` must be a finite number .*; got nan"),
        ({"eps": -1e-8}, InvalidValueError, r"`eps` must be a finite number of at least 0; got -1e-08"),
        ({"initial_accumulator": -1.0}, InvalidValueError, r"`initial_accumulator` must be a finite number"),
        ({"weight_decay": float("inf")}, InvalidValueError, r"`weight_decay` must be a finite number .*; got inf"),
        ({"eps": None}, InvalidTypeError, r"`eps` must be a number; got None of type NoneType"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        AdaGrad(**settings)
