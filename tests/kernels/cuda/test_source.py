# SPDX-License-Identifier: BSD-3-Clause
import re

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError
from softmax_xp.kernels.cuda import source
from softmax_xp.kernels.cuda.source import kernel_text, real_name, type_name


def test_macros_come_first_and_headers_once():
    text = kernel_text("softmax_cross_entropy.cu", (("REAL", "double"), ("VECTOR", 2)))
    assert text.startswith("#define REAL double\n#define VECTOR 2\n")
    assert text.count("struct alignas(sizeof(T) * COUNT) Pack {") == 1
    assert text.count("struct Target {") == 1


@pytest.mark.parametrize("path", sorted(source._FOLDER.glob("*.cu")), ids=lambda path: path.name)
def test_the_compiler_needs_no_other_file(path):
    text = kernel_text(path.name, (("REAL", "float"),))
    assert "#include" not in text
    assert "#pragma once" not in text
    assert re.search(r'extern "C" __global__ void', text)


def test_no_kernel_adds_floats_in_an_order_that_changes():
    for path in source._FOLDER.glob("*.cu*"):
        assert "atomic" not in path.read_text(encoding="utf-8").replace("no float atomics", "")


def test_no_kernel_uses_fast_mathematics():
    for path in source._FOLDER.glob("*.cu*"):
        assert not re.search(r"__(expf|logf|fdividef|frcp|fsqrt|powf)", path.read_text(encoding="utf-8"))


def test_every_file_says_its_licence():
    for path in source._FOLDER.glob("*.cu*"):
        assert path.read_text(encoding="utf-8").startswith("// SPDX-License-Identifier: BSD-3-Clause\n")


def test_types():
    assert type_name(np.dtype("int64")) == "long long"
    assert real_name(np.dtype("float64")) == "float64"
    assert real_name(np.dtype("uint8")) == "float32"
    with pytest.raises(InvalidTypeError, match="`dtype` must be one of uint8, .*; got complex64"):
        type_name(np.dtype("complex64"))
