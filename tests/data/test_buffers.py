# SPDX-License-Identifier: BSD-3-Clause
import gc

import numpy as np

from softmax_xp.data import buffers
from softmax_xp.data.buffers import Buffers

FLOAT = np.dtype(np.float32)


def test_few_buffers_wait():
    lender = Buffers(None)
    held = [lender.lease((4, 3), FLOAT) for _ in range(20)]
    held.clear()
    assert len(lender.waiting) == buffers._MOST_WAITING
    lender.lease((20, 3), FLOAT)  # larger than each of them: they make way
    assert len(lender.waiting) == 1


def test_what_a_view_still_needs_is_not_lent_again():
    lender = Buffers(None)
    whole = lender.lease((24,), np.dtype(np.uint8))
    part, address = whole[8:].view(np.float64), whole.ctypes.data
    del whole
    part[:] = 3.0
    assert lender.lease((24,), np.dtype(np.uint8)).ctypes.data != address
    assert part.tolist() == [3.0, 3.0]
    del part
    gc.collect()
    assert len(lender.waiting) == 2
    assert lender.lease((24,), np.dtype(np.uint8)).ctypes.data == address
