"""Budgets for modules and functions: the file that grows is a design that stopped."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

from tests.support.source import ROOT, functions, modules, statements


def length(node: ast.AST) -> int:
    """Lines of a function's code, its docstring not counted."""
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    docstring = node.body[0] if ast.get_docstring(node) else None
    skipped = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (node.end_lineno or 0) - node.lineno + 1 - skipped


def test_modules_stay_readable() -> None:
    """No module over 400 lines, no file of tests over 450."""
    long = {
        str(path.relative_to(ROOT)): count
        for package in ("bot", "common", "rehearsal", "transcriber", "tests")
        for path in Path(ROOT / package).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > (450 if package == "tests" else 400)
    }
    assert not long


def test_functions_stay_short() -> None:
    """Median at most 10 lines, nine of ten at most 35, none over 80."""
    lengths = {f"{name}:{f.name}": length(f) for name, tree in modules().items() for f in functions(tree)}
    assert statistics.median(lengths.values()) <= 10
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= 35
    assert not {name: lines for name, lines in lengths.items() if lines > 80}


def test_everything_is_annotated_and_public_names_are_documented() -> None:
    """Return annotations everywhere; a docstring on every module, and on every public class and function of it."""
    missing = []
    for name, tree in modules().items():
        if not ast.get_docstring(tree) and tree.body:
            missing.append(f"{name}: module docstring")
        missing += [f"{name}.{f.name}: return annotation" for f in functions(tree) if f.returns is None]
        for node in tree.body:
            inner = node.body if isinstance(node, ast.ClassDef) else []
            for item in [node, *inner]:
                if (
                    isinstance(item, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                    and not item.name.startswith("_")
                    and not (isinstance(node, ast.ClassDef) and node.name.startswith("_"))
                    and not ast.get_docstring(item)
                    and not any(
                        "override" in ast.unparse(d) or "validator" in ast.unparse(d) for d in item.decorator_list
                    )
                    and not _is_bare_event(item)
                ):
                    missing.append(f"{name}.{item.name}: docstring")
    assert not missing, "\n".join(missing)


def _is_bare_event(item: ast.AST) -> bool:
    """A dataclass whose name and fields say it all (the vocabulary of events)."""
    return isinstance(item, ast.ClassDef) and all(isinstance(line, ast.AnnAssign | ast.Expr) for line in item.body)


BROAD_EXCEPT_ALLOWED: dict[str, str] = {
    "bot.process": "whatever stops the event loop, the bot ends in order",
    "bot.drivers.browser.bridge": "what a listener raises in a connection's task becomes the page's end",
    "bot.drivers.rtmp.pulling": "whatever ends the thread is raised where it is waited for",
    "bot.reporting": "a sink that fails keeps no other from hearing",
    "bot.sinks": "a sink that breaks ends no meeting, and keeps no other from closing",
    "bot.recording.writer": "a bug in a recording neither ends it in silence nor the meeting",
    "bot.runner": "turns any bug into a terminal status and exit code 1",
    "transcriber.engine.child": "one failing window must not end the engine, nor a failing engine the server",
    "transcriber.streaming": "an engine of one's own that does not start is said in a sentence",
    "transcriber.decoding": "a failing call, or an odd answer, costs its windows and nobody else's",
    "transcriber.worker": "one odd window must not end the decoding of all streams",
    "transcriber.websocket.server": "one failing connection must not end the server",
    "transcriber.api.routes": "one failing request must not end the server",
}


def test_broad_excepts_are_few_and_known() -> None:
    """`except Exception` only where a whole lifetime is guarded, each with its reason."""
    found = set()
    for name, tree in modules().items():
        for node in statements(tree):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            ):
                found.add(name)
    assert found <= set(BROAD_EXCEPT_ALLOWED), found - set(BROAD_EXCEPT_ALLOWED)
