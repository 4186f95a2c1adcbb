# SPDX-License-Identifier: BSD-3-Clause
import pytest

from benchmarks.nvrtc import Compiled, find_compiler

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_90'
ptxas info    : Function properties for first
ptxas         .     32 bytes stack frame, 16 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 32 bytes cumulative stack size, 128 bytes smem
ptxas info    : Compiling entry function 'second' for 'sm_90'
ptxas info    : Function properties for second
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 20 registers
"""


def test_each_function_has_its_own_numbers():
    compiled = Compiled(b"", LOG)
    first = {"registers": 64, "stack": 32, "spill_stores": 16, "spill_loads": 8, "shared": 128}
    assert compiled.resources("first") == first
    assert compiled.resources("second") == dict.fromkeys(first, 0) | {"registers": 20}
    with pytest.raises(LookupError, match="does not name the registers of third"):
        compiled.resources("third")


def test_an_error_holds_the_compilers_words():
    compiler = find_compiler(13)
    if compiler is None:
        pytest.skip("NVRTC 13 is not installed: pip install nvidia-cuda-nvrtc")
    assert {75, 90, 120} <= set(compiler.architectures())
    with pytest.raises(SyntaxError, match="identifier .nothing. is undefined"):
        compiler.compile("__global__ void f() { nothing; }", "sm_90")
