# SPDX-License-Identifier: BSD-3-Clause
"""A newcomer guesses the file of any feature, and the file of its tests.

A twin is a file of tests at the mirrored path: softmax_xp/losses/hinge.py has tests/losses/test_hinge.py. Modules
that define no function (types, exceptions without code) need none. That the twin tests the module is for coverage
to show.
"""

import ast

import pytest

from tests.house.source import ROOT, Module, modules, parse

NAMELESS = frozenset({"common", "helper", "helpers", "misc", "util", "utils"})


def has_code(module: Module) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(module.tree))


def twin_of(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return "/".join(part for part in ("tests", folder, f"test_{name.lstrip('_')}") if part)


def test_each_module_has_a_twin_in_the_tests():
    missing = [
        f"softmax_xp/{module.path} has no {twin_of(module.path)}"
        for module in modules()
        if not module.is_init and has_code(module) and not (ROOT / twin_of(module.path)).is_file()
    ]
    assert not missing, "\n".join(missing)


def test_no_module_is_a_drawer():
    found = [
        str(path.relative_to(ROOT))
        for folder in ("softmax_xp", "tests", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ""} and path.stem.strip("_") in NAMELESS
    ]
    assert not found, "name the file after the concept in it:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "twin"),
    [
        ("model.py", "tests/test_model.py"),
        ("losses/hinge.py", "tests/losses/test_hinge.py"),
        ("kernels/cuda/_loader.py", "tests/kernels/cuda/test_loader.py"),
    ],
)
def test_the_rule_about_twins_mirrors_the_path(path, twin):
    assert twin_of(path) == twin


def test_the_rule_about_twins_excuses_pure_types():
    assert not has_code(parse("class Missing(ValueError):\n    x: int"))
    assert has_code(parse("class Missing(ValueError):\n    def __init__(self): ..."))
