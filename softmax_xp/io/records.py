# SPDX-License-Identifier: BSD-3-Clause
"""Nested states as named arrays and JSON, and back, bit by bit.

A state consists of arrays, numbers, text and None, in tuples, lists, dicts and records: named tuples and dataclasses.
Nobody writes a line for a new state. A file names the class of a record, and the reader looks that name up among the
classes that it expects: nothing is imported, and nothing else can be made.

Floats are written in hexadecimal digits, and arrays keep the order of their memory: a library may add up the columns of
a transposed matrix in another order. An array that occurs twice is stored once, and occurs twice again.
"""

__all__ = ["pack", "record_classes", "record_classes_in", "record_name", "unpack"]

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, final, get_origin

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import to_host
from softmax_xp.errors import InvalidTypeError
from softmax_xp.typing import Array

_Classes: TypeAlias = Mapping[str, type]  # by `record_name`


def record_name(kind: type) -> str:
    """Return the name of a class in a file."""
    return f"{kind.__module__}.{kind.__qualname__}"


def record_classes(rooms: Iterable[str]) -> dict[str, type]:
    """Gather the named tuples and dataclasses that the modules of some packages define.

    Parameters
    ----------
    rooms : iterable of str
        Names of packages or modules. Of their modules those count that are imported.

    Returns
    -------
    dict of str to type
        By :func:`record_name`.
    """
    prefixes = tuple(rooms)
    modules = [
        module
        for name, module in sys.modules.items()
        if any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
    ]
    return {
        record_name(kind): kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and _fields(kind) is not None
    }


def record_classes_in(state: Any) -> dict[str, type]:
    """Gather the classes of the records in a state.

    Parameters
    ----------
    state : object
        As for :func:`pack`.

    Returns
    -------
    dict of str to type
        By :func:`record_name`.
    """
    kind, found = type(state), dict[str, type]()
    fields = _fields(kind)
    if fields is not None:
        found[record_name(kind)] = kind
    members = state.values() if isinstance(state, Mapping) else state if isinstance(state, tuple | list) else ()
    for member in (getattr(state, name) for name in fields) if fields is not None else members:
        found |= record_classes_in(member)
    return found


def _fields(kind: type) -> tuple[str, ...] | None:
    """Return the names of a record's fields; None for what is no record."""
    if issubclass(kind, tuple):
        return getattr(kind, "_fields", None)
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def _checked(record: Any) -> Any:
    """Return a record whose numbers are numbers, where its class says so: nobody checks them later."""
    for name, kind in type(record).__annotations__.items():
        value = getattr(record, name)
        if kind in {int, float, bool, str} and type(value) is not kind and not (kind is float and type(value) is int):
            raise TypeError(name)
        origin: Any = get_origin(kind)
        if origin is tuple and not isinstance(value, tuple):
            raise TypeError(name)
    return record


def pack(state: Any, known: _Classes) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Take a state apart.

    Parameters
    ----------
    state : object
        As the module's docstring says.
    known : mapping of str to type
        The classes that a reader will expect.

    Returns
    -------
    structure : object
        For JSON.
    tensors : dict of str to array
        On the host, by their place in the state.

    Raises
    ------
    InvalidTypeError
        For anything that could not be read back.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.io.records import pack, unpack
    >>> structure, tensors = pack({"step": 3, "weight": np.zeros(2)}, {})
    >>> unpack(structure, tensors, {}, put=np.asarray)
    {'step': 3, 'weight': array([0., 0.])}
    """
    packer = _Packer(known)
    return packer.pack(state, "state"), packer.tensors


@final
class _Packer:
    """Gathers the arrays on the way through a state."""

    def __init__(self, known: _Classes) -> None:
        self.known = known
        self.tensors: dict[str, NDArray[Any]] = {}
        # With the arrays themselves: the number of one that is gone may be given to another.
        self.stored: dict[int, tuple[Array, dict[str, Any]]] = {}

    def pack(self, value: Any, place: str) -> Any:
        """Return what stands for a value in JSON."""
        if value is None or type(value) in {bool, int, str}:
            return value
        if type(value) is float:
            return {"float": value.hex()}
        fields = _fields(type(value))
        if fields is not None:
            name = record_name(type(value))
            if name not in self.known:
                msg = f"`{place}` must be of a class that a reader of the checkpoint expects; got {name}."
                raise InvalidTypeError(msg)
            return {"record": name, "fields": {f: self.pack(getattr(value, f), f"{place}.{f}") for f in fields}}
        if type(value) in {tuple, list}:
            members = [self.pack(member, f"{place}.{number}") for number, member in enumerate(value)]
            return {type(value).__name__: members}
        if isinstance(value, Mapping):
            if not all(type(key) is str for key in value):
                msg = f"`{place}` must have strings as keys; got {list(value)!r}."
                raise InvalidTypeError(msg)
            return {"dict": {key: self.pack(member, f"{place}.{key}") for key, member in value.items()}}
        if not (hasattr(value, "shape") and hasattr(value, "dtype")):
            msg = f"`{place}` must consist of arrays, numbers, text, tuples and records; got {value!r}."
            raise InvalidTypeError(msg)
        if id(value) not in self.stored:
            self.stored[id(value)] = value, self._store(value, place)
        return self.stored[id(value)][1]

    def _store(self, array: Array, place: str) -> dict[str, Any]:
        host = to_host(array)
        name = place
        while name in self.tensors:  # a key with a dot in it can look like a nested one
            name += "'"
        # From the axis with the largest steps in memory to that with the smallest.
        axes = sorted(range(host.ndim), key=lambda axis: -abs(host.strides[axis]))
        self.tensors[name] = host.transpose(axes)
        return {"array": name, "axes": axes, "number": isinstance(array, np.generic)}


def unpack(structure: Any, tensors: Mapping[str, NDArray[Any]], known: _Classes, put: Callable[[Any], Array]) -> Any:
    """Put a state together again.

    Parameters
    ----------
    structure : object
        From :func:`pack`, through JSON.
    tensors : mapping of str to array
        From :func:`pack`, through a file.
    known : mapping of str to type
        The classes that are expected.
    put : callable
        Brings an array to its device.

    Returns
    -------
    object
        The state.

    Raises
    ------
    ValueError
        For what :func:`pack` does not write.
    """
    arrays: dict[str, Array] = {}

    def array_of(name: str, axes: list[int], *, number: bool) -> Array:
        if name not in arrays:
            host = tensors[name]
            if sorted(axes) != list(range(host.ndim)) or not isinstance(number, bool):
                raise ValueError(name)
            # The inverse of the permutation.
            host = host.transpose(sorted(range(host.ndim), key=axes.__getitem__))
            arrays[name] = host[()] if number and not host.ndim else put(host)
        return arrays[name]

    def made(node: Any) -> Any:
        if node is None or isinstance(node, bool | int | str):
            return node
        match node:
            case {"float": str(digits), **rest} if not rest:
                return float.fromhex(digits)  # host: it is text
            case {"array": str(name), "axes": list(axes), "number": number, **rest} if not rest:
                return array_of(name, axes, number=number)
            case {"tuple": list(members), **rest} if not rest:
                return tuple(map(made, members))
            case {"list": list(members), **rest} if not rest:
                return list(map(made, members))
            case {"dict": dict(members), **rest} if not rest:
                return {key: made(member) for key, member in members.items()}
            case {"record": str(name), "fields": dict(members), **rest} if not rest and name in known:
                return _checked(known[name](**{key: made(member) for key, member in members.items()}))
        msg = f"a {type(node).__name__} is no part of a state"
        raise ValueError(msg)

    try:
        return made(structure)
    # Whatever a stranger wrote: a missing array, a wrong number of fields, numbers too large, lists thousands deep.
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        msg = f"the state cannot be put together ({error!r:.200})"
        raise ValueError(msg) from None
