# SPDX-License-Identifier: BSD-3-Clause
"""Fast versions of what ``ops``, the optimizers and the trainer define, for the devices that have one.

A kernel is an optimisation, never a definition: it has the signature and the results of what it replaces, contract
tests hold the two together, and removing it changes speed only. ``SOFTMAX_XP_KERNELS=0`` in the environment turns all
of them off.
"""

from softmax_xp.kernels.table import KERNELS, enabled, find_kernel

__all__ = ["KERNELS", "enabled", "find_kernel"]
