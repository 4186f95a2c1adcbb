# SPDX-License-Identifier: BSD-3-Clause
"""The list of kernels is complete, and each of them has its text."""

from pathlib import Path

import softmax_xp.kernels.cuda
from softmax_xp.kernels.cuda.source import kernel_text
from softmax_xp.kernels.cuda.variants import all_kernels


def test_every_file_has_its_kernels_and_none_is_named_twice():
    kernels = list(all_kernels())
    assert len(set(kernels)) == len(kernels)
    folder = Path(softmax_xp.kernels.cuda.__file__).parent
    assert {kernel.file for kernel in kernels} == {path.name for path in folder.glob("*.cu")}


def test_each_text_defines_what_it_is_asked_for():
    for kernel in all_kernels():
        text = kernel_text(kernel.file, kernel.defines)
        assert f" {kernel.entry}(" in text
        for name, value in kernel.defines:
            assert f"#define {name} {value}" in text
