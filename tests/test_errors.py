# SPDX-License-Identifier: BSD-3-Clause
"""Errors are the package's and a builtin at once, and survive pickling with what they carry."""

import inspect
import pickle

import pytest

from softmax_xp import errors
from softmax_xp.errors import DeviceUnavailableError, SoftmaxXPError, SoftmaxXPWarning, TrainingDivergedError

BUILTINS = {
    "CheckpointCorruptError": ValueError,
    "CheckpointError": RuntimeError,
    "CheckpointLockedError": RuntimeError,
    "CheckpointMismatchError": ValueError,
    "CheckpointVersionError": ValueError,
    "CheckpointWriteError": OSError,
    "DataNotFoundError": FileNotFoundError,
    "DeviceMismatchError": ValueError,
    "DeviceUnavailableError": RuntimeError,
    "DataChangedError": RuntimeError,
    "InvalidTypeError": TypeError,
    "InvalidValueError": ValueError,
    "MissingDependencyError": ImportError,
    "ModelFileError": ValueError,
    "ShardError": RuntimeError,
    "TrainingDivergedError": ArithmeticError,
    "WorkerLostError": RuntimeError,
}


@pytest.mark.parametrize(("name", "builtin"), BUILTINS.items())
def test_an_error_is_also_the_builtin_that_fits(name, builtin):
    error = getattr(errors, name)
    assert issubclass(error, SoftmaxXPError)
    assert issubclass(error, builtin)


def test_the_list_above_is_whole():
    classes = {
        name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    own = {name for name, kind in classes.items() if issubclass(kind, SoftmaxXPError) and kind is not SoftmaxXPError}
    assert own == set(BUILTINS)
    warnings = {name for name, kind in classes.items() if issubclass(kind, Warning)}
    assert all(issubclass(classes[name], SoftmaxXPWarning) for name in warnings)
    assert issubclass(SoftmaxXPWarning, UserWarning)
    assert set(errors.__all__) == set(classes)


@pytest.mark.parametrize(
    "name", [name for name in BUILTINS if name not in {"DeviceUnavailableError", "TrainingDivergedError"}]
)
def test_a_plain_error_keeps_its_message_in_a_pickle(name):
    error = getattr(errors, name)("`x` must be y; got z.")
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == "`x` must be y; got z."


@pytest.mark.parametrize("name", BUILTINS)
def test_what_makes_an_error_is_the_constructor_of_its_builtin(name):
    kind = getattr(errors, name)
    # How tblib, which Dask brings, unpickles an exception; RuntimeError's constructor cannot make an OSError.
    assert type(kind.__new__(kind)) is kind


@pytest.mark.parametrize("install", ["", "pip install a"])
def test_a_missing_device_carries_reason_and_command(install):
    error = DeviceUnavailableError("No driver.", install=install)
    text = "No driver. Install it with: pip install a" if install else "No driver."
    for twin in (error, pickle.loads(pickle.dumps(error))):
        assert (str(twin), twin.reason, twin.install) == (text, "No driver.", install)


def test_a_divergence_carries_the_last_good_model():
    error = TrainingDivergedError("at step 7", model={"weight": 1}, history=[1.0], step=7)
    for twin in (error, pickle.loads(pickle.dumps(error))):
        assert (str(twin), twin.model, twin.history, twin.step) == ("at step 7", {"weight": 1}, [1.0], 7)
