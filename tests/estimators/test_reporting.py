# SPDX-License-Identifier: BSD-3-Clause
"""Lines, callbacks and the warning."""

import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning

from softmax_xp import Callback, SoftmaxClassifier
from softmax_xp.errors import InvalidTypeError, SoftmaxXPWarning
from softmax_xp.estimators.reporting import NotConvergedWarning, as_shown, check_functions, warn_unless_converged
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.solvers import Status


def settings(**params):
    return FitSettings.of(SoftmaxClassifier(**params))


def test_every_callback_sees_every_row():
    seen = []
    show = as_shown(settings(callbacks=[lambda row: seen.append(1) or True, lambda row: seen.append(2), Callback()]))
    assert show({"iteration": 0}) is True
    assert seen == [1, 2]
    assert as_shown(settings(callbacks=[lambda row: None]))({}) is False
    assert as_shown(settings())({}) is False


def test_a_line_names_its_numbers(capsys):
    as_shown(settings(verbose=2))({"iteration": 3, "value": 0.123456789})
    assert capsys.readouterr().out == "iteration 3  value 0.123457\n"


def test_epochs_are_waited_for_only_where_there_are_some():
    with pytest.raises(InvalidTypeError, match="with solver='auto'; got .* which waits for epochs"):
        check_functions(settings(callbacks=[Callback()]))
    check_functions(settings(callbacks=[print]))


def test_the_warning_is_scikit_learns_and_ours():
    assert issubclass(NotConvergedWarning, ConvergenceWarning)
    assert issubclass(NotConvergedWarning, SoftmaxXPWarning)


@pytest.mark.parametrize("status", [*Status, "plateau"])
def test_only_what_missed_its_tolerance_is_warned_of(status):
    missed = status in {"floor", "max_iter", "interrupted"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_unless_converged(status)
    assert len(caught) == missed
    if missed:
        assert Status(status).message in str(caught[0].message)
