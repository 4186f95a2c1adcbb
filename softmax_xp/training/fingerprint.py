# SPDX-License-Identifier: BSD-3-Clause
"""What identifies a fit: texts that must be the same for a checkpoint to be its own.

Objects are described by their ``repr``, which settings have, and data by their shape, their dtype and a checksum of
some rows: cheap, and enough to notice another file or another order. It is no proof that the data are the same.
"""

__all__ = ["describe", "describe_array", "describe_data", "describe_form", "describe_place"]

import re
from typing import Any
from zlib import crc32

from softmax_xp.backend import Backend, to_host
from softmax_xp.data.rows import take_rows
from softmax_xp.data.sparse import is_sparse
from softmax_xp.losses.contract import Targets
from softmax_xp.typing import Array
from softmax_xp.version import __version__

# Rows to look at, spread over the data; fewer where they are long.
_ROWS, _ENTRIES = 64, 1 << 20
_LABELS = 1 << 16
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe(value: Any) -> str:
    """Return the text of a setting, the same in every process.

    Parameters
    ----------
    value : object
        Whose ``repr`` says what matters, apart from addresses in memory.

    Returns
    -------
    str
        Short: of a long one the beginning and a checksum.
    """
    text = _ADDRESS.sub("", repr(value))
    return text if len(text) <= 200 else f"{text[:150]}... ({crc32(text.encode()):08x})"


def describe_array(array: Array | None) -> str:
    """Return shape, dtype and checksum of a small array.

    Parameters
    ----------
    array : array or None
        Wholly read.

    Returns
    -------
    str
        For instance ``"(3, 2) float64 1c291ca3"``.
    """
    if array is None:
        return "None"
    host = to_host(array)
    return f"{describe_form(host)} {crc32(host.tobytes()):08x}"


def describe_form(array: Array) -> str:
    """Return shape and dtype of an array.

    Parameters
    ----------
    array : array
        On any device.

    Returns
    -------
    str
        For instance ``"(3, 2) float64"``, in every library.
    """
    return f"{tuple(array.shape)} {str(array.dtype).rpartition('.')[2]}"


def describe_data(X: Any, targets: Targets, backend: Backend) -> dict[str, str]:
    """Describe samples by some of them.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        On the device, or on its way there.
    targets : Targets
        Theirs.
    backend : Backend
        Where they are.

    Returns
    -------
    dict of str to str
        ``X``, ``y`` and ``weights``.
    """
    n_samples, n_features = X.shape
    rows = take_rows(X, _spread(n_samples, max(min(_ROWS, _ENTRIES // max(n_features, 1)), 2), backend))
    parts = (rows.indptr, rows.indices, rows.data) if is_sparse(rows) else (rows,)
    some = _spread(n_samples, _LABELS, backend)
    xp = backend.xp
    weights = [array for array in (targets.weight, targets.sample_weight, targets.class_weight) if array is not None]
    return {
        "X": f"{describe_form(X)} {_checksum(parts)}",
        "y": _checksum([
            xp.take(array, some, axis=0) for array in (targets.labels, targets.distribution) if array is not None
        ]),
        "weights": _checksum([
            array if array.shape[0] != n_samples else xp.take(array, some, axis=0) for array in weights
        ]),
    }


def describe_place(backend: Backend, **further: Any) -> dict[str, str]:
    """Describe where arithmetic happens: elsewhere a resumed fit is as good, but rounds differently.

    Parameters
    ----------
    backend : Backend
        The library and the device.
    **further : object
        Whatever else decides about the last bits.

    Returns
    -------
    dict of str to str
        By name.
    """
    library = backend.xp.__name__.rpartition(".")[2]
    place = {"softmax_xp": __version__, "library": library, "device": backend.name}
    return place | {name: describe(value) for name, value in further.items()}


def _spread(n_samples: int, most: int, backend: Backend) -> Array:
    """Return the numbers of some samples, the first and the last among them."""
    count = min(n_samples, most)
    places = [(n_samples - 1) * number // max(count - 1, 1) for number in range(count)]
    return backend.xp.asarray(places, dtype=backend.xp.int64, device=backend.device)


def _checksum(arrays: Any) -> str:
    total = 0
    for array in arrays:
        total = crc32(to_host(array).tobytes(), total)
    return f"{total:08x}"
