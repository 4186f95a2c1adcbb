# SPDX-License-Identifier: BSD-3-Clause
"""The CUDA header of the formulas: its names and numbers against the table, and its arithmetic run on the CPU.

The header names nothing of CUDA but the two qualifiers, which are macros here, so that g++ compiles the very text that
a GPU gets. That CUDA's compiler keeps the products apart from the sums is read from its output, where there is one.
"""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest

from softmax_xp.kernels.numpy.update import update
from softmax_xp.kernels.rules import RULES, rule_number
from softmax_xp.optimizers import accumulators_of
from tests.house.source import PACKAGE
from tests.optimizers.variants import VARIANTS

HEADER = PACKAGE / "kernels" / "cuda" / "update_rules.cuh"
TEXT = HEADER.read_text(encoding="utf-8")
DTYPES = {"float": "float32", "double": "float64"}
N_STEPS = 20
SEED = 20261123

PREFACE = """
#include <math.h>
#define __device__
#define __forceinline__ inline
"""
# Each formula in each precision is a namespace of its own, so that one compilation has them all.
FUNCTION = """
namespace {name} {{
#define RULE {number}
#define REAL {real}
#include "{header}"
extern "C" {qualifier} void {name}(
    long long size, {real} *params, const {real} *grads, {real} **accumulators, const {real} *scalars)
{{
    for (long long i = {first}; i < size; i += {stride}) {{
        {real} own[4];
        for (int k = 0; k < {n_accumulators}; ++k) own[k] = accumulators[k][i];
        params[i] = apply_rule(params[i], grads[i], own, scalars);
        for (int k = 0; k < {n_accumulators}; ++k) accumulators[k][i] = own[k];
    }}
}}
#undef RULE
#undef REAL
}}
"""
ON_THE_CPU = {"qualifier": "", "first": "0", "stride": "1"}
ON_A_GPU = {"qualifier": "__global__", "first": "threadIdx.x", "stride": "blockDim.x"}


def compiler(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def functions(place):
    return "".join(
        FUNCTION.format(
            name=f"{name}_{real}",
            number=rule_number(name),
            real=real,
            header=HEADER.as_posix(),
            n_accumulators=len(layout.accumulators),
            **place,
        )
        for name, layout in RULES.items()
        for real in DTYPES
    )


def compile_text(text, source, *command):
    source.write_text(text, encoding="utf-8")
    run = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Every formula, compiled for the CPU."""
    folder = tmp_path_factory.mktemp("update_rules")
    source, target = folder / "rules.cpp", folder / "rules.so"
    # No contraction: a product is rounded before it is added to something, as NumPy does it.
    options = ["-std=c++17", "-O1", "-ffp-contract=off", "-Wall", "-Werror", "-shared", "-fPIC"]
    compile_text(PREFACE + functions(ON_THE_CPU), source, compiler("g++"), *options, "-o", str(target))
    return ctypes.CDLL(str(target))


def apply(library, rule, params, grads, accumulators):
    """One step in place through the header."""
    real = {"float32": "float", "float64": "double"}[params.dtype.name]
    addresses = (ctypes.c_void_p * len(accumulators))(*[array.ctypes.data for array in accumulators])
    scalars = np.asarray(rule.scalars, dtype=params.dtype)
    getattr(library, f"{rule.name}_{real}")(
        ctypes.c_longlong(params.size),
        ctypes.c_void_p(params.ctypes.data),
        ctypes.c_void_p(grads.ctypes.data),
        addresses,
        ctypes.c_void_p(scalars.ctypes.data),
    )


def assert_steps_agree(library, optimizer, params, gradients):
    """Walk with the NumPy step and with the header, and compare after each step, bit for bit."""
    ours, state = params.copy(), optimizer.init(params)
    scratch = (np.empty_like(params), np.empty_like(params))
    theirs = [params.copy(), *[array.copy() for array in accumulators_of(state)]]
    for grads in gradients:
        rule, accumulators = optimizer.fused_rule(state), accumulators_of(state)
        apply(library, rule, theirs[0], grads, theirs[1:])
        update(rule, ours, grads.copy(), accumulators, ours, accumulators, scratch)
        state = optimizer.advance(state, accumulators)
        for one, other in zip((ours, *accumulators), theirs, strict=True):
            np.testing.assert_array_equal(one, other)
            # What the comparison above lets pass: the sign of a zero. That of a NaN means nothing.
            is_number = ~np.isnan(one)
            np.testing.assert_array_equal(np.signbit(one)[is_number], np.signbit(other)[is_number])
    assert np.any(ours != params)


@pytest.mark.parametrize("dtype", DTYPES.values())
@pytest.mark.parametrize("optimizer", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_header_takes_the_steps_of_the_numpy_kernel(library, optimizer, dtype):
    rng = np.random.default_rng(SEED)
    params = rng.standard_normal((13, 5)).astype(dtype)
    gradients = rng.standard_normal((N_STEPS, 13, 5)) * 10.0 ** rng.integers(-18, 18, (13, 5))
    gradients[:, 2] = 0.0
    gradients[:, 3] = gradients[0, 3]  # a constant gradient has no variance but rounding
    assert_steps_agree(library, optimizer, params, gradients.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES.values())
@pytest.mark.parametrize("optimizer", VARIANTS.values(), ids=VARIANTS.keys())
def test_what_is_not_finite_stays_so(library, optimizer, dtype):
    values = np.asarray([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, 1e30, 1.0], dtype=dtype)
    params, grads = (np.ascontiguousarray(array) for array in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        assert_steps_agree(library, optimizer, params, [grads, grads])


def test_cudas_compiler_rounds_each_product(tmp_path):
    target = tmp_path / "rules.ptx"
    compile_text(functions(ON_A_GPU), tmp_path / "rules.cu", compiler("nvcc"), "-ptx", "-o", str(target))
    instructions = target.read_text(encoding="utf-8")
    assert "mul.rn.f32" in instructions
    # Merged operations are called fma; an approximate division or root would say so.
    assert not re.search(r"\bfma\b|\.approx|\.full|\.ftz", instructions)


def test_names_and_numbers_are_those_of_the_table():
    found = re.findall(r"^#define RULE_(\w+) (\d+)$", TEXT, flags=re.MULTILINE)
    assert [(name.lower(), int(number)) for name, number in found] == [(name, rule_number(name)) for name in RULES]


@pytest.mark.parametrize("name", RULES)
def test_scalars_and_accumulators_have_the_names_and_places_of_the_table(name):
    branch = next(part for part in re.split(r"^#(?:el)?if ", TEXT, flags=re.MULTILINE) if _is_about(part, name))
    for kind, expected in (("scalars", RULES[name].scalars), ("accumulators", RULES[name].accumulators)):
        found = re.findall(rf"(\w+) = {kind}\[(\d+)\]", branch)
        # "amsgrad" shares a branch with "adam", and has a place more there, behind an #if of its own.
        named = {int(place): variable for variable, place in found}
        assert [named[place] for place in range(len(named))] == list(expected)[: len(named)]
        assert len(named) == len(expected) or (name, kind) == ("amsgrad", "accumulators")


def _is_about(part, name):
    return re.search(rf"RULE == RULE_{name.upper()}\b", part.splitlines()[0]) is not None


@pytest.mark.parametrize(
    ("definitions", "message"),
    [
        (["-DREAL=float", f"-DRULE={len(RULES)}"], "RULE must be the number of a formula"),
        (["-DREAL=float"], "REAL and RULE must be defined"),
        (["-DRULE=0"], "REAL and RULE must be defined"),
    ],
)
def test_a_missing_or_unknown_rule_does_not_compile(definitions, message):
    run = subprocess.run(
        [compiler("g++"), "-E", "-x", "c++", *definitions, str(HEADER)], capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert message in run.stderr
