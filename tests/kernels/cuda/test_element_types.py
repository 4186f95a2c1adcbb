# SPDX-License-Identifier: BSD-3-Clause
"""Half floats are read exactly and rounded to the nearest, ties to even: all of them, against NumPy.

For bfloat16 this is the text that a GPU runs. For float16 a GPU has an instruction, in whose place the CPU runs what
these tests hold to NumPy, so that the tests of the kernels mean something.
"""

import numpy as np
import pytest

from softmax_xp.kernels.cuda.source import Kernel
from tests.kernels.cuda.shim.fixtures import needs_compiler
from tests.kernels.cuda.shim.launcher import ShimLauncher

pytestmark = needs_compiler

TEXT = """
extern "C" __global__ void read_all(const ELEMENT *source, float *destination, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) destination[i] = to_real(source[i]);
}
extern "C" __global__ void write_all(const float *source, ELEMENT *destination, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) store(destination[i], source[i]);
}
"""


def run(entry, element, source, destination):
    """Run a kernel of this file, behind the headers of the package."""
    launcher = ShimLauncher(edit=lambda text: text.partition("typedef Pack")[0] + TEXT)
    kernel = Kernel("softmax_cross_entropy.cu", entry, (("ELEMENT", element), ("REAL", "float"), ("VECTOR", 1)))
    launcher.run(kernel, 1, 32, (source, destination, np.int32(source.size)))
    return destination


def as_dtype(element):
    if element == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes", reason="NumPy's bfloat16 is in ml_dtypes").bfloat16)
    return np.dtype(element)


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
def test_every_number_is_read_as_it_is(element):
    numbers = np.arange(1 << 16, dtype=np.uint16).view(as_dtype(element))
    read = run("read_all", element, numbers, np.empty(numbers.shape, np.float32))
    np.testing.assert_array_equal(read, numbers.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(read), np.signbit(numbers.astype(np.float32)))


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
def test_numbers_are_rounded_to_the_nearest_and_ties_to_even(element):
    dtype = as_dtype(element)
    numbers = np.arange(1 << 16, dtype=np.uint16).view(dtype).astype(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    # Each number, the middle between it and the next, and what lies a bit to either side; then anything at all.
    bits = numbers.view(np.uint32)
    half = np.uint32(1 << 12 if element == "float16" else 1 << 15)
    anything = np.random.default_rng(0).integers(0, 1 << 32, 50_000, dtype=np.uint32)
    specials = np.array([np.inf, -np.inf, np.nan, 65519.996, 65520.0, 2.0**-25, 2.0**-24, 3e38], np.float32)
    near = [bits, bits + half, bits + half - np.uint32(1), bits + half + np.uint32(1), anything]
    source = np.concatenate([*[these.view(np.float32) for these in near], specials])
    with np.errstate(all="ignore"):
        expected = source.astype(dtype)
    written = run("write_all", element, source, np.empty(source.shape, dtype))
    is_nan = np.isnan(source)
    assert np.isnan(written.astype(np.float32)[is_nan]).all()
    np.testing.assert_array_equal(written[~is_nan].view(np.uint16), expected[~is_nan].view(np.uint16))
