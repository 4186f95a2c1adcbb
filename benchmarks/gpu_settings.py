# SPDX-License-Identifier: BSD-3-Clause
"""What the GPU benchmark switches on and off: the kernels, and TF32 in the matrix products."""

__all__ = ["KERNELS_VARIABLE", "kernels", "precision", "precisions"]

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.gpu_bench import Bench

KERNELS_VARIABLE = "SOFTMAX_XP_KERNELS"
# COMPUTE_TYPE_DEFAULT and COMPUTE_TYPE_TF32, which CuPy keeps to itself.
_CUPY_DEFAULT, _CUPY_TF32 = 1, 7


@contextmanager
def kernels(*, enabled: bool) -> Iterator[None]:
    """Let ours compute with its kernels, or by the Array API alone."""
    before = os.environ.get(KERNELS_VARIABLE)
    os.environ[KERNELS_VARIABLE] = "1" if enabled else "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[KERNELS_VARIABLE]
        else:
            os.environ[KERNELS_VARIABLE] = before


def precisions(bench: Bench) -> tuple[str, ...]:
    """Return how float32 matrices can be multiplied here."""
    if bench.is_cuda:
        return "float32", "tf32"
    bench.note("TF32: skipped, only CUDA devices have it")
    return ("float32",)


@contextmanager
def precision(bench: Bench, name: str) -> Iterator[None]:
    """Multiply float32 matrices in ``"float32"``, which both libraries do by default, or in ``"tf32"``."""
    if not bench.is_cuda:
        yield
        return
    _choose(bench, tf32=name == "tf32")
    try:
        yield
    finally:
        _choose(bench, tf32=False)


def _choose(bench: Bench, *, tf32: bool) -> None:
    """Tell both libraries."""
    if bench.torch is not None:
        bench.torch.set_float32_matmul_precision("high" if tf32 else "highest")
    if bench.uses_cupy:
        # The environment variable CUPY_TF32 is read once; this is the switch behind it.
        importlib.import_module("cupy._core").set_compute_type("float32", _CUPY_TF32 if tf32 else _CUPY_DEFAULT)
