"""The project's own source, read as syntax trees: for the tests that keep the architecture true."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("bot", "common", "rehearsal", "transcriber")


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name → tree of every module of the product.

    Without the collector: what it runs while a tree is made (a warning about what another test left open) makes
    Python 3.11 give the tree up. The trees stay to the end, so it need not look at them again and again: that takes
    longer than to read them.
    """
    found = {}
    gc.collect()
    gc.disable()
    try:
        for package in PACKAGES:
            for path in sorted((ROOT / package).rglob("*.py")):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
        gc.freeze()
    finally:
        gc.enable()
    return found


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """A tree and all that is in it."""
    return tuple(ast.walk(tree))


@cache
def statements(tree: ast.AST) -> tuple[ast.AST, ...]:
    """A tree and the statements in it, however deep; not their expressions, which are ten times as many."""
    found = [tree]
    for node in found:
        for part in ("body", "handlers", "orelse", "finalbody", "cases"):
            inner = getattr(node, part, ())
            found += inner if isinstance(inner, list) else ()
    return tuple(found)


@cache
def imports(tree: ast.AST) -> frozenset[str]:
    """Every module that a tree imports anywhere, type-checking blocks included. The project imports absolutely."""
    found = {alias.name for node in statements(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in statements(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found.add(str(node.module))
    return frozenset(found)


@cache
def functions(tree: ast.Module) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    """Every function and method."""
    return tuple(node for node in statements(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
