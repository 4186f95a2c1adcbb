# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of kernel that the package can ask for, so that tests can compile them all without a GPU."""

__all__ = ["all_kernels"]

from collections.abc import Iterator

from softmax_xp.kernels.cuda.full_batch import full_batch_kernels
from softmax_xp.kernels.cuda.linear_steps import linear_steps_kernels
from softmax_xp.kernels.cuda.softmax_cross_entropy import softmax_cross_entropy_kernels
from softmax_xp.kernels.cuda.source import Kernel
from softmax_xp.kernels.cuda.update import update_kernels


def all_kernels() -> Iterator[Kernel]:
    """Yield the kernels of every file.

    Yields
    ------
    Kernel
        Several may share a text, which holds all functions of a file.
    """
    yield from softmax_cross_entropy_kernels()
    yield from linear_steps_kernels()
    yield from update_kernels()
    yield from full_batch_kernels()
