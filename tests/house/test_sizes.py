# SPDX-License-Identifier: BSD-3-Clause
"""Modules and functions stay small enough to be read.

Lines are counted as they stand on the screen, blank ones and comments included, since that is what a reader sees.
A function's docstring does not count, because it is read by other people at other times. A longer function, or
module, is allowed by `# long: why` on the function's `def` line, or among the module's first five lines.
"""

import ast

import pytest

from tests.house.source import Module, modules, parse

LONGEST_MODULE = 400
LONGEST_BODY = 45


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def may_be_long(module: Module, first: int, last: int) -> bool:
    comments = [module.comments.get(line, "") for line in range(first, last + 1)]
    return any(comment.partition("# long:")[2].strip() for comment in comments)


def long_functions(module: Module) -> list[str]:
    return [
        f"softmax_xp/{module.path}:{function.lineno}: {function.name} has {body_length(function)} lines"
        for function in module.functions()
        if body_length(function) > LONGEST_BODY and not may_be_long(module, function.lineno, function.lineno)
    ]


def test_modules_are_short():
    found = [
        f"softmax_xp/{module.path} has {len(module.text.splitlines())} lines"
        for module in modules()
        if len(module.text.splitlines()) > LONGEST_MODULE and not may_be_long(module, 1, 5)
    ]
    assert not found, f"split by concept what has more than {LONGEST_MODULE} lines:\n" + "\n".join(found)


def test_functions_fit_on_a_screen():
    found = [line for module in modules() for line in long_functions(module)]
    assert not found, f"split what has a body of more than {LONGEST_BODY} lines:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("lines", "comment", "is_found"), [(45, "", False), (46, "", True), (46, "# long: why", False)]
)
def test_the_rule_counts_the_body_without_the_docstring(lines, comment, is_found):
    text = f'def f():  {comment}\n    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * lines
    assert bool(long_functions(parse(text))) is is_found
