# SPDX-License-Identifier: BSD-3-Clause
"""Each public name is documented in numpydoc's form, and says the truth about its defaults.

Public is what a package lists: `softmax_xp.Name` and `softmax_xp.family.Name`. The checks are those of
`[tool.numpydoc_validation]` in pyproject.toml. Some objects are held to less:

* what computes something, a function or a class with hyperparameters, must also show an example (EX01); a type,
  a Protocol, an exception and a method need not;
* a named tuple may document its fields with comments, and an exception its arguments in its message;
* a method that a Protocol of the package documents may say one sentence: the text lives once;
* so may what only the package's own modules call, whose `__all__` names it; what it does document must be right;
* dunder methods are the language's, and need nothing.

Whether a text is any good is for readers to judge.
"""

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

import pytest

from tests.house.source import ROOT, modules
from tests.house.test_public_names import declared

NUMPYDOC = "numpydoc is installed by `nox -s lint`"
docscrape = pytest.importorskip("numpydoc.docscrape", reason=NUMPYDOC)
validation = pytest.importorskip("numpydoc.validate", reason=NUMPYDOC)

# Of a short docstring only the form counts, and that it documents no parameters that are not there.
SHORT = ("GL", "SS", "PR02", "PR03", "PR1")


OFFERED = {
    module.path: tuple(declared(module) or ())
    for module in modules()
    if not module.is_init and module.path != "__main__.py"
}

PROTOCOL_METHODS = frozenset(
    function.name
    for module in modules()
    for node in ast.walk(module.tree)
    if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
    for function in node.body
    if isinstance(function, ast.FunctionDef)
)


LISTED_BY_PACKAGES = frozenset(
    f"{node.module}.{alias.name}"
    for module in modules()
    if module.is_init
    for node in module.tree.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
    if alias.name in (declared(module) or ())
)


class Documented(NamedTuple):
    """A public object, the name that numpydoc finds it by, and which checks it is held to."""

    name: str
    thing: Any
    is_example_due: bool
    is_short: bool


def public_objects(path: str) -> Iterator[Documented]:
    """Walk over what a module declares in `__all__`."""
    for name, thing in _offered(path):
        is_public = name in LISTED_BY_PACKAGES
        if inspect.isfunction(thing):
            yield Documented(name, thing, is_example_due=is_public, is_short=not is_public)
        elif inspect.isclass(thing) and thing.__module__.startswith("softmax_xp"):
            is_plain = issubclass(thing, tuple | BaseException | Enum) or _is_protocol(thing)
            is_full = is_public and not is_plain
            yield Documented(name, thing, is_example_due=is_full, is_short=not is_full)
            for key, method in _methods(thing):
                is_known = key in PROTOCOL_METHODS and not _is_protocol(thing)
                yield Documented(f"{name}.{key}", method, is_example_due=False, is_short=is_known or not is_public)


def _offered(path: str) -> Iterator[tuple[str, Any]]:
    name = "softmax_xp." + path.removesuffix(".py").replace("/", ".")
    try:
        imported = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "softmax_xp").startswith("softmax_xp"):
            raise
        pytest.skip(f"{path} needs {error.name}, which is not installed")
    for public in OFFERED[path]:
        yield f"{name}.{public}", getattr(imported, public)


def _is_protocol(thing: type) -> bool:
    return getattr(thing, "_is_protocol", False)


def _methods(thing: type) -> Iterator[tuple[str, Any]]:
    """Yield the methods and properties that the class itself defines."""
    for key, value in vars(thing).items():
        unwrapped = getattr(value, "__func__", value)
        if not key.startswith("_") and (inspect.isfunction(unwrapped) or isinstance(value, property)):
            yield key, value


def excused() -> frozenset[str]:
    """Read the configuration as numpydoc does: after "all", the list names what is not checked."""
    checks = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["numpydoc_validation"][
        "checks"
    ]
    assert checks[0] == "all"
    return frozenset(checks[1:])


def form_errors(documented: Documented) -> list[str]:
    """Ask numpydoc, and keep the errors that count for this object."""
    passed_over = excused() - ({"EX01"} if documented.is_example_due else set())
    return [
        f"{documented.name}: {code} {text}"
        for code, text in validation.validate(documented.name)["errors"]
        if code not in passed_over and (code.startswith(SHORT) or not documented.is_short)
    ]


def default_errors(documented: Documented) -> list[str]:
    """Compare each `default=...` of the Parameters section, and each `optional`, with the signature."""
    try:
        signature = inspect.signature(documented.thing).parameters
    except (TypeError, ValueError):  # a property, or an exception with the constructor of its builtin
        return []
    written = {
        name.strip().lstrip("*"): parameter.type
        for parameter in docscrape.NumpyDocString(inspect.getdoc(documented.thing) or "")["Parameters"]
        for name in parameter.name.split(",")
    }
    return [
        f"{documented.name}: `{name}` is documented as {text!r}; its default is {_shown(signature[name].default)}"
        for name, text in written.items()
        if name in signature
        and ("default" in text or not documented.is_short)
        and not is_true_default(text, signature[name].default)
    ]


def is_true_default(text: str, default: object) -> bool:
    """Tell whether the type line of a parameter says the truth about its default.

    `default=0.9` and `default: 0.9` are read. `optional` stands for None and for what the text below explains,
    such as a default factory; a parameter without a default says neither.
    """
    before, sign, stated = text.partition("default")
    stated = stated.lstrip(" =:").strip().strip("`")
    if default is inspect.Parameter.empty:
        return not sign and "optional" not in before
    if not sign:
        return "optional" in before
    try:
        return ast.literal_eval(stated) == default
    except (SyntaxError, ValueError):
        return stated in {repr(default), str(default), _shown(default)}


def _shown(default: object) -> str:
    return getattr(default, "__name__", None) or repr(default)


@pytest.mark.parametrize("path", OFFERED)
def test_public_docstrings_have_numpydocs_form(path):
    found = [line for documented in public_objects(path) for line in form_errors(documented)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", OFFERED)
def test_documented_defaults_are_those_of_the_signature(path):
    found = [line for documented in public_objects(path) for line in default_errors(documented)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "default", "is_true"),
    [
        ("float, default=1e-2", 0.01, True),
        ("float, default: -1", -1, True),
        ("float, default=1e-2", 0.001, False),
        ("float", 0.001, False),
        ("float", inspect.Parameter.empty, True),
        ("float, default=0.1", inspect.Parameter.empty, False),
        ("float, optional", inspect.Parameter.empty, False),
        ("float or None, default=None", None, True),
        ("Generator, optional", None, True),
        ('str, default="auto"', "auto", True),
        ("str, default='cpu'", "auto", False),
        ("callable, default=print", print, True),
    ],
)
def test_the_rule_about_defaults_sees_what_it_claims(text, default, is_true):
    assert is_true_default(text, default) is is_true
