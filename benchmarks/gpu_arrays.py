# SPDX-License-Identifier: BSD-3-Clause
"""The GPU benchmark's data: random, never zeros, on the device, and a memory that holds NaN before a check.

Zeros would flatter: they toggle no bits, so a GPU that is limited by its power clocks higher on them.
"""

__all__ = ["copies", "fill_with_nan", "from_torch", "random_array", "random_labels", "relative_error", "to_torch"]

from functools import cache
from typing import Any

import numpy as np

from benchmarks.gpu_bench import Bench
from softmax_xp.backend import Backend, scalar

# A prime, so that no row of a repeated block falls on the same numbers as the next.
_BLOCK = 16_777_213
_SMALL_BLOCK = 65_521


@cache
def _block(backend: Backend, size: int) -> Any:
    """Return standard normal numbers on the device, drawn once."""
    return backend.put(np.random.default_rng(0).standard_normal(size, dtype=np.float32))


def random_array(bench: Bench, *shape: int, scale: float = 1.0, shift: int = 0) -> Any:
    """Return normal numbers in float32, repeating one block: to draw gigabytes would take longer than to time them.

    Parameters
    ----------
    bench : Bench
        Where.
    *shape : int
        Of the array.
    scale : float, default: 1.0
        The standard deviation.
    shift : int, default: 0
        Where in the block to start, so that two arrays differ.

    Returns
    -------
    array of float32
        Fresh and contiguous.
    """
    size = int(np.prod(shape))
    backend, xp = bench.backend, bench.xp
    block = _block(backend, _SMALL_BLOCK if size < 1 << 20 else _BLOCK)
    start = shift % block.shape[0]
    if start + size > block.shape[0]:
        flat = xp.tile(block, (-(-(start + size) // block.shape[0]),))[start : start + size]
    else:
        flat = block[start : start + size]
    return xp.reshape(flat, shape) * scale


def random_labels(bench: Bench, n_samples: int, n_classes: int) -> Any:
    """Return class numbers on the device."""
    return bench.backend.put(np.random.default_rng(1).integers(0, n_classes, n_samples))


def copies(bench: Bench, array: Any) -> list[Any]:
    """Return the array and as many copies as make the cache useless."""
    number = -(-bench.sizes.rotation_bytes // (4 * int(np.prod(array.shape))))
    return [array, *(bench.xp.asarray(array, copy=True) for _ in range(number - 1))]


def fill_with_nan(bench: Bench, *shapes: tuple[int, ...], dtype: Any = None) -> None:
    """Write NaN to memory that the next arrays of these shapes will get: an output left unwritten then shows."""
    xp, backend = bench.xp, bench.backend
    poison = [
        xp.full(shape, float("nan"), dtype=xp.float32 if dtype is None else dtype, device=backend.device)
        for shape in shapes
    ]
    bench.clock.synchronise()
    poison.clear()  # a pool hands the same blocks out again


def relative_error(bench: Bench, array: Any, expected: Any) -> float:
    """Return the largest difference over the largest expected number; NaN anywhere gives NaN. A host read."""
    xp = bench.xp
    # float64 on the device: a row chunk of 250,000 classes would take seconds to read.
    difference = xp.max(xp.abs(xp.astype(array, xp.float64) - expected))
    return scalar(difference) / max(scalar(xp.max(xp.abs(expected))), 1e-300)


def to_torch(bench: Bench, array: Any) -> Any:
    """Return PyTorch's view of the same memory."""
    return array if bench.backend.name.startswith("torch") else bench.torch.from_dlpack(array)


def from_torch(bench: Bench, tensor: Any) -> Any:
    """Return the view of ours of a tensor's memory."""
    tensor = tensor.detach()
    return tensor if bench.backend.name.startswith("torch") else bench.xp.from_dlpack(tensor)
