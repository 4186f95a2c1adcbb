# SPDX-License-Identifier: BSD-3-Clause
"""The text and syntax trees of the package, for the house rules: they read it and do not run it."""

__all__ = ["PACKAGE", "ROOT", "Module", "modules", "parse"]

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "softmax_xp"


@final
@dataclass(frozen=True, slots=True)
class Module:
    """One file of the package.

    Parameters
    ----------
    path : str
        Relative to softmax_xp/, with forward slashes on every system.
    text : str
        Its source.
    tree : ast.Module
        Its syntax.
    comments : dict of int to str
        The comment of each line that has one; a comment sign inside a string is none.
    """

    path: str
    text: str
    tree: ast.Module
    comments: dict[int, str]

    @property
    def is_init(self) -> bool:
        return self.path.endswith("__init__.py")

    def allows(self, node: ast.AST, pragma: str) -> bool:
        """Tell whether a comment `# pragma: reason` stands on one of the lines of `node`; no reason, no permission."""
        sign = f"# {pragma}:"
        first, last = node.lineno, node.end_lineno or node.lineno
        comments = (self.comments.get(line, "") for line in range(first, last + 1))
        return any(sign in comment and comment.split(sign, 1)[1].strip() for comment in comments)

    def where(self, node: ast.AST) -> str:
        return f"softmax_xp/{self.path}:{node.lineno}: {ast.unparse(node).splitlines()[0]}"

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def calls_outside(self, functions: frozenset[str]) -> Iterator[ast.Call]:
        """Yield the calls that are in none of the functions (or methods) with these names."""
        pending: list[ast.AST] = [self.tree]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.FunctionDef) and node.name in functions:
                continue
            if isinstance(node, ast.Call):
                yield node
            pending.extend(ast.iter_child_nodes(node))


def parse(text: str, path: str = "example.py") -> Module:
    """Read source text; the tests of the rules themselves use it on a few lines."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    return Module(path, text, ast.parse(text, path), comments)


@cache
def modules() -> tuple[Module, ...]:
    """Read every module of the package, sorted by path; once, because each of a dozen rules asks."""
    return tuple(
        parse(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix())
        for path in sorted(PACKAGE.rglob("*.py"))
    )
