# SPDX-License-Identifier: BSD-3-Clause
"""The walk over parameter records, and the learning rate of a step."""

import operator

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.optimizers import (
    SGD,
    Optimizer,
    apply_updates,
    learning_rate_at,
    map_arrays,
    namespace_of,
    unzip_map_arrays,
    zeros_like,
)
from softmax_xp.typing import LinearParams


@pytest.mark.parametrize("layout", [lambda a, b: a, lambda a, b: (a, b), LinearParams, lambda a, b: LinearParams(a)])
def test_records_keep_their_layout(layout):
    first, second = np.asarray([1.0, 2.0]), np.asarray([3.0])
    record = layout(first, second)
    expected = layout(first + first, second + second)
    added = map_arrays(operator.add, record, record)
    assert type(added) is type(record)
    assert repr(added) == repr(expected)
    sums, products = unzip_map_arrays(lambda x: (x + x, x * x), 2, record)
    assert type(sums) is type(record)
    assert repr(sums) == repr(expected)
    assert repr(products) == repr(layout(first * first, second * second))
    assert repr(apply_updates(record, record)) == repr(expected)
    assert repr(zeros_like(record)) == repr(layout(first * 0, second * 0))


def test_records_of_different_lengths_do_not_meet():
    one, two = (np.ones(1),), (np.ones(1), np.ones(1))
    with pytest.raises(ValueError, match="zip"):
        map_arrays(operator.add, two, one)
    with pytest.raises(ValueError, match="zip"):
        unzip_map_arrays(lambda x, y: (x, y), 2, two, one)


def test_namespace_is_that_of_the_first_array(backend):
    array = backend.asarray(np.ones(2))
    assert namespace_of(array) is backend.xp
    assert namespace_of((None, array)) is backend.xp


def test_a_record_without_arrays_is_refused():
    with pytest.raises(InvalidValueError, match=r"`params` must hold at least one array; got \(None, None\)\."):
        namespace_of((None, None))


def test_learning_rate_of_a_step_is_a_python_float():
    for learning_rate in (0.5, np.float64(0.5), np.float32(0.5), lambda count: np.float64(count / 6)):
        rate = learning_rate_at(learning_rate, 3)
        assert type(rate) is float
        assert rate == 0.5


def test_the_protocol_knows_an_optimizer():
    assert isinstance(SGD(), Optimizer)
    assert not isinstance("sgd", Optimizer)
