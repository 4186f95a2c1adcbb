# SPDX-License-Identifier: BSD-3-Clause
"""Every kernel through NVIDIA's own compiler, which needs no GPU: it compiles, and stays in its registers.

`pip install nvidia-cuda-nvrtc nvidia-cuda-nvrtc-cu12` brings the compilers, for Linux. `python -m
benchmarks.cuda_registers --write` renews the table after a change that is meant.

A compilation takes a third of a second, so each text is compiled for one architecture: the one that left it fewer
registers when the table was written, where it would spill first. `SOFTMAX_XP_TEST_ARCHITECTURES=all` compiles each text
for each architecture, as the writing of the table does.
"""

import json
import os
import re
from functools import cache

import pytest

from benchmarks.cuda_registers import ARCHITECTURES, TABLE, compiler_version, label_of, measure, texts
from benchmarks.nvrtc import find_compiler
from softmax_xp.kernels.cuda.source import kernel_text
from softmax_xp.kernels.cuda.variants import all_kernels

TEXTS = texts()
NAMES = [f"{file.removesuffix('.cu')}-{'-'.join(str(value) for _, value in defines)}" for file, defines in TEXTS]
# One text of each kind for the architectures that are not measured: Turing, Ampere, Ada and two Blackwells.
OTHERS = ("sm_75", "sm_86", "sm_89", "sm_100", "sm_120")
IS_ALL = os.environ.get("SOFTMAX_XP_TEST_ARCHITECTURES") == "all"
FEW = [
    next(
        kernels for kernels in TEXTS.values() if kernels[0].entry == entry and dict(kernels[0].defines)[macro] == value
    )
    for entry, macro, value in (
        ("row_in_registers", "ELEMENT", "float16"),
        ("row_in_shared_memory", "ELEMENT", "bfloat16"),
        ("scores_and_gradient", "ELEMENT", "unsigned char"),
        ("update", "REAL", "double"),
        ("partial_gradients", "REAL", "float"),
    )
]


@cache
def read_table():
    return json.loads(TABLE.read_text(encoding="utf-8"))


def registers_of(kernels, architecture):
    """Read what the table says a text needs; a kernel that it does not know needs nothing yet."""
    known = read_table()["registers"]
    return max(known.get(label_of(kernel), {}).get(architecture, 0) for kernel in kernels)


def pairs(is_all):
    """Choose what is compiled for what: each text for each architecture, or once, but the few for each."""
    for i, (name, kernels) in enumerate(zip(NAMES, TEXTS.values(), strict=True)):
        # Where a text needs as many registers on both, they take turns.
        turn = ARCHITECTURES[:: -1 if i % 2 else 1]
        hardest = max(turn, key=lambda architecture, kernels=kernels: registers_of(kernels, architecture))
        for architecture in ARCHITECTURES if is_all or kernels in FEW else (hardest,):
            yield pytest.param(kernels, architecture, id=f"{name}-{architecture}")


def compiler(major):
    found = find_compiler(major)
    if found is None:
        package = {12: "nvidia-cuda-nvrtc-cu12", 13: "nvidia-cuda-nvrtc"}[major]
        pytest.skip(f"NVRTC {major} is not installed: pip install {package}")
    return found


@pytest.mark.parametrize(("kernels", "architecture"), list(pairs(IS_ALL)))
def test_kernels_compile_and_stay_in_their_registers(kernels, architecture):
    resources = dict(measure(compiler(13), architecture, kernels))
    for label, needs in resources.items():
        # A stack is numbers that were to be in registers, and are in memory: an index the compiler cannot see through.
        assert (needs["stack"], needs["spill_stores"], needs["spill_loads"]) == (0, 0, 0), label
    table = read_table()
    if table["compiler"] != f"nvidia-cuda-nvrtc {compiler_version()}":
        pytest.skip(f"nothing spills; the table's registers are those of {table['compiler']}")
    for label, needs in resources.items():
        assert needs["registers"] <= table["registers"][label][architecture], label


def test_each_text_and_for_each_kernel_each_architecture_has_its_turn():
    chosen, everything = ([pair.values for pair in pairs(is_all)] for is_all in (False, True))
    assert len(everything) == len(TEXTS) * len(ARCHITECTURES)
    assert all(any(kernels is text for kernels, _ in chosen) for text in TEXTS.values())
    turns = {(kernel.entry, architecture) for kernels, architecture in chosen for kernel in kernels}
    assert turns == {(kernel.entry, architecture) for kernel in all_kernels() for architecture in ARCHITECTURES}


def test_the_table_has_the_kernels_that_there_are():
    table = read_table()
    assert set(table["registers"]) == {label_of(kernel) for kernel in all_kernels()}
    assert all(set(registers) == set(ARCHITECTURES) for registers in table["registers"].values())


@pytest.mark.parametrize("architecture", OTHERS)
@pytest.mark.parametrize("kernels", FEW, ids=lambda kernels: kernels[0].entry)
def test_other_architectures(kernels, architecture):
    for _, needs in measure(compiler(13), architecture, kernels):
        assert needs["spill_stores"] == 0


@pytest.mark.parametrize("architecture", ["sm_70", "sm_90"])
@pytest.mark.parametrize("kernels", FEW, ids=lambda kernels: kernels[0].entry)
def test_the_compiler_of_cuda_12(kernels, architecture):
    # Volta is known to CUDA 12 only.
    assert dict(measure(compiler(12), architecture, kernels))


def intermediate(entry, **macros):
    """Compile to PTX, whose instructions can be read."""
    wanted = macros.items()
    for kernel in all_kernels():
        if kernel.entry == entry and wanted <= dict(kernel.defines).items():
            return compiler(13).compile(kernel_text(kernel.file, kernel.defines), "compute_90").code.decode()
    raise LookupError(macros)


@pytest.mark.parametrize(
    ("entry", "macros"),
    [
        ("row_in_registers", {"ELEMENT": "float", "VECTOR": 4, "ITEMS": 32}),
        ("row_in_shared_memory", {"ELEMENT": "bfloat16", "VECTOR": 8}),
        ("scores_and_gradient", {"ELEMENT": "unsigned char"}),
        ("update", {"REAL": "float", "N_ACCUMULATORS": 3}),
        ("partial_gradients", {"ELEMENT": "float", "ROWS": 3}),
    ],
)
def test_float32_is_never_computed_in_float64_and_nothing_is_added_by_chance(entry, macros):
    text = intermediate(entry, **macros)
    assert ".f64" not in text
    # What fast mathematics would make of divisions, roots and logarithms. (An exact expf ends in ex2.approx too, after
    # a reduction of its argument; test_source.py sees to it that nobody asks for the other one.)
    assert not re.search(r"\b(div\.full|(div|sqrt|lg2)\.approx)", text)
    # No sum whose order depends on which thread comes first.
    assert not re.search(r"\b(atom|red)\.(global|shared)", text)


@pytest.mark.parametrize(
    ("element", "vector"), [("float", 4), ("float16", 8), ("bfloat16", 8), ("double", 2)], ids=lambda value: str(value)
)
@pytest.mark.parametrize("entry", ["row_in_registers", "row_in_shared_memory"])
def test_aligned_rows_are_read_and_written_16_bytes_at_once(entry, element, vector):
    macros = {"ELEMENT": element, "VECTOR": vector}
    text = intermediate(entry, **macros)
    read = re.findall(r"ld\.global\S*\.v(\d)\.[a-z]+(\d+)", text)
    written = re.findall(r"st\.global\S*\.v(\d)\.[a-z]+(\d+)", text)
    for found in (read, written):
        assert any(int(count) * int(bits) == 128 for count, bits in found), found
