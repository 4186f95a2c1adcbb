# SPDX-License-Identifier: BSD-3-Clause
"""The arrays of a state, out and in again; that each optimizer's formula is right is a contract of all of them."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.optimizers import SGD, Adam, NAdam, RMSprop, RMSpropState, accumulators_of, advance_state

PARAMS = np.zeros((3, 2))


def test_accumulators_are_the_states_own_arrays_in_its_order():
    state = RMSpropState(count=7, nu=np.ones(1), mu=None, trace=np.zeros(1))
    first, second = accumulators_of(state)
    assert first is state.nu
    assert second is state.trace
    assert accumulators_of(SGD().init(PARAMS)) == ()


def test_a_number_of_the_host_is_no_accumulator():
    state = NAdam().init(PARAMS)
    assert len(accumulators_of(state)) == 2
    assert len(accumulators_of(state._replace(momentum_product=np.float64(1.0)))) == 2


def test_advancing_keeps_what_is_absent_and_takes_the_arrays_themselves():
    nu, trace = np.ones(1), np.zeros(1)
    state = advance_state(RMSprop(momentum=0.5).init(PARAMS), (nu, trace))
    assert type(state) is RMSpropState
    assert (state.count, state.mu) == (1, None)
    assert state.nu is nu
    assert state.trace is trace


def test_nadam_advances_its_product_too():
    optimizer = NAdam()
    _, expected = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)
    state = optimizer.init(PARAMS)
    state = optimizer.advance(state, accumulators_of(state))
    assert state.momentum_product == expected.momentum_product != 1.0


@pytest.mark.parametrize("accumulators", [(PARAMS,), (PARAMS, PARAMS, PARAMS)])
def test_the_wrong_number_of_arrays_is_refused(accumulators):
    with pytest.raises(
        InvalidValueError, match=rf"`accumulators` must be the 2 arrays that AdamState holds; got {len(accumulators)}\."
    ):
        Adam().advance(Adam().init(PARAMS), accumulators)
