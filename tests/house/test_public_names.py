# SPDX-License-Identifier: BSD-3-Clause
"""Each module says in `__all__` what it offers, and packages only gather names.

Read from the syntax: the public names of a module are the functions, classes and variables at its top level without
an underscore; `logger` is every module's own. Those of a package are also what it imports from softmax_xp, except
its own modules. The order of `__all__` is ruff's to check (RUF022).
"""

import ast

import pytest

from tests.house.source import Module, modules, parse


def declared(module: Module) -> list[str] | None:
    """Read `__all__`, or None where there is none."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "__all__" for target in node.targets):
            return list(ast.literal_eval(node.value))
    return None


def defined(module: Module) -> set[str]:
    """Gather the public names at the top level."""
    names: set[str] = set()
    for node in [*module.tree.body, *for_type_checkers(module)]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.ImportFrom() if module.is_init and (node.module or "").startswith("softmax_xp"):
                names.update(alias.asname or alias.name for alias in node.names)
    return {name for name in names if not name.startswith("_")} - {"logger"}


def for_type_checkers(module: Module) -> list[ast.stmt]:
    """Gather what stands under `if TYPE_CHECKING:` in a package: the names that its `__getattr__` imports later."""
    blocks = [node for node in module.tree.body if isinstance(node, ast.If)] if module.is_init else []
    return [line for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING" for line in node.body]


def complaints(module: Module) -> list[str]:
    """Compare `__all__` with what is there; dunder names such as `__version__` may be declared, and need not be."""
    names = declared(module)
    if names is None:
        # A package without names of its own, such as a folder of kernels, has nothing to declare.
        return [f"softmax_xp/{module.path} has no __all__"] if defined(module) else []
    found = {name for name in names if not name.startswith("__")}
    lost, hidden = sorted(found - defined(module)), sorted(defined(module) - found)
    lines = [f"softmax_xp/{module.path}: __all__ names {name}, which is not defined there" for name in lost]
    lines += [f"softmax_xp/{module.path}: {name} is public and not in __all__" for name in hidden]
    if len(names) != len(set(names)):
        lines.append(f"softmax_xp/{module.path}: __all__ names something twice")
    return lines


def logic(module: Module) -> list[ast.stmt]:
    """Find what is neither docstring, import nor a plain table; `# logic: why` on one of its lines allows it."""
    allowed = (ast.Import, ast.ImportFrom)
    return [
        node
        for node in module.tree.body
        if not isinstance(node, allowed)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Assign | ast.AnnAssign) and _is_table(node.value))
        and not module.allows(node, "logic")
    ]


def _is_table(value: ast.expr | None) -> bool:
    """Tell whether nothing is computed: literals, names, and classes called to make a value, however nested."""
    computing = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.BinOp, ast.IfExp)
    return value is not None and not any(
        isinstance(node, computing) or (isinstance(node, ast.Call) and not _names_a_class(node.func))
        for node in ast.walk(value)
    )


def _names_a_class(function: ast.expr) -> bool:
    return isinstance(function, ast.Name) and function.id[0].isupper()


def test_each_module_declares_its_public_names():
    found = [line for module in modules() for line in complaints(module)]
    assert not found, "\n".join(found)


def test_packages_hold_no_logic():
    found = [module.where(node) for module in modules() if module.is_init for node in logic(module)]
    assert not found, "an __init__.py imports and lists names:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('__all__ = ["f"]\ndef f(): ...', 0),
        ('__all__ = ["f"]\n_T = 1\nlogger = 2\ndef f(): ...', 0),
        ('__all__ = ["f"]', 1),
        ("__all__ = []\nTABLE: dict[str, int] = {}", 1),
        ('__all__ = ["f", "f"]\ndef f(): ...', 1),
        ("def f(): ...", 1),
        ("def _f(): ...", 0),
    ],
)
def test_the_rule_about_names_sees_what_it_claims(text, number):
    assert len(complaints(parse(text))) == number


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ('"""Losses."""\nfrom softmax_xp.losses.hinge import Hinge\nLOSSES = {"hinge": Hinge}', False),
        ("for name in names:\n    pass", True),
        ("def __getattr__(name):\n    return name", True),
        ("def __getattr__(name):  # logic: loads lazily\n    return name", False),
        ('LOSSES = {"hinge": Hinge(margin=1.0)}', False),
        ('LOSSES = {"hinge": make_hinge()}', True),
    ],
)
def test_the_rule_about_packages_sees_what_it_claims(text, is_found):
    assert bool(logic(parse(text, "losses/__init__.py"))) is is_found
