# SPDX-License-Identifier: BSD-3-Clause
import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from softmax_xp.backend import backend_of
from softmax_xp.errors import InvalidTypeError
from softmax_xp.io.records import pack, record_classes, record_name, unpack


class Inner(NamedTuple):
    a: Any
    b: Any = None


@dataclass(frozen=True, slots=True)
class Outer:
    inner: Any
    rest: Any = ()


KNOWN = {record_name(kind): kind for kind in (Inner, Outer)}


def journey(state, put=np.asarray):
    structure, tensors = pack(state, KNOWN)
    filed = {name: np.array(array, order="C") for name, array in tensors.items()}
    return unpack(json.loads(json.dumps(structure)), filed, KNOWN, put)


@pytest.mark.parametrize(
    "state",
    [
        None,
        True,
        -(2**70),
        "text",
        1.0,
        0.1 + 0.2,
        -0.0,
        5e-324,
        math.inf,
        -math.inf,
        (),
        (1, [2.0, None], {"a": {"b": (3,)}}),
        Inner(1, Inner(2.5)),
        Outer(Inner("x"), ({"step": 3},)),
    ],
)
def test_plain_values_come_back_as_they_were(state):
    found = journey(state)
    assert type(found) is type(state)
    assert found == state
    assert repr(found) == repr(state)  # tells -0.0 from 0.0


def test_nan_comes_back():
    assert math.isnan(journey({"bound": math.nan})["bound"])


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?"])
def test_arrays_keep_their_bits_and_the_order_of_their_memory(dtype):
    host = np.random.default_rng(3).integers(0, 2, (3, 4, 5)).astype(dtype)
    for array in (host, np.asfortranarray(host), host.transpose(1, 0, 2), host[:, 1], host[0, 0, 0:0]):
        found = journey(array)
        np.testing.assert_array_equal(found, array, strict=True)
        orders = [sorted(range(each.ndim), key=lambda axis: -each.strides[axis]) for each in (found, array)]
        assert orders[0] == orders[1]


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_arrays_come_back_to_their_device(backend, dtype):
    array = backend.asarray(np.arange(6).reshape(2, 3).astype(dtype))
    found = journey(Inner(array), backend_of(array).put).a
    assert type(found) is type(array)
    assert found.dtype == array.dtype
    assert backend_of(found) == backend_of(array)
    np.testing.assert_array_equal(backend.to_numpy(found), backend.to_numpy(array), strict=True)


def test_numbers_of_numpy_stay_what_they_are():
    # A float64 number lifts float32 arrays to float64, a Python float does not; so each must come back as its own.
    found = journey((np.float64(0.1), np.asarray(0.1), 0.1, np.int64(3)))
    assert [type(each) for each in found] == [np.float64, np.ndarray, float, np.int64]


def test_an_array_that_occurs_twice_is_stored_once():
    array = np.arange(3.0)
    structure, tensors = pack((array, Inner(array, array.copy())), KNOWN)
    assert list(tensors) == ["state.0", "state.1.b"]
    found = unpack(structure, tensors, KNOWN, np.asarray)
    assert found[0] is found[1].a is not found[1].b


def test_arrays_that_are_made_on_the_way_are_not_confused():
    class Fresh(dict):
        def items(self):
            return ((name, np.full(2, number)) for number, name in enumerate("abcd"))

    found = journey(Fresh(a=1))
    assert [found[name][0] for name in "abcd"] == [0, 1, 2, 3]


def test_a_dot_in_a_key_confuses_nothing():
    state = {"a": {"b": np.asarray(1.0)}, "a.b": np.asarray(2.0)}
    assert journey(state)["a"]["b"] == 1.0
    assert journey(state)["a.b"] == 2.0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"f": len}, "`state.f` must consist of arrays, numbers"),
        ({1: 2}, "strings as keys"),
        ((1, {2, 3}), "`state.1` must consist of"),
        (Inner(1)._replace(a=object()), "`state.a` must consist of"),
    ],
)
def test_what_could_not_be_read_back_is_refused(state, message):
    with pytest.raises(InvalidTypeError, match=message):
        pack(state, KNOWN)


def test_a_class_that_no_reader_expects_is_refused_when_it_is_written():
    with pytest.raises(InvalidTypeError, match="`state.x` must be of a class that a reader .* expects; got .*Inner"):
        pack({"x": Inner(1)}, {})


@pytest.mark.parametrize(
    "structure",
    [
        1.5,
        [],
        {},
        {"float": "0x1p+99999"},
        {"float": "one"},
        {"float": 1.0},
        {"float": "0x1p0", "more": 1},
        {"array": "missing", "axes": [0], "number": False},
        {"array": "x", "axes": [1], "number": False},
        {"array": "x", "axes": [0, 0], "number": False},
        {"array": "x", "axes": [{}], "number": False},
        {"array": "x", "axes": [0], "number": 2},
        {"array": ["x"], "axes": [0], "number": False},
        {"record": "builtins.eval", "fields": {"source": "1"}},
        {"record": "os.system", "fields": {"command": "false"}},
        {"record": record_name(Inner), "fields": {"c": 1}},
        {"record": record_name(Inner), "fields": {}},
        {"record": record_name(Inner), "fields": []},
        {"record": [], "fields": {}},
        {"tuple": {}},
        {"dict": []},
        {"list": [{"dict": {"a": 1.5}}]},
    ],
)
def test_what_a_stranger_wrote_is_one_kind_of_error(structure):
    with pytest.raises(ValueError, match="cannot be put together"):
        unpack(structure, {"x": np.zeros(2)}, KNOWN, np.asarray)


class Trap:
    """Would be made if the name in a file were enough."""

    def __init__(self, **fields):
        raise AssertionError


def test_no_class_is_made_but_those_that_are_expected():
    for name in (record_name(Trap), "types.SimpleNamespace", record_name(Inner)):
        with pytest.raises(ValueError, match="a dict is no part of a state"):
            unpack({"record": name, "fields": {"a": 1}}, {}, {record_name(Outer): Outer}, np.asarray)


def test_numbers_are_numbers_where_a_class_says_so():
    class Counted(NamedTuple):
        count: int
        rate: float
        rest: tuple[int, ...] = ()

    known = {record_name(Counted): Counted}

    def made(**fields):
        return unpack({"record": record_name(Counted), "fields": fields}, {}, known, np.asarray)

    assert made(count=1, rate=2) == (1, 2, ())
    for fields in ({"count": "1", "rate": 1}, {"count": 1, "rate": None}, {"count": 1, "rate": 1, "rest": 3}):
        with pytest.raises(ValueError, match="cannot be put together"):
            made(**fields)


def test_structures_thousands_deep_are_refused():
    deep = 1
    for _ in range(100_000):
        deep = {"tuple": [deep]}
    try:
        with pytest.raises(ValueError, match="cannot be put together"):
            unpack(deep, {}, {}, np.asarray)
    finally:
        while isinstance(deep, dict):  # or Python frees it by recursion
            deep = deep.pop("tuple")[0]


def test_records_are_found_where_they_are_defined():
    found = record_classes(["softmax_xp.solvers", "softmax_xp.objectives"])
    assert {"softmax_xp.solvers.lbfgs.Pair", "softmax_xp.solvers.proximal_model.Pair"} <= found.keys()
    assert "softmax_xp.objectives.metric.ClassMetric" in found
    assert all(name.startswith(("softmax_xp.solvers.", "softmax_xp.objectives.")) for name in found)
    assert not record_classes(["softmax_xp.solv"])
