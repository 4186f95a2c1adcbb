# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the kernels share."""

__all__ = ["needs_compiler"]

import pytest

from tests.kernels.cuda.shim.launcher import COMPILER

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="g++ on Linux compiles the kernels for the CPU")
