"""No circles: modules import each other in one direction, in type-checking blocks and inside functions too."""

from __future__ import annotations

import ast

from tests.support.source import modules, statements


def imported_modules(tree: ast.Module) -> set[str]:
    """The product's modules that a tree imports; `from package import module` is the module's."""
    found = set()
    for node in statements(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & set(modules())
            if inner - set(modules()):
                found.add(str(node.module))
    return found & set(modules())


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that can all be reached from each other."""
    reach = {name: _reachable(name, arrows) for name in arrows}
    groups = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in arrows}
    return [list(group) for group in sorted(groups) if group]


def _reachable(name: str, arrows: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(arrows[name])
    while waiting:
        if (module := waiting.pop()) not in seen:
            seen.add(module)
            waiting += arrows[module]
    return seen


def test_there_is_no_circle() -> None:
    """Every module can be understood after those that it imports."""
    assert circles({name: imported_modules(tree) for name, tree in modules().items()}) == []


def test_circles_are_found() -> None:
    """Of two, of three, and a module that imports itself; a diamond is none."""
    arrows = {"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"e"}, "e": {"c", "a"}, "f": {"f"}}
    diamond = {"g": {"h", "i"}, "h": {"j"}, "i": {"j"}, "j": {"a"}}
    assert circles(arrows | diamond) == [["a", "b"], ["c", "d", "e"], ["f"]]
